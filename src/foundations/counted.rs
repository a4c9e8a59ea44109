//! Numbers with what they count, for sentences that people read.

use std::fmt::Display;

/// `1 message`, `2 messages`: a number and a noun, which is given in the singular.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    if count == N::from(1) { format!("{count} {noun}") } else { format!("{count} {}", plural(noun)) }
}

/// The verb for a number of things.
pub fn are<N: PartialEq + From<u8>>(count: N) -> &'static str {
    if count == N::from(1) { "is" } else { "are" }
}

/// Of regular nouns, the only ones that are counted.
fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        None if noun.ends_with(['s', 'x']) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_follow_their_numbers() {
        for (count, noun, wanted) in [
            (0, "message", "0 messages"),
            (1, "message", "1 message"),
            (2, "message", "2 messages"),
            (2, "alias", "2 aliases"),
            (2, "mailbox", "2 mailboxes"),
            (2, "entry", "2 entries"),
            (2, "key", "2 keys"),
        ] {
            assert_eq!(counted(count, noun), wanted);
        }
        assert_eq!((are(0_u64), are(1_u64), are(2_usize)), ("are", "is", "are"));
    }
}
