//! What inline styles hide.

use super::markup::Attributes;

/// What an element's own style says about whether its text can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Style {
    /// Nothing of it is shown, nor of what is inside.
    pub(super) gone: bool,
    /// `visibility`, as far as it is said.
    pub(super) invisible: Option<bool>,
    /// The size of its font, as far as it is said.
    pub(super) size: Option<Size>,
}

/// The size of a font.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    Pixels(f32),
    /// That of what is around it, times this.
    Times(f32),
}

/// What text has that nobody has given a size, in pixels.
pub(super) const USUAL: f32 = 16.0;

const READABLE: Size = Size::Pixels(USUAL);

/// Whose declaration of a property holds: the last one, unless an earlier one is more important.
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

impl Style {
    /// Of an element of this name. What could be read in two ways hides nothing.
    pub(super) fn of(name: &str, attributes: &Attributes) -> Self {
        // Tables do not take sizes over where the page does not say which HTML it is (HTML §15.3.8), and controls never.
        let is_apart = matches!(name, "table" | "button" | "input" | "select" | "textarea")
            || (name == "font" && attributes.get("size").is_some());
        let (is_hidden, apart) = (attributes.get("hidden").is_some(), is_apart.then_some(READABLE));
        let Some(text) = attributes.get("style") else {
            return Self { gone: is_hidden, invisible: None, size: apart };
        };
        let text = text.to_ascii_lowercase();
        if is_odd(&text) {
            return Self { gone: false, invisible: Some(false), size: Some(READABLE) };
        }
        let (mut none, mut faint) = (Holding::nothing(), Holding::nothing());
        let (mut invisible, mut size) = (Holding::nothing(), Holding::nothing());
        for declaration in declarations(&text) {
            let Some((property, value)) = declaration.split_once(':') else { continue };
            let value = value.trim_ascii();
            let stripped = value.strip_suffix("important").and_then(|rest| rest.trim_ascii_end().strip_suffix('!'));
            let (value, important) = (stripped.map_or(value, str::trim_ascii_end), stripped.is_some());
            match property.trim_ascii() {
                "display" => none.set(value == "none", important),
                "opacity" => faint.set(value.parse().is_ok_and(|n: f32| n <= 0.05), important),
                "visibility" => invisible.set(value == "hidden", important),
                "font-size" => size.set(size_of(value), important),
                // With a size or without, it is one that can be read, or not valid.
                "font" => size.set(READABLE, important),
                "all" => {
                    none.set(false, important);
                    faint.set(false, important);
                    invisible.set(false, important);
                    size.set(READABLE, important);
                }
                _ => {}
            }
        }
        Self {
            gone: none.value.unwrap_or(is_hidden) || faint.value == Some(true),
            invisible: invisible.value,
            size: size.value.or(apart),
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

/// A size in lower case. What cannot be told is one that can be read.
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
        let style = |text: &str| Style::of("div", &Attributes::parse(&format!(" style=\"{text}\"")));
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
        assert!(Style::of("p", &Attributes::parse(" hidden=''")).gone);
        assert!(!Style::of("p", &Attributes::parse(" hidden='' style='display:block'")).gone);
    }
}
