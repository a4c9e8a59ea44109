//! Queued mail for our own mailboxes.

use super::outcome::RecipientResult;
use super::{Error, Queue};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::{Envelope, HeaderSection, Mail, Message, Notify, Origin, Recipient};
use crate::foundations::wire::smtp::Reply;
use crate::services::filter::{Verdict, carried};
use crate::services::handover::{Bound, Outcome, Postponed};
use crate::services::outbound::{By, Scope, Trouble};
use crate::services::routing::{LocalRecipient, Resolution, passing};
use crate::storage::spool::{Entry, Queued};

/// How one recipient is served.
enum Way {
    /// By this mailbox.
    Mailbox(LocalRecipient),
    /// By an entry of its own: it belongs elsewhere.
    Anew(Recipient),
    /// By an entry for those whom an alias names.
    Expanded(Vec<(Recipient, Bound)>),
    /// Not, or not now.
    Refused(Refusal),
}

impl Queue {
    /// Delivers to mailboxes; one result for each recipient, in their order.
    pub(super) async fn deliver_here(
        &self,
        entry: &Entry,
        recipients: &[Queued],
        message: &Message,
    ) -> Vec<RecipientResult> {
        let mut ways = Vec::with_capacity(recipients.len());
        for queued in recipients {
            ways.push(self.way(&queued.recipient).await.unwrap_or_else(|error| Way::Refused(Refusal::from(error))));
        }
        let plain = recipients.iter().map(|queued| queued.recipient.clone()).collect();
        let mail = self.mail(entry, plain, message);
        let locals = ways.iter().filter_map(|way| match way {
            Way::Mailbox(local) => Some(local.clone()),
            _ => None,
        });
        let locals: Vec<LocalRecipient> = locals.collect();
        let verdict = verdict(message);
        let delivered =
            if locals.is_empty() { Vec::new() } else { self.0.parts.delivery.deliver(&mail, &verdict, &locals).await };
        let mut delivered = delivered.into_iter();
        let mut results = Vec::with_capacity(ways.len());
        for way in ways {
            results.push(match way {
                Way::Mailbox(_) => delivered.next().map_or_else(|| refused(&no_answer()), of_delivery),
                Way::Anew(recipient) => {
                    self.go_on(entry, &mail, vec![(recipient, Bound::Elsewhere)], RecipientResult::Expanded).await
                }
                Way::Expanded(members) => {
                    let result = RecipientResult::PassedOn(passing(members.len()));
                    self.go_on(entry, &mail, members, result).await
                }
                Way::Refused(refusal) => refused(&refusal),
            });
        }
        results
    }

    /// The recipient's own mailbox where there is one: aliases have been followed before the message came here, and
    /// everybody else they led to has been served. Only what was never expanded (a notification to an alias) is
    /// expanded now.
    async fn way(&self, recipient: &Recipient) -> Result<Way, Error> {
        let address = &recipient.address;
        let (accounts, forwards) = match self.0.parts.routing.resolve(address).await? {
            Resolution::Local { accounts, forwards, .. } => (accounts, forwards),
            Resolution::Remote => return Ok(Way::Anew(recipient.clone())),
            Resolution::Unknown => {
                let refusal = Refusal::new(Kind::NotFound, "There is no such mailbox here").smtp(550, "5.1.1");
                return Ok(Way::Refused(refusal));
            }
            Resolution::Refused(refusal) => return Ok(Way::Refused(refusal)),
        };
        let mut locals = accounts.iter().map(|reached| LocalRecipient::of(reached, recipient));
        if let Some(own) = locals.find(|local| local.is_own(address)) {
            return Ok(Way::Mailbox(own));
        }
        let mut anew = Vec::with_capacity(accounts.len() + forwards.len());
        // Nobody learns who they are by asking to be told of success.
        let notify = Notify { success: false, ..recipient.notify };
        let named = |address| Recipient { address, notify, ..recipient.clone() };
        anew.extend(accounts.iter().map(|reached| (named(reached.account.address.clone()), Bound::Here)));
        anew.extend(forwards.into_iter().map(|forward| (named(forward), Bound::Elsewhere)));
        Ok(Way::Expanded(anew))
    }

    async fn go_on(
        &self,
        entry: &Entry,
        mail: &Mail,
        recipients: Vec<(Recipient, Bound)>,
        result: RecipientResult,
    ) -> RecipientResult {
        let message_id = entry.message_id.as_deref();
        match self.enqueue(Postponed { mail, message_id, recipients, hold: None }).await {
            Ok(_) => result,
            Err(error) => refused(&Refusal::from(error)),
        }
    }

    /// The message of an entry as it goes on.
    pub(super) fn mail(&self, entry: &Entry, recipients: Vec<Recipient>, message: &Message) -> Mail {
        let envelope = Envelope { recipients, ..entry.envelope.clone() };
        let origin = Origin::internal(
            entry.session.unwrap_or_else(|| SessionId::generate(entry.received_at)),
            entry.received_at,
        );
        Mail { id: entry.mail, origin, envelope, message: message.clone() }
    }
}

/// The filter has seen the message when it came; of its verdict, what the header says is left.
fn verdict(message: &Message) -> Verdict {
    Verdict { decision: carried::decision(&HeaderSection::of(&message.bytes())), ..Verdict::accept() }
}

fn of_delivery(result: Result<Outcome, Refusal>) -> RecipientResult {
    match result {
        // RFC 3461 §9.2: senders are not told where a recipient's mail goes.
        Ok(Outcome::Stored { .. } | Outcome::Discarded { .. }) => RecipientResult::Delivered { reply: None },
        Ok(Outcome::HandedOver { reply }) => RecipientResult::Delivered { reply: Some(reply) },
        // By a script.
        Ok(Outcome::Queued(_)) => RecipientResult::PassedOn(passing(1)),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> RecipientResult {
    if let Some(cause) = &refusal.cause {
        log::warn!("A queued message cannot be stored: {cause}");
    }
    let reply = Reply::from(refusal);
    RecipientResult::Trouble(Trouble { by: By::Us, scope: Scope::Message, ..Trouble::of(&reply) })
}

/// Stands for a result that delivery did not give.
fn no_answer() -> Refusal {
    Refusal::temporary("delivery gave fewer results than it had recipients")
}
