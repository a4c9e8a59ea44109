//! Base subjects (RFC 5256 §2.1): a subject without the marks of replies, forwards and lists.

/// What a subject says beneath its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseSubject<'a> {
    /// The text, as it was written. Blanks that follow each other are still there; see [`BaseSubject::key`].
    pub text: &'a str,
    /// RFC 5256 §2.1: a mark of a reply or of a forwarded message was taken away.
    pub is_reply_or_forward: bool,
}

/// Octets of a subject that are looked at: more than a line can have (RFC 5322 §2.1.1).
const MOST: usize = 2_048;

impl<'a> BaseSubject<'a> {
    /// Strips the marks from a decoded subject on one line.
    ///
    /// ```abnf
    /// subject         = *subj-leader [subj-middle] *subj-trailer
    /// subj-refwd      = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
    /// subj-blob       = "[" *BLOBCHAR "]" *WSP
    /// subj-fwd        = subj-fwd-hdr subject subj-fwd-trl
    /// subj-fwd-hdr    = "[fwd:"
    /// subj-fwd-trl    = "]"
    /// subj-leader     = (*subj-blob subj-refwd) / WSP
    /// subj-middle     = *subj-blob (subj-base / subj-fwd)
    /// subj-trailer    = "(fwd)" / WSP
    /// subj-base       = NONWSP *(*WSP NONWSP)
    /// ```
    pub fn of(subject: &'a str) -> Self {
        let mut text = &subject[..subject.floor_char_boundary(MOST)];
        let mut is_reply_or_forward = false;
        loop {
            // Steps 2 to 5 of RFC 5256 §2.1.
            text = without_trailers(text, &mut is_reply_or_forward);
            while let Some(rest) = without_leader(text, &mut is_reply_or_forward) {
                text = rest;
            }
            // Step 6.
            match strip_prefix(text, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
                Some(inner) => {
                    is_reply_or_forward = true;
                    text = inner;
                }
                None => return Self { text, is_reply_or_forward },
            }
        }
    }

    /// The form in which two base subjects are compared (i;unicode-casemap, RFC 5051), blanks made single.
    pub fn key(&self) -> String {
        let mut key = String::with_capacity(self.text.len());
        for word in self.text.split(is_blank).filter(|word| !word.is_empty()) {
            if !key.is_empty() {
                key.push(' ');
            }
            key.push_str(&super::text::casemap(word));
        }
        key
    }
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Strips an ASCII word from the beginning, ignoring case.
fn strip_prefix<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

fn without_trailers<'a>(mut text: &'a str, is_forward: &mut bool) -> &'a str {
    loop {
        text = text.trim_end_matches(is_blank);
        let at = text.len().saturating_sub(FORWARDED.len());
        match text.split_at_checked(at) {
            Some((rest, tail)) if tail.eq_ignore_ascii_case(FORWARDED) => {
                *is_forward = true;
                text = rest;
            }
            _ => return text,
        }
    }
}

const FORWARDED: &str = "(fwd)";

/// One round of steps 3 and 4, or `None` when there was nothing to strip.
///
/// All blobs go at once: whether each one goes depends on what follows them, so one look is enough.
fn without_leader<'a>(text: &'a str, is_reply: &mut bool) -> Option<&'a str> {
    let trimmed = text.trim_start_matches(is_blank);
    let (mut rest, mut last) = (trimmed, trimmed);
    while let Some(behind) = without_blob(rest) {
        (last, rest) = (rest, behind);
    }
    if let Some(behind) = without_mark(rest) {
        *is_reply = true;
        return Some(behind);
    }
    // Step 4: a blob goes when something is left without it.
    let left = if rest.is_empty() { last } else { rest };
    (left.len() < text.len()).then_some(left)
}

/// `subj-blob`.
fn without_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    let behind = inner[end..].strip_prefix(']')?;
    Some(behind.trim_start_matches(is_blank))
}

/// `subj-refwd`.
fn without_mark(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"].iter().find_map(|word| strip_prefix(text, word))?;
    let rest = rest.trim_start_matches(is_blank);
    without_blob(rest).unwrap_or(rest).strip_prefix(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go() {
        for (subject, base, is_reply_or_forward) in [
            ("", "", false),
            ("  ", "", false),
            ("hello", "hello", false),
            ("Re: hello", "hello", true),
            ("re:RE :\tFw:Fwd: hello", "hello", true),
            ("Re[2]: hello", "hello", true),
            ("Re [2] : hello", "hello", true),
            ("Re [2 : hello", "Re [2 : hello", false),
            ("Reply: hello", "Reply: hello", false),
            ("Re hello", "Re hello", false),
            ("Re:", "", true),
            ("[list] hello", "hello", false),
            ("[list] [more]  hello", "hello", false),
            ("[list] Re: [list] Re: hello", "hello", true),
            ("[list]", "[list]", false),
            ("[a] [b]", "[b]", false),
            ("Re: [a]", "[a]", true),
            ("[a][b] (fwd)", "[b]", true),
            ("[a[b] hello", "[a[b] hello", false),
            ("hello (fwd) (FWD) ", "hello", true),
            ("(fwd)", "", true),
            ("[Fwd: hello]", "hello", true),
            ("[fwd: [list] Re: hello (fwd)]", "hello", true),
            ("[fwd: hello", "[fwd: hello", false),
            ("Fwd: [fwd: [fwd: deep]]", "deep", true),
            ("Grüße [x]", "Grüße [x]", false),
            ("AW: hello", "AW: hello", false),
        ] {
            let want = BaseSubject { text: base, is_reply_or_forward };
            assert_eq!(BaseSubject::of(subject), want, "{subject}");
        }
    }

    #[test]
    fn keys_ignore_case_and_blanks() {
        let key = |subject| BaseSubject::of(subject).key();
        assert_eq!(key("Re: die  \t grüne Welt"), key("Die GRÜNE welt"));
        assert_ne!(key("a b"), key("ab"));
    }

    #[test]
    fn hostile_subjects_take_linear_time() {
        for piece in ["[a]", "[", "re:", "[fwd:", "(fwd)", "]"] {
            let subject = piece.repeat(100_000);
            assert!(BaseSubject::of(&subject).text.len() <= MOST, "{piece}");
        }
    }
}
