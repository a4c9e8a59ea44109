//! Names of folders: as clients use them, and as Maildir++ directories.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::foundations::said::{Said, said};
use crate::foundations::wire::imap::encode_utf7;

/// The text is not the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said().text)]
pub enum InvalidFolderName {
    /// Nothing between two separators, or nothing at all.
    Empty,
    /// A control character, or a wildcard of LIST.
    Character,
    /// A level that other programs would take for the directory itself or its parent.
    Relative,
    /// The directory's name would be longer than file systems take.
    TooLong,
    /// More levels than [`FolderName::MAX_DEPTH`].
    TooDeep,
}

impl InvalidFolderName {
    /// As a part of a sentence.
    pub fn said(&self) -> Said {
        match self {
            Self::Empty => said!(
                "folder-name-empty",
                "a folder name cannot have empty parts: no / at its beginning or end, and no two in a row"
            ),
            Self::Character => {
                said!("folder-name-character", "a folder name cannot contain control characters, % or *")
            }
            Self::Relative => said!("folder-name-relative", "no part of a folder name can be . or .."),
            Self::TooLong => said!("folder-name-long", "the folder name is too long"),
            Self::TooDeep => {
                said!("folder-name-deep", "a folder name has at most {most} levels", most = FolderName::MAX_DEPTH)
            }
        }
    }
}

/// The name of a folder: UTF-8, levels separated by `/`, valid as a directory's name. Cheap to clone.
///
/// Clients see `/` and not Maildir++'s `.`, because people put dots into names (`example.com`, `v1.0`) and never
/// slashes. On disk levels are separated by `.`; a dot inside a level is written `\2e` and a backslash `\5c`, which
/// Dovecot's name escaping understands. Characters other than printable ASCII are in modified UTF-7 (RFC 3501 §5.1.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderName(Arc<str>);

impl FolderName {
    /// Between the levels.
    pub const SEPARATOR: char = '/';
    /// Most levels.
    pub const MAX_DEPTH: usize = 16;
    /// Longest name of a directory in octets, dot in front included; the file systems' limit less room for `.lock`.
    const MAX_DIRECTORY: usize = 250;

    /// The inbox.
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    /// Parses a client's name, already decoded to UTF-8. `INBOX` is recognised in any case (RFC 9051 §5.1).
    pub fn parse(text: &str) -> Result<Self, InvalidFolderName> {
        if text.len() > Self::MAX_DIRECTORY * 4 {
            return Err(InvalidFolderName::TooLong);
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '%' | '*' | '\u{2028}' | '\u{2029}' | '\u{feff}')) {
            return Err(InvalidFolderName::Character);
        }
        if text.split(Self::SEPARATOR).any(str::is_empty) {
            return Err(InvalidFolderName::Empty);
        }
        if text.split(Self::SEPARATOR).any(|level| matches!(level, "." | "..")) {
            return Err(InvalidFolderName::Relative);
        }
        if text.split(Self::SEPARATOR).count() > Self::MAX_DEPTH {
            return Err(InvalidFolderName::TooDeep);
        }
        let (first, rest) = match text.split_once(Self::SEPARATOR) {
            Some((first, rest)) => (first, Some(rest)),
            None => (text, None),
        };
        let name = match rest {
            _ if !first.eq_ignore_ascii_case("INBOX") => Self(text.into()),
            None => Self::inbox(),
            Some(rest) => Self(format!("INBOX/{rest}").into()),
        };
        if name.directory().len() > Self::MAX_DIRECTORY { Err(InvalidFolderName::TooLong) } else { Ok(name) }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the inbox.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// The name one level up; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once(Self::SEPARATOR).map(|(parent, _)| Self(parent.into()))
    }

    /// Whether this folder lies somewhere below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with(Self::SEPARATOR))
    }

    /// This name with its first levels `from` replaced by `to`; `None` when it is not `from` or below it, or the new
    /// name is not valid.
    pub(super) fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*from.0)?;
        if !rest.is_empty() && !rest.starts_with(Self::SEPARATOR) {
            return None;
        }
        Self::parse(&format!("{}{rest}", to.0)).ok()
    }

    /// The directory's name below the user's, `.Archive.2026`; empty for the inbox, which is the user's directory.
    pub(super) fn directory(&self) -> String {
        if self.is_inbox() {
            return String::new();
        }
        let mut directory = String::with_capacity(self.0.len() + 8);
        for level in self.encoded_levels() {
            directory.push('.');
            directory.push_str(&level);
        }
        directory
    }

    /// The levels in the form used in directory names.
    pub(super) fn encoded_levels(&self) -> impl Iterator<Item = String> {
        self.0.split(Self::SEPARATOR).map(|level| {
            let mut escaped = String::with_capacity(level.len());
            for c in level.chars() {
                match c {
                    '.' => escaped.push_str("\\2e"),
                    '\\' => escaped.push_str("\\5c"),
                    c => escaped.push(c),
                }
            }
            encode_utf7(&escaped).into_owned()
        })
    }

    /// The folder a directory's name stands for; `None` when clients could not name it. Names in plain UTF-8, which
    /// Dovecot writes with `mailbox_list_utf8`, are understood too.
    pub fn from_directory(directory: &str) -> Option<Self> {
        Self::from_levels(directory.strip_prefix('.')?.split('.')).filter(|name| !name.is_inbox())
    }

    /// The folder with the given levels in the form used in directory names.
    pub fn from_levels<'a>(levels: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut name = String::new();
        for (n, level) in levels.enumerate() {
            if n > 0 {
                name.push(Self::SEPARATOR);
            }
            let level = if level.is_ascii() { decode_utf7(level)? } else { level.to_owned() };
            unescape(&level, &mut name);
        }
        Self::parse(&name).ok()
    }
}

impl FromStr for FolderName {
    type Err = InvalidFolderName;
    fn from_str(text: &str) -> Result<Self, InvalidFolderName> {
        Self::parse(text)
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 3501 §5.1.3: base 64 with `,` for `/`, without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::IMAP_MUTF7,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Takes other forms than the shortest too, since other programs have made directories of these names.
fn decode_utf7(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        out.push_str(plain);
        let (encoded, after) = shifted.split_once('-')?;
        if encoded.is_empty() {
            out.push('&');
        } else {
            let bytes = BASE64.decode(encoded).ok()?;
            let (units, []) = bytes.as_chunks::<2>() else { return None };
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            for c in char::decode_utf16(units) {
                out.push(c.ok()?);
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn unescape(level: &str, out: &mut String) {
    let mut rest = level;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let code = escaped.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.filter(|code| code.is_ascii_graphic() && *code != b'/') {
            Some(code) => {
                out.push(char::from(code));
                rest = &escaped[2..];
            }
            None => {
                out.push('\\');
                rest = escaped;
            }
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_directories_and_back() {
        for (name, directory) in [
            ("Sent", ".Sent"),
            ("Archive/2026", ".Archive.2026"),
            ("example.com", ".example\\2ecom"),
            ("..x/.y/z.", ".\\2e\\2ex.\\2ey.z\\2e"),
            ("back\\slash", ".back\\5cslash"),
            ("Entwürfe", ".Entw&APw-rfe"),
            ("台北", ".&U,BTFw-"),
            ("a&b", ".a&-b"),
            ("😀", ".&2D3eAA-"),
            ("INBOX/x", ".INBOX.x"),
        ] {
            let parsed = FolderName::parse(name).unwrap();
            assert_eq!(parsed.directory(), directory);
            assert_eq!(FolderName::from_directory(directory), Some(parsed));
        }
        assert_eq!(FolderName::from_directory(".Entwürfe"), FolderName::parse("Entwürfe").ok());
        assert_eq!(FolderName::parse("inbox"), Ok(FolderName::inbox()));
        assert_eq!(FolderName::parse("Inbox/A").unwrap().as_str(), "INBOX/A");
        assert_eq!(FolderName::inbox().directory(), "");
    }

    #[test]
    fn hostile_names_are_refused() {
        // Clients that store folders as directories would be led out of theirs by `..`.
        for name in ["..", "../../etc/passwd", "a/./b", "a/.."] {
            assert_eq!(FolderName::parse(name), Err(InvalidFolderName::Relative), "{name:?}");
        }
        for name in ["", "/", "a/", "/a", "a//b", "a\0b", "a\nb", "a*", "%", &"x".repeat(300), &"ü".repeat(120)] {
            assert!(FolderName::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(FolderName::parse(&["a"; 17].join("/")), Err(InvalidFolderName::TooDeep));
        for directory in ["", "x", ".", "..", "..a", ".a.", ".&", ".&A-", ".a&2D0-", ".INBOX", "./", ".a/b"] {
            let parsed = FolderName::from_directory(directory);
            assert!(parsed.is_none() || directory == ".a/b", "{directory:?} {parsed:?}");
        }
    }

    #[test]
    fn only_what_follows_a_slash_is_below_a_folder() {
        let name = |text| FolderName::parse(text).unwrap();
        assert!(name("A/B").is_below(&name("A")) && !name("AB").is_below(&name("A")));
        assert_eq!(name("A/B").parent(), Some(name("A")));
        assert_eq!(name("A/B/C").moved(&name("A/B"), &name("X")), Some(name("X/C")));
        assert_eq!(name("AB").moved(&name("A"), &name("X")), None);
    }
}
