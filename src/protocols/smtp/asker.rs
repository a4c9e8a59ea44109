//! Asks the services what the session wants to know.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::profile::Mode;
use super::serve::Room;
use super::session::{Answer, Completed, Question};
use super::settings::SmtpSettings;
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::{MailId, SessionId};
use crate::foundations::mail::{Envelope, HeaderSection, Login, Mail, Message, Origin, Peer, TlsFacts, With};
use crate::foundations::net::Stream;
use crate::foundations::wire::sasl::Credentials;
use crate::services::acceptance::Relaying;
use crate::services::filter::Dialogue;
use crate::services::guard::{Pass, Service, Traffic};
use crate::services::login::{LoggedIn, LoginAttempt, Stay};

/// Lets a connection in, or says why not.
pub(super) fn admit(room: &Room, settings: &SmtpSettings, peer: &Peer) -> Result<Pass, Refusal> {
    let service = service(room.mode);
    if room.mode == Mode::Lmtp && !peer.is_local_or_in(&settings.lmtp_networks) {
        return Err(Refusal::new(Kind::NoPermission, "LMTP is not available to you").smtp(554, "5.7.1"));
    }
    room.guard.admit(peer, service)
}

/// Whom a program of this machine sends for.
pub(super) async fn program(room: &Room, stream: &Stream) -> Result<Login, Refusal> {
    let unknown = || Refusal::new(Kind::NoPermission, "The system does not say who you are").smtp(554, "5.7.1");
    let number = stream.system_user().ok_or_else(unknown)?;
    let submission = Arc::clone(&room.submission);
    tokio::task::spawn_blocking(move || submission.program(number)).await.map_err(Refusal::temporary)
}

/// The service that the listener is for the guard and for logins.
pub(super) const fn service(mode: Mode) -> Service {
    match mode {
        Mode::Relay => Service::Smtp,
        Mode::Submission | Mode::Programs => Service::Submission,
        Mode::Lmtp => Service::Lmtp,
    }
}

/// What the services are told about the session with each question.
pub(super) struct Asker<'r> {
    pub room: &'r Room,
    pub peer: Peer,
    pub local: Option<SocketAddr>,
    pub session: SessionId,
    pub tls: Option<TlsFacts>,
    /// How long the user who has logged in may stay.
    pub stay: OnceLock<Stay>,
    /// What milters have been told about the message being received.
    pub dialogue: Option<Box<Dialogue>>,
}

impl Asker<'_> {
    /// The answer to a question, given who has logged in.
    pub(super) async fn ask(&mut self, question: Question, login: Option<Login>) -> Answer {
        match question {
            Question::Login(credentials) => Answer::Login(self.log_in(credentials).await),
            Question::Sender { path, hello, with } => {
                let path = self.reverse_path(path, login.as_ref());
                let origin = self.origin(hello, with, login);
                let result = self.sender(&path, origin).await;
                Answer::Sender(self.record_refusal(result, || path.bare(), None))
            }
            Question::Recipient { recipient, sender, size } => {
                let address = &recipient.address;
                let mut result = self.recipient(address, size, login.as_ref()).await;
                if let (Ok(()), Some(dialogue)) = (&result, &mut self.dialogue) {
                    result = dialogue.recipient(address).await;
                }
                Answer::Recipient(self.record_refusal(result, || address.to_string(), Some(&sender)))
            }
            // The driver owns the memory and answers this one itself.
            Question::Memory(_) => Answer::Memory(Ok(())),
            Question::Message(completed) => self.take(completed, login).await,
        }
    }

    /// Whether this sender may send: by our own rules, then by those of milters, which are also told the client and its
    /// greeting.
    async fn sender(&mut self, path: &ReversePath, origin: Origin) -> Result<(), Refusal> {
        if let Some(before) = self.dialogue.take() {
            before.abandon().await;
        }
        match &origin.login {
            Some(login) => self.room.acceptance.sender(path, login).await?,
            None if self.room.mode == Mode::Relay => self.room.guard.may_send(&self.peer, Traffic::Message)?,
            None => {}
        }
        // With LMTP, each recipient gets an answer of its own at the end of the message.
        if self.room.mode != Mode::Lmtp {
            let id = MailId::generate(origin.at);
            self.dialogue = self.room.intake.dialogue(id, origin, path.clone()).await?;
        }
        Ok(())
    }

    async fn recipient(&self, address: &Address, size: Option<u64>, login: Option<&Login>) -> Result<(), Refusal> {
        let room = self.room;
        let relaying = room.acceptance.relaying(&self.peer, login);
        let is_stranger = room.mode == Mode::Relay && relaying == Relaying::Refused;
        if is_stranger {
            room.guard.may_send(&self.peer, Traffic::Recipient)?;
        }
        let result = room.acceptance.recipient(address, size, relaying).await;
        match &result {
            Ok(()) if is_stranger => room.guard.may_receive(&self.peer, &room.acceptance.untagged(address)),
            Err(refusal) if is_stranger && refusal.kind == Kind::NotFound => {
                room.guard.unknown_recipient(&self.peer);
                result
            }
            _ => result,
        }
    }

    /// The mailboxes for which a stranger's message counts. A recipient who is named twice gets one message.
    fn mailboxes(&self, envelope: &Envelope) -> Vec<Address> {
        let acceptance = &self.room.acceptance;
        if self.room.mode != Mode::Relay || acceptance.relaying(&self.peer, None) != Relaying::Refused {
            return Vec::new();
        }
        let mut named = HashSet::new();
        let addresses = envelope.recipients.iter().map(|recipient| &recipient.address);
        addresses.filter(|address| named.insert(address.key())).map(|address| acceptance.untagged(address)).collect()
    }

    async fn log_in(&self, credentials: Credentials) -> Result<Login, Refusal> {
        let attempt = LoginAttempt::by_sasl(credentials, self.peer, self.session, service(self.room.mode))?;
        let LoggedIn { address, stay } = self.room.login.verify(attempt).await?;
        // RFC 4954 §4: once a session.
        let _ = self.stay.set(stay);
        Ok(Login::user(address))
    }

    /// The reverse-path as it goes on.
    fn reverse_path(&self, path: ReversePath, login: Option<&Login>) -> ReversePath {
        match login {
            Some(login) => self.room.submission.reverse_path(path, login),
            None => path,
        }
    }

    fn origin(&self, hello: String, with: With, login: Option<Login>) -> Origin {
        let (session, peer, local, tls) = (self.session, self.peer, self.local, self.tls.clone());
        Origin { session, peer, local, hello, with, tls, login, at: self.room.clock.now() }
    }

    async fn take(&mut self, completed: Completed, login: Option<Login>) -> Answer {
        let Completed { envelope, content, hello, with } = completed;
        let origin = self.origin(hello, with, login.clone());
        let dialogue = self.dialogue.take();
        // The id under which milters have heard of it.
        let id = dialogue.as_ref().map_or_else(|| MailId::generate(origin.at), |dialogue| dialogue.id());
        let reverse_path = self.reverse_path(envelope.reverse_path, login.as_ref());
        let envelope = Envelope { reverse_path, ..envelope };
        let mail = Mail { id, origin, envelope, message: Message::new(headed(content)) };
        match (self.room.mode, login) {
            (Mode::Lmtp, _) => Answer::Each(self.room.intake.receive_each(mail).await),
            (_, None) => {
                let mailboxes = self.mailboxes(&mail.envelope);
                let taken = self.room.intake.receive(mail, dialogue).await;
                if taken.is_ok() {
                    for mailbox in &mailboxes {
                        self.room.guard.received(&self.peer, mailbox);
                    }
                }
                Answer::Message(taken)
            }
            (_, Some(login)) => {
                let sender = mail.envelope.reverse_path.bare();
                Answer::Message(match self.room.submission.prepare(mail, &login).await {
                    Ok(mail) => self.room.intake.receive(mail, dialogue).await,
                    Err(refusal) => self.record_refusal(Err(refusal), || sender, None),
                })
            }
        }
    }

    /// Records a refusal as an event, with the sender unless the refusal is about the sender. Its cause goes to the log only.
    fn record_refusal<T>(
        &self,
        result: Result<T, Refusal>,
        subject: impl FnOnce() -> String,
        sender: Option<&ReversePath>,
    ) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            let subject = subject();
            if let Some(cause) = &refusal.cause {
                log::warn!(session:% = self.session; "smtp: no answer about {subject}: {cause}");
            }
            let event = Event::new(self.room.clock.now(), EventKind::RecipientRefused).session(self.session);
            let event = event.subject(subject).with("reason", refusal.to_string());
            let event = event.with("peer", self.peer.to_string());
            let sender = sender.and_then(ReversePath::address).map(ToString::to_string);
            self.room.journal.record(event.with_known("from", sender));
        }
        result
    }
}

/// A message without a header begins with an empty line, so that its text is not taken for fields once fields stand before it.
fn headed(content: Bytes) -> Bytes {
    if HeaderSection::begins(&content) { content } else { [b"\r\n".as_slice(), &content].concat().into() }
}
