use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::TlsContext;
use super::tcp::Tcp;
use crate::foundations::mail::TlsFacts;

/// The bytes of a connection, in the clear or over TLS.
///
/// Small when plain (a few machine words), so that idle connections cost little; TLS state is on the heap.
#[derive(Debug)]
pub struct Stream(Layer);

#[derive(Debug)]
enum Layer {
    Plain(Plain),
    Tls(Box<tokio_rustls::server::TlsStream<Plain>>),
}

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Plain {
    Tcp(Tcp),
    Unix(UnixStream),
    Memory(DuplexStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self(Layer::Plain(Plain::Tcp(Tcp::new(stream))))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self(Layer::Plain(Plain::Unix(stream)))
    }
}

impl From<DuplexStream> for Stream {
    fn from(stream: DuplexStream) -> Self {
        Self(Layer::Plain(Plain::Memory(stream)))
    }
}

impl Stream {
    /// Waits for the client's TLS handshake and returns the encrypted stream.
    ///
    /// The caller must have dropped every octet it has read beyond the command that led here: nothing a client sent
    /// before the handshake may be taken for something sent inside it (RFC 3207 §4.2, CVE-2011-0411).
    ///
    /// # Errors
    /// The handshake fails or exceeds its time, or the stream is encrypted already.
    pub async fn start_tls(self, context: &TlsContext) -> io::Result<Self> {
        let Layer::Plain(plain) = self.0 else {
            return Err(io::Error::other("the connection is encrypted already"));
        };
        let setup = context.setup();
        let accept = tokio_rustls::TlsAcceptor::from(setup.config.clone()).accept(plain);
        match tokio::time::timeout(setup.handshake, accept).await {
            Ok(stream) => Ok(Self(Layer::Tls(Box::new(stream?)))),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not finish the TLS handshake in time"))
            }
        }
    }

    /// What is known about the TLS session; `None` on a plain stream.
    pub fn tls(&self) -> Option<TlsFacts> {
        match &self.0 {
            Layer::Plain(_) => None,
            Layer::Tls(stream) => Some(super::tls::facts(stream.get_ref().1)),
        }
    }

    /// The number of the system user at the other end of a Unix socket, as the kernel noted it when they connected
    /// (`SO_PEERCRED`); `None` on other streams.
    pub fn system_user(&self) -> Option<u32> {
        match &self.0 {
            Layer::Plain(Plain::Unix(stream)) => stream.peer_cred().ok().map(|user| user.uid()),
            _ => None,
        }
    }

    /// Whether the bytes are encrypted.
    pub const fn is_encrypted(&self) -> bool {
        matches!(self.0, Layer::Tls(_))
    }
}

/// Calls the same method of whatever layer is there.
macro_rules! on_layer {
    ($stream:expr, $method:ident ( $($argument:expr),* )) => {
        match &mut $stream.get_mut().0 {
            Layer::Plain(Plain::Tcp(inner)) => Pin::new(inner).$method($($argument),*),
            Layer::Plain(Plain::Unix(inner)) => Pin::new(inner).$method($($argument),*),
            Layer::Plain(Plain::Memory(inner)) => Pin::new(inner).$method($($argument),*),
            Layer::Tls(inner) => Pin::new(inner.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_layer!(self, poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_layer!(self, poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_layer!(self, poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_layer!(self, poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_layer!(self, poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        // Every layer here gathers: sockets by writev, rustls by filling its records.
        true
    }
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_read(context, buffer),
            Self::Unix(inner) => Pin::new(inner).poll_read(context, buffer),
            Self::Memory(inner) => Pin::new(inner).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_write(context, bytes),
            Self::Unix(inner) => Pin::new(inner).poll_write(context, bytes),
            Self::Memory(inner) => Pin::new(inner).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_flush(context),
            Self::Unix(inner) => Pin::new(inner).poll_flush(context),
            Self::Memory(inner) => Pin::new(inner).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_shutdown(context),
            Self::Unix(inner) => Pin::new(inner).poll_shutdown(context),
            Self::Memory(inner) => Pin::new(inner).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_write_vectored(context, slices),
            Self::Unix(inner) => Pin::new(inner).poll_write_vectored(context, slices),
            Self::Memory(inner) => Pin::new(inner).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small() {
        assert!(size_of::<Stream>() <= 48, "{}", size_of::<Stream>());
    }
}
