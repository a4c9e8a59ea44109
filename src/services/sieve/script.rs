//! Compiled scripts.

use std::fmt;
use std::sync::Arc;

use super::check::check;
use super::host_commands::{Host, Vocabulary};
use super::parser::parse;
use super::program::Program;
use super::syntax::Position;
use super::{Location, Outcome, SieveSettings, Situation};
use crate::foundations::said::{Said, said};

/// A compiled script; cheap to clone.
#[derive(Debug, Clone)]
pub struct Script(Arc<Program>);

/// About how many octets a compiled script takes for each octet of its text.
const COMPILED: u64 = 8;

impl Script {
    /// The scripts that it includes and that must exist, in the order of the text.
    pub fn includes(&self) -> &[(Location, String)] {
        &self.0.includes
    }

    /// Whether it may look for duplicates (RFC 7352); scripts that it includes may do so all the same.
    pub fn looks_for_duplicates(&self) -> bool {
        self.0.duplicates
    }

    /// About how many octets it takes in memory.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    pub(super) fn program(&self) -> Arc<Program> {
        Arc::clone(&self.0)
    }
}

/// Something wrong in a script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct Mistake {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong and what would be correct.
    pub said: Said,
}

impl Mistake {
    pub(super) const fn at(at: Position, said: Said) -> Self {
        Self { line: at.line, column: at.column, said }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.said.text)
    }
}

/// A script that may run.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The script.
    pub script: Script,
    /// What is allowed but probably not intended.
    pub warnings: Vec<Mistake>,
}

/// Compiles a script, or returns all its mistakes in the order of the text.
pub fn compile(source: &[u8], settings: &SieveSettings) -> Result<Compiled, Vec<Mistake>> {
    compile_with(source, settings, None)
}

/// The same with the words of an embedding program.
pub fn compile_with(
    source: &[u8],
    settings: &SieveSettings,
    vocabulary: Option<&dyn Vocabulary>,
) -> Result<Compiled, Vec<Mistake>> {
    if source.len() > settings.script_size.len() {
        let (count, most) = (source.len(), settings.script_size.len());
        let said = said!("sieve-script-large", "the script has {count} octets; the maximum is {most}", count, most);
        return Err(vec![Mistake { line: 1, column: 1, said }]);
    }
    let text = std::str::from_utf8(source).map_err(|error| vec![not_utf8(source, error.valid_up_to())])?;
    let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
    let calls = parse(text, settings, &mut mistakes);
    let mut program = check(&calls, settings, vocabulary, &mut mistakes, &mut warnings);
    program.size += source.len() as u64 * COMPILED;
    if mistakes.is_empty() {
        return Ok(Compiled { script: Script(Arc::new(program)), warnings });
    }
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    mistakes.dedup();
    Err(mistakes)
}

/// RFC 5228 §2.1: scripts are UTF-8.
fn not_utf8(source: &[u8], at: usize) -> Mistake {
    let before = String::from_utf8_lossy(&source[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let said = said!("sieve-not-utf-8", "the text here is not valid UTF-8");
    Mistake { line: count(line), column: count(column), said }
}

/// Runs a script about one message.
pub fn run(script: &Script, situation: &Situation<'_>, settings: &SieveSettings) -> Outcome {
    super::run::run(&script.0, situation, settings, None)
}

/// The same for an embedding program, which defines the meaning of its words.
pub fn run_with<'a>(
    script: &Script,
    situation: &Situation<'a>,
    settings: &SieveSettings,
    host: &mut dyn Host<'a>,
) -> Outcome {
    super::run::run(&script.0, situation, settings, Some(host))
}

/// What `require` may name, for the SIEVE capability of ManageSieve (RFC 5804 §1.7).
pub const EXTENSIONS: &[&str] = &[
    "fileinto",
    "reject",
    "ereject",
    "envelope",
    "encoded-character",
    "vacation",
    "vacation-seconds",
    "subaddress",
    "comparator-i;ascii-numeric",
    "relational",
    "regex",
    "imap4flags",
    "copy",
    "include",
    "variables",
    "body",
    "enotify",
    "environment",
    "mailbox",
    "mboxmetadata",
    "servermetadata",
    "date",
    "index",
    "ihave",
    "duplicate",
    "mime",
    "foreverypart",
    "extracttext",
    "editheader",
    "special-use",
    "spamtest",
    "spamtestplus",
    "virustest",
    "fcc",
];

/// URI schemes that `notify` takes, for the NOTIFY capability of ManageSieve.
pub const NOTIFY_METHODS: &[&str] = &["mailto"];
