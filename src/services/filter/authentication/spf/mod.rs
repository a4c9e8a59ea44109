//! SPF (RFC 7208): may this host send for this domain?
//!
//! Our own implementation, because it must pass every case of the RFC's test suite: the choice among several
//! records, the limits on look-ups, and macros are where implementations differ.

mod check;
mod macros;
mod record;

pub use check::{Checker, Outcome, Question};
pub use record::Record;

/// The results of RFC 7208 §2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpfResult {
    /// No usable domain, or no record.
    None,
    /// The domain says nothing about this host.
    Neutral,
    /// The host may send.
    Pass,
    /// The host may not send.
    Fail,
    /// The host probably may not send.
    SoftFail,
    /// The DNS had a temporary problem.
    TempError,
    /// The record cannot be interpreted.
    PermError,
}

impl SpfResult {
    /// The word for it in Authentication-Results (RFC 8601 §2.7.2).
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

#[cfg(test)]
mod tests;
