//! The connection as the driver sees it: commands in, octets out, both in bounded memory.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::foundations::net::{Stream, TlsContext};
use crate::foundations::wire::managesieve::{Framed, Framer, Limits, Reply};

/// Octets read at once.
const READ: usize = 4 * 1024;

/// Most octets that the buffer grows at once for an announced literal.
const GROW: usize = 64 * 1024;

/// What is to be sent is gathered up to this size while more commands wait in the input.
const FLUSH_AT: usize = 64 * 1024;

/// A buffer larger than this is given back as soon as it is empty.
const KEEP: usize = 4 * 1024;

/// A client's connection. While nothing is in flight it holds small buffers only.
#[derive(Debug)]
pub(super) struct Link {
    /// `None` only while TLS begins.
    stream: Option<Stream>,
    input: BytesMut,
    framer: Framer,
    limits: Limits,
    /// How much more the framer wants.
    wanted: usize,
    /// What has not been sent yet.
    pub out: BytesMut,
    stall: Duration,
}

/// Why nothing more can be said or heard.
#[derive(Debug)]
pub(super) enum Lost {
    /// The client went away.
    Gone,
    /// The client does not take what is sent.
    Stalled,
    /// The connection broke.
    Broken(io::Error),
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
    pub fn new(stream: Stream, limits: Limits, stall: Duration) -> Self {
        let (input, out) = (BytesMut::new(), BytesMut::new());
        Self { stream: Some(stream), input, framer: Framer::new(limits), limits, wanted: 0, out, stall }
    }

    /// Other limits from the next command on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.framer.set_limits(limits);
    }

    /// Whether the bytes are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_encrypted)
    }

    /// The next command that has arrived already, or that more is wanted.
    pub fn framed(&mut self) -> Framed {
        let framed = self.framer.feed(&mut self.input);
        self.wanted = if let Framed::More(wanted) = framed { wanted } else { 0 };
        framed
    }

    /// Waits for more octets. Cancel-safe.
    pub async fn read(&mut self) -> Result<(), Lost> {
        let Some(stream) = self.stream.as_mut() else { return Err(Lost::Gone) };
        self.input.reserve(self.wanted.clamp(READ, GROW));
        match stream.read_buf(&mut self.input).await {
            Ok(0) => Err(Lost::Gone),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a response to what is to be sent.
    pub fn write(&mut self, reply: &Reply) {
        reply.encode(&mut self.out);
    }

    /// Sends everything, and gives large buffers back.
    pub async fn flush(&mut self) -> Result<(), Lost> {
        let Some(stream) = self.stream.as_mut() else { return Err(Lost::Gone) };
        if !self.out.is_empty() {
            let write = async {
                stream.write_all(&self.out).await?;
                stream.flush().await
            };
            match timeout(self.stall, write).await {
                Ok(result) => result?,
                Err(_) => return Err(Lost::Stalled),
            }
            self.out.clear();
        }
        Ok(())
    }

    /// Sends what has gathered if it is much.
    pub async fn flush_if_long(&mut self) -> Result<(), Lost> {
        if self.out.len() >= FLUSH_AT { self.flush().await } else { Ok(()) }
    }

    /// Gives large buffers back: called when the client is waited for.
    pub fn shrink(&mut self) {
        for buffer in [&mut self.input, &mut self.out] {
            if buffer.is_empty() && buffer.capacity() > KEEP {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Begins TLS. Octets that have arrived already are dropped: nothing said before the handshake counts inside it.
    pub async fn start_tls(&mut self, context: &TlsContext) -> Result<(), Lost> {
        self.flush().await?;
        self.input.clear();
        self.framer = Framer::new(self.limits);
        let Some(stream) = self.stream.take() else { return Err(Lost::Gone) };
        self.stream = Some(stream.start_tls(context).await?);
        Ok(())
    }

    /// Sends what is left and says goodbye to the transport, for as long as the client takes it.
    pub async fn close(&mut self) {
        if self.flush().await.is_ok()
            && let Some(stream) = self.stream.as_mut()
        {
            // Whether the client hears the end makes no difference any more.
            let _ = timeout(self.stall, stream.shutdown()).await;
        }
    }
}
