//! Reports for other programs, and the summary for the postmaster.

use postrider::foundations::settings::ByteSize;
use postrider::services::backup::{Run, RunKind, note_run};
use tokio::process::Command;

use crate::harness::Host;

const MESSAGE: &str = "From: ann@example.test\r\nTo: bob@example.test\r\nSubject: One\r\n\r\nWords\r\n";

async fn report(host: &Host, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .arg("--config")
        .arg(host.config())
        .arg("report")
        .args(arguments)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn say_what_has_happened() {
    let host = Host::start().user("ann@example.test").user("postmaster@example.test").dns("silent.test FAIL");
    let host = host.settings("[summary]\nto = \"postmaster@example.test\"\n").real_time().await;
    host.add_user("bob@example.test", Some(ByteSize::mib(5))).await;
    let mut ann = host.submission("ann@example.test").await;
    let reply = ann.deliver("ann@example.test", &["bob@example.test", "x@silent.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let refused = host.smtp().await.deliver("eve@far.test", &["nobody@example.test"], MESSAGE).await;
    assert_eq!(refused.code, 550, "{}", refused.text());
    host.parts().journal.flush().await;
    host.parts().directory.flush_usage().await.unwrap();

    let run = Run {
        what: RunKind::Created,
        at: host.parts().clock.now(),
        succeeded_at: None,
        milliseconds: 5,
        recovery_milliseconds: None,
        differences: None,
        problem: Some("the disk is full".to_owned()),
    };
    note_run(&host.parts().database, &run).await.unwrap();

    let place = host.directory().join("reports");
    let (code, said) = report(&host, &["all", "--since", "2h", place.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(place.join(format!("{name}.json"))).unwrap()).unwrap()
    };
    let (queue, spam, mailboxes) = (read("queue"), read("spam"), read("mailboxes"));
    assert_eq!(queue["queue"]["entries"], 1);
    assert_eq!(queue["queue"]["destinations"][0]["destination"], "mx:silent.test");
    assert_eq!((&spam["flow"]["received"], &spam["flow"]["refused"]), (&1.into(), &1.into()), "{spam}");
    assert_eq!(spam["refusals"][0]["kind"], "recipient-refused");
    assert_eq!(mailboxes["users"], 3);
    let backups = read("backups");
    assert_eq!(
        (&backups["runs"][0]["what"], &backups["runs"][0]["problem"]),
        (&"created".into(), &"the disk is full".into())
    );
    let (code, said) = report(&host, &["queue"]).await;
    assert!(code == 0 && said.contains("mx:silent.test"), "{said}");
    let (code, said) = report(&host, &["summary"]).await;
    assert_eq!(code, 0, "{said}");
    for wanted in [
        "1  messages received",
        "ann@example.test",
        "mx:silent.test",
        "recipient-refused: No such user here",
        "failed: the disk is full",
        "\nNeeds attention\n",
        "  - The last backup failed: ",
    ] {
        assert!(said.contains(wanted), "{wanted} is missing in\n{said}");
    }

    let (code, said) = report(&host, &["mail", "--since", "7d"]).await;
    assert_eq!((code, said.trim()), (0, "The summary is on its way to postmaster@example.test"));
    let mut postmaster = host.imap("postmaster@example.test").await;
    assert_eq!(postmaster.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    let fetched = postmaster.ok("FETCH 1 BODY.PEEK[]").await;
    for wanted in [
        "Subject: mail.example.test: 1 message, 0.0 % unwanted",
        "Auto-Submitted: auto-generated",
        "1  messages received",
    ] {
        assert!(fetched.untagged[0].contains(wanted), "{wanted} is missing in {fetched:?}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go_to_nobody_unless_somebody_is_named() {
    let host = Host::start().await;
    let (code, said) = report(&host, &["mail"]).await;
    assert!(code == 1 && said.contains("set `summary.to`"), "{code} {said}");
    host.stop().await;
}
