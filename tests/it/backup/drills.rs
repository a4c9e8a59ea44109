//! A backup proven by a server made from it.

use std::fs;
use std::time::Duration;

use postrider::foundations::event::EventKind;
use postrider::storage::journal::Query;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::whole::furnished;
use super::world::{backup, command, deliver, done, much_unseen, packs, settings};
use crate::harness::Host;

/// A directory for drills, where the server is told to make them.
fn scratch(host: &Host) -> TempDir {
    let (scratch, config) = (tempfile::tempdir().unwrap(), host.config());
    let setting = format!("[backup]\ndrill_directory = \"{}\"\n", scratch.path().display());
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("[backup]\n", &setting)).unwrap();
    scratch
}

async fn metrics(host: &Host) -> String {
    let address = host.address(postrider::config::Protocol::Metrics);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_in_which_nobody_can_log_in_has_failed() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let _scratch = scratch(&host);
    // The mail is there, and the accounts are in another database.
    host.parts().database.execute("DELETE FROM virtual_users", &[]).await.unwrap();
    done(&host, &["create"]).await;
    let (said, code) = backup(&host, &["drill"]).await;
    assert_eq!(code, 6, "{said}");
    assert!(said["differences"][0].as_str().unwrap().contains("nobody could log in"), "{said}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_sees_that_all_is_as_it_was_and_what_is_not() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let scratch = scratch(&host);
    // A file of another program that the server has not seen yet, with bare line feeds.
    fs::write(host.mail_root().join("example.test/ann/.Work.2026 v1\\2e0/cur/1.foreign.host:2,S"), "Subject: x\n\ny\n")
        .unwrap();
    // A user whose password alone opens only the webmail.
    let database = &host.parts().database;
    let confirmed = "INSERT INTO two_factor (user_id, secret, made_at, confirmed_at) \
                     SELECT id, 'plain:', 1, 2 FROM virtual_users WHERE email = 'ann@example.test'";
    assert_eq!(database.execute(confirmed, &[]).await.unwrap(), 1);
    done(&host, &["create"]).await;
    // Later mail is not in it, and the drill does not ask the running server.
    deliver(&host, "ann@example.test", ["later@x".to_owned()]).await;
    let drilled = done(&host, &["drill"]).await;
    assert_eq!(drilled["differences"], serde_json::json!([]));
    assert_eq!((&drilled["users"], &drilled["messages"]), (&2.into(), &39.into()));
    assert!(drilled["contents"].as_u64().unwrap() >= 38, "{drilled}");
    assert_eq!(drilled["unnumbered"], 1, "the foreign file");
    assert!(drilled["recovery_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the throw-away server is gone");

    let figures = metrics(&host).await;
    let value = |name: &str| -> f64 {
        let line = figures.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}\n{figures}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(value("postrider_backup_succeeded_seconds{run=\"drill\"}") > 1e9);
    assert!(value("postrider_backup_recovery_seconds") > 0.0);
    assert!(value("postrider_backup_failed{run=\"drill\"}") < 0.5);
    assert!(value("postrider_backup_drill_differences") < 0.5);
    // A drill that never ran is reported, too.
    assert!(value("postrider_backup_succeeded_seconds{run=\"pushed\"}") < 0.5);
    let query = Query { kinds: vec![EventKind::Backup], ..Query::default() };
    let events = host.events(&query).await;
    let what: Vec<_> = events.iter().map(|event| (&event.details["what"], &event.details["result"])).collect();
    assert_eq!(what.len(), 2);
    assert!(events.iter().all(|event| event.details["administrator"].is_string()), "{events:?}");
    assert!(what.contains(&(&"drill".into(), &"ok".into())) && what.contains(&(&"created".into(), &"ok".into())));

    // With a flipped bit in a pack the backup no longer makes a server, and that is reported.
    let largest = packs(destination.path()).into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let mut content = fs::read(&largest).unwrap();
    content[100] ^= 2;
    fs::write(&largest, &content).unwrap();
    let (said, code) = backup(&host, &["drill"]).await;
    assert_eq!(code, 6, "{said}");
    let figures = metrics(&host).await;
    assert!(figures.contains("postrider_backup_failed{run=\"drill\"} 1"), "{figures}");
    assert!(!figures.contains("postrider_backup_succeeded_seconds{run=\"drill\"} 0"), "the last success is known");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_can_be_looked_at() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let _scratch = scratch(&host);
    done(&host, &["create"]).await;
    let drilled = done(&host, &["drill", "--users", "1", "--keep"]).await;
    assert_eq!(drilled["users"], 1);
    let directory = drilled["directory"].as_str().unwrap();
    assert!(std::path::Path::new(directory).join("mail/example.test").is_dir());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_is_broken_off_leaves_no_mail_behind() {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start().user("ann@example.test").settings(&settings(destination.path())).await;
    let scratch = scratch(&host);
    much_unseen(&host);
    done(&host, &["create"]).await;
    // None of these files has been seen by the server.
    let mut people = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
    let output = people.arg("--config").arg(host.config()).args(["backup", "drill"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("3000 had no UID yet") && said.contains("no content was compared"), "{said}");
    let restored = |messages: usize| {
        let new = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path().join("mail/example.test"));
        let mut homes = new.flat_map(|domain| [domain.join(".restoring-ann/new"), domain.join("ann/new")]);
        homes.any(|new| fs::read_dir(new).is_ok_and(|entries| entries.count() >= messages))
    };
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let mut child = command(&host, &["drill"]).spawn().unwrap();
        while !restored(10) && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), (signal != Signal::KILL).then_some(75), "{signal:?}");
        let left = fs::read_dir(scratch.path()).unwrap().count();
        assert_eq!(left, usize::from(signal == Signal::KILL), "{signal:?}");
    }
    // Remains that nobody could remove are removed by the next drill.
    done(&host, &["drill"]).await;
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    host.stop().await;
}
