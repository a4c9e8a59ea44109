//! How a command ends.

use std::borrow::Cow;
use std::io;

use super::command_table::OutOfOrder;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::ModSeq;
use crate::foundations::wire::imap::InvalidName;
use crate::foundations::wire::imap::encode::Code;

/// A command that succeeded: what its tagged OK says.
#[derive(Debug)]
pub struct Done {
    /// The response code.
    pub code: Option<Code>,
    /// The text; empty when the command has sent its tagged response itself.
    pub text: Cow<'static, str>,
}

impl Done {
    /// With a text only.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: None, text: text.into() }
    }

    /// The tagged response is out already.
    pub const fn silent() -> Self {
        Self { code: None, text: Cow::Borrowed("") }
    }

    /// With a code.
    pub fn with(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Some(code), text: text.into() }
    }

    /// Raises HIGHESTMODSEQ to what was told after the command was done, so that it does not go back.
    pub fn after(mut self, told: ModSeq) -> Self {
        if let Some(Code::HighestModSeq(known)) = &mut self.code {
            *known = told.max(*known);
        }
        self
    }
}

/// A command that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It made no sense: tagged BAD.
    #[error("{0}")]
    Bad(Cow<'static, str>),
    /// It was refused or failed: tagged NO.
    #[error("{text}")]
    No {
        /// The response code.
        code: Option<Code>,
        /// The text.
        text: Cow<'static, str>,
    },
    /// The client is gone, or does not read.
    #[error(transparent)]
    Gone(#[from] io::Error),
}

impl Trouble {
    /// BAD.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Bad(text.into())
    }

    /// NO without a code.
    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self::No { code: None, text: text.into() }
    }

    /// NO with a code.
    pub fn coded(code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self::No { code: Some(Code::Word(code)), text: text.into() }
    }
}

/// A command's result.
pub type Outcome = Result<Done, Trouble>;

/// The response code for a kind of failure (RFC 5530, RFC 9051 §7.1, RFC 9208 §4.3).
pub const fn code(kind: Kind) -> &'static str {
    match kind {
        Kind::AuthenticationFailed => "AUTHENTICATIONFAILED",
        Kind::Corrupt => "CORRUPTION",
        Kind::Exists => "ALREADYEXISTS",
        Kind::Invalid => "CANNOT",
        Kind::NoPermission => "NOPERM",
        Kind::NotFound => "NONEXISTENT",
        Kind::NoSpace | Kind::OverQuota => "OVERQUOTA",
        Kind::Temporary => "UNAVAILABLE",
        Kind::TooLarge => "TOOBIG",
        Kind::TooMany => "LIMIT",
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::coded(code(refusal.kind), refusal.public)
    }
}

impl From<OutOfOrder> for Trouble {
    fn from(error: OutOfOrder) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<InvalidName> for Trouble {
    fn from(error: InvalidName) -> Self {
        Self::coded("CANNOT", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the EXPUNGEs of a MOVE and its end new messages may have been told, with their modification sequence.
    #[test]
    fn the_highest_mod_sequence_does_not_go_back_at_the_end_of_a_command() {
        let mod_seq = |value| ModSeq::new(value).unwrap_or(ModSeq::MIN);
        for (told, at_end) in [(7, 7), (8, 8), (6, 7)] {
            let done = Done::with(Code::HighestModSeq(mod_seq(7)), "Moved").after(mod_seq(told));
            assert!(
                matches!(done.code, Some(Code::HighestModSeq(code)) if code == mod_seq(at_end)),
                "{told}: {done:?}"
            );
        }
    }
}
