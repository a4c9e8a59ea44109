//! Signs in the text.

use super::number;
use crate::services::filter::rules::Facts;

fn after_subject<'f>(facts: &Facts<'f>) -> &'f str {
    facts.view.own_text().split_once('\n').map_or("", |(_, rest)| rest)
}

/// The text, without the subject and what stands in place of images, has a number of characters in a range (upper end not included).
pub fn length(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let (low, high): (usize, usize) = (number(arguments, 0)?, number(arguments, 1)?);
    let length = after_subject(facts).trim().len().saturating_sub(facts.view.html.alternatives);
    (length >= low && length < high).then(|| length.to_string())
}

/// At least this many words that exist in no language: long, of letters and digits mixed, or without vowels.
pub fn random_words(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let least: usize = number(arguments, 0)?;
    let mut example = None;
    let count = after_subject(facts)
        .split_ascii_whitespace()
        .filter(|w| {
            let random = w.len() >= 8
                && w.len() <= 30
                && w.bytes().all(|b| b.is_ascii_lowercase())
                // `strengths` and `schlecht` have one.
                && w.bytes().filter(|b| b"aeiouy".contains(b)).count() * 10 < w.len();
            if random {
                example.get_or_insert(*w);
            }
            random
        })
        .take(1000)
        .count();
    (count >= least).then(|| example.unwrap_or_default().to_owned())
}

/// At least so many words whose letters are kept apart: `V I A G R A`, `F*R*E*E`.
pub fn gappy(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let least: usize = number(arguments, 0)?;
    let mut count = 0;
    let mut run = 0;
    for line in facts.view.body.lines() {
        for word in line.split(' ') {
            if word.len() == 1 && word.as_bytes()[0].is_ascii_alphabetic() {
                run += 1;
                if run == 5 {
                    count += 1;
                }
            } else {
                run = 0;
            }
        }
        run = 0;
    }
    (count >= least).then(|| count.to_string())
}

/// The text begins with the subject and contains little else.
pub fn repeats_subject(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let (subject, text) = facts.view.own_text().split_once('\n')?;
    let text = text.trim();
    (subject.len() > 10 && text.starts_with(subject) && text.len() < subject.len() * 3).then(String::new)
}
