//! The command line beside a running server, and without one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postrider::foundations::event::{Event, EventKind};
use postrider::storage::database::{Database, DatabaseSettings, DatabaseUrl};
use postrider::storage::journal::Query;
use serde_json::Value;

use crate::harness::cli::{output, printed, run};
use crate::harness::{Host, PASSWORD, Peer};

const MESSAGE: &str = "From: ann@example.test\r\nMessage-ID: <one@example.test>\r\nSubject: One\r\n\r\nFirst line\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_made_count_at_once() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    // The server has looked and remembers that there is no such user.
    let refused = host.smtp().await.deliver("eve@elsewhere.test", &["cid@new.test"], MESSAGE).await;
    assert_eq!(refused.code, 550);
    assert_eq!(run(&config, &["domain", "add", "new.test"], "").await.1, 0);
    assert_eq!(run(&config, &["domain", "add", "new.test"], "").await.1, 5);
    let added = run(&config, &["user", "add", "cid@new.test", "--quota", "5G"], "secret word\n").await;
    assert_eq!(added.1, 0, "{added:?}");
    let (alias, code) = run(&config, &["alias", "add", "sales@new.test", "cid@new.test", "ann@example.test"], "").await;
    assert_eq!((&alias["complaints"], code), (&serde_json::json!([]), 0));
    for (destination, complaint) in
        [("round@new.test", "round@new.test"), ("nobody@new.test", "the address nobody@new.test does not exist yet")]
    {
        let arguments = ["alias", "add", "round@new.test", destination];
        let told = output(&config, &arguments, "").await;
        let (alias, code) = (printed(&arguments, &told), told.status.code().unwrap());
        assert_eq!(String::from_utf8_lossy(&told.stderr), "", "the sentence says it");
        let complaints = alias["complaints"].as_array().unwrap();
        assert!(code == 0 && complaints.len() == 1 && complaints[0].as_str().unwrap().contains(complaint), "{alias}");
    }
    assert_eq!(run(&config, &["alias", "remove", "round@new.test"], "").await.1, 0);
    for (destination, complaints) in [("ann@example.test", 1), ("cid@new.test", 0)] {
        let (alias, _) = run(&config, &["alias", "add", "cid@new.test", destination], "").await;
        assert_eq!(alias["complaints"].as_array().map(Vec::len), Some(complaints), "{alias}");
    }
    assert_eq!(run(&config, &["alias", "remove", "cid@new.test"], "").await.1, 0);
    for action in ["drain", "forget"] {
        let (refused, code) = run(&config, &["cluster", action, "elsewhere"], "").await;
        assert!(code == 4 && refused["error"].as_str().unwrap().contains("elsewhere"), "{refused}");
    }
    let reply = host.smtp().await.deliver("eve@elsewhere.test", &["sales@new.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());

    let (users, _) = run(&config, &["user", "list", "new.test"], "").await;
    assert_eq!((&users[0]["address"], &users[0]["quota"]), (&"cid@new.test".into(), &(5u64 << 30).into()));
    let (aliases, _) = run(&config, &["alias", "show", "sales@new.test"], "").await;
    assert_eq!(aliases.as_array().unwrap().len(), 2);

    assert_eq!(run(&config, &["user", "passwd", "cid@new.test"], "another word\n").await.1, 0);
    assert_eq!(run(&config, &["user", "disable", "cid@new.test"], "").await.1, 0);
    assert_eq!(run(&config, &["user", "show", "cid@new.test"], "").await.0["state"], "disabled");
    assert_eq!(run(&config, &["user", "show", "nobody@new.test"], "").await.1, 4);
    assert_eq!(run(&config, &["user", "remove", "cid@new.test"], "").await.1, 0);
    assert_eq!(run(&config, &["user", "show", "cid@new.test"], "").await.0["state"], "archived");
    assert_eq!(run(&config, &["domain", "disable", "new.test"], "").await.1, 0);
    let (enabled, code) = run(&config, &["user", "enable", "cid@new.test"], "").await;
    assert_eq!((code, &enabled["domain_state"]), (0, &"disabled".into()), "the domain still keeps the user out");
    assert_eq!(run(&config, &["domain", "remove", "new.test"], "").await.0["archived_users"], 1);
    assert_eq!(run(&config, &["domain", "enable", "new.test"], "").await.0["restored_users"], 1);
    assert_eq!(run(&config, &["user", "show", "cid@new.test"], "").await.0["state"], "enabled");
    let (enabled, _) = run(&config, &["user", "enable", "cid@new.test"], "").await;
    assert!(enabled["domain_state"].is_null(), "{enabled}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_seen_and_changed() {
    let host = Host::start()
        .user("ann@example.test")
        .dns("elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25")
        .await;
    let config = host.config();
    let peer = Peer::start().await;
    peer.answer("RCPT", "451 4.3.0 not now");
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    let mut ann = host.submission("ann@example.test").await;
    for to in ["eve@elsewhere.test", "dan@elsewhere.test"] {
        assert_eq!(ann.deliver("ann@example.test", &[to], MESSAGE).await.code, 250);
    }
    // Both have been tried once and wait.
    let tried = async {
        loop {
            let (listed, _) = run(&config, &["queue", "list"], "").await;
            let tried = |entry: &&Value| entry["recipients"][0]["attempts"] == 1;
            if listed.as_array().unwrap().iter().filter(tried).count() == 2 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tried).await.unwrap();
    let (to_eve, _) = run(&config, &["queue", "list", "to:eve@elsewhere.test"], "").await;
    assert_eq!(to_eve.as_array().unwrap().len(), 1);
    let id = to_eve[0]["id"].as_str().unwrap();
    assert_eq!(run(&config, &["queue", "hold", id], "").await, (serde_json::json!({ "recipients": 1 }), 0));
    assert_eq!(run(&config, &["queue", "show", id], "").await.0["recipients"][0]["state"], "held");
    let retried = output(&config, &["queue", "retry", id], "").await;
    assert!(retried.status.code() == Some(4), "{retried:?}");
    assert!(String::from_utf8_lossy(&retried.stderr).contains("queue release"), "{retried:?}");
    peer.relent();
    assert_eq!(run(&config, &["queue", "retry", "all"], "").await.1, 0);
    assert_eq!(peer.wait_for(1).await[0].to, ["dan@elsewhere.test"]);
    assert_eq!(run(&config, &["queue", "release", id], "").await.1, 0);
    assert_eq!(peer.wait_for(2).await[1].to, ["eve@elsewhere.test"]);
    assert_eq!(run(&config, &["queue", "show", "0000000000000000"], "").await.1, 4);
    assert_eq!(output(&config, &["queue", "hold", "everything"], "").await.status.code(), Some(2));

    host.parts().journal.flush().await;
    let (traced, code) = run(&config, &["trace", "<one@example.test>"], "").await;
    assert_eq!(code, 0);
    assert!(!traced["journeys"].as_array().unwrap().is_empty(), "{traced}");
    for (since, until, wanted) in [("2h", "3h", 2), ("2026-11-26", "2026-11-26", 2), ("1990-01-01", "1990-01-02", 4)] {
        let (traced, code) = run(&config, &["trace", "--since", since, "--until", until], "").await;
        assert_eq!(code, wanted, "from {since} to {until}: {traced}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bans_and_status_need_a_running_server() {
    let host = Host::start().user("ann@example.test").settings("[guard]\ntrusted = []").await;
    let config = host.config();
    assert_eq!(run(&config, &["status"], "").await.0[0]["roles"], "mta,access,dashboard");
    let added = run(&config, &["ban", "add", "127.0.0.0/8", "--for", "1h"], "").await;
    assert_eq!(added, (serde_json::json!({"network": "127.0.0.0/8", "trusted": []}), 0));
    assert_eq!(run(&config, &["ban", "list"], "").await.0[0]["network"], "127.0.0.0/8");
    let mut banned = host.plain(postrider::config::Protocol::Smtp).await;
    assert!(!banned.next_line().await.unwrap_or_default().starts_with("220"));
    // All of it, and whoever lifts the ban of one address learns that.
    let removed = run(&config, &["ban", "remove", "127.0.0.1"], "").await;
    assert_eq!(removed, (serde_json::json!({"lifted": 1, "others": ["127.0.0.0/8"]}), 0));
    assert_eq!(run(&config, &["ban", "remove", "127.0.0.0/8"], "").await.1, 4);
    host.smtp().await.ok("NOOP").await;
    // Trusted clients are let in despite any ban, which administrators who ban them should know.
    let text = std::fs::read_to_string(&config).unwrap().replace("trusted = []", "trusted = [\"192.0.2.0/28\"]");
    std::fs::write(&config, text).unwrap();
    let said = output(&config, &["ban", "add", "192.0.2.0/24"], "").await;
    assert!(String::from_utf8_lossy(&said.stderr).contains("192.0.2.0/28"), "{said:?}");
    let directory = host.directory().to_owned();
    let kept = tempfile::tempdir().unwrap();
    std::fs::copy(directory.join("postrider.toml"), kept.path().join("postrider.toml")).unwrap();
    host.stop().await;
    assert_eq!(run(&kept.path().join("postrider.toml"), &["status"], "").await.1, 75);
    assert_eq!(run(&kept.path().join("postrider.toml"), &["ban", "list"], "").await.1, 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_are_made_anew() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    assert_eq!(host.smtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], MESSAGE).await.code, 250);
    let before = host.imap("ann@example.test").await.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY)").await;
    assert_eq!(run(&config, &["reindex", "ann@example.test"], "").await.1, 0);
    let after = host.imap("ann@example.test").await.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY)").await;
    assert_eq!(before.untagged, after.untagged);
    assert_eq!(run(&config, &["reindex", "nobody@example.test"], "").await.1, 4);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_a_reload_will_do() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    let (plan, code) = run(&config, &["plan"], "").await;
    assert_eq!((code, &plan["changes"]), (0, &serde_json::json!([])), "{plan}");
    assert!(plan["warnings"][0].as_str().unwrap().contains("`accounts.declared` names no file"), "{plan}");
    let declared = host.directory().join("accounts.toml");
    let password = host.directory().join("password");
    std::fs::write(&password, "the word\n").unwrap();
    let text = format!("[domains.\"new.test\".users.cid]\npassword_file = \"{}\"\n", password.display());
    std::fs::write(&declared, text).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[accounts]\ndeclared = \"{}\"\n", declared.display())).unwrap();
    let (plan, code) = run(&config, &["plan"], "").await;
    assert_eq!((code, plan["changes"].as_array().unwrap().len()), (0, 2), "{plan}");
    assert_eq!(run(&config, &["user", "show", "cid@new.test"], "").await.1, 4);
    let changed = postrider::config::load(&config, postrider::config::Checks::Files, None).unwrap();
    host.reload(changed).await;
    assert_eq!(run(&config, &["user", "show", "cid@new.test"], "").await.0["owner"], "declared");
    for arguments in [&["user", "remove", "cid@new.test"], &["domain", "remove", "new.test"]] {
        let (refused, code) = run(&config, arguments, "").await;
        assert!(code == 1 && refused["error"].as_str().unwrap().contains("bring it back"), "{refused}");
    }
    assert_eq!(run(&config, &["user", "enable", "cid@new.test"], "").await.0["declared"], true);
    assert_eq!(run(&config, &["plan"], "").await.0["changes"], serde_json::json!([]));
    std::fs::write(&declared, "[domains.\"new.test\".users.cid]\nquotta = 3\n").unwrap();
    let (mistakes, code) = run(&config, &["plan"], "").await;
    assert_eq!(code, 3);
    assert!(mistakes["mistakes"][0]["wanted"].as_str().unwrap().contains("`quota`"), "{mistakes}");
    host.stop().await;
}

#[tokio::test]
async fn without_a_configuration() {
    let nowhere = Path::new("/nowhere/postrider.toml");
    assert_eq!(run(nowhere, &["user", "list"], "").await.1, 3);
    let (hash, code) = run(nowhere, &["user", "hash"], &format!("{PASSWORD}\n")).await;
    assert!(code == 0 && hash["hash"].as_str().unwrap().starts_with("{BLF-CRYPT}$2"), "{hash}");
    let bad = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_configs/unknown-keys.toml");
    let (mistakes, code) = run(&bad, &["check"], "").await;
    assert_eq!((mistakes["mistakes"].as_array().unwrap().len(), &mistakes["exit"], code), (4, &3.into(), 3));
    for arguments in [["completions", "bash"], ["config", "example"], ["config", "reference"]] {
        let (printed, code) = run(nowhere, &arguments, "").await;
        assert!(code == 0 && printed["text"].as_str().unwrap().len() > 500, "{arguments:?}");
    }
    let help = output(nowhere, &["--help"], "").await;
    assert!(help.status.success() && help.stdout.len() > 500, "{help:?}");
    let pages = tempfile::tempdir().unwrap();
    let output = output(nowhere, &["man", &pages.path().display().to_string()], "").await;
    assert!(output.status.success() && pages.path().join("postrider.1").exists());
    let page = std::fs::read_to_string(pages.path().join("postrider-queue-list.1")).unwrap();
    // Name, section, date, program, manual: the date's placeholder is shown as one.
    let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
    assert!(title.starts_with(".TH \"postrider-queue-list\" \"1\" \"\" \"Postrider "), "{title}");
    assert!(
        page.contains(".SH \"EXIT STATUS\"\nExit codes: 0 done, 1 failed") && page.contains("postrider(1)"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_changes_is_an_event() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    for arguments in [
        &["domain", "add", "new.test"][..],
        &["user", "add", "cid@new.test", "--no-password"],
        &["alias", "add", "sales@new.test", "cid@new.test"],
        &["user", "disable", "ann@example.test"],
        &["user", "quota", "ann@example.test", "2G"],
        &["domain", "remove", "new.test"],
    ] {
        assert_eq!(run(&config, arguments, "").await.1, 0, "{arguments:?}");
    }
    assert_eq!(run(&config, &["sieve", "put", "ann@example.test", "main"], "keep;\r\n").await.1, 0);
    for (asked, wanted) in [
        (
            "ann@example.test",
            &["user ann@example.test may no longer log in", "quota of ann@example.test: 2G", "main"][..],
        ),
        ("cid@new.test", &["user cid@new.test is added", "user cid@new.test is archived with its domain"]),
        ("sales@new.test", &["alias sales@new.test leads to cid@new.test"]),
    ] {
        let (traced, _) = run(&config, &["trace", asked], "").await;
        for words in wanted {
            let said = traced["besides"].as_array().unwrap().iter().map(|step| step["words"].as_str().unwrap());
            let told = said.into_iter().any(|said| said.contains(words) && said.contains("; by an administrator ("));
            assert!(told, "{words}: {traced}");
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_does_with_nodes_is_an_event() {
    let host = Host::start().await;
    let config = host.config();
    let gone = "INSERT INTO cluster_nodes (node, address, epoch, lease_end, joined_at, state) \
                VALUES ('mail2', 'mail2.test:2425', 1, 0, 0, 'serving')";
    host.parts().database.execute(gone, &[]).await.unwrap();
    for command in ["drain", "resume", "forget"] {
        assert_eq!(run(&config, &["cluster", command, "mail2"], "").await.1, 0, "{command}");
    }
    let events = host.events(&Query { kinds: vec![EventKind::Cluster], ..Query::default() }).await;
    assert_eq!(events.len(), 3, "{events:?}");
    let is_meant =
        |event: &Event| event.subject.as_deref() == Some("mail2") && event.details["administrator"].is_string();
    assert!(events.iter().all(is_meant), "{events:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn training_the_filter_is_an_event() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    for learn in
        [&["spam", "learn", "--spam", "-"][..], &["spam", "learn", "--spam", "-", "--user", "ann@example.test"]]
    {
        // The second time there is nothing to be learned.
        for learned in [1, 0] {
            let (told, code) = run(&config, learn, MESSAGE).await;
            assert_eq!((&told["spam"], code), (&learned.into(), 0), "{told}");
        }
    }
    let events = host.events(&Query { kinds: vec![EventKind::FilterTrained], ..Query::default() }).await;
    let mut of: Vec<_> = events.iter().map(|event| event.subject.as_deref().unwrap_or("everybody")).collect();
    of.sort_unstable();
    assert_eq!(of, ["ann@example.test", "everybody"]);
    assert!(events.iter().all(|event| event.details["spam"] == 1 && event.details["administrator"].is_string()));
    // What was not done is not told.
    let told = events.iter().map(|event| event.details.keys().map(String::as_str).collect::<Vec<_>>().join(" "));
    assert_eq!(told.collect::<Vec<_>>(), ["administrator by spam"; 2]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_told() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    assert_eq!(run(&config, &["domain", "add", "empty.test"], "").await.1, 0);
    for (arguments, nothing) in [
        (&["alias", "list"][..], "there are no aliases"),
        (&["user", "list", "empty.test"], "there are no users in empty.test"),
        (&["user", "app-password", "list", "ann@example.test"], "ann@example.test has no app passwords"),
        (&["user", "two-factor", "browsers", "ann@example.test"], "no browser is remembered for ann@example.test"),
        (&["sieve", "list", "ann@example.test"], "ann@example.test has no scripts"),
        (&["ban", "list"], "no client is banned"),
        (&["queue", "list"], "the queue is empty"),
        (&["quarantine", "list"], "the quarantine is empty"),
        (&["cluster", "status"], "there are no nodes"),
        (&["report", "dmarc"], "no such reports were received"),
    ] {
        assert_eq!(run(&config, arguments, "").await, (serde_json::json!([]), 0), "{arguments:?}");
        let mut plain = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
        let told = plain.arg("--config").arg(&config).args(arguments).output().await.unwrap();
        let (out, nothing) = (String::from_utf8_lossy(&told.stdout), format!("postrider: {nothing}"));
        let said = String::from_utf8_lossy(&told.stderr).lines().any(|line| line.starts_with(&nothing));
        assert!(out.is_empty() && said, "{arguments:?}: {told:?}");
    }
    host.stop().await;
}

/// A configuration for which no server runs.
fn resting(place: &Path) -> PathBuf {
    let text = format!(
        "hostname = \"mail.example.test\"\n[server]\ncontrol_directory = \"{0}/run\"\n\
         [storage]\ndatabase = \"sqlite:{0}/postrider.sqlite\"\nmail_root = \"{0}/mail\"\n\
         [spool]\ndirectory = \"{0}/spool\"\n[accounts]\ndeclared = \"{0}/accounts.toml\"\n\
         [[listener]]\nprotocol = \"metrics\"\nbind = [\"127.0.0.1:0\"]\n",
        place.display()
    );
    let path = place.join("postrider.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn a_plan_leaves_the_database_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (config, database) = (resting(place.path()), place.path().join("postrider.sqlite"));
    std::fs::write(place.path().join("accounts.toml"), "[domains.\"new.test\".users.cid]\n").unwrap();
    let (plan, code) = run(&config, &["plan"], "").await;
    assert_eq!((code, plan["changes"].as_array().unwrap().len()), (0, 2), "{plan}");
    assert!(plan["warnings"].to_string().contains("no database yet") && !database.exists(), "{plan}");

    // One left by an older program: its last steps were not applied yet.
    assert_eq!(run(&config, &["domain", "add", "new.test"], "").await.1, 0);
    let opened = Database::connect(&DatabaseUrl::sqlite(&database), &DatabaseSettings::default()).await.unwrap();
    for sql in ["DROP TABLE quarantine_letters", "DELETE FROM postrider_migrations WHERE version = 99"] {
        opened.execute(sql, &[]).await.unwrap();
    }
    let (plan, code) = run(&config, &["plan"], "").await;
    assert_eq!((code, &plan["changes"][0]["change"]), (0, &"take-domain".into()), "{plan}");
    assert!(plan["warnings"].to_string().contains("0099_quarantine_letters"), "{plan}");
    assert_eq!(opened.pending().await.unwrap(), ["0099_quarantine_letters"]);

    // A database that the server would not accept is refused here, too.
    opened.execute("ALTER TABLE virtual_users RENAME COLUMN enabled TO active", &[]).await.unwrap();
    let (told, code) = run(&config, &["plan"], "").await;
    assert!(code != 0 && told["error"].as_str().unwrap().contains("virtual_users"), "{told}");
    opened.close().await;
}

#[tokio::test]
async fn a_plan_compares_with_the_tables_of_the_old_stack() {
    let place = tempfile::tempdir().unwrap();
    let (config, database) = (resting(place.path()), place.path().join("postrider.sqlite"));
    let opened = Database::connect(&DatabaseUrl::sqlite(&database), &DatabaseSettings::default()).await.unwrap();
    for sql in [
        "CREATE TABLE virtual_domains (id INTEGER PRIMARY KEY, name TEXT, created_at TIMESTAMP)",
        "CREATE TABLE virtual_users (id INTEGER PRIMARY KEY, domain_id INTEGER, email TEXT, password TEXT, \
         quota_mb INTEGER, enabled INTEGER DEFAULT 1, created_at TIMESTAMP)",
        "CREATE TABLE virtual_aliases (id INTEGER PRIMARY KEY, domain_id INTEGER, source TEXT, destination TEXT, \
         created_at TIMESTAMP)",
        "CREATE TABLE mailbox_usage (email TEXT PRIMARY KEY, usage_mb DECIMAL(10, 2), last_updated TIMESTAMP)",
        "INSERT INTO virtual_domains (name) VALUES ('old.test')",
        "INSERT INTO virtual_users (domain_id, email, password, quota_mb) VALUES (1, 'Ann@old.test', 'x', 1024)",
        "INSERT INTO virtual_users (domain_id, email, password, quota_mb) VALUES (1, 'bob@old.test', 'x', 1024)",
        "INSERT INTO virtual_aliases (domain_id, source, destination) VALUES (1, 'sales@old.test', 'ann@old.test')",
    ] {
        opened.execute(sql, &[]).await.unwrap();
    }
    let declared = "[domains.\"old.test\".users]\nann = { quota = \"2G\" }\nbob = { quota = \"1G\" }\n";
    std::fs::write(place.path().join("accounts.toml"), declared).unwrap();
    let (plan, code) = run(&config, &["plan"], "").await;
    let changes: Vec<&str> =
        plan["changes"].as_array().unwrap().iter().map(|change| change["change"].as_str().unwrap()).collect();
    assert_eq!((code, changes), (0, vec!["take-domain", "take-user", "set-quota", "take-user"]), "{plan}");
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("of another mail server") && !warnings.contains("0001_domains"), "{warnings}");
    assert!(!opened.has_table("domain_state").await.unwrap());
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_in_json_and_by_the_exit_code() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    let key = host.directory().join("key.pem").display().to_string();
    let generate = ["dkim", "generate", "example.test", "--selector", "s1", "--algorithm", "ed25519", "--out", &key];
    assert_eq!(run(&config, &generate, "").await.1, 0);
    assert_eq!(run(&config, &["alias", "add", "sales@example.test", "ann@example.test"], "").await.1, 0);
    for (arguments, wanted, words) in [
        (&generate[..], 5, "already exists"),
        (&["dkim", "rotate", "nope.test"], 4, "nope.test is not in"),
        (&["dns", "nope.test"], 4, "nope.test"),
        (&["sieve", "show", "ann@example.test"], 4, "no script is active"),
        (&["alias", "remove", "sales@example.test", "ann@example.test", "no@example.test"], 4, "to no@example.test"),
        (&["man", "/proc/nowhere"], 1, "`/proc/nowhere`"),
    ] {
        let (told, code) = run(&config, arguments, "").await;
        assert_eq!((code, &told["exit"]), (wanted, &wanted.into()), "{arguments:?}: {told}");
        assert!(told["error"].as_str().unwrap().contains(words), "{told}");
    }
    for arguments in [
        &["dkim", "generate", "example.test", "--selector", "s 1\"", "--out", "/nowhere"][..],
        &["user", "invite", "ann@example.test", "--valid", "0s"],
        &["alias", "add", "team@example.test", "ann@example.test,bob@example.test"],
    ] {
        assert_eq!(output(&config, arguments, "").await.status.code(), Some(2), "{arguments:?}");
    }
    let (quota, _) = run(&config, &["user", "quota", "ann@example.test", "1500K"], "").await;
    assert_eq!(quota["quota"], 2 << 20, "what is kept");
    assert_eq!(run(&config, &["alias", "disable", "sales@example.test"], "").await.1, 0);
    let (added, _) = run(&config, &["alias", "add", "sales@example.test", "bob@elsewhere.test"], "").await;
    assert!(added["complaints"].to_string().contains("is disabled"), "{added}");
    let (rows, _) = run(&config, &["alias", "show", "sales@example.test"], "").await;
    assert!(rows.as_array().unwrap().iter().all(|row| row["state"] == "disabled"), "{rows}");
    for arguments in [&["domain", "add", "off.test"], &["domain", "disable", "off.test"]] {
        assert_eq!(run(&config, arguments, "").await.1, 0);
    }
    let (added, _) = run(&config, &["user", "add", "dan@off.test", "--no-password"], "").await;
    assert_eq!(added["domain_state"], "disabled");
    host.stop().await;
}

#[tokio::test]
async fn output_that_is_lost_is_a_failure_and_a_reader_that_has_gone_is_none() {
    let example = async |out: std::process::Stdio| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(["config", "example"]).stdout(out).stderr(std::process::Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().await.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, told) = example(full.into()).await;
    assert!(code == 1 && told.contains("the output cannot be written"), "{code} {told}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(example(writer.into()).await, (0, String::new()));
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("postrider.toml");
    let missing = directory.path().join("missing").display().to_string();
    let (answer, code) = run(&config, &["user", "list"], "").await;
    assert!(code == 3 && answer["error"].as_str().unwrap().contains("postrider config example"), "{answer}");
    // Without a configuration these use the defaults.
    for command in [["spam", "import"], ["spam", "rules"], ["spam", "check"], ["sieve", "check"]] {
        let (answer, code) = run(&config, &[command[0], command[1], &missing], "").await;
        assert!(code == 4 && answer["error"].as_str().unwrap().contains(&missing), "{command:?}: {answer}");
    }
}
