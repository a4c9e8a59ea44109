//! Moving the database from one engine to every other.

use std::sync::Arc;

use postrider::foundations::clock::{SharedClock, SystemClock};
use postrider::foundations::event::{Event, EventKind};
use postrider::foundations::settings::Live;
use postrider::foundations::tasks::Tasks;
use postrider::services::backup::{
    Access, BackupSettings, Destination, Extent, Progress, QueueFate, Repository, Source, create, restore_database,
};
use postrider::storage::database::{Database, Dialect, Row, Sql, Val};
use postrider::storage::journal::{Journal, JournalSettings};
use postrider::storage::spool::QUARANTINED;

use crate::accounts::engines::{Fresh, on_every_engine};
use crate::accounts::world::World;

on_every_engine!(goes_into_every_engine);

/// Everything in a table as text, sorted.
async fn rows(database: &Database, sql: &'static str) -> Vec<String> {
    let rows = database.fetch_all(Sql::from(sql), &[]).await.unwrap();
    let columns = sql.matches(',').count() + 1;
    let cell = |row: &Row, n| {
        let text = row.opt_text(n).map(|text| format!("{text:?}"));
        let int = || row.opt_int(n).map(|int| format!("{int:?}"));
        let real = || row.real(n).map(|real| format!("{real:?}"));
        text.or_else(|_| int())
            .or_else(|_| real())
            .or_else(|_| row.opt_blob(n).map(|blob| format!("{blob:?}")))
            .unwrap()
    };
    let mut texts: Vec<_> =
        rows.iter().map(|row| (0..columns).map(|n| cell(row, n)).collect::<Vec<_>>().join(" | ")).collect();
    texts.sort();
    texts
}

const SEEN: &[&str] = &[
    "SELECT id, name FROM virtual_domains",
    "SELECT id, domain_id, email, password, quota_mb, enabled FROM virtual_users",
    "SELECT id, source, destination FROM virtual_aliases",
    "SELECT user_id, owner, display_name, password_owner FROM user_state",
    "SELECT kind, details FROM events",
    "SELECT owner, shard, tokens FROM learned_shards",
    "SELECT id, hold_reason, sender FROM queue_entries",
    "SELECT entry, address, state, owner FROM queue_recipients",
];

async fn fill(database: &Database, spool: &std::path::Path) {
    let world = World::new(database.clone());
    world.users(&["ann@example.test", "bob@other.test"]).await;
    world.aliases(&[("sales@example.test", "ann@example.test, bob@other.test")]).await;
    world.tasks.stop(std::time::Duration::from_secs(5)).await;
    let tasks = Tasks::new();
    let clock: SharedClock = Arc::new(SystemClock);
    let journal = Journal::start(database.clone(), Live::new(JournalSettings::default()), Arc::clone(&clock), &tasks);
    journal.record(Event::new(clock.now(), EventKind::Lifecycle).with("what", "\u{1F98A} \"quoted\"\\"));
    journal.flush().await;
    tasks.stop(std::time::Duration::from_secs(5)).await;
    let shard: Vec<Val> = vec!["ann".into(), 3i64.into(), vec![0u8, 255, 10].into()];
    database.execute("INSERT INTO learned_shards (owner, shard, tokens) VALUES (?, ?, ?)", &shard).await.unwrap();
    // One entry whose body exists, one whose message was passed on during the backup, and one in quarantine.
    for (id, body, hold) in [
        ("01ARZ3NDEKTSV4RR", true, None),
        ("01ARZ3NDEKTSV4RS", false, None),
        ("01ARZ3NDEKTSV4RT", true, Some(QUARANTINED)),
    ] {
        let mut entry: Vec<Val> = vec![id.into(), id.into(), 1i64.into(), "<>".into(), 5i64.into(), "{}".into()];
        entry.push(hold.map(str::to_owned).into());
        let sql = "INSERT INTO queue_entries (id, mail, received_at, sender, size, envelope, hold_reason) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        database.execute(sql, &entry).await.unwrap();
        let recipient: Vec<Val> = vec![
            id.into(),
            "far@x".into(),
            "{}".into(),
            "x".into(),
            i64::from(hold.is_some()).into(),
            1i64.into(),
            2i64.into(),
            "me".into(),
        ];
        let sql = "INSERT INTO queue_recipients (entry, address, recipient, destination, state, due_at, expires_at, owner) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        database.execute(sql, &recipient).await.unwrap();
        if body {
            let path = postrider::storage::spool::body_path(spool, id.parse().unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "the body").unwrap();
        }
    }
}

async fn goes_into_every_engine(database: Database) {
    let place = tempfile::tempdir().unwrap();
    let (spool, mail_root) = (place.path().join("spool"), place.path().join("mail"));
    std::fs::create_dir(&mail_root).unwrap();
    fill(&database, &spool).await;
    let settings = BackupSettings::default();
    let repository = Arc::new(
        Repository::open(&Destination::Directory(place.path().join("backups")), Access::Add, &settings).unwrap(),
    );
    let source = Source {
        hostname: "mail.example.test".to_owned(),
        mail_root,
        spool,
        database: database.clone(),
        files: vec![],
        secrets_left_out: vec![],
        recipients: vec![],
        may_be_empty: false,
    };
    let clock: SharedClock = Arc::new(SystemClock);
    let created = create(&repository, &source, Extent::New, &clock, &Arc::new(Progress::default())).await.unwrap();
    let snapshot = repository.snapshot(&created.id).unwrap();
    assert_eq!(snapshot.database.engine, database.dialect().word());

    for dialect in Dialect::ALL {
        let Some(fresh) = Fresh::create(dialect).await else { continue };
        let target = fresh.connect().await;
        target.migrate().await.unwrap();
        let bodies = place.path().join(format!("spool-{dialect}"));
        restore_database(&repository, &snapshot, &target, &bodies, QueueFate::Held).await.unwrap();
        for sql in SEEN {
            let (mut before, after) = (rows(&database, sql).await, rows(&target, sql).await);
            if sql.contains("FROM queue_entries") {
                before = vec![
                    format!(
                        "Some(\"01ARZ3NDEKTSV4RR\") | Some(\"restored from the backup {}\") | Some(\"<>\")",
                        created.id
                    ),
                    format!("Some(\"01ARZ3NDEKTSV4RT\") | Some(\"{QUARANTINED}\") | Some(\"<>\")"),
                ];
            } else if sql.contains("FROM queue_recipients") {
                before = ["RR", "RT"]
                    .map(|end| format!("Some(\"01ARZ3NDEKTSV4{end}\") | Some(\"far@x\") | Some(1) | None"))
                    .to_vec();
            }
            assert_eq!(before, after, "{sql} from {} into {dialect}", database.dialect());
        }
        // The engine's own numbering continues above the inserted numbers.
        let world = World::new(target.clone());
        world.users(&["cid@third.test"]).await;
        world.tasks.stop(std::time::Duration::from_secs(5)).await;
        let again = restore_database(&repository, &snapshot, &target, &bodies, QueueFate::Held).await;
        assert!(again.is_err(), "a database with accounts is left alone");
        target.close().await;
        fresh.remove().await;
    }
}
