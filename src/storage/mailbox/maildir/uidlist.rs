//! `dovecot-uidlist`: Dovecot's list of UIDs, read when a folder is taken over and written for the way back.
//!
//! Version 3: `3 V<validity> N<next> G<guid>`, then `<uid> [<letter><value>…] :<file name>` lines. Version 1:
//! `1 <validity> <next>`, then `<uid> <file name>` lines.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::os::fd::BorrowedFd;

use super::small;
use crate::foundations::mail::{Uid, UidValidity};

/// The file's name.
pub const NAME: &str = "dovecot-uidlist";

/// Octets in which the first line is, and the last one.
const ENDS: usize = 4096;

/// What the list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidList {
    /// UIDVALIDITY.
    pub validity: UidValidity,
    /// UIDNEXT.
    pub next: Uid,
    /// UID of each base name.
    pub uids: HashMap<Vec<u8>, Uid>,
}

impl UidList {
    /// Reads a folder's list; `None` when there is no valid one.
    pub fn read(folder: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        Ok(small::read_within(folder, NAME, small::LISTING)?.and_then(|content| Self::parse(&content)))
    }

    /// UIDVALIDITY and UIDNEXT alone, from both ends of the list: Dovecot appends lines and leaves the first unchanged.
    pub fn numbers(folder: BorrowedFd<'_>) -> io::Result<Option<(UidValidity, Uid)>> {
        let content = small::read_ends(folder, NAME, ENDS)?;
        Ok(content.and_then(|content| Self::parse(&content)).map(|list| (list.validity, list.next)))
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let mut lines = content.split(|b| *b == b'\n');
        let header = std::str::from_utf8(lines.next()?).ok()?;
        let mut words = header.split(' ');
        let (validity, next) = match words.next()? {
            "1" => (words.next()?, words.next()?),
            "3" => {
                let field = |letter| header.split(' ').find_map(|word| word.strip_prefix(letter));
                (field('V')?, field('N')?)
            }
            _ => return None,
        };
        let version_3 = header.starts_with('3');
        let (validity, next) = (validity.parse().ok()?, next.parse().ok()?);
        let mut list = Self { validity, next: Uid::new(next).unwrap_or(Uid::MIN), uids: HashMap::new() };
        for line in lines {
            let Some(space) = memchr::memchr(b' ', line) else { continue };
            let uid = std::str::from_utf8(&line[..space]).ok().and_then(|uid| uid.parse::<Uid>().ok());
            let Some((uid, next)) = uid.and_then(|uid| Some((uid, uid.next()?))) else { continue };
            let name = if version_3 {
                match memchr::memmem::find(line, b" :") {
                    Some(at) => &line[at + 2..],
                    None => continue,
                }
            } else {
                &line[space + 1..]
            };
            let base = memchr::memmem::rfind(name, b":2,").map_or(name, |at| &name[..at]);
            list.uids.insert(base.to_vec(), uid);
            list.next = list.next.max(next);
        }
        Some(list)
    }

    /// Writes a version 3 list, so that Dovecot keeps our UIDs.
    pub fn write<'a>(
        folder: BorrowedFd<'_>,
        validity: UidValidity,
        next: Uid,
        messages: impl Iterator<Item = (Uid, &'a [u8])>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        let mut header = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(header, "3 V{validity} N{next}");
        text.extend_from_slice(header.as_bytes());
        for (uid, name) in messages {
            text.extend_from_slice(format!("{uid} :").as_bytes());
            text.extend_from_slice(name);
            text.push(b'\n');
        }
        small::replace(folder, NAME, &text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn numbers_are_found_at_both_ends() {
        let root = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(root.path()).unwrap();
        assert_eq!(UidList::numbers(folder.as_fd()).unwrap(), None);
        for last in [0, 3, 90, 2000] {
            // Cut in the middle of a line, its size must not be taken for a UID.
            let line = |uid| format!("{uid} S4000000000 :1700000000.M{uid}P1.host\n");
            let lines: String = (1..=last).map(line).collect();
            std::fs::write(root.path().join(NAME), format!("3 V7 N3 G0\n{lines}")).unwrap();
            let numbers = UidValidity::new(7).zip(Uid::new(std::cmp::max(3, last + 1)));
            assert_eq!(UidList::numbers(folder.as_fd()).unwrap(), numbers, "{last}");
        }
    }

    #[test]
    fn reads_both_versions() {
        let three = b"3 V1700000000 N12 G0123abcd\n3 :a.1.h\n9 W120 S100 :b.2.h,S=100:2,S\nrubbish\n11 :c\n";
        let list = UidList::parse(three).unwrap();
        assert_eq!((list.validity.get(), list.next.get(), list.uids.len()), (1_700_000_000, 12, 3));
        assert_eq!(list.uids.get(&b"b.2.h,S=100"[..]).copied(), Uid::new(9));
        let one = b"1 1700000000 5\n3 a.1.h\n7 b:2,S\n";
        let list = UidList::parse(one).unwrap();
        assert_eq!((list.validity.get(), list.next.get()), (1_700_000_000, 8));
        assert_eq!(list.uids.get(&b"b"[..]).copied(), Uid::new(7));
        for bad in [&b""[..], b"2 x", b"3 V0 N1\n", b"3 N1\n", b"\xff\n"] {
            assert_eq!(UidList::parse(bad), None);
        }
    }
}
