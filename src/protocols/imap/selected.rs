//! What belongs to a session once it has selected a mailbox.

use std::io;

use super::account::{Account, Enabled};
use super::command_table::Expunges;
use super::commands::tell_new;
use super::contexts::{Context, Touched, tell_expunged, tell_touched};
use super::link::Link;
use super::outcome::Trouble;
use crate::foundations::mail::{ModSeq, SequenceNumber, SequenceSet, Uid};
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{Addressing, Messages, Numbers};
use crate::storage::mailbox::{self, Access, Flags, Keywords, Row, Update, View};

/// A session's selected mailbox.
pub struct Selected {
    /// The view of it.
    pub view: View,
    /// The result of the last SEARCH RETURN (SAVE), `$` (RFC 5182).
    pub saved: SequenceSet<Uid>,
    /// Searches whose results the client is told to follow (RFC 5267 §4.3).
    pub contexts: Vec<Context>,
    /// Whether the current command uses UIDs. If so, flag changes reported with it include them.
    pub addressing: Addressing,
    /// The client has been told of everything up to this modification sequence.
    told: ModSeq,
    /// A flag change was withheld from the client, as it asked by NOTIFY, and nothing else will report it.
    has_untold: bool,
    gone: bool,
}

impl std::fmt::Debug for Selected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Selected").field("folder", self.view.folder()).finish_non_exhaustive()
    }
}

/// Flag changes that this session has made itself, and that its command reports in its own way or not at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    /// The messages, ascending, each with the modification sequence it got. If a message has another one by now, others
    /// have changed it since, and that is reported.
    pub changed: &'a [(Uid, ModSeq)],
    /// Those that others had changed before without the client knowing, ascending.
    pub overtaken: &'a [Uid],
}

impl Own<'_> {
    fn covers(&self, row: &Row) -> bool {
        self.changed.binary_search(&(row.uid, row.mod_seq)).is_ok() && self.overtaken.binary_search(&row.uid).is_err()
    }
}

impl Selected {
    /// A mailbox just opened.
    pub fn new(view: View) -> Self {
        Self {
            told: view.highest_mod_seq(),
            view,
            saved: SequenceSet::new(),
            contexts: Vec::new(),
            addressing: Addressing::Sequence,
            has_untold: false,
            gone: false,
        }
    }

    /// Whether the mailbox was deleted or renamed under the session.
    pub const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Refuses what EXAMINE does not allow.
    pub fn demand_write(&self) -> Result<(), Trouble> {
        match self.view.access() {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Trouble::coded("NOPERM", "The mailbox is open read-only")),
        }
    }

    /// Brings the view up to date and tells the client.
    pub async fn tell_updates(&mut self, account: &Account, expunges: Expunges, link: &mut Link) -> io::Result<()> {
        self.tell_all_but(account, expunges, Own::default(), link).await
    }

    /// As [`Selected::tell_updates`], where no command ends with it, as between commands and during IDLE: the connection may break
    /// before another one does.
    pub async fn tell_between(&mut self, account: &Account, expunges: Expunges, link: &mut Link) -> io::Result<()> {
        let before = link.mark();
        self.tell_updates(account, expunges, link).await?;
        // If it was told nothing, because it does not want to know of flags, it knows no higher mod-sequence than before.
        if link.mark() != before {
            self.tell_behind(account, link);
        }
        Ok(())
    }

    /// As [`Selected::tell_updates`], without the flag changes of the session itself.
    pub async fn tell_all_but(
        &mut self,
        account: &Account,
        expunges: Expunges,
        own: Own<'_>,
        link: &mut Link,
    ) -> io::Result<()> {
        let next = self.view.uid_next();
        let updates = self.view.sync(match expunges {
            Expunges::Tell => mailbox::Expunges::Tell,
            Expunges::Hold | Expunges::Silent => mailbox::Expunges::Hold,
        });
        if updates.is_empty() {
            self.note_told();
            return Ok(());
        }
        let enabled = account.enabled;
        let touched = match self.contexts.is_empty() {
            true => None,
            false => Some(Touched::of(&updates, next, self)),
        };
        tell_expunged(self, &updates, link);
        let arrived = updates.iter().any(|update| matches!(update, Update::Exists(_)));
        if enabled.qresync {
            tell_vanished(&updates, link);
        }
        for update in updates {
            self.tell_update(&update, account, own, link);
            link.relieve().await?;
        }
        // RFC 5465 §5.2: after EXISTS.
        match account.attention.selected() {
            Some(events) if !events.fetch.is_empty() && !self.gone => {
                Box::pin(tell_new(&events.fetch, next, enabled, self, link)).await?;
            }
            _ => {}
        }
        if let Some(touched) = touched.filter(|_| !self.gone) {
            Box::pin(tell_touched(self, &touched, enabled, link)).await?;
        }
        // RFC 7162 §3.2.5: as EXISTS names no modification sequence.
        if self.note_told() && arrived && enabled.qresync && own.changed.is_empty() {
            let code = Code::HighestModSeq(self.told);
            link.out.untagged(Condition::Ok, Some(&code), "The highest mod-sequence");
        }
        Ok(())
    }

    fn tell_update(&mut self, update: &Update, account: &Account, own: Own<'_>, link: &mut Link) {
        let enabled = account.enabled;
        match *update {
            Update::Expunged { sequence, .. } if !enabled.qresync => _ = link.out.expunge(sequence),
            Update::Expunged { .. } => {}
            Update::Exists(count) => _ = link.out.exists(count),
            // RFC 9051 Appendix E: IMAP4rev2 has no RECENT.
            Update::Recent(count) if !enabled.rev2 => _ = link.out.recent(count),
            Update::Recent(_) => {}
            Update::Keywords => self.tell_flags(link),
            Update::Flags { sequence, .. } => self.tell_flags_of(sequence, account, own, link),
            Update::Gone => self.gone = true,
        }
    }

    /// Whether the client now knows everything that the view shows. If so, that is noted.
    fn note_told(&mut self) -> bool {
        let knows_all = !(self.view.holds_expunges() || self.has_untold || self.gone);
        if knows_all {
            self.told = self.view.highest_mod_seq();
        }
        knows_all
    }

    /// Up to which modification sequence the client knows everything. It is told this one, not the mailbox's own, because it will ask
    /// for what comes after it (RFC 7162 §3.2.5).
    pub const fn told(&self) -> ModSeq {
        self.told
    }

    /// Called before a command ends, and after what is told between commands. If the client does not know everything yet, such as an
    /// EXPUNGE that is held back, it is told up to which modification sequence it does.
    ///
    /// RFC 7162 §6: otherwise the client would take the highest one that a FETCH response had for the mailbox's own, and miss
    /// what it has not been told.
    pub fn tell_behind(&self, account: &Account, link: &mut Link) {
        if account.enabled.qresync && !self.gone && self.told < self.view.highest_mod_seq() {
            let code = Code::HighestModSeq(self.told);
            link.out.untagged(Condition::Ok, Some(&code), "More changes will be reported later");
        }
    }

    /// Called before the mailbox is left: tells changed flags of the messages for which `tells` holds. Sequence numbers stay as they
    /// are, and nothing else is told any more.
    pub async fn tell_last_flags(
        &mut self,
        account: &Account,
        tells: impl Fn(&Row) -> bool + Send,
        link: &mut Link,
    ) -> io::Result<()> {
        if account.attention.ignores_selected() {
            return Ok(());
        }
        for update in self.view.sync(mailbox::Expunges::Hold) {
            match update {
                Update::Keywords => self.tell_flags(link),
                Update::Flags { sequence, .. } if self.view.row(sequence).is_some_and(|row| tells(&row)) => {
                    self.tell_flags_of(sequence, account, Own::default(), link);
                }
                Update::Gone => self.gone = true,
                _ => self.has_untold = true,
            }
            link.relieve().await?;
        }
        Ok(())
    }

    /// Called after the last command in a mailbox, which has expunged these messages, ascending. The client can be told of nothing else
    /// any more.
    pub fn close(&mut self, expunged: &[Uid]) {
        let own = |update: Update| match update {
            Update::Expunged { uid, .. } => expunged.binary_search(&uid).is_ok(),
            _ => false,
        };
        let only_own = self.view.sync(mailbox::Expunges::Tell).into_iter().all(own);
        if only_own {
            self.note_told();
        }
    }

    /// FLAGS and PERMANENTFLAGS.
    pub fn tell_flags(&self, link: &mut Link) {
        let keywords = self.view.keywords();
        let known: Vec<&str> =
            SYSTEM_FLAGS.iter().map(|(_, name)| *name).chain(keywords.iter().map(|(_, k)| k.as_str())).collect();
        link.out.flags_line(known.iter().copied());
        let permanent = match self.view.access() {
            Access::ReadOnly => Vec::new(),
            Access::ReadWrite => {
                // `\*`: new keywords can be made as long as there is room for them.
                let room = keywords.iter().count() < Keywords::MOST;
                known.into_iter().chain(room.then_some("\\*")).map(str::to_owned).collect()
            }
        };
        link.out.untagged(Condition::Ok, Some(&Code::PermanentFlags(permanent)), "Flags that can be changed");
    }

    fn tell_flags_of(&mut self, sequence: SequenceNumber, account: &Account, own: Own<'_>, link: &mut Link) {
        let enabled = account.enabled;
        // RFC 5465 §5.1.
        let notified = account.attention.selected().is_some();
        let Some(row) = self.view.row(sequence) else { return };
        if own.covers(&row) {
            return;
        }
        if !account.attention.tells_flags() {
            self.has_untold = true;
            return;
        }
        let mut writer = link.out.fetch(sequence);
        if enabled.qresync || enabled.rev2 || notified || self.addressing == Addressing::Uid {
            writer.uid(row.uid);
        }
        writer.flags(self.flags(&row, enabled));
        if enabled.condstore {
            writer.mod_seq(row.mod_seq);
        }
        writer.end();
    }

    /// The flags of a message as words.
    pub fn flags(&self, row: &Row, enabled: Enabled) -> impl Iterator<Item = &str> {
        let flags = row.flags;
        let system = SYSTEM_FLAGS.iter().filter(move |(flag, _)| flags.contains(*flag)).map(|(_, name)| *name);
        let keywords = self.view.keywords().names(row.keywords).map(|keyword| keyword.as_str());
        let recent = !enabled.rev2 && self.view.recent() > 0 && self.view.is_recent(row.uid);
        system.chain(keywords).chain(recent.then_some("\\Recent"))
    }

    /// The messages a command names, ascending.
    pub fn rows<'v>(&'v self, messages: &'v Messages) -> Result<Rows<'v>, Trouble> {
        Ok(match messages {
            Messages::Sequence(Numbers::Set(set)) => {
                self.check_numbers(set)?;
                Box::new(self.view.rows(set))
            }
            Messages::Uid(Numbers::Set(set)) => Box::new(self.view.rows_by_uid(set)),
            Messages::Sequence(Numbers::Saved) | Messages::Uid(Numbers::Saved) => {
                Box::new(self.view.rows_by_uid(&self.saved))
            }
        })
    }

    /// The UIDs a command names, ascending.
    pub fn uids(&self, messages: &Messages) -> Result<Vec<Uid>, Trouble> {
        Ok(self.rows(messages)?.map(|(_, row)| row.uid).collect())
    }

    /// RFC 9051 §6.4.5: a sequence number that no message has is an error of the client.
    fn check_numbers(&self, set: &SequenceSet<SequenceNumber>) -> Result<(), Trouble> {
        let last = self.view.last();
        // `*` and `n:*` in an empty mailbox name nothing either, but clients that have not counted send them.
        if set.has_star() || set.highest() <= last {
            return Ok(());
        }
        Err(Trouble::bad("There is no message with that number"))
    }
}

/// RFC 7162 §3.2.10.2: one VANISHED in place of each EXPUNGE.
fn tell_vanished(updates: &[Update], link: &mut Link) {
    let vanished = updates.iter().filter_map(|update| match update {
        Update::Expunged { uid, .. } => Some(*uid),
        _ => None,
    });
    let vanished: SequenceSet<Uid> = vanished.collect();
    if !vanished.is_empty() {
        link.out.vanished(&vanished);
    }
}

/// Messages with their numbers, ascending, without a copy of the view.
pub type Rows<'v> = Box<dyn Iterator<Item = (SequenceNumber, Row)> + Send + 'v>;

/// Flags with their names on the wire. `$Forwarded` is a keyword to clients and a letter to Maildir.
pub const SYSTEM_FLAGS: [(Flags, &str); 6] = [
    (Flags::ANSWERED, "\\Answered"),
    (Flags::FLAGGED, "\\Flagged"),
    (Flags::DELETED, "\\Deleted"),
    (Flags::SEEN, "\\Seen"),
    (Flags::DRAFT, "\\Draft"),
    (Flags::FORWARDED, "$Forwarded"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::Timestamp;
    use crate::storage::mailbox::KeywordSet;

    /// A STORE of many messages goes in batches, between which others change some of them.
    #[test]
    fn what_others_change_during_a_long_store_is_no_change_of_its_own() {
        let uid = |number| Uid::new(number).unwrap_or(Uid::MIN);
        let mod_seq = |value| ModSeq::new(value).unwrap_or(ModSeq::MIN);
        let changed = [(uid(1), mod_seq(5)), (uid(2), mod_seq(7)), (uid(3), mod_seq(7))];
        let own = Own { changed: &changed, overtaken: &[uid(3)] };
        let row = |number, value| Row {
            uid: uid(number),
            flags: Flags::NONE,
            keywords: KeywordSet::NONE,
            mod_seq: mod_seq(value),
            size: 0,
            internal_date: Timestamp::from_unix_seconds(0),
        };
        for (number, value, is_own) in
            [(1, 5, true), (1, 6, false), (2, 7, true), (2, 8, false), (3, 7, false), (4, 7, false)]
        {
            assert_eq!(own.covers(&row(number, value)), is_own, "{number} {value}");
        }
    }
}
