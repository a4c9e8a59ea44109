//! Commands out, replies in, each within its time.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Io, Scope, Trouble};
use crate::foundations::wire::line::{BadLine, Lines};
use crate::foundations::wire::smtp::{BadReply, EnhancedStatus, Reply, ReplyReader};

/// Octets that are kept of a line of a reply. RFC 5321 §4.5.3.1.5 allows 512; real servers write longer ones.
const LONGEST_LINE: usize = 4096;

/// The client's end of a connection.
pub(super) struct Dialogue {
    stream: Box<dyn Io>,
    incoming: BytesMut,
    lines: Lines,
    replies: ReplyReader,
}

/// The connection cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection was closed")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the line is malformed: {0}")]
    Line(#[from] BadLine),
    #[error("the reply is malformed: {0}")]
    Reply(#[from] BadReply),
    #[error("a reply began before it was asked for")]
    Early,
    #[error("nothing arrived within {0:?}")]
    Timeout(Duration),
}

impl Broken {
    /// What it means for the recipients concerned. RFC 3463 §3.5: 4.4.2 is a bad connection.
    pub(super) fn trouble(&self, during: &str) -> Trouble {
        Trouble::ours(EnhancedStatus::new(4, 4, 2), format!("During {during}, {self}"), Scope::Destination)
    }
}

impl Dialogue {
    pub(super) fn new(stream: Box<dyn Io>) -> Self {
        Self {
            stream,
            incoming: BytesMut::with_capacity(1024),
            // quirk_lone_line_feed: some hosts end their replies so (2026), and every other client understands them.
            lines: Lines::of_a_server(LONGEST_LINE),
            replies: ReplyReader::new(),
        }
    }

    /// The stream, for a TLS handshake; `None` when octets have come that belong to no reply we have asked for:
    /// somebody in between may want them believed after the handshake.
    pub(super) fn into_stream(self) -> Option<Box<dyn Io>> {
        self.incoming.is_empty().then_some(self.stream)
    }

    /// Writes octets within the time.
    pub(super) async fn send(&mut self, octets: &[u8], limit: Duration) -> Result<(), Broken> {
        let work = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(limit, work).await.map_err(|_| Broken::Timeout(limit))?.map_err(Broken::Io)
    }

    /// The next reply, within the time for all of it.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, Broken> {
        tokio::time::timeout(limit, self.read_reply()).await.map_err(|_| Broken::Timeout(limit))?
    }

    /// A reply that has come already, though nothing was asked that it could answer. Taken for the reply to what is sent
    /// next, it would let every later one answer the command before its own, and a message count as accepted that is not.
    pub(super) fn early_reply(&mut self) -> Result<Option<Reply>, Broken> {
        match self.read_reply().now_or_never() {
            Some(reply) => reply.map(Some),
            None if self.incoming.is_empty() && self.lines.is_between() && self.replies.is_between() => Ok(None),
            None => Err(Broken::Early),
        }
    }

    /// One command and its reply.
    pub(super) async fn ask(&mut self, command: &[u8], limit: Duration) -> Result<Reply, Broken> {
        self.send(command, limit).await?;
        self.reply(limit).await
    }

    async fn read_reply(&mut self) -> Result<Reply, Broken> {
        loop {
            while let Some(line) = self.lines.next(&mut self.incoming) {
                if let Some(reply) = self.replies.line(&line?)? {
                    return Ok(reply);
                }
            }
            self.incoming.reserve(1024);
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(Broken::Closed);
            }
        }
    }

    /// Says goodbye and does not care much about the answer.
    pub(super) async fn quit(mut self, limit: Duration) {
        // The other end has done its work whether it hears this or not.
        let _ = self.ask(b"QUIT\r\n", limit).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_long_reply_is_cut_and_its_code_counts() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut dialogue = Dialogue::new(Box::new(ours));
        let long = "x".repeat(100_000);
        let many: String = (0..1000).map(|n| format!("451-4.7.1 {n}\r\n")).collect();
        let said = format!("550-5.1.1 {long}\r\n550 5.1.1 No\r\n{many}451 4.7.1 Later\r\n250 Yes\r\n");
        theirs.write_all(said.as_bytes()).await.unwrap();
        let mut codes = Vec::new();
        for _ in 0..3 {
            let reply = dialogue.reply(LIMIT).await.unwrap();
            assert!(reply.lines().all(|line| line.len() <= LONGEST_LINE));
            codes.push((reply.code(), reply.status()));
        }
        let status = |class, subject, detail| Some(EnhancedStatus::new(class, subject, detail));
        assert_eq!(codes, [(550, status(5, 1, 1)), (451, status(4, 7, 1)), (250, None)]);
    }

    #[tokio::test]
    async fn a_long_line_that_comes_early_is_noticed() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut dialogue = Dialogue::new(Box::new(ours));
        assert!(matches!(dialogue.early_reply(), Ok(None)));
        theirs.write_all(format!("250 {}", "x".repeat(100_000)).as_bytes()).await.unwrap();
        assert!(matches!(dialogue.early_reply(), Err(Broken::Early)));
    }
}
