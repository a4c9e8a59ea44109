//! What the server says by fixed words (`said!`) and by the names of its filter's rules, checked against what the webmail has for it in
//! each language (`said-*.js`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::house::{files, text, without_tests};

/// A text in a source: where it begins, and what it says.
struct Literal {
    at: usize,
    end: usize,
    said: String,
}

/// A file without its unit tests and without the lines that are comments.
fn code(path: &Path) -> String {
    let code = without_tests(path);
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The texts of a source, in Rust or in JavaScript. Raw ones do not count.
fn literals(code: &str) -> Vec<Literal> {
    let octets = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(quote) = code[at..].find('"').map(|more| at + more) {
        let before = if quote > 0 { octets[quote - 1] } else { b' ' };
        if before == b'\\' || (before == b'\'' && octets.get(quote + 1) == Some(&b'\'')) {
            at = quote + 1;
            continue;
        }
        if before == b'r' || before == b'#' {
            let end = if before == b'r' { "\"" } else { "\"#" };
            at = code[quote + 1..].find(end).map_or(code.len(), |more| quote + 1 + more + end.len());
            continue;
        }
        let mut said = String::new();
        let mut rest = code[quote + 1..].char_indices();
        let mut end = code.len();
        while let Some((n, c)) = rest.next() {
            match c {
                '"' => {
                    end = quote + 1 + n + 1;
                    break;
                }
                '\\' => said.extend(rest.next().map(|(_, escaped)| escaped)),
                c => said.push(c),
            }
        }
        found.push(Literal { at: quote, end, said });
        at = end;
    }
    found
}

/// The names in braces. Every other brace stands for itself.
fn gaps(said: &str) -> BTreeSet<&str> {
    let inside = said.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    inside.map(|(name, _)| name).filter(|name| is_name(name)).collect()
}

/// What the webmail has for each word in a language.
fn translations(language: &str) -> BTreeMap<String, String> {
    let page = text(Path::new(&format!("src/protocols/web/webmail/page/said-{language}.js")));
    let of_line = |line: &str| {
        let [word, own]: [Literal; 2] = literals(line).try_into().ok()?;
        Some((word.said, own.said))
    };
    page.lines().filter(|line| line.starts_with("  \"")).map(|line| of_line(line).unwrap()).collect()
}

/// The names of the values that follow a sentence in a `said!`.
fn given(rest: &str) -> BTreeSet<&str> {
    let (mut depth, mut begun, mut all) = (0, 0, Vec::new());
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                all.push(&rest[begun..at]);
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(&rest[begun..at]);
                begun = at + 1;
            }
            _ => {}
        }
    }
    // What comes before the first comma belongs to the sentence.
    let names = all.iter().skip(1).map(|one| one.split('=').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).collect()
}

/// Everything that the server says by a word for it (`said!`): the word, and the names of the values.
fn said() -> BTreeMap<String, BTreeSet<String>> {
    let (mut sayings, mut english) = (BTreeMap::new(), BTreeMap::new());
    for file in files("src", "rs") {
        let code = code(&file);
        let literals = literals(&code);
        for (at, _) in code.match_indices("said!(") {
            let mut next = literals.iter().skip_while(|literal| literal.at < at);
            let (Some(word), Some(sentence)) = (next.next(), next.next()) else { continue };
            let given = given(&code[sentence.end..]);
            assert_eq!(gaps(&sentence.said), given, "`{}`: what it names, and its values", word.said);
            let names = given.into_iter().map(str::to_owned).collect();
            let known = english.insert(word.said.clone(), sentence.said.clone());
            assert!(known.is_none_or(|known| known == sentence.said), "`{}` stands for two sentences", word.said);
            sayings.insert(word.said.clone(), names);
        }
    }
    sayings
}

/// Values that only an English sentence needs.
const ENGLISH: [&str; 3] = ["noun", "plural", "verb"];

/// What the reasons of the filter are called: the rules that come with it, and the signals that no rule is about. For each whether it may
/// speak against a message: what speaks for one is no reason to take it for junk.
fn reasons() -> BTreeMap<String, bool> {
    let rules = text(Path::new("src/services/filter/rules/builtin.cf"));
    let of = |kind: &str, name: &str| {
        let is_meant = |line: &&str| line.split_whitespace().take(2).eq([kind, name]);
        rules.lines().find(is_meant).map(|line| line.split_whitespace().skip(2).collect::<Vec<_>>())
    };
    let names = rules.lines().filter_map(|line| line.strip_prefix("describe ")?.split_whitespace().next());
    let of_rule = |name: &str| {
        let counts =
            of("score", name).is_none_or(|score| score.iter().any(|one| one.parse().is_ok_and(|n: f64| n > 0.0)));
        (name.to_owned(), counts)
    };
    let others = ["REPUTATION_UNWANTED", "RCVD_IN_", "URIBL_"].map(|name| (name.to_owned(), true));
    names.map(of_rule).chain(others).collect()
}

#[test]
fn no_description_has_a_colon() {
    let rules = text(Path::new("src/services/filter/rules/builtin.cf"));
    // In X-Spam-Reason, what was found follows after one.
    let wrong: Vec<_> = rules.lines().filter(|line| line.starts_with("describe ") && line.contains(": ")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_language_has_what_the_server_says() {
    let (sayings, reasons) = (said(), reasons());
    assert!(sayings.len() > 200 && reasons.len() > 150, "{} and {}", sayings.len(), reasons.len());
    let refusals = text(Path::new("src/protocols/web/webmail/page/texts-en.js"));
    for word in sayings.keys() {
        assert!(!refusals.contains(&format!("\"refused_{word}\"")), "`{word}` is the word of a refusal, too");
    }
    let wanted = sayings.keys().chain(reasons.iter().filter(|(_, counts)| **counts).map(|(name, _)| name));
    let wanted: BTreeSet<&String> = wanted.collect();
    for language in ["de", "es", "fr"] {
        let own = translations(language);
        let lacking: Vec<_> = wanted.iter().filter(|word| !own.contains_key(**word)).collect();
        assert!(lacking.is_empty(), "`said-{language}.js` lacks {lacking:#?}");
        let nothing = BTreeSet::new();
        for (word, own) in own {
            let names = sayings.get(&word).or_else(|| reasons.get(&word).map(|_| &nothing));
            let Some(names) = names else { panic!("{language}: nobody says `{word}`") };
            let own: BTreeSet<String> = gaps(&own).into_iter().map(str::to_owned).collect();
            let unknown: Vec<_> = own.difference(names).collect();
            assert!(unknown.is_empty(), "{language}: `{word}` has no {unknown:?}");
            let lost: Vec<_> = names.difference(&own).filter(|name| !ENGLISH.contains(&name.as_str())).collect();
            assert!(lost.is_empty(), "{language}: `{word}` does not tell {lost:?}");
        }
    }
}
