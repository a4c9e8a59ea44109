//! Hosts that answer too early, or in pieces: only the reply to the end of a message says that it was accepted.

use std::time::Duration;

use postrider::foundations::mail::{BodyKind, Mail, Message};
use postrider::services::queue::Change;
use postrider::storage::database::Database;

use super::peer::{HANG_UP, Peer};
use super::world::{SetUp, World, mail};

crate::accounts::engines::on_every_engine!(
    replies_ahead_of_time_deliver_nothing,
    a_yes_in_the_middle_of_a_message_delivers_nothing,
    a_no_in_the_middle_of_a_message_is_believed,
    replies_in_single_octets_are_understood,
    a_chunk_without_a_reply_may_have_arrived,
);

const BINARY: &[&str] = &["PIPELINING", "8BITMIME", "BINARYMIME", "CHUNKING"];

/// A message sent by BDAT, if `binary`, long enough for a host to speak before the end of it.
fn long(binary: bool) -> Mail {
    let mut mail = mail(&["a@x.test"]);
    let line = if binary { "x\0\n" } else { "line after line\r\n" };
    mail.message = Message::new(format!("Message-ID: <1@example.test>\r\n\r\n{}", line.repeat(100_000)));
    if binary {
        mail.envelope.body = BodyKind::BinaryMime;
    }
    mail
}

fn binary() -> Mail {
    Mail { message: Message::new("Message-ID: <1@example.test>\r\n\r\n\0bare\nfeeds\n"), ..long(true) }
}

async fn world(database: Database) -> World {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    world.queue.start();
    world
}

/// Sends a message; returns the last reply of the attempt, after which it is still here.
async fn put_off(world: &World, mail: &Mail) -> String {
    let id = world.send(mail).await;
    world.until_tried(id, 1).await;
    let left = world.queue.show(id).await.unwrap().recipients;
    assert_eq!(left.len(), 1, "the message is still here");
    world.queue.change(&Change::Delete(id)).await.unwrap();
    world.until_quiet().await;
    world.clock.advance(Duration::from_secs(24 * 3600));
    left[0].last_reply.clone().unwrap_or_default()
}

async fn replies_ahead_of_time_deliver_nothing(database: Database) {
    let world = world(database).await;
    let all = "220 peer ESMTP\r\n250 peer\r\n250 2.1.0 Fine\r\n250 2.1.5 Fine\r\n354 Go on\r\n250 2.0.0 Taken";
    let cases = [
        ("", "", Peer::new().greeting(all)),
        ("RCPT", "250 2.1.5 Fine\r\n354 Go on\r\n250 2.0.0 Taken", Peer::new()),
        ("DATA", "354 Go on\r\n250 2.0.0 Taken", Peer::new()),
        ("RCPT", "250 2.1.5 Fine\r\n250 2.0.0 Taken", Peer::new().extensions(BINARY)),
    ];
    for (command, reply, peer) in cases {
        let chunks = command == "RCPT" && !reply.contains("354");
        let peer = world.network.host("192.0.2.1", peer);
        if !command.is_empty() {
            peer.answers(command, reply, 9);
        }
        let said = put_off(&world, &if chunks { binary() } else { mail(&["a@x.test"]) }).await;
        assert!(said.contains("answered out of turn"), "{command} {reply:?}: {said}");
        assert_eq!(peer.taken(), [], "{command} {reply:?}");
    }
    // A second reply to one message is not the first to the next.
    let peer = world.network.host("192.0.2.1", Peer::new());
    peer.answers("(end)", "250 2.0.0 Taken\r\n250 2.0.0 Taken", 9);
    for _ in 0..3 {
        world.send(&mail(&["a@x.test"])).await;
    }
    world.until_empty().await;
    assert_eq!(peer.taken().len(), 3);
    world.restart().await;
}

async fn a_yes_in_the_middle_of_a_message_delivers_nothing(database: Database) {
    let world = world(database).await;
    for binary in [false, true] {
        for early in ["250 2.0.0 Taken", "421 4.3.2 Going down"] {
            let peer = world.network.host("192.0.2.1", Peer::new().extensions(BINARY).impatient(early));
            let said = put_off(&world, &long(binary)).await;
            let wanted = if early.starts_with('2') { "answered out of turn: 250 2.0.0 Taken" } else { early };
            assert!(said.contains(wanted), "{said}");
            assert_eq!(peer.taken(), []);
        }
    }
    world.restart().await;
}

async fn a_no_in_the_middle_of_a_message_is_believed(database: Database) {
    let world = world(database).await;
    let sender = world.network.host("192.0.2.2", Peer::new());
    for binary in [false, true] {
        world.network.host("192.0.2.1", Peer::new().extensions(BINARY).impatient("452 4.3.1 Full"));
        assert_eq!(put_off(&world, &long(binary)).await, "452 4.3.1 Full");
        world.network.host("192.0.2.1", Peer::new().extensions(BINARY).impatient("552 5.3.4 Too large"));
        world.send(&long(binary)).await;
        world.until_empty().await;
    }
    let reports = sender.taken();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|report| report.data.contains("552 5.3.4 Too large")), "{reports:?}");
    world.restart().await;
}

async fn replies_in_single_octets_are_understood(database: Database) {
    let world = world(database).await;
    let peer = world.network.host("192.0.2.1", Peer::new().extensions(BINARY).dribbles());
    peer.answers("RCPT TO:<b", "550-5.1.1 Nobody\r\n550 5.1.1 here", 9);
    world.network.host("192.0.2.2", Peer::new());
    for mail in [mail(&["a@x.test", "b@x.test", "c@x.test"]), binary(), long(true), long(false)] {
        world.send(&mail).await;
    }
    world.until_empty().await;
    let recipients = peer.taken().iter().map(|taken| taken.recipients.len()).sum::<usize>();
    assert_eq!(recipients, 2 + 3);
    world.restart().await;
}

async fn a_chunk_without_a_reply_may_have_arrived(database: Database) {
    let world = world(database).await;
    let peer = world.network.host("192.0.2.1", Peer::new().extensions(BINARY));
    peer.answers("BDAT", HANG_UP, 1);
    let id = world.send(&binary()).await;
    world.until_tried(id, 1).await;
    assert_eq!(world.queue.show(id).await.unwrap().recipients.len(), 1);
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    assert_eq!(peer.taken().len(), 1);
    world.restart().await;
}
