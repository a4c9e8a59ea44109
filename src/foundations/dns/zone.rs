//! A resolver that answers from a table.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::{Answer, Caa, Error, ErrorKind, Lookup, Mx, Resolver, Security, Srv, Tlsa};

/// Answers from its own records, for machines without a network (the demonstration) and for tests.
///
/// The table is changed through a shared reference, so that records can come and go while a server runs.
#[derive(Debug, Default)]
pub struct ZoneResolver {
    names: RwLock<HashMap<String, Names>>,
    questions: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct Names {
    mx: Vec<Mx>,
    a: Vec<Ipv4Addr>,
    aaaa: Vec<Ipv6Addr>,
    txt: Vec<String>,
    ptr: Vec<String>,
    tlsa: Vec<Tlsa>,
    srv: Vec<Srv>,
    caa: Vec<Caa>,
    security: Option<Security>,
    failure: Option<ErrorKind>,
    is_silent: bool,
    alias: Option<String>,
}

impl ZoneResolver {
    /// A resolver that knows no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads lines such as `example.test MX 10 mx.example.test`, `mx.example.test A 192.0.2.1`, `example.test TXT v=spf1
    /// -all`, `192.0.2.1 PTR mx.example.test`, `_25._tcp.mx.example.test TLSA 3 1 1 0a1b…`, `_imaps._tcp.example.test SRV 0 1 993
    /// mx.example.test`, `mx.example.test CAA 0 issue "ca.test"`, `alias.test CNAME example.test`, `broken.test FAIL` (no answer),
    /// `forged.test BOGUS` or `slow.test SILENT` (not even a failure: whoever asks waits for ever). A word `SECURE` before the type marks the name as signed. Empty lines and those that start
    /// with `;` are passed over. Fails with the first line that is none of these.
    pub fn add(&self, lines: &str) -> Result<(), String> {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';')) {
            self.add_line(line).ok_or_else(|| format!("not a record: `{line}`"))?;
        }
        Ok(())
    }

    /// Forgets a name.
    pub fn remove(&self, name: &str) {
        self.names.write().remove(&key(name));
    }

    /// How many questions have been asked.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    fn add_line(&self, line: &str) -> Option<()> {
        let (name, rest) = line.split_once(char::is_whitespace)?;
        let mut names = self.names.write();
        let entry = names.entry(key(name)).or_default();
        let rest = match rest.trim_start().strip_prefix("SECURE ") {
            Some(rest) => {
                entry.security = Some(Security::Secure);
                rest
            }
            None => rest,
        };
        let (kind, data) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let data = data.trim();
        match kind {
            "MX" => {
                let (preference, exchange) = data.split_once(char::is_whitespace)?;
                entry.mx.push(Mx { preference: preference.parse().ok()?, exchange: key(exchange.trim()) });
            }
            "A" => entry.a.push(data.parse().ok()?),
            "AAAA" => entry.aaaa.push(data.parse().ok()?),
            "TXT" => entry.txt.push(data.to_owned()),
            "PTR" => entry.ptr.push(key(data)),
            "TLSA" => entry.tlsa.push(tlsa(data)?),
            "CNAME" => entry.alias = Some(key(data)),
            "SRV" => entry.srv.push(srv(data)?),
            "CAA" => entry.caa.push(caa(data)?),
            "FAIL" => entry.failure = Some(ErrorKind::Temporary),
            "BOGUS" => entry.failure = Some(ErrorKind::Bogus),
            "SILENT" => entry.is_silent = true,
            _ => return None,
        }
        Some(())
    }

    fn answer<T: Clone>(&self, name: &str, pick: fn(&Names) -> &Vec<T>) -> Result<Answer<T>, Error> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let names = self.names.read();
        let mut canonical = key(name);
        let mut security = Security::Secure;
        for _ in 0..8 {
            let absent = || Error { security, ..Error::new(name, ErrorKind::NoSuchName) };
            let entry = names.get(&canonical).ok_or_else(absent)?;
            security = security.min(entry.security.unwrap_or(Security::Insecure));
            if let Some(kind) = entry.failure {
                return Err(Error::new(name, kind));
            }
            if let Some(alias) = &entry.alias {
                canonical.clone_from(alias);
                continue;
            }
            let records = pick(entry).clone();
            if records.is_empty() {
                return Err(Error { security, ..Error::new(name, ErrorKind::NoData) });
            }
            let canonical = Some(canonical).filter(|canonical| *canonical != key(name));
            return Ok(Answer { records, ttl: Duration::from_secs(300), security, canonical });
        }
        Err(Error::new(name, ErrorKind::Temporary))
    }

    /// The first link of a chain of aliases.
    fn alias(&self, name: &str) -> Result<Answer<String>, Error> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let names = self.names.read();
        let entry = names.get(&key(name)).ok_or_else(|| Error::new(name, ErrorKind::NoSuchName))?;
        if let Some(kind) = entry.failure {
            return Err(Error::new(name, kind));
        }
        let security = entry.security.unwrap_or(Security::Insecure);
        let alias = entry.alias.clone().ok_or_else(|| Error { security, ..Error::new(name, ErrorKind::NoData) })?;
        Ok(Answer { records: vec![alias], ttl: Duration::from_secs(300), security, canonical: None })
    }

    fn ready<'a, T: Clone + Send + 'a>(&'a self, name: &str, pick: fn(&Names) -> &Vec<T>) -> Lookup<'a, T> {
        if self.names.read().get(&key(name)).is_some_and(|names| names.is_silent) {
            return Box::pin(std::future::pending());
        }
        let answer = self.answer(name, pick);
        Box::pin(async move { answer })
    }
}

fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn srv(data: &str) -> Option<Srv> {
    let parts: Vec<&str> = data.split_whitespace().collect();
    let [priority, weight, port, target] = parts.as_slice() else { return None };
    let number = |text: &str| text.parse().ok();
    Some(Srv { priority: number(priority)?, weight: number(weight)?, port: number(port)?, target: key(target) })
}

fn caa(data: &str) -> Option<Caa> {
    let mut parts = data.splitn(3, char::is_whitespace).skip(1);
    let (tag, value) = (parts.next()?, parts.next()?);
    Some(Caa { tag: tag.to_ascii_lowercase(), value: value.trim().trim_matches('"').to_owned() })
}

fn tlsa(data: &str) -> Option<Tlsa> {
    let mut parts = data.split_whitespace();
    let mut number = || parts.next()?.parse::<u8>().ok();
    let (usage, selector, matching) = (number()?, number()?, number()?);
    let hex: String = parts.collect();
    let octets = (0..hex.len() / 2).map(|n| u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok());
    Some(Tlsa { usage, selector, matching, data: octets.collect::<Option<_>>()? })
}

impl Resolver for ZoneResolver {
    fn mx<'a>(&'a self, name: &'a str) -> Lookup<'a, Mx> {
        self.ready(name, |names| &names.mx)
    }

    fn a<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr> {
        self.ready(name, |names| &names.a)
    }

    fn aaaa<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr> {
        self.ready(name, |names| &names.aaaa)
    }

    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        self.ready(name, |names| &names.txt)
    }

    fn ptr(&self, address: IpAddr) -> Lookup<'_, String> {
        self.ready(&address.to_canonical().to_string(), |names| &names.ptr)
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa> {
        self.ready(name, |names| &names.tlsa)
    }

    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv> {
        self.ready(name, |names| &names.srv)
    }

    fn cname<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        let answer = self.alias(name);
        Box::pin(async move { answer })
    }

    fn caa<'a>(&'a self, name: &'a str) -> Lookup<'a, Caa> {
        self.ready(name, |names| &names.caa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::addresses;

    #[tokio::test]
    async fn answers_from_its_table() {
        let zone = ZoneResolver::new();
        zone.add(
            "; a comment
            Example.test MX 10 mx.example.test.
            none.test MX 0 .
            mx.example.test SECURE A 192.0.2.1
            mx.example.test AAAA 2001:db8::1
            192.0.2.1 PTR mx.example.test
            example.test TXT v=spf1 -all
            _25._tcp.mx.example.test TLSA 3 1 1 0aff
            broken.test FAIL",
        )
        .unwrap();
        let mx = zone.mx("EXAMPLE.test").await.unwrap();
        assert_eq!(mx.records, [Mx { preference: 10, exchange: "mx.example.test".to_owned() }]);
        assert_eq!(zone.mx("none.test").await.unwrap().records[0].exchange, "");
        let both = addresses(&zone, "mx.example.test").await.unwrap();
        assert_eq!((both.records.len(), both.security), (2, Security::Secure));
        assert_eq!(zone.ptr("::ffff:192.0.2.1".parse().unwrap()).await.unwrap().records, ["mx.example.test"]);
        assert_eq!(zone.tlsa("_25._tcp.mx.example.test").await.unwrap().records[0].data, [10, 255]);
        assert_eq!(zone.txt("mx.example.test").await.unwrap_err().kind, ErrorKind::NoData);
        assert_eq!(zone.txt("other.test").await.unwrap_err().kind, ErrorKind::NoSuchName);
        assert_eq!(addresses(&zone, "broken.test").await.unwrap_err().kind, ErrorKind::Temporary);
        assert!(zone.add("example.test MX ten").is_err());
    }
}
