//! Deleting old events.

use tokio_util::sync::CancellationToken;

use super::{Believed, Error, Journal, JournalSettings};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::settings::Live;
use crate::storage::database::{Database, Durability, Val};

/// Events deleted in one transaction, so that writers are not kept waiting.
const SLICE: i64 = 1_000;

/// Octets of an event besides its details: the other columns, and its entries in the indexes.
const OTHERS: u64 = 300;

/// Prunes at intervals, and after many events were written, until it is told to stop.
pub(super) async fn run(
    journal: Journal,
    settings: Live<JournalSettings>,
    clock: SharedClock,
    stop: CancellationToken,
) {
    loop {
        let snapshot = settings.get();
        let next = clock.now() + snapshot.prune_every.duration();
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(next) => {}
            () = journal.counters.grown.notified() => {}
        }
        let pruned = tokio::select! {
            () = stop.cancelled() => return,
            pruned = journal.prune(&snapshot, &clock) => pruned,
        };
        match pruned {
            Ok(0) => {}
            Ok(events) => log::debug!(events = events; "Old events deleted from the journal"),
            Err(error) => log::warn!(cause:% = error; "Old events cannot be deleted from the journal now"),
        }
    }
}

/// Deletes events that are too old (if the clock is trusted), too many or too large.
pub(super) async fn prune(
    database: &Database,
    settings: &JournalSettings,
    now: Timestamp,
    believed: Believed,
) -> Result<u64, Error> {
    let mut deleted = match believed {
        Believed::Yes => prune_by_age(database, settings, now).await?,
        Believed::NotBefore(_) => 0,
    };
    let fit = settings.keep_size.get() / size_of_one(database).await?;
    let keep = i64::try_from(settings.keep_at_most.min(fit).max(1)).unwrap_or(i64::MAX);
    let surplus = "SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?";
    let Some(row) = database.fetch_optional(surplus, &[Val::from(keep)]).await? else { return Ok(deleted) };
    let limit = row.int(0)?;
    while let Some((last, first)) = oldest(database).await? {
        if first > limit {
            break;
        }
        deleted += delete(database, "id <= ?", &[Val::from(last.min(limit))]).await?;
    }
    Ok(deleted)
}

async fn prune_by_age(database: &Database, settings: &JournalSettings, now: Timestamp) -> Result<u64, Error> {
    let too_old = now - settings.keep_for.duration();
    let forgotten = [Val::from(now - settings.keep_counts_for.duration())];
    for sql in ["DELETE FROM event_counts WHERE bucket < ?", "DELETE FROM queue_samples WHERE at < ?"] {
        database.execute(sql, &forgotten).await?;
    }
    // Not by id: events dated by a clock that was ahead come before older ones.
    let slice = "SELECT MAX(at) FROM (SELECT at FROM events WHERE at < ? ORDER BY at LIMIT ?) AS slice";
    let mut deleted = 0;
    loop {
        let row = database.fetch_optional(slice, &[Val::from(too_old), Val::from(SLICE)]).await?;
        let Some(last) = row.map(|row| row.opt_time(0)).transpose()?.flatten() else { return Ok(deleted) };
        deleted += delete(database, "at <= ?", &[Val::from(last)]).await?;
    }
}

/// The room an event takes, estimated from the newest thousand.
async fn size_of_one(database: &Database) -> Result<u64, Error> {
    let average = database.dialect().integer("AVG(LENGTH(details))");
    let sql = format!("SELECT {average} FROM (SELECT details FROM events ORDER BY id DESC LIMIT 1000) AS newest");
    let row = database.fetch_optional(crate::storage::database::Sql::assembled(sql), &[]).await?;
    let details = row.map(|row| row.opt_int(0)).transpose()?.flatten().unwrap_or(0);
    Ok(u64::try_from(details).unwrap_or(0) + OTHERS)
}

/// The highest and the lowest id among the oldest rows, as many as one slice has.
async fn oldest(database: &Database) -> Result<Option<(i64, i64)>, Error> {
    let sql = "SELECT MAX(id), MIN(id) FROM (SELECT id FROM events ORDER BY id LIMIT ?) AS slice";
    let Some(row) = database.fetch_optional(sql, &[Val::from(SLICE)]).await? else { return Ok(None) };
    Ok(row.opt_int(0)?.zip(row.opt_int(1)?))
}

async fn delete(database: &Database, condition: &'static str, values: &[Val]) -> Result<u64, Error> {
    let mut transaction = database.begin_with(Durability::Relaxed).await?;
    let sql = crate::storage::database::Sql::assembled(format!("DELETE FROM events WHERE {condition}"));
    let deleted = transaction.execute(sql, values).await?;
    transaction.commit().await?;
    Ok(deleted)
}
