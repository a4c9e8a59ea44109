//! Administrators' view of the queue, and their changes.

use super::commit::{Change, Job};
use super::entry::{ENTRY_COLUMNS, RECIPIENT_COLUMNS, entry, queued};
use super::{Entry, Error, QUARANTINED, Queued, RecipientState, Settled, Spool};
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::database::{Row, Sql, Val};

/// Most recipients that are read for one page of a list.
const MOST_ROWS: u32 = 20_000;

/// An entry with its recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The entry.
    pub entry: Entry,
    /// Those not settled, in the order of the envelope.
    pub recipients: Vec<Queued>,
    /// How many more there are whose rows cannot be understood.
    pub unreadable: u64,
}

/// Which entries to select and, for changes, which of their recipients. Changes leave out quarantined entries unless
/// named by [`Selection::Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// This one.
    Entry(QueueId),
    /// Those from this sender; notifications have none.
    Sender(ReversePath),
    /// Those with this recipient; changes affect only this recipient.
    Recipient(Address),
    /// Those with a recipient of this domain; changes affect only such recipients.
    Domain(Domain),
    /// Those that wait for an administrator.
    Held,
    /// Some recipients of this entry.
    Part(QueueId, Whom),
}

/// Some recipients of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// The one with this address.
    Address(Address),
    /// Those of this domain.
    Domain(Domain),
}

/// A part of a statement.
struct Clause {
    sql: String,
    /// One for each `?`.
    values: Vec<Val>,
}

impl Clause {
    fn new(sql: &str, values: Vec<Val>) -> Self {
        Self { sql: sql.to_owned(), values }
    }

    /// A condition on `queue_entries e`: this one holds for one of its recipients.
    fn for_a_recipient(self) -> Self {
        let sql = format!("e.id IN (SELECT entry FROM queue_recipients WHERE {})", self.sql);
        Self { sql, values: self.values }
    }
}

impl Whom {
    /// A condition on `queue_recipients`.
    fn condition(&self) -> Clause {
        match self {
            Self::Address(address) => {
                Clause::new("lower(address) = ?", vec![Val::from(address.to_string().to_lowercase())])
            }
            Self::Domain(domain) => {
                let name = domain.to_string().to_lowercase().replace('_', "!_");
                Clause::new("lower(address) LIKE ? ESCAPE '!'", vec![Val::from(format!("%@{name}"))])
            }
        }
    }

    fn is(&self, address: &Address) -> bool {
        match self {
            Self::Address(one) => one.to_string().to_lowercase() == address.to_string().to_lowercase(),
            Self::Domain(domain) => address.domain() == domain,
        }
    }
}

/// The state of the queue in numbers. Recipients are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Entries.
    pub entries: u64,
    /// Recipients that wait for an attempt or are being tried.
    pub waiting: u64,
    /// Recipients that wait for an administrator, without those in quarantine.
    pub held: u64,
    /// Recipients in quarantine.
    pub quarantined: u64,
    /// Recipients with a pending report to the sender.
    pub finished: u64,
    /// When the oldest entry came that is not in quarantine, where messages stay for weeks.
    pub oldest: Option<Timestamp>,
}

impl Selection {
    /// Whether a recipient of a selected entry is included.
    pub fn takes(&self, address: &Address) -> bool {
        self.whom().is_none_or(|whom| whom.is(address))
    }

    /// Which recipients of the selected entries are included; `None` for all of them.
    fn whom(&self) -> Option<Whom> {
        match self {
            Self::Part(_, whom) => Some(whom.clone()),
            Self::Recipient(address) => Some(Whom::Address(address.clone())),
            Self::Domain(domain) => Some(Whom::Domain(domain.clone())),
            Self::All | Self::Entry(_) | Self::Sender(_) | Self::Held => None,
        }
    }

    /// A condition on `queue_entries e`.
    fn condition(&self) -> Clause {
        match self {
            Self::All => Clause::new("1 = 1", Vec::new()),
            Self::Entry(id) | Self::Part(id, _) => Clause::new("e.id = ?", vec![Val::from(id.to_string())]),
            Self::Sender(path) => Clause::new("lower(e.sender) = ?", vec![Val::from(path.bare().to_lowercase())]),
            Self::Recipient(address) => Whom::Address(address.clone()).condition().for_a_recipient(),
            Self::Domain(domain) => Whom::Domain(domain.clone()).condition().for_a_recipient(),
            Self::Held => is_in(RecipientState::Held).for_a_recipient(),
        }
    }

    /// The same for changes: quarantined entries are included only if named.
    fn condition_of_change(&self) -> Clause {
        let mut condition = self.condition();
        if !matches!(self, Self::Entry(_)) {
            condition.sql.push_str(" AND (e.hold_reason IS NULL OR e.hold_reason <> ?)");
            condition.values.push(Val::from(QUARANTINED));
        }
        condition
    }
}

/// A recipient is in this state, or gets into it.
fn is_in(state: RecipientState) -> Clause {
    Clause::new("state = ?", vec![Val::from(state.number())])
}

impl Spool {
    /// Entries after `after` in the order of their ids (which is that of their arrival), at most `limit`. There are
    /// fewer if they have very many recipients. An empty answer means that there are no more.
    pub async fn list(&self, selection: &Selection, after: Option<QueueId>, limit: u32) -> Result<Vec<Listing>, Error> {
        let mut after = after.map(|id| id.to_string()).unwrap_or_default();
        loop {
            let (listings, last) = self.page(selection, &after, limit).await?;
            match last {
                // All of them were settled between two queries, or their own rows make no sense.
                Some(last) if listings.is_empty() => after = last,
                _ => return Ok(listings),
            }
        }
    }

    /// Entries after one, and the last one looked at, if any.
    async fn page(
        &self,
        selection: &Selection,
        after: &str,
        limit: u32,
    ) -> Result<(Vec<Listing>, Option<String>), Error> {
        let Clause { sql: condition, mut values } = selection.condition();
        values.extend([Val::from(after), Val::from(limit.min(1_000))]);
        let sql = Sql::assembled(format!(
            "SELECT {ENTRY_COLUMNS} FROM queue_entries e WHERE {condition} AND e.id > ? ORDER BY e.id LIMIT ?"
        ));
        let rows = self.database().fetch_all(&sql, &values).await?;
        let ids = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
        let (Some(first), Some(mut last)) = (ids.first(), ids.last()) else { return Ok((Vec::new(), None)) };
        let mut recipients = self.recipients(selection, first, last, Some(MOST_ROWS)).await?;
        if recipients.len() >= MOST_ROWS as usize {
            // The last entry of the answer may be incomplete. If it is also the first, it is fetched whole.
            let cut = recipients.last().map(|row| row.text(0)).transpose()?.unwrap_or_default();
            match ids.iter().rev().find(|id| **id < cut) {
                Some(whole) => last = whole,
                None => {
                    last = first;
                    recipients = self.recipients(selection, first, first, None).await?;
                }
            }
        }
        let mut listings = Vec::with_capacity(rows.len());
        for (row, _) in rows.iter().zip(&ids).filter(|(_, id)| *id <= last) {
            let entry = understood(selection, entry(row))?;
            listings.extend(entry.map(|entry| Listing { entry, recipients: Vec::new(), unreadable: 0 }));
        }
        for row in &recipients {
            let id = row.text(0)?;
            let place = listings.binary_search_by(|listing| listing.entry.id.to_string().cmp(&id));
            if let Ok(place) = place {
                let listing = &mut listings[place];
                match understood(selection, queued(row, 1))? {
                    Some(recipient) => listing.recipients.push(recipient),
                    None => listing.unreadable += 1,
                }
            }
        }
        // Between the two queries an entry may have been settled.
        listings.retain(|listing| !listing.recipients.is_empty() || listing.unreadable > 0);
        Ok((listings, Some(last.clone())))
    }

    /// The recipients of selected entries from `first` to `last`, preceded by the entries' ids; at most `limit`.
    async fn recipients(
        &self,
        selection: &Selection,
        first: &str,
        last: &str,
        limit: Option<u32>,
    ) -> Result<Vec<Row>, Error> {
        let Clause { sql: condition, mut values } = selection.condition();
        values.extend([Val::from(first), Val::from(last)]);
        let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        let sql = Sql::assembled(format!(
            "SELECT e.id, {RECIPIENT_COLUMNS} FROM queue_recipients r JOIN queue_entries e ON e.id = r.entry \
             WHERE {condition} AND e.id >= ? AND e.id <= ? ORDER BY r.entry, r.id{limit}"
        ));
        Ok(self.database().fetch_all(&sql, &values).await?)
    }

    /// One entry with its recipients.
    pub async fn entry(&self, id: QueueId) -> Result<Listing, Error> {
        let mut found = self.list(&Selection::Entry(id), None, 1).await?;
        found.pop().ok_or(Error::NotFound(id))
    }

    /// The state of the queue in numbers.
    pub async fn counts(&self) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        let sql = "SELECT COUNT(*), MIN(CASE WHEN hold_reason IS NULL OR hold_reason <> ? THEN received_at END) \
                   FROM queue_entries";
        if let Some(row) = self.database().fetch_optional(sql, &[Val::from(QUARANTINED)]).await? {
            counts.entries = row.int(0)?.max(0).cast_unsigned();
            counts.oldest = row.opt_time(1)?;
        }
        let sql = "SELECT state, COUNT(*) FROM queue_recipients GROUP BY state";
        for row in self.database().fetch_all(sql, &[]).await? {
            let number = row.int(1)?.max(0).cast_unsigned();
            match RecipientState::from_number(row.int(0)?) {
                Some(RecipientState::Waiting) => counts.waiting = number,
                Some(RecipientState::Held) => counts.held = number,
                Some(RecipientState::Finished) | None => counts.finished = number,
            }
        }
        if counts.held > 0 {
            let sql = "SELECT COUNT(*) FROM queue_recipients WHERE state = ? \
                       AND entry IN (SELECT id FROM queue_entries WHERE hold_reason = ?)";
            let values = [Val::from(RecipientState::Held.number()), Val::from(QUARANTINED)];
            if let Some(row) = self.database().fetch_optional(sql, &values).await? {
                counts.quarantined = row.int(0)?.max(0).cast_unsigned();
                counts.held = counts.held.saturating_sub(counts.quarantined);
            }
        }
        Ok(counts)
    }

    /// Makes the waiting recipients of the selection due now; returns their number.
    pub async fn retry(&self, selection: &Selection) -> Result<u64, Error> {
        let now = self.clock().now();
        let waiting = Clause::new("owner IS NULL AND state = ?", vec![Val::from(RecipientState::Waiting.number())]);
        let changed = self.change(selection, Clause::new("due_at = ?", vec![Val::from(now)]), waiting).await?;
        self.notify_changed();
        Ok(changed)
    }

    /// Holds the waiting recipients of the selection until they are released. Attempts in progress are finished.
    /// Returns the number of recipients.
    pub async fn hold(&self, selection: &Selection) -> Result<u64, Error> {
        self.change(selection, is_in(RecipientState::Held), is_in(RecipientState::Waiting)).await
    }

    /// Releases held recipients of the selection, due now; returns their number. If one was held during an attempt,
    /// that continues; the recipient is due when it has ended.
    pub async fn release(&self, selection: &Selection) -> Result<u64, Error> {
        let waiting = Clause::new(
            "state = ?, due_at = CASE WHEN owner IS NULL THEN ? ELSE due_at END",
            vec![Val::from(RecipientState::Waiting.number()), Val::from(self.clock().now())],
        );
        let changed = self.change(selection, waiting, is_in(RecipientState::Held)).await?;
        let Clause { sql: condition, mut values } = selection.condition_of_change();
        values.push(RecipientState::Held.number().into());
        // Those still held keep their reason.
        let sql = Sql::assembled(format!(
            "UPDATE queue_entries SET hold_reason = NULL WHERE hold_reason IS NOT NULL AND id IN ({}) \
             AND id NOT IN (SELECT entry FROM queue_recipients WHERE state = ?)",
            ids(&condition)
        ));
        let mut job = Job::full();
        job.changes.push(Change::new(sql, values));
        self.submit(job).await?;
        self.notify_changed();
        Ok(changed)
    }

    /// Deletes an entry without notifying anybody.
    pub async fn delete(&self, id: QueueId) -> Result<(), Error> {
        let mut job = Job::full();
        let sql = "DELETE FROM queue_recipients WHERE entry = ?";
        job.changes.push(Change::new(sql, vec![Val::from(id.to_string())]));
        match self.submit_and_clear(job, id).await?.settled {
            Settled::EntryGone => Ok(()),
            Settled::EntryKept => Err(Error::NotFound(id)),
        }
    }

    /// Deletes the recipients of an entry that are still in quarantine, without notifying anybody. Returns their
    /// number: none if the entry was released meanwhile.
    pub async fn delete_quarantined(&self, id: QueueId) -> Result<u64, Error> {
        let sql = "DELETE FROM queue_recipients WHERE entry = ? AND state = ? \
                   AND EXISTS (SELECT 1 FROM queue_entries WHERE id = ? AND hold_reason = ?)";
        let id_value = Val::from(id.to_string());
        let held = RecipientState::Held.number().into();
        let mut job = Job::full();
        job.changes.push(Change::new(sql, vec![id_value.clone(), held, id_value, Val::from(QUARANTINED)]));
        Ok(self.submit_and_clear(job, id).await?.changed.first().copied().unwrap_or(0))
    }

    /// Removes recipients from an entry without notifying anybody; the entry goes with the last one. Returns their
    /// number.
    pub async fn delete_for(&self, id: QueueId, whom: &Whom) -> Result<u64, Error> {
        let condition = whom.condition();
        let sql = Sql::assembled(format!("DELETE FROM queue_recipients WHERE entry = ? AND {}", condition.sql));
        let values = std::iter::once(Val::from(id.to_string())).chain(condition.values).collect();
        let mut job = Job::full();
        job.changes.push(Change::new(sql, values));
        match self.submit_and_clear(job, id).await?.changed.first() {
            Some(&count) if count > 0 => Ok(count),
            _ => Err(Error::NotFound(id)),
        }
    }

    /// Changes those recipients of the selection for which a condition holds; returns their number.
    async fn change(&self, selection: &Selection, assign: Clause, mut which: Clause) -> Result<u64, Error> {
        if let Some(whom) = selection.whom() {
            let named = whom.condition();
            which.sql = format!("{} AND {}", which.sql, named.sql);
            which.values.extend(named.values);
        }
        let selected = selection.condition_of_change();
        let sql = Sql::assembled(format!(
            "UPDATE queue_recipients SET {} WHERE {} AND entry IN ({})",
            assign.sql,
            which.sql,
            ids(&selected.sql)
        ));
        let values = [assign.values, which.values, selected.values].concat();
        let mut job = Job::full();
        job.changes.push(Change::new(sql, values));
        Ok(self.submit(job).await?.first().copied().unwrap_or(0))
    }
}

/// A single invalid row must not hide the others: it fails only queries for its entry.
fn understood<T>(selection: &Selection, read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error @ Error::Corrupt { .. }) if !matches!(selection, Selection::Entry(_)) => {
            log::error!(cause:% = error; "A row is left out of a list of the queue");
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The ids of selected entries. The inner SELECT gets a table of its own because MySQL does not change a table that the
/// same statement reads.
fn ids(condition: &str) -> String {
    format!("SELECT id FROM (SELECT e.id FROM queue_entries e WHERE {condition}) AS selected")
}
