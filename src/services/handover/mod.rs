//! The last step of a message, as seen by those who hand it over: `intake` for a message just received, `queue` for one
//! that had to wait. `delivery` takes it in this process, `outbound` passes it to the process that owns the mailboxes.
//!
//! No logic: traits, and the types of their arguments and results. They keep the rooms that use them from depending on those that
//! implement them.

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::foundations::address::Address;
use crate::foundations::failure::Refusal;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Login, Mail, Recipient};
use crate::services::filter::Verdict;
use crate::services::filter::authentication::dkim::Findings;
use crate::services::routing::LocalRecipient;
use crate::storage::spool::Action;

/// What has become of a message for one recipient. There is an outcome only when it is durable.
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
    /// It was dropped on purpose.
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

/// Where recipients of a queued message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Mailboxes of this server, by the addresses of their accounts.
    Here,
    /// Other hosts.
    Elsewhere,
    /// Nowhere: others get the message in their place. All that is left to do is to report this action to the sender.
    PassedOn(Action),
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

/// Reads what messages say about events. Implemented by `dav`, for `delivery`, which shows it what it has stored.
pub trait InvitationReading: Send + Sync {
    /// Enters what a message says about an event of an account into its calendars, where that needs no click. The message has been
    /// stored as any other, whatever is in it. The author is the one who is known to have written it.
    fn read<'a>(&'a self, mail: &'a Mail, author: &'a Address, account: &'a Address) -> BoxFuture<'a, ()>;
}

/// Takes messages of our own users to be sent. Implemented by `submission` where the queue is in this process, and by
/// `outbound` for a process that hands them to the one with the queue.
pub trait Submitting: Send + Sync {
    /// Sends a message for an account. When it returns, the message is durable for every recipient.
    fn submit<'a>(&'a self, mail: Mail, login: &'a Login) -> BoxFuture<'a, Result<(), Refusal>>;
}

/// What a script has something sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrandKind {
    /// To pass the message on: under its own sender, which is rewritten where SPF would fail, and sealed. The user whose script it
    /// is gets no copy.
    Redirect,
    /// To tell somebody something in a message of our own, which is signed.
    Letter,
}

/// A message that a user's script has sent.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// The message, its sender, and those it is for.
    pub mail: &'a Mail,
    /// The user whose script it is.
    pub account: &'a Address,
    /// What it is sent for.
    pub kind: ErrandKind,
    /// What a seal may say about a message that is passed on.
    pub findings: Option<&'a Findings>,
}

/// Sends what scripts want sent. Implemented by `posting` in the process with the queue; in any other, by the way to that process.
pub trait Posting: Send + Sync {
    /// Puts a message into the queue. When it returns an id, the entry is on disk.
    fn post<'a>(&'a self, errand: Errand<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>>;
}

/// Leaves mailing lists for users. Implemented by `outbound`; in a process that reaches no other hosts, by the way to the one with the
/// queue.
pub trait ListLeaving: Send + Sync {
    /// Asks the page of a list to send no more letters (RFC 8058 §3.2). What keeps it from that is told in a sentence.
    fn leave<'a>(&'a self, page: &'a str) -> BoxFuture<'a, Result<(), String>>;
}

/// Takes messages into the queue. Implemented by `queue`, which knows destinations and lifetimes.
pub trait Queueing: Send + Sync {
    /// Puts a message into the queue. When it returns an id, the entry is on disk.
    fn postpone<'a>(&'a self, postponed: Postponed<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>>;

    /// Puts several into the queue: all of them, or none and a refusal. Ids in their order.
    fn postpone_together<'a>(&'a self, postponed: Vec<Postponed<'a>>) -> BoxFuture<'a, Result<Vec<QueueId>, Refusal>>;
}
