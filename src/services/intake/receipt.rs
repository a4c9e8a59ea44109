//! The proof that a message is safe.

use std::fmt;

use crate::foundations::address::Address;
use crate::foundations::ids::MailId;
use crate::services::handover::Outcome;

/// This server has taken responsibility for a message: each recipient's copy is durable, or dropped on purpose.
///
/// Only [`super::Intake`] makes one, and only from [`Outcome`]s that were returned after the data had been synced; a 250
/// to DATA is made only from a receipt.
#[derive(Debug)]
pub struct Receipt {
    mail: MailId,
    outcomes: Vec<(Address, Outcome)>,
}

impl Receipt {
    pub(super) const fn new(mail: MailId, outcomes: Vec<(Address, Outcome)>) -> Self {
        Self { mail, outcomes }
    }

    /// The same, for a recipient who is named once more.
    pub(super) fn again(&self) -> Self {
        Self { mail: self.mail, outcomes: self.outcomes.clone() }
    }

    /// The same, with what has become of the message for one more recipient.
    #[must_use]
    pub(super) fn and(mut self, recipient: Address, outcome: Outcome) -> Self {
        self.outcomes.push((recipient, outcome));
        self
    }

    /// What has become of it, by recipient after alias expansion.
    pub fn outcomes(&self) -> &[(Address, Outcome)] {
        &self.outcomes
    }
}

impl fmt::Display for Receipt {
    /// For the client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Taken as {}", self.mail)
    }
}
