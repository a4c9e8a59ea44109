//! Importing backups of the earlier stack.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use postrider::foundations::secret::Secret;
use postrider::storage::database::{Dialect, Sql};
use postrider::storage::directory::{NewUser, Owner, PasswordOwner, Source, Standing};
use serde_json::Value;

use super::whole::furnished;
use super::world::{done, picture};
use crate::accounts::engines::Fresh;
use crate::harness::cli::printed;
use crate::harness::{Host, PASSWORD, tools, user};

/// Runs `postrider import seed-backup`; returns its output and status.
async fn import(host: &Host, directory: &Path, more: &[&str]) -> (Value, i32) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("--json").arg("--config").arg(host.config());
    command.args(["import", "seed-backup"]).arg(directory).arg("--work").arg(host.directory()).args(more);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    (printed(&["import", "seed-backup"], &output), output.status.code().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_exported_is_the_same_to_every_client_after_it_was_moved_in() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    crate::sieve::activate(&host, "ann@example.test", "keep;\r\n");
    done(&host, &["create"]).await;
    let exported = destination.path().join("seed");
    done(&host, &["export", "--format", "seed", "--to", exported.to_str().unwrap()]).await;
    let other = Host::start().await;
    let (tried, code) = import(&other, &exported, &["--dry-run"]).await;
    assert_eq!((code, &tried["compared"], &tried["accounts"]["users"]), (0, &2.into(), &2.into()), "{tried}");
    assert!(!other.mail_root().join("example.test").exists());
    let (moved, code) = import(&other, &exported, &[]).await;
    assert_eq!(
        (code, &moved["accounts"]["users"], &moved["accounts"]["aliases"]),
        (0, &2.into(), &1.into()),
        "{moved}"
    );
    for user in ["ann@example.test", "bob@example.test"] {
        assert_eq!(picture(&other, user).await, picture(&host, user).await, "{user}");
    }
    let active = other.mail_root().join("example.test/ann/.dovecot.sieve");
    assert_eq!(fs::read_link(&active).unwrap(), Path::new("sieve/main.sieve"));
    assert_eq!(fs::read_to_string(active).unwrap(), "keep;\r\n");
    let (again, _) = import(&other, &exported, &[]).await;
    assert_eq!((&again["accounts"]["users"], &again["accounts"]["present"]), (&0.into(), &4.into()), "{again}");

    // A bit flipped in transit.
    let mut files = fs::read_dir(&exported).unwrap().map(|entry| entry.unwrap().path());
    let dump = files.find(|path| path.to_str().unwrap().contains("mysql_")).unwrap();
    let mut content = fs::read(&dump).unwrap();
    content[30] ^= 1;
    fs::write(&dump, content).unwrap();
    let (said, code) = import(&other, &exported, &[]).await;
    assert_eq!(code, 6, "{said}");
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_does_not_come_back_by_moving_in() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let gone = "gone.test".parse().unwrap();
    let mut edit = host.parts().directory.edit().await.unwrap();
    edit.add_domain(&gone, Owner::Admin).await.unwrap();
    let eve = NewUser { password: None, password_owner: PasswordOwner::User, ..user("eve@gone.test") };
    edit.add_user(&eve).await.unwrap();
    edit.archive_domain(&gone).await.unwrap();
    edit.archive_user(&"bob@example.test".parse().unwrap()).await.unwrap();
    edit.set_alias(&Source::parse("sales@example.test").unwrap(), Standing::Disabled).await.unwrap();
    edit.commit().await.unwrap();
    done(&host, &["create"]).await;
    let exported = destination.path().join("seed");
    done(&host, &["export", "--format", "seed", "--to", exported.to_str().unwrap()]).await;

    let other = Host::start().await;
    let (moved, code) = import(&other, &exported, &[]).await;
    assert_eq!(code, 0, "{moved}");
    let mut edit = other.parts().directory.edit().await.unwrap();
    let there = edit.everything().await.unwrap();
    let domain = there.domains.iter().find(|domain| domain.name == gone).unwrap();
    assert!(domain.archived_at.is_some(), "{domain:?}");
    let archived = there.accounts.iter().filter(|account| account.archived_at.is_some());
    let mut archived: Vec<String> = archived.map(|account| account.address.to_string()).collect();
    archived.sort();
    assert_eq!(archived, ["bob@example.test", "eve@gone.test"]);
    let sales = there.aliases.iter().find(|(_, alias)| alias.source == "sales@example.test").unwrap();
    assert_eq!(sales.1.standing, Standing::Disabled);
    assert_eq!(edit.restore_domain(&gone).await.unwrap(), ["eve@gone.test"], "with those who went with it");
    edit.commit().await.unwrap();
    other.stop().await;
    host.stop().await;
}

/// A Maildir as Dovecot leaves it.
fn make_mail(home: &Path) {
    for folder in ["", ".Sent"] {
        for directory in ["cur", "new", "tmp"] {
            fs::create_dir_all(home.join(folder).join(directory)).unwrap();
        }
    }
    let message = |n: u32| format!("From: a@b.test\nMessage-ID: <m{n}@b.test>\nSubject: {n}\n\nText {n}\n");
    let mut list = "3 V1234567890 N17 G0123456789abcdef0123456789abcdef\n".to_owned();
    for n in [5, 9, 16] {
        let name = format!("17000000{n:02}.M1P{n}.host,S={}", message(n).len());
        fs::write(home.join("cur").join(format!("{name}:2,Sa")), message(n)).unwrap();
        list += &format!("{n} :{name}\n");
    }
    fs::write(home.join("dovecot-uidlist"), list).unwrap();
    fs::write(home.join("dovecot-keywords"), "0 urgent\n").unwrap();
    fs::write(home.join("subscriptions"), "Sent\n").unwrap();
    // Dovecot copies by hard links, and tar keeps them.
    let first = fs::read_dir(home.join("cur")).unwrap().next().unwrap().unwrap().path();
    fs::hard_link(first, home.join(".Sent/cur/1700000099.M1P99.host:2,S")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mysqldump_and_tar_have_written_is_moved_in() {
    if !["mariadb-dump", "gzip", "tar", "sha256sum", "sh"].iter().all(|program| tools::find(program).is_some()) {
        return;
    }
    let Some(fresh) = Fresh::create(Dialect::MySql).await else { return };
    let database = fresh.connect().await;
    let schema = include_str!("../accounts/seed-schema.sql");
    for sql in schema.split(';').map(str::trim).filter(|sql| sql.contains("CREATE")) {
        database.execute(Sql::rare(sql.to_owned()), &[]).await.unwrap();
    }
    let hash = postrider::services::login::hash(&Secret::new(PASSWORD.to_owned()), 4).unwrap();
    let rows = [
        "INSERT INTO virtual_domains (name) VALUES ('example.com'), ('second.example')".to_owned(),
        format!(
            "INSERT INTO virtual_users (domain_id, email, password, quota_mb, enabled) VALUES \
             (1, 'john@example.com', '{}', 2048, 1), (1, 'o''hara@example.com', 'x\\\\y', NULL, 0)",
            hash.expose()
        ),
        "INSERT INTO virtual_aliases (domain_id, source, destination) VALUES \
         (1, 'sales@example.com', 'john@example.com,far@elsewhere.test'), (2, '@second.example', 'john@example.com')"
            .to_owned(),
        "INSERT INTO mailbox_usage (email, usage_mb) VALUES ('john@example.com', 12.34)".to_owned(),
    ];
    for sql in rows {
        database.execute(Sql::rare(sql), &[]).await.unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    make_mail(&place.path().join("vhosts/example.com/john"));
    let backups = place.path().join("backups");
    fs::create_dir(&backups).unwrap();
    // As the stack's own script stores it.
    let script = "set -e; mariadb-dump --single-transaction -h \"$1\" -P \"$2\" -u \"$3\" \"$4\" | gzip > \
        mysql_20260131_020000.sql.gz; tar czf maildirs_full_20260131_020000.tar.gz -C ../vhosts .; \
        sha256sum *.gz > checksums_20260131_020000.sha256";
    let url: url::Url = fresh.url.to_string().parse().unwrap();
    let (server, port) = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(3306).to_string());
    let arguments = [&server, &port, url.username(), url.path().trim_start_matches('/')];
    let written = Command::new("sh").args(["-c", script, "sh"]).args(arguments).current_dir(&backups).output().unwrap();
    tools::assert_success("mariadb-dump and tar", &written);
    database.close().await;

    let host = Host::start().await;
    let (moved, code) = import(&host, &backups, &[]).await;
    assert_eq!(code, 0, "{moved}");
    let accounts = &moved["accounts"];
    assert_eq!((&accounts["domains"], &accounts["users"], &accounts["aliases"]), (&2.into(), &2.into(), &3.into()));
    assert_eq!(moved["compared"], 2);
    let mut imap = host.imap("john@example.com").await;
    let opened = imap.ok("SELECT INBOX").await;
    assert!(opened.untagged.iter().any(|line| line.contains("[UIDVALIDITY 1234567890]")), "{:?}", opened.untagged);
    let found = imap.ok("UID FETCH 1:* (FLAGS BODY.PEEK[TEXT])").await.untagged;
    let uids: Vec<_> = [5, 9, 16].iter().map(|uid| format!("UID {uid}")).collect();
    assert!(found.iter().zip(&uids).all(|(line, uid)| line.contains(uid.as_str())), "{found:?}");
    assert!(found[0].contains("urgent") && found[0].contains("Text 5"), "{found:?}");
    assert_eq!(imap.ok("SELECT Sent").await.number("EXISTS"), Some(1), "a hard link in the archive");
    let hara = host.parts().directory.account_now(&"o'hara@example.com".parse().unwrap()).await.unwrap().unwrap();
    assert!(!hara.may_log_in() && hara.quota.is_none());
    host.stop().await;
    fresh.remove().await;
}
