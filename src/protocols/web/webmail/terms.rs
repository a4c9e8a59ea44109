//! What people type to find messages, as the conditions that IMAP's SEARCH has.
//!
//! Words must all be there. `from:`, `to:`, `subject:` and `body:` look into one field, `is:unread` and its like at flags,
//! `has:attachment` at the parts, `before:`, `after:` and `on:` at the day of arrival, `larger:` and `smaller:` at the size; `-` in front negates, quotation
//! marks keep words together. What cannot be understood is looked for as it stands.

use chrono::NaiveDate;

use crate::foundations::settings::ByteSize;
use crate::foundations::wire::imap::{DateOf, SearchKey, SearchText, SystemFlag, When};

/// Where plain words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// In sender, recipients and subject: quick.
    Head,
    /// In the whole message.
    Whole,
}

/// Most terms of one search; further ones are left out.
const MOST_TERMS: usize = 50;

/// The condition for a text; `None` for a text without terms.
pub(super) fn key(text: &str, scope: Scope) -> Option<SearchKey> {
    let terms = terms(text).into_iter().take(MOST_TERMS).filter(|term| !term.asks_for_attachments());
    let keys: Vec<SearchKey> = terms.map(|term| term.key(scope)).collect();
    (!keys.is_empty()).then_some(SearchKey::And(keys))
}

/// Whether a text asks for messages with attachments, or for those without. IMAP has no such condition.
pub(super) fn attachments(text: &str) -> Option<bool> {
    let asking = terms(text).into_iter().take(MOST_TERMS).rfind(Term::asks_for_attachments);
    asking.map(|term| !term.negated)
}

/// The filter of the list for messages with attachments.
pub(super) const ATTACHMENTS: &str = "attachments";

/// The condition for a filter of the list; `None` for a word that is none.
pub(super) fn filter(word: &str) -> Option<SearchKey> {
    Some(match word {
        "" | "all" | ATTACHMENTS => SearchKey::All,
        word => is(word)?,
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    field: Option<String>,
    text: String,
}

/// Splits at blanks that do not stand within quotation marks.
fn terms(text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let negated = rest.len() > 1 && rest.starts_with('-') && !rest[1..].starts_with(char::is_whitespace);
        rest = &rest[usize::from(negated)..];
        let name = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let field = (name > 0 && rest[name..].starts_with(':')).then(|| rest[..name].to_ascii_lowercase());
        if field.is_some() {
            rest = &rest[name + 1..];
        }
        let (text, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        if !text.is_empty() {
            terms.push(Term { negated, field, text: text.to_owned() });
        }
        rest = after.trim_start();
    }
    terms
}

impl Term {
    fn asks_for_attachments(&self) -> bool {
        let words = ["attachment", "attachments"];
        self.field.as_deref() == Some("has") && words.iter().any(|word| self.text.eq_ignore_ascii_case(word))
    }

    fn key(self, scope: Scope) -> SearchKey {
        let key = match self.field.as_deref() {
            None => plain(&self.text, scope),
            Some(field) => {
                special(field, &self.text).unwrap_or_else(|| plain(&format!("{field}:{}", self.text), scope))
            }
        };
        if self.negated { SearchKey::Not(Box::new(key)) } else { key }
    }
}

fn special(field: &str, text: &str) -> Option<SearchKey> {
    let arrived = |when| Some(SearchKey::Date { of: DateOf::Internal, when, date: text.parse::<NaiveDate>().ok()? });
    match field {
        "from" | "to" | "cc" | "bcc" | "subject" => Some(header(field, text)),
        "body" | "text" => Some(SearchKey::Body(SearchText(text.into()))),
        "is" | "has" => is(text),
        "before" => arrived(When::Before),
        "after" | "since" => arrived(When::Since),
        "on" => arrived(When::On),
        "larger" => Some(SearchKey::Larger(ByteSize::parse(text)?.get())),
        "smaller" => Some(SearchKey::Smaller(ByteSize::parse(text)?.get())),
        _ => None,
    }
}

fn is(word: &str) -> Option<SearchKey> {
    let flag = |flag| Some(SearchKey::Flag(flag));
    match word {
        "read" | "seen" => flag(SystemFlag::Seen),
        "unread" | "unseen" | "new" => Some(SearchKey::Not(Box::new(SearchKey::Flag(SystemFlag::Seen)))),
        "flagged" | "starred" => flag(SystemFlag::Flagged),
        "answered" => flag(SystemFlag::Answered),
        "forwarded" => Some(SearchKey::Keyword("$Forwarded".into())),
        "draft" => flag(SystemFlag::Draft),
        _ => None,
    }
}

fn plain(text: &str, scope: Scope) -> SearchKey {
    match scope {
        Scope::Whole => SearchKey::Text(SearchText(text.into())),
        Scope::Head => {
            let either = |a, b| SearchKey::Or(Box::new((a, b)));
            let people = either(header("to", text), header("cc", text));
            either(either(header("from", text), header("subject", text)), people)
        }
    }
}

fn header(field: &str, text: &str) -> SearchKey {
    SearchKey::Header { field: field.to_owned(), text: SearchText(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let shown = |term: &Term| {
            format!("{}{}={}", if term.negated { "-" } else { "" }, term.field.as_deref().unwrap_or(""), term.text)
        };
        terms(text).iter().map(shown).collect()
    }

    #[test]
    fn terms_are_parted() {
        for (text, wanted) in [
            ("", vec![]),
            ("  a  b ", vec!["=a", "=b"]),
            ("\"a b\" c", vec!["=a b", "=c"]),
            ("from:ann -subject:\"big news\" -x", vec!["from=ann", "-subject=big news", "-=x"]),
            ("\"never closed", vec!["=never closed"]),
            ("- a -", vec!["=-", "=a", "=-"]),
            ("from: x", vec!["=x"]),
            ("grün:x http://a", vec!["=grün:x", "http=//a"]),
        ] {
            assert_eq!(split(text), wanted, "{text}");
        }
    }

    #[test]
    fn attachments_are_asked_for_beside_the_rest() {
        assert_eq!(attachments("from:ann has:attachment"), Some(true));
        assert_eq!(attachments("-has:Attachments"), Some(false));
        assert_eq!(attachments("attachment has:unread"), None);
        assert_eq!(key("has:attachment", Scope::Head), None);
        assert_eq!(key("larger:1M -has:attachment", Scope::Head), key("larger:1M", Scope::Head));
        assert_eq!(filter(ATTACHMENTS), Some(SearchKey::All));
    }

    #[test]
    fn what_makes_no_sense_is_text() {
        assert_eq!(key(" ", Scope::Head), None);
        assert_eq!(
            key("before:soon", Scope::Whole),
            Some(SearchKey::And(vec![SearchKey::Text(SearchText(b"before:soon".to_vec()))]))
        );
        assert_eq!(key("larger:1M", Scope::Head), Some(SearchKey::And(vec![SearchKey::Larger(1 << 20)])));
        assert!(filter("unread").is_some() && filter("") == Some(SearchKey::All) && filter("x").is_none());
    }
}
