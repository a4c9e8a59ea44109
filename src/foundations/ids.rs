//! Identifiers: short, sortable by time, unique across machines.
//!
//! An identifier is 80 bits: 44 bits of milliseconds since 1970 and 36 random bits, written as 16 characters
//! of Crockford's base 32. It is safe in file names, URLs, log lines and over the telephone.

use std::fmt;
use std::str::FromStr;

use crate::foundations::clock::Timestamp;
use crate::foundations::random::distinction;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 16;

/// The text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an identifier: expected 16 characters of 0-9 and A-Z without I, L, O, U")]
pub struct InvalidId(pub String);

fn fresh(at: Timestamp) -> u128 {
    // When the system provides no random numbers the tail is zero: identifiers still sort by time, and the database's
    // primary keys refuse a collision.
    let tail = u128::from(distinction() & ((1 << 36) - 1));
    let millis = at.unix_millis().max(0).cast_unsigned();
    (u128::from(millis & ((1 << 44) - 1)) << 36) | tail
}

fn write(value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0u8; LENGTH];
    for (n, slot) in text.iter_mut().enumerate() {
        let shift = 5 * (LENGTH - 1 - n);
        *slot = ALPHABET[((value >> shift) & 31) as usize];
    }
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

fn parse(text: &str) -> Result<u128, InvalidId> {
    let invalid = || InvalidId(text.chars().take(40).collect());
    if text.len() != LENGTH {
        return Err(invalid());
    }
    text.bytes().try_fold(0u128, |value, byte| {
        let digit = ALPHABET.iter().position(|c| *c == byte.to_ascii_uppercase()).ok_or_else(invalid)?;
        Ok((value << 5) | digit as u128)
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// A new identifier that sorts by the given time.
            pub fn generate(at: Timestamp) -> Self {
                Self(fresh(at))
            }

            /// When it was made, to the millisecond.
            pub fn made_at(self) -> Timestamp {
                // 44 bits fit.
                Timestamp::from_unix_millis(i64::try_from(self.0 >> 36).unwrap_or(0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// One connection of a client, from accept to close.
    SessionId
}
id! {
    /// One message on its way through this server, from the client's DATA to the fate of the last recipient.
    MailId
}
id! {
    /// One entry of the queue: an envelope with the recipients still to be served. Shown to people as the queue id.
    QueueId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_order() {
        let early = QueueId::generate(Timestamp::from_unix_millis(1_000));
        let late = QueueId::generate(Timestamp::from_unix_millis(2_000));
        assert!(early < late);
        assert_eq!(late.made_at(), Timestamp::from_unix_millis(2_000));
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse::<QueueId>(), Ok(early));
        assert_eq!(late.to_string().to_lowercase().parse::<QueueId>(), Ok(late));
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in ["", "short", "0123456789ABCDEI", "0123456789ABCDEFG", "0123456789ABCDE\u{e9}"] {
            assert!(text.parse::<MailId>().is_err(), "{text}");
        }
    }
}
