//! Receiving.

use std::borrow::Cow;
use std::sync::Arc;

use super::header_facts::HeaderFacts;
use super::judged::{Judged, Waiting, is_lmtp};
use super::quarantine_note;
use super::receipt::Receipt;
use super::safe_copies::{SafeCopies, SafeCopy, made};
use super::settings::{IntakeSettings, LmtpVerdict, Quarantine};
use super::trace_field;
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::clock::SharedClock;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::MailId;
use crate::foundations::mail::{HeaderSection, Mail, Origin, Recipient};
use crate::foundations::settings::Live;
use crate::services::filter::{Decision, Dialogue, Filter, Folder, Verdict, carried};
use crate::services::handover::{Bound, LocalDelivery, Outcome, Postponed, Queueing, ReportReading};
use crate::services::routing::{LocalRecipient, Routes, Routing};
use crate::storage::journal::Journal;
use crate::storage::quarantine::QuarantineNotes;
use crate::storage::spool::QUARANTINED;

/// What intake needs.
#[derive(Clone)]
pub struct IntakeParts {
    /// Its settings.
    pub settings: Live<IntakeSettings>,
    /// Whether another node has filtered everything that comes, whatever `intake.lmtp` says.
    pub is_judged: bool,
    /// Our name.
    pub hostname: Live<Domain>,
    /// What judges messages.
    pub filter: Arc<Filter>,
    /// What finds out where messages go.
    pub routing: Routing,
    /// What writes to mailboxes.
    pub delivery: Arc<dyn LocalDelivery>,
    /// What keeps messages that must wait.
    pub queue: Arc<dyn Queueing>,
    /// What reads reports about our domains.
    pub reports: Arc<dyn ReportReading>,
    /// Where messages in quarantine are noted, for the letters to their recipients.
    pub notes: QuarantineNotes,
    /// Where decisions are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// The room.
pub struct Intake {
    pub(super) parts: IntakeParts,
    safe_copies: SafeCopies,
}

/// A recipient whose copy is in quarantine.
struct KeptBack {
    account: Address,
    /// The address under which the queue holds it, if it does.
    held: Option<Address>,
}

impl Intake {
    /// Puts the parts together.
    pub fn new(parts: IntakeParts) -> Self {
        Self { parts, safe_copies: SafeCopies::default() }
    }

    /// The settings in force now.
    fn settings(&self) -> Arc<IntakeSettings> {
        let settings = self.parts.settings.get();
        match self.parts.is_judged {
            true => Arc::new(IntakeSettings { lmtp: LmtpVerdict::Trust, ..IntakeSettings::clone(&settings) }),
            false => settings,
        }
    }

    /// Begins to tell milters of a message that has a sender so far. The refusal is for the client.
    pub async fn dialogue(
        &self,
        id: MailId,
        origin: Origin,
        reverse_path: ReversePath,
    ) -> Result<Option<Box<Dialogue>>, Refusal> {
        self.parts.filter.dialogue(id, origin, reverse_path).await
    }

    /// Takes responsibility for a message, for all its recipients at once (SMTP). The refusal is for the client. In the dialogue,
    /// milters have already heard of sender and recipients.
    pub async fn receive(&self, mail: Mail, dialogue: Option<Box<Dialogue>>) -> Result<Receipt, Refusal> {
        let mut judged = self.judge(mail, dialogue).await?;
        let result = match self.remove_refused(&mut judged) {
            Some(refusal) => Err(refusal),
            None => self.accept(&judged).await.map(|receipt| {
                let removed = judged.removed.iter().cloned();
                removed.fold(receipt, |receipt, address| receipt.and(address, by_milter()))
            }),
        };
        self.record_end(&judged, &result);
        if result.is_ok() {
            self.parts.filter.sent(&judged.mail);
            self.parts.reports.read(&judged.mail).await;
        }
        result
    }

    /// Removes the recipients for whom a filter refuses the message. Returns a refusal if the client, which gets one answer for all,
    /// must be refused.
    fn remove_refused(&self, judged: &mut Judged) -> Option<Refusal> {
        let mut refused = std::mem::take(&mut judged.verdict.refused);
        let refusal = |address: &Address| refused.iter().find(|(one, _)| one == address).map(|(_, refusal)| refusal);
        let recipients = &mut judged.mail.envelope.recipients;
        let is_for_nobody = recipients.iter().all(|recipient| refusal(&recipient.address).is_some());
        // Nobody has it yet. If some can only get it later, all get it when the client sends it again; and a user is told by their own
        // program which recipient to remove.
        let is_temporary = refused.iter().any(|(_, refusal)| refusal.is_temporary());
        if is_for_nobody || is_temporary || judged.mail.origin.login.is_some() {
            return worst(&mut refused);
        }
        // The sender may be forged, so no notification is sent: only the events tell of these recipients.
        let taken = recipients.extract_if(.., |recipient| refusal(&recipient.address).is_some());
        let taken: Vec<Address> = taken.map(|recipient| recipient.address).collect();
        for address in &taken {
            self.record_removed(&judged.mail, address, refusal(address));
        }
        judged.removed.extend(taken);
        None
    }

    /// Takes a message for each recipient by itself (LMTP); results in the order of the envelope. A message that cannot be stored at
    /// all is refused: the client has a queue of its own. If some mailboxes behind an alias have it, the others wait in our queue.
    pub async fn receive_each(&self, mail: Mail) -> Vec<Result<Receipt, Refusal>> {
        let named = mail.envelope.recipients.clone();
        let mut judged = match self.judge(mail, None).await {
            Ok(judged) => judged,
            Err(refusal) => return named.iter().map(|_| Err(refusal.again())).collect(),
        };
        // Recipients whom a milter has added go with the first recipient who gets the message.
        let mut added = judged.verdict.envelope.added.clone();
        let mut results = Vec::with_capacity(named.len());
        let mut taken: Vec<(String, usize)> = Vec::new();
        for recipient in named {
            // A recipient who is named twice gets one delivery, as with SMTP, and an answer each time.
            let key = recipient.address.key();
            let before = taken.iter().find(|(known, _)| *known == key).and_then(|(_, at)| results.get(*at));
            if let Some(Ok(receipt)) = before {
                let again = Ok(Receipt::again(receipt));
                results.push(again);
                continue;
            }
            let result = self.receive_one(&mut judged, recipient, &mut added).await;
            self.record_end(&judged, &result);
            if result.is_ok() && judged.settings.lmtp == LmtpVerdict::Judge {
                self.parts.reports.read(&judged.mail).await;
            }
            taken.push((key, results.len()));
            results.push(result);
        }
        results
    }

    async fn receive_one(
        &self,
        judged: &mut Judged,
        recipient: Recipient,
        added: &mut Vec<Address>,
    ) -> Result<Receipt, Refusal> {
        let verdict = &judged.verdict;
        if let Some((_, refusal)) = verdict.refused.iter().find(|(refused, _)| *refused == recipient.address) {
            return Err(refusal.again());
        }
        let is_removed = verdict.envelope.removed.contains(&recipient.address);
        let removed = is_removed.then(|| recipient.address.clone());
        let mut recipients: Vec<Recipient> = (!is_removed).then_some(recipient).into_iter().collect();
        recipients.extend(added.iter().cloned().map(Recipient::plain));
        judged.mail.envelope.recipients = recipients;
        let mut receipt = self.accept(judged).await?;
        added.clear();
        if let Some(address) = removed {
            receipt = receipt.and(address, by_milter());
        }
        Ok(receipt)
    }

    /// Stores a filtered message: for everybody, or the message is refused. Recipients who have it in spite of a
    /// refusal do not get it again.
    async fn accept(&self, judged: &Judged) -> Result<Receipt, Refusal> {
        let mut routes = self.parts.routing.split(&judged.mail.envelope).await.map_err(later)?;
        self.record_expansions(&judged.mail, &routes);
        let kept = self.kept_back(judged, &routes);
        let mut safe = self.safe_copies.recall(&judged.mail, &mut routes, self.parts.clock.now());
        safe.iter().for_each(|copy| self.record_safe_copy(&judged.mail, &copy.address));
        let stored = self.store(judged, routes, &mut safe).await;
        if stored.is_err() {
            self.safe_copies.remember(&judged.mail, safe, self.parts.clock.now(), judged.settings.remembered_copies);
        }
        let receipt = stored?;
        self.note(judged, kept, &receipt).await;
        Ok(receipt)
    }

    /// Stores it for those who do not have it yet. If that fails, `safe` afterwards has all copies that there are.
    async fn store(&self, judged: &Judged, routes: Routes, safe: &mut Vec<SafeCopy>) -> Result<Receipt, Refusal> {
        let queued = self.queue_first(judged, &routes).await?;
        let delivered = self.deliver(judged, &routes).await;
        self.combine(judged, routes, queued, delivered, safe).await
    }

    /// Who is to be told in a letter that the message was put into quarantine.
    fn kept_back(&self, judged: &Judged, routes: &Routes) -> Vec<KeptBack> {
        // The process that has judged the message has noted it.
        if !judged.settings.digest.enabled || judged.is_final() {
            return Vec::new();
        }
        let kept = routes.local.iter().filter(|r| judged.verdict.folder(&r.account) == Folder::Quarantine);
        let held = |recipient: &LocalRecipient| judged.is_held(recipient).then(|| recipient.at_home().address);
        kept.map(|recipient| KeptBack { account: recipient.account.clone(), held: held(recipient) }).collect()
    }

    /// Notes what the letter will say. A message is not refused for that: it is safe already.
    async fn note(&self, judged: &Judged, kept: Vec<KeptBack>, receipt: &Receipt) {
        for KeptBack { account, held } in kept {
            let entry = receipt.outcomes().iter().find_map(|(address, outcome)| match outcome {
                Outcome::Queued(id) if Some(address) == held.as_ref() => Some(id.to_string()),
                _ => None,
            });
            let note = quarantine_note::note(&judged.mail, &judged.verdict, entry, self.parts.clock.now());
            if let Err(error) = self.parts.notes.note(&account.key(), &note).await {
                log::warn!(mail:% = judged.mail.id; "a message in quarantine will be missing from the letter to its recipient: {error}");
            }
        }
    }

    /// Adds the Received field, asks the filter, and changes the message as the verdict says.
    async fn judge(&self, mut mail: Mail, dialogue: Option<Box<Dialogue>>) -> Result<Judged, Refusal> {
        let settings = self.settings();
        let facts = HeaderFacts::of(&mail.message);
        if facts.hops > settings.hops {
            let text = format!("The message has passed through {} hosts: mail loop", facts.hops);
            let refusal = Refusal::new(Kind::Invalid, text).smtp(554, "5.4.6");
            return Err(self.record_refused(&mail, &facts, refusal));
        }
        let field = trace_field::received(&mail, &self.parts.hostname.get());
        mail.message = mail.message.with_prefix(field.as_bytes());
        let mut verdict = if is_lmtp(&mail) && settings.lmtp == LmtpVerdict::Trust {
            let decision = carried::decision(&HeaderSection::of(mail.message.original()));
            Verdict { decision, ..Verdict::accept() }
        } else {
            self.parts.filter.judge_after(&mail, dialogue).await
        };
        self.record_verdict(&mail, &verdict);
        match verdict.decision {
            Decision::Refuse(refusal) | Decision::Later(refusal) => {
                return Err(self.record_refused(&mail, &facts, refusal));
            }
            decision => verdict.decision = decision,
        }
        mail.message = verdict.apply(&mail.message);
        if matches!(verdict.decision, Decision::Quarantine) && settings.quarantine == Quarantine::Mailbox {
            // For what stores it later: the queue, or another process.
            mail.message = mail.message.with_prefix(carried::QUARANTINED.as_bytes());
        }
        let removed = self.change_envelope(&mut mail, &verdict);
        Ok(Judged { mail, settings, verdict, removed, message_id: facts.message_id })
    }

    /// Changes the envelope as the verdict says: what milters asked for, and no notification of success to a forged
    /// sender. Returns the recipients that milters have taken off.
    fn change_envelope(&self, mail: &mut Mail, verdict: &Verdict) -> Vec<Address> {
        let changes = &verdict.envelope;
        let envelope = &mut mail.envelope;
        if !verdict.genuine {
            // Spam under a forged sender would have us write to the one whose name was forged.
            envelope.recipients.iter_mut().for_each(|recipient| recipient.notify.success = false);
        }
        if let Some(sender) = &changes.sender {
            log::info!(mail:% = mail.id; "A milter has changed the sender {} into {sender}", envelope.reverse_path);
            envelope.reverse_path = sender.clone();
        }
        let is_removed = |recipient: &mut Recipient| changes.removed.contains(&recipient.address);
        let removed = envelope.recipients.extract_if(.., is_removed).map(|recipient| recipient.address);
        let removed: Vec<Address> = removed.collect();
        envelope.recipients.extend(changes.added.iter().cloned().map(Recipient::plain));
        removed.iter().for_each(|address| self.record_removed(mail, address, None));
        removed
    }

    /// Queues what has to wait in any case. This comes before any mailbox is written: if it fails, nothing has happened yet.
    async fn queue_first(&self, judged: &Judged, routes: &Routes) -> Result<Vec<(Address, Outcome)>, Refusal> {
        let waiting = routes.local.iter().filter(|recipient| judged.must_wait(recipient)).map(here);
        let held = routes.local.iter().filter(|recipient| judged.is_held(recipient)).map(here);
        let quarantined = matches!(judged.verdict.decision, Decision::Quarantine);
        let elsewhere = |list: &[Recipient]| -> Vec<(Recipient, Bound)> {
            list.iter().map(|recipient| (recipient.clone(), Bound::Elsewhere)).collect()
        };
        let (mut now, mut later): (Vec<_>, Vec<_>) = (waiting.collect(), held.collect());
        // Not of a message that is held, nor to an LMTP client, which writes its own notifications, nor without a sender.
        if !quarantined && !is_lmtp(&judged.mail) && judged.mail.envelope.reverse_path.address().is_some() {
            let passed_on = routes.passed_on.iter().cloned();
            now.extend(passed_on.map(|(recipient, action)| (recipient, Bound::PassedOn(action))));
        }
        let mut forwards = elsewhere(&routes.forwards);
        let forwarded = self.forwarded(judged, routes).await?;
        let others = if quarantined { &mut later } else { &mut now };
        others.extend(elsewhere(&routes.remote));
        if forwarded.is_none() {
            others.append(&mut forwards);
        }
        let hold = || QUARANTINED.to_owned();
        let whole = Cow::Borrowed(&judged.mail);
        let mut entries = vec![
            Waiting { mail: whole.clone(), recipients: now, hold: None },
            Waiting { mail: whole, recipients: later, hold: Some(hold()) },
        ];
        if let Some(mail) = &forwarded {
            entries.push(Waiting { mail: Cow::Borrowed(mail), recipients: forwards, hold: quarantined.then(hold) });
        }
        self.postpone(judged, entries).await
    }

    /// The message as aliases pass it on to other servers: under a sender of ours, and sealed. `None` if that changes nothing.
    async fn forwarded(&self, judged: &Judged, routes: &Routes) -> Result<Option<Mail>, Refusal> {
        let Some(alias) = routes.expansions.first().filter(|_| !routes.forwards.is_empty()) else { return Ok(None) };
        let before = &judged.mail.envelope.reverse_path;
        let reverse_path = self.parts.routing.forwarding_path(before).await.map_err(later)?;
        let seal = self.parts.filter.seal(&judged.mail.message, &judged.verdict, alias.from.domain());
        if reverse_path == *before && seal.is_empty() {
            return Ok(None);
        }
        let mut mail = judged.mail.clone();
        mail.envelope.reverse_path = reverse_path;
        mail.message = mail.message.with_prefix(seal.as_bytes());
        Ok(Some(mail))
    }

    /// Writes to all other mailboxes.
    async fn deliver(&self, judged: &Judged, routes: &Routes) -> Vec<(LocalRecipient, Result<Outcome, Refusal>)> {
        let direct = routes.local.iter().filter(|one| !judged.is_held(one) && !judged.must_wait(one));
        let direct: Vec<LocalRecipient> = direct.cloned().collect();
        if direct.is_empty() {
            return Vec::new();
        }
        let results = self.parts.delivery.deliver(&judged.mail, &judged.verdict, &direct).await;
        direct.into_iter().zip(results).collect()
    }

    /// Combines all results into one answer.
    async fn combine(
        &self,
        judged: &Judged,
        mut routes: Routes,
        queued: Vec<(Address, Outcome)>,
        delivered: Vec<(LocalRecipient, Result<Outcome, Refusal>)>,
        safe: &mut Vec<SafeCopy>,
    ) -> Result<Receipt, Refusal> {
        let (mut outcomes, mut without) = (queued, Vec::new());
        let mut failed: Vec<((Recipient, Bound), Refusal)> = Vec::new();
        for (recipient, result) in delivered {
            match result {
                Ok(outcome) => outcomes.push((recipient.account, outcome)),
                Err(refusal) => {
                    failed.push((here(&recipient), refusal));
                    without.push(recipient.account);
                }
            }
        }
        let nowhere = std::mem::take(&mut routes.failed).into_iter();
        failed.extend(nowhere.map(|(recipient, refusal)| ((recipient, Bound::Here), refusal)));
        if outcomes.is_empty()
            && safe.is_empty()
            && let Some(refusal) = worst(&mut failed)
        {
            // Nothing has been stored: the client can be told, and will not send twice what has arrived.
            return Err(refusal);
        }
        // Some have it. The queue tries the others again, and tells the sender about those who never can.
        let recipients = failed.into_iter().map(|(recipient, _)| recipient).collect();
        let others = Waiting { mail: Cow::Borrowed(&judged.mail), recipients, hold: None };
        let postponed = self.postpone(judged, vec![others]).await;
        if postponed.is_err() {
            safe.extend(made(&routes, &without, &outcomes));
        }
        outcomes.extend(postponed?);
        outcomes.extend(safe.drain(..).map(|copy| (copy.address, copy.outcome)));
        Ok(Receipt::new(judged.mail.id, outcomes))
    }

    /// Queues entries, all of them or none; those without recipients are left out.
    async fn postpone(&self, judged: &Judged, entries: Vec<Waiting<'_>>) -> Result<Vec<(Address, Outcome)>, Refusal> {
        let message_id = judged.message_id.as_deref();
        let login = carried::login(&judged.mail, &self.parts.hostname.get());
        let entries = entries.into_iter().flat_map(|waiting| judged.by_folder(waiting));
        let entries: Vec<_> = entries.map(|waiting| waiting.with_login(&login)).collect();
        let postponed = entries.iter().filter(|waiting| !waiting.recipients.is_empty());
        let postponed = postponed.map(|Waiting { mail, recipients, hold }| Postponed {
            mail,
            message_id,
            recipients: recipients.clone(),
            hold: hold.clone(),
        });
        let postponed: Vec<Postponed<'_>> = postponed.collect();
        if postponed.is_empty() {
            return Ok(Vec::new());
        }
        let addresses = |one: &Postponed<'_>| one.recipients.iter().map(|(one, _)| one.address.clone()).collect();
        let groups: Vec<Vec<Address>> = postponed.iter().map(addresses).collect();
        let ids = self.parts.queue.postpone_together(postponed).await?;
        let queued = groups.into_iter().zip(ids);
        Ok(queued.flat_map(|(group, id)| group.into_iter().map(move |one| (one, Outcome::Queued(id)))).collect())
    }
}

/// The outcome for a recipient whom a milter has taken off.
fn by_milter() -> Outcome {
    Outcome::Discarded { by: "a milter".into() }
}

/// A mailbox's recipient as the queue keeps it.
fn here(local: &LocalRecipient) -> (Recipient, Bound) {
    (local.at_home(), Bound::Here)
}

/// The refusal that stands for all: a temporary one if there is one, so that the client tries again.
fn worst<T>(failed: &mut Vec<(T, Refusal)>) -> Option<Refusal> {
    let at = failed.iter().position(|(_, refusal)| refusal.is_temporary()).unwrap_or(0);
    (!failed.is_empty()).then(|| failed.swap_remove(at).1)
}

fn later(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Refusal {
    Refusal::temporary(error).smtp(451, "4.3.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_gets_addresses_that_lead_to_one_mailbox() {
        for (address, tag, queued) in [
            ("ann@example.test", None, "ann@example.test"),
            ("Ann@example.test", None, "Ann@example.test"),
            ("ann+lists@example.test", Some("lists"), "ann+lists@example.test"),
            ("sales@example.test", None, "ann@example.test"),
            ("sales+x@example.test", Some("x"), "ann@example.test"),
            ("annette+x@example.test", Some("x"), "ann@example.test"),
            ("ann+x@other.test", Some("x"), "ann@example.test"),
        ] {
            let recipient = Recipient::plain(address.parse().unwrap());
            let account = "ann@example.test".parse().unwrap();
            let local = LocalRecipient { account, quota: None, tag: tag.map(ToOwned::to_owned), recipient };
            let (recipient, bound) = here(&local);
            assert_eq!((recipient.address.to_string().as_str(), bound), (queued, Bound::Here));
            assert_eq!(recipient.original.is_some(), queued != address, "{address}");
        }
    }

    #[test]
    fn a_temporary_refusal_stands_for_all() {
        let failed = |kinds: &[Kind]| {
            let recipient = Recipient::plain("ann@example.test".parse().unwrap());
            let mut failed: Vec<_> =
                kinds.iter().map(|kind| ((recipient.clone(), Bound::Here), Refusal::new(*kind, ""))).collect();
            worst(&mut failed).map(|refusal| refusal.kind)
        };
        assert_eq!(failed(&[]), None);
        assert_eq!(failed(&[Kind::NotFound, Kind::Temporary]), Some(Kind::Temporary));
        assert_eq!(failed(&[Kind::NotFound]), Some(Kind::NotFound));
    }
}
