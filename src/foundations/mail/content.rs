//! Values with parameters: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183 §2, RFC 2231).
//!
//! Read from raw field bodies, folds and comments included, and tolerant of what real mail holds: blanks around `=`,
//! unquoted file names with blanks, quotes that never close, missing values.

use std::borrow::Cow;

use super::{charset, encoded_words};

/// Most parameters of one field; further ones are not looked at.
pub const MAX_PARAMETERS: usize = 256;

/// Longest parameter name in octets; a parameter with a longer one is left out.
const MAX_NAME: usize = 256;

/// A Content-Type field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType<'a> {
    /// The type as written: `text`.
    pub media: &'a [u8],
    /// The subtype as written: `plain`.
    pub subtype: &'a [u8],
    /// The parameters in order, continuations joined.
    pub parameters: Parameters<'a>,
}

impl<'a> ContentType<'a> {
    /// Reads a field body. What has no type and subtype counts as not there, so that the default applies
    /// (RFC 2045 §5.2).
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor { bytes: body, at: 0 };
        cursor.skip_blanks();
        let media = cursor.token();
        cursor.skip_blanks();
        let subtype = if cursor.take(b'/') {
            cursor.skip_blanks();
            cursor.token()
        } else if media.eq_ignore_ascii_case(b"text") {
            // RFC 1049 had types without subtypes.
            &b"plain"[..]
        } else {
            &b""[..]
        };
        if media.is_empty() || subtype.is_empty() {
            return None;
        }
        Some(Self { media, subtype, parameters: Parameters::read(cursor) })
    }

    /// The default without a usable field (RFC 2045 §5.2), or for parts of a multipart/digest (RFC 2046 §5.1.5).
    pub const fn default_in(container: Container) -> Self {
        let (media, subtype): (&[u8], &[u8]) = match container {
            Container::Digest => (b"message", b"rfc822"),
            Container::Other => (b"text", b"plain"),
        };
        Self { media, subtype, parameters: Parameters(Vec::new()) }
    }

    /// Whether this is the type `media`, in any case.
    pub const fn is(&self, media: &str) -> bool {
        self.media.eq_ignore_ascii_case(media.as_bytes())
    }

    /// Whether this is `media/subtype`, in any case.
    pub const fn is_exactly(&self, media: &str, subtype: &str) -> bool {
        self.is(media) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }
}

/// What a part is contained in, as far as its default type depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// multipart/digest.
    Digest,
    /// Anything else.
    Other,
}

/// A Content-Disposition field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// `inline`, `attachment` or another word, as written.
    pub word: &'a [u8],
    /// The parameters in order, continuations joined.
    pub parameters: Parameters<'a>,
}

impl<'a> Disposition<'a> {
    /// Reads a field body; `None` when it holds no word.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor { bytes: body, at: 0 };
        cursor.skip_blanks();
        let word = cursor.token();
        if word.is_empty() {
            return None;
        }
        Some(Self { word, parameters: Parameters::read(cursor) })
    }
}

/// The first word of a field body, after blanks and comments: all there is to Content-Transfer-Encoding (RFC 2045 §6.1).
/// Empty when there is none.
pub fn word(body: &[u8]) -> &[u8] {
    let mut cursor = Cursor { bytes: body, at: 0 };
    cursor.skip_blanks();
    cursor.token()
}

/// Parameters in the order of the field. The pieces of RFC 2231 continuations are joined under one name, which ends in
/// `*` when the value is percent-encoded: `title*0*=us-ascii'en'a%20; title*1=b` is `title*` = `us-ascii'en'a%20b`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters<'a>(Vec<Pair<'a>>);

/// Name and value.
type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> Parameters<'a> {
    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value under exactly this name, in any case, as written.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(given, _)| given.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// A value as text: from `name*` with its charset (RFC 2231 §4), or from `name`, where encoded words are decoded
    /// although RFC 2047 §5 forbids them there, because many programs write them.
    pub fn text(&self, name: &str) -> Option<String> {
        let extended = self
            .iter()
            .find(|(given, _)| given.strip_suffix(b"*").is_some_and(|base| base.eq_ignore_ascii_case(name.as_bytes())));
        match extended {
            Some((_, value)) => Some(decode_extended(value)),
            None => self.raw(name).map(encoded_words::decode),
        }
    }

    fn read(mut cursor: Cursor<'a>) -> Self {
        let mut given = Vec::new();
        while given.len() < MAX_PARAMETERS && cursor.skip_past_semicolon() {
            cursor.skip_blanks();
            let name = cursor.token();
            cursor.skip_blanks();
            if !cursor.take(b'=') {
                continue;
            }
            cursor.skip_blanks();
            let value = cursor.value();
            if !name.is_empty() && name.len() <= MAX_NAME {
                given.push((name, value));
            }
        }
        join_continuations(given)
    }
}

/// RFC 2231 §3: `name*0`, `name*1`… are one value.
fn join_continuations<'a>(given: Vec<(&'a [u8], Cow<'a, [u8]>)>) -> Parameters<'a> {
    if !given.iter().any(|(name, _)| continuation(name).is_some()) {
        return Parameters(given.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect());
    }
    let mut joined: Vec<Pair<'a>> = Vec::new();
    for (at, (name, value)) in given.iter().enumerate() {
        match continuation(name) {
            None => joined.push((Cow::Borrowed(name), value.clone())),
            // The whole value stands in place of its first piece, which has collected the later ones. Pieces without a
            // first one are meaningless, and so are repeated first pieces: each would hold the whole value again.
            Some(first) if first.number == 0 && !given[..at].iter().any(|(name, _)| begins(name, first.base)) => {
                joined.push(join(first.base, &given));
            }
            Some(_) => {}
        }
    }
    Parameters(joined)
}

/// Whether this is the name of the first piece of a value.
fn begins(name: &[u8], base: &[u8]) -> bool {
    continuation(name).is_some_and(|piece| piece.number == 0 && piece.base.eq_ignore_ascii_case(base))
}

fn join<'a>(base: &'a [u8], given: &[(&'a [u8], Cow<'a, [u8]>)]) -> Pair<'a> {
    let mut pieces: Vec<(Continuation<'_>, &[u8])> = given
        .iter()
        .filter_map(|(name, value)| Some((continuation(name)?, &**value)))
        .filter(|(piece, _)| piece.base.eq_ignore_ascii_case(base))
        .collect();
    pieces.sort_by_key(|(piece, _)| piece.number);
    let encoded = pieces.iter().any(|(piece, _)| piece.encoded);
    let mut value = Vec::new();
    for (at, (piece, text)) in pieces.iter().enumerate() {
        if piece.number != at {
            break;
        }
        if encoded && !piece.encoded {
            percent_encode(text, &mut value);
        } else {
            value.extend_from_slice(text);
        }
    }
    let mut name = base.to_vec();
    if encoded {
        name.push(b'*');
    }
    (Cow::Owned(name), Cow::Owned(value))
}

struct Continuation<'a> {
    base: &'a [u8],
    number: usize,
    encoded: bool,
}

/// Takes `name*12*` apart; `None` for a name without a number.
fn continuation(name: &[u8]) -> Option<Continuation<'_>> {
    let (rest, encoded) = match name.strip_suffix(b"*") {
        Some(rest) => (rest, true),
        None => (name, false),
    };
    let star = rest.iter().rposition(|b| *b == b'*')?;
    let digits = std::str::from_utf8(&rest[star + 1..]).ok()?;
    let number = digits.parse().ok().filter(|_| digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()))?;
    Some(Continuation { base: &rest[..star], number, encoded })
}

fn percent_encode(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

/// ```text
/// extended-initial-value = [charset] "'" [language] "'" extended-other-values      ; RFC 2231 §7
/// ```
fn decode_extended(value: &[u8]) -> String {
    let mut pieces = value.splitn(3, |b| *b == b'\'');
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(label), Some(_), Some(text)) => charset::decode(label, &percent_decode(text)),
        _ => charset::decode(b"utf-8", &percent_decode(value)),
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let octet = match text[at..] {
            [b'%', high, low, ..] => charset::hex_octet(high, low),
            _ => None,
        };
        result.push(octet.unwrap_or(text[at]));
        at += if octet.is_some() { 3 } else { 1 };
    }
    result
}

/// Walks over a raw field body.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, octet: u8) -> bool {
        let is_next = self.peek() == Some(octet);
        self.at += usize::from(is_next);
        is_next
    }

    /// Blanks, line ends of folds, and comments (RFC 5322 §3.2.2 CFWS).
    fn skip_blanks(&mut self) {
        let mut depth = 0_usize;
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => self.at += 1,
                _ if depth > 0 => {}
                _ => return,
            }
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
    }

    /// RFC 2045 §5.1 `token`, with octets above 127 allowed.
    fn token(&mut self) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(|b| b > b' ' && b != 0x7f && !b"()<>@,;:\\\"/[]?=".contains(&b)) {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    /// A parameter's value: a quoted string, or anything up to the next semicolon.
    fn value(&mut self) -> Cow<'a, [u8]> {
        if self.take(b'"') {
            return self.quoted();
        }
        let start = self.at;
        let mut end = start;
        while let Some(octet) = self.peek() {
            match octet {
                b';' => break,
                b'(' if end < self.at => {
                    self.skip_blanks();
                    continue;
                }
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => {
                    self.at += 1;
                    end = self.at;
                }
            }
        }
        super::header::unfold(&self.bytes[start..end])
    }

    /// The rest of a quoted string after its opening quote; line ends of folds are dropped.
    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let start = self.at;
        while self.peek().is_some_and(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n')) {
            self.at += 1;
        }
        if self.peek().is_none_or(|b| b == b'"') {
            let plain = &self.bytes[start..self.at];
            self.take(b'"');
            return Cow::Borrowed(plain);
        }
        let mut value = self.bytes[start..self.at].to_vec();
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'"' => break,
                b'\r' | b'\n' => {}
                b'\\' => match self.peek() {
                    Some(escaped) => {
                        value.push(escaped);
                        self.at += 1;
                    }
                    None => break,
                },
                octet => value.push(octet),
            }
        }
        Cow::Owned(value)
    }

    /// Goes to just after the next semicolon outside quotes and comments; whether there is one.
    fn skip_past_semicolon(&mut self) -> bool {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return false,
                Some(b';') => {
                    self.at += 1;
                    return true;
                }
                Some(b'"') => {
                    self.at += 1;
                    self.quoted();
                }
                Some(_) => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> String {
        let Some(content) = ContentType::read(body.as_bytes()) else { return "none".to_owned() };
        let mut shown = format!("{}/{}", content.media.escape_ascii(), content.subtype.escape_ascii());
        for (name, value) in content.parameters.iter() {
            shown += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
        }
        shown
    }

    #[test]
    fn reads_what_people_write() {
        for (body, wanted) in [
            (" text/plain; charset=us-ascii", "text/plain charset=us-ascii"),
            ("TEXT / HTML;\r\n\tCharset = \"UTF-8\" ; format=flowed;", "TEXT/HTML Charset=UTF-8 format=flowed"),
            ("(a) text/plain (b(c)) ; (d) charset=utf-8 (e)", "text/plain charset=utf-8"),
            ("text/plain; name=my file.txt; x=1", "text/plain name=my file.txt x=1"),
            ("text/plain; name=\"a\\\"b\\\\c;d\r\n e\"", "text/plain name=a\\\"b\\\\c;d e"),
            ("text/plain; name=\"never closed; x=1", "text/plain name=never closed; x=1"),
            ("text/plain; ; =; x; y=; z=\"\"", "text/plain y= z="),
            ("text/plain; boundary=\"a\"junk; x=1", "text/plain boundary=a x=1"),
            ("text; charset=utf-8", "text/plain charset=utf-8"),
            ("text/", "none"),
            ("/plain", "none"),
            ("garbage", "none"),
            ("", "none"),
            ("((((((", "none"),
            ("multipart/mixed; boundary==_x=y", "multipart/mixed boundary==_x=y"),
            ("a/b; x=1 (c", "a/b x=1"),
            ("a/b\\; x=\"\\", "a/b x="),
        ] {
            assert_eq!(read(body), wanted, "{body:?}");
        }
    }

    #[test]
    fn joins_continuations() {
        for (body, wanted) in [
            ("a/b; t*1=b; t*0=a; t*2=c; u=1", "a/b t=abc u=1"),
            ("a/b; t*0*=us-ascii'en'a%20; t*1*=%2a; t*2=\"is 100%\"", "a/b t*=us-ascii\\'en\\'a%20%2ais%20100%25"),
            ("a/b; t*0=a; t*2=c", "a/b t=a"),
            ("a/b; t*1=b", "a/b"),
            ("a/b; t*0=a; t*0=b; t*1=c; T*0*=d; t=e; u*0=f", "a/b t*=a t=e u=f"),
            ("a/b; t*=utf-8''x; t*x=1; t*0000=q", "a/b t*=utf-8\\'\\'x t*x=1 t*0000=q"),
        ] {
            assert_eq!(read(body), wanted, "{body:?}");
        }
    }

    #[test]
    fn values_as_text() {
        let text = |body: &str| ContentType::read(body.as_bytes()).unwrap().parameters.text("name");
        assert_eq!(text("a/b; name=x").as_deref(), Some("x"));
        assert_eq!(text("a/b; NAME*=iso-8859-1'de'gr%FCn%").as_deref(), Some("grün%"));
        assert_eq!(text("a/b; name*0*=utf-8''gr%C3; name*1*=%BCn; name=fallback").as_deref(), Some("grün"));
        assert_eq!(text("a/b; name=\"=?utf-8?q?gr=C3=BCn?=\"").as_deref(), Some("grün"));
        assert_eq!(text("a/b; x=y"), None);
    }
}
