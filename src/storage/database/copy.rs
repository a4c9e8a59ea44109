//! Copying whole tables out of a database and into another one, of any engine.
//!
//! Values travel by their meaning, not in an engine's notation: integers, floating-point numbers, texts, octets, and
//! times of the engine's own type as `YYYY-MM-DD HH:MM:SS` in UTC.

use serde::{Deserialize, Serialize};

use super::migrate::table_names;
use super::{Absent, Database, Dialect, Error, Row, Sql, Transaction, Val};

/// The kind of value in a column, whichever engine keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// Whole numbers.
    Int,
    /// Floating-point and decimal numbers.
    Real,
    /// Texts.
    Text,
    /// Octets.
    Blob,
    /// Times of the engine's own type, as a text in UTC.
    Time,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

/// A table of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
}

impl ColumnKind {
    /// From the engine's name for a type.
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let is = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if is(&["timestamp", "datetime"]) {
            Self::Time
        } else if is(&["blob", "binary", "bytea"]) {
            Self::Blob
        } else if is(&["dec", "numeric", "real", "double", "float"]) {
            Self::Real
        } else if is(&["int", "bool"]) {
            Self::Int
        } else {
            Self::Text
        }
    }

    /// The SELECT expression for a column of this kind.
    fn selected(self, dialect: Dialect, column: &str) -> String {
        match (self, dialect) {
            (Self::Int, Dialect::Postgres) => format!("CAST({column} AS BIGINT)"),
            (Self::Real, Dialect::Sqlite) => format!("CAST({column} AS REAL)"),
            (Self::Real, Dialect::MySql) => format!("{column} + 0e0"),
            (Self::Real, Dialect::Postgres) => format!("CAST({column} AS DOUBLE PRECISION)"),
            (Self::Time, Dialect::Sqlite) => format!("strftime('%Y-%m-%d %H:%M:%S', {column})"),
            (Self::Time, Dialect::MySql) => format!("DATE_FORMAT({column}, '%Y-%m-%d %H:%i:%s')"),
            (Self::Time, Dialect::Postgres) => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')")
            }
            (Self::Int | Self::Text | Self::Blob, _) => column.to_owned(),
        }
    }

    /// The placeholder for a value of this kind in an INSERT.
    const fn inserted(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            // The session's time zone is UTC.
            (Self::Time, Dialect::Postgres) => "CAST(? AS TIMESTAMPTZ)",
            _ => "?",
        }
    }

    fn value(self, row: &Row, column: usize) -> Result<Val, Error> {
        match self {
            Self::Int => row.opt_int(column).map(Val::from),
            Self::Real => row.opt_real(column).map(Val::from),
            Self::Text | Self::Time => row.opt_text(column).map(Val::from),
            Self::Blob => row.opt_blob(column).map(Val::from),
        }
    }

    /// NULL of this kind.
    pub const fn absent(self) -> Val {
        Val::Null(match self {
            Self::Int => Absent::Int,
            Self::Real => Absent::Real,
            Self::Text | Self::Time => Absent::Text,
            Self::Blob => Absent::Blob,
        })
    }
}

/// A name, quoted for the engine since it could be a reserved word.
fn quoted(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::MySql => format!("`{name}`"),
        Dialect::Sqlite | Dialect::Postgres => format!("\"{name}\""),
    }
}

impl Database {
    /// Our tables with their columns; each after the tables it refers to.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tables_described(&self) -> Result<Vec<Table>, Error> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT name, type FROM pragma_table_info(?)",
            Dialect::MySql => {
                "SELECT column_name, data_type FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
            }
            Dialect::Postgres => {
                "SELECT column_name::text, data_type::text FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position"
            }
        };
        let mut tables = Vec::new();
        for name in table_names() {
            let rows = self.fetch_all(sql, &[Val::from(name)]).await?;
            let column = |row: &Row| Ok(Column { name: row.text(0)?, kind: ColumnKind::of(&row.text(1)?) });
            let columns = rows.iter().map(column).collect::<Result<Vec<_>, Error>>()?;
            if !columns.is_empty() {
                tables.push(Table { name: name.to_owned(), columns });
            }
        }
        Ok(tables)
    }
}

impl Transaction {
    /// Calls back with each row of a table, its values in the order of the columns.
    ///
    /// # Errors
    /// The database fails, or the callback does.
    pub async fn read_table<E: From<Error>>(
        &mut self,
        table: &Table,
        each: &mut (dyn FnMut(Vec<Val>) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        let dialect = self.dialect();
        let select = |column: &Column| column.kind.selected(dialect, &quoted(dialect, &column.name));
        let columns: Vec<String> = table.columns.iter().map(select).collect();
        let sql = Sql::rare(format!("SELECT {} FROM {}", columns.join(", "), quoted(dialect, &table.name)));
        let mut row = |row: Row| {
            let value = |(n, column): (usize, &Column)| column.kind.value(&row, n);
            let values = table.columns.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>()?;
            each(values)
        };
        self.for_each(&sql, &mut row).await
    }

    /// Inserts rows, each with one value for each of the columns.
    ///
    /// # Errors
    /// The database fails, or has a row with the same key.
    pub async fn write_table(&mut self, table: &Table, rows: &[Vec<Val>]) -> Result<(), Error> {
        let dialect = self.dialect();
        let names: Vec<String> = table.columns.iter().map(|column| quoted(dialect, &column.name)).collect();
        let places: Vec<&str> = table.columns.iter().map(|column| column.kind.inserted(dialect)).collect();
        let group = format!("({})", places.join(", "));
        for chunk in rows.chunks(100) {
            let groups = vec![group.as_str(); chunk.len()].join(", ");
            let table = quoted(dialect, &table.name);
            let sql = Sql::rare(format!("INSERT INTO {table} ({}) VALUES {groups}", names.join(", ")));
            self.execute(sql, &chunk.concat()).await?;
        }
        Ok(())
    }

    /// Advances the engine's own numbering beyond the numbers of inserted rows.
    ///
    /// # Errors
    /// The database fails.
    pub async fn continue_numbers(&mut self, table: &Table) -> Result<(), Error> {
        let numbered = table.columns.iter().any(|column| column.name == "id" && column.kind == ColumnKind::Int);
        // The other engines use the highest number present.
        if numbered && self.dialect() == Dialect::Postgres {
            let name = &table.name;
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('{name}', 'id'), \
                 (SELECT COALESCE(MAX(id), 0) + 1 FROM \"{name}\"), false)"
            );
            self.fetch_optional(Sql::rare(sql), &[]).await?;
        }
        Ok(())
    }

    /// Whether a table has no rows.
    ///
    /// # Errors
    /// The database fails.
    pub async fn is_empty(&mut self, table: &Table) -> Result<bool, Error> {
        let sql = Sql::rare(format!("SELECT 1 FROM {} LIMIT 1", quoted(self.dialect(), &table.name)));
        Ok(self.fetch_optional(sql, &[]).await?.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_all_engines_are_understood() {
        for (name, kind) in [
            ("INTEGER", ColumnKind::Int),
            ("bigint", ColumnKind::Int),
            ("tinyint", ColumnKind::Int),
            ("DECIMAL(10, 2)", ColumnKind::Real),
            ("numeric", ColumnKind::Real),
            ("double precision", ColumnKind::Real),
            ("TEXT", ColumnKind::Text),
            ("varchar", ColumnKind::Text),
            ("character varying", ColumnKind::Text),
            ("mediumblob", ColumnKind::Blob),
            ("bytea", ColumnKind::Blob),
            ("timestamp with time zone", ColumnKind::Time),
            ("TIMESTAMP", ColumnKind::Time),
        ] {
            assert_eq!(ColumnKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn every_table_is_named_once_and_after_those_it_needs() {
        let names: Vec<&str> = table_names().collect();
        let place = |name| names.iter().position(|other| *other == name).unwrap();
        assert!(place("virtual_domains") < place("virtual_users"));
        assert!(place("virtual_users") < place("user_state"));
        assert!(place("queue_entries") < place("queue_recipients"));
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len());
    }
}
