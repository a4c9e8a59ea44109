//! Handing what users write in the webmail to the process that has the queue, over its submission socket (RFC 6409).

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::UnixStream;

use super::attempt::{Carried, Contact, Group, Outcome};
use super::dialogue::Dialogue;
use super::local::refusal;
use super::opening::{Mode, Session, hello};
use super::transaction::Others;
use super::{OutboundSettings, Scope, Timeouts, Trouble};
use crate::foundations::address::Domain;
use crate::foundations::failure::Refusal;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Login, Mail};
use crate::foundations::settings::Live;
use crate::foundations::wire::smtp::EnhancedStatus;
use crate::services::handover::Submitting;

/// Submits for accounts over a socket whose opener is trusted there (`smtp.vouching`).
#[derive(Debug, Clone)]
pub struct OverSubmission {
    socket: PathBuf,
    hostname: Domain,
    settings: Live<OutboundSettings>,
}

impl OverSubmission {
    /// A client for the server behind this Unix socket; `settings` gives the limits on waiting.
    pub const fn new(socket: PathBuf, hostname: Domain, settings: Live<OutboundSettings>) -> Self {
        Self { socket, hostname, settings }
    }

    async fn session(&self, login: &Login, times: &Timeouts) -> Result<Session, Trouble> {
        let connected = tokio::time::timeout(times.connect.duration(), UnixStream::connect(&self.socket)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(away(&error.to_string())),
            Err(_) => return Err(away("no answer in time")),
        };
        let mut dialogue = Dialogue::new(Box::new(stream));
        let greeting = dialogue.reply(times.greeting.duration()).await.map_err(|b| b.trouble("the greeting"))?;
        if !greeting.is_success() {
            return Err(Trouble::of(&greeting));
        }
        let extensions = hello(&mut dialogue, &self.hostname, Mode::Smtp, times.hello.duration()).await?;
        let command = format!("AUTH EXTERNAL {}\r\n", STANDARD.encode(login.address.to_string()));
        let reply = dialogue.ask(command.as_bytes(), times.hello.duration()).await;
        let reply = reply.map_err(|broken| broken.trouble("AUTH"))?;
        if !reply.is_success() {
            // A mistake in the configuration, for the administrator to correct: smtp.vouching.
            return Err(away(&format!("it does not trust this process: {}", Trouble::of(&reply).reply)));
        }
        Ok(Session::local(dialogue, extensions, Mode::Smtp, Contact::local("submission", None)))
    }
}

impl Submitting for OverSubmission {
    fn submit<'a>(&'a self, mail: Mail, login: &'a Login) -> BoxFuture<'a, Result<(), Refusal>> {
        async move {
            let settings = self.settings.get();
            let times = &settings.timeouts;
            let all = mail.envelope.recipients.len();
            let mut session = self.session(login, times).await.map_err(|trouble| logged(&trouble))?;
            // RFC 9422 §4.2: the rest would need another transaction, and nobody knows what would come of that one.
            if session.extensions.limits.recipients.is_some_and(|most| all > most as usize) {
                session.dialogue.quit(times.hello.duration()).await;
                return Err(refusal(&too_many(all)));
            }
            // The author is told one result: recipients who get a message reported as not sent get it again with the
            // next try.
            let group = Group {
                id: QueueId::generate(mail.origin.at),
                envelope: &mail.envelope,
                recipients: &mail.envelope.recipients,
                message: &Carried::new(mail.message.clone(), ()),
                before_end: &|accepted| Box::pin(std::future::ready(for_all(accepted.len(), all))),
            };
            let places: Vec<usize> = (0..all).collect();
            let settled = session.transact(&group, &places, Others::None, times).await;
            // What was said of a recipient stands before what has kept the message from the others.
            for (_, outcome) in settled.outcomes {
                if let Outcome::Trouble(trouble) = outcome {
                    return Err(refusal(&trouble));
                }
            }
            if let Some(trouble) = settled.over {
                return Err(logged(&trouble));
            }
            session.dialogue.quit(times.hello.duration()).await;
            Ok(())
        }
        .boxed()
    }
}

/// Whether a message may be sent for which so many recipients were accepted.
fn for_all(accepted: usize, all: usize) -> Result<(), Trouble> {
    if accepted == all { Ok(()) } else { Err(too_many(all)) }
}

/// RFC 3463 §3.6: 5.5.3, too many recipients.
fn too_many(recipients: usize) -> Trouble {
    let text = format!("{recipients} recipients are more than this server takes for one message");
    Trouble::ours(EnhancedStatus::new(5, 5, 3), text, Scope::Message)
}

/// What only an administrator can mend is for the log.
fn logged(trouble: &Trouble) -> Refusal {
    Refusal::temporary(trouble.reply.clone()).smtp(451, "4.3.0")
}

fn away(cause: &str) -> Trouble {
    let text = format!("The process with the queue cannot be reached: {cause}");
    Trouble::ours(EnhancedStatus::new(4, 3, 0), text, Scope::Destination)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixListener;

    use super::*;
    use crate::foundations::address::{Address, ReversePath};
    use crate::foundations::clock::Timestamp;
    use crate::foundations::failure::Kind;
    use crate::foundations::ids::{MailId, SessionId};
    use crate::foundations::mail::{Envelope, Message, Origin, Recipient};

    /// Serves one client: says this of itself, does not know those whose names begin with `no`, and takes two recipients
    /// of a message. What it has heard.
    async fn serve(listener: UnixListener, extension: &str) -> Vec<String> {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 x ESMTP\r\n").await.unwrap();
        let (mut heard, mut accepted, mut in_message) = (Vec::new(), 0, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return heard;
            }
            let line = line.trim_end().to_owned();
            let reply = match line.split([' ', ':']).next().unwrap_or_default() {
                "." if in_message => "250 2.0.0 Taken".to_owned(),
                _ if in_message => String::new(),
                "EHLO" => format!("250-x\r\n250 {extension}"),
                "RCPT" if line.starts_with("RCPT TO:<no") => "550 5.1.1 Nobody".to_owned(),
                "RCPT" if accepted == 2 => "452 4.5.3 Too many".to_owned(),
                "DATA" => "354 Go on".to_owned(),
                "QUIT" => "221 2.0.0 Bye".to_owned(),
                _ => "250 2.0.0 Fine".to_owned(),
            };
            accepted += usize::from(line.starts_with("RCPT") && reply.starts_with("250"));
            in_message = (in_message || reply.starts_with("354")) && line != ".";
            if !reply.is_empty() {
                stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
            }
            heard.push(line);
        }
    }

    /// What comes of a letter to these people, and what the server has heard.
    async fn submit(to: &[&str], extension: &str) -> (Result<(), (Kind, String)>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("submission.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let client = OverSubmission::new(socket, "a.test".parse().unwrap(), Live::default());
        let address = |name: &str| -> Address { format!("{name}@a.test").parse().unwrap() };
        let at = Timestamp::EPOCH;
        let recipients = to.iter().map(|name| Recipient::plain(address(name))).collect();
        let envelope = Envelope::plain(ReversePath::Address(address("ann")), recipients);
        let message = Message::new("Subject: x\r\n\r\nx\r\n");
        let origin = Origin::internal(SessionId::generate(at), at);
        let (mail, login) = (Mail { id: MailId::generate(at), origin, envelope, message }, Login::user(address("ann")));
        let (came, heard) = tokio::join!(client.submit(mail, &login), serve(listener, extension));
        (came.map_err(|refusal| (refusal.kind, refusal.public.into_owned())), heard)
    }

    #[tokio::test]
    async fn a_letter_reaches_all_or_nobody() {
        let (came, heard) = submit(&["bob", "cat"], "DSN").await;
        assert_eq!(came, Ok(()));
        assert!(heard.iter().any(|line| line == "."), "{heard:?}");
        let (came, heard) = submit(&["bob", "nobody"], "DSN").await;
        assert_eq!(came, Err((Kind::NotFound, "550 5.1.1 Nobody".to_owned())));
        assert!(heard.iter().any(|line| line == "RCPT TO:<bob@a.test>") && !heard.iter().any(|line| line == "."));
        // One more than the server takes, which has not said so.
        let (came, heard) = submit(&["bob", "cat", "dan"], "DSN").await;
        assert!(matches!(&came, Err((Kind::Invalid, why)) if why.starts_with("3 recipients")), "{came:?}");
        assert!(!heard.iter().any(|line| line == "."), "{heard:?}");
    }

    #[tokio::test]
    async fn a_letter_that_needs_two_transactions_is_not_begun() {
        let (came, heard) = submit(&["bob", "cat", "dan"], "LIMITS RCPTMAX=2").await;
        assert!(matches!(&came, Err((Kind::Invalid, why)) if why.starts_with("3 recipients")), "{came:?}");
        assert_eq!(heard.last().map(String::as_str), Some("QUIT"));
        assert!(!heard.iter().any(|line| line.starts_with("MAIL")), "{heard:?}");
    }
}
