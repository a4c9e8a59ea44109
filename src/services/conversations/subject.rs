//! Subjects without what replying and forwarding add to them, in any language.

use crate::foundations::mail::BaseSubject;

/// What mail programs in German, Dutch and the Scandinavian languages write before the subject of a reply. RFC 5256
/// §2.1 knows English marks only.
const MARKS: [&str; 6] = ["aw", "wg", "sv", "vs", "vb", "antw"];

/// Most marks that are taken away; further ones stay.
const MOST: usize = 50;

/// The base subject for comparison, and whether something marks it as a reply.
pub(super) fn base_subject(subject: &str) -> (String, bool) {
    let mut base = BaseSubject::of(subject);
    let mut is_answer = base.is_reply_or_forward;
    for _ in 0..MOST {
        let Some(rest) = without_mark(base.text) else { break };
        base = BaseSubject::of(rest);
        is_answer = true;
    }
    (base.key(), is_answer)
}

/// `Aw:`, also with a count (`Aw[2]:`).
fn without_mark(text: &str) -> Option<&str> {
    let (mark, rest) = text.split_once(':')?;
    let word = mark.split_once('[').map_or(mark, |(word, _)| word).trim_end();
    MARKS.iter().any(|known| word.eq_ignore_ascii_case(known)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_every_language_go() {
        for (subject, base, is_answer) in [
            ("Plan", "Plan", false),
            ("Re: Plan", "plan", true),
            ("  RE :  FWD:re:  The   Plan ", "the plan", true),
            ("[list] Re: [other] Plan", "plan", true),
            ("AW: WG: Re: Plan", "plan", true),
            ("[list] Antw[2]: Re: Plan", "plan", true),
            ("Research: x", "research: x", false),
            ("Awake: x", "awake: x", false),
            ("Aw", "aw", false),
            ("SV:", "", true),
            ("", "", false),
            ("Grüße: ä", "grüße: Ä", false),
        ] {
            let base = BaseSubject { text: base, is_reply_or_forward: false }.key();
            assert_eq!(base_subject(subject), (base, is_answer), "{subject:?}");
        }
        assert!(base_subject(&"aw: ".repeat(1000)).1);
    }
}
