//! The bodies of requests and answers: in memory or in a file.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What is sent.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Nothing.
    None,
    /// These octets.
    Octets(Bytes),
    /// The content of this file, which has this many octets.
    File(PathBuf, u64),
}

impl Payload {
    /// Octets.
    pub const fn length(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Octets(octets) => octets.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// The body that sends it.
    pub async fn open(self) -> io::Result<Body> {
        match self {
            Self::None => Ok(Empty::new().map_err(|never| match never {}).boxed_unsync()),
            Self::Octets(octets) => Ok(Full::new(octets).map_err(|never| match never {}).boxed_unsync()),
            Self::File(path, _) => {
                let stream = ReaderStream::with_capacity(tokio::fs::File::open(path).await?, 256 << 10);
                Ok(StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync())
            }
        }
    }
}

/// Where to put the answer.
#[derive(Debug, Clone)]
pub enum Sink {
    /// Into memory, at most this many octets.
    Memory(usize),
    /// Into this file, exactly this many octets.
    File(PathBuf, u64),
}

impl Sink {
    /// Reads an answer to its end. What went into a file is not returned.
    pub async fn receive(self, mut body: Incoming) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        match self {
            Self::Memory(largest) => Ok(Limited::new(body, largest).collect().await?.to_bytes()),
            Self::File(path, size) => {
                let mut received = 0;
                let mut options = tokio::fs::OpenOptions::new();
                let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).await?;
                while let Some(frame) = body.frame().await {
                    if let Ok(data) = frame?.into_data() {
                        file.write_all(&data).await?;
                        received += data.len() as u64;
                    }
                }
                file.flush().await?;
                // A truncated answer without a length looks like a complete one.
                if received != size {
                    return Err(format!("the answer ended after {received} of {size} octets").into());
                }
                Ok(Bytes::new())
            }
        }
    }
}

/// An error with its causes: hyper's own messages say little.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        cause = inner.source();
    }
    said
}
