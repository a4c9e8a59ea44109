//! Enhanced status codes.

use std::fmt;
use std::str::FromStr;

/// The first digit of a reply or enhanced status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 2: success.
    Success,
    /// 3: continue. Only in replies, never in an enhanced status.
    Intermediate,
    /// 4: temporary failure.
    Transient,
    /// 5: permanent failure.
    Permanent,
}

impl Class {
    /// The digit.
    pub const fn digit(self) -> u16 {
        match self {
            Self::Success => 2,
            Self::Intermediate => 3,
            Self::Transient => 4,
            Self::Permanent => 5,
        }
    }
}

/// An enhanced status code such as `5.1.1` (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedStatus {
    class: u16,
    subject: u16,
    detail: u16,
}

/// The text is not an enhanced status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code: expected 2.x.x, 4.x.x or 5.x.x")]
pub struct InvalidStatus;

impl EnhancedStatus {
    /// `class.subject.detail`; a class other than 2, 4 or 5 becomes 5, the other numbers are capped at 999.
    pub const fn new(class: u16, subject: u16, detail: u16) -> Self {
        let class = if matches!(class, 2 | 4 | 5) { class } else { 5 };
        let subject = if subject > 999 { 999 } else { subject };
        let detail = if detail > 999 { 999 } else { detail };
        Self { class, subject, detail }
    }

    /// The code that gives only the class: `2.0.0`, `4.0.0`, `5.0.0`.
    pub const fn general(class: Class) -> Self {
        Self::new(class.digit(), 0, 0)
    }

    /// The first number as a class.
    pub const fn class(self) -> Class {
        match self.class {
            2 => Class::Success,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// The second number: 1 addressing, 2 mailbox, 3 mail system, 4 network, 5 protocol, 6 content, 7 policy.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third number.
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl FromStr for EnhancedStatus {
    type Err = InvalidStatus;

    // RFC 3463 §2
    // status-code = class "." subject "." detail
    // class = "2"/"4"/"5"
    // subject = 1*3digit
    // detail = 1*3digit
    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let mut parts = text.split('.').map(|part| {
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten()
        });
        let (class, subject, detail) = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten());
        match (class, subject, detail, parts.next()) {
            (Some(class @ (2 | 4 | 5)), Some(subject), Some(detail), None) if text.as_bytes()[1] == b'.' => {
                Ok(Self { class, subject, detail })
            }
            _ => Err(InvalidStatus),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_writes_and_nothing_else() {
        for text in ["2.0.0", "5.1.1", "4.7.28", "5.999.999"] {
            assert_eq!(text.parse::<EnhancedStatus>().unwrap().to_string(), text);
        }
        for text in ["", "5", "5.1", "3.0.0", "5.1.1.1", "5.1000.1", "5..1", "5.+1.1", "05.1.1", "5.1.x"] {
            assert!(text.parse::<EnhancedStatus>().is_err(), "{text}");
        }
    }
}
