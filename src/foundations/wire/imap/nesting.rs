//! How the keys of a search are combined (RFC 9051 §6.4.4).
//!
//! Clients write ten senders as nine nested ORs, with or without parentheses. So parsing uses an explicit stack, and
//! the result is as flat as possible: only levels that carry meaning are limited.

use super::cursor::{Cursor, Parsed};
use super::search::SearchKey;

/// Deepest nesting that remains after flattening.
const MAX_LEVELS: usize = 32;

/// Most keys in one command, at all levels; ORs, NOTs and parentheses count as well.
const MAX_KEYS: usize = 2_000;

/// ```abnf
/// search-program = … search-key *(SP search-key)
/// search-key     = … / "NOT" SP search-key / "OR" SP search-key SP search-key / "(" search-key *(SP search-key) ")"
/// ```
pub(super) fn keys(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    let mut around: Vec<Group> = Vec::new();
    let mut group = Group::new(Kind::All);
    for _ in 0..MAX_KEYS {
        let opened = if cursor.eat(b'(') {
            Some(Kind::All)
        } else if cursor.eat_word("NOT") {
            cursor.space()?;
            Some(Kind::Not)
        } else if cursor.eat_word("OR") {
            cursor.space()?;
            Some(Kind::Either { wanted: 2 })
        } else {
            None
        };
        if let Some(kind) = opened {
            // One of the expected keys has become two.
            if !group.takes_or(kind) {
                around.push(std::mem::replace(&mut group, Group::new(kind)));
            }
            continue;
        }
        group.add(Nested { key: SearchKey::single(cursor)?, levels: 1 });
        while !group.goes_on(cursor)? {
            let Some(outer) = around.pop() else { return Ok(group.close().key) };
            if group.kind == Kind::All {
                cursor.expect(b')', "A space or closing parenthesis")?;
            }
            let inner = std::mem::replace(&mut group, outer).close();
            if inner.levels > MAX_LEVELS {
                return cursor.wanted("A search that is not nested so deeply");
            }
            group.add(inner);
        }
    }
    cursor.wanted("A search with fewer keys")
}

/// A key, and how many levels it has.
struct Nested {
    key: SearchKey,
    levels: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The whole search, or what is in parentheses.
    All,
    /// One of several, with the number still to come.
    Either { wanted: usize },
    /// The opposite of one.
    Not,
}

/// Keys that belong together, as far as they have been read.
struct Group {
    kind: Kind,
    keys: Vec<SearchKey>,
    /// Of the deepest of them.
    levels: usize,
}

impl Group {
    const fn new(kind: Kind) -> Self {
        Self { kind, keys: Vec::new(), levels: 0 }
    }

    fn takes_or(&mut self, opened: Kind) -> bool {
        match (&mut self.kind, opened) {
            (Kind::Either { wanted }, Kind::Either { .. }) => {
                *wanted += 1;
                true
            }
            _ => false,
        }
    }

    fn add(&mut self, Nested { key, levels }: Nested) {
        match (self.kind, key) {
            (Kind::All, SearchKey::And(keys)) | (Kind::Either { .. }, SearchKey::Or(keys)) => {
                self.keys.extend(keys);
                self.levels = self.levels.max(levels.saturating_sub(1));
            }
            (_, key) => {
                self.keys.push(key);
                self.levels = self.levels.max(levels);
            }
        }
        if let Kind::Either { wanted } = &mut self.kind {
            *wanted = wanted.saturating_sub(1);
        }
    }

    /// Whether another key follows that belongs to it.
    fn goes_on(&self, cursor: &mut Cursor<'_>) -> Parsed<bool> {
        match self.kind {
            Kind::All => Ok(cursor.eat(b' ')),
            Kind::Either { wanted: 0 } | Kind::Not => Ok(false),
            Kind::Either { .. } => cursor.space().map(|()| true),
        }
    }

    fn close(mut self) -> Nested {
        let more = self.levels + 1;
        match (self.kind, self.keys.pop()) {
            (Kind::Not, Some(SearchKey::Not(key))) => Nested { key: *key, levels: self.levels.saturating_sub(1) },
            (Kind::Not, Some(key)) => Nested { key: SearchKey::Not(Box::new(key)), levels: more },
            (Kind::All, Some(key)) if self.keys.is_empty() => Nested { key, levels: self.levels },
            (kind, last) => {
                self.keys.extend(last);
                let key = if kind == Kind::All { SearchKey::And(self.keys) } else { SearchKey::Or(self.keys) };
                Nested { key, levels: more }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(text: &str) -> Result<SearchKey, &'static str> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let mut cursor = Cursor::new(&bytes);
        let key = keys(&mut cursor).map_err(|error| error.wanted)?;
        cursor.end().map_err(|error| error.wanted)?;
        Ok(key)
    }

    fn levels(key: &SearchKey) -> usize {
        1 + match key {
            SearchKey::And(keys) | SearchKey::Or(keys) => keys.iter().map(levels).max().unwrap_or(0),
            SearchKey::Not(key) => levels(key),
            _ => 0,
        }
    }

    /// Some clients search for hundreds of senders in one command.
    #[test]
    fn hundreds_of_alternatives_are_one_level() {
        let wanted = SearchKey::Or((0..450).map(SearchKey::Larger).collect());
        let each = |from, to, around: fn(u64) -> String| (from..to).map(around).collect::<String>();
        for text in [
            each(0, 449, |n| format!("OR LARGER {n} ")) + "LARGER 449",
            "OR ".repeat(449) + "LARGER 0" + &each(1, 450, |n| format!(" LARGER {n}")),
            each(0, 449, |n| format!("OR (LARGER {n}) (")) + "LARGER 449" + &")".repeat(449),
        ] {
            assert_eq!(read(&text), Ok(wanted.clone()));
        }
    }

    #[test]
    fn only_levels_that_mean_something_count() {
        let all = SearchKey::All;
        assert_eq!(read(&format!("{}ALL", "NOT ".repeat(1_000))), Ok(all.clone()));
        assert_eq!(read(&format!("{}ALL", "NOT ".repeat(1_001))), Ok(SearchKey::Not(Box::new(all.clone()))));
        assert_eq!(read(&format!("{}ALL{}", "(".repeat(1_000), ")".repeat(1_000))), Ok(all));
        let both = read(&format!("{}ALL{}", "(RECENT ".repeat(900), ")".repeat(900))).expect("flat");
        assert_eq!(levels(&both), 2);
        let mixed = |times| read(&format!("{}ALL{}", "OR RECENT (RECENT ".repeat(times), ")".repeat(times)));
        assert_eq!(mixed(15).map(|key| levels(&key)), Ok(31));
        assert_eq!(mixed(17).map(|_| ()), Err("A search that is not nested so deeply"));
        assert_eq!(mixed(450).map(|_| ()), Err("A search that is not nested so deeply"));
        assert_eq!(read(&"(".repeat(10_000)).map(|_| ()), Err("A search with fewer keys"));
        assert_eq!(
            read(&format!("{}ALL", "NOT OR RECENT ".repeat(40))).map(|_| ()),
            Err("A search that is not nested so deeply")
        );
    }

    #[test]
    fn what_belongs_together_stays_so() {
        let (recent, one) = (SearchKey::Recent, SearchKey::Larger(1));
        let not = |key: &SearchKey| SearchKey::Not(Box::new(key.clone()));
        for (text, wanted) in [
            ("RECENT LARGER 1", SearchKey::And(vec![recent.clone(), one.clone()])),
            ("(RECENT (LARGER 1))", SearchKey::And(vec![recent.clone(), one.clone()])),
            (
                "OR RECENT (LARGER 1 RECENT) LARGER 1",
                SearchKey::And(vec![
                    SearchKey::Or(vec![recent.clone(), SearchKey::And(vec![one.clone(), recent.clone()])]),
                    one.clone(),
                ]),
            ),
            ("NOT OR RECENT NOT LARGER 1", not(&SearchKey::Or(vec![recent.clone(), not(&one)]))),
            (
                "or not (recent) or larger 1 recent larger 1",
                SearchKey::And(vec![SearchKey::Or(vec![not(&recent), one.clone(), recent.clone()]), one.clone()]),
            ),
            (
                "NOT (RECENT LARGER 1) RECENT",
                SearchKey::And(vec![not(&SearchKey::And(vec![recent.clone(), one])), recent]),
            ),
        ] {
            assert_eq!(read(text), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "()",
            "(ALL",
            "ALL)",
            "OR ALL",
            "OR ALL (",
            "NOT",
            "NOT ",
            "OR(ALL)(ALL)",
            "ALL ",
            "(ALL )",
            "OR ALL  ALL",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
