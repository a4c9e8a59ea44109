//! `tests/golden/structure/NN-name.eml`: each message with its envelope, structure and sections in `NN-name.want`.
//!
//! To add a case, add the message and run the test with `UPDATE_GOLDEN=1`, which writes missing or changed files; then
//! review the new `.want` carefully.

use std::fmt::Write as _;
use std::path::Path;

use postrider::foundations::mail::{Piece, Sections, Summary};

#[test]
fn structures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/structure");
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 30, "the cases are missing from {}", folder.display());
    let mut wrong = String::new();
    for case in cases {
        let message = std::fs::read(&case).unwrap();
        let summary = Summary::of(&message);
        let mut stored = Vec::new();
        summary.write(&mut stored);
        assert_eq!(Summary::read(&stored).as_ref(), Some(&summary), "{}", case.display());
        let shown = show(&summary);
        let want = case.with_extension("want");
        if std::fs::read_to_string(&want).ok().as_ref() != Some(&shown) {
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&want, &shown).unwrap();
            }
            writeln!(wrong, "{}:\n{shown}", case.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "different from what is wanted:\n{wrong}");
}

fn show(summary: &Summary) -> String {
    let mut shown = String::new();
    for (name, value) in
        [("ENVELOPE", &summary.envelope), ("BODY", &summary.body), ("BODYSTRUCTURE", &summary.body_structure)]
    {
        writeln!(shown, "{name} {}", readable(value)).unwrap();
    }
    writeln!(shown, "sent {:?}", summary.sent.map(|date| (date.seconds, date.offset))).unwrap();
    writeln!(shown, "preview {:?}", summary.preview).unwrap();
    writeln!(shown, "{:?}", summary.fields).unwrap();
    show_sections(&summary.sections, &mut Vec::new(), &mut shown);
    shown
}

/// Octets as text, with everything but printable ASCII escaped, except that quotes are left alone.
fn readable(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        match octet {
            b'"' | b'\'' => text.push(char::from(*octet)),
            octet => write!(text, "{}", octet.escape_ascii()).unwrap(),
        }
        text
    })
}

fn show_sections(sections: &Sections, path: &mut Vec<u32>, shown: &mut String) {
    let number: Vec<String> = path.iter().map(ToString::to_string).collect();
    write!(shown, "[{}]", number.join(".")).unwrap();
    for (name, piece) in
        [("", Piece::Whole), (" MIME", Piece::Mime), (" HEADER", Piece::Header), (" TEXT", Piece::Text)]
    {
        if let Some(range) = sections.find(path, piece) {
            write!(shown, "{name} {}..{}", range.start, range.end).unwrap();
        }
    }
    shown.push('\n');
    for child in 1.. {
        path.push(child);
        let exists = sections.find(path, Piece::Whole).is_some();
        if exists {
            show_sections(sections, path, shown);
        }
        path.pop();
        if !exists {
            break;
        }
    }
}
