//! Addresses in fields and arguments written by people and programs, with or without a domain.

use std::ops::Range;

/// One item between the commas of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// The position of an address: the text between angle brackets, or a single word.
    Address(Range<usize>),
    /// Something that is not an address.
    Other(Range<usize>),
}

/// The items of a list, without comments, display names and group names (RFC 5322 §3.4).
pub(super) fn items(list: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut item = Open::default();
    let mut at = 0;
    while let Some(octet) = list.get(at) {
        let end = match octet {
            b'"' => behind(list, at, b'"'),
            b'[' => behind(list, at, b']'),
            b'(' => {
                at = behind_comment(list, at);
                item.gap = item.words.is_some();
                continue;
            }
            b'<' => {
                let end = behind(list, at, b'>');
                let closed = end > at + 1 && list[end - 1] == b'>';
                item.angle = Some(at + 1..if closed { end - 1 } else { end });
                at = end;
                continue;
            }
            b',' | b';' => {
                items.extend(std::mem::take(&mut item).close(list));
                at += 1;
                continue;
            }
            b':' => {
                // The text before it is a group name.
                item = Open::default();
                at += 1;
                continue;
            }
            octet if octet.is_ascii_whitespace() => {
                item.gap = item.words.is_some();
                at += 1;
                continue;
            }
            _ => at + 1,
        };
        item.take(at..end);
        at = end;
    }
    items.extend(item.close(list));
    items
}

/// What is known of an item that is not complete yet.
#[derive(Debug, Default)]
struct Open {
    words: Option<Range<usize>>,
    angle: Option<Range<usize>>,
    /// Whether a blank or comment has ended a word.
    gap: bool,
    /// Whether there are several words.
    phrase: bool,
}

impl Open {
    fn take(&mut self, part: Range<usize>) {
        self.phrase |= std::mem::take(&mut self.gap);
        let start = self.words.as_ref().map_or(part.start, |words| words.start);
        self.words = Some(start..part.end);
    }

    fn close(self, list: &[u8]) -> Option<Item> {
        match (self.angle, self.words) {
            (Some(angle), _) => {
                let mut inner = list[angle.clone()].trim_ascii_start();
                // RFC 5322 §4.4: a route before the address is ignored.
                if inner.starts_with(b"@")
                    && let Some(colon) = inner.iter().position(|octet| *octet == b':')
                {
                    inner = inner[colon + 1..].trim_ascii_start();
                }
                let start = angle.end - inner.len();
                let length = inner.trim_ascii_end().len();
                (length > 0).then(|| Item::Address(start..start + length))
            }
            (None, Some(words)) if self.phrase => Some(Item::Other(words)),
            (None, Some(words)) => Some(Item::Address(words)),
            (None, None) => None,
        }
    }
}

/// The position after the end of something that begins here, or the end of the list if it is not closed.
fn behind(list: &[u8], begin: usize, end: u8) -> usize {
    let mut at = begin + 1;
    let mut quoted = false;
    while let Some(octet) = list.get(at) {
        match octet {
            b'\\' => at += 1,
            b'"' if end == b'>' => quoted = !quoted,
            octet if *octet == end && !quoted => return at + 1,
            _ => {}
        }
        at += 1;
    }
    list.len()
}

/// RFC 5322 §3.2.2: comments nest.
fn behind_comment(list: &[u8], begin: usize) -> usize {
    let (mut at, mut depth) = (begin, 0_usize);
    while let Some(octet) = list.get(at) {
        match octet {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' if depth == 1 => return at + 1,
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    list.len()
}

/// Whether an address has a domain.
pub(super) fn has_domain(address: &[u8]) -> bool {
    let quoted = if address.starts_with(b"\"") { behind(address, 0, b'"') } else { 0 };
    address[quoted..].contains(&b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        for (list, wanted) in [
            ("root", vec!["root"]),
            (" root (Cron Daemon)\r\n", vec!["root"]),
            ("(comment (nested)) root", vec!["root"]),
            ("ann@a.test,bob", vec!["ann@a.test", "bob"]),
            ("Ann <ann@a.test>, \"B, C\" <bob>", vec!["ann@a.test", "bob"]),
            ("friends: ann, <bob@a.test>; root", vec!["ann", "bob@a.test", "root"]),
            ("undisclosed-recipients:;", vec![]),
            ("\"a b\"@a.test, x@[IPv6:::1]", vec!["\"a b\"@a.test", "x@[IPv6:::1]"]),
            ("< @x.test,@y.test:ann@a.test >", vec!["ann@a.test"]),
            ("<>", vec![]),
            ("", vec![]),
            (",,;", vec![]),
            ("\"un>quoted\" <\"a>b\"@a.test>", vec!["\"a>b\"@a.test"]),
            ("ann smith", vec!["!ann smith"]),
            ("<ann@a.test", vec!["ann@a.test"]),
            ("(never closed", vec![]),
            ("a\\", vec!["a\\"]),
        ] {
            let found: Vec<String> = items(list.as_bytes())
                .into_iter()
                .map(|item| match item {
                    Item::Address(at) => list[at].to_owned(),
                    Item::Other(at) => format!("!{}", &list[at]),
                })
                .collect();
            assert_eq!(found, wanted, "{list}");
        }
    }

    #[test]
    fn a_quoted_at_is_no_domain() {
        for (address, wanted) in [("root", false), ("a@b", true), ("\"a@b\"", false), ("\"a@b\"@c", true)] {
            assert_eq!(has_domain(address.as_bytes()), wanted, "{address}");
        }
    }
}
