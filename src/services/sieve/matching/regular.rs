//! `:regex` (draft-ietf-sieve-regex): extended regular expressions of POSIX, run in linear time.
//!
//! Of alternatives the first that fits is taken, where POSIX takes the longest; back references do not exist.

use regex::{Regex, RegexBuilder};

use super::Comparator;
use crate::services::sieve::SieveSettings;

/// Compiles an expression; the error is a part of a sentence.
pub(super) fn compile(text: &str, comparator: Comparator, settings: &SieveSettings) -> Result<Regex, String> {
    RegexBuilder::new(&translate(text))
        .size_limit(settings.regex_size.len())
        .nest_limit(MAX_NESTING)
        .case_insensitive(matches!(comparator, Comparator::AsciiCasemap | Comparator::UnicodeCasemap))
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(most) => {
                format!("it would take more than {most} octets when compiled; make it simpler")
            }
            // The last line says what; those before it draw a picture.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })
}

const MAX_NESTING: u32 = 64;

/// Inside brackets POSIX gives a meaning to fewer characters than the `regex` crate does.
fn translate(text: &str) -> String {
    let mut translated = String::with_capacity(text.len() + 8);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        translated.push(character);
        match character {
            '\\' => translated.extend(characters.next()),
            '[' => brackets(&mut characters, &mut translated),
            _ => {}
        }
    }
    translated
}

/// After the `[`, up to and with the `]`.
fn brackets(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, translated: &mut String) {
    translated.extend(characters.next_if_eq(&'^'));
    if characters.next_if_eq(&']').is_some() {
        translated.push_str("\\]");
    }
    while let Some(character) = characters.next() {
        match character {
            ']' => {
                translated.push(']');
                return;
            }
            // A class such as [:alpha:].
            '[' if characters.peek() == Some(&':') => {
                translated.push('[');
                for inner in characters.by_ref() {
                    translated.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '[' | '\\' | '&' | '~' => {
                translated.push('\\');
                translated.push(character);
            }
            other => translated.push(other),
        }
    }
}
