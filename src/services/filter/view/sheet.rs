//! Style sheets in messages: what their rules say about whether the text of an element is visible.
//!
//! Rules for elements, classes and ids are evaluated. For all other rules (conditions, positions in the tree) it is unknown here
//! whether they apply: none of these hides anything, and whatever one of them may show counts as shown. If a style sheet cannot
//! be understood, or is too large, only the elements' own styles count.

use std::collections::HashMap;

use super::markup::{Attributes, comment_end, construct_end, element_name, raw_end};
use super::style::Declared;

/// Most octets of the style sheets of one HTML part.
const MOST_OCTETS: usize = 128 << 10;
/// Most rules that matter.
const MOST_RULES: usize = 5_000;
/// Most of them that may apply to one element, class or id.
const MOST_OF_ONE: usize = 30;
/// Most classes of one element.
const MOST_CLASSES: usize = 20;
/// Deepest nesting of conditions.
const DEEPEST: u32 = 4;

/// The rules that matter, by element, `.class` or `#id` in lower case, or under the empty key if they apply to all.
#[derive(Default)]
pub(super) struct Sheets {
    rules: HashMap<String, Vec<Rule>>,
    /// What may be shown by rules of which it is unknown whether they apply.
    perhaps: HashMap<String, Declared>,
    count: usize,
    octets: usize,
    is_lost: bool,
}

struct Rule {
    selector: Selector,
    /// Its position among all rules.
    place: usize,
    declared: Declared,
}

/// An element with classes and ids, as far as they are named.
#[derive(Debug, PartialEq, Eq)]
struct Selector {
    element: Option<String>,
    classes: Vec<String>,
    ids: Vec<String>,
}

/// Whether a rule applies to an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    /// Only where upper and lower case are the same, which depends on the page (HTML §13.2.6.4.1, quirks mode).
    Perhaps,
    No,
}

impl Sheets {
    /// Reads the style sheets of an HTML part, wherever they are: they apply to all of it.
    pub(super) fn of(html: &str) -> Self {
        let mut sheets = Self::default();
        let bytes = html.as_bytes();
        let is_style = |at: usize| bytes.get(at + 1..at + 6).is_some_and(|word| word.eq_ignore_ascii_case(b"style"));
        if !memchr::memchr_iter(b'<', bytes).any(is_style) {
            return sheets;
        }
        let mut at = 0;
        while let Some(found) = memchr::memchr(b'<', bytes.get(at..).unwrap_or_default()) {
            let start = at + found;
            if bytes[start..].starts_with(b"<!--") {
                at = comment_end(bytes, start);
                continue;
            }
            let Some(end) = construct_end(bytes, start) else {
                at = start + 1;
                continue;
            };
            at = (end + 1).min(bytes.len());
            let inner = html.get(start + 1..end).unwrap_or_default();
            let name = element_name(inner);
            match name.as_str() {
                "style" => {
                    let to = raw_end(bytes, &name, at).unwrap_or(bytes.len());
                    let attributes = Attributes::parse(&inner[name.len().min(inner.len())..]);
                    sheets.element(&attributes, html.get(at..to).unwrap_or_default());
                    at = to;
                }
                "script" | "title" | "textarea" | "xmp" | "iframe" | "noembed" | "noframes" => {
                    let to = raw_end(bytes, &name, at).unwrap_or(bytes.len());
                    // A script may end later than that (HTML §13.2.5.20 to §13.2.5.31).
                    let is_sure = name != "script" || memchr::memmem::find(&bytes[at..to], b"<!--").is_none();
                    sheets.is_lost |= !is_sure;
                    at = to;
                }
                "plaintext" => break,
                // What counts as a style sheet in these depends on the program.
                "svg" | "math" | "template" | "select" | "frameset" => sheets.is_lost = true,
                _ => {}
            }
            if sheets.is_lost {
                break;
            }
        }
        sheets
    }

    /// What the rules say about an element.
    pub(super) fn declared(&self, name: &str, attributes: &Attributes) -> Declared {
        let mut declared = Declared::nothing();
        if self.is_lost || self.count == 0 {
            return declared;
        }
        let classes: Vec<&str> = attributes.get("class").unwrap_or_default().split_ascii_whitespace().collect();
        if classes.len() > MOST_CLASSES {
            return declared;
        }
        let id = attributes.get("id");
        let mut keys = vec![String::new(), name.to_owned()];
        keys.extend(classes.iter().map(|class| format!(".{}", class.to_ascii_lowercase())));
        keys.extend(id.map(|id| format!("#{}", id.to_ascii_lowercase())));
        let (mut sure, mut perhaps) = (Vec::new(), Declared::nothing());
        for key in &keys {
            for rule in self.rules.get(key).into_iter().flatten() {
                match rule.selector.holds_for(name, &classes, id) {
                    Holds::Yes => sure.push(rule),
                    Holds::Perhaps => perhaps.add(&rule.declared.showing()),
                    Holds::No => {}
                }
            }
            if let Some(shown) = self.perhaps.get(key) {
                perhaps.add(shown);
            }
        }
        sure.sort_by_key(|rule| (rule.selector.weight(), rule.place));
        for rule in sure {
            declared.add(&rule.declared);
        }
        declared.add(&perhaps);
        declared
    }

    /// A `style` element.
    fn element(&mut self, attributes: &Attributes, text: &str) {
        let kind = attributes.get("type").unwrap_or_default();
        if !kind.is_empty() && !kind.eq_ignore_ascii_case("text/css") {
            return;
        }
        self.octets += text.len();
        if self.octets > MOST_OCTETS {
            self.is_lost = true;
            return;
        }
        let media = attributes.get("media").unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match without_comments(text) {
            Some(text) => self.rules(&text, matches!(media.as_str(), "" | "all" | "screen"), 0),
            None => self.is_lost = true,
        }
    }

    /// Reads consecutive rules; `is_sure` if they apply unconditionally.
    fn rules(&mut self, text: &str, is_sure: bool, depth: u32) {
        let mut rest = text;
        while !self.is_lost {
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix("<!--").or_else(|| rest.strip_prefix("-->")) {
                rest = after;
                continue;
            }
            let is_at = rest.starts_with('@');
            let wanted: &[char] = if is_at { &['{', ';'] } else { &['{'] };
            // A rule without a block says nothing.
            let Some(open) = outside(rest, wanted) else {
                self.is_lost |= is_at && !is_harmless(rest);
                return;
            };
            let (head, has_block) = (&rest[..open], rest[open..].starts_with('{'));
            rest = &rest[open + 1..];
            if !has_block {
                self.is_lost |= !is_harmless(head);
                continue;
            }
            let end = outside(rest, &['}']).unwrap_or(rest.len());
            let block = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            match at_word(head) {
                None => self.rule(head, block, is_sure),
                Some("media" | "supports" | "layer" | "container") if depth < DEEPEST => {
                    self.rules(block, false, depth + 1);
                }
                Some(_) => self.is_lost |= !is_harmless(head),
            }
        }
    }

    fn rule(&mut self, selectors: &str, block: &str, is_sure: bool) {
        if block.contains('{') {
            // Further rules in it may be about any other element.
            self.is_lost = true;
            return;
        }
        let declared = Declared::read(&block.to_ascii_lowercase());
        if declared.is_empty() {
            return;
        }
        // One invalid selector invalidates the whole list (Selectors §4.1).
        let parsed: Option<Vec<Selector>> = selectors.split(',').map(Selector::parse).collect();
        match parsed.filter(|_| is_sure) {
            Some(parsed) => {
                for selector in parsed {
                    let rules = self.rules.entry(selector.key()).or_default();
                    rules.push(Rule { selector, place: self.count, declared });
                    self.is_lost |= rules.len() > MOST_OF_ONE;
                    self.count += 1;
                }
            }
            None => {
                let showing = declared.showing();
                for key in subjects(selectors).into_iter().filter(|_| !showing.is_empty()) {
                    self.perhaps.entry(key).or_insert_with(Declared::nothing).add(&showing);
                    self.count += 1;
                }
            }
        }
        self.is_lost |= self.count > MOST_RULES;
    }
}

impl Selector {
    /// `element`, `.class`, `#id`, or several of them without a space; `None` for all others.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let end = text.find(['.', '#']).unwrap_or(text.len());
        let element = match &text[..end] {
            "" if text.is_empty() => return None,
            "" | "*" => None,
            name => Some(name.to_ascii_lowercase()).filter(|name| is_name(name)).map(Some)?,
        };
        let mut selector = Self { element, classes: Vec::new(), ids: Vec::new() };
        let mut rest = &text[end..];
        while let Some(mark) = rest.chars().next() {
            let end = rest[1..].find(['.', '#']).map_or(rest.len(), |at| at + 1);
            let name = &rest[1..end];
            if !is_name(name) {
                return None;
            }
            let names = if mark == '.' { &mut selector.classes } else { &mut selector.ids };
            names.push(name.to_owned());
            rest = &rest[end..];
        }
        Some(selector)
    }

    /// The key of its rule.
    fn key(&self) -> String {
        let class = || self.classes.first().map(|class| format!(".{}", class.to_ascii_lowercase()));
        let id = self.ids.first().map(|id| format!("#{}", id.to_ascii_lowercase()));
        id.or_else(class).or_else(|| self.element.clone()).unwrap_or_default()
    }

    /// How specific it is (Selectors §15).
    fn weight(&self) -> (usize, usize, usize) {
        (self.ids.len(), self.classes.len(), usize::from(self.element.is_some()))
    }

    fn holds_for(&self, name: &str, classes: &[&str], id: Option<&str>) -> Holds {
        if self.element.as_ref().is_some_and(|element| element != name) {
            return Holds::No;
        }
        let all = |is_same: fn(&str, &str) -> bool| {
            self.classes.iter().all(|wanted| classes.iter().any(|class| is_same(class, wanted)))
                && self.ids.iter().all(|wanted| id.is_some_and(|id| is_same(id, wanted)))
        };
        if all(|one, other| one == other) {
            Holds::Yes
        } else if all(str::eq_ignore_ascii_case) {
            Holds::Perhaps
        } else {
            Holds::No
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The word of a rule that begins with `@`.
fn at_word(head: &str) -> Option<&str> {
    let word = head.strip_prefix('@')?;
    let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(word.len());
    Some(&word[..end])
}

/// Whether such a rule shows no element.
fn is_harmless(head: &str) -> bool {
    const HARMLESS: &[&str] =
        &["charset", "font-face", "page", "keyframes", "-webkit-keyframes", "-ms-viewport", "viewport"];
    at_word(head).is_some_and(|word| HARMLESS.contains(&word))
}

/// The keys of elements to which rules with these selectors may apply: those of the last part of each selector.
fn subjects(selectors: &str) -> Vec<String> {
    if selectors.contains('\\') {
        return vec![String::new()];
    }
    let mut bare = String::with_capacity(selectors.len());
    let (mut depth, mut quote) = (0_u32, None);
    for c in selectors.chars() {
        match c {
            c if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    let subject = |selector: &str| {
        let last =
            selector.trim_ascii().rsplit([' ', '\t', '\n', '\r', '\x0c', '>', '+', '~']).next().unwrap_or_default();
        let element = last.split(':').next().unwrap_or_default();
        Selector::parse(element).map(|selector| selector.key()).unwrap_or_default()
    };
    bare.split(',').map(subject).collect()
}

/// The first position of one of these characters outside strings, brackets and nested blocks.
fn outside(text: &str, wanted: &[char]) -> Option<usize> {
    let (mut closers, mut quote, mut is_escaped) = (Vec::new(), None, false);
    for (at, c) in text.char_indices() {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match c {
            '\\' => is_escaped = true,
            // A string ends with its line.
            '\n' | '\r' | '\x0c' => quote = None,
            c if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            c if closers.is_empty() && wanted.contains(&c) => return Some(at),
            '(' => closers.push(')'),
            '[' => closers.push(']'),
            '{' => closers.push('}'),
            c if closers.last() == Some(&c) => {
                closers.pop();
            }
            _ => {}
        }
    }
    None
}

/// A style sheet with each comment replaced by a space, and without the content of unquoted URLs: nothing in these, or in strings,
/// is a comment, bracket or quote. `None` if it is unclear what is a URL.
fn without_comments(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quote) = (text, None);
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\\' => length += rest[1..].chars().next().map_or(0, char::len_utf8),
            '\n' | '\r' | '\x0c' => quote = None,
            c if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '/' if rest.starts_with("/*") => {
                out.push(' ');
                rest = rest[2..].split_once("*/").map_or("", |(_, after)| after);
                continue;
            }
            '(' => {
                let name_at = out.rfind(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '\\' && c != '-');
                let name = &out[name_at.map_or(0, |at| at + 1)..];
                let is_quoted = rest[1..].trim_ascii_start().starts_with(['"', '\'']);
                if name.contains('\\') {
                    return None;
                }
                if name.eq_ignore_ascii_case("url") && !is_quoted {
                    let address = rest.split(')').next().unwrap_or_default();
                    if address.contains('\\') {
                        return None;
                    }
                    out.push('(');
                    rest = &rest[address.len()..];
                    continue;
                }
            }
            _ => {}
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::style::Style;
    use super::*;

    fn gone(sheet: &str, element: &str) -> bool {
        let sheets = Sheets::of(&format!("<style>{sheet}</style>"));
        let name = element_name(element);
        Style::of(&name, &Attributes::parse(&element[name.len()..]), &sheets).gone
    }

    #[test]
    fn simple_rules_hide() {
        for (sheet, element, wanted) in [
            (".a{display:none}", "p class='x a'", true),
            ("#a { DISPLAY : NONE }", "p id=a", true),
            ("p.a, .b{display:none}", "p class=a", true),
            ("p.a, .b{display:none}", "i class=a", false),
            ("p.a, .b{display:none}", "i class=b", true),
            ("p{opacity:0}", "P", true),
            ("/* x */ <!-- .a{color:red;/* ; */display:none} -->", "p class=a", true),
            ("@charset 'x'; @font-face{src:url(a{b)} .a{display:none}", "p class=a", true),
            (".b{background:url(/*)} .a{display:none} /**/", "p class=a", true),
            ("p.a{display:none} .a{display:block}", "p class=a", true),
            (".a{display:none} .a{display:block}", "p class=a", false),
            (".a{display:none!important} .a{display:block}", "p class=a style='display:block'", true),
            (".a{display:none}", "p class=a style='display:block'", false),
            (".a{display:block!important}", "p class=a style='display:none'", false),
            (".a{display:block}", "p class=a style='display:none'", true),
        ] {
            assert_eq!(gone(sheet, element), wanted, "{sheet} {element}");
        }
    }

    #[test]
    fn what_cannot_be_told_hides_nothing() {
        for sheet in [
            "div .a{display:none}",
            "@media print{.a{display:none}}",
            ".a:hover{display:none}",
            ".a, p::nothing{display:none}",
            ".A{display:none}",
            ".a{dis/**/play:none}",
            ".a{display:none} div > p.a{display:block}",
            ".a{display:none} @media (max-width:600px){ .b .a{display:block} }",
            ".a{display:none} @media x{@media y{p{display:block}}}",
            ".a{display:none} [class~=\"a b\"]{display:block}",
            ".a{display:none} *{display:block!important}",
            ".a{display:none} .A{display:block}",
            ".a{display:none} .\\61{display:block}",
            ".a{display:none} .a{displa\\79:block}",
            ".a{display:none} .b{x:'/*'} p.a{display:block} .b{x:'*/'}",
            ".a{display:none} .b{x:(;} .c{} )} p.a{display:block}",
            ".a{display:none} .b{x:url(a')} p.a{display:block} .c{x:')}",
            ".a{display:none} .b{x:url(a\\)')} p.a{display:block} .c{x:')}",
            ".a{display:none} .b{x:u\\72l(a')} p.a{display:block} .c{x:')}",
            ".a{display:none} b{& + p{display:block}}",
            ".a{display:none} @import 'x';",
            ".a{opacity:0;animation:x 1s} @keyframes x{to{opacity:1}}",
        ] {
            assert!(!gone(sheet, "p class=a"), "{sheet}");
        }
        let part = |html: &str| Style::of("p", &Attributes::parse(" class=a"), &Sheets::of(html)).gone;
        const RULE: &str = "<style>.a{display:none}</style>";
        assert!(part(&format!("<p>x</p>{RULE}")));
        for html in [
            format!("<!-- {RULE} -->"),
            format!("<title>{RULE}</title>"),
            format!("<i title='{RULE}'>"),
            format!("{RULE}<style media=print>p{{display:block}}</style>"),
            format!("{RULE}<style>p.a{{display:block}}"),
            format!("{RULE}<svg>"),
            format!("<select>{RULE}</select>"),
            RULE.replace("<style>", "<style type=text/x>"),
            RULE.replace("<style>", "<style media=print>"),
            format!("{RULE}<style>{}</style>", "b{color:red}".repeat(20_000)),
            format!("{RULE}<style>{}</style>", ".a{display:none}".repeat(40)),
        ] {
            assert!(!part(&html), "{}", &html[..html.len().min(100)]);
        }
    }

    #[test]
    fn rules_of_other_places_show_only_what_they_are_about() {
        // As newsletters have it for telephones.
        let sheet = "a[x-apple-data-detectors]{font-size:inherit!important} u + #body a{font-size:inherit} \
                     @media only screen and (max-width:600px){.wide{display:none!important} .narrow{display:block!important}}";
        assert!(gone(sheet, "p style='display:none'"));
        assert!(!gone(sheet, "p class=narrow style='display:none'"));
        let sheets = Sheets::of(&format!("<style>{sheet}</style>"));
        let size = |name: &str| Style::of(name, &Attributes::parse(" style='font-size:0'"), &sheets).size;
        assert_ne!(size("a"), size("p"));
    }
}
