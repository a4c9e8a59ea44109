//! Changing a user's address, with everything that belongs to it.

use std::path::Path;

use crate::foundations::failure::Kind;
use crate::services::login::{SealError, reseal};
use crate::storage::directory::{self, Directory, Edit, Renaming};
use crate::storage::mailbox::{self, Mailboxes};

/// Why a user was not renamed.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// The directory refused or failed.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The mail could not be moved to the new address.
    #[error(transparent)]
    Mailbox(#[from] mailbox::Error),
    /// The secret of the second factor is encrypted for the old address, and cannot be re-encrypted for the new one.
    #[error(
        "two-factor login cannot be moved to the new address: {0}; `postrider user two-factor disable` turns it off"
    )]
    TwoFactor(#[from] SealError),
}

impl RenameError {
    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Directory(error) => error.kind(),
            Self::Mailbox(error) => error.kind(),
            Self::TwoFactor(error) => error.kind(),
        }
    }
}

/// Gives a user another address: first in the directory, in one transaction, then for the mail, whose sessions end. For the process
/// that owns the mailboxes. `key_file` is the file from the settings with the key that encrypts second factors.
///
/// # Errors
/// Nothing has changed, or only the mail's directory could not be renamed; that is tried again the next time the mail is opened.
pub async fn rename(
    directory: &Directory,
    mailboxes: &Mailboxes,
    renaming: &Renaming<'_>,
    key_file: Option<&Path>,
) -> Result<(), RenameError> {
    let mut edit = directory.edit().await?;
    take_second_factor_along(&mut edit, renaming, key_file).await?;
    edit.rename_user(renaming).await?;
    let mail = mailboxes.begin_rename(renaming.from, renaming.to).await?;
    edit.commit().await?;
    Ok(mail.finish().await?)
}

/// The secret of a second factor is encrypted for the address of its account.
async fn take_second_factor_along(
    edit: &mut Edit,
    renaming: &Renaming<'_>,
    key_file: Option<&Path>,
) -> Result<(), RenameError> {
    let Some(stored) = edit.two_factor_secret(renaming.from).await? else { return Ok(()) };
    let (from, to, key_file) = (renaming.from.clone(), renaming.to.clone(), key_file.map(Path::to_owned));
    let sealed = tokio::task::spawn_blocking(move || reseal(&stored, &from, &to, key_file.as_deref())).await;
    let sealed = sealed.unwrap_or(Err(SealError::Damaged))?;
    Ok(edit.store_two_factor_secret(renaming.from, &sealed).await?)
}
