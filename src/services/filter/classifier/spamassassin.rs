//! What SpamAssassin has learned, imported from `sa-learn --backup`.
//!
//! Its tokens are stored as hashes, so messages must be split into words in the same way to look them up. This is done
//! for words of the text and the subject, which carry most of the weight; its other tokens (further header
//! fields, addresses, MIME parts) are never looked up. The imported data counts until enough has been learned here.

use std::io::BufRead;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::table::Counts;
use super::{Table, Token};
use crate::services::filter::view::View;

/// The backup cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("the backup cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is something else.
    #[error("line {line} is not from `sa-learn --backup`: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Most tokens of a message that are looked up.
const MOST_WORDS: usize = 6_000;
/// Longest word that is whole in SpamAssassin's tables, in octets.
const LONGEST: usize = 15;
/// Longest name of a host, in octets (RFC 1035 §2.3.4). A longer one would cost its length for each of its dots.
const LONGEST_NAME: usize = 253;
/// Most tokens that are read; SpamAssassin's own default limit is 150,000.
const MOST_TOKENS: usize = 2_000_000;

/// Reads a backup: lines with a letter and fields, separated by tabs.
pub fn read(backup: impl BufRead) -> Result<Table, ImportError> {
    let mut table = Table::default();
    let mut version = None;
    for (number, line) in backup.split(b'\n').enumerate() {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let wrong = |reason| ImportError::Line { line: number + 1, reason };
        let fields: Vec<&str> = line.trim_end_matches('\r').split('\t').collect();
        let count = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong("expected a number"));
        match fields.as_slice() {
            ["v", number, name] => match name.split_whitespace().next() {
                Some("db_version") => version = Some(count(number)?),
                Some("num_spam") => table.spam = count(number)?,
                Some("num_nonspam") => table.ham = count(number)?,
                _ => {}
            },
            ["t", spam, ham, at, token] => {
                let value = u64::from_str_radix(token.trim(), 16).ok().filter(|_| token.trim().len() == 10);
                let value = value.ok_or_else(|| wrong("expected a token of ten hexadecimal digits"))?;
                let day = at.trim().parse::<u64>().map_err(|_| wrong("expected a time"))? / 86_400;
                if table.counts.len() < MOST_TOKENS {
                    let day = u16::try_from(day).unwrap_or(u16::MAX);
                    table.counts.insert(spread(value), Counts { ham: count(ham)?, spam: count(spam)?, day });
                }
            }
            // Learned messages: only SpamAssassin knows them by these ids.
            ["s", ..] | [""] => {}
            _ => return Err(wrong("it does not begin with `v`, `t` or `s`")),
        }
    }
    match version {
        Some(2..=3) => Ok(table),
        Some(_) => Err(ImportError::Line { line: 1, reason: "this version of the tables is not supported" }),
        None => Err(ImportError::Line { line: 1, reason: "the version of the tables is missing" }),
    }
}

/// The tokens of a message as in SpamAssassin, as far as they are looked up.
pub(in crate::services::filter) fn tokens(view: &View<'_>) -> Vec<Token> {
    let mut found = Vec::with_capacity(1_024);
    let body = view.body.split_once('\n').map_or("", |(_, rest)| rest);
    for line in body.split('\n') {
        body_words(line, &mut found);
        if found.len() >= MOST_WORDS {
            break;
        }
    }
    for word in words(view.value("Subject")) {
        add("HSubject:", &shortened(word), &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Characters that SpamAssassin takes for parts of words; all others separate words.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "-,@*!_'\"$.".contains(c) || !c.is_ascii();
    line.split(move |c| !is_inside(c))
        .map(|word| word.trim_matches(['-', '\'', '"', '.', ',']))
        .filter(|word| word.len() >= 3)
}

fn body_words(line: &str, found: &mut Vec<Token>) {
    let mut begins_sentence = true;
    for word in words(line) {
        let word = if begins_sentence { without_title_case(word) } else { word.to_owned() };
        begins_sentence = false;
        let is_short = word.len() <= LONGEST_NAME;
        if is_short
            && word.contains('.')
            && word.bytes().any(|octet| octet.is_ascii_alphabetic())
            && !word.contains('@')
        {
            let mut rest = word.as_str();
            add("UD:", rest, found);
            while let Some((_, below)) = rest.split_once('.') {
                add("UD:", below, found);
                rest = below;
            }
        }
        let word = shortened(&word);
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "_:*".contains(*c) || !c.is_ascii();
        let plain: String = word.chars().filter(is_plain).collect();
        if plain != word {
            add("", &plain, found);
        }
        if word.bytes().any(|octet| octet.is_ascii_uppercase()) {
            add("", &word.to_ascii_lowercase(), found);
            if plain != word {
                add("", &plain.to_ascii_lowercase(), found);
            }
        }
        add("", &word, found);
    }
}

/// A capitalised word without its capital, if that is its only one.
fn without_title_case(word: &str) -> String {
    let rest = word.get(1..).unwrap_or_default();
    let is_title = word.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
    if is_title && !rest.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return word.to_ascii_lowercase();
    }
    word.to_owned()
}

/// A long word is known by its first seven characters.
fn shortened(word: &str) -> String {
    if word.len() <= LONGEST || word.contains('*') {
        return word.to_owned();
    }
    format!("sk:{}", word.chars().take(7).collect::<String>())
}

/// SpamAssassin's hash: the last five octets of SHA-1.
fn add(prefix: &str, word: &str, found: &mut Vec<Token>) {
    if word.is_empty() {
        return;
    }
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{prefix}{word}").as_bytes());
    let tail = digest.as_ref().iter().rev().take(5).rev();
    found.push(spread(tail.fold(0, |value, octet| (value << 8) | u64::from(*octet))));
}

/// Spreads the bits as tables need them. All count as words of the text.
const fn spread(value: u64) -> Token {
    value.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::filter::LimitSettings;

    fn hash(word: &str) -> Token {
        let mut found = Vec::new();
        add("", word, &mut found);
        found[0]
    }

    #[test]
    fn backups_are_read() {
        let backup = "v\t3\tdb_version # this must be the first line!!!\nv\t12\tnum_spam\nv\t34\tnum_nonspam\n\
                      t\t5\t1\t1700000000\t5ee5d64c9b\ns\ts\tabc@sa_generated\n";
        let table = read(backup.as_bytes()).unwrap();
        assert_eq!((table.spam, table.ham, table.len()), (12, 34, 1));
        for (wrong, line) in [
            ("x\t1\n", 1),
            ("v\t3\tdb_version\nt\t1\t2\t3\tzz\n", 2),
            ("v\t9\tdb_version\n", 1),
            ("t\t1\t2\t3\t5ee5d64c9b\n", 1),
            ("", 1),
        ] {
            match read(wrong.as_bytes()) {
                Err(ImportError::Line { line: found, .. }) => assert_eq!(found, line, "{wrong}"),
                other => panic!("{wrong}: {other:?}"),
            }
        }
    }

    #[test]
    fn words_are_cut_as_there() {
        let mail = "Subject: Cheap watches\n\nCheap watches at www.shop.test, incredible-opportunities! FREE\n";
        let view = View::new(mail.as_bytes(), &LimitSettings::default());
        let found = tokens(&view);
        for word in [
            "cheap",
            "watches",
            "HSubject:Cheap",
            "UD:www.shop.test",
            "UD:shop.test",
            "UD:test",
            "sk:incredi",
            "FREE",
            "free",
        ] {
            assert!(found.contains(&hash(word)), "{word}");
        }
        for word in ["Cheap", "at", "incredible-opportunities"] {
            assert!(!found.contains(&hash(word)), "{word}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_name_of_a_host_is_no_heap_of_names() {
        let mail = format!("Subject: x\n\nwww{}\n", ".shop".repeat(100_000));
        let found = tokens(&View::new(mail.as_bytes(), &LimitSettings::default()));
        assert!(found.len() < 10, "{}", found.len());
    }
}
