//! The responses of a server.

/// A value of a response (RFC 3501 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// An atom, a number, a flag, or NIL.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// Values in parentheses.
    List(Vec<Value>),
}

impl Value {
    pub(super) fn atom(&self) -> Option<&str> {
        match self {
            Self::Atom(atom) => Some(atom),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&self) -> Option<T> {
        self.atom()?.parse().ok()
    }

    /// A string in any of its forms: `astring` and `nstring`.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(atom) if atom.eq_ignore_ascii_case("NIL") => None,
            Self::Atom(atom) => Some(atom.as_bytes()),
            Self::Text(text) => Some(text),
            Self::List(_) => None,
        }
    }
}

/// A response: its line and the literals in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Response {
    /// The text; of a literal only `{n}` is in it.
    pub(super) line: Vec<u8>,
    /// The literals, in their order.
    pub(super) literals: Vec<Vec<u8>>,
}

/// Items that may be followed by a section (RFC 9051 §7.5.2).
const SECTIONED: [&[u8]; 3] = [b"BODY", b"BINARY", b"BINARY.SIZE"];

/// Greatest nesting of lists; an unrequested BODYSTRUCTURE could be deeper.
const DEEPEST: usize = 32;

impl Response {
    /// The line for people.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.line[..self.line.len().min(200)]).into_owned()
    }

    /// The values of the line from an offset on; `None` when they make no sense.
    pub(super) fn values(mut self, from: usize) -> Option<Vec<Value>> {
        self.literals.reverse();
        let mut reader = Reader { rest: self.line.get(from..)?, literals: self.literals };
        let values = reader.values(0)?;
        reader.rest.is_empty().then_some(values)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    literals: Vec<Vec<u8>>,
}

impl Reader<'_> {
    /// Values up to the end or a closing parenthesis.
    fn values(&mut self, depth: usize) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            match *self.rest {
                [] | [b')', ..] => return Some(values),
                [b' ', ref rest @ ..] => self.rest = rest,
                [b'(', ref rest @ ..] if depth < DEEPEST => {
                    self.rest = rest;
                    let inner = self.values(depth + 1)?;
                    self.rest = self.rest.strip_prefix(b")")?;
                    values.push(Value::List(inner));
                }
                [b'"', ref rest @ ..] => {
                    self.rest = rest;
                    values.push(Value::Text(self.quoted()?));
                }
                [b'{', ..] => {
                    let end = memchr::memchr(b'}', self.rest)?;
                    self.rest = &self.rest[end + 1..];
                    values.push(Value::Text(self.literals.pop()?));
                }
                _ => values.push(Value::Atom(self.atom()?)),
            }
        }
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            match *self.rest {
                [b'"', ref rest @ ..] => {
                    self.rest = rest;
                    return Some(text);
                }
                [b'\\', octet, ref rest @ ..] | [octet, ref rest @ ..] => {
                    text.push(octet);
                    self.rest = rest;
                }
                [] => return None,
            }
        }
    }

    /// An atom, with a section in brackets if one follows: `BODY[HEADER.FIELDS (DATE)]`. In a keyword a bracket is a character like
    /// any other (RFC 9051 §9).
    fn atom(&mut self) -> Option<String> {
        let mut end = 0;
        let mut in_brackets = false;
        while let Some(octet) = self.rest.get(end) {
            match octet {
                b'[' => in_brackets |= SECTIONED.iter().any(|item| self.rest[..end].eq_ignore_ascii_case(item)),
                b']' => in_brackets = false,
                b' ' | b'(' | b')' | b'"' | b'{' if !in_brackets => break,
                _ => {}
            }
            end += 1;
        }
        let (atom, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!atom.is_empty()).then(|| String::from_utf8_lossy(atom).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_say() {
        let response = Response {
            line:
                br#"* 7 FETCH (UID 12 FLAGS (\Seen $Junk) INTERNALDATE "17-Jul-1996 02:44:25 -0700" BODY[] {5} X NIL)"#
                    .to_vec(),
            literals: vec![b"a\r\nb\"".to_vec()],
        };
        let atom = |text: &str| Value::Atom(text.to_owned());
        let fetched = vec![
            atom("UID"),
            atom("12"),
            atom("FLAGS"),
            Value::List(vec![atom("\\Seen"), atom("$Junk")]),
            atom("INTERNALDATE"),
            Value::Text(b"17-Jul-1996 02:44:25 -0700".to_vec()),
            atom("BODY[]"),
            Value::Text(b"a\r\nb\"".to_vec()),
            atom("X"),
            atom("NIL"),
        ];
        assert_eq!(response.values(2).unwrap(), [atom("7"), atom("FETCH"), Value::List(fetched)]);
        let line = |line: &str| Response { line: line.into(), literals: vec![] }.values(0);
        assert_eq!(
            line(r#""a\"b" BODY[HEADER.FIELDS (X)]"#).unwrap(),
            [Value::Text(b"a\"b".to_vec()), atom("BODY[HEADER.FIELDS (X)]")]
        );
        for broken in ["(a", "a)", "\"a", "{5}", &"(".repeat(100)] {
            assert_eq!(line(broken), None, "{broken}");
        }
    }
}
