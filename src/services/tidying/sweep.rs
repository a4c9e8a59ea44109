//! One round over all accounts, and when it is made.

use std::sync::Arc;
use std::time::Duration;

use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::settings::{Live, Span};
use crate::foundations::tasks::Tasks;
use crate::services::trace::expunged;
use crate::storage::directory::{self, Directory, Page};
use crate::storage::journal::{self, Believed, Journal};
use crate::storage::mailbox::{self, Access, FolderName, MailboxSettings, Mailboxes, Unfinished};

/// What the room needs.
pub struct TidyingParts {
    /// How long what is kept.
    pub settings: Live<MailboxSettings>,
    /// The accounts.
    pub directory: Directory,
    /// Their mail.
    pub mailboxes: Mailboxes,
    /// Where removals are recorded, and whether the clock is believed.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Removes old messages from the folders for trash and junk.
pub struct Tidying(TidyingParts);

/// Why a round could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The accounts.
    #[error("the accounts cannot be read: {0}")]
    Directory(#[from] directory::Error),
    /// The record of the clock.
    #[error("whether the clock is right cannot be read: {0}")]
    Journal(#[from] journal::Error),
}

/// A folder, and what may leave it.
struct Rule {
    folder: FolderName,
    /// Messages that came before may go.
    before: Timestamp,
    now: Timestamp,
}

/// How long after the start the first round is made: others have more urgent work then.
const FIRST: Duration = Duration::from_secs(600);
/// How often rounds are made.
const EVERY: Duration = Duration::from_hours(24);

impl Tidying {
    /// Puts the parts together.
    pub const fn new(parts: TidyingParts) -> Self {
        Self(parts)
    }

    /// Makes rounds until `tasks` stop.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        let mut next = self.0.clock.now() + FIRST;
        loop {
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.0.clock.sleep_until(next) => {}
            }
            next = self.0.clock.now() + EVERY;
            if let Err(error) = self.sweep(&tasks).await {
                log::warn!(cause:% = error; "Old messages in trash and junk cannot be removed now; it will be tried again tomorrow");
            }
        }
    }

    /// Removes what is old enough, of every user until `tasks` stop, and returns the number of messages.
    ///
    /// # Errors
    /// The database fails. What was removed before stays removed.
    pub async fn sweep(&self, tasks: &Tasks) -> Result<usize, Error> {
        let rules = self.rules();
        if rules.is_empty() || self.0.journal.believes_the_clock().await? != Believed::Yes {
            return Ok(0);
        }
        let (mut removed, mut page) = (0, Page::default());
        loop {
            let accounts = self.0.directory.accounts(&page).await?;
            let Some(last) = accounts.last() else { return Ok(removed) };
            page.after = Some(last.address.key());
            for account in accounts.iter().filter(|account| account.archived_at.is_none()) {
                for rule in &rules {
                    // Not in the middle of a folder: what is gone must be recorded.
                    if tasks.is_stopping() {
                        return Ok(removed);
                    }
                    removed += self.tidy(&account.address, rule).await;
                }
            }
        }
    }

    fn rules(&self) -> Vec<Rule> {
        let (settings, now) = (self.0.settings.get(), self.0.clock.now());
        let kept = [(&settings.trash, settings.keep_trash), (&settings.junk, settings.keep_junk)];
        kept.into_iter().filter_map(|(folder, keep)| rule(folder, keep, now)).collect()
    }

    async fn tidy(&self, account: &Address, rule: &Rule) -> usize {
        let Unfinished { gone, error } = match self.remove(account, rule).await {
            Ok(gone) => return self.record(account, rule, &gone),
            Err(unfinished) => unfinished,
        };
        // Another node does it; or there is nothing to do, now or any more.
        if !matches!(error, mailbox::Error::Elsewhere(_) | mailbox::Error::NoFolder(_) | mailbox::Error::Renamed) {
            let folder = rule.folder.as_str();
            log::warn!(user:% = account, folder:% = folder, cause:% = error; "Old messages cannot be removed from {folder} of {account}: {error}");
        }
        self.record(account, rule, &gone)
    }

    async fn remove(&self, account: &Address, rule: &Rule) -> Result<Vec<Uid>, Unfinished> {
        // Few have anything. Opening the others would make mail directories, fill the memory, and take users from the other nodes.
        if !self.0.mailboxes.has_older(account, &rule.folder, rule.before).await? {
            return Ok(Vec::new());
        }
        let user = self.0.mailboxes.user(account).await?;
        // Not for changes yet: that would take the `\Recent` marks of new messages.
        let view = user.open(&rule.folder, Access::ReadOnly).await?;
        let every = SequenceSet::all();
        let messages = view.rows(&every).map(|(_, row)| (row.uid, view.saved_at(row.uid)));
        let (old, validity) = (rule.old_enough(messages), view.uid_validity());
        drop(view);
        if old.is_empty() {
            return Ok(old);
        }
        let view = user.open(&rule.folder, Access::ReadWrite).await?;
        // RFC 9051 §2.3.1.1: with another UIDVALIDITY, this is another folder of the same name, and these are the UIDs of others.
        if view.uid_validity() != validity {
            return Ok(Vec::new());
        }
        view.remove(&old).await
    }

    fn record(&self, account: &Address, rule: &Rule, gone: &[Uid]) -> usize {
        if !gone.is_empty() {
            let event = expunged(self.0.clock.now(), &account.to_string(), rule.folder.as_str(), gone);
            self.0.journal.record(event.with("by", "age"));
        }
        gone.len()
    }
}

/// Nobody who writes 0 means that everything is removed at once.
fn rule(folder: &str, keep: Option<Span>, now: Timestamp) -> Option<Rule> {
    let keep = keep.map(Span::duration).filter(|keep| !keep.is_zero())?;
    // A folder without a name is not used.
    let folder = FolderName::parse(folder).ok().filter(|folder| !folder.is_inbox())?;
    Some(Rule { folder, before: now - keep, now })
}

impl Rule {
    /// Which of a folder's messages may go, given in the order of their UIDs, with when they came as their files' names say.
    ///
    /// A message has come after those with lower UIDs (RFC 9051 §2.3.1.1), whatever the name says: a restored message has the name it
    /// had, some programs move files without giving them another, and a machine without a battery may start in the past. A time that is
    /// yet to come says nothing.
    fn old_enough(&self, messages: impl Iterator<Item = (Uid, Option<Timestamp>)>) -> Vec<Uid> {
        let known = messages.filter_map(|(uid, came)| Some((uid, came.filter(|came| *came <= self.now)?)));
        known.take_while(|(_, came)| *came < self.before).map(|(uid, _)| uid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_without_a_time_and_a_folder() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let days = |days| Some(Span::days(days));
        for (folder, keep) in [("Trash", None), ("Trash", days(0)), ("", days(30)), ("INBOX", days(30))] {
            assert!(rule(folder, keep, now).is_none(), "{folder:?} {keep:?}");
        }
        let rule = rule("Trash", days(30), now).unwrap();
        assert_eq!((rule.folder.as_str(), now.since(rule.before)), ("Trash", Span::days(30).duration()));
    }

    #[test]
    fn what_came_after_a_message_that_stays_stays_too() {
        let day = |days: u64| Timestamp::EPOCH + Span::days(days).duration();
        let rule = rule("Trash", Some(Span::days(30)), day(1_000)).unwrap();
        for (came, gone) in [
            ([Some(900), Some(901), Some(990)], vec![1, 2]),
            // Restored under the name it had, or moved by a program that keeps names.
            ([Some(900), Some(990), Some(10)], vec![1]),
            ([None, Some(900), Some(970)], vec![2]),
            // While the clock was ahead.
            ([Some(5_000), Some(900), None], vec![2]),
        ] {
            let messages = (1..).zip(came).map(|(n, came)| (Uid::new(n).unwrap(), came.map(day)));
            let found: Vec<u32> = rule.old_enough(messages).into_iter().map(Uid::get).collect();
            assert_eq!(found, gone, "{came:?}");
        }
    }
}
