//! Names of files as Dovecot understands them, for the way back.

use std::io::ErrorKind;
use std::sync::Arc;

use super::append::NoRoom;
use super::commit::Touched;
use super::folder::Folder;
use super::maildir::directory::Directories;
use super::maildir::filename::{Place, write_suffix};
use super::snapshot::{Record, base};
use super::{Error, Flags, Keyword};
use crate::foundations::mail::Uid;

impl Folder {
    /// Renames messages that have the flag `P`: to Dovecot `$Forwarded` is a keyword, with a letter of the folder's table, and it shows
    /// nobody the flag. [`Folder::refresh`] reads both.
    pub fn spell_forwarded(self: &Arc<Self>, directories: &Directories) -> Result<(), Error> {
        let has_flag =
            |record: &Record| record.place == Place::Cur && record.regular && record.flags.contains(Flags::FORWARDED);
        let Ok(keyword) = Keyword::parse("$Forwarded") else { return Ok(()) };
        if !self.current().iter().any(|(record, _)| has_flag(record)) {
            return Ok(());
        }
        let letter = self.learn(directories, &[keyword], NoRoom::LeaveOut)?;
        if letter.is_empty() {
            log::warn!(folder:% = self.name;
                "Dovecot will not see which messages of {} were forwarded: the folder has no room for another keyword", self.name);
            return Ok(());
        }
        let mut state = self.lock();
        let mut snapshot = (*self.current()).clone();
        let renamed = |(record, stored): (&Record, &[u8])| {
            let mut name = base(stored).to_vec();
            write_suffix(Place::Cur, record.flags & !Flags::FORWARDED, record.keywords.with(letter), &mut name);
            (record.uid, record.file_name(stored), name)
        };
        let all: Vec<(Uid, Vec<u8>, Vec<u8>)> =
            snapshot.iter().filter(|(record, _)| has_flag(record)).map(renamed).collect();
        state.before_change(directories);
        for (uid, old, new) in all {
            match directories.rename((Place::Cur, &old), (Place::Cur, &new)) {
                Ok(()) => {
                    snapshot.update(uid, Some(&new), |record| record.regular = false);
                    state.delta.changed.push(uid);
                }
                // Another program was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => state.stale = true,
                Err(error) => {
                    state.stale = true;
                    return Err(self.failed("rename a message")(error));
                }
            }
        }
        state.after_change(directories, Touched { cur: true, new: false });
        self.publish(snapshot);
        directories.sync(Place::Cur).map_err(self.failed("sync the directory"))
    }
}
