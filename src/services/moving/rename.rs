//! Another address for a user, with all that belongs to it.

use crate::foundations::failure::Kind;
use crate::storage::directory::{self, Directory, Renaming};
use crate::storage::mailbox::{self, Mailboxes};

/// Why a user was not renamed.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// The directory refused or failed.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The mail could not be given the address.
    #[error(transparent)]
    Mailbox(#[from] mailbox::Error),
}

impl RenameError {
    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Directory(error) => error.kind(),
            Self::Mailbox(error) => error.kind(),
        }
    }
}

/// Gives a user another address: in the directory, in one transaction, and then the mail, whose sessions end. For the process
/// that owns the mailboxes.
///
/// # Errors
/// Nothing has changed, or only the mail's directory could not be renamed: that is tried again when the mail is opened next.
pub async fn rename(directory: &Directory, mailboxes: &Mailboxes, renaming: &Renaming<'_>) -> Result<(), RenameError> {
    let mut edit = directory.edit().await?;
    edit.rename_user(renaming).await?;
    let mail = mailboxes.begin_rename(renaming.from, renaming.to).await?;
    edit.commit().await?;
    Ok(mail.finish().await?)
}
