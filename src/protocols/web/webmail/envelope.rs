//! Parses the cached value of ENVELOPE (RFC 9051 §7.5.2), so that a list needs no message.
//!
//! Names are decoded after the addresses have been split, so that an encoded word can never become an address.

use serde::Serialize;

use crate::foundations::mail::addresses::Mailbox;
use crate::foundations::mail::encoded_words;
use crate::foundations::mail::unseen::{is_joiner, is_unseen};

/// Somebody in an address field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) address: String,
}

/// What a list shows of an envelope.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) from: Vec<Person>,
    pub(super) to: Vec<Person>,
}

/// Most people of a field that a list gets.
const MOST_PEOPLE: usize = 5;

/// A value as IMAP writes it.
#[derive(Debug)]
enum Value {
    Nil,
    Text(Vec<u8>),
    List(Vec<Self>),
}

impl Envelope {
    /// Reads it; what cannot be read is empty.
    pub(super) fn read(octets: &[u8]) -> Self {
        let mut reader = Reader { octets, at: 0 };
        let Some(Value::List(fields)) = reader.value(0) else { return Self::default() };
        // (date subject from sender reply-to to cc bcc in-reply-to message-id)
        Self { from: people(fields.get(2)), to: people(fields.get(5)) }
    }
}

fn people(field: Option<&Value>) -> Vec<Person> {
    let Some(Value::List(entries)) = field else { return Vec::new() };
    entries.iter().filter_map(person).take(MOST_PEOPLE).collect()
}

/// (name route mailbox host); without a host it marks a group.
fn person(entry: &Value) -> Option<Person> {
    let Value::List(parts) = entry else { return None };
    let text = |n: usize| match parts.get(n) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (local, domain) = (text(2)?, text(3)?);
    Some(shown(&Mailbox { name: text(0), route: None, local, domain }))
}

/// A person for the page. Control characters would hide the text.
pub(super) fn shown(mailbox: &Mailbox) -> Person {
    let name = mailbox.name.as_deref().map(encoded_words::decode).unwrap_or_default();
    Person { name: clean(&name), address: clean(&mailbox.address()) }
}

/// Text without what turns or hides it: control characters, those that change the direction of writing, and those that nobody sees. What
/// nothing can be seen of is empty.
pub(super) fn clean(text: &str) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_unseen(*c)).collect();
    let clean = clean.trim();
    if clean.chars().all(|c| c == ' ' || is_joiner(c)) { String::new() } else { clean.to_owned() }
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

/// An envelope has lists of lists.
const MOST_DEPTH: usize = 4;

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        while self.peek()? == b' ' {
            self.at += 1;
        }
        match self.peek()? {
            b'(' if depth < MOST_DEPTH => {
                self.at += 1;
                let mut values = Vec::new();
                while self.peek()? != b')' {
                    values.push(self.value(depth + 1)?);
                    while self.peek()? == b' ' {
                        self.at += 1;
                    }
                }
                self.at += 1;
                Some(Value::List(values))
            }
            b'"' => self.quoted(),
            b'{' => self.literal(),
            b'N' => {
                self.at += 3;
                Some(Value::Nil)
            }
            _ => None,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    fn quoted(&mut self) -> Option<Value> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let octet = self.peek()?;
            self.at += 1;
            match octet {
                b'"' => return Some(Value::Text(text)),
                b'\\' => {
                    text.push(self.peek()?);
                    self.at += 1;
                }
                octet => text.push(octet),
            }
        }
    }

    fn literal(&mut self) -> Option<Value> {
        let rest = &self.octets[self.at + 1..];
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let length: usize = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let start = self.at + 1 + digits + "}\r\n".len();
        let text = self.octets.get(start..start.checked_add(length)?)?;
        self.at = start + length;
        Some(Value::Text(text.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::mail::Summary;

    #[test]
    fn reads_what_summaries_hold() {
        let message = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.test>\r\n\
                       To: \"B \\\"x\\\"\" <b@example.test>, friends: c@example.test;, Grün <d@example.test>\r\n\
                       Subject: x\r\n\r\n";
        let envelope = Envelope::read(&Summary::of(message.as_bytes()).envelope);
        let shown = |people: &[Person]| people.iter().map(|p| format!("{}|{}", p.name, p.address)).collect::<Vec<_>>();
        assert_eq!(shown(&envelope.from), ["Jörg|joerg@example.test"]);
        assert_eq!(shown(&envelope.to), ["B \"x\"|b@example.test", "|c@example.test", "Grün|d@example.test"]);
    }

    #[test]
    fn an_encoded_word_is_no_address() {
        let message = "From: =?utf-8?q?Boss_=3Cboss=40example=2Etest=3E=2C?= <evil@example.net>\r\n\r\n";
        let from = Envelope::read(&Summary::of(message.as_bytes()).envelope).from;
        assert_eq!(from, [Person { name: "Boss <boss@example.test>,".into(), address: "evil@example.net".into() }]);
        assert_eq!(clean("a\u{202e}b\r\n\tc\0"), "ab   c");
        // Nobody sees that it is another name, or that there is one.
        assert_eq!(clean("B\u{200b}o\u{2060}b\u{feff} Bui\u{ad}lder"), "Bob Builder");
        assert_eq!(clean("\u{200b}\u{3164} \u{200d}\u{fe0f}"), "");
        assert_eq!(clean("👩\u{200d}👧 می\u{200c}خواهم 🏳\u{fe0f}"), "👩\u{200d}👧 می\u{200c}خواهم 🏳\u{fe0f}");
    }

    #[test]
    fn broken_ones_are_empty() {
        for broken in ["", "(", "((((((((((", "(NIL NIL ((NIL", "({99999999999}\r\n", "(\"\\", "x"] {
            assert_eq!(Envelope::read(broken.as_bytes()), Envelope::default(), "{broken}");
        }
    }
}
