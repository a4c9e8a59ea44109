//! What a script has decided.

use std::fmt;
use std::time::Duration;

use crate::foundations::address::{Address, ReversePath};
use crate::foundations::mail::Message;

/// What to do with a message, and why.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The actions in the order of the script, including the implicit keep (RFC 5228 §2.10.2). Never empty.
    pub actions: Vec<Action>,
    /// The message as the script has left it: the one given, unless header fields were edited (RFC 5293) by a script that was
    /// not aborted.
    pub message: Message,
    /// What the caller remembers for `duplicate`, once the actions have been performed.
    pub remember: Vec<Remember>,
    /// Why the script was aborted. Then `actions` is a single keep, and the owner should be notified.
    pub failure: Option<Failure>,
    /// What was tested and decided, in order; at most [`Outcome::MAX_TRACE`] steps.
    pub trace: Vec<Step>,
}

impl Outcome {
    /// Most steps of a trace; further ones are left out.
    pub const MAX_TRACE: usize = 1_000;
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Store the message where it would go without a script (RFC 5228 §4.3).
    Keep {
        /// Flags and keywords to set, as IMAP writes them; none is twice among them.
        flags: Vec<String>,
        /// Whether no command of the script asked for it.
        implicit: bool,
        /// The message to store.
        message: Message,
    },
    /// Store it in a folder (RFC 5228 §4.1). When that is not possible, the message is kept instead.
    FileInto(FileInto),
    /// Pass it on (RFC 5228 §4.2).
    Redirect {
        /// To whom.
        to: Address,
        /// The message to send.
        message: Message,
    },
    /// Discard it: no other action stores it (RFC 5228 §4.4).
    Discard,
    /// Refuse it (RFC 5429).
    Reject {
        /// The text for the sender.
        reason: String,
        /// Whether it was `ereject`, which must be a refusal by SMTP wherever that is possible.
        extended: bool,
    },
    /// Answer it (RFC 5230), unless `handle` was remembered for this sender less than `period` ago.
    Vacation(Box<Vacation>),
    /// Tell somebody about it (RFC 5435).
    Notify(Box<Notification>),
}

/// A message for a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInto {
    /// The name of the folder in UTF-8, as the script has it; already the one with the special use, if there is such a one.
    pub folder: String,
    /// Flags and keywords to set; none is twice among them.
    pub flags: Vec<String>,
    /// Whether a folder that is missing is to be created (RFC 5490 §3.2).
    pub create: bool,
    /// The special use that a folder created for it gets (RFC 8579 §4).
    pub special_use: Option<String>,
    /// The message to store.
    pub message: Message,
}

/// Where a copy of what is sent goes (RFC 8580).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCopy {
    /// The name of the folder.
    pub folder: String,
    /// Flags and keywords to set.
    pub flags: Vec<String>,
    /// Whether a folder that is missing is to be created.
    pub create: bool,
    /// The special use that a folder created for it gets.
    pub special_use: Option<String>,
}

/// An automatic reply. Whether the message may be answered at all (RFC 5230 §4.5, §4.6; RFC 3834 §2) has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacation {
    /// What identifies this reply: replies with the same handle to the same sender are the same. At most 64 octets.
    pub handle: String,
    /// For how long the sender is not answered again; zero: every message is answered (RFC 6131 §2).
    pub period: Duration,
    /// Whom it goes to: the sender of the envelope. It travels with the null reverse-path (RFC 3834 §3.3).
    pub to: Address,
    /// The complete message with CRLF line ends.
    pub reply: Message,
    /// Where a copy of it goes.
    pub copy: Option<FileCopy>,
}

/// A notification by mail (RFC 5436).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The sender of its envelope: null when that of the message was (RFC 5436 §2.7).
    pub from: ReversePath,
    /// Whom it goes to.
    pub to: Vec<Address>,
    /// 1 for high, 2 for normal, 3 for low.
    pub importance: u8,
    /// The complete message with CRLF line ends.
    pub message: Message,
    /// Where a copy of it goes (RFC 8580).
    pub copy: Option<FileCopy>,
}

/// A key to remember for the `duplicate` test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remember {
    /// What [`World::seen_before`](super::World::seen_before) is asked with. 64 hexadecimal digits.
    pub key: String,
    /// For how long, from now; for a key that is known already this takes the place of what was.
    pub span: Duration,
}

/// Why a script ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct Failure {
    /// The line of the command.
    pub line: u32,
    /// What happened, and what to do.
    pub text: String,
}

/// One step of a script's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The included script it is in; `None` for the script itself.
    pub script: Option<String>,
    /// The line.
    pub line: u32,
    /// What happened there, in plain words.
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.script {
            Some(script) => write!(f, "{script}, line {}: {}", self.line, self.text),
            None => write!(f, "line {}: {}", self.line, self.text),
        }
    }
}
