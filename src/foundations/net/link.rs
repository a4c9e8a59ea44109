use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Stream, TlsContext};
use crate::foundations::mail::TlsFacts;
use crate::foundations::tasks::Turn;

/// Output is gathered up to this size while more commands wait in the input.
const FLUSH_AT: usize = 64 * 1024;

/// A buffer larger than this is released as soon as it is empty.
const KEEP: usize = 4 * 1024;

/// The connection of a protocol in which the client commands and the server answers: octets in, octets out, both in
/// bounded memory. While nothing is in flight it holds small buffers only. What the octets mean is the protocol's business.
#[derive(Debug)]
pub struct Link {
    /// `None` while TLS begins, and once something could not be sent.
    stream: Option<Stream>,
    /// Received and not yet taken.
    pub input: BytesMut,
    /// Not yet sent.
    pub out: BytesMut,
    stall: Duration,
    turn: Turn,
}

/// Why nothing more can be sent or received.
#[derive(Debug)]
pub enum Lost {
    /// The client went away.
    Gone,
    /// The client does not take what is sent.
    Stalled,
    /// The connection broke.
    Broken(io::Error),
}

impl Lost {
    /// Why a lost session ended; `None` where the client simply went away.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Gone => None,
            Self::Stalled => Some("the client took too long to read".to_owned()),
            Self::Broken(error) => Some(error.to_string()),
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Broken(error),
        }
    }
}

impl Link {
    /// Takes over a connection. `stall` is the time in which the client must take what is sent.
    pub fn new(stream: Stream, stall: Duration) -> Self {
        Self { stream: Some(stream), input: BytesMut::new(), out: BytesMut::new(), stall, turn: Turn::begin() }
    }

    /// Whether the bytes are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_encrypted)
    }

    /// What is known about the TLS session; `None` in the clear.
    pub fn tls(&self) -> Option<TlsFacts> {
        self.stream.as_ref().and_then(Stream::tls)
    }

    /// Waits for more octets, at most `most` of them. Cancel-safe.
    ///
    /// # Errors
    /// The client has closed the connection, or it broke.
    pub async fn read(&mut self, most: usize) -> Result<(), Lost> {
        let Some(stream) = self.stream.as_mut() else { return Err(Lost::Gone) };
        self.input.reserve(most);
        // There may be more already: a client that pipelines must not keep others waiting.
        self.turn.share().await;
        let mut read = pin!(stream.read_buf(&mut self.input));
        let mut waited = false;
        let read = poll_fn(|context| {
            let read = read.as_mut().poll(context);
            waited |= read.is_pending();
            read
        });
        let read = read.await;
        if waited {
            self.turn = Turn::begin();
        }
        match read {
            Ok(0) => Err(Lost::Gone),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends everything.
    ///
    /// # Errors
    /// The client does not take it in time, or the connection broke.
    pub async fn flush(&mut self) -> Result<(), Lost> {
        let Some(stream) = self.stream.as_mut() else { return Err(Lost::Gone) };
        if !self.out.is_empty() {
            let write = async {
                stream.write_all(&self.out).await?;
                stream.flush().await
            };
            let sent = timeout(self.stall, write).await;
            self.out.clear();
            if !matches!(sent, Ok(Ok(()))) {
                // Part of it may have been sent: anything that followed would be taken for the rest.
                self.stream = None;
            }
            match sent {
                Ok(result) => result?,
                Err(_) => return Err(Lost::Stalled),
            }
        }
        Ok(())
    }

    /// Sends the gathered output if there is much of it.
    ///
    /// # Errors
    /// As [`Link::flush`].
    pub async fn flush_if_long(&mut self) -> Result<(), Lost> {
        if self.out.len() >= FLUSH_AT { self.flush().await } else { Ok(()) }
    }

    /// Releases large buffers; called before waiting for the client.
    pub fn shrink(&mut self) {
        for buffer in [&mut self.input, &mut self.out] {
            if buffer.is_empty() && buffer.capacity() > KEEP {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Begins TLS. Octets that have already arrived are dropped: nothing sent before the handshake counts inside it
    /// (RFC 3207 §4.2). The caller must drop what it has of an unfinished command.
    ///
    /// # Errors
    /// The handshake fails or exceeds its time.
    pub async fn start_tls(&mut self, context: &TlsContext) -> Result<(), Lost> {
        self.flush().await?;
        self.input.clear();
        let Some(stream) = self.stream.take() else { return Err(Lost::Gone) };
        self.stream = Some(stream.start_tls(context).await?);
        Ok(())
    }

    /// The transport and the received octets that were not taken, for the code that continues the connection.
    pub fn into_transport(self) -> Option<(Stream, Bytes)> {
        Some((self.stream?, self.input.freeze()))
    }

    /// Sends what is left and closes the transport, waiting only as long as the client keeps taking it.
    pub async fn close(&mut self) {
        if self.flush().await.is_ok()
            && let Some(stream) = self.stream.as_mut()
        {
            // Whether the client receives the close no longer matters.
            let _ = timeout(self.stall, stream.shutdown()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that had stopped reading and resumes while its session is being closed must not receive octets a second
    /// time and take them for the rest of what it was reading.
    #[tokio::test]
    async fn what_a_client_did_not_take_in_time_is_not_sent_again() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut link = Link::new(server.into(), Duration::from_millis(50));
        let said: Vec<u8> = (0..200).collect();
        link.out.extend_from_slice(&said);
        assert!(matches!(link.flush().await, Err(Lost::Stalled)));
        let mut heard = Vec::new();
        let close = async {
            link.close().await;
            drop(link);
        };
        let (_, read) = tokio::join!(close, client.read_to_end(&mut heard));
        read.unwrap();
        assert!(said.starts_with(&heard), "{heard:?}");
    }
}
