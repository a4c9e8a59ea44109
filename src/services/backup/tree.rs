//! The lists of messages in a folder, as objects.
//!
//! A page has one line for each message: `<c or n> <date> <size> <objects> <name>`: whether it was in `cur/` or `new/`, the
//! file's date in seconds since 1970, its octets, the names of its objects separated by commas, and the file's name
//! with `%` and control characters as `%xx`. Messages share a page by their UIDs, so that a page of old messages stays the
//! same object as long as none of them is expunged or flagged.

use std::io::Write as _;

use super::base_name::Named;
use super::repository::ObjectId;
use crate::foundations::mail::Uid;
use crate::storage::mailbox::{FileName, Place};

/// UIDs of a page.
const UIDS: u32 = 1024;

/// A message in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageEntry {
    /// The directory it is in.
    pub place: Place,
    /// The file's name.
    pub name: Vec<u8>,
    /// Octets.
    pub size: u64,
    /// The file's date, in seconds since 1970: INTERNALDATE.
    pub date: i64,
    /// Its content.
    pub objects: Vec<ObjectId>,
}

impl MessageEntry {
    /// The part of the name that stays the same when flags change.
    pub fn base(&self) -> &[u8] {
        FileName::base_of(&self.name)
    }

    fn uid(&self) -> Option<Uid> {
        FileName::parse(&self.name, self.place).and_then(|name| name.uid)
    }
}

impl Named for MessageEntry {
    fn name(&self) -> &[u8] {
        &self.name
    }
}

/// The part of a base name before any fields were added: it identifies the message even after a mail program has
/// given it another UID.
pub fn unique(base: &[u8]) -> &[u8] {
    base.split(|octet| *octet == b',').next().unwrap_or(base)
}

/// The pages of a folder, in order.
pub fn pages(messages: Vec<MessageEntry>) -> Vec<Vec<u8>> {
    let mut messages: Vec<(u32, MessageEntry)> =
        messages.into_iter().map(|message| (message.uid().map_or(0, Uid::get), message)).collect();
    messages.sort_unstable_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    let pages = messages.chunk_by(|a, b| a.0 / UIDS == b.0 / UIDS);
    let page = |messages: &[(u32, MessageEntry)]| {
        let mut page = Vec::with_capacity(messages.len() * LINE);
        messages.iter().for_each(|(_, message)| write_line(message, &mut page));
        page
    };
    pages.map(page).collect()
}

/// About how long a line is.
const LINE: usize = 160;

fn write_line(message: &MessageEntry, page: &mut Vec<u8>) {
    let place = match message.place {
        Place::Cur => 'c',
        Place::New => 'n',
    };
    // Writing into a vector cannot fail.
    let _ = write!(page, "{place} {} {} ", message.date, message.size);
    for (n, object) in message.objects.iter().enumerate() {
        if n > 0 {
            page.push(b',');
        }
        page.extend_from_slice(&object.hex());
    }
    page.push(b' ');
    let is_plain = |octet: &u8| *octet != b'%' && !octet.is_ascii_control();
    let mut rest = &message.name[..];
    loop {
        let plain = rest.iter().take_while(|octet| is_plain(octet)).count();
        page.extend_from_slice(&rest[..plain]);
        let Some((octet, after)) = rest[plain..].split_first() else { break };
        let _ = write!(page, "%{octet:02x}");
        rest = after;
    }
    page.push(b'\n');
}

/// The messages of a page; `None` when it is not one.
pub fn read_page(page: &[u8]) -> Option<Vec<MessageEntry>> {
    let mut messages = Vec::with_capacity(page.len() / LINE + 1);
    for line in page.split_inclusive(|octet| *octet == b'\n') {
        let mut words = line.strip_suffix(b"\n")?.splitn(5, |octet| *octet == b' ');
        let place = match words.next()? {
            b"c" => Place::Cur,
            b"n" => Place::New,
            _ => return None,
        };
        let date = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let size = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let objects = words.next()?.split(|octet| *octet == b',').map(ObjectId::from_hex).collect::<Option<_>>()?;
        let name = unescaped(words.next()?).filter(|name| is_file_name(name))?;
        messages.push(MessageEntry { place, name, size, date, objects });
    }
    Some(messages)
}

/// Whether this is a file name and not a path to another place: someone who can write to a repository must not be able to
/// write outside the restored directory.
pub fn is_file_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    if !name.contains(&b'%') {
        return Some(name.to_vec());
    }
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            out.push(*octet);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &[u8]) -> MessageEntry {
        let objects = vec![ObjectId::of(name), ObjectId::of(b"x")];
        MessageEntry { place: Place::Cur, name: name.to_vec(), size: 7, date: -1, objects }
    }

    #[test]
    fn pages_round_trip_and_old_ones_stay_the_same() {
        let uids = [1, 5, 1023, 1024, 5000];
        let mut messages: Vec<_> =
            uids.iter().map(|uid| message(format!("1.a.h,U={uid},S=7:2,S").as_bytes())).collect();
        messages.push(message(b"strange %\n\xff name"));
        let first = pages(messages.clone());
        assert_eq!(first.len(), 3);
        let read: Vec<_> = first.iter().flat_map(|page| read_page(page).unwrap()).collect();
        assert_eq!(read.len(), messages.len());
        assert!(messages.iter().all(|message| read.contains(message)));
        messages.push(message(b"2.b.h,U=5001,S=7:2,"));
        let second = pages(messages);
        assert_eq!(first[..2], second[..2]);
        assert_ne!(first[2], second[2]);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let page = pages(vec![message(b"a,U=1:2,")]).remove(0);
        for bad in [&page[..page.len() - 1], &page[1..], b"c 1 2 zz name\n", b"x"] {
            assert_eq!(read_page(bad), None);
        }
        for name in ["../../evil", "/etc/evil", "..", ""] {
            let page = pages(vec![message(name.as_bytes())]).remove(0);
            assert_eq!(read_page(&page), None, "{name}");
        }
        assert_eq!(read_page(b""), Some(vec![]));
    }

    #[test]
    fn the_unique_part_survives_another_uid() {
        assert_eq!(unique(b"1.M2P3Q4.host,U=5,S=6"), unique(b"1.M2P3Q4.host,U=99,S=6,W=7"));
        assert_eq!(unique(b"plain"), b"plain");
    }
}
