//! What is attempted, and the result.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Envelope, Message, Recipient, TlsFacts};
use crate::foundations::wire::smtp::{Class, EnhancedStatus, Reply};

/// Recipients of one message that go to one destination.
pub struct Group<'a> {
    /// The queue entry, by which hosts of equal preference are shuffled.
    pub id: QueueId,
    /// Sender and options; its own list of recipients is not looked at.
    pub envelope: &'a Envelope,
    /// The recipients.
    pub recipients: &'a [Recipient],
    /// The message.
    pub message: &'a Carried,
    /// Called just before the end of the message is transmitted, with the places in `recipients` of those that get it: from then on it
    /// may have arrived. If this returns a trouble, the end is not sent, and so the message does not arrive.
    pub before_end: &'a BeforeEnd<'a>,
}

/// A message in memory, and what is dropped with it.
pub type Present = (Message, Box<dyn Send>);

/// How a message is had again; `None` if that cannot be.
type Again = dyn Fn() -> BoxFuture<'static, Option<Present>> + Send + Sync;

/// A message, and what is held as long as it is in memory. Both are dropped as soon as the end of the message has been sent for the
/// last of its recipients, so that a host that takes long to answer costs no memory.
pub struct Carried {
    present: Mutex<Option<Present>>,
    again: Option<Box<Again>>,
}

impl Carried {
    /// A message, and what is dropped with it.
    pub fn new(message: Message, held: impl Send + 'static) -> Self {
        Self { present: Mutex::new(Some((message, Box::new(held)))), again: None }
    }

    /// The same, which is had again if the host that was sent all of it has refused it and another is to get it.
    #[must_use]
    pub fn or_again(self, again: impl Fn() -> BoxFuture<'static, Option<Present>> + Send + Sync + 'static) -> Self {
        Self { again: Some(Box::new(again)), ..self }
    }

    /// The message, unless all of it has been sent.
    pub fn message(&self) -> Option<Message> {
        self.present.lock().as_ref().map(|(message, _)| message.clone())
    }

    pub(super) fn let_go(&self) {
        *self.present.lock() = None;
    }

    /// Whether the message is in memory, where it is had again if need be.
    pub(super) async fn is_to_be_had(&self) -> bool {
        if self.present.lock().is_some() {
            return true;
        }
        let Some(again) = &self.again else { return false };
        let found = again().await;
        let is_found = found.is_some();
        *self.present.lock() = found;
        is_found
    }
}

/// See [`Group::before_end`].
pub type BeforeEnd<'a> =
    dyn Fn(Vec<usize>) -> Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + 'a>> + Send + Sync + 'a;

/// How an attempt can be made to give up, and how far it is.
pub struct Haste<'a> {
    /// When it is cancelled, the attempt is given up for now, unless the message may have arrived.
    pub give_up: &'a CancellationToken,
    /// How far the attempt is.
    pub stage: &'a Stage,
}

/// How far an attempt is, for those who may want it to give up.
#[derive(Debug, Default)]
pub struct Stage(AtomicU8);

impl Stage {
    const OPENING: u8 = 0;
    const SENDING: u8 = 1;
    const ENDING: u8 = 2;

    /// A host is being looked for and talked to.
    pub fn is_opening(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::OPENING
    }

    /// The end of the message is sent and its reply waited for: it may have arrived.
    pub fn is_ending(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::ENDING
    }

    pub(super) fn open(&self) {
        self.0.store(Self::OPENING, Ordering::Relaxed);
    }

    pub(in crate::services) fn send(&self) {
        self.0.store(Self::SENDING, Ordering::Relaxed);
    }

    pub(in crate::services) fn end(&self) {
        self.0.store(Self::ENDING, Ordering::Relaxed);
    }
}

/// The result of an attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The result.
    pub outcome: Outcome,
    /// Who was talked to, if anybody.
    pub contact: Option<Arc<Contact>>,
}

/// The result for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Another host has taken responsibility.
    Relayed {
        /// Its reply on one line.
        reply: String,
        /// Who will tell the sender of success.
        dsn: NextDsn,
        /// What it was given.
        form: Form,
    },
    /// Not now, or never, as the status says.
    Trouble(Trouble),
}

/// Whether the next host offered DSN and was given the sender's wishes (RFC 3461 §5.2.1, §5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextDsn {
    /// It was.
    PassedOn,
    /// It was not: if the sender wants to hear of success, `relayed` is all that can be said.
    EndsHere,
}

/// The form in which a message was passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As it is in the queue.
    AsItCame,
    /// Its bodies encoded for a host that takes 7-bit lines only (RFC 6152 §3).
    SevenBit {
        /// The domains whose signatures or seals do not fit any more, with commas.
        broken: String,
    },
}

/// Why a recipient was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The enhanced status, from the remote's reply or our own.
    pub status: EnhancedStatus,
    /// The remote's reply or our own reason, on one line and not longer than 2,000 characters.
    pub reply: String,
    /// Whether `reply` is the remote's.
    pub by: By,
    /// What else it concerns.
    pub scope: Scope,
}

/// Who has said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The other host.
    Remote,
    /// This server.
    Us,
}

/// How far a trouble reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This recipient or this message.
    Message,
    /// The destination as a whole: no host could be talked to.
    Destination,
}

/// A host that was talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Its name.
    pub host: String,
    /// Its address; none for a Unix socket.
    pub address: Option<SocketAddr>,
    /// The TLS session, if there was one.
    pub tls: Option<TlsFacts>,
    /// Whether its certificate was of a trusted authority and for its name.
    pub verified: Verified,
    /// What has decided what the host must show: `opportunistic`, `route`, `requiretls`, `mta-sts`, `dane` or `local`.
    pub policy: &'static str,
}

impl Contact {
    /// Another process of ours.
    pub(super) fn local(host: &str, address: Option<SocketAddr>) -> Self {
        Self { host: host.to_owned(), address, tls: None, verified: Verified::No, policy: "local" }
    }
}

/// Whether a certificate has proven the host's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It has.
    Yes,
    /// It has not, or there was none.
    No,
}

/// Most characters of a reply that are kept: a host may send as many lines as it likes.
const LONGEST_REPLY: usize = 2_000;

/// A reply as it is kept, with a mark where it was cut.
pub(super) fn brief(mut reply: String) -> String {
    if let Some((end, _)) = reply.char_indices().nth(LONGEST_REPLY) {
        reply.truncate(end);
        reply.push_str(" [...]");
    }
    reply
}

impl Trouble {
    /// A trouble that this server has found.
    pub fn ours(status: EnhancedStatus, reason: impl Into<String>, scope: Scope) -> Self {
        Self { status, reply: brief(reason.into()), by: By::Us, scope }
    }

    /// What a reply says. A 421 concerns the whole host (RFC 5321 §3.8).
    pub fn of(reply: &Reply) -> Self {
        let scope = if reply.code() == 421 { Scope::Destination } else { Scope::Message };
        let class = if reply.class() == Class::Transient { Class::Transient } else { Class::Permanent };
        let status = reply.status().filter(|status| status.class() == class);
        let status = status.unwrap_or_else(|| EnhancedStatus::general(class));
        Self { status, reply: brief(reply.to_string()), by: By::Remote, scope }
    }

    /// What a reply says that comes while no message is under way. It is about the host: another host, or the same one later, may
    /// take the message. With 554 a host may say that it serves nobody now (RFC 5321 §3.1), and many say it to an address that is on a
    /// block list today. Only 521 is meant for good (RFC 7504 §3).
    pub(super) fn of_host(reply: &Reply) -> Self {
        let mut trouble = Self { scope: Scope::Destination, ..Self::of(reply) };
        if trouble.is_permanent() && reply.code() != 521 {
            trouble.status = EnhancedStatus::new(4, trouble.status.subject(), trouble.status.detail());
        }
        trouble
    }

    /// Whether trying again cannot help.
    pub fn is_permanent(&self) -> bool {
        self.status.class() == Class::Permanent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_serves_nobody_may_do_so_later() {
        for (code, status, wanted) in
            [(554, (5, 7, 1), "4.7.1"), (550, (5, 0, 0), "4.0.0"), (421, (4, 3, 2), "4.3.2"), (521, (5, 3, 2), "5.3.2")]
        {
            let (class, subject, detail) = status;
            let trouble = Trouble::of_host(&Reply::new(code, EnhancedStatus::new(class, subject, detail), "No"));
            assert_eq!((trouble.status.to_string().as_str(), trouble.scope), (wanted, Scope::Destination));
        }
    }

    #[test]
    fn a_reply_without_end_is_cut() {
        let long = "\u{e9}".repeat(100_000);
        let trouble = Trouble::of(&Reply::new(550, EnhancedStatus::new(5, 1, 1), long));
        assert_eq!(trouble.reply.chars().count(), LONGEST_REPLY + " [...]".len());
        assert!(trouble.reply.starts_with("550 5.1.1 \u{e9}") && trouble.reply.ends_with("\u{e9} [...]"));
        assert_eq!(brief("no".to_owned()), "no");
    }
}
