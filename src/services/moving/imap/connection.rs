use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::Error;
use super::response::Response;

/// Octets in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to a server, command by command.
pub(super) struct Connection {
    server: String,
    stream: BufReader<Box<dyn Stream>>,
    tag: u32,
    largest: u64,
}

impl Connection {
    pub(super) fn new(server: &str, stream: Box<dyn Stream>, largest: u64) -> Self {
        Self { server: server.to_owned(), stream: BufReader::with_capacity(1 << 16, stream), tag: 0, largest }
    }

    /// The stream underneath, for TLS. What the server has said before is forgotten (RFC 2595 §3.1).
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream.into_inner()
    }

    /// Asks something, hands every untagged response to `each`, and returns the text of the OK. `shown` is what errors
    /// call the command.
    pub(super) async fn command(
        &mut self,
        command: &str,
        shown: &str,
        mut each: impl FnMut(Response) -> Result<(), Error>,
    ) -> Result<String, Error> {
        self.tag += 1;
        let tag = format!("m{}", self.tag);
        self.send(&format!("{tag} {command}\r\n")).await?;
        loop {
            let response = self.response().await?;
            let Some(rest) = response.line.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) else {
                each(response)?;
                continue;
            };
            let answer = String::from_utf8_lossy(rest).into_owned();
            if answer.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("OK ")) {
                return Ok(answer);
            }
            return Err(Error::Refused { server: self.server.clone(), command: shown.to_owned(), answer });
        }
    }

    pub(super) async fn send(&mut self, text: &str) -> Result<(), Error> {
        let sent = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|source| Error::Connection { server: self.server.clone(), source })
    }

    /// The next response with its literals.
    pub(super) async fn response(&mut self) -> Result<Response, Error> {
        let mut response = Response::default();
        loop {
            let before = response.line.len();
            let mut bounded = (&mut self.stream).take(LONGEST_LINE - before as u64);
            let read = in_time(&self.server, bounded.read_until(b'\n', &mut response.line)).await?;
            let Some(line) = response.line.strip_suffix(b"\n").filter(|_| read > 0) else {
                let reason = if read == 0 { "closed by the server" } else { "a line is too long" };
                let source = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, reason);
                return Err(Error::Connection { server: self.server.clone(), source });
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line).len();
            response.line.truncate(line);
            let Some(size) = literal(&response.line[before..]) else { return Ok(response) };
            if size > self.largest {
                let what = format!("a literal of {size} octets, more than {} allowed with `--largest`", self.largest);
                return Err(Error::Syntax { server: self.server.clone(), what });
            }
            let mut octets = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
            in_time(&self.server, self.stream.read_exact(&mut octets)).await?;
            response.literals.push(octets);
        }
    }
}

/// The size of the literal that follows a line.
fn literal(line: &[u8]) -> Option<u64> {
    let digits = &line.strip_suffix(b"}")?[memchr::memrchr(b'{', line)? + 1..];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

async fn in_time<T>(server: &str, doing: impl Future<Output = std::io::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, doing).await {
        Ok(done) => done.map_err(|source| Error::Connection { server: server.to_owned(), source }),
        Err(_) => Err(Error::Silent(server.to_owned())),
    }
}

const PATIENCE: Duration = Duration::from_mins(2);
const LONGEST_LINE: u64 = 1 << 20;
