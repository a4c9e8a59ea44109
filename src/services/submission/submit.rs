//! Messages that come from within this process: the webmail's.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Submission;
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Refusal;
use crate::foundations::mail::{Login, Mail};
use crate::services::acceptance::{Acceptance, Relaying};
use crate::services::handover::Submitting;
use crate::services::intake::Intake;
use crate::storage::journal::Journal;

/// Asks the same questions in the same order as a session of SMTP does.
pub struct Submitter {
    /// Whose addresses are whose, and who can be written to.
    pub acceptance: Acceptance,
    /// Limits, and what is completed.
    pub submission: Arc<Submission>,
    /// Who takes responsibility, when the queue is in this process.
    pub intake: Arc<Intake>,
    /// The process that has it otherwise.
    pub elsewhere: Option<Arc<dyn Submitting>>,
    /// Where refusals are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

impl Submitting for Submitter {
    fn submit<'a>(&'a self, mail: Mail, login: &'a Login) -> BoxFuture<'a, Result<(), Refusal>> {
        async move {
            let (session, peer) = (mail.origin.session, mail.origin.peer);
            let sender = mail.envelope.reverse_path.address().map(ToString::to_string);
            let result = self.check_and_take(mail, login).await;
            if let Err(refusal) = &result {
                let event = Event::new(self.clock.now(), EventKind::RecipientRefused).session(session);
                let event = event.subject(login.address.to_string()).with("reason", refusal.to_string());
                let event = event.with("peer", peer.to_string());
                self.journal.record(event.with_known("from", sender));
            }
            result
        }
        .boxed()
    }
}

impl Submitter {
    async fn check_and_take(&self, mail: Mail, login: &Login) -> Result<(), Refusal> {
        self.acceptance.sender(&mail.envelope.reverse_path, login).await?;
        for recipient in &mail.envelope.recipients {
            let address = &recipient.address;
            let size = u64::try_from(mail.message.len()).ok();
            let accepted = self.acceptance.recipient(address, size, Relaying::Allowed).await;
            accepted.map_err(|refusal| {
                let public = format!("{address}: {}", refusal.public);
                Refusal { public: public.into(), ..refusal }
            })?;
        }
        let mail = self.submission.prepare(mail, login).await?;
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.submit(mail, login).await,
            None => self.intake.receive(mail, None).await.map(|_| ()),
        }
    }
}
