//! Senders of forwarded mail under a name of ours, and back (the Sender Rewriting Scheme).
//!
//! What an alias passes on to another server would fail SPF there under its old sender.
//! `SRS0=hash=time=domain=name@ours` says where it came from, and only somebody who knows our secret can have made it:
//! notifications that come back in time are passed on, and nobody can use us to send to addresses of their choice. A
//! sender that is rewritten already becomes `SRS1`, so that names do not grow with every hop. Such names may have more
//! than 64 octets before the `@`, up to what a path may hold: most senders of bulk mail have long names already.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;

use super::settings::SrsSettings;
use crate::foundations::address::{Address, Domain, LocalPart};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::files;

/// Rewrites senders with our secrets.
pub struct Srs {
    /// The first one is used for new names, all are believed.
    keys: Vec<hmac::Key>,
    domain: Domain,
    lifetime: Duration,
    clock: SharedClock,
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Srs").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// A name that looks like one of ours but cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotOurs {
    /// The hash does not fit, or the name is malformed.
    Forged,
    /// Its time is over.
    Old,
}

/// Characters of the hash: 30 bits.
const HASH: usize = 6;
/// Shortest secret in octets.
const SHORTEST: usize = 16;
/// Letters and digits that differ in either case (RFC 4648 §6).
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl Srs {
    /// With the secrets in the settings' file, one in a line; `None` when the settings name no file. Fails when there is
    /// no secret in it, or a short one.
    pub fn load(settings: &SrsSettings, hostname: &Domain, clock: SharedClock) -> Result<Option<Self>, files::Error> {
        let Some(path) = &settings.secret_file else { return Ok(None) };
        let text = files::read_bounded(path, 64 << 10)?;
        let secrets = text.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii).filter(|secret| !secret.is_empty());
        let domain = settings.domain.clone().unwrap_or_else(|| hostname.clone());
        Self::new(secrets, domain, settings.lifetime.duration(), clock).map(Some).map_err(|wrong| unusable(path, wrong))
    }

    fn new<'s>(
        secrets: impl Iterator<Item = &'s [u8]>,
        domain: Domain,
        lifetime: Duration,
        clock: SharedClock,
    ) -> Result<Self, &'static str> {
        let secrets: Vec<&[u8]> = secrets.collect();
        if secrets.is_empty() || secrets.iter().any(|secret| secret.len() < SHORTEST) {
            return Err("it must hold a secret of at least 16 octets on each line");
        }
        let keys = secrets.into_iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect();
        Ok(Self { keys, domain, lifetime, clock })
    }

    /// The name of ours for a sender; `None` when no path could hold it.
    pub(super) fn forward(&self, sender: &Address) -> Option<Address> {
        let (local, domain) = (sender.local().value(), sender.domain().as_str());
        let rewritten = match (LocalPart::after_srs(local, "SRS1"), LocalPart::after_srs(local, "SRS0")) {
            (Some(rest), _) => {
                // The first forwarder and what it needs; the hash of the one between is left out.
                let (_, rest) = rest[1..].split_once('=')?;
                format!("SRS1={}={rest}", self.hash(0, rest))
            }
            (None, Some(rest)) => {
                let rest = format!("{domain}={rest}");
                format!("SRS1={}={rest}", self.hash(0, &rest))
            }
            (None, None) => {
                let rest = format!("{}={domain}={local}", stamp(self.clock.now()));
                format!("SRS0={}={rest}", self.hash(0, &rest))
            }
        };
        let local = rewritten.parse().or_else(|_| quoted(&rewritten).parse());
        Address::new(local.ok()?, self.domain.clone()).ok()
    }

    /// The sender behind a name of ours; `None` when the address is no such name.
    pub(super) fn reverse(&self, address: &Address) -> Option<Result<Address, NotOurs>> {
        if *address.domain() != self.domain {
            return None;
        }
        let local = address.local().value();
        let (twice, rest) = match (LocalPart::after_srs(local, "SRS0"), LocalPart::after_srs(local, "SRS1")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return None,
        };
        Some(self.open(twice, &rest[1..]))
    }

    fn open(&self, twice: bool, text: &str) -> Result<Address, NotOurs> {
        let (hash, rest) = text.split_once('=').ok_or(NotOurs::Forged)?;
        let hash = hash.to_ascii_uppercase();
        let known = (0..self.keys.len()).any(|n| bool::from(self.hash(n, rest).as_bytes().ct_eq(hash.as_bytes())));
        if !known {
            return Err(NotOurs::Forged);
        }
        let (first, rest) = rest.split_once('=').ok_or(NotOurs::Forged)?;
        let (local, domain) = if twice {
            (format!("SRS0{rest}"), first)
        } else {
            let days = age(first, self.clock.now()).ok_or(NotOurs::Forged)?;
            if Duration::from_secs(days * 86_400) > self.lifetime {
                return Err(NotOurs::Old);
            }
            let (domain, local) = rest.split_once('=').ok_or(NotOurs::Forged)?;
            (local.to_owned(), domain)
        };
        let local = local.parse().or_else(|_| quoted(&local).parse()).map_err(|_| NotOurs::Forged)?;
        Address::new(local, domain.parse().map_err(|_| NotOurs::Forged)?).map_err(|_| NotOurs::Forged)
    }

    /// Over lower case: some servers change the case of names.
    fn hash(&self, key: usize, text: &str) -> String {
        let tag = hmac::sign(&self.keys[key], text.to_lowercase().as_bytes());
        let octets = tag.as_ref().iter().take(5);
        let bits = octets.fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
        (0..HASH).map(|n| letter(bits >> (5 * n))).collect()
    }
}

fn letter(bits: u64) -> char {
    char::from(ALPHABET[(bits & 31) as usize])
}

/// The day, in a circle of 1024.
fn stamp(now: Timestamp) -> String {
    let day = now.unix_seconds().div_euclid(86_400).rem_euclid(1024).unsigned_abs();
    [letter(day >> 5), letter(day)].into_iter().collect()
}

/// How many days ago a stamp was made; one from tomorrow comes from a clock that is wrong.
fn age(stamp: &str, now: Timestamp) -> Option<u64> {
    let digits: Vec<i64> = stamp
        .bytes()
        .map(|octet| ALPHABET.iter().position(|letter| *letter == octet.to_ascii_uppercase()))
        .map(|found| found.and_then(|value| i64::try_from(value).ok()))
        .collect::<Option<_>>()?;
    let [high, low] = digits.as_slice() else { return None };
    let days = (now.unix_seconds().div_euclid(86_400) - (high * 32 + low)).rem_euclid(1024);
    Some(if days == 1023 { 0 } else { days.unsigned_abs() })
}

fn quoted(local: &str) -> String {
    format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
}

fn unusable(path: &Path, wrong: &'static str) -> files::Error {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, wrong);
    files::Error { verb: "use", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::foundations::clock::Hand;

    fn clock(day: i64) -> SharedClock {
        Arc::new(Hand::at(Timestamp::from_unix_seconds(day * 86_400)))
    }

    fn srs(secrets: &[&str], domain: &str, day: i64) -> Srs {
        let secrets = secrets.iter().map(|secret| secret.as_bytes());
        let lifetime = Duration::from_secs(21 * 86_400);
        Srs::new(secrets, domain.parse().unwrap(), lifetime, clock(day)).unwrap()
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    const SECRET: &str = "a secret that nobody knows";

    #[test]
    fn senders_go_out_and_come_back() {
        let ours = srs(&[SECRET], "fwd.test", 20_000);
        for sender in
            ["ann@x.test", "Ann.O'Hara+tag=x@sub.x.test", "\"a b\"@x.test", "srs0@x.test", "prvs=1=ann@x.test"]
        {
            let name = ours.forward(&address(sender)).unwrap();
            assert!(name.to_string().trim_start_matches('"').starts_with("SRS0="), "{name}");
            assert_eq!(ours.reverse(&name), Some(Ok(address(sender))), "{name}");
            let shouted = address(&name.to_string().to_uppercase().replace("FWD.TEST", "fwd.test"));
            assert!(ours.reverse(&shouted).unwrap().is_ok(), "{shouted}");
        }
        assert_eq!(ours.reverse(&address("ann@fwd.test")), None);
        assert_eq!(ours.reverse(&address("SRS0=AAAAAA=AA=x.test=ann@other.test")), None);
    }

    /// Bounce addresses of the large senders of bulk mail, and what is too long for any path.
    #[test]
    fn long_senders_go_out_and_come_back() {
        let ours = srs(&[SECRET], "fwd.test", 20_000);
        let second = srs(&["another secret of ours"], "two.test", 20_000);
        for sender in [
            "0102018f3c6ad5f1-7d2f9c1e-5b0a-4c3d-9e8f-0a1b2c3d4e5f-000000@eu-west-1.amazonses.com",
            "bounces+12345678-9abc-ann.example=example.test@em1234.newsletter.example",
            "bounce-mc.us12_34567890.1234567-0a1b2c3d4e@mail123.atl456.mcsv.example",
        ] {
            let once = ours.forward(&address(sender)).unwrap();
            assert!(once.local().value().len() > LocalPart::TAKEN_EVERYWHERE, "{once}");
            // It comes back as text.
            assert_eq!(ours.reverse(&address(&once.to_string())), Some(Ok(address(sender))), "{once}");
            let twice = second.forward(&once).unwrap();
            assert_eq!(second.reverse(&address(&twice.to_string())), Some(Ok(once)), "{twice}");
        }
        let wide = format!("{}@{}x.test", "a".repeat(50), "b.".repeat(90));
        assert_eq!(ours.forward(&address(&wide)), None);
    }

    #[test]
    fn a_second_and_a_third_hop_lead_back() {
        let (first, second, third) = (
            srs(&[SECRET], "one.test", 7),
            srs(&["another secret of ours"], "two.test", 7),
            srs(&[SECRET], "3.test", 7),
        );
        let once = first.forward(&address("ann@x.test")).unwrap();
        let twice = second.forward(&once).unwrap();
        let thrice = third.forward(&twice).unwrap();
        assert!(twice.to_string().starts_with("SRS1=") && thrice.to_string().len() < twice.to_string().len() + 3);
        assert_eq!(second.reverse(&twice), Some(Ok(once.clone())));
        // The third one sends it to the first at once.
        assert_eq!(third.reverse(&thrice), Some(Ok(once)));
    }

    #[test]
    fn what_is_not_ours_is_not_believed() {
        let ours = srs(&[SECRET], "fwd.test", 20_000);
        let name = ours.forward(&address("ann@x.test")).unwrap().to_string();
        let changed = address(&name.replace("=ann@", "=bob@"));
        assert_eq!(ours.reverse(&changed), Some(Err(NotOurs::Forged)));
        for text in ["SRS0=x", "SRS0=", "SRS1==", "SRS0=AAAAAA=AA=x.test", "SRS1=AAAAAA=x.test"] {
            assert_eq!(ours.reverse(&address(&format!("{text}@fwd.test"))), Some(Err(NotOurs::Forged)), "{text}");
        }
        let old = |day| srs(&["a new secret of theirs", SECRET], "fwd.test", day).reverse(&address(&name)).unwrap();
        assert!(old(20_000).is_ok() && old(20_021).is_ok() && old(19_999).is_ok());
        assert_eq!(old(20_022), Err(NotOurs::Old));
        let others = srs(&["a new secret of theirs"], "fwd.test", 20_000);
        assert_eq!(others.reverse(&address(&name)), Some(Err(NotOurs::Forged)));
        assert!(Srs::new([].into_iter(), "a.test".parse().unwrap(), Duration::ZERO, clock(0)).is_err());
    }
}
