//! Names of message files: `<seconds>.M<µs>P<pid>Q<n>.<host>,U=<uid>,S=<size>,W=<rfc822.size>:2,<flags>`.
//!
//! `S` is the size of the file, `W` its size with CRLF line ends, both as Dovecot writes them; `U` is ours.

use std::fmt::Write as _;

use crate::foundations::mail::Uid;
use crate::storage::mailbox::{Flags, KeywordSet};

/// Which of the two directories holds a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `new/`: no mail program has seen it.
    New,
    /// `cur/`.
    Cur,
}

impl Place {
    /// The directory's name.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Cur => "cur",
        }
    }
}

/// The content of a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName<'a> {
    /// The part that stays the same when flags change.
    pub base: &'a [u8],
    /// The UID, if we gave one.
    pub uid: Option<Uid>,
    /// The size of the file.
    pub size: Option<u64>,
    /// The size with CRLF line ends.
    pub virtual_size: Option<u64>,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: KeywordSet,
    /// Whether the part behind the base equals the output of [`suffix`]. Otherwise the whole name must be kept.
    pub regular: bool,
}

/// Longest base we make; leaves room for `:2,`, 6 flags and 26 keywords in the 255 octets of a file name.
const MAX_BASE: usize = 220;

impl<'a> FileName<'a> {
    /// Reads a name in a directory; `None` when it cannot be a message's (hidden files, directories of other programs).
    pub fn parse(name: &'a [u8], place: Place) -> Option<Self> {
        if name.is_empty() || name[0] == b'.' || name.len() > 255 {
            return None;
        }
        let (base, info) = name.split_at(Self::base_of(name).len());
        let mut parsed = Self {
            base,
            uid: None,
            size: None,
            virtual_size: None,
            flags: Flags::NONE,
            keywords: KeywordSet::NONE,
            regular: true,
        };
        parsed.read_fields();
        for letter in info.get(3..).unwrap_or_default() {
            if let Some((flag, _)) = Flags::LETTERS.iter().find(|(_, known)| known == letter) {
                parsed.flags |= *flag;
            } else if letter.is_ascii_lowercase() {
                parsed.keywords = parsed.keywords.with(KeywordSet::slot(letter - b'a'));
            }
        }
        parsed.regular = is_suffix(info, place, parsed.flags, parsed.keywords);
        Some(parsed)
    }

    /// The part of a name that stays the same when flags change.
    pub fn base_of(name: &[u8]) -> &[u8] {
        match memchr::memrchr(b':', name) {
            Some(at) if name[at..].starts_with(b":2,") => &name[..at],
            _ => name,
        }
    }

    fn read_fields(&mut self) {
        for field in self.base.split(|b| *b == b',').skip(1) {
            match field {
                [b'U', b'=', digits @ ..] => {
                    self.uid = number(digits).and_then(|n| u32::try_from(n).ok()).and_then(Uid::new);
                }
                [b'S', b'=', digits @ ..] => self.size = number(digits),
                [b'W', b'=', digits @ ..] => self.virtual_size = number(digits),
                _ => {}
            }
        }
    }

    /// The seconds at the beginning of the name, for the order of adoption; 0 when there are none.
    pub fn seconds(&self) -> u64 {
        let digits = self.base.iter().take_while(|b| b.is_ascii_digit()).count();
        number(&self.base[..digits.min(12)]).unwrap_or(0)
    }
}

/// The suffix after the base: empty in `new/`, `:2,` and the letters in ASCII order in `cur/`.
pub fn suffix(place: Place, flags: Flags, keywords: KeywordSet) -> String {
    let mut suffix = Vec::new();
    write_suffix(place, flags, keywords, &mut suffix);
    // Letters of ASCII only.
    String::from_utf8(suffix).unwrap_or_default()
}

/// Appends the result of [`suffix`].
pub fn write_suffix(place: Place, flags: Flags, keywords: KeywordSet, out: &mut Vec<u8>) {
    if place == Place::New {
        return;
    }
    out.extend_from_slice(b":2,");
    out.extend(Flags::LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| *letter));
    out.extend(keywords.slots().map(|slot| b'a' + slot));
}

/// Whether these octets equal the output of [`suffix`], without writing it: names are read by the hundred thousand.
fn is_suffix(info: &[u8], place: Place, flags: Flags, keywords: KeywordSet) -> bool {
    if place == Place::New {
        return info.is_empty();
    }
    let Some(letters) = info.strip_prefix(b":2,") else { return false };
    let system = Flags::LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| *letter);
    letters.iter().copied().eq(system.chain(keywords.slots().map(|slot| b'a' + slot)))
}

/// The name for a new message: a unique part and the fields.
pub fn fresh(unique: &str, uid: Uid, size: u64, virtual_size: u64) -> String {
    let mut name = String::with_capacity(unique.len() + 48);
    name.push_str(unique);
    // Writing into a String cannot fail.
    let _ = write!(name, ",U={uid},S={size},W={virtual_size}");
    name
}

/// The base for an adopted file: its own unique part and foreign fields, then our fields. `None` when that would be too
/// long or is not text; such a file gets a [`fresh`] name.
pub fn adopted(base: &[u8], uid: Uid, size: u64, virtual_size: u64) -> Option<String> {
    let text = std::str::from_utf8(base).ok()?;
    let mut unique = String::with_capacity(text.len() + 48);
    for (n, field) in text.split(',').enumerate() {
        if n == 0 || !matches!(field.as_bytes(), [b'U' | b'S' | b'W', b'=', ..]) {
            if n > 0 {
                unique.push(',');
            }
            unique.push_str(field);
        }
    }
    let name = fresh(&unique, uid, size, virtual_size);
    (name.len() <= MAX_BASE && !name.contains(['/', ':'])).then_some(name)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let uid = Uid::new(42).unwrap();
        let base = fresh("1700000000.M5P7Q9.host", uid, 1000, 1010);
        let flags = Flags::SEEN | Flags::FLAGGED;
        let keywords = KeywordSet::slot(0).with(KeywordSet::slot(25));
        let name = format!("{base}{}", suffix(Place::Cur, flags, keywords));
        assert_eq!(name, "1700000000.M5P7Q9.host,U=42,S=1000,W=1010:2,FSaz");
        let parsed = FileName::parse(name.as_bytes(), Place::Cur).unwrap();
        assert_eq!(parsed.base, base.as_bytes());
        assert_eq!((parsed.uid, parsed.size, parsed.virtual_size), (Some(uid), Some(1000), Some(1010)));
        assert_eq!((parsed.flags, parsed.keywords, parsed.regular), (flags, keywords, true));
        assert_eq!(parsed.seconds(), 1_700_000_000);
        assert!(!FileName::parse(name.as_bytes(), Place::New).unwrap().regular);
    }

    #[test]
    fn takes_names_as_they_come() {
        for (name, place, flags, regular) in [
            ("x:2,SF", Place::Cur, Flags::SEEN | Flags::FLAGGED, false),
            ("x:2,FSX", Place::Cur, Flags::SEEN | Flags::FLAGGED, false),
            ("x", Place::Cur, Flags::NONE, false),
            ("x:2,", Place::Cur, Flags::NONE, true),
            ("x", Place::New, Flags::NONE, true),
            ("x:1,a", Place::New, Flags::NONE, true),
        ] {
            let parsed = FileName::parse(name.as_bytes(), place).unwrap();
            assert_eq!((parsed.flags, parsed.regular), (flags, regular), "{name}");
        }
        assert!(FileName::parse(b".hidden", Place::Cur).is_none());
        assert_eq!(FileName::parse(b"x,U=0:2,", Place::Cur).unwrap().uid, None);
        assert_eq!(FileName::parse(b"x,U=99999999999:2,", Place::Cur).unwrap().uid, None);
    }

    #[test]
    fn an_adopted_name_keeps_what_is_not_ours() {
        let adopted = |base: &[u8]| adopted(base, Uid::new(7).unwrap(), 5, 6);
        assert_eq!(adopted(b"1.2.h,S=5,X=1").as_deref(), Some("1.2.h,X=1,U=7,S=5,W=6"));
        assert_eq!(adopted(b"1.2.h,U=3,S=5,W=9").as_deref(), Some("1.2.h,U=7,S=5,W=6"));
        assert_eq!(adopted(&[b'x'; 250]), None);
        assert_eq!(adopted(b"\xff"), None);
    }
}
