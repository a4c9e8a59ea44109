//! Usage of mailboxes: counted by the mailbox store, written here in batches.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::look_up::Directory;
use super::{Account, Error, Usage};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::tasks::Tasks;
use crate::storage::database::{Durability, Sql, Transaction, Val};

/// Most mailboxes of one statement or transaction.
const SLICE: usize = 500;

/// What `DECIMAL(10,2)` can hold at most, in hundredths of a mebibyte.
const MOST_HUNDREDTHS: u64 = 9_999_999_999;

/// Sizes not yet written, by key. Bounded by the number of accounts: only those that exist are reported.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<HashMap<String, Usage>>);

impl Directory {
    /// Records a mailbox's usage. Returns at once; the database is updated within `usage_interval`.
    pub fn set_usage(&self, account: &Address, usage: Usage) {
        self.0.pending.0.lock().insert(account.key(), usage);
    }

    /// A mailbox's usage, as it was at most `cache_for` ago; `None` when nobody has counted yet. Rows that only another
    /// program has written are exact to a hundredth of a mebibyte.
    pub async fn usage(&self, account: &Address) -> Result<Option<Usage>, Error> {
        let inner = &self.0;
        let (now, keep, key) = (inner.clock.now(), inner.settings.get().cache_for.duration(), account.key());
        if let Some(pending) = inner.pending.0.lock().get(&key) {
            return Ok(Some(*pending));
        }
        if let Some(known) = inner.usage.get(&key, now, keep) {
            return Ok(known);
        }
        let age = inner.usage.age();
        let Some(owner) = self.account(account).await? else { return Ok(None) };
        let found = self.written(&[owner.id]).await?.remove(&owner.id);
        inner.usage.put(key, found, now, age);
        Ok(found)
    }

    /// The usage of several mailboxes by account number, in one query; those that nobody has counted yet are missing.
    pub async fn usages(&self, accounts: &[Account]) -> Result<HashMap<i64, Usage>, Error> {
        let numbers: Vec<i64> = accounts.iter().map(|account| account.id).collect();
        let mut found = self.written(&numbers).await?;
        let pending = self.0.pending.0.lock();
        let noted = accounts.iter().filter_map(|one| Some((one.id, *pending.get(&one.address.key())?)));
        found.extend(noted);
        Ok(found)
    }

    /// What the database knows of some mailboxes.
    async fn written(&self, accounts: &[i64]) -> Result<HashMap<i64, Usage>, Error> {
        let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
        let mut found = HashMap::with_capacity(accounts.len());
        for slice in accounts.chunks(SLICE) {
            let sql = format!(
                "SELECT u.id, e.bytes, e.messages, {} FROM virtual_users u \
                 LEFT JOIN mailbox_usage_exact e ON e.user_id = u.id \
                 LEFT JOIN mailbox_usage m ON m.email = u.email WHERE u.id IN ({})",
                self.0.database.dialect().integer("ROUND(m.usage_mb * 100)"),
                vec!["?"; slice.len()].join(", ")
            );
            let values: Vec<Val> = slice.iter().copied().map(Val::from).collect();
            let sql = if slice.len() == 1 { Sql::assembled(sql) } else { Sql::rare(sql) };
            for row in &self.0.database.fetch_all(sql, &values).await? {
                let usage = match (row.opt_int(1)?, row.opt_int(2)?, row.opt_int(3)?) {
                    (Some(bytes), messages, _) => {
                        Usage { bytes: unsigned(bytes), messages: unsigned(messages.unwrap_or(0)) }
                    }
                    (None, _, Some(hundredths)) => {
                        Usage { bytes: unsigned(hundredths).saturating_mul(1 << 20) / 100, messages: 0 }
                    }
                    (None, _, None) => continue,
                };
                found.insert(row.int(0)?, usage);
            }
        }
        Ok(found)
    }

    /// Writes all pending sizes. Called by the directory's own task; those that cannot be written are kept for the next
    /// time.
    pub async fn flush_usage(&self) -> Result<(), Error> {
        let taken = {
            let mut pending = self.0.pending.0.lock();
            let (cache, now) = (&self.0.usage, self.0.clock.now());
            // For queries while they are being written.
            pending.iter().for_each(|(key, usage)| cache.put(key.clone(), Some(*usage), now, cache.age()));
            std::mem::take(&mut *pending)
        };
        if taken.is_empty() {
            return Ok(());
        }
        let result = self.write_sizes(&taken).await;
        if result.is_err() {
            let mut pending = self.0.pending.0.lock();
            for (key, usage) in taken {
                // Sizes recorded in the meantime are newer.
                pending.entry(key).or_insert(usage);
            }
        }
        result
    }

    async fn write_sizes(&self, sizes: &HashMap<String, Usage>) -> Result<(), Error> {
        let mut rows = Vec::with_capacity(sizes.len());
        for (key, usage) in sizes {
            let Some(address) = super::entry::from_key(key) else { continue };
            if let Some(account) = self.account(&address).await? {
                rows.push((account.id, *usage));
            }
        }
        // In a fixed order, so that two processes never wait for each other's rows.
        rows.sort_unstable_by_key(|(id, _)| *id);
        let now = self.0.clock.now();
        for chunk in rows.chunks(SLICE) {
            // The mailbox is authoritative and is counted again after a crash.
            let mut transaction = self.0.database.begin_with(Durability::Relaxed).await?;
            for (id, usage) in chunk {
                write_one(&mut transaction, *id, *usage, now).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    pub(super) async fn write_usage(self, tasks: Tasks) {
        loop {
            let next = self.0.clock.now() + self.0.settings.get().usage_interval.duration();
            tokio::select! {
                () = tasks.stopping() => break,
                () = self.0.clock.sleep_until(next) => {}
            }
            if let Err(error) = self.flush_usage().await {
                log::warn!(cause:% = error; "The sizes of mailboxes could not be written; this is tried again later");
            }
        }
        if let Err(error) = self.flush_usage().await {
            log::warn!(cause:% = error; "The last sizes of mailboxes could not be written before the server stopped");
        }
    }
}

pub(super) async fn write_one(
    transaction: &mut Transaction,
    id: i64,
    usage: Usage,
    now: Timestamp,
) -> Result<(), Error> {
    let dialect = transaction.dialect();
    let whole = |n: u64| Val::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let exact = "INSERT INTO mailbox_usage_exact (user_id, bytes, messages, updated_at) \
         SELECT id, ?, ?, ? FROM virtual_users WHERE id = ?";
    let exact = exact.to_owned() + &dialect.on_conflict(&["user_id"], &["bytes", "messages", "updated_at"]);
    let values = [whole(usage.bytes), whole(usage.messages), now.into(), id.into()];
    transaction.execute(Sql::assembled(exact), &values).await?;
    let shared = "INSERT INTO mailbox_usage (email, usage_mb, last_updated) \
         SELECT email, CAST(? AS DECIMAL(10, 2)), CURRENT_TIMESTAMP FROM virtual_users WHERE id = ?";
    let shared = shared.to_owned() + &dialect.on_conflict(&["email"], &["usage_mb", "last_updated"]);
    transaction.execute(Sql::assembled(shared), &[mebibytes(usage.bytes).into(), id.into()]).await?;
    Ok(())
}

/// Octets as mebibytes with two places, rounded to the nearest.
fn mebibytes(bytes: u64) -> String {
    let hundredths = (u128::from(bytes) * 100 + (1 << 19)) >> 20;
    let hundredths = u64::try_from(hundredths).unwrap_or(MOST_HUNDREDTHS).min(MOST_HUNDREDTHS);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mebibytes_have_two_places() {
        for (bytes, text) in [
            (0, "0.00"),
            (1, "0.00"),
            (5243, "0.01"),
            (1 << 20, "1.00"),
            ((1 << 20) * 3 / 2, "1.50"),
            (1_073_741_823, "1024.00"),
            (u64::MAX, "99999999.99"),
        ] {
            assert_eq!(mebibytes(bytes), text);
        }
    }
}
