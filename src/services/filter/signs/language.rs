//! Signs in the language of a message.

use crate::services::filter::language::{Language, is_far_away};
use crate::services::filter::rules::Facts;
use crate::services::filter::view::Part;

/// Most languages that are told.
const MAX_TOLD: usize = 6;

/// The text is in a language that no recipient reads.
pub fn unread(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let language = facts.reading?.unread(facts.languages)?;
    let mut read: Vec<&str> = facts.languages.iter().take(MAX_TOLD).map(|read| read.name()).collect();
    if facts.languages.len() > MAX_TOLD {
        read.push("...");
    }
    Some(format!("{}, not {}", language.name(), read.join(", ")))
}

/// The text is in one of these languages.
pub fn is(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let language = facts.reading?.language()?;
    arguments.iter().any(|code| Language::from_code(code) == Some(language)).then(|| language.name().to_owned())
}

/// The message's text as a whole says that it is in a foreign character set.
pub fn far_away_charset(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    charset(facts, |part| part.depth == 0)
}

/// A part of the message says that it is in a foreign character set.
pub fn far_away_part(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    charset(facts, |part| part.depth > 0)
}

fn charset(facts: &Facts<'_>, pick: fn(&Part<'_>) -> bool) -> Option<String> {
    let texts = facts.view.parts.iter().filter(|part| part.is_text() && pick(part));
    texts.filter_map(|part| part.charset.clone()).find(|charset| is_far_away(charset, facts.locales))
}

/// Subject or sender are in a foreign character set (encoded words, RFC 2047 §2).
pub fn far_away_header(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let fields = ["From", "Subject"].into_iter().flat_map(|name| facts.view.all(name));
    for field in fields {
        let raw = String::from_utf8_lossy(&field.raw);
        let charsets = raw.split("=?").skip(1).filter_map(|word| word.split(['?', '*']).next());
        if let Some(charset) = charsets.take(100).find(|charset| is_far_away(charset, facts.locales)) {
            return Some(charset.chars().take(40).collect());
        }
    }
    None
}
