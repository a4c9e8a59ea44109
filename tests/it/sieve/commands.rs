//! `postrider sieve`, `postrider import dovecot`, and backups of scripts.

use std::path::Path;

use serde_json::Value;

use super::{home, letter};
use crate::harness::{Host, cli};

const ANN: &str = "ann@example.test";

/// A command's output and status.
async fn run(host: &Host, arguments: &[&str], input: &str) -> (Value, i32) {
    cli::run(&host.config(), arguments, input).await
}

const FILING: &str = "require \"fileinto\";\nif header :is \"subject\" \"work\" {\n  fileinto \"Work\";\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_managed_beside_the_running_server() {
    let host = Host::start().user(ANN).await;
    let (broken, code) = run(&host, &["sieve", "put", ANN, "main"], "fileinto;\nwhat;\n").await;
    assert_eq!(code, 1);
    let lines: Vec<u64> =
        broken[0]["mistakes"].as_array().unwrap().iter().map(|m| m["line"].as_u64().unwrap()).collect();
    assert!(lines.contains(&1) && lines.contains(&2), "{broken}");
    assert_eq!(run(&host, &["sieve", "put", ANN, "main", "-", "--activate"], FILING).await.1, 0);
    assert_eq!(run(&host, &["sieve", "put", ANN, "other"], "keep;").await.1, 0);
    let (list, _) = run(&host, &["sieve", "list", ANN], "").await;
    let wanted = serde_json::json!([
        { "name": "main", "active": true, "size": FILING.len() }, { "name": "other", "active": false, "size": 5 }
    ]);
    assert_eq!(list, wanted);
    assert_eq!(run(&host, &["sieve", "show", ANN], "").await.0["text"], FILING);
    assert_eq!(run(&host, &["sieve", "delete", ANN, "main"], "").await.1, 1);
    assert_eq!(run(&host, &["sieve", "activate", ANN, "none"], "").await.1, 4);
    assert_eq!(run(&host, &["sieve", "list", "nobody@example.test"], "").await.1, 4);
    // It takes effect at once.
    let reply = host.smtp().await.deliver("eve@elsewhere.test", &[ANN], &letter("a", "work")).await;
    assert_eq!(reply.code, 250);
    assert!(host.imap(ANN).await.ok("STATUS Work (MESSAGES)").await.untagged.concat().contains("MESSAGES 1"));
    assert_eq!(run(&host, &["sieve", "deactivate", ANN], "").await.1, 0);
    assert_eq!(run(&host, &["sieve", "delete", ANN, "main"], "").await.1, 0);
    assert_eq!(run(&host, &["sieve", "show", ANN], "").await.1, 4);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_checked_and_tried_without_doing_anything() {
    let host = Host::start().user(ANN).await;
    let file = |name: &str, text: &str| {
        let path = host.directory().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (good, bad) = (file("good.sieve", FILING), file("bad.sieve", "keep;\nstop;\nwhat;\n"));
    assert_eq!(run(&host, &["sieve", "check", &good], "").await.1, 0);
    let (told, code) = run(&host, &["sieve", "check", &good, &bad], "").await;
    assert_eq!((code, &told[1]["mistakes"][0]["line"]), (1, &Value::from(3)));
    let missing = host.directory().join("missing").display().to_string();
    for command in [vec!["sieve", "check", &missing], vec!["sieve", "test", "--user", ANN, &missing]] {
        assert_eq!(run(&host, &command, "").await.1, 4, "{command:?}");
    }
    for command in [vec!["spam", "learn", "--ham", &missing], vec!["import", "mbox", &missing, "--user", ANN]] {
        assert_eq!(run(&host, &command, "").await.1, 4, "{command:?}");
    }
    let (told, code) = run(&host, &["spam", "check", &missing], "").await;
    assert_eq!((code, &told["file"]), (4, &Value::from(missing.as_str())), "{told}");
    assert!(told["error"].as_str().unwrap().contains("No such file"), "{told}");
    let message = file("message.eml", &letter("a", "work"));
    let (told, code) = run(&host, &["sieve", "test", "--user", ANN, "--script", &good, &message], "").await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(told["actions"], serde_json::json!(["file it in Work, which does not exist yet"]));
    let steps = told["scripts"][0]["steps"].to_string();
    assert!(steps.contains("line 2") && steps.contains("line 3"), "{steps}");
    let (told, _) = run(&host, &["sieve", "test", "--user", ANN, &message], "").await;
    assert_eq!(told["actions"], serde_json::json!(["keep it in the inbox, as nothing else was decided"]));
    assert!(!home(&host, ANN).join(".Work").exists());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_move_in_with_the_mail_and_are_restored_from_backups() {
    let store = tempfile::tempdir().unwrap();
    let settings = format!("[backup]\ndestination = \"{}\"\n", store.path().display());
    let host = Host::start().settings(&settings).user(ANN).await;
    let there = tempfile::tempdir().unwrap();
    let mail = there.path().join("example.test/ann");
    std::fs::create_dir_all(mail.join("sieve")).unwrap();
    for directory in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(mail.join(directory)).unwrap();
    }
    std::fs::write(mail.join("sieve/main.sieve"), FILING).unwrap();
    std::fs::write(mail.join("sieve/broken.sieve"), "keep;\nwhat;\n").unwrap();
    std::os::unix::fs::symlink("sieve/main.sieve", mail.join(".dovecot.sieve")).unwrap();
    let (moved, code) = run(&host, &["import", "dovecot", &there.path().display().to_string()], "").await;
    assert_eq!(code, 0, "{moved}");
    let scripts = &moved[0]["scripts"];
    assert_eq!(scripts[0]["name"], "broken");
    assert!(scripts[0]["mistakes"][0].as_str().unwrap().starts_with("line 2"), "{scripts}");
    assert_eq!(scripts[1], serde_json::json!({ "name": "main", "done": "moved", "active": true, "mistakes": [] }));
    assert!(is_filed(&host, "a", 1).await);

    assert_eq!(run(&host, &["backup", "create"], "").await.1, 0);
    std::fs::rename(home(&host, ANN), host.directory().join("ann-was-here")).unwrap();
    let host = host.restart().await;
    assert_eq!(run(&host, &["backup", "restore", "--live"], "").await.1, 0);
    let link = std::fs::read_link(home(&host, ANN).join(".dovecot.sieve")).unwrap();
    assert_eq!(link, Path::new("sieve/main.sieve"));
    assert!(is_filed(&host, "b", 2).await);
    host.stop().await;
}

/// Whether the script files a message.
async fn is_filed(host: &Host, name: &str, count: u32) -> bool {
    let reply = host.smtp().await.deliver("eve@elsewhere.test", &[ANN], &letter(name, "work")).await;
    assert_eq!(reply.code, 250);
    let told = host.imap(ANN).await.ok("STATUS Work (MESSAGES)").await.untagged.concat();
    told.contains(&format!("MESSAGES {count}"))
}
