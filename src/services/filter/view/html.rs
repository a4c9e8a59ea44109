//! HTML as a reader sees it, and what it tries to hide. One pass, no tree: what matters is the text, the links and the
//! tricks, and a tree of hostile HTML costs more than it tells.

use super::{LinkKind, MAX_LINKS, View, link_of, push_folded};

/// What was noticed in the HTML parts.
#[derive(Debug, Default, Clone)]
pub struct HtmlFacts {
    /// Number of HTML parts.
    pub parts: u32,
    /// Number of tags.
    pub tags: u32,
    /// Number of images.
    pub images: u32,
    /// Images of at most two by two pixels.
    pub pixels: u32,
    /// Number of forms.
    pub forms: u32,
    /// Password fields.
    pub password_fields: u32,
    /// Script elements.
    pub scripts: u32,
    /// Event handlers in attributes.
    pub events: u32,
    /// Frames, objects and embedded programs.
    pub frames: u32,
    /// `<meta http-equiv=refresh>`.
    pub refreshes: u32,
    /// `<base href>` elsewhere.
    pub bases: u32,
    /// Elements hidden by their style.
    pub hidden: u32,
    /// Pieces of text in a font of at most two pixels.
    pub tiny: u32,
    /// Comments.
    pub comments: u32,
    /// Comments or empty tags in the middle of a word.
    pub broken_words: u32,
    /// Character references for plain ASCII letters.
    pub needless_references: u32,
    /// `href="javascript:"` and the like.
    pub script_links: u32,
    /// `href` or `src` with a whole document inside (`data:text/html`).
    pub data_documents: u32,
    /// Tags that no HTML knows.
    pub unknown_tags: u32,
    /// Names of elements that occur, in lower case, each once (at most 100).
    pub elements: Vec<String>,
}

struct Renderer<'v, 'm> {
    view: &'v mut View<'m>,
    /// Open elements that hide what they hold, by name and depth.
    hiding: Vec<(String, u32)>,
    depth: u32,
    /// The link whose text is being read.
    anchor: Option<usize>,
    line: String,
}

/// Deepest nesting of hiding elements that is followed.
const MAX_HIDING: usize = 64;
/// Longest text of a link that is kept, in octets.
const MAX_SHOWN: usize = 300;

/// Adds an HTML part's text, links and facts to the view.
pub fn render(html: &str, view: &mut View<'_>) {
    view.html.parts += 1;
    let mut renderer = Renderer { view, hiding: Vec::new(), depth: 0, anchor: None, line: String::new() };
    let bytes = html.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let next = memchr::memchr(b'<', &bytes[at..]).map_or(bytes.len(), |n| at + n);
        if next > at {
            renderer.text(&html[at..next]);
        }
        if next >= bytes.len() {
            break;
        }
        at = renderer.markup(html, next);
    }
    renderer.break_line();
}

impl Renderer<'_, '_> {
    /// Handles what begins with `<`; returns where to go on.
    fn markup(&mut self, html: &str, at: usize) -> usize {
        let bytes = html.as_bytes();
        let inside_word = at > 0 && bytes[at - 1].is_ascii_alphabetic();
        if bytes[at..].starts_with(b"<!--") {
            let end = memchr::memmem::find(&bytes[at + 4..], b"-->").map_or(bytes.len(), |n| at + 4 + n + 3);
            self.view.html.comments += 1;
            if inside_word && bytes.get(end).is_some_and(u8::is_ascii_alphabetic) {
                self.view.html.broken_words += 1;
            }
            return end;
        }
        match bytes.get(at + 1) {
            Some(b'/' | b'!' | b'?') => {}
            Some(c) if c.is_ascii_alphabetic() => {}
            _ => {
                self.text("<");
                return at + 1;
            }
        }
        let end = tag_end(bytes, at + 1);
        let inner = html.get(at + 1..end).unwrap_or_default();
        let after = (end + 1).min(bytes.len());
        if let Some(name) = inner.strip_prefix('/') {
            self.close(&element_name(name));
            return after;
        }
        let name = element_name(inner);
        self.view.html.tags += 1;
        if matches!(name.as_str(), "script" | "style" | "title" | "textarea" | "noscript" | "xmp") {
            return self.raw_text(html, &name, after);
        }
        let attributes = Attributes::parse(&inner[name.len().min(inner.len())..]);
        if !is_known(&name) && !name.contains(':') && !name.contains('-') && !inner.starts_with(['!', '?']) {
            self.view.html.unknown_tags += 1;
            if inside_word && bytes.get(after).is_some_and(u8::is_ascii_alphabetic) {
                self.view.html.broken_words += 1;
            }
        }
        self.open(&name, &attributes, inner.ends_with('/'));
        after
    }

    /// Elements whose content is no markup: script, style, title.
    fn raw_text(&mut self, html: &str, name: &str, from: usize) -> usize {
        self.note_element(name);
        if name == "script" {
            self.view.html.scripts += 1;
        }
        if name == "noscript" {
            return from;
        }
        let bytes = html.as_bytes();
        let mut at = from;
        while let Some(found) = memchr::memmem::find(&bytes[at..], b"</") {
            let start = at + found;
            let tail = &bytes[start + 2..];
            if tail.len() >= name.len() && tail[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
                if name == "title" {
                    self.text(&html[from..start]);
                    self.break_line();
                }
                return (tag_end(bytes, start + 1) + 1).min(bytes.len());
            }
            at = start + 2;
        }
        bytes.len()
    }

    fn text(&mut self, text: &str) {
        let decoded = self.references(text);
        if !self.hiding.is_empty() {
            if self.view.hidden.len() < self.view.rawbody.len() {
                self.view.hidden.push_str(&decoded);
            }
            return;
        }
        self.line.push_str(&decoded);
        if let Some(index) = self.anchor
            && let Some(link) = self.view.links.get_mut(index)
            && link.shown.len() < MAX_SHOWN
        {
            link.shown.push_str(&decoded);
        }
    }

    fn references(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            match reference(rest) {
                Some((c, length)) => {
                    if c.is_ascii_alphanumeric() {
                        self.view.html.needless_references += 1;
                    }
                    out.push(c);
                    rest = &rest[length..];
                }
                None => {
                    out.push('&');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn note_element(&mut self, name: &str) {
        let elements = &mut self.view.html.elements;
        if elements.len() < 100 && !elements.iter().any(|e| e == name) {
            elements.push(name.to_owned());
        }
    }

    fn open(&mut self, name: &str, attributes: &Attributes, closed: bool) {
        self.note_element(name);
        let facts = &mut self.view.html;
        facts.events += attributes.events;
        match name {
            "img" => {
                facts.images += 1;
                let small = |key| {
                    attributes
                        .get(key)
                        .is_some_and(|v| v.trim_end_matches("px").trim().parse().is_ok_and(|n: u32| n <= 2))
                };
                if small("width") && small("height") {
                    facts.pixels += 1;
                }
            }
            "form" => facts.forms += 1,
            "input" if attributes.is("type", "password") => facts.password_fields += 1,
            "iframe" | "frame" | "object" | "embed" | "applet" => facts.frames += 1,
            "meta" if attributes.is("http-equiv", "refresh") => facts.refreshes += 1,
            "base" if attributes.get("href").is_some() => facts.bases += 1,
            _ => {}
        }
        self.link(name, attributes);
        if breaks_line(name) {
            self.break_line();
        } else if matches!(name, "td" | "th") {
            self.line.push(' ');
        }
        if closed || is_void(name) {
            return;
        }
        self.depth += 1;
        let style = Style::of(attributes);
        if style.tiny {
            self.view.html.tiny += 1;
        }
        if style.hides() {
            self.view.html.hidden += 1;
            if self.hiding.len() < MAX_HIDING && name != "body" && name != "html" {
                self.hiding.push((name.to_owned(), self.depth));
            }
        }
    }

    fn link(&mut self, name: &str, attributes: &Attributes) {
        let (key, kind) = match name {
            "a" | "area" => ("href", LinkKind::Anchor),
            "img" | "iframe" | "frame" | "script" | "input" | "embed" => ("src", LinkKind::Resource),
            "link" => ("href", LinkKind::Resource),
            "form" => ("action", LinkKind::Form),
            "body" | "table" | "td" => ("background", LinkKind::Resource),
            _ => return,
        };
        let Some(url) = attributes.get(key) else { return };
        let head: String = url.chars().filter(|c| !c.is_whitespace()).take(20).collect::<String>().to_ascii_lowercase();
        if head.starts_with("javascript:") || head.starts_with("vbscript:") {
            self.view.html.script_links += 1;
        }
        if head.starts_with("data:text/html") {
            self.view.html.data_documents += 1;
        }
        if self.view.links.len() >= MAX_LINKS {
            return;
        }
        if let Some(link) = link_of(url, kind) {
            self.view.links.push(link);
            if kind == LinkKind::Anchor {
                self.anchor = Some(self.view.links.len() - 1);
            }
        }
    }

    fn close(&mut self, name: &str) {
        if name == "a" {
            self.anchor = None;
        }
        if let Some((_, depth)) = self.hiding.last()
            && self.hiding.last().is_some_and(|(open, _)| open == name)
            && self.depth <= *depth
        {
            self.hiding.pop();
        }
        self.depth = self.depth.saturating_sub(1);
        if let Some((_, depth)) = self.hiding.last()
            && self.depth + 1 < *depth
        {
            // Whatever encloses the hiding element has been closed.
            self.hiding.pop();
        }
        if breaks_line(name) {
            self.break_line();
        }
    }

    fn break_line(&mut self) {
        let before = self.view.body.len();
        push_folded(&mut self.view.body, &self.line);
        if self.view.body.len() > before {
            self.view.body.push('\n');
        }
        self.line.clear();
    }
}

/// Where the tag that begins before `from` ends: the `>` outside quotes, or the end of the text. A quote that is never
/// closed does not swallow the rest.
fn tag_end(bytes: &[u8], from: usize) -> usize {
    let limit = bytes.len().min(from + 8192);
    let mut quote = 0u8;
    for (at, byte) in bytes.iter().enumerate().take(limit).skip(from) {
        match *byte {
            b'>' if quote == 0 => return at,
            b'"' | b'\'' if quote == 0 && bytes[at - 1] == b'=' => quote = *byte,
            b if b == quote => quote = 0,
            _ => {}
        }
    }
    memchr::memchr(b'>', bytes.get(from..).unwrap_or_default()).map_or(bytes.len(), |n| from + n)
}

fn element_name(inner: &str) -> String {
    let end = inner.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).unwrap_or(inner.len());
    inner[..end].chars().take(30).collect::<String>().to_ascii_lowercase()
}

#[derive(Default)]
struct Attributes {
    pairs: Vec<(String, String)>,
    events: u32,
}

impl Attributes {
    fn parse(text: &str) -> Self {
        let mut result = Self::default();
        let mut rest = text.trim_start_matches(|c: char| !c.is_whitespace() && c != '/');
        for _ in 0..40 {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() {
                break;
            }
            let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
            let name = rest[..end].to_ascii_lowercase();
            rest = rest[end..].trim_start();
            let Some(tail) = rest.strip_prefix('=') else { continue };
            let tail = tail.trim_start();
            let (value, left) = match tail.chars().next() {
                Some(quote @ ('"' | '\'')) => tail[1..].split_once(quote).unwrap_or((&tail[1..], "")),
                _ => {
                    let end = tail.find(char::is_whitespace).unwrap_or(tail.len());
                    tail.split_at(end)
                }
            };
            rest = left;
            if name.starts_with("on") && name.len() > 4 {
                result.events += 1;
            }
            if matches!(
                name.as_str(),
                "href"
                    | "src"
                    | "action"
                    | "background"
                    | "style"
                    | "width"
                    | "height"
                    | "type"
                    | "http-equiv"
                    | "hidden"
                    | "size"
                    | "color"
            ) {
                result.pairs.push((name, unescape(value)));
            }
        }
        result
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|v| v.eq_ignore_ascii_case(value))
    }
}

fn unescape(value: &str) -> String {
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

#[derive(Default)]
struct Style {
    none: bool,
    tiny: bool,
}

impl Style {
    const fn hides(&self) -> bool {
        self.none || self.tiny
    }

    fn of(attributes: &Attributes) -> Self {
        let mut style = Self { none: attributes.get("hidden").is_some(), tiny: false };
        let Some(text) = attributes.get("style") else { return style };
        for declaration in text.split(';').take(60) {
            let Some((name, value)) = declaration.split_once(':') else { continue };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
            let value = value.trim_end_matches("!important").trim();
            match name.as_str() {
                "display" | "mso-hide" => style.none |= matches!(value, "none" | "all"),
                "visibility" => style.none |= value == "hidden",
                "opacity" => style.none |= value.parse().is_ok_and(|n: f32| n <= 0.05),
                "font-size" => style.tiny |= is_tiny(value),
                "max-height" => style.none |= value.trim_end_matches("px") == "0",
                _ => {}
            }
        }
        style
    }
}

fn is_tiny(size: &str) -> bool {
    let digits = size.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(size.len());
    let Ok(number) = size[..digits].parse::<f32>() else { return false };
    match size[digits..].trim() {
        "px" | "pt" | "" => number <= 2.0,
        "em" | "rem" => number <= 0.15,
        "%" => number <= 15.0,
        _ => false,
    }
}

/// A character reference at the start of the text: the character and the length in octets.
fn reference(text: &str) -> Option<(char, usize)> {
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

fn breaks_line(name: &str) -> bool {
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

fn is_void(name: &str) -> bool {
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
    ) || name.starts_with(['!', '?'])
}

fn is_known(name: &str) -> bool {
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
    "del",
    "details",
    "dfn",
    "dir",
    "em",
    "figure",
    "figcaption",
    "font",
    "frame",
    "frameset",
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
    "menu",
    "nav",
    "nobr",
    "noframes",
    "noscript",
    "object",
    "optgroup",
    "q",
    "s",
    "samp",
    "script",
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
