//! The sentences of the server that the webmail translates (`sentences-*.js`), checked against those sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::house::{files, text};

/// What stands for a gap: the server and the page name them differently.
const GAP: char = '\u{1}';

/// A text in a source: where it begins, and what it says.
struct Literal {
    at: usize,
    end: usize,
    said: String,
}

/// A file without its unit tests and without the lines that are comments.
fn code(path: &Path) -> String {
    let whole = text(path);
    let code = whole.split("#[cfg(test)]").next().unwrap_or_default();
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

/// The same with its gaps made alike, as `format!` reads it.
fn blank(said: &str) -> String {
    let mut out = String::new();
    let mut rest = said.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.peek() == Some(&c) => out.extend(rest.next()),
            '{' => {
                out.push(GAP);
                rest.by_ref().find(|c| *c == '}');
            }
            c => out.push(c),
        }
    }
    out
}

/// The same as the page reads it: a word in braces is a gap, every other brace stands for itself. The gaps' names too.
fn blank_of_page(said: &str) -> (String, BTreeSet<&str>) {
    let (mut out, mut names, mut rest) = (String::new(), BTreeSet::new(), said);
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}').filter(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()))
        {
            Some((name, more)) => {
                out.push(GAP);
                names.insert(name);
                rest = more;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    (out + rest, names)
}

/// The sentences of a file of the page, each with how the language says it.
fn sentences(language: &str) -> BTreeMap<String, String> {
    translations("sentences", language)
}

/// The lines of a file of the page.
fn translations(file: &str, language: &str) -> BTreeMap<String, String> {
    let page = text(Path::new(&format!("src/protocols/web/webmail/page/{file}-{language}.js")));
    let of_line = |line: &str| {
        let [english, own]: [Literal; 2] = literals(line).try_into().ok()?;
        Some((english.said, own.said))
    };
    page.lines().filter(|line| line.starts_with("  \"")).map(|line| of_line(line).unwrap()).collect()
}

/// What every language has to have words for, its gaps made alike.
fn known() -> BTreeSet<String> {
    sentences("de").keys().map(|english| blank_of_page(english).0).collect()
}

#[test]
fn every_language_says_what_the_server_says() {
    let german = sentences("de");
    assert!(german.len() > 100);
    for language in ["de", "es", "fr"] {
        let own = sentences(language);
        assert!(own.keys().eq(german.keys()), "{language}");
        for (english, own) in own {
            let gaps = blank_of_page(&english).1;
            assert!(blank_of_page(&own).1.is_subset(&gaps), "{language}: {own}");
        }
    }
}

#[test]
fn no_sentence_is_translated_that_nobody_says() {
    let mut said = BTreeSet::new();
    for file in files("src", "rs") {
        for literal in literals(&code(&file)) {
            said.insert(blank(&literal.said));
            said.insert(literal.said);
        }
    }
    said.extend(descriptions().into_values());
    let unsaid: Vec<String> = known().into_iter().filter(|sentence| !said.contains(sentence)).collect();
    assert!(unsaid.is_empty(), "the server says nothing like this any more: {unsaid:#?}");
}

/// What the rules that come with the filter say that they look for, by the names of the rules.
fn descriptions() -> BTreeMap<String, String> {
    let rules = text(Path::new("src/services/filter/rules/builtin.cf"));
    let of_line = |line: &str| {
        let (name, description) = line.strip_prefix("describe")?.trim().split_once(' ')?;
        Some((name.to_owned(), description.trim().to_owned()))
    };
    rules.lines().filter_map(of_line).collect()
}

#[test]
fn every_reason_for_junk_is_translated() {
    let rules = text(Path::new("src/services/filter/rules/builtin.cf"));
    let known = known();
    let mut missing = Vec::new();
    for (name, description) in descriptions() {
        let score = rules.lines().find_map(|line| line.strip_prefix("score")?.trim().strip_prefix(&format!("{name} ")));
        // What speaks for a message is no reason to take it for junk.
        let counts =
            score.is_none_or(|score| score.split_whitespace().any(|one| one.parse().is_ok_and(|n: f64| n > 0.0)));
        if counts && !known.contains(&description) {
            missing.push(description);
        }
    }
    assert!(missing.is_empty(), "`sentences-*.js` lack these: {missing:#?}");
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
            let (values, values_end) = (&code[sentence.end..], code[sentence.end..].len().min(400));
            let names: BTreeSet<String> = match values.starts_with(',') {
                true => blank_of_page(&sentence.said).1.into_iter().map(str::to_owned).collect(),
                false => BTreeSet::new(),
            };
            for name in &names {
                let given = values.get(..values_end).unwrap_or(values).contains(&format!("{name} = "));
                assert!(given, "`{name}` of `{}` is not among its values", word.said);
            }
            let known = english.insert(word.said.clone(), sentence.said.clone());
            assert!(known.is_none_or(|known| known == sentence.said), "`{}` stands for two sentences", word.said);
            sayings.insert(word.said.clone(), names);
        }
    }
    sayings
}

#[test]
fn every_language_has_what_the_server_says_by_a_word() {
    let sayings = said();
    assert!(sayings.len() > 150, "only {} were found", sayings.len());
    let reasons = text(Path::new("src/protocols/web/webmail/page/texts-en.js"));
    for word in sayings.keys() {
        assert!(!reasons.contains(&format!("\"refused_{word}\"")), "`{word}` is the word of a refusal, too");
    }
    for language in ["de", "es", "fr"] {
        let own = translations("said", language);
        let lacking: Vec<_> = sayings.keys().filter(|word| !own.contains_key(*word)).collect();
        assert!(lacking.is_empty(), "`said-{language}.js` lacks {lacking:#?}");
        for (word, own) in own {
            let Some(names) = sayings.get(&word) else { panic!("{language}: nobody says `{word}`") };
            let unknown: Vec<_> = blank_of_page(&own).1.into_iter().filter(|name| !names.contains(*name)).collect();
            assert!(unknown.is_empty(), "{language}: `{word}` has no {unknown:?}");
        }
    }
}
