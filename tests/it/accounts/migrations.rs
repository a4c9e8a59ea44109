//! The migration files: the same in the three dialects.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;
use postrider::storage::database::{Database, Dialect};

use super::engines::Fresh;

fn files(dialect: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn every_dialect_has_the_same_steps() {
    let sqlite: Vec<String> = files("sqlite").into_keys().collect();
    for dialect in ["mysql", "postgres"] {
        assert_eq!(files(dialect).into_keys().collect::<Vec<_>>(), sqlite, "{dialect}");
    }
    let numbers: Vec<&str> = sqlite.iter().map(|name| name.split_once('_').unwrap().0).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "a number twice: {numbers:?}");
    let list = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage/database/migrate.rs"));
    let list = list.unwrap();
    for name in &sqlite {
        let name = name.strip_suffix(".sql").unwrap();
        let number: u32 = name[..4].parse().unwrap();
        assert!(list.contains(&format!("    {number} \"{name}\",")), "{name} is not listed in migrate.rs");
    }
}

#[test]
fn every_dialect_has_the_same_columns() {
    let names = |sql: &str| -> Vec<String> {
        let columns = sql.lines().filter(|line| line.starts_with("    "));
        let first = columns.filter_map(|line| line.split_whitespace().next());
        first
            .filter(|word| !["FOREIGN", "INDEX", "KEY", "PRIMARY", "UNIQUE"].contains(word))
            .map(str::to_owned)
            .collect()
    };
    let sqlite = files("sqlite");
    for dialect in ["mysql", "postgres"] {
        for (file, sql) in files(dialect) {
            assert_eq!(names(&sql), names(&sqlite[&file]), "{dialect}/{file}");
        }
    }
}

#[test]
fn mysql_steps_are_one_statement_that_may_be_repeated() {
    for (file, sql) in files("mysql") {
        let statements = sql.trim().trim_end_matches(';').matches(';').count();
        assert_eq!(statements, 0, "{file} holds several statements");
        assert!(sql.contains("IF NOT EXISTS") || sql.contains("IF EXISTS") || sql.contains("PREPARE"), "{file}");
    }
}

/// Roles of one machine, and several machines, may start at the same moment on a fresh database.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_wait_for_each_other() {
    for dialect in Dialect::ALL {
        // With a new SQLite file, the moment in which they could collide is short.
        let rounds = if dialect == Dialect::Sqlite { 50 } else { 1 };
        for _ in 0..rounds {
            let Some(fresh) = Fresh::create(dialect).await else { break };
            let databases = join_all((0..4).map(|_| fresh.connect())).await;
            for migrated in join_all(databases.iter().map(Database::migrate)).await {
                migrated.unwrap_or_else(|error| panic!("{dialect}: {error}"));
            }
            assert!(databases[0].pending().await.unwrap().is_empty(), "{dialect}");
            join_all(databases.iter().map(Database::close)).await;
            fresh.remove().await;
        }
    }
}
