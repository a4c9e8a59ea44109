//! Claiming recipients that are due.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::commit::{Change, Job};
use super::entry::{ENTRY_COLUMNS, ENTRY_WIDTH, RECIPIENT_COLUMNS, entry, queued};
use super::turns::{Due, Place, take_turns};
use super::{Destination, Entry, Error, Queued, RecipientKey, RecipientState, Spool};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::database::{Durability, Row, Sql, Transaction, Val};

/// A node's request for work.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The node's name.
    pub owner: &'a str,
    /// Only this destination, or all but those.
    pub only: Option<&'a Destination>,
    /// Destinations that are already busy enough; at most 100 are considered.
    pub except: &'a [Destination],
    /// Most recipients.
    pub limit: u32,
    /// How many recipients of each party (see [`Entry::party`]) the node has in hand: those of other parties go before more of these.
    pub in_hand: &'a [(String, usize)],
}

/// Recipients of one entry that go to one destination.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The entry.
    pub entry: Arc<Entry>,
    /// The destination they share.
    pub destination: Destination,
    /// At least one.
    pub recipients: Vec<Queued>,
}

/// Keys in one statement.
const SLICE: usize = 500;
/// Recipients in one of the windows among which a claim chooses: those that have been due for longest, the latest, and some in between.
const WINDOW: u32 = 500;
/// Most destinations in one exception, to keep the statement short.
const MOST_EXCEPTIONS: usize = 100;

/// Which recipients a claim looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    /// Those that have been due for longest.
    Oldest,
    /// Those after this one.
    After(Place),
    /// Those that have become due last, the very last first.
    Latest,
}

/// How recipients that can be claimed are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// In the order in which they become due.
    ByTime,
    /// By their keys, which are known.
    ByKey,
}

impl Spool {
    /// Claims recipients that are due now, the longest due first, for the length of a lease. If more are due than can be claimed, the
    /// parties on whose behalf they are sent take turns. Another node that asks meanwhile gets others. A node never gets its own claims
    /// again, whatever its clock says: it works on them or gives them back.
    pub async fn claim(&self, claim: Claim<'_>) -> Result<Vec<Claimed>, Error> {
        let now = self.clock().now();
        // Mostly nothing is due. Finding that out must not keep writers waiting.
        let mut due = self.look(claim, Window::Oldest, now).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let (most, window) = (claim.limit as usize, WINDOW as usize);
        if due.len() <= most {
            return self.reserve(claim, &[], now).await;
        }
        if let Some(oldest) = due.get(window - 1).map(Due::place) {
            let between = self.look_on(claim, oldest, now).await?;
            let latest = self.look(claim, Window::Latest, now).await?;
            let mut known: HashSet<RecipientKey> = due.iter().map(|one| one.key).collect();
            due.extend(between.into_iter().chain(latest.into_iter().rev()).filter(|one| known.insert(one.key)));
        }
        self.reserve(claim, &take_turns(&due, claim.in_hand, most), now).await
    }

    /// The recipients after those at which the last claim looked, or after the oldest. So every claim sees others, and whoever came
    /// between two large mailings does not wait for the end of the first.
    async fn look_on(&self, claim: Claim<'_>, oldest: Place, now: Timestamp) -> Result<Vec<Due>, Error> {
        let after = self.looked_up_to().lock().map_or(oldest, |place| place.max(oldest));
        let found = self.look(claim, Window::After(after), now).await?;
        // From the end it starts anew.
        *self.looked_up_to().lock() = found.get(WINDOW as usize - 1).map(Due::place);
        Ok(found)
    }

    /// Some of the recipients that can be claimed, and their parties.
    async fn look(&self, claim: Claim<'_>, window: Window, now: Timestamp) -> Result<Vec<Due>, Error> {
        let (mut condition, mut values) = self.due(claim, now, Finding::ByTime);
        let order = if window == Window::Latest { "DESC" } else { "ASC" };
        if let Window::After((due_at, key)) = window {
            // The first part is for the index.
            condition.push_str(" AND due_at >= ? AND (due_at > ? OR id > ?)");
            values.extend([Val::from(due_at), Val::from(due_at), Val::from(key)]);
        }
        values.push(Val::from(WINDOW));
        let sql = Sql::assembled(format!(
            "SELECT c.id, c.due_at, e.login, e.sender FROM (SELECT id, entry, due_at FROM queue_recipients \
             WHERE {condition} ORDER BY due_at {order}, id {order} LIMIT ?) AS c \
             LEFT JOIN queue_entries e ON e.id = c.entry ORDER BY c.due_at {order}, c.id {order}"
        ));
        let mut due = Vec::new();
        for row in &self.database().fetch_all(&sql, &values).await? {
            let party = row.opt_text(2)?.or(row.opt_text(3)?).unwrap_or_default();
            due.push(Due { key: RecipientKey(row.int(0)?), due_at: row.time(1)?, party });
        }
        Ok(due)
    }

    /// Claims the chosen recipients. Others are claimed in place of those that another node has claimed meanwhile.
    async fn reserve(&self, claim: Claim<'_>, chosen: &[RecipientKey], now: Timestamp) -> Result<Vec<Claimed>, Error> {
        // A power failure may lose the claim, but it ends the work on it, too.
        let mut transaction = self.database().begin_with(Durability::Relaxed).await?;
        let mut keys = Vec::new();
        if !chosen.is_empty() {
            keys = self.lock_chosen(&mut transaction, claim, chosen, now).await?;
        }
        let left = claim.limit.saturating_sub(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        if left > 0 {
            keys.extend(self.lock_others(&mut transaction, (Claim { limit: left, ..claim }, chosen), now).await?);
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["?"; keys.len()].join(", ");
        let sql = Sql::rare(format!(
            "SELECT {ENTRY_COLUMNS}, {RECIPIENT_COLUMNS} FROM queue_recipients r JOIN queue_entries e ON e.id = r.entry \
             WHERE r.id IN ({marks}) ORDER BY r.due_at, r.id"
        ));
        let mut groups = Groups::default();
        for row in &transaction.fetch_all(sql, &keys).await? {
            // A single invalid row must not keep the others waiting.
            if let Err(error) = groups.add(row) {
                hold_corrupt(&mut transaction, row, &error).await?;
            }
        }
        let sql = Sql::rare(format!(
            "UPDATE queue_recipients SET owner = ?, due_at = ?, sending_since = NULL WHERE id IN ({marks}) AND state = ?"
        ));
        let lease_end = now + self.settings().lease.duration();
        let mut values = vec![Val::from(claim.owner), Val::from(lease_end)];
        values.extend(keys);
        values.push(Val::from(RecipientState::Waiting.number()));
        transaction.execute(sql, &values).await?;
        transaction.commit().await?;
        Ok(groups.claimed)
    }

    /// Locks those of the chosen recipients that can still be claimed.
    async fn lock_chosen(
        &self,
        transaction: &mut Transaction,
        claim: Claim<'_>,
        chosen: &[RecipientKey],
        now: Timestamp,
    ) -> Result<Vec<Val>, Error> {
        let (condition, mut values) = self.due(claim, now, Finding::ByKey);
        let marks = vec!["?"; chosen.len()].join(", ");
        let (keyed, locked) = (transaction.dialect().by_primary_key(), transaction.dialect().skip_locked());
        let sql = format!("SELECT id FROM queue_recipients{keyed} WHERE {condition} AND id IN ({marks}){locked}");
        let sql = Sql::rare(sql);
        values.extend(chosen.iter().copied().map(Val::from));
        keys(&transaction.fetch_all(sql, &values).await?)
    }

    /// Locks other recipients that can be claimed, the longest due first.
    async fn lock_others(
        &self,
        transaction: &mut Transaction,
        (claim, chosen): (Claim<'_>, &[RecipientKey]),
        now: Timestamp,
    ) -> Result<Vec<Val>, Error> {
        let (mut condition, mut values) = self.due(claim, now, Finding::ByTime);
        if !chosen.is_empty() {
            condition.push_str(&format!(" AND id NOT IN ({})", vec!["?"; chosen.len()].join(", ")));
            values.extend(chosen.iter().copied().map(Val::from));
        }
        values.push(Val::from(claim.limit));
        let locked = transaction.dialect().skip_locked();
        let sql = format!("SELECT id FROM queue_recipients WHERE {condition} ORDER BY due_at, id LIMIT ?{locked}");
        let sql = if chosen.is_empty() { Sql::assembled(sql) } else { Sql::rare(sql) };
        keys(&transaction.fetch_all(sql, &values).await?)
    }

    /// Which recipients can be claimed.
    ///
    /// Leases are for nodes that do not come back. They end by the wall clock, which may be set forward while an
    /// attempt is in progress. So a node never claims its own claims again, nor those of a node whose own lease is
    /// still valid by the database's clock.
    fn due(&self, claim: Claim<'_>, now: Timestamp, finding: Finding) -> (String, Vec<Val>) {
        // SQLite goes by an index over all that is due even if it is told the keys, unless the columns are part of a term.
        let sign = if finding == Finding::ByKey { "+" } else { "" };
        let mut condition = format!(
            "{sign}state = ? AND {sign}due_at <= ? AND (owner IS NULL OR owner <> ? AND NOT EXISTS \
             (SELECT 1 FROM queue_nodes n WHERE n.node = owner AND n.lease_end > {}))",
            self.database().dialect().now()
        );
        let mut values = vec![Val::from(RecipientState::Waiting.number()), Val::from(now), Val::from(claim.owner)];
        if let Some(only) = claim.only {
            condition.push_str(" AND destination = ?");
            values.push(Val::from(only.to_string()));
        }
        let except = &claim.except[..claim.except.len().min(MOST_EXCEPTIONS)];
        if !except.is_empty() {
            condition.push_str(&format!(" AND destination NOT IN ({})", vec!["?"; except.len()].join(", ")));
            values.extend(except.iter().map(|destination| Val::from(destination.to_string())));
        }
        (condition, values)
    }

    /// When the next recipient is due that this node could claim with these exceptions; `None` if there is none.
    pub async fn next_due(&self, owner: &str, except: &[Destination]) -> Result<Option<Timestamp>, Error> {
        let claim = Claim { owner, only: None, except, limit: 1, in_hand: &[] };
        let (condition, values) = self.due(claim, Timestamp::from_unix_micros(i64::MAX), Finding::ByTime);
        let sql = Sql::assembled(format!("SELECT MIN(due_at) FROM queue_recipients WHERE {condition}"));
        let row = self.database().fetch_optional(&sql, &values).await?;
        Ok(row.map(|row| row.opt_time(0)).transpose()?.flatten())
    }

    /// Makes waiting recipients due sooner by this much, after the clock was set back. Recipients already due stay as
    /// they are.
    pub async fn bring_forward(&self, by: Duration) -> Result<(), Error> {
        let sql = "UPDATE queue_recipients SET due_at = due_at - ? WHERE state = ? AND owner IS NULL AND due_at > ?";
        let by = Val::from(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        let mut job = Job::relaxed();
        let values = vec![by, Val::from(RecipientState::Waiting.number()), Val::from(self.clock().now())];
        job.changes.push(Change::new(sql, values));
        self.submit(job).await.map(|_| ())
    }

    /// Makes unclaimed recipients due now that would be due after `latest`; returns their number. For the start: no
    /// wait is that long, so the clock was ahead when they were postponed, and has been corrected since.
    pub async fn none_due_after(&self, latest: Timestamp) -> Result<u64, Error> {
        let sql = "UPDATE queue_recipients SET due_at = ? WHERE state = ? AND owner IS NULL AND due_at > ?";
        let waiting = RecipientState::Waiting.number();
        let values = [Val::from(self.clock().now()), Val::from(waiting), Val::from(latest)];
        Ok(self.database().execute(sql, &values).await?)
    }

    /// Records that the message is about to be transmitted to these recipients. If the node crashes now, the message
    /// may arrive twice, and the next start can say so.
    ///
    /// # Errors
    /// [`Error::Overtaken`] when the node no longer holds all of them: nothing is recorded, and the message must not be
    /// sent to any.
    pub async fn mark_sending(&self, owner: &str, keys: &[RecipientKey]) -> Result<(), Error> {
        let mut job = Job::relaxed();
        let marks = vec!["?"; keys.len()].join(", ");
        let sql = format!("UPDATE queue_recipients SET sending_since = ? WHERE owner = ? AND id IN ({marks})");
        let mut values = vec![Val::from(self.clock().now()), Val::from(owner)];
        values.extend(keys.iter().copied().map(Val::from));
        job.changes.push(Change::of_rows(keys.len() as u64, Sql::assembled(sql), values));
        self.submit(job).await.map(|_| ())
    }

    /// The keys of all recipients claimed by a node.
    pub async fn reserved(&self, owner: &str) -> Result<Vec<RecipientKey>, Error> {
        let sql = "SELECT id FROM queue_recipients WHERE owner = ?";
        let rows = self.database().fetch_all(sql, &[Val::from(owner)]).await?;
        Ok(rows.iter().map(|row| row.int(0).map(RecipientKey)).collect::<Result<_, _>>()?)
    }

    /// Which of these recipients may be tried: those still claimed by the node and not held or deleted meanwhile.
    pub async fn confirm(&self, owner: &str, keys: &[RecipientKey]) -> Result<Vec<RecipientKey>, Error> {
        let marks = vec!["?"; keys.len()].join(", ");
        let sql = format!("SELECT id FROM queue_recipients WHERE id IN ({marks}) AND owner = ? AND state = ?");
        let mut values: Vec<Val> = keys.iter().copied().map(Val::from).collect();
        values.extend([Val::from(owner), Val::from(RecipientState::Waiting.number())]);
        // Most groups have one recipient, and hardly any two have the same size.
        let sql = if keys.len() == 1 { Sql::assembled(sql) } else { Sql::rare(sql) };
        let rows = self.database().fetch_all(&sql, &values).await?;
        Ok(rows.iter().map(|row| row.int(0).map(RecipientKey)).collect::<Result<_, _>>()?)
    }

    /// Extends the leases of these recipients, as far as the node has claimed them.
    pub async fn renew(&self, owner: &str, keys: &[RecipientKey]) -> Result<(), Error> {
        let lease_end = self.clock().now() + self.settings().lease.duration();
        self.change_reserved("due_at = ?", lease_end, owner, keys).await
    }

    /// Gives back recipients that the node has claimed but does not work on. They are due now.
    pub async fn give_back(&self, owner: &str, keys: &[RecipientKey]) -> Result<(), Error> {
        let assign = "owner = NULL, sending_since = NULL, due_at = ?";
        self.change_reserved(assign, self.clock().now(), owner, keys).await?;
        self.notify_changed();
        Ok(())
    }

    async fn change_reserved(
        &self,
        assign: &str,
        due_at: Timestamp,
        owner: &str,
        keys: &[RecipientKey],
    ) -> Result<(), Error> {
        for slice in keys.chunks(SLICE) {
            let marks = vec!["?"; slice.len()].join(", ");
            let sql = format!("UPDATE queue_recipients SET {assign} WHERE id IN ({marks}) AND owner = ?");
            let mut values = vec![Val::from(due_at)];
            values.extend(slice.iter().copied().map(Val::from));
            values.push(Val::from(owner));
            let mut job = Job::relaxed();
            job.changes.push(Change::new(Sql::rare(sql), values));
            self.submit(job).await?;
        }
        Ok(())
    }

    /// Gives back all unsettled claims of a node that stopped. Returns the recipients whose transmission had begun:
    /// these may be sent twice.
    pub async fn recover(&self, owner: &str) -> Result<Vec<(QueueId, Queued)>, Error> {
        self.give_back_all(owner, "", &[]).await
    }

    /// Gives back all claims of another node, if its lease is recorded as ended
    /// ([`QueueNode::bury`](super::QueueNode::bury)), and forgets the node, which joins anew if it comes back. Returns
    /// the recipients whose transmission had begun, like [`Spool::recover`].
    pub async fn recover_from(&self, node: &str) -> Result<Vec<(QueueId, Queued)>, Error> {
        // A node that has joined again meanwhile takes care of its own claims.
        let condition = " AND EXISTS (SELECT 1 FROM queue_nodes WHERE node = ? AND lease_end = 0)";
        let uncertain = self.give_back_all(node, condition, &[Val::from(node)]).await?;
        let sql = "DELETE FROM queue_nodes WHERE node = ? AND lease_end = 0";
        self.database().execute(sql, &[Val::from(node)]).await?;
        self.notify_changed();
        Ok(uncertain)
    }

    async fn give_back_all(
        &self,
        owner: &str,
        condition: &str,
        values: &[Val],
    ) -> Result<Vec<(QueueId, Queued)>, Error> {
        let sql = Sql::assembled(format!(
            "SELECT {ENTRY_COLUMNS}, {RECIPIENT_COLUMNS} FROM queue_recipients r JOIN queue_entries e ON e.id = r.entry \
             WHERE r.owner = ? AND r.sending_since IS NOT NULL{condition} ORDER BY r.id LIMIT 1000"
        ));
        let asked: Vec<Val> = std::iter::once(Val::from(owner)).chain(values.iter().cloned()).collect();
        let rows = self.database().fetch_all(&sql, &asked).await?;
        let mut uncertain = Vec::with_capacity(rows.len());
        for row in &rows {
            match entry(row).and_then(|entry| Ok((entry.id, queued(row, ENTRY_WIDTH)?))) {
                Ok(found) => uncertain.push(found),
                // A newer version may have written it. It must not keep the others waiting, and is held once it is
                // claimed.
                Err(error @ Error::Corrupt { .. }) => {
                    log::warn!(cause:% = error; "A message that may arrive twice cannot be reported");
                }
                Err(error) => return Err(error),
            }
        }
        let mut job = Job::full();
        let release = format!(
            "UPDATE queue_recipients SET owner = NULL, sending_since = NULL, due_at = ? WHERE owner = ?{condition}"
        );
        let asked = std::iter::once(Val::from(self.clock().now())).chain(asked).collect();
        job.changes.push(Change::new(Sql::assembled(release), asked));
        self.submit(job).await?;
        Ok(uncertain)
    }
}

/// Holds for an administrator a recipient whose row, or whose entry's, makes no sense.
async fn hold_corrupt(transaction: &mut Transaction, row: &Row, error: &Error) -> Result<(), Error> {
    let (id, key) = (row.text(0)?, row.int(ENTRY_WIDTH)?);
    log::error!(queue:% = id, recipient = key, cause:% = error;
        "A queued recipient is held because its row makes no sense; repair the row and release the recipient, or delete the entry");
    let held = RecipientState::Held.number();
    let sql = "UPDATE queue_recipients SET state = ?, owner = NULL, sending_since = NULL WHERE id = ?";
    transaction.execute(sql, &[Val::from(held), Val::from(key)]).await?;
    let sql = "UPDATE queue_entries SET hold_reason = ? WHERE id = ?";
    transaction.execute(sql, &[Val::from(error.to_string()), Val::from(id)]).await?;
    Ok(())
}

/// The keys in the first column of rows.
fn keys(rows: &[Row]) -> Result<Vec<Val>, Error> {
    Ok(rows.iter().map(|row| row.int(0).map(Val::from)).collect::<Result<_, _>>()?)
}

/// Rows grouped by entry and destination, in the order of first appearance.
#[derive(Default)]
struct Groups {
    claimed: Vec<Claimed>,
    /// The position of each pair in `claimed`.
    places: HashMap<(QueueId, Destination), usize>,
    entries: HashMap<QueueId, Arc<Entry>>,
}

impl Groups {
    fn add(&mut self, row: &Row) -> Result<(), Error> {
        let recipient = queued(row, ENTRY_WIDTH)?;
        let id = row.text(0)?;
        let id: QueueId = id.parse().map_err(|_| Error::Corrupt { entry: id, what: "id" })?;
        let pair = (id, recipient.destination.clone());
        if let Some(place) = self.places.get(&pair) {
            self.claimed[*place].recipients.push(recipient);
            return Ok(());
        }
        let shared = match self.entries.get(&id) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared = Arc::new(entry(row)?);
                self.entries.insert(id, Arc::clone(&shared));
                shared
            }
        };
        self.places.insert(pair, self.claimed.len());
        let destination = recipient.destination.clone();
        self.claimed.push(Claimed { entry: shared, destination, recipients: vec![recipient] });
        Ok(())
    }
}
