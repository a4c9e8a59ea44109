//! Importing what SpamAssassin has learned.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::tools::{assert_success, find};

const HAM: &[&str] = &["minutes of the meeting", "the quarterly budget review", "our garden party invitation"];
const SPAM: &[&str] = &["cheap replica watches online", "enlarge your fortune quickly", "pharmacy discount pills"];

fn write_messages(place: &Path, subjects: &[&str]) {
    std::fs::create_dir(place).unwrap();
    for n in 0..60 {
        let text = subjects[n % subjects.len()];
        let message = format!(
            "From: someone{n}@example.test\nTo: ann@example.test\nMessage-ID: <{n}.{text}@example.test>\n\
             Subject: {text}\n\nAbout {text}, letter number {n}.\n{text} as agreed before.\n",
        );
        std::fs::write(place.join(n.to_string()), message).unwrap();
    }
}

fn sa_learn(program: &Path, place: &Path, arguments: &[&str]) -> Vec<u8> {
    // Only its database counts: no preferences of this machine's users.
    let output = Command::new(program)
        .arg(format!("--dbpath={}", place.join("bayes").display()))
        .args(arguments)
        .env("HOME", place)
        .output()
        .unwrap();
    assert_success("sa-learn", &output);
    output.stdout
}

fn postrider(config: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(["--json", "--config"])
        .arg(config)
        .args(arguments)
        .output()
        .unwrap();
    assert_success("postrider", &output);
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap()
}

#[test]
fn a_backup_of_sa_learn_tells_mail_apart() {
    let Some(program) = find("sa-learn") else { return };
    let place = tempfile::tempdir().unwrap();
    let (ham, spam) = (place.path().join("ham"), place.path().join("spam"));
    write_messages(&ham, HAM);
    write_messages(&spam, SPAM);
    sa_learn(&program, place.path(), &["--ham", &ham.display().to_string()]);
    sa_learn(&program, place.path(), &["--spam", &spam.display().to_string()]);
    let backup = place.path().join("backup");
    std::fs::write(&backup, sa_learn(&program, place.path(), &["--backup"])).unwrap();
    let config = place.path().join("postrider.toml");
    let text = format!(
        "hostname = \"mail.example.test\"\nlistener = []\n[storage]\ndatabase = \"sqlite:{}\"\n",
        place.path().join("db.sqlite").display()
    );
    std::fs::write(&config, text).unwrap();
    let imported = postrider(&config, &["spam", "import", &backup.display().to_string()]);
    assert_eq!((&imported["ham"], &imported["spam"]), (&60.into(), &60.into()), "{imported}");
    for (text, wanted) in [
        ("replica watches and discount pills online", "BAYES_9"),
        ("minutes of the meeting and the quarterly budget review invitation", "BAYES_0"),
    ] {
        let message = place.path().join("message");
        let content = format!(
            "From: new@example.test\nTo: ann@example.test\nSubject: hello\n\nabout {text}\nletter as agreed before\n"
        );
        std::fs::write(&message, content).unwrap();
        let checked = postrider(&config, &["spam", "check", "--no-network", &message.display().to_string()]);
        assert!(checked["signals"].to_string().contains(wanted), "{text}: {checked}");
    }
}
