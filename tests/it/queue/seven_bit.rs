//! Hosts that accept only 7-bit lines get a form they can accept, the others the original.

use postrider::foundations::event::EventKind;
use postrider::foundations::mail::{BodyKind, Mail, Message};
use postrider::storage::database::Database;

use super::peer::Peer;
use super::world::{SetUp, World, mail};

crate::accounts::engines::on_every_engine!(
    content_is_encoded_for_the_host_that_needs_it,
    what_must_not_be_changed_comes_back,
    the_size_is_that_of_what_is_sent,
);

const OLD: &[&str] = &["PIPELINING", "SIZE 1000000"];

fn declared(to: &[&str], body: BodyKind, message: &str) -> Mail {
    let mut mail = mail(to);
    mail.envelope.body = body;
    mail.message = Message::new(format!("Message-ID: <1@example.test>\r\nFrom: ann@sender.test\r\n{message}"));
    mail
}

async fn world(database: Database) -> World {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2\ny.test A 192.0.2.3").unwrap();
    world.queue.start();
    world
}

async fn content_is_encoded_for_the_host_that_needs_it(database: Database) {
    let world = world(database).await;
    let (x, y) =
        (world.network.host("192.0.2.1", Peer::new().extensions(OLD)), world.network.host("192.0.2.3", Peer::new()));
    let text = "Content-Type: text/plain; charset=utf-8\r\n\r\n.gr\u{fc}n\r\n";
    let id = world.send(&declared(&["a@x.test", "b@y.test"], BodyKind::EightBitMime, text)).await;
    world.until_empty().await;
    let [taken] = &x.taken()[..] else { panic!("{:?}", x.taken()) };
    assert!(taken.data.ends_with(
        "Content-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=2Egr=C3=BCn\r\n"
    ), "{taken:?}");
    assert_eq!(taken.mail, format!("MAIL FROM:<ann@sender.test> SIZE={}", taken.data.len()));
    let [taken] = &y.taken()[..] else { panic!("{:?}", y.taken()) };
    assert!(taken.data.ends_with("\r\n\r\n.gr\u{fc}n\r\n") && taken.mail.ends_with(" BODY=8BITMIME"), "{taken:?}");
    // The queue is empty a moment before its events are recorded.
    world.until("both are told of", async || world.events(id, EventKind::Relayed).await.len() == 2).await;
    let mut relayed = world.events(id, EventKind::Relayed).await;
    relayed.sort_by_key(|event| event.subject.clone());
    let converted = relayed.iter().map(|event| event.details.get("converted").cloned()).collect::<Vec<_>>();
    assert_eq!(converted, [Some("7bit".into()), None]);
    // Octets without lines go to a host that accepts lines, of eight bits or of seven.
    let octets =
        "MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0bare\nfeeds\n";
    world.send(&declared(&["a@x.test", "b@y.test"], BodyKind::BinaryMime, octets)).await;
    world.until_empty().await;
    for peer in [x, y] {
        let [_, taken] = &peer.taken()[..] else { panic!("{:?}", peer.taken()) };
        assert!(taken.data.ends_with("Content-Transfer-Encoding: base64\r\n\r\nAGJhcmUKZmVlZHMK\r\n"), "{taken:?}");
        assert!(!taken.mail.contains("BODY"), "{taken:?}");
    }
    world.restart().await;
}

async fn what_must_not_be_changed_comes_back(database: Database) {
    let world = world(database).await;
    let x = world.network.host("192.0.2.1", Peer::new().extensions(OLD));
    let sender = world.network.host("192.0.2.2", Peer::new());
    let signed = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ngr\u{fc}n\r\n--b--\r\n";
    let id = world.send(&declared(&["a@x.test"], BodyKind::EightBitMime, signed)).await;
    world.until_empty().await;
    let failed = world.events(id, EventKind::Failed).await;
    assert_eq!((failed.len(), &failed[0].details["status"]), (1, &"5.6.3".into()));
    let [told] = &sender.taken()[..] else { panic!("{:?}", sender.taken()) };
    assert!(told.data.contains("signed or encrypted"), "{told:?}");
    assert_eq!(x.taken(), []);
    // Nobody has asked for more than relaying.
    world.send(&declared(&["a@x.test"], BodyKind::SevenBit, signed)).await;
    world.until_empty().await;
    assert!(x.taken()[0].data.ends_with("gr\u{fc}n\r\n--b--\r\n"));
    world.restart().await;
}

async fn the_size_is_that_of_what_is_sent(database: Database) {
    let world = world(database).await;
    let x = world.network.host("192.0.2.1", Peer::new().extensions(&["SIZE 3000"]));
    world.network.host("192.0.2.2", Peer::new());
    let grows = format!("\r\n{}\r\n", "\u{fc}".repeat(1_000));
    let id = world.send(&declared(&["a@x.test"], BodyKind::EightBitMime, &grows)).await;
    world.until_empty().await;
    let failed = world.events(id, EventKind::Failed).await;
    assert_eq!((failed.len(), &failed[0].details["status"]), (1, &"5.3.4".into()));
    assert_eq!(x.taken(), []);
    world.restart().await;
}
