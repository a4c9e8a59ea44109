//! Streams parts of messages to a browser: read, decoded and sent piece by piece, so that slow browsers cost no memory.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use crate::foundations::mail::Structure;
use crate::foundations::mail::structure::Part;
use crate::foundations::mail::transfer::Decoder;
use crate::storage::mailbox::{self, Body};

use super::source;

/// A part of a message: where its octets are, and how they are encoded.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    range: Range<u64>,
    encoding: Option<Box<[u8]>>,
}

/// Octets that an answer is made of.
#[derive(Debug)]
pub(super) enum Piece {
    /// These.
    Octets(Bytes),
    /// A part of a part, and so on, of the message itself; the message, if there are none.
    Part(Vec<Stage>),
}

/// The part of a message that is sent.
pub(super) struct Flow {
    body: Body,
    pieces: VecDeque<Piece>,
    now: Option<Reading>,
}

/// A part that is read.
struct Reading {
    /// Which octets of the message are still to be read.
    rest: Range<u64>,
    stages: Vec<Running>,
}

/// A stage, and how far it is.
struct Running {
    /// Which of the octets to come are the part's.
    rest: Range<u64>,
    decoder: Decoder,
}

/// How many octets a part has, decoded, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) octets: u64,
    pub(super) crc32: u32,
}

impl Stage {
    /// A part of a message.
    pub(super) fn of(structure: &Structure<'_>, part: &Part<'_>) -> Self {
        Self { range: part.body as u64..part.end as u64, encoding: source::encoding(structure, part).map(Box::from) }
    }

    /// Size and checksum of the part decoded from `message`.
    pub(super) fn measure(&self, message: &[u8]) -> Measure {
        let (mut octets, mut checksum) = (0, crc32fast::Hasher::new());
        self.decode(message, |made| {
            checksum.update(made);
            octets += made.len() as u64;
        });
        Measure { octets, crc32: checksum.finalize() }
    }

    /// Decodes it piece by piece.
    fn decode(&self, message: &[u8], mut take: impl FnMut(&[u8])) {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(message.len());
        let encoded = &message[place(self.range.start)..place(self.range.end)];
        let mut running = Running::begin(self);
        running.rest = 0..encoded.len() as u64;
        let pieces = encoded.chunks(PIECE).map(|piece| (piece, End::No));
        for (piece, end) in pieces.chain([(&[][..], End::Yes)]) {
            take(&running.pass(piece, end));
        }
    }
}

/// Whether nothing more comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Yes,
    No,
}

impl Running {
    fn begin(stage: &Stage) -> Self {
        Self { rest: stage.range.clone(), decoder: Decoder::new(stage.encoding.as_deref()) }
    }

    fn pass(&mut self, piece: &[u8], end: End) -> Vec<u8> {
        let length = piece.len() as u64;
        let within = |at: u64| usize::try_from(at.min(length)).unwrap_or(piece.len());
        let (from, to) = (within(self.rest.start), within(self.rest.end));
        self.rest = self.rest.start.saturating_sub(length)..self.rest.end.saturating_sub(length);
        let mut octets = Vec::with_capacity(to - from);
        self.decoder.feed(&piece[from..to], &mut octets);
        if end == End::Yes {
            self.decoder.finish(&mut octets);
        }
        octets
    }

    fn is_over(&self) -> bool {
        self.rest.end == 0
    }
}

impl Reading {
    fn begin(stages: &[Stage], size: u64) -> Self {
        let mut running: Vec<Running> = stages.iter().map(Running::begin).collect();
        let rest = stages.first().map_or(0..size, |first| first.range.clone());
        if let Some(first) = running.first_mut() {
            // Earlier octets are not read at all.
            first.rest = 0..rest.end - rest.start;
        }
        Self { rest, stages: running }
    }

    /// Reads the next octets of the message, decoded for the part, and whether they were the last.
    async fn next(&mut self, body: &mut Body) -> Result<(Bytes, End), mailbox::Error> {
        let length = usize::try_from(self.rest.end - self.rest.start).unwrap_or(PIECE).min(PIECE);
        let piece = body.read(self.rest.start, length).await?;
        self.rest.start += piece.len() as u64;
        let is_over = piece.is_empty() || self.rest.is_empty() || self.stages.iter().any(Running::is_over);
        let end = if is_over { End::Yes } else { End::No };
        let octets = self.stages.iter_mut().fold(piece, |octets, stage| stage.pass(&octets, end).into());
        Ok((octets, end))
    }
}

impl Flow {
    /// Of the message with this body.
    pub(super) fn new(body: Body, pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self { body, pieces: pieces.into_iter().collect(), now: None }
    }

    /// The octets, as they are taken.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, mailbox::Error>> + Send {
        futures_util::stream::unfold(Some(self), |flow| async {
            let mut flow = flow?;
            match flow.next().await {
                Ok(Some(octets)) => Some((Ok(octets), Some(flow))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, mailbox::Error> {
        loop {
            let Some(reading) = &mut self.now else {
                match self.pieces.pop_front() {
                    None => return Ok(None),
                    Some(Piece::Octets(octets)) => return Ok(Some(octets)),
                    Some(Piece::Part(stages)) => self.now = Some(Reading::begin(&stages, self.body.size())),
                }
                continue;
            };
            let (octets, end) = reading.next(&mut self.body).await?;
            if end == End::Yes {
                self.now = None;
            }
            if !octets.is_empty() {
                return Ok(Some(octets));
            }
        }
    }
}

/// All pieces of a message that is in memory.
pub(super) fn gather(message: &Bytes, pieces: Vec<Piece>) -> Bytes {
    let mut all = BytesMut::new();
    for piece in pieces {
        let octets = match piece {
            Piece::Octets(octets) => octets,
            Piece::Part(stages) => stages.iter().fold(message.clone(), |message, stage| {
                let mut part = BytesMut::new();
                stage.decode(&message, |octets| part.extend_from_slice(octets));
                part.freeze()
            }),
        };
        all.extend_from_slice(&octets);
    }
    all.freeze()
}

/// Octets read in one go.
const PIECE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_take_their_part_of_what_comes() {
        // A message in base64 with a part in quoted-printable.
        let inner = "Content-Type: text/plain\r\n\r\ngr=C3=BCn =\r\nund gut\r\nrest";
        let part = inner.find("gr=").unwrap() as u64..inner.find("\r\nrest").unwrap() as u64;
        let outer = format!("head{}tail", data_encoding::BASE64.encode(inner.as_bytes()));
        let stages = [
            Stage { range: 4..outer.len() as u64 - 4, encoding: Some(b"base64"[..].into()) },
            Stage { range: part, encoding: Some(b"quoted-printable"[..].into()) },
        ];
        for length in [1, 2, 7, 1000] {
            let mut running: Vec<Running> = stages.iter().map(Running::begin).collect();
            let mut made = Vec::new();
            let pieces = outer.as_bytes().chunks(length).map(|piece| (piece, End::No));
            for (piece, end) in pieces.chain([(&[][..], End::Yes)]) {
                made.extend(running.iter_mut().fold(piece.to_vec(), |octets, stage| stage.pass(&octets, end)));
            }
            assert_eq!(String::from_utf8(made).unwrap(), "grün und gut", "{length}");
        }
        let octets = inner.len() as u64;
        assert_eq!(stages[0].measure(outer.as_bytes()), Measure { octets, crc32: crc32fast::hash(inner.as_bytes()) });
    }
}
