//! Handing what users write in the webmail to the process that has the queue, over its submission socket (RFC 6409).

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::UnixStream;

use super::attempt::{Carried, Contact, Group, Outcome, Verified};
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
            // A mistake in the configuration, which an administrator mends: smtp.vouching.
            return Err(away(&format!("it does not believe this process: {}", Trouble::of(&reply).reply)));
        }
        let host = "submission".to_owned();
        let contact = Contact { host, address: None, tls: None, verified: Verified::No, policy: "local" };
        Ok(Session {
            dialogue,
            extensions,
            contact: Arc::new(contact),
            mode: Mode::Smtp,
            transactions: 0,
            fell_back: None,
            filter: None,
        })
    }
}

impl Submitting for OverSubmission {
    fn submit<'a>(&'a self, mail: Mail, login: &'a Login) -> BoxFuture<'a, Result<(), Refusal>> {
        async move {
            let settings = self.settings.get();
            let times = &settings.timeouts;
            let mut session = self.session(login, times).await.map_err(|trouble| logged(&trouble))?;
            let mut places: Vec<usize> = (0..mail.envelope.recipients.len()).collect();
            while !places.is_empty() {
                let group = Group {
                    id: QueueId::generate(mail.origin.at),
                    envelope: &mail.envelope,
                    recipients: &mail.envelope.recipients,
                    message: &Carried::new(mail.message.clone(), ()),
                    before_end: &|_| Box::pin(std::future::ready(Ok(()))),
                };
                let settled = session.transact(&group, &places, Others::None, times).await;
                for (_, outcome) in settled.outcomes {
                    if let Outcome::Deferred(trouble) | Outcome::Failed(trouble) = outcome {
                        return Err(refusal(&trouble));
                    }
                }
                if let Some(trouble) = settled.over {
                    return Err(logged(&trouble));
                }
                // RFC 5321 §4.5.3.1.10: those that one transaction could not take.
                places = settled.postponed;
            }
            session.dialogue.quit(times.hello.duration()).await;
            Ok(())
        }
        .boxed()
    }
}

/// What only an administrator can mend is for the log.
fn logged(trouble: &Trouble) -> Refusal {
    Refusal::temporary(trouble.reply.clone()).smtp(451, "4.3.0")
}

fn away(cause: &str) -> Trouble {
    let text = format!("The process with the queue cannot be reached: {cause}");
    Trouble::ours(EnhancedStatus::new(4, 3, 0), text, Scope::Destination)
}
