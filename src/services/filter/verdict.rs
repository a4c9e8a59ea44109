//! What the filter decides.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::Signal;
use super::authentication::dkim::Findings;
use super::classifier::Class;
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::failure::Refusal;
use crate::foundations::mail::Message;

/// What to do with a message.
#[derive(Debug)]
pub enum Decision {
    /// Deliver it.
    Accept,
    /// Deliver it into the folder for unwanted mail.
    Junk,
    /// Keep it where only an administrator, or the recipient on request, can release it.
    Quarantine,
    /// Refuse it for good, in the SMTP dialogue.
    Refuse(Refusal),
    /// Refuse it for now.
    Later(Refusal),
}

impl Decision {
    /// The word for it in events and in the output of the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Junk => "junk",
            Self::Quarantine => "quarantine",
            Self::Refuse(_) => "refuse",
            Self::Later(_) => "later",
        }
    }
}

/// Where an accepted message belongs, for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Among wanted mail (a Sieve script may say where).
    Inbox,
    /// Among unwanted mail.
    Junk,
    /// Into quarantine.
    Quarantine,
}

/// The outcome of [`super::Filter::judge`].
#[derive(Debug)]
pub struct Verdict {
    /// For the message as a whole.
    pub decision: Decision,
    /// Whether the message was looked at, and not only let through.
    pub judged: bool,
    /// Sum of the weights.
    pub score: f64,
    /// All signals, the heaviest first.
    pub signals: Vec<Signal>,
    /// Complete header lines (each ending in CRLF) to put in front.
    pub headers: Vec<u8>,
    /// Fields to be removed: ranges of the original bytes, ascending and disjoint, each covering whole lines.
    pub strip: Vec<Range<usize>>,
    /// The message as a milter has rewritten it; `strip` then refers to these bytes.
    pub rewritten: Option<Bytes>,
    /// Recipients, and the accounts that they lead to, for whom their own thresholds or training give another result, by
    /// [`Address::key`].
    pub personal: BTreeMap<String, Folder>,
    /// Changes of the envelope that milters have asked for.
    pub envelope: EnvelopeChanges,
    /// Recipients for whom a milter refuses the message, though others may have it.
    pub refused: Vec<(Address, Refusal)>,
    /// Whether the envelope sender counts as genuine: a user of ours, a trusted client, or verified by SPF. Nothing is sent
    /// automatically to other senders once the message was accepted.
    pub genuine: bool,
    /// What a seal may say when the message is passed on.
    pub findings: Option<Findings>,
    /// The class as which the classifier learns the message by itself.
    pub learned: Option<Class>,
}

/// Changes of the envelope that a milter has asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvelopeChanges {
    /// The new sender.
    pub sender: Option<ReversePath>,
    /// Recipients to be added.
    pub added: Vec<Address>,
    /// Recipients to be removed.
    pub removed: Vec<Address>,
}

impl Verdict {
    /// Accepted unchecked.
    pub const fn accept() -> Self {
        Self {
            decision: Decision::Accept,
            judged: false,
            score: 0.0,
            signals: Vec::new(),
            headers: Vec::new(),
            strip: Vec::new(),
            rewritten: None,
            personal: BTreeMap::new(),
            envelope: EnvelopeChanges { sender: None, added: Vec::new(), removed: Vec::new() },
            refused: Vec::new(),
            genuine: true,
            findings: None,
            learned: None,
        }
    }

    /// The message as it is to be delivered: fields stripped, header lines in front. Copies the body only when
    /// something inside the message changes.
    pub fn apply(&self, message: &Message) -> Message {
        let original = self.rewritten.as_ref().unwrap_or_else(|| message.original());
        let added = message.pieces()[0];
        let kept = if self.strip.is_empty() { original.clone() } else { without(original, &self.strip) };
        Message::new(kept).with_prefix(added).with_prefix(&self.headers)
    }

    /// Where the message belongs for this recipient, when it is accepted at all.
    pub fn folder(&self, recipient: &Address) -> Folder {
        self.personal.get(&recipient.key()).copied().unwrap_or_else(|| self.common_folder())
    }

    /// Where the message belongs for recipients without their own result, when it is accepted at all.
    pub const fn common_folder(&self) -> Folder {
        match self.decision {
            Decision::Junk => Folder::Junk,
            Decision::Quarantine => Folder::Quarantine,
            Decision::Accept | Decision::Refuse(_) | Decision::Later(_) => Folder::Inbox,
        }
    }
}

/// The bytes without some ranges.
pub(super) fn without(bytes: &Bytes, ranges: &[Range<usize>]) -> Bytes {
    let mut kept = BytesMut::with_capacity(bytes.len());
    let mut from = 0;
    for range in ranges {
        kept.extend_from_slice(bytes.get(from..range.start).unwrap_or_default());
        from = range.end.max(from);
    }
    kept.extend_from_slice(bytes.get(from..).unwrap_or_default());
    kept.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_and_prefixes() {
        let mut verdict = Verdict::accept();
        let message = Message::new("A: 1\r\nB: 2\r\nC: 3\r\n\r\nbody\r\n").with_prefix(b"Received: x\r\n");
        assert_eq!(verdict.apply(&message), message);
        verdict.strip = vec![0..6, 12..18];
        verdict.headers = b"X-Spam: no\r\n".to_vec();
        assert_eq!(&verdict.apply(&message).bytes()[..], b"X-Spam: no\r\nReceived: x\r\nB: 2\r\n\r\nbody\r\n");
    }

    #[test]
    fn a_recipient_may_think_otherwise() {
        let mut verdict = Verdict::accept();
        let ann: Address = "Ann@example.test".parse().unwrap();
        assert_eq!(verdict.folder(&ann), Folder::Inbox);
        verdict.personal.insert(ann.key(), Folder::Junk);
        assert_eq!(verdict.folder(&ann), Folder::Junk);
        verdict.decision = Decision::Quarantine;
        assert_eq!(verdict.folder(&"bob@example.test".parse().unwrap()), Folder::Quarantine);
    }
}
