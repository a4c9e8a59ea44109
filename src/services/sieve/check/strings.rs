//! The content of strings: encoded characters (RFC 5228 §2.4.2.4) and variables (RFC 5229 §3).

use super::Checker;
use crate::foundations::said::said;
use crate::services::sieve::program::{Piece, Value};
use crate::services::sieve::syntax::Position;

/// Highest number of a match variable; every implementation must have 0 to 9 (RFC 5229 §3.2).
const MAX_MATCH: usize = 32;

impl Checker<'_> {
    /// A string with everything in it that has a meaning in the required extensions.
    pub(in crate::services::sieve) fn value(&mut self, at: Position, text: &str) -> Value {
        let text = if self.has("encoded-character") { self.decode(at, text) } else { text.to_owned() };
        if !self.has("variables") || !text.contains("${") {
            return Value::Plain(text.into());
        }
        let mut pieces: Vec<Piece> = Vec::new();
        let mut plain = String::new();
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            let inside = &rest[start + 2..];
            let Some(name) = enclosed(inside, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
                .filter(|name| is_reference(name))
            else {
                plain.push_str(&rest[..start + 2]);
                rest = inside;
                continue;
            };
            plain.push_str(&rest[..start]);
            rest = &inside[name.len() + 1..];
            if let Some(piece) = self.reference(at, name) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
                }
                pieces.push(piece);
            }
        }
        plain.push_str(rest);
        if pieces.is_empty() {
            return Value::Plain(plain.into());
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Value::Template { pieces: pieces.into(), written: text.into() }
    }

    fn reference(&mut self, at: Position, name: &str) -> Option<Piece> {
        if name.bytes().all(|b| b.is_ascii_digit()) {
            let number = name.parse::<usize>().ok().filter(|number| *number <= MAX_MATCH);
            if number.is_none() {
                let said = said!(
                    "sieve-no-match",
                    "there is no match variable ${{name}}; the highest is {most}",
                    name,
                    most = MAX_MATCH
                );
                self.mistake(at, said);
            }
            return number.map(Piece::Match);
        }
        let name = name.to_ascii_lowercase();
        if let Some((space, name)) = name.split_once('.') {
            // RFC 6609 §3.4.2.
            if space == "global" && self.has("include") && !name.contains('.') {
                return Some(Piece::Global(name.into()));
            }
            let hint = if space == "global" {
                said!("sieve-require-include", "; write require \"include\";")
            } else {
                said!("sieve-only-global", "; only 'global' is known")
            };
            let said = said!(
                "sieve-unknown-namespace",
                "unknown namespace '{space}' of the variable '{name}'{hint}",
                space,
                name,
                hint
            );
            self.mistake(at, said);
            return None;
        }
        self.slot(at, &name)
    }

    /// The variable of a name without namespace, new if it has not been named before.
    pub(in crate::services::sieve) fn slot(&mut self, at: Position, name: &str) -> Option<Piece> {
        if self.globals.contains(name) {
            return Some(Piece::Global(name.into()));
        }
        if let Some(slot) = self.variables.get(name) {
            return Some(Piece::Own(*slot));
        }
        if name.chars().count() > self.settings.variable_name as usize {
            let said = said!(
                "sieve-variable-long",
                "the name of the variable '{name}…' is too long; the maximum is {most} characters",
                name = name.chars().take(20).collect::<String>(),
                most = self.settings.variable_name
            );
            self.mistake(at, said);
            return None;
        }
        if self.variables.len() >= self.settings.variables as usize {
            self.too_many_variables(at);
            return None;
        }
        let slot = self.variables.len();
        self.variables.insert(name.to_owned(), slot);
        Some(Piece::Own(slot))
    }

    fn too_many_variables(&mut self, at: Position) {
        let most = self.settings.variables;
        self.mistake(at, said!("sieve-many-variables", "there are too many variables; the maximum is {most}", most));
    }

    /// The variable that a command writes to.
    pub(in crate::services::sieve) fn variable(&mut self, at: Position, name: &str) -> Option<Piece> {
        if !is_reference(name) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let said = said!(
                "sieve-variable-not-set",
                "'{name}' is not the name of a variable that can be set: use letters, digits and '_', not beginning with a digit",
                name = name.escape_debug()
            );
            self.mistake(at, said);
            return None;
        }
        self.reference(at, name)
    }

    /// Makes a name stand for the variable that all scripts share (RFC 6609 §3.4.1).
    pub(in crate::services::sieve) fn declare_global(&mut self, at: Position, name: &str) {
        if !is_identifier(name) {
            let said = said!(
                "sieve-no-variable",
                "'{name}' is not the name of a variable: use letters, digits and '_', not beginning with a digit",
                name = name.escape_debug()
            );
            self.mistake(at, said);
        } else if self.variables.contains_key(&name.to_ascii_lowercase()) {
            let said = said!(
                "sieve-global-late",
                "the variable '{name}' is in use already; it must be declared global before that",
                name
            );
            self.mistake(at, said);
        } else if self.globals.len() >= self.settings.variables as usize {
            self.too_many_variables(at);
        } else {
            self.globals.insert(name.to_ascii_lowercase());
        }
    }

    /// ```text
    /// encoded-arb-octets   = "${hex:" hex-pair-seq "}"      ; RFC 5228 §2.4.2.4
    /// hex-pair-seq         = *blank hex-pair *(1*blank hex-pair) *blank
    /// hex-pair             = 1*2HEXDIG
    /// encoded-unicode-char = "${unicode:" unicode-hex-seq "}"
    /// unicode-hex-seq      = *blank unicode-hex *(1*blank unicode-hex) *blank
    /// ```
    fn decode(&mut self, at: Position, text: &str) -> String {
        let mut decoded: Vec<u8> = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            decoded.extend_from_slice(&rest.as_bytes()[..start]);
            let inside = &rest[start + 2..];
            let taken = ["hex:", "unicode:"].into_iter().find_map(|kind| {
                inside.get(..kind.len()).filter(|word| word.eq_ignore_ascii_case(kind))?;
                let numbers = enclosed(&inside[kind.len()..], |b| b.is_ascii_hexdigit() || b.is_ascii_whitespace())?;
                let octets = if kind == "hex:" { hex(numbers)? } else { self.unicode(at, numbers)? };
                decoded.extend_from_slice(&octets);
                Some(kind.len() + numbers.len() + 1)
            });
            if taken.is_none() {
                decoded.extend_from_slice(b"${");
            }
            rest = &inside[taken.unwrap_or(0)..];
        }
        decoded.extend_from_slice(rest.as_bytes());
        String::from_utf8(decoded).unwrap_or_else(|error| {
            let said = said!("sieve-hex", "the octets of ${hex:…} here are not valid UTF-8, which strings must be");
            self.mistake(at, said);
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        })
    }

    /// Of hexadecimal digits and blanks.
    fn unicode(&mut self, at: Position, numbers: &str) -> Option<Vec<u8>> {
        let mut text = String::new();
        let mut numbers = numbers.split_ascii_whitespace().peekable();
        numbers.peek()?;
        for number in numbers {
            let digits = number.trim_start_matches('0');
            match u32::from_str_radix(if digits.is_empty() { "0" } else { digits }, 16).ok().and_then(char::from_u32) {
                Some(character) => text.push(character),
                None => {
                    let said = said!(
                        "sieve-unicode",
                        "{number} in ${unicode:…} is no Unicode character; 0 to D7FF and E000 to 10FFFF are some",
                        number
                    );
                    self.mistake(at, said);
                }
            }
        }
        Some(text.into_bytes())
    }
}

/// The text before a closing brace, if all of it is of one class. Reading stops at the first other character,
/// so that a text of a thousand `${` is not read a thousand times.
fn enclosed(text: &str, class: impl Fn(u8) -> bool) -> Option<&str> {
    let length = text.bytes().take_while(|b| class(*b)).count();
    let (inside, rest) = text.split_at_checked(length)?;
    rest.starts_with('}').then_some(inside)
}

/// Of hexadecimal digits and blanks.
fn hex(numbers: &str) -> Option<Vec<u8>> {
    let octet = |pair: &str| if pair.len() <= 2 { u8::from_str_radix(pair, 16).ok() } else { None };
    let octets: Option<Vec<u8>> = numbers.split_ascii_whitespace().map(octet).collect();
    octets.filter(|octets| !octets.is_empty())
}

/// ```text
/// variable-ref = "${" [namespace] variable-name "}"      ; RFC 5229 §3
/// ```
fn is_reference(name: &str) -> bool {
    let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    is_number || name.split('.').all(is_identifier)
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::enclosed;

    #[test]
    fn nothing_is_looked_at_behind_what_cannot_belong_there() {
        let looks = Cell::new(0);
        let digits = |text| {
            enclosed(text, |b| {
                looks.set(looks.get() + 1);
                b.is_ascii_digit()
            })
        };
        assert_eq!((digits("12}3}"), digits("}"), digits("12"), digits("1 }")), (Some("12"), Some(""), None, None));
        looks.set(0);
        assert_eq!(digits("12${12}"), None);
        assert_eq!(looks.get(), 3);
    }
}
