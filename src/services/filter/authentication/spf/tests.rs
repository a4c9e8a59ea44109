use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use yaml_rust2::{Yaml, YamlLoader};

use super::*;
use crate::foundations::dns::{Answer, Caa, Error, ErrorKind, Lookup, Mx, Resolver, Security, Srv, Tlsa};

/// The zone data of the suite: records by name, or no answer at all.
#[derive(Default)]
struct Zone(HashMap<String, Vec<(String, Yaml)>>);

impl Zone {
    fn read(data: &Yaml) -> Self {
        let mut zone = Self::default();
        for (name, records) in data.as_hash().into_iter().flatten() {
            let mut found: Vec<(String, Yaml)> = Vec::new();
            for record in records.as_vec().into_iter().flatten() {
                match record {
                    Yaml::String(word) => found.push((word.clone(), Yaml::Null)),
                    other => found.extend(
                        other.as_hash().into_iter().flatten().map(|(k, v)| (k.as_str().unwrap().to_owned(), v.clone())),
                    ),
                }
            }
            // The suite writes records once, as type SPF; where there is no TXT they stand for TXT.
            if !found.iter().any(|(kind, _)| kind == "TXT") {
                let copies: Vec<_> =
                    found.iter().filter(|(k, _)| k == "SPF").map(|(_, v)| ("TXT".to_owned(), v.clone())).collect();
                found.extend(copies);
            }
            found.retain(|(kind, value)| kind != "SPF" && value.as_str() != Some("NONE"));
            zone.0.insert(name.as_str().unwrap().to_lowercase(), found);
        }
        zone
    }

    fn find(&self, name: &str, kind: &str, depth: u32) -> Result<Vec<Yaml>, ErrorKind> {
        let records = self.0.get(&name.to_lowercase()).ok_or(ErrorKind::NoSuchName)?;
        let found: Vec<Yaml> = records.iter().filter(|(k, _)| k == kind).map(|(_, v)| v.clone()).collect();
        if found.iter().any(|v| v.as_str() == Some("TIMEOUT")) {
            return Err(ErrorKind::Temporary);
        }
        if !found.is_empty() {
            return Ok(found);
        }
        if let Some((_, target)) = records.iter().find(|(k, _)| k == "CNAME")
            && depth < 8
        {
            return self.find(target.as_str().unwrap(), kind, depth + 1);
        }
        if records.iter().any(|(k, _)| k == "TIMEOUT") { Err(ErrorKind::Temporary) } else { Err(ErrorKind::NoData) }
    }

    fn ask<'a, T: Send + 'a>(&self, name: &str, kind: &str, read: impl Fn(&Yaml) -> Option<T>) -> Lookup<'a, T> {
        let found = self.find(name, kind, 0).map(|v| v.iter().filter_map(read).collect::<Vec<T>>());
        let result = match found {
            Ok(records) if records.is_empty() => Err(Error::new(name, ErrorKind::NoData)),
            Ok(records) => Ok(Answer { records, ttl: Duration::ZERO, security: Security::Insecure, canonical: None }),
            Err(kind) => Err(Error::new(name, kind)),
        };
        Box::pin(std::future::ready(result))
    }
}

fn text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::Array(pieces) if pieces.is_empty() => None,
        Yaml::Array(pieces) => Some(pieces.iter().filter_map(Yaml::as_str).collect()),
        other => other.as_str().map(str::to_owned),
    }
}

impl Resolver for Zone {
    fn mx<'a>(&'a self, name: &'a str) -> Lookup<'a, Mx> {
        self.ask(name, "MX", |v| {
            let v = v.as_vec()?;
            Some(Mx { preference: 0, exchange: v.get(1)?.as_str()?.trim_end_matches('.').to_owned() })
        })
    }
    fn a<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr> {
        self.ask(name, "A", |v| v.as_str()?.parse().ok())
    }
    fn aaaa<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr> {
        self.ask(name, "AAAA", |v| v.as_str()?.parse().ok())
    }
    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        self.ask(name, "TXT", text)
    }
    fn ptr(&self, address: IpAddr) -> Lookup<'_, String> {
        let name = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(v6) => {
                let nibbles: Vec<String> =
                    v6.octets().iter().rev().flat_map(|o| [o & 15, o >> 4]).map(|n| format!("{n:x}")).collect();
                format!("{}.ip6.arpa", nibbles.join("."))
            }
        };
        self.ask(&name, "PTR", |v| v.as_str().map(str::to_owned))
    }
    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa> {
        self.ask(name, "TLSA", |_| None)
    }
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv> {
        self.ask(name, "SRV", |_| None)
    }
    fn cname<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        self.ask(name, "CNAME", |_| None)
    }
    fn caa<'a>(&'a self, name: &'a str) -> Lookup<'a, Caa> {
        self.ask(name, "CAA", |_| None)
    }
}

fn results(value: &Yaml) -> Vec<String> {
    match value {
        Yaml::Array(many) => many.iter().filter_map(Yaml::as_str).map(str::to_owned).collect(),
        one => one.as_str().map(str::to_owned).into_iter().collect(),
    }
}

#[tokio::test]
async fn every_case_of_the_suite() {
    let suite = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/rfc7208-tests.yml"));
    let mut run = 0;
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    for scenario in YamlLoader::load_from_str(suite).unwrap() {
        let zone = Zone::read(&scenario["zonedata"]);
        for (name, case) in scenario["tests"].as_hash().into_iter().flatten() {
            run += 1;
            let question = Question {
                address: case["host"].as_str().unwrap().parse().unwrap(),
                sender: case["mailfrom"].as_str().unwrap_or_default(),
                hello: case["helo"].as_str().unwrap_or_default(),
                receiver: "receiver.example",
                time: 1_000_000,
            };
            let outcome = Checker::check(&zone, question).await;
            let wanted = results(&case["result"]);
            if !wanted.iter().any(|w| w == outcome.result.word()) {
                let what = format!("wanted {wanted:?}, got {}", outcome.result.word());
                wrong.insert(name.as_str().unwrap().to_owned(), what);
            }
            if let Some(explanation) = case["explanation"].as_str()
                && outcome.result == SpfResult::Fail
            {
                let got = outcome.explanation.unwrap_or_else(|| "DEFAULT".to_owned());
                if got != explanation {
                    wrong.insert(name.as_str().unwrap().to_owned(), format!("wanted `{explanation}`, got `{got}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {run}: {wrong:#?}", wrong.len());
    assert_eq!(run, 203);
}

#[test]
fn hostile_records_are_bounded() {
    let long = format!("v=spf1 {}", "a ".repeat(100_000));
    assert!(record::Record::parse(&long).is_err());
    let deep = format!("v=spf1 exists:{}%{{d}}", "%{l}".repeat(10_000));
    assert!(record::Record::parse(&deep).is_ok());
}
