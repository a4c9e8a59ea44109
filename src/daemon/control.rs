//! The control socket: how the command line speaks to a running role.
//!
//! One line of JSON is a request, one line is the answer, on one connection as many as the client likes. Whoever may open
//! the socket is an administrator: its file has mode 0600, so that only root and the user the role runs as may. A second
//! socket of each role, for the monitoring page, answers only what changes nothing; the group may open it. A third one, of
//! the role with the queue, takes only what scripts send, from the role with the mailboxes. Requests are small, and a line
//! that is longer than 64 KiB ends the connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::administration::{self, Keeper, QueueCommand};
use super::figures::{self, ProcessFigures};
use super::{Error, Parts, ServerSettings, Unopened};
use crate::config::Role;
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::Timestamp;
use crate::foundations::failure::Kind;
use crate::foundations::net::{Bind, Connection, Inherited, Listener, ListenerOptions, Stream, UnixAccess};
use crate::foundations::tasks::Tasks;
use crate::services::certificates::acme::RenewalWish;
use crate::services::guard::Ban;
use crate::services::served::Report;
use crate::services::summary::{Summary, letter};
use crate::storage::mailbox::{self, Mailboxes};

/// What the command line may ask a running role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// What runs here: [`Status`].
    Status,
    /// Load configuration, certificates and declared accounts again.
    Reload,
    /// Forget what is remembered about domains, users and aliases, for they have been changed.
    Forget,
    /// Something for the queue: [`super::administration`].
    Queue {
        /// What.
        command: QueueCommand,
    },
    /// Something for a user's mailboxes.
    Mailboxes {
        /// Whose.
        user: Address,
        /// What.
        command: MailboxCommand,
    },
    /// Send the summary of the last so many seconds to the postmaster; whom it went to.
    Summary {
        /// How far back it goes.
        seconds: u64,
    },
    /// The certificates, and how listeners have served them: [`Report`].
    Certificates,
    /// Ask the listeners of this process for their certificates now: [`Report`].
    CertificateCheck,
    /// Renew certificates now, or those for a name: a list of [`crate::services::certificates::acme::Renewal`].
    CertificateRenew {
        /// Which.
        name: Option<Domain>,
    },
    /// Put a message of a user's script into the queue: the name of its entry. The message follows the line, so many octets.
    Post {
        /// Who sends what to whom.
        errand: Box<super::posting::Posted>,
        /// Octets of the message.
        size: u64,
    },
    /// What this process counts: [`super::figures::ProcessFigures`].
    Figures,
    /// The bans in force: a list of [`crate::services::guard::Ban`].
    BanList,
    /// Ban a network.
    BanAdd {
        /// Whom.
        network: IpNet,
        /// For how many seconds; unset for no end.
        seconds: Option<u64>,
        /// Why, for the log.
        reason: String,
    },
    /// Lift the bans of a network; how many there were.
    BanRemove {
        /// Whose.
        network: IpNet,
    },
}

/// What an administrator can have done to a user's mailboxes as a whole.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxCommand {
    /// Make their indexes anew.
    Reindex,
    /// Write Dovecot's lists of UIDs into them, so that it can take them over.
    WriteUidlists,
}

impl MailboxCommand {
    /// Does it, in the process that has the mailboxes.
    ///
    /// # Errors
    /// Files cannot be read or written.
    pub(super) async fn perform(self, mailboxes: &Mailboxes, user: &Address) -> Result<(), mailbox::Error> {
        let user = mailboxes.user(user).await?;
        match self {
            Self::Reindex => user.reindex().await,
            Self::WriteUidlists => user.write_uidlists().await,
        }
    }
}

/// What runs in a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its roles, with commas.
    pub roles: String,
    /// When it was started.
    pub since: Timestamp,
    /// Its process id.
    pub process: u32,
    /// Where it should listen and does not. A process of another version may not tell.
    #[serde(default)]
    pub unopened: Vec<Unopened>,
}

/// What comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Done(serde_json::Value),
    Failed(Complaint),
}

/// Why a running role did not do what was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Complaint {
    /// What it means for whoever asked.
    pub nature: Nature,
    /// The reason, for the administrator.
    pub text: String,
}

/// What a complaint means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// What was named does not exist.
    NotFound,
    /// It may work later.
    Temporary,
    /// Everything else.
    Other,
}

impl Complaint {
    fn new(kind: Option<Kind>, text: impl ToString) -> Self {
        let nature = match kind {
            Some(Kind::NotFound) => Nature::NotFound,
            Some(Kind::Temporary) => Nature::Temporary,
            _ => Nature::Other,
        };
        Self { nature, text: text.to_string() }
    }

    fn other(text: impl ToString) -> Self {
        Self::new(None, text)
    }
}

/// Something only the process as a whole can do.
#[derive(Debug)]
pub enum Wish {
    /// Load everything again, and tell what came of it.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// The request could not be made or was refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No role listens there.
    #[error("no server with the role `{role}` runs: nobody listens on `{}`", socket.display())]
    NotRunning {
        /// Which role was wanted.
        role: Role,
        /// Its socket.
        socket: PathBuf,
    },
    /// The socket cannot be used.
    #[error("the running server cannot be asked over `{}`: {source}", socket.display())]
    Socket {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server answered with an error.
    #[error("{}", .0.text)]
    Refused(Complaint),
}

/// Opens the control sockets of each role of this process, but those that systemd has passed.
pub(super) fn listen(parts: &Arc<Parts>, inherited: &mut Inherited, tasks: &Tasks) -> Result<(), Error> {
    let server = &parts.config.server;
    crate::foundations::files::create_directory(&server.control_directory, 0o750)?;
    let each = parts.roles.iter().flat_map(|role| Reach::ALL.map(|reach| (role, reach)));
    for (role, reach) in each.filter(|(role, reach)| *reach != Reach::Posting || *role == Role::Mta) {
        let bind = Bind::Unix(socket(server, role, reach));
        let access = UnixAccess { mode: reach.mode(), user: None, group: None };
        let options = ListenerOptions {
            name: "control",
            connections: MOST_AT_ONCE,
            implicit_tls: None,
            proxies: vec![],
            proxy_timeout: PATIENCE,
        };
        let failed = |source| Error::Listen { bind: bind.clone(), source };
        for listener in Listener::bind(&bind, &[], access, inherited, &options).map_err(failed)? {
            let clock = Arc::clone(&parts.clock);
            let parts = Arc::clone(parts);
            let protocol = move |connection| serve(connection, Arc::clone(&parts), reach);
            tasks.spawn(listener.serve(tasks.clone(), tasks.clone(), clock, protocol));
        }
    }
    Ok(())
}

/// What may be asked over a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// All of it.
    Everything,
    /// What changes nothing.
    Looking,
    /// What scripts send.
    Posting,
}

impl Reach {
    const ALL: [Self; 3] = [Self::Everything, Self::Looking, Self::Posting];

    /// Of the socket's file.
    const fn mode(self) -> u32 {
        match self {
            // Whoever posts may write for every account: where `access` is another user, systemd makes that socket.
            Self::Everything | Self::Posting => 0o600,
            Self::Looking => 0o660,
        }
    }

    const fn includes(self, request: &Request) -> bool {
        matches!(
            (self, request),
            (Self::Everything, _)
                | (Self::Looking, Request::Status | Request::BanList | Request::Certificates | Request::Figures)
                | (Self::Posting, Request::Post { .. })
        )
    }

    /// To a request that it does not include.
    const fn refusal(self) -> &'static str {
        match self {
            Self::Posting => "nothing but messages of scripts is taken over this socket",
            _ => "nothing can be changed over this socket",
        }
    }
}

/// A socket of a role.
fn socket(server: &ServerSettings, role: Role, reach: Reach) -> PathBuf {
    server.control_directory.join(match reach {
        Reach::Everything => format!("{}.sock", role.word()),
        Reach::Looking => format!("{}-status.sock", role.word()),
        Reach::Posting => format!("{}-post.sock", role.word()),
    })
}

async fn serve(connection: Connection, parts: Arc<Parts>, reach: Reach) {
    let Connection { stream, stop, .. } = connection;
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut stream).take(LONGEST_LINE);
        let read = tokio::select! {
            read = bounded.read_until(b'\n', &mut line) => read,
            () = stop.cancelled() => return,
        };
        if read.is_err() || line.last() != Some(&b'\n') {
            return;
        }
        let answer = match serde_json::from_slice(&line) {
            Ok(request) if !reach.includes(&request) => Answer::Failed(Complaint::other(reach.refusal())),
            Ok(Request::Post { errand, size }) => {
                // Without the message the next line could not be found.
                let Some(message) = attached(&mut stream, size, &parts, &stop).await else { return };
                match super::posting::perform(*errand, message, &parts).await {
                    Ok(id) => done(id).map_or_else(Answer::Failed, Answer::Done),
                    Err(refusal) => Answer::Failed(Complaint::new(Some(refusal.kind), refusal)),
                }
            }
            Ok(request) => match perform(request, &parts).await {
                Ok(result) => Answer::Done(result),
                Err(complaint) => Answer::Failed(complaint),
            },
            Err(error) => Answer::Failed(Complaint::other(format!("not a request: {error}"))),
        };
        let mut line = serde_json::to_vec(&answer).unwrap_or_default();
        line.push(b'\n');
        if stream.write_all(&line).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// The octets that follow a request; `None` when they are too many or do not come.
async fn attached(
    stream: &mut BufReader<Stream>,
    size: u64,
    parts: &Parts,
    stop: &CancellationToken,
) -> Option<Vec<u8>> {
    // Header lines that were added on the way come on top of what a client may send.
    let most = parts.lives.smtp.get().message_size.get().saturating_add(MOST_ADDED);
    if size > most {
        return None;
    }
    let mut octets = Vec::new();
    let mut bounded = stream.take(size);
    let read = tokio::select! {
        read = tokio::time::timeout(PATIENCE_FOR_MESSAGES, bounded.read_to_end(&mut octets)) => read.ok()?,
        () = stop.cancelled() => return None,
    };
    (read.ok()? as u64 == size).then_some(octets)
}

/// Does what is asked.
async fn perform(request: Request, parts: &Parts) -> Result<serde_json::Value, Complaint> {
    match request {
        Request::Status => done(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roles: parts.roles.to_string(),
            since: parts.since,
            process: std::process::id(),
            unopened: parts.unopened.clone(),
        }),
        Request::Reload => {
            let (tell, told) = oneshot::channel();
            let gone = || Complaint::new(Some(Kind::Temporary), "the server is stopping");
            parts.wishes.send(Wish::Reload(tell)).await.map_err(|_| gone())?;
            told.await.map_err(|_| gone())?.map_err(Complaint::other).and_then(done)
        }
        Request::Forget => {
            parts.directory.forget();
            done(())
        }
        Request::Queue { command } => match &parts.queue {
            Some(queue) => {
                let result = administration::perform(command, Keeper::Running(queue)).await;
                result.map_err(|error| Complaint::new(error.kind(), error))
            }
            None => Err(Complaint::other("this process has no queue")),
        },
        Request::Mailboxes { user, command } => {
            let Some(mailboxes) = &parts.mailboxes else {
                return Err(Complaint::other("this process has no mailboxes"));
            };
            let said = |error: mailbox::Error| Complaint::new(Some(error.kind()), error);
            command.perform(mailboxes, &user).await.map_err(said).and_then(done)
        }
        Request::Summary { seconds } => send_summary(parts, Duration::from_secs(seconds)).await,
        Request::Certificates => done(parts.inspector.report(&parts.roles.to_string())),
        Request::CertificateCheck => {
            parts.inspector.inspect().await;
            done(parts.inspector.report(&parts.roles.to_string()))
        }
        Request::CertificateRenew { name } => renew(parts, name).await,
        Request::Post { .. } => Err(Complaint::other("the message is missing")),
        Request::Figures => done(figures::own(parts)),
        Request::BanList => done(parts.guard.bans()),
        Request::BanAdd { network, seconds, reason } => {
            let banned = parts.guard.ban(network, seconds.map(Duration::from_secs), &reason);
            banned.map_err(Complaint::other).and_then(done)
        }
        Request::BanRemove { network } => done(parts.guard.unban(network)),
    }
}

async fn send_summary(parts: &Parts, length: Duration) -> Result<serde_json::Value, Complaint> {
    let now = parts.clock.now();
    let summary = Summary::read(&parts.sources(), parts.config.hostname.clone(), now - length).await;
    let summary = summary.map_err(|error| Complaint::new(Some(error.kind()), error))?;
    let Some(mail) = letter(&summary, &parts.lives.summary.get(), now) else {
        return Err(Complaint::other("nobody is to get the summary; set summary.to in the configuration"));
    };
    let to = mail.envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect::<Vec<_>>();
    match parts.intake.receive(mail).await {
        Ok(_) => done(to.join(", ")),
        Err(refusal) => Err(Complaint::new(Some(refusal.kind), refusal)),
    }
}

async fn renew(parts: &Parts, name: Option<Domain>) -> Result<serde_json::Value, Complaint> {
    let (done_at, told) = oneshot::channel();
    let gone = || Complaint::new(Some(Kind::Temporary), "the server is stopping");
    let asked = name.clone();
    parts.renewals.send(RenewalWish { name, done: done_at }).await.map_err(|_| gone())?;
    let renewals = told.await.map_err(|_| gone())?;
    if renewals.is_empty() {
        let which = asked.map_or_else(|| "no certificate".to_owned(), |name| format!("no certificate for `{name}`"));
        let text = format!(
            "{which} is obtained by this server: `tls.acme` names those; others are renewed where they come from"
        );
        return Err(Complaint::new(Some(Kind::NotFound), text));
    }
    done(renewals)
}

fn done(result: impl Serialize) -> Result<serde_json::Value, Complaint> {
    serde_json::to_value(result).map_err(Complaint::other)
}

/// Asks the running server that has a role.
///
/// # Errors
/// None runs, it cannot be reached, or it refuses.
pub async fn ask<T: DeserializeOwned>(
    server: &ServerSettings,
    role: Role,
    request: &Request,
) -> Result<T, RequestError> {
    ask_over(socket(server, role, Reach::Everything), role, request, &[]).await
}

/// Posts a message, whose octets follow the request, by the role with the queue.
///
/// # Errors
/// As [`ask`].
pub(super) async fn post<T: DeserializeOwned>(
    server: &ServerSettings,
    request: &Request,
    pieces: &[&[u8]],
) -> Result<T, RequestError> {
    ask_over(socket(server, Role::Mta, Reach::Posting), Role::Mta, request, pieces).await
}

/// The certificates of a running role, asked over the socket that changes nothing.
///
/// # Errors
/// As [`ask`].
pub async fn look_at_certificates(server: &ServerSettings, role: Role) -> Result<Report, RequestError> {
    ask_over(socket(server, role, Reach::Looking), role, &Request::Certificates, &[]).await
}

/// What runs in the process of a role, asked over the socket that changes nothing.
///
/// # Errors
/// As [`ask`].
pub async fn look_at_status(server: &ServerSettings, role: Role) -> Result<Status, RequestError> {
    ask_over(socket(server, role, Reach::Looking), role, &Request::Status, &[]).await
}

/// What the process of a running role counts, asked over the socket that changes nothing.
///
/// # Errors
/// As [`ask`].
pub(super) async fn look_at_figures(server: &ServerSettings, role: Role) -> Result<ProcessFigures, RequestError> {
    ask_over(socket(server, role, Reach::Looking), role, &Request::Figures, &[]).await
}

/// The bans that a running role has, asked over the socket that changes nothing.
///
/// # Errors
/// As [`ask`].
pub async fn look_at_bans(server: &ServerSettings, role: Role) -> Result<Vec<Ban>, RequestError> {
    ask_over(socket(server, role, Reach::Looking), role, &Request::BanList, &[]).await
}

async fn ask_over<T: DeserializeOwned>(
    socket: PathBuf,
    role: Role,
    request: &Request,
    pieces: &[&[u8]],
) -> Result<T, RequestError> {
    use std::io::ErrorKind;
    let failed = |source| RequestError::Socket { socket: socket.clone(), source };
    let stream = match tokio::net::UnixStream::connect(&socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Err(RequestError::NotRunning { role, socket });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_vec(request).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(failed)?;
    for piece in pieces {
        stream.write_all(piece).await.map_err(failed)?;
    }
    line.clear();
    stream.read_until(b'\n', &mut line).await.map_err(failed)?;
    let malformed = |error: serde_json::Error| failed(error.into());
    match serde_json::from_slice(&line).map_err(malformed)? {
        Answer::Done(value) => serde_json::from_value(value).map_err(malformed),
        Answer::Failed(complaint) => Err(RequestError::Refused(complaint)),
    }
}

const LONGEST_LINE: u64 = 64 << 10;
const MOST_ADDED: u64 = 1 << 20;
const PATIENCE_FOR_MESSAGES: Duration = Duration::from_secs(60);
const MOST_AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(5);
