//! Differences between the three engines' SQL.

use super::Sql;

/// An engine's SQL dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// MariaDB and MySQL.
    MySql,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::MySql, Self::Postgres];

    /// The engine's folder under `migrations/`, and its name in logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::MySql => "mysql",
            Self::Postgres => "postgres",
        }
    }

    /// Inserts a row with `keys` and `others`; if a row with these keys exists, its other columns are updated instead.
    /// Without `others` an existing row is left alone. The row count that MariaDB reports for it means nothing.
    pub fn upsert(self, table: &str, keys: &[&str], others: &[&str]) -> Sql {
        let columns = [keys, others].concat();
        let insert =
            format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), vec!["?"; columns.len()].join(", "));
        Sql::assembled(insert + &self.on_conflict(keys, others))
    }

    /// The suffix that makes an INSERT (of values or of a SELECT with a WHERE) an upsert.
    pub fn on_conflict(self, keys: &[&str], others: &[&str]) -> String {
        if self == Self::MySql {
            let assign: Vec<String> = match others {
                [] => vec![format!("{0} = {0}", keys[0])],
                others => others.iter().map(|c| format!("{c} = VALUES({c})")).collect(),
            };
            return format!(" ON DUPLICATE KEY UPDATE {}", assign.join(", "));
        }
        let keys = keys.join(", ");
        if others.is_empty() {
            return format!(" ON CONFLICT ({keys}) DO NOTHING");
        }
        let assign: Vec<String> = others.iter().map(|c| format!("{c} = excluded.{c}")).collect();
        format!(" ON CONFLICT ({keys}) DO UPDATE SET {}", assign.join(", "))
    }

    /// Inserts rows with `keys` and a number, or adds the number to the row with these keys.
    pub fn add_up(self, table: &str, keys: &[&str], number: &str, rows: usize) -> Sql {
        let columns = [keys, &[number]].concat();
        let values = self.values(columns.len(), rows);
        let conflict = match self {
            Self::MySql => format!("ON DUPLICATE KEY UPDATE {number} = {number} + VALUES({number})"),
            Self::Sqlite | Self::Postgres => format!(
                "ON CONFLICT ({}) DO UPDATE SET {number} = {table}.{number} + excluded.{number}",
                keys.join(", ")
            ),
        };
        Sql::rare(format!("INSERT INTO {table} ({}) VALUES {values} {conflict}", columns.join(", ")))
    }

    /// The suffix of a SELECT in a transaction that takes rows nobody else is working on; rows locked by others are
    /// skipped. SQLite needs nothing: its writing transactions exclude each other.
    pub const fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql | Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// What follows the name of a table in a SELECT that locks rows by their primary keys: MariaDB locks every row that it reads,
    /// and reads others, too, if it finds them by another index.
    pub const fn by_primary_key(self) -> &'static str {
        match self {
            Self::MySql => " FORCE INDEX (PRIMARY)",
            Self::Sqlite | Self::Postgres => "",
        }
    }

    /// The suffix of a SELECT in a transaction that keeps its rows from changing until the end of it.
    pub const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql | Self::Postgres => " FOR UPDATE",
        }
    }

    /// A column of addresses or domains in the form for comparison with a lower-case key, so that the engine finds rows
    /// in any case by an index. MariaDB's collation (the seed's) does so by itself, but also treats accented letters as
    /// equal: callers compare the rows again.
    pub fn folded(self, column: &str) -> String {
        match self {
            Self::MySql => column.to_owned(),
            Self::Sqlite | Self::Postgres => format!("lower({column})"),
        }
    }

    /// Casts an expression to a 64-bit integer where engines give it other types (SUM, DECIMAL).
    pub fn integer(self, expression: &str) -> String {
        match self {
            Self::MySql => format!("CAST({expression} AS SIGNED)"),
            Self::Sqlite | Self::Postgres => format!("CAST({expression} AS BIGINT)"),
        }
    }

    /// The reading of the database's own clock, in microseconds since 1970. Never later than the moment at which the
    /// statement takes effect.
    pub const fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            // Sessions of the driver have the time zone UTC.
            Self::MySql => "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
        }
    }

    /// The new value of a column with the end of a lease that is renewed now for so many microseconds. It always differs from the old
    /// one, even while the clock stands still: whoever watches a lease counts how long it has been the same.
    pub fn renewed(self, column: &str, micros: i64) -> String {
        let end = format!("{} + {micros}", self.now());
        format!("CASE WHEN {column} >= {end} AND {column} < {end} + 1000000 THEN {column} + 1 ELSE {end} END")
    }

    /// `(?, ?), (?, ?)`: groups of `columns` values for `rows` rows.
    pub fn values(self, columns: usize, rows: usize) -> String {
        let group = format!("({})", vec!["?"; columns].join(", "));
        vec![group.as_str(); rows].join(", ")
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
