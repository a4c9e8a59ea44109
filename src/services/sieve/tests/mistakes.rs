//! What is said of scripts with mistakes.

use super::*;

/// RFC 5228 §2.4.2.2.
#[test]
fn what_is_no_name_of_a_field_is_no_mistake_in_a_test() {
    for test in [
        "header \"From:\" \"x\"",
        "address [\"From:\"] \"x\"",
        "exists \"a b\"",
        "date \"Date:\" \"year\" \"2023\"",
        "duplicate :header \"Message-ID:\"",
    ] {
        let source = format!("require [\"date\", \"duplicate\"]; if {test} {{ discard; }}");
        let warnings = compile(source.as_bytes(), &SieveSettings::default()).unwrap().warnings;
        assert_eq!((decided(&source).as_str(), warnings.len()), ("implicit keep", 1), "{test}");
    }
}

#[test]
fn mistakes_are_all_told_with_their_places() {
    let source = "require [\"fileinto\", \"vacatoin\"];\nif header :contans \"a\" \"b\" {\n  filinto \"x\";\n}\nredirect \"nobody\";\nkeep";
    let mistakes = compile(source.as_bytes(), &SieveSettings::default()).unwrap_err();
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    for (line, part) in [
        ("line 1, column 22: ", "did you mean 'vacation'?"),
        ("line 2, column 11: ", "did you mean ':contains'?"),
        ("line 3, column 3: ", "did you mean 'fileinto'?"),
        ("line 5, column 10: ", "not an address"),
        ("line 6, column 5: ", "expected ';' or a block"),
    ] {
        assert!(
            told.iter().any(|told| told.starts_with(line) && told.contains(part)),
            "{line}{part} is not in {told:#?}"
        );
    }
    assert_eq!(told.len(), 5, "{told:#?}");
}

#[test]
fn one_extension_is_named_for_a_word_that_several_bring() {
    let mistakes = compile(b"if spamtest :is \"1\" { stop; }", &SieveSettings::default()).unwrap_err();
    let wanted =
        "line 1, column 4: unknown test 'spamtest' without its extension: write require \"spamtest\"; at the beginning";
    assert_eq!(mistakes[0].to_string(), wanted);
}

/// They were said to have tests, which only the checker saw.
#[test]
fn commands_without_a_semicolon_are_told_so() {
    for (source, told) in [
        ("keep\nstop;", "line 2, column 1: expected ';' before 'stop'"),
        ("redirect \"a@b.test\"\nif true { keep; }", "line 2, column 1: expected ';' before 'if'"),
        ("if true { discard stop; }", "line 1, column 19: expected ';' before 'stop'"),
        ("if true { stop; } else if true { keep; }", "line 1, column 24: write 'elsif' instead of 'else if'"),
        ("if true { stop; } else keep;", "line 1, column 24: expected '{' before 'keep'"),
        ("keep true;", "line 1, column 1: the keep command accepts no sub-tests, but tests are specified"),
    ] {
        let mistakes = compile(source.as_bytes(), &SieveSettings::default()).unwrap_err();
        assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), [told], "{source}");
    }
}

#[test]
fn mistakes_are_bounded() {
    let names = (0..2_000).map(|n| format!("\"nothing{n}\"")).collect::<Vec<_>>().join(",");
    for source in [format!("require [{names}];"), "$ ".repeat(2_000), "bad :tag;\n".repeat(2_000)] {
        let found = compile(source.as_bytes(), &SieveSettings::default()).err().unwrap();
        assert!((100..=101).contains(&found.len()), "{}: {}", found.len(), &source[..20]);
    }
    let long = "x".repeat(10_000);
    let found = compile(format!("require \"{long}\";").as_bytes(), &SieveSettings::default()).err().unwrap();
    assert!(found[0].said.text.len() < 300, "{}", found[0].said.text);
}
