//! `:regex` (draft-ietf-sieve-regex): extended regular expressions of POSIX, run in linear time.
//!
//! The first alternative that fits is taken, where POSIX takes the longest; back references do not exist.

use regex::{Regex, RegexBuilder};

use super::Comparator;
use crate::services::sieve::SieveSettings;

/// A compiled expression.
#[derive(Debug, Clone)]
pub(in crate::services::sieve) struct Regular {
    regex: Regex,
    /// The cost of matching one octet, in octets of work.
    cost: usize,
    /// Octets it was given when it was compiled.
    size: u64,
}

/// Sizes that are tried one after the other, and the cost per octet of expressions of that size: the larger an
/// expression, the more paths through it may have to be followed at the same time.
const CLASSES: &[(usize, usize)] = &[(4 << 10, 8), (16 << 10, 16), (64 << 10, 32)];
const COST_OF_LARGER: usize = 128;
/// Octets of an expression.
const LONGEST: usize = 16 << 10;
/// Classes such as `\w` in an expression.
const MOST_CLASSES: usize = 100;
/// Characters beyond ASCII in the ranges within brackets of an expression, such as `[à-ÿ]`, together.
const MOST_IN_RANGES: u32 = 1 << 17;

/// Compiles an expression; the error is a part of a sentence.
pub(super) fn compile(text: &str, comparator: Comparator, settings: &SieveSettings) -> Result<Regular, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} octets"));
    }
    // Not bounded by the size of the compiled expression: each of these stands for hundreds of ranges, which exist before
    // anything is measured.
    let is_class = |pair: &[u8]| pair[0] == b'\\' && b"pPwWdDsSbB".contains(&pair[1]);
    if text.as_bytes().windows(2).filter(|pair| is_class(pair)).count() > MOST_CLASSES {
        return Err(format!("it has more than {MOST_CLASSES} classes such as `\\w`; make it simpler"));
    }
    let Translated { pattern, in_ranges } = translate(text);
    if in_ranges > MOST_IN_RANGES {
        return Err(format!("its ranges have more than {MOST_IN_RANGES} characters; make them smaller"));
    }
    let most = settings.regex_size.len();
    let mut builder = RegexBuilder::new(&pattern);
    builder
        .nest_limit(MAX_NESTING)
        .case_insensitive(matches!(comparator, Comparator::AsciiCasemap | Comparator::UnicodeCasemap))
        .dot_matches_new_line(true);
    for (size, cost) in CLASSES.iter().filter(|(size, _)| *size < most) {
        if let Ok(regex) = builder.size_limit(*size).build() {
            return Ok(Regular { regex, cost: *cost, size: *size as u64 });
        }
    }
    let regex = builder.size_limit(most).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(most) => {
            format!("it would take more than {most} octets when compiled; make it simpler")
        }
        // The last line says what; those before it draw a picture.
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })?;
    Ok(Regular { regex, cost: COST_OF_LARGER, size: settings.regex_size.get() })
}

impl Regular {
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// What the whole and each group matched.
    pub(super) fn captures(&self, text: &str, most: usize) -> Option<Vec<String>> {
        // Most values do not match, and to see that is much cheaper.
        if !self.regex.is_match(text) {
            return None;
        }
        let captures = self.regex.captures(text)?;
        let group = |group: Option<regex::Match<'_>>| group.map_or_else(String::new, |group| group.as_str().to_owned());
        Some(captures.iter().take(most).map(group).collect())
    }
}

const MAX_NESTING: u32 = 64;

/// An expression in the words of the `regex` crate.
#[derive(Debug, Default)]
struct Translated {
    pattern: String,
    /// Characters in ranges that end beyond ASCII: each is looked up for its other cases.
    in_ranges: u32,
}

/// Inside brackets POSIX gives a meaning to fewer characters than the `regex` crate does. Scripts from other servers have `{,3}`, which
/// the C library of GNU reads as `{0,3}`.
fn translate(text: &str) -> Translated {
    let mut translated = Translated { pattern: String::with_capacity(text.len() + 8), in_ranges: 0 };
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        translated.pattern.push(character);
        match character {
            '\\' => translated.pattern.extend(characters.next()),
            '[' => brackets(&mut characters, &mut translated),
            '{' if characters.peek() == Some(&',') => translated.pattern.push('0'),
            _ => {}
        }
    }
    translated
}

/// After the `[`, up to and with the `]`.
fn brackets(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, translated: &mut Translated) {
    let Translated { pattern, in_ranges } = translated;
    pattern.extend(characters.next_if_eq(&'^'));
    if characters.next_if_eq(&']').is_some() {
        pattern.push_str("\\]");
    }
    let mut before = None;
    while let Some(character) = characters.next() {
        match character {
            ']' => {
                pattern.push(']');
                return;
            }
            // A class such as [:alpha:].
            '[' if characters.peek() == Some(&':') => {
                pattern.push('[');
                for inner in characters.by_ref() {
                    pattern.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '[' | '\\' | '&' | '~' => {
                pattern.push('\\');
                pattern.push(character);
            }
            '-' => {
                if let (Some(from), Some(to)) = (before, characters.peek().filter(|to| !to.is_ascii())) {
                    *in_ranges = in_ranges.saturating_add(u32::from(*to).saturating_sub(u32::from(from)));
                }
                pattern.push('-');
            }
            other => pattern.push(other),
        }
        before = Some(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_may_have_no_least_number() {
        let fits = |text: &str| {
            let regular = compile("^(ab){,2}[{,]$", Comparator::Octet, &SieveSettings::default()).unwrap();
            regular.captures(text, 1).is_some()
        };
        assert!(fits("{") && fits("ab,") && fits("abab{") && !fits("ababab{") && !fits("abab0"));
    }

    #[test]
    fn what_would_take_too_much_to_compile_is_refused() {
        let compiles = |text: &str| compile(text, Comparator::AsciiCasemap, &SieveSettings::default()).is_ok();
        assert!(compiles(&format!("^({})$", vec!["a\\.example\\.test"; 200].join("|"))));
        assert!(compiles(&"\\d".repeat(10)));
        assert!(!compiles(&"\\pL".repeat(MOST_CLASSES + 1)));
        assert!(!compiles(&"a".repeat(LONGEST + 1)));
        assert!(compiles("^[à-ÿ]+$") && compiles("[\u{1}-\u{ffff}]") && compiles("[-ÿ]"));
        assert!(!compiles(&format!("[{}]", "a-z\u{100}-\u{ffff}".repeat(700))));
        assert!(!compiles(&"[a-\u{10ffff}]".repeat(2)));
    }
}
