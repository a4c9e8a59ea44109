//! Claimed recipients are handled, once.

use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::address::ReversePath;
use postrider::foundations::clock::Clock;
use postrider::foundations::event::EventKind;
use postrider::foundations::ids::QueueId;
use postrider::foundations::mail::Recipient;
use postrider::services::handover::{Bound, Postponed};
use postrider::services::queue::{Change, Error, QueueSettings};
use postrider::storage::database::Database;
use postrider::storage::directory::Owner;
use postrider::storage::spool::{Claim, NewEntry, NewRecipient, RecipientState, Selection};

use tokio::sync::Semaphore;

use super::peer::Peer;
use super::spool::{claim, to};
use super::world::{SetUp, World, mail};

crate::accounts::engines::on_every_engine!(
    a_claim_whose_answer_was_lost_is_given_back,
    a_large_mailing_keeps_no_other_sender_waiting,
    whoever_came_between_two_large_mailings_does_not_wait_for_the_first,
    a_row_that_makes_no_sense_keeps_nobody_waiting,
    a_body_that_cannot_be_removed_keeps_nobody_waiting,
    a_note_that_cannot_be_read_keeps_nobody_waiting,
    a_worker_that_panics_frees_its_place,
    a_scheduler_that_panics_begins_anew,
    a_clock_put_forward_sends_nothing_twice,
    a_claim_that_others_have_freed_sends_nothing_twice,
    a_clock_put_back_keeps_nothing_waiting,
    a_clock_put_right_during_a_stop_keeps_nothing_waiting,
    a_release_during_an_attempt_sends_nothing_twice,
    what_is_held_after_it_was_claimed_is_not_tried,
    giving_up_waits_for_the_attempt_under_way,
);

async fn a_claim_whose_answer_was_lost_is_given_back(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\ny.test A 192.0.2.2").unwrap();
    let (x, y) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    world.queue.start();
    world.send(&mail(&["a@y.test"])).await;
    world.until("the queue works", async || y.taken().len() == 1).await;
    let later = world.clock.now() + Duration::from_secs(3_600);
    let recipient = NewRecipient {
        recipient: Recipient::plain("a@x.test".parse().unwrap()),
        destination: "mx:x.test".parse().unwrap(),
        due_at: later,
        expires_at: later,
        warn_at: None,
        report: None,
    };
    let mail = mail(&[]);
    let new = NewEntry { mail: &mail, recipients: vec![recipient], message_id: None, hold: None };
    let id = world.spool.commit(new).await.unwrap();
    // The row as a claim leaves it; the database server has committed, but nobody here has received the answer.
    let sql = "UPDATE queue_recipients SET owner = ? WHERE entry = ?";
    world.database.execute(sql, &["mail.example.test".into(), id.to_string().into()]).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    world.until_empty().await;
    assert_eq!(x.taken().len(), 1);
    world.restart().await;
}

/// Recipients of messages from these senders, each so many, in the order in which the messages come.
async fn from(world: &World, senders: &[(&str, usize)]) {
    for (sender, count) in senders {
        let mut mail = mail(&[]);
        mail.envelope.reverse_path = ReversePath::Address(sender.parse().unwrap());
        let recipients = (0..*count).map(|n| to(&format!("r{n}@x.test"), "mx:x.test", world)).collect();
        world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
}

const SENDERS: [&str; 3] = ["ann@sender.test", "bob@sender.test", "eve@sender.test"];

/// Claims recipients; of each of those senders so many.
async fn claimed_for(world: &World, claim: Claim<'_>) -> [usize; 3] {
    let claimed = world.spool.claim(claim).await.unwrap();
    SENDERS.map(|sender| {
        let groups = claimed.iter().filter(|group| group.entry.party() == sender);
        groups.map(|group| group.recipients.len()).sum()
    })
}

async fn a_large_mailing_keeps_no_other_sender_waiting(database: Database) {
    let world = World::new(database, SetUp::default());
    let [ann, bob, eve] = SENDERS;
    from(&world, &[(ann, 400), (ann, 400), (ann, 400), (bob, 2)]).await;
    assert_eq!(claimed_for(&world, Claim { limit: 50, ..claim(&[]) }).await, [48, 2, 0]);
    // What is in hand of a sender counts, however long the others have been due.
    from(&world, &[(eve, 1), (ann, 1)]).await;
    let in_hand = [(ann.to_owned(), 48)];
    assert_eq!(claimed_for(&world, Claim { limit: 1, in_hand: &in_hand, ..claim(&[]) }).await, [0, 0, 1]);
    assert_eq!(claimed_for(&world, Claim { limit: 1, in_hand: &in_hand, ..claim(&[]) }).await, [1, 0, 0]);
    // Nobody is forgotten.
    let mut rest = 0;
    loop {
        match claimed_for(&world, claim(&[])).await {
            [0, 0, 0] => break,
            [ann, ..] => rest += ann,
        }
    }
    assert_eq!(rest, 1_200 + 1 - 48 - 1);
    world.restart().await;
}

async fn whoever_came_between_two_large_mailings_does_not_wait_for_the_first(database: Database) {
    let world = World::new(database, SetUp::default());
    let [ann, bob, eve] = SENDERS;
    from(&world, &[(ann, 400); 4]).await;
    from(&world, &[(bob, 1), (eve, 1), (ann, 400), (ann, 400), (ann, 400)]).await;
    let mut claims = 0;
    let mut waiting = 2;
    while waiting > 0 {
        claims += 1;
        let [_, of_bob, of_eve] = claimed_for(&world, Claim { limit: 10, ..claim(&[]) }).await;
        waiting -= of_bob + of_eve;
        assert!(claims < 10, "only mail of {ann} is claimed");
    }
    // Those that were passed over are not forgotten.
    let mut left = 7 * 400 + 2 - 10 * claims;
    while left > 0 {
        let claimed: usize = claimed_for(&world, claim(&[])).await.iter().sum();
        assert!(claimed > 0, "{left}");
        left -= claimed;
    }
    world.restart().await;
}

async fn a_row_that_makes_no_sense_keeps_nobody_waiting(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    let (bad, _) = (world.send(&mail(&["a@x.test"])).await, world.send(&mail(&["b@x.test"])).await);
    // The state after a crash in the middle of sending, before the queue looks at it for the first time.
    let sql = "UPDATE queue_recipients SET recipient = ?, owner = ?, sending_since = ? WHERE entry = ?";
    let (claimant, now) = ("mail.example.test", world.clock.now());
    world.database.execute(sql, &["{".into(), claimant.into(), now.into(), bad.to_string().into()]).await.unwrap();
    world.queue.start();
    world.until("the other one is sent", async || peer.taken().len() == 1).await;
    world.until("the bad one is held", async || world.queue.counts().await.unwrap().held == 1).await;
    let reason = "SELECT hold_reason FROM queue_entries WHERE id = ?";
    let row = world.database.fetch_optional(reason, &[bad.to_string().into()]).await.unwrap().unwrap();
    assert!(row.text(0).unwrap().ends_with("cannot be understood: recipient"), "{}", row.text(0).unwrap());
    assert!(world.queue.show(bad).await.unwrap_err().to_string().contains("cannot be understood"));
    let listed = world.queue.list(&Selection::All, None, 10).await.unwrap();
    assert!(listed.iter().any(|one| one.entry.id == bad && one.unreadable == 1), "{listed:?}");
    world.queue.change(&Change::Delete(bad)).await.unwrap();
    world.until_empty().await;
    world.restart().await;
}

async fn a_body_that_cannot_be_removed_keeps_nobody_waiting(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    // It belongs to no entry, and is not a file that could be deleted as one.
    std::fs::create_dir_all(world.body(QueueId::generate(world.clock.now()))).unwrap();
    world.clock.advance(Duration::from_secs(2 * 3_600));
    assert!(world.spool.sweep().await.is_err());
    world.queue.start();
    world.send(&mail(&["a@x.test"])).await;
    world.until("the message is sent", async || peer.taken().len() == 1).await;
    world.until_empty().await;
    world.restart().await;
}

async fn a_note_that_cannot_be_read_keeps_nobody_waiting(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let x = world.network.host("192.0.2.1", Peer::new());
    let id = world.send(&mail(&["a@x.test", "b@x.test"])).await;
    let key = world.queue.show(id).await.unwrap().recipients[0].key;
    // A directory cannot be read as a file.
    let note = world.body(id).parent().unwrap().with_file_name("unsettled").join(format!("{id}.{key}"));
    std::fs::create_dir_all(&note).unwrap();
    world.queue.start();
    world.until("the other one is sent", async || x.taken().len() == 1).await;
    assert_eq!(x.taken()[0].recipients, ["RCPT TO:<b@x.test>"]);
    world
        .until("one is left, held", async || {
            let left = world.queue.show(id).await.unwrap().recipients;
            left.len() == 1 && left[0].state == RecipientState::Held
        })
        .await;
    let told = world.events(id, EventKind::QueueChanged).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].details.contains_key("unreadable_note") && told[0].subject.as_deref() == Some("a@x.test"));
    // It is held for good, and once: a process that has looked lets it go.
    let world = world.restart().await;
    world.queue.change(&Change::Release(Selection::Entry(id))).await.unwrap();
    world.queue.start();
    world.until_empty().await;
    assert_eq!(x.taken().len(), 2);
    world.restart().await;
}

async fn a_worker_that_panics_frees_its_place(database: Database) {
    let queue = QueueSettings { local_deliveries: 1, connections: 1, ..QueueSettings::default() };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_domain(&"sender.test".parse().unwrap(), Owner::Admin).await.unwrap();
    for address in ["ann@sender.test", "bob@sender.test"] {
        edit.add_user(&crate::accounts::world::user(address)).await.unwrap();
    }
    edit.commit().await.unwrap();
    world.mailboxes.broken.lock().push("bob@sender.test".to_owned());
    world.queue.start();
    let mail = mail(&[]);
    let enqueue = |address: &str| {
        let recipients = vec![(Recipient::plain(address.parse().unwrap()), Bound::Here)];
        world.queue.enqueue(Postponed { mail: &mail, message_id: None, recipients, hold: None })
    };
    let id = enqueue("bob@sender.test").await.unwrap();
    world.until_tried(id, 1).await;
    let left = world.queue.show(id).await.unwrap().recipients;
    assert_eq!(left[0].state, RecipientState::Waiting);
    assert!(left[0].last_reply.as_deref().is_some_and(|reply| reply.contains("fault of this program")), "{left:?}");
    enqueue("ann@sender.test").await.unwrap();
    world.until("the next one is delivered", async || world.mailboxes.stored.lock().len() == 1).await;
    world.mailboxes.broken.lock().clear();
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    world.restart().await;
}

async fn a_scheduler_that_panics_begins_anew(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let (peer, gate) = slow();
    let x = world.network.host("192.0.2.1", peer);
    world.queue.start();
    world.send(&mail(&["a@x.test"])).await;
    world.until("it is in flight", async || x.heard.lock().iter().any(|line| line == "DATA")).await;
    world.clock.break_down();
    world.send(&mail(&["b@x.test"])).await;
    world.until("the scheduler has panicked", async || !world.clock.is_about_to_break_down()).await;
    world.send(&mail(&["c@x.test"])).await;
    gate.add_permits(9);
    world.until_empty().await;
    // Messages in flight meanwhile were not sent again.
    assert_eq!(x.taken().len(), 3);
    world.restart().await;
}

/// A host that answers the end of a message when the test allows it.
fn slow() -> (Peer, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    (Peer::new().waits_for(Arc::clone(&gate)), gate)
}

/// Does something while a message is in flight, and checks that it was sent once, over one connection.
async fn sends_once_though(database: Database, meanwhile: impl AsyncFnOnce(&World, QueueId)) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\ny.test A 192.0.2.2").unwrap();
    let (peer, gate) = slow();
    let (x, y) = (world.network.host("192.0.2.1", peer), world.network.host("192.0.2.2", Peer::new()));
    world.queue.start();
    let id = world.send(&mail(&["a@x.test"])).await;
    world.until("it is in flight", async || x.heard.lock().iter().any(|line| line == "DATA")).await;
    meanwhile(&world, id).await;
    // Anything that arrives later is claimed after what is due by then.
    world.send(&mail(&["b@y.test"])).await;
    world.until("the other one is sent", async || y.taken().len() == 1).await;
    gate.add_permits(9);
    world.until_empty().await;
    assert_eq!((x.taken().len(), x.connections()), (1, 1));
    world.restart().await;
}

async fn a_release_during_an_attempt_sends_nothing_twice(database: Database) {
    sends_once_though(database, async |world: &World, id| {
        assert_eq!(world.queue.change(&Change::Hold(Selection::Entry(id))).await.unwrap(), 1);
        assert_eq!(world.queue.change(&Change::Release(Selection::Entry(id))).await.unwrap(), 1);
    })
    .await;
}

async fn a_clock_put_forward_sends_nothing_twice(database: Database) {
    // Longer than any lease, in one step: nothing can have been renewed in between.
    sends_once_though(database, async |world: &World, _| world.clock.advance(Duration::from_secs(6 * 3_600))).await;
}

async fn a_claim_that_others_have_freed_sends_nothing_twice(database: Database) {
    sends_once_though(database, async |world: &World, id| {
        let marked = "SELECT id FROM queue_recipients WHERE entry = ? AND sending_since IS NOT NULL";
        let is_marked = async || !world.database.fetch_all(marked, &[id.to_string().into()]).await.unwrap().is_empty();
        world.until("it is noted as being sent", is_marked).await;
        // The state after other nodes have taken this one for dead. It is alive, and claims what is due.
        let sql = "UPDATE queue_recipients SET owner = NULL, sending_since = NULL, due_at = ? WHERE entry = ?";
        world.database.execute(sql, &[world.clock.now().into(), id.to_string().into()]).await.unwrap();
    })
    .await;
}

async fn a_clock_put_back_keeps_nothing_waiting(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\ny.test A 192.0.2.2").unwrap();
    let (x, y) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    world.queue.start();
    world.send(&mail(&["a@y.test"])).await;
    world.until("the queue works", async || y.taken().len() == 1).await;
    let recipient = NewRecipient {
        recipient: Recipient::plain("a@x.test".parse().unwrap()),
        destination: "mx:x.test".parse().unwrap(),
        due_at: world.clock.now() + Duration::from_secs(60),
        expires_at: world.clock.now() + Duration::from_secs(86_400),
        warn_at: None,
        report: None,
    };
    let mail_of_x = mail(&[]);
    let new = NewEntry { mail: &mail_of_x, recipients: vec![recipient], message_id: None, hold: None };
    world.spool.commit(new).await.unwrap();
    world.clock.put_back(Duration::from_secs(7_200));
    world.send(&mail(&["b@y.test"])).await;
    world.until("it is noticed", async || y.taken().len() == 2).await;
    world.clock.advance(Duration::from_secs(61));
    world.until_empty().await;
    assert_eq!(x.taken().len(), 1);
    world.restart().await;
}

async fn a_clock_put_right_during_a_stop_keeps_nothing_waiting(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\ny.test A 192.0.2.2").unwrap();
    let (x, y) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    let year = Duration::from_secs(365 * 86_400);
    for (host, after) in [("x", year), ("y", Duration::from_secs(3_600))] {
        let recipient = NewRecipient {
            recipient: Recipient::plain(format!("a@{host}.test").parse().unwrap()),
            destination: format!("mx:{host}.test").parse().unwrap(),
            due_at: world.clock.now() + after,
            expires_at: world.clock.now() + year,
            warn_at: None,
            report: None,
        };
        let mail = mail(&[]);
        let new = NewEntry { mail: &mail, recipients: vec![recipient], message_id: None, hold: None };
        world.spool.commit(new).await.unwrap();
    }
    world.queue.start();
    world.until("it is tried", async || x.taken().len() == 1).await;
    assert!(y.taken().is_empty(), "an hour may be meant");
    world.restart().await;
}

async fn what_is_held_after_it_was_claimed_is_not_tried(database: Database) {
    let queue = QueueSettings { connections: 1, ..QueueSettings::default() };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let (peer, gate) = slow();
    let x = world.network.host("192.0.2.1", peer);
    world.queue.start();
    world.send(&mail(&["a@x.test"])).await;
    world.until("one is in flight", async || x.heard.lock().iter().any(|line| line == "DATA")).await;
    let id = world.send(&mail(&["b@x.test"])).await;
    let owned = async || world.queue.show(id).await.unwrap().recipients[0].owner.is_some();
    world.until("the other one is claimed", async || owned().await).await;
    world.queue.change(&Change::Hold(Selection::Entry(id))).await.unwrap();
    gate.add_permits(9);
    world.until("it is given back", async || !owned().await).await;
    let left = world.queue.show(id).await.unwrap().recipients;
    assert_eq!((left[0].state, left[0].attempts, x.taken().len()), (RecipientState::Held, 0, 1));
    world.queue.change(&Change::Release(Selection::Entry(id))).await.unwrap();
    world.until_empty().await;
    assert_eq!(x.taken().len(), 2);
    world.restart().await;
}

async fn giving_up_waits_for_the_attempt_under_way(database: Database) {
    let queue = QueueSettings { connections: 1, ..QueueSettings::default() };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let (peer, gate) = slow();
    let (x, sender) = (world.network.host("192.0.2.1", peer), world.network.host("192.0.2.2", Peer::new()));
    world.queue.start();
    let in_flight = world.send(&mail(&["a@x.test"])).await;
    world.until("one is in flight", async || x.heard.lock().iter().any(|line| line == "DATA")).await;
    let claimed = world.send(&mail(&["b@x.test"])).await;
    let owned = async || world.queue.show(claimed).await.unwrap().recipients[0].owner.is_some();
    world.until("the other one is claimed", async || owned().await).await;
    world.queue.bounce(claimed, &world.journal).await.unwrap();
    let refused = world.queue.bounce(in_flight, &world.journal).await.unwrap_err();
    assert!(matches!(refused, Error::InFlight { recipients: 1, .. }), "{refused}");
    gate.add_permits(9);
    world.until_empty().await;
    assert_eq!(x.taken().len(), 1);
    assert_eq!(sender.taken().len(), 1, "of the delivered one nothing is told");
    assert!(sender.taken()[0].data.contains("rfc822; b@x.test"));
    world.restart().await;
}
