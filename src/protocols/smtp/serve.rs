//! The driver: reads, performs steps, writes. The room's only I/O.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::asker::{self, Asker};
use super::conversation::{Conversation, early_talker};
use super::profile::{Auth, Mode, Profile};
use super::session::{Answer, Question, Step};
use super::settings::{EarlyInput, PlaintextAuth, SmtpSettings};
use crate::foundations::address::Domain;
use crate::foundations::budget::{Budget, Enough, Share};
use crate::foundations::clock::SharedClock;
use crate::foundations::failure::Refusal;
use crate::foundations::mail::Peer;
use crate::foundations::net::{Connection, Link, Lost, StartTls, TlsContext};
use crate::foundations::settings::Live;
use crate::foundations::wire::smtp::{Class, EnhancedStatus, Reply};
use crate::services::acceptance::Acceptance;
use crate::services::guard::{self, Failure, Guard, Pass, Patience};
use crate::services::intake::Intake;
use crate::services::login::{Login, Stay};
use crate::services::submission::Submission;
use crate::storage::journal::Journal;

/// What the room needs. One for each kind of listener; the parts are shared.
pub struct Room {
    /// Whom the listener serves.
    pub mode: Mode,
    /// The conversation's settings.
    pub settings: Live<SmtpSettings>,
    /// Our name.
    pub hostname: Live<Domain>,
    /// Certificates for STARTTLS; none when TLS is not offered.
    pub tls: Option<TlsContext>,
    /// Memory for messages, by networks, shared by all listeners.
    pub budget: Budget<IpNet>,
    /// Who may connect.
    pub guard: Guard,
    /// Who may log in.
    pub login: Login,
    /// Which senders and recipients are accepted.
    pub acceptance: Acceptance,
    /// What our users may send, and how it is completed.
    pub submission: Arc<Submission>,
    /// Who takes the messages.
    pub intake: Arc<Intake>,
    /// Where decisions are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Serves one connection to its end.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let (peer, local, session) = (connection.peer, connection.local, connection.session);
    let settings = room.settings.get();
    let pass = match asker::admit(&room, &settings, &peer) {
        Ok(pass) => pass,
        Err(refusal) => return turn_away(connection, &room, &settings, &refusal).await,
    };
    let Some(Connection { stream, stop, .. }) = connection.secured().await else { return };
    let program = match room.mode {
        Mode::Programs => asker::program(&room, &stream).await.map(Some),
        _ => Ok(None),
    };
    let tls = stream.tls();
    let link = Link::new(stream, settings.reply_time.duration());
    let program = match program {
        Ok(program) => program,
        Err(refusal) => return refuse(link, &refusal).await,
    };
    let mut conversation = Conversation::new(
        Profile { program, ..profile(&room, &settings, &peer) },
        settings.command_line as usize,
        early_input(&room, &settings, &pass),
    );
    if tls.is_some() {
        conversation.session_mut().secured();
    }
    let asker = Asker { room: &room, peer, local, session, tls, stay: OnceLock::new(), dialogue: None };
    let share = room.budget.share(network(room.mode, &pass, &peer));
    let message_begun = Instant::now();
    let mut driver = Driver { asker, settings, link, conversation, pass, share, message_begun, stop };
    let end = driver.converse().await;
    driver.finish(end).await;
}

/// Tells a client that it is refused.
async fn turn_away(connection: Connection, room: &Room, settings: &SmtpSettings, refusal: &Refusal) {
    let service = asker::service(room.mode);
    if let Some(event) = room.guard.turned_away(refusal, service, &connection.peer, connection.session) {
        room.journal.record(event);
    }
    // Nothing can be said before a handshake, and an unwanted client gets none.
    if connection.handshake.is_none() {
        refuse(Link::new(connection.stream, settings.reply_time.duration()), refusal).await;
    }
}

/// Says nothing but a refusal.
async fn refuse(mut link: Link, refusal: &Refusal) {
    Reply::from(refusal).encode(&mut link.out);
    link.close().await;
}

/// The network that a client's messages take memory for; none if it is trusted.
fn network(mode: Mode, pass: &Pass, peer: &Peer) -> Option<IpNet> {
    match mode {
        // All programs of this machine together, so that they leave something to others.
        Mode::Programs => Some(IpAddr::V4(Ipv4Addr::LOCALHOST).into()),
        _ if pass.is_trusted() => None,
        _ => guard::network(peer),
    }
}

fn profile(room: &Room, settings: &SmtpSettings, peer: &Peer) -> Profile {
    let plaintext = settings.plaintext_auth == PlaintextAuth::Networks && peer.is_in(&settings.plaintext_networks);
    let auth = match room.mode {
        Mode::Submission if plaintext => Auth::Always,
        Mode::Submission => Auth::UnderTls,
        Mode::Relay | Mode::Programs | Mode::Lmtp => Auth::No,
    };
    let (message_size, header_size) = match room.mode {
        Mode::Relay | Mode::Submission | Mode::Programs => (settings.message_size.len(), settings.header_size.len()),
        // The header has grown since the message was accepted. To refuse it here would cause a notification.
        Mode::Lmtp => (settings.passed_on_size().len(), usize::MAX),
    };
    Profile {
        mode: room.mode,
        hostname: room.hostname.get().as_ref().clone(),
        start_tls: StartTls::with(room.tls.as_ref()),
        auth,
        program: None,
        vouches: room.mode == Mode::Submission && settings.vouching && *peer == Peer::Unix,
        message_size,
        header_size,
        recipients: settings.recipients,
        messages: settings.messages,
        refused_recipients: settings.refused_recipients,
        idle_commands: settings.idle_commands,
        failed_logins: settings.failed_logins,
        line_endings: settings.line_endings,
    }
}

/// Only strangers on port 25 are watched for speaking early.
fn early_input(room: &Room, settings: &SmtpSettings, pass: &Pass) -> EarlyInput {
    if room.mode == Mode::Relay && !pass.is_trusted() { settings.early_input } else { EarlyInput::Accept }
}

/// Why a session is over.
#[derive(Debug)]
enum End {
    /// The client said QUIT, or the session was closed for the reason given.
    Closed(&'static str),
    /// The client made too many errors.
    Errors,
    /// The client was too slow.
    Slow,
    /// The server stops.
    Stopped,
    /// The connection was lost.
    Lost(Lost),
}

impl End {
    fn text(&self) -> Option<String> {
        match self {
            Self::Closed("") => None,
            Self::Closed(text) => Some((*text).to_owned()),
            Self::Errors => Some("too many errors".to_owned()),
            Self::Slow => Some("the client was too slow".to_owned()),
            Self::Stopped => Some("the server stops".to_owned()),
            Self::Lost(lost) => lost.text(),
        }
    }
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// One session's state on this side of the pure part.
struct Driver<'r> {
    asker: Asker<'r>,
    settings: Arc<SmtpSettings>,
    link: Link,
    conversation: Conversation,
    pass: Pass,
    share: Share<IpNet>,
    /// When the first octets of the message being received came.
    message_begun: Instant,
    stop: CancellationToken,
}

impl Driver<'_> {
    async fn finish(mut self, end: Result<Infallible, End>) {
        let Err(end) = end;
        if let Some(dialogue) = self.asker.dialogue.take() {
            dialogue.abandon().await;
        }
        let Asker { room, peer, session, .. } = &self.asker;
        if matches!(end, End::Errors) {
            room.guard.failed(peer, Failure::Session);
        }
        if let Some(text) = end.text() {
            log::info!(session:% = session, peer:% = peer; "smtp: the session ended: {text}");
        }
        self.link.close().await;
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        self.greet().await?;
        let mut waiting = Instant::now();
        loop {
            match self.conversation.advance(&mut self.link.input) {
                Some(step) => {
                    self.perform(step).await?;
                    waiting = Instant::now();
                }
                None if self.conversation.in_content() => {
                    self.receive().await?;
                    waiting = Instant::now();
                }
                None => self.await_command(waiting).await?,
            }
        }
    }

    async fn greet(&mut self) -> Result<(), End> {
        if early_input(self.asker.room, &self.settings, &self.pass) == EarlyInput::Refuse {
            let delay = self.settings.greeting_delay.duration();
            if let Ok(read) = timeout(delay, self.link.read(COMMAND_BUFFER)).await {
                read?;
                self.write(&early_talker());
                return Err(End::Errors);
            }
        }
        self.write(&self.conversation.session().greeting());
        Ok(())
    }

    /// Waits for input while no message is on its way. The time counts for the whole command, not for each octet of it.
    async fn await_command(&mut self, waiting: Instant) -> Result<(), End> {
        if self.conversation.session().held() == 0 {
            self.share.release();
        }
        self.link.flush().await?;
        self.link.shrink();
        let mut deadline = waiting + self.settings.command_time.duration();
        if self.conversation.session().held() > 0 {
            deadline = deadline.min(self.message_deadline());
        }
        let read = tokio::select! {
            read = timeout_at(deadline, self.link.read(COMMAND_BUFFER)) => read,
            () = self.stop.cancelled() => {
                if self.asker.stay.get().is_some_and(Stay::is_over) {
                    self.write(&Reply::new(421, EnhancedStatus::new(4, 7, 0), Stay::FAREWELL));
                    return Err(End::Closed("its login is no longer valid"));
                }
                self.write(&self.conversation.session().farewell("is stopping; try again in a moment"));
                return Err(End::Stopped);
            }
        };
        self.in_time(read)
    }

    /// The result of reading. A client that took too long is told so.
    fn in_time(&mut self, read: Result<Result<(), Lost>, Elapsed>) -> Result<(), End> {
        match read {
            Ok(read) => Ok(read?),
            Err(_) => {
                self.write(&self.conversation.session().too_slow());
                Err(End::Slow)
            }
        }
    }

    /// Reads a message, or a chunk of one, to its end: each piece in its time, the whole at the rate demanded, and
    /// never more than there is memory for.
    async fn receive(&mut self) -> Result<(), End> {
        self.link.flush().await?;
        let (patience, rate) = (self.settings.data_time.duration(), self.settings.data_rate.get().max(1));
        if self.conversation.session().held() == 0 {
            self.message_begun = Instant::now();
        }
        let end = self.message_deadline();
        // Each octet moves the deadline, but never further than `patience` from now: a fast start buys no silence later.
        let mut deadline = (Instant::now() + patience).min(end);
        loop {
            let read = timeout_at(deadline, self.link.read(CONTENT_BUFFER)).await;
            self.in_time(read)?;
            let earned = Duration::from_secs_f64(self.link.input.len() as f64 / rate as f64);
            deadline = (deadline + earned).min(Instant::now() + patience).min(end);
            if let Some(step) = self.conversation.advance(&mut self.link.input) {
                return self.perform(step).await;
            }
            self.reserve_memory().await;
        }
    }

    /// When a message must be here, however it is cut into chunks (RFC 3030 §2).
    fn message_deadline(&self) -> Instant {
        self.message_begun + self.settings.message_time.duration()
    }

    /// Reserves memory for the part of a message that has come so far. If there is none, the rest is thrown away.
    async fn reserve_memory(&mut self) {
        let held = self.conversation.session().held();
        if held <= self.share.octets() {
            return;
        }
        let settings = &self.settings;
        // In steps that grow with the message, so that a large one does not ask a thousand times.
        let wanted = (held + held / 2).min(settings.message_size.len().max(held));
        let patience = settings.memory_time.duration();
        if self.asker.room.budget.enlarge(&mut self.share, wanted, patience).await == Enough::No {
            self.conversation.session_mut().starve();
            self.share.release();
        }
    }

    /// Does what the session says, and what follows from the answers.
    async fn perform(&mut self, step: Step) -> Result<(), End> {
        let mut next = step;
        loop {
            match next {
                Step::Continue => return Ok(()),
                Step::Reply(reply) => return self.reply(&reply).await,
                Step::Replies(replies) => {
                    for reply in &replies {
                        self.reply(reply).await?;
                    }
                    return Ok(());
                }
                Step::Ask(question) => {
                    let answer = self.ask(*question).await;
                    next = self.conversation.session_mut().answer(answer);
                }
                Step::StartTls(reply) => return self.start_tls(&reply).await,
                Step::Close(reply) => {
                    self.write(&reply);
                    return Err(if reply.is_success() { End::Closed("") } else { End::Errors });
                }
            }
        }
    }

    async fn ask(&mut self, question: Question) -> Answer {
        if let Question::Memory(octets) = question {
            let (patience, held) = (self.settings.memory_time.duration(), self.conversation.session().held());
            if held == 0 {
                // What comes in the same piece as BDAT is taken without another read.
                self.message_begun = Instant::now();
            }
            let octets = octets + held;
            let enough = self.asker.room.budget.enlarge(&mut self.share, octets, patience).await;
            return Answer::Memory(if enough == Enough::Yes {
                Ok(())
            } else {
                Err(super::session::replies::no_memory())
            });
        }
        let login = self.conversation.session().login().cloned();
        // On the heap, so that a session that waits for a command does not hold the space that taking a message needs.
        let answer = Box::pin(self.asker.ask(question, login)).await;
        match &answer {
            Answer::Login(Ok(_)) => {
                if let Some(stay) = self.asker.stay.get() {
                    self.stop = stay.until(&self.stop);
                }
            }
            Answer::Message(result) => {
                self.share.release();
                if result.is_ok() {
                    self.pass.forgive();
                }
            }
            Answer::Each(_) => self.share.release(),
            _ => {}
        }
        answer
    }

    async fn reply(&mut self, reply: &Reply) -> Result<(), End> {
        // A front end asks on behalf of many clients; their errors are not its own.
        if reply.class() == Class::Permanent
            && self.asker.room.mode != Mode::Lmtp
            && self.pass.hold_back(&mut self.link, &self.stop).await? == Patience::Exhausted
        {
            self.write(&Reply::new(421, EnhancedStatus::new(4, 7, 0), "Too many errors; try again later"));
            return Err(End::Errors);
        }
        self.write(reply);
        Ok(self.link.flush_if_long().await?)
    }

    async fn start_tls(&mut self, reply: &Reply) -> Result<(), End> {
        let Some(context) = &self.asker.room.tls else { return Err(End::Closed("TLS is not configured")) };
        reply.encode(&mut self.link.out);
        self.link.start_tls(context).await?;
        self.asker.tls = self.link.tls();
        self.conversation.session_mut().secured();
        Ok(())
    }

    fn write(&mut self, reply: &Reply) {
        reply.encode(&mut self.link.out);
    }
}

/// Room in the input buffer while commands are awaited, in octets.
const COMMAND_BUFFER: usize = 1024;
/// Room in the input buffer while a message is received.
const CONTENT_BUFFER: usize = 64 * 1024;
