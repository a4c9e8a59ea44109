//! The text of a statement.

use std::borrow::Cow;
use std::sync::Arc;

/// A statement with `?` for each value.
///
/// A literal converts by itself; a text assembled at run time needs [`Sql::assembled`], so that a value can never slip
/// into the text unnoticed.
#[derive(Debug, Clone)]
pub struct Sql {
    text: Cow<'static, str>,
    reuse: Reuse,
}

/// Whether the engine should keep the prepared statement for the next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    Often,
    Once,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), reuse: Reuse::Often }
    }
}

impl From<&Sql> for Sql {
    fn from(sql: &Sql) -> Self {
        sql.clone()
    }
}

impl Sql {
    /// A statement assembled from our own words (column names, a number of `?`), never from data.
    pub fn assembled(text: String) -> Self {
        Self { text: Cow::Owned(text), reuse: Reuse::Often }
    }

    /// Like [`Sql::assembled`], for a text unlikely to recur, so that no prepared statement is kept for it.
    pub fn rare(text: String) -> Self {
        Self { text: Cow::Owned(text), reuse: Reuse::Once }
    }

    /// The text with `?`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) const fn reuse(&self) -> Reuse {
        self.reuse
    }

    pub(super) fn shared(&self) -> Arc<str> {
        Arc::from(&*self.text)
    }
}

/// The same statement with `$1`, `$2`… for PostgreSQL. A `?` within quotes or a comment is left alone.
pub(super) fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut chars = sql.chars().peekable();
    let mut count = 0usize;
    while let Some(c) = chars.next() {
        match c {
            '?' => {
                count += 1;
                out.push('$');
                out.push_str(&count.to_string());
            }
            '\'' | '"' => {
                // A doubled quote ends one string and starts the next, which has the same effect here.
                out.push(c);
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == c {
                        break;
                    }
                }
            }
            '-' if chars.peek() == Some(&'-') => {
                out.push(c);
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == '\n' {
                        break;
                    }
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_what_is_not_quoted() {
        for (ours, theirs) in [
            ("SELECT 1", "SELECT 1"),
            ("a = ? AND b = ?", "a = $1 AND b = $2"),
            ("a = '?' AND \"b?\" = ?", "a = '?' AND \"b?\" = $1"),
            ("a = 'it''s ?' AND b = ? -- why?\nAND c = ?", "a = 'it''s ?' AND b = $1 -- why?\nAND c = $2"),
            ("a = 'open ?", "a = 'open ?"),
        ] {
            assert_eq!(numbered(ours), theirs);
        }
    }
}
