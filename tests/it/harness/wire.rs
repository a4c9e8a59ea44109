//! A connection in memory, for tests of one protocol without a whole server. It accepts any line ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// The client's end.
pub struct Wire {
    stream: DuplexStream,
    read: Vec<u8>,
}

impl Wire {
    pub const fn new(stream: DuplexStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Sends octets; if the server has closed, reading finds out.
    pub async fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets).await;
    }

    /// The next line without CRLF; `None` at the end of the connection.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8(self.read[..at].to_vec()).unwrap();
                self.read.drain(..at + 2);
                return Some(line);
            }
            let mut piece = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut piece));
            match read.await.expect("the server says nothing").unwrap_or(0) {
                0 => return None,
                count => self.read.extend_from_slice(&piece[..count]),
            }
        }
    }
}
