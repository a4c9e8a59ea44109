//! Names of scripts.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::foundations::files;
use crate::foundations::said::{Said, said};

/// A script's name (RFC 5804 §1.6), which is also that of its file without the ending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptName(String);

/// Why a text is not a script name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said().text)]
pub enum InvalidName {
    /// It is empty.
    Empty,
    /// It holds a character that no name may hold.
    Character,
    /// It is longer than anybody needs.
    TooLong,
}

impl InvalidName {
    /// As a part of a sentence.
    pub fn said(self) -> Said {
        match self {
            Self::Empty => said!("script-name-empty", "a script's name must not be empty"),
            Self::Character => {
                said!("script-name-character", "a script's name cannot contain control characters, line ends or `/`")
            }
            Self::TooLong => {
                said!("script-name-long", "a script's name has at most {most} octets", most = ScriptName::LONGEST)
            }
        }
    }
}

/// Extension of script files.
pub(super) const ENDING: &str = ".sieve";
/// Most octets of a name that is one file name.
const IN_A_FILE: usize = 255 - ENDING.len();
/// Most octets of a longer name that are in the name of a directory, and how many fewer they may be: no character is divided.
const IN_A_DIRECTORY: usize = 200;
const FEWER: usize = 3;
/// Most directories that a name needs.
const DEPTH: usize = 2;

impl ScriptName {
    /// Most octets of a name: 128 characters are possible, whatever they are (RFC 5804 §1.6).
    pub const LONGEST: usize = 512;

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its file below a directory of scripts. A name that is too long for a file name begins with the names of directories.
    pub fn file(&self) -> PathBuf {
        let (mut path, mut rest) = (PathBuf::new(), self.0.as_str());
        while rest.len() > IN_A_FILE {
            let (piece, others) = rest.split_at(rest.floor_char_boundary(IN_A_DIRECTORY));
            path.push(piece);
            rest = others;
        }
        path.push(format!("{rest}{ENDING}"));
        path
    }

    /// The name of the script in a file below a directory of scripts, if it is one.
    pub fn of_file(file: &Path) -> Option<Self> {
        let name: Self = file.to_str()?.strip_suffix(ENDING)?.replace('/', "").parse().ok()?;
        (name.file() == file).then_some(name)
    }
}

/// What may be a script in a directory of scripts, with its path. Empty for a directory that is not there.
///
/// # Errors
/// A directory cannot be read.
pub fn script_files(directory: &Path) -> Result<Vec<(ScriptName, PathBuf)>, files::Error> {
    let mut found = Vec::new();
    collect(directory, Path::new(""), DEPTH, &mut found)?;
    Ok(found)
}

fn collect(
    directory: &Path,
    below: &Path,
    depth: usize,
    found: &mut Vec<(ScriptName, PathBuf)>,
) -> Result<(), files::Error> {
    let path = directory.join(below);
    let failed = |source| files::Error { verb: "read", path: path.clone(), source };
    let entries = match fs::read_dir(&path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let below = below.join(entry.file_name());
        let may_begin_a_name = (IN_A_DIRECTORY - FEWER..=IN_A_DIRECTORY).contains(&entry.file_name().len());
        if may_begin_a_name && depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(directory, &below, depth - 1, found)?;
        } else if let Some(name) = ScriptName::of_file(&below) {
            found.push((name, entry.path()));
        }
    }
    Ok(())
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
        let long = ["x".repeat(249), "x".repeat(250), "é".repeat(225), "休".repeat(150), "🏖".repeat(128)];
        let short = ["main", "Urlaub 2026", "休暇", ".hidden", "..", "a.sieve"].map(str::to_owned);
        for name in short.iter().chain(&long) {
            let parsed: ScriptName = name.parse().unwrap();
            let file = parsed.file();
            assert!(file.components().count() <= DEPTH + 1 && file.iter().all(|piece| piece.len() <= 255), "{name}");
            assert_eq!(ScriptName::of_file(&file), Some(parsed));
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
        for file in ["main.svbin", "a/b.sieve", "tmp/main.sieve"] {
            assert_eq!(ScriptName::of_file(Path::new(file)), None, "{file}");
        }
    }
}
