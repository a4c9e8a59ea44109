use std::fmt;
use std::path::{Path, PathBuf};

use crate::foundations::settings::Problem;

/// One mistake in a configuration, with its position.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Dotted name of the key; empty if the file is not TOML there.
    pub key: String,
    /// What was found; empty if something is missing.
    pub found: String,
    /// What was expected.
    pub wanted: String,
}

impl Mistake {
    /// Finds line and column of a problem in the text it came from.
    pub(super) fn locate(problem: Problem, file: &Path, text: &str) -> Self {
        let mut start = problem.at.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: problem.key,
            found: problem.found,
            wanted: problem.wanted,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        match (self.key.as_str(), self.found.as_str()) {
            ("", "") => write!(f, "{}", self.wanted),
            (key, "") => write!(f, "`{key}`: {}", self.wanted),
            ("", found) => write!(f, "{found}: {}", self.wanted),
            (key, found) => write!(f, "`{key}` is {found}; expected: {}", self.wanted),
        }
    }
}
