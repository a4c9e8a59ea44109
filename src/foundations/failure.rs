//! Kinds of failure: a closed set that every protocol maps to its own codes.

use std::borrow::Cow;

/// The kind of a failure. Each room's error type has a `kind()`; each protocol has one table from kinds to its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was named is not there.
    NotFound,
    /// What was to be created is there already.
    Exists,
    /// It would exceed the account's quota.
    OverQuota,
    /// The disk, or another resource of the whole server, is full.
    NoSpace,
    /// The caller may not do this.
    NoPermission,
    /// The caller has not authenticated, or failed to.
    AuthenticationFailed,
    /// A limit of the configuration was reached.
    TooMany,
    /// A message, name or argument is larger than the limit.
    TooLarge,
    /// It may work later: a database, a disk or another service does not answer.
    Temporary,
    /// Stored data contradicts itself.
    Corrupt,
    /// The request is malformed or makes no sense here.
    Invalid,
}

/// Why a client's request is refused: what the peer may read, and what only the log gets.
#[derive(Debug, thiserror::Error)]
#[error("{public}")]
pub struct Refusal {
    /// The kind, which decides the protocol's code.
    pub kind: Kind,
    /// A sentence for the peer, without paths, settings or names of others.
    pub public: Cow<'static, str>,
    /// The exact SMTP reply code and enhanced status (RFC 3463), where the kind alone is too coarse.
    pub smtp: Option<(u16, Cow<'static, str>)>,
    /// The cause, for the log.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal without a cause behind it.
    pub fn new(kind: Kind, public: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, public: public.into(), smtp: None, cause: None }
    }

    /// The same refusal with an exact SMTP reply code and enhanced status.
    #[must_use]
    pub fn smtp(mut self, code: u16, status: impl Into<Cow<'static, str>>) -> Self {
        self.smtp = Some((code, status.into()));
        self
    }

    /// The same refusal with its cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// "Try again later", with the cause for the log.
    pub fn temporary(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Kind::Temporary, "This server has a temporary problem; try again later").because(cause)
    }

    /// The same refusal for a further use, without the cause, which was logged with the first.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { kind: self.kind, public: self.public.clone(), smtp: self.smtp.clone(), cause: None }
    }

    /// Whether trying again later may help.
    pub fn is_temporary(&self) -> bool {
        match &self.smtp {
            Some((code, _)) => *code < 500,
            None => matches!(self.kind, Kind::Temporary | Kind::OverQuota | Kind::NoSpace | Kind::TooMany),
        }
    }
}
