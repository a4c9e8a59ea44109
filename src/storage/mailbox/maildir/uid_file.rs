//! `postrider-uid`: what must survive about a folder besides the names of its files.
//!
//! One line: `1 V<UIDVALIDITY> N<bound> F<floor> <state> <CRC-32 of everything before>`. Every UID at or above the
//! bound that was ever given out is in the name of a file that still exists, so the next UID is the larger of the bound
//! and the highest UID in names plus one. The floor, used in the inbox's file, is the highest UIDVALIDITY of a deleted
//! folder that lies in the future. A last word, `I<hexadecimal>`, is the folder's identifier (RFC 8474); files from
//! before identifiers existed lack it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::small;
use crate::foundations::mail::{MailboxId, Uid, UidValidity};

/// The file's name.
pub const NAME: &str = "postrider-uid";

/// The file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidFile {
    /// UIDVALIDITY.
    pub validity: UidValidity,
    /// No UID below it may be given out (again).
    pub bound: Uid,
    /// No new folder of the user may have this UIDVALIDITY or a lower one; `None` for no limit.
    pub floor: Option<UidValidity>,
    /// Whether files without a UID still get theirs from `dovecot-uidlist`.
    pub takeover: Takeover,
    /// The folder's identifier, which outlives its names.
    pub id: Option<MailboxId>,
}

/// Whether a takeover from Dovecot is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// `dovecot-uidlist` still counts.
    Running,
    /// There was none, or every file has its UID in its name.
    Done,
}

impl UidFile {
    /// The file's name.
    pub const NAME: &str = NAME;

    /// Reads a folder's file; `None` when it is missing or damaged.
    pub fn read(folder: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        Ok(small::read(folder, NAME)?.and_then(|content| Self::parse(&content)))
    }

    /// Replaces a folder's file durably.
    pub fn write(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        let text = self.to_text();
        let error = match small::replace(folder, NAME, text.as_bytes()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => error,
            result => return result,
        };
        // On a full disk it must still be possible to remove messages, since that makes room. If the power fails in the
        // middle, the checksum shows it, and the folder gets another UIDVALIDITY: still no UID is used twice.
        small::overwrite(folder, NAME, text.as_bytes()).map_err(|_| error)
    }

    /// Writes a folder's first file and returns it. Until it and the directory are synced, a crash may leave it missing
    /// or damaged, and the folder gets another identity.
    pub fn write_unsynced(&self, folder: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        small::write_unsynced(folder, NAME, self.to_text().as_bytes())
    }

    /// The first one of a new folder.
    pub const fn first(validity: UidValidity, id: MailboxId) -> Self {
        Self { validity, bound: Uid::MIN, floor: None, takeover: Takeover::Done, id: Some(id) }
    }

    /// Its form in the file.
    pub fn to_text(self) -> String {
        let state = match self.takeover {
            Takeover::Running => "T",
            Takeover::Done => "-",
        };
        let floor = self.floor.map_or(0, UidValidity::get);
        let mut line = format!("1 V{} N{} F{floor} {state}", self.validity, self.bound);
        if let Some(id) = self.id {
            line.push_str(&format!(" I{:x}", id.get()));
        }
        format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()))
    }

    /// From its form in the file; `None` when it is damaged.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let (line, crc) = std::str::from_utf8(content).ok()?.trim_end().rsplit_once(' ')?;
        if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(line.as_bytes()) {
            return None;
        }
        let mut words = line.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let validity = words.next()?.strip_prefix('V')?.parse().ok()?;
        let bound = words.next()?.strip_prefix('N')?.parse().ok()?;
        let floor = UidValidity::new(words.next()?.strip_prefix('F')?.parse().ok()?);
        let takeover = if words.next()? == "T" { Takeover::Running } else { Takeover::Done };
        let id = words.next().and_then(|word| u64::from_str_radix(word.strip_prefix('I')?, 16).ok());
        Some(Self { validity, bound, floor, takeover, id: id.map(MailboxId::new) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn can_be_overwritten_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(directory.path()).unwrap();
        let file = |bound| {
            let (validity, bound) = (UidValidity::new(7).unwrap(), Uid::new(bound).unwrap());
            UidFile { validity, bound, floor: Some(UidValidity::MIN), takeover: Takeover::Done, id: None }
        };
        assert!(small::overwrite(folder.as_fd(), NAME, b"x").is_err(), "there is nothing to overwrite");
        file(9_999).write(folder.as_fd()).unwrap();
        for bound in [10_000, 5] {
            small::overwrite(folder.as_fd(), NAME, file(bound).to_text().as_bytes()).unwrap();
            assert_eq!(UidFile::read(folder.as_fd()).unwrap(), Some(file(bound)));
        }
    }

    #[test]
    fn reads_what_it_writes_and_nothing_damaged() {
        let id = Some(MailboxId::new(0x1f));
        let (validity, bound) = (UidValidity::new(1_700_000_000).unwrap(), Uid::new(77).unwrap());
        let without_floor = UidFile { validity, bound, floor: None, takeover: Takeover::Running, id };
        assert_eq!(UidFile::parse(without_floor.to_text().as_bytes()), Some(without_floor));
        let file = UidFile { floor: UidValidity::new(3), ..without_floor };
        let text = file.to_text();
        assert_eq!(UidFile::parse(text.as_bytes()), Some(file));
        for at in 0..text.trim_end().len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 1;
            assert_eq!(UidFile::parse(&damaged), None, "{at}");
            assert_eq!(UidFile::parse(&text.as_bytes()[..at]), None, "{at}");
        }
    }
}
