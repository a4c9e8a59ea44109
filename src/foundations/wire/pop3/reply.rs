//! Single-line responses of the server.

use std::borrow::Cow;

/// A response code for programs (RFC 2449 §8, RFC 3206 §4, RFC 6856 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The credentials are wrong.
    Auth,
    /// Another session has the maildrop.
    InUse,
    /// A permanent problem that needs an administrator.
    SysPerm,
    /// A temporary problem.
    SysTemp,
}

impl Code {
    const fn text(self) -> &'static str {
        match self {
            Self::Auth => "[AUTH] ",
            Self::InUse => "[IN-USE] ",
            Self::SysPerm => "[SYS/PERM] ",
            Self::SysTemp => "[SYS/TEMP] ",
        }
    }
}

/// A single-line response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    start: Start,
    text: Cow<'static, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Ok,
    Err(Option<Code>),
    Challenge,
}

impl Reply {
    /// `+OK`.
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { start: Start::Ok, text: text.into() }
    }

    /// `-ERR` without a response code.
    pub fn err(text: impl Into<Cow<'static, str>>) -> Self {
        Self { start: Start::Err(None), text: text.into() }
    }

    /// `-ERR` with a response code.
    pub fn coded(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { start: Start::Err(Some(code)), text: text.into() }
    }

    /// `+ ` and a challenge in base64 (RFC 5034 §4).
    pub const fn challenge(base64: &'static str) -> Self {
        Self { start: Start::Challenge, text: Cow::Borrowed(base64) }
    }

    /// Whether it begins with `-ERR`.
    pub const fn is_error(&self) -> bool {
        matches!(self.start, Start::Err(_))
    }

    /// Appends the line with its CRLF. Control characters in the text become blanks, and a line longer than the 512
    /// octets of RFC 2449 §4 is cut.
    pub fn encode(&self, out: &mut impl Extend<u8>) {
        let (start, code) = match self.start {
            Start::Ok => ("+OK ", ""),
            Start::Err(code) => ("-ERR ", code.map_or("", Code::text)),
            Start::Challenge => ("+ ", ""),
        };
        let text = &self.text[..self.text.floor_char_boundary(MAX_TEXT)];
        // `+OK` alone needs no blank after it; an empty challenge does.
        let start = if text.is_empty() && self.start == Start::Ok { "+OK" } else { start };
        out.extend(start.bytes().chain(code.bytes()));
        out.extend(text.bytes().map(|b| if b.is_ascii_control() { b' ' } else { b }));
        out.extend(*b"\r\n");
    }
}

/// 512 octets less CRLF, `-ERR ` and the longest response code.
const MAX_TEXT: usize = 490;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = |reply: Reply| {
            let mut out = Vec::new();
            reply.encode(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line(Reply::ok("")), "+OK\r\n");
        assert_eq!(line(Reply::ok("2 320")), "+OK 2 320\r\n");
        assert_eq!(line(Reply::err("No\r\nway")), "-ERR No  way\r\n");
        assert_eq!(line(Reply::coded(Code::InUse, "Locked")), "-ERR [IN-USE] Locked\r\n");
        assert_eq!(line(Reply::challenge("")), "+ \r\n");
        assert_eq!(line(Reply::coded(Code::SysPerm, "ü".repeat(900))).len(), 5 + 11 + MAX_TEXT + 2);
    }
}
