//! What a mailbox keeps about a message so that it need not read it again: the IMAP answers ENVELOPE, BODY and
//! BODYSTRUCTURE as ready bytes, the offsets of all parts, the date and the fields that searches use.
//!
//! Computed once, at delivery or APPEND, in time linear in the message; never fails.

mod body;
mod envelope;
mod heading;
mod listed;
mod message_id;
mod stored;
mod strings;

use super::date::HeaderDate;
use super::encoded_words::{MAX_TEXT, cut};
use super::section::Sections;
use super::text;
use super::{ContentDigest, Structure, ThreadId};
use envelope::EnvelopeFields;
pub use heading::{AddressField, FirstAddress, Heading};
pub use listed::{Kept, KeptFields, ListedFields, ListedNames};
pub use message_id::message_ids;
use message_id::thread;
pub use stored::StoredSummary;

/// The remembered facts of one message.
///
/// All offsets and sizes are those of the bytes given to [`Summary::of`]; a file with bare LF line ends must be
/// turned into CRLF first (see [`crlf`](super::crlf)), because IMAP and POP3 count and send CRLF.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The value of FETCH ENVELOPE: a parenthesised list with quoted strings and literals (RFC 9051 §7.5.2). Literals
    /// are used for whatever a quoted string cannot hold, so the bytes suit every client, with UTF8=ACCEPT or without.
    pub envelope: Vec<u8>,
    /// The value of FETCH BODY: the structure without extension data.
    pub body: Vec<u8>,
    /// The value of FETCH BODYSTRUCTURE.
    pub body_structure: Vec<u8>,
    /// Where every part lies.
    pub sections: Sections,
    /// The Date field, when there is one that can be read: for SENTBEFORE, SENTON, SENTSINCE and sorting.
    pub sent: Option<HeaderDate>,
    /// The fields that searches ask for, decoded.
    pub fields: SearchFields,
    /// The first 200 characters of the text on one line (RFC 8970 PREVIEW); empty when there is no text.
    pub preview: String,
    /// The fields that lists of messages show; `None` when they are too long to be kept.
    pub listed: Option<KeptFields>,
    /// The digest of the content, for EMAILID (RFC 8474).
    pub digest: ContentDigest,
}

/// Decoded header fields, each cut at 64 KiB in a summary; a field that occurs more than once is joined with `, `.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchFields {
    /// From, encoded words decoded.
    pub from: String,
    /// To.
    pub to: String,
    /// Cc.
    pub cc: String,
    /// Bcc.
    pub bcc: String,
    /// Subject.
    pub subject: String,
    /// Message-ID without its angle brackets.
    pub message_id: String,
    /// The first message id of In-Reply-To, without angle brackets.
    pub in_reply_to: String,
    /// The message ids of References in order, without angle brackets; at most 1,000, the last ones when there are more.
    pub references: Vec<String>,
}

impl Summary {
    /// Reads a message, however malformed.
    pub fn of(message: &[u8]) -> Self {
        let structure = Structure::of(message);
        let octets = structure.header(&structure.parts()[0]);
        let header = EnvelopeFields::of(octets);
        let mut summary = Self {
            sections: structure.sections(),
            sent: header.date.and_then(HeaderDate::read),
            fields: header.search_fields(MAX_TEXT),
            preview: text::preview(&structure),
            listed: listed::of(octets),
            digest: ContentDigest::of(message),
            ..Self::default()
        };
        header.write(&mut summary.envelope);
        body::write(&structure, body::Extensions::Without, &mut summary.body);
        body::write(&structure, body::Extensions::With, &mut summary.body_structure);
        summary
    }

    /// The thread that it belongs to (RFC 8474).
    pub fn thread(&self) -> ThreadId {
        let first_reference = self.fields.references.first().map_or("", String::as_str);
        thread(first_reference, &self.fields.in_reply_to, &self.fields.message_id, self.digest)
    }
}

impl SearchFields {
    /// Those of a header, each at most `limit` octets long.
    pub fn of(header: &[u8], limit: usize) -> Self {
        EnvelopeFields::of(header).search_fields(limit)
    }

    /// Whether this text of a summary may be only the beginning of the field.
    pub const fn may_be_cut(text: &str) -> bool {
        // Cut at a character's end, of which at most three octets were lost.
        text.len() + 4 > MAX_TEXT
    }
}

/// Appends to a text that is kept within a limit.
fn join(text: &mut String, more: &str, limit: usize) {
    if !text.is_empty() && !more.is_empty() {
        text.push_str(", ");
    }
    text.push_str(more);
    cut(text, limit);
}
