//! The connection as commands see it: whole commands in, responses out, both in bounded memory.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::deflate::{Deflate, Inflated};
use crate::foundations::net::{Stream, TlsContext};
use crate::foundations::tasks::Turn;
use crate::foundations::wire::imap::encode::{Out, without_nul};
use crate::foundations::wire::imap::{Framed, Framer, Limits};

/// Responses are sent when so many octets have gathered.
pub const FLUSH_AT: usize = 64 << 10;

/// Octets read at once.
const READ: usize = 16 << 10;

/// A buffer larger than this is given back as soon as it is empty.
const KEEP: usize = 4 << 10;

/// A place among the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    flushes: u64,
    octets: usize,
}

/// A client's connection. While nothing is in flight it holds no buffers.
#[derive(Debug)]
pub struct Link {
    /// `None` only while TLS begins.
    stream: Option<Stream>,
    input: BytesMut,
    framer: Framer,
    /// Once COMPRESS is in force.
    deflate: Option<Box<Deflate>>,
    /// Responses not sent yet.
    pub out: Out,
    /// How often they have been sent.
    flushes: u64,
    /// Time in which the client must take what is sent.
    stall: Duration,
    turn: Turn,
}

impl Link {
    /// Takes over a connection.
    pub fn new(stream: Stream, limits: Limits, stall: Duration) -> Self {
        let framer = Framer::new(limits);
        Self {
            stream: Some(stream),
            input: BytesMut::new(),
            framer,
            deflate: None,
            out: Out::new(),
            flushes: 0,
            stall,
            turn: Turn::begin(),
        }
    }

    /// Other limits from the next command on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.framer.set_limits(limits);
    }

    /// Whether the bytes are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_encrypted)
    }

    /// Whether the bytes are compressed.
    pub const fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// From now on bytes are compressed, both ways (RFC 4978 §3). What has been written before is sent as it is.
    pub async fn compress(&mut self) -> io::Result<()> {
        self.flush().await?;
        // What came behind the command belongs to what comes compressed.
        let input = std::mem::take(&mut self.input);
        self.deflate = Some(Box::new(Deflate::new(&input)));
        Ok(())
    }

    /// Whether a command has begun to arrive.
    pub fn in_command(&self) -> bool {
        self.framer.in_command(&self.input)
    }

    /// Whether the client has sent a whole line already that has not been looked at.
    pub fn has_pipelined(&self) -> bool {
        memchr::memchr(b'\n', &self.input).is_some() || self.deflate.as_ref().is_some_and(|deflate| deflate.has_more())
    }

    /// What the bytes that have arrived make, without waiting.
    pub fn framed(&mut self) -> Framed {
        self.framer.feed(&mut self.input)
    }

    /// One bare line, without waiting: an answer to a challenge, or DONE.
    pub fn line(&mut self) -> Option<Framed> {
        self.framer.feed_line(&mut self.input)
    }

    /// Lets the announced message come; whether the client must be told to go on.
    pub fn grant(&mut self) -> Option<Framed> {
        self.framer.grant(&mut self.input)
    }

    /// Refuses the announced message.
    pub fn deny(&mut self) {
        self.framer.deny(&mut self.input);
    }

    /// Waits for further bytes; how many came, zero at the end of the stream. Cancelling it loses nothing.
    pub async fn read(&mut self) -> io::Result<usize> {
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = BytesMut::new();
        }
        let Some(stream) = self.stream.as_mut() else { return Ok(0) };
        loop {
            if let Some(deflate) = &mut self.deflate {
                match deflate.inflate(&mut self.input, READ)? {
                    Inflated::Octets(octets) => return Ok(octets),
                    Inflated::End => return Ok(0),
                    Inflated::Nothing => {}
                }
            }
            let input = self.deflate.as_mut().map_or(&mut self.input, |deflate| deflate.arriving());
            let mut waited = false;
            let octets = poll_fn(|context| {
                // On the stack for the length of the call only: a connection that waits owns no buffer.
                let mut space = [const { MaybeUninit::uninit() }; READ];
                let mut buffer = ReadBuf::uninit(&mut space);
                match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(())) => {
                        input.extend_from_slice(buffer.filled());
                        Poll::Ready(Ok(buffer.filled().len()))
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => {
                        waited = true;
                        Poll::Pending
                    }
                }
            });
            let octets = octets.await?;
            if waited {
                self.turn = Turn::begin();
            }
            if octets == 0 || self.deflate.is_none() {
                return Ok(octets);
            }
        }
    }

    /// Sends everything that has been written.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        self.flushes += 1;
        let (out, deflate) = (self.out.bytes(), &mut self.deflate);
        let send = async {
            match deflate {
                None => stream.write_all(out).await?,
                Some(deflate) => {
                    for piece in out.chunks(FLUSH_AT) {
                        stream.write_all(&deflate.deflate(piece)?).await?;
                    }
                }
            }
            stream.flush().await
        };
        match tokio::time::timeout(self.stall, send).await {
            Ok(sent) => sent?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its responses")),
        }
        self.out.clear();
        Ok(())
    }

    /// The place behind what has been written so far.
    pub const fn mark(&self) -> Mark {
        Mark { flushes: self.flushes, octets: self.out.len() }
    }

    /// Takes back what has been written since, unless the client has some of it already; whether it is taken back.
    pub fn take_back(&mut self, mark: Mark) -> bool {
        let is_here = self.flushes == mark.flushes;
        if is_here {
            self.out.truncate(mark.octets);
        }
        is_here
    }

    /// Lets other connections go on, between two commands of a client that sends many at once.
    pub async fn share(&mut self) {
        self.turn.share().await;
    }

    /// Sends what has been written once it is much, and lets other connections go on: a client that reads quickly never
    /// makes the sending wait.
    pub async fn relieve(&mut self) -> io::Result<()> {
        if self.out.len() < FLUSH_AT {
            return Ok(());
        }
        self.flush().await?;
        self.turn.share().await;
        Ok(())
    }

    /// Sends octets that need not be copied into the output first, after what has been written.
    pub async fn send(&mut self, octets: &Bytes) -> io::Result<()> {
        for piece in octets.chunks(FLUSH_AT) {
            self.out.raw(piece);
            self.relieve().await?;
        }
        Ok(())
    }

    /// The same for octets of a literal, which must not hold NUL (RFC 9051 §4.3.1).
    pub async fn send_text(&mut self, octets: &Bytes) -> io::Result<()> {
        match without_nul(octets) {
            Cow::Borrowed(_) => self.send(octets).await,
            Cow::Owned(octets) => self.send(&octets.into()).await,
        }
    }

    /// Gives the memory of empty buffers back, before a long wait.
    pub fn release(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.out.is_empty() {
            self.out.release();
            if let Some(deflate) = &mut self.deflate {
                deflate.release();
            }
        }
    }

    /// Begins TLS. Whatever the client has sent before the handshake is forgotten (RFC 9051 §6.2.1).
    pub async fn start_tls(&mut self, context: &TlsContext) -> io::Result<()> {
        self.input = BytesMut::new();
        let Some(stream) = self.stream.take() else { return Ok(()) };
        self.stream = Some(stream.start_tls(context).await?);
        Ok(())
    }

    /// The transport and what has arrived over it, for whoever goes on with the session; `None` where it is compressed.
    pub fn into_transport(self) -> Option<(Stream, Bytes)> {
        let Self { stream, input, deflate: None, .. } = self else { return None };
        Some((stream?, input.freeze()))
    }

    /// Says goodbye to the transport.
    pub async fn close(mut self) {
        if let Some(stream) = self.stream.as_mut() {
            // The client may be gone already.
            let _ = tokio::time::timeout(Duration::from_secs(5), stream.shutdown()).await;
        }
    }
}
