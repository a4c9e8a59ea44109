//! Letters to users about messages kept from them.

use std::path::Path;
use std::time::Duration;

use postrider::services::queue::Change;

use crate::harness::{Host, Imap, until};

const RULES: &str = "body LOCAL_BAD /buy this now/\nscore LOCAL_BAD 9\ndescribe LOCAL_BAD It wants you to buy\n";
const DAY: Duration = Duration::from_secs(86_400);
const ANN: &str = "ann@example.test";

fn message(n: u32) -> String {
    format!(
        "From: Eve <eve@elsewhere.test>\r\nTo: {ANN}\r\nDate: Thu, 1 Jan 2026 00:00:0{n} +0000\r\n\
         Message-ID: <{n}@elsewhere.test>\r\nSubject: offer number {n}\r\n\r\nbuy this now\r\n"
    )
}

async fn start(rules: &Path, settings: &str) -> Host {
    std::fs::write(rules, RULES).unwrap();
    let rules = format!(
        "[spam]\nquarantine = 7.0\n[spam.rules]\nfiles = [\"{}\"]\n[intake.digest]\nenabled = true\n{settings}",
        rules.display()
    );
    Host::start().settings(&rules).user(ANN).user("bob@example.test").await
}

async fn deliver(host: &Host, n: u32, to: &[&str]) {
    let reply = host.smtp().await.deliver("eve@elsewhere.test", to, &message(n)).await;
    assert_eq!(reply.code, 250, "{reply:?}");
}

/// How many messages lie in the inbox.
async fn count(imap: &mut Imap) -> u32 {
    let status = format!("{:?}", imap.ok("STATUS INBOX (MESSAGES)").await);
    status.split("MESSAGES ").nth(1).unwrap().split(')').next().unwrap().parse().unwrap()
}

/// Moves the clock to the next day and waits for a letter; returns it.
async fn letter(host: &Host, user: &str, number: u32) -> String {
    host.clock().advance(DAY);
    letter_of_the_day(host, user, number).await
}

async fn letter_of_the_day(host: &Host, user: &str, number: u32) -> String {
    let mut imap = host.imap(user).await;
    until("the letter has come", async || count(&mut imap).await >= number).await;
    assert_eq!(count(&mut imap).await, number, "letters to {user}");
    imap.ok("SELECT INBOX").await;
    format!("{:?}", imap.ok(&format!("FETCH {number} BODY.PEEK[]")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_told_once() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf"), "[intake]\nquarantine = \"mailbox\"").await;
    deliver(&host, 1, &[ANN]).await;
    deliver(&host, 2, &[ANN]).await;
    // Notes outlive the process.
    let host = host.restart().await;
    let first = letter(&host, ANN, 1).await;
    for part in [
        "Subject: 2 messages were put into quarantine",
        "In your folder",
        "From: Eve <eve@elsewhere.test>",
        "Subject: offer number 1",
        "Subject: offer number 2",
        "Date: Thu, 1 Jan 2026 00:00:02 +0000",
        "Score: ",
        "Why: It wants you to buy",
    ] {
        assert!(first.contains(part), "{part}: {first}");
    }
    // After a restart only new messages are reported, and nobody else is told anything.
    let host = host.restart().await;
    deliver(&host, 3, &[ANN]).await;
    let second = letter(&host, ANN, 2).await;
    assert!(second.contains("offer number 3") && !second.contains("offer number 1"), "{second}");
    assert_eq!(count(&mut host.imap("bob@example.test").await).await, 0);
    let mut imap = host.imap(ANN).await;
    let status = imap.ok("STATUS Quarantine (MESSAGES)").await;
    assert!(format!("{status:?}").contains("MESSAGES 3"), "{status:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_holds_is_named_by_its_number() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf"), "[queue]\nquarantine_lifetime = \"20d\"").await;
    deliver(&host, 1, &[ANN, "bob@example.test"]).await;
    deliver(&host, 2, &[ANN]).await;
    let queue = host.parts().queue.as_ref().unwrap();
    let spool = &host.parts().spool;
    let held = spool.list(&postrider::storage::spool::Selection::Held, None, 10).await.unwrap();
    assert_eq!(held.len(), 2, "{held:?}");
    // Messages that an administrator has deleted meanwhile are not reported.
    let gone = held.iter().find(|listing| listing.recipients.len() == 1).unwrap().entry.id;
    queue.change(&Change::Delete(gone)).await.unwrap();
    let kept = held.iter().find(|listing| listing.entry.id != gone).unwrap().entry.id;
    host.clock().advance(DAY);
    for user in [ANN, "bob@example.test"] {
        let letter = letter_of_the_day(&host, user, 1).await;
        for part in [
            "Subject: 1 message was put into quarantine".to_owned(),
            format!("Number: {kept}"),
            "answer this letter (postmaster@".to_owned(),
            "deleted after 20 days".to_owned(),
        ] {
            assert!(letter.contains(&part), "{part}: {letter}");
        }
        assert!(!letter.contains("offer number 2"), "{letter}");
    }
    // Deleted before the host is stopped, which requires an empty queue.
    queue.change(&Change::Delete(kept)).await.unwrap();
    host.stop().await;
}

/// Nothing was told of the others when as many as a letter lists were gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_takes_nobodys_place() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf"), "rows = 1").await;
    deliver(&host, 1, &[ANN]).await;
    deliver(&host, 2, &[ANN]).await;
    let queue = host.parts().queue.as_ref().unwrap();
    let held = async || host.parts().spool.list(&postrider::storage::spool::Selection::Held, None, 10).await.unwrap();
    for listing in held().await {
        queue.change(&Change::Delete(listing.entry.id)).await.unwrap();
    }
    host.clock().advance(Duration::from_secs(1));
    deliver(&host, 3, &[ANN]).await;
    let letter = letter(&host, ANN, 1).await;
    assert!(letter.contains("Subject: 1 message was put") && letter.contains("offer number 3"), "{letter}");
    for listing in held().await {
        queue.change(&Change::Delete(listing.entry.id)).await.unwrap();
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_who_does_not_want_it() {
    let place = tempfile::tempdir().unwrap();
    let off = "[intake]\nquarantine = \"mailbox\"\n[intake.digest]\nenabled = false";
    std::fs::write(place.path().join("local.cf"), RULES).unwrap();
    let rules = place.path().join("local.cf");
    let settings = format!("[spam]\nquarantine = 7.0\n[spam.rules]\nfiles = [\"{}\"]\n{off}", rules.display());
    let host = Host::start().settings(&settings).user(ANN).await;
    deliver(&host, 1, &[ANN]).await;
    let notes = postrider::storage::quarantine::QuarantineNotes::new(host.parts().database.clone());
    let waiting = notes.waiting(host.parts().clock.now() + DAY, "", 10).await.unwrap();
    assert!(waiting.is_empty(), "{waiting:?}");
    host.stop().await;
}
