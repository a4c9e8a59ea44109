//! Messages in one file, each behind a line that begins with `From ` (RFC 4155).

mod reader;

pub use reader::{Messages, Wrapped};

/// The messages in a file: for an mbox, each with the line before it; otherwise the file itself as one message. An
/// empty file has none.
pub fn messages(octets: &[u8]) -> Vec<&[u8]> {
    let mut rest = octets.trim_ascii_start();
    // Reading from memory cannot fail.
    let Ok(Some(mut reader)) = Messages::begin(rest, rest.len()) else { return vec![octets] };
    let mut found = Vec::new();
    while let Ok(Some(message)) = reader.read() {
        let size = usize::try_from(message.size).unwrap_or(rest.len());
        let (message, behind) = rest.split_at(size.min(rest.len()));
        found.push(message);
        rest = behind;
    }
    found
}

/// Whether a message begins here. The line before should be empty, and the date as usual; where a program leaves one of them out, a
/// header has to follow. Programs that never write dates are `undated`; newer versions of Thunderbird write nothing at all after
/// `From`, even into files that older versions began with dates.
fn begins(octets: &[u8], behind_empty: bool, undated: bool) -> bool {
    let (is_dated, has_header) = (separator_date(octets).is_some(), is_undated_separator(octets));
    match behind_empty {
        true => is_dated || has_header && (undated || is_bare(octets) || is_separator(octets)),
        // In a text, such a line is only in another mbox that somebody has pasted.
        false => is_dated && has_header,
    }
}

/// Whether a file begins as an mbox does.
pub fn is_mbox(octets: &[u8]) -> bool {
    is_separator(octets) || is_undated_separator(octets)
}

/// `From`, followed by a line that is a header field.
fn is_undated_separator(octets: &[u8]) -> bool {
    let rest = octets.get(first_line(octets).len() + 1..).unwrap_or_default();
    let name = first_line(rest).split(|octet| *octet == b':').next().unwrap_or_default();
    let is_field = !name.is_empty() && name.len() < first_line(rest).len() && name.iter().all(u8::is_ascii_graphic);
    octets.starts_with(b"From ") && is_field
}

/// `From` with nothing after it: no sentence begins like that.
fn is_bare(octets: &[u8]) -> bool {
    first_line(octets).trim_ascii_end() == b"From"
}

/// The line before each message of an mbox: `From`, an address, and a date with a time.
fn is_separator(octets: &[u8]) -> bool {
    let line = first_line(octets);
    let line = &line[..line.len().min(300)];
    line.starts_with(b"From ")
        && line.windows(6).any(|w| {
            w[0].is_ascii_digit() && w[1] == b':' && w[2].is_ascii_digit() && w[3].is_ascii_digit() && w[4] == b':'
        })
}

fn first_line(octets: &[u8]) -> &[u8] {
    &octets[..memchr::memchr(b'\n', octets).unwrap_or(octets.len())]
}

/// A message of an mbox as it was before it was stored: without the line before it and the empty one after it, and with
/// `From ` lines restored (one `>` in front was added to each, as mboxrd does it).
pub fn unwrap(message: &[u8]) -> Vec<u8> {
    let body = if is_mbox(message) { &message[(first_line(message).len() + 1).min(message.len())..] } else { message };
    let body = match body {
        [.., b'\n', b'\r', b'\n'] => &body[..body.len() - 2],
        [.., b'\n', b'\n'] => &body[..body.len() - 1],
        _ => body,
    };
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|octet| *octet == b'\n') {
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        let quoted = quotes > 0 && line[quotes..].starts_with(b"From ");
        out.extend_from_slice(if quoted { &line[1..] } else { line });
    }
    out
}

/// The date in the line before a message, as `ctime` writes it, in UTC.
pub fn separator_date(message: &[u8]) -> Option<chrono::NaiveDateTime> {
    let line = is_separator(message).then(|| String::from_utf8_lossy(first_line(message)).into_owned())?;
    let words: Vec<&str> = line.split_whitespace().collect();
    // Some programs add a time zone after or before the year.
    let time = words.iter().position(|word| word.matches(':').count() == 2)?;
    let (month, day) = (words.get(time.checked_sub(2)?)?, words.get(time - 1)?);
    let year = words[time + 1..].iter().find(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()))?;
    let text = format!("{day} {month} {year} {}", words[time]);
    chrono::NaiveDateTime::parse_from_str(&text, "%d %b %Y %H:%M:%S").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_taken_apart() {
        let mbox = b"From a@b Mon Nov 23 04:00:00 2026\nSubject: 1\n\nx\nFrom here on\n>From c\n\nFrom there on\n\nFrom c@d Tue Nov 24 04:00:00 2026\nSubject: 2\n\ny\n";
        let messages = messages(mbox);
        assert_eq!(messages.len(), 2);
        assert_eq!(unwrap(messages[0]), b"Subject: 1\n\nx\nFrom here on\nFrom c\n\nFrom there on\n");
        assert_eq!(unwrap(messages[1]), b"Subject: 2\n\ny\n");
        assert_eq!(super::messages(b"Subject: 1\n\nFrom a@b Mon Nov 24 04:00:00 2026\n").len(), 1);
    }

    #[test]
    fn mailboxes_of_windows_are_taken_apart() {
        let mbox = b"From - Mon Nov 23 04:00:00 2026\r\nSubject: 1\r\n\r\nx\r\n>From c\r\n\r\nFrom - Tue Nov 24 04:00:00 2026\r\nSubject: 2\r\n\r\ny\r\n\r\n";
        let contents: Vec<_> = messages(mbox).into_iter().map(unwrap).collect();
        let wanted: [&[u8]; 2] = [b"Subject: 1\r\n\r\nx\r\nFrom c\r\n", b"Subject: 2\r\n\r\ny\r\n"];
        assert_eq!(contents, wanted);
        assert!(separator_date(mbox).is_some());
    }

    #[test]
    fn separators_may_have_no_dates_and_files_no_messages() {
        let mbox = b"From a@b\nSubject: 1\n\nx\n\nFrom here on\n\nFrom c@d\nSubject: 2\n\ny\n";
        let contents: Vec<_> = messages(mbox).into_iter().map(unwrap).collect();
        let wanted: [&[u8]; 2] = [b"Subject: 1\n\nx\n\nFrom here on\n", b"Subject: 2\n\ny\n"];
        assert_eq!(contents, wanted);
        assert!(messages(b"").is_empty());
        assert!(
            is_mbox(mbox) && !is_mbox(b"\x7fELF\x02") && !is_mbox(b"From here\nit goes on\n") && !is_mbox(b"From x")
        );
    }

    #[test]
    fn newer_versions_of_thunderbird_go_on_without_dates() {
        let mbox = b"From - Mon Nov 23 04:00:00 2026\r\nX-Mozilla-Status: 0001\r\n\r\nx\r\n\r\nFrom here:\r\nA: b\r\n\r\nFrom \r\nX-Mozilla-Status: 0001\r\n\r\ny\r\n\r\nFrom \r\nX-Mozilla-Status: 0000\r\n\r\nz\r\n";
        let contents: Vec<_> = messages(mbox).into_iter().map(unwrap).collect();
        let wanted: [&[u8]; 3] = [
            b"X-Mozilla-Status: 0001\r\n\r\nx\r\n\r\nFrom here:\r\nA: b\r\n",
            b"X-Mozilla-Status: 0001\r\n\r\ny\r\n",
            b"X-Mozilla-Status: 0000\r\n\r\nz\r\n",
        ];
        assert_eq!(contents, wanted);
    }

    #[test]
    fn a_sentence_with_a_time_begins_no_message() {
        let mbox = b"From a@b Mon Nov 23 04:00:00 2026\nSubject: 1\n\nx\n\nFrom 12:30:15 on nothing worked:\nsee the log.\n\nFrom a@b 23.11.2026 05:00:00\nSubject: 2\n\ny\n";
        let contents: Vec<_> = messages(mbox).into_iter().map(unwrap).collect();
        let wanted: [&[u8]; 2] =
            [b"Subject: 1\n\nx\n\nFrom 12:30:15 on nothing worked:\nsee the log.\n", b"Subject: 2\n\ny\n"];
        assert_eq!(contents, wanted);
    }

    #[test]
    fn empty_lines_may_be_before_the_first_message_and_none_between_messages() {
        let mbox = b"\r\n\nFrom a@b Mon Nov 23 04:00:00 2026\nSubject: 1\n\nx\nFrom a@b Mon Nov 23 05:00:00 2026\nSubject: 2\n\ny\nFrom a@b Mon Nov 23 06:00:00 2026\nis only text\n";
        let contents: Vec<_> = messages(mbox).into_iter().map(unwrap).collect();
        let wanted: [&[u8]; 2] =
            [b"Subject: 1\n\nx\n", b"Subject: 2\n\ny\nFrom a@b Mon Nov 23 06:00:00 2026\nis only text\n"];
        assert_eq!(contents, wanted);
        assert_eq!(messages(b"\nSubject: 1\n\nx\n"), [b"\nSubject: 1\n\nx\n"]);
    }

    #[test]
    fn dates_are_read() {
        for (line, wanted) in [
            ("From a@b Mon Nov 23 04:05:06 2026\n", "2026-11-23 04:05:06"),
            ("From - Mon Nov  3 04:05:06 2025\n", "2025-11-03 04:05:06"),
            ("From a@b Mon Nov 23 04:05:06 +0000 2026\n", "2026-11-23 04:05:06"),
        ] {
            assert_eq!(separator_date(line.as_bytes()).unwrap().to_string(), wanted, "{line}");
        }
        assert_eq!(separator_date(b"From the beginning\n"), None);
    }
}
