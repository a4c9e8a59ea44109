//! The part before the `@`.

use std::fmt;
use std::str::FromStr;

use crate::foundations::said::{Said, said};

/// The text is not a local part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said().text)]
pub enum InvalidLocalPart {
    /// Nothing before the `@`.
    Empty,
    /// A character that neither an atom nor a quoted string may hold there.
    Character(char),
    /// A quoted string without its end.
    Quotes,
    /// A dot at the start, at the end or next to another.
    Dots,
}

impl InvalidLocalPart {
    /// As a part of a sentence.
    pub fn said(&self) -> Said {
        match self {
            Self::Empty => said!("local-part-empty", "the part before the @ is empty"),
            Self::Character(character) => said!(
                "local-part-character",
                "the part before the @ holds {character}, which is not allowed there; quote it if it belongs to the name",
                character = format!("{character:?}")
            ),
            Self::Quotes => said!("local-part-quotes", "the quotes before the @ are not closed"),
            Self::Dots => said!("local-part-dots", "the part before the @ has a dot at an end or two in a row"),
        }
    }
}

/// A local part, stored unquoted: quotes and backslashes of the wire form are removed, and restored by `Display` only
/// where they are needed (RFC 5321 §4.1.2: the quoted form and the plain form are the same mailbox).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(String);

impl LocalPart {
    /// Octets of a local part that every server must accept (RFC 5321 §4.5.3.1.1). Other servers' addresses may be as
    /// long as the path allows (§4.5.3.1: impose no more limits than necessary): senders of bulk mail embed the
    /// recipient's address, rewritten senders somebody else's.
    pub const TAKEN_EVERYWHERE: usize = 64;

    /// The name without quotes or escapes.
    pub fn value(&self) -> &str {
        &self.0
    }

    /// Splits `user+tag` at the first separator that has something before it.
    pub fn split_tag(&self, separator: char) -> Option<(Self, String)> {
        let at = self.0.find(separator).filter(|at| *at > 0)?;
        let base = Self(self.0[..at].to_owned());
        Some((base, self.0[at + separator.len_utf8()..].to_owned()))
    }

    /// The text after `SRS0` or `SRS1` in a rewritten sender (SRS), starting with the separator, which may be one of
    /// three.
    pub fn after_srs<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
        let (head, rest) = (text.get(..4)?, text.get(4..)?);
        (head.eq_ignore_ascii_case(scheme) && rest.starts_with(['=', '+', '-'])).then_some(rest)
    }

    fn is_dot_string(text: &str) -> bool {
        !text.is_empty() && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
    }
}

/// RFC 5322 §3.2.3 `atext`, with RFC 6531 §3.3 for what is not ASCII.
fn is_atext(c: char) -> bool {
    match c {
        c if c.is_ascii() => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c),
        c => !c.is_control() && !c.is_whitespace(),
    }
}

impl FromStr for LocalPart {
    type Err = InvalidLocalPart;

    fn from_str(text: &str) -> Result<Self, InvalidLocalPart> {
        let value = match text.strip_prefix('"') {
            Some(rest) => unquote(rest)?,
            None if text.is_empty() => return Err(InvalidLocalPart::Empty),
            None if Self::is_dot_string(text) => text.to_owned(),
            None => {
                let wrong = text.chars().find(|c| *c != '.' && !is_atext(*c));
                return Err(wrong.map_or(InvalidLocalPart::Dots, InvalidLocalPart::Character));
            }
        };
        if value.is_empty() { Err(InvalidLocalPart::Empty) } else { Ok(Self(value)) }
    }
}

/// RFC 5321 §4.1.2 `Quoted-string`, after its opening quote.
fn unquote(rest: &str) -> Result<String, InvalidLocalPart> {
    let mut value = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return if chars.as_str().is_empty() { Ok(value) } else { Err(InvalidLocalPart::Character('"')) },
            '\\' => match chars.next() {
                Some(escaped) if escaped == ' ' || escaped.is_ascii_graphic() => value.push(escaped),
                Some(escaped) => return Err(InvalidLocalPart::Character(escaped)),
                None => return Err(InvalidLocalPart::Quotes),
            },
            c if c.is_control() => return Err(InvalidLocalPart::Character(c)),
            c => value.push(c),
        }
    }
    Err(InvalidLocalPart::Quotes)
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if Self::is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}
