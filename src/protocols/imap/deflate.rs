//! The two directions of a compressed connection (RFC 4978, RFC 1951).

use std::io;

use bytes::{Buf, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Compression in force.
pub(super) struct Deflate {
    /// `None` while nothing is being sent: a new one goes on where the last one has ended, because that has flushed
    /// everything and its blocks say where they end (RFC 1951 §3.2.3). Only its memory of what was sent is lost.
    out: Option<Compress>,
    input: Decompress,
    /// What has arrived and has not been decompressed yet.
    arriving: BytesMut,
    /// The last piece was as long as was allowed: there may be more of it.
    full: bool,
    /// The client's stream has ended.
    ended: bool,
}

/// What decompressing has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inflated {
    /// So many octets.
    Octets(usize),
    /// None: more must arrive first.
    Nothing,
    /// The client has ended its stream, and can say nothing any more.
    End,
}

impl std::fmt::Debug for Deflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deflate").field("arriving", &self.arriving.len()).finish_non_exhaustive()
    }
}

impl Deflate {
    /// At the start of both streams, of which this much has arrived.
    pub fn new(arrived: &[u8]) -> Self {
        Self { out: None, input: Decompress::new(false), arriving: BytesMut::from(arrived), full: false, ended: false }
    }

    /// Compressed octets that arrive are put here.
    pub const fn arriving(&mut self) -> &mut BytesMut {
        &mut self.arriving
    }

    /// Whether there may be more without anything arriving.
    pub fn has_more(&self) -> bool {
        self.full || !self.arriving.is_empty()
    }

    /// Decompresses at most `most` octets of what has arrived, however much that may stand for.
    pub fn inflate(&mut self, into: &mut BytesMut, most: usize) -> io::Result<Inflated> {
        if self.ended {
            return Ok(Inflated::End);
        }
        if !self.has_more() {
            return Ok(Inflated::Nothing);
        }
        let start = into.len();
        into.resize(start + most, 0);
        let (consumed, produced) = (self.input.total_in(), self.input.total_out());
        let status = self.input.decompress(&self.arriving, &mut into[start..], FlushDecompress::Sync);
        let difference = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let octets = difference(self.input.total_out(), produced);
        into.truncate(start + octets);
        let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.arriving.advance(difference(self.input.total_in(), consumed));
        self.full = octets == most;
        if self.arriving.is_empty() {
            self.arriving = BytesMut::new();
        }
        self.ended = status == Status::StreamEnd;
        match octets {
            0 if self.ended => Ok(Inflated::End),
            0 if self.arriving.is_empty() => Ok(Inflated::Nothing),
            // It neither takes nor gives anything.
            0 => Err(io::Error::new(io::ErrorKind::InvalidData, "the compressed stream is damaged")),
            octets => Ok(Inflated::Octets(octets)),
        }
    }

    /// Compresses octets so that the client can read all of them.
    pub fn deflate(&mut self, octets: &[u8]) -> io::Result<Vec<u8>> {
        let compress = self.out.get_or_insert_with(|| Compress::new(Compression::default(), false));
        let mut compressed = Vec::with_capacity(octets.len() / 2 + ROOM);
        let mut rest = octets;
        loop {
            let consumed = compress.total_in();
            let status = compress.compress_vec(rest, &mut compressed, FlushCompress::Sync);
            status.map_err(io::Error::other)?;
            rest =
                rest.get(usize::try_from(compress.total_in() - consumed).unwrap_or(usize::MAX)..).unwrap_or_default();
            // Room that is left says that everything has been written (zlib: deflate).
            if rest.is_empty() && compressed.len() < compressed.capacity() {
                return Ok(compressed);
            }
            compressed.reserve(ROOM);
        }
    }

    /// Gives back what sending has occupied.
    pub fn release(&mut self) {
        self.out = None;
    }
}

/// Octets of output that are made room for at once.
const ROOM: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives_also_after_a_pause() {
        let mut sender = Deflate::new(b"");
        let mut receiver = Deflate::new(b"");
        let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for text in [&b"* OK hello\r\n"[..], b"", b"* OK hello\r\n", &noise, &[b'x'; 100_000]] {
            for piece in sender.deflate(text).unwrap().chunks(1_000) {
                receiver.arriving().extend_from_slice(piece);
            }
            let mut read = BytesMut::new();
            while let Inflated::Octets(octets) = receiver.inflate(&mut read, 4_096).unwrap() {
                assert!(octets <= 4_096);
            }
            assert!(read == text, "{} of {}", read.len(), text.len());
            sender.release();
        }
    }

    #[test]
    fn a_little_that_stands_for_much_comes_in_pieces() {
        let mut sender = Deflate::new(b"");
        let bomb = sender.deflate(&vec![0; 10 << 20]).unwrap();
        assert!(bomb.len() < 20_000);
        let mut receiver = Deflate::new(&bomb);
        let mut read = BytesMut::new();
        assert_eq!(receiver.inflate(&mut read, 1_000).unwrap(), Inflated::Octets(1_000));
        assert!(receiver.has_more() && read.len() == 1_000 && read.capacity() < 10_000);
    }

    #[test]
    fn damage_and_the_end_are_seen() {
        let mut read = BytesMut::new();
        assert!(Deflate::new(b"\xff\xff\xff\xff").inflate(&mut read, 100).is_err());
        let mut compress = Compress::new(Compression::default(), false);
        let mut ended = Vec::with_capacity(100);
        compress.compress_vec(b"a", &mut ended, FlushCompress::Finish).unwrap();
        let mut receiver = Deflate::new(&ended);
        assert_eq!(receiver.inflate(&mut read, 100).unwrap(), Inflated::Octets(1));
        receiver.arriving().extend_from_slice(b"more");
        assert_eq!(receiver.inflate(&mut read, 100).unwrap(), Inflated::End);
    }
}
