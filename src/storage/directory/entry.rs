//! What the directory holds.

use std::fmt;
use std::str::FromStr;

use crate::foundations::address::{Address, Domain, InvalidAddress};
use crate::foundations::clock::Timestamp;
use crate::foundations::secret::Secret;
use crate::foundations::settings::ByteSize;

crate::words! {
    /// The authority that decides whether an entry exists.
    pub enum Owner {
        /// An administrator, through the command line or SQL.
        Admin = "admin",
        /// The file of declared accounts.
        Declared = "declared",
    }
}

crate::words! {
    /// Who set a password last.
    pub enum PasswordOwner {
        /// An administrator.
        Admin = "admin",
        /// The file of declared accounts.
        Declared = "declared",
        /// The user. A declaration does not overwrite it unless it declares a new password.
        User = "user",
    }
}

/// Whether an entry is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In use.
    Enabled,
    /// Disabled for now: a user cannot log in, a domain or alias counts as absent.
    Disabled,
}

impl Standing {
    pub(super) const fn of(stored: bool) -> Self {
        if stored { Self::Enabled } else { Self::Disabled }
    }

    pub(super) const fn stored(self) -> bool {
        matches!(self, Self::Enabled)
    }
}

/// A domain whose mail is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainEntry {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: Domain,
    /// Whether mail for it is taken.
    pub standing: Standing,
    /// The authority over it.
    pub owner: Owner,
    /// When it was removed; its rows and mail are kept.
    pub archived_at: Option<Timestamp>,
    /// When it was created, where the database says so.
    pub created_at: Option<Timestamp>,
}

impl DomainEntry {
    /// Whether mail for it is taken.
    pub const fn is_active(&self) -> bool {
        matches!(self.standing, Standing::Enabled) && self.archived_at.is_none()
    }
}

/// A user with a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// Number of its domain.
    pub domain_id: i64,
    /// Its address in the directory's form: everything in lower case. Determines the mailbox's directory.
    pub address: Address,
    /// The password's hash with its scheme, such as `{BLF-CRYPT}$2b$…`.
    pub password: Secret<String>,
    /// Its quota; `None` for no limit (stored as NULL or 0). Stored in whole mebibytes.
    pub quota: Option<ByteSize>,
    /// Whether it may log in.
    pub standing: Standing,
    /// The display name.
    pub display_name: Option<String>,
    /// The authority over it.
    pub owner: Owner,
    /// When it was removed; its rows and mail are kept, it cannot log in and gets no mail.
    pub archived_at: Option<Timestamp>,
    /// Who set the password, as far as known.
    pub password_owner: Option<PasswordOwner>,
    /// When the password was set, as far as known.
    pub password_changed_at: Option<Timestamp>,
    /// A fingerprint of the last declared password, so that a declaration is applied once.
    pub declared_password: Option<String>,
    /// When it was created, where the database says so.
    pub created_at: Option<Timestamp>,
    /// Since when a password login needs a second factor; `None` when it does not.
    pub two_factor_since: Option<Timestamp>,
}

impl Account {
    /// The content of the password column for a user who has none yet: a scheme with a hash that nothing matches.
    pub const NO_PASSWORD: &'static str = "{BLF-CRYPT}!";

    /// Whether it may log in.
    pub const fn may_log_in(&self) -> bool {
        matches!(self.standing, Standing::Enabled) && self.archived_at.is_none()
    }

    /// Whether a password has been set.
    pub fn has_password(&self) -> bool {
        let stored = self.password.expose().as_str();
        // Other programs may leave a scheme without a hash.
        let hash = stored.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or(stored, |(_, hash)| hash);
        !hash.trim_end().is_empty() && stored != Self::NO_PASSWORD
    }
}

/// The addresses an alias matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// One address.
    Address(Address),
    /// Every address of a domain that is neither a user nor an alias (`@domain`).
    CatchAll(Domain),
}

impl Source {
    /// From a row, where names have no quotes. User input is validated by `FromStr`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('@') {
            Some(domain) => domain.parse().ok().map(Self::CatchAll),
            None => from_key(text).map(Self::Address),
        }
    }

    /// The form under which the directory stores it.
    pub fn key(&self) -> String {
        match self {
            Self::Address(address) => address.key(),
            Self::CatchAll(domain) => format!("@{}", domain.as_str()),
        }
    }

    /// Its domain.
    pub const fn domain(&self) -> &Domain {
        match self {
            Self::Address(address) => address.domain(),
            Self::CatchAll(domain) => domain,
        }
    }
}

impl FromStr for Source {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        match text.strip_prefix('@') {
            Some(domain) => Ok(Self::CatchAll(domain.parse()?)),
            None => text.parse().map(Self::Address),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::CatchAll(domain) => write!(f, "@{domain}"),
        }
    }
}

/// One row of an alias: an alias with three destinations is three of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasEntry {
    /// Its number.
    pub id: i64,
    /// What it matches, in the directory's form.
    pub source: String,
    /// Where it leads: an address here or elsewhere, `@domain` (the same name in another domain), or, in databases
    /// kept by others, several of these with commas.
    pub destination: String,
    /// Whether it is in use.
    pub standing: Standing,
    /// The authority over it.
    pub owner: Owner,
}

/// A mailbox's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Octets of all messages.
    pub bytes: u64,
    /// Number of messages; 0 when the row was written by another program, which does not count them.
    pub messages: u64,
}

/// The destinations in one row: Postfix allows several, separated by commas. A comma within quotes is part of a name.
pub fn listed(row: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    row.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|text| !text.is_empty())
}

/// The address a key stands for. Keys have no quotes, so a local part such as `a b` needs them restored.
pub(super) fn from_key(key: &str) -> Option<Address> {
    let key = key.trim();
    if let Ok(address) = key.parse() {
        return Some(address);
    }
    let (local, domain) = key.rsplit_once('@')?;
    let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"@{domain}").parse().ok()
}

/// The key of a row's address; `None` when it is not an address.
pub(super) fn key_of(stored: &str) -> Option<String> {
    Source::parse(stored).map(|source| source.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_back_to_addresses() {
        for (stored, key) in [
            ("Ann@Example.TEST", Some("ann@example.test")),
            ("a b@example.test", Some("a b@example.test")),
            ("a@b@example.test", Some("a@b@example.test")),
            ("\"quo\\\"te\"@example.test", Some("quo\"te@example.test")),
            ("@Example.test", Some("@example.test")),
            (" ann@example.test ", Some("ann@example.test")),
            ("ann", None),
            ("", None),
            ("@", None),
            ("a\nb@example.test", None),
        ] {
            assert_eq!(key_of(stored).as_deref(), key, "{stored}");
            if let Some(key) = key {
                assert_eq!(key_of(key).as_deref(), Some(key), "{stored}");
            }
        }
    }

    #[test]
    fn rows_may_list_several() {
        for (row, want) in [
            ("a@x.test", vec!["a@x.test"]),
            ("a@x.test, b@x.test,c@x.test", vec!["a@x.test", "b@x.test", "c@x.test"]),
            (" , a@x.test,,", vec!["a@x.test"]),
            ("\"a,b\"@x.test, c@x.test", vec!["\"a,b\"@x.test", "c@x.test"]),
        ] {
            assert_eq!(listed(row).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn what_is_typed_is_one_address() {
        for (text, want) in [
            ("Ann@Example.TEST", Some("Ann@example.test")),
            ("\"a,b\"@x.test", Some("\"a,b\"@x.test")),
            ("@Example.test", Some("@example.test")),
            ("a@x.test,b@x.test", None),
            ("a@x.test b@x.test", None),
            ("a b@x.test", None),
            ("@", None),
        ] {
            assert_eq!(text.parse::<Source>().ok().map(|source| source.to_string()).as_deref(), want, "{text}");
        }
    }
}
