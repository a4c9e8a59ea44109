//! What styles hide.

use super::markup::Attributes;
use super::sheet::Sheets;

/// What an element's own style and the style sheets say about whether its text is visible.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Style {
    /// Neither it nor its content is shown.
    pub(super) gone: bool,
    /// `visibility`, if set.
    pub(super) invisible: Option<bool>,
    /// The font size, if set.
    pub(super) size: Option<Size>,
}

/// A font size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    Pixels(f32),
    /// The parent's size times this.
    Times(f32),
}

/// The default size of text, in pixels.
pub(super) const USUAL: f32 = 16.0;

/// Largest unreadable font size, in pixels.
pub(super) const TINY: f32 = 2.7;

const READABLE: Size = Size::Pixels(USUAL);

/// Which declaration of a property applies: the last one, unless an earlier one is more important.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Holding<T> {
    value: Option<T>,
    important: bool,
}

impl<T> Holding<T> {
    const fn nothing() -> Self {
        Self { value: None, important: false }
    }

    fn set(&mut self, value: T, important: bool) {
        if important || !self.important {
            (self.value, self.important) = (Some(value), important);
        }
    }
}

impl<T: Copy> Holding<T> {
    /// The later one, or the one that takes precedence otherwise.
    fn add(&mut self, other: &Self) {
        if let Some(value) = other.value {
            self.set(value, other.important);
        }
    }

    /// Only if the value is one of these.
    fn filter(self, is_one: impl FnOnce(&T) -> bool) -> Self {
        if self.value.as_ref().is_some_and(is_one) { self } else { Self::nothing() }
    }
}

/// What declarations say about the properties that matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Declared {
    none: Holding<bool>,
    faint: Holding<bool>,
    invisible: Holding<bool>,
    size: Holding<Size>,
}

impl Declared {
    pub(super) const fn nothing() -> Self {
        let (none, faint, invisible) = (Holding::nothing(), Holding::nothing(), Holding::nothing());
        Self { none, faint, invisible, size: Holding::nothing() }
    }

    /// Text that is visible, whatever else is set.
    fn shown() -> Self {
        let mut shown = Self::nothing();
        shown.show(true);
        shown
    }

    fn show(&mut self, important: bool) {
        for seen in [&mut self.none, &mut self.faint, &mut self.invisible] {
            seen.set(false, important);
        }
        self.size.set(READABLE, important);
    }

    /// Reads declarations in lower case. Ambiguous ones hide nothing.
    pub(super) fn read(text: &str) -> Self {
        if is_odd(text) {
            return Self::shown();
        }
        let mut declared = Self::nothing();
        for declaration in declarations(text) {
            let Some((property, value)) = declaration.split_once(':') else { continue };
            let value = value.trim_ascii();
            let stripped = value.strip_suffix("important").and_then(|rest| rest.trim_ascii_end().strip_suffix('!'));
            let (value, important) = (stripped.map_or(value, str::trim_ascii_end), stripped.is_some());
            match property.trim_ascii() {
                "display" => declared.none.set(value == "none", important),
                "opacity" => declared.faint.set(value.parse().is_ok_and(|n: f32| n <= 0.05), important),
                "visibility" => declared.invisible.set(value == "hidden", important),
                "font-size" => declared.size.set(size_of(value), important),
                // With a size or without, it is one that can be read, or not valid.
                "font" => declared.size.set(READABLE, important),
                "all" => declared.show(important),
                // It may show what everything else hides (CSS Cascade §6.1).
                property if property.trim_start_matches("-webkit-").starts_with("animation") => declared.show(true),
                _ => {}
            }
        }
        declared
    }

    /// Whether nothing is set.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::nothing()
    }

    /// Adds declarations that take precedence over the earlier ones.
    pub(super) fn add(&mut self, other: &Self) {
        self.none.add(&other.none);
        self.faint.add(&other.faint);
        self.invisible.add(&other.invisible);
        self.size.add(&other.size);
    }

    /// What of it may show text.
    pub(super) fn showing(&self) -> Self {
        let seen = |hides: &bool| !hides;
        let mut size = self.size.filter(|size| !matches!(size, Size::Pixels(size) if *size <= TINY));
        size.value = size.value.map(|_| READABLE);
        Self {
            none: self.none.filter(seen),
            faint: self.faint.filter(seen),
            invisible: self.invisible.filter(seen),
            size,
        }
    }
}

impl Style {
    /// Of an element of this name.
    pub(super) fn of(name: &str, attributes: &Attributes, sheets: &Sheets) -> Self {
        // Tables do not take sizes over where the page does not say which HTML it is (HTML §15.3.8), and controls never.
        let is_apart = matches!(name, "table" | "button" | "input" | "select" | "textarea")
            || (name == "font" && attributes.get("size").is_some());
        let (is_hidden, apart) = (attributes.get("hidden").is_some(), is_apart.then_some(READABLE));
        let mut declared = sheets.declared(name, attributes);
        if let Some(text) = attributes.get("style") {
            declared.add(&Declared::read(&text.to_ascii_lowercase()));
        }
        Self {
            gone: declared.none.value.unwrap_or(is_hidden) || declared.faint.value == Some(true),
            invisible: declared.invisible.value,
            size: declared.size.value.or(apart),
        }
    }
}

/// Whether a style, in lower case, is written in a way that is not taken apart here: escapes, comments, blocks, bare addresses.
fn is_odd(text: &str) -> bool {
    text.contains(['\\', '{', '}', '@', '[']) || text.contains("/*") || text.contains("url(")
}

/// The declarations of a style: semicolons in quotes and parentheses separate nothing.
fn declarations(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match c {
            // A string ends with its line.
            '\n' | '\r' | '\x0c' => quote = None,
            c if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found
}

/// A size in lower case. An unknown one counts as readable.
fn size_of(text: &str) -> Size {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let Ok(number) = text[..digits].parse::<f32>() else {
        return if text == "inherit" { Size::Times(1.0) } else { READABLE };
    };
    match &text[digits..] {
        "px" => Size::Pixels(number),
        "pt" => Size::Pixels(number * 4.0 / 3.0),
        "rem" => Size::Pixels(number * USUAL),
        "em" => Size::Times(number),
        "%" => Size::Times(number / 100.0),
        "" if number <= 0.0 => Size::Pixels(0.0),
        _ => READABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_hides() {
        let none = Sheets::default();
        let style = |text: &str| Style::of("div", &Attributes::parse(&format!(" style=\"{text}\"")), &none);
        for (text, gone) in [
            ("display:none", true),
            ("DISPLAY : none ! important ; display:block", true),
            ("display:none;display:block", false),
            ("display:none;all:unset", false),
            ("opacity:0", true),
            ("x:';display:none;'", false),
            ("x:(;display:none;)", false),
            ("/*;display:none;*/", false),
            ("display:none;displa\\79:block", false),
            ("display:\u{a0}none", false),
            ("mso-hide:all", false),
            ("max-height:0", false),
        ] {
            assert_eq!(style(text).gone, gone, "{text}");
        }
        for (text, size) in [
            ("font-size:0", Some(Size::Pixels(0.0))),
            ("font-size:0;font-size:1.5em", Some(Size::Times(1.5))),
            ("font-size:12pt", Some(READABLE)),
            ("font-size:0;font:16px a", Some(READABLE)),
            ("font-size:50%", Some(Size::Times(0.5))),
            ("color:red", None),
        ] {
            assert_eq!(style(text).size, size, "{text}");
        }
        assert_eq!(style("visibility:hidden;visibility:visible").invisible, Some(false));
        assert!(Style::of("p", &Attributes::parse(" hidden=''"), &none).gone);
        assert!(!Style::of("p", &Attributes::parse(" hidden='' style='display:block'"), &none).gone);
    }
}
