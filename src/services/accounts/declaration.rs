//! What is declared, once it has been understood.

use std::collections::BTreeMap;

use crate::foundations::address::{Address, Domain};
use crate::foundations::secret::Secret;
use crate::foundations::settings::ByteSize;
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
    /// Itself.
    Plain(Secret<String>),
}

/// One destination of a declared alias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeclaredAlias {
    /// The key: `name@domain` or `@domain`.
    pub source: String,
    /// An address, or `@domain`.
    pub destination: String,
}
