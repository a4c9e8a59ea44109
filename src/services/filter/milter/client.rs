//! The conversation with one milter.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::change::{self, Change, MAX_CHANGES};
use super::macros;
use super::packet::{Packet, joined, receive, send, texts};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::ids::MailId;
use crate::foundations::mail::{Origin, Peer};
use crate::services::filter::endpoint::Wire;
use crate::services::filter::settings::MilterSettings;

/// A milter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("the milter does not answer: {0}")]
    Io(#[from] std::io::Error),
    /// It did not answer in time.
    #[error("the milter did not answer in time")]
    Timeout,
    /// It has no address in the settings.
    #[error("the milter has no address")]
    NoAddress,
    /// It violates the protocol.
    #[error("the milter sent {0}")]
    Nonsense(&'static str),
}

/// What a milter decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has no objection.
    Accept,
    /// Refuse it, with the milter's reply if there is one.
    Reject(Option<String>),
    /// Refuse it for now.
    Later(Option<String>),
    /// Drop it silently.
    Discard,
    /// Quarantine it, with the reason.
    Quarantine(String),
}

/// What a milter says at the end of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The decision.
    pub answer: Answer,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

impl Outcome {
    /// A decision without changes.
    pub(super) const fn of(answer: Answer) -> Self {
        Self { answer, changes: Vec::new() }
    }
}

/// What a milter is told besides recipients and message.
#[derive(Debug, Clone)]
pub struct Told {
    /// The id of the message.
    pub id: MailId,
    /// Where it comes from.
    pub origin: Origin,
    /// Its sender.
    pub reverse_path: ReversePath,
    /// Our name.
    pub hostname: String,
    /// The client's name, if it leads back to the client's address.
    pub client_name: Option<String>,
}

/// What we let milters do (`SMFIF_*`): all changes of header, body, recipients and sender, quarantine.
const ACTIONS: u32 = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80;
/// Steps that a milter may skip or leave unanswered (`SMFIP_*`): all, and body skipping. It is not told about recipients that
/// we refuse ourselves (`SMFIP_RCPT_REJ`).
const STEPS: u32 = 0x1f_ffff & !0x800;
const VERSION: u32 = 6;

const NO_CONNECT: u32 = 0x1;
const NO_HELLO: u32 = 0x2;
const NO_MAIL: u32 = 0x4;
const NO_RECIPIENT: u32 = 0x8;
const NO_BODY: u32 = 0x10;
const NO_HEADERS: u32 = 0x20;
const NO_END_OF_HEADER: u32 = 0x40;
const SILENT_HEADER: u32 = 0x80;
const NO_DATA: u32 = 0x200;
const SILENT_CONNECT: u32 = 0x1000;
const SILENT_HELLO: u32 = 0x2000;
const SILENT_MAIL: u32 = 0x4000;
const SILENT_RECIPIENT: u32 = 0x8000;
const SILENT_DATA: u32 = 0x1_0000;
const SILENT_END_OF_HEADER: u32 = 0x4_0000;
const SILENT_BODY: u32 = 0x8_0000;
const LEADING_SPACE: u32 = 0x10_0000;

/// Body octets of one packet.
const CHUNK: usize = 65_535;

/// The conversation about one message, in parallel with the SMTP dialogue.
pub struct Conversation {
    wire: Box<dyn Wire>,
    steps: u32,
    patience: Duration,
    /// Time that the milter has left for this message.
    left: Duration,
    /// Octets of changes that may still come.
    changes: usize,
    /// Packets that may still come without being an answer.
    extra: u32,
    /// A decision before the end: the milter is told nothing more.
    decided: Option<Answer>,
}

/// Ends the message when a stage does.
macro_rules! stage {
    ($answer:expr) => {
        match $answer {
            Stage::Next | Stage::Skip => {}
            Stage::End(answer) => return Ok(Outcome::of(answer)),
        }
    };
}

/// How a stage ended.
enum Stage {
    Next,
    Skip,
    End(Answer),
}

impl Conversation {
    /// Tells a milter of the client, its greeting and the sender.
    pub async fn begin(settings: &MilterSettings, told: &Told) -> Result<Self, Error> {
        let endpoint = settings.address.as_ref().ok_or(Error::NoAddress)?;
        let (patience, left) = (settings.timeout.duration(), settings.message_timeout.duration());
        let wire = endpoint.connect(patience).await?;
        let changes = settings.changes.len();
        let mut conversation = Self { wire, steps: 0, patience, left, changes, extra: MAX_EXTRA, decided: None };
        let begun = Instant::now();
        let introduced = timeout(left, conversation.introduce(told)).await;
        conversation.decided = introduced.unwrap_or(Err(Error::Timeout))?;
        conversation.spend(begun);
        Ok(conversation)
    }

    /// What was decided so far.
    pub const fn decided(&self) -> Option<&Answer> {
        self.decided.as_ref()
    }

    /// Tells of a recipient; the answer if it is to be refused: [`Answer::Reject`] or [`Answer::Later`].
    pub async fn recipient(&mut self, told: &Told, address: &Address) -> Result<Option<Answer>, Error> {
        if self.decided.is_some() || self.steps & NO_RECIPIENT != 0 {
            return Ok(None);
        }
        let begun = Instant::now();
        let stage = timeout(self.left, self.told_of(told, address)).await.unwrap_or(Err(Error::Timeout))?;
        self.spend(begun);
        match stage {
            Stage::Next | Stage::Skip => Ok(None),
            Stage::End(refusal @ (Answer::Reject(_) | Answer::Later(_))) => Ok(Some(refusal)),
            Stage::End(answer) => {
                self.decided = Some(answer);
                Ok(None)
            }
        }
    }

    /// Tells the message, which is as earlier milters have left it.
    pub async fn message(&mut self, told: &Told, message: &Bytes) -> Result<Outcome, Error> {
        if let Some(answer) = self.decided.take() {
            return Ok(Outcome::of(answer));
        }
        timeout(self.left, self.content(told, message)).await.unwrap_or(Err(Error::Timeout))
    }

    /// Ends the conversation. The milter may have closed the connection already.
    pub async fn end(mut self) {
        let _ = timeout(self.patience, send(&mut *self.wire, b'Q', &[])).await;
    }

    fn spend(&mut self, begun: Instant) {
        self.left = self.left.saturating_sub(begun.elapsed());
    }

    /// The decision, if there is one before the first recipient.
    async fn introduce(&mut self, told: &Told) -> Result<Option<Answer>, Error> {
        self.negotiate().await?;
        self.macros(b'C', &macros::connection(told)).await?;
        if let Stage::End(answer) = self.step(NO_CONNECT, SILENT_CONNECT, b'C', &connection(told)).await? {
            return Ok(Some(answer));
        }
        self.macros(b'H', &macros::hello(told)).await?;
        if let Stage::End(answer) = self.step(NO_HELLO, SILENT_HELLO, b'H', &joined(&[&told.origin.hello])).await? {
            return Ok(Some(answer));
        }
        self.macros(b'M', &macros::sender(told)).await?;
        let reverse_path = told.reverse_path.to_string();
        Ok(match self.step(NO_MAIL, SILENT_MAIL, b'M', &joined(&[&reverse_path])).await? {
            Stage::End(answer) => Some(answer),
            Stage::Next | Stage::Skip => None,
        })
    }

    async fn told_of(&mut self, told: &Told, address: &Address) -> Result<Stage, Error> {
        self.macros(b'R', &macros::recipient(told, address)).await?;
        self.step(NO_RECIPIENT, SILENT_RECIPIENT, b'R', &joined(&[&format!("<{address}>")])).await
    }

    async fn content(&mut self, told: &Told, message: &Bytes) -> Result<Outcome, Error> {
        let id = [("i", told.id.to_string())];
        self.macros(b'T', &id).await?;
        stage!(self.step(NO_DATA, SILENT_DATA, b'T', &[]).await?);
        let (header, body) = change::split(message);
        if self.steps & NO_HEADERS == 0 {
            for field in change::fields(header) {
                stage!(self.field(field).await?);
            }
        }
        self.macros(b'N', &id).await?;
        stage!(self.step(NO_END_OF_HEADER, SILENT_END_OF_HEADER, b'N', &[]).await?);
        if self.steps & NO_BODY == 0 {
            for chunk in body.chunks(CHUNK) {
                match self.step(NO_BODY, SILENT_BODY, b'B', chunk).await? {
                    Stage::Next => {}
                    Stage::Skip => break,
                    Stage::End(answer) => return Ok(Outcome::of(answer)),
                }
            }
        }
        self.macros(b'E', &id).await?;
        self.finish().await
    }

    async fn negotiate(&mut self) -> Result<(), Error> {
        let mut offer = Vec::with_capacity(12);
        for number in [VERSION, ACTIONS, STEPS] {
            offer.extend_from_slice(&number.to_be_bytes());
        }
        send(&mut *self.wire, b'O', &offer).await?;
        let answer = self.receive().await?;
        let numbers: Vec<u32> =
            answer.data.chunks_exact(4).take(3).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]])).collect();
        match numbers.as_slice() {
            [version, _, steps] if answer.command == b'O' && *version >= 2 => {
                self.steps = steps & STEPS;
                Ok(())
            }
            _ => Err(Error::Nonsense("no negotiation")),
        }
    }

    async fn macros(&mut self, stage: u8, macros: &[(&str, String)]) -> Result<(), Error> {
        let mut data = vec![stage];
        for (name, value) in macros.iter().filter(|(_, value)| !value.is_empty()) {
            data.extend_from_slice(&joined(&[name, value]));
        }
        send(&mut *self.wire, b'D', &data).await
    }

    async fn field(&mut self, field: &[u8]) -> Result<Stage, Error> {
        let colon = memchr::memchr(b':', field).unwrap_or(field.len());
        let name = String::from_utf8_lossy(&field[..colon]).trim_end().to_owned();
        let value = String::from_utf8_lossy(field.get(colon + 1..).unwrap_or_default()).replace("\r\n", "\n");
        let value = value.trim_end_matches('\n');
        let value = if self.steps & LEADING_SPACE == 0 { value.trim_start_matches([' ', '\t']) } else { value };
        self.step(NO_HEADERS, SILENT_HEADER, b'L', &joined(&[&name, value])).await
    }

    /// Sends one step and reads the answer, unless the milter skips the step or does not answer it.
    async fn step(&mut self, unwanted: u32, silent: u32, command: u8, data: &[u8]) -> Result<Stage, Error> {
        if self.steps & unwanted != 0 {
            return Ok(Stage::Next);
        }
        send(&mut *self.wire, command, data).await?;
        if self.steps & silent != 0 {
            return Ok(Stage::Next);
        }
        loop {
            let answer = self.receive().await?;
            match answer.command {
                b'p' => self.count_extra()?,
                b'c' => return Ok(Stage::Next),
                b's' => return Ok(Stage::Skip),
                _ => return decision(&answer).map(Stage::End).ok_or(Error::Nonsense("an answer that does not fit")),
            }
        }
    }

    /// The end of the message: changes, then the decision.
    async fn finish(&mut self) -> Result<Outcome, Error> {
        send(&mut *self.wire, b'E', &[]).await?;
        let mut changes = Vec::new();
        let mut body: Option<Vec<u8>> = None;
        let mut held: Option<String> = None;
        let mut replaced = 0usize;
        loop {
            let answer = self.receive().await?;
            self.count_extra()?;
            match answer.command {
                b'p' => {}
                b'b' => {
                    replaced += answer.data.len();
                    if replaced > MAX_BODY {
                        return Err(Error::Nonsense("a body that is too large"));
                    }
                    body.get_or_insert_default().extend_from_slice(&answer.data);
                }
                b'c' | b'a' => {
                    changes.extend(body.map(Change::Body));
                    let answer = held.map_or(Answer::Accept, Answer::Quarantine);
                    return Ok(Outcome { changes, ..Outcome::of(answer) });
                }
                _ => {
                    if let Some(answer) = decision(&answer) {
                        return Ok(Outcome::of(answer));
                    }
                    let left = self.changes.checked_sub(answer.data.len());
                    self.changes = left.ok_or(Error::Nonsense("changes that are too large"))?;
                    if answer.command == b'q' {
                        held = Some(texts(&answer.data).next().unwrap_or_default());
                    } else {
                        changes.extend(wish(&answer)?);
                    }
                }
            }
            if changes.len() > MAX_CHANGES {
                return Err(Error::Nonsense("too many changes"));
            }
        }
    }

    /// Counts a packet that is not an answer: an endless stream of them would keep a processor busy until the time is up.
    fn count_extra(&mut self) -> Result<(), Error> {
        let left = self.extra.checked_sub(1);
        self.extra = left.ok_or(Error::Nonsense("packets without an end"))?;
        Ok(())
    }

    async fn receive(&mut self) -> Result<Packet, Error> {
        timeout(self.patience, receive(&mut *self.wire)).await.unwrap_or(Err(Error::Timeout))
    }
}

/// Largest replacement of a body.
const MAX_BODY: usize = 64 << 20;

/// Most packets without an answer in them about one message: changes, pieces of a body, and that it goes on. Libmilter sends 64 KiB
/// of a body in each.
const MAX_EXTRA: u32 = 100_000;

/// `SMFIC_CONNECT`: name, family, port, address.
fn connection(told: &Told) -> Vec<u8> {
    let mut data = joined(&[&macros::client_name(told)]);
    let Peer::Tcp(peer) = told.origin.peer else {
        data.push(b'U');
        return data;
    };
    let address = peer.ip().to_canonical();
    data.push(if address.is_ipv4() { b'4' } else { b'6' });
    data.extend_from_slice(&peer.port().to_be_bytes());
    data.extend_from_slice(&joined(&[&address.to_string()]));
    data
}

fn decision(packet: &Packet) -> Option<Answer> {
    Some(match packet.command {
        b'a' => Answer::Accept,
        b'r' => Answer::Reject(None),
        b't' => Answer::Later(None),
        b'd' => Answer::Discard,
        b'y' => {
            let reply = texts(&packet.data).next().unwrap_or_default();
            // Sendmail treats it as a format, so milters double a literal percent sign.
            let reply = reply.replace("%%", "%");
            if reply.starts_with('4') { Answer::Later(Some(reply)) } else { Answer::Reject(Some(reply)) }
        }
        _ => return None,
    })
}

fn wish(packet: &Packet) -> Result<Option<Change>, Error> {
    let nonsense = Error::Nonsense("a malformed change");
    let numbered = || {
        let (number, rest) = packet.data.split_first_chunk::<4>()?;
        let mut texts = texts(rest);
        Some((u32::from_be_bytes(*number) as usize, texts.next()?, texts.next().unwrap_or_default()))
    };
    let mut plain = texts(&packet.data);
    let address = |text: Option<String>| text.map(|t| t.trim_matches(['<', '>']).to_owned());
    let change = match packet.command {
        b'h' => plain.next().map(|name| Change::Add(name, plain.next().unwrap_or_default())),
        b'i' => numbered().map(|(at, name, value)| Change::Insert(at, name, value)),
        b'm' => numbered().map(|(nth, name, value)| Change::Replace(nth, name, value)),
        b'+' | b'2' => address(plain.next()).map(Change::AddRecipient),
        b'-' => address(plain.next()).map(Change::RemoveRecipient),
        // Its parameters (RFC 5321 §4.1.2) are those of the client's command.
        b'e' => address(plain.next()).map(Change::Sender),
        // Anything else is unknown and harmless.
        _ => return Ok(None),
    };
    change.map(Some).ok_or(nonsense)
}
