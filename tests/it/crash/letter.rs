//! Messages whose whole text follows from their id.

use std::fmt::Write as _;

use crate::faults::random::Random;

/// The whole text of the message with this id (with its angle brackets).
pub(super) fn text(id: &str) -> String {
    let mut random = Random::new(id);
    // Mostly small; some take long enough to write that a kill hits them half-way.
    let lines = match random.below(20) {
        0 => 2000 + random.below(3000),
        1..=3 => 100 + random.below(400),
        _ => random.below(40),
    };
    let mut text = format!(
        "From: Ann <ann@example.test>\r\nTo: Ann <ann@example.test>\r\nSubject: letter {id}\r\n\
         Date: Tue, 3 Mar 2026 10:00:00 +0000\r\nMessage-ID: {id}\r\nX-Lines: {lines}\r\n\r\n"
    );
    for _ in 0..lines {
        let _ = write!(
            text,
            "{:016x}{:016x}{:016x}{:016x}\r\n",
            random.next(),
            random.next(),
            random.next(),
            random.next()
        );
    }
    text
}

/// The Message-ID in a header.
pub(super) fn id_in(header: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(header);
    let is_id = |line: &&str| line.get(..11).is_some_and(|name| name.eq_ignore_ascii_case("message-id:"));
    text.lines().find(is_id).map(|line| line[11..].trim().to_owned())
}

/// Whether a stored message is whole: the lines added by the server, then exactly what was sent.
pub(super) fn is_whole(stored: &[u8]) -> bool {
    id_in(stored).is_some_and(|id| stored.ends_with(text(&id).as_bytes()))
}
