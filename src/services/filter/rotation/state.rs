//! The state of a domain's keys.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;

/// The keys of one domain, in the order they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DomainState {
    pub(super) pairs: Vec<KeyPairState>,
}

/// Keys that are created, put in force and retired together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPairState {
    /// Its stage.
    pub phase: Phase,
    /// When this stage began.
    pub since: Timestamp,
    /// One key for each kind.
    pub keys: Vec<RotatedKey>,
}

/// Stages of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Created; their records have to be put into the DNS.
    Announced,
    /// They sign.
    Active,
    /// They no longer sign; their records stay for mail in transit.
    Retired,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatedKey {
    /// Its selector.
    pub selector: String,
    /// The text of its TXT record.
    pub record: String,
}

impl Phase {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

impl RotatedKey {
    /// The name of its record.
    pub fn name(&self, domain: &Domain) -> String {
        format!("{}._domainkey.{domain}", self.selector)
    }

    /// Where its private key is.
    pub(super) fn file(&self, directory: &Path, domain: &Domain) -> PathBuf {
        directory.join(domain.as_str()).join(format!("{}.pem", self.selector))
    }
}
