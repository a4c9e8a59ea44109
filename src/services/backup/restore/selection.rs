use std::fmt;

use crate::foundations::address::{Address, Domain};
use crate::services::backup::repository::UserEntry;
use crate::storage::mailbox::FolderName;

/// What to restore: everybody's mail, except what one of these filters excludes.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only users of this domain.
    pub domain: Option<Domain>,
    /// Only this user.
    pub user: Option<Address>,
    /// Only this folder.
    pub folder: Option<FolderName>,
    /// Only messages with this Message-ID, without angle brackets.
    pub message_id: Option<String>,
}

impl Selection {
    /// Whether nothing is excluded.
    pub const fn is_everything(&self) -> bool {
        self.domain.is_none() && self.user.is_none() && self.folder.is_none() && self.message_id.is_none()
    }

    /// Whether users are restored with everything they have.
    pub const fn whole_users(&self) -> bool {
        self.folder.is_none() && self.message_id.is_none()
    }

    /// Whether something of this user may be selected.
    pub fn takes(&self, user: &UserEntry) -> bool {
        // Directories have the names of keys: lower case.
        let domain = self.domain.as_ref().is_none_or(|domain| user.domain.eq_ignore_ascii_case(domain.as_str()));
        domain && self.user.as_ref().is_none_or(|wanted| wanted.key() == user.address())
    }

    /// Whether something of this account may be selected.
    pub fn takes_account(&self, account: &Address) -> bool {
        let domain = self.domain.as_ref().is_none_or(|domain| account.domain() == domain);
        domain && self.user.as_ref().is_none_or(|wanted| wanted.key() == account.key())
    }

    /// Whether a folder with this directory is selected.
    pub fn takes_folder(&self, directory: &str) -> bool {
        let Some(wanted) = &self.folder else { return true };
        let name = if directory.is_empty() { Some(FolderName::inbox()) } else { FolderName::from_directory(directory) };
        name.as_ref() == Some(wanted)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.message_id, &self.folder) {
            (Some(id), _) => write!(f, "message <{id}>")?,
            (None, Some(folder)) => write!(f, "folder `{folder}`")?,
            (None, None) => f.write_str("mail")?,
        }
        if let Some(user) = &self.user {
            write!(f, " of {user}")?;
        }
        if let Some(domain) = &self.domain {
            write!(f, " of the domain {domain}")?;
        }
        Ok(())
    }
}
