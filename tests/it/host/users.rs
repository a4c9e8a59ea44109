//! Administrators' operations on users beyond creating them.

use postrider::foundations::address::Address;
use postrider::foundations::secret::Secret;
use postrider::storage::directory::PasswordOwner;

use crate::harness::cli::{output, run};
use crate::harness::{Host, PASSWORD};

const MESSAGE: &str =
    "From: eve@elsewhere.test\r\nMessage-ID: <one@elsewhere.test>\r\nSubject: One\r\n\r\nFirst line\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gets_another_name() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    for (written, kept) in [("Ann Ünder", Some("Ann Ünder")), ("  Anna ", Some("Anna")), ("", None)] {
        let (told, code) = run(&config, &["user", "name", "ann@example.test", written], "").await;
        assert_eq!((code, told["name"].as_str()), (0, kept), "{told}");
        assert_eq!(run(&config, &["user", "show", "ann@example.test"], "").await.0["name"].as_str(), kept);
    }
    assert_eq!(run(&config, &["user", "name", "nobody@example.test", "No"], "").await.1, 4);
    assert_eq!(run(&config, &["user", "name", "ann@example.test", "a\nb"], "").await.1, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_the_password_of_a_user_who_cannot_be_added() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    for (address, code) in [("eve@elsewhere.test", 4), ("Ann@example.test", 5)] {
        let (told, found) = run(&config, &["user", "add", address], "").await;
        assert_eq!(found, code, "{told}");
    }
    let (shown, _) = run(&config, &["user", "show", "ann@example.test"], "").await;
    assert_eq!((&shown["used"], &shown["messages"]), (&0.into(), &0.into()), "{shown}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_password_is_set_and_told_of() {
    let host = Host::start().user("ann@example.test").await;
    let passwd = ["user", "passwd", "ann@example.test"];
    for (password, is_told) in [("s\n", true), ("long enough\n", false)] {
        let output = output(&host.config(), &passwd, password).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("shortest_password") == is_told, "{password}: {told}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_no_login_can_use_is_told() {
    let host = Host::start().user("ann@example.test").await;
    let (config, ann): (_, Address) = (host.config(), "ann@example.test".parse().unwrap());
    let (shown, _) = run(&config, &["user", "show", "ann@example.test"], "").await;
    assert_eq!((&shown["has_password"], &shown["password_problem"]), (&true.into(), &serde_json::Value::Null));
    for (stored, has, problem) in [
        ("{SSHA512}AAAA", false, Some("{SSHA512} is not supported")),
        ("{SHA512-CRYPT}!", false, Some("locked")),
        ("*", false, Some("locked")),
        ("{BLF-CRYPT}!", false, None),
        ("{ARGON2ID}", false, None),
    ] {
        let mut edit = host.parts().directory.edit().await.unwrap();
        edit.set_password(&ann, &Secret::new(stored.to_owned()), PasswordOwner::Admin).await.unwrap();
        edit.commit().await.unwrap();
        let (shown, _) = run(&config, &["user", "show", "ann@example.test"], "").await;
        assert_eq!(shown["has_password"], has, "{shown}");
        let told = shown["password_problem"].as_str();
        assert!(
            told.is_some() == problem.is_some() && told.is_none_or(|told| told.contains(problem.unwrap())),
            "{shown}"
        );
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_deleted_for_good() {
    let host = Host::start()
        .user("ann@example.test")
        .user("bob@example.test")
        .alias("sales@example.test", "ann@example.test")
        .await;
    let config = host.config();
    for to in ["ann@example.test", "bob@example.test"] {
        assert_eq!(host.smtp().await.deliver("eve@elsewhere.test", &[to], MESSAGE).await.code, 250);
    }
    assert_eq!(run(&config, &["sieve", "put", "ann@example.test", "main"], "keep;\r\n").await.1, 0);
    let mut session = host.imap("ann@example.test").await;
    session.ok("SELECT INBOX").await;

    // Nothing is deleted without confirmation, nor by `--yes` alone.
    let (refused, code) = run(&config, &["user", "remove", "ann@example.test", "--with-mail"], "").await;
    assert!(code == 2 && refused["error"].as_str().unwrap().contains("--yes"), "{refused}");
    assert_eq!(run(&config, &["user", "show", "ann@example.test"], "").await.0["state"], "enabled");
    let home = host.mail_root().join("example.test/ann");
    assert!(home.is_dir());

    let remove = ["user", "remove", "ann@example.test", "--with-mail", "--yes"];
    let (told, code) = run(&config, &remove, "").await;
    assert_eq!((code, &told["state"]), (0, &"deleted".into()), "{told}");
    assert_eq!(told["aliases"], serde_json::json!(["sales@example.test"]));
    assert!(!home.exists());
    assert!(session.talk.rest().await.contains("* BYE"));
    assert_eq!(run(&config, &["user", "show", "ann@example.test"], "").await.1, 4);
    assert_eq!(run(&config, &remove, "").await.1, 4);
    assert_eq!(host.smtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], MESSAGE).await.code, 550);
    assert!(host.mail_root().join("example.test/bob/new").is_dir());

    // The next user of the address begins with nothing.
    let (added, code) = run(&config, &["user", "add", "ann@example.test"], &format!("{PASSWORD}\n")).await;
    assert_eq!(code, 0, "{added}");
    let selected = host.imap("ann@example.test").await.ok("SELECT INBOX").await;
    assert_eq!(selected.number("EXISTS"), Some(0), "{selected:?}");
    assert_eq!(run(&config, &["sieve", "list", "ann@example.test"], "").await.0, serde_json::json!([]));
    assert_eq!(host.smtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], MESSAGE).await.code, 250);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gets_another_address() {
    let host = Host::start()
        .user("ann@example.test")
        .user("bob@example.test")
        .alias("sales@example.test", "ann@example.test")
        .alias("anna@new.test", "ann@example.test")
        .await;
    let config = host.config();
    let deliver = async |to: &str| host.smtp().await.deliver("eve@elsewhere.test", &[to], MESSAGE).await.code;
    for _ in 0..3 {
        assert_eq!(deliver("ann@example.test").await, 250);
    }
    assert_eq!(run(&config, &["sieve", "put", "ann@example.test", "main"], "keep;\r\n").await.1, 0);
    let mut session = host.imap("ann@example.test").await;
    session.ok("SELECT INBOX").await;
    let before = session.ok("UID FETCH 1:* (UID INTERNALDATE RFC822.SIZE)").await.untagged;
    for (arguments, code) in [
        (&["nobody@example.test", "anna@new.test"][..], 4),
        (&["ann@example.test", "anna@nowhere.test"], 4),
        (&["ann@example.test", "bob@example.test"], 5),
        (&["ann@example.test", "ann@example.test"], 5),
    ] {
        let (told, ended) = run(&config, &[&["user", "rename"], arguments].concat(), "").await;
        assert_eq!(ended, code, "{arguments:?}: {told}");
    }
    assert!(session.command("NOOP").await.is_ok(), "nothing that fails ends a session");

    let (told, code) = run(&config, &["user", "rename", "ann@example.test", "anna@new.test", "--keep-alias"], "").await;
    assert_eq!((code, &told["address"]), (0, &"anna@new.test".into()), "{told}");
    assert!(session.talk.rest().await.contains("* BYE"));
    assert!(!host.mail_root().join("example.test/ann").exists());
    assert_eq!(run(&config, &["user", "show", "ann@example.test"], "").await.1, 4);
    let mut anna = host.imap("anna@new.test").await;
    anna.ok("SELECT INBOX").await;
    let after = anna.ok("UID FETCH 1:* (UID INTERNALDATE RFC822.SIZE)").await.untagged;
    assert_eq!(after, before);
    assert_eq!(run(&config, &["sieve", "list", "anna@new.test"], "").await.0[0]["name"], "main");
    for to in ["anna@new.test", "ann@example.test", "sales@example.test"] {
        assert_eq!(deliver(to).await, 250, "{to}");
    }
    let selected = host.imap("anna@new.test").await.ok("SELECT INBOX").await;
    assert_eq!(selected.number("EXISTS"), Some(6), "{selected:?}");
    let names: Vec<_> =
        std::fs::read_dir(host.mail_root().join("new.test")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["anna"], "no note is left");

    // And back, without an alias.
    assert_eq!(run(&config, &["alias", "remove", "ann@example.test"], "").await.1, 0);
    let back = ["user", "rename", "anna@new.test", "ann@example.test"];
    assert_eq!(run(&config, &back, "").await.1, 0);
    assert_eq!(deliver("anna@new.test").await, 550);
    let selected = host.imap("ann@example.test").await.ok("SELECT INBOX").await;
    assert_eq!(selected.number("EXISTS"), Some(6), "{selected:?}");
    host.stop().await;
}
