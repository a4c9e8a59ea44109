//! `variables` (RFC 5229): `set` and `string`. Their use in strings is in the checker.

use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, CommandWord, TestWord, Tests, Wanted, literals};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, Perform, Piece, Value, texts};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] =
    &[CommandWord { name: "set", extensions: &["variables"], has_block: false, read }];

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "string", extensions: &["variables"], tests: Tests::None, read: read_test }];

/// What is done to a value before it is kept, with its tag, its precedence and the extension that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Modifier {
    Lower,
    Upper,
    LowerFirst,
    UpperFirst,
    QuoteWildcard,
    QuoteRegex,
    EncodeUrl,
    Length,
}

/// In the order in which they are applied (RFC 5229 §4.1); those of one precedence exclude each other.
const MODIFIERS: &[(Modifier, &str, u32, &str)] = &[
    (Modifier::Lower, "lower", 40, ""),
    (Modifier::Upper, "upper", 40, ""),
    (Modifier::LowerFirst, "lowerfirst", 30, ""),
    (Modifier::UpperFirst, "upperfirst", 30, ""),
    (Modifier::QuoteWildcard, "quotewildcard", 20, ""),
    (Modifier::QuoteRegex, "quoteregex", 20, "regex"),
    // RFC 5435 §6.
    (Modifier::EncodeUrl, "encodeurl", 15, "enotify"),
    (Modifier::Length, "length", 10, ""),
];

/// Takes the modifiers.
pub(super) fn read_modifiers(arguments: &mut Arguments<'_, '_>) -> Vec<Modifier> {
    let mut found: Vec<(Modifier, u32)> = Vec::new();
    for (modifier, tag, precedence, extension) in MODIFIERS {
        if let Some(at) = arguments.tag(tag, extension) {
            if found.iter().any(|(_, other)| other == precedence) {
                arguments.wrong_at(
                    at,
                    said!(
                        "sieve-modifiers",
                        "modifiers ':{tag}' and another of the same precedence exclude each other",
                        tag
                    ),
                );
            }
            found.push((*modifier, *precedence));
        }
    }
    found.into_iter().map(|(modifier, _)| modifier).collect()
}

/// Applies modifiers to a value.
pub(super) fn modify(mut value: String, modifiers: &[Modifier], run: &mut Run<'_, '_>) -> Result<String, Halt> {
    for modifier in modifiers {
        run.spend(value.len())?;
        let most = run.settings.variable_size as usize;
        value = modifier.apply(value, most);
    }
    Ok(value)
}

impl Modifier {
    /// `most` octets are kept; what is escaped is kept whole or not at all.
    fn apply(self, value: String, most: usize) -> String {
        let first = |change: fn(char) -> char| -> String {
            let mut characters = value.chars();
            characters.next().map(change).into_iter().chain(characters).collect()
        };
        match self {
            // RFC 5229 §4.1.1: US-ASCII letters only.
            Self::Lower => value.to_ascii_lowercase(),
            Self::Upper => value.to_ascii_uppercase(),
            Self::LowerFirst => first(|c| c.to_ascii_lowercase()),
            Self::UpperFirst => first(|c| c.to_ascii_uppercase()),
            Self::QuoteWildcard => quote(&value, "*?\\", most),
            Self::QuoteRegex => quote(&value, "\\^$.|?*+()[]{}", most),
            Self::EncodeUrl => encode_url(&value, most),
            Self::Length => value.chars().count().to_string(),
        }
    }
}

fn quote(value: &str, special: &str, most: usize) -> String {
    let mut quoted = String::with_capacity(value.len());
    for character in value.chars() {
        let is_special = special.contains(character);
        if quoted.len() + usize::from(is_special) + character.len_utf8() > most {
            break;
        }
        if is_special {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// RFC 5435 §6: everything but unreserved characters (RFC 3986 §2.3) is percent-encoded.
fn encode_url(value: &str, most: usize) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(value.len());
    for character in value.chars() {
        let is_plain = character.is_ascii_alphanumeric() || "-._~".contains(character);
        if encoded.len() + if is_plain { 1 } else { 3 * character.len_utf8() } > most {
            break;
        }
        if is_plain {
            encoded.push(character);
            continue;
        }
        for octet in character.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

#[derive(Debug)]
struct Set {
    variable: Piece,
    modifiers: Vec<Modifier>,
    value: Value,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let modifiers = read_modifiers(arguments);
    let [name, value] = arguments.positional([("name", Wanted::Text), ("value", Wanted::Text)])?;
    let (at, name) = literals(&name).next()?;
    let value = arguments.value(&value);
    let variable = arguments.checker.variable(at, &name)?;
    Some(Box::new(Set { variable, modifiers, value }))
}

impl Perform for Set {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let value = self.value.get(run)?.into_owned();
        let value = modify(value, &self.modifiers, run)?;
        run.assign(&self.variable, value);
        Ok(Flow::Next)
    }
}

#[derive(Debug)]
struct StringTest {
    source: Vec<Value>,
    matcher: Matcher,
}

fn read_test(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let [source, keys] = arguments.positional([("source", Wanted::Texts), ("key list", Wanted::Texts)])?;
    let source = arguments.values(&source).into_iter().map(|(_, value)| value).collect();
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(StringTest { source, matcher }))
}

impl Judge for StringTest {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let mut values = texts(&self.source, run)?;
        if self.matcher.counts() {
            // RFC 5229 §5: empty strings are not counted.
            values.retain(|value| !value.is_empty());
        }
        self.matcher.matches(run, &values)
    }
}
