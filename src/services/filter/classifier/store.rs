//! What has been learned, in the database.
//!
//! A table is stored as 64 packed pieces (`learned_shards`) and a list of later changes (`learned_changes`): learning a
//! message writes one row, loading a table reads a few large ones, and neither grows with the other. When many changes
//! have accumulated they are merged into the pieces, and what does not fit into the table is forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::packed::{Delta, apply, pack, unpack};
use super::{Class, Table, Token};
use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::storage::database::{self, Database, Sql, Transaction};

/// Learning or loading failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// A piece of a table is damaged.
    #[error("what was learned for `{0}` cannot be read; learn it again or delete its rows in `learned_shards`")]
    Corrupt(String),
}

/// The owner of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Everybody's.
    Site,
    /// One account's.
    Account(Address),
}

impl Owner {
    /// The owner's name in the database; empty for everybody.
    pub fn key(&self) -> String {
        match self {
            Self::Site => String::new(),
            Self::Account(address) => address.key(),
        }
    }
}

/// The result of learning a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// It was learned.
    Now,
    /// It had already been learned as this.
    Before,
    /// It had been learned as the other class, which was undone first.
    Again,
}

/// The tables of all owners, loaded on demand.
pub struct Store {
    database: Database,
    clock: SharedClock,
    limits: Limits,
    loaded: Mutex<HashMap<String, Loaded>>,
    /// Held while looking for changes of a table, on behalf of all who wait for it.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// How large tables may get.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most tokens of the site's table.
    pub site: usize,
    /// Most tokens of an account's table.
    pub account: usize,
    /// Most account tables kept in memory; the least recently used one is dropped first.
    pub accounts: usize,
    /// How long a loaded table is used before changes by others are looked for.
    pub fresh: Duration,
}

#[derive(Clone)]
struct Loaded {
    table: Arc<Table>,
    generation: i64,
    change: i64,
    checked: Timestamp,
}

/// The key of the data imported from SpamAssassin; no account has it, since it is not an address.
const IMPORTED: &str = "spamassassin";
/// Changes after which a table is merged.
const FOLD_AFTER: i64 = 200;
/// How long to remember that a message has been learned. After that it could be learned a second time.
const REMEMBERED: Duration = Duration::from_secs(400 * 86_400);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("loaded", &self.loaded.lock().len()).finish_non_exhaustive()
    }
}

impl Store {
    /// Tables in this database.
    pub fn new(database: Database, clock: SharedClock, limits: Limits) -> Self {
        Self { database, clock, limits, loaded: Mutex::default(), turns: Mutex::default() }
    }

    /// The owner's table, at most [`Limits::fresh`] old. When the database does not answer, the table last
    /// loaded; an error only when there is none.
    pub async fn table(&self, owner: &Owner) -> Result<Arc<Table>, Error> {
        let key = owner.key();
        if let Some(table) = self.fresh(&key) {
            return Ok(table);
        }
        let turn = self.turn(&key);
        let _turn = turn.lock().await;
        // Another task may have loaded it meanwhile.
        if let Some(table) = self.fresh(&key) {
            return Ok(table);
        }
        let now = self.clock.now();
        let known = self.loaded.lock().get(&key).cloned();
        match self.refresh(&key, known.as_ref(), now).await {
            Ok(loaded) => {
                let table = Arc::clone(&loaded.table);
                self.keep(key, loaded);
                Ok(table)
            }
            Err(error) => match known {
                Some(mut known) => {
                    log::warn!(owner:% = key; "filter: learned data cannot be reloaded, the older table is used: {error}");
                    known.checked = now;
                    let table = Arc::clone(&known.table);
                    self.keep(key, known);
                    Ok(table)
                }
                None => Err(error),
            },
        }
    }

    /// The table in memory, if it need not be checked for changes yet.
    fn fresh(&self, key: &str) -> Option<Arc<Table>> {
        let now = self.clock.now();
        let loaded = self.loaded.lock();
        let known = loaded.get(key).filter(|known| now.since(known.checked) < self.limits.fresh)?;
        Some(Arc::clone(&known.table))
    }

    fn turn(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock();
        if turns.len() > self.limits.accounts {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(key.to_owned()).or_default())
    }

    fn keep(&self, key: String, entry: Loaded) {
        let mut loaded = self.loaded.lock();
        loaded.insert(key, entry);
        if loaded.len() > self.limits.accounts + 1 {
            let oldest =
                loaded.iter().filter(|(k, _)| !k.is_empty()).min_by_key(|(_, l)| l.checked).map(|(k, _)| k.clone());
            if let Some(oldest) = oldest {
                loaded.remove(&oldest);
            }
        }
    }

    async fn refresh(&self, key: &str, known: Option<&Loaded>, now: Timestamp) -> Result<Loaded, Error> {
        let row = self
            .database
            .fetch_optional("SELECT ham, spam, generation FROM learned_owners WHERE owner = ?", &[key.into()])
            .await?;
        let Some(row) = row else {
            return Ok(Loaded { table: Arc::default(), generation: 0, change: 0, checked: now });
        };
        let (ham, spam, generation) = (row.int(0)?, row.int(1)?, row.int(2)?);
        let known = known.filter(|k| k.generation == generation);
        let (base, mut change) = match known {
            Some(known) => (Arc::clone(&known.table), known.change),
            None => (Arc::new(self.pieces(key).await?), 0),
        };
        let rows = self
            .database
            .fetch_all(
                "SELECT id, tokens FROM learned_changes WHERE owner = ? AND id > ? ORDER BY id",
                &[key.into(), change.into()],
            )
            .await?;
        if rows.is_empty()
            && let Some(known) = known
        {
            return Ok(Loaded { checked: now, ..known.clone() });
        }
        // Copied only when there is something to add: a table is large.
        let mut table = Arc::unwrap_or_clone(base);
        for row in rows {
            change = row.int(0)?;
            apply(&mut table, &row.blob(1)?).ok_or_else(|| Error::Corrupt(key.to_owned()))?;
        }
        table.ham = u32::try_from(ham).unwrap_or(0);
        table.spam = u32::try_from(spam).unwrap_or(0);
        table.imported = None;
        if key == Owner::Site.key() && !table.is_ready() {
            table.imported = self.imported().await?;
        }
        Ok(Loaded { table: Arc::new(table), generation, change, checked: now })
    }

    /// The data imported from SpamAssassin, if any.
    async fn imported(&self) -> Result<Option<Arc<Table>>, Error> {
        let sql = "SELECT ham, spam FROM learned_owners WHERE owner = ?";
        let Some(row) = self.database.fetch_optional(sql, &[IMPORTED.into()]).await? else { return Ok(None) };
        let mut table = self.pieces(IMPORTED).await?;
        table.ham = u32::try_from(row.int(0)?).unwrap_or(0);
        table.spam = u32::try_from(row.int(1)?).unwrap_or(0);
        Ok(Some(Arc::new(table)))
    }

    /// Stores what SpamAssassin has learned, replacing an earlier import, and returns how many tokens there was room for.
    pub async fn import(&self, mut table: Table) -> Result<usize, Error> {
        table.expire(self.limits.site);
        let mut tx = self.database.begin().await?;
        // The site's own table gets a new generation, so that every process reloads it.
        for (owner, ham, spam) in [(String::new(), 0, 0), (IMPORTED.to_owned(), table.ham, table.spam)] {
            let conflict = tx.dialect().on_conflict(&["owner"], &[]);
            let insert = "INSERT INTO learned_owners (owner, ham, spam, generation) VALUES (?, 0, 0, 0)";
            tx.execute(Sql::assembled(format!("{insert}{conflict}")), &[owner.as_str().into()]).await?;
            let update = "UPDATE learned_owners SET generation = generation + 1 WHERE owner = ?";
            tx.execute(update, &[owner.as_str().into()]).await?;
            if owner == IMPORTED {
                let update = "UPDATE learned_owners SET ham = ?, spam = ? WHERE owner = ?";
                tx.execute(update, &[ham.into(), spam.into(), IMPORTED.into()]).await?;
            }
        }
        write_pieces(&mut tx, IMPORTED, &table).await?;
        tx.commit().await?;
        self.loaded.lock().remove(&Owner::Site.key());
        Ok(table.len())
    }

    async fn pieces(&self, key: &str) -> Result<Table, Error> {
        let mut table = Table::default();
        for row in self.database.fetch_all("SELECT tokens FROM learned_shards WHERE owner = ?", &[key.into()]).await? {
            unpack(&row.blob(0)?, &mut table).ok_or_else(|| Error::Corrupt(key.to_owned()))?;
        }
        Ok(table)
    }

    /// Learns a message, given by its tokens and a digest that identifies it. Durable when it returns.
    pub async fn learn(&self, owner: &Owner, class: Class, digest: &str, tokens: &[Token]) -> Result<Learned, Error> {
        let results = self.learn_many(owner, class, &[(digest.to_owned(), tokens.to_vec())]).await?;
        Ok(results.first().copied().unwrap_or(Learned::Before))
    }

    /// Learns several messages in one transaction; the results are in the same order.
    pub async fn learn_many(
        &self,
        owner: &Owner,
        class: Class,
        messages: &[(String, Vec<Token>)],
    ) -> Result<Vec<Learned>, Error> {
        self.change(owner, messages, |_| Some(class)).await
    }

    /// Like [`Store::learn_many`], but whatever was learned from a message before stays.
    ///
    /// # Errors
    /// The database fails.
    pub async fn learn_new(
        &self,
        owner: &Owner,
        class: Class,
        messages: &[(String, Vec<Token>)],
    ) -> Result<Vec<Learned>, Error> {
        self.change(owner, messages, |before| before.or(Some(class))).await
    }

    /// Undoes what was learned from a message if that was the other class.
    ///
    /// # Errors
    /// The database fails.
    pub async fn correct(&self, owner: &Owner, class: Class, message: &(String, Vec<Token>)) -> Result<Learned, Error> {
        let keep = |before: Option<Class>| before.filter(|before| *before == class);
        let results = self.change(owner, std::slice::from_ref(message), keep).await?;
        Ok(results.first().copied().unwrap_or(Learned::Before))
    }

    /// Undoes what was learned from messages.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget(&self, owner: &Owner, messages: &[(String, Vec<Token>)]) -> Result<Vec<Learned>, Error> {
        self.change(owner, messages, |_| None).await
    }

    async fn change(
        &self,
        owner: &Owner,
        messages: &[(String, Vec<Token>)],
        wish: impl Fn(Option<Class>) -> Option<Class>,
    ) -> Result<Vec<Learned>, Error> {
        let key = owner.key();
        let day = u16::try_from(self.clock.now().unix_seconds() / 86_400).unwrap_or(u16::MAX);
        let mut tx = self.database.begin().await?;
        let insert = tx.dialect().upsert("learned_owners", &["owner"], &[]);
        tx.execute(insert, &[key.as_str().into()]).await?;
        // The transaction that changes this row goes first; the others wait. So change ids are assigned in the order of commits, and a
        // reader that has seen one has seen all before it.
        tx.execute("UPDATE learned_owners SET touched = touched + 1 WHERE owner = ?", &[key.as_str().into()]).await?;
        let mut delta = Delta::default();
        let mut results = Vec::with_capacity(messages.len());
        for (digest, tokens) in messages {
            let before = remembered(&mut tx, &key, digest).await?;
            let class = wish(before);
            if before == class {
                results.push(Learned::Before);
                continue;
            }
            if let Some(before) = before {
                delta.unlearn(before, tokens);
            }
            if let Some(class) = class {
                delta.learn(class, tokens);
            }
            remember(&mut tx, &key, digest, class, self.clock.now()).await?;
            results.push(if before.is_some() { Learned::Again } else { Learned::Now });
        }
        if delta.is_empty() {
            tx.rollback().await?;
            return Ok(results);
        }
        tx.execute(
            "UPDATE learned_owners SET ham = ham + ?, spam = spam + ? WHERE owner = ?",
            &[delta.ham.into(), delta.spam.into(), key.as_str().into()],
        )
        .await?;
        tx.insert("learned_changes", &["owner", "tokens"], &[key.as_str().into(), delta.pack(day).into()]).await?;
        tx.commit().await?;
        self.fold_when_due(owner, &key).await?;
        self.check_again(&key).await;
        Ok(results)
    }

    /// Has changes of a table looked for at its next use.
    async fn check_again(&self, key: &str) {
        // A task that checks at this moment may have checked too early, and must not mark the table as fresh afterwards.
        let turn = self.turn(key);
        let _turn = turn.lock().await;
        if let Some(loaded) = self.loaded.lock().get_mut(key) {
            loaded.checked = Timestamp::EPOCH;
        }
    }

    async fn fold_when_due(&self, owner: &Owner, key: &str) -> Result<(), Error> {
        let row =
            self.database.fetch_optional("SELECT COUNT(*) FROM learned_changes WHERE owner = ?", &[key.into()]).await?;
        if row.map_or(Ok(0), |r| r.int(0))? < FOLD_AFTER {
            return Ok(());
        }
        self.fold(owner).await
    }

    /// Merges the changes of an owner into the pieces, and forgets what there is no room for.
    pub async fn fold(&self, owner: &Owner) -> Result<(), Error> {
        let key = owner.key();
        let most = match owner {
            Owner::Site => self.limits.site,
            Owner::Account(_) => self.limits.account,
        };
        let mut tx = self.database.begin().await?;
        // The row is locked by changing it, so that two processes do not merge the same changes.
        tx.execute("UPDATE learned_owners SET generation = generation + 1 WHERE owner = ?", &[key.as_str().into()])
            .await?;
        let mut table = Table::default();
        for row in tx.fetch_all("SELECT tokens FROM learned_shards WHERE owner = ?", &[key.as_str().into()]).await? {
            unpack(&row.blob(0)?, &mut table).ok_or_else(|| Error::Corrupt(key.clone()))?;
        }
        let changes = tx
            .fetch_all("SELECT id, tokens FROM learned_changes WHERE owner = ? ORDER BY id", &[key.as_str().into()])
            .await?;
        let mut last = 0;
        for row in changes {
            last = row.int(0)?;
            apply(&mut table, &row.blob(1)?).ok_or_else(|| Error::Corrupt(key.clone()))?;
        }
        table.expire(most);
        write_pieces(&mut tx, &key, &table).await?;
        let forgotten = self.clock.now() - REMEMBERED;
        let sql = "DELETE FROM learned_messages WHERE owner = ? AND at < ?";
        tx.execute(sql, &[key.as_str().into(), forgotten.into()]).await?;
        tx.execute("DELETE FROM learned_changes WHERE owner = ? AND id <= ?", &[key.as_str().into(), last.into()])
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Replaces the stored table.
async fn write_pieces(tx: &mut Transaction, key: &str, table: &Table) -> Result<(), Error> {
    tx.execute("DELETE FROM learned_shards WHERE owner = ?", &[key.into()]).await?;
    for (shard, packed) in pack(table).into_iter().enumerate() {
        let shard = i64::try_from(shard).unwrap_or(0);
        let sql = "INSERT INTO learned_shards (owner, shard, tokens) VALUES (?, ?, ?)";
        tx.execute(sql, &[key.into(), shard.into(), packed.into()]).await?;
    }
    Ok(())
}

async fn remembered(tx: &mut Transaction, key: &str, digest: &str) -> Result<Option<Class>, Error> {
    let row = tx
        .fetch_optional(
            "SELECT class FROM learned_messages WHERE owner = ? AND digest = ?",
            &[key.into(), digest.into()],
        )
        .await?;
    Ok(match row {
        Some(row) if row.text(0)? == "spam" => Some(Class::Spam),
        Some(_) => Some(Class::Ham),
        None => None,
    })
}

async fn remember(
    tx: &mut Transaction,
    key: &str,
    digest: &str,
    class: Option<Class>,
    at: Timestamp,
) -> Result<(), Error> {
    tx.execute("DELETE FROM learned_messages WHERE owner = ? AND digest = ?", &[key.into(), digest.into()]).await?;
    if let Some(class) = class {
        tx.execute(
            "INSERT INTO learned_messages (owner, digest, class, at) VALUES (?, ?, ?, ?)",
            &[key.into(), digest.into(), class.word().into(), at.unix_micros().into()],
        )
        .await?;
    }
    Ok(())
}
