//! Who is notified of what, and who is not.

use postrider::foundations::address::ReversePath;
use postrider::foundations::event::EventKind;
use postrider::foundations::mail::{DsnReturn, Notify, OriginalRecipient, Recipient};
use postrider::services::queue::{Change, QueueSettings};
use postrider::storage::database::Database;
use postrider::storage::directory::{Owner, Source};
use postrider::storage::journal::Query;

use super::peer::Peer;
use super::world::{SetUp, World, mail, mail_to};

crate::accounts::engines::on_every_engine!(
    never_answers_a_notification,
    the_postmaster_may_see_double_bounces,
    a_postmaster_who_cannot_be_reached_is_told_once,
    an_alias_of_the_postmaster_that_leads_nowhere_is_followed_once,
    wishes_are_honoured,
    an_administrator_gives_up,
);

const ZONE: &str = "null.test MX 0 .\nsender.test A 192.0.2.2\noffice.test A 192.0.2.3";

async fn never_answers_a_notification(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add(ZONE).unwrap();
    world.queue.start();
    let mut mail = mail(&["a@null.test"]);
    mail.envelope.reverse_path = ReversePath::Null;
    let id = world.send(&mail).await;
    world.until_empty().await;
    world.until("it is recorded", async || world.events(id, EventKind::Failed).await.len() == 1).await;
    assert_eq!(world.events(id, EventKind::NotificationSent).await.len(), 0);
    world.restart().await;
}

async fn the_postmaster_may_see_double_bounces(database: Database) {
    let postmaster = Some("postmaster@office.test".parse().unwrap());
    let queue = QueueSettings { double_bounces_to: postmaster, ..QueueSettings::default() };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    world.zone.add(ZONE).unwrap();
    let office = world.network.host("192.0.2.3", Peer::new());
    world.queue.start();
    let mut mail = mail(&["a@null.test"]);
    mail.envelope.reverse_path = ReversePath::Null;
    world.send(&mail).await;
    world.until_empty().await;
    let taken = office.taken();
    assert_eq!((taken.len(), taken[0].mail.starts_with("MAIL FROM:<>")), (1, true));
    assert!(taken[0].data.contains("Subject: A notification could not be delivered\r\n"), "{}", taken[0].data);
    world.restart().await;
}

/// Loses a notification because the postmaster cannot be told of it.
async fn tells_once(database: Database, postmaster: &str) {
    let queue = QueueSettings { double_bounces_to: Some(postmaster.parse().unwrap()), ..QueueSettings::default() };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    world.zone.add(ZONE).unwrap();
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_domain(&"here.test".parse().unwrap(), Owner::Admin).await.unwrap();
    edit.add_alias(&Source::parse("postmaster@here.test").unwrap(), "gone@null.test", Owner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    world.queue.start();
    let mut mail = mail(&["a@null.test"]);
    mail.envelope.reverse_path = ReversePath::Null;
    world.send(&mail).await;
    world.until_empty().await;
    let told = Query { kinds: vec![EventKind::NotificationSent], ..Query::default() };
    world
        .until("it was told once", async || {
            world.journal.flush().await;
            world.journal.query(&told).await.unwrap().len() == 1
        })
        .await;
    world.restart().await;
}

async fn a_postmaster_who_cannot_be_reached_is_told_once(database: Database) {
    tells_once(database, "postmaster@null.test").await;
}

async fn an_alias_of_the_postmaster_that_leads_nowhere_is_followed_once(database: Database) {
    tells_once(database, "postmaster@here.test").await;
}

async fn wishes_are_honoured(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add(ZONE).unwrap();
    let sender = world.network.host("192.0.2.2", Peer::new());
    world.queue.start();
    let never = Recipient { notify: Notify::NEVER, ..Recipient::plain("never@null.test".parse().unwrap()) };
    let original = OriginalRecipient { address_type: "rfc822".to_owned(), address: "List@Example.Org".to_owned() };
    let always = Recipient { original: Some(original), ..Recipient::plain("list-owner@null.test".parse().unwrap()) };
    let international = Recipient::plain("jos\u{e9}@null.test".parse().unwrap());
    let mut mail = mail_to(vec![never, always, international]);
    mail.envelope.dsn.ret = Some(DsnReturn::Headers);
    world.send(&mail).await;
    world.until_empty().await;
    let taken = sender.taken();
    assert_eq!(taken.len(), 1);
    let text = &taken[0].data;
    assert!(!text.contains("never@null.test"), "{text}");
    assert!(text.contains("Original-Recipient: rfc822; List@Example.Org\r\n"), "{text}");
    assert!(text.contains("(you wrote to List@Example.Org)"), "{text}");
    assert!(text.contains("Final-Recipient: utf-8; jos\\x{E9}@null.test\r\n"), "{text}");
    assert!(text.contains("Subject: hello\r\n") && !text.contains(".dotted"), "{text}");
    world.restart().await;
}

async fn an_administrator_gives_up(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add(ZONE).unwrap();
    world.zone.add("x.test FAIL").unwrap();
    let sender = world.network.host("192.0.2.2", Peer::new());
    world.queue.start();
    let id = world.send(&mail(&["a@x.test"])).await;
    world.until_tried(id, 1).await;
    world.queue.bounce(id, &world.journal).await.unwrap();
    world.until_empty().await;
    assert!(sender.taken()[0].data.contains("Status: 5.7.0\r\n"), "{}", sender.taken()[0].data);
    assert!(world.queue.bounce(id, &world.journal).await.is_err());
    let id = world.send(&mail(&["a@x.test"])).await;
    world.queue.change(&Change::Delete(id)).await.unwrap();
    world.until_empty().await;
    assert_eq!(sender.taken().len(), 1);
    world.restart().await;
}
