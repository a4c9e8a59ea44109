//! The way from a script to the queue.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{HeaderSection, Mail, Recipient, Visits};
use crate::foundations::settings::Live;
use crate::services::delivery::{Circles, DeliverySettings};
use crate::services::filter::{Filter, Verdict};
use crate::services::handover::{Bound, Errand, ErrandKind, Posting, Postponed, Queueing};
use crate::services::routing::{LocalRecipient, Routing};

/// The room.
pub struct PostOffice {
    routing: Routing,
    filter: Arc<Filter>,
    delivery: Live<DeliverySettings>,
    /// `None` before the queue works and after it has ended.
    queue: Mutex<Option<Arc<dyn Queueing>>>,
}

impl PostOffice {
    /// An office without a queue yet: the queue delivers, and delivery posts, so that one of them must come first.
    pub fn new(routing: Routing, filter: Arc<Filter>, delivery: Live<DeliverySettings>) -> Self {
        Self { routing, filter, delivery, queue: Mutex::new(None) }
    }

    /// From now on messages are queued here.
    pub fn open(&self, queue: Arc<dyn Queueing>) {
        *self.queue.lock() = Some(queue);
    }

    /// From now on nothing is taken.
    pub fn close(&self) {
        *self.queue.lock() = None;
    }

    async fn send(&self, errand: Errand<'_>) -> Result<QueueId, Refusal> {
        let queue = self.queue.lock().clone();
        let queue = queue.ok_or_else(|| Refusal::temporary("the queue is not running"))?;
        let mut mail = errand.mail.clone();
        match errand.kind {
            ErrandKind::Redirect => {
                let path = self.routing.forwarding_path(&mail.envelope.reverse_path).await;
                mail.envelope.reverse_path = path.map_err(Refusal::temporary)?;
                let verdict = Verdict { findings: errand.findings.cloned(), ..Verdict::accept() };
                let seal = self.filter.seal(&mail.message, &verdict, errand.account.domain());
                mail.message = mail.message.with_prefix(seal.as_bytes());
            }
            ErrandKind::Letter => {
                let signature = self.filter.sign(&mail.message);
                mail.message = mail.message.with_prefix(signature.as_bytes());
            }
        }
        let recipients = self.recipients(&mail, errand).await?;
        let bytes = mail.message.bytes();
        let message_id = HeaderSection::of(&bytes).first("Message-ID");
        let message_id = message_id.map(|field| String::from_utf8_lossy(&field.value()).trim().to_owned());
        let message_id = message_id.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
        queue.postpone(Postponed { mail: &mail, message_id: message_id.as_deref(), recipients, hold: None }).await
    }

    /// Where the recipients are. Fails when nobody is left who can be served.
    async fn recipients(&self, mail: &Mail, errand: Errand<'_>) -> Result<Vec<(Recipient, Bound)>, Refusal> {
        let mut routes = self.routing.split(&mail.envelope).await.map_err(Refusal::temporary)?;
        if errand.kind == ErrandKind::Redirect && !routes.local.is_empty() {
            // Who passes it on has it, and the copy would be refused as a mail loop. So would those of others to whom the address
            // leads and who have passed it on before.
            let is_own = |local: &LocalRecipient| local.account.key() == errand.account.key();
            let visits = match self.delivery.get().circles {
                Circles::Refuse => Visits::of(&mail.message),
                Circles::Ignore => Visits::default(),
            };
            routes.local.retain(|local| !is_own(local) && visits.count(&local.account) == 0);
        }
        let here = routes.local.iter().map(|local| (local.at_home(), Bound::Here));
        let elsewhere = routes.remote.iter().chain(&routes.forwards).map(|one| (one.clone(), Bound::Elsewhere));
        let recipients: Vec<(Recipient, Bound)> = here.chain(elsewhere).collect();
        if recipients.is_empty() {
            let nobody = || Refusal::new(Kind::NotFound, "There is nobody to send it to").smtp(550, "5.1.1");
            return Err(routes.failed.pop().map_or_else(nobody, |(_, refusal)| refusal));
        }
        Ok(recipients)
    }
}

/// Longest Message-ID that the queue keeps, in octets.
const LONGEST_ID: usize = 250;

impl std::fmt::Debug for PostOffice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostOffice")
    }
}

impl Posting for PostOffice {
    fn post<'a>(&'a self, errand: Errand<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>> {
        self.send(errand).boxed()
    }
}
