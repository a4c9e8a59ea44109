//! Names of scripts.

use std::fmt;
use std::str::FromStr;

/// A script's name (RFC 5804 §1.6), which is also that of its file without the ending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptName(String);

/// Why a text is not a script name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It is empty.
    #[error("a script's name must not be empty")]
    Empty,
    /// It holds a character that no name may hold.
    #[error("a script's name cannot contain control characters, line ends or `/`")]
    Character,
    /// The file system could not hold it.
    #[error("a script's name has at most {} octets", ScriptName::LONGEST)]
    TooLong,
}

/// Extension of script files.
pub(super) const ENDING: &str = ".sieve";

impl ScriptName {
    /// Most octets of a name: what a file name leaves for it.
    pub const LONGEST: usize = 255 - ENDING.len();

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its file.
    pub(super) fn file(&self) -> String {
        format!("{}{ENDING}", self.0)
    }

    /// The name of the script in a file, when it is one.
    pub(super) fn of_file(file: &str) -> Option<Self> {
        file.strip_suffix(ENDING)?.parse().ok()
    }
}

impl FromStr for ScriptName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // RFC 5804 §1.6: U+0000 to U+001F, U+007F to U+009F, U+2028 and U+2029 must not occur. The slash would lead to
        // another directory.
        let wrong = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '/');
        match text {
            "" => Err(InvalidName::Empty),
            _ if text.contains(wrong) => Err(InvalidName::Character),
            _ if text.len() > Self::LONGEST => Err(InvalidName::TooLong),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ScriptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for ScriptName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_directory() {
        for name in ["main", "Urlaub 2026", "休暇", ".hidden", "..", "a.sieve"] {
            let parsed: ScriptName = name.parse().unwrap();
            assert_eq!(ScriptName::of_file(&parsed.file()), Some(parsed));
        }
        for (name, why) in [
            ("", InvalidName::Empty),
            ("../../etc/passwd", InvalidName::Character),
            ("a\0b", InvalidName::Character),
            ("a\r\nb", InvalidName::Character),
            ("a\u{85}b", InvalidName::Character),
            ("a\u{2028}b", InvalidName::Character),
        ] {
            assert_eq!(name.parse::<ScriptName>(), Err(why), "{name:?}");
        }
        assert!("x".repeat(ScriptName::LONGEST).parse::<ScriptName>().is_ok());
        assert_eq!("x".repeat(ScriptName::LONGEST + 1).parse::<ScriptName>(), Err(InvalidName::TooLong));
        assert_eq!(ScriptName::of_file("main.svbin"), None);
    }
}
