//! How urgent a message is, by its header. There is no standard, but two fields are widely understood (X-Priority, and
//! Importance of RFC 2156 §5.3.4).

use serde::{Deserialize, Serialize};

use crate::foundations::mail::HeaderSection;

/// Priorities other than normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Priority {
    High,
    Low,
}

impl Priority {
    /// Reads it; `None` for messages as most are.
    pub(super) fn read(header: &HeaderSection<'_>) -> Option<Self> {
        let text = |name: &str| header.first(name).map(|field| field.text().trim().to_ascii_lowercase());
        let by_number = text("X-Priority").and_then(|text| match text.chars().next()? {
            '1' | '2' => Some(Some(Self::High)),
            '3' => Some(None),
            '4' | '5' => Some(Some(Self::Low)),
            _ => None,
        });
        let by_word = || {
            let word = text("Importance").or_else(|| text("X-MSMail-Priority"))?;
            match word.as_str() {
                "high" => Some(Self::High),
                "low" => Some(Self::Low),
                _ => None,
            }
        };
        by_number.unwrap_or_else(by_word)
    }

    /// The fields that say it, for a header.
    pub(super) const fn fields(self) -> &'static str {
        match self {
            Self::High => "X-Priority: 1 (Highest)\r\nImportance: high\r\n",
            Self::Low => "X-Priority: 5 (Lowest)\r\nImportance: low\r\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_programs_write_it() {
        let cases = [
            ("Subject: x", None),
            ("X-Priority: 1 (Highest)", Some(Priority::High)),
            ("X-Priority:  2", Some(Priority::High)),
            ("X-Priority: 3 (Normal)\r\nImportance: high", None),
            ("X-Priority: 5", Some(Priority::Low)),
            ("X-Priority: soon\r\nImportance: High", Some(Priority::High)),
            ("X-Priority:", None),
            ("Importance: LOW", Some(Priority::Low)),
            ("Importance: normal", None),
            ("X-MSMail-Priority: High", Some(Priority::High)),
        ];
        for (fields, wanted) in cases {
            let message = format!("{fields}\r\n\r\nX-Priority: 1\r\n");
            assert_eq!(Priority::read(&HeaderSection::of(message.as_bytes())), wanted, "{fields}");
        }
        for priority in [Priority::High, Priority::Low] {
            let message = format!("{}\r\n", priority.fields());
            assert_eq!(Priority::read(&HeaderSection::of(message.as_bytes())), Some(priority));
        }
    }
}
