//! The driver: reads, performs steps, writes. The room's only I/O.

mod transaction;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::maildrop::Maildrop;
use super::maildrops::{MaildropLock, Maildrops};
use super::reading::Reading;
use super::session::{Profile, Session, Step, refusal};
use super::settings::Pop3Settings;
use crate::foundations::clock::SharedClock;
use crate::foundations::ids::SessionId;
use crate::foundations::mail::{Peer, SequenceSet};
use crate::foundations::net::{Connection, Link, Lost, Plaintext, StartTls, TlsContext};
use crate::foundations::settings::Live;
use crate::foundations::wire::line::{BadLine, Lines};
use crate::foundations::wire::pop3::{Code, Reply};
use crate::foundations::wire::sasl::Credentials;
use crate::services::cluster::{self, Client, Cluster, go_on_elsewhere};
use crate::services::guard::{Failure, Guard, Pass, Patience, Service};
use crate::services::login::{LoggedIn, Login, LoginAttempt, Stay};
use crate::storage::journal::Journal;
use crate::storage::mailbox::{self, Access, FolderName, Mailboxes, View, Visit};

/// What POP3 sessions are given; filled by `daemon::build`.
#[derive(Clone)]
pub struct Needs {
    /// Limits and times.
    pub settings: Live<Pop3Settings>,
    /// Who may connect.
    pub guard: Guard,
    /// Checks passwords.
    pub login: Login,
    /// The mail.
    pub mailboxes: Mailboxes,
    /// Takes events.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
    /// Who has which mailboxes, where there are several nodes.
    pub cluster: Option<Cluster>,
    /// For STLS; `None` without a certificate.
    pub tls: Option<TlsContext>,
}

/// All POP3 sessions of this process.
pub struct Room {
    needs: Needs,
    maildrops: Maildrops,
}

impl Room {
    /// A room without sessions.
    pub fn new(needs: Needs) -> Self {
        Self { needs, maildrops: Maildrops::default() }
    }

    /// How many maildrops are taken now.
    pub fn maildrops(&self) -> usize {
        self.maildrops.taken()
    }
}

/// Serves one connection to its end.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let (peer, id) = (connection.peer, connection.session);
    let settings = room.needs.settings.get();
    let pass = match room.needs.guard.admit(&peer, Service::Pop3) {
        Ok(pass) => pass,
        Err(refused) => {
            if let Some(event) = room.needs.guard.turned_away(&refused, Service::Pop3, &peer, id) {
                room.needs.journal.record(event);
            }
            // Nothing can be said before a handshake, and an unwanted client gets none.
            if connection.handshake.is_none() {
                let mut link = Link::new(connection.stream, settings.stall_timeout.duration());
                Reply::coded(Code::SysTemp, refused.public).encode(&mut link.out);
                link.close().await;
            }
            return;
        }
    };
    let Some(connection) = connection.secured().await else { return };
    let mut driver = Driver::new(&room, settings, connection, pass);
    let greeting = driver.session.greeting();
    greeting.encode(&mut driver.link.out);
    let end = driver.converse().await;
    driver.finish(end).await;
}

/// Goes on with the session of a client that has logged in at another node.
pub async fn resume(connection: Connection, logged_in: LoggedIn, room: Arc<Room>) {
    // The client was let in, and is counted, where it has connected.
    let Ok(pass) = room.needs.guard.admit(&Peer::Unix, Service::Pop3) else { return };
    let mut driver = Driver::new(&room, room.needs.settings.get(), connection, pass);
    let result = driver.enter(logged_in).await;
    let step = driver.session.logged_in(result);
    let end = match driver.perform(step).await {
        Ok(()) => driver.converse().await,
        Err(end) => Err(end),
    };
    driver.finish(end).await;
}

fn profile(room: &Room, settings: &Pop3Settings, peer: &Peer) -> Profile {
    Profile {
        plaintext: Plaintext::from_client(peer, &settings.allow_plaintext),
        start_tls: StartTls::with(room.needs.tls.as_ref()),
        failed_logins: settings.failed_logins,
        uidl_format: settings.uidl_format,
    }
}

/// Why a session is over.
#[derive(Debug)]
enum End {
    /// The client said QUIT.
    Quit,
    /// The client made too many errors or failed logins.
    Errors,
    /// The client said nothing for too long.
    Idle,
    /// The server stops.
    Stopped,
    /// The account or password is no longer good.
    Over,
    /// A message could not be read to its end, so that its rest cannot be told from the next response.
    Cut(mailbox::Error),
    /// The session goes on at another node.
    Away(Box<cluster::Link>),
    /// The connection is of no use any more.
    Lost(Lost),
}

impl End {
    fn text(&self) -> Option<String> {
        match self {
            Self::Quit | Self::Away(_) => None,
            Self::Errors => Some("too many errors".to_owned()),
            Self::Idle => Some("the client said nothing".to_owned()),
            Self::Stopped => Some("the server stops".to_owned()),
            Self::Over => Some("its login is no longer valid".to_owned()),
            Self::Cut(error) => Some(format!("a message broke off: {error}")),
            Self::Lost(lost) => lost.text(),
        }
    }
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// Where somebody has logged in.
enum LoggedInAt {
    Here(Maildrop),
    There(Box<cluster::Link>),
}

/// What a session has once the client has logged in.
struct Opened {
    view: View,
    reading: Reading,
    account: String,
    #[expect(dead_code, reason = "held, never looked at")]
    visit: Option<Visit>,
    #[expect(dead_code, reason = "held, never looked at")]
    lock: MaildropLock,
}

/// One session's state on this side of the pure part.
struct Driver<'r> {
    room: &'r Room,
    settings: Arc<Pop3Settings>,
    peer: Peer,
    id: SessionId,
    stop: CancellationToken,
    /// How long the user who has logged in may stay.
    stay: Option<Stay>,
    pass: Pass,
    link: Link,
    lines: Lines,
    session: Session,
    opened: Option<Opened>,
}

impl<'r> Driver<'r> {
    fn new(room: &'r Room, settings: Arc<Pop3Settings>, connection: Connection, pass: Pass) -> Self {
        let Connection { stream, peer, session: id, stop, .. } = connection;
        let link = Link::new(stream, settings.stall_timeout.duration());
        let mut session = Session::new(profile(room, &settings, &peer));
        if link.is_encrypted() {
            session.secured();
        }
        let lines = Lines::new(settings.command_line as usize);
        Self { room, settings, peer, id, stop, stay: None, pass, link, lines, session, opened: None }
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
            log::info!(session:% = self.id, peer:% = self.peer; "pop3: the session ended: {text}");
        }
        self.mark_seen().await;
        match end {
            End::Away(away) => {
                go_on_elsewhere(self.link, away, self.stop, self.settings.stall_timeout.duration()).await;
            }
            _ => self.link.close().await,
        }
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        let begin = Instant::now();
        let mut waiting = begin;
        loop {
            match self.lines.next(&mut self.link.input) {
                Some(Ok(line)) => {
                    let step = self.session.line(&line);
                    self.perform(step).await?;
                }
                Some(Err(BadLine::Endless)) => return Err(End::Errors),
                Some(Err(error)) => {
                    self.session.line_refused();
                    self.reply(&Reply::err(error.to_string())).await?;
                }
                None => {
                    let mut deadline = waiting + self.settings.idle_timeout.duration();
                    if self.opened.is_none() {
                        deadline = deadline.min(begin + self.settings.login_timeout.duration());
                    }
                    self.wait(deadline).await?;
                    continue;
                }
            }
            waiting = Instant::now();
        }
    }

    /// Waits until more of a line has come.
    async fn wait(&mut self, deadline: Instant) -> Result<(), End> {
        self.link.flush().await?;
        self.link.shrink();
        let ahead = self.opened.as_mut().map(|opened| &mut opened.reading).filter(|reading| reading.is_ahead());
        let next = if ahead.is_some() { deadline.min(Instant::now() + THINKING) } else { deadline };
        tokio::select! {
            read = timeout_at(next, self.link.read(READ)) => match (read, ahead) {
                (Ok(read), _) => Ok(read?),
                (Err(_), Some(ahead)) => {
                    ahead.forget();
                    Ok(())
                }
                // RFC 1939 §3: close without a response, and do not enter the UPDATE state.
                (Err(_), None) => Err(End::Idle),
            },
            () = self.stop.cancelled() => {
                if self.stay.as_ref().is_some_and(Stay::is_over) {
                    // RFC 1939 §3: as after a long silence, nothing is removed.
                    Reply::coded(Code::Auth, Stay::FAREWELL).encode(&mut self.link.out);
                    return Err(End::Over);
                }
                Reply::coded(Code::SysTemp, "The server is stopping; try again in a moment").encode(&mut self.link.out);
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
                Step::Lines(reply, lines) => {
                    reply.encode(&mut self.link.out);
                    self.link.out.extend_from_slice(lines.as_bytes());
                    self.link.out.extend_from_slice(b".\r\n");
                    return Ok(self.link.flush_if_long().await?);
                }
                Step::List(reply, listing) => return self.list(&reply, listing).await,
                Step::Send { reply, number, uid, lines } => return self.send(&reply, number, uid, lines).await,
                Step::LogIn(credentials) => {
                    let result = match self.log_in(credentials).await {
                        Ok(LoggedInAt::There(away)) => return Err(End::Away(away)),
                        Ok(LoggedInAt::Here(maildrop)) => Ok(maildrop),
                        Err(reply) => Err(reply),
                    };
                    next = self.session.logged_in(result);
                }
                Step::Update(uids) => {
                    let result = self.update(&uids).await;
                    next = self.session.updated(result);
                }
                Step::StartTls(reply) => return self.start_tls(&reply).await,
                Step::Close(reply) => {
                    reply.encode(&mut self.link.out);
                    return Err(if reply.is_error() && self.opened.is_none() { End::Errors } else { End::Quit });
                }
            }
        }
    }

    /// Sends a line, and delays clients that err too often.
    async fn reply(&mut self, reply: &Reply) -> Result<(), End> {
        if reply.is_error() && self.pass.hold_back(&mut self.link, &self.stop).await? == Patience::Exhausted {
            Reply::coded(Code::SysTemp, "Too many errors; try again later").encode(&mut self.link.out);
            return Err(End::Errors);
        }
        reply.encode(&mut self.link.out);
        Ok(self.link.flush_if_long().await?)
    }

    async fn start_tls(&mut self, reply: &Reply) -> Result<(), End> {
        let Some(context) = &self.room.needs.tls else { return Err(End::Lost(Lost::Gone)) };
        reply.encode(&mut self.link.out);
        self.link.start_tls(context).await?;
        self.lines = Lines::new(self.settings.command_line as usize);
        self.session.secured();
        Ok(())
    }

    async fn log_in(&mut self, credentials: Credentials) -> Result<LoggedInAt, Reply> {
        let attempt = LoginAttempt::by_sasl(credentials, self.peer, self.id, Service::Pop3);
        let attempt = attempt.map_err(|refused| refusal(&refused))?;
        let needs = &self.room.needs;
        let logged_in = needs.login.verify(attempt).await.map_err(|refused| {
            if let Some(cause) = &refused.cause {
                log::warn!(session:% = self.id; "pop3: no answer about a login: {cause}");
            }
            refusal(&refused)
        })?;
        if let Some(cluster) = &needs.cluster {
            let (peer, session, is_encrypted) = (self.peer, self.id, self.link.is_encrypted());
            let client = Client { service: Service::Pop3, peer, session, tag: "", is_encrypted, is_compressed: false };
            let away = cluster.hand_login_over(&logged_in, &client).await;
            if let Some(away) = away.map_err(|refused| refusal(&refused))? {
                return Ok(LoggedInAt::There(away));
            }
        }
        self.enter(logged_in).await.map(LoggedInAt::Here)
    }

    /// Opens the maildrop of a user whose login is valid.
    async fn enter(&mut self, logged_in: LoggedIn) -> Result<Maildrop, Reply> {
        let (needs, LoggedIn { address, stay }) = (&self.room.needs, logged_in);
        let lock = self.room.maildrops.lock(&address).ok_or_else(|| {
            Reply::coded(Code::InUse, "Another session has this maildrop; try again when it has ended")
        })?;
        let opened = async {
            let user = needs.mailboxes.user(&address).await?;
            user.open(&FolderName::inbox(), Access::ReadWrite).await.map(|view| (user, view))
        };
        let (user, view) = opened.await.map_err(|error| self.trouble(&error))?;
        let all = SequenceSet::all();
        let maildrop = Maildrop::new(view.uid_validity(), view.rows(&all).map(|(_, row)| (row.uid, row.size)));
        self.stop = stay.until(&self.stop);
        let visit = Some(user.visit(self.stop.clone()));
        self.opened = Some(Opened { view, reading: Reading::default(), account: address.to_string(), visit, lock });
        self.stay = Some(stay);
        Ok(maildrop)
    }
}

/// Octets read at once.
const READ: usize = 1024;
/// How long a client may think before what was read ahead for it is given up.
const THINKING: Duration = Duration::from_secs(2);
