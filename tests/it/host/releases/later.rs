//! What the next release leaves when somebody goes back to this one: everything that `migrations/README.md` allows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postrider::foundations::clock::{Clock, SystemClock};
use postrider::storage::database::{Database, Row, Sql, Val};
use serde_json::{Value, json};

use super::ANN;
use crate::harness::{Host, until};

/// Tables that other programs use, too: no release changes them.
const SHARED: &[&str] = &["virtual_domains", "virtual_users", "virtual_aliases", "mailbox_usage"];
/// A file beside each of those that this version knows.
const FILE: &str = "postrider-of-later";

/// All files below a directory with this name.
fn named(directory: &Path, name: &str) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false if entry.file_name() == *name => found.push(entry.path()),
                false => {}
            }
        }
    }
    found
}

/// Indexes and caches in another format, a further word in the lines that may have one, and files nobody knows.
pub(super) fn change_files(directory: &Path) {
    let mail = directory.join("mail");
    for name in ["postrider.index", "postrider.cache"] {
        let files = named(&mail, name);
        assert!(!files.is_empty(), "no {name}");
        for path in files {
            let mut content = fs::read(&path).unwrap();
            // The octet after the seven letters is the format.
            content[7] += 1;
            fs::write(&path, content).unwrap();
        }
    }
    let files = named(&mail, "postrider-uid");
    assert!(!files.is_empty(), "no postrider-uid");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let (line, _) = text.trim_end().rsplit_once(' ').unwrap();
        let line = format!("{line} Xlater");
        fs::write(&path, format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()))).unwrap();
        fs::write(path.with_file_name(FILE), "something").unwrap();
    }
    let spool = directory.join("spool/of-later");
    fs::create_dir(&spool).unwrap();
    fs::write(spool.join(FILE), "something").unwrap();
}

async fn run(database: &Database, sql: String, values: &[Val]) {
    database.execute(Sql::rare(sql.clone()), values).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Tables, columns, steps, fields and words that this version does not know.
pub(super) async fn change_database(database: &Database) {
    for table in database.tables_described().await.unwrap() {
        if !SHARED.contains(&table.name.as_str()) {
            run(database, format!("ALTER TABLE {} ADD COLUMN of_later BIGINT", table.name), &[]).await;
            let column = "ADD COLUMN of_later_too BIGINT NOT NULL DEFAULT 7";
            run(database, format!("ALTER TABLE {} {column}", table.name), &[]).await;
        }
    }
    let (now, soon) = (SystemClock.now(), SystemClock.now() + Duration::from_secs(60));
    let values = [Val::from(now), Val::from(soon)];
    let statements: [(&str, &[Val]); 9] = [
        ("CREATE TABLE of_later (id BIGINT PRIMARY KEY)", &[]),
        (
            "INSERT INTO postrider_migrations (version, description, success, checksum, execution_time) \
             SELECT 9999, 'of later', success, checksum, execution_time FROM postrider_migrations WHERE version = 1",
            &[],
        ),
        ("UPDATE user_state SET of_later = 3, owner = 'of-later', password_owner = 'of-later'", &[]),
        ("UPDATE app_passwords SET of_later = 3, scopes = 'mail,of-later'", &[]),
        (
            "INSERT INTO dav_collections (account, kind, name, components, token, forgotten, created_at) \
             VALUES ('ann@example.test', 'of-later', 'Notes', '', 1, 0, 1)",
            &[],
        ),
        (
            "INSERT INTO bans (network, reason, origin, bans, changed_at) VALUES ('203.0.113.5/32', '', 'of-later', 1, ?)",
            &values[..1],
        ),
        ("INSERT INTO events (at, kind, details) VALUES (?, 'of-later', '{}')", &values[..1]),
        // One whose next hop is unknown, and one that waits for something unknown.
        (
            "INSERT INTO queue_recipients (entry, address, recipient, destination, state, due_at, expires_at) \
             SELECT entry, 'near@elsewhere.test', recipient, 'of-later:x', 0, ?, ? FROM queue_recipients",
            &values,
        ),
        (
            "INSERT INTO queue_recipients (entry, address, recipient, destination, state, due_at, expires_at) \
             SELECT entry, 'other@elsewhere.test', recipient, 'mx:elsewhere.test', 9, ?, ? FROM queue_recipients \
             WHERE address = 'far@elsewhere.test'",
            &values,
        ),
    ];
    for (statement, values) in statements {
        run(database, statement.to_owned(), values).await;
    }
    for (table, key, column) in [
        ("preferences", "account", "preferences"),
        ("queue_entries", "id", "envelope"),
        ("queue_recipients", "address", "recipient"),
    ] {
        let rows = database.fetch_all(Sql::rare(format!("SELECT {key}, {column} FROM {table}")), &[]).await.unwrap();
        assert!(!rows.is_empty(), "{table}");
        for row in &rows {
            let mut object: Value = serde_json::from_str(&row.text(1).unwrap()).unwrap();
            object["of_later"] = json!({ "why": 1 });
            if let Some(signature) = object.pointer_mut("/identities/ann@example.test") {
                signature["of_later"] = json!([2]);
            }
            let values = [Val::from(object.to_string()), Val::from(row.text(0).unwrap())];
            run(database, format!("UPDATE {table} SET {column} = ? WHERE {key} = ?"), &values).await;
        }
    }
    // Of a letter with something that this version does not know, nobody can say what it is to be.
    let letter = json!({ "sending": { "key": "later", "letter": { "of_later": 1 }, "draft": 1 }, "of_later": 1 });
    let values = [Val::from(ANN), Val::from("later"), Val::from(letter.to_string()), Val::from(soon)];
    let sql = "INSERT INTO held_letters (account, wish, content, due_at) VALUES (?, ?, ?, ?)";
    run(database, sql.to_owned(), &values).await;
}

/// It was not sent, and its author can see that.
pub(super) async fn the_draft_of_the_waiting_letter_is_flagged(host: &Host) {
    let mut imap = host.imap(ANN).await;
    imap.ok("EXAMINE Drafts").await;
    until("the draft is flagged", async || {
        let flags = imap.ok("UID FETCH 1 (FLAGS)").await;
        flags.with("FETCH").any(|line| line.contains("\\Flagged"))
    })
    .await;
}

/// What the later release comes back to.
pub(super) async fn everything_is_kept(database: &Database, directory: &Path) {
    let int = |row: &Row| row.int(0).unwrap();
    let numbers: [(&'static str, &[i64]); 6] = [
        ("SELECT of_later FROM user_state", &[3, 3]),
        ("SELECT of_later FROM app_passwords WHERE scopes = 'mail,of-later'", &[3]),
        ("SELECT COUNT(*) FROM dav_collections WHERE kind = 'of-later'", &[1]),
        ("SELECT COUNT(*) FROM bans WHERE origin = 'of-later'", &[1]),
        ("SELECT COUNT(*) FROM events WHERE kind = 'of-later'", &[1]),
        // Held, so that somebody decides, and untouched.
        ("SELECT state FROM queue_recipients ORDER BY address", &[1, 9]),
    ];
    for (sql, numbers) in numbers {
        let found: Vec<i64> = database.fetch_all(Sql::from(sql), &[]).await.unwrap().iter().map(int).collect();
        assert_eq!(found, numbers, "{sql}");
    }
    for (sql, times) in [
        ("SELECT preferences FROM preferences WHERE account = 'ann@example.test'", 2),
        ("SELECT envelope FROM queue_entries", 1),
        ("SELECT recipient FROM queue_recipients WHERE address = 'near@elsewhere.test'", 1),
    ] {
        let row = database.fetch_optional(Sql::from(sql), &[]).await.unwrap().unwrap();
        let text = row.text(0).unwrap();
        assert_eq!(text.matches("of_later").count(), times, "{sql}: {text}");
    }
    let mail = directory.join("mail");
    assert_eq!(named(&mail, FILE).len(), named(&mail, "postrider-uid").len());
    assert!(directory.join("spool/of-later").join(FILE).is_file());
}
