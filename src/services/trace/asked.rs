//! What somebody wants to know about.

use std::fmt;
use std::str::FromStr;

use crate::foundations::address::Address;
use crate::foundations::ids::MailId;

/// What to look for, as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// 16 characters: a queue entry, a message or a connection, whichever has this id.
    Id(String),
    /// `<…>`: a Message-ID.
    MessageId(String),
    /// `name@example.com`: an address, or a Message-ID without its brackets.
    Address(Address),
}

/// The text is nothing that could be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no Message-ID (<…@…>), no address and no id of 16 characters")]
pub struct InvalidAsked(String);

impl FromStr for Asked {
    type Err = InvalidAsked;

    fn from_str(text: &str) -> Result<Self, InvalidAsked> {
        let text = text.trim();
        if text.starts_with('<') && text.ends_with('>') {
            return Ok(Self::MessageId(text.to_owned()));
        }
        // All three kinds of ids are written alike.
        if let Ok(id) = text.parse::<MailId>() {
            return Ok(Self::Id(id.to_string()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        // A Message-ID need not look like an address (RFC 5322 §3.6.4 allows more to the right of its @).
        if text.contains('@') && !text.contains(char::is_whitespace) {
            return Ok(Self::MessageId(text.to_owned()));
        }
        Err(InvalidAsked(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(text) | Self::MessageId(text) => f.write_str(text),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_people_write() {
        assert_eq!("<1@x>".parse(), Ok(Asked::MessageId("<1@x>".to_owned())));
        assert_eq!("38gcnkey1wm34mxh".parse(), Ok(Asked::Id("38GCNKEY1WM34MXH".to_owned())));
        assert!(matches!("ann@example.test".parse(), Ok(Asked::Address(_))));
        assert_eq!("1@[no:host]".parse(), Ok(Asked::MessageId("1@[no:host]".to_owned())));
        for text in ["", "hello", "38GCN", "two words@x"] {
            assert!(text.parse::<Asked>().is_err(), "{text}");
        }
    }
}
