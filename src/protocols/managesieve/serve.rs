//! The driver: reads, performs steps, writes. The room's only I/O.

mod wishes;

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answers;
use super::session::{Profile, Session, Step};
use super::settings::ManageSieveSettings;
use crate::foundations::address::Address;
use crate::foundations::clock::SharedClock;
use crate::foundations::failure::Refusal;
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::foundations::net::{Connection, Link, Lost, Plaintext, StartTls, TlsContext};
use crate::foundations::settings::Live;
use crate::foundations::wire::managesieve::{Code, Condition, Fault, Framed, Framer, Limits, Reply, string};
use crate::foundations::wire::sasl::Credentials;
use crate::services::cluster::{self, Client, Cluster, Residence, go_on_elsewhere};
use crate::services::guard::{Failure, Guard, Pass, Patience, Service};
use crate::services::login::{LoggedIn, Login, LoginAttempt, Stay};
use crate::services::sieve::{EXTENSIONS, NOTIFY_METHODS, SieveSettings};
use crate::storage::journal::Journal;
use crate::storage::scripts::Scripts;

/// What ManageSieve sessions are given; filled by `daemon::build`.
#[derive(Clone)]
pub struct Needs {
    /// Limits and times.
    pub settings: Live<ManageSieveSettings>,
    /// What scripts may do.
    pub sieve: Live<SieveSettings>,
    /// Who may connect.
    pub guard: Guard,
    /// Checks passwords.
    pub login: Login,
    /// The scripts.
    pub scripts: Scripts,
    /// Takes events.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
    /// Who has which mailboxes, where there are several nodes.
    pub cluster: Option<Cluster>,
    /// For STARTTLS; `None` without a certificate.
    pub tls: Option<TlsContext>,
}

/// All ManageSieve sessions of this process.
pub struct Room {
    needs: Needs,
}

impl Room {
    /// A room without sessions.
    pub const fn new(needs: Needs) -> Self {
        Self { needs }
    }
}

/// Octets of literals before somebody has logged in: a mechanism and its first response.
const LITERALS_OF_STRANGERS: usize = 16 << 10;
/// Octets read at once.
const READ: usize = 4 << 10;
/// Octets read at once of an announced literal.
const READ_OF_LITERALS: usize = 64 << 10;
/// How much of a refused command is read to find its end.
const SKIP: u64 = 32 << 20;

/// Serves one connection to its end.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let settings = room.needs.settings.get();
    let pass = match room.needs.guard.admit(&connection.peer, Service::ManageSieve) {
        Ok(pass) => pass,
        Err(refused) => {
            let (peer, session) = (&connection.peer, connection.session);
            if let Some(event) = room.needs.guard.turned_away(&refused, Service::ManageSieve, peer, session) {
                room.needs.journal.record(event);
            }
            let mut link = Link::new(connection.stream, settings.stall_timeout.duration());
            Reply::bye(refused.public).coded(Code::TryLater).encode(&mut link.out);
            link.close().await;
            return;
        }
    };
    let mut driver = Driver::new(&room, settings, connection, pass);
    let end = driver.greet_and_converse().await;
    driver.finish(end).await;
}

/// Goes on with the session of a client that has logged in at another node.
pub async fn resume(connection: Connection, logged_in: LoggedIn, room: Arc<Room>) {
    // The client was let in, and is counted, where it has connected.
    let Ok(pass) = room.needs.guard.admit(&Peer::Unix, Service::ManageSieve) else { return };
    let mut driver = Driver::new(&room, room.needs.settings.get(), connection, pass);
    // Nobody is greeted twice.
    let _ = driver.session.secured();
    let result = driver.enter(logged_in).await;
    let step = driver.session.logged_in(result);
    let end = match driver.perform(step).await {
        Ok(()) => driver.converse().await,
        Err(end) => Err(end),
    };
    driver.finish(end).await;
}

fn profile(room: &Room, settings: &ManageSieveSettings, peer: &Peer) -> Profile {
    Profile {
        plaintext: Plaintext::from_client(peer, &settings.allow_plaintext),
        start_tls: StartTls::with(room.needs.tls.as_ref()),
        failed_logins: settings.failed_logins,
        sieve: EXTENSIONS.join(" "),
        notify: NOTIFY_METHODS.join(" "),
        max_redirects: room.needs.sieve.get().redirects,
    }
}

/// Why a session is over.
#[derive(Debug)]
enum End {
    /// The client said LOGOUT.
    Logout,
    /// The client made too many errors or failed logins.
    Errors,
    /// The client said nothing for too long.
    Idle,
    /// The server stops.
    Stopped,
    /// The account or password is no longer good.
    Over,
    /// The session goes on at another node.
    Away(Box<cluster::Link>),
    /// The connection is of no use any more.
    Lost(Lost),
}

impl End {
    fn text(&self) -> Option<String> {
        match self {
            Self::Logout | Self::Away(_) => None,
            Self::Errors => Some("too many errors".to_owned()),
            Self::Idle => Some("the client said nothing".to_owned()),
            Self::Stopped => Some("the server stops".to_owned()),
            Self::Over => Some("its login is no longer valid".to_owned()),
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
    room: &'r Room,
    settings: Arc<ManageSieveSettings>,
    limits: Limits,
    peer: Peer,
    id: SessionId,
    stop: CancellationToken,
    /// How long the user who has logged in may stay.
    stay: Option<Stay>,
    pass: Pass,
    link: Link,
    framer: Framer,
    session: Session,
    account: Option<Address>,
    /// Since when the client has not been logged in: its time to log in is limited.
    nobody_since: Instant,
    /// Among several nodes: counted while the mailboxes, and the scripts with them, are here.
    residence: Option<Residence>,
}

/// Where somebody has logged in.
enum LoggedInAt {
    Here(String),
    There(Box<cluster::Link>),
}

impl<'r> Driver<'r> {
    fn new(room: &'r Room, settings: Arc<ManageSieveSettings>, connection: Connection, pass: Pass) -> Self {
        let Connection { stream, peer, session: id, stop, .. } = connection;
        let limits = Limits { line: settings.command_line as usize, literals: LITERALS_OF_STRANGERS, skip: SKIP };
        Self {
            link: Link::new(stream, settings.stall_timeout.duration()),
            session: Session::new(profile(room, &settings, &peer)),
            framer: Framer::new(limits),
            room,
            settings,
            limits,
            peer,
            id,
            stop,
            stay: None,
            pass,
            account: None,
            nobody_since: Instant::now(),
            residence: None,
        }
    }
}

impl Driver<'_> {
    /// Ends the connection, or passes it on to another node.
    async fn finish(mut self, end: Result<Infallible, End>) {
        let Err(end) = end;
        if matches!(end, End::Errors) {
            self.room.needs.guard.failed(&self.peer, Failure::Session);
        }
        if let Some(text) = end.text() {
            log::info!(session:% = self.id, peer:% = self.peer; "managesieve: the session ended: {text}");
        }
        match end {
            End::Away(away) => {
                go_on_elsewhere(self.link, away, self.stop, self.settings.stall_timeout.duration()).await;
            }
            _ => self.link.close().await,
        }
    }

    async fn greet_and_converse(&mut self) -> Result<Infallible, End> {
        let greeting = if self.link.is_encrypted() { self.session.secured() } else { self.session.greeting() };
        self.perform(greeting).await?;
        self.converse().await
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        let mut waiting = Instant::now();
        loop {
            match self.framer.feed(&mut self.link.input) {
                Framed::Command(command) => {
                    let step = self.session.command(&command);
                    self.perform(step).await?;
                }
                Framed::Refused(fault) => {
                    self.session.refused();
                    self.reply(&too_large(fault, self.session.is_authenticated())).await?;
                }
                Framed::Lost => {
                    Reply::bye("The command does not end").encode(&mut self.link.out);
                    return Err(End::Errors);
                }
                Framed::More(wanted) => {
                    let mut deadline = waiting + self.settings.idle_timeout.duration();
                    if self.account.is_none() {
                        deadline = deadline.min(self.nobody_since + self.settings.login_timeout.duration());
                    }
                    self.wait(deadline, wanted).await?;
                    continue;
                }
            }
            waiting = Instant::now();
        }
    }

    /// Waits until more of a command has come, of which `wanted` octets are known to be on their way.
    async fn wait(&mut self, deadline: Instant, wanted: usize) -> Result<(), End> {
        self.link.flush().await?;
        self.link.shrink();
        tokio::select! {
            read = timeout_at(deadline, self.link.read(wanted.clamp(READ, READ_OF_LITERALS))) => match read {
                Ok(read) => Ok(read?),
                Err(_) => {
                    Reply::bye("You said nothing for too long").encode(&mut self.link.out);
                    Err(End::Idle)
                }
            },
            () = self.stop.cancelled() => {
                if self.stay.as_ref().is_some_and(Stay::is_over) {
                    Reply::bye(Stay::FAREWELL).encode(&mut self.link.out);
                    return Err(End::Over);
                }
                Reply::bye("The server is stopping; try again in a moment").coded(Code::TryLater).encode(&mut self.link.out);
                Err(End::Stopped)
            }
        }
    }

    /// Does what the session says, and what follows from the answers.
    async fn perform(&mut self, step: Step) -> Result<(), End> {
        let mut next = step;
        loop {
            match next {
                Step::Reply(reply) => return self.reply(&reply).await,
                Step::Lines(lines, reply) => {
                    self.link.out.extend_from_slice(&lines);
                    return self.reply(&reply).await;
                }
                Step::Challenge(challenge) => {
                    string(challenge.as_bytes(), &mut self.link.out);
                    self.link.out.extend_from_slice(b"\r\n");
                    return Ok(());
                }
                Step::LogIn(credentials) => {
                    let result = match self.log_in(credentials).await {
                        Ok(LoggedInAt::There(away)) => return Err(End::Away(away)),
                        Ok(LoggedInAt::Here(name)) => Ok(name),
                        Err(reply) => Err(reply),
                    };
                    next = self.session.logged_in(result);
                }
                Step::StartTls(reply) => {
                    let Some(context) = &self.room.needs.tls else { return Err(End::Lost(Lost::Gone)) };
                    reply.encode(&mut self.link.out);
                    self.link.start_tls(context).await?;
                    self.framer = Framer::new(self.limits);
                    next = self.session.secured();
                }
                Step::Perform(wish) => {
                    // A script with a mistake is no error of the client's.
                    let (lines, reply) = self.fulfil(wish).await;
                    self.link.out.extend_from_slice(&lines);
                    reply.encode(&mut self.link.out);
                    return Ok(self.link.flush_if_long().await?);
                }
                Step::Forget(reply) => {
                    self.account = None;
                    self.nobody_since = Instant::now();
                    self.stay = None;
                    self.residence = None;
                    self.limits.literals = LITERALS_OF_STRANGERS;
                    self.framer.set_limits(self.limits);
                    next = Step::Reply(reply);
                }
                Step::Close(reply) => {
                    reply.encode(&mut self.link.out);
                    return Err(if reply.condition() == Condition::Ok { End::Logout } else { End::Errors });
                }
            }
        }
    }

    /// Sends a response, and delays clients that err too often.
    async fn reply(&mut self, reply: &Reply) -> Result<(), End> {
        if reply.condition() != Condition::Ok
            && self.pass.hold_back(&mut self.link, &self.stop).await? == Patience::Exhausted
        {
            Reply::bye("Too many errors; try again later").coded(Code::TryLater).encode(&mut self.link.out);
            return Err(End::Errors);
        }
        reply.encode(&mut self.link.out);
        Ok(self.link.flush_if_long().await?)
    }

    async fn log_in(&mut self, credentials: Credentials) -> Result<LoggedInAt, Reply> {
        let attempt = LoginAttempt::by_sasl(credentials, self.peer, self.id, Service::ManageSieve);
        let attempt = attempt.map_err(|refused| Reply::no(refused.public))?;
        let logged_in = self.room.needs.login.verify(attempt).await.map_err(|refused| {
            if let Some(cause) = &refused.cause {
                log::warn!(session:% = self.id; "managesieve: no answer about a login: {cause}");
            }
            answers::unknown(&refused)
        })?;
        if let Some(cluster) = &self.room.needs.cluster {
            let (service, peer, session) = (Service::ManageSieve, self.peer, self.id);
            let is_encrypted = self.link.is_encrypted();
            let client = Client { service, peer, session, tag: "", is_encrypted, is_compressed: false };
            let away = cluster.hand_login_over(&logged_in, &client).await;
            if let Some(away) = away.map_err(|refused| later(&refused))? {
                return Ok(LoggedInAt::There(away));
            }
        }
        self.enter(logged_in).await.map(LoggedInAt::Here)
    }

    /// Lets in a user whose login is valid.
    async fn enter(&mut self, logged_in: LoggedIn) -> Result<String, Reply> {
        let LoggedIn { address, stay } = logged_in;
        let name = address.to_string();
        self.stop = stay.until(&self.stop);
        if let Some(cluster) = &self.room.needs.cluster {
            let kept = cluster.keep(&address, self.stop.clone()).await;
            self.residence = Some(kept.map_err(|refused| later(&refused))?);
        }
        self.stay = Some(stay);
        self.account = Some(address);
        self.limits.literals = self.room.needs.sieve.get().script_size.len().saturating_add(LITERALS_OF_STRANGERS);
        self.framer.set_limits(self.limits);
        Ok(name)
    }
}

/// RFC 5804 §1.3: a passing problem.
fn later(refused: &Refusal) -> Reply {
    if let Some(cause) = &refused.cause {
        log::warn!("managesieve: the mailboxes cannot be reached: {cause}");
    }
    Reply::no(refused.public.clone()).coded(Code::TryLater)
}

/// RFC 5804 §1.3: only clients whose script it may have been get the code for what is too large.
fn too_large(fault: Fault, authenticated: bool) -> Reply {
    let reply = Reply::no(fault.to_string());
    if authenticated && fault == Fault::Literals { reply.coded(Code::QuotaMaxSize) } else { reply }
}
