//! DATA and BDAT, and the answer to the message.

use super::replies::{fault_reply, header_too_large, ok, sequence, too_large};
use super::{Asked, Chunk, Completed, Last, Question, Session, State, Step};
use crate::foundations::failure::Refusal;
use crate::foundations::mail::{BodyKind, HeaderSection};
use crate::foundations::wire::smtp::{BodyFault, Reply};
use crate::protocols::smtp::profile::Mode;
use crate::protocols::smtp::transaction::{Transaction, Transfer};
use crate::services::intake::Receipt;

/// Memory asked for before the size of a message is known, in octets.
const FIRST_MEMORY: usize = 64 * 1024;
/// A refused chunk of this size at most is read to its end, however small the limit of messages.
const MOST_DISCARDED: u64 = 1 << 20;

impl Session {
    /// Takes octets of a message; how many were used, and what to do when they were the last.
    pub fn content(&mut self, piece: &[u8]) -> (usize, Option<Step>) {
        match &mut self.state {
            State::Data => {
                let end = match self.transaction.as_mut().and_then(Transaction::current) {
                    Some(reader) => reader.take_data(piece),
                    None => Some(0),
                };
                (end.unwrap_or(piece.len()), end.map(|_| self.complete()))
            }
            State::Chunk(chunk) => {
                let used = usize::try_from(chunk.left).map_or(piece.len(), |left| left.min(piece.len()));
                chunk.left -= used as u64;
                let over = chunk.left == 0;
                if chunk.instead.is_none()
                    && let Some(reader) = self.transaction.as_mut().and_then(Transaction::current)
                {
                    reader.take_chunk(&piece[..used]);
                }
                (used, over.then(|| self.chunk_over()))
            }
            _ => (0, None),
        }
    }

    /// Memory has run out in the middle of a message: the rest is thrown away, and the reply comes at its end.
    pub fn starve(&mut self) {
        if let Some(reader) = self.transaction.as_mut().and_then(Transaction::current) {
            reader.fail(BodyFault::NoRoom);
        }
    }

    pub(super) fn data(&mut self) -> Step {
        let Some(transaction) = self.transaction.as_ref() else { return Step::Reply(sequence("MAIL first")) };
        if transaction.envelope().recipients.is_empty() {
            // RFC 2033 §4.2: 503 in LMTP. RFC 5321 §3.3 leaves the choice.
            return Step::Reply(sequence("No valid recipients"));
        }
        if transaction.has_body() {
            return Step::Reply(sequence("BDAT has begun; DATA cannot follow"));
        }
        // RFC 3030 §3
        if transaction.envelope().body == BodyKind::BinaryMime {
            return Step::Reply(sequence("BODY=BINARYMIME needs BDAT"));
        }
        let octets = transaction.declared().map_or(FIRST_MEMORY, |size| usize::try_from(size).unwrap_or(FIRST_MEMORY));
        let octets = octets.min(FIRST_MEMORY);
        self.ask(Asked::Data(octets), Question::Memory(octets))
    }

    /// There is memory for the beginning. Without it the client may send DATA again: nothing has begun.
    pub(super) fn take_data(&mut self, octets: usize) -> Step {
        if let Some(reader) = self.transaction.as_mut().and_then(|open| open.reader(Transfer::Data, &self.profile)) {
            reader.reserve(octets);
        }
        self.state = State::Data;
        Step::Reply(Reply::plain(354, "Send the message, then CRLF.CRLF"))
    }

    pub(super) fn bdat(&mut self, size: u64, last: Last) -> Step {
        let chunk = Chunk { left: size, size, last, instead: None };
        let Some(transaction) = self.transaction.as_mut() else {
            return self.take_chunk(Chunk { instead: Some(sequence("MAIL first")), ..chunk });
        };
        if transaction.is_broken() {
            return self.take_chunk(Chunk { instead: Some(sequence("The message is lost; RSET first")), ..chunk });
        }
        if transaction.envelope().recipients.is_empty() {
            return self.take_chunk(Chunk { instead: Some(sequence("No valid recipients")), ..chunk });
        }
        if size.saturating_add(transaction.held() as u64) > self.profile.message_size as u64 {
            return self.take_chunk(Chunk { instead: Some(too_large(&self.profile)), ..chunk });
        }
        transaction.reader(Transfer::Bdat, &self.profile);
        // The chunk is only announced yet: memory for the rest of it is asked for as its octets come.
        let octets = usize::try_from(size).unwrap_or(FIRST_MEMORY).min(FIRST_MEMORY);
        self.ask(Asked::Chunk(chunk), Question::Memory(octets))
    }

    /// RFC 3030 §2: the octets of a chunk that is refused come all the same.
    pub(super) fn discard(&mut self, size: u64, last: bool, reply: Reply) -> Step {
        let last = if last { Last::Yes } else { Last::No };
        self.take_chunk(Chunk { left: size, size, last, instead: Some(reply) })
    }

    pub(super) fn take_chunk(&mut self, chunk: Chunk) -> Step {
        if chunk.instead.is_some() {
            if let Some(transaction) = self.transaction.as_mut() {
                transaction.give_up();
            }
            if chunk.size > MOST_DISCARDED.max(self.profile.message_size as u64 * 2) {
                return self.close(too_large(&self.profile));
            }
        }
        let empty = chunk.left == 0;
        self.state = State::Chunk(chunk);
        if empty { self.chunk_over() } else { Step::Continue }
    }

    fn chunk_over(&mut self) -> Step {
        let State::Chunk(chunk) = std::mem::replace(&mut self.state, State::Commands) else { return Step::Continue };
        if let Some(reply) = chunk.instead {
            if chunk.last == Last::Yes {
                // RFC 2033 §4.2: an answer for each recipient, here too.
                let recipients = self.transaction.take().map_or(0, |transaction| transaction.recipients());
                let replies = if self.profile.mode == Mode::Lmtp { recipients.max(1) } else { 1 };
                return Step::Replies(vec![reply; replies]);
            }
            return Step::Reply(reply);
        }
        if chunk.last == Last::Yes {
            return self.complete();
        }
        let fault = self.transaction.as_mut().and_then(Transaction::current).and_then(|reader| reader.fault());
        match (fault, self.transaction.as_mut()) {
            (Some(fault), Some(transaction)) => {
                transaction.give_up();
                Step::Reply(fault_reply(fault, &self.profile))
            }
            _ => Step::Reply(ok(format!("{} octets received", chunk.size))),
        }
    }

    /// The whole message is here.
    pub(super) fn complete(&mut self) -> Step {
        self.state = State::Commands;
        let Some(transaction) = self.transaction.take() else {
            return Step::Reply(sequence("MAIL first"));
        };
        let (envelope, content) = transaction.finish();
        let Some((hello, with)) = self.greeted(envelope.smtputf8) else {
            return Step::Reply(sequence("Say EHLO first"));
        };
        let count = envelope.recipients.len();
        let refusal = match content {
            Ok(content) if !header_fits(&content, self.profile.header_size) => header_too_large(&self.profile),
            Ok(content) if !header_is_in_lines(&content) => fault_reply(BodyFault::LoneControl, &self.profile),
            Ok(content) => {
                let message = Completed { envelope, content, hello, with };
                return self.ask(Asked::Message(count), Question::Message(message));
            }
            Err(fault) => fault_reply(fault, &self.profile),
        };
        let replies = if self.profile.mode == Mode::Lmtp { count } else { 1 };
        Step::Replies(vec![refusal; replies])
    }

    pub(super) fn finished(&mut self, results: Vec<Result<Receipt, Refusal>>) -> Step {
        self.tally.messages += 1;
        self.tally.idle = 0;
        let reply = |result: &Result<Receipt, Refusal>| match result {
            Ok(receipt) => ok(receipt.to_string()),
            Err(refusal) => Reply::from(refusal),
        };
        Step::Replies(results.iter().map(reply).collect())
    }
}

/// Whether every line of the header ends in CRLF. RFC 3030 §3 lets bodies hold any octets, and no header: who takes a bare CR or LF
/// for the end of a line would find other fields in it than were checked here.
fn header_is_in_lines(content: &[u8]) -> bool {
    let header = &content[..HeaderSection::of(content).body_start().min(content.len())];
    memchr::memchr2_iter(b'\r', b'\n', header).all(|at| match header[at] {
        b'\r' => header.get(at + 1) == Some(&b'\n'),
        _ => at > 0 && header[at - 1] == b'\r',
    })
}

/// Whether the header has at most so many octets. Whatever reads a message goes through its fields, often many times, and sometimes
/// allocates memory for each: millions of fields would cost far more than their octets.
fn header_fits(content: &[u8], most: usize) -> bool {
    let beginning = &content[..content.len().min(most.saturating_add(b"\r\n".len()))];
    HeaderSection::of(beginning).lines().len() <= most
}
