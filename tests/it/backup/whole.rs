//! A whole server, moved to another one by backup and restore.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::world::{backup, deliver, done, message, packs, picture, settings};
use crate::harness::{Host, cli};

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_once() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let host = Host::start().settings(&settings(&file.join("backups"))).await;
    let failed = cli::output(&host.config(), &["backup", "create"], "").await;
    let (aside, said) = (String::from_utf8_lossy(&failed.stderr), String::from_utf8_lossy(&failed.stdout));
    assert!(!failed.status.success() && said.contains("file/backups"), "{said}");
    assert_eq!(aside, "", "beside {said}");
    host.stop().await;
}

/// A server with two users, folders, flags, keywords, subscriptions and a message in the queue.
pub async fn furnished(destination: &TempDir) -> Host {
    furnished_at(destination.path()).await
}

/// The same, for backups elsewhere.
pub async fn furnished_at(destination: &Path) -> Host {
    let host = Host::start()
        .user("ann@example.test")
        .user("bob@example.test")
        .alias("sales@example.test", "ann@example.test")
        .dns("unreachable.test FAIL")
        .settings(&settings(destination))
        .await;
    deliver(&host, "ann@example.test", (0..30).map(|n| format!("a{n}@x"))).await;
    deliver(&host, "bob@example.test", ["b1@x".to_owned()]).await;
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("CREATE \"Work/2026 v1.0\"").await;
    imap.ok("CREATE Entw&APw-rfe").await;
    imap.ok("SUBSCRIBE \"Work/2026 v1.0\"").await;
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 1:5 +FLAGS (\\Seen \\Flagged $Forwarded urgent)").await;
    imap.ok("COPY 3:9 \"Work/2026 v1.0\"").await;
    imap.ok("STORE 10 +FLAGS (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    assert!(imap.append("Entw&APw-rfe", "\\Draft", &message("draft@x", 40_000)).await.is_ok());
    imap.ok("LOGOUT").await;
    // The first look makes the default folders, whose UIDVALIDITY comes from that moment.
    picture(&host, "bob@example.test").await;
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_server_is_restored_with_everything() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let mut submission = host.submission("ann@example.test").await;
    let queued = message("queued@x", 5).replace("eve@elsewhere.test", "ann@example.test");
    let reply = submission.deliver("ann@example.test", &["far@unreachable.test"], &queued).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let created = done(&host, &["create"]).await;
    assert_eq!((&created["full"], &created["messages"], &created["read"]), (&true.into(), &38.into(), &38.into()));
    let before = (picture(&host, "ann@example.test").await, picture(&host, "bob@example.test").await);

    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let restored = done(&host, &["restore", "--to", to]).await;
    assert_eq!((&restored["messages"], &restored["present"]), (&38.into(), &0.into()));
    let files = target.path().join("files");
    let config = files.join(host.directory().strip_prefix("/").unwrap());
    assert_eq!(fs::read(config.join("postrider.toml")).unwrap(), fs::read(host.config()).unwrap());
    assert!(config.join("tls/key.pem").exists() || fs::read_dir(config.join("tls")).unwrap().count() > 1);

    // A second server on the restored data.
    let second = Host::start().on(target).await;
    let after = (picture(&second, "ann@example.test").await, picture(&second, "bob@example.test").await);
    assert_eq!(before, after);
    let aliased = second.smtp().await.deliver("eve@elsewhere.test", &["sales@example.test"], &message("n@x", 1)).await;
    assert_eq!(aliased.code, 250, "{}", aliased.text());
    let queue = done_queue(&second).await;
    assert_eq!(queue.as_array().unwrap().len(), 1);
    assert_eq!(queue[0]["message_id"], "<queued@x>");
    assert_eq!(queue[0]["recipients"][0]["state"], "held", "nothing is sent twice without being asked for");
    let id = queue[0]["id"].as_str().unwrap().parse().unwrap();
    let body = second.parts().spool.message(id).await.unwrap();
    assert!(String::from_utf8_lossy(&body.bytes()).contains("A line of queued@x"));
    // New messages get no UID that may have been given out after the backup.
    let mut imap = second.imap("ann@example.test").await;
    let next = imap.ok("STATUS INBOX (UIDNEXT)").await.untagged.remove(0);
    let next: u32 = next.rsplit_once(' ').unwrap().1.trim_end_matches(')').parse().unwrap();
    assert!(next > 100_000, "{next}");
    second.stop().await;
    host.stop().await;
}

async fn done_queue(host: &Host) -> serde_json::Value {
    let config = host.config();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
    let output = command.arg("--json").arg("--config").arg(config).args(["queue", "list"]).output().await.unwrap();
    crate::harness::cli::printed(&["queue", "list"], &output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backup_reads_only_what_is_new() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let first = done(&host, &["create"]).await;
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("SELECT INBOX").await;
    // Flags change file names but not content.
    imap.ok("STORE 1:* -FLAGS (\\Flagged)").await;
    imap.ok("STORE 7:12 +FLAGS (\\Answered)").await;
    imap.ok("MOVE 20 Trash").await;
    deliver(&host, "ann@example.test", ["new1@x".to_owned(), "new2@x".to_owned()]).await;
    let second = done(&host, &["create"]).await;
    assert_eq!(second["full"], false);
    assert_eq!(second["messages"], 40);
    // The two, and the one with another name in another folder, whose content is not stored again.
    assert_eq!(second["read"], 3);
    let third = done(&host, &["create"]).await;
    assert_eq!((&third["read"], &third["messages"]), (&0.into(), &40.into()));
    let full = done(&host, &["create", "--full"]).await;
    assert_eq!((&full["full"], &full["read"]), (&true.into(), &40.into()));
    let small = |backup: &serde_json::Value| backup["stored"].as_u64().unwrap();
    assert!(small(&full) < small(&first), "what was read again was not stored again: {full}");

    let listed = done(&host, &["list"]).await;
    let kinds: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["full"].as_bool().unwrap()).collect();
    assert_eq!(kinds, [true, false, false, true]);
    let verified = done(&host, &["verify"]).await;
    assert_eq!((&verified["snapshots"], &verified["problems"]), (&4.into(), &serde_json::json!([])));

    // Restored from the first backup, the messages are as they were then.
    let target = tempfile::tempdir().unwrap();
    let (to, at) = (target.path().to_str().unwrap(), first["id"].as_str().unwrap());
    let restored = done(&host, &["restore", "--at", at, "--to", to]).await;
    assert_eq!((&restored["backup"], &restored["messages"]), (&first["id"], &38.into()));
    for long_ago in ["2001-01-01", "2001-01-01 23:40", "2001-01-01T23:40:00Z", "10000d"] {
        let (said, code) = backup(&host, &["restore", "--at", long_ago, "--to", to]).await;
        assert_eq!(code, 4, "{long_ago}: {said}");
    }
    let (said, code) = backup(&host, &["verify", "20010101T000000Z"]).await;
    let is_told = said["error"].as_str().unwrap().starts_with("there is no backup named 20010101T000000Z;");
    assert!(code == 4 && is_told, "{said}");
    assert!(!packs(destination.path()).is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_whole_while_mail_flows() {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start().user("ann@example.test").settings(&settings(destination.path())).await;
    deliver(&host, "ann@example.test", (0..50).map(|n| format!("before{n}@x"))).await;
    let stop = AtomicBool::new(false);
    let flowing = async {
        let mut imap = host.imap("ann@example.test").await;
        imap.ok("SELECT INBOX").await;
        let mut lmtp = host.lmtp().await;
        let mut n = 0;
        while !stop.load(Ordering::SeqCst) {
            let letter = message(&format!("during{n}@x"), 3);
            assert_eq!(lmtp.deliver("eve@elsewhere.test", &["ann@example.test"], &letter).await.code, 250);
            imap.ok("STORE 1:40 +FLAGS (\\Seen)").await;
            imap.ok("STORE 1:40 -FLAGS (\\Seen)").await;
            n += 1;
        }
    };
    let taking = async {
        for _ in 0..3 {
            let created = done(&host, &["create", "--full"]).await;
            assert!(created["messages"].as_u64().unwrap() >= 50, "{created}");
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(flowing, taking);
    done(&host, &["verify"]).await;
    // Every message from before is in every backup, once, whatever its name was at that moment.
    for row in done(&host, &["list"]).await.as_array().unwrap() {
        let target = tempfile::tempdir().unwrap();
        let (id, to) = (row["id"].as_str().unwrap(), target.path().to_str().unwrap());
        done(&host, &["restore", "--backup", id, "--to", to]).await;
        let mut ids = Vec::new();
        for place in ["cur", "new"] {
            let folder = target.path().join("mail/example.test/ann").join(place);
            for entry in fs::read_dir(folder).unwrap() {
                let content = fs::read_to_string(entry.unwrap().path()).unwrap();
                ids.extend(content.lines().filter_map(|line| line.strip_prefix("Message-ID: ").map(str::to_owned)));
            }
        }
        ids.sort();
        let before = ids.iter().filter(|id| id.starts_with("<before")).count();
        let all = ids.len();
        ids.dedup();
        assert_eq!((before, ids.len()), (50, all));
    }
    host.stop().await;
}

/// Folders removed, renamed and recreated during a backup do not make it fail.
#[tokio::test(flavor = "multi_thread")]
async fn folders_come_and_go_while_a_backup_is_taken() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let stop = AtomicBool::new(false);
    let changing = async {
        let mut imap = host.imap("ann@example.test").await;
        while !stop.load(Ordering::SeqCst) {
            for n in 0..5 {
                imap.ok(&format!("CREATE Passing{n}")).await;
            }
            imap.ok("RENAME Entw&APw-rfe \"Work/Elsewhere\"").await;
            imap.ok("RENAME \"Work/Elsewhere\" Entw&APw-rfe").await;
            for n in 0..5 {
                imap.ok(&format!("DELETE Passing{n}")).await;
            }
        }
    };
    let taking = async {
        for _ in 0..8 {
            let created = done(&host, &["create", "--full"]).await;
            // Renamed folders are included, whatever their name was when they were read.
            assert!(created["messages"].as_u64().unwrap() >= 38, "{created}");
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(changing, taking);
    // At rest everything is found where it is.
    let created = done(&host, &["create"]).await;
    assert_eq!(created["messages"], 38);
    done(&host, &["verify"]).await;
    host.stop().await;
}

/// A folder that another program keeps renaming is in every backup, under one of its names.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_never_rests_is_in_every_backup() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let user = host.mail_root().join("example.test/ann");
    let (here, there) = (user.join(".Entw&APw-rfe"), user.join(".Elsewhere"));
    let stop = Arc::new(AtomicBool::new(false));
    let renaming = {
        let (stop, here, there) = (Arc::clone(&stop), here.clone(), there.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                fs::rename(&here, &there).unwrap();
                std::thread::sleep(Duration::from_micros(200));
                fs::rename(&there, &here).unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
        })
    };
    for _ in 0..20 {
        let created = done(&host, &["create", "--full"]).await;
        assert_eq!(created["messages"], 38, "{created}");
    }
    stop.store(true, Ordering::SeqCst);
    renaming.join().unwrap();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_restored_and_copied_is_kept_apart() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    let text = |path: &Path| path.display().to_string();
    let mail = text(&host.mail_root());
    let (inside, spool) = (format!("{mail}/example.test/backups"), text(&host.directory().join("spool")));
    let own = text(destination.path());
    for arguments in [
        ["restore", "--to", &mail],
        ["restore", "--to", &spool],
        ["restore", "--to", &own],
        ["create", "--destination", &inside],
        ["push", "--remote", &own],
        ["push", "--remote", &inside],
    ] {
        let (said, code) = backup(&host, &arguments).await;
        assert_eq!(code, 1, "{arguments:?}: {said}");
        assert!(said["error"].as_str().unwrap().contains("overlaps with"), "{arguments:?}: {said}");
    }
    assert!(!Path::new(&inside).exists() && !Path::new(&mail).join("files").exists());
    host.stop().await;
}
