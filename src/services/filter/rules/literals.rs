//! Which pieces of text a pattern cannot match without, so that most patterns need not be run at all.

use regex_syntax::hir::{Class, Hir, HirKind};

/// What is known about the matches of an expression.
struct Known {
    /// The one text it matches, in lower case, when there is only one.
    exact: Option<Vec<u8>>,
    /// Texts in lower case of which at least one is part of every match.
    required: Option<Vec<Vec<u8>>>,
}

/// Shortest piece worth looking for.
const SHORTEST: usize = 3;
/// Most alternatives for one pattern.
const MOST: usize = 64;

/// Texts in lower case of which at least one is in every match of the pattern, ASCII case ignored; `None` when no such
/// set is known or worth it.
pub fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let known = examine(hir);
    let set = best(known.exact.map(|e| vec![e]), known.required)?;
    (shortest(&set) >= SHORTEST).then_some(set)
}

fn shortest(set: &[Vec<u8>]) -> usize {
    set.iter().map(Vec::len).min().unwrap_or(0)
}

fn best(a: Option<Vec<Vec<u8>>>, b: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let rank = |s: &Vec<Vec<u8>>| (shortest(s).min(6), std::cmp::Reverse(s.len()));
            Some(if rank(&b) > rank(&a) { b } else { a })
        }
        (a, b) => a.or(b),
    }
}

fn examine(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known { exact: Some(Vec::new()), required: None },
        HirKind::Literal(literal) => Known { exact: Some(literal.0.to_ascii_lowercase()), required: None },
        HirKind::Class(class) => Known { exact: one_letter(class), required: None },
        HirKind::Capture(capture) => examine(&capture.sub),
        HirKind::Repetition(repetition) => {
            if repetition.min == 0 {
                return Known { exact: None, required: None };
            }
            let sub = examine(&repetition.sub);
            let once = best(sub.exact.clone().map(|e| vec![e]), sub.required);
            match sub.exact {
                Some(text) if repetition.max == Some(repetition.min) && repetition.min <= 16 && text.len() <= 16 => {
                    Known { exact: Some(text.repeat(repetition.min as usize)), required: None }
                }
                _ => Known { exact: None, required: once },
            }
        }
        HirKind::Concat(subs) => concat(subs),
        HirKind::Alternation(subs) => alternation(subs),
    }
}

fn one_letter(class: &Class) -> Option<Vec<u8>> {
    let mut letters = [0u8; 2];
    let mut count = 0;
    let mut add = |start: u32, end: u32| {
        let byte = u8::try_from(start).ok().filter(u8::is_ascii)?;
        if start != end || count >= 2 {
            return None;
        }
        letters[count] = byte;
        count += 1;
        Some(())
    };
    match class {
        Class::Bytes(class) => class.iter().try_for_each(|r| add(r.start().into(), r.end().into()))?,
        Class::Unicode(class) => class.iter().try_for_each(|r| add(r.start().into(), r.end().into()))?,
    }
    let same = count == 1 || (count == 2 && letters[0].eq_ignore_ascii_case(&letters[1]));
    same.then(|| vec![letters[0].to_ascii_lowercase()])
}

fn concat(subs: &[Hir]) -> Known {
    let mut run: Vec<u8> = Vec::new();
    let mut found: Option<Vec<Vec<u8>>> = None;
    let mut exact = true;
    for sub in subs {
        let known = examine(sub);
        if let Some(text) = known.exact {
            run.extend_from_slice(&text);
            continue;
        }
        exact = false;
        if !run.is_empty() {
            found = best(found, Some(vec![std::mem::take(&mut run)]));
        }
        found = best(found, known.required);
    }
    if exact {
        return Known { exact: Some(run), required: None };
    }
    if !run.is_empty() {
        found = best(found, Some(vec![run]));
    }
    Known { exact: None, required: found }
}

fn alternation(subs: &[Hir]) -> Known {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for sub in subs {
        let known = examine(sub);
        let Some(set) = best(known.exact.filter(|e| !e.is_empty()).map(|e| vec![e]), known.required) else {
            return Known { exact: None, required: None };
        };
        all.extend(set);
        if all.len() > MOST {
            return Known { exact: None, required: None };
        }
    }
    Known { exact: None, required: Some(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_match_holds() {
        for (pattern, wanted) in [
            ("(?i)viagra", Some(vec!["viagra"])),
            ("foo|barn", Some(vec!["foo", "barn"])),
            ("a(?:cheap|free) (?:pill|drug)s?", Some(vec!["cheap", "free"])),
            ("\\bfoo\\s+barley\\b", Some(vec!["barley"])),
            ("x*abc+", Some(vec!["ab"])),
            ("(?:abc){2}", Some(vec!["abcabc"])),
            ("foo|", None),
            ("[a-z]+", None),
            ("ab", None),
        ] {
            let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
            let found = required(&hir);
            let wanted = wanted.filter(|w: &Vec<&str>| w.iter().all(|t| t.len() >= SHORTEST));
            let wanted = wanted.map(|w| w.into_iter().map(|t| t.as_bytes().to_vec()).collect::<Vec<_>>());
            assert_eq!(found, wanted, "{pattern}");
        }
    }
}
