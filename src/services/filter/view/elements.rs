//! Which elements are open, and whether their text can be seen.
//!
//! Hardly any mail closes all its elements. Browsers compensate: they end elements by themselves, and move others out of tables. An
//! element that hides text must not end later here than there, or the text is hidden from the filter but not from the reader. If it
//! ends earlier, the filter only reads too much text.

use super::style::{Size, Style, TINY, USUAL};

/// How text is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    gone: bool,
    invisible: bool,
    /// Of the font, in pixels.
    size: f32,
}

impl Sight {
    const PLAIN: Self = Self { gone: false, invisible: false, size: USUAL };

    /// Whether it cannot be seen.
    pub(super) fn is_hidden(self) -> bool {
        self.gone || self.invisible || self.size <= TINY
    }

    /// Whether it would be visible if it were larger.
    pub(super) fn is_tiny(self) -> bool {
        !self.gone && !self.invisible && self.size <= TINY
    }

    fn with(self, style: &Style) -> Self {
        let size = match style.size {
            None => self.size,
            Some(Size::Pixels(size)) => size,
            Some(Size::Times(factor)) => self.size * factor,
        };
        Self { gone: self.gone || style.gone, invisible: style.invisible.unwrap_or(self.invisible), size }
    }
}

struct Element {
    name: String,
    kind: u32,
    sight: Sight,
}

/// The open elements, outermost first.
#[derive(Default)]
pub(super) struct Elements {
    open: Vec<Element>,
    /// It is no longer known what is hidden.
    is_lost: bool,
}

/// Deepest nesting that is followed; browsers follow twice that.
const DEEPEST: usize = 256;

impl Elements {
    /// How text at this place is shown.
    pub(super) fn sight(&self) -> Sight {
        match self.open.last() {
            Some(_) if self.is_lost => Sight::PLAIN,
            Some(last) if last.kind & IN_TABLE == 0 => last.sight,
            Some(_) => self.around_table(),
            None => Sight::PLAIN,
        }
    }

    /// How an element with this style is shown at this place.
    pub(super) fn sight_with(&self, style: &Style) -> Sight {
        self.sight().with(style)
    }

    /// Ends the elements that browsers end before an element of this name begins (HTML §13.2.6.4).
    pub(super) fn before(&mut self, name: &str) {
        let kind = kind_of(name);
        match kind {
            LI => self.end(LI, LIST | SCOPE),
            DD => self.end(DD, DL | SCOPE),
            A | NOBR | BUTTON => self.end(kind, SCOPE),
            OPTION => self.end(OPTION, SELECT | SCOPE),
            OPTGROUP => self.end(OPTION | OPTGROUP, SELECT | SCOPE),
            RUBY => self.end(RUBY, SCOPE),
            SELECT => self.end(SELECT, SCOPE),
            TABLE if self.is_in_table() => self.end(TABLE, 0),
            ROW => self.end_in_table(GROUP),
            CELL => self.end_in_table(GROUP | ROW),
            GROUP | CAPTION | COLUMNS => self.end_in_table(0),
            HEADING if self.open.last().is_some_and(|last| last.kind == HEADING) => self.end(HEADING, 0),
            _ => {}
        }
        match name {
            "input" | "textarea" => self.end(SELECT, SCOPE),
            _ if ENDS_PARAGRAPH.contains(&name) => self.end(P, SCOPE | BUTTON),
            _ => {}
        }
        if NEVER_FOREIGN.contains(&name) || ENDS_PARAGRAPH.contains(&name) {
            self.end(FOREIGN, 0);
        }
    }

    /// An element begins.
    pub(super) fn begin(&mut self, name: &str, style: &Style) {
        let kind = kind_of(name);
        // A form cannot begin inside another one, and in a table it contains nothing.
        if name == "form" && (self.is_in_table() || self.open.iter().any(|element| element.name == "form")) {
            return;
        }
        let is_of_table = kind & (IN_TABLE | CELL | CAPTION) != 0;
        if is_of_table && kind != TABLE && !self.open.iter().any(|element| element.kind == TABLE) {
            // Outside tables, these are ignored.
            return;
        }
        if self.open.len() >= DEEPEST {
            self.lose_track();
            return;
        }
        if kind == FOREIGN {
            // Not every program shows them, and if they are shown, they may or may not contain further HTML.
            self.lose_track();
        }
        let around = match self.open.last() {
            Some(last) if is_of_table && kind != TABLE => last.sight,
            _ => self.sight(),
        };
        // Programs that show the message inside another page drop the attributes of these.
        let sight = if matches!(name, "html" | "head" | "body" | "frameset") { around } else { around.with(style) };
        self.open.push(Element { name: name.to_owned(), kind, sight });
    }

    /// From here on nothing counts as hidden.
    pub(super) const fn lose_track(&mut self) {
        self.is_lost = true;
    }

    /// The end tag of an element.
    pub(super) fn close(&mut self, name: &str) {
        if matches!(name, "p" | "br") {
            self.end(FOREIGN, 0);
        }
        let kind = kind_of(name);
        let is_meant = |element: &Element| element.name == name || (kind == HEADING && element.kind == HEADING);
        if let Some(at) = self.open.iter().rposition(is_meant) {
            self.open.truncate(at);
        }
    }

    /// Whether the place, or an element of this name, is a drawing or formula. Only there a slash ends a tag's element, and no element
    /// holds bare text (HTML §13.2.6.5).
    pub(super) fn is_foreign(&self, name: &str) -> bool {
        kind_of(name) == FOREIGN || self.open.iter().any(|element| element.kind == FOREIGN)
    }

    /// Content directly in a table is shown before it.
    fn around_table(&self) -> Sight {
        let table = self.open.iter().rposition(|element| element.kind == TABLE).unwrap_or(0);
        table.checked_sub(1).and_then(|at| self.open.get(at)).map_or(Sight::PLAIN, |element| element.sight)
    }

    fn is_in_table(&self) -> bool {
        self.open.last().is_some_and(|last| last.kind & IN_TABLE != 0)
    }

    /// Ends the innermost element of these kinds, with everything in it, unless it contains one of the barriers.
    fn end(&mut self, kinds: u32, barriers: u32) {
        let found = self.open.iter().rposition(|element| element.kind & (kinds | barriers) != 0);
        if let Some(at) = found.filter(|at| self.open[*at].kind & kinds != 0) {
            self.open.truncate(at);
        }
    }

    /// Ends the open elements in the innermost table, except these kinds at its beginning.
    fn end_in_table(&mut self, kept: u32) {
        let Some(table) = self.open.iter().rposition(|element| element.kind == TABLE) else { return };
        let kept = self.open[table + 1..].iter().take_while(|element| element.kind & kept != 0).count();
        self.open.truncate(table + 1 + kept);
    }
}

const P: u32 = 1;
const LI: u32 = 1 << 1;
const LIST: u32 = 1 << 2;
const DD: u32 = 1 << 3;
const DL: u32 = 1 << 4;
const A: u32 = 1 << 5;
const NOBR: u32 = 1 << 6;
const BUTTON: u32 = 1 << 7;
const SELECT: u32 = 1 << 8;
const OPTION: u32 = 1 << 9;
const OPTGROUP: u32 = 1 << 10;
const HEADING: u32 = 1 << 11;
const FOREIGN: u32 = 1 << 12;
const TABLE: u32 = 1 << 13;
const GROUP: u32 = 1 << 14;
const ROW: u32 = 1 << 15;
const COLUMNS: u32 = 1 << 16;
const CELL: u32 = 1 << 17;
const CAPTION: u32 = 1 << 18;
const OBJECT: u32 = 1 << 19;
const RUBY: u32 = 1 << 20;

/// Where only cells and captions are allowed.
const IN_TABLE: u32 = TABLE | GROUP | ROW | COLUMNS;
/// Elements inside these end nothing outside.
const SCOPE: u32 = TABLE | CELL | CAPTION | OBJECT;

/// The bit of an element that matters to others; 0 for all other names.
fn kind_of(name: &str) -> u32 {
    match name {
        "p" => P,
        "li" => LI,
        "ul" | "ol" | "menu" | "dir" => LIST,
        "dd" | "dt" => DD,
        "dl" => DL,
        "a" => A,
        "nobr" => NOBR,
        "button" => BUTTON,
        "select" => SELECT,
        "option" => OPTION,
        "optgroup" => OPTGROUP,
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => HEADING,
        "svg" | "math" => FOREIGN,
        "table" => TABLE,
        "tbody" | "thead" | "tfoot" => GROUP,
        "tr" => ROW,
        "colgroup" | "col" => COLUMNS,
        "td" | "th" => CELL,
        "caption" => CAPTION,
        "rb" | "rt" | "rtc" | "rp" => RUBY,
        "object" | "marquee" | "applet" | "template" => OBJECT,
        _ => 0,
    }
}

/// Elements that end a paragraph.
const ENDS_PARAGRAPH: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "li",
    "listing",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "plaintext",
    "pre",
    "search",
    "section",
    "summary",
    "table",
    "ul",
    "xmp",
];

/// Further ones that end drawings and formulas (HTML §13.2.6.5).
const NEVER_FOREIGN: &[&str] = &[
    "b", "big", "body", "br", "code", "em", "embed", "font", "head", "i", "img", "meta", "nobr", "ruby", "s", "small",
    "span", "strike", "strong", "sub", "sup", "tt", "u", "var",
];
