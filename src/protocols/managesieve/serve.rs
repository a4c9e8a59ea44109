//! The driver: reads, performs steps, writes. The room's only I/O.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answers;
use super::session::{Plaintext, Profile, Session, StartTls, Step, Wish};
use super::settings::ManageSieveSettings;
use crate::foundations::address::Address;
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Refusal;
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::foundations::net::{Connection, Link, Lost, TlsContext};
use crate::foundations::settings::Live;
use crate::foundations::wire::managesieve::{Code, Condition, Fault, Framed, Framer, Limits, Reply, string};
use crate::foundations::wire::sasl::Credentials;
use crate::services::cluster::{self, Client, Cluster, Residence, splice};
use crate::services::guard::{Failure, Guard, Pass, Penalty, Service};
use crate::services::login::{LoggedIn, Login, LoginAttempt, Stay};
use crate::services::sieve::{Compiled, EXTENSIONS, Mistake, NOTIFY_METHODS, SieveSettings, compile};
use crate::storage::journal::Journal;
use crate::storage::scripts::{self, ScriptName, Scripts};

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
    let Connection { stream, peer, session: id, stop, .. } = connection;
    let settings = room.needs.settings.get();
    let limits = Limits { line: settings.command_line as usize, literals: LITERALS_OF_STRANGERS, skip: SKIP };
    let mut link = Link::new(stream, settings.stall_timeout.duration());
    let pass = match room.needs.guard.admit(&peer, Service::ManageSieve) {
        Ok(pass) => pass,
        Err(refused) => {
            let event = Event::new(room.needs.clock.now(), EventKind::ConnectionRefused).session(id);
            room.needs.journal.record(event.with("peer", peer.to_string()).with("reason", refused.to_string()));
            Reply::bye(refused.public).coded(Code::TryLater).encode(&mut link.out);
            link.close().await;
            return;
        }
    };
    let session = Session::new(profile(&room, &settings, &peer));
    let framer = Framer::new(limits);
    let mut driver = Driver {
        room: &room,
        settings,
        limits,
        peer,
        id,
        stop,
        stay: None,
        pass,
        link,
        framer,
        session,
        account: None,
        residence: None,
    };
    let end = driver.greet_and_converse().await;
    driver.finish(end).await;
}

/// Goes on with the session of a client that has logged in at another node.
pub async fn resume(connection: Connection, logged_in: LoggedIn, room: Arc<Room>) {
    let Connection { stream, peer, session: id, stop, .. } = connection;
    let settings = room.needs.settings.get();
    // The client was let in, and is counted, where it has connected.
    let Ok(pass) = room.needs.guard.admit(&Peer::Unix, Service::ManageSieve) else { return };
    let limits = Limits { line: settings.command_line as usize, literals: LITERALS_OF_STRANGERS, skip: SKIP };
    let mut driver = Driver {
        link: Link::new(stream, settings.stall_timeout.duration()),
        session: Session::new(profile(&room, &settings, &peer)),
        room: &room,
        settings,
        limits,
        peer,
        id,
        stop,
        stay: None,
        pass,
        framer: Framer::new(limits),
        account: None,
        residence: None,
    };
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
    let plaintext = match peer.ip() {
        Some(ip) => settings.allow_plaintext.iter().any(|network| network.contains(&ip)),
        // What comes over a Unix socket passes no wire.
        None => true,
    };
    Profile {
        plaintext: if plaintext { Plaintext::Allowed } else { Plaintext::UnderTls },
        start_tls: if room.needs.tls.is_some() { StartTls::Offered } else { StartTls::Unavailable },
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
    /// The account or password is good no longer.
    Over,
    /// The session goes on at another node.
    Away(Box<cluster::Link>),
    /// The connection is of no use any more.
    Lost(Lost),
}

impl End {
    fn text(&self) -> Option<String> {
        match self {
            Self::Logout | Self::Away(_) | Self::Lost(Lost::Gone) => None,
            Self::Errors => Some("too many errors".to_owned()),
            Self::Idle => Some("the client said nothing".to_owned()),
            Self::Stopped => Some("the server stops".to_owned()),
            Self::Over => Some("its login is good no longer".to_owned()),
            Self::Lost(Lost::Stalled) => Some("the client took too long to read".to_owned()),
            Self::Lost(Lost::Broken(error)) => Some(error.to_string()),
        }
    }
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// A session that goes on has no value to give.
enum Never {}

/// One session's state on this side of the pure part.
struct Driver<'r> {
    room: &'r Room,
    settings: Arc<ManageSieveSettings>,
    limits: Limits,
    peer: Peer,
    id: SessionId,
    stop: CancellationToken,
    /// How long whoever has logged in may stay.
    stay: Option<Stay>,
    pass: Pass,
    link: Link,
    framer: Framer,
    session: Session,
    account: Option<Address>,
    /// Among several nodes: counted while the mailboxes, and the scripts with them, are here.
    residence: Option<Residence>,
}

/// Where somebody has logged in.
enum LoggedInAt {
    Here(String),
    There(Box<cluster::Link>),
}

impl Driver<'_> {
    /// Ends the connection, or passes it on to another node.
    async fn finish(mut self, end: Result<Never, End>) {
        let end = match end {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if matches!(end, End::Errors) {
            self.room.needs.guard.failed(&self.peer, Failure::Session);
        }
        if let Some(text) = end.text() {
            log::info!(session:% = self.id, peer:% = self.peer; "managesieve: the session ended: {text}");
        }
        match end {
            End::Away(away) => {
                let (stop, stall) = (self.stop.clone(), self.settings.stall_timeout.duration());
                if self.link.flush().await.is_ok()
                    && let Some((stream, begun)) = self.link.into_transport()
                {
                    Box::pin(splice(stream, *away, begun, stop, stall)).await;
                }
            }
            _ => self.link.close().await,
        }
    }

    async fn greet_and_converse(&mut self) -> Result<Never, End> {
        let greeting = if self.link.is_encrypted() { self.session.secured() } else { self.session.greeting() };
        self.perform(greeting).await?;
        self.converse().await
    }

    async fn converse(&mut self) -> Result<Never, End> {
        let begin = Instant::now();
        let mut waiting = begin;
        loop {
            match self.framer.feed(&mut self.link.input) {
                Framed::Command(command) => {
                    let step = self.session.command(&command);
                    self.perform(step).await?;
                }
                Framed::Refused(fault) => self.reply(&too_large(fault, self.session.is_authenticated())).await?,
                Framed::Lost => {
                    Reply::bye("The command does not end").encode(&mut self.link.out);
                    return Err(End::Errors);
                }
                Framed::More(wanted) => {
                    let mut deadline = waiting + self.settings.idle_timeout.duration();
                    if self.account.is_none() {
                        deadline = deadline.min(begin + self.settings.login_timeout.duration());
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

    /// Sends a response, and makes clients wait that err too often.
    async fn reply(&mut self, reply: &Reply) -> Result<(), End> {
        if reply.condition() != Condition::Ok {
            match self.pass.error() {
                Penalty::None => {}
                Penalty::Delay(delay) => {
                    self.link.flush().await?;
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                Penalty::Disconnect => {
                    Reply::bye("Too many errors; try again later").coded(Code::TryLater).encode(&mut self.link.out);
                    return Err(End::Errors);
                }
            }
        }
        reply.encode(&mut self.link.out);
        Ok(self.link.flush_if_long().await?)
    }

    async fn log_in(&mut self, credentials: Credentials) -> Result<LoggedInAt, Reply> {
        // RFC 4616 §2: nobody here may act for another.
        if credentials.authorization.is_some() {
            return Err(Reply::no("You may act as yourself only"));
        }
        let attempt = LoginAttempt {
            username: credentials.username,
            password: credentials.password,
            peer: self.peer,
            session: self.id,
            service: Service::ManageSieve,
        };
        let logged_in = self.room.needs.login.verify(attempt).await.map_err(|refused| {
            if let Some(cause) = &refused.cause {
                log::warn!(session:% = self.id; "managesieve: no answer about a login: {cause}");
            }
            answers::unknown(&refused)
        })?;
        if let Some(cluster) = &self.room.needs.cluster
            && let Some(other) = cluster.elsewhere(&logged_in.address).await.map_err(|refused| later(&refused))?
        {
            let (peer, session, is_encrypted) = (self.peer, self.id, self.link.is_encrypted());
            let client = Client { service: Service::ManageSieve, peer, session, tag: "", is_encrypted };
            let away = cluster.hand_login_over(&other, &logged_in, &client).await;
            return away.map(LoggedInAt::There).map_err(|refused| later(&refused));
        }
        self.enter(logged_in).await.map(LoggedInAt::Here)
    }

    /// Lets somebody in whose login is good.
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

    /// Does what the client wants done with its scripts: the lines and the response that tell of it.
    async fn fulfil(&self, wish: Wish) -> (Vec<u8>, Reply) {
        match self.try_to(wish).await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, scripts::Error::File(_) | scripts::Error::BadUser(_)) {
                    log::warn!(session:% = self.id; "managesieve: scripts cannot be used: {error}");
                }
                (Vec::new(), answers::refused(&error))
            }
        }
    }

    async fn try_to(&self, wish: Wish) -> Result<(Vec<u8>, Reply), scripts::Error> {
        let Some(account) = &self.account else { return Err(scripts::Error::Closing) };
        let store = &self.room.needs.scripts;
        let alone = |reply: Reply| Ok((Vec::new(), reply));
        match wish {
            Wish::Check(source) => match self.compile(source).await? {
                (_, Ok(compiled)) => alone(answers::fine("The script is without mistakes", &compiled.warnings)),
                (_, Err(mistakes)) => alone(Reply::no(answers::lines(&mistakes))),
            },
            Wish::Put(name, source) => {
                let (source, compiled) = self.compile(source).await?;
                let compiled = match compiled {
                    Ok(compiled) => compiled,
                    Err(mistakes) => return alone(Reply::no(answers::lines(&mistakes))),
                };
                let size = source.len();
                let put = name.clone();
                store.job(account, move |home| home.put(&put, &source)).await?;
                self.changed("stored", Some(&name), |event| event.with("size", size));
                alone(answers::fine("The script is stored", &compiled.warnings))
            }
            Wish::SetActive(Some(name)) => {
                let wanted = name.clone();
                let source = store.job(account, move |home| home.read(&wanted)).await?;
                // It may have been put there by another program.
                if let (_, Err(mistakes)) = self.compile(source).await? {
                    return alone(Reply::no(answers::lines(&mistakes)));
                }
                let wanted = name.clone();
                store.job(account, move |home| home.activate(Some(&wanted))).await?;
                self.changed("activated", Some(&name), |event| event);
                alone(Reply::ok("The script is active"))
            }
            Wish::SetActive(None) => {
                store.job(account, |home| home.activate(None)).await?;
                self.changed("deactivated", None, |event| event);
                alone(Reply::ok("No script is active"))
            }
            Wish::List => {
                let list = store.job(account, scripts::Home::list).await?;
                Ok((answers::list(&list), Reply::ok("")))
            }
            Wish::Get(name) => {
                let source = store.job(account, move |home| home.read(&name)).await?;
                // RFC 5804 §2.9: a string; a literal for every script, so that clients read one form.
                let mut out = format!("{{{}}}\r\n", source.len()).into_bytes();
                out.extend_from_slice(&source);
                out.extend_from_slice(b"\r\n");
                Ok((out, Reply::ok("")))
            }
            Wish::HaveSpace(name, size) => {
                store.job(account, move |home| home.has_space(&name, u64::from(size))).await?;
                alone(Reply::ok("There is room"))
            }
            Wish::Delete(name) => {
                let gone = name.clone();
                store.job(account, move |home| home.delete(&gone)).await?;
                self.changed("deleted", Some(&name), |event| event);
                alone(Reply::ok("The script is gone"))
            }
            Wish::Rename(from, to) => {
                let (old, new) = (from.clone(), to.clone());
                store.job(account, move |home| home.rename(&old, &new)).await?;
                self.changed("renamed", Some(&to), |event| event.with("from", from.as_str()));
                alone(Reply::ok("The script has its new name"))
            }
        }
    }

    /// Compiles a script on a thread that may take its time.
    async fn compile(&self, source: Vec<u8>) -> Result<(Vec<u8>, Result<Compiled, Vec<Mistake>>), scripts::Error> {
        let settings = self.room.needs.sieve.get();
        let job = tokio::task::spawn_blocking(move || {
            let compiled = compile(&source, &settings);
            (source, compiled)
        });
        job.await.map_err(|_| scripts::Error::Closing)
    }

    fn changed(&self, what: &'static str, name: Option<&ScriptName>, more: impl FnOnce(Event) -> Event) {
        let account = self.account.as_ref().map(ToString::to_string).unwrap_or_default();
        let event = Event::new(self.room.needs.clock.now(), EventKind::ScriptChanged).session(self.id);
        let event = event.subject(account).with("what", what);
        let event = match name {
            Some(name) => event.with("script", name.as_str()),
            None => event,
        };
        self.room.needs.journal.record(more(event));
    }
}

/// RFC 5804 §1.3: a passing problem.
fn later(refused: &Refusal) -> Reply {
    if let Some(cause) = &refused.cause {
        log::warn!("managesieve: the mailboxes cannot be reached: {cause}");
    }
    Reply::no(refused.public.clone()).coded(Code::TryLater)
}

/// RFC 5804 §1.3: what is too large is told by its code to those whose script it may have been.
fn too_large(fault: Fault, authenticated: bool) -> Reply {
    let reply = Reply::no(fault.to_string());
    if authenticated && fault == Fault::Literals { reply.coded(Code::QuotaMaxSize) } else { reply }
}
