//! UIDVALIDITY and identifier of a folder: found, taken over or made.

use crate::foundations::mail::MailboxId;
use crate::storage::mailbox::index;
use crate::storage::mailbox::maildir::directory::Directories;
use crate::storage::mailbox::maildir::uid_file::{Takeover, UidFile};
use crate::storage::mailbox::maildir::uidlist::UidList;

/// A folder's UIDVALIDITY and bound: its own, Dovecot's with the list of UIDs still to be written into names, or new.
/// It is on disk before anybody can learn it.
pub fn identity(
    directories: &Directories,
    fresh_validity: impl FnOnce() -> u32,
    fresh_id: impl Fn() -> MailboxId,
) -> std::io::Result<(UidFile, Option<UidList>)> {
    let own = UidFile::read(directories.root())?.map(|own| identified(directories, own, &fresh_id));
    if let Some(own) = own.filter(|own| own.takeover == Takeover::Done) {
        return Ok((own, None));
    }
    let list = UidList::read(directories.root())?;
    let file = match (&own, &list) {
        (Some(own), _) => *own,
        (None, Some(list)) => {
            let id = Some(fresh_id());
            UidFile { validity: list.validity, bound: list.next, floor: 0, takeover: Takeover::Running, id }
        }
        (None, None) => UidFile::first(fresh_validity(), fresh_id()),
    };
    if own.is_none() {
        // What an index of an earlier life says about UIDs no longer holds.
        index::remove(directories.root());
        file.write(directories.own_root()?)?;
    }
    Ok((file, list.filter(|list| list.validity == file.validity)))
}

/// Gives a folder an identifier that was made before there were any. It is on disk before anybody can learn it; where that
/// is not possible, nobody learns one.
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
