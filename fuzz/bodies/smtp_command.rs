//! SMTP commands mean the same after writing and reading them again.

use bytes::BytesMut;
use postrider::foundations::wire::smtp::{Command, DotStuffer, decode_xtext, encode_xtext};

pub fn run(data: &[u8]) {
    match Command::parse(data) {
        Ok(command) => {
            let mut written = BytesMut::new();
            command.encode(&mut written);
            let line = written.strip_suffix(b"\r\n").unwrap();
            assert!(!line.contains(&b'\r') && !line.contains(&b'\n'), "{}", line.escape_ascii());
            let read = Command::parse(line).unwrap_or_else(|error| panic!("{} {error:?}", line.escape_ascii()));
            // A domain of another alphabet is written in A-labels, which need no SMTPUTF8 (RFC 6531 §3.2).
            if data.is_ascii() {
                assert_eq!(read, command, "{}", line.escape_ascii());
            }
            let mut again = BytesMut::new();
            read.encode(&mut again);
            assert_eq!(again, written);
        }
        Err(error) => {
            let mut out = BytesMut::new();
            error.reply().encode(&mut out);
            assert!(out.ends_with(b"\r\n"));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        // Control characters can be written, but are never accepted as input.
        let wanted = (!text.chars().any(char::is_control)).then_some(text);
        assert_eq!(decode_xtext(&encode_xtext(text)).as_deref(), wanted);
        decode_xtext(text);
    }
    let stuff = |piece: usize| {
        let (mut stuffer, mut out) = (DotStuffer::new(), BytesMut::new());
        data.chunks(piece.max(1)).for_each(|piece| stuffer.write(piece, &mut out));
        stuffer.finish(&mut out);
        out
    };
    let whole = stuff(data.len());
    assert_eq!(whole, stuff(1));
    let end = memchr_end(&whole);
    assert_eq!(end, whole.len(), "the message ends where it ends");
}

/// Offset after the first CRLF `.` CRLF, or after a lone `.` CRLF at the start.
fn memchr_end(bytes: &[u8]) -> usize {
    if bytes.starts_with(b".\r\n") {
        return 3;
    }
    bytes.windows(5).position(|window| window == b"\r\n.\r\n").map_or(0, |at| at + 5)
}
