//! Messages that the filter holds, and how they are released.

use std::path::Path;

use postrider::foundations::event::EventKind;
use postrider::storage::journal::Query;
use serde_json::Value;

use crate::harness::{Host, cli, until};

const RULES: &str = "body LOCAL_BAD /buy this now/\nscore LOCAL_BAD 9\n";
const MESSAGE: &str = "From: eve@elsewhere.test\r\nTo: ann@example.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
                       Message-ID: <1@elsewhere.test>\r\nSubject: hello\r\n\r\nbuy this now\r\n";

async fn start(rules: &Path, settings: &str) -> Host {
    std::fs::write(rules, RULES).unwrap();
    let rules = format!("[spam]\nquarantine = 7.0\n[spam.rules]\nfiles = [\"{}\"]\n{settings}", rules.display());
    Host::start().settings(&rules).user("ann@example.test").await
}

async fn run(host: &Host, arguments: &[&str]) -> (Value, i32) {
    cli::run(&host.config(), arguments, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_releases_or_deletes_them() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf"), "").await;
    for _ in 0..2 {
        let reply = host.smtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], MESSAGE).await;
        assert_eq!(reply.code, 250);
    }
    let listed = run(&host, &["quarantine", "list"]).await.0;
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{listed}");
    // They stay for weeks: no reason to call an administrator each time.
    let counts = host.parts().spool.counts().await.unwrap();
    assert_eq!((counts.entries, counts.held, counts.quarantined, counts.oldest), (2, 0, 2, None));
    assert!(host.parts().spool.destinations(9).await.unwrap().is_empty());
    // Another process sees the notes.
    host.parts().journal.flush().await;
    let shown = run(&host, &["quarantine", "show", ids[0]]).await.0;
    assert!(shown["journey"].to_string().contains("LOCAL_BAD"), "{shown}");
    assert_eq!(run(&host, &["quarantine", "delete", ids[0]]).await.1, 0);
    assert_eq!(
        run(&host, &["quarantine", "release", ids[1], "--ham"]).await,
        (serde_json::json!({"recipients": 1}), 0)
    );
    let trained = host.events(&Query { kinds: vec![EventKind::FilterTrained], ..Query::default() }).await;
    assert!(trained.len() == 1 && trained[0].details["ham"] == 1, "{trained:?}");
    let mut imap = host.imap("ann@example.test").await;
    let junk = host.parts().mailboxes.as_ref().unwrap().user(&"ann@example.test".parse().unwrap()).await.unwrap();
    let junk = junk.special(postrider::storage::mailbox::SpecialUse::Junk).unwrap();
    // Delivery is the queue's next step.
    let status = format!("STATUS \"{junk}\" (MESSAGES)");
    until("it is in Junk", async || format!("{:?}", imap.ok(&status).await).contains("MESSAGES 1")).await;
    assert_eq!(run(&host, &["quarantine", "list"]).await.0, serde_json::json!([]));
    assert_ne!(run(&host, &["quarantine", "release", ids[0]]).await.1, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_domain_keeps_back_is_released_as_what_all_keep_back() {
    let place = tempfile::tempdir().unwrap();
    let rules = place.path().join("local.cf");
    std::fs::write(&rules, RULES).unwrap();
    let rules = rules.display();
    let settings = format!(
        "[spam.rules]\nfiles = [\"{rules}\"]\n[spam.recipients.\"example.test\"]\nquarantine = 7.0\n\
         [spam.recipients.\"bob@example.test\"]\nquarantine = 900.0\n"
    );
    let host = Host::start().settings(&settings).user("ann@example.test").await;
    host.add_user("bob@example.test", None).await;
    let to = ["ann@example.test", "bob@example.test"];
    assert_eq!(host.smtp().await.deliver("eve@elsewhere.test", &to, MESSAGE).await.code, 250);
    let listed = run(&host, &["quarantine", "list"]).await.0;
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(run(&host, &["quarantine", "release", id]).await.1, 0);
    for who in to {
        let mut imap = host.imap(who).await;
        let junk = host.parts().mailboxes.as_ref().unwrap().user(&who.parse().unwrap()).await.unwrap();
        let junk = junk.special(postrider::storage::mailbox::SpecialUse::Junk).unwrap();
        let status = format!("STATUS \"{junk}\" (MESSAGES)");
        until(&format!("{who} has it in Junk"), async || {
            format!("{:?}", imap.ok(&status).await).contains("MESSAGES 1")
        })
        .await;
        assert!(!format!("{:?}", imap.ok("LIST \"\" *").await).contains("Quarantine"));
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_drops_many_at_once() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf"), "").await;
    host.add_user("bob@example.test", None).await;
    for (from, to) in [
        ("eve@elsewhere.test", "ann@example.test"),
        ("eve@elsewhere.test", "bob@example.test"),
        ("adam@elsewhere.test", "ann@example.test"),
        ("dan@far.test", "ann@example.test"),
    ] {
        assert_eq!(host.smtp().await.deliver(from, &[to], MESSAGE).await.code, 250);
    }
    let count = async || run(&host, &["quarantine", "list"]).await.0.as_array().unwrap().len();
    for (arguments, dropped, code, left) in [
        // Nothing is deleted that was not announced, and nothing without confirmation.
        (&["--yes"][..], None, 2, 4),
        (&["--all", "--to", "ann@example.test", "--yes"], None, 2, 4),
        (&["--all"], None, 2, 4),
        (&["--from", "nobody@elsewhere.test", "--yes"], Some(0), 4, 4),
        (&["--all", "--older-than", "36500d", "--yes"], None, 2, 4),
        (&["--older-than", "36500d", "--yes"], Some(0), 4, 4),
        (&["--from", "eve@elsewhere.test", "--to", "ann@example.test", "--yes"], Some(1), 0, 3),
        (&["--from", "@elsewhere.test", "--yes"], Some(2), 0, 1),
        (&["--older-than", "1ms", "--to", "@example.test", "--yes"], Some(1), 0, 0),
    ] {
        let arguments = [&["quarantine", "drop"], arguments].concat();
        let output = cli::output(&host.config(), &arguments, "").await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        if let Some(dropped) = dropped {
            assert_eq!(cli::printed(&arguments, &output)["messages"], dropped, "{arguments:?}");
        }
        assert_eq!(count().await, left, "{arguments:?}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_find_them_in_a_folder_of_their_own() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf"), "[intake]\nquarantine = \"mailbox\"").await;
    let reply = host.smtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], MESSAGE).await;
    assert_eq!(reply.code, 250);
    // Messages quarantined by another process arrive by LMTP and stay there.
    let marked = format!("X-Postrider-Quarantine: yes\r\n{MESSAGE}");
    let reply = host.lmtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], &marked).await;
    assert_eq!(reply.code, 250);
    let mut imap = host.imap("ann@example.test").await;
    let status = imap.ok("STATUS Quarantine (MESSAGES)").await;
    assert!(format!("{status:?}").contains("MESSAGES 2"), "{status:?}");
    imap.ok("SELECT Quarantine").await;
    imap.ok("MOVE 1 INBOX").await;
    let status = imap.ok("STATUS INBOX (MESSAGES)").await;
    assert!(format!("{status:?}").contains("MESSAGES 1"), "{status:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_wants_is_deleted_in_the_end() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf"), "").await;
    let deliver = async || {
        let reply = host.smtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], MESSAGE).await;
        assert_eq!(reply.code, 250);
    };
    let queue = host.parts().queue.as_ref().unwrap();
    let entries = async || queue.counts().await.unwrap().entries;
    let day = std::time::Duration::from_secs(86_400);
    deliver().await;
    host.clock().advance(day * 20);
    deliver().await;
    assert_eq!(entries().await, 2);
    // A clock that jumps deletes nothing: it may be set back.
    host.clock().advance(day * 11);
    clock_is_seen(&host).await;
    assert_eq!(entries().await, 2);
    // Nobody has set it back.
    for _ in 0..4 {
        host.clock().advance(day);
        clock_is_seen(&host).await;
    }
    until("one entry is left", async || entries().await == 1).await;
    let jumps = host.events(&Query { kinds: vec![EventKind::Lifecycle], ..Query::default() }).await;
    let jumps = jumps.iter().filter(|event| event.details.get("what").is_some_and(|what| what == "clock-jumped"));
    assert_eq!(jumps.count(), 2);
    host.stop().await;
}

/// Waits until the clock was checked, and a moment more for the consequences.
async fn clock_is_seen(host: &Host) {
    let now = host.parts().clock.now();
    for _ in 0..4_000 {
        let row = host.parts().database.fetch_optional("SELECT seen FROM clock_seen", &[]).await.unwrap();
        if row.is_some_and(|row| row.time(0).unwrap() == now) {
            return tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("nobody looks at the clock");
}
