//! A blocking IMAP client that parses responses into values.

use std::collections::BTreeSet;
use std::io;

use super::pipe::Pipe;

/// A part of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// An atom, a number, or a name such as `BODY[1.MIME]`.
    Word(String),
    /// A quoted string or literal.
    Octets(Vec<u8>),
    List(Vec<Self>),
}

impl Value {
    pub(crate) fn word(&self) -> &str {
        if let Self::Word(word) = self { word } else { panic!("a word is wanted: {self:?}") }
    }

    pub(crate) fn list(&self) -> &[Self] {
        if let Self::List(list) = self { list } else { panic!("a list is wanted: {self:?}") }
    }

    pub(crate) fn number(&self) -> u64 {
        self.word().parse().unwrap()
    }

    /// Nesting depth of lists.
    pub(crate) fn depth(&self) -> usize {
        if let Self::List(list) = self { 1 + list.iter().map(Self::depth).max().unwrap_or(0) } else { 0 }
    }
}

/// The untagged responses to a command and its completion.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// OK, NO or BAD.
    pub(crate) status: String,
    /// The response code without its brackets; empty when there is none.
    pub(crate) code: String,
    pub(crate) text: String,
    /// Each line's values; of an untagged status only the first word and the text.
    pub(crate) untagged: Vec<Vec<Value>>,
}

/// FETCH data of one message.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    items: Vec<(String, Value)>,
}

impl Fetched {
    /// An item by the beginning of its name.
    pub(crate) fn item(&self, name: &str) -> Option<&Value> {
        self.items.iter().find(|(key, _)| key.starts_with(name)).map(|(_, value)| value)
    }

    pub(crate) fn uid(&self) -> u32 {
        u32::try_from(self.item("UID").expect("a UID").number()).unwrap()
    }

    /// Its flags without `\Recent`, which belongs to the session.
    pub(crate) fn flags(&self) -> BTreeSet<String> {
        let flags = self.item("FLAGS").expect("flags").list().iter().map(|flag| flag.word().to_owned());
        flags.filter(|flag| flag != "\\Recent").collect()
    }

    /// The octets of a body section.
    pub(crate) fn octets(&self, name: &str) -> &[u8] {
        match self.item(name) {
            Some(Value::Octets(octets)) => octets,
            other => panic!("{name}: {other:?}"),
        }
    }
}

impl Answer {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == "OK"
    }

    /// Every FETCH response.
    pub(crate) fn fetched(&self) -> Vec<Fetched> {
        let of = |line: &Vec<Value>| match line.as_slice() {
            [Value::Word(_), Value::Word(kind), Value::List(items)] if kind == "FETCH" => {
                let pairs = items.chunks_exact(2).map(|pair| (pair[0].word().to_owned(), pair[1].clone()));
                Some(Fetched { items: pairs.collect() })
            }
            _ => None,
        };
        self.untagged.iter().filter_map(of).collect()
    }

    /// The argument of a response code in an untagged OK: `UIDVALIDITY`, `UIDNEXT`, `HIGHESTMODSEQ`.
    pub(crate) fn told(&self, code: &str) -> Option<u64> {
        self.untagged.iter().find_map(|line| match line.as_slice() {
            [Value::Word(status), Value::Word(text)] if status == "OK" => {
                text.strip_prefix('[')?.strip_prefix(code)?.trim_start().split(']').next()?.parse().ok()
            }
            _ => None,
        })
    }

    /// The last UID of `APPENDUID` or `COPYUID` (RFC 4315), wherever it stands.
    pub(crate) fn new_uid(&self) -> Option<u32> {
        let told = self.untagged.iter().filter_map(|line| match line.as_slice() {
            [Value::Word(status), Value::Word(text)] if status == "OK" => text.strip_prefix('[')?.split(']').next(),
            _ => None,
        });
        let is_uid = |code: &&str| code.starts_with("APPENDUID ") || code.starts_with("COPYUID ");
        let code = told.chain([self.code.as_str()]).find(is_uid)?;
        code.rsplit(' ').next()?.parse().ok()
    }
}

/// A client's session.
pub(crate) struct Imap {
    pub(crate) pipe: Pipe,
    commands: u32,
}

impl Imap {
    /// Reads the greeting.
    pub(crate) fn greet(pipe: Pipe) -> io::Result<Self> {
        let mut client = Self { pipe, commands: 0 };
        let greeting = client.pipe.line()?;
        if greeting.starts_with(b"* OK") {
            return Ok(client);
        }
        Err(io::Error::other(String::from_utf8_lossy(&greeting).into_owned()))
    }

    /// Sends a command and reads everything up to its completion.
    pub(crate) fn command(&mut self, line: &str) -> io::Result<Answer> {
        self.octets(line.as_bytes())
    }

    /// The same for a command that is not text.
    pub(crate) fn octets(&mut self, line: &[u8]) -> io::Result<Answer> {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        let mut all = format!("{tag} ").into_bytes();
        all.extend_from_slice(line);
        all.extend_from_slice(b"\r\n");
        self.pipe.send(&all)?;
        self.answer(&tag)
    }

    /// Reads up to the completion of the command with this tag.
    pub(crate) fn answer(&mut self, tag: &str) -> io::Result<Answer> {
        let mut untagged = Vec::new();
        loop {
            let response = self.response()?;
            let (first, rest) = split(&response);
            if first == b"*" {
                untagged.push(values(rest));
            } else if first == tag.as_bytes() {
                let (status, text) = split(rest);
                let text = String::from_utf8_lossy(text).into_owned();
                let code = text.strip_prefix('[').and_then(|text| text.split_once(']')).map_or("", |(code, _)| code);
                let status = String::from_utf8_lossy(status).into_owned();
                return Ok(Answer { status, code: code.to_owned(), text, untagged });
            } else if first != b"+" {
                panic!("neither untagged nor {tag}: {:?}", String::from_utf8_lossy(&response));
            }
        }
    }

    /// One response with its literals.
    fn response(&mut self) -> io::Result<Vec<u8>> {
        let mut response = Vec::new();
        loop {
            response.extend(self.pipe.line()?);
            let Some(length) = announced(&response) else { return Ok(response) };
            response.extend_from_slice(b"\r\n");
            response.extend(self.pipe.exact(length)?);
        }
    }

    pub(crate) fn select(&mut self, folder: &str) -> io::Result<Answer> {
        self.command(&format!("SELECT {folder}"))
    }

    /// Stores a message (RFC 7888: without asking first).
    pub(crate) fn append(&mut self, folder: &str, flags: &str, content: &[u8]) -> io::Result<Answer> {
        let mut line = format!("APPEND {folder} ({flags}) {{{}+}}\r\n", content.len()).into_bytes();
        line.extend_from_slice(content);
        self.octets(&line)
    }

    /// Fetches by UID.
    pub(crate) fn fetch(&mut self, set: &str, items: &str) -> io::Result<Vec<Fetched>> {
        let answer = self.command(&format!("UID FETCH {set} {items}"))?;
        assert!(answer.is_ok(), "UID FETCH {set} {items}: {} {}", answer.status, answer.text);
        Ok(answer.fetched())
    }
}

fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

/// The length of the literal that a line announces at its end.
fn announced(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    std::str::from_utf8(&inner[open + 1..]).ok()?.parse().ok()
}

fn values(line: &[u8]) -> Vec<Value> {
    let (first, rest) = split(line);
    if [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].contains(&first) {
        let word = |octets| Value::Word(String::from_utf8_lossy(octets).into_owned());
        return vec![word(first), word(rest)];
    }
    let mut reader = Reader { octets: line, at: 0 };
    reader.list(None)
}

/// Reads values one after the other, without recursing deeper than the server may nest.
struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn list(&mut self, end: Option<u8>) -> Vec<Value> {
        let mut open = vec![Vec::new()];
        loop {
            match self.octets.get(self.at).copied() {
                None => {
                    assert!(end.is_none() && open.len() == 1, "a list does not end");
                    return open.pop().unwrap();
                }
                Some(b' ') => self.at += 1,
                Some(b'(') => {
                    self.at += 1;
                    open.push(Vec::new());
                }
                Some(b')') => {
                    self.at += 1;
                    let done = open.pop().unwrap();
                    open.last_mut().expect("as many lists begin as end").push(Value::List(done));
                }
                Some(_) => {
                    let value = self.value();
                    open.last_mut().unwrap().push(value);
                }
            }
        }
    }

    fn value(&mut self) -> Value {
        let rest = &self.octets[self.at..];
        match rest[0] {
            b'"' => Value::Octets(self.quoted()),
            b'{' => self.literal(1),
            b'~' if rest.get(1) == Some(&b'{') => self.literal(2),
            _ => {
                let mut in_section = false;
                let end = rest.iter().position(|octet| {
                    in_section = (in_section || *octet == b'[') && *octet != b']';
                    !in_section && matches!(octet, b' ' | b'(' | b')')
                });
                let word = &rest[..end.unwrap_or(rest.len())];
                self.at += word.len();
                Value::Word(String::from_utf8_lossy(word).into_owned())
            }
        }
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            match self.octets[self.at] {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
            text.push(self.octets[self.at]);
            self.at += 1;
        }
        self.at += 1;
        text
    }

    fn literal(&mut self, digits: usize) -> Value {
        let rest = &self.octets[self.at..];
        let end = memchr::memchr(b'}', rest).expect("a literal's length ends");
        let length: usize = std::str::from_utf8(&rest[digits..end]).unwrap().parse().unwrap();
        let begin = end + 3;
        self.at += begin + length;
        Value::Octets(rest[begin..begin + length].to_vec())
    }
}
