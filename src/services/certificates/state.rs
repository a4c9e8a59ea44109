use serde::{Deserialize, Serialize};

use super::Loaded;
use crate::foundations::clock::Timestamp;

crate::words! {
    /// What a certificate is to clients.
    pub enum Standing {
        /// It is served.
        InForce = "in-force",
        /// It is served until the real one has been obtained; nobody trusts it.
        StandingIn = "standing-in",
        /// It waits until its key is published in the DNS.
        HeldBack = "held-back",
    }
}

/// A certificate as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The file with its chain.
    pub file: String,
    /// What it is to clients.
    pub standing: Standing,
    /// The host names it is for.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// SHA-256 of its public key, in hexadecimal: the data of a TLSA record `3 1 1`.
    pub public_key: String,
    /// Since when it has been held back, if it is.
    pub held_since: Option<Timestamp>,
    /// The records to publish, in zone file format, if it is held back.
    pub publish: Vec<String>,
    /// Why it is not the intended one: the file cannot be used, or the authority issued none, or none for all names.
    #[serde(default)]
    pub problem: Option<String>,
}

impl State {
    /// The state of a certificate that is served.
    pub(super) fn of(certificate: &Loaded) -> Self {
        let standing = if certificate.temporary { Standing::StandingIn } else { Standing::InForce };
        Self {
            file: certificate.file.display().to_string(),
            standing,
            names: certificate.names.clone(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            fingerprint: certificate.fingerprint(),
            public_key: certificate.public_key(),
            held_since: None,
            publish: Vec::new(),
            problem: None,
        }
    }

    /// What is or soon will be wrong for clients, in words; `None` when all is well. A held-back certificate is no
    /// problem: the old one stays in force, and has its own state.
    pub fn trouble(&self) -> Option<String> {
        let names = self.names.join(", ");
        match (self.standing, &self.problem) {
            (Standing::StandingIn, None) => {
                Some(format!("a certificate that nobody trusts stands in for {names} until one is obtained"))
            }
            (Standing::StandingIn, Some(problem)) => {
                Some(format!("a certificate that nobody trusts stands in for {names}: {problem}"))
            }
            (_, Some(problem)) => Some(format!("the certificate for {names} is not the intended one: {problem}")),
            (_, None) => None,
        }
    }
}
