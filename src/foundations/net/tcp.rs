//! A TCP connection whose peer need not wait for acknowledgements.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream that acknowledges data at once when no answer to it is due yet.
///
/// A client that sends one command in two writes has the second one held back until the first is acknowledged (RFC 896,
/// Nagle's algorithm), and Linux delays an acknowledgement by 40 ms in the hope of sending it with an answer (RFC 1122
/// §4.2.3.2). When more input is needed before there is anything to answer, both sides would wait for nothing.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: TcpStream,
    /// Something was read, and nothing was written since.
    unanswered: bool,
}

impl Tcp {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream, unanswered: false }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match read {
            Poll::Ready(_) => self.unanswered = true,
            Poll::Pending if self.unanswered => {
                self.unanswered = false;
                // Failure costs only time.
                let _ = self.stream.set_quickack(true);
            }
            Poll::Pending => {}
        }
        read
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.unanswered = false;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unanswered = false;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_command_in_two_writes_is_not_kept_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut server = Tcp::new(stream);
        let mut took = Vec::new();
        for _ in 0..10 {
            let begun = Instant::now();
            client.write_all(b"DO ").await.unwrap();
            let answering = async {
                server.read_exact(&mut [0; 5]).await.unwrap();
                server.write_all(b"OK\r\n").await.unwrap();
            };
            let asking = async {
                client.write_all(b"\r\n").await.unwrap();
                client.read_exact(&mut [0; 4]).await.unwrap();
            };
            tokio::join!(answering, asking);
            took.push(begun.elapsed());
        }
        // All but the first would take 40 ms; some do not, however busy the machine is.
        took.sort_unstable();
        assert!(took[3] < Duration::from_millis(35), "{took:?}");
    }
}
