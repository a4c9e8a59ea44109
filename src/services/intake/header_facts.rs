//! What intake must know of a message's header, read in one pass.

use crate::foundations::mail::{HeaderSection, Message};

/// Longest Message-ID that is kept, in octets.
const LONGEST_ID: usize = 250;

/// What was found in the header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HeaderFacts {
    /// Number of Received fields.
    pub hops: u32,
    /// The Message-ID with its angle brackets.
    pub message_id: Option<String>,
}

impl HeaderFacts {
    pub(super) fn of(message: &Message) -> Self {
        let mut seen = Self::default();
        // A Message-ID that the client has left out stands among the lines that were added here.
        let [added, original] = message.pieces();
        // Where there was no header, what is added ends it.
        let original = if added.ends_with(b"\r\n\r\n") { b"" } else { original };
        for field in HeaderSection::of(added).fields().chain(HeaderSection::of(original).fields()) {
            if field.is("Received") {
                seen.hops = seen.hops.saturating_add(1);
            } else if field.is("Message-ID") && seen.message_id.is_none() {
                let id = String::from_utf8_lossy(&field.value()).into_owned();
                seen.message_id = Some(id).filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_and_message_id_come_from_the_header_only() {
        let message =
            b"received: a\r\nReceived: b\r\n c\r\nMessage-Id:\r\n <1@x>\r\nX-Spam-Flag: yes\r\n\r\nReceived: body\r\n";
        let wanted = HeaderFacts { hops: 2, message_id: Some("<1@x>".to_owned()) };
        let message = Message::new(message.to_vec());
        assert_eq!(HeaderFacts::of(&message), wanted);
        assert_eq!(HeaderFacts::of(&Message::new(b"".to_vec())), HeaderFacts::default());
        let bare = Message::new(b"Subject: x\r\n\r\nx\r\n".to_vec());
        let added = HeaderFacts { hops: 0, message_id: Some("<2@y>".to_owned()) };
        assert_eq!(HeaderFacts::of(&bare.with_prefix(b"Message-ID: <2@y>\r\n")), added);
        assert_eq!(HeaderFacts::of(&message.with_prefix(b"Message-ID: <2@y>\r\n\r\n")), added);
    }
}
