//! Queued mail for our own mailboxes.

use std::time::Duration;

use postrider::foundations::mail::{Notify, Recipient};
use postrider::services::handover::{Bound, Postponed};
use postrider::storage::database::{Database, Dialect};
use postrider::storage::directory::{OldAddress, Owner, Renaming, Source};
use postrider::storage::spool::Action;

use super::peer::Peer;
use super::world::{SetUp, World, mail, mail_to};

use crate::accounts::engines;

engines::on_every_engine!(
    waits_for_a_full_mailbox,
    what_waits_follows_its_user,
    what_waits_for_another_server_comes_home,
    notifications_reach_our_own,
    success_is_told,
);

async fn with_users(database: Database, users: &[&str]) -> World {
    let world = World::new(database, SetUp::default());
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_domain(&"sender.test".parse().unwrap(), Owner::Admin).await.unwrap();
    for address in users {
        edit.add_user(&crate::accounts::world::user(address)).await.unwrap();
    }
    edit.commit().await.unwrap();
    world
}

async fn waits_for_a_full_mailbox(database: Database) {
    let world = with_users(database, &["bob@sender.test"]).await;
    world.mailboxes.full.lock().push("bob@sender.test".to_owned());
    world.queue.start();
    let recipients = vec![(Recipient::plain("bob@sender.test".parse().unwrap()), Bound::Here)];
    let mail = mail(&[]);
    let postponed = Postponed { mail: &mail, message_id: None, recipients, hold: None };
    let id = world.queue.enqueue(postponed).await.unwrap();
    world.until_tried(id, 1).await;
    let left = world.queue.show(id).await.unwrap().recipients;
    assert_eq!(left[0].last_reply.as_deref(), Some("452 4.2.2 The mailbox is full"));
    world.mailboxes.full.lock().clear();
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    assert_eq!(world.mailboxes.stored.lock().len(), 1);
    world.restart().await;
}

async fn what_waits_follows_its_user(database: Database) {
    let world = with_users(database, &["bob@sender.test", "bobby@sender.test"]).await;
    let mail = mail(&[]);
    let addresses = ["bob@sender.test", "bob-shop@sender.test", "bob+shop@sender.test", "bobby@sender.test"];
    let recipients = addresses.map(|one| (Recipient::plain(one.parse().unwrap()), Bound::Here)).to_vec();
    let postponed = Postponed { mail: &mail, message_id: None, recipients, hold: None };
    let id = world.queue.enqueue(postponed).await.unwrap();
    let (from, to) = ("bob@sender.test".parse().unwrap(), "rob@sender.test".parse().unwrap());
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_alias(&Source::parse("shop@sender.test").unwrap(), "bob-shop@sender.test", Owner::Admin).await.unwrap();
    edit.rename_user(&Renaming { from: &from, to: &to, old: OldAddress::GivenUp, tag_separator: Some('-') })
        .await
        .unwrap();
    edit.commit().await.unwrap();
    let waiting = world.queue.show(id).await.unwrap().recipients;
    let waiting: Vec<_> = waiting.iter().map(|one| one.recipient.address.to_string()).collect();
    assert_eq!(waiting, ["rob@sender.test", "rob-shop@sender.test", "bob+shop@sender.test", "bobby@sender.test"]);
    let everything = world.directory.everything().await.unwrap();
    assert_eq!(everything.aliases[0].1.destination, "rob-shop@sender.test");
    world.restart().await;
}

/// The domain has moved here meanwhile.
async fn what_waits_for_another_server_comes_home(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\ny.test A 192.0.2.2").unwrap();
    let old = world.network.host("192.0.2.1", Peer::new());
    let other = world.network.host("192.0.2.2", Peer::new());
    for host in [&old, &other] {
        host.answers("RCPT", "451 4.7.1 Later", 1);
    }
    world.queue.start();
    let id = world.send(&mail(&["bob@x.test", "cat@y.test"])).await;
    world.until_tried(id, 1).await;
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_domain(&"x.test".parse().unwrap(), Owner::Admin).await.unwrap();
    edit.add_user(&crate::accounts::world::user("bob@x.test")).await.unwrap();
    edit.commit().await.unwrap();
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    let stored: Vec<String> = world.mailboxes.stored.lock().iter().map(|(account, _)| account.clone()).collect();
    assert_eq!(stored, ["bob@x.test"]);
    let asked = old.heard.lock().iter().filter(|line| line.starts_with("RCPT")).count();
    assert_eq!((asked, old.taken().len(), other.taken().len()), (1, 0, 1));
    world.restart().await;
}

/// One engine is enough: triggers are written differently on each.
#[test]
fn a_database_that_refuses_one_recipient_keeps_no_other_waiting() {
    engines::run(Dialect::Sqlite, refused_to_one);
}

async fn refused_to_one(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("y.test A 192.0.2.2").unwrap();
    let other = world.network.host("192.0.2.2", Peer::new());
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_domain(&"x.test".parse().unwrap(), Owner::Admin).await.unwrap();
    edit.add_user(&crate::accounts::world::user("bob@x.test")).await.unwrap();
    edit.commit().await.unwrap();
    // He can neither be sent elsewhere nor held.
    let sql = "CREATE TRIGGER refuse BEFORE UPDATE OF destination, state ON queue_recipients \
               WHEN NEW.address = 'bob@x.test' AND NEW.owner IS NULL BEGIN SELECT RAISE(ABORT, 'not now'); END";
    world.database.execute(sql, &[]).await.unwrap();
    world.send(&mail(&["bob@x.test"])).await;
    world.send(&mail(&["cat@y.test"])).await;
    world.queue.start();
    world.until("the other one is sent", async || other.taken().len() == 1).await;
    world.database.execute("DROP TRIGGER refuse", &[]).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    world.until_empty().await;
    assert_eq!(world.mailboxes.stored.lock().len(), 1);
    world.restart().await;
}

async fn notifications_reach_our_own(database: Database) {
    let world = with_users(database, &["zoe@sender.test"]).await;
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_alias(&Source::parse("ann@sender.test").unwrap(), "zoe@sender.test", Owner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    world.zone.add("null.test MX 0 .").unwrap();
    world.queue.start();
    world.send(&mail(&["a@null.test"])).await;
    world.until_empty().await;
    let stored = world.mailboxes.stored.lock().clone();
    assert_eq!((stored.len(), stored[0].0.as_str()), (1, "zoe@sender.test"));
    assert!(stored[0].1.contains("Status: 5.1.10"));
    world.restart().await;
}

async fn success_is_told(database: Database) {
    let world = with_users(database, &["ann@sender.test", "bob@sender.test", "cat@sender.test"]).await;
    world.mailboxes.passing.lock().push("cat@sender.test".to_owned());
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_alias(&Source::parse("later@sender.test").unwrap(), "bob@sender.test", Owner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    world.zone.add("x.test A 192.0.2.1\ny.test A 192.0.2.2").unwrap();
    world.network.host("192.0.2.1", Peer::new());
    let knows = world.network.host("192.0.2.2", Peer::new().extensions(&["DSN"]));
    world.queue.start();
    let wants = |address: &str| Recipient {
        notify: Notify { success: true, failure: false, delay: false, explicit: true },
        ..Recipient::plain(address.parse().unwrap())
    };
    let mut mail = mail_to(Vec::new());
    mail.envelope.dsn.envelope_id = Some("my+id".to_owned());
    let recipients = vec![
        (wants("bob@sender.test"), Bound::Here),
        (wants("cat@sender.test"), Bound::Here),
        (wants("a@x.test"), Bound::Elsewhere),
        (wants("a@y.test"), Bound::Elsewhere),
        (wants("sales@sender.test"), Bound::PassedOn(Action::Expanded)),
        // An alias since it was queued.
        (wants("later@sender.test"), Bound::Here),
    ];
    let postponed = Postponed { mail: &mail, message_id: None, recipients, hold: None };
    world.queue.enqueue(postponed).await.unwrap();
    world.until_empty().await;
    assert_eq!(knows.taken()[0].recipients, ["RCPT TO:<a@y.test> NOTIFY=SUCCESS"]);
    assert!(knows.taken()[0].mail.ends_with("ENVID=my+2Bid"), "{}", knows.taken()[0].mail);
    let told: String = world
        .mailboxes
        .stored
        .lock()
        .iter()
        .filter(|one| one.0 == "ann@sender.test")
        .map(|one| one.1.clone())
        .collect();
    assert!(told.contains("Original-Envelope-Id: my+id\r\n"), "{told}");
    assert!(told.contains("rfc822; bob@sender.test\r\nAction: delivered\r\n"), "{told}");
    assert!(told.contains("rfc822; cat@sender.test\r\nAction: relayed\r\n"), "{told}");
    assert!(told.contains("rfc822; a@x.test\r\nAction: relayed\r\n"), "{told}");
    assert!(told.contains("rfc822; sales@sender.test\r\nAction: expanded\r\n"), "{told}");
    assert!(told.contains("rfc822; later@sender.test\r\nAction: relayed\r\n"), "{told}");
    // Not of whom aliases lead to.
    assert_eq!(told.matches("Action: delivered").count(), 1, "{told}");
    // RFC 3461 §9.2: the folder is nobody's business; `smtp` is for replies.
    assert!(!told.contains("INBOX") && told.matches("Diagnostic-Code: ").count() == 1, "{told}");
    assert!(told.contains("Diagnostic-Code: smtp; 250 2.0.0 Taken\r\n"), "{told}");
    assert!(!told.contains("a@y.test"), "the next host tells about that one: {told}");
    world.restart().await;
}
