//! The last step of a message, as seen by those who hand it over: `intake` for a message just received, `queue` for one
//! that had to wait. `delivery` takes it in this process, `outbound` passes it to the process that owns the mailboxes.
//!
//! No logic: two traits, and the types of their questions and answers. `queue` implements the other one, [`Queueing`], for
//! `intake`; so neither needs to know the other.

use std::borrow::Cow;

use futures_util::future::BoxFuture;

use crate::foundations::failure::Refusal;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Mail, Recipient};
use crate::services::filter::Verdict;
use crate::services::routing::LocalRecipient;

/// What has become of a message for one recipient. There is an outcome only when it is durable (law 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in a mailbox, and on disk.
    Stored {
        /// The folder.
        folder: String,
        /// Its UID there.
        uid: u32,
    },
    /// The process that owns the mailbox has taken it.
    HandedOver {
        /// What it said.
        reply: String,
    },
    /// It is in the queue, and on disk.
    Queued(QueueId),
    /// It was dropped, as someone wished who may.
    Discarded {
        /// Who or what.
        by: Cow<'static, str>,
    },
}

/// Puts messages into mailboxes of this server.
pub trait LocalDelivery: Send + Sync {
    /// Stores a message for each recipient; one result for each, in their order.
    ///
    /// The message is complete but for the fields of final delivery; the verdict has been applied to it already and says
    /// which folder it belongs to. A temporary refusal means that trying again later may help.
    fn deliver<'a>(
        &'a self,
        mail: &'a Mail,
        verdict: &'a Verdict,
        recipients: &'a [LocalRecipient],
    ) -> BoxFuture<'a, Vec<Result<Outcome, Refusal>>>;
}

/// Why a message is held that the filter has put into quarantine: see [`Postponed::hold`].
pub const QUARANTINED: &str = "quarantined by the filter";

/// Where recipients of a queued message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Mailboxes of this server, by the addresses of their accounts.
    Here,
    /// Other hosts.
    Elsewhere,
}

/// A message, or part of its recipients, that has to wait.
#[derive(Debug)]
pub struct Postponed<'a> {
    /// The message with its sender and origin. The recipients of its envelope do not count.
    pub mail: &'a Mail,
    /// Its Message-ID, to find it by.
    pub message_id: Option<&'a str>,
    /// Who is to get it, at least one.
    pub recipients: Vec<(Recipient, Bound)>,
    /// Why an administrator must release it first, if so.
    pub hold: Option<String>,
}

/// Reads messages that hold reports for us. Implemented by `reports`, for `intake`, which shows it what it has accepted.
pub trait ReportReading: Send + Sync {
    /// Keeps the report that a message holds, if it is for an address that takes reports. The message goes on as any other,
    /// whatever is in it.
    fn read<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, ()>;
}

/// Takes messages into the queue. Implemented by `queue`, which knows destinations and lifetimes.
pub trait Queueing: Send + Sync {
    /// Puts a message into the queue. When it returns an id, the entry is on disk.
    fn postpone<'a>(&'a self, postponed: Postponed<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>>;

    /// Puts several into the queue: all of them, or none and a refusal. Ids in their order.
    fn postpone_together<'a>(&'a self, postponed: Vec<Postponed<'a>>) -> BoxFuture<'a, Result<Vec<QueueId>, Refusal>>;
}
