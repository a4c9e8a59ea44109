//! What intake wants to know of a header, in one pass.

use crate::foundations::mail::HeaderSection;

/// Longest Message-ID that is kept, in octets.
const LONGEST_ID: usize = 250;

/// What one look at the header shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// Number of Received fields.
    pub hops: u32,
    /// The Message-ID with its angle brackets.
    pub message_id: Option<String>,
}

impl Glance {
    pub(super) fn of(original: &[u8]) -> Self {
        let mut seen = Self::default();
        for field in HeaderSection::of(original).fields() {
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
    fn sees_what_it_looks_for() {
        let message =
            b"received: a\r\nReceived: b\r\n c\r\nMessage-Id:\r\n <1@x>\r\nX-Spam-Flag: yes\r\n\r\nReceived: body\r\n";
        let wanted = Glance { hops: 2, message_id: Some("<1@x>".to_owned()) };
        assert_eq!(Glance::of(message), wanted);
        assert_eq!(Glance::of(b""), Glance::default());
    }
}
