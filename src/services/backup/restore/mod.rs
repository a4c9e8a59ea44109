//! Restoring, into a directory or into a running server. Nothing is overwritten.

mod accounts;
mod calendars;
mod files;
mod folder;
mod other_files;
mod saved_rows;
mod selection;
mod user;
mod write;

pub use accounts::{AccountRestored, missing_accounts, restore_missing_accounts, saved_accounts};
pub use calendars::restore_missing_calendars;
pub use files::{QueueFate, restore_database, restore_files};
pub use selection::Selection;

pub(super) use folder::read_keywords;
pub(super) use user::keywords;

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::repository::{Repository, Snapshot, UserEntry};
use super::{Error, Progress};
use crate::foundations::files::{Owner, sync_file_system};
use user::Restoring;

/// What was restored, and what existed already.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// Messages that were written.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that existed already and stayed as they are.
    pub present: u64,
    /// Other files that were written.
    pub files: u64,
    /// Files that exist with different content: the backup's versions are beside them, under these paths.
    pub kept_beside: Vec<String>,
    /// Files in the place of a user, a folder or a part of one: what belongs there was not restored.
    pub in_the_way: BTreeSet<String>,
    /// Keywords that an existing folder does not know, and that its restored messages therefore lack.
    pub keywords_dropped: u64,
    /// Messages and files that the backup has lost: everything around them was restored.
    pub lost: u64,
    /// Why, once for each cause, up to a limit.
    pub damage: BTreeSet<String>,
}

/// Most causes of a loss that are reported.
const MOST_DAMAGE: usize = 20;

impl Restored {
    /// So many messages or files can no longer be read from the backup. If the storage just did not answer, they are not lost:
    /// continuing without them would create a folder that lacks them.
    fn lost(count: u64, because: Error) -> Result<Self, Error> {
        if because.is_out_of_reach() {
            return Err(because);
        }
        Ok(Self { lost: count, damage: BTreeSet::from([because.to_string()]), ..Self::default() })
    }

    /// What belongs at this path cannot be restored because something else is there.
    fn refused(path: &Path) -> Self {
        Self { in_the_way: BTreeSet::from([path.display().to_string()]), ..Self::default() }
    }

    /// Whether everything selected was restored.
    fn is_complete(&self) -> bool {
        self.lost == 0 && self.in_the_way.is_empty()
    }

    fn and(mut self, other: Self) -> Self {
        self.messages += other.messages;
        self.octets += other.octets;
        self.present += other.present;
        self.files += other.files;
        self.keywords_dropped += other.keywords_dropped;
        self.kept_beside.extend(other.kept_beside);
        self.in_the_way.extend(other.in_the_way);
        self.lost += other.lost;
        self.damage.extend(other.damage);
        while self.damage.len() > MOST_DAMAGE {
            self.damage.pop_last();
        }
        self
    }
}

/// Restores mail to a mail root: that of a running server, or an empty directory. When it returns, everything is on disk.
///
/// A missing user or folder appears all at once, with its UIDVALIDITY and UIDs. Messages missing in an existing
/// folder are added as new ones, with new UIDs, as another mail program would: the server assigns no UID
/// twice. The next run continues an interrupted one.
///
/// Damage in the backup is no error: what is intact is restored, and what is lost is counted.
///
/// # Errors
/// Nothing in the backup is selected, the disk fails, the storage no longer answers, or `progress` was told to stop.
pub fn restore_mail(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    mail_root: &Path,
    progress: &Progress,
) -> Result<Restored, Error> {
    let users: Vec<&UserEntry> = snapshot.users.iter().filter(|user| selection.takes(user)).collect();
    let absent = || Error::NotInBackup { snapshot: snapshot.id.to_string(), what: selection.to_string() };
    if users.is_empty() && !selection.is_everything() {
        return Err(absent());
    }
    crate::foundations::files::create_directory(mail_root, 0o700)?;
    let restoring = Restoring {
        repository,
        selection,
        mail_root,
        owner: Owner::of(mail_root)?,
        progress,
        mark: snapshot.id.to_string(),
    };
    let restored = repository.with_threads(|| {
        let users = users.into_par_iter().map(|user| restoring.user(user));
        users.try_reduce(Restored::default, |a, b| Ok(a.and(b)))
    })?;
    sync_file_system(mail_root)?;
    let nothing = restored.messages + restored.present == 0 && restored.is_complete();
    if nothing && (selection.message_id.is_some() || selection.folder.is_some()) && !restoring.has_folder(snapshot)? {
        return Err(absent());
    }
    Ok(restored)
}
