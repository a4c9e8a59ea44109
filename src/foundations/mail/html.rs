//! The text of HTML as a reader sees it.

use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memmem};

/// Takes tags, comments, scripts and styles away, turns entities into characters, and joins white space as a browser
/// does: line ends only where the markup begins a new line. Linear in the length of the HTML.
pub fn to_text(html: &str) -> String {
    let mut reader = Reader { rest: html, text: String::with_capacity(html.len() / 2), blank: false };
    while let Some(at) = memchr(b'<', reader.rest.as_bytes()) {
        let (before, after) = reader.rest.split_at(at);
        reader.characters(before);
        reader.rest = after;
        reader.markup();
    }
    let rest = reader.rest;
    reader.characters(rest);
    reader.text
}

struct Reader<'a> {
    rest: &'a str,
    text: String,
    /// White space has been seen and not yet written.
    blank: bool,
}

impl<'a> Reader<'a> {
    fn characters(&mut self, text: &'a str) {
        for word in text.split_inclusive(|c: char| c.is_ascii_whitespace()) {
            let bare = word.trim_ascii();
            if !bare.is_empty() {
                if self.blank && !self.text.is_empty() && !self.text.ends_with('\n') {
                    self.text.push(' ');
                }
                self.blank = false;
                self.entities(bare);
            }
            self.blank |= bare.len() < word.len();
        }
    }

    fn entities(&mut self, mut word: &str) {
        while let Some(at) = memchr(b'&', word.as_bytes()) {
            self.text.push_str(&word[..at]);
            word = &word[at..];
            let window = &word.as_bytes()[..word.len().min(MAX_ENTITY)];
            match memchr(b';', window) {
                // An entity that is not known comes out as it stands.
                Some(end) => {
                    add_html_token(&mut self.text, &word.as_bytes()[..=end], false);
                    word = &word[end + 1..];
                }
                None => {
                    self.text.push('&');
                    word = &word[1..];
                }
            }
        }
        self.text.push_str(word);
    }

    /// Skips one piece of markup, at whose `<` the rest begins.
    fn markup(&mut self) {
        if self.rest.starts_with("<!--") {
            self.skip_past("-->");
            return;
        }
        let inside = &self.rest[1..];
        let name_length = inside.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'/' || *b == b'!').count();
        if name_length == 0 {
            // A lone `<` is text.
            let (lone, rest) = self.rest.split_at(1);
            self.rest = rest;
            self.characters(lone);
            return;
        }
        let name = inside[..name_length.min(MAX_NAME)].trim_end_matches('/').to_ascii_lowercase();
        self.skip_past(">");
        match name.strip_prefix('/').unwrap_or(&name) {
            "script" | "style" | "title" | "template" if !name.starts_with('/') => self.skip_element(&name),
            "br" | "p" | "div" | "tr" | "li" | "h1" | "h2" | "h3" | "h4" | "table" | "blockquote" | "hr" | "ul"
            | "ol" => {
                self.new_line();
            }
            "td" | "th" => self.blank = true,
            _ => {}
        }
    }

    fn new_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.blank = false;
    }

    /// Skips to after the next `mark`, or to the end.
    fn skip_past(&mut self, mark: &str) {
        let end = memmem::find(self.rest.as_bytes(), mark.as_bytes()).map(|at| at + mark.len());
        self.rest = end.map_or("", |end| &self.rest[end..]);
    }

    /// Skips the content of an element that is not shown, up to its end tag, or to the end.
    fn skip_element(&mut self, name: &str) {
        while let Some(at) = memmem::find(self.rest.as_bytes(), b"</") {
            self.rest = &self.rest[at + 2..];
            let closes =
                self.rest.as_bytes().get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name.as_bytes()));
            if closes {
                self.skip_past(">");
                return;
            }
        }
        self.rest = "";
    }
}

/// Longest entity in octets, with `&` and `;`.
const MAX_ENTITY: usize = 40;
/// Longest tag name that matters here.
const MAX_NAME: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_is_read() {
        for (html, text) in [
            ("<p>Hello  <b>W</b>orld</p>\r\n<p>again", "Hello World\nagain"),
            ("a<br>b<BR/>c", "a\nb\nc"),
            ("<style>p { x: y }</style>a<script>if (1 < 2) '</b>'</SCRIPT >b", "ab"),
            ("a<!-- <b> -->b<!-- c", "ab"),
            ("gr&uuml;n &amp; &#65;&#x42; &nonsense; & &", "grün & AB &nonsense; & &"),
            ("1 < 2 <> 3", "1 < 2 <> 3"),
            ("<td>a</td><td>b</td>", "a b"),
            ("<a href='x", ""),
            ("ü<ü>", "ü<ü>"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), text, "{html:?}");
        }
    }

    #[test]
    fn hostile_markup_is_linear() {
        for hostile in ["<", "</", "<!--", "<script>", "&", "<script></", "&#", "< "] {
            let _ = to_text(&hostile.repeat(200_000));
        }
    }
}
