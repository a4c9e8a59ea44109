//! The events that say what happened to a message.

use super::header_facts::HeaderFacts;
use super::judged::Judged;
use super::receipt::Receipt;
use super::receive::Intake;
use crate::foundations::address::Address;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Refusal;
use crate::foundations::mail::Mail;
use crate::services::filter::{Decision, Verdict};
use crate::services::routing::Routes;

impl Intake {
    fn event(&self, kind: EventKind, mail: &Mail) -> Event {
        Event::new(self.parts.clock.now(), kind).session(mail.origin.session).mail(mail.id)
    }

    /// Returns the refusal, so that the caller can answer with it.
    pub(super) fn record_refused(&self, mail: &Mail, facts: &HeaderFacts, refusal: Refusal) -> Refusal {
        let event = self.event(EventKind::MessageRefused, mail).subject(mail.envelope.reverse_path.bare());
        let event = event.with("reason", refusal.to_string()).with("peer", mail.origin.peer.to_string());
        let recipients = mail.envelope.recipients.iter().take(MOST_RECIPIENTS);
        let to: Vec<String> = recipients.map(|recipient| recipient.address.to_string()).collect();
        let event = event.with("to", to);
        self.parts.journal.record(event.with_known("message_id", facts.message_id.clone()));
        refusal
    }

    pub(super) fn record_verdict(&self, mail: &Mail, verdict: &Verdict) {
        if !verdict.judged && matches!(verdict.decision, Decision::Accept) {
            return;
        }
        // A list of plain structs always has a JSON form.
        let signals = serde_json::to_value(&verdict.signals).unwrap_or_default();
        let event = self.event(EventKind::Verdict, mail).subject(mail.envelope.reverse_path.bare());
        let event = event.with("decision", verdict.decision.word()).with("score", verdict.score);
        let event = event.with("signals", signals);
        self.parts.journal.record(event.with_known("learned", verdict.learned.map(|class| class.word())));
    }

    pub(super) fn record_removed(&self, mail: &Mail, address: &Address, refusal: Option<&Refusal>) {
        let event = self.event(EventKind::Discarded, mail).subject(address.to_string()).with("by", "milter");
        self.parts.journal.record(event.with_known("reason", refusal.map(ToString::to_string)));
    }

    /// Records that a recipient has the message from an attempt that was refused.
    pub(super) fn record_safe_copy(&self, mail: &Mail, address: &Address) {
        let event = self.event(EventKind::Discarded, mail).subject(address.to_string()).with("by", "intake");
        let reason = "already delivered: it came before, and was refused because others could not get it";
        self.parts.journal.record(event.with("reason", reason));
    }

    pub(super) fn record_expansions(&self, mail: &Mail, routes: &Routes) {
        for expansion in &routes.expansions {
            let to: Vec<String> = expansion.to.iter().map(ToString::to_string).collect();
            let event = self.event(EventKind::AliasExpanded, mail).subject(expansion.from.to_string());
            self.parts.journal.record(event.with("to", to));
        }
    }

    pub(super) fn record_end(&self, judged: &Judged, result: &Result<Receipt, Refusal>) {
        let mail = &judged.mail;
        let event = match result {
            Ok(receipt) => self
                .event(EventKind::MessageReceived, mail)
                .with("recipients", receipt.outcomes().len() as u64)
                .with("size", mail.message.len() as u64)
                .with("with", mail.origin.with.keyword()),
            Err(refusal) => {
                if let Some(cause) = &refusal.cause {
                    log::warn!(mail:% = mail.id, session:% = mail.origin.session; "a message cannot be stored: {cause}");
                }
                self.event(EventKind::MessageRefused, mail).with("reason", refusal.to_string())
            }
        };
        let event = event.subject(mail.envelope.reverse_path.bare()).with("peer", mail.origin.peer.to_string());
        let event = event.with_known("message_id", judged.message_id.clone());
        let login = mail.origin.login.as_ref().map(|login| login.address.to_string());
        self.parts.journal.record(event.with_known("login", login));
    }
}

/// Most recipients of a refused message that its event names.
const MOST_RECIPIENTS: usize = 20;
