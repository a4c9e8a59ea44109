//! Handing messages to the process that owns the mailboxes, over LMTP (RFC 2033).

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpStream, UnixStream};

use super::attempt::{Attempt, Contact, Outcome};
use super::connector::Dial;
use super::dialogue::Dialogue;
use super::opening::{Mode, Session, greeting, hello};
use super::transaction::Others;
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

/// How the server is reached.
enum Way {
    To(LmtpTarget),
    Through(Box<dyn Dial>),
}

struct Inner {
    way: Way,
    hostname: Domain,
    settings: Live<OutboundSettings>,
    idle: Mutex<Vec<Session>>,
}

/// Most idle connections kept.
const MOST_IDLE: usize = 16;

impl OverLmtp {
    /// A client for the server there; `settings` gives the limits on waiting.
    pub fn new(target: LmtpTarget, hostname: Domain, settings: Live<OutboundSettings>) -> Self {
        Self(Arc::new(Inner { way: Way::To(target), hostname, settings, idle: Mutex::new(Vec::new()) }))
    }

    /// A client for a server that somebody else connects to.
    pub fn through(dial: Box<dyn Dial>, hostname: Domain, settings: Live<OutboundSettings>) -> Self {
        Self(Arc::new(Inner { way: Way::Through(dial), hostname, settings, idle: Mutex::new(Vec::new()) }))
    }

    /// Our name.
    pub(super) fn hostname(&self) -> &Domain {
        &self.0.hostname
    }

    /// Delivers a message; one attempt per recipient, in their order, each with the server's own reply.
    pub async fn attempt(&self, group: Group<'_>) -> Vec<Attempt> {
        let settings = self.0.settings.get();
        let times = &settings.timeouts;
        let mut attempts: Vec<Option<Attempt>> = vec![None; group.recipients.len()];
        let mut trouble = Trouble::ours(EnhancedStatus::new(4, 3, 0), "No reply", Scope::Destination);
        // A kept connection may turn out to be dead only when it is used; a new one is then tried once.
        let mut failures = 0;
        while failures < 2 {
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
            let settled = session.transact(&group, &open, Others::Wait, times).await;
            let contact = Arc::clone(&session.contact);
            // RFC 5321 §4.5.3.1.10: those whom the server takes in another transaction only are left.
            failures += u32::from(settled.over.is_some() || settled.outcomes.is_empty());
            for (place, outcome) in settled.outcomes {
                attempts[place] = Some(Attempt { outcome, contact: Some(Arc::clone(&contact)) });
            }
            match settled.over {
                Some(why) => trouble = why,
                None => self.keep(session, &settings).await,
            }
        }
        let rest = Attempt { outcome: Outcome::Trouble(trouble), contact: None };
        attempts.into_iter().map(|attempt| attempt.unwrap_or_else(|| rest.clone())).collect()
    }

    async fn session(&self, times: &Timeouts) -> Result<Session, Trouble> {
        let kept = self.0.idle.lock().pop();
        if let Some(mut session) = kept {
            // A server that waits for mail answers at once; a machine that has lost its power never does.
            let reset = tokio::time::timeout(times.connect.duration(), session.reset(times)).await;
            if matches!(reset, Ok(Ok(()))) {
                return Ok(session);
            }
            // It was used last: the others are no better.
            self.0.idle.lock().clear();
        }
        let limit = times.connect.duration();
        let connected = tokio::time::timeout(limit, self.connect()).await;
        let (stream, address) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(away(&error.to_string())),
            Err(_) => return Err(away("no answer in time")),
        };
        let mut dialogue = Dialogue::new(stream);
        greeting(&mut dialogue, times).await?;
        let extensions = hello(&mut dialogue, &self.0.hostname, Mode::Lmtp, times.hello.duration()).await?;
        Ok(Session::local(dialogue, extensions, Mode::Lmtp, Contact::local("lmtp", address)))
    }

    async fn connect(&self) -> io::Result<(Box<dyn Io>, Option<SocketAddr>)> {
        match &self.0.way {
            Way::Through(dial) => Ok((dial.dial().await?, None)),
            Way::To(LmtpTarget::Unix(path)) => Ok((Box::new(UnixStream::connect(path).await?), None)),
            Way::To(LmtpTarget::Tcp(address)) => {
                let stream = TcpStream::connect(*address).await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(*address)))
            }
        }
    }

    /// Keeps a session for the next message, if the server takes one more and there is room for it.
    async fn keep(&self, session: Session, settings: &OutboundSettings) {
        // RFC 9422 §4.1: after MAILMAX transactions the server takes no other in this session.
        if session.transactions < session.most_transactions(settings) {
            let mut idle = self.0.idle.lock();
            if idle.len() < MOST_IDLE {
                return idle.push(session);
            }
        }
        session.dialogue.quit(settings.timeouts.quit.duration()).await;
    }
}

fn away(cause: &str) -> Trouble {
    // RFC 3463 §3.4: 4.3.0, a passing trouble of our own system.
    let text = format!("The process that owns the mailboxes cannot be reached: {cause}");
    Trouble::ours(EnhancedStatus::new(4, 3, 0), text, Scope::Destination)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::foundations::address::ReversePath;
    use crate::foundations::clock::Timestamp;
    use crate::foundations::ids::QueueId;
    use crate::foundations::mail::{Envelope, Message, Recipient};
    use crate::foundations::settings::Span;
    use crate::foundations::tasks::Tasks;
    use crate::services::outbound::Carried;

    /// A server that takes two messages in a session, each for two recipients, and refuses what goes beyond; the commands of
    /// each session.
    async fn two_a_session(listener: TcpListener, heard: Arc<Mutex<Vec<Vec<String>>>>) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 x LMTP\r\n").await.unwrap();
            let (mut commands, mut mails, mut recipients) = (Vec::new(), 0, 0);
            let mut line = String::new();
            while commands.last().is_none_or(|last| last != "QUIT") {
                line.clear();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    break;
                }
                let verb = line.split_whitespace().next().unwrap_or_default().to_owned();
                if verb == "MAIL" {
                    (mails, recipients) = (mails + 1, 0);
                }
                recipients += usize::from(verb == "RCPT");
                let reply = match verb.as_str() {
                    "LHLO" => "250-x\r\n250-ENHANCEDSTATUSCODES\r\n250 LIMITS MAILMAX=2",
                    "MAIL" if mails > 2 => "452 4.5.3 Too many messages in this session",
                    "RCPT" if recipients > 2 => "452 4.5.3 Too many recipients",
                    "DATA" => "354 Go on",
                    "QUIT" => "221 2.0.0 Bye",
                    _ => "250 2.0.0 Fine",
                };
                stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
                if verb == "DATA" {
                    let mut body = String::new();
                    while body != ".\r\n" {
                        body.clear();
                        stream.read_line(&mut body).await.unwrap();
                    }
                    for _ in 0..recipients.min(2) {
                        stream.write_all(b"250 2.0.0 Stored\r\n").await.unwrap();
                    }
                }
                commands.push(verb);
            }
            heard.lock().push(commands);
        }
    }

    /// What comes of handing over messages, each for so many recipients, and the last command of each session.
    async fn handed_over(messages: &[usize]) -> (Vec<Outcome>, Vec<Option<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = LmtpTarget::Tcp(listener.local_addr().unwrap());
        let (heard, tasks) = (Arc::new(Mutex::new(Vec::new())), Tasks::new());
        let server = tasks.spawn(two_a_session(listener, Arc::clone(&heard)));
        let client = OverLmtp::new(target, "a.test".parse().unwrap(), Live::default());
        let outcomes = hand_over(&client, messages).await;
        server.abort();
        let last = heard.lock().iter().map(|one: &Vec<String>| one.last().cloned()).collect();
        (outcomes, last)
    }

    /// What comes of handing over messages, each for so many recipients.
    async fn hand_over(client: &OverLmtp, messages: &[usize]) -> Vec<Outcome> {
        let envelope = Envelope::plain(ReversePath::Null, Vec::new());
        let message = Carried::new(Message::new("Subject: x\r\n\r\nx\r\n"), ());
        let mut outcomes = Vec::new();
        for recipients in messages {
            let address = |n: usize| Recipient::plain(format!("user{n}@a.test").parse().unwrap());
            let recipients: Vec<Recipient> = (0..*recipients).map(address).collect();
            let attempts = client.attempt(Group {
                id: QueueId::generate(Timestamp::EPOCH),
                envelope: &envelope,
                recipients: &recipients,
                message: &message,
                before_end: &|_| Box::pin(std::future::ready(Ok(()))),
            });
            outcomes.extend(attempts.await.into_iter().map(|attempt| attempt.outcome));
        }
        outcomes
    }

    /// A server that takes one message in each session and never says anything again.
    async fn silent_afterwards(listener: TcpListener) {
        let mut silent = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 x LMTP\r\n").await.unwrap();
            let (mut line, mut in_message) = (String::new(), false);
            loop {
                line.clear();
                assert!(stream.read_line(&mut line).await.unwrap() > 0, "the client has gone");
                if in_message && line != ".\r\n" {
                    continue;
                }
                let is_end = in_message;
                in_message = line.starts_with("DATA");
                let reply = if in_message { "354 Go on\r\n" } else { "250 Fine\r\n" };
                stream.write_all(reply.as_bytes()).await.unwrap();
                if is_end {
                    break;
                }
            }
            silent.push(stream);
        }
    }

    #[tokio::test]
    async fn a_session_that_is_full_is_not_used_again() {
        let (outcomes, last) = handed_over(&[1; 5]).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{outcomes:?}");
        assert_eq!(last, [Some("QUIT".to_owned()), Some("QUIT".to_owned())]);
    }

    /// Mail for all mailboxes waited for five minutes when the other machine had lost its power.
    #[tokio::test]
    async fn a_kept_session_that_has_fallen_silent_is_given_up_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = LmtpTarget::Tcp(listener.local_addr().unwrap());
        let server = Tasks::new().spawn(silent_afterwards(listener));
        let timeouts = Timeouts { connect: Span::seconds(2), ..Timeouts::default() };
        let settings = Live::new(OutboundSettings { timeouts, ..OutboundSettings::default() });
        let client = OverLmtp::new(target, "a.test".parse().unwrap(), settings);
        let outcomes = tokio::time::timeout(Duration::from_secs(120), hand_over(&client, &[1; 2])).await;
        let outcomes = outcomes.expect("it waits for the silent server");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{outcomes:?}");
        server.abort();
    }

    #[tokio::test]
    async fn as_many_transactions_as_the_recipients_need() {
        let (outcomes, _) = handed_over(&[9]).await;
        assert_eq!(outcomes.len(), 9);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{outcomes:?}");
    }
}
