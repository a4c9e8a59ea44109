//! What a release has left behind, as `tests/releases/freeze.py` wrote it down.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider::storage::database::{Column, ColumnKind, Database, Dialect, Sql, Table, Val};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The database and the files of a release, and what its users saw.
pub struct Frozen {
    /// Its name, as in `0.1.0`.
    pub name: String,
    pub seen: Seen,
    database: Kept,
    files: BTreeMap<String, Entry>,
}

/// What an IMAP client saw of each folder of each user, and what else only a user knows.
#[derive(Deserialize)]
pub struct Seen {
    pub folders: BTreeMap<String, BTreeMap<String, SeenFolder>>,
    pub app_password: String,
}

#[derive(Deserialize)]
pub struct SeenFolder {
    pub status: String,
    /// A line for each message, by what was asked for.
    pub fetched: BTreeMap<String, Vec<String>>,
}

/// A step of its migrations: number, name, and the checksum in hexadecimal.
pub type FrozenStep = (i64, String, String);

#[derive(Deserialize)]
struct Kept {
    ledgers: BTreeMap<String, Vec<FrozenStep>>,
    tables: BTreeMap<String, Rows>,
}

#[derive(Deserialize)]
struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// A file, a symbolic link or, without content, a directory.
#[derive(Deserialize)]
struct Entry {
    /// Nanoseconds since 1970.
    modified: Option<u64>,
    text: Option<String>,
    octets: Option<String>,
    leads_to: Option<PathBuf>,
}

impl Frozen {
    /// All releases.
    pub fn all() -> Vec<Self> {
        let folder = root().join("tests/releases");
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        assert!(!folders.is_empty(), "there is no release");
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    fn read(folder: &Path) -> Self {
        Self {
            name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
            seen: parsed(&folder.join("seen.json")),
            database: parsed(&folder.join("database.json")),
            files: parsed(&folder.join("files.json")),
        }
    }

    /// Its migrations, in their order.
    pub fn steps(&self, dialect: Dialect) -> &[FrozenStep] {
        &self.database.ledgers[dialect.word()]
    }

    /// Makes its tables, with all rows.
    pub async fn fill(&self, database: &Database) {
        start_ledger(database).await;
        for step in self.steps(database.dialect()) {
            take_step(database, step).await;
        }
        for table in database.tables_described().await.unwrap() {
            self.fill_table(database, &table).await;
        }
    }

    /// Puts its rows into one table.
    pub async fn fill_table(&self, database: &Database, table: &Table) {
        let Some((table, rows)) = self.rows(table) else { return };
        let mut transaction = database.begin().await.unwrap();
        transaction.write_table(&table, &rows).await.unwrap();
        transaction.continue_numbers(&table).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Its rows of a table, which may have got further columns since; `None` if it has none.
    pub fn rows(&self, now: &Table) -> Option<(Table, Vec<Vec<Val>>)> {
        let kept = self.database.tables.get(&now.name)?;
        let column = |name: &String| {
            let found = now.columns.iter().find(|column| column.name == *name);
            found.cloned().unwrap_or_else(|| panic!("{}.{name} is gone", now.name))
        };
        let columns: Vec<Column> = kept.columns.iter().map(column).collect();
        let row = |row: &Vec<Value>| row.iter().zip(&columns).map(|(value, column)| val(value, column.kind)).collect();
        let rows = kept.rows.iter().map(row).collect();
        Some((Table { name: now.name.clone(), columns }, rows))
    }

    /// Puts its files into a directory, with their times.
    pub fn lay_out(&self, directory: &Path) {
        for (name, entry) in &self.files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match entry {
                Entry { leads_to: Some(target), .. } => std::os::unix::fs::symlink(target, &path).unwrap(),
                Entry { text: Some(text), .. } => fs::write(&path, text).unwrap(),
                Entry { octets: Some(octets), .. } => fs::write(&path, STANDARD.decode(octets).unwrap()).unwrap(),
                _ => fs::create_dir_all(&path).unwrap(),
            }
        }
        // A directory's time changes with each of its files.
        for (name, entry) in &self.files {
            if let Some(modified) = entry.modified {
                let modified = SystemTime::UNIX_EPOCH + Duration::from_nanos(modified);
                File::open(directory.join(name)).unwrap().set_modified(modified).unwrap();
            }
        }
    }
}

/// Makes the table of applied migrations, as the driver makes it.
pub async fn start_ledger(database: &Database) {
    let (time, octets) = match database.dialect() {
        Dialect::Sqlite | Dialect::MySql => ("TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP", "BLOB"),
        Dialect::Postgres => ("TIMESTAMPTZ NOT NULL DEFAULT now()", "BYTEA"),
    };
    let sql = format!(
        "CREATE TABLE postrider_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on {time}, \
         success BOOLEAN NOT NULL, checksum {octets} NOT NULL, execution_time BIGINT NOT NULL)"
    );
    database.execute(Sql::rare(sql), &[]).await.unwrap();
}

/// Takes one step of the migrations by hand. That its file is still the same, the program itself checks at its start.
pub async fn take_step(database: &Database, (number, name, checksum): &FrozenStep) {
    for statement in statements(database.dialect(), name) {
        database.execute(Sql::rare(statement), &[]).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let digit = |at: usize| u8::from_str_radix(&checksum[at..at + 2], 16).unwrap();
    let checksum: Vec<u8> = (0..checksum.len()).step_by(2).map(digit).collect();
    let sql = "INSERT INTO postrider_migrations (version, description, success, checksum, execution_time) \
               VALUES (?, ?, TRUE, ?, 1)";
    database.execute(sql, &[Val::from(*number), Val::from(name), Val::from(checksum)]).await.unwrap();
}

/// The statements of a step.
fn statements(dialect: Dialect, name: &str) -> Vec<String> {
    let path = root().join("migrations").join(dialect.word()).join(format!("{name}.sql"));
    let text = fs::read_to_string(path).unwrap();
    text.trim_end().trim_end_matches(';').split(";\n").map(str::to_owned).collect()
}

fn val(value: &Value, kind: ColumnKind) -> Val {
    match (value, kind) {
        (Value::Null, kind) => kind.absent(),
        (Value::Number(number), ColumnKind::Int) => Val::from(number.as_i64().unwrap()),
        (Value::Number(number), ColumnKind::Real) => Val::from(number.as_f64().unwrap()),
        (Value::String(text), ColumnKind::Text | ColumnKind::Time) => Val::from(text),
        (Value::Object(object), ColumnKind::Blob) => {
            Val::from(STANDARD.decode(object["octets"].as_str().unwrap()).unwrap())
        }
        _ => panic!("{value} is nothing of {kind:?}"),
    }
}

fn parsed<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
