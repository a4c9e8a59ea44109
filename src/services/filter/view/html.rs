//! HTML as a reader sees it, and what it tries to hide. One pass, no tree: what matters is the text, the links and the
//! tricks, and a tree of hostile HTML costs more than it is worth.

use super::elements::Elements;
use super::links::from_text;
use super::markup::{
    Attributes, breaks_line, comment_end, construct_end, element_name, full_name, is_known, is_void, raw_end,
    reference, refresh_target, tag_end, unescape,
};
use super::parts::Page;
use super::sheet::Sheets;
use super::style::Style;
use super::{AsideKind, LinkKind, View, link_of, push_folded, set_aside};

/// What was noticed in the HTML parts.
#[derive(Debug, Default, Clone)]
pub struct HtmlFacts {
    /// Number of HTML parts.
    pub parts: u32,
    /// Number of tags.
    pub tags: u32,
    /// Number of images.
    pub images: u32,
    /// Octets of visible text that stands in place of images (`alt`).
    pub alternatives: usize,
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
    /// `<meta http-equiv=refresh>` that leads elsewhere.
    pub refreshes: u32,
    /// `<base href>` elsewhere.
    pub bases: u32,
    /// Elements hidden by a style, other than by a small font.
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
    /// Unknown tags.
    pub unknown_tags: u32,
    /// Drawings that run scripts. Nobody draws with them.
    pub script_drawings: u32,
    /// Names of elements that occur, in lower case, each once (at most 100).
    pub elements: Vec<String>,
}

/// What begins text in XML in which nothing is markup.
const CDATA: &[u8] = b"<![CDATA[";

struct Renderer<'v, 'm> {
    view: &'v mut View<'m>,
    elements: Elements,
    sheets: Sheets,
    /// The link whose text is being read.
    anchor: Option<usize>,
    /// How many quotes are open, and where in the text the outermost one begins.
    quotes: u32,
    quote_from: usize,
    line: String,
    /// What it is in a browser, where scripts run; `None` in a mail program.
    page: Option<Page>,
    /// How far scripts and style sheets of drawings have been read.
    scripts_to: usize,
    /// The same without the text of links: programs turn addresses in it into links.
    unlinked: String,
}

/// Longest text of a link that is kept, in octets.
const MAX_SHOWN: usize = 300;

/// Adds an HTML part's text, links and facts to the view.
pub fn render(html: &str, view: &mut View<'_>) {
    render_page(html, view, None);
}

/// The same for an attached file; the facts are kept apart.
pub fn render_file(html: &str, page: Page, view: &mut View<'_>) {
    std::mem::swap(&mut view.html, &mut view.attached_html);
    let hidden = view.hidden.len();
    let running = |facts: &HtmlFacts| facts.scripts + facts.events + facts.script_links;
    let before = running(&view.html);
    render_page(html, view, Some(page));
    view.html.script_drawings += u32::from(page == Page::Drawing && running(&view.html) > before);
    view.hidden.truncate(hidden);
    std::mem::swap(&mut view.html, &mut view.attached_html);
}

fn render_page(html: &str, view: &mut View<'_>, page: Option<Page>) {
    view.html.parts += 1;
    let (elements, sheets) = (Elements::default(), Sheets::of(html));
    let (line, unlinked) = (String::new(), String::new());
    let mut renderer = Renderer {
        view,
        elements,
        sheets,
        anchor: None,
        quotes: 0,
        quote_from: 0,
        line,
        page,
        scripts_to: 0,
        unlinked,
    };
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
    renderer.end_quotes();
}

impl Renderer<'_, '_> {
    /// Handles what begins with `<`; returns where to go on.
    fn markup(&mut self, html: &str, at: usize) -> usize {
        let bytes = html.as_bytes();
        let inside_word = at > 0 && bytes[at - 1].is_ascii_alphabetic();
        if bytes[at..].starts_with(b"<!--") {
            let end = comment_end(bytes, at);
            self.view.html.comments += 1;
            if inside_word && bytes.get(end).is_some_and(u8::is_ascii_alphabetic) {
                self.view.html.broken_words += 1;
            }
            return end;
        }
        if bytes[at..].starts_with(CDATA) && self.is_foreign("") {
            return self.character_data(html, at + CDATA.len());
        }
        let Some(end) = construct_end(bytes, at) else {
            self.text("<");
            return at + 1;
        };
        let inner = html.get(at + 1..end).unwrap_or_default();
        let after = (end + 1).min(bytes.len());
        if let Some(name) = inner.strip_prefix('/') {
            self.close(&self.name(name));
            return after;
        }
        let name = self.name(inner);
        self.view.html.tags += 1;
        let attributes = Attributes::parse(inner);
        // Structured data about a parcel or a flight is no program.
        if name == "script" && attributes.get("type").is_none_or(|kind| !kind.to_ascii_lowercase().contains("json")) {
            self.view.html.scripts += 1;
        }
        let is_foreign = self.is_foreign(&name);
        if !is_foreign
            && matches!(name.as_str(), "script" | "style" | "title" | "textarea" | "noscript" | "xmp" | "plaintext")
        {
            self.links(&name, &attributes);
            return self.raw_text(html, &name, after);
        }
        if !is_foreign
            && !is_known(&name)
            && !name.contains(':')
            && !name.contains('-')
            && !inner.starts_with(['!', '?'])
        {
            self.view.html.unknown_tags += 1;
            if inside_word && bytes.get(after).is_some_and(u8::is_ascii_alphabetic) {
                self.view.html.broken_words += 1;
            }
        }
        self.open(&name, &attributes, inner.ends_with('/'));
        if !is_foreign && matches!(name.as_str(), "iframe" | "noembed" | "noframes") {
            return self.raw_text(html, &name, after);
        }
        if is_foreign && matches!(name.as_str(), "script" | "style") && !inner.ends_with('/') {
            return self.foreign_text(html, inner, after);
        }
        after
    }

    /// The name of an element. In XML it may have any prefix.
    fn name(&self, inner: &str) -> String {
        let full = full_name(inner);
        element_name(if self.is_drawing() { full.rsplit(':').next().unwrap_or_default() } else { full })
    }

    fn is_drawing(&self) -> bool {
        self.page == Some(Page::Drawing)
    }

    /// Whether the rules for drawings and formulas apply to an element of this name at this place.
    fn is_foreign(&self, name: &str) -> bool {
        self.is_drawing() || self.elements.is_foreign(name)
    }

    /// Text in which nothing is markup (XML §2.7). Where another browser would see markup in it, it is read as such.
    fn character_data(&mut self, html: &str, from: usize) -> usize {
        let stop = memchr::memchr(b'<', &html.as_bytes()[from..]).map_or(html.len(), |n| from + n);
        let text = &html[from..stop];
        match text.split_once("]]>") {
            Some((text, rest)) => {
                self.text(text);
                stop - rest.len()
            }
            None => {
                self.text(text);
                stop
            }
        }
    }

    /// A script or style sheet in a drawing, where it is no raw text. Only a file that is nothing else surely shows none of it; for all
    /// others it is read as markup as well.
    fn foreign_text(&mut self, html: &str, inner: &str, from: usize) -> usize {
        if from < self.scripts_to {
            return from;
        }
        let end = raw_end(html.as_bytes(), full_name(inner), from);
        self.scripts_to = end.unwrap_or(html.len());
        if self.page.is_some() && (end.is_none() || self.name(inner) == "script") {
            self.script(&unescape(&html[from..self.scripts_to]));
        }
        end.filter(|_| self.is_drawing()).unwrap_or(from)
    }

    /// Elements whose content is not markup: script, style, title. Some of them show it.
    fn raw_text(&mut self, html: &str, name: &str, from: usize) -> usize {
        self.note_element(name);
        if name == "noscript" {
            return from;
        }
        self.elements.before(name);
        let bytes = html.as_bytes();
        let shows = matches!(name, "title" | "textarea" | "xmp" | "plaintext");
        // Nothing ends plain text.
        let end = if name == "plaintext" { None } else { raw_end(bytes, name, from) };
        let Some(start) = end else {
            if shows {
                self.shown_raw(name, &html[from..]);
            }
            return bytes.len();
        };
        if name == "script" && self.page.is_some() {
            self.script(&html[from..start]);
        }
        if name == "script" && memchr::memmem::find(&bytes[from..start], b"<!--").is_some() {
            // It may end later only (HTML §13.2.5.20 to §13.2.5.31).
            self.elements.lose_track();
        }
        if shows {
            self.shown_raw(name, &html[from..start]);
        }
        self.elements.close(name);
        (tag_end(bytes, start + 1) + 1).min(bytes.len())
    }

    /// The URLs that a script mentions. Slashes in its strings may be escaped.
    fn script(&mut self, text: &str) {
        for piece in text.replace("\\/", "/").split(['\'', '"', '`']) {
            from_text(piece, LinkKind::Redirect, self.view);
        }
    }

    fn shown_raw(&mut self, name: &str, text: &str) {
        self.elements.begin(name, &Style::of(name, &Attributes::default(), &Sheets::default()));
        self.text(text);
        self.break_line();
        self.elements.close(name);
    }

    fn text(&mut self, text: &str) {
        let mut decoded = self.references(text);
        // Browsers leave it out (HTML §13.2.6.4.7).
        decoded.retain(|c| c != '\0');
        let sight = self.elements.sight();
        if sight.is_hidden() {
            if sight.is_tiny() && !decoded.trim().is_empty() {
                self.view.html.tiny += 1;
            }
            if self.view.hidden.len() < self.view.rawbody.len() {
                self.view.hidden.push_str(&decoded);
            }
            return;
        }
        self.line.push_str(&decoded);
        if self.anchor.is_none() {
            self.unlinked.push_str(&decoded);
        }
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
        self.elements.before(name);
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
            "base" if attributes.get("href").is_some() => facts.bases += 1,
            _ => {}
        }
        self.links(name, attributes);
        self.alternative(name, attributes);
        if breaks_line(name) {
            self.break_line();
        } else if matches!(name, "td" | "th") {
            self.line.push(' ');
            self.unlinked.push(' ');
        }
        if is_void(name) || (closed && self.is_foreign(name)) {
            return;
        }
        if name == "blockquote" {
            if self.quotes == 0 {
                self.quote_from = self.view.body.len();
            }
            self.quotes = self.quotes.saturating_add(1);
        }
        let style = Style::of(name, attributes, &self.sheets);
        if style.gone || style.invisible == Some(true) {
            self.view.html.hidden += 1;
        }
        self.elements.begin(name, &style);
    }

    /// The text that readers see instead of an image. Most programs load images only on request.
    fn alternative(&mut self, name: &str, attributes: &Attributes) {
        let is_image = matches!(name, "img" | "image") || (name == "input" && attributes.is("type", "image"));
        let Some(text) = attributes.get("alt").filter(|text| is_image && !text.trim().is_empty()) else { return };
        let style = Style::of(name, attributes, &self.sheets);
        if self.elements.sight_with(&style).is_hidden() {
            return;
        }
        self.view.html.alternatives += text.len();
        self.line.push(' ');
        self.line.extend(text.chars().filter(|c| *c != '\0'));
        self.line.push(' ');
        self.unlinked.push(' ');
    }

    fn links(&mut self, name: &str, attributes: &Attributes) {
        if name == "meta"
            && attributes.is("http-equiv", "refresh")
            && let Some(url) = attributes.get("content").and_then(refresh_target)
        {
            self.view.html.refreshes += 1;
            self.link(url, LinkKind::Redirect);
        }
        let (key, kind) = match name {
            "a" | "area" => ("href", LinkKind::Anchor),
            "img" | "iframe" | "frame" | "script" | "input" | "embed" => ("src", LinkKind::Resource),
            // A base makes links of words.
            "link" | "base" => ("href", LinkKind::Resource),
            "form" => ("action", LinkKind::Form),
            "body" | "table" | "td" => ("background", LinkKind::Resource),
            // Where a button leads takes the place of where its form does (HTML §4.10.19.6).
            "button" => ("formaction", LinkKind::Form),
            _ => return,
        };
        // In a drawing, the attribute may have its older name (SVG 2 §16.1), and scripts have no other.
        let is_of_drawing = matches!(name, "a" | "script") && self.is_foreign(name);
        let of_drawing = || attributes.get("xlink:href").or_else(|| attributes.get("href")).filter(|_| is_of_drawing);
        if let Some(url) = attributes.get(key).or_else(of_drawing) {
            self.link(url, kind);
        }
        if name == "input"
            && let Some(url) = attributes.get("formaction")
        {
            self.link(url, LinkKind::Form);
        }
    }

    fn link(&mut self, url: &str, kind: LinkKind) {
        let head: String = url.chars().filter(|c| !c.is_whitespace()).take(20).collect::<String>().to_ascii_lowercase();
        if head.starts_with("javascript:") || head.starts_with("vbscript:") {
            self.view.html.script_links += 1;
        }
        if head.starts_with("data:text/html") {
            self.view.html.data_documents += 1;
        }
        if self.view.has_room_for(kind)
            && let Some(link) = link_of(url, kind)
            && self.view.add_link(link)
            && kind == LinkKind::Anchor
        {
            self.unlinked.push(' ');
            self.anchor = Some(self.view.links.len() - 1);
        }
    }

    fn close(&mut self, name: &str) {
        if name == "a" {
            self.anchor = None;
        }
        self.elements.close(name);
        if breaks_line(name) {
            self.break_line();
        }
        if name == "blockquote" {
            match self.quotes {
                0 => {}
                1 => self.end_quotes(),
                _ => self.quotes -= 1,
            }
        }
    }

    fn end_quotes(&mut self) {
        let end = self.view.body.len();
        if self.quotes > 0 && self.quote_from < end {
            set_aside(&mut self.view.aside, self.quote_from..end, AsideKind::Quote);
        }
        self.quotes = 0;
    }

    fn break_line(&mut self) {
        let before = self.view.body.len();
        push_folded(&mut self.view.body, &self.line);
        if self.view.body.len() > before {
            self.view.body.push('\n');
        }
        self.line.clear();
        from_text(&self.unlinked, LinkKind::Text, self.view);
        self.unlinked.clear();
    }
}
