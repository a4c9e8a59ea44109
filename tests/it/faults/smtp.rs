//! A blocking client for SMTP and LMTP.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pipe::Pipe;

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<String>,
}

impl Reply {
    /// The enhanced status (RFC 2034): the first word of the text.
    pub(crate) fn status(&self) -> &str {
        self.lines[0].split(' ').next().unwrap()
    }

    pub(crate) const fn is_success(&self) -> bool {
        self.code / 100 == 2
    }
}

/// A client's session.
pub(crate) struct Smtp {
    pub(crate) pipe: Pipe,
    is_lmtp: bool,
}

impl Smtp {
    /// Greets as a mail server or user.
    pub(crate) fn over_smtp(pipe: Pipe) -> io::Result<Self> {
        let mut client = Self { pipe, is_lmtp: false };
        client.greeted("EHLO client.test")?;
        Ok(client)
    }

    /// Greets as a front end.
    pub(crate) fn lmtp(pipe: Pipe) -> io::Result<Self> {
        let mut client = Self { pipe, is_lmtp: true };
        client.greeted("LHLO client.test")?;
        Ok(client)
    }

    fn greeted(&mut self, hello: &str) -> io::Result<()> {
        let greeting = self.reply()?;
        if greeting.code == 220 && self.command(hello)?.code == 250 {
            return Ok(());
        }
        Err(io::Error::other(format!("no welcome: {greeting:?}")))
    }

    /// Reads a reply of one or more lines (RFC 5321 §4.2.1).
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = Reply { code: 0, lines: Vec::new() };
        loop {
            let line = String::from_utf8(self.pipe.line()?).map_err(io::Error::other)?;
            reply.code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
            reply.lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(reply);
            }
        }
    }

    /// Sends a command and reads its reply.
    pub(crate) fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.pipe.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Logs in (RFC 4616).
    pub(crate) fn login(&mut self, user: &str, password: &str) -> io::Result<Reply> {
        let secret = STANDARD.encode(format!("\0{user}\0{password}"));
        self.command(&format!("AUTH PLAIN {secret}"))
    }

    /// Sends a message. Returns the refusals before its content, then the final reply or, with LMTP, that for each
    /// recipient.
    pub(crate) fn send(&mut self, from: &str, to: &[&str], content: &[u8]) -> io::Result<Vec<Reply>> {
        let mut commands = format!("MAIL FROM:<{from}>\r\n");
        to.iter().for_each(|recipient| commands += &format!("RCPT TO:<{recipient}>\r\n"));
        commands += "DATA\r\n";
        self.pipe.send(commands.as_bytes())?;
        let mut refusals = vec![self.reply()?];
        refusals.retain(|reply| !reply.is_success());
        let mut accepted = 0;
        for _ in to {
            let reply = self.reply()?;
            if reply.is_success() { accepted += 1 } else { refusals.push(reply) }
        }
        if self.reply()?.code != 354 {
            self.command("RSET")?;
            return Ok(refusals);
        }
        self.content(content)?;
        for _ in 0..if self.is_lmtp { accepted } else { 1 } {
            refusals.push(self.reply()?);
        }
        Ok(refusals)
    }

    fn content(&mut self, content: &[u8]) -> io::Result<()> {
        let mut stuffed = Vec::with_capacity(content.len() + 5);
        for line in content.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                stuffed.push(b'.');
            }
            stuffed.extend_from_slice(line);
        }
        stuffed.extend_from_slice(b".\r\n");
        self.pipe.send(&stuffed)
    }

    /// Begins TLS.
    pub(crate) fn start_tls(mut self, authority: &Path) -> io::Result<Self> {
        let reply = self.command("STARTTLS")?;
        assert_eq!(reply.code, 220, "{reply:?}");
        Ok(Self { pipe: self.pipe.start_tls(authority)?, is_lmtp: self.is_lmtp })
    }
}
