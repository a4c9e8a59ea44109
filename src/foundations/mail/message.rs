//! The bytes of one message.

use bytes::{Bytes, BytesMut};

/// One message, immutable, with CRLF line ends as it came over the wire. Cloning shares the bytes.
///
/// Header fields that this server adds are kept in front of the original bytes, so that neither adding one nor
/// delivering to a thousand recipients copies the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    prefix: Bytes,
    original: Bytes,
}

impl Message {
    /// A message as received.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { prefix: Bytes::new(), original: bytes.into() }
    }

    /// The same message with complete header lines (each ending in CRLF) in front.
    #[must_use]
    pub fn with_prefix(&self, lines: &[u8]) -> Self {
        let mut prefix = BytesMut::with_capacity(lines.len() + self.prefix.len());
        prefix.extend_from_slice(lines);
        prefix.extend_from_slice(&self.prefix);
        Self { prefix: prefix.freeze(), original: self.original.clone() }
    }

    /// The two pieces to write one after the other: added header lines, and the rest.
    pub fn pieces(&self) -> [&[u8]; 2] {
        [&self.prefix, &self.original]
    }

    /// What the client sent, without the lines added here.
    pub const fn original(&self) -> &Bytes {
        &self.original
    }

    /// The whole message in one piece; copies only when header lines have been added.
    pub fn bytes(&self) -> Bytes {
        if self.prefix.is_empty() {
            return self.original.clone();
        }
        let mut whole = BytesMut::with_capacity(self.len());
        whole.extend_from_slice(&self.prefix);
        whole.extend_from_slice(&self.original);
        whole.freeze()
    }

    /// Size in octets.
    pub fn len(&self) -> usize {
        self.prefix.len() + self.original.len()
    }

    /// Whether there is not a single octet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_stack_in_front() {
        let message = Message::new("Subject: x\r\n\r\nbody\r\n").with_prefix(b"B: 2\r\n").with_prefix(b"A: 1\r\n");
        assert_eq!(&message.bytes()[..], b"A: 1\r\nB: 2\r\nSubject: x\r\n\r\nbody\r\n");
        assert_eq!(message.len(), message.bytes().len());
        assert_eq!(message.original().len(), 20);
    }
}
