//! What a declaration changes, in words and as data.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use crate::foundations::settings::ByteSize;

/// One step from what is to what is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it, and `words` says it in a sentence")]
pub enum Change {
    AddDomain { domain: String },
    RestoreDomain { domain: String },
    TakeDomain { domain: String },
    EnableDomain { domain: String },
    DisableDomain { domain: String },
    AddUser { address: String, quota: Option<String>, display_name: Option<String>, password: Password },
    RestoreUser { address: String },
    TakeUser { address: String },
    EnableUser { address: String },
    DisableUser { address: String },
    SetQuota { address: String, from: Option<String>, to: Option<String> },
    SetDisplayName { address: String, from: Option<String>, to: String },
    SetPassword { address: String },
    KeepPassword { address: String },
    AddAlias { source: String, destination: String },
    TakeAlias { source: String, destination: String, id: i64 },
    EnableAlias { source: String, destination: String },
    RemoveAlias { source: String, destination: String },
    ArchiveUser { address: String },
    ReleaseDomain { domain: String },
    ArchiveDomain { domain: String },
}

/// Whether a new user comes with a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// The declared one.
    Declared,
    /// None yet: the user cannot log in until one is set.
    None,
}

fn quota(text: Option<&String>) -> String {
    text.map_or_else(|| "no limit".to_owned(), Clone::clone)
}

pub(super) fn quota_text(size: Option<ByteSize>) -> Option<String> {
    size.map(|size| size.to_string())
}

impl Change {
    /// The address, alias or domain it is about.
    pub fn subject(&self) -> &str {
        match self {
            Self::AddDomain { domain }
            | Self::RestoreDomain { domain }
            | Self::TakeDomain { domain }
            | Self::EnableDomain { domain }
            | Self::DisableDomain { domain }
            | Self::ReleaseDomain { domain }
            | Self::ArchiveDomain { domain } => domain,
            Self::AddUser { address, .. }
            | Self::RestoreUser { address }
            | Self::TakeUser { address }
            | Self::EnableUser { address }
            | Self::DisableUser { address }
            | Self::SetQuota { address, .. }
            | Self::SetDisplayName { address, .. }
            | Self::SetPassword { address }
            | Self::KeepPassword { address }
            | Self::ArchiveUser { address } => address,
            Self::AddAlias { source, .. }
            | Self::TakeAlias { source, .. }
            | Self::EnableAlias { source, .. }
            | Self::RemoveAlias { source, .. } => source,
        }
    }

    /// `+` for what is new, `-` for what goes, `~` for what changes.
    pub const fn sign(&self) -> char {
        match self {
            Self::AddDomain { .. }
            | Self::RestoreDomain { .. }
            | Self::AddUser { .. }
            | Self::RestoreUser { .. }
            | Self::AddAlias { .. } => '+',
            Self::RemoveAlias { .. } | Self::ArchiveUser { .. } | Self::ArchiveDomain { .. } => '-',
            _ => '~',
        }
    }

    /// What happens, as a sentence without its end.
    pub fn words(&self) -> String {
        match self {
            Self::AddDomain { domain } => format!("domain {domain} is added"),
            Self::RestoreDomain { domain } => format!("domain {domain} comes back from the archive"),
            Self::TakeDomain { domain } => format!("domain {domain}, made by hand, is declared from now on"),
            Self::EnableDomain { domain } => format!("domain {domain} is enabled"),
            Self::DisableDomain { domain } => format!("domain {domain} is disabled: its mail is refused"),
            Self::AddUser { address, quota: size, password, .. } => {
                let password = match password {
                    Password::Declared => "with the declared password",
                    Password::None => "without a password: no login until one is set",
                };
                format!("user {address} is added ({}), {password}", quota(size.as_ref()))
            }
            Self::RestoreUser { address } => format!("user {address} comes back from the archive, with all mail"),
            Self::TakeUser { address } => format!("user {address}, made by hand, is declared from now on"),
            Self::EnableUser { address } => format!("user {address} may log in again"),
            Self::DisableUser { address } => format!("user {address} may no longer log in"),
            Self::SetQuota { address, from, to } => {
                format!("quota of {address}: {} instead of {}", quota(to.as_ref()), quota(from.as_ref()))
            }
            Self::SetDisplayName { address, to, .. } => format!("name of {address}: {to}"),
            Self::SetPassword { address } => format!("password of {address}: the declared one, which is new"),
            Self::KeepPassword { address } => format!("password of {address}: the user's own stays"),
            Self::AddAlias { source, destination } => format!("alias {source} leads to {destination}"),
            Self::TakeAlias { source, destination, .. } => {
                format!("alias {source} to {destination}, made by hand, is declared from now on")
            }
            Self::EnableAlias { source, .. } => format!("alias {source} is enabled"),
            Self::RemoveAlias { source, destination } => format!("alias {source} no longer leads to {destination}"),
            Self::ArchiveUser { address } => {
                format!("user {address} is disabled and archived; mail is kept, new mail is refused")
            }
            Self::ReleaseDomain { domain } => {
                format!("domain {domain} is no longer declared, but has users or aliases made by hand: it stays")
            }
            Self::ArchiveDomain { domain } => format!("domain {domain} is archived: its mail is no longer ours"),
        }
    }
}

/// All the steps, in the order in which they are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub changes: Vec<Change>,
    /// What is not wrong but probably not meant.
    pub warnings: Vec<String>,
}

impl Plan {
    /// For each step, whether somebody may lose something by it: mail that is no longer taken, a login, an alias. Nobody
    /// loses what the plan itself brings.
    fn destructive(&self) -> Vec<bool> {
        let mut brought = HashSet::new();
        let each = self.changes.iter().map(|change| match change {
            Change::AddDomain { domain: name }
            | Change::RestoreDomain { domain: name }
            | Change::AddUser { address: name, .. }
            | Change::RestoreUser { address: name } => {
                brought.insert(name);
                false
            }
            Change::DisableDomain { domain: name } | Change::DisableUser { address: name } => !brought.contains(name),
            Change::RemoveAlias { .. } | Change::ArchiveUser { .. } | Change::ArchiveDomain { .. } => true,
            _ => false,
        });
        each.collect()
    }
}

impl fmt::Display for Plan {
    /// One line for each step and warning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            writeln!(f, "Everything is as declared.")?;
        }
        for change in &self.changes {
            writeln!(f, "{} {}", change.sign(), change.words())?;
        }
        for warning in &self.warnings {
            writeln!(f, "! {warning}")?;
        }
        Ok(())
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        #[derive(Serialize)]
        struct Step<'a> {
            #[serde(flatten)]
            change: &'a Change,
            destructive: bool,
            words: String,
        }
        let each = self.destructive();
        let step = |(change, &destructive): (_, &bool)| Step { change, destructive, words: Change::words(change) };
        let mut plan = serializer.serialize_struct("Plan", 3)?;
        plan.serialize_field("destructive", &each.contains(&true))?;
        plan.serialize_field("changes", &self.changes.iter().zip(&each).map(step).collect::<Vec<_>>())?;
        plan.serialize_field("warnings", &self.warnings)?;
        plan.end()
    }
}
