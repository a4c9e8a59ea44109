//! Reads a server's replies, line by line.

use super::{EnhancedStatus, Reply};

/// Most lines of one reply that are kept; EHLO replies of known servers have about thirty.
const MOST_LINES: usize = 128;
/// Most octets of one reply that are read.
const MOST_OCTETS: usize = 1 << 20;

/// The server's response is not a valid reply. The connection can no longer be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// No three digits from 200 to 599, or no space or hyphen behind them.
    #[error("not a reply: `{0}`")]
    Syntax(String),
    /// Two lines of one reply with different codes (RFC 5321 §4.2.1).
    #[error("the reply changes its code from {0} to {1}")]
    Mixed(u16, u16),
    /// Too many octets without an end.
    #[error("the reply does not end")]
    Endless,
}

/// Assembles the lines of a reply. The caller splits the lines (see [`crate::foundations::wire::line::Lines`]) and
/// bounds their length and the time it waits.
#[derive(Debug, Default)]
pub struct ReplyReader {
    code: Option<u16>,
    status: Option<EnhancedStatus>,
    lines: Vec<String>,
    octets: usize,
}

impl ReplyReader {
    /// A reader between two replies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no reply is incomplete.
    pub const fn is_between(&self) -> bool {
        self.code.is_none()
    }

    /// Takes one line without its CRLF. `Some` when it completes the reply.
    ///
    /// Octets that are not UTF-8 are replaced, so that the text can go into logs and notifications. Of a reply with
    /// very many lines only the first are kept.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, BadReply> {
        // RFC 5321 §4.2.1
        // Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
        let code = parse_code(line).ok_or_else(|| syntax(line))?;
        let last = match line.get(3) {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return Err(syntax(line)),
        };
        match self.code {
            Some(first) if first != code => return Err(BadReply::Mixed(first, code)),
            _ => self.code = Some(code),
        }
        self.octets += line.len() + 2;
        if self.octets > MOST_OCTETS {
            return Err(BadReply::Endless);
        }
        if self.lines.len() < MOST_LINES {
            let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
            let text = self.take_status(code, &text);
            self.lines.push(text);
        }
        if !last {
            return Ok(None);
        }
        self.octets = 0;
        self.code = None;
        Ok(Some(Reply::from_parts(code, self.status.take(), std::mem::take(&mut self.lines))))
    }

    /// RFC 2034 §4: the enhanced status stands before the text of every line and has the class of the code.
    fn take_status(&mut self, code: u16, text: &str) -> String {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word.parse::<EnhancedStatus>() {
            Ok(status) if status.class().digit() == code / 100 => {
                self.status.get_or_insert(status);
                rest.to_owned()
            }
            _ => text.to_owned(),
        }
    }
}

fn parse_code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    (200..600).contains(&code).then_some(code)
}

fn syntax(line: &[u8]) -> BadReply {
    let shown = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).take(80).collect();
    BadReply::Syntax(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<Reply>, BadReply> {
        let mut reader = ReplyReader::new();
        let mut reply = None;
        for line in lines {
            assert!(reply.is_none(), "the reply ended before {line}");
            reply = reader.line(line.as_bytes())?;
        }
        Ok(reply)
    }

    #[test]
    fn puts_lines_together() {
        let reply = read(&["250-mail.example.test greets you", "250-SIZE 1000", "250 STARTTLS"]).unwrap().unwrap();
        assert_eq!(reply.code(), 250);
        assert_eq!(reply.lines().collect::<Vec<_>>(), ["mail.example.test greets you", "SIZE 1000", "STARTTLS"]);
        assert_eq!(read(&["250"]).unwrap().unwrap().lines().collect::<Vec<_>>(), [""]);
        assert_eq!(read(&["250-a"]), Ok(None));
    }

    #[test]
    fn finds_the_enhanced_status() {
        let reply = read(&["550-5.1.1 Nobody", "550 5.1.1 here"]).unwrap().unwrap();
        assert_eq!(reply.status(), Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!(reply.to_string(), "550 5.1.1 Nobody here");
        let reply = read(&["250 5.1.1 is a number"]).unwrap().unwrap();
        assert_eq!((reply.status(), reply.to_string().as_str()), (None, "250 5.1.1 is a number"));
    }

    #[test]
    fn refuses_what_is_no_reply() {
        for line in ["", "25", "2x0 a", "250_a", "150 a", "600 a", "HTTP/1.1 200 OK", "999"] {
            assert!(matches!(read(&[line]), Err(BadReply::Syntax(_))), "{line}");
        }
        assert_eq!(read(&["250-a", "251 b"]), Err(BadReply::Mixed(250, 251)));
    }

    #[test]
    fn of_many_lines_the_first_are_kept() {
        let lines: Vec<String> = (0..1000).map(|n| format!("550-5.7.1 {n}")).chain(["550 end".to_owned()]).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let reply = read(&lines).unwrap().unwrap();
        assert_eq!((reply.code(), reply.status()), (550, Some(EnhancedStatus::new(5, 7, 1))));
        assert_eq!((reply.lines().count(), reply.lines().last()), (128, Some("127")));
        assert_eq!(read(&[&lines[..1000], &["250 end"]].concat()), Err(BadReply::Mixed(550, 250)));
        let mut reader = ReplyReader::new();
        let endless = (0..).find_map(|_| reader.line(b"250-and so on").err());
        assert_eq!(endless, Some(BadReply::Endless));
    }
}
