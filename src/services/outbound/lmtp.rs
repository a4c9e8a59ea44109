//! Handing messages to the process that owns the mailboxes, over LMTP (RFC 2033).

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpStream, UnixStream};

use super::attempt::{Attempt, Contact, Outcome, Verified};
use super::dialogue::Dialogue;
use super::opening::{Mode, Session, hello};
use super::{Group, Io, OutboundSettings, Scope, Timeouts, Trouble};
use crate::foundations::address::Domain;
use crate::foundations::settings::Live;
use crate::foundations::wire::smtp::EnhancedStatus;

/// Where the LMTP server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LmtpTarget {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port. The connection is not encrypted: it belongs on the loopback interface or a private network.
    Tcp(SocketAddr),
}

/// Delivers to mailboxes that another process owns. Idle connections are kept and used again. Cloning shares them.
#[derive(Clone)]
pub struct OverLmtp(Arc<Inner>);

struct Inner {
    target: LmtpTarget,
    hostname: Domain,
    settings: Live<OutboundSettings>,
    idle: Mutex<Vec<Session>>,
}

/// Most idle connections kept.
const MOST_IDLE: usize = 16;

impl OverLmtp {
    /// A client for the server there; `settings` gives the limits on waiting.
    pub fn new(target: LmtpTarget, hostname: Domain, settings: Live<OutboundSettings>) -> Self {
        Self(Arc::new(Inner { target, hostname, settings, idle: Mutex::new(Vec::new()) }))
    }

    /// Delivers a message; one attempt per recipient, in their order, each with the server's own reply.
    pub async fn attempt(&self, group: Group<'_>) -> Vec<Attempt> {
        let settings = self.0.settings.get();
        let times = &settings.timeouts;
        let mut attempts: Vec<Option<Attempt>> = vec![None; group.recipients.len()];
        let mut trouble = Trouble::ours(EnhancedStatus::new(4, 3, 0), "No reply", Scope::Destination);
        // A kept connection may turn out to be dead only when it is used; a new one is then tried once.
        for _ in 0..2 {
            let open: Vec<usize> = (0..attempts.len()).filter(|place| attempts[*place].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let mut session = match self.session(times).await {
                Ok(session) => session,
                Err(why) => {
                    trouble = why;
                    break;
                }
            };
            let settled = session.transact(&group, &open, times).await;
            let contact = Arc::clone(&session.contact);
            for (place, outcome) in settled.outcomes {
                attempts[place] = Some(Attempt { outcome, contact: Some(Arc::clone(&contact)) });
            }
            match settled.over {
                Some(why) => trouble = why,
                None => self.keep(session),
            }
        }
        let rest = Attempt { outcome: Outcome::Deferred(trouble), contact: None };
        attempts.into_iter().map(|attempt| attempt.unwrap_or_else(|| rest.clone())).collect()
    }

    async fn session(&self, times: &Timeouts) -> Result<Session, Trouble> {
        loop {
            let Some(mut session) = self.0.idle.lock().pop() else { break };
            if session.reset(times).await.is_ok() {
                return Ok(session);
            }
        }
        let limit = times.connect.duration();
        let connected = tokio::time::timeout(limit, self.connect()).await;
        let (stream, address) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(away(&error.to_string())),
            Err(_) => return Err(away("no answer in time")),
        };
        let mut dialogue = Dialogue::new(stream);
        let greeting = dialogue.reply(times.greeting.duration()).await.map_err(|b| b.trouble("the greeting"))?;
        if !greeting.is_success() {
            return Err(Trouble { scope: Scope::Destination, ..Trouble::of(&greeting) });
        }
        let extensions = hello(&mut dialogue, &self.0.hostname, Mode::Lmtp, times.hello.duration()).await?;
        let contact = Contact { host: "lmtp".to_owned(), address, tls: None, verified: Verified::No, policy: "local" };
        Ok(Session {
            dialogue,
            extensions,
            contact: Arc::new(contact),
            mode: Mode::Lmtp,
            transactions: 0,
            fell_back: None,
        })
    }

    async fn connect(&self) -> io::Result<(Box<dyn Io>, Option<SocketAddr>)> {
        match &self.0.target {
            LmtpTarget::Unix(path) => Ok((Box::new(UnixStream::connect(path).await?), None)),
            LmtpTarget::Tcp(address) => {
                let stream = TcpStream::connect(*address).await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(*address)))
            }
        }
    }

    fn keep(&self, session: Session) {
        let mut idle = self.0.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(session);
        }
    }
}

fn away(cause: &str) -> Trouble {
    // RFC 3463 §3.4: 4.3.0, a passing trouble of our own system.
    let text = format!("The process that owns the mailboxes cannot be reached: {cause}");
    Trouble::ours(EnhancedStatus::new(4, 3, 0), text, Scope::Destination)
}
