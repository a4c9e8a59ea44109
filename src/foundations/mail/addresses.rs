//! Address lists in header fields (RFC 5322 §3.4), in whatever state they are.
//!
//! Gives the pieces as ENVELOPE shows them; nothing is checked, so the result need not be deliverable. A list is read
//! in linear time and, unless stated otherwise, at most [`MAX_ENTRIES`] entries of it.

use memchr::{memchr, memrchr};

/// Most entries of one list that are read, group marks included.
pub const MAX_ENTRIES: usize = 1_000;

/// One entry of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `name:`, before the members of a group.
    GroupStart(Vec<u8>),
    /// `;`, after them.
    GroupEnd,
    /// An address.
    Mailbox(Mailbox),
}

/// One address with its name; quotes and escapes are removed, encoded words left as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mailbox {
    /// The display name, or the comment after an address without one.
    pub name: Option<Vec<u8>>,
    /// The obsolete route between `<` and `:` (RFC 5322 §4.4).
    pub route: Option<Vec<u8>>,
    /// What stands before the last `@`; all of it when there is none.
    pub local: Vec<u8>,
    /// What stands after it; empty when there is none.
    pub domain: Vec<u8>,
}

impl Mailbox {
    /// `local@domain` as text, without quoting; only the local part when there is no domain.
    pub fn address(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.local).into_owned();
        if !self.domain.is_empty() {
            text.push('@');
            text.push_str(&String::from_utf8_lossy(&self.domain));
        }
        text
    }
}

/// Reads a field's value, folded or not.
pub fn read(value: &[u8]) -> Vec<Entry> {
    read_at_most(value, MAX_ENTRIES)
}

/// Reads at most this many entries of a field's value, and one more if the limit falls within a group.
pub fn read_at_most(value: &[u8], most: usize) -> Vec<Entry> {
    let last_quote = memrchr(b'"', value).unwrap_or(0);
    let mut reader =
        Reader { bytes: value, at: 0, last_quote, in_group: false, after_angle: false, entries: Vec::new() };
    while reader.entries.len() < most && reader.entry() {}
    if reader.in_group {
        reader.entries.push(Entry::GroupEnd);
    }
    reader.entries
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Offset of the last quotation mark: without a later one it opens nothing.
    last_quote: usize,
    in_group: bool,
    /// The last entry ended with `>` and no separator has come since.
    after_angle: bool,
    entries: Vec<Entry>,
}

/// Words up to a mark, with quotes, escapes and comments taken out.
#[derive(Default)]
struct Words {
    text: Vec<u8>,
    /// Where in `text` the last unquoted `@` stands.
    at_sign: Option<usize>,
    comment: Option<Vec<u8>>,
    /// Whether a quoted string was among them: an empty one is a name too.
    quoted: bool,
}

impl Reader<'_> {
    /// Reads up to the end of one entry; `false` at the end of the list.
    fn entry(&mut self) -> bool {
        let words = self.words(if self.in_group { b",;<" } else { b",;<:" });
        let mark = self.bytes.get(self.at).copied();
        self.at += usize::from(mark.is_some());
        match mark {
            Some(b'<') => {
                let mailbox = self.angle(words);
                self.entries.push(Entry::Mailbox(mailbox));
                self.after_angle = true;
                return true;
            }
            Some(b':') => {
                self.entries.push(Entry::GroupStart(words.text));
                self.in_group = true;
            }
            _ => {
                // What follows `>` without a comma is another address only when it looks like one.
                if !words.text.is_empty() && (!self.after_angle || words.at_sign.is_some()) {
                    self.entries.push(Entry::Mailbox(words.into_mailbox()));
                }
                if mark == Some(b';') && self.in_group {
                    self.entries.push(Entry::GroupEnd);
                    self.in_group = false;
                }
            }
        }
        self.after_angle = false;
        mark.is_some()
    }

    /// ```text
    /// angle-addr = [CFWS] "<" [obs-route] addr-spec ">" [CFWS]      ; RFC 5322 §3.4, §4.4
    /// ```
    /// After the `<`; a missing `>` ends at the next comma.
    fn angle(&mut self, name: Words) -> Mailbox {
        let route = (self.bytes[self.at..].trim_ascii_start().starts_with(b"@")).then(|| self.route()).flatten();
        let words = self.words(b">,");
        self.at += usize::from(self.at < self.bytes.len());
        let is_named = name.quoted || !name.text.is_empty();
        let name = if is_named { Some(name.text) } else { name.comment };
        Mailbox { name, route, ..words.into_mailbox() }
    }

    fn route(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(MAX_ROUTE).position(|b| matches!(b, b':' | b'>'))?;
        if rest[end] != b':' {
            return None;
        }
        self.at += end + 1;
        Some(rest[..end].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect())
    }

    /// Collects words up to one of the marks, which is not taken.
    fn words(&mut self, marks: &[u8]) -> Words {
        let mut words = Words::default();
        let mut blank = false;
        while let Some(octet) = self.bytes.get(self.at).copied() {
            if marks.contains(&octet) {
                break;
            }
            self.at += 1;
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    blank = true;
                    continue;
                }
                b'(' => {
                    words.comment = Some(self.comment());
                    blank = true;
                    continue;
                }
                _ if blank && !words.text.is_empty() => words.text.push(b' '),
                _ => {}
            }
            blank = false;
            match octet {
                b'"' if self.at > self.last_quote => {}
                b'"' => {
                    words.quoted = true;
                    self.quoted(&mut words.text);
                }
                b'[' => {
                    let rest = &self.bytes[self.at - 1..];
                    let end =
                        memchr(b']', &rest[..rest.len().min(MAX_LITERAL)]).filter(|end| !rest[..*end].contains(&b'\n'));
                    let literal = end.map_or(1, |end| end + 1);
                    words.text.extend_from_slice(&rest[..literal]);
                    self.at += literal - 1;
                }
                b'\\' => words.text.extend(self.escaped()),
                octet => {
                    if octet == b'@' {
                        words.at_sign = Some(words.text.len());
                    }
                    words.text.push(octet);
                }
            }
        }
        words
    }

    fn escaped(&mut self) -> Option<u8> {
        let octet = self.bytes.get(self.at).copied();
        self.at += usize::from(octet.is_some());
        octet
    }

    /// The rest of a quoted string; one that never closes ends at the end of the value.
    fn quoted(&mut self, text: &mut Vec<u8>) {
        while let Some(octet) = self.escaped() {
            match octet {
                b'"' => return,
                b'\r' | b'\n' => {}
                b'\\' => text.extend(self.escaped()),
                octet => text.push(octet),
            }
        }
    }

    /// The rest of a comment, less the outer parentheses.
    fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0_usize;
        while let Some(octet) = self.escaped() {
            match octet {
                b')' if depth == 0 => break,
                b')' => depth -= 1,
                b'(' => depth += 1,
                b'\r' | b'\n' => continue,
                b'\\' => {
                    text.extend(self.escaped());
                    continue;
                }
                _ => {}
            }
            text.push(octet);
        }
        text.trim_ascii().to_vec()
    }
}

impl Words {
    fn into_mailbox(mut self) -> Mailbox {
        let domain = match self.at_sign {
            Some(at) => {
                let domain = without_blanks_at_dots(self.text[at + 1..].trim_ascii());
                self.text.truncate(self.text[..at].trim_ascii_end().len());
                // In quotes a blank is a part of the local part.
                if !self.quoted {
                    self.text = without_blanks_at_dots(&self.text);
                }
                domain
            }
            None => Vec::new(),
        };
        Mailbox { name: self.comment, route: None, local: self.text, domain }
    }
}

/// RFC 5322 §4.4: what stands as blanks or comments around the dots of an address does not belong to it.
fn without_blanks_at_dots(text: &[u8]) -> Vec<u8> {
    let is_dot = |at: usize| text.get(at) == Some(&b'.');
    let is_beside_dot = |at: usize| is_dot(at + 1) || at.checked_sub(1).is_some_and(is_dot);
    let kept = text.iter().enumerate().filter(|(at, octet)| **octet != b' ' || !is_beside_dot(*at));
    kept.map(|(_, octet)| *octet).collect()
}

/// Longest route and domain literal looked for, in octets.
const MAX_ROUTE: usize = 1024;
const MAX_LITERAL: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let entry = |entry: Entry| match entry {
            Entry::GroupStart(name) => format!("{{{}", text(&name)),
            Entry::GroupEnd => "}".to_owned(),
            Entry::Mailbox(mailbox) => {
                let name = mailbox.name.map_or(String::new(), |name| format!("'{}' ", text(&name)));
                let route = mailbox.route.map_or(String::new(), |route| format!("{}:", text(&route)));
                format!("{name}{route}{}|{}", text(&mailbox.local), text(&mailbox.domain))
            }
        };
        read(value.as_bytes()).into_iter().map(entry).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reads_anything() {
        for (value, wanted) in [
            ("ann@example.test", "ann|example.test"),
            ("Ann Lee <ann@example.test>, bob@b.test", "'Ann Lee' ann|example.test bob|b.test"),
            ("\"Lee, \\\"Ann\\\"\" <ann@example.test>", "'Lee, \"Ann\"' ann|example.test"),
            ("ann@example.test (Ann (the) Lee)", "'Ann (the) Lee' ann|example.test"),
            ("\"a@b c\"@example.test", "a@b c|example.test"),
            ("<@a.test,@b.test:ann@c.test>", "@a.test,@b.test:ann|c.test"),
            (
                "friends: ann@a.test, Bob <bob@b.test>;, carl@c.test",
                "{friends ann|a.test 'Bob' bob|b.test } carl|c.test",
            ),
            ("undisclosed-recipients:;", "{undisclosed-recipients }"),
            ("never: closed@a.test", "{never closed|a.test }"),
            ("ann @ example . test", "ann|example.test"),
            ("ann . lee (she) . (x) x @ example. (y) test", "'y' ann.lee.x|example.test"),
            ("\"ann . lee\" @ example .test", "ann . lee|example.test"),
            ("ann@[IPv6:::1]", "ann|[IPv6:::1]"),
            ("ann", "ann|"),
            ("Ann Lee", "Ann Lee|"),
            ("<>", "|"),
            ("Ann <>", "'Ann' |"),
            ("<ann@example.test", "ann|example.test"),
            ("Ann <ann@example.test, bob@b.test", "'Ann' ann|example.test bob|b.test"),
            ("a@a.test; b@b.test", "a|a.test b|b.test"),
            ("<a@a.test> <b@b.test> junk, c@c.test", "a|a.test b|b.test c|c.test"),
            ("=?utf-8?q?Gr=C3=BCn?= <g@g.test>", "'=?utf-8?q?Gr=C3=BCn?=' g|g.test"),
            ("\"\" <a@a.test>", "'' a|a.test"),
            (",,, ,;;", ""),
            ("", ""),
            ("\"never closed <a@a.test>", "'never closed' a|a.test"),
            ("\"a\r\n b\" <a\r\n\t@a.test> (x\r\n y)", "'a b' a|a.test"),
            ("<@r.test,\r\n @s.test: a@a.test>", "@r.test,@s.test:a|a.test"),
            ("(never closed <a@a.test>", ""),
            ("a\\", "a|"),
            ("a@b@c", "a@b|c"),
            ("ann@[never", "ann|[never"),
        ] {
            assert_eq!(shown(value), wanted, "{value:?}");
        }
    }

    #[test]
    fn is_bounded() {
        assert_eq!(read(&b"a@b,".repeat(100_000)).len(), MAX_ENTRIES);
        assert!(read(&b"a:;".repeat(100_000)).len() <= MAX_ENTRIES + 2);
        assert_eq!(read_at_most(&b"a@b,".repeat(5_000), 4_000).len(), 4_000);
        assert_eq!(read_at_most(&b"a@b,".repeat(3_000), 4_000).len(), 3_000);
        for hostile in [&b"<"[..], b"(", b"[", b"\"", b"@", b"<@", b"a:", b"\\"] {
            assert!(read(&hostile.repeat(300_000)).len() <= MAX_ENTRIES + 2);
        }
    }
}
