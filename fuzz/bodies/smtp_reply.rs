//! Replies of other hosts, and what is read from the one to EHLO.

use bytes::BytesMut;
use postrider::foundations::wire::smtp::{Extensions, ReplyReader};

pub fn run(data: &[u8]) {
    let mut reader = ReplyReader::new();
    for line in data.split(|b| *b == b'\n') {
        match reader.line(line) {
            Ok(Some(reply)) => {
                let _ = Extensions::parse(&reply);
                let mut written = BytesMut::new();
                reply.encode(&mut written);
                let mut reader = ReplyReader::new();
                let mut lines = written.strip_suffix(b"\r\n").unwrap().split(|b| *b == b'\n').peekable();
                while let Some(line) = lines.next() {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    let read =
                        reader.line(line).unwrap_or_else(|error| panic!("{error:?}: {}", written.escape_ascii()));
                    assert_eq!(read.is_some(), lines.peek().is_none(), "{}", written.escape_ascii());
                }
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}
