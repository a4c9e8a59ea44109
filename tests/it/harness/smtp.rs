use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Talk;

/// An SMTP or LMTP client.
pub struct Smtp {
    pub talk: Talk,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// Its lines without codes.
    pub lines: Vec<String>,
}

impl Reply {
    /// The code and the last line, as in `250 2.0.0 ok`.
    pub fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.last().map(String::as_str).unwrap_or_default())
    }
}

impl Smtp {
    /// Waits for the greeting and sends EHLO or LHLO.
    pub async fn hello(talk: Talk, hello: &str) -> Self {
        let mut smtp = Self { talk };
        assert_eq!(smtp.reply().await.code, 220);
        smtp.ok(hello).await;
        smtp
    }

    pub async fn reply(&mut self) -> Reply {
        let mut lines = Vec::new();
        loop {
            let line = self.talk.line().await;
            let code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no reply: {line}"));
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Reply { code, lines };
            }
        }
    }

    pub async fn command(&mut self, command: &str) -> Reply {
        self.talk.send(format!("{command}\r\n")).await;
        self.reply().await
    }

    /// A command that must succeed.
    pub async fn ok(&mut self, command: &str) -> Reply {
        let reply = self.command(command).await;
        assert!(reply.code < 400, "{command}: {}", reply.text());
        reply
    }

    pub async fn log_in(&mut self, user: &str, password: &str) {
        let plain = STANDARD.encode(format!("\0{user}\0{password}"));
        self.ok(&format!("AUTH PLAIN {plain}")).await;
    }

    /// Sends a message (lines with CRLF, dots not yet stuffed) and returns the last reply; a refusal ends it early.
    pub async fn deliver(&mut self, from: &str, to: &[&str], message: &str) -> Reply {
        let mut commands = vec![format!("MAIL FROM:<{from}>")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        commands.push("DATA".to_owned());
        for command in &commands {
            let reply = self.command(command).await;
            if reply.code >= 400 {
                self.ok("RSET").await;
                return reply;
            }
        }
        self.content(message).await;
        self.reply().await
    }

    /// The part after the 354 to DATA.
    pub async fn content(&mut self, message: &str) {
        let mut stuffed = message.replace("\r\n.", "\r\n..");
        if stuffed.starts_with('.') {
            stuffed.insert(0, '.');
        }
        if !stuffed.ends_with("\r\n") {
            stuffed.push_str("\r\n");
        }
        self.talk.send(stuffed + ".\r\n").await;
    }
}
