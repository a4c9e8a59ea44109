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
    /// How long to wait for data.
    patience: Duration,
}

impl Connection {
    pub(super) fn new(server: &str, stream: Box<dyn Stream>, largest: u64) -> Self {
        let stream = BufReader::with_capacity(1 << 16, stream);
        Self { server: server.to_owned(), stream, tag: 0, largest, patience: PATIENCE }
    }

    /// The underlying stream, for TLS. What the server has sent before is discarded (RFC 2595 §3.1).
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream.into_inner()
    }

    /// Sends a command, hands every untagged response to `each`, and returns the text of the OK. `shown` is the command's
    /// name in errors.
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
            let reading = bounded.read_until(b'\n', &mut response.line);
            let read = in_time(&self.server, self.patience, reading).await?;
            let Some(line) = response.line.strip_suffix(b"\n").filter(|_| read > 0) else {
                return Err(self.broken(if read == 0 { CLOSED } else { "a line is too long" }));
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line).len();
            response.line.truncate(line);
            let Some(size) = literal(&response.line[before..]) else { return Ok(response) };
            if size > self.largest {
                let what = format!("a literal of {size} octets, more than {} allowed with `--largest`", self.largest);
                return Err(Error::Syntax { server: self.server.clone(), what });
            }
            response.literals.push(self.octets(size).await?);
        }
    }

    /// Octets of a literal. However slow the connection, some data has to arrive regularly. Only received data takes memory.
    async fn octets(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut octets = Vec::new();
        let mut rest = (&mut self.stream).take(size);
        while rest.limit() > 0 {
            if in_time(&self.server, self.patience, rest.read_buf(&mut octets)).await? == 0 {
                return Err(self.broken(CLOSED));
            }
        }
        Ok(octets)
    }

    fn broken(&self, reason: &str) -> Error {
        let source = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, reason);
        Error::Connection { server: self.server.clone(), source }
    }
}

/// The size of the literal that follows a line.
fn literal(line: &[u8]) -> Option<u64> {
    let digits = &line.strip_suffix(b"}")?[memchr::memrchr(b'{', line)? + 1..];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

async fn in_time<T>(
    server: &str,
    patience: Duration,
    doing: impl Future<Output = std::io::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(patience, doing).await {
        Ok(done) => done.map_err(|source| Error::Connection { server: server.to_owned(), source }),
        Err(_) => Err(Error::Silent(server.to_owned())),
    }
}

const PATIENCE: Duration = Duration::from_mins(2);
const LONGEST_LINE: u64 = 1 << 20;
const CLOSED: &str = "closed by the server";

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    fn connection(largest: u64) -> (Connection, DuplexStream) {
        let (near, far) = duplex(64);
        (Connection::new("there", Box::new(near), largest), far)
    }

    #[tokio::test]
    async fn a_literal_comes_in_pieces() {
        let (mut connection, mut far) = connection(100);
        let said = async {
            for piece in ["* X {20}\r\n01234", "56789", "0123456789", " Y\r\n"] {
                far.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (response, ()) = tokio::join!(connection.response(), said);
        let Response { line, literals } = response.unwrap();
        assert_eq!((line, literals), (b"* X {20} Y".to_vec(), vec![b"01234567890123456789".to_vec()]));
    }

    #[tokio::test]
    async fn a_literal_that_does_not_come_ends() {
        let (mut silent, mut far) = connection(100);
        silent.patience = Duration::from_millis(1);
        far.write_all(b"* X {5}\r\n01").await.unwrap();
        assert!(matches!(silent.response().await, Err(Error::Silent(_))));
        // More than any machine has.
        let (mut boasting, mut far) = connection(u64::MAX);
        far.write_all(format!("* X {{{}}}\r\n01", u64::MAX >> 2).as_bytes()).await.unwrap();
        drop(far);
        assert!(matches!(boasting.response().await, Err(Error::Connection { .. })));
    }
}
