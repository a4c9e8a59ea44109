//! Numbers and sizes together with what they count, in readable form.

use std::fmt::Display;

/// `1 message`, `2 messages`: a number and a noun, which is given in the singular.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    if count == N::from(1) { format!("{count} {noun}") } else { format!("{count} {}", plural(noun)) }
}

/// The verb for a number of things.
pub fn are<N: PartialEq + From<u8>>(count: N) -> &'static str {
    if count == N::from(1) { "is" } else { "are" }
}

/// A size for people: at most three digits before the unit.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
pub fn rounded(octets: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    match units.into_iter().find(|(_, shift)| octets >= 1 << shift) {
        Some((unit, shift)) if octets.trailing_zeros() >= shift => format!("{}{unit}", octets >> shift),
        Some((unit, shift)) => format!("{:.1}{unit}", octets as f64 / (1u64 << shift) as f64),
        None => octets.to_string(),
    }
}

/// The same within a sentence, where a bare number of octets needs its unit.
pub fn amount(octets: u64) -> String {
    match octets {
        1 => "1 octet".to_owned(),
        0..1024 => format!("{octets} octets"),
        _ => rounded(octets),
    }
}

/// The plural of a regular noun; no others are counted.
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

    #[test]
    fn sizes_have_a_unit_and_few_digits() {
        for (octets, shown, told) in [
            (0, "0", "0 octets"),
            (1, "1", "1 octet"),
            (1023, "1023", "1023 octets"),
            (1536, "1.5K", "1.5K"),
            (5 << 30, "5G", "5G"),
            (256 << 20, "256M", "256M"),
            (u64::MAX, "16777216.0T", "16777216.0T"),
        ] {
            assert_eq!((rounded(octets).as_str(), amount(octets).as_str()), (shown, told));
        }
    }
}
