//! Replies.

use std::borrow::Cow;
use std::fmt;

use bytes::BytesMut;

use super::{Class, EnhancedStatus};
use crate::foundations::failure::{Kind, Refusal};

/// Longest line of a reply written by this server, without CRLF (RFC 5321 §4.5.3.1.5 allows 512 with it).
const LONGEST_LINE: usize = 510;

/// A reply of either end: a code, an enhanced status where there is one, and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<EnhancedStatus>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply with an enhanced status and one line of text. A code outside 200 to 599 becomes 554.
    pub fn new(code: u16, status: EnhancedStatus, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: sound(code), status: Some(status), lines: vec![text.into()] }
    }

    /// A reply without an enhanced status, as the greeting, EHLO and 3xx replies are (RFC 2034 §4).
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: sound(code), status: None, lines: vec![text.into()] }
    }

    /// A reply as parts read from the wire; at least one line is kept.
    pub(super) fn from_parts(code: u16, status: Option<EnhancedStatus>, lines: Vec<String>) -> Self {
        Self { code: sound(code), status, lines: lines.into_iter().map(Cow::Owned).collect() }
    }

    /// The same reply with one more line.
    #[must_use]
    pub fn line(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.lines.push(text.into());
        self
    }

    /// The three digits.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The first digit.
    pub const fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Success,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// Whether it reports success.
    pub const fn is_success(&self) -> bool {
        matches!(self.class(), Class::Success)
    }

    /// The enhanced status, if the reply carries one.
    pub const fn status(&self) -> Option<EnhancedStatus> {
        self.status
    }

    /// The lines of text, without codes.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(AsRef::as_ref)
    }

    /// Writes the reply in its wire form. Anything but printable ASCII becomes `?`, long lines are cut.
    pub fn encode(&self, out: &mut BytesMut) {
        let last = self.lines.len().saturating_sub(1);
        for (n, text) in self.lines.iter().enumerate() {
            let start = out.len();
            let mark = if n == last { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{mark}", self.code).as_bytes());
            if let Some(status) = self.status {
                out.extend_from_slice(format!("{status} ").as_bytes());
            }
            let room = LONGEST_LINE.saturating_sub(out.len() - start);
            // RFC 6531 §3.7.4.2: not every client may be sent UTF-8.
            let plain = |c: char| u8::try_from(c).ok().filter(|b| matches!(b, b' '..=b'~')).unwrap_or(b'?');
            out.extend(text.chars().map(plain).take(room));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// On one line, for logs and notifications.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        self.lines.iter().try_for_each(|line| write!(f, " {line}"))
    }
}

impl From<&Refusal> for Reply {
    /// The reply for a refusal: its own code where it names one, else by its kind.
    fn from(refusal: &Refusal) -> Self {
        if let Some((code, status)) = &refusal.smtp
            && let Ok(status) = status.parse()
        {
            return Self::new(*code, status, refusal.public.clone());
        }
        let (code, subject, detail) = match refusal.kind {
            Kind::NotFound => (550, 1, 1),
            Kind::Exists | Kind::Invalid => (554, 5, 0),
            Kind::OverQuota => (452, 2, 2),
            Kind::NoSpace => (452, 3, 1),
            Kind::NoPermission => (550, 7, 1),
            Kind::AuthenticationFailed => (535, 7, 8),
            Kind::TooMany => (450, 7, 0),
            Kind::TooLarge => (552, 3, 4),
            Kind::Temporary | Kind::Corrupt => (451, 3, 0),
        };
        Self::new(code, EnhancedStatus::new(code / 100, subject, detail), refusal.public.clone())
    }
}

const fn sound(code: u16) -> u16 {
    if code >= 200 && code < 600 { code } else { 554 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = BytesMut::new();
        reply.encode(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn encodes_lines_with_their_marks() {
        let reply = Reply::plain(250, "mail.example.test").line("PIPELINING").line("SIZE 10");
        assert_eq!(wire(&reply), "250-mail.example.test\r\n250-PIPELINING\r\n250 SIZE 10\r\n");
        let reply = Reply::new(550, EnhancedStatus::new(5, 1, 1), "No such mailbox");
        assert_eq!(wire(&reply), "550 5.1.1 No such mailbox\r\n");
    }

    #[test]
    fn nothing_in_the_text_can_start_another_line() {
        let reply = Reply::new(250, EnhancedStatus::new(2, 0, 0), "a\r\n250 b");
        assert_eq!(wire(&reply), "250 2.0.0 a??250 b\r\n");
        let reply = Reply::plain(250, "\u{e9}".repeat(600));
        assert!(wire(&reply).len() <= 512);
    }

    #[test]
    fn refusals_have_replies() {
        let refusal = Refusal::new(Kind::OverQuota, "The mailbox is full");
        assert_eq!(Reply::from(&refusal).to_string(), "452 4.2.2 The mailbox is full");
        let refusal = Refusal::new(Kind::NoPermission, "No").smtp(554, "5.7.0");
        assert_eq!(Reply::from(&refusal).to_string(), "554 5.7.0 No");
    }
}
