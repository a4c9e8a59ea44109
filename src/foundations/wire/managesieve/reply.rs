//! The server's response at the end of a command.

use std::borrow::Cow;

/// How a command ended (RFC 5804 §1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// The connection is being closed.
    Bye,
}

/// A response code for programs (RFC 5804 §1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The active script cannot be deleted.
    Active,
    /// A script of that name exists.
    AlreadyExists,
    /// TLS is required first.
    EncryptNeeded,
    /// There is no such script.
    NonExistent,
    /// All scripts together would be too large.
    Quota,
    /// The number of scripts has reached its limit.
    QuotaMaxScripts,
    /// The script is too large.
    QuotaMaxSize,
    /// The text that NOOP echoes.
    Tag(String),
    /// It may work later.
    TryLater,
    /// Done, with a warning.
    Warnings,
}

/// A response that ends a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    condition: Condition,
    code: Option<Code>,
    text: Cow<'static, str>,
}

impl Reply {
    /// `OK`.
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::Ok, code: None, text: text.into() }
    }

    /// `NO`.
    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::No, code: None, text: text.into() }
    }

    /// `BYE`.
    pub fn bye(text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::Bye, code: None, text: text.into() }
    }

    /// With a response code.
    #[must_use]
    pub fn coded(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// How the command ended.
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// Appends the response with its CRLF.
    pub fn encode(&self, out: &mut impl Extend<u8>) {
        let condition: &[u8] = match self.condition {
            Condition::Ok => b"OK",
            Condition::No => b"NO",
            Condition::Bye => b"BYE",
        };
        out.extend(condition.iter().copied());
        if let Some(code) = &self.code {
            let word: &[u8] = match code {
                Code::Active => b"ACTIVE",
                Code::AlreadyExists => b"ALREADYEXISTS",
                Code::EncryptNeeded => b"ENCRYPT-NEEDED",
                Code::NonExistent => b"NONEXISTENT",
                Code::Quota => b"QUOTA",
                Code::QuotaMaxScripts => b"QUOTA/MAXSCRIPTS",
                Code::QuotaMaxSize => b"QUOTA/MAXSIZE",
                Code::Tag(_) => b"TAG ",
                Code::TryLater => b"TRYLATER",
                Code::Warnings => b"WARNINGS",
            };
            out.extend(b" (".iter().chain(word).copied());
            if let Code::Tag(tag) = code {
                string(tag.as_bytes(), out);
            }
            out.extend(*b")");
        }
        if !self.text.is_empty() {
            out.extend(*b" ");
            string(self.text.as_bytes(), out);
        }
        out.extend(*b"\r\n");
    }
}

/// Longest quoted string (RFC 5804 §4).
const LONGEST_QUOTED: usize = 1024;

/// Appends a string: quoted where that can hold it, else as a literal.
///
/// ```text
/// literal-s2c = "{" number "}" CRLF *OCTET      ; RFC 5804 §4
/// ```
pub fn string(octets: &[u8], out: &mut impl Extend<u8>) {
    let is_text = octets.len() <= LONGEST_QUOTED && str::from_utf8(octets).is_ok();
    if is_text && !octets.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        out.extend(*b"\"");
        for octet in octets {
            if matches!(octet, b'"' | b'\\') {
                out.extend(*b"\\");
            }
            out.extend([*octet]);
        }
        out.extend(*b"\"");
    } else {
        out.extend(format!("{{{}}}\r\n", octets.len()).into_bytes());
        out.extend(octets.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let line = |reply: Reply| {
            let mut out = Vec::new();
            reply.encode(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line(Reply::ok("")), "OK\r\n");
        assert_eq!(line(Reply::no("the \"name\"")), "NO \"the \\\"name\\\"\"\r\n");
        assert_eq!(line(Reply::ok("a\r\nb").coded(Code::Warnings)), "OK (WARNINGS) {4}\r\na\r\nb\r\n");
        assert_eq!(line(Reply::ok("Done").coded(Code::Tag("x\"".into()))), "OK (TAG \"x\\\"\") \"Done\"\r\n");
        assert_eq!(line(Reply::bye("x".repeat(1025)).coded(Code::TryLater)).len(), 3 + 11 + 1 + 8 + 1025 + 2);
    }
}
