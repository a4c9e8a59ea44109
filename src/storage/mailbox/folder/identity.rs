//! UIDVALIDITY and identifier of a folder: read, taken over or created.

use std::io;

use rustix::fs::AtFlags;

use crate::foundations::mail::{MailboxId, UidValidity};
use crate::storage::mailbox::maildir::directory::Directories;
use crate::storage::mailbox::maildir::filename::{FileName, Place};
use crate::storage::mailbox::maildir::uid_file::{Takeover, UidFile};
use crate::storage::mailbox::maildir::uidlist::UidList;
use crate::storage::mailbox::{index, summaries};

/// A folder's UIDVALIDITY and bound: its own, Dovecot's (with UIDs from its list still to be written into names), or
/// new. On disk before anybody can learn it.
pub fn identity(
    directories: &Directories,
    fresh_validity: impl FnOnce() -> UidValidity,
    fresh_id: impl Fn() -> MailboxId,
) -> io::Result<(UidFile, Option<UidList>)> {
    let own = UidFile::read(directories.root())?.map(|own| identified(directories, own, &fresh_id));
    if let Some(own) = own.filter(|own| own.takeover == Takeover::Done)
        && !has_gone_on(directories, &own)
    {
        return Ok((own, None));
    }
    let list = UidList::read(directories.root())?;
    let file = match (own, &list) {
        (Some(own), Some(list)) if own.validity == list.validity => {
            UidFile { bound: own.bound.max(list.next), takeover: Takeover::Running, ..own }
        }
        (Some(own), _) => own,
        // A list that remained after a takeover lacks the UIDs given out since, whose messages may be gone by now.
        (None, Some(list)) if !was_ours(directories, list)? => {
            let id = Some(fresh_id());
            UidFile { validity: list.validity, bound: list.next, floor: None, takeover: Takeover::Running, id }
        }
        (None, list) => {
            let fresh = fresh_validity();
            let validity = list.as_ref().map_or(fresh, |list| fresh.max(list.validity.saturating_add(1)));
            UidFile::first(validity, fresh_id())
        }
    };
    if own.is_none() {
        // UIDs from an index of an earlier identity no longer hold.
        index::remove(directories.root());
        file.write(directories.own_root()?)?;
    }
    Ok((file, list.filter(|list| list.validity == file.validity)))
}

/// Whether Dovecot has given out UIDs since the takeover: somebody went back to it, and has returned.
fn has_gone_on(directories: &Directories, own: &UidFile) -> bool {
    let listed = UidList::numbers(directories.root()).unwrap_or_else(|error| {
        log::warn!(error:% = error; "A folder's `dovecot-uidlist` cannot be read; if Dovecot has used the folder lately, its UIDs do not count");
        None
    });
    listed.is_some_and(|(validity, next)| validity == own.validity && next > own.bound)
}

/// Whether a folder without a file of ours was once ours nevertheless, and has lost the file. Other programs write UIDs
/// into names, too, but a name of ours newer than the list proves it.
fn was_ours(directories: &Directories, list: &UidList) -> io::Result<bool> {
    let is_there = |name: &str| rustix::fs::statat(directories.root(), name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if is_there(index::NAME) || is_there(summaries::NAME) {
        return Ok(true);
    }
    let mut numbered = false;
    for place in [Place::New, Place::Cur] {
        directories.list(place, |name| {
            let ours = |name: FileName<'_>| name.uid.is_some() && !list.uids.contains_key(name.base);
            numbered |= FileName::parse(name, place).is_some_and(ours);
        })?;
    }
    Ok(numbered)
}

/// Gives an identifier to a folder made before identifiers existed. It is on disk before anybody can learn it; if that
/// is impossible, nobody gets one.
fn identified(directories: &Directories, own: UidFile, fresh_id: &impl Fn() -> MailboxId) -> UidFile {
    if own.id.is_some() {
        return own;
    }
    let file = UidFile { id: Some(fresh_id()), ..own };
    match directories.own_root().and_then(|root| file.write(root)) {
        Ok(()) => file,
        Err(error) => {
            log::warn!(error:% = error; "A folder's identifier could not be written; it has none for now");
            own
        }
    }
}
