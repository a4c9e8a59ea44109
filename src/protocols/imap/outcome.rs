//! How a command ends.

use std::borrow::Cow;
use std::io;

use crate::foundations::failure::{Kind, Refusal};
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

impl From<InvalidName> for Trouble {
    fn from(error: InvalidName) -> Self {
        Self::coded("CANNOT", error.to_string())
    }
}
