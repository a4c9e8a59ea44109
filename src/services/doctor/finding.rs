use serde::Serialize;

use crate::foundations::dns::{self, ErrorKind};

crate::words! {
    /// The state of something.
    pub enum Health {
        /// As it should be.
        Well = "well",
        /// It cannot be found out from here.
        Unknown = "unknown",
        /// It works, but should be better.
        Warning = "warning",
        /// Mail is lost, refused or unsafe because of it.
        Wrong = "wrong",
    }
}

/// What one check has found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: `mx`, `spf`, `certificate`…
    pub check: &'static str,
    /// What was looked at: a domain, an address, a listener, a file.
    pub about: String,
    /// Its state.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn well(check: &'static str, about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check, about: about.into(), health: Health::Well, found: found.into(), remedy: None }
    }

    /// Something that is not well.
    pub(super) fn ill(
        check: &'static str,
        about: impl Into<String>,
        health: Health,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check, about: about.into(), health, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// A question to which the DNS gives neither records nor a definite no: nothing is known about the records, so nothing is
    /// to be published.
    pub(super) fn unanswered(check: &'static str, about: impl Into<String>, error: &dns::Error) -> Self {
        let about = about.into();
        let found = failure(&about, error);
        let remedy = match error.kind {
            ErrorKind::Bogus => {
                "Sign its zone again, or correct the DS record above it: who checks signatures finds nothing there."
            }
            ErrorKind::InvalidName => "Correct the name in the configuration.",
            ErrorKind::NoData | ErrorKind::NoSuchName | ErrorKind::Temporary => {
                "Check the name servers that this machine asks, and those of the zone; then run this again."
            }
        };
        Self::ill(check, about, Health::Unknown, found, remedy)
    }
}

/// What is the same about several things is said once, of all of them: most listeners serve one certificate, and most of
/// what is stored lies on one file system. What is well stays as it is.
pub(super) fn said_once(findings: Vec<Finding>) -> Vec<Finding> {
    let mut said: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        let is_same = |known: &Finding| Finding { about: finding.about.clone(), ..known.clone() } == finding;
        let known = said.iter_mut().find(|known| finding.health != Health::Well && is_same(known));
        if let Some(known) = known {
            // Several domains may have the same exchanger.
            if !known.about.split(", ").any(|one| one == finding.about) {
                known.about.push_str(", ");
                known.about.push_str(&finding.about);
            }
        } else {
            said.push(finding);
        }
    }
    said
}

/// What the DNS says, with the name that was asked for unless the finding is about just that name.
pub(super) fn failure(about: &str, error: &dns::Error) -> String {
    if error.name == about { error.kind.to_string() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_of_several_is_said_once() {
        let ill = |about: &str, found: &str| Finding::ill("certificate", about, Health::Wrong, found, "Renew it.");
        let well = |about: &str| Finding::well("listener", about, "answers");
        let found = ["imaps", "imaps", "pop3s", "imaps"].map(|about| ill(about, "expired"));
        let found = found.into_iter().chain([well("imaps"), ill("smtp", "x"), well("smtp")]).collect();
        let wanted = [ill("imaps, pop3s", "expired"), well("imaps"), ill("smtp", "x"), well("smtp")];
        assert_eq!(said_once(found), wanted);
    }

    #[test]
    fn what_the_dns_does_not_answer_is_told_once_and_asks_for_no_record() {
        for (kind, remedy) in [(ErrorKind::Temporary, "name servers"), (ErrorKind::Bogus, "DS record")] {
            for (name, names) in [("mail.example.test", 0), ("_25._tcp.mail.example.test", 1)] {
                let finding = Finding::unanswered("x", "mail.example.test", &dns::Error::new(name, kind));
                assert_eq!(finding.found.matches(name).count(), names, "{finding:?}");
                assert_eq!(finding.health, Health::Unknown);
                assert!(finding.remedy.is_some_and(|told| told.contains(remedy)), "{kind:?}");
            }
        }
    }
}
