//! The lexical elements of IMAP: atoms, strings, literals, numbers, lists (RFC 9051 §9).

use bytes::Bytes;

use crate::foundations::mail::{ModSeq, Numbered, SequenceSet};

/// What is wrong with a command, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} expected at octet {at}")]
pub struct Malformed {
    /// What the grammar demands there, such as `A mailbox name`.
    pub wanted: &'static str,
    /// Octets from the start of the command, literals included.
    pub at: usize,
}

/// A parser's result.
pub type Parsed<T> = Result<T, Malformed>;

/// A position in one complete command, without its final line end.
///
/// Literals stay in the text as received: `{3}`, line end, three octets.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start.
    pub const fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// The error that something else was expected here.
    pub const fn wanted<T>(&self, wanted: &'static str) -> Parsed<T> {
        Err(Malformed { wanted, at: self.at })
    }

    /// The unread rest.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next octet, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Whether everything has been read.
    pub fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Demands the end of the command.
    pub fn end(&self) -> Parsed<()> {
        if self.at_end() { Ok(()) } else { self.wanted("The end of the command") }
    }

    /// Reads an octet if it comes next.
    pub fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    /// Demands an octet.
    pub fn expect(&mut self, octet: u8, wanted: &'static str) -> Parsed<()> {
        if self.eat(octet) { Ok(()) } else { self.wanted(wanted) }
    }

    /// Demands a single space.
    pub fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "A space")
    }

    /// Reads a word, in any case, if it comes next and is not the beginning of a longer one.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let found = rest.len() >= word.len()
            && rest[..word.len()].eq_ignore_ascii_case(word.as_bytes())
            && !rest.get(word.len()).is_some_and(|b| is_atom(*b));
        if found {
            self.at += word.len();
        }
        found
    }

    /// Reads octets as long as they belong to a class; perhaps none.
    pub fn take_while(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|b| !class(*b)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// ```abnf
    /// atom = 1*ATOM-CHAR
    /// ```
    pub fn atom(&mut self, wanted: &'static str) -> Parsed<&'a str> {
        self.chars(is_atom, wanted)
    }

    /// One or more octets of an ASCII class.
    pub fn chars(&mut self, class: impl Fn(u8) -> bool, wanted: &'static str) -> Parsed<&'a str> {
        let start = self.at;
        let text = self.take_while(|b| b.is_ascii() && class(b));
        match std::str::from_utf8(text) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(Malformed { wanted, at: start }),
        }
    }

    /// ```abnf
    /// astring = 1*ASTRING-CHAR / string
    /// ```
    pub fn astring(&mut self, wanted: &'static str) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(wanted),
            _ => Ok(self.chars(is_astring, wanted)?.as_bytes().to_vec()),
        }
    }

    /// An `astring` that must be UTF-8.
    pub fn astring_text(&mut self, wanted: &'static str) -> Parsed<String> {
        let at = self.at;
        String::from_utf8(self.astring(wanted)?).map_err(|_| Malformed { wanted, at })
    }

    /// ```abnf
    /// string  = quoted / literal
    /// nstring = string / nil
    /// ```
    /// NUL is refused: only `literal8` may hold it.
    pub fn string(&mut self, wanted: &'static str) -> Parsed<Vec<u8>> {
        let at = self.at;
        let text = match self.peek() {
            Some(b'"') => self.quoted(wanted)?,
            Some(b'{') => self.literal(wanted)?.to_vec(),
            _ => return self.wanted(wanted),
        };
        if text.contains(&0) { Err(Malformed { wanted, at }) } else { Ok(text) }
    }

    /// ```abnf
    /// quoted      = DQUOTE *QUOTED-CHAR DQUOTE
    /// QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials / UTF8-2 / UTF8-3 / UTF8-4
    /// ```
    /// Octets above 127 are kept as they are; callers that need text check for UTF-8.
    fn quoted(&mut self, wanted: &'static str) -> Parsed<Vec<u8>> {
        self.expect(b'"', wanted)?;
        let mut text = Vec::new();
        loop {
            text.extend_from_slice(self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0)));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(escaped @ (b'"' | b'\\')) => text.push(escaped),
                        _ => return self.wanted("A quotation mark or backslash after the backslash"),
                    }
                    self.at += 1;
                }
                _ => return self.wanted("The closing quotation mark"),
            }
        }
    }

    /// ```abnf
    /// literal  = "{" number64 ["+"] "}" CRLF *CHAR8
    /// literal8 = "~{" number64 ["+"] "}" CRLF *OCTET
    /// ```
    /// The result shares the command's memory.
    pub fn literal(&mut self, wanted: &'static str) -> Parsed<Bytes> {
        self.expect(b'{', wanted)?;
        let length = self.number64("The length of the literal")?;
        self.eat(b'+');
        self.expect(b'}', "The closing brace of the literal's length")?;
        self.eat(b'\r');
        self.expect(b'\n', "A line end after the literal's length")?;
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        match end {
            Some(end) if end <= self.bytes.len() => {
                let literal = self.bytes.slice(self.at..end);
                self.at = end;
                Ok(literal)
            }
            _ => self.wanted("The whole literal"),
        }
    }

    /// ```abnf
    /// number64 = 1*DIGIT ; 0 to 2^63-1
    /// ```
    pub fn number64(&mut self, wanted: &'static str) -> Parsed<u64> {
        let start = self.at;
        let digits = self.take_while(|b| b.is_ascii_digit());
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<u64>().ok())
            .filter(|value| i64::try_from(*value).is_ok())
            .ok_or(Malformed { wanted, at: start })
    }

    /// ```abnf
    /// number = 1*DIGIT ; 0 to 2^32-1
    /// ```
    pub fn number(&mut self, wanted: &'static str) -> Parsed<u32> {
        let start = self.at;
        let value = self.number64(wanted)?;
        u32::try_from(value).map_err(|_| Malformed { wanted, at: start })
    }

    /// ```abnf
    /// nz-number = digit-nz *DIGIT
    /// ```
    pub fn nz_number<T: TryFrom<u32>>(&mut self, wanted: &'static str) -> Parsed<T> {
        let start = self.at;
        let malformed = Malformed { wanted, at: start };
        if self.peek() == Some(b'0') {
            return Err(malformed);
        }
        T::try_from(self.number(wanted)?).map_err(|_| malformed)
    }

    /// ```abnf
    /// mod-sequence-value  = 1*DIGIT ; 1 to 2^63-1
    /// mod-sequence-valzer = "0" / mod-sequence-value
    /// ```
    /// Zero is `None`.
    pub fn mod_seq_or_zero(&mut self) -> Parsed<Option<ModSeq>> {
        Ok(ModSeq::new(self.number64("A modification sequence")?))
    }

    /// A modification sequence other than zero.
    pub fn mod_seq(&mut self) -> Parsed<ModSeq> {
        let at = self.at;
        self.mod_seq_or_zero()?.ok_or(Malformed { wanted: "A modification sequence other than 0", at })
    }

    /// ```abnf
    /// sequence-set = (seq-number / seq-range) ["," sequence-set]
    /// ```
    pub fn sequence_set<T: Numbered>(&mut self, wanted: &'static str) -> Parsed<SequenceSet<T>> {
        let start = self.at;
        let text = self.take_while(|b| b.is_ascii_digit() || matches!(b, b',' | b':' | b'*'));
        SequenceSet::parse(text).map_err(|_| Malformed { wanted, at: start })
    }

    /// A sequence set without `*`.
    pub fn known_set<T: Numbered>(&mut self, wanted: &'static str) -> Parsed<SequenceSet<T>> {
        let at = self.at;
        let set = self.sequence_set(wanted)?;
        if set.has_star() { Err(Malformed { wanted, at }) } else { Ok(set) }
    }

    /// A parenthesised list of at most `most` elements separated by single spaces, perhaps empty.
    pub fn list<T>(&mut self, most: usize, mut element: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b'(', "An opening parenthesis")?;
        let mut list = Vec::new();
        if self.eat(b')') {
            return Ok(list);
        }
        loop {
            if list.len() >= most {
                return self.wanted("A shorter list");
            }
            list.push(element(self)?);
            if self.eat(b')') {
                return Ok(list);
            }
            self.expect(b' ', "A space or closing parenthesis")?;
        }
    }

    /// Like [`Cursor::list`], but not empty.
    pub fn list1<T>(&mut self, most: usize, element: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let at = self.at;
        let list = self.list(most, element)?;
        if list.is_empty() { Err(Malformed { wanted: "A list that is not empty", at }) } else { Ok(list) }
    }
}

/// ```abnf
/// ATOM-CHAR     = <any CHAR except atom-specials>
/// atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
/// ```
pub const fn is_atom(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// ```abnf
/// ASTRING-CHAR = ATOM-CHAR / resp-specials
/// ```
pub const fn is_astring(octet: u8) -> bool {
    is_atom(octet) || octet == b']'
}

/// ```abnf
/// list-char = ATOM-CHAR / list-wildcards / resp-specials
/// ```
pub const fn is_list(octet: u8) -> bool {
    is_astring(octet) || matches!(octet, b'%' | b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let text = Bytes::from_static(b"atom] \"a \\\"b\\\\\" {4}\r\na\r\nb {2+}\n\xff\xfe end");
        let mut cursor = Cursor::new(&text);
        for want in [&b"atom]"[..], b"a \"b\\", b"a\r\nb", b"\xff\xfe", b"end"] {
            assert_eq!(cursor.astring("A string").as_deref(), Ok(want));
            cursor.eat(b' ');
        }
        assert_eq!(cursor.end(), Ok(()));
    }

    #[test]
    fn broken_strings() {
        for text in [
            "\"open",
            "\"a\\b\"",
            "\"a\r\nb\"",
            "{3}\r\nab",
            "{3}ab",
            "{}\r\n",
            "{1\r\na",
            "",
            " ",
            "(",
            "%",
            "\u{e9}",
            "\"a\0b\"",
            "{1}\r\n\0",
            "{99999999999999999999}\r\n",
            "{18446744073709551615}\r\n",
            "{9223372036854775807}\r\n",
        ] {
            let text = Bytes::from(text);
            assert!(Cursor::new(&text).astring("A string").is_err(), "{text:?}");
        }
    }

    #[test]
    fn words_end_where_atoms_end() {
        let text = Bytes::from_static(b"Return(x)");
        assert!(!Cursor::new(&text).eat_word("RET"));
        assert!(Cursor::new(&text).eat_word("RETURN"));
    }

    #[test]
    fn lists_are_bounded() {
        let text = Bytes::from_static(b"(a b c)");
        let parse = |most| Cursor::new(&text).list(most, |c| c.atom("An atom").map(str::to_owned));
        assert_eq!(parse(3).map(|list| list.len()), Ok(3));
        assert_eq!(parse(2), Err(Malformed { wanted: "A shorter list", at: 5 }));
    }
}
