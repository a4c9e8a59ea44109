//! The plain text of a formatted message, made from its HTML.
//!
//! It reads markup that `html` has sanitised, so every element is closed and nothing has to be guessed. Quotes get `> `, lists
//! their markers, links their target.

use mail_parser::decoders::html::add_html_token;

/// The text of cleaned markup. Linear in its length, but for quotes in quotes, whose depth is bounded.
pub(super) fn text(markup: &str) -> String {
    let mut writer = Writer::default();
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        writer.characters(&rest[..at]);
        let Some(end) = rest[at..].find('>') else { break };
        writer.tag(&rest[at + 1..at + end]);
        rest = &rest[at + end + 1..];
    }
    writer.characters(rest);
    writer.finish()
}

/// Quotes and lists deeper than this are written as if they were no deeper.
const DEEPEST: usize = 20;
/// Longest entity in octets.
const LONGEST_ENTITY: usize = 40;

#[derive(Debug)]
enum Frame {
    Quote,
    /// A list; the number of the next line when it has numbers.
    List(Option<u32>),
}

/// What becomes of a line that ends with nothing on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    /// It is written, because it is meant.
    Kept,
    Dropped,
}

#[derive(Debug, Default)]
struct Writer {
    out: String,
    /// The line that is being written, without its prefix.
    line: String,
    /// The prefix of its text, such as a list marker.
    mark: String,
    frames: Vec<Frame>,
    /// Elements deeper than [`DEEPEST`].
    deeper: usize,
    /// White space was seen and not written.
    blank: bool,
    preformatted: usize,
    links: Vec<(String, usize)>,
    /// Whether an empty line comes before the next one.
    apart: bool,
}

impl Writer {
    fn characters(&mut self, text: &str) {
        let decoded = decoded(text);
        if self.preformatted > 0 {
            for (n, part) in decoded.split('\n').enumerate() {
                if n > 0 {
                    self.end_line(Empty::Kept);
                }
                self.line.push_str(part.trim_end_matches('\r'));
            }
            return;
        }
        for c in decoded.chars() {
            match c {
                ' ' | '\t' | '\n' | '\r' => self.blank = true,
                c => {
                    if std::mem::take(&mut self.blank) && !self.line.is_empty() && !self.line.ends_with(' ') {
                        self.line.push(' ');
                    }
                    // A space that must not break is one that somebody has typed.
                    self.line.push(if c == '\u{a0}' { ' ' } else { c });
                }
            }
        }
    }

    fn tag(&mut self, inside: &str) {
        let (closes, inside) = match inside.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, inside),
        };
        let name = inside.split([' ', '\t', '\n', '/']).next().unwrap_or_default();
        match (name, closes) {
            ("br", _) => self.end_line(Empty::Kept),
            ("hr", _) => {
                self.end_line(Empty::Dropped);
                self.line.push_str("----");
                self.end_line(Empty::Dropped);
            }
            ("img", _) => {
                if let Some(alt) = attribute(inside, "alt").filter(|alt| !alt.trim().is_empty()) {
                    self.characters(&format!("[{}]", alt.trim()));
                }
            }
            ("p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table", _) => {
                self.end_line(Empty::Dropped);
                self.apart = true;
            }
            ("div" | "tr" | "section" | "main" | "center" | "caption" | "dt" | "dd" | "figure", _) => {
                self.end_line(Empty::Dropped);
            }
            ("td" | "th", _) => self.blank = true,
            ("pre", false) => {
                self.end_line(Empty::Dropped);
                self.preformatted += 1;
            }
            ("pre", true) => {
                self.end_line(Empty::Dropped);
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            ("blockquote", false) => self.enter(Frame::Quote),
            ("ul", false) => self.enter(Frame::List(None)),
            ("ol", false) => {
                let start = attribute(inside, "start").and_then(|start| start.parse().ok());
                self.enter(Frame::List(Some(start.unwrap_or(1))));
            }
            ("blockquote" | "ul" | "ol", true) => self.leave(),
            ("li", false) => self.item(),
            ("li", true) => self.end_line(Empty::Dropped),
            ("a", false) => {
                let href = attribute(inside, "href").unwrap_or_default();
                self.links.push((href, self.line.len()));
            }
            ("a", true) => self.end_link(),
            _ => {}
        }
    }

    fn enter(&mut self, frame: Frame) {
        self.end_line(Empty::Dropped);
        if self.frames.len() >= DEEPEST {
            self.deeper += 1;
            return;
        }
        self.frames.push(frame);
    }

    fn leave(&mut self) {
        self.end_line(Empty::Dropped);
        self.mark.clear();
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        self.frames.pop();
        // Between a quote and the answer to it, and after a whole list.
        self.apart |= !self.frames.iter().any(|frame| matches!(frame, Frame::List(_)));
    }

    fn item(&mut self) {
        self.end_line(Empty::Dropped);
        let list = self.frames.iter_mut().rev().find_map(|frame| match frame {
            Frame::List(next) => Some(next),
            Frame::Quote => None,
        });
        self.mark = match list {
            Some(Some(number)) => {
                let mark = format!("{number}. ");
                *number = number.saturating_add(1);
                mark
            }
            _ => "- ".to_owned(),
        };
    }

    fn end_link(&mut self) {
        let Some((href, from)) = self.links.pop() else { return };
        let shown = self.line.get(from..).unwrap_or_default().trim();
        let bare = href.strip_prefix("mailto:").unwrap_or(&href);
        let says_it = |address: &str| shown == address || shown == address.trim_end_matches('/');
        if !shown.is_empty() && !bare.is_empty() && !says_it(bare) && !says_it(&href) {
            self.line.push_str(&format!(" <{bare}>"));
        }
    }

    fn end_line(&mut self, empty: Empty) {
        if std::mem::take(&mut self.blank) && self.line == "--" {
            self.line.push(' ');
        }
        for (_, from) in &mut self.links {
            *from = 0;
        }
        if self.line.is_empty() && self.mark.is_empty() && empty == Empty::Dropped {
            return;
        }
        let (mut quotes, mut indent) = (String::new(), 0_usize);
        for frame in &self.frames {
            match frame {
                Frame::Quote => quotes.push('>'),
                Frame::List(_) => indent += 2,
            }
        }
        if std::mem::take(&mut self.apart) && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push_str(&quotes);
            self.out.push('\n');
        }
        let mut whole = quotes;
        let says_something = !self.line.is_empty() || !self.mark.is_empty();
        if says_something {
            if !whole.is_empty() {
                whole.push(' ');
            }
            let own = if self.mark.is_empty() { indent } else { indent.saturating_sub(2) };
            whole.extend(std::iter::repeat_n(' ', own));
        }
        whole.push_str(&self.mark);
        whole.push_str(&self.line);
        // The mark of a signature keeps its blank (RFC 3676 §4.3).
        self.out.push_str(if whole.ends_with("-- ") { &whole } else { whole.trim_end() });
        self.out.push('\n');
        self.line.clear();
        self.mark.clear();
    }

    fn finish(mut self) -> String {
        self.end_line(Empty::Dropped);
        self.out
    }
}

/// The value of an attribute as ammonia writes it: in double quotes.
fn attribute(inside: &str, name: &str) -> Option<String> {
    let (_, rest) = inside.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(decoded(value))
}

fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match rest.bytes().take(LONGEST_ENTITY).position(|octet| octet == b';') {
            Some(end) => {
                add_html_token(&mut out, &rest.as_bytes()[..=end], false);
                rest = &rest[end + 1..];
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::html::{Remote, clean};
    use super::*;

    #[test]
    fn says_what_the_formatting_says() {
        for (markup, wanted) in [
            ("<div>Hello  <b>W</b>orld</div><div><br></div><div>again</div>", "Hello World\n\nagain\n"),
            ("<h2>Title</h2><p>One</p><p>Two<br>Three</p>", "Title\n\nOne\n\nTwo\nThree\n"),
            ("<ul><li>a</li><li>b<ol><li>c</li><li>d</li></ol></li></ul>after", "- a\n- b\n  1. c\n  2. d\n\nafter\n"),
            (
                "<div>Ann wrote:</div><blockquote>x<blockquote>y</blockquote>z</blockquote><div>mine</div>",
                "Ann wrote:\n> x\n>> y\n>\n> z\n\nmine\n",
            ),
            (
                "<a href=\"https://a.test/\">https://a.test</a> <a href=\"https://b.test/x\">here</a>",
                "https://a.test here <https://b.test/x>\n",
            ),
            ("<a href=\"mailto:ann@a.test\">ann@a.test</a> &lt;&amp;&gt; gr&uuml;n", "ann@a.test <&> grün\n"),
            ("<pre>a\n  b</pre>c", "a\n  b\nc\n"),
            ("<div>-- </div><div>Ann</div>", "-- \nAnn\n"),
            ("<div>--&nbsp;</div><div>Ann</div>", "-- \nAnn\n"),
            ("<div>-- <br>Ann -- <br>-- x</div>", "-- \nAnn --\n-- x\n"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n"),
            ("x<hr>y <img src=\"cid:a\" alt=\"a cat\">", "x\n----\ny [a cat]\n"),
            ("", ""),
        ] {
            let parts = HashMap::from([("a".to_owned(), "cid:a".to_owned())]);
            assert_eq!(text(&clean(markup, parts, Remote::Blocked).markup), wanted, "{markup}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = format!("{}x{}", "<blockquote>".repeat(2_000), "</blockquote>".repeat(2_000));
        assert_eq!(text(&deep), format!("{} x\n", ">".repeat(DEEPEST)));
        for hostile in ["<", "<a ", "&", "<li>", "</blockquote>", "<ol start=\"4294967295\"><li>", "<br>"] {
            let _ = text(&hostile.repeat(100_000));
        }
    }
}
