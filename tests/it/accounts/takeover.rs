//! A MariaDB that already holds the seed's tables and rows.

use postrider::foundations::secret::Secret;
use postrider::foundations::settings::ByteSize;
use postrider::services::moving::{InactiveAccounts, SeedAccounts, SeedUser};
use postrider::storage::database::{Database, Dialect, Error, Sql};
use postrider::storage::directory::{Account, NewUser, Owner, Page, Usage};

use super::engines::Fresh;
use super::world::{World, address, user};
use crate::harness::{Host, PENCIL, cli};

/// The SQL of the stack that Postrider replaces, statement by statement as its set-up ran them.
const SCHEMA: &str = include_str!("seed-schema.sql");
const DATA: &[&str] = &[
    "INSERT INTO virtual_domains (name) VALUES ('example.com')",
    "INSERT INTO virtual_users (domain_id, email, password, quota_mb) VALUES (1, 'John@example.com', \
     '{BLF-CRYPT}$2y$04$1GTbYMv9PFxDip5WdCZI5eko6wt04WVxBj77fd0Xh3VHkloF.x0.u', 2048)",
    "INSERT INTO virtual_users (domain_id, email, password) VALUES (1, 'jane@example.com', 'x')",
    "INSERT INTO virtual_aliases (domain_id, source, destination) VALUES \
     (1, 'sales@example.com', 'john@example.com'), (1, 'sales@example.com', 'jane@example.com')",
    "INSERT INTO mailbox_usage (email, usage_mb) VALUES ('john@example.com', 12.34)",
];

async fn dump(database: &Database) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, columns) in [
        ("virtual_domains", "id, name, created_at"),
        ("virtual_users", "id, domain_id, email, password, quota_mb, enabled, created_at"),
        ("virtual_aliases", "id, domain_id, source, destination, created_at"),
        ("mailbox_usage", "email, usage_mb, last_updated"),
    ] {
        let sql = Sql::rare(format!("SELECT CONCAT_WS('|', {columns}) FROM {table} ORDER BY 1"));
        lines.extend(database.fetch_all(sql, &[]).await.unwrap().iter().map(|row| row.text(0).unwrap()));
        let sql = Sql::rare(format!("SHOW CREATE TABLE {table}"));
        lines.push(database.fetch_optional(sql, &[]).await.unwrap().unwrap().text(1).unwrap());
    }
    lines
}

#[tokio::test]
async fn every_row_and_column_is_kept() {
    let Some(fresh) = Fresh::create(Dialect::MySql).await else { return };
    let database = fresh.connect().await;
    let statements = SCHEMA.split(';').map(str::trim).filter(|sql| sql.contains("CREATE"));
    for sql in statements.chain(DATA.iter().copied()) {
        database.execute(Sql::rare(sql.to_owned()), &[]).await.unwrap();
    }
    let before = dump(&database).await;
    let world = World::new(database.clone());
    let found = world.directory.everything_before_migration().await.unwrap();
    assert_eq!((found.domains.len(), found.accounts.len(), found.aliases.len()), (1, 2, 2));
    assert!(found.accounts.iter().all(|account| account.owner == Owner::Admin && account.may_log_in()));
    database.migrate().await.unwrap();
    assert_eq!(dump(&database).await, before);
    database.migrate().await.unwrap();
    assert_eq!(dump(&database).await, before);

    let john = world.directory.account(&address("john@EXAMPLE.com")).await.unwrap().unwrap();
    assert_eq!((john.address.to_string().as_str(), john.quota), ("john@example.com", Some(ByteSize::gib(2))));
    assert!(john.may_log_in() && john.has_password());
    let usage = world.directory.usage(&john.address).await.unwrap();
    assert_eq!(usage, Some(Usage { bytes: 12_939_427, messages: 0 }));
    let sales = world.directory.aliases("sales@example.com").await.unwrap();
    assert_eq!(&*sales, ["john@example.com", "jane@example.com"]);
    assert_eq!(world.directory.accounts(&Page::default()).await.unwrap().len(), 2);

    // Removed by somebody else, with all dependent rows.
    world.directory.set_usage(&john.address, Usage { bytes: 5, messages: 1 });
    world.directory.flush_usage().await.unwrap();
    database.execute("DELETE FROM virtual_domains", &[]).await.unwrap();
    for table in ["virtual_users", "mailbox_usage", "mailbox_usage_exact", "user_state"] {
        let sql = Sql::rare(format!("SELECT count(*) FROM {table}"));
        assert_eq!(database.fetch_optional(sql, &[]).await.unwrap().unwrap().int(0).unwrap(), 0, "{table}");
    }
    database.close().await;
    fresh.remove().await;
}

#[tokio::test]
async fn accounts_are_copied_into_another_database() {
    let Some(fresh) = Fresh::create(Dialect::MySql).await else { return };
    let database = fresh.connect().await;
    let statements = SCHEMA.split(';').map(str::trim).filter(|sql| sql.contains("CREATE"));
    for sql in statements.chain(DATA.iter().copied()) {
        database.execute(Sql::rare(sql.to_owned()), &[]).await.unwrap();
    }
    database.execute("UPDATE virtual_users SET enabled = 0 WHERE email = 'jane@example.com'", &[]).await.unwrap();
    let before = dump(&database).await;
    let found = SeedAccounts::read(&database).await.unwrap();

    let own = Fresh::create(Dialect::Sqlite).await.unwrap();
    let here = own.connect().await;
    here.migrate().await.unwrap();
    let world = World::new(here.clone());
    let moved = found.take_over(&world.directory).await.unwrap();
    assert_eq!((moved.domains, moved.users, moved.aliases, moved.present), (1, 2, 2, 0));
    let again = found.take_over(&world.directory).await.unwrap();
    assert_eq!((again.domains, again.users, again.aliases, again.present), (0, 0, 0, 5));
    let mut edit = world.directory.edit().await.unwrap();
    edit.archive_user(&address("jane@example.com")).await.unwrap();
    edit.commit().await.unwrap();
    assert_eq!(found.take_over(&world.directory).await.unwrap().present, 5, "who was archived here counts, too");
    let john = world.directory.account(&address("john@example.com")).await.unwrap().unwrap();
    assert!(john.may_log_in() && john.quota == Some(ByteSize::gib(2)));
    let jane = world.directory.account(&address("jane@example.com")).await.unwrap().unwrap();
    assert!(!jane.may_log_in(), "who was disabled there is here too");
    let sales = world.directory.aliases("sales@example.com").await.unwrap();
    assert_eq!(sales.iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert_eq!(dump(&database).await, before, "nothing there is changed");
    here.close().await;
    database.close().await;
    fresh.remove().await;
    own.remove().await;
}

#[tokio::test]
async fn who_was_declared_before_gets_the_password_from_there() {
    let own = Fresh::create(Dialect::Sqlite).await.unwrap();
    let here = own.connect().await;
    here.migrate().await.unwrap();
    let world = World::new(here.clone());
    world.users(&["has@example.com"]).await;
    let mut edit = world.directory.edit().await.unwrap();
    for name in ["none@example.com", "odd@example.com", "gone@example.com"] {
        edit.add_user(&NewUser { password: None, ..user(name) }).await.unwrap();
    }
    edit.archive_user(&address("gone@example.com")).await.unwrap();
    edit.commit().await.unwrap();
    let hash = "{BLF-CRYPT}$2y$04$1GTbYMv9PFxDip5WdCZI5eko6wt04WVxBj77fd0Xh3VHkloF.x0.u";
    let rows = [
        ("has@example.com", hash, PENCIL),
        ("none@example.com", hash, hash),
        ("odd@example.com", "{PLAIN}secret", Account::NO_PASSWORD),
        ("gone@example.com", hash, Account::NO_PASSWORD),
    ];
    let users = rows.map(|(name, password, _)| SeedUser {
        address: address(name),
        password: Secret::new(password.to_owned()),
        quota: None,
        enabled: true,
    });
    let (aliases, inactive_accounts) = (vec![], InactiveAccounts::default());
    let found = SeedAccounts { domains: vec![], users: users.into(), aliases, inactive_accounts };
    for wanted in [1, 0] {
        let moved = found.take_over(&world.directory).await.unwrap();
        assert_eq!((moved.users, moved.present, moved.passwords), (0, 4, wanted));
    }
    for (name, _, wanted) in rows {
        let account = world.directory.account_now(&address(name)).await.unwrap().unwrap();
        assert_eq!(account.password.expose(), wanted, "{name}");
    }
    here.close().await;
    own.remove().await;
}

/// The other database has its own password, and a missing file is not created.
#[tokio::test(flavor = "multi_thread")]
async fn another_database_is_opened_with_its_own_password() {
    let Some(fresh) = Fresh::create(Dialect::MySql).await else { return };
    let Some((_, port)) = fresh.local_port() else { return };
    let database = fresh.connect().await;
    let statements = SCHEMA.split(';').map(str::trim).filter(|sql| sql.contains("CREATE"));
    let name = database.fetch_optional("SELECT DATABASE()", &[]).await.unwrap().unwrap().text(0).unwrap();
    let user = format!("CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'theirs'");
    let grant = format!("GRANT SELECT ON {name}.* TO {name}@'127.0.0.1'");
    for sql in statements.chain(DATA.iter().copied()).chain([&*user, &*grant]) {
        database.execute(Sql::rare(sql.to_owned()), &[]).await.unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    let (own, theirs) = (place.path().join("own"), place.path().join("theirs"));
    std::fs::write(&own, "ours\n").unwrap();
    std::fs::write(&theirs, "theirs\n").unwrap();
    let host = Host::start().settings(&format!("[database]\npassword_file = {own:?}")).await;
    let plain = format!("mysql://{name}@127.0.0.1:{port}/{name}");
    let whole = format!("mysql://{name}:theirs@127.0.0.1:{port}/{name}");
    for source in [&[plain.as_str(), "--password-file", theirs.to_str().unwrap()][..], &[whole.as_str()]] {
        let (told, code) = cli::run(&host.config(), &[&["import", "seed", "--dry-run"], source].concat(), "").await;
        assert_eq!((code, &told["users"]), (0, &serde_json::json!(2)), "{told}");
    }
    // What to correct is on the command line, not in the configuration.
    let nowhere = place.path().join("nowhere");
    for source in [
        &[&*format!("mysql://{name}:ours@127.0.0.1:{port}/{name}")][..],
        &[plain.as_str(), "--password-file", nowhere.to_str().unwrap()],
    ] {
        let (told, code) = cli::run(&host.config(), &[&["import", "seed"], source].concat(), "").await;
        let error = told["error"].as_str().unwrap();
        assert!(code == 3 && error.contains("--password-file"), "{told}");
        assert!(!error.contains("storage.database") && !error.contains("database.password_file"), "{told}");
    }
    let missing = place.path().join("missing.sqlite");
    let source = format!("sqlite:{}", missing.display());
    let (told, code) = cli::run(&host.config(), &["import", "seed", &source], "").await;
    assert_eq!(code, 4, "{told}");
    assert!(!missing.exists());
    host.stop().await;
    database.execute(Sql::rare(format!("DROP USER {name}@'127.0.0.1'")), &[]).await.unwrap();
    database.close().await;
    fresh.remove().await;
}

#[tokio::test]
async fn an_interrupted_step_is_run_again() {
    let Some(fresh) = Fresh::create(Dialect::MySql).await else { return };
    let database = fresh.connect().await;
    database.migrate().await.unwrap();
    database.execute("UPDATE postrider_migrations SET success = 0 WHERE version = 8", &[]).await.unwrap();
    database.migrate().await.unwrap();
    assert!(database.pending().await.unwrap().is_empty());
    database.close().await;
    fresh.remove().await;
}

#[tokio::test]
async fn tables_of_others_are_not_taken_for_the_seeds() {
    let Some(fresh) = Fresh::create(Dialect::MySql).await else { return };
    let database = fresh.connect().await;
    database.execute("CREATE TABLE virtual_aliases (a INT, b INT)", &[]).await.unwrap();
    let error = database.migrate().await.unwrap_err();
    assert!(matches!(error, Error::ForeignSchema { table: "virtual_aliases", .. }), "{error:?}");
    assert!(error.to_string().contains("destination") || error.to_string().contains("'id'"), "{error}");
    assert!(!database.has_table("postrider_migrations").await.unwrap(), "nothing was touched");
    database.close().await;
    fresh.remove().await;
}
