//! Look-ups.

use std::sync::Arc;

use tokio::sync::Notify;

use super::cache::Cache;
use super::entry::{from_key, key_of};
use super::usage::Pending;
use super::{Account, DirectorySettings, DomainEntry, Error, Owner, PasswordOwner, Standing, Usage};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::SharedClock;
use crate::foundations::secret::Secret;
use crate::foundations::settings::{ByteSize, Live};
use crate::foundations::tasks::Tasks;
use crate::storage::database::{self, Database, Dialect, Row, Sql, Transaction, Val};

/// The directory. Cloning gives another handle.
#[derive(Clone)]
pub struct Directory(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) database: Database,
    pub(super) settings: Live<DirectorySettings>,
    pub(super) clock: SharedClock,
    domains: Cache<Option<Arc<DomainEntry>>>,
    accounts: Cache<Option<Arc<Account>>>,
    aliases: Cache<Arc<[String]>>,
    pub(super) usage: Cache<Option<Usage>>,
    pub(super) pending: Pending,
    /// Notified of changes.
    changed: Notify,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("database", &self.0.database).finish_non_exhaustive()
    }
}

/// Where a SELECT runs: on its own, or inside a transaction.
pub(super) enum Reader<'a> {
    Database(&'a Database),
    Transaction(&'a mut Transaction),
}

impl Reader<'_> {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Database(database) => database.dialect(),
            Self::Transaction(transaction) => transaction.dialect(),
        }
    }

    pub(super) async fn fetch_all(&mut self, sql: Sql, values: &[Val]) -> Result<Vec<Row>, database::Error> {
        match self {
            Self::Database(database) => database.fetch_all(sql, values).await,
            Self::Transaction(transaction) => transaction.fetch_all(sql, values).await,
        }
    }
}

impl Directory {
    /// A directory over a migrated database. A task in `tasks` writes mailbox sizes at intervals and once more when the
    /// tasks are told to stop.
    pub fn open(database: Database, settings: Live<DirectorySettings>, clock: SharedClock, tasks: &Tasks) -> Self {
        let entries = settings.get().cache_entries;
        let directory = Self(Arc::new(Inner {
            database,
            settings,
            clock,
            domains: Cache::new(entries),
            accounts: Cache::new(entries),
            aliases: Cache::new(entries),
            usage: Cache::new(entries),
            pending: Pending::default(),
            changed: Notify::new(),
        }));
        let (writing, running) = (directory.clone(), tasks.clone());
        tasks.keep("the record of mailbox sizes", move || writing.clone().write_usage(running.clone()));
        directory
    }

    /// A domain, unless it is not ours at all. Disabled and archived ones are included: check
    /// [`DomainEntry::is_active`].
    pub async fn domain(&self, domain: &Domain) -> Result<Option<Arc<DomainEntry>>, Error> {
        let inner = &self.0;
        let (now, keep, key) = (inner.clock.now(), inner.settings.get().cache_for.duration(), domain.as_str());
        if let Some(known) = inner.domains.get(key, now, keep) {
            return Ok(known);
        }
        let age = inner.domains.age();
        let found = find_domain(&mut Reader::Database(&inner.database), domain).await?.map(Arc::new);
        inner.domains.put(key.to_owned(), found.clone(), now, age);
        Ok(found)
    }

    /// The account with exactly this address (no alias, no tag), as it was at most `cache_for` ago. Disabled and
    /// archived ones are included.
    pub async fn account(&self, address: &Address) -> Result<Option<Arc<Account>>, Error> {
        let inner = &self.0;
        let (now, keep, key) = (inner.clock.now(), inner.settings.get().cache_for.duration(), address.key());
        if let Some(known) = inner.accounts.get(&key, now, keep) {
            return Ok(known);
        }
        let age = inner.accounts.age();
        let found = find_account(&mut Reader::Database(&inner.database), &key).await?.map(Arc::new);
        inner.accounts.put(key, found.clone(), now, age);
        Ok(found)
    }

    /// The account as it is now. For logins: a new password or a disabled account takes effect at once.
    pub async fn account_now(&self, address: &Address) -> Result<Option<Account>, Error> {
        find_account(&mut Reader::Database(&self.0.database), &address.key()).await
    }

    /// Where the enabled alias with this key (`name@domain`, or `@domain` for a catch-all) leads, as it was at most
    /// `cache_for` ago; empty when there is none. See [`AliasEntry::destination`](super::AliasEntry) for what a
    /// destination may be.
    pub async fn aliases(&self, key: &str) -> Result<Arc<[String]>, Error> {
        let inner = &self.0;
        let (now, keep) = (inner.clock.now(), inner.settings.get().cache_for.duration());
        if let Some(known) = inner.aliases.get(key, now, keep) {
            return Ok(known);
        }
        let age = inner.aliases.age();
        let found: Arc<[String]> = find_destinations(&inner.database, key).await?.into();
        inner.aliases.put(key.to_owned(), Arc::clone(&found), now, age);
        Ok(found)
    }

    /// Clears the cache. Our own changes do so by themselves; a reload does it for changes by others.
    pub fn forget(&self) {
        self.0.domains.clear();
        self.0.accounts.clear();
        self.0.aliases.clear();
        self.0.usage.clear();
        self.0.changed.notify_one();
    }

    /// Waits for a change since the last wait, by this process or by one that has reported it here. For a single
    /// waiter.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The database beneath.
    pub fn database(&self) -> &Database {
        &self.0.database
    }
}

pub(super) const DOMAIN_COLUMNS: &str = "SELECT d.id, d.name, d.created_at, s.enabled, s.owner, s.archived_at \
     FROM virtual_domains d LEFT JOIN domain_state s ON s.domain_id = d.id";

pub(super) const ACCOUNT_COLUMNS: &str = "SELECT u.id, u.domain_id, u.email, u.password, u.quota_mb, u.enabled, \
     u.created_at, s.display_name, s.owner, s.archived_at, s.password_owner, s.password_changed_at, s.declared_password, \
     t.confirmed_at FROM virtual_users u LEFT JOIN user_state s ON s.user_id = u.id \
     LEFT JOIN two_factor t ON t.user_id = u.id";

pub(super) async fn find_domain(reader: &mut Reader<'_>, domain: &Domain) -> Result<Option<DomainEntry>, Error> {
    let sql = format!("{DOMAIN_COLUMNS} WHERE {} = ?", reader.dialect().folded("d.name"));
    let rows = reader.fetch_all(Sql::assembled(sql), &[domain.as_str().into()]).await?;
    let found: Vec<DomainEntry> =
        rows.iter().filter_map(|row| domain_entry(row).transpose()).collect::<Result<_, _>>()?;
    Ok(found.into_iter().find(|entry| entry.name == *domain))
}

pub(super) async fn find_account(reader: &mut Reader<'_>, key: &str) -> Result<Option<Account>, Error> {
    let sql = format!("{ACCOUNT_COLUMNS} WHERE {} = ?", reader.dialect().folded("u.email"));
    let rows = reader.fetch_all(Sql::assembled(sql), &[key.into()]).await?;
    let found: Vec<Account> = rows.iter().filter_map(|row| account(row).transpose()).collect::<Result<_, _>>()?;
    // The seed's collation treats accents as equal and ignores trailing spaces: those are different addresses.
    Ok(found.into_iter().find(|account| account.address.key() == key))
}

async fn find_destinations(database: &Database, key: &str) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT a.source, a.destination FROM virtual_aliases a LEFT JOIN alias_state s ON s.alias_id = a.id \
         WHERE {} = ? AND COALESCE(s.enabled, 1) <> 0 ORDER BY a.id",
        database.dialect().folded("a.source")
    );
    let rows = database.fetch_all(Sql::assembled(sql), &[key.into()]).await?;
    let mut destinations = Vec::with_capacity(rows.len());
    for row in rows {
        if key_of(&row.text(0)?).is_some_and(|source| source == key) {
            destinations.push(row.text(1)?);
        }
    }
    Ok(destinations)
}

/// The entry in a row; `None`, with a warning, when its name is not a domain.
pub(super) fn domain_entry(row: &Row) -> Result<Option<DomainEntry>, Error> {
    let stored = row.text(1)?;
    let Ok(name) = stored.parse() else {
        log::warn!(name = stored.as_str(); "A row of virtual_domains is skipped because its name is not a domain");
        return Ok(None);
    };
    Ok(Some(DomainEntry {
        id: row.int(0)?,
        name,
        created_at: row.opt_datetime(2)?,
        standing: Standing::of(row.opt_int(3)?.unwrap_or(1) != 0),
        owner: owner(row, 4)?,
        archived_at: row.opt_time(5)?,
    }))
}

/// The account in a row; `None`, with a warning, when its e-mail is not an address.
pub(super) fn account(row: &Row) -> Result<Option<Account>, Error> {
    let stored = row.text(2)?;
    // Through the key, so that the address (and the directory named after it) is in lower case whatever the row holds.
    let Some(address) = from_key(&stored).and_then(|address| from_key(&address.key())) else {
        log::warn!(email = stored.as_str(); "A row of virtual_users is skipped because its e-mail is not an address");
        return Ok(None);
    };
    let quota = row.opt_int(4)?.and_then(|mb| u64::try_from(mb).ok()).filter(|mb| *mb > 0);
    Ok(Some(Account {
        id: row.int(0)?,
        domain_id: row.int(1)?,
        address,
        password: Secret::new(row.text(3)?),
        quota: quota.map(|mb| ByteSize::bytes(mb.saturating_mul(1 << 20))),
        standing: Standing::of(row.opt_int(5)?.unwrap_or(1) != 0),
        created_at: row.opt_datetime(6)?,
        display_name: row.opt_text(7)?,
        owner: owner(row, 8)?,
        archived_at: row.opt_time(9)?,
        password_owner: row.opt_text(10)?.and_then(|word| PasswordOwner::from_word(&word)),
        password_changed_at: row.opt_time(11)?,
        declared_password: row.opt_text(12)?,
        two_factor_since: row.opt_time(13)?,
    }))
}

pub(super) fn owner(row: &Row, column: usize) -> Result<Owner, Error> {
    // No row of ours: another program has made the entry, which counts as made by an administrator.
    Ok(row.opt_text(column)?.and_then(|word| Owner::from_word(&word)).unwrap_or(Owner::Admin))
}
