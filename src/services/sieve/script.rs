//! Compiled scripts.

use std::fmt;
use std::sync::Arc;

use super::{Action, Outcome, SieveSettings, Situation};

/// A compiled script; cheap to clone.
#[derive(Debug, Clone)]
pub struct Script(#[expect(dead_code, reason = "the program follows")] Arc<()>);

/// Something wrong in a script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct Mistake {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong and what would be right.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text)
    }
}

/// A script that may run.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// It.
    pub script: Script,
    /// What is allowed and yet probably not meant.
    pub warnings: Vec<Mistake>,
}

/// Compiles a script, or gives everything that is wrong with it, in the order of the text.
pub fn compile(_source: &[u8], _settings: &SieveSettings) -> Result<Compiled, Vec<Mistake>> {
    Ok(Compiled { script: Script(Arc::new(())), warnings: Vec::new() })
}

/// Runs a script about one message.
pub fn run(_script: &Script, situation: &Situation<'_>, _settings: &SieveSettings) -> Outcome {
    let message = situation.message.clone();
    let keep = Action::Keep { flags: Vec::new(), implicit: true, message: message.clone() };
    Outcome { actions: vec![keep], message, remember: Vec::new(), failure: None, trace: Vec::new() }
}

/// What `require` may name, for the SIEVE capability of ManageSieve (RFC 5804 §1.7).
pub const EXTENSIONS: &[&str] = &[
    "fileinto",
    "envelope",
    "encoded-character",
    "subaddress",
    "comparator-i;ascii-numeric",
    "relational",
    "variables",
    "imap4flags",
    "vacation",
    "vacation-seconds",
    "copy",
    "body",
    "date",
    "index",
    "regex",
    "reject",
    "ereject",
    "editheader",
    "mailbox",
    "special-use",
    "environment",
    "include",
    "duplicate",
    "ihave",
    "mime",
    "foreverypart",
    "extracttext",
    "enotify",
    "spamtest",
    "spamtestplus",
    "virustest",
    "fcc",
];

/// URI schemes that `notify` takes, for the NOTIFY capability of ManageSieve.
pub const NOTIFY_METHODS: &[&str] = &["mailto"];
