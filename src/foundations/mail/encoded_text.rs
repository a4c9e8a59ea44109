//! Texts as bodies of parts.

/// RFC 5322 §2.1.1 allows 998 octets; shorter lines survive more.
const LONGEST_LINE: usize = 900;

/// The text with CRLF, and its transfer encoding: as it is where it can be.
pub fn encoded_text(text: &str) -> (String, &'static str) {
    let mut lines: Vec<&str> = text.lines().collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let tame =
        |line: &&str| line.len() <= LONGEST_LINE && line.bytes().all(|octet| matches!(octet, b'\t' | b' '..=b'~'));
    // A line that begins with "From " is changed by some, and a blank at the end of one is lost by others.
    let plain = lines.iter().all(|line| tame(line) && !line.starts_with("From ") && !line.ends_with([' ', '\t']));
    if plain {
        return (lines.iter().map(|line| format!("{line}\r\n")).collect(), "7bit");
    }
    (lines.iter().map(|line| quoted_printable(line)).collect(), "quoted-printable")
}

/// One line in quoted-printable (RFC 2045 §6.7), with its CRLF.
fn quoted_printable(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    let mut length = 0;
    let octets = line.as_bytes();
    for (at, octet) in octets.iter().enumerate() {
        let ends = at + 1 == octets.len();
        let literal = match octet {
            b' ' | b'\t' => !ends,
            b'=' => false,
            b'F' if at == 0 && line.starts_with("From ") => false,
            octet => octet.is_ascii_graphic(),
        };
        let width = if literal { 1 } else { 3 };
        // A soft line break needs one octet of the 76.
        if length + width > 75 {
            out.push_str("=\r\n");
            length = 0;
        }
        if literal {
            out.push(char::from(*octet))
        } else {
            out.push_str(&format!("={octet:02X}"))
        }
        length += width;
    }
    out.push_str("\r\n");
    out
}
