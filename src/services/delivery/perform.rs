//! Doing what scripts have decided.

use std::sync::Arc;

use super::fields::passed_on;
use super::identity::{identity, is_believed};
use super::letters;
use super::run_scripts::{Act, Decided, duplicate_key};
use super::scripting::Scripting;
use super::settings::{Circles, MissingFolder};
use super::store::{Chosen, Delivery, Item, Target, usual};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Envelope, Message, Visits};
use crate::foundations::processor::Place;
use crate::services::filter::Folder;
use crate::services::handover::{Errand, ErrandKind, Outcome};
use crate::services::routing::ComesBack;
use crate::services::sieve::{Action, FileCopy, Notification, Vacation};
use crate::storage::mailbox::{Flags, FolderName, Keyword, Missing, User};
use crate::storage::scripts::{Home, Known};

/// What is needed to do what scripts have decided about one message for one recipient.
pub(super) struct Execution<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) scripting: &'a Scripting,
    pub(super) item: &'a Item<'a>,
    pub(super) user: &'a Arc<User>,
}

/// How often a message may have been in a mailbox to be passed on from there. Old mail that is moved in says it was there once.
const MOST_ROUNDS: usize = 2;

/// A message that is to be stored somewhere.
struct Filing<'a> {
    act: &'a Act,
    target: Target,
    message: &'a Message,
    chosen: Chosen,
}

impl Execution<'_> {
    /// First passes on and stores, both durably, then sends answers and notifications. The place among messages that may be
    /// duplicates of each other is free again once this one is remembered.
    pub(super) async fn perform(&self, mut decided: Decided, place: Option<Place>) -> Result<Outcome, Refusal> {
        self.keep_what_comes_back(&mut decided).await?;
        if self.is_junk() {
            self.leave_junk_alone(&mut decided);
        }
        self.refuse_if_wanted(&mut decided).await?;
        let sent = self.redirect_all(&mut decided).await?;
        let stored = self.store_all(&decided).await?;
        self.remember(&decided).await;
        drop(place);
        self.tell_failures(&decided).await;
        for act in &decided.acts {
            match &act.action {
                Action::Vacation(vacation) => self.answer(&decided, act, vacation).await,
                Action::Notify(notification) => self.notify(&decided, act, notification).await,
                Action::Discard => self.acted(act, |event| event),
                _ => {}
            }
        }
        Ok(match (stored, sent) {
            (Some(outcome), _) => outcome,
            (None, Some(id)) => Outcome::Queued(id),
            (None, None) => {
                let event = self.delivery.event(EventKind::Discarded, self.item);
                self.delivery.record(event.with("by", "sieve"));
                Outcome::Discarded { by: "a Sieve script".into() }
            }
        })
    }

    fn is_junk(&self) -> bool {
        self.item.verdict.folder(&self.item.recipient.account) == Folder::Junk
    }

    /// Of what scripts want done with junk, leaves only storing and discarding.
    fn leave_junk_alone(&self, decided: &mut Decided) {
        decided.acts.retain(|act| {
            let stays = matches!(act.action, Action::Keep { .. } | Action::FileInto(_) | Action::Discard);
            if !stays {
                self.acted(act, |event| event.with("reason", "not done: the message is junk"));
            }
            stays
        });
        if decided.acts.is_empty() {
            decided.acts.push(self.plain_keep());
        }
    }

    /// Keeps a message that a script passes on to an address that leads to the user. It would come back and look like a mail loop.
    /// If the address leads to others, too, they get it, and the user has it from the script's other actions if these store it.
    /// Those in whose mailboxes it has been do not get it again: they have passed it on. If they are all, the user keeps it. To refuse
    /// it as a loop would tell a sender, who may be forged, of each copy.
    async fn keep_what_comes_back(&self, decided: &mut Decided) -> Result<(), Refusal> {
        let (routing, account) = (&self.scripting.parts.routing, &self.item.recipient.account);
        let (mut copy, mut visits) = (None, None);
        let mut acts = Vec::with_capacity(decided.acts.len());
        for mut act in std::mem::take(&mut decided.acts) {
            if let Action::Redirect { to, message } = &act.action {
                let visits = visits.get_or_insert_with(|| self.visits());
                let comes_back = routing.comes_back_after(account, to, visits).await.map_err(Refusal::temporary)?;
                let keep = Action::Keep { flags: Vec::new(), implicit: false, message: message.clone() };
                match comes_back {
                    ComesBack::No => {}
                    ComesBack::Only => act.action = keep,
                    ComesBack::AndToOthers => copy = Some(act.with(keep)),
                    ComesBack::ToOthersBefore => {
                        let reason = "not done: all others whom the address leads to have had the message";
                        self.acted(&act, |event| event.with("to", to.to_string()).with("reason", reason));
                        copy = Some(act.with(keep));
                        continue;
                    }
                }
            }
            acts.push(act);
        }
        decided.acts = acts;
        if let Some(copy) = copy
            && !decided.acts.iter().any(Act::stores)
        {
            decided.acts.push(copy);
        }
        Ok(())
    }

    /// The mailboxes that take the message no more.
    fn visits(&self) -> Visits {
        match self.item.settings.circles {
            Circles::Refuse => Visits::of(self.item.message),
            Circles::Ignore => Visits::default(),
        }
    }

    fn plain_keep(&self) -> Act {
        Act::implicit_keep(self.item.message.clone())
    }

    /// RFC 5429 §2: a refusal in the SMTP dialogue wherever that is possible. If it would become a notification, only a sender who
    /// is known to be the real one gets it. Otherwise the message is kept instead.
    async fn refuse_if_wanted(&self, decided: &mut Decided) -> Result<(), Refusal> {
        let Some(at) = decided.acts.iter().position(|act| matches!(act.action, Action::Reject { .. })) else {
            return Ok(());
        };
        let act = &decided.acts[at];
        let Action::Reject { reason, extended } = &act.action else { return Ok(()) };
        let mail = self.item.mail;
        let in_dialogue = mail.envelope.recipients.len() == 1 && mail.origin.with.is_smtp();
        let is_believed = is_believed(mail, self.item.message, &self.scripting.hostname());
        // RFC 5429 §2.2: `reject` prefers to keep the words, and a reply can only say those of ASCII.
        if is_believed && !extended && !reason.is_ascii() && self.write_rejection(act, reason).await? {
            decided.acts.remove(at);
            return Ok(());
        }
        if in_dialogue || is_believed {
            self.acted(act, |event| event.with("reason", reason.as_str()));
            return Err(Refusal::new(Kind::NoPermission, letters::reason_line(reason)).smtp(550, "5.7.1"));
        }
        self.acted(act, |event| event.with("reason", "not done: the sender may be forged; the message is kept"));
        decided.acts[at] = self.plain_keep();
        Ok(())
    }

    /// Writes to the sender why the message is refused, once. Returns whether that has been done.
    async fn write_rejection(&self, act: &Act, reason: &str) -> Result<bool, Refusal> {
        let (Item { mail, message, recipient, .. }, now) = (*self.item, self.delivery.clock.now());
        let Some(sender) = mail.envelope.reverse_path.address() else { return Ok(false) };
        let letter = letters::rejection(message, recipient, sender, reason, &self.scripting.hostname(), now);
        let Some(letter) = letter else { return Ok(false) };
        let key = format!("rejected {}", identity(mail, message));
        let until = now + self.item.settings.sieve.redirected_once_in.duration();
        if !self.claim(&key, until, now).await? {
            self.acted(act, |event| event.with("to", sender.to_string()).with("reason", "told before"));
            return Ok(true);
        }
        match self.send(&letter, vec![sender.clone()], ReversePath::Null).await {
            Ok((id, _)) => {
                self.acted(act, |event| event.with("to", sender.to_string()).with("reason", reason).queue(id));
                Ok(true)
            }
            Err(refusal) => {
                self.forget(&key).await;
                if refusal.is_temporary() { Err(refusal) } else { Ok(false) }
            }
        }
    }

    /// Puts what is passed on into the queue. If an address cannot be served, an event says so, and the message is kept.
    async fn redirect_all(&self, decided: &mut Decided) -> Result<Option<QueueId>, Refusal> {
        let (mut sent, mut lost) = (None, false);
        let redirects = decided.acts.iter().filter_map(|act| match &act.action {
            Action::Redirect { to, message } => Some((act, to, message)),
            _ => None,
        });
        for (act, to, message) in redirects {
            match self.redirect(act, to, self.without_new_claims(message)).await {
                Ok(Some(id)) => sent = sent.or(Some(id)),
                // It has come back from where it was passed on to.
                Ok(None) => lost |= self.item.visits > 0,
                Err(refusal) if refusal.is_temporary() => return Err(refusal),
                Err(refusal) => {
                    let account = &self.item.recipient.account;
                    log::warn!(mail:% = self.item.mail.id, user:% = account; "A script cannot pass mail on to {to}: {refusal}");
                    self.acted(act, |event| event.with("to", to.to_string()).with("problem", refusal.to_string()));
                    lost = true;
                }
            }
        }
        if lost && sent.is_none() && !decided.acts.iter().any(Act::stores) {
            decided.acts.push(self.plain_keep());
        }
        Ok(sent)
    }

    async fn redirect(&self, act: &Act, to: &Address, message: &Message) -> Result<Option<QueueId>, Refusal> {
        let (mail, account) = (self.item.mail, &self.item.recipient.account);
        let key = format!("redirect {} {}", to.key(), identity(mail, message));
        let now = self.delivery.clock.now();
        let until = now + self.item.settings.sieve.redirected_once_in.duration();
        let asked = key.clone();
        let known = self.scripting.home(account, move |home| Ok(home.memory()?.has(&asked, now))).await;
        // A script may make it another message each time it comes round.
        if known.map_err(Refusal::temporary)? || self.item.visits >= MOST_ROUNDS {
            // While the mailbox is full, attempts may go on for days.
            self.remember_until(&key, until).await;
            self.acted(act, |event| event.with("to", to.to_string()).with("reason", "passed on before"));
            return Ok(None);
        }
        let mut passed = mail.clone();
        passed.message = passed_on(message);
        let recipients = vec![self.item.recipient.passed_on_to(to.clone())];
        passed.envelope = Envelope { recipients, ..passed.envelope };
        let findings = self.item.verdict.findings.as_ref();
        let errand = Errand { mail: &passed, account, kind: ErrandKind::Redirect, findings };
        let id = self.scripting.parts.posting.post(errand).await?;
        self.acted(act, |event| event.with("to", to.to_string()).queue(id));
        // Only now, when it is on disk: after a crash, better passed on twice than not at all.
        self.remember_until(&key, until).await;
        Ok(Some(id))
    }

    /// Stores the message wherever scripts want it, once in each folder. If that fails half-way, what has been stored is remembered,
    /// so that the next attempt stores only the rest.
    async fn store_all(&self, decided: &Decided) -> Result<Option<Outcome>, Refusal> {
        let mut filings = self.filings(decided);
        let before = self.leave_out_stored(&mut filings).await?;
        let (mut keys, mut first) = (Vec::<String>::new(), None);
        for Filing { act, target, message, chosen } in filings {
            let key = self.filing_key(&target.folder, message);
            let outcome = match self.delivery.put(self.user, self.item, message, target, chosen).await {
                Ok(outcome) => outcome,
                Err(refusal) => {
                    let until = self.delivery.clock.now() + self.item.settings.sieve.redirected_once_in.duration();
                    for key in before.iter().chain(&keys) {
                        self.remember_until(key, until).await;
                    }
                    return Err(refusal);
                }
            };
            keys.push(key);
            if let (Chosen::ByScript, Outcome::Stored { folder, .. }) = (chosen, &outcome) {
                self.acted(act, |event| event.with("folder", folder.as_str()));
            }
            first.get_or_insert(outcome);
        }
        // If the same message is sent once more, it is stored again.
        for key in &before {
            self.forget(key).await;
        }
        Ok(first)
    }

    /// What is to be stored. RFC 5228 §2.10.3: the same message twice into one folder counts once.
    fn filings<'d>(&self, decided: &'d Decided) -> Vec<Filing<'d>> {
        let mut filings: Vec<Filing<'d>> = Vec::new();
        for act in &decided.acts {
            let (target, message, chosen) = match &act.action {
                Action::Keep { flags, message, implicit } => {
                    let target = marked(usual(self.user, self.item), flags);
                    (target, message, if *implicit { Chosen::Here } else { Chosen::ByScript })
                }
                Action::FileInto(file) => {
                    let target = self.target(decided, &file.folder, file.create, &file.flags);
                    (target, &file.message, Chosen::ByScript)
                }
                _ => continue,
            };
            let chosen = if act.script.is_none() { Chosen::Here } else { chosen };
            if !filings.iter().any(|known| known.target.folder == target.folder && known.message == message) {
                filings.push(Filing { act, target, message, chosen });
            }
        }
        filings
    }

    /// Leaves out what an attempt that failed half-way has stored, and returns the keys by which that is remembered. If everything is
    /// remembered, the message was sent once more: then nothing is left out.
    async fn leave_out_stored(&self, filings: &mut Vec<Filing<'_>>) -> Result<Vec<String>, Refusal> {
        if filings.len() < 2 {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = filings.iter().map(|one| self.filing_key(&one.target.folder, one.message)).collect();
        let (asked, now) = (keys.clone(), self.delivery.clock.now());
        let look = move |home: &Home| {
            let memory = home.memory()?;
            Ok(asked.iter().map(|key| memory.has(key, now)).collect::<Vec<bool>>())
        };
        let known = self.scripting.home(&self.item.recipient.account, look).await.map_err(Refusal::temporary)?;
        if !known.contains(&true) || !known.contains(&false) {
            return Ok(Vec::new());
        }
        let mut stored = known.iter();
        filings.retain(|_| stored.next() == Some(&false));
        Ok(keys.into_iter().zip(known).filter_map(|(key, known)| known.then_some(key)).collect())
    }

    fn filing_key(&self, folder: &FolderName, message: &Message) -> String {
        format!("stored {folder} {}", identity(self.item.mail, message))
    }

    fn target(&self, decided: &Decided, folder: &str, create: bool, flags: &[String]) -> Target {
        let create = create || self.item.settings.sieve.missing_folder == MissingFolder::Create;
        let missing = if create { Missing::Create } else { Missing::Fail };
        let (folder, missing) = match decided.folders.get(folder) {
            Some(folder) => (folder.clone(), missing),
            None => (FolderName::inbox(), Missing::Create),
        };
        marked(Target { folder, missing, flags: Flags::NONE, keywords: Vec::new() }, flags)
    }

    async fn remember(&self, decided: &Decided) {
        let now = self.delivery.clock.now();
        for remember in &decided.remember {
            self.remember_until(&duplicate_key(&remember.key), now + remember.span).await;
        }
    }

    /// Remembers what has been done. If that fails, it may be done twice.
    async fn remember_until(&self, key: &str, until: Timestamp) {
        let (key, now, account) = (key.to_owned(), self.delivery.clock.now(), &self.item.recipient.account);
        let remembered = self.scripting.home(account, move |home| home.remember(&key, until, now)).await;
        if let Err(error) = remembered {
            log::warn!(user:% = account, error:% = error; "What a script did could not be recorded");
        }
    }

    async fn answer(&self, decided: &Decided, act: &Act, vacation: &Vacation) {
        let now = self.delivery.clock.now();
        let key = format!("vacation {} {}", vacation.to.key(), vacation.handle);
        let to = vacation.to.to_string();
        if !vacation.period.is_zero() {
            match self.claim(&key, now + vacation.period, now).await {
                Ok(true) => {}
                Ok(false) => {
                    return self.acted(act, |event| {
                        event.with("to", to).with("reason", "not done: this sender has been answered")
                    });
                }
                // One answer too few is better than an answer to every message.
                Err(refusal) => {
                    return self.acted(act, |event| event.with("to", to).with("problem", refusal.to_string()));
                }
            }
        }
        let recipients = vec![vacation.to.clone()];
        match self.send(&vacation.reply, recipients, ReversePath::Null).await {
            Ok((id, sent)) => {
                self.copy(decided, &sent, vacation.copy.as_ref()).await;
                self.acted(act, |event| event.with("to", to).queue(id));
            }
            Err(refusal) => {
                self.forget(&key).await;
                self.acted(act, |event| event.with("to", to).with("problem", refusal.to_string()));
            }
        }
    }

    async fn notify(&self, decided: &Decided, act: &Act, notification: &Notification) {
        let to: Vec<String> = notification.to.iter().map(ToString::to_string).collect();
        // RFC 5436 §2.3: a message that must not be answered causes nothing that could be answered.
        let reverse_path = match self.item.mail.envelope.reverse_path {
            ReversePath::Null => ReversePath::Null,
            ReversePath::Address(_) => ReversePath::Address(self.item.recipient.account.clone()),
        };
        match self.send(&notification.message, notification.to.clone(), reverse_path).await {
            Ok((id, sent)) => {
                self.copy(decided, &sent, notification.copy.as_ref()).await;
                self.acted(act, |event| event.with("to", to).queue(id));
            }
            Err(refusal) => {
                self.acted(act, |event| event.with("to", to).with("problem", refusal.to_string()));
            }
        }
    }

    /// Sends a letter of the account. Returns it as it was sent.
    async fn send(
        &self,
        message: &Message,
        to: Vec<Address>,
        reverse_path: ReversePath,
    ) -> Result<(QueueId, Message), Refusal> {
        let message = self.in_own_name(message).await?;
        let mail = letters::mail(&message, to, reverse_path, self.delivery.clock.now());
        let account = &self.item.recipient.account;
        let errand = Errand { mail: &mail, account, kind: ErrandKind::Letter, findings: None };
        let posted = self.scripting.parts.posting.post(errand).await;
        let posted = posted.inspect_err(|refusal| {
            let cause = refusal.cause.as_ref().map(ToString::to_string).unwrap_or_default();
            log::warn!(mail:% = self.item.mail.id, user:% = account, cause = cause; "A message from a script was not sent: {refusal}");
        });
        Ok((posted?, message))
    }

    /// Keeps a copy of a letter (RFC 8580).
    async fn copy(&self, decided: &Decided, message: &Message, copy: Option<&FileCopy>) {
        let Some(copy) = copy else { return };
        let target = self.target(decided, &copy.folder, copy.create, &copy.flags);
        // Its failure has been logged; the letter is on its way.
        let _ = self.delivery.put(self.user, self.item, message, target, Chosen::Letter).await;
    }

    /// Tells of scripts that have failed: in events, the log, and at most once a day in the user's inbox.
    async fn tell_failures(&self, decided: &Decided) {
        let (account, now) = (&self.item.recipient.account, self.delivery.clock.now());
        for (script, why) in &decided.failures {
            log::warn!(mail:% = self.item.mail.id, user:% = account, script = script; "A Sieve script of {account} failed; the message is kept: {why}");
            let event = self.delivery.event(EventKind::SieveAction, self.item).with("action", "failed");
            self.delivery.record(event.with("script", script.as_str()).with("problem", why.as_str()));
        }
        let Some((script, why)) = decided.failures.first() else { return };
        if !matches!(self.claim("told of a failure", now + letters::TOLD_AGAIN, now).await, Ok(true)) {
            return;
        }
        let message = letters::failure(account, script, why, &self.scripting.hostname(), now);
        // Whether there is room for it makes no difference to the message itself.
        let _ = self.delivery.put(self.user, self.item, &message, Target::inbox(), Chosen::Letter).await;
    }

    /// Remembers that this is done. Returns whether it is for the first time, as far as is known.
    async fn claim(&self, key: &str, until: Timestamp, now: Timestamp) -> Result<bool, Refusal> {
        let key = key.to_owned();
        let claimed = self.scripting.home(&self.item.recipient.account, move |home| home.claim(&key, until, now)).await;
        claimed.map(|known| known == Known::New).map_err(Refusal::temporary)
    }

    async fn forget(&self, key: &str) {
        self.remember_until(key, self.delivery.clock.now()).await;
    }

    /// Records one action.
    fn acted(&self, act: &Act, more: impl FnOnce(Event) -> Event) {
        let event = self.delivery.event(EventKind::SieveAction, self.item).with("action", act.word());
        let event = event.with_known("script", act.script.as_deref());
        let why = Some(act.why.as_str()).filter(|why| !why.is_empty());
        self.delivery.record(more(event.with_known("why", why)));
    }
}

/// With the flags and keywords that a script sets, as far as they can exist.
fn marked(mut target: Target, flags: &[String]) -> Target {
    for flag in flags {
        match flag.to_ascii_lowercase().as_str() {
            "\\seen" => target.flags |= Flags::SEEN,
            "\\answered" => target.flags |= Flags::ANSWERED,
            "\\flagged" => target.flags |= Flags::FLAGGED,
            "\\deleted" => target.flags |= Flags::DELETED,
            "\\draft" => target.flags |= Flags::DRAFT,
            "$forwarded" => target.flags |= Flags::FORWARDED,
            _ => target.keywords.extend(Keyword::parse(flag)),
        }
    }
    target
}
