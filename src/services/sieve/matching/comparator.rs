//! Comparators (RFC 4790, RFC 5051).

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::memmem;

use crate::foundations::mail::text::casemap;

/// A comparator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services::sieve) enum Comparator {
    /// RFC 4790 §9.2.
    AsciiCasemap,
    /// RFC 4790 §9.1.
    AsciiNumeric,
    /// RFC 4790 §9.3.
    Octet,
    /// RFC 5051.
    UnicodeCasemap,
}

impl Comparator {
    pub(in crate::services::sieve) const NAMES: &[&str] =
        &["i;octet", "i;ascii-casemap", "i;unicode-casemap", "i;ascii-numeric"];

    pub(in crate::services::sieve) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "i;ascii-casemap" => Self::AsciiCasemap,
            "i;ascii-numeric" => Self::AsciiNumeric,
            "i;octet" => Self::Octet,
            "i;unicode-casemap" => Self::UnicodeCasemap,
            _ => return None,
        })
    }

    /// The cost per octet of a text that is compared as a whole, in octets of work.
    pub(super) const fn cost(self) -> usize {
        match self {
            Self::AsciiCasemap | Self::AsciiNumeric | Self::Octet => 1,
            Self::UnicodeCasemap => 8,
        }
    }

    /// The same for one that is compared character by character.
    pub(super) const fn cost_of_character(self) -> usize {
        match self {
            Self::AsciiCasemap | Self::AsciiNumeric | Self::Octet => 1,
            // Two texts are made for each (`same`).
            Self::UnicodeCasemap => 50,
        }
    }

    pub(super) fn order(self, one: &str, other: &str) -> Ordering {
        match self {
            Self::Octet => one.cmp(other),
            Self::AsciiCasemap => {
                let upper = |text: &'_ str| text.bytes().map(|b| b.to_ascii_uppercase()).collect::<Vec<u8>>();
                if one.len() == other.len() && one.eq_ignore_ascii_case(other) {
                    Ordering::Equal
                } else {
                    upper(one).cmp(&upper(other))
                }
            }
            Self::UnicodeCasemap => casemap(one).cmp(&casemap(other)),
            Self::AsciiNumeric => numeric(one, other),
        }
    }

    pub(super) fn contains(self, text: &str, part: &str) -> bool {
        let found = |text: &[u8], part: &[u8]| memmem::find(text, part).is_some();
        match self {
            Self::Octet | Self::AsciiNumeric => found(text.as_bytes(), part.as_bytes()),
            Self::AsciiCasemap => found(&text.as_bytes().to_ascii_lowercase(), &part.as_bytes().to_ascii_lowercase()),
            Self::UnicodeCasemap => found(casemap(text).as_bytes(), casemap(part).as_bytes()),
        }
    }

    /// Whether two characters are the same, for wildcards, whose matches must be found in the text as it was.
    pub(super) fn same(self, one: char, other: char) -> bool {
        let mapped = |c: char| -> String {
            let mut buffer = [0; 4];
            match casemap(c.encode_utf8(&mut buffer)) {
                Cow::Borrowed(text) => text.to_owned(),
                Cow::Owned(text) => text,
            }
        };
        one == other
            || match self {
                Self::Octet | Self::AsciiNumeric => false,
                Self::AsciiCasemap => one.eq_ignore_ascii_case(&other),
                Self::UnicodeCasemap if one.is_ascii() && other.is_ascii() => one.eq_ignore_ascii_case(&other),
                Self::UnicodeCasemap => mapped(one) == mapped(other),
            }
    }
}

/// RFC 4790 §9.1.1: digits at the beginning count, and what has none there is positive infinity.
fn numeric(one: &str, other: &str) -> Ordering {
    let digits = |text: &'_ str| -> Option<String> {
        let length = text.bytes().take_while(u8::is_ascii_digit).count();
        (length > 0).then(|| text[..length].trim_start_matches('0').to_owned())
    };
    match (digits(one), digits(other)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => one.len().cmp(&other.len()).then_with(|| one.cmp(&other)),
    }
}
