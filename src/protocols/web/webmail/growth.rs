//! How much of the markup can be parsed within limits on memory and time.
//!
//! A tree can be far larger than its markup: where elements such as `font` are left open, every following paragraph repeats
//! them all, with all their attributes (HTML §13.2.4.3). And time can grow with the square of the open elements, of the
//! attributes of one tag, or, when the tree is printed, of the octets of a text that must be escaped. So the same parser first
//! reads the markup piece by piece, without keeping the tree, for as long as all this stays within limits.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::{Attribute, ExpandedName, ParseOpts, QualName, local_name, ns, parse_fragment};

/// Elements and attributes of the tree.
const MOST_MADE: usize = 300_000;
/// Elements that are open or would be opened again at the same time. Browsers nest no deeper either.
const MOST_OPEN: usize = 512;
/// Blanks, slashes and quotes within one tag: there are no more attributes in it.
const MOST_IN_TAG: usize = 32_000;
/// Comparisons of attributes with those before them in their tag, in all tags together: as many as four of the largest tags
/// need. Tags that make no element need them, too.
const MOST_COMPARED: usize = 1 << 31;
/// Octets that are looked through when the tree is printed: after each `&` and each octet 0xC2, with which a no-break space
/// begins, the printer looks for the next `<` or `>`, to the end of the text if there is none.
const MOST_SEARCHED: u64 = 1 << 34;
/// Octets given to the parser at once, unless a tag begins before.
const PIECE: usize = 1 << 10;

/// The beginning of a markup that stays within bounds, which may be all of it.
pub(super) fn bounded(markup: &str) -> &str {
    let state = State::default();
    // As ammonia reads it.
    let around = QualName::new(None, ns!(html), local_name!("div"));
    let mut parser = parse_fragment(Counting(state.clone()), ParseOpts::default(), around, Vec::new(), false);
    let (mut at, mut in_tag, mut compared) = (0, 0, 0_usize);
    while at < markup.len() {
        let piece = piece(&markup[at..]);
        parser.process(StrTendril::from_slice(piece));
        let separates = |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b'/' | b'"' | b'\'');
        // While a tag is not at its end, nothing becomes of it.
        let separators = piece.bytes().filter(separates).count();
        compared = compared.saturating_add(separators.saturating_mul(in_tag));
        in_tag = if state.0.touched.take() { 0 } else { in_tag + separators };
        let counts = &state.0;
        let is_long = in_tag > MOST_IN_TAG || compared > MOST_COMPARED || counts.searched.get() > MOST_SEARCHED;
        if counts.made.get() > MOST_MADE || counts.open.get() > MOST_OPEN || is_long {
            return &markup[..at];
        }
        at += piece.len();
    }
    markup
}

/// Up to where the next tag may begin.
fn piece(rest: &str) -> &str {
    let most = rest.floor_char_boundary(PIECE);
    let end = memchr::memchr(b'<', rest.as_bytes().get(1..most).unwrap_or_default()).map_or(most, |at| at + 1);
    &rest[..end]
}

/// The parser's work so far.
#[derive(Debug, Default)]
struct Counts {
    made: Cell<usize>,
    open: Cell<usize>,
    touched: Cell<bool>,
    searched: Cell<u64>,
    /// Octets to be escaped in the text that further text may be added to.
    in_text: Cell<u64>,
    /// In text that was moved before a table, which may all become one.
    in_moved_text: Cell<u64>,
}

impl Counts {
    /// Text after this many octets that need escaping.
    fn add_text(&self, text: &str, escaped: &Cell<u64>) {
        escaped.set(escaped.get() + text.bytes().filter(|octet| matches!(octet, b'&' | 0xC2)).count() as u64);
        self.searched.set(self.searched.get().saturating_add(escaped.get().saturating_mul(text.len() as u64)));
    }
}

#[derive(Debug, Clone, Default)]
struct State(Rc<Counts>);

/// An element for as long as the parser needs it: while it is open, or would be opened again.
#[derive(Debug)]
struct Node {
    name: QualName,
    state: State,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.state.0.open.set(self.state.0.open.get().saturating_sub(1));
    }
}

/// A tree that only counts.
struct Counting(State);

impl Counting {
    fn node(&self, name: QualName) -> Rc<Node> {
        self.0.0.open.set(self.0.0.open.get() + 1);
        Rc::new(Node { name, state: self.0.clone() })
    }

    fn nameless(&self) -> Rc<Node> {
        self.touch();
        self.node(QualName::new(None, ns!(), local_name!("")))
    }

    fn touch(&self) {
        self.0.0.touched.set(true);
    }

    fn append_moved(&self, what: &NodeOrText<Rc<Node>>) {
        self.touch();
        if let NodeOrText::AppendText(text) = what {
            self.0.0.add_text(text, &self.0.0.in_moved_text);
        }
    }
}

impl TreeSink for Counting {
    type Handle = Rc<Node>;
    type Output = ();
    type ElemName<'a>
        = ExpandedName<'a>
    where
        Self: 'a;

    fn finish(self) {}

    // The tokens of a tag that has not ended are complained about, too.
    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Rc<Node> {
        self.nameless()
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<Node>) -> ExpandedName<'a> {
        self.touch();
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> Rc<Node> {
        self.touch();
        self.0.0.made.set(self.0.0.made.get() + 1 + attributes.len());
        for attribute in &attributes {
            self.0.0.add_text(&attribute.value, &Cell::new(0));
        }
        self.node(name)
    }

    fn create_comment(&self, _: StrTendril) -> Rc<Node> {
        self.nameless()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Rc<Node> {
        self.nameless()
    }

    fn append(&self, _: &Rc<Node>, what: NodeOrText<Rc<Node>>) {
        self.touch();
        match what {
            NodeOrText::AppendText(text) => self.0.0.add_text(&text, &self.0.0.in_text),
            NodeOrText::AppendNode(_) => self.0.0.in_text.set(0),
        }
    }

    fn append_based_on_parent_node(&self, _: &Rc<Node>, _: &Rc<Node>, what: NodeOrText<Rc<Node>>) {
        self.append_moved(&what);
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {
        self.touch();
    }

    fn get_template_contents(&self, target: &Rc<Node>) -> Rc<Node> {
        Rc::clone(target)
    }

    fn same_node(&self, one: &Rc<Node>, other: &Rc<Node>) -> bool {
        Rc::ptr_eq(one, other)
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, _: &Rc<Node>, what: NodeOrText<Rc<Node>>) {
        self.append_moved(&what);
    }

    fn add_attrs_if_missing(&self, _: &Rc<Node>, _: Vec<Attribute>) {
        self.touch();
    }

    fn remove_from_parent(&self, _: &Rc<Node>) {}

    fn reparent_children(&self, _: &Rc<Node>, _: &Rc<Node>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_markup_is_read_whole() {
        let cell = "<td style=\"padding:4px\" width=\"10\"><font color=\"red\"><b>ä <a href=\"https://x.test\">x</a></b></font></td>";
        let row = format!("<tr>{}</tr>\n", cell.repeat(5));
        let picture =
            format!("<img src=\"data:image/png;base64,{}/\n\">", ("QUJD".repeat(18) + "a/b+\n").repeat(13_000));
        let answers = format!("{}x{}", "<div><blockquote>".repeat(150), "</blockquote></div>".repeat(150));
        let broken = "<p><b>one<p>two</b><i>three</p>".repeat(40);
        for markup in [
            "<html><body>".to_owned() + &format!("<table>{}</table>", row.repeat(500)) + "</body></html>",
            picture.repeat(4),
            answers,
            broken,
            "word ".repeat(200_000),
            format!("<!-- {} -->x", "a b".repeat(10_000)),
            "ä".repeat(3_000),
            "Fish &amp; chips&nbsp;".repeat(2_000),
            "<p>&nbsp;</p>".repeat(50_000),
            format!("<a href=\"/?{}\">x</a>", "a=1&b=2&".repeat(1_000)).repeat(50),
            "a < b <".to_owned(),
            String::new(),
        ] {
            assert_eq!(bounded(&markup).len(), markup.len(), "{}", markup.chars().take(100).collect::<String>());
        }
    }

    #[test]
    fn what_grows_beyond_measure_is_cut() {
        let open =
            |n: usize, attributes: &str| -> String { (0..n).map(|n| format!("<font size={n}{attributes}>")).collect() };
        let attributes: String = (0..3_000).map(|n| format!(" a{n}")).collect();
        for bomb in [
            // Every paragraph has all of them again.
            format!("<p>{}{}", open(400, ""), "<p>x".repeat(20_000)),
            format!("<p>{}{}", open(2, &attributes), "<p>x".repeat(20_000)),
            format!("<table>{}{}", open(400, ""), "<tr><td>x</td></tr>x".repeat(5_000)),
            // Each is compared with all that are open.
            open(20_000, ""),
            "<p>".to_owned() + &open(20_000, ""),
            "<div>".repeat(30_000),
            "<table><tr><td>".repeat(10_000),
            // After each the rest is looked through.
            "&amp;".repeat(400_000),
            "&".repeat(400_000),
            "&</x>".repeat(400_000),
            "\u{a0}".repeat(400_000),
            format!("<p title=\"{}\">x", "&".repeat(400_000)),
            format!("<table>{}", "&<tr>".repeat(200_000)),
            // Each is compared with those before it.
            format!("<a{}>x", (0..100_000).map(|n| format!(" {n}")).collect::<String>()),
            format!("<a{}>x", (0..100_000).map(|n| format!(" =<{n}")).collect::<String>()),
            // There may be as many comparisons in each tag, whether it makes an element or not.
            format!("<p{}>x", " ".repeat(31_000)).repeat(9),
            format!("</p{}>x", " ".repeat(31_000)).repeat(9),
            format!("<tr{}>x", " ".repeat(31_000)).repeat(9),
        ] {
            assert!(bounded(&bomb).len() < bomb.len(), "{}", bomb.chars().take(100).collect::<String>());
        }
    }
}
