//! What is declared, once it has been understood.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::foundations::address::{Address, Domain};
use crate::foundations::secret::Secret;
use crate::foundations::settings::ByteSize;
use crate::services::login::Unusable;
use crate::storage::directory::Standing;

/// Domains, users and aliases as they are meant to be.
///
/// ```toml
/// [domains."example.com"]
/// catch_all = "john@example.com"
/// aliases.sales = ["john", "jane", "partner@elsewhere.example"]
///
/// [domains."example.com".users.john]
/// hashed_password_file = "/run/secrets/john"
/// quota = "5G"
/// aliases = ["info"]
/// display_name = "John"
///
/// [domains."example.com".users.jane]
/// enabled = false
/// ```
#[derive(Debug, Clone, Default)]
pub struct Declaration {
    /// By name.
    pub domains: BTreeMap<Domain, Standing>,
    /// By key.
    pub users: BTreeMap<String, DeclaredUser>,
    /// Each alias with one destination.
    pub aliases: Vec<DeclaredAlias>,
    /// Passwords that cannot be used, where the others are to be served all the same.
    pub unusable: Vec<UnusablePassword>,
}

/// A user as meant to be.
#[derive(Debug, Clone)]
pub struct DeclaredUser {
    /// In lower case.
    pub address: Address,
    /// Whether the user may log in.
    pub standing: Standing,
    /// The most the mail may take.
    pub quota: Option<ByteSize>,
    /// The name for people, when the declaration cares.
    pub display_name: Option<String>,
    /// The first password, when there is one.
    pub password: Option<DeclaredPassword>,
}

/// A declared password.
#[derive(Debug, Clone)]
pub enum DeclaredPassword {
    /// Its hash, with the scheme.
    Hashed(Secret<String>),
    /// The password itself.
    Plain(Secret<String>),
}

/// A declared password that cannot be used. Its user keeps the one that is in force, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the declared password of {address} cannot be used: {} should be {because}", file.display())]
pub struct UnusablePassword {
    /// Whose.
    pub address: Address,
    /// Where it should be.
    pub file: PathBuf,
    /// What the file should be and is not.
    pub because: Unfit,
}

/// Why the file of a password is not what it should be, as the words that say what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not there, may not be read, or is no text.
    #[error("a file that can be read ({0})")]
    Unread(String),
    /// It does not hold one line that is a password.
    #[error("a file with one line of 1 to 71 octets (bcrypt ignores more)")]
    NoPassword,
    /// It does not hold a hash that is understood.
    #[error("a file with the hash of a password: {0}")]
    NoHash(Unusable),
}

/// One destination of a declared alias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeclaredAlias {
    /// The key: `name@domain` or `@domain`.
    pub source: String,
    /// An address, or `@domain`.
    pub destination: String,
}
