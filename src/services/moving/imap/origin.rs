//! Where imported messages come from, as their file names say, so that the next run knows them again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::mail::HeaderSection;
use crate::services::moving::importer::name_for;
use crate::storage::mailbox::Present;

/// A mailbox of an account on a server, with its UIDVALIDITY. Two servers may give the same numbers, and so may the accounts
/// of one server.
#[derive(Debug)]
pub(super) struct Origin {
    /// Stands for server, account and mailbox.
    mailbox: String,
    validity: u32,
}

impl Origin {
    pub(super) fn new(host: &str, login: &str, mailbox: &str, validity: u32) -> Self {
        let name = name_for(format!("{}\n{login}\n{mailbox}", host.to_ascii_lowercase()).as_bytes());
        Self { mailbox: name[..12].to_owned(), validity }
    }

    /// The unique part of a message's file name: the same in every run, also without a date.
    pub(super) fn unique(&self, uid: u32, date: Option<Timestamp>) -> String {
        format!("{}.{}-{}-{uid}.imap", seconds(date), self.mailbox, self.validity)
    }

    /// Whether a file was imported from here under another UIDVALIDITY.
    fn had(&self, unique: &str) -> bool {
        let Some(name) = unique.split_once('.').and_then(|(_, rest)| rest.strip_suffix(".imap")) else { return false };
        match name.split('-').collect::<Vec<_>>().as_slice() {
            [mailbox, validity, _] => *mailbox == self.mailbox && *validity != self.validity.to_string(),
            // A name that does not say from which account.
            [_, _] => true,
            _ => false,
        }
    }
}

/// Messages of earlier runs whose UIDs mean nothing any more, because the UIDVALIDITY is another one (RFC 9051 §2.3.1.1). Each
/// stands for one message at the source.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// By date and size.
    files: HashMap<(i64, Option<u64>), Vec<PathBuf>>,
    /// The numbers of those left, by their digests, once a message had to be compared with them.
    digests: Option<HashMap<Vec<u8>, usize>>,
}

impl Earlier {
    pub(super) fn of(origin: &Origin, present: Vec<Present>) -> Self {
        let mut earlier = Self::default();
        for Present { unique, path, virtual_size } in present.into_iter().filter(|file| origin.had(&file.unique)) {
            let date = unique.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
            earlier.files.entry((date, virtual_size)).or_default().push(path);
        }
        earlier
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether one has this date and size. Without a date only the content tells messages apart: some senders give all theirs
    /// the same Message-ID, and often the same size.
    pub(super) fn has_like(&self, date: Option<Timestamp>, size: u64) -> bool {
        date.is_some() && self.files.contains_key(&(seconds(date), Some(size)))
    }

    /// Takes one with this date, size and Message-ID; `false` when there is none.
    pub(super) fn takes_id(&mut self, date: Option<Timestamp>, size: u64, id: &str) -> Result<bool, files::Error> {
        let Some(files) = self.files.get_mut(&(seconds(date), Some(size))) else { return Ok(false) };
        for (at, path) in files.iter().enumerate() {
            if read(path, LONGEST_HEADER)?.and_then(|header| message_id(&header)).as_deref() == Some(id) {
                files.swap_remove(at);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes one with this content; `false` when there is none.
    pub(super) fn takes_content(&mut self, content: &[u8]) -> Result<bool, files::Error> {
        if self.files.is_empty() {
            return Ok(false);
        }
        if self.digests.is_none() {
            self.digests = Some(self.count_by_digest()?);
        }
        let same = self.digests.as_mut().and_then(|digests| digests.get_mut(&digest_of(content)));
        Ok(same.filter(|left| **left > 0).map(|left| *left -= 1).is_some())
    }

    fn count_by_digest(&self) -> Result<HashMap<Vec<u8>, usize>, files::Error> {
        let mut digests = HashMap::new();
        for path in self.files.values().flatten() {
            if let Some(content) = read(path, u64::MAX)? {
                *digests.entry(digest_of(&content)).or_default() += 1;
            }
        }
        Ok(digests)
    }
}

fn digest_of(content: &[u8]) -> Vec<u8> {
    digest(&SHA256, content).as_ref().to_vec()
}

/// What stands for a date at the beginning of a file name.
fn seconds(date: Option<Timestamp>) -> i64 {
    date.map_or(0, Timestamp::unix_seconds).max(0)
}

/// The Message-ID in a header.
pub(super) fn message_id(header: &[u8]) -> Option<String> {
    let id = HeaderSection::of(header).first("Message-ID")?.text();
    (!id.is_empty()).then_some(id)
}

/// The beginning of a file; `None` when it is gone.
fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, files::Error> {
    let mut octets = Vec::new();
    match File::open(path).and_then(|file| file.take(most).read_to_end(&mut octets)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(files::Error { verb: "read", path: path.to_owned(), source }),
        Ok(_) => Ok(Some(octets)),
    }
}

/// As much of a file as is searched for its Message-ID.
const LONGEST_HEADER: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_mailboxes_of_one_server_are_told_apart() {
        let ours = Origin::new("imap.other.test", "ann", "INBOX", 7);
        let date = Some(Timestamp::from_unix_seconds(1_700_000_000));
        assert_eq!(ours.unique(5, date), Origin::new("IMAP.other.test", "ann", "INBOX", 7).unique(5, date));
        for other in [
            Origin::new("imap.other.test", "bob", "INBOX", 7),
            Origin::new("imap.other.test", "ann", "Sent", 7),
            Origin::new("imap.third.test", "ann", "INBOX", 7),
        ] {
            assert_ne!(ours.unique(5, date), other.unique(5, date));
            assert!(!ours.had(&Origin { validity: 8, ..other }.unique(5, date)));
        }
        assert!(!ours.had(&ours.unique(5, date)));
        assert!(ours.had(&Origin::new("imap.other.test", "ann", "INBOX", 8).unique(5, None)));
        for strange in ["1700000000.M1P2Q3.host", "1.0123456789abcdef.mbox", "1.imap", ""] {
            assert!(!ours.had(strange), "{strange}");
        }
    }

    #[test]
    fn every_file_stands_for_one_message() {
        let folder = tempfile::tempdir().unwrap();
        let (before, now) = (Origin::new("h", "l", "INBOX", 1), Origin::new("h", "l", "INBOX", 2));
        let date = Some(Timestamp::from_unix_seconds(1_700_000_000));
        let content = b"Message-ID: <1@x>\r\n\r\nx\r\n";
        let size = content.len() as u64;
        let present = [1, 2, 3].map(|uid| {
            let path = folder.path().join(uid.to_string());
            std::fs::write(&path, content).unwrap();
            Present { unique: before.unique(uid, date), path, virtual_size: Some(size) }
        });
        let mut earlier = Earlier::of(&now, present.to_vec());
        assert!(earlier.has_like(date, size) && !earlier.has_like(date, size + 1) && !earlier.has_like(None, size));
        assert!(!earlier.takes_id(date, size, "<2@x>").unwrap());
        assert!(earlier.takes_id(date, size, "<1@x>").unwrap());
        assert!(!earlier.takes_content(b"Message-ID: <1@x>\r\n\r\ny\r\n").unwrap());
        let taken = [0, 1, 2].map(|_| earlier.takes_content(content).unwrap());
        assert_eq!(taken, [true, true, false]);
        assert!(Earlier::of(&before, present.to_vec()).is_empty());
        let dateless = present.map(|file| Present { unique: before.unique(1, None), ..file });
        let mut earlier = Earlier::of(&now, dateless.to_vec());
        assert!(!earlier.has_like(None, size), "another message of this sender would be lost");
        assert!(earlier.takes_content(content).unwrap());
    }
}
