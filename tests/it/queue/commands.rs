//! Bulk changes by an administrator, and viewing a message.

use std::time::Duration;

use postrider::foundations::address::ReversePath;
use postrider::foundations::clock::Clock as _;
use postrider::foundations::event::{Event, EventKind};
use postrider::foundations::ids::QueueId;
use postrider::foundations::mail::Recipient;
use postrider::storage::journal::Query;
use postrider::storage::spool::{NewEntry, NewRecipient, QUARANTINED};

use super::world::mail;
use crate::harness::cli::{output, run};
use crate::harness::{Host, until};

/// Puts a message into the queue, held for an administrator.
async fn hold(host: &Host, from: ReversePath, to: &str, reason: &str) -> QueueId {
    put(host, from, to, Some(reason.to_owned())).await
}

/// Puts a message into the queue, held or waiting until tomorrow.
async fn put(host: &Host, from: ReversePath, to: &str, hold: Option<String>) -> QueueId {
    let mut mail = mail(&[]);
    mail.envelope.reverse_path = from;
    let now = host.clock().now();
    let recipient = |to: &str| NewRecipient {
        recipient: Recipient::plain(to.parse().unwrap()),
        destination: "mx:x.test".parse().unwrap(),
        due_at: now + Duration::from_secs(80_000),
        expires_at: now + Duration::from_secs(86_400),
        warn_at: None,
        report: None,
    };
    let recipients = to.split(' ').map(recipient).collect();
    let new = NewEntry { mail: &mail, recipients, message_id: None, hold };
    host.parts().spool.commit(new).await.unwrap()
}

fn ann() -> ReversePath {
    ReversePath::Address("ann@sender.test".parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_are_deleted_or_given_up() {
    let host = Host::start().await;
    let config = host.config();
    let kept = hold(&host, ann(), "a@x.test", QUARANTINED).await;
    for (from, to) in [(ann(), "a@x.test"), (ann(), "b@y.test"), (ann(), "b@z.test"), (ReversePath::Null, "c@z.test")] {
        hold(&host, from, to, "suspicious").await;
    }
    let left = async || run(&config, &["queue", "list"], "").await.0.as_array().unwrap().len();
    assert_eq!(run(&config, &["queue", "delete", "from:<>"], "").await, (serde_json::json!({"messages": 1}), 0));
    assert_eq!(run(&config, &["queue", "delete", "from:<>"], "").await.1, 4);
    assert_eq!(run(&config, &["queue", "bounce", "domain:z.test"], "").await, (serde_json::json!({"messages": 1}), 0));
    // Its sender's notification is on its way instead.
    run(&config, &["queue", "delete", "from:<>"], "").await;
    assert_eq!(left().await, 3);
    for command in ["delete", "bounce"] {
        assert_eq!(output(&config, &["queue", command, "all"], "").await.status.code(), Some(2));
        assert_eq!(output(&config, &["queue", command], "").await.status.code(), Some(2));
    }
    assert_eq!(left().await, 3);
    // Several at once, as `xargs` gives them.
    let more = [hold(&host, ann(), "d@x.test", "suspicious").await, hold(&host, ann(), "e@x.test", "suspicious").await];
    let [one, other] = more.map(|id| id.to_string());
    assert_eq!(
        run(&config, &["queue", "delete", &one, &other, &one], "").await,
        (serde_json::json!({"messages": 2}), 0)
    );
    assert_eq!(left().await, 3);
    let (refused, code) = run(&config, &["queue", "delete", "all"], "").await;
    assert!(code == 2 && refused["exit"] == 2 && refused["error"].to_string().contains("--yes"), "{refused}");
    assert_eq!(run(&config, &["queue", "delete", "all", "--yes"], "").await, (serde_json::json!({"messages": 2}), 0));
    let (listed, _) = run(&config, &["quarantine", "list"], "").await;
    assert_eq!(listed[0]["id"], kept.to_string(), "what is in quarantine stays");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_that_are_not_named_still_get_the_message() {
    let host = Host::start().await;
    let config = host.config();
    let id = put(&host, ann(), "a@x.test b@x.test c@y.test d@z.test", None).await.to_string();
    let left = async || {
        let (shown, _) = run(&config, &["queue", "show", &id], "").await;
        let of = |recipient: &serde_json::Value| (recipient["address"].to_string(), recipient["state"].to_string());
        let waiting = |(address, state): (String, String)| (state == "\"waiting\"").then_some(address);
        shown["recipients"].as_array().unwrap().iter().map(of).filter_map(waiting).collect::<Vec<_>>().join(" ")
    };
    let one = (serde_json::json!({"messages": 1}), 0);
    assert_eq!(run(&config, &["queue", "delete", "to:a@x.test"], "").await, one);
    assert_eq!(left().await, r#""b@x.test" "c@y.test" "d@z.test""#);
    assert_eq!(run(&config, &["queue", "bounce", "domain:y.test"], "").await, one);
    assert_eq!(left().await, r#""b@x.test" "d@z.test""#, "the others are not even held");
    assert_eq!(run(&config, &["queue", "delete", "to:a@x.test"], "").await.1, 4);
    host.parts().journal.flush().await;
    let (traced, _) = run(&config, &["trace", &id], "").await;
    assert!(traced.to_string().contains("deleted by an administrator for a@x.test"), "{traced}");
    assert!(!traced.to_string().contains("administrator for b@x.test"), "{traced}");
    assert_eq!(run(&config, &["queue", "delete", "to:b@x.test", "domain:x.test", "domain:z.test"], "").await, one);
    assert_eq!(run(&config, &["queue", "show", &id], "").await.1, 4, "it went with the last one");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_that_are_not_named_are_neither_held_nor_released() {
    // Released recipients are tried, and keep waiting.
    let host = Host::start().dns("x.test FAIL\ny.test FAIL").await;
    let config = host.config();
    let id = put(&host, ann(), "a@x.test b@x.test c@y.test", None).await.to_string();
    let states = async || {
        let (shown, _) = run(&config, &["queue", "show", &id], "").await;
        let recipients = shown["recipients"].as_array().unwrap().clone();
        recipients.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(run(&config, &["queue", "hold", "to:a@x.test"], "").await, (serde_json::json!({"recipients": 1}), 0));
    assert_eq!(states().await, "held waiting waiting");
    host.parts().journal.flush().await;
    let (traced, _) = run(&config, &["trace", &id], "").await;
    assert!(traced.to_string().contains("held by an administrator for a@x.test"), "{traced}");
    for (command, which, met, after) in [
        ("hold", "domain:x.test", 1, "held held waiting"),
        ("release", "to:b@x.test", 1, "held waiting waiting"),
        ("hold", "all", 2, "held held held"),
        ("release", "domain:y.test", 1, "held held waiting"),
        ("release", "all", 2, "waiting waiting waiting"),
    ] {
        let told = run(&config, &["queue", command, which], "").await;
        assert_eq!(told, (serde_json::json!({"recipients": met}), 0), "{command} {which}");
        until(&format!("{command} {which}"), async || states().await == after).await;
    }
    host.stop().await;
}

/// By the server, and by a command without a running server.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_hand_is_part_of_the_journey() {
    let host = Host::start().await;
    let config = host.config();
    let alone = host.directory().join("alone.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let elsewhere = text.replace("control_directory = \"", "control_directory = \"/nowhere");
    assert_ne!(text, elsewhere);
    std::fs::write(&alone, elsewhere).unwrap();
    for (config, to) in [(&config, "a@x.test"), (&alone, "b@x.test")] {
        let id = put(&host, ann(), to, None).await.to_string();
        let ending = async |command: &[&str], code: i32| {
            assert_eq!(run(config, command, "").await.1, code, "{command:?}");
            host.parts().journal.flush().await;
            run(config, &["trace", &id], "").await.0["journeys"][0]["ending"].as_str().unwrap_or_default().to_owned()
        };
        let which = format!("to:{to}");
        assert_eq!(ending(&["queue", "release", &which], 4).await, "", "nothing was held");
        assert_eq!(ending(&["queue", "hold", &which], 0).await, format!("held by an administrator for {to}"));
        assert_eq!(ending(&["queue", "delete", &id], 0).await, format!("deleted by an administrator for {to}"));
    }
    let events = host.events(&Query { kinds: vec![EventKind::QueueChanged], ..Query::default() }).await;
    let is_named = |event: &Event| event.details.get("administrator").is_some_and(serde_json::Value::is_string);
    assert_eq!((events.len(), events.iter().filter(|event| is_named(event)).count()), (4, 4), "{events:#?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_shown_as_it_is() {
    let host = Host::start().await;
    let config = host.config();
    let id = hold(&host, ann(), "a@x.test", QUARANTINED).await.to_string();
    for command in ["queue", "quarantine"] {
        let (shown, code) = run(&config, &[command, "show", &id, "--message"], "").await;
        assert_eq!(code, 0, "{shown}");
        assert!(shown["message"].as_str().unwrap().ends_with("\r\n\r\n.dotted\r\nbody\r\n"), "{shown}");
        let mut plain = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
        plain.arg("--config").arg(&config).args([command, "show", &id, "--message"]);
        let plain = plain.output().await.unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&plain), shown["message"].as_str().unwrap());
    }
    assert_eq!(run(&config, &["queue", "show", "01ARZ3NDEKTSV4RR", "--message"], "").await.1, 4);
    host.stop().await;
}

#[tokio::test]
async fn without_a_server_or_a_database_it_is_said_how_to_go_on() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("postrider.toml");
    let write = |database: &str| {
        let text = format!(
            "hostname = \"mail.example.test\"\n[server]\ncontrol_directory = \"{0}/run\"\n\
             [storage]\nmail_root = \"{0}/mail\"\ndatabase = \"sqlite:{0}/{database}\"\n[spool]\ndirectory = \"{0}/spool\"\n\
             [[listener]]\nprotocol = \"metrics\"\nbind = [\"127.0.0.1:0\"]\n",
            place.path().display()
        );
        std::fs::write(&config, text).unwrap();
    };
    write("postrider.sqlite");
    // Only a running server can notify the sender: it may work later.
    let (answer, code) = run(&config, &["queue", "bounce", "01ARZ3NDEKTSV4RR"], "").await;
    assert_eq!(code, 75, "{answer}");
    assert_eq!(run(&config, &["queue", "delete", "all", "--yes"], "").await, (serde_json::json!({"messages": 0}), 0));
    for command in [["retry", "all"], ["hold", "all"], ["release", "held"]] {
        let told = run(&config, &["queue", command[0], command[1]], "").await;
        assert_eq!(told, (serde_json::json!({"recipients": 0}), 0), "nothing to do is no failure");
    }
    assert_eq!(run(&config, &["queue", "retry", "to:ann@example.test"], "").await.1, 4, "nothing is for her");
    write("nowhere/postrider.sqlite");
    let (answer, code) = run(&config, &["queue", "list"], "").await;
    assert_eq!(code, 3, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("nowhere/postrider.sqlite"), "{answer}");
}
