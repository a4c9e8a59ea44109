//! The syntax of HTML: tags, attributes and references, as browsers read them.

/// The part of a tag that is being read (HTML §13.2.5.8 to §13.2.5.39).
#[derive(Clone, Copy)]
enum Within {
    Element,
    Between,
    Attribute,
    AfterAttribute,
    BeforeValue,
    Value,
    Quotes(u8),
}

/// Where the tag that begins before `from` ends: the `>` outside quotes, or the end of the text. A quote that is never
/// closed does not swallow the rest.
pub(super) fn tag_end(bytes: &[u8], from: usize) -> usize {
    use Within::{AfterAttribute, Attribute, BeforeValue, Between, Element, Quotes, Value};
    let limit = bytes.len().min(from + 8192);
    let mut within = Element;
    for (at, byte) in bytes.iter().enumerate().take(limit).skip(from) {
        let is_blank = byte.is_ascii_whitespace();
        within = match (within, *byte) {
            (Quotes(quote), b) if b == quote => Between,
            (Quotes(quote), _) => Quotes(quote),
            (_, b'>') => return at,
            (Element | Attribute | AfterAttribute, b'/') => Between,
            (Attribute | AfterAttribute, b'=') => BeforeValue,
            (BeforeValue, quote @ (b'"' | b'\'')) => Quotes(quote),
            (Element | Value, _) if is_blank => Between,
            (Attribute, _) if is_blank => AfterAttribute,
            (Between, b'/') => Between,
            (Between | AfterAttribute, _) if !is_blank => Attribute,
            (BeforeValue, _) if !is_blank => Value,
            (same, _) => same,
        };
    }
    memchr::memchr(b'>', bytes.get(from..).unwrap_or_default()).map_or(bytes.len(), |n| from + n)
}

/// Where the tag, declaration or odd comment ends that begins with the `<` at this place: its `>`, or the end of the text. `None` if it
/// begins nothing.
pub(super) fn construct_end(bytes: &[u8], at: usize) -> Option<usize> {
    match &bytes[at + 1..] {
        [b'/', c, ..] if c.is_ascii_alphabetic() => Some(tag_end(bytes, at + 2)),
        // Quotes have no meaning in bogus comments (HTML §13.2.5.41) and in a DOCTYPE.
        [b'/' | b'!' | b'?', rest @ ..] => Some(memchr::memchr(b'>', rest).map_or(bytes.len(), |n| at + 2 + n)),
        [c, ..] if c.is_ascii_alphabetic() => Some(tag_end(bytes, at + 1)),
        _ => None,
    }
}

/// Where the end tag begins of an element whose content is no markup, and begins at `from`.
pub(super) fn raw_end(bytes: &[u8], name: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = memchr::memmem::find(&bytes[at..], b"</") {
        let start = at + found;
        let tail = &bytes[start + 2..];
        if tail.len() > name.len()
            && tail[..name.len()].eq_ignore_ascii_case(name.as_bytes())
            && (tail[name.len()].is_ascii_whitespace() || matches!(tail[name.len()], b'/' | b'>'))
        {
            return Some(start);
        }
        at = start + 2;
    }
    None
}

/// Where a comment ends whose `<!--` stands at `at`. Not only `-->` ends it (HTML §13.2.5.43 to §13.2.5.52).
pub(super) fn comment_end(bytes: &[u8], at: usize) -> usize {
    let from = at + b"<!--".len();
    let rest = &bytes[from..];
    for short in [&b">"[..], b"->"] {
        if rest.starts_with(short) {
            return from + short.len();
        }
    }
    let mut seen = 0;
    while let Some(found) = memchr::memmem::find(&rest[seen..], b"--") {
        let after = seen + found + 2;
        match &rest[after..] {
            [b'>', ..] => return from + after + 1,
            [b'!', b'>', ..] => return from + after + 2,
            _ => seen = after - 1,
        }
    }
    bytes.len()
}

pub(super) fn element_name(inner: &str) -> String {
    full_name(inner).chars().take(30).collect::<String>().to_ascii_lowercase()
}

/// The name as written.
pub(super) fn full_name(inner: &str) -> &str {
    let end = inner.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(inner.len());
    &inner[..end]
}

#[derive(Default)]
pub(super) struct Attributes {
    pub(super) pairs: Vec<(String, String)>,
    pub(super) events: u32,
}

impl Attributes {
    /// Of several attributes with one name the first counts.
    pub(super) fn parse(text: &str) -> Self {
        let mut result = Self::default();
        let ends_name = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '=');
        let mut rest = text.trim_start_matches(|c: char| !c.is_ascii_whitespace() && c != '/');
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            // An equals sign at the beginning is part of the name (HTML §13.2.5.32).
            let Some(first) = rest.chars().next().map(char::len_utf8) else { break };
            let end = rest[first..].find(ends_name).map_or(rest.len(), |n| first + n);
            let name = rest[..end].to_ascii_lowercase();
            rest = rest[end..].trim_ascii_start();
            let Some(tail) = rest.strip_prefix('=') else { continue };
            let tail = tail.trim_ascii_start();
            let (value, left) = match tail.chars().next() {
                Some(quote @ ('"' | '\'')) => tail[1..].split_once(quote).unwrap_or((&tail[1..], "")),
                _ => {
                    let end = tail.find(|c: char| c.is_ascii_whitespace()).unwrap_or(tail.len());
                    tail.split_at(end)
                }
            };
            rest = left;
            if name.starts_with("on") && name.len() > 4 {
                result.events += 1;
            }
            // In XML, the prefix may be any.
            let name = if name.ends_with(":href") { OLDER_HREF } else { name.as_str() };
            if READ.contains(&name) && result.get(name).is_none() {
                result.pairs.push((name.to_owned(), unescape(value)));
            }
        }
        result
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|v| v.eq_ignore_ascii_case(value))
    }
}

/// The name of `href` in drawings, with the usual prefix.
const OLDER_HREF: &str = "xlink:href";

/// Attributes that matter.
const READ: &[&str] = &[
    "href",
    "src",
    "action",
    "formaction",
    OLDER_HREF,
    "background",
    "style",
    "width",
    "height",
    "type",
    "http-equiv",
    "hidden",
    "size",
    "color",
    "class",
    "id",
    "media",
    "content",
    "alt",
];

pub(super) fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (c, length) = reference(rest).unwrap_or(('&', 1));
        out.push(c);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// Where `<meta http-equiv=refresh>` leads by its `content`; `None` if only the page itself is loaded again (HTML §4.2.5.3).
pub(super) fn refresh_target(content: &str) -> Option<&str> {
    let text = content.trim_ascii_start();
    let after_time = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = after_time.trim_ascii_start();
    let is_divided = rest.len() < after_time.len() || rest.starts_with([';', ',']);
    if after_time.len() == text.len() || !is_divided {
        return None;
    }
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_ascii_start();
    let named = rest.get(..3).filter(|word| word.eq_ignore_ascii_case("url"));
    let target = named.and_then(|_| rest[3..].trim_ascii_start().strip_prefix('=')).map_or(rest, str::trim_ascii_start);
    let target = match target.chars().next() {
        Some(quote @ ('"' | '\'')) => target[1..].split(quote).next().unwrap_or_default(),
        _ => target,
    };
    (!target.trim_ascii().is_empty()).then_some(target)
}

/// A character reference at the start of the text: the character and the length in octets.
pub(super) fn reference(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    if let Some(number) = body.strip_prefix('#') {
        let (digits, radix, skipped) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16, 3),
            None => (number, 10, 2),
        };
        let count = digits.bytes().take(8).take_while(|b| (*b as char).is_digit(radix)).count();
        let value = u32::from_str_radix(digits.get(..count)?, radix).ok()?;
        let closed = usize::from(digits.as_bytes().get(count) == Some(&b';'));
        return Some((char::from_u32(value).filter(|c| *c != '\0').unwrap_or('\u{fffd}'), skipped + count + closed));
    }
    let count = body.bytes().take(10).take_while(u8::is_ascii_alphanumeric).count();
    let name = &body[..count];
    let c = NAMED.iter().find(|(n, _)| *n == name)?.1;
    let closed = usize::from(body.as_bytes().get(count) == Some(&b';'));
    Some((c, 1 + count + closed))
}

const NAMED: &[(&str, char)] = &[
    ("nbsp", ' '),
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("middot", '·'),
    ("bull", '•'),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("shy", '\u{ad}'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("aacute", 'á'),
    ("agrave", 'à'),
    ("ccedil", 'ç'),
    ("ntilde", 'ñ'),
    ("oacute", 'ó'),
    ("iacute", 'í'),
    ("uacute", 'ú'),
];

pub(super) fn breaks_line(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "br"
            | "tr"
            | "table"
            | "ul"
            | "ol"
            | "li"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "hr"
            | "blockquote"
            | "pre"
            | "center"
            | "form"
            | "body"
            | "html"
            | "head"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "title"
            | "dl"
            | "dt"
            | "dd"
            | "fieldset"
            | "option"
            | "select"
    )
}

pub(super) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "br" | "img"
            | "hr"
            | "input"
            | "meta"
            | "link"
            | "base"
            | "area"
            | "col"
            | "embed"
            | "wbr"
            | "source"
            | "param"
            | "track"
            | "basefont"
            | "bgsound"
            | "frame"
            | "keygen"
            | "image"
    ) || name.starts_with(['!', '?'])
}

pub(super) fn is_known(name: &str) -> bool {
    breaks_line(name) || is_void(name) || KNOWN.contains(&name)
}

const KNOWN: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "applet",
    "aside",
    "audio",
    "b",
    "basefont",
    "bdi",
    "bdo",
    "bgsound",
    "big",
    "blink",
    "button",
    "canvas",
    "caption",
    "cite",
    "code",
    "colgroup",
    "data",
    "datalist",
    "del",
    "details",
    "dfn",
    "dialog",
    "dir",
    "em",
    "figure",
    "figcaption",
    "font",
    "frame",
    "frameset",
    "hgroup",
    "i",
    "iframe",
    "ilayer",
    "ins",
    "kbd",
    "label",
    "layer",
    "legend",
    "main",
    "map",
    "mark",
    "marquee",
    "math",
    "menu",
    "meter",
    "nav",
    "nobr",
    "noframes",
    "noscript",
    "object",
    "optgroup",
    "output",
    "progress",
    "q",
    "rb",
    "rp",
    "rt",
    "rtc",
    "ruby",
    "s",
    "samp",
    "script",
    "search",
    "slot",
    "small",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "path",
    "g",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "time",
    "tt",
    "u",
    "var",
    "video",
    "xml",
    "xmp",
    "center",
    "picture",
    "plaintext",
    "spacer",
    "multicol",
    "v",
    "o",
    "w",
];
