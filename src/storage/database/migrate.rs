//! Bringing the tables up to date. The statements are in `migrations/`, along with the rules for adding some.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, MySqlConnection, MySqlPool, SqlSafeStr};

use super::pool::Pools;
use super::{Database, Dialect, Error};

/// The table that records the applied migrations.
const LEDGER: &str = "postrider_migrations";
/// Longest time for all migrations together; changing a large table is slow.
const LIMIT: Duration = Duration::from_secs(1800);

/// One step, in the three dialects.
pub(super) struct Step {
    pub(super) number: i64,
    pub(super) name: &'static str,
    sqlite: &'static str,
    mysql: &'static str,
    postgres: &'static str,
}

macro_rules! steps {
    ($($number:literal $name:literal),+ $(,)?) => {
        /// Every step, in order. A new one is a line here and a file in each of the three folders.
        pub(super) const STEPS: &[Step] = &[$(Step {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            mysql: include_str!(concat!("../../../migrations/mysql/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }),+];
    };
}

steps! {
    1 "0001_domains",
    2 "0002_users",
    3 "0003_aliases",
    4 "0004_usage",
    5 "0005_domain_state",
    6 "0006_user_state",
    7 "0007_alias_state",
    8 "0008_usage_exact",
    9 "0009_set_up_links",
    10 "0010_events",
    11 "0011_queue_entries",
    12 "0012_queue_recipients",
    13 "0013_event_counts",
    14 "0014_queue_samples",
    20 "0020_learned_owners",
    21 "0021_learned_shards",
    22 "0022_learned_changes",
    23 "0023_learned_messages",
    24 "0024_greylist",
    25 "0025_report_tallies",
    26 "0026_report_claims",
    27 "0027_reports_received",
    28 "0028_bans",
    29 "0029_mta_sts_policies",
    60 "0060_backup_runs",
    61 "0061_backup_differences",
    70 "0070_preferences",
    71 "0071_correspondents",
    72 "0072_sender_reputation",
    73 "0073_shared_rates",
    74 "0074_app_passwords",
    75 "0075_two_factor",
    76 "0076_recovery_codes",
    78 "0078_dav_collections",
    79 "0079_dav_objects",
    80 "0080_dav_removed",
    81 "0081_dav_properties",
    82 "0082_dav_addresses",
    90 "0090_cluster_nodes",
    91 "0091_mailbox_owners",
    92 "0092_duties",
    93 "0093_sendings",
    94 "0094_queue_nodes",
    97 "0097_browser_logins",
    98 "0098_quarantine_notes",
    99 "0099_quarantine_letters",
    105 "0105_held_letters",
    106 "0106_remembered_browsers",
    110 "0110_clock_seen",
    111 "0111_known_networks",
}

/// Tables that may already exist (the seed's), and the columns we need of them.
const ADOPTABLE: &[(&str, &str)] = &[
    ("virtual_domains", "id, name, created_at"),
    ("virtual_users", "id, domain_id, email, password, quota_mb, enabled, created_at"),
    ("virtual_aliases", "id, domain_id, source, destination, created_at"),
    ("mailbox_usage", "email, usage_mb, last_updated"),
];

/// The tables that the steps create, each after the tables it refers to.
pub(super) fn table_names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().flat_map(|step| step.sqlite.lines()).filter_map(|line| {
        let rest = line.strip_prefix("CREATE TABLE ")?;
        rest.trim_start_matches("IF NOT EXISTS ").split([' ', '(']).next()
    })
}

/// The statements that make the tables on MariaDB and MySQL, each of which can be run again where its table exists.
pub fn mysql_tables() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.mysql)
}

fn migrator(dialect: Dialect) -> Migrator {
    let migrations = STEPS.iter().map(|step| {
        let sql = match dialect {
            Dialect::Sqlite => step.sqlite,
            Dialect::MySql => step.mysql,
            Dialect::Postgres => step.postgres,
        };
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        Migration::new(step.number, step.name.into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(LEDGER);
    // An older program beside a newer one (a rolled-back upgrade) keeps working: see migrations/README.md.
    migrator.set_ignore_missing(true);
    // On MariaDB and MySQL the lock is taken here: see `take_turn`.
    migrator.set_locking(dialect != Dialect::MySql);
    migrator
}

/// Applies missing steps, while no other process does.
async fn apply_to_mysql(migrator: &Migrator, pool: &MySqlPool) -> Result<(), MigrateError> {
    // Never returned to the pool: the lock ends with the connection, even if this is cancelled.
    let mut connection = pool.acquire().await?.detach();
    take_turn(&mut connection).await?;
    let mut applied = migrator.run_direct(None, &mut connection, false).await;
    // MariaDB cannot undo half a step, so each step is marked when it begins. There each step is a single statement
    // that can be run again.
    if let Err(MigrateError::Dirty(number)) = applied {
        log::warn!(step = number; "A step of the database's tables was interrupted; it is run again");
        let forget = "DELETE FROM postrider_migrations WHERE version = ? AND success = 0";
        sqlx::query(forget).bind(number).execute(&mut connection).await?;
        applied = migrator.run_direct(None, &mut connection, false).await;
    }
    // Steps already applied remain applied, however the connection ends.
    let _ = connection.close().await;
    applied
}

/// Waits until no other process migrates this database. The driver's own lock does not work on MariaDB, which rejects
/// its endless wait (-1) and carries on without.
async fn take_turn(connection: &mut MySqlConnection) -> Result<(), MigrateError> {
    let sql = "SELECT GET_LOCK(CONCAT('postrider ', SHA1(DATABASE())), ?)";
    let got: Option<i64> =
        sqlx::query_scalar(sql).bind(i64::try_from(LIMIT.as_secs()).unwrap_or(i64::MAX)).fetch_one(connection).await?;
    match got {
        Some(1) => Ok(()),
        _ => Err(sqlx::Error::Protocol("another process has the lock on the migrations".to_owned()).into()),
    }
}

/// Waits until no other process changes the structure of SQLite's file. SQLite has no lock that spans several
/// transactions, and none that waits while the log of a new file is turned on; so the directory of the file is locked
/// instead, which needs no write permission.
pub(super) async fn take_file_turn(database: &Path) -> Result<File, Error> {
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let locked = tokio::task::spawn_blocking({
        let directory = directory.clone();
        move || {
            let file = File::open(directory)?;
            file.lock()?;
            Ok(file)
        }
    });
    let result = locked.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    result.map_err(|because| Error::File { path: directory.display().to_string(), because })
}

impl Database {
    /// Creates missing tables and brings all up to date. Safe to call from several processes at once, and when there is
    /// nothing to do. Existing tables of the seed keep every row.
    pub async fn migrate(&self) -> Result<(), Error> {
        match self.bring_up_to_date().await {
            Err(Error::Unavailable(cause)) if matches!(*cause, sqlx::Error::PoolTimedOut) => {
                Err(self.reason().await.unwrap_or(Error::Unavailable(cause)).at(&self.0.url))
            }
            result => result.map_err(|error| error.at(&self.0.url)),
        }
    }

    /// Why no connection could be had: the pool retries until its time is up, and then reports only that.
    async fn reason(&self) -> Option<Error> {
        let connect = async {
            match &self.0.pools {
                Pools::Sqlite { .. } => None,
                Pools::MySql(pool) => pool.connect_options().connect().await.err(),
                Pools::Postgres(pool) => pool.connect_options().connect().await.err(),
            }
        };
        tokio::time::timeout(self.0.acquire_timeout, Box::pin(connect)).await.ok().flatten().map(Error::from)
    }

    async fn bring_up_to_date(&self) -> Result<(), Error> {
        let _turn = match self.0.url.path() {
            Some(path) => Some(take_file_turn(&path).await?),
            None => None,
        };
        let there = self.tables().await?;
        self.check_tables(|table| there.iter().any(|name| name == table)).await?;
        let migrator = migrator(self.dialect());
        let failed = |e| Error::Migration(Box::new(e));
        let applied = tokio::time::timeout(LIMIT, self.apply(&migrator)).await.map_err(|_| Error::Timeout(LIMIT))?;
        applied.map_err(failed)?;
        self.check_tables(|_| true).await
    }

    /// The steps that [`Database::migrate`] would take now. Changes nothing. Fails where that would not accept a table.
    pub async fn pending(&self) -> Result<Vec<&'static str>, Error> {
        let there = self.tables().await?;
        self.check_tables(|table| there.iter().any(|name| name == table)).await?;
        if !there.iter().any(|table| table == LEDGER) {
            return Ok(STEPS.iter().map(|step| step.name).collect());
        }
        let done = self.fetch_all("SELECT version FROM postrider_migrations", &[]).await?;
        let done: Vec<i64> = done.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?;
        Ok(STEPS.iter().filter(|step| !done.contains(&step.number)).map(|step| step.name).collect())
    }

    /// Whether there is a table of this name.
    pub async fn has_table(&self, name: &str) -> Result<bool, Error> {
        Ok(self.tables().await?.iter().any(|table| table == name))
    }

    async fn apply(&self, migrator: &Migrator) -> Result<(), MigrateError> {
        match &self.0.pools {
            Pools::Sqlite { full, .. } => migrator.run(full).await,
            Pools::MySql(pool) => apply_to_mysql(migrator, pool).await,
            // The driver takes an advisory lock.
            Pools::Postgres(pool) => migrator.run(pool).await,
        }
    }

    async fn tables(&self) -> Result<Vec<String>, Error> {
        let rows = self.fetch_all(
            match self.dialect() {
                Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
                Dialect::MySql => "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
                Dialect::Postgres => {
                    "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()"
                }
            },
            &[],
        );
        rows.await?.iter().map(|row| row.text(0)).collect()
    }

    async fn check_tables(&self, wanted: impl Fn(&str) -> bool) -> Result<(), Error> {
        for (table, columns) in ADOPTABLE.iter().filter(|(table, _)| wanted(table)) {
            let sql = super::Sql::rare(format!("SELECT {columns} FROM {table} WHERE 1 = 0"));
            self.fetch_all(sql, &[]).await.map_err(|e| Error::ForeignSchema { table, because: Box::new(e) })?;
        }
        Ok(())
    }
}
