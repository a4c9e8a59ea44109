//! Guarantees of intake and driver when something fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::event::EventKind;
use postrider::foundations::mail::compose::date;
use postrider::foundations::settings::{ByteSize, Span};
use postrider::protocols::smtp::Mode;
use postrider::services::delivery::OverQuota;
use postrider::services::guard::ServiceRates;
use postrider::services::handover::Bound;
use postrider::services::submission::SubmissionSettings;
use postrider::services::trace::{Asked, Period, Trace};
use postrider::storage::journal::Query;
use postrider::storage::spool::Action;

use super::world::{Client, Wishes, World};

async fn relay(edit: impl FnOnce(&mut Wishes)) -> World {
    let mut wishes = Wishes::new(Mode::Relay);
    edit(&mut wishes);
    World::new(wishes).await
}

async fn send(client: &mut Client, recipients: &[&str], content: &str) -> String {
    assert!(client.command("MAIL FROM:<eve@elsewhere.test>").await.starts_with("250"));
    for recipient in recipients {
        assert!(client.command(&format!("RCPT TO:<{recipient}@example.test>")).await.starts_with("250"));
    }
    assert!(client.command("DATA").await.starts_with("354"));
    client.command(&format!("{content}\r\n.")).await
}

async fn greeted(world: &World) -> Client {
    let mut client = world.connect();
    assert!(client.reply().await.starts_with("220"));
    assert!(client.command("EHLO client.example").await.starts_with("250"));
    client
}

#[tokio::test]
async fn a_mailbox_that_cannot_be_written_waits_in_the_queue_when_others_have_the_message() {
    let world = relay(|_| {}).await;
    let mut client = greeted(&world).await;
    assert!(send(&mut client, &["ann", "broken", "refusing"], "x").await.starts_with("250"));
    assert_eq!(world.mailboxes.0.lock().len(), 1);
    let entries = world.queue.entries.lock().clone();
    let wanted = ["broken@example.test", "refusing@example.test"].map(|address| (address.to_owned(), Bound::Here));
    assert_eq!(entries, [(wanted.to_vec(), None)]);
}

/// As some scripts and devices send them.
#[tokio::test]
async fn a_message_without_a_header_keeps_its_text() {
    let world = relay(|_| {}).await;
    assert!(send(&mut greeted(&world).await, &["ann"], "disk 90 % full\r\nhost: x").await.starts_with("250"));
    let (_, text) = world.mailboxes.0.lock()[0].clone();
    assert!(text.ends_with("\r\n\r\ndisk 90 % full\r\nhost: x\r\n"), "{text}");
    assert!(text.contains("Received: "), "{text}");
}

#[tokio::test]
async fn nothing_is_stored_when_the_client_is_refused() {
    let world = relay(|_| {}).await;
    let mut client = greeted(&world).await;
    assert!(send(&mut client, &["broken"], "x").await.starts_with("451 4.3.0"));
    assert!(send(&mut client, &["refusing"], "x").await.starts_with("550 5.2.0"));
    // Where a retry may help, the client is told to try again.
    assert!(send(&mut client, &["refusing", "broken"], "x").await.starts_with("451"));
    assert!(world.mailboxes.0.lock().is_empty() && world.queue.entries.lock().is_empty());
}

#[tokio::test]
async fn who_writes_to_a_full_mailbox_is_told_what_the_settings_say() {
    for (over_quota, reply) in [(OverQuota::Defer, "452 4.2.2"), (OverQuota::Refuse, "552 5.2.2")] {
        let world = relay(|wishes| wishes.delivery.over_quota = over_quota).await;
        let mut client = greeted(&world).await;
        assert!(client.command("MAIL FROM:<eve@elsewhere.test>").await.starts_with("250"));
        let told = client.command("RCPT TO:<full@example.test>").await;
        assert!(told.starts_with(reply), "{told}");
    }
}

#[tokio::test]
async fn a_broken_queue_does_not_stop_local_mail_and_never_leads_to_two_copies() {
    let world = relay(|_| {}).await;
    world.queue.broken.store(true, Ordering::SeqCst);
    let mut client = greeted(&world).await;
    assert!(send(&mut client, &["ann", "bob"], "x").await.starts_with("250"));
    assert_eq!(world.mailboxes.0.lock().len(), 2);
    assert!(send(&mut client, &["ann", "away"], "x").await.starts_with("451"));
    assert_eq!(world.mailboxes.0.lock().len(), 2, "nothing may be delivered before the queue has its part");
}

#[tokio::test]
async fn a_message_that_is_sent_again_comes_to_nobody_twice() {
    let world = relay(|_| {}).await;
    let mut client = greeted(&world).await;
    let (one, other) = ("Subject: one\r\n\r\nx", "Subject: other\r\n\r\nx");
    let stored = || world.mailboxes.0.lock().len();
    world.queue.broken.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(send(&mut client, &["ann", "broken"], one).await.starts_with("451"));
        assert_eq!(stored(), 1);
    }
    assert!(send(&mut client, &["ann"], other).await.starts_with("250"));
    world.queue.broken.store(false, Ordering::SeqCst);
    assert!(send(&mut client, &["ann", "broken"], one).await.starts_with("250"));
    assert_eq!(stored(), 2);
    assert_eq!(world.queue.entries.lock().clone(), [(vec![("broken@example.test".to_owned(), Bound::Here)], None)]);
    // Once it has been accepted, the same message again is another one.
    assert!(send(&mut client, &["ann"], one).await.starts_with("250"));
    assert_eq!(stored(), 3);
}

#[tokio::test]
async fn a_sender_who_wants_to_hear_of_success_hears_from_the_queue() {
    let world = relay_that_knows(GENUINE).await;
    ask_for_success(&mut greeted(&world).await, &["ann", "bob"]).await;
    assert!(world.mailboxes.0.lock().is_empty());
    let entries = world.queue.entries.lock().clone();
    let wanted = ["ann@example.test", "bob@example.test"].map(|address| (address.to_owned(), Bound::Here));
    assert_eq!(entries, [(wanted.to_vec(), None)]);
}

#[tokio::test]
async fn of_an_alias_success_tells_only_that_it_has_members() {
    let world = relay_that_knows(GENUINE).await;
    ask_for_success(&mut greeted(&world).await, &["sales"]).await;
    assert_eq!(world.mailboxes.0.lock().len(), 2);
    let entries = world.queue.entries.lock().clone();
    let told = ("sales@example.test".to_owned(), Bound::PassedOn(Action::Expanded));
    assert_eq!(entries, [(vec![told], None)]);
}

#[tokio::test]
async fn a_forged_sender_is_not_told_of_success() {
    let world = relay_that_knows("v=spf1 ip4:203.0.113.1 ~all").await;
    for recipient in ["ann", "sales"] {
        world.mailboxes.0.lock().clear();
        ask_for_success(&mut greeted(&world).await, &[recipient]).await;
        assert!(!world.mailboxes.0.lock().is_empty());
        assert!(world.queue.entries.lock().is_empty());
    }
}

/// A policy of the sender's domain that names the tests' client.
const GENUINE: &str = "v=spf1 ip4:192.0.2.1 -all";

async fn relay_that_knows(policy: &str) -> World {
    let zone = Arc::new(ZoneResolver::new());
    zone.add(&format!("elsewhere.test TXT {policy}")).unwrap();
    relay(|wishes| wishes.zone = Some(zone)).await
}

async fn ask_for_success(client: &mut Client, recipients: &[&str]) {
    client.command("MAIL FROM:<eve@elsewhere.test>").await;
    for name in recipients {
        client.command(&format!("RCPT TO:<{name}@example.test> NOTIFY=SUCCESS")).await;
    }
    client.command("DATA").await;
    assert!(client.command("x\r\n.").await.starts_with("250"));
}

#[tokio::test]
async fn an_announcement_takes_no_memory() {
    let world = relay(|wishes| {
        wishes.memory = ByteSize::mib(2);
        wishes.smtp.memory_time = Span::millis(50);
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut client = greeted(&world).await;
        client.command("MAIL FROM:<>").await;
        client.command("RCPT TO:<ann@example.test>").await;
        client.send(b"BDAT 1000000 LAST\r\n").await;
        idle.push(client);
    }
    assert!(send(&mut greeted(&world).await, &["bob"], "x").await.starts_with("250"));
}

#[tokio::test]
async fn a_session_goes_on_after_a_message_that_took_longer_than_a_command_may() {
    let world = relay(|wishes| wishes.smtp.command_time = Span::millis(400)).await;
    let mut client = greeted(&world).await;
    client.command("MAIL FROM:<>").await;
    client.command("RCPT TO:<ann@example.test>").await;
    client.command("DATA").await;
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(600) {
        client.send(b"line\r\n").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(client.command(".").await.starts_with("250"));
    assert!(client.command("NOOP").await.starts_with("250"));
}

#[tokio::test]
async fn messages_wait_for_memory_and_are_put_off_without() {
    let world = relay(|wishes| {
        wishes.memory = ByteSize::mib(1);
        wishes.smtp.memory_time = Span::millis(50);
    })
    .await;
    let mut first = greeted(&world).await;
    first.command("MAIL FROM:<>").await;
    first.command("RCPT TO:<ann@example.test>").await;
    assert!(first.command("DATA").await.starts_with("354"));
    // Half a megabyte under way; its session asks for room to grow.
    for _ in 0..512 {
        first.send(format!("{}\r\n", "x".repeat(1022)).as_bytes()).await;
    }
    let mut second = greeted(&world).await;
    second.command("MAIL FROM:<>").await;
    second.command("RCPT TO:<bob@example.test>").await;
    second.send(b"BDAT 1000000 LAST\r\n").await;
    second.send(&[b'x'; 1_000_000]).await;
    assert!(second.reply().await.starts_with("452 4.3.1"));
    assert!(first.command(".").await.starts_with("250"));
    second.command("RSET").await;
    assert!(send(&mut second, &["bob"], "x").await.starts_with("250"));
}

#[tokio::test]
async fn one_network_leaves_memory_for_others() {
    let world = relay(|wishes| {
        wishes.memory = ByteSize::mib(8);
        wishes.smtp.memory_per_network = ByteSize::mib(1);
        wishes.smtp.memory_time = Span::millis(50);
    })
    .await;
    let mut replies = Vec::new();
    let mut clients = Vec::new();
    for address in [[192, 0, 2, 1], [192, 0, 2, 200], [198, 51, 100, 1]] {
        let mut client = world.connect_from(address);
        client.reply().await;
        client.command("EHLO client.example").await;
        client.command("MAIL FROM:<>").await;
        client.command("RCPT TO:<bob@example.test>").await;
        // The first holds its network's share, in a message that does not end.
        client.send(if clients.is_empty() { b"BDAT 700000\r\n" } else { b"BDAT 700000 LAST\r\n" }).await;
        client.send(&[b'x'; 700_000]).await;
        replies.push(client.reply().await[..3].to_owned());
        clients.push(client);
    }
    assert_eq!(replies, ["250", "452", "250"]);
}

#[tokio::test]
async fn a_stop_is_told_between_commands_and_lets_a_message_finish() {
    let world = relay(|_| {}).await;
    let (mut idle, mut busy) = (greeted(&world).await, greeted(&world).await);
    busy.command("MAIL FROM:<>").await;
    busy.command("RCPT TO:<ann@example.test>").await;
    busy.command("DATA").await;
    idle.stop.cancel();
    busy.stop.cancel();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.line().await, None);
    assert!(busy.command("x\r\n.").await.starts_with("250"));
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    assert_eq!(world.mailboxes.0.lock().len(), 1);
}

#[tokio::test]
async fn slow_clients_are_closed() {
    let world = relay(|wishes| {
        wishes.smtp.command_time = Span::millis(200);
        wishes.smtp.data_time = Span::millis(200);
        wishes.smtp.data_rate = ByteSize::bytes(1_000_000);
    })
    .await;
    let mut client = greeted(&world).await;
    // Octet by octet, each in time, but never a whole command.
    for _ in 0..30 {
        client.send(b"N").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(client.reply().await.starts_with("421"));
    let mut client = greeted(&world).await;
    client.command("MAIL FROM:<>").await;
    client.command("RCPT TO:<ann@example.test>").await;
    client.command("DATA").await;
    for _ in 0..30 {
        client.send(b"x\r\n").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(client.reply().await.starts_with("421"));
}

#[tokio::test]
async fn a_message_in_ever_more_chunks_has_an_end() {
    let world = relay(|wishes| wishes.smtp.message_time = Span::seconds(1)).await;
    let mut client = greeted(&world).await;
    client.command("MAIL FROM:<>").await;
    client.command("RCPT TO:<ann@example.test>").await;
    for _ in 0..10 {
        client.send(b"BDAT 1\r\nx").await;
        assert!(client.reply().await.starts_with("250"));
    }
    // Far sooner than a command may take.
    let last = client.reply().await;
    assert!(last.starts_with("421 ") && last.contains("waited too long"), "{last}");
    assert!(world.mailboxes.0.lock().is_empty());
}

#[tokio::test]
async fn the_time_of_a_message_begins_with_it_and_not_with_the_session() {
    let world = relay(|wishes| wishes.smtp.message_time = Span::seconds(2)).await;
    let (mut old, mut slow) = (greeted(&world).await, greeted(&world).await);
    for client in [&mut old, &mut slow] {
        client.command("MAIL FROM:<>").await;
        client.command("RCPT TO:<ann@example.test>").await;
    }
    slow.send(b"BDAT 9\r\nx").await;
    assert!(slow.reply().await.starts_with("421 "));
    // By now the other session is older than a message may be.
    for chunk in [&b"BDAT 1\r\nx"[..], b"BDAT 2 LAST\r\n\r\n"] {
        old.send(chunk).await;
        let reply = old.reply().await;
        assert!(reply.starts_with("250 "), "{reply}");
    }
    assert_eq!(world.mailboxes.0.lock().len(), 1);
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let world = relay(|wishes| wishes.guard.smtp = ServiceRates { per_minute: 0, at_once: 1 }).await;
    let first = greeted(&world).await;
    let mut second = world.connect();
    let refusal = second.reply().await;
    assert!(refusal.starts_with("421 4.7.0") && refusal.contains("192.0.2.1"), "{refusal}");
    assert_eq!(second.line().await, None);
    drop(first);
}

#[tokio::test]
async fn errors_end_a_session_and_are_remembered() {
    let world = relay(|wishes| {
        wishes.guard.most_errors = 3;
        wishes.guard.failures = 2;
    })
    .await;
    for _ in 0..2 {
        let mut client = greeted(&world).await;
        for _ in 0..3 {
            assert!(client.command("NONSENSE").await.starts_with("500"));
        }
        assert!(client.command("NONSENSE").await.starts_with("421 4.7.0"));
        assert_eq!(client.line().await, None);
    }
    assert_eq!(world.room.guard.bans().len(), 1);
    assert!(world.connect().reply().await.starts_with("421 4.7.0"));
}

#[tokio::test]
async fn messages_that_are_refused_are_errors_of_their_session() {
    let world = relay(|wishes| wishes.guard.most_errors = 2).await;
    let mut client = greeted(&world).await;
    for wanted in ["5", "250", "5", "5", "421 4.7.0"] {
        // A bare line feed is refused at the end of the message.
        let content = if wanted == "250" { "x" } else { "a\nb" };
        let reply = send(&mut client, &["ann"], content).await;
        assert!(reply.starts_with(wanted), "{wanted}: {reply}");
    }
    assert_eq!(client.line().await, None);
}

#[tokio::test]
async fn an_account_has_its_limits() {
    let mut wishes = Wishes::new(Mode::Submission);
    wishes.submission = SubmissionSettings { messages_per_hour: 1, ..SubmissionSettings::default() };
    let world = World::new(wishes).await;
    let mut client = greeted(&world).await;
    assert!(client.command("AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAcGVuY2ls").await.starts_with("235"));
    for wanted in ["250", "450 4.7.1"] {
        client.command("MAIL FROM:<ann@example.test>").await;
        client.command("RCPT TO:<bob@example.test>").await;
        client.command("DATA").await;
        assert!(client.command("x\r\n.").await.starts_with(wanted));
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_a_passing_problem() {
    let world = relay(|_| {}).await;
    let mut client = greeted(&world).await;
    client.command("MAIL FROM:<>").await;
    world.directory.database().close().await;
    assert!(client.command("RCPT TO:<ann@example.test>").await.starts_with("451 4.3.0"));
}

#[tokio::test]
async fn who_was_refused_a_recipient_is_found_by_the_sender_too() {
    let world = relay(|_| {}).await;
    let mut client = greeted(&world).await;
    assert!(client.command("MAIL FROM:<Eve@elsewhere.test>").await.starts_with("250"));
    for recipient in ["nobody@example.test", "ann@far.test"] {
        assert!(client.command(&format!("RCPT TO:<{recipient}>")).await.starts_with('5'));
    }
    let journal = &world.room.journal;
    journal.flush().await;
    let trace = Trace::new(journal.clone());
    let find = async |asked: &str| {
        let traced = trace.find(&asked.parse::<Asked>().unwrap(), Period::default()).await.unwrap();
        traced.besides.into_iter().map(|step| (step.event.subject.unwrap_or_default(), step.words)).collect::<Vec<_>>()
    };
    let found = find("eve@elsewhere.test").await;
    let mut subjects: Vec<&str> = found.iter().map(|(subject, _)| subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["ann@far.test", "nobody@example.test"]);
    assert!(found.iter().all(|(_, words)| words.contains("the sender was Eve@elsewhere.test")), "{found:?}");
    assert_eq!(find("nobody@example.test").await.len(), 1);
    // A part of an address is another one.
    assert!(find("ve@elsewhere.test").await.is_empty());
}

#[tokio::test]
async fn that_a_message_was_judged_is_told_though_nothing_was_noticed() {
    let world = relay(|_| {}).await;
    let mut client = greeted(&world).await;
    let date = date(world.room.clock.now());
    let content = format!(
        "From: Eve <eve@elsewhere.test>\r\nTo: ann@example.test\r\nSubject: Tomorrow\r\nDate: {date}\r\n\
         Message-ID: <1@elsewhere.test>\r\n\r\nSee you at ten.\r\n"
    );
    assert!(send(&mut client, &["ann"], &content).await.starts_with("250"));
    let journal = &world.room.journal;
    journal.flush().await;
    let query = Query { kinds: vec![EventKind::Verdict], ..Query::default() };
    let verdicts = journal.query(&query).await.unwrap();
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    let details = &verdicts[0].details;
    assert_eq!((&details["decision"], &details["signals"]), (&"accept".into(), &serde_json::json!([])));
}
