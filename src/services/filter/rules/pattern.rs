//! A compiled pattern, and the scanner that finds out which patterns are worth running on a text.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use regex::bytes::{Regex, RegexBuilder};

use super::{literals, perl};

/// A pattern of one rule.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    required: Option<Vec<Vec<u8>>>,
}

/// How a text that a pattern runs on is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// It is one piece.
    Whole,
    /// Every line is a piece of its own; a match never goes beyond its line.
    Lines,
}

/// Why a pattern could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// In Perl's terms.
    #[error(transparent)]
    Perl(#[from] perl::Error),
    /// In the engine's terms.
    #[error("{0}")]
    Regex(String),
}

/// Largest compiled size of one pattern in octets.
const SIZE_LIMIT: usize = 2 << 20;

/// A pattern whose text begins and ends with each line: SpamAssassin shows rules one line or paragraph after the other.
fn of_lines(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = rest.next() {
        match (c == '\\').then(|| rest.next()).flatten() {
            Some('A') => out.push('^'),
            Some('z') => {
                out.truncate(out.strip_suffix("\\n?").unwrap_or(&out).len());
                out.push('$');
            }
            Some(escaped) => out.extend([c, escaped]),
            None => out.push(c),
        }
    }
    out
}

impl Pattern {
    /// Compiles a Perl literal; also what was given up in the translation.
    pub fn compile(literal: &str, division: Division) -> Result<(Self, Option<&'static str>), Error> {
        let translated = perl::translate(literal)?;
        let multi_line = translated.multi_line || division == Division::Lines;
        let text = match division {
            Division::Lines => of_lines(&translated.text),
            Division::Whole => translated.text.clone(),
        };
        let regex = RegexBuilder::new(&text)
            .unicode(translated.unicode)
            .case_insensitive(translated.ignore_case)
            .multi_line(multi_line)
            .dot_matches_new_line(translated.dot_all)
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| Error::Regex(last_line(&error.to_string())))?;
        let hir = regex_syntax::ParserBuilder::new()
            .unicode(translated.unicode)
            .utf8(false)
            .case_insensitive(translated.ignore_case)
            .multi_line(multi_line)
            .dot_matches_new_line(translated.dot_all)
            .build()
            .parse(&text)
            .map_err(|error| Error::Regex(last_line(&error.to_string())))?;
        Ok((Self { regex, required: literals::required(&hir) }, translated.note))
    }

    /// The first match in the text.
    pub fn find<'t>(&self, text: &'t [u8], division: Division) -> Option<&'t [u8]> {
        let found = self.regex.find(text)?;
        if division == Division::Whole || memchr::memchr(b'\n', found.as_bytes()).is_none() {
            return Some(found.as_bytes());
        }
        text.split(|b| *b == b'\n').find_map(|line| self.regex.find(line).map(|m| m.as_bytes()))
    }

    /// How often it matches, at most `most` times.
    pub fn count(&self, text: &[u8], division: Division, most: usize) -> usize {
        match division {
            Division::Whole => self.regex.find_iter(text).take(most).count(),
            Division::Lines => {
                text.split(|b| *b == b'\n').flat_map(|line| self.regex.find_iter(line)).take(most).count()
            }
        }
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Finds the rules whose patterns can match a text, by the pieces of text their matches must hold.
#[derive(Debug, Default)]
pub struct Scanner {
    automaton: Option<AhoCorasick>,
    /// For every piece the rules that want it.
    wanted_by: Vec<Vec<u32>>,
    /// Rules without such pieces.
    always: Vec<u32>,
}

impl Scanner {
    /// A scanner for rules given by number and pattern.
    pub fn new<'p>(rules: impl Iterator<Item = (u32, &'p Pattern)>) -> Self {
        let mut pieces: std::collections::BTreeMap<&[u8], Vec<u32>> = std::collections::BTreeMap::new();
        let mut always = Vec::new();
        for (rule, pattern) in rules {
            match &pattern.required {
                Some(set) => set.iter().for_each(|piece| pieces.entry(piece).or_default().push(rule)),
                None => always.push(rule),
            }
        }
        let automaton = (!pieces.is_empty())
            .then(|| {
                AhoCorasickBuilder::new()
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::Standard)
                    .build(pieces.keys())
                    .ok()
            })
            .flatten();
        if automaton.is_none() {
            // Too large to build: every rule runs on every text.
            always.extend(pieces.values().flatten().copied());
        }
        Self { automaton, wanted_by: pieces.into_values().collect(), always }
    }

    /// Whether no rule uses this scanner.
    pub const fn is_empty(&self) -> bool {
        self.automaton.is_none() && self.always.is_empty()
    }

    /// Calls `visit` once for every rule worth running on the text.
    pub fn candidates(&self, text: &[u8], visit: impl FnMut(u32)) {
        let Some(automaton) = &self.automaton else {
            return self.always.iter().copied().for_each(visit);
        };
        let mut seen = vec![false; self.wanted_by.len()];
        let mut rules: Vec<u32> = self.always.clone();
        for found in automaton.find_overlapping_iter(text) {
            let piece = found.pattern().as_usize();
            if !seen[piece] {
                seen[piece] = true;
                rules.extend_from_slice(&self.wanted_by[piece]);
            }
        }
        rules.sort_unstable();
        rules.dedup();
        rules.into_iter().for_each(visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_begins_and_ends_with_each_line() {
        let text = b"subject\nhello there\nlast hello\nend";
        for (literal, of_lines, of_whole) in [
            ("/\\Ahello/", true, false),
            ("/hello\\z/", true, false),
            ("/hello\\Z/", true, false),
            ("/\\Asubject\\z/", true, false),
            ("/\\Asubject/", true, true),
            ("/there\\Z/", true, false),
            ("/\\Athere/", false, false),
            ("/end\\z/", true, true),
            ("/\\\\A/", false, false),
        ] {
            for (division, wanted) in [(Division::Lines, of_lines), (Division::Whole, of_whole)] {
                let (pattern, _) = Pattern::compile(literal, division).unwrap();
                assert_eq!(pattern.find(text, division).is_some(), wanted, "{literal} {division:?}");
            }
        }
    }
}
