//! The driver: reads, performs steps, writes. The room's only I/O.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::conversation::{Conversation, early_talker};
use super::perform::{self, Asker};
use super::profile::{Auth, Mode, Profile, StartTls};
use super::session::{Answer, Question, Step};
use super::settings::{EarlyInput, PlaintextAuth, SmtpSettings};
use crate::foundations::address::Domain;
use crate::foundations::budget::{Budget, Enough, Share};
use crate::foundations::clock::SharedClock;
use crate::foundations::mail::Peer;
use crate::foundations::net::{Connection, Stream, TlsContext};
use crate::foundations::settings::Live;
use crate::foundations::wire::smtp::{Class, EnhancedStatus, Reply};
use crate::services::acceptance::Acceptance;
use crate::services::guard::{self, Failure, Guard, Pass, Penalty};
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
    /// Which senders and recipients are taken.
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
    let pass = match perform::admit(&room, &settings, &peer) {
        Ok(pass) => pass,
        Err(refusal) => {
            let service = perform::service(room.mode);
            room.journal.record(guard::turned_away(&refusal, service, &peer, session, room.clock.now()));
            // Before a handshake nothing can be said, and who is not wanted gets none.
            if connection.handshake.is_none() {
                let mut wire = Wire::new(connection.stream, settings);
                wire.write(&Reply::from(&refusal));
                wire.close().await;
            }
            return;
        }
    };
    let Some(Connection { stream, stop, .. }) = connection.secured().await else { return };
    let program = match room.mode {
        Mode::Programs => Some(perform::program(&room, &stream).await),
        _ => None,
    };
    let mut wire = Wire::new(stream, settings);
    let program = match program.transpose() {
        Ok(program) => program,
        Err(refusal) => {
            wire.write(&Reply::from(&refusal));
            wire.close().await;
            return;
        }
    };
    let tls = wire.stream.as_ref().and_then(Stream::tls);
    let mut conversation = Conversation::new(
        Profile { program, ..profile(&room, &wire.settings, &peer) },
        wire.settings.command_line as usize,
        early_input(&room, &wire.settings, &pass),
    );
    if tls.is_some() {
        conversation.session_mut().secured();
    }
    let asker = Asker { room: &room, peer, local, session, tls, stay: OnceLock::new(), dialogue: None };
    let begun = Instant::now();
    let network = match room.mode {
        // All programs together, so that they leave something to others.
        Mode::Programs => Some(IpAddr::V4(Ipv4Addr::LOCALHOST).into()),
        _ if pass.is_trusted() => None,
        _ => guard::network(&peer),
    };
    let share = room.budget.share(network);
    let mut driver = Driver { asker, wire, conversation, pass, share, begun, stop };
    let end = match driver.converse().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    if let Some(dialogue) = driver.asker.dialogue.take() {
        dialogue.abandon().await;
    }
    if matches!(end, End::Errors) {
        room.guard.failed(&peer, Failure::Session);
    }
    if let Some(text) = end.text() {
        log::info!(session:% = session, peer:% = peer; "smtp: the session ended: {text}");
    }
    driver.wire.close().await;
}

fn profile(room: &Room, settings: &SmtpSettings, peer: &Peer) -> Profile {
    let plaintext = settings.plaintext_auth == PlaintextAuth::Networks && peer.is_in(&settings.plaintext_networks);
    let auth = match room.mode {
        Mode::Submission if plaintext => Auth::Always,
        Mode::Submission => Auth::UnderTls,
        Mode::Relay | Mode::Programs | Mode::Lmtp => Auth::No,
    };
    Profile {
        mode: room.mode,
        hostname: room.hostname.get().as_ref().clone(),
        start_tls: if room.tls.is_some() { StartTls::Offered } else { StartTls::Unavailable },
        auth,
        program: None,
        vouches: room.mode == Mode::Submission && settings.vouching && *peer == Peer::Unix,
        message_size: settings.message_size.len(),
        header_size: match room.mode {
            Mode::Relay | Mode::Submission | Mode::Programs => settings.header_size.len(),
            // To refuse here what was accepted with less in its header would make a notification of it.
            Mode::Lmtp => usize::MAX,
        },
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
    /// The client said QUIT, or was told goodbye for a reason that is in the reply.
    Closed(&'static str),
    /// The client made too many errors.
    Errors,
    /// The client went away.
    Gone,
    /// The client was too slow.
    Slow,
    /// The server stops.
    Stopped,
    /// The connection broke.
    Broken(io::Error),
}

impl End {
    fn text(&self) -> Option<String> {
        match self {
            Self::Closed("") | Self::Gone => None,
            Self::Closed(text) => Some((*text).to_owned()),
            Self::Errors => Some("too many errors".to_owned()),
            Self::Slow => Some("the client was too slow".to_owned()),
            Self::Stopped => Some("the server stops".to_owned()),
            Self::Broken(error) => Some(error.to_string()),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Broken(error),
        }
    }
}

/// A session that goes on has no value to give.
enum Never {}

/// One session's state on this side of the pure part.
struct Driver<'r> {
    asker: Asker<'r>,
    wire: Wire,
    conversation: Conversation,
    pass: Pass,
    share: Share<IpNet>,
    /// When the message that is on its way began.
    begun: Instant,
    stop: CancellationToken,
}

impl Driver<'_> {
    async fn converse(&mut self) -> Result<Never, End> {
        self.greet().await?;
        let mut waiting = Instant::now();
        loop {
            match self.conversation.advance(&mut self.wire.input) {
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
        if early_input(self.asker.room, &self.wire.settings, &self.pass) == EarlyInput::Refuse {
            let delay = self.wire.settings.greeting_delay.duration();
            if let Ok(read) = timeout(delay, self.wire.read(COMMAND_BUFFER)).await {
                if read? == 0 {
                    return Err(End::Gone);
                }
                self.wire.write(&early_talker());
                return Err(End::Errors);
            }
        }
        let greeting = self.conversation.session().greeting();
        self.wire.write(&greeting);
        Ok(())
    }

    /// Waits for input while no message is on its way. The time counts for the whole command, not for each octet of it.
    async fn await_command(&mut self, waiting: Instant) -> Result<(), End> {
        if self.conversation.session().held() == 0 {
            self.share.release();
        }
        self.wire.flush().await?;
        self.wire.shrink();
        let mut deadline = waiting + self.wire.settings.command_time.duration();
        if self.conversation.session().held() > 0 {
            deadline = deadline.min(self.whole_message());
        }
        let read = tokio::select! {
            read = timeout_at(deadline, self.wire.read(COMMAND_BUFFER)) => read,
            () = self.stop.cancelled() => {
                if self.asker.stay.get().is_some_and(Stay::is_over) {
                    self.wire.write(&Reply::new(421, EnhancedStatus::new(4, 7, 0), Stay::FAREWELL));
                    return Err(End::Closed("its login is good no longer"));
                }
                let farewell = self.conversation.session().farewell("is stopping; try again in a moment");
                self.wire.write(&farewell);
                return Err(End::Stopped);
            }
        };
        self.wire.check(read, &self.conversation)
    }

    /// Reads a message, or a chunk of one, to its end: each piece in its time, the whole at the rate demanded, and
    /// never more than there is memory for.
    async fn receive(&mut self) -> Result<(), End> {
        self.wire.flush().await?;
        let (patience, rate) = (self.wire.settings.data_time.duration(), self.wire.settings.data_rate.get().max(1));
        if self.conversation.session().held() == 0 {
            self.begun = Instant::now();
        }
        let end = self.whole_message();
        // Each octet moves the deadline, but never further than `patience` from now: who began fast must not fall silent later.
        let mut deadline = (Instant::now() + patience).min(end);
        loop {
            let read = timeout_at(deadline, self.wire.read(CONTENT_BUFFER)).await;
            self.wire.check(read, &self.conversation)?;
            let earned = Duration::from_secs_f64(self.wire.input.len() as f64 / rate as f64);
            deadline = (deadline + earned).min(Instant::now() + patience).min(end);
            if let Some(step) = self.conversation.advance(&mut self.wire.input) {
                return self.perform(step).await;
            }
            self.pay().await;
        }
    }

    /// When a message must be here, however it is cut into chunks (RFC 3030 §2).
    fn whole_message(&self) -> Instant {
        self.begun + self.wire.settings.message_time.duration()
    }

    /// Takes memory for what has come of a message so far; without it the rest is thrown away.
    async fn pay(&mut self) {
        let held = self.conversation.session().held();
        if held <= self.share.octets() {
            return;
        }
        let settings = &self.wire.settings;
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
                    replies.iter().for_each(|reply| self.wire.write(reply));
                    return self.wire.flush_if_long().await;
                }
                Step::Ask(question) => {
                    let answer = self.ask(*question).await;
                    next = self.conversation.session_mut().answer(answer);
                }
                Step::StartTls(reply) => return self.start_tls(&reply).await,
                Step::Close(reply) => {
                    self.wire.write(&reply);
                    return Err(if reply.is_success() { End::Closed("") } else { End::Errors });
                }
            }
        }
    }

    async fn ask(&mut self, question: Question) -> Answer {
        if let Question::Room(octets) = question {
            let patience = self.wire.settings.memory_time.duration();
            let octets = octets + self.conversation.session().held();
            let enough = self.asker.room.budget.enlarge(&mut self.share, octets, patience).await;
            return Answer::Room(if enough == Enough::Yes { Ok(()) } else { Err(super::session::replies::no_room()) });
        }
        let login = self.conversation.session().login().cloned();
        // On the heap, so that a session that waits for a command does not carry the room for a message's whole way.
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
        if reply.class() == Class::Permanent && self.asker.room.mode != Mode::Lmtp {
            match self.pass.error() {
                Penalty::None => {}
                Penalty::Delay(delay) => {
                    self.wire.flush().await?;
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                Penalty::Disconnect => {
                    self.wire.write(&Reply::new(421, EnhancedStatus::new(4, 7, 0), "Too many errors; try again later"));
                    return Err(End::Errors);
                }
            }
        }
        self.wire.write(reply);
        self.wire.flush_if_long().await
    }

    async fn start_tls(&mut self, reply: &Reply) -> Result<(), End> {
        self.wire.write(reply);
        self.wire.flush().await?;
        self.wire.input.clear();
        let (Some(stream), Some(context)) = (self.wire.stream.take(), &self.asker.room.tls) else {
            return Err(End::Closed("TLS is not configured"));
        };
        let stream = stream.start_tls(context).await?;
        self.asker.tls = stream.tls();
        self.wire.stream = Some(stream);
        self.conversation.session_mut().secured();
        Ok(())
    }
}

/// Room in the input buffer while commands are awaited, in octets.
const COMMAND_BUFFER: usize = 1024;
/// Room in the input buffer while a message is received.
const CONTENT_BUFFER: usize = 64 * 1024;
/// Replies are gathered up to this size while more commands wait in the input (RFC 2920 §3.2).
const OUTPUT_BUFFER: usize = 8 * 1024;

/// The stream and its buffers.
struct Wire {
    stream: Option<Stream>,
    input: BytesMut,
    output: BytesMut,
    settings: Arc<SmtpSettings>,
}

impl Wire {
    fn new(stream: Stream, settings: Arc<SmtpSettings>) -> Self {
        Self { stream: Some(stream), input: BytesMut::new(), output: BytesMut::new(), settings }
    }

    fn write(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
    }

    async fn read(&mut self, room: usize) -> io::Result<usize> {
        let Some(stream) = self.stream.as_mut() else { return Ok(0) };
        self.input.reserve(room);
        stream.read_buf(&mut self.input).await
    }

    /// What reading came to: octets, the end of the stream, an error, or too long a wait.
    fn check<E>(&mut self, read: Result<io::Result<usize>, E>, conversation: &Conversation) -> Result<(), End> {
        match read {
            Ok(Ok(0)) => Err(End::Gone),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                self.write(&conversation.session().too_slow());
                Err(End::Slow)
            }
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        let Some(stream) = self.stream.as_mut() else { return Err(End::Gone) };
        if self.output.is_empty() {
            return Ok(());
        }
        let write = async {
            stream.write_all_buf(&mut self.output).await?;
            stream.flush().await
        };
        match timeout(self.settings.reply_time.duration(), write).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(End::Slow),
        }
    }

    async fn flush_if_long(&mut self) -> Result<(), End> {
        if self.output.len() > OUTPUT_BUFFER { self.flush().await } else { Ok(()) }
    }

    /// Gives the large buffers of a message back.
    fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 2 * COMMAND_BUFFER {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() && self.output.capacity() > OUTPUT_BUFFER {
            self.output = BytesMut::new();
        }
    }

    /// Writes what is left and says goodbye to the transport, for as long as the client takes it.
    async fn close(&mut self) {
        if self.flush().await.is_ok()
            && let Some(stream) = self.stream.as_mut()
        {
            // Whether the client hears the end makes no difference any more.
            let _ = timeout(self.settings.reply_time.duration(), stream.shutdown()).await;
        }
    }
}
