//! What a message needs of the next host, and whether the host has it.

use super::{Scope, Trouble};
use crate::foundations::address::ReversePath;
use crate::foundations::mail::{
    BodyKind, CutInLines, Envelope, HeaderSection, Message, Recipient, Unconvertible, cut_in_lines,
};
use crate::foundations::wire::smtp::{EnhancedStatus, Extensions, MailParameters};

/// What the content is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    /// Addresses or header outside ASCII.
    smtputf8: bool,
    content: Content,
    /// Whether the sender declared it as more than 7-bit.
    declared: BodyKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    SevenBit,
    EightBit,
    /// Octets that have no place in lines.
    Binary,
}

/// How the message is to be transmitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) parameters: MailParameters,
    pub(super) transfer: Transfer,
    pub(super) conversion: Conversion,
}

/// Whether the content is made fit for a host that takes 7-bit lines only (RFC 6152 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    None,
    /// If it can be; otherwise it goes as it is.
    Wanted,
    /// Without it the message goes back.
    Needed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    Data,
    Bdat,
}

impl Needs {
    pub(super) fn of(envelope: &Envelope, recipients: &[Recipient], message: &Message) -> Self {
        let eight_bit = message.pieces().iter().any(|piece| !piece.is_ascii());
        // RFC 6531 §3.4: what was marked as international needs the extension only if something in it is.
        let sender = envelope.reverse_path.address().is_some_and(|address| address.needs_smtputf8());
        let international = sender || recipients.iter().any(|recipient| recipient.address.needs_smtputf8());
        let header = || eight_bit && !HeaderSection::of(&message.bytes()).lines().is_ascii();
        let content = match eight_bit {
            // Only a sender that used BDAT can have sent what has no lines.
            _ if envelope.body == BodyKind::BinaryMime && cut_in_lines(&message.bytes()) != CutInLines::Yes => {
                Content::Binary
            }
            true => Content::EightBit,
            false => Content::SevenBit,
        };
        Self { smtputf8: international || (envelope.smtputf8 && header()), content, declared: envelope.body }
    }

    /// How to send it to a host with these extensions; why it cannot be, if it cannot. The size is told by [`Manner::measure`].
    pub(super) fn manner(&self, envelope: &Envelope, offered: &Extensions) -> Result<Manner, Trouble> {
        // RFC 6531 §3.2
        if self.smtputf8 && !offered.smtputf8 {
            return Err(no_utf8());
        }
        let (body, transfer, conversion) = match self.content {
            Content::SevenBit => (None, Transfer::Data, Conversion::None),
            Content::EightBit if offered.eight_bit_mime => {
                (Some(BodyKind::EightBitMime), Transfer::Data, Conversion::None)
            }
            // Undeclared 8-bit content goes as it came: the sender never asked for more than passing it on.
            Content::EightBit if self.declared == BodyKind::SevenBit => (None, Transfer::Data, Conversion::None),
            // A notification can be returned to nobody: better that its words arrive garbled than that nobody learns
            // what became of the mail.
            Content::EightBit if envelope.reverse_path == ReversePath::Null => {
                (None, Transfer::Data, Conversion::Wanted)
            }
            Content::Binary if offered.binary_mime && offered.chunking => {
                (Some(BodyKind::BinaryMime), Transfer::Bdat, Conversion::None)
            }
            // RFC 6152 §3, RFC 3030 §3
            Content::EightBit | Content::Binary => (None, Transfer::Data, Conversion::Needed),
        };
        let parameters = MailParameters {
            size: None,
            body,
            smtputf8: self.smtputf8,
            ret: envelope.dsn.ret.filter(|_| offered.dsn),
            envelope_id: envelope.dsn.envelope_id.clone().filter(|_| offered.dsn),
            auth: None,
            require_tls: envelope.require_tls && offered.require_tls,
        };
        Ok(Manner { parameters, transfer, conversion })
    }
}

impl Manner {
    /// Notes the size of what is sent, and asks whether the host takes as much.
    pub(super) fn measure(&mut self, size: usize, offered: &Extensions) -> Result<(), Trouble> {
        let size = size as u64;
        // RFC 1870 §6.1
        if let Some(limit) = offered.size.filter(|limit| *limit > 0 && size > *limit) {
            let text = format!("The message has {size} octets; the next host takes at most {limit}");
            return Err(permanent(3, 4, text));
        }
        self.parameters.size = offered.size.map(|_| size);
        Ok(())
    }
}

/// RFC 6152 §3: what cannot be passed on is returned. RFC 3463 §3.7: 5.6.3, a conversion that is needed and not supported.
pub(super) fn unfit(why: &Unconvertible) -> Trouble {
    permanent(
        6,
        3,
        format!("The next host takes 7-bit lines only (no 8BITMIME), and the message cannot be made so: {why}"),
    )
}

/// RFC 6531 §3.5
pub(super) fn no_utf8() -> Trouble {
    permanent(6, 7, "The next host does not take addresses or header fields in UTF-8 (SMTPUTF8)")
}

fn permanent(subject: u16, detail: u16, text: impl Into<String>) -> Trouble {
    Trouble::ours(EnhancedStatus::new(5, subject, detail), text, Scope::Message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(body: BodyKind) -> Envelope {
        let reverse_path = ReversePath::Address("ann@example.test".parse().unwrap());
        Envelope { body, smtputf8: true, ..Envelope::plain(reverse_path, vec![]) }
    }

    fn manner(to: &str, body: BodyKind, message: &str, offered: Extensions) -> Result<Manner, String> {
        let envelope = envelope(body);
        let recipients = [Recipient::plain(to.parse().unwrap())];
        let needs = Needs::of(&envelope, &recipients, &Message::new(message.to_owned()));
        let mut manner = needs.manner(&envelope, &offered).map_err(|trouble| trouble.status.to_string())?;
        manner.measure(message.len(), &offered).map_err(|trouble| trouble.status.to_string())?;
        Ok(manner)
    }

    #[test]
    fn extensions_are_asked_for_only_if_the_message_needs_them() {
        let nothing = Extensions::default;
        let bob = "bob@example.net";
        let plain = "Subject: a\r\n\r\nb\r\n";
        let sent = manner(bob, BodyKind::EightBitMime, plain, nothing()).unwrap();
        let (parameters, transfer) = (MailParameters::default(), Transfer::Data);
        assert_eq!(sent, Manner { parameters, transfer, conversion: Conversion::None });
        let eight = "Subject: a\r\n\r\n\u{e9}\r\n";
        let sent = manner(bob, BodyKind::EightBitMime, eight, nothing()).unwrap();
        assert_eq!((sent.parameters.body, sent.conversion), (None, Conversion::Needed));
        assert_eq!(manner(bob, BodyKind::SevenBit, eight, nothing()).unwrap().conversion, Conversion::None);
        let notification = Envelope { reverse_path: ReversePath::Null, ..envelope(BodyKind::EightBitMime) };
        let needs =
            Needs::of(&notification, &[Recipient::plain(bob.parse().unwrap())], &Message::new(eight.to_owned()));
        let sent = needs.manner(&notification, &nothing()).unwrap();
        assert_eq!((sent.parameters.body, sent.conversion), (None, Conversion::Wanted));
        let offered = Extensions { eight_bit_mime: true, ..nothing() };
        let sent = manner(bob, BodyKind::EightBitMime, eight, offered.clone()).unwrap();
        assert_eq!((sent.parameters.body, sent.parameters.smtputf8), (Some(BodyKind::EightBitMime), false));
        let header = "Subject: \u{e9}\r\n\r\nb\r\n";
        assert_eq!(manner(bob, BodyKind::EightBitMime, header, offered.clone()), Err("5.6.7".to_owned()));
        assert_eq!(manner("jos\u{e9}@example.net", BodyKind::SevenBit, plain, offered), Err("5.6.7".to_owned()));
        let offered = Extensions { size: Some(5), ..nothing() };
        assert_eq!(manner(bob, BodyKind::SevenBit, plain, offered), Err("5.3.4".to_owned()));
        let offered = Extensions { size: Some(0), ..nothing() };
        assert_eq!(manner(bob, BodyKind::SevenBit, plain, offered).unwrap().parameters.size, Some(17));
    }

    #[test]
    fn binary_content_is_found_by_looking() {
        let offered = Extensions { chunking: true, binary_mime: true, ..Extensions::default() };
        let binary = manner("b@c.test", BodyKind::BinaryMime, "A: b\r\n\r\nc\nd", offered.clone()).unwrap();
        assert_eq!((binary.transfer, binary.parameters.body), (Transfer::Bdat, Some(BodyKind::BinaryMime)));
        let lines = manner("b@c.test", BodyKind::BinaryMime, "A: b\r\n\r\nc\r\nd", offered).unwrap();
        assert_eq!((lines.transfer, lines.conversion), (Transfer::Data, Conversion::None));
        // RFC 3030 §3: 8BITMIME alone is not enough for it.
        let offered = Extensions { eight_bit_mime: true, chunking: true, ..Extensions::default() };
        let binary = manner("b@c.test", BodyKind::BinaryMime, "A: b\r\n\r\nc\nd", offered).unwrap();
        assert_eq!((binary.transfer, binary.parameters.body), (Transfer::Data, None));
        assert_eq!(binary.conversion, Conversion::Needed);
    }
}
