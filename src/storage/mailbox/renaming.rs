//! Moving a user's mail to another address.
//!
//! The directory decides under which address a user is known, and the mail follows: [`Mailboxes::begin_rename`] records
//! the intention, the caller commits the new address, and [`Renaming::finish`] renames the mail directory. Users are
//! only opened by addresses that the directory knows, so the next opening repairs an interruption: if the user is
//! opened by the new address, the mail directory is renamed then; if by the old one, nothing was committed and the
//! notes are void.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::Error;
use super::mailboxes::Mailboxes;
use super::user::directory_of;
use crate::foundations::address::Address;
use crate::foundations::clock::Uptime;
use crate::foundations::files::{Owner, is_directory, read_bounded, rename_durable, sync_directory};

/// A user's mail that is about to get another address. Nobody can open it meanwhile.
pub struct Renaming<'a> {
    mailboxes: &'a Mailboxes,
    from: Address,
    to: Address,
    _turns: Vec<OwnedMutexGuard<()>>,
}

/// Stored in the old mail directory: the new address.
const BECOMES: &str = "postrider-becomes";
/// Prefix before the local part, beside the new mail directory; the file holds the old address.
const WAS: &str = ".was-";
/// Longest address in a note.
const LONGEST: u64 = 4096;
/// How long nobody is opened by the old address: cached look-ups must have expired.
const GONE_FOR: Duration = Duration::from_secs(60);

impl Mailboxes {
    /// Ends a user's sessions and records that its mail is to move to another address.
    ///
    /// # Errors
    /// There is mail under the new address, or the disk fails: then nothing has changed. Fails also in a cluster, since
    /// other nodes may remember the old address.
    pub async fn begin_rename(&self, from: &Address, to: &Address) -> Result<Renaming<'_>, Error> {
        if self.inner.membership.is_some() {
            return Err(Error::SeveralNodes);
        }
        let keys = [from.key(), to.key()];
        let turns = self.inner.turns.wait_for_both(&keys[0], &keys[1]).await;
        let users: Vec<_> = {
            let mut users = self.inner.users.lock();
            keys.iter().filter_map(|key| users.remove(key)).collect()
        };
        let (inner, places) = (Arc::clone(&self.inner), (from.clone(), to.clone()));
        let noted = self.inner.environment.job(move || {
            users.iter().for_each(|user| user.settle());
            note(&inner.root, &places.0, &places.1)
        });
        noted.await?;
        Ok(Renaming { mailboxes: self, from: from.clone(), to: to.clone(), _turns: turns })
    }
}

impl Renaming<'_> {
    /// The directory has the new address: now the mail gets it, too.
    ///
    /// # Errors
    /// The disk fails; the next opening by the new address tries again.
    pub async fn finish(self) -> Result<(), Error> {
        let inner = &self.mailboxes.inner;
        {
            let mut gone = inner.gone.lock();
            gone.remove(&self.to.key());
            gone.insert(self.from.key(), Uptime::now() + GONE_FOR);
        }
        let (root, from, to) = (inner.root.clone(), self.from.clone(), self.to.clone());
        let moved = inner.environment.job(move || move_over(&directory_of(&root, &from)?, &directory_of(&root, &to)?));
        moved.await
    }
}

/// Where the note of a new address lies.
fn note_beside(path: &Path) -> PathBuf {
    let mut name = OsStr::new(WAS).to_owned();
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn note(root: &Path, from: &Address, to: &Address) -> Result<(), Error> {
    let (old, new) = (directory_of(root, from)?, directory_of(root, to)?);
    if new.symlink_metadata().is_ok() {
        return Err(Error::MailThere(new));
    }
    if !is_directory(&old)? {
        return Ok(());
    }
    let owner = Owner::of(root)?;
    if let Some(domain) = new.parent() {
        owner.make_directory(domain)?;
        sync_directory(root)?;
    }
    owner.write_durable(&note_beside(&new), from.to_string().as_bytes(), 0o600)?;
    Ok(owner.write_durable(&old.join(BECOMES), to.to_string().as_bytes(), 0o600)?)
}

fn move_over(old: &Path, new: &Path) -> Result<(), Error> {
    if is_directory(old)? {
        rename_durable(old, new)?;
    }
    take_away(&new.join(BECOMES))?;
    take_away(&note_beside(new))
}

/// Called before a user is opened: completes what an interrupted process has left, or drops it.
pub(super) fn make_up(root: &Path, address: &Address, path: &Path) -> Result<(), Error> {
    if is_directory(&path.join("cur"))? {
        return take_away(&path.join(BECOMES));
    }
    let Some(old) = read_note(&note_beside(path))? else { return Ok(()) };
    let old = directory_of(root, &old)?;
    if read_note(&old.join(BECOMES))?.is_some_and(|new| new.key() == address.key()) {
        return move_over(&old, path);
    }
    take_away(&note_beside(path))
}

/// The content of a note; `None` where there is none.
fn read_note(path: &Path) -> Result<Option<Address>, Error> {
    match read_bounded(path, LONGEST) {
        Ok(note) => Ok(String::from_utf8(note).ok().and_then(|note| note.parse().ok())),
        // A note that cannot be read now must not count as empty: the mail would stay behind.
        Err(error) if error.source.raw_os_error().is_some() && error.source.kind() != ErrorKind::NotFound => {
            Err(error.into())
        }
        Err(_) => Ok(None),
    }
}

fn take_away(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove `{}`", path.display()), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_died_is_made_up_for() {
        let root = tempfile::tempdir().unwrap();
        let [ann, anna]: [Address; 2] = ["ann@a.test", "anna@b.test"].map(|text| text.parse().unwrap());
        let [old, new] = [&ann, &anna].map(|address| directory_of(root.path(), address).unwrap());
        fs::create_dir_all(old.join("cur")).unwrap();
        fs::write(old.join("cur/1.M1.host"), "x").unwrap();

        // Nothing was committed: the old address is opened next, and the new one, should anybody ever get it, has no
        // mail.
        note(root.path(), &ann, &anna).unwrap();
        make_up(root.path(), &ann, &old).unwrap();
        make_up(root.path(), &anna, &new).unwrap();
        assert!(old.join("cur/1.M1.host").exists() && !new.exists());

        // It was committed: the new address is opened next.
        note(root.path(), &ann, &anna).unwrap();
        make_up(root.path(), &anna, &new).unwrap();
        assert!(new.join("cur/1.M1.host").exists() && !old.exists());
        for (directory, wanted) in [("b.test", vec!["anna"]), ("b.test/anna", vec!["cur"])] {
            let names = fs::read_dir(root.path().join(directory)).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.collect::<Vec<_>>(), wanted);
        }
        assert!(matches!(note(root.path(), &ann, &anna), Err(Error::MailThere(_))));
    }
}
