//! What the filter learns: from people, from its own verdicts, and from what our users send.

use std::sync::Arc;

use super::autolearn::{self, Case, Lesson};
use super::classifier::{Class, Error, Learned, Owner, Store, tokens};
use super::pipeline::{Filter, Known};
use super::reputation::{Book, Claims, Evidence, Party, PartyKind};
use super::rules::Points;
use super::view::View;
use super::{Decision, FilterSettings, Verdict};
use crate::foundations::address::Address;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::mail::Mail;
use crate::foundations::tasks::Tasks;

/// A message to more recipients does not count as written to any of them.
const MOST_CORRESPONDENTS: usize = 25;

impl Filter {
    /// Learns a person's judgement of a message. Durable when it returns; learning it again changes nothing, and the
    /// opposite judgement replaces this one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn learn(&self, owner: &Owner, class: Class, message: &[u8]) -> Result<Learned, Error> {
        let Some(store) = &self.store else { return Ok(Learned::Before) };
        let settings = self.settings.get();
        let (digest, tokens) = lesson(message, &settings);
        let learned = store.learn(owner, class, &digest, &tokens).await?;
        let (now, before) = match class {
            Class::Ham => (Evidence::WANTED, Evidence::UNWANTED),
            Class::Spam => (Evidence::UNWANTED, Evidence::WANTED),
        };
        let change = match learned {
            Learned::Now => now,
            Learned::Again => now + -before,
            Learned::Before => return Ok(learned),
        };
        if let Some(book) = self.book.as_ref().filter(|_| settings.reputation.enabled) {
            let claims = Claims::of_delivered(&View::header(message, &settings.limits), &self.hostname());
            book.note(&owner.key(), &claims.parties(), change);
            book.flush(&settings.reputation).await?;
        }
        Ok(learned)
    }

    /// A person has judged a message, but must not teach everybody: if everybody's table has learned the opposite
    /// from the message, that is undone.
    ///
    /// # Errors
    /// The database fails.
    pub async fn correct(&self, class: Class, message: &[u8]) -> Result<Learned, Error> {
        let Some(store) = &self.store else { return Ok(Learned::Before) };
        store.correct(&Owner::Site, class, &lesson(message, &self.settings.get())).await
    }

    /// Our user has sent this message: its recipients are known to the user from now on.
    pub fn sent(&self, mail: &Mail) {
        let settings = self.settings.get();
        let Some(book) = self.book.as_ref().filter(|_| settings.reputation.enabled) else { return };
        let (Some(login), recipients) = (&mail.origin.login, &mail.envelope.recipients) else { return };
        if mail.envelope.reverse_path.address().is_none() || recipients.len() > MOST_CORRESPONDENTS {
            return;
        }
        let correspondents: Vec<Party> =
            recipients.iter().filter_map(|r| Party::new(PartyKind::Correspondent, r.address.key())).collect();
        for owner in [Self::owner(&login.address).key(), Owner::Site.key()] {
            book.note(&owner, &correspondents, Evidence::WANTED);
        }
    }

    /// Records what a verdict itself says about its sender, and what it teaches. Never waits.
    pub(super) fn remember(
        &self,
        settings: &FilterSettings,
        mail: &Mail,
        known: &Known,
        (points, probability): (Points, Option<f64>),
        verdict: &mut Verdict,
    ) {
        if let Some(book) = self.book.as_ref().filter(|_| settings.reputation.enabled) {
            let reputation = &settings.reputation;
            let seen = match verdict.decision {
                Decision::Accept if points.total <= reputation.wanted_to => Some(Evidence::SEEN_WANTED),
                Decision::Later(_) => None,
                _ if points.total >= reputation.unwanted_from => Some(Evidence::SEEN_UNWANTED),
                _ => None,
            };
            if let Some(seen) = seen {
                book.note(&Owner::Site.key(), &known.claims.parties(), seen);
            }
        }
        let may_learn = settings.autolearn.enabled && settings.classifier.enabled && self.store.is_some();
        if !may_learn || matches!(verdict.decision, Decision::Later(_)) {
            return;
        }
        let case = Case { points, probability, standing: &known.standing };
        let Some(class) = autolearn::class(&settings.autolearn, &case) else { return };
        if class == Class::Ham && !matches!(verdict.decision, Decision::Accept) {
            return;
        }
        if self.autolearner.take_place(&settings.autolearn, class, &known.claims, self.now()) {
            // As it will be in the mailbox, so that a correction undoes exactly what is learned here.
            let lesson = lesson(&verdict.apply(&mail.message).bytes(), settings);
            self.autolearner.put(class, lesson);
            verdict.learned = Some(class);
        }
    }

    /// Regularly writes what was noted and learned while judging, until `tasks` stop, and then once more.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        loop {
            let pause = self.settings.get().reputation.write_every.duration();
            tokio::select! {
                () = self.pause(pause) => {}
                () = tasks.stopping() => {}
            }
            if let Err(error) = self.write_down().await {
                log::warn!("filter: sender reputation cannot be written now: {error}");
            }
            if tasks.is_stopping() {
                return;
            }
        }
    }

    /// Writes what was noted and learned while judging.
    ///
    /// # Errors
    /// The database fails. What was noted of senders stays in memory; lessons are lost.
    pub async fn write_down(&self) -> Result<(), Error> {
        if let Some(store) = &self.store {
            for (class, lessons) in self.autolearner.waiting() {
                if !lessons.is_empty() {
                    store.learn_new(&Owner::Site, class, &lessons).await?;
                }
            }
        }
        if let Some(book) = &self.book {
            book.flush(&self.settings.get().reputation).await?;
        }
        Ok(())
    }

    /// The tables of what has been learned, when there is a database.
    pub const fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The sender reputation, when there is a database.
    pub fn book(&self) -> Option<Arc<Book>> {
        self.book.clone()
    }

    /// The account's own name for its table.
    pub fn owner(account: &Address) -> Owner {
        Owner::Account(account.clone())
    }
}

/// What is learned from a message: a digest that identifies it, and its tokens. Fields that this or another
/// server has added on the way are not part of the digest. Of a large message, only the beginning is read.
pub fn lesson(message: &[u8], settings: &FilterSettings) -> Lesson {
    let message = &message[..message.len().min(settings.limits.message.len())];
    let view = View::new(message, &settings.limits);
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for name in ["Message-ID", "Date", "From", "Subject"] {
        context.update(view.value(name).as_bytes());
        context.update(b"\n");
    }
    context.update(view.rawbody.as_bytes());
    let digest = hexadecimal(context.finish().as_ref());
    (digest, tokens(&view))
}
