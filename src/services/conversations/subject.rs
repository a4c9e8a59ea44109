//! Subjects without what answering and passing on adds to them.

/// What stands before the subject of an answer. RFC 5256 §2.1 knows `re`, `fw` and `fwd`; the others are what mail programs
/// in German, Dutch and the Scandinavian languages write.
const ANSWERS: [&str; 9] = ["re", "fw", "fwd", "aw", "wg", "sv", "vs", "vb", "antw"];

/// Most that is taken away; further prefixes stay.
const MOST: usize = 50;

/// The base subject in lower case, and whether something says that it is an answer (RFC 5256 §2.1).
pub(super) fn base_subject(subject: &str) -> (String, bool) {
    let lower = subject.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let mut base = lower.as_str();
    let mut is_answer = false;
    for _ in 0..MOST {
        let (rest, taken) = shorter(base);
        is_answer |= taken == Taken::Answer;
        if taken == Taken::Nothing {
            break;
        }
        base = rest;
    }
    (base.to_owned(), is_answer)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    Answer,
    Other,
}

/// ```text
/// subj-refwd   = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"      ; RFC 5256 §5
/// subj-blob    = "[" *BLOBCHAR "]" *WSP
/// subj-trailer = "(fwd)" / WSP
/// ```
fn shorter(subject: &str) -> (&str, Taken) {
    let subject = subject.trim();
    if let Some(rest) = subject.strip_suffix("(fwd)") {
        return (rest.trim_end(), Taken::Answer);
    }
    if let Some(rest) = blob(subject).filter(|rest| !rest.is_empty()) {
        return (rest, Taken::Other);
    }
    let word = subject.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(subject.len());
    if ANSWERS.contains(&&subject[..word]) {
        let rest = subject[word..].trim_start();
        let rest = blob(rest).unwrap_or(rest);
        if let Some(rest) = rest.strip_prefix(':') {
            return (rest.trim_start(), Taken::Answer);
        }
    }
    (subject, Taken::Nothing)
}

/// What follows a text in brackets.
fn blob(text: &str) -> Option<&str> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    (!inside.contains('[')).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_go() {
        for (subject, base, is_answer) in [
            ("Plan", "plan", false),
            ("Re: Plan", "plan", true),
            ("  RE :  FWD:re:  The   Plan ", "the plan", true),
            ("Re[2]: Plan", "plan", true),
            ("[list] Re: [other] Plan", "plan", true),
            ("[list] Plan", "plan", false),
            ("[list]", "[list]", false),
            ("Plan (fwd)", "plan", true),
            ("AW: WG: Plan", "plan", true),
            ("Research: x", "research: x", false),
            ("Re", "re", false),
            ("Re:", "", true),
            ("", "", false),
            ("Grüße: ä", "grüße: ä", false),
        ] {
            assert_eq!(base_subject(subject), (base.to_owned(), is_answer), "{subject:?}");
        }
        let many = "re: ".repeat(1000);
        assert!(base_subject(&many).1);
    }
}
