//! What is said to a listener before and after TLS.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::Speech;

/// What carries the bytes.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A conversation, in lines.
pub(super) struct Conversation(BufReader<Box<dyn Io>>);

/// Longest line that is read; nobody's greeting is longer.
const LONGEST_LINE: u64 = 8 << 10;
/// Most lines of one reply.
const MOST_LINES: usize = 100;

impl Conversation {
    pub(super) fn new(stream: Box<dyn Io>) -> Self {
        Self(BufReader::new(stream))
    }

    /// The bytes beneath. What was read ahead is dropped, as it must be before TLS (RFC 3207 §4.2).
    pub(super) fn into_inner(self) -> Box<dyn Io> {
        self.0.into_inner()
    }

    /// Waits for the greeting.
    pub(super) async fn greeted(&mut self, speech: Speech) -> Result<(), String> {
        match speech {
            Speech::Smtp | Speech::Lmtp => self.reply("220").await,
            Speech::Imap => self.line_that("* OK").await,
            Speech::Pop3 => self.line_that("+OK").await,
            Speech::ManageSieve => self.capabilities().await,
            Speech::Http => Ok(()),
        }
    }

    /// Asks for TLS in the protocol's way; whether the server agrees.
    pub(super) async fn ask_for_tls(&mut self, speech: Speech, own_name: &str) -> Result<bool, String> {
        let (command, agreed) = match speech {
            Speech::Smtp | Speech::Lmtp => {
                self.hello(speech, own_name).await?;
                ("STARTTLS", "220")
            }
            Speech::Imap => ("p1 STARTTLS", "p1 OK"),
            Speech::Pop3 => ("STLS", "+OK"),
            Speech::ManageSieve => ("STARTTLS", "OK"),
            Speech::Http => return Ok(false),
        };
        self.say(command).await?;
        Ok(self.line().await?.starts_with(agreed))
    }

    /// Does something that changes nothing, and says goodbye.
    pub(super) async fn finish(&mut self, speech: Speech, own_name: &str) -> Result<(), String> {
        match speech {
            Speech::Smtp | Speech::Lmtp => {
                self.hello(speech, own_name).await?;
                self.say("QUIT").await?;
                self.reply("221").await
            }
            Speech::Imap => {
                self.say("p2 CAPABILITY").await?;
                self.line_that("* CAPABILITY").await?;
                self.line_that("p2 OK").await?;
                self.say("p3 LOGOUT").await?;
                self.line_that("* BYE").await
            }
            Speech::Pop3 => {
                self.say("QUIT").await?;
                self.line_that("+OK").await
            }
            Speech::ManageSieve => {
                self.say("LOGOUT").await?;
                self.line_that("OK").await
            }
            Speech::Http => {
                self.say("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n").await?;
                // Any answer shows that somebody speaks HTTP there.
                self.line_that("HTTP/1.1 ").await
            }
        }
    }

    async fn hello(&mut self, speech: Speech, own_name: &str) -> Result<(), String> {
        let verb = if speech == Speech::Lmtp { "LHLO" } else { "EHLO" };
        self.say(&format!("{verb} {own_name}")).await?;
        self.reply("250").await
    }

    async fn say(&mut self, line: &str) -> Result<(), String> {
        let said = async {
            self.0.write_all(line.as_bytes()).await?;
            self.0.write_all(b"\r\n").await?;
            self.0.flush().await
        };
        said.await.map_err(|error: std::io::Error| format!("`{}` could not be sent: {error}", verb(line)))
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.0).take(LONGEST_LINE);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn line_that(&mut self, begins: &str) -> Result<(), String> {
        let line = self.line().await?;
        if line.starts_with(begins) { Ok(()) } else { Err(unexpected(begins, &line)) }
    }

    /// The capabilities of ManageSieve, a line each, and the `OK` behind them (RFC 5804 §1.7).
    async fn capabilities(&mut self) -> Result<(), String> {
        for _ in 0..MOST_LINES {
            let line = self.line().await?;
            if line.starts_with("OK") {
                return Ok(());
            }
            if !line.starts_with('"') {
                return Err(unexpected("\"", &line));
            }
        }
        Err("capabilities without an end".to_owned())
    }

    /// A reply of SMTP, of one line or several (RFC 5321 §4.2.1).
    async fn reply(&mut self, code: &str) -> Result<(), String> {
        for _ in 0..MOST_LINES {
            let line = self.line().await?;
            if !line.starts_with(code) {
                return Err(unexpected(code, &line));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
        Err("a reply without an end".to_owned())
    }
}

fn unexpected(wanted: &str, line: &str) -> String {
    let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("`{}` was expected, the server said `{line}`", wanted.trim_end())
}

fn verb(line: &str) -> &str {
    line.split(['\r', ' ']).next().unwrap_or_default()
}
