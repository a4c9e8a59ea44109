//! Adopting files as messages of a folder.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Found;
use super::read_name;
use crate::foundations::mail::{ModSeq, Uid};
use crate::storage::mailbox::Error;
use crate::storage::mailbox::folder::{Folder, State};
use crate::storage::mailbox::maildir::directory::Directories;
use crate::storage::mailbox::maildir::filename::{self, FileName, Place};
use crate::storage::mailbox::snapshot::{Record, Snapshot};

/// Files being adopted as messages of the folder.
pub struct Adoption<'a> {
    pub folder: &'a Arc<Folder>,
    pub directories: &'a Directories,
    pub snapshot: Snapshot,
    pub mod_seq: ModSeq,
    pub renamed: bool,
    /// Remaining retries for files that the disk has refused.
    pub patience: u32,
    /// What files are read into, one after the other.
    pub buffer: Vec<u8>,
}

/// Whether a UID may now be in the name of a file, so that nothing else can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    Yes,
    No,
}

/// The initial number of retries, and the pause before each.
pub const PATIENCE: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);

impl Adoption<'_> {
    /// Takes a file with the UID its name has, or writes the UID it had before into its name.
    pub fn accept(&mut self, state: &mut State, found: Found<'_>, uid: Uid) -> Result<(), Error> {
        let Some(parsed) = read_name(found, &self.snapshot.keywords) else { return Ok(()) };
        state.next_uid = state.next_uid.max(uid.saturating_add(1));
        if parsed.uid != Some(uid) {
            self.adopt(state, found, uid)?;
            return Ok(());
        }
        let Some(record) = self.record(state, found, &parsed, uid)? else { return Ok(()) };
        let stored = if parsed.regular { parsed.base } else { found.name };
        self.push(state, record, stored);
        Ok(())
    }

    /// Gives a file a UID by renaming it.
    pub fn adopt(&mut self, state: &mut State, found: Found<'_>, uid: Uid) -> Result<Given, Error> {
        let Some(parsed) = read_name(found, &self.snapshot.keywords) else { return Ok(Given::No) };
        let Some(mut record) = self.record(state, found, &parsed, uid)? else { return Ok(Given::No) };
        record.regular = true;
        // Dovecot marks messages in `new/`, too (`doveadm flags`). With any flag they belong in `cur/`.
        if !(record.flags.is_empty() && record.keywords.is_empty()) {
            record.place = Place::Cur;
        }
        let fresh = || filename::fresh(&self.folder.environment.unique(), uid, record.size, record.virtual_size);
        let base = filename::adopted(parsed.base, uid, record.size, record.virtual_size).unwrap_or_else(fresh);
        let name = record.file_name(base.as_bytes());
        match self.directories.rename((found.place, found.name), (record.place, &name)) {
            Ok(()) => {
                self.renamed = true;
                self.push(state, record, base.as_bytes());
                Ok(Given::Yes)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                state.stale = true;
                // A network file system may say so of a rename that it has carried out.
                Ok(Given::Yes)
            }
            Err(error) => Err(self.folder.failed("give a UID to a message")(error)),
        }
    }

    fn push(&mut self, state: &mut State, record: Record, stored: &[u8]) {
        state.delta.changed.push(record.uid);
        self.snapshot.push(record, stored);
    }

    /// The needed facts about a file; `None` when it is gone again or no file.
    fn record(
        &mut self,
        state: &mut State,
        found: Found<'_>,
        parsed: &FileName<'_>,
        uid: Uid,
    ) -> Result<Option<Record>, Error> {
        let mut measured = measure(self.directories, found, parsed, &mut self.buffer);
        // Skipped now, it would later be another message with another UID: a momentary failure is worth a retry.
        while self.patience > 0 && measured.as_ref().is_err_and(|error| error.raw_os_error() == Some(FAILED)) {
            self.patience -= 1;
            std::thread::sleep(PAUSE);
            measured = measure(self.directories, found, parsed, &mut self.buffer);
        }
        let Measured { size, virtual_size, date } = match measured {
            Ok(Some(measured)) => measured,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                state.stale = true;
                return Ok(None);
            }
            Err(error) if is_about_one_file(&error) => {
                let (folder, file) = (&self.folder.name, String::from_utf8_lossy(found.name));
                log::error!(folder:% = folder, error:% = error;
                    "The file `{file}` in the folder {folder} cannot be read and is skipped; make it readable for the server, then run `postrider reindex`");
                state.passed_over = true;
                return Ok(None);
            }
            Err(error) => return Err(self.folder.failed("look at a message")(error)),
        };
        Ok(Some(Record {
            uid,
            mod_seq: self.mod_seq,
            size,
            virtual_size,
            date,
            keywords: parsed.keywords,
            flags: parsed.flags,
            place: found.place,
            regular: parsed.regular,
        }))
    }
}

/// Whether a file cannot be read though others can: one that another program has stored for itself, or one on a bad
/// part of the disk. It must not keep the others from being served.
fn is_about_one_file(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied || error.raw_os_error() == Some(FAILED)
}

/// The system's error codes for a failing disk.
const FAILED: i32 = rustix::io::Errno::IO.raw_os_error();

/// Octets of a file read at once.
const PIECE: usize = 64 << 10;

/// What a file itself says about a message.
struct Measured {
    size: u64,
    /// With CRLF line ends.
    virtual_size: u64,
    /// In seconds since 1970.
    date: i64,
}

/// `None` when the file is not a plain one.
fn measure(
    directories: &Directories,
    found: Found<'_>,
    parsed: &FileName<'_>,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Measured>> {
    let Some((size, date)) = directories.stat(found.place, found.name)? else { return Ok(None) };
    let virtual_size = match parsed.virtual_size {
        Some(virtual_size) if parsed.size == Some(size) && virtual_size >= size => virtual_size,
        _ => size + bare_line_feeds(directories.open_message(found.place, found.name)?, size, buffer)?,
    };
    Ok(Some(Measured { size, virtual_size, date: date.unix_seconds() }))
}

/// Number of lines that end without a CR among the first octets of a file.
fn bare_line_feeds(mut file: std::fs::File, octets: u64, buffer: &mut Vec<u8>) -> std::io::Result<u64> {
    buffer.resize(PIECE, 0);
    let mut left = octets;
    let mut before = 0;
    let mut count = 0;
    // Without another call that tells that the file ends.
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = file.read(&mut buffer[..most])?;
        if read == 0 {
            break;
        }
        for at in memchr::memchr_iter(b'\n', &buffer[..read]) {
            let previous = if at == 0 { before } else { buffer[at - 1] };
            count += u64::from(previous != b'\r');
        }
        before = buffer[read - 1];
        left -= read as u64;
    }
    Ok(count)
}
