//! mbox in the `mboxrd` form (RFC 4155 with reversible quoting): a `From ` line, the message with bare line feeds and every
//! line that could be taken for a `From ` line quoted, and an empty line.

use chrono::DateTime;

use crate::services::backup::tree::MessageEntry;
use crate::storage::mailbox::{FileName, Flags, KeywordSet, Place};

/// Fields that say in this file what its name says in a Maildir. Whatever some other file once recorded is left out.
const FIELDS: [&[u8]; 3] = [b"status:", b"x-status:", b"x-keywords:"];

/// Appends a message; `keywords` are those of its folder, by their letters' places in the alphabet.
pub fn append(mbox: &mut Vec<u8>, message: &MessageEntry, keywords: &[(u8, String)], content: &[u8]) {
    let date = DateTime::from_timestamp(message.date, 0).unwrap_or_default();
    mbox.extend_from_slice(format!("From MAILER-DAEMON {}\n", date.format("%a %b %e %H:%M:%S %Y")).as_bytes());
    let (mut in_header, mut in_left_out) = (true, false);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if in_header && line.is_empty() {
            mbox.extend_from_slice(status(message, keywords).as_bytes());
            in_header = false;
        }
        // RFC 5322 §2.2.3: a folded field goes on.
        in_left_out = in_header
            && (FIELDS.iter().any(|name| starts(line, name)) || in_left_out && matches!(line, [b' ' | b'\t', ..]));
        if in_left_out {
            continue;
        }
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            mbox.push(b'>');
        }
        mbox.extend_from_slice(line);
        mbox.push(b'\n');
    }
    // RFC 5322 §3.5: the body may be missing, with the empty line before it.
    if in_header {
        mbox.extend_from_slice(status(message, keywords).as_bytes());
    }
    mbox.push(b'\n');
}

fn starts(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// Flags as mbox programs write them: R read, O old, A answered, F flagged, T draft, D deleted.
fn status(message: &MessageEntry, known: &[(u8, String)]) -> String {
    let name = FileName::parse(&message.name, message.place);
    let (flags, letters) = name.map_or((Flags::NONE, KeywordSet::NONE), |name| (name.flags, name.keywords));
    let letter = |flag, letter: &'static str| if flags.contains(flag) { letter } else { "" };
    let old = if message.place == Place::Cur { "O" } else { "" };
    let status = [letter(Flags::SEEN, "R"), old].concat();
    let more = [
        letter(Flags::ANSWERED, "A"),
        letter(Flags::FLAGGED, "F"),
        letter(Flags::DRAFT, "T"),
        letter(Flags::DELETED, "D"),
    ]
    .concat();
    let field = |name, value: String| if value.is_empty() { value } else { format!("{name}: {value}\n") };
    let own = letters.slots().filter_map(|slot| Some(known.iter().find(|(known, _)| *known == slot)?.1.as_str()));
    let forwarded = flags.contains(Flags::FORWARDED).then_some("$Forwarded");
    let keywords = forwarded.into_iter().chain(own).collect::<Vec<_>>().join(" ");
    field("Status", status) + &field("X-Status", more) + &field("X-Keywords", keywords)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_tells_flags() {
        let message = MessageEntry {
            place: Place::Cur,
            name: b"1.a.h,U=1:2,FPSac".to_vec(),
            size: 0,
            date: 1_769_903_999,
            objects: vec![],
        };
        let keywords = [(0, "work".to_owned()), (1, "play".to_owned())];
        let mut mbox = Vec::new();
        append(
            &mut mbox,
            &message,
            &keywords,
            b"Subject: x\r\nStatus: O\r\nX-Keywords: a\r\n b\r\n\r\nFrom here\r\n>From there\r\nFromage\r\nend",
        );
        let text = String::from_utf8(mbox).unwrap();
        let wanted = "From MAILER-DAEMON Sat Jan 31 23:59:59 2026\nSubject: x\nStatus: RO\nX-Status: F\nX-Keywords: $Forwarded work\n\n>From here\n\
                      >>From there\nFromage\nend\n\n";
        assert_eq!(text, wanted);
        // Without a body, too.
        let mut mbox = Vec::new();
        append(&mut mbox, &message, &[], b"Subject: x\r\n");
        assert!(
            mbox.ends_with(b"\nSubject: x\nStatus: RO\nX-Status: F\nX-Keywords: $Forwarded\n\n"),
            "{}",
            mbox.escape_ascii()
        );
    }
}
