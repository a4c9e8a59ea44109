//! Search text as typed by users, as conditions.
//!
//! All words must match; with `OR` between two of them one is enough. `from:`, `to:`, `cc:`, `bcc:`, `subject:` and `body:` look into
//! one field, `is:unread` and its like at flags, `has:attachment` at the parts, `filename:` at the names of files, `in:` at the folder, `before:`,
//! `after:` and `on:` at the day of arrival, `larger:` and `smaller:` at the size; `-` in front negates, quotation marks keep words together.
//! Any other word before a colon is ordinary text; invalid values of these are rejected.

use chrono::NaiveDate;

use super::answer::{Answer, Problem};
use super::reasons;
use super::sought::Sought;
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

/// Most terms of one search.
const MOST_TERMS: usize = 50;

/// The condition for a text; `None` for a text without terms.
pub(super) fn sought(text: &str, scope: Scope) -> Answer<Option<Sought>> {
    let terms = terms(text);
    if terms.len() > MOST_TERMS {
        return Err(Problem::of(&reasons::SEARCH_LONG).with("most", MOST_TERMS));
    }
    // Each holds what `OR` joins.
    let mut groups: Vec<Vec<Sought>> = Vec::new();
    let mut joins = false;
    for term in terms {
        if term.is_or() {
            if joins || groups.is_empty() {
                return Err(Problem::of(&reasons::SEARCH_OR));
            }
            joins = true;
            continue;
        }
        let one = term.sought(scope)?;
        match groups.last_mut().filter(|_| joins) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
        joins = false;
    }
    if joins {
        return Err(Problem::of(&reasons::SEARCH_OR));
    }
    let group = |mut group: Vec<Sought>| if group.len() == 1 { group.remove(0) } else { Sought::Any(group) };
    let all: Vec<Sought> = groups.into_iter().map(group).collect();
    Ok((!all.is_empty()).then_some(Sought::All(all)))
}

/// The filter of the list for messages with attachments.
pub(super) const ATTACHMENTS: &str = "attachments";

/// The condition for a filter of the list, if it has one; refuses a word that is none.
pub(super) fn filter(word: &str) -> Answer<Option<Sought>> {
    let wrong =
        || Problem::bad("`filter` must be all, unread, read, flagged, answered, forwarded, draft or attachments.");
    Ok(match word {
        "" | "all" => None,
        ATTACHMENTS => Some(Sought::Attachment),
        word => Some(Sought::Key(is(word).ok_or_else(wrong)?)),
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    field: Option<String>,
    text: String,
    quoted: bool,
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
        let quoted = rest.starts_with('"');
        let (text, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        if !text.is_empty() || field.is_some() {
            terms.push(Term { negated, field, text: text.to_owned(), quoted });
        }
        rest = after.trim_start();
    }
    terms
}

impl Term {
    /// In large letters: `or` is a word that may be looked for.
    fn is_or(&self) -> bool {
        self.text == "OR" && !self.quoted && !self.negated && self.field.is_none()
    }

    fn sought(self, scope: Scope) -> Answer<Sought> {
        let found = match self.field.as_deref() {
            None => Sought::Key(plain(&self.text, scope)),
            Some(field) => match special(field, self.text.trim())? {
                Some(sought) => sought,
                None => Sought::Key(plain(&format!("{field}:{}", self.text), scope)),
            },
        };
        Ok(if self.negated { Sought::Not(Box::new(found)) } else { found })
    }
}

/// The condition for a field; `None` for a field that is none.
fn special(field: &str, text: &str) -> Answer<Option<Sought>> {
    if FIELDS.contains(&field) && text.trim_matches('*').is_empty() {
        return Err(Problem::of(&reasons::SEARCH_EMPTY).with("field", field));
    }
    let refuse = |reason| Problem::of(reason).with("field", field).with("text", text);
    let arrived = |when| {
        let date = text.parse::<NaiveDate>().map_err(|_| refuse(&reasons::SEARCH_DATE))?;
        Answer::Ok(SearchKey::Date { of: DateOf::Internal, when, date })
    };
    let size = || ByteSize::parse(text).map(|size| size.get()).ok_or_else(|| refuse(&reasons::SEARCH_SIZE));
    Ok(Some(Sought::Key(match field {
        "from" | "to" | "cc" | "bcc" | "subject" => header(field, text),
        "body" | "text" => SearchKey::Body(SearchText(text.into())),
        "has" if ["attachment", "attachments"].iter().any(|word| text.eq_ignore_ascii_case(word)) => {
            return Ok(Some(Sought::Attachment));
        }
        "is" | "has" => is(&text.to_ascii_lowercase()).ok_or_else(|| refuse(&reasons::SEARCH_IS))?,
        "filename" => return Ok(Some(Sought::FileName(text.trim_matches('*').to_lowercase()))),
        "in" => return Ok(Some(Sought::In(text.to_owned()))),
        "before" => arrived(When::Before)?,
        "after" | "since" => arrived(When::Since)?,
        "on" => arrived(When::On)?,
        "larger" => SearchKey::Larger(size()?),
        "smaller" => SearchKey::Smaller(size()?),
        _ => return Ok(None),
    })))
}

const FIELDS: [&str; 17] = [
    "from", "to", "cc", "bcc", "subject", "body", "text", "has", "is", "filename", "in", "before", "after", "since",
    "on", "larger", "smaller",
];

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
        Scope::Head => SearchKey::Or(["from", "subject", "to", "cc"].map(|field| header(field, text)).into()),
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

    fn read(text: &str) -> Option<Sought> {
        sought(text, Scope::Whole).unwrap()
    }

    fn word(text: &str) -> Sought {
        Sought::Key(SearchKey::Text(SearchText(text.into())))
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
            ("from: x", vec!["from=", "=x"]),
            ("grün:x http://a", vec!["=grün:x", "http=//a"]),
        ] {
            assert_eq!(split(text), wanted, "{text}");
        }
    }

    #[test]
    fn or_joins_what_stands_beside_it() {
        let all = |all: Vec<Sought>| Some(Sought::All(all));
        assert_eq!(read("a b"), all(vec![word("a"), word("b")]));
        assert_eq!(read("a OR b OR c d"), all(vec![Sought::Any(vec![word("a"), word("b"), word("c")]), word("d")]));
        let not = Sought::Not(Box::new(word("b")));
        assert_eq!(read("a OR -b"), all(vec![Sought::Any(vec![word("a"), not])]));
        for text in ["a or b", "a \"OR\" b", "a -OR b"] {
            assert_eq!(read(text).map(|it| matches!(it, Sought::All(all) if all.len() == 3)), Some(true), "{text}");
        }
        for wrong in ["OR", "OR a", "a OR", "a OR OR b"] {
            assert!(sought(wrong, Scope::Head).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_and_folders_are_asked_for() {
        let only = |text: &str| match read(text) {
            Some(Sought::All(mut all)) if all.len() == 1 => all.remove(0),
            other => panic!("{other:?}"),
        };
        assert_eq!((only("has:attachment"), only("HAS:Attachments")), (Sought::Attachment, Sought::Attachment));
        assert_eq!(only("filename:*.PDF"), Sought::FileName(".pdf".to_owned()));
        assert_eq!(only("in:\"My folder\""), Sought::In("My folder".to_owned()));
        assert_eq!(only("larger:1M"), Sought::Key(SearchKey::Larger(1 << 20)));
        assert_eq!(only("-has:attachment"), Sought::Not(Box::new(Sought::Attachment)));
        assert_eq!(filter(ATTACHMENTS).unwrap(), Some(Sought::Attachment));
        assert!(filter("unread").unwrap().is_some() && filter("").unwrap().is_none() && filter("x").is_err());
    }

    #[test]
    fn what_a_field_cannot_mean_is_refused() {
        assert_eq!(read(" "), None);
        assert_eq!(read("http://a"), Some(Sought::All(vec![word("http://a")])));
        for wrong in [
            "before:soon",
            "on:2026-02-30",
            "larger:much",
            "smaller:",
            "is:wonderful",
            "has:",
            "from:",
            "filename:*",
            "in:",
        ] {
            assert!(sought(wrong, Scope::Whole).is_err(), "{wrong}");
        }
        assert!(sought(&"x ".repeat(MOST_TERMS + 1), Scope::Head).is_err());
    }
}
