//! The tables of an earlier and of a later release.

use std::collections::BTreeSet;
use std::path::Path;

use postrider::foundations::secret::Secret;
use postrider::storage::database::{Database, Dialect, Error, Sql, Table, Val};
use postrider::storage::directory::PasswordOwner;

use super::engines::Fresh;
use super::world::{World, address};
use crate::harness::frozen::{Frozen, FrozenStep, start_ledger, take_step};

super::engines::on_every_engine!(earlier_tables_are_brought_up_to_date, later_tables_are_left_alone);

/// The numbers of the steps with the tables they make, the last step first.
fn steps() -> Vec<(i64, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut steps: Vec<(i64, Vec<String>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let number = path.file_name().unwrap().to_str().unwrap()[..4].parse().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let made = text.lines().filter_map(|line| line.strip_prefix("CREATE TABLE "));
            (number, made.map(|rest| rest.split([' ', '(']).next().unwrap().to_owned()).collect())
        })
        .collect();
    steps.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    steps
}

async fn run(database: &Database, sql: String) {
    database.execute(Sql::rare(sql), &[]).await.unwrap();
}

async fn ann_can_be_changed(world: &World) {
    let ann = address("ann@example.test");
    let mut edit = world.directory.edit().await.unwrap();
    edit.set_password(&ann, &Secret::new("{BLF-CRYPT}new".to_owned()), PasswordOwner::User).await.unwrap();
    edit.give_set_up_link(&ann, "one", std::time::Duration::from_secs(60)).await.unwrap();
    edit.commit().await.unwrap();
    assert_eq!(world.directory.account_now(&ann).await.unwrap().unwrap().password.expose(), "{BLF-CRYPT}new");
}

/// As if only the last step, and then every step after those of the accounts themselves, had come with this release.
async fn earlier_tables_are_brought_up_to_date(database: Database) {
    let world = World::new(database.clone());
    world.users(&["ann@example.test"]).await;
    let later: Vec<_> = steps().into_iter().filter(|(number, _)| *number > 8).collect();
    for missing in [&later[..1], &later[..]] {
        for (number, tables) in missing {
            for table in tables {
                run(&database, format!("DROP TABLE {table}")).await;
            }
            run(&database, format!("DELETE FROM postrider_migrations WHERE version = {number}")).await;
        }
        assert_eq!(database.pending().await.unwrap().len(), missing.len());
        database.migrate().await.unwrap();
        assert_eq!(database.pending().await.unwrap(), Vec::<&str>::new());
    }
    ann_can_be_changed(&world).await;
}

/// A rolled-back upgrade: the next release has added steps that this one does not know.
async fn later_tables_are_left_alone(database: Database) {
    let world = World::new(database.clone());
    world.users(&["ann@example.test"]).await;
    for statement in [
        "CREATE TABLE of_later (id BIGINT)",
        "ALTER TABLE user_state ADD COLUMN of_later BIGINT",
        "ALTER TABLE set_up_links ADD COLUMN of_later BIGINT NOT NULL DEFAULT 7",
        "UPDATE user_state SET of_later = 3",
        "INSERT INTO postrider_migrations (version, description, success, checksum, execution_time) \
         SELECT 9999, 'of later', success, checksum, execution_time FROM postrider_migrations WHERE version = 1",
    ] {
        run(&database, statement.to_owned()).await;
    }
    database.migrate().await.unwrap();
    ann_can_be_changed(&world).await;
    let row = database.fetch_optional("SELECT of_later FROM user_state", &[]).await.unwrap().unwrap();
    assert_eq!(row.int(0).unwrap(), 3, "what the later release has written is still there when it comes back");
}

/// The steps of this version on an engine.
async fn ledger(dialect: Dialect) -> Option<Vec<FrozenStep>> {
    let fresh = Fresh::create(dialect).await?;
    let database = fresh.connect().await;
    database.migrate().await.unwrap();
    let sql = "SELECT version, description, checksum FROM postrider_migrations ORDER BY version";
    let rows = database.fetch_all(sql, &[]).await.unwrap();
    let hexadecimal = |octets: Vec<u8>| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let steps = rows.iter().map(|row| (row.int(0).unwrap(), row.text(1).unwrap(), hexadecimal(row.blob(2).unwrap())));
    let steps = steps.collect();
    database.close().await;
    fresh.remove().await;
    Some(steps)
}

/// The rows of a table in these columns, sorted.
async fn rows(database: &Database, table: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let mut transaction = database.begin().await.unwrap();
    let mut each = |row: Vec<Val>| {
        found.push(format!("{row:?}"));
        Ok::<_, Error>(())
    };
    transaction.read_table(table, &mut each).await.unwrap();
    transaction.commit().await.unwrap();
    found.sort();
    found
}

/// Puts the release's rows into the tables that are new since the last call.
async fn fill(frozen: &Frozen, database: &Database, filled: &mut BTreeSet<String>) {
    for table in database.tables_described().await.unwrap() {
        if filled.insert(table.name.clone()) {
            frozen.fill_table(database, &table).await;
        }
    }
}

async fn rows_are_there(frozen: &Frozen, database: &Database, filled: &BTreeSet<String>, when: &str) {
    for table in database.tables_described().await.unwrap() {
        let Some((table, wanted)) = frozen.rows(&table).filter(|(table, _)| filled.contains(&table.name)) else {
            continue;
        };
        let mut wanted: Vec<String> = wanted.iter().map(|row| format!("{row:?}")).collect();
        wanted.sort();
        assert_eq!(rows(database, &table).await, wanted, "{}, {when}", table.name);
    }
}

/// A release may have ended with any step. Its rows are there after the others.
#[tokio::test(flavor = "multi_thread")]
async fn from_every_step_on_all_are_taken() {
    let frozen = Frozen::all().pop().unwrap();
    for dialect in Dialect::ALL {
        let Some(steps) = ledger(dialect).await else { continue };
        // Where making a table takes a long time, only some; the next test takes all steps there, too.
        let apart = if dialect == Dialect::Sqlite { 1 } else { 12 };
        for taken in (0..=steps.len()).step_by(apart) {
            let fresh = Fresh::create(dialect).await.unwrap();
            let database = fresh.connect().await;
            start_ledger(&database).await;
            for step in &steps[..taken] {
                take_step(&database, step).await;
            }
            let mut filled = BTreeSet::new();
            fill(&frozen, &database, &mut filled).await;
            assert_eq!(database.pending().await.unwrap().len(), steps.len() - taken);
            database.migrate().await.unwrap();
            assert_eq!(database.pending().await.unwrap(), Vec::<&str>::new());
            rows_are_there(&frozen, &database, &filled, &format!("after {taken} steps on {dialect}")).await;
            database.close().await;
            fresh.remove().await;
        }
    }
}

/// Every table has rows as soon as it exists, so that each step finds those of all steps before.
#[tokio::test(flavor = "multi_thread")]
async fn every_step_keeps_the_rows_of_the_steps_before() {
    let frozen = Frozen::all().pop().unwrap();
    for dialect in Dialect::ALL {
        let Some(steps) = ledger(dialect).await else { continue };
        let fresh = Fresh::create(dialect).await.unwrap();
        let database = fresh.connect().await;
        start_ledger(&database).await;
        let mut filled = BTreeSet::new();
        for step in &steps {
            take_step(&database, step).await;
            fill(&frozen, &database, &mut filled).await;
        }
        database.migrate().await.unwrap();
        rows_are_there(&frozen, &database, &filled, &format!("on {dialect}")).await;
        database.close().await;
        fresh.remove().await;
    }
}
