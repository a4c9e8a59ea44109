//! mbox in the `mboxrd` form (RFC 4155 with reversible quoting): a `From ` line, the message with bare line feeds and every
//! line that could be taken for a `From ` line quoted, and an empty line.

use chrono::DateTime;

use crate::services::backup::tree::MessageEntry;
use crate::storage::mailbox::{FileName, Flags, Place};

/// Appends a message.
pub fn append(mbox: &mut Vec<u8>, message: &MessageEntry, content: &[u8]) {
    let date = DateTime::from_timestamp(message.date, 0).unwrap_or_default();
    mbox.extend_from_slice(format!("From MAILER-DAEMON {}\n", date.format("%a %b %e %H:%M:%S %Y")).as_bytes());
    let mut in_header = true;
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if in_header && line.is_empty() {
            mbox.extend_from_slice(status(message).as_bytes());
            in_header = false;
        }
        // The status of this file, not one that some other file once recorded.
        if in_header && (starts(line, b"status:") || starts(line, b"x-status:")) {
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
        mbox.extend_from_slice(status(message).as_bytes());
    }
    mbox.push(b'\n');
}

fn starts(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// Flags as mbox programs write them: R read, O old, A answered, F flagged, T draft, D deleted.
fn status(message: &MessageEntry) -> String {
    let flags = FileName::parse(&message.name, message.place).map_or(Flags::NONE, |name| name.flags);
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
    field("Status", status) + &field("X-Status", more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_tells_flags() {
        let message = MessageEntry {
            place: Place::Cur,
            name: b"1.a.h,U=1:2,FS".to_vec(),
            size: 0,
            date: 1_769_903_999,
            objects: vec![],
        };
        let mut mbox = Vec::new();
        append(&mut mbox, &message, b"Subject: x\r\nStatus: O\r\n\r\nFrom here\r\n>From there\r\nFromage\r\nend");
        let text = String::from_utf8(mbox).unwrap();
        let wanted = "From MAILER-DAEMON Sat Jan 31 23:59:59 2026\nSubject: x\nStatus: RO\nX-Status: F\n\n>From here\n\
                      >>From there\nFromage\nend\n\n";
        assert_eq!(text, wanted);
        // Without a body, too.
        let mut mbox = Vec::new();
        append(&mut mbox, &message, b"Subject: x\r\n");
        assert!(mbox.ends_with(b"\nSubject: x\nStatus: RO\nX-Status: F\n\n"), "{}", mbox.escape_ascii());
    }
}
