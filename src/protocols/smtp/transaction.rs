//! One mail transaction: from MAIL to the answer to the message.

use bytes::{Bytes, BytesMut};

use super::profile::Profile;
use crate::foundations::address::{Domain, ForwardPath, ReversePath};
use crate::foundations::mail::{BodyKind, DsnWish, Envelope, Recipient};
use crate::foundations::wire::smtp::{BodyFault, BodyReader, Framing, MailParameters, RcptParameters};

/// What has been said of a mail so far. Dropping it is RSET.
#[derive(Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    declared: Option<u64>,
    body: Body,
}

/// How far the content has come.
#[derive(Debug)]
enum Body {
    /// Nothing yet.
    None,
    /// Being received.
    Reading(BodyReader),
    /// A chunk could not be taken: only RSET or a new greeting helps (RFC 3030 §2).
    Broken,
}

/// The command by which the content comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    Data,
    Bdat,
}

impl Transaction {
    pub(super) fn new(path: ReversePath, parameters: MailParameters) -> Self {
        let envelope = Envelope {
            reverse_path: path,
            recipients: Vec::new(),
            body: parameters.body.unwrap_or_default(),
            smtputf8: parameters.smtputf8,
            require_tls: parameters.require_tls,
            dsn: DsnWish { ret: parameters.ret, envelope_id: parameters.envelope_id },
        };
        Self { envelope, declared: parameters.size, body: Body::None }
    }

    pub(super) const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The SIZE parameter, when given.
    pub(super) const fn declared(&self) -> Option<u64> {
        self.declared
    }

    pub(super) fn add(&mut self, recipient: Recipient) {
        self.envelope.recipients.push(recipient);
    }

    /// Whether content has begun to come, or was refused.
    pub(super) const fn has_body(&self) -> bool {
        !matches!(self.body, Body::None)
    }

    pub(super) const fn is_broken(&self) -> bool {
        matches!(self.body, Body::Broken)
    }

    /// The reader of the content, begun when there is none.
    pub(super) fn reader(&mut self, transfer: Transfer, profile: &Profile) -> Option<&mut BodyReader> {
        if matches!(self.body, Body::None) {
            let framing = match (transfer, self.envelope.body) {
                (Transfer::Data, _) => Framing::Dots,
                (Transfer::Bdat, BodyKind::BinaryMime) => Framing::CountedBinary,
                (Transfer::Bdat, _) => Framing::CountedText,
            };
            self.body = Body::Reading(BodyReader::new(framing, profile.line_endings, profile.message_size));
        }
        self.current()
    }

    /// The reader of the content, when it is being received.
    pub(super) const fn current(&mut self) -> Option<&mut BodyReader> {
        match &mut self.body {
            Body::Reading(reader) => Some(reader),
            Body::None | Body::Broken => None,
        }
    }

    /// Octets of content held in memory.
    pub(super) fn held(&self) -> usize {
        match &self.body {
            Body::Reading(reader) => reader.len(),
            Body::None | Body::Broken => 0,
        }
    }

    /// Gives the content up.
    pub(super) fn give_up(&mut self) {
        self.body = Body::Broken;
    }

    /// How many recipients have been accepted.
    pub(super) const fn recipients(&self) -> usize {
        self.envelope.recipients.len()
    }

    /// Envelope and content, at the end.
    pub(super) fn finish(self) -> (Envelope, Result<Bytes, BodyFault>) {
        let content = match self.body {
            Body::Reading(reader) => reader.finish().map(BytesMut::freeze),
            Body::None | Body::Broken => Ok(Bytes::new()),
        };
        (self.envelope, content)
    }
}

/// The recipient of a forward-path with its parameters; `<Postmaster>` becomes ours.
pub(super) fn recipient(path: ForwardPath, parameters: RcptParameters, hostname: &Domain) -> Option<Recipient> {
    let address = match path {
        ForwardPath::Address(address) => address,
        ForwardPath::Postmaster => format!("postmaster@{hostname}").parse().ok()?,
    };
    let mut recipient = Recipient::plain(address);
    if let Some(notify) = parameters.notify {
        recipient.notify = notify;
    }
    recipient.original = parameters.original;
    Some(recipient)
}
