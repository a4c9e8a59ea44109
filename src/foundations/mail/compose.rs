//! Writing header fields and small messages: folding, encoded words, dates, message ids, multipart/report.
//!
//! No text given here can forge another field or end the header: line ends and control characters become blanks.

use std::fmt::Write as _;

use super::header::HeaderSection;
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::Timestamp;

/// Whether a text may go into a header field as raw UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// ASCII only: other characters become encoded words (RFC 2047).
    Ascii,
    /// UTF-8 as it is (RFC 6532); only for messages that travel with SMTPUTF8.
    Utf8,
}

/// Length that lines should not exceed, without CRLF (RFC 5322 §2.1.1).
const LINE: usize = 78;

/// Most octets of UTF-8 in one encoded word: their base64, with `=?utf-8?b?` and `?=`, stays within the 75 octets of
/// RFC 2047 §2.
const WORD: usize = 45;

/// Longest word that fits a line behind the name of a field: 998 octets are the most (RFC 5322 §2.1.1).
const LONGEST_WORD: usize = 900;

/// One complete field with an unstructured value, folded at blanks to lines of at most 78 octets where it can be,
/// ending in CRLF.
pub fn field(name: &str, text: &str, charset: Charset) -> String {
    let mut line = Folded::begin(name);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    // A word that looks like an encoded word must be encoded, or it would be decoded; encoding also allows overlong
    // words to be folded.
    let is_plain = |word: &str| {
        !word.contains("=?") && word.len() <= LONGEST_WORD && (word.is_ascii() || charset == Charset::Utf8)
    };
    let mut rest = &words[..];
    while let [first, others @ ..] = rest {
        if is_plain(first) {
            line.word(first);
            rest = others;
        } else {
            // RFC 2047 §6.2: blanks between encoded words are not shown, so a run of such words is encoded as one text.
            let run = rest.iter().take_while(|word| !is_plain(word)).count();
            line.encoded(&rest[..run].join(" "));
            rest = &rest[run..];
        }
    }
    line.end()
}

/// One complete field with an address list, folded between addresses, ending in CRLF. A display name may be empty.
pub fn addresses<'a>(name: &str, list: impl IntoIterator<Item = (&'a str, &'a Address)>, charset: Charset) -> String {
    let mut line = Folded::begin(name);
    let mut list = list.into_iter().peekable();
    while let Some((display, address)) = list.next() {
        let comma = if list.peek().is_some() { "," } else { "" };
        let display: String = display.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match display.trim() {
            "" => line.word(&format!("{address}{comma}")),
            display => {
                let written = quoted(display);
                let is_plain = display.is_ascii() && !display.contains("=?") || charset == Charset::Utf8;
                if is_plain && written.len() <= LONGEST_WORD {
                    line.word(&written);
                } else {
                    line.encoded(display);
                }
                line.word(&format!("<{address}>{comma}"));
            }
        }
    }
    line.end()
}

/// RFC 5322 §3.2.4 `quoted-string`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// A field being written, with the length of its last line.
struct Folded {
    text: String,
    line: usize,
}

impl Folded {
    fn begin(name: &str) -> Self {
        Self { text: format!("{name}:"), line: name.len() + 1 }
    }

    /// Adds a word after a blank, on the next line if this one would become too long.
    fn word(&mut self, word: &str) {
        if self.line + 1 + word.len() > LINE && self.has_words() {
            self.text.push_str("\r\n");
            self.line = 0;
        }
        self.text.push(' ');
        self.text.push_str(word);
        self.line += 1 + word.len();
    }

    /// Whether anything follows the field's name; some readers take a line with the name alone for an empty field.
    fn has_words(&self) -> bool {
        self.text.contains(' ')
    }

    /// Adds a text as encoded words, each whole characters (RFC 2047 §5).
    fn encoded(&mut self, mut text: &str) {
        use base64::Engine as _;
        while !text.is_empty() {
            // Fills the rest of this line, unless so little is left that the next line is better.
            let left = LINE.saturating_sub(self.line + 1 + "=?utf-8?b??=".len()) / 4 * 3;
            let room = if left < WORD / 3 { WORD } else { left.min(WORD) };
            let (now, later) = text.split_at(text.floor_char_boundary(room));
            let word = base64::engine::general_purpose::STANDARD.encode(now);
            self.word(&format!("=?utf-8?b?{word}?="));
            text = later;
        }
    }

    fn end(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }
}

/// A new message id with its angle brackets (RFC 5322 §3.6.4): unique by time and 64 random bits.
pub fn message_id(at: Timestamp, random: u64, host: &Domain) -> String {
    format!("<{:x}.{random:016x}@{host}>", at.unix_micros())
}

/// The value of a Date field for this moment, with the machine's offset from UTC.
pub fn date(at: Timestamp) -> String {
    super::date::write(at.local())
}

/// A notification about a message (RFC 6522 multipart/report), built piece by piece.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// The report type: `delivery-status`, `disposition-notification`, `feedback-report`.
    pub report_type: &'a str,
    /// Complete header lines (From, To, Subject, Date, Message-ID…), each ending in CRLF, without MIME fields.
    pub header: &'a str,
    /// The explanation for people.
    pub explanation: &'a str,
    /// The machine-readable part: complete lines ending in CRLF, groups parted by an empty line.
    pub status: &'a str,
    /// The message reported on.
    pub returned: Returned<'a>,
}

/// How much of the message a report gives back (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy)]
pub enum Returned<'a> {
    /// Nothing.
    Nothing,
    /// The header section of this message: text/rfc822-headers, or message/global-headers when it is not ASCII.
    Header(&'a [u8]),
    /// All of it: message/rfc822, or message/global when its header is not ASCII.
    Message(&'a [u8]),
}

impl Report<'_> {
    /// The whole message with CRLF line ends.
    ///
    /// `boundary` must be 1 to 70 of RFC 2046's boundary characters without blanks and must not occur in the texts,
    /// such as a fresh random number in hexadecimal digits.
    pub fn build(&self, boundary: &str) -> Vec<u8> {
        let mut report = String::with_capacity(2048);
        report.push_str(self.header);
        report.push_str("MIME-Version: 1.0\r\n");
        // RFC 6522 §3.
        put(&mut report, format_args!("Content-Type: multipart/report; report-type={};\r\n", self.report_type));
        put(&mut report, format_args!("\tboundary=\"{boundary}\"\r\n\r\n"));
        part(&mut report, boundary, "text/plain; charset=utf-8", transfer(self.explanation.as_bytes()));
        push_lines(&mut report, self.explanation);
        let status_type = match (self.report_type, self.status.is_ascii()) {
            // RFC 6533 §3: a delivery status that holds UTF-8 has its own type.
            ("delivery-status", false) => "message/global-delivery-status".to_owned(),
            ("disposition-notification", false) => "message/global-disposition-notification".to_owned(),
            (report_type, _) => format!("message/{report_type}"),
        };
        part(&mut report, boundary, &status_type, transfer(self.status.as_bytes()));
        push_lines(&mut report, self.status);
        let mut report = report.into_bytes();
        self.push_returned(boundary, &mut report);
        report.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        report
    }

    fn push_returned(&self, boundary: &str, report: &mut Vec<u8>) {
        let (octets, plain, global) = match self.returned {
            Returned::Nothing => return,
            Returned::Header(message) => {
                (HeaderSection::of(message).lines(), "text/rfc822-headers", "message/global-headers")
            }
            Returned::Message(message) => (message, "message/rfc822", "message/global"),
        };
        let header_is_ascii = HeaderSection::of(octets).lines().is_ascii();
        let mut head = String::from("\r\n");
        part(&mut head, boundary, if header_is_ascii { plain } else { global }, transfer(octets));
        report.extend_from_slice(head.as_bytes());
        report.extend_from_slice(octets);
    }
}

/// RFC 2045 §6.2: `8bit` when there are such octets, so that a relay knows.
fn transfer(octets: &[u8]) -> &'static str {
    if octets.is_ascii() { "7bit" } else { "8bit" }
}

fn part(report: &mut String, boundary: &str, content_type: &str, transfer: &str) {
    let line_end = if report.ends_with("\r\n") { "" } else { "\r\n" };
    put(report, format_args!("{line_end}--{boundary}\r\nContent-Type: {content_type}\r\n"));
    put(report, format_args!("Content-Transfer-Encoding: {transfer}\r\n\r\n"));
}

/// Appends lines with CRLF, whatever ends they have.
fn push_lines(report: &mut String, text: &str) {
    for line in text.lines() {
        report.push_str(line);
        report.push_str("\r\n");
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::mail::{Structure, encoded_words, header::Fields};

    #[test]
    fn fields_fold_and_read_back() {
        for text in [
            "short",
            "",
            "a long subject that has many words and therefore must be folded on to a second and maybe even a third line of text",
            "grün und blau",
            "ärger über öde überlange wörter ärger über öde überlange wörter ärger über öde überlange wörter",
            "looks =?utf-8?q?encoded?=",
            "日本語のとても長い件名日本語のとても長い件名日本語のとても長い件名日本語のとても長い件名",
        ] {
            let written = field("Subject", text, Charset::Ascii);
            assert!(written.is_ascii(), "{written}");
            assert!(written.lines().all(|line| line.len() <= LINE && !line.trim().is_empty()), "{written}");
            assert_eq!(Fields::new(written.as_bytes()).count(), 1);
            let read = Fields::new(written.as_bytes()).next().unwrap().text();
            assert_eq!(read, text, "{written}");
        }
        assert_eq!(field("Subject", "grün", Charset::Utf8), "Subject: grün\r\n");
        let long = format!("see https://x.test/{}", "y".repeat(2_000));
        let written = field("Subject", &long, Charset::Ascii);
        assert!(written.lines().all(|line| line.len() <= LINE), "{written}");
        assert_eq!(Fields::new(written.as_bytes()).next().unwrap().text(), long);
    }

    #[test]
    fn nothing_can_be_forged() {
        let written = field("Subject", "a\r\nBcc: x\r\n\r\nbody\0", Charset::Ascii);
        assert_eq!(written, "Subject: a Bcc: x body\r\n");
        let ann: Address = "ann@example.test".parse().unwrap();
        let written = addresses("To", [("a\"\r\nBcc: x", &ann)], Charset::Ascii);
        assert_eq!(Fields::new(written.as_bytes()).count(), 1);
    }

    #[test]
    fn address_lists() {
        let ann: Address = "ann@example.test".parse().unwrap();
        let bob: Address = "\"b c\"@example.test".parse().unwrap();
        let written = addresses("To", [("Ann \"A\" Lee", &ann), ("", &bob), ("Jörg", &ann)], Charset::Ascii);
        assert_eq!(
            written,
            "To: \"Ann \\\"A\\\" Lee\" <ann@example.test>, \"b c\"@example.test,\r\n =?utf-8?b?SsO2cmc=?= <ann@example.test>\r\n"
        );
        assert_eq!(encoded_words::decode(b"=?utf-8?b?SsO2cmc=?="), "Jörg");
        for (long, charset) in [("y".repeat(3_000), Charset::Ascii), ("\"ü".repeat(800), Charset::Utf8)] {
            let written = addresses("To", [(long.as_str(), &ann)], charset);
            assert!(written.split("\r\n").all(|line| line.len() <= 998), "{written}");
        }
    }

    #[test]
    fn reports_have_their_parts() {
        for (returned, types) in [
            (Returned::Nothing, vec!["text/plain", "message/delivery-status"]),
            (
                Returned::Header(b"Subject: x\r\n\r\nbody"),
                vec!["text/plain", "message/delivery-status", "text/rfc822-headers"],
            ),
            (
                Returned::Message(b"Subject: x\r\n\r\nbody"),
                vec!["text/plain", "message/delivery-status", "message/rfc822"],
            ),
            (
                Returned::Message("Subject: ü\r\n\r\nbody\r\n".as_bytes()),
                vec!["text/plain", "message/delivery-status", "message/global"],
            ),
        ] {
            let report = Report {
                report_type: "delivery-status",
                header: "Subject: failed\r\n",
                explanation: "It failed.\nSorry.",
                status: "Reporting-MTA: dns; a.test\r\n\r\nFinal-Recipient: rfc822; x@y.test\r\n",
                returned,
            }
            .build("b0");
            let structure = Structure::of(&report);
            let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
            let found: Vec<String> = structure
                .children(0)
                .map(|child| &structure.parts()[child])
                .map(|part| format!("{}/{}", text(part.content.media), text(part.content.subtype)))
                .collect();
            assert_eq!(found, types, "{}", text(&report));
            if let Returned::Message(message) = returned {
                let last = structure.children(0).last().unwrap();
                assert_eq!(structure.body(&structure.parts()[last]), message);
            }
        }
    }

    #[test]
    fn message_ids_are_ids() {
        let id = message_id(Timestamp::from_unix_seconds(1), 7, &"mail.example.test".parse().unwrap());
        assert_eq!(id, "<f4240.0000000000000007@mail.example.test>");
    }
}
