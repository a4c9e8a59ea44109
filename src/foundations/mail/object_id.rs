//! Identifiers of mailboxes and messages that outlive names and UIDs (RFC 8474).

use std::fmt;
use std::str::FromStr;

use super::ContentDigest;
use crate::foundations::clock::Timestamp;

/// MAILBOXID: stays when a mailbox is renamed, and is never reused for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MailboxId(u64);

impl MailboxId {
    /// An identifier of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 8474 §8.1: a letter in front, so that nobody takes it for a number.
        write!(f, "F{:016x}", self.0)
    }
}

/// EMAILID: derived from what never changes about a message, its octets and its internal date. So it is the same for
/// copies, and comes out the same again when everything but the files was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EmailId {
    content: ContentDigest,
    date: i64,
}

impl EmailId {
    /// The identifier of the message with this content and internal date.
    pub const fn new(content: ContentDigest, date: Timestamp) -> Self {
        Self { content, date: date.unix_seconds() }
    }

    /// The internal date that messages with this identifier have.
    pub const fn date(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.date)
    }
}

impl fmt::Display for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("M")?;
        self.content.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        write!(f, "-{:x}", self.date.cast_unsigned())
    }
}

/// THREADID: derived from the id of the message that began the thread, as its answers name it. So it needs no storage,
/// is the same in all mailboxes, and never changes, whatever arrives later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadId(ContentDigest);

impl ThreadId {
    /// The thread that began with the message of this id, without angle brackets.
    pub fn begun_by(message_id: &[u8]) -> Self {
        Self(ContentDigest::of(message_id))
    }

    /// The thread of a message with this content, which has no id and refers to none.
    pub const fn alone(content: ContentDigest) -> Self {
        Self(content)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("T")?;
        self.0.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for ThreadId {
    type Err = InvalidThreadId;

    fn from_str(text: &str) -> Result<Self, InvalidThreadId> {
        let content = text.strip_prefix('T').ok_or(InvalidThreadId)?;
        let content = u128::from_str_radix(content, 16).map_err(|_| InvalidThreadId)?;
        let id = Self(ContentDigest(content.to_be_bytes()));
        if id.to_string() == text { Ok(id) } else { Err(InvalidThreadId) }
    }
}

/// The text is not an identifier of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the identifier of a thread")]
pub struct InvalidThreadId;

/// The text is not an identifier of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the identifier of a message")]
pub struct InvalidEmailId;

impl FromStr for EmailId {
    type Err = InvalidEmailId;

    fn from_str(text: &str) -> Result<Self, InvalidEmailId> {
        let (content, date) = text.strip_prefix('M').and_then(|rest| rest.split_once('-')).ok_or(InvalidEmailId)?;
        let content = u128::from_str_radix(content, 16).map_err(|_| InvalidEmailId)?;
        let date = u64::from_str_radix(date, 16).map_err(|_| InvalidEmailId)?.cast_signed();
        let id = Self { content: ContentDigest(content.to_be_bytes()), date };
        // Each has exactly one written form, so comparing texts equals comparing identifiers.
        if id.to_string() == text { Ok(id) } else { Err(InvalidEmailId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_written() {
        for date in [0, 1_700_000_000, -1] {
            let id = EmailId::new(ContentDigest::of(b"message"), Timestamp::from_unix_seconds(date));
            let text = id.to_string();
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{text}");
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(text.to_uppercase().parse::<EmailId>(), Err(InvalidEmailId));
            assert_eq!(text[1..].parse::<EmailId>(), Err(InvalidEmailId));
        }
        assert_eq!("M-".parse::<EmailId>(), Err(InvalidEmailId));
        let thread = ThreadId::begun_by(b"a@example.test");
        assert_eq!(thread.to_string().parse(), Ok(thread));
        for wrong in ["T", "T1", "M00", &thread.to_string().to_uppercase(), &format!("{thread}0")] {
            assert_eq!(wrong.parse::<ThreadId>(), Err(InvalidThreadId), "{wrong}");
        }
    }
}
