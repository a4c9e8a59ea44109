//! The control socket: how the command line speaks to a running role.
//!
//! A request is one line of JSON, and so is its answer; a connection carries any number of them. Anyone who can open the
//! socket is an administrator: its file has mode 0600, so only root and the role's user can. A second socket of each
//! role, for the monitoring page, only accepts requests that change nothing, and is open to the group. A third one, of
//! the role with the queue, only accepts mail from scripts and requests to leave mailing lists, from the role with the
//! mailboxes. Requests are small: a line longer than 64 KiB ends the connection.

mod client;
mod request;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::request::{Answer, Asked};
use super::administration::{self, Keeper};
use super::{Error, Parts, ServerSettings, figures, other_roles};
use crate::config::Role;
use crate::foundations::address::Domain;
use crate::foundations::failure::Kind;
use crate::foundations::net::{Bind, Connection, Inherited, Listener, ListenerOptions, Stream, UnixAccess};
use crate::foundations::tasks::Tasks;
use crate::services::certificates::acme::RenewalRequest;
use crate::services::handover::ListLeaving as _;
use crate::services::moving::rename;
use crate::services::summary::{Summary, letter};
use crate::storage::directory::Renaming;
use crate::storage::mailbox;

pub use self::client::{RequestError, ask, look_at_status};
pub(super) use self::client::{look_at_bans, look_at_certificates, look_at_figures, post};
pub use self::request::{Complaint, MailboxCommand, Nature, Request, Status};

/// A request to reload everything, which only the process as a whole can do. The answer is the changed settings that need a
/// restart.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who has asked.
    pub administrator: Option<String>,
    /// Where the answer goes.
    pub done: oneshot::Sender<Result<Vec<&'static str>, String>>,
}

/// Opens the control sockets of each role of this process, except those passed by systemd.
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
        let failed = |source| Error::Listen { protocol: None, bind: bind.clone(), source };
        for listener in Listener::bind(&bind, &[], access, inherited, &options).map_err(failed)? {
            let clock = Arc::clone(&parts.clock);
            let parts = Arc::clone(parts);
            let protocol = move |connection| serve(connection, Arc::clone(&parts), reach);
            tasks.spawn(listener.serve(tasks.clone(), tasks.clone(), clock, protocol));
        }
    }
    Ok(())
}

/// Which requests a socket accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// All of them.
    Everything,
    /// Those that change nothing.
    ReadOnly,
    /// Mail from scripts, and requests to leave mailing lists.
    Posting,
}

impl Reach {
    const ALL: [Self; 3] = [Self::Everything, Self::ReadOnly, Self::Posting];

    /// Mode of the socket's file.
    const fn mode(self) -> u32 {
        match self {
            // This socket allows sending for every account: if `access` runs as another user, systemd creates it.
            Self::Everything | Self::Posting => 0o600,
            Self::ReadOnly => 0o660,
        }
    }

    const fn includes(self, request: &Request) -> bool {
        matches!(
            (self, request),
            (Self::Everything, _)
                | (Self::ReadOnly, Request::Status | Request::BanList | Request::Certificates | Request::Figures)
                | (Self::Posting, Request::Post { .. } | Request::LeaveList { .. })
        )
    }

    /// The answer to a request that it does not include.
    const fn refusal(self) -> &'static str {
        match self {
            Self::Posting => "this socket accepts only messages from scripts and requests to leave lists",
            _ => "nothing can be changed over this socket",
        }
    }
}

/// A socket of a role.
fn socket(server: &ServerSettings, role: Role, reach: Reach) -> PathBuf {
    server.control_directory.join(match reach {
        Reach::Everything => format!("{}.sock", role.word()),
        Reach::ReadOnly => format!("{}-status.sock", role.word()),
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
        let answer = match serde_json::from_slice::<Asked<Request>>(&line) {
            Ok(Asked { request, .. }) if !reach.includes(&request) => Answer::Failed(Complaint::other(reach.refusal())),
            Ok(Asked { request: Request::Post { errand, size }, .. }) => {
                // Without reading the message, the next line could not be found.
                let Some(message) = attached(&mut stream, size, &parts, &stop).await else { return };
                match super::posting::perform(*errand, message, &parts).await {
                    Ok(id) => done(id).map_or_else(Answer::Failed, Answer::Done),
                    Err(refusal) => Answer::Failed(Complaint::new(Some(refusal.kind), refusal)),
                }
            }
            Ok(Asked { request, administrator }) => match perform(request, administrator.as_deref(), &parts).await {
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

/// The octets that follow a request; `None` if there are too many or they do not arrive.
async fn attached(
    stream: &mut BufReader<Stream>,
    size: u64,
    parts: &Parts,
    stop: &CancellationToken,
) -> Option<Vec<u8>> {
    if size > parts.live.smtp.get().passed_on_size().get() {
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

/// Carries out a request of this administrator.
async fn perform(request: Request, administrator: Option<&str>, parts: &Parts) -> Result<serde_json::Value, Complaint> {
    match request {
        Request::Status => done(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roles: parts.roles.to_string(),
            since: parts.since,
            process: std::process::id(),
            unopened: parts.unopened.clone(),
        }),
        Request::Reload => {
            let (done_at, told) = oneshot::channel();
            let gone = || Complaint::new(Some(Kind::Temporary), "the server is stopping");
            let reload = ReloadRequest { administrator: administrator.map(str::to_owned), done: done_at };
            parts.reloads.send(reload).await.map_err(|_| gone())?;
            told.await.map_err(|_| gone())?.map_err(Complaint::configuration).and_then(done)
        }
        Request::Forget => {
            parts.directory.forget();
            done(())
        }
        Request::Queue { command } => match &parts.queue {
            Some(queue) => {
                let journal = parts.journal.on_behalf_of(administrator);
                let result = administration::perform(command, Keeper::Running(queue, &journal)).await;
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
        Request::Rename { from, to, old } => {
            let Some(mailboxes) = &parts.mailboxes else {
                return Err(Complaint::other("this process has no mailboxes"));
            };
            let tag_separator = parts.live.routing.get().separator();
            let renaming = Renaming { from: &from, to: &to, old, tag_separator };
            let login = parts.live.login.get();
            let key_file = login.two_factor_key_file.as_deref();
            let renamed = rename(&parts.directory, mailboxes, &renaming, key_file).await;
            renamed.map_err(|error| Complaint::new(Some(error.kind()), error)).and_then(done)
        }
        Request::Summary { seconds } => send_summary(parts, Duration::from_secs(seconds)).await,
        Request::Certificates => done(parts.inspector.report(&parts.roles.to_string())),
        Request::CertificateCheck => {
            parts.inspector.inspect().await;
            done(parts.inspector.report(&parts.roles.to_string()))
        }
        Request::CertificateRenew { name } => renew(parts, name, administrator).await,
        Request::Post { .. } => Err(Complaint::other("the message is missing")),
        Request::LeaveList { page } => match parts.queue {
            Some(_) => parts.outbound.leave(&page).await.map_err(Complaint::other).and_then(done),
            None => Err(Complaint::other("this process has no queue and reaches no other hosts")),
        },
        Request::Figures => done(figures::own(parts).await),
        Request::BanList => done(parts.guard.bans()),
        Request::BanAdd { network, seconds, reason, recorded } => {
            let length = seconds.map(Duration::from_secs);
            let banned = if recorded {
                parts.guard.ban_as_elsewhere(network, length, &reason)
            } else {
                parts.guard.ban(network, length, &reason, administrator)
            };
            banned.map_err(Complaint::other).and_then(done)
        }
        Request::BanRemove { network } => done(parts.guard.unban(network, administrator)),
    }
}

async fn send_summary(parts: &Parts, length: Duration) -> Result<serde_json::Value, Complaint> {
    let now = parts.clock.now();
    let mut reports = vec![parts.inspector.report(&parts.roles.to_string())];
    reports.extend(other_roles::certificates_elsewhere(parts).await);
    let certificates: Vec<_> = reports.into_iter().flat_map(|report| report.certificates).collect();
    let hostname = parts.config.hostname.clone();
    let summary = Summary::read(&parts.sources(), hostname, now - length, &certificates).await;
    let summary = summary.map_err(|error| Complaint::new(Some(error.kind()), error))?;
    let Some(mail) = letter(&summary, &parts.live.summary.get(), now) else {
        return Err(Complaint::other("the summary has no recipients; set `summary.to` in the configuration"));
    };
    let to = mail.envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect::<Vec<_>>();
    match parts.intake.receive(mail, None).await {
        Ok(_) => done(to.join(", ")),
        Err(refusal) => Err(Complaint::new(Some(refusal.kind), refusal)),
    }
}

async fn renew(
    parts: &Parts,
    name: Option<Domain>,
    administrator: Option<&str>,
) -> Result<serde_json::Value, Complaint> {
    let (done_at, told) = oneshot::channel();
    let gone = || Complaint::new(Some(Kind::Temporary), "the server is stopping");
    let asked = name.clone();
    let request = RenewalRequest { name, administrator: administrator.map(str::to_owned), done: done_at };
    parts.renewals.send(request).await.map_err(|_| gone())?;
    let renewals = told.await.map_err(|_| gone())?;
    if renewals.is_empty() {
        let which = asked.map_or_else(|| "no certificate".to_owned(), |name| format!("no certificate for `{name}`"));
        let text = format!(
            "{which} is obtained by this server: only those in `tls.acme` are; others must be renewed where they come from"
        );
        return Err(Complaint::new(Some(Kind::NotFound), text));
    }
    done(renewals)
}

fn done(result: impl Serialize) -> Result<serde_json::Value, Complaint> {
    serde_json::to_value(result).map_err(Complaint::other)
}
const LONGEST_LINE: u64 = 64 << 10;
const PATIENCE_FOR_MESSAGES: Duration = Duration::from_secs(60);
const MOST_AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(5);
