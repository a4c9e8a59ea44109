//! Deleting all of a user's mail.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::Error;
use super::deposit::hidden_name;
use super::mailboxes::Mailboxes;
use super::user::directory_of;
use crate::foundations::address::Address;
use crate::foundations::files::sync_directory;
use crate::storage::cluster::Place;

impl Mailboxes {
    /// Deletes a user's directory: mail, scripts, subscriptions, and the remains of an interrupted import. Sessions
    /// end, and operations in progress fail. Anyone who opens the user afterwards gets an empty mailbox, so the account
    /// must be out of use before. An interrupted removal is completed by calling this again.
    ///
    /// # Errors
    /// Another node has the user, or the disk fails; then some of the mail is gone.
    pub async fn discard(&self, account: &Address) -> Result<(), Error> {
        let key = account.key();
        let _turn = self.inner.turns.wait(&key).await;
        if let Some(membership) = &self.inner.membership
            && let Place::There(other) = membership.take(&key).await?
        {
            return Err(Error::Elsewhere(other.node));
        }
        let user = self.inner.users.lock().remove(&key);
        let (inner, account) = (Arc::clone(&self.inner), account.clone());
        let deleted = self.inner.environment.job(move || {
            let path = directory_of(&inner.root, &account)?;
            if let Some(user) = user {
                user.settle();
            }
            delete(&hidden_name(&path)).and_then(|()| delete(&path))
        });
        deleted.await?;
        if let Some(membership) = &self.inner.membership
            && let Some(term) = membership.term()
        {
            membership.give_back(&key, &term).await?;
        }
        Ok(())
    }
}

fn delete(path: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| Error::io(format!("cannot delete `{}`", path.display()), error);
    // Where the directory lies on another disk, behind a link, removing only the link would leave the mail there.
    let behind = match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?,
    };
    fs::remove_dir_all(behind).map_err(failed)?;
    if path.is_symlink() {
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(path.parent().map_or(Ok(()), sync_directory)?)
}
