//! Restoring into a running server.

use std::fs;

use super::whole::furnished;
use super::world::{backup, deliver, done, message, picture};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_comes_back_and_nothing_else_changes() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    let (before, _) = picture(&host, "ann@example.test").await;
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 2:4 +FLAGS (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    imap.ok("STORE 1 -FLAGS (\\Flagged)").await;
    imap.ok("DELETE \"Work/2026 v1.0\"").await;
    deliver(&host, "ann@example.test", ["later@x".to_owned()]).await;
    imap.ok("NOOP").await;

    let restored = done(&host, &["restore", "--live", "--user", "ann@example.test"]).await;
    assert_eq!(restored["messages"], 3 + 7, "{restored}");
    assert_eq!(restored["kept_beside"], serde_json::json!([]));
    // The open session is told of them as of any new mail.
    let seen = imap.ok("NOOP").await;
    assert_eq!(seen.number("EXISTS"), Some(30));
    let (after, _) = picture(&host, "ann@example.test").await;
    assert_eq!(after["Work/2026 v1.0"], before["Work/2026 v1.0"], "the folder is the same to every client");
    let inbox = &after["INBOX"];
    assert_eq!(inbox.uid_validity, before["INBOX"].uid_validity);
    let content = |line: &String| line.split_once("BODY[]").unwrap().1.to_owned();
    for old in &before["INBOX"].messages {
        assert!(inbox.messages.iter().any(|new| content(new) == content(old)), "{old}");
    }
    // They are new messages to the client, with their old flags and keywords.
    let back = inbox.messages.iter().find(|line| line.contains("Subject: a1@x\r\n")).unwrap();
    assert!(back.contains("\\Flagged") && back.contains("urgent") && back.contains("$Forwarded"), "{back}");
    let highest = before["INBOX"].messages.len();
    assert!(inbox.messages.iter().position(|line| line == back).unwrap() > highest - 4, "with UIDs above all others");

    let again = done(&host, &["restore", "--live", "--user", "ann@example.test"]).await;
    assert_eq!((&again["messages"], &again["present"]), (&0.into(), &37.into()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_made_anew_learns_the_keywords_of_what_comes_back() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("CREATE Tagged").await;
    imap.append("Tagged", "$label1 later", "Subject: 1\r\n\r\nx\r\n").await;
    done(&host, &["create"]).await;
    imap.ok("DELETE Tagged").await;
    imap.ok("CREATE Tagged").await;
    imap.append("Tagged", "later", "Subject: 2\r\n\r\ny\r\n").await;
    imap.ok("SELECT Tagged").await;
    let restored = done(&host, &["restore", "--live", "--user", "ann@example.test", "--folder", "Tagged"]).await;
    assert_eq!((&restored["messages"], &restored["keywords_dropped"]), (&1.into(), &0.into()), "{restored}");
    imap.ok("NOOP").await;
    let flags = imap.ok("FETCH 1:2 FLAGS").await.untagged;
    assert!(flags[0].contains("later") && !flags[0].contains("$label1"), "{flags:?}");
    assert!(flags[1].contains("later") && flags[1].contains("$label1"), "{flags:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_beside_its_renamed_original_is_another_mailbox() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("RENAME \"Work/2026 v1.0\" Elsewhere").await;
    done(&host, &["restore", "--live", "--user", "ann@example.test", "--folder", "Work/2026 v1.0"]).await;
    let mut ids = Vec::new();
    for folder in ["Elsewhere", "Work/2026 v1.0"] {
        let told = imap.ok(&format!("STATUS \"{folder}\" (MESSAGES MAILBOXID)")).await.untagged[0].clone();
        assert!(told.contains("MESSAGES 7"), "{told}");
        ids.push(told.split_once("MAILBOXID").unwrap().1.to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_one_folder_one_domain() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 1:* +FLAGS (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    let one = done(&host, &["restore", "--live", "--user", "ann@example.test", "--message-id", "<a7@x>"]).await;
    // It lay in the inbox and in the folder it was copied to, where it still is.
    assert_eq!((&one["messages"], &one["present"]), (&1.into(), &1.into()));
    let response = imap.ok("NOOP").await;
    assert_eq!(response.number("EXISTS"), Some(1));
    let found = imap.ok("FETCH 1 BODY.PEEK[]").await;
    assert!(found.untagged[0].contains("A line of a7@x"));

    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("folder");
    let arguments = ["restore", "--user", "ann@example.test", "--folder", "Work/2026 v1.0", "--to"];
    let folder = done(&host, &[&arguments[..], &[to.to_str().unwrap()]].concat()).await;
    assert_eq!(folder["messages"], 7);
    assert!(!to.join("postrider.sqlite").exists());
    let to = target.path().join("domain");
    let domain = done(&host, &["restore", "--domain", "example.test", "--to", to.to_str().unwrap()]).await;
    assert_eq!(domain["messages"], 38);
    let to = target.path().join("nothing");
    let to = to.to_str().unwrap();
    for absent in [
        ["--user", "nobody@example.test"],
        ["--domain", "other.test"],
        ["--message-id", "nothing@x"],
        ["--folder", "Nowhere"],
    ] {
        let (answer, code) = backup(&host, &["restore", absent[0], absent[1], "--to", to]).await;
        assert_eq!(code, 4, "{absent:?}: {answer}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let home = host.mail_root().join("example.test/ann");
    fs::create_dir(home.join("sieve")).unwrap();
    fs::write(home.join("sieve/main.sieve"), "keep;").unwrap();
    std::os::unix::fs::symlink("sieve/main.sieve", home.join(".dovecot.sieve")).unwrap();
    let created = done(&host, &["create"]).await;
    fs::write(home.join("sieve/main.sieve"), "discard;").unwrap();
    let restored = done(&host, &["restore", "--live"]).await;
    let beside = home.join(format!("sieve/main.sieve.restored-{}", created["id"].as_str().unwrap()));
    assert_eq!(restored["kept_beside"], serde_json::json!([beside]));
    assert_eq!(fs::read_to_string(&beside).unwrap(), "keep;");
    assert_eq!(fs::read_to_string(home.join("sieve/main.sieve")).unwrap(), "discard;");
    assert_eq!(restored["rows"], serde_json::Value::Null, "the accounts that are there stay as they are");

    // A deleted user comes back whole, with the script that was active.
    fs::rename(host.mail_root().join("example.test/bob"), host.directory().join("bob-was-here")).unwrap();
    fs::rename(&home, host.directory().join("ann-was-here")).unwrap();
    let restored = done(&host, &["restore", "--live"]).await;
    assert_eq!(restored["messages"], 38);
    assert_eq!(fs::read_to_string(home.join(".dovecot.sieve")).unwrap(), "keep;");
    let (folders, subscribed) = picture(&host, "ann@example.test").await;
    assert_eq!(folders["INBOX"].messages.len(), 29);
    assert!(subscribed.contains(&"Work/2026 v1.0".to_owned()));
    let reply = host.lmtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], &message("next@x", 1)).await;
    assert_eq!(reply.code, 250);
    host.stop().await;
}
