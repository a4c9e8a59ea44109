//! From a connection to a session in which mail can be sent: greeting, EHLO, TLS, login.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::report::tlsrpt::ResultType;

use super::attempt::{By, Contact, Verified};
use super::demand::REQUIRETLS;
use super::dialogue::{Broken, Dialogue};
use super::hosts::loops;
use super::reach::is_without_route;
use super::route::{OutboundParts, Way};
use super::tls::handshake;
use super::{Io, OutboundSettings, Protection, Scope, Timeouts, TlsPolicy, Trouble};
use crate::foundations::address::Domain;
use crate::foundations::mail::TlsFacts;
use crate::foundations::wire::smtp::{Class, EnhancedStatus, Extensions};
use crate::services::filter::Filter;

/// A session that is ready for MAIL.
pub(super) struct Session {
    pub(super) dialogue: Dialogue,
    pub(super) extensions: Extensions,
    pub(super) contact: Arc<Contact>,
    pub(super) mode: Mode,
    /// How many transactions it has seen.
    pub(super) transactions: u32,
    /// Why it is without TLS, where a handshake has failed.
    pub(super) fell_back: Option<ResultType>,
    /// What makes our signatures again where a message is converted.
    pub(super) filter: Option<Arc<Filter>>,
}

impl Session {
    /// With another process of ours.
    pub(super) fn local(dialogue: Dialogue, extensions: Extensions, mode: Mode, contact: Contact) -> Self {
        let contact = Arc::new(contact);
        Self { dialogue, extensions, contact, mode, transactions: 0, fell_back: None, filter: None }
    }

    /// After how many transactions it ends: as the host has announced it, or as the settings say.
    pub(super) fn most_transactions(&self, settings: &OutboundSettings) -> u32 {
        self.extensions.limits.mails.unwrap_or(u32::MAX).min(settings.messages_per_connection.max(1))
    }
}

/// Why there is no session.
#[derive(Debug)]
pub(super) struct Unopened {
    pub(super) trouble: Trouble,
    /// Where it was about TLS, what reports call it.
    pub(super) tls: Option<ResultType>,
    /// Whether this machine has a way to addresses of that kind at all.
    pub(super) has_route: bool,
}

impl Unopened {
    /// Because TLS is not what it must be.
    pub(super) fn for_lack_of_tls(trouble: Trouble, reported: ResultType) -> Self {
        Self { tls: Some(reported), ..Self::from(trouble) }
    }
}

impl From<Trouble> for Unopened {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, tls: None, has_route: true }
    }
}

/// The dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Smtp,
    /// RFC 2033: LHLO, and a reply per recipient after the message.
    Lmtp,
}

/// Where to connect, and what is demanded.
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) address: SocketAddr,
    pub(super) way: &'a Way,
    pub(super) policy: TlsPolicy,
    /// Who demands that.
    pub(super) by: &'static str,
    pub(super) finding: Finding,
}

/// Who has named the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// The destination's DNS, which may lead back here.
    ByDns,
    /// A route of the administrator.
    ByRoute,
}

/// Whether TLS is tried at all: after a failed handshake it is not, where the policy allows that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    AsOffered,
    Skipped,
}

enum NotOpen {
    /// This is final.
    For(Unopened),
    /// The handshake failed; a new connection without TLS may do.
    Handshake(Trouble, ResultType),
}

impl From<Trouble> for NotOpen {
    fn from(trouble: Trouble) -> Self {
        Self::For(trouble.into())
    }
}

impl From<Unopened> for NotOpen {
    fn from(unopened: Unopened) -> Self {
        Self::For(unopened)
    }
}

impl NotOpen {
    /// TLS is demanded, and the host has none.
    fn without_tls(trouble: Trouble) -> Self {
        Self::For(Unopened::for_lack_of_tls(trouble, ResultType::StartTlsNotSupported))
    }

    /// TLS was begun. RFC 8446 §4.4.2.4: a host that does not like our side of the handshake, for example because it wants a
    /// certificate of ours, says so only when we believe it to be over.
    fn after_handshake(trouble: Trouble, policy: &TlsPolicy) -> Self {
        match (trouble.by, policy) {
            (By::Us, TlsPolicy::May) => Self::Handshake(trouble, ResultType::ValidationFailure),
            _ => trouble.into(),
        }
    }

    fn final_word(self) -> Unopened {
        match self {
            Self::For(unopened) => unopened,
            Self::Handshake(trouble, result) => Unopened::for_lack_of_tls(trouble, result),
        }
    }
}

/// Opens a session as the target's policy demands.
pub(super) async fn open(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    target: &Target<'_>,
) -> Result<Session, Unopened> {
    let opened = open_as_demanded(parts, settings, target).await;
    opened.map_err(|unopened| if target.by == REQUIRETLS { by_sender(unopened) } else { unopened })
}

/// If a host lacks what the sender of one message demands, that is no fault of the destination: it may serve all other messages.
fn by_sender(mut unopened: Unopened) -> Unopened {
    if unopened.tls.is_some() {
        unopened.trouble.scope = Scope::Message;
    }
    unopened
}

async fn open_as_demanded(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    target: &Target<'_>,
) -> Result<Session, Unopened> {
    match open_once(parts, settings, target, Encryption::AsOffered).await {
        Ok(session) => Ok(session),
        Err(NotOpen::Handshake(_, result)) if target.policy == TlsPolicy::May && target.way.login.is_none() => {
            let plain = open_once(parts, settings, target, Encryption::Skipped).await.map_err(NotOpen::final_word)?;
            Ok(Session { fell_back: Some(result), ..plain })
        }
        Err(not_open) => Err(not_open.final_word()),
    }
}

async fn open_once(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    target: &Target<'_>,
    encryption: Encryption,
) -> Result<Session, NotOpen> {
    let times = &settings.timeouts;
    let mut stream = connect(parts, settings, target).await?;
    let mut tls = None;
    if target.way.protection == Protection::Implicit {
        let secured = secure(parts, target, stream, times).await;
        let (encrypted, facts, verified) =
            secured.map_err(|(trouble, result)| Unopened::for_lack_of_tls(trouble, result))?;
        stream = encrypted;
        tls = Some((facts, verified));
    }
    let (mut dialogue, mut extensions) = begin(Dialogue::new(stream), &parts.hostname, times).await?;
    if target.finding == Finding::ByDns && extensions.host.eq_ignore_ascii_case(parts.hostname.as_str()) {
        dialogue.quit(times.quit.duration()).await;
        return Err(loops(target.host).into());
    }
    if tls.is_none() && encryption == Encryption::AsOffered {
        if extensions.start_tls {
            match start_tls(dialogue, parts, target, times).await? {
                Started::Encrypted(fresh, facts, verified) => {
                    dialogue = fresh;
                    tls = Some((facts, verified));
                    // RFC 3207 §4.2: what was said before the handshake is forgotten.
                    let greeted = hello(&mut dialogue, &parts.hostname, Mode::Smtp, times.hello.duration()).await;
                    extensions = greeted.map_err(|trouble| NotOpen::after_handshake(trouble, &target.policy))?;
                }
                Started::Declined(same) => dialogue = same,
            }
        } else if target.policy != TlsPolicy::May {
            return Err(NotOpen::without_tls(no_tls_offered(target)));
        }
    }
    let (tls, verified) = tls.map_or((None, Verified::No), |(facts, verified)| (Some(facts), verified));
    if let Some((username, file)) = &target.way.login {
        if tls.is_none() {
            let text = format!("A password would go to {} without TLS; it is not sent", target.host);
            return Err(destination(4, 7, 4, text).into());
        }
        log_in(&mut dialogue, &extensions, username, file, times.hello.duration()).await?;
    }
    let host = target.host.to_owned();
    let contact = Arc::new(Contact { host, address: Some(target.address), tls, verified, policy: target.by });
    let filter = parts.filter.clone();
    Ok(Session { dialogue, extensions, contact, mode: Mode::Smtp, transactions: 0, fell_back: None, filter })
}

async fn connect(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    target: &Target<'_>,
) -> Result<Box<dyn Io>, Unopened> {
    let source = match target.address.ip() {
        IpAddr::V4(_) => settings.source_ipv4,
        IpAddr::V6(_) => settings.source_ipv6,
    };
    let limit = settings.timeouts.connect.duration();
    let connecting = parts.connector.connect(target.address, source);
    let result = tokio::time::timeout(limit, connecting).await;
    let (cause, has_route) = match result {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => (error.to_string(), !is_without_route(&error)),
        Err(_) => (format!("no answer within {limit:?}"), true),
    };
    let trouble = destination(4, 4, 1, format!("Cannot connect to {} at {}: {cause}", target.host, target.address));
    Err(Unopened { has_route, ..Unopened::from(trouble) })
}

fn no_tls_offered(target: &Target<'_>) -> Trouble {
    let text = format!("TLS is required here, but {} does not offer it", target.host);
    // RFC 8689 §4.2.1: what must not travel without TLS goes back; 5.7.10 says that the next host has none.
    match target.by {
        REQUIRETLS => destination(5, 7, 10, text),
        _ => destination(4, 7, 4, text),
    }
}

/// The host's greeting and ours.
async fn begin(mut dialogue: Dialogue, own: &Domain, times: &Timeouts) -> Result<(Dialogue, Extensions), Trouble> {
    let greeted = match greeting(&mut dialogue, times).await {
        Ok(()) => hello(&mut dialogue, own, Mode::Smtp, times.hello.duration()).await,
        Err(trouble) => Err(trouble),
    };
    match greeted {
        Ok(extensions) => Ok((dialogue, extensions)),
        Err(trouble) => {
            // RFC 5321 §3.1: a host that serves no mail waits for QUIT.
            if trouble.by == By::Remote {
                dialogue.quit(times.quit.duration()).await;
            }
            Err(trouble)
        }
    }
}

/// The host's greeting.
pub(super) async fn greeting(dialogue: &mut Dialogue, times: &Timeouts) -> Result<(), Trouble> {
    let reply = dialogue.reply(times.greeting.duration()).await.map_err(|broken| broken.trouble("the greeting"))?;
    if reply.is_success() { Ok(()) } else { Err(Trouble::of_host(&reply)) }
}

/// EHLO or LHLO, and HELO where EHLO is not understood (RFC 5321 §3.2).
pub(super) async fn hello(
    dialogue: &mut Dialogue,
    own: &Domain,
    mode: Mode,
    limit: Duration,
) -> Result<Extensions, Trouble> {
    let verb = if mode == Mode::Lmtp { "LHLO" } else { "EHLO" };
    let broken = |broken: Broken| broken.trouble(verb);
    let reply = dialogue.ask(format!("{verb} {own}\r\n").as_bytes(), limit).await.map_err(broken)?;
    if reply.is_success() {
        return Ok(Extensions::parse(&reply));
    }
    if mode == Mode::Lmtp || reply.class() != Class::Permanent {
        return Err(Trouble::of_host(&reply));
    }
    let reply = dialogue.ask(format!("HELO {own}\r\n").as_bytes(), limit).await.map_err(broken)?;
    if reply.is_success() { Ok(Extensions::default()) } else { Err(Trouble::of_host(&reply)) }
}

enum Started {
    Encrypted(Dialogue, TlsFacts, Verified),
    /// The host offered TLS and then would not; without a demand for it, plain text goes on.
    Declined(Dialogue),
}

async fn start_tls(
    mut dialogue: Dialogue,
    parts: &OutboundParts,
    target: &Target<'_>,
    times: &Timeouts,
) -> Result<Started, NotOpen> {
    let reply = dialogue.ask(b"STARTTLS\r\n", times.hello.duration()).await;
    let reply =
        reply.map_err(|broken| NotOpen::Handshake(broken.trouble("STARTTLS"), ResultType::ValidationFailure))?;
    if !reply.is_success() {
        if target.policy == TlsPolicy::May {
            return Ok(Started::Declined(dialogue));
        }
        let text = format!("TLS is required here, but {} would not start it: {reply}", target.host);
        return Err(NotOpen::without_tls(destination(4, 7, 4, text)));
    }
    // RFC 3207 §6: nothing that came before the handshake may be read as if it had come after it.
    let stream = dialogue.into_stream().ok_or_else(|| {
        destination(4, 7, 0, format!("{} sent more than its reply before the TLS handshake", target.host))
    })?;
    let (stream, facts, verified) =
        secure(parts, target, stream, times).await.map_err(|(trouble, result)| NotOpen::Handshake(trouble, result))?;
    Ok(Started::Encrypted(Dialogue::new(stream), facts, verified))
}

async fn secure(
    parts: &OutboundParts,
    target: &Target<'_>,
    stream: Box<dyn Io>,
    times: &Timeouts,
) -> Result<(Box<dyn Io>, TlsFacts, Verified), (Trouble, ResultType)> {
    let limit = times.hello.duration();
    let work = handshake(stream, target.host, &target.policy, &parts.roots);
    let result = tokio::time::timeout(limit, work).await;
    let (cause, reported) = match result {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => (error.to_string(), error.reported()),
        Err(_) => (format!("no answer within {limit:?}"), ResultType::ValidationFailure),
    };
    // RFC 3463 §3.8: 4.7.5 is a cryptographic failure.
    Err((destination(4, 7, 5, format!("The TLS handshake with {} failed: {cause}", target.host)), reported))
}

/// AUTH PLAIN or LOGIN. A refusal is never the recipients' fault: the administrator must correct the route.
async fn log_in(
    dialogue: &mut Dialogue,
    extensions: &Extensions,
    username: &str,
    file: &std::path::Path,
    limit: Duration,
) -> Result<(), Trouble> {
    let password = tokio::fs::read_to_string(file).await.map_err(|error| {
        log::error!(path:% = file.display(), cause:% = error; "The password file of a route cannot be read");
        destination(4, 7, 0, "The password for the next host cannot be read")
    })?;
    let password = password.lines().next().unwrap_or_default();
    let broken = |broken: Broken| broken.trouble("AUTH");
    let reply = if extensions.offers_auth("PLAIN") {
        let initial = BASE64.encode(format!("\0{username}\0{password}"));
        dialogue.ask(format!("AUTH PLAIN {initial}\r\n").as_bytes(), limit).await.map_err(broken)?
    } else if extensions.offers_auth("LOGIN") {
        let mut reply = dialogue.ask(b"AUTH LOGIN\r\n", limit).await.map_err(broken)?;
        for answer in [username, password] {
            if reply.class() != Class::Intermediate {
                break;
            }
            let line = format!("{}\r\n", BASE64.encode(answer));
            reply = dialogue.ask(line.as_bytes(), limit).await.map_err(broken)?;
        }
        reply
    } else {
        return Err(destination(4, 7, 0, "The next host offers neither AUTH PLAIN nor AUTH LOGIN"));
    };
    if reply.is_success() {
        return Ok(());
    }
    Err(destination(4, 7, 8, format!("The next host does not accept our login: {reply}")))
}

fn destination(class: u16, subject: u16, detail: u16, text: impl Into<String>) -> Trouble {
    Trouble::ours(EnhancedStatus::new(class, subject, detail), text, Scope::Destination)
}
