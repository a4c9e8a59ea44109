//! `postrider demo`, as the README shows it.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::cli::run;

/// An existing configuration stays; so does that of a running demonstration, which a second one must not touch.
#[tokio::test]
async fn overwrites_nobodys_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("postrider.toml");
    let again = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(["demo", "--once", "--dir"]).arg(directory.path()).output().await.unwrap()
    };
    std::fs::write(&config, "hostname = \"mail.example.test\"\n").unwrap();
    let refused = again().await;
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "hostname = \"mail.example.test\"\n");

    let running = "# Written by `postrider demo`.\n# With the ports of the one that runs.\n";
    std::fs::write(&config, running).unwrap();
    std::fs::create_dir(directory.path().join("mail")).unwrap();
    let lock = std::fs::File::create(directory.path().join("mail/.postrider.lock")).unwrap();
    lock.lock().unwrap();
    assert!(!again().await.status.success());
    assert_eq!(std::fs::read_to_string(&config).unwrap(), running);
    drop(lock);
    assert!(again().await.status.success());
    assert_ne!(std::fs::read_to_string(&config).unwrap(), running);
}

async fn demo(directory: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(["--json", "demo", "--once", "--dir"])
        .arg(directory)
        .output()
        .await
        .unwrap();
    let steps = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{steps}");
    assert!(steps.contains("read it back"), "{steps}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn checks_itself_and_says_where_everything_is() {
    let directory = tempfile::tempdir().unwrap();
    let facts = demo(&directory.path().join("new")).await;
    let protocols = [
        "smtp",
        "submission",
        "submissions",
        "imap",
        "imaps",
        "pop3",
        "pop3s",
        "managesieve",
        "lmtp",
        "webmail",
        "dashboard",
        "metrics",
    ];
    for protocol in protocols {
        assert!(facts["listeners"][protocol].as_str().is_some_and(|at| at.starts_with("127.0.0.1:")), "{facts}");
    }
    assert!(facts["webmail"].as_str().is_some_and(|at| at.starts_with("https://127.0.0.1:")), "{facts}");
    assert_eq!(facts["users"].as_array().map(Vec::len), Some(2));
    for file in ["ca", "config", "mail_root"] {
        assert!(Path::new(facts[file].as_str().unwrap()).exists(), "{facts}");
    }
    assert!(facts["database"].as_str().is_some_and(|url| url.starts_with("sqlite:/")), "{facts}");
    // A real server on this machine keeps its backups apart from those of a demonstration.
    let config = directory.path().join("new/postrider.toml");
    assert_eq!(run(&config, &["backup", "create"], "").await.1, 0);
    assert!(directory.path().join("new/backup").is_dir());
    // No browser would find the host by its name.
    let (made, _) = run(&config, &["user", "invite", "ann@example.test"], "").await;
    let page = format!("{}set-up/", facts["webmail"].as_str().unwrap());
    assert!(made["link"].as_str().is_some_and(|link| link.starts_with(&page)), "{made}");
    // A second time in the same directory, with its existing content.
    demo(&directory.path().join("new")).await;
}
