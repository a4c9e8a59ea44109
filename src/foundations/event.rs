//! Events: one for every decision, with the ids that tie it to a message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::foundations::clock::Timestamp;
use crate::foundations::ids::{MailId, QueueId, SessionId};

/// Something that was decided or has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The connection it happened on.
    pub session: Option<SessionId>,
    /// The message it is about.
    pub mail: Option<MailId>,
    /// The queue entry it is about.
    pub queue: Option<QueueId>,
    /// The account or address it is about (recipient of a delivery, account of a login), for searching.
    pub subject: Option<String>,
    /// Everything else worth knowing: inputs of the decision, the remote's reply, sizes, reasons.
    pub details: BTreeMap<String, serde_json::Value>,
}

impl Event {
    /// An event without ids or details yet.
    pub const fn new(at: Timestamp, kind: EventKind) -> Self {
        Self { at, kind, session: None, mail: None, queue: None, subject: None, details: BTreeMap::new() }
    }

    /// With the connection.
    #[must_use]
    pub const fn session(mut self, id: SessionId) -> Self {
        self.session = Some(id);
        self
    }

    /// With the message.
    #[must_use]
    pub const fn mail(mut self, id: MailId) -> Self {
        self.mail = Some(id);
        self
    }

    /// With the queue entry.
    #[must_use]
    pub const fn queue(mut self, id: QueueId) -> Self {
        self.queue = Some(id);
        self
    }

    /// With the account or address it is about.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// With one more detail. Names are snake_case and listed in `docs/events.md`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The same for a detail that may be unknown.
    #[must_use]
    pub fn with_known(self, name: &'static str, value: Option<impl Into<serde_json::Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

crate::words! {
    /// The kinds of events. The word is what the database and the log hold.
    pub enum EventKind {
        /// A client was not allowed to go on (rate, ban, too many connections).
        ConnectionRefused = "connection-refused",
        /// A login succeeded.
        LoginAccepted = "login-accepted",
        /// A login failed, with the reason.
        LoginRefused = "login-refused",
        /// A user has ended a login to the webmail, or a session was ended because its account or password is no longer good.
        LoginEnded = "login-ended",
        /// A sender or recipient was refused during the SMTP dialogue.
        RecipientRefused = "recipient-refused",
        /// A message was received completely and this server has taken responsibility for it.
        MessageReceived = "message-received",
        /// A message was refused after its content was seen.
        MessageRefused = "message-refused",
        /// The filter's verdict, with every signal and weight.
        Verdict = "verdict",
        /// A Sieve script acted.
        SieveAction = "sieve-action",
        /// An address was expanded to others.
        AliasExpanded = "alias-expanded",
        /// A message was stored in a mailbox.
        Delivered = "delivered",
        /// A mailbox has come near its quota, and its user was notified.
        NearlyFull = "nearly-full",
        /// A message was dropped on purpose.
        Discarded = "discarded",
        /// A message was put into the queue.
        Queued = "queued",
        /// An attempt to pass a message on succeeded.
        Relayed = "relayed",
        /// An attempt failed for now and will be repeated.
        Deferred = "deferred",
        /// A recipient was given up.
        Failed = "failed",
        /// A notification was sent to the sender.
        NotificationSent = "notification-sent",
        /// An administrator changed something in the queue.
        QueueChanged = "queue-changed",
        /// An administrator or a declaration changed an account, alias or domain.
        AccountChanged = "account-changed",
        /// A password of a device was made, used for the first time, or revoked.
        AppPassword = "app-password",
        /// Two-factor login of an account was turned on or off, its code was asked for, or a recovery code was used or made.
        TwoFactor = "two-factor",
        /// A user, or an administrator for one, stored, activated, renamed or deleted a Sieve script.
        ScriptChanged = "script-changed",
        /// A client of a user changed a calendar or address book, or something in one.
        CollectionChanged = "collection-changed",
        /// Such a change was refused, with the reason.
        CollectionRefused = "collection-refused",
        /// An invitation, an answer or a cancellation was delivered or entered, or could not be.
        CalendarMessage = "calendar-message",
        /// A report was sent to a domain that asks for it, or could not be.
        ReportSent = "report-sent",
        /// A report about one of our domains was received.
        ReportReceived = "report-received",
        /// A client was banned, or its ban was lifted.
        Ban = "ban",
        /// An account sends much more than it used to.
        SendingRise = "sending-rise",
        /// A key that signs outgoing mail was made, put in force or retired.
        SigningKey = "signing-key",
        /// An administrator trained the filter.
        FilterTrained = "filter-trained",
        /// A client expunged messages, or they were removed for their age.
        Expunged = "expunged",
        /// Certificates were loaded, or could not be.
        Certificate = "certificate",
        /// Configuration was loaded, or could not be.
        Configuration = "configuration",
        /// A backup was taken, checked, restored, thinned out or drilled, or could not be.
        Backup = "backup",
        /// This machine, as one of several nodes, joined, left, or lost its lease on users' mailboxes; or an administrator has
        /// drained, resumed or forgotten one.
        Cluster = "cluster",
        /// The server, or a role of it, started or stopped.
        Lifecycle = "lifecycle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_described() {
        let described = include_str!("../../docs/events.md");
        for kind in EventKind::ALL {
            assert!(described.contains(&format!("\n| `{}` | ", kind.word())), "{}", kind.word());
        }
    }
}
