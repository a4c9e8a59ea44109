//! What a message holds, in sixteen octets.

use aws_lc_rs::digest::{SHA256, digest};

/// The first half of the SHA-256 of a message with CRLF line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ContentDigest(pub [u8; 16]);

impl ContentDigest {
    /// The digest of a message.
    pub fn of(message: &[u8]) -> Self {
        let whole = digest(&SHA256, message);
        Self(whole.as_ref().first_chunk().copied().unwrap_or_default())
    }
}
