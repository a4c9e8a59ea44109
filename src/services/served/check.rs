use serde::{Deserialize, Serialize};

use crate::foundations::clock::Timestamp;
use crate::services::probe::Probed;

/// What a listener has served for a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The protocol, as the configuration calls it.
    pub protocol: String,
    /// Where it listens.
    pub address: String,
    /// The name that was asked for.
    pub name: String,
    /// SHA-256 of the certificate served, in hexadecimal; `None` when there was none.
    pub fingerprint: Option<String>,
    /// Until when it is valid.
    pub not_after: Option<Timestamp>,
    /// Why clients that trust the system's authorities would refuse it.
    pub distrust: Option<String>,
    /// What is not as intended; `None` when all is well.
    pub problem: Option<String>,
}

impl Check {
    /// Compares what was served with the certificates meant for the name.
    pub(super) fn of(probed: Probed, name: &str, meant: &[String], now: Timestamp) -> Self {
        let served = probed.certificate;
        let problem = probed.problem.or_else(|| match &served {
            None => Some("TLS is not offered".to_owned()),
            Some(served) if !meant.contains(&served.fingerprint) => Some(format!(
                "another certificate is served than the intended one; it is for {}",
                served.names.join(", ")
            )),
            Some(served) if served.not_after <= now => Some(format!("the certificate expired on {}", served.not_after)),
            Some(_) => None,
        });
        Self {
            protocol: probed.protocol.to_owned(),
            address: probed.address.to_string(),
            name: name.to_owned(),
            fingerprint: served.as_ref().map(|served| served.fingerprint.clone()),
            not_after: served.as_ref().map(|served| served.not_after),
            distrust: served.and_then(|served| served.distrust),
            problem,
        }
    }

    /// The place and the name, to report what is wrong.
    pub(super) fn place(&self) -> String {
        format!("{} at {} for {}", self.protocol, self.address, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::probe::{Served, Target};

    #[test]
    fn compares_what_is_served() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let served = |fingerprint: &str, ends: i64| Probed {
            protocol: "imaps",
            address: Target::Tcp("127.0.0.1:993".parse().unwrap()),
            milliseconds: Some(1),
            problem: None,
            certificate: Some(Served {
                names: vec!["mail.example.test".to_owned()],
                issuer: String::new(),
                not_before: now,
                not_after: Timestamp::from_unix_seconds(ends),
                intermediates: 0,
                fingerprint: fingerprint.to_owned(),
                public_key: String::new(),
                distrust: None,
            }),
        };
        let meant = ["aa".to_owned(), "bb".to_owned()];
        let problem = |probed| Check::of(probed, "mail.example.test", &meant, now).problem;
        assert_eq!(problem(served("bb", 1_900_000_000)), None);
        assert!(problem(served("cc", 1_900_000_000)).unwrap().contains("another certificate"));
        assert!(problem(served("aa", 1_700_000_000)).unwrap().contains("expired on"));
        assert_eq!(problem(Probed { certificate: None, ..served("aa", 0) }).unwrap(), "TLS is not offered");
        let silent = Probed { problem: Some("refused".to_owned()), certificate: None, ..served("aa", 0) };
        assert_eq!(problem(silent).unwrap(), "refused");
    }
}
