//! Users' Sieve scripts, as Dovecot's Pigeonhole keeps them: `<home>/sieve/NAME.sieve`, and `<home>/.dovecot.sieve` as a
//! symbolic link to the active one, where the home is the user's directory below the mail root. A name that is too long for a file
//! name is `NA/ME.sieve`.
//!
//! Promises: when a change returns, it is on disk with its directory entries; a crash leaves either the state before or
//! the one after; names lead to no file outside `sieve/`. Changes of one user exclude each other, even between
//! processes (a lock on `sieve/`), so that the command line works beside the running server. A plain file in place of
//! the link, as people create it by hand, counts as the active script too; before another one becomes active it is kept
//! as `dovecot.orig`.
//!
//! The content of scripts does not matter here. Called by delivery, ManageSieve, the command line and import.
//! Everything blocks, except [`Scripts::job`], for async callers. Failures are returned, nothing is logged.

mod error;
mod home;
mod memory;
mod name;
mod settings;
mod stamp;

pub use error::Error;
pub use home::{Active, Entry, Home, Old};
pub use memory::{Known, Memory};
pub use name::{InvalidName, ScriptName, script_files};
pub use settings::ScriptSettings;
pub use stamp::Stamp;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::foundations::address::Address;
use crate::foundations::settings::Live;
use crate::storage::mailbox;

/// All users' scripts below one mail root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scripts {
    root: Arc<Path>,
    settings: Live<ScriptSettings>,
}

impl Scripts {
    /// The scripts below a mail root.
    pub fn new(mail_root: impl Into<PathBuf>, settings: Live<ScriptSettings>) -> Self {
        Self { root: mail_root.into().into(), settings }
    }

    /// One user's scripts. Whether the account exists is for the directory to know.
    ///
    /// # Errors
    /// The address cannot be the name of a directory.
    pub fn home(&self, account: &Address) -> Result<Home, Error> {
        let home = mailbox::home_of(&self.root, account).map_err(|_| Error::BadUser(account.to_string()))?;
        Ok(Home::new(home, Arc::clone(&self.root), self.settings.get()))
    }

    /// Runs work on one user's scripts on a blocking thread.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn job<T: Send + 'static>(
        &self,
        account: &Address,
        work: impl FnOnce(&Home) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let home = self.home(account)?;
        tokio::task::spawn_blocking(move || work(&home)).await.unwrap_or(Err(Error::Closing))
    }
}
