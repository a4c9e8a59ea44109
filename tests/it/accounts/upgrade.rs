//! The tables of an earlier and of a later release.

use std::path::Path;

use postrider::foundations::secret::Secret;
use postrider::storage::database::{Database, Sql};
use postrider::storage::directory::PasswordOwner;

use super::world::{World, address};

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
