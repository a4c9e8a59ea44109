use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};

/// The name of an object: the SHA-256 of its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(super) [u8; 32]);

/// The text is not a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an object: expected 64 hexadecimal digits")]
pub struct InvalidObjectId(String);

/// The values of hexadecimal digits, and more than 15 for all other characters.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

impl ObjectId {
    /// The name of this content.
    pub fn of(content: &[u8]) -> Self {
        Self::from_digest(digest(&SHA256, content).as_ref())
    }

    pub(super) fn from_digest(digest: &[u8]) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(digest);
        Self(id)
    }

    /// From hexadecimal digits.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut id = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        let mut seen = 0;
        for (octet, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
            seen |= high | low;
            *octet = high << 4 | low & 15;
        }
        (seen < 16).then_some(Self(id))
    }

    /// As hexadecimal digits.
    pub fn hex(&self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, octet) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(octet >> 4)];
            pair[1] = DIGITS[usize::from(octet & 15)];
        }
        hex
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidObjectId;
    fn from_str(text: &str) -> Result<Self, InvalidObjectId> {
        Self::from_hex(text.as_bytes()).ok_or_else(|| InvalidObjectId(text.chars().take(80).collect()))
    }
}

impl serde::Serialize for ObjectId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ObjectId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_sha256sum_does() {
        let id = ObjectId::of(b"abc");
        assert_eq!(id.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(format!("{}g", "b".repeat(63)).parse::<ObjectId>().is_err());
        assert!("BA".repeat(32).parse::<ObjectId>().is_err());
        assert!("ba".repeat(31).parse::<ObjectId>().is_err());
    }
}
