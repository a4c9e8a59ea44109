//! Entries are committed whole, claimed once, settled for good.

use std::time::Duration;

use postrider::foundations::clock::Clock;
use postrider::foundations::failure::Kind;
use postrider::foundations::ids::QueueId;
use postrider::foundations::mail::Recipient;
use postrider::storage::database::{Database, Dialect, Val};
use postrider::storage::spool::{
    Action, Claim, Destination, Error, Fate, NewEntry, NewRecipient, Note, QueueNode, RecipientKey, RecipientState,
    Report, Settled, Settler, forget_node,
};

use super::peer::Peer;
use super::world::{SetUp, World, mail};

crate::accounts::engines::on_every_engine!(
    commits_claims_and_settles,
    two_nodes_that_settle_the_last_two_recipients_leave_no_entry,
    concurrent_commits_are_all_kept,
    claims_are_exclusive_and_come_back,
    who_was_held_dead_settles_nothing_that_another_has,
    who_was_held_dead_settles_nothing_that_another_has_settled,
    notes_count_for_who_wrote_them,
    what_a_forgotten_node_has_claimed_is_taken_over,
    reports_and_notifications_change_places,
    what_has_happened_since_is_still_told,
    every_entry_to_be_told_of_has_its_turn,
    sweeps_orphans,
    what_is_being_queued_is_no_orphan,
    a_body_that_could_not_be_removed_is_removed_later,
    a_body_whose_rows_were_refused_is_removed,
);

pub(super) fn to(address: &str, destination: &str, world: &World) -> NewRecipient {
    let now = world.clock.now();
    NewRecipient {
        recipient: Recipient::plain(address.parse().unwrap()),
        destination: destination.parse().unwrap(),
        due_at: now,
        expires_at: now + Duration::from_secs(86_400),
        warn_at: None,
        report: None,
    }
}

pub(super) const ONE: Settler<'static> = Settler::Claimant("one");

pub(super) fn claim<'a>(except: &'a [Destination]) -> Claim<'a> {
    Claim { owner: "one", only: None, except, limit: 100, in_hand: &[] }
}

async fn commits_claims_and_settles(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let recipients =
        vec![to("a@x.test", "mx:x.test", &world), to("b@x.test", "mx:x.test", &world), to("c@y.test", "local", &world)];
    let message_id = Some("<1@example.test>".to_owned());
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id, hold: None }).await.unwrap();
    assert_eq!(world.spool.message(id).await.unwrap().bytes(), mail.message.bytes());
    let except = ["local".parse().unwrap()];
    let claimed = world.spool.claim(claim(&except)).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].recipients.len()), (1, 2));
    assert_eq!(claimed[0].entry.envelope.reverse_path, mail.envelope.reverse_path);
    assert_eq!((claimed[0].entry.mail, claimed[0].entry.size), (mail.id, mail.message.len() as u64));
    let local = world.spool.claim(claim(&[])).await.unwrap();
    assert_eq!((local.len(), &local[0].destination), (1, &Destination::Local));
    assert!(world.spool.claim(claim(&[])).await.unwrap().is_empty());

    let keys: Vec<RecipientKey> = claimed[0].recipients.iter().map(|one| one.key).collect();
    let now = world.clock.now();
    let again =
        Fate::Again { due_at: now + Duration::from_secs(60), at: now, reply: "451 no".to_owned(), report: None };
    let settled = world.spool.settle(id, ONE, &[(keys[0], Fate::Done), (keys[1], again)]).await.unwrap();
    assert_eq!(settled, Settled::EntryKept);
    let listing = world.spool.entry(id).await.unwrap();
    assert_eq!(listing.recipients.len(), 2);
    assert_eq!((listing.recipients[0].attempts, listing.recipients[0].last_reply.as_deref()), (1, Some("451 no")));
    assert_eq!(world.spool.next_due("one", &except).await.unwrap(), Some(now + Duration::from_secs(60)));
    world.clock.advance(Duration::from_secs(61));
    let claimed = world.spool.claim(claim(&[])).await.unwrap();
    assert_eq!(claimed[0].recipients[0].key, keys[1]);
    world.spool.settle(id, ONE, &[(keys[1], Fate::Done)]).await.unwrap();
    let last = [(local[0].recipients[0].key, Fate::Done)];
    assert_eq!(world.spool.settle(id, ONE, &last).await.unwrap(), Settled::EntryGone);
    assert!(matches!(world.spool.message(id).await, Err(Error::BodyMissing(_))));
    assert_eq!(world.spool.counts().await.unwrap().entries, 0);
    assert_eq!(world.spool.entry(id).await.unwrap_err().kind(), Kind::NotFound);
}

async fn two_nodes_that_settle_the_last_two_recipients_leave_no_entry(database: Database) {
    // SQLite has one writer at a time.
    if database.dialect() == Dialect::Sqlite {
        return;
    }
    let world = World::new(database.clone(), SetUp::default());
    let mail = mail(&[]);
    let recipients = vec![to("a@x.test", "mx:x.test", &world), to("b@x.test", "mx:x.test", &world)];
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let claimed = world.spool.claim(claim(&[])).await.unwrap();
    let keys: Vec<RecipientKey> = claimed[0].recipients.iter().map(|one| one.key).collect();
    // The other node's work, up to its commit.
    let mut other = database.begin().await.unwrap();
    other.execute("DELETE FROM queue_recipients WHERE id = ?", &[Val::from(keys[0])]).await.unwrap();
    let entry = [Val::from(id.to_string())];
    other.fetch_all("SELECT id FROM queue_entries WHERE id = ? FOR UPDATE", &entry).await.unwrap();
    let last = [(keys[1], Fate::Done)];
    let mut settling = std::pin::pin!(world.spool.settle(id, ONE, &last));
    let early = tokio::time::timeout(Duration::from_secs(1), settling.as_mut()).await;
    assert!(early.is_err(), "the other node's commit is waited for: {early:?}");
    other.commit().await.unwrap();
    assert_eq!(settling.await.unwrap(), Settled::EntryGone);
    assert_eq!(world.spool.counts().await.unwrap().entries, 0);
    assert!(matches!(world.spool.message(id).await, Err(Error::BodyMissing(_))));
}

async fn concurrent_commits_are_all_kept(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let commits = (0..100).map(|n| {
        let recipients = vec![to(&format!("r{n}@x.test"), "mx:x.test", &world)];
        world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None })
    });
    let ids = futures_util::future::try_join_all(commits).await.unwrap();
    assert_eq!(world.spool.counts().await.unwrap().entries, 100);
    let mut seen = 0;
    loop {
        let claimed = world.spool.claim(Claim { limit: 7, ..claim(&[]) }).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        seen += claimed.len();
    }
    assert_eq!(seen, ids.len());
}

/// An entry, and the key of its recipient, whose first claimant was taken for dead, so that another has it now.
async fn taken_over(world: &World) -> (QueueId, RecipientKey) {
    let mail = mail(&[]);
    let recipients = vec![to("a@x.test", "mx:x.test", world)];
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let key = world.spool.claim(claim(&[])).await.unwrap()[0].recipients[0].key;
    world.clock.advance(Duration::from_secs(7_200));
    let claimed = world.spool.claim(Claim { owner: "two", ..claim(&[]) }).await.unwrap();
    assert_eq!(claimed[0].recipients[0].key, key);
    (id, key)
}

async fn who_was_held_dead_settles_nothing_that_another_has(database: Database) {
    let world = World::new(database, SetUp::default());
    let (id, key) = taken_over(&world).await;
    let now = world.clock.now();
    let report = |action| Report { action, status: "5.1.1".to_owned(), diagnostic: None, remote: None, at: now };
    let again = Fate::Again { due_at: now, at: now, reply: "451 no".to_owned(), report: Some(report(Action::Delayed)) };
    let others = [Fate::Untried { due_at: now }, Fate::Hold { reason: "odd".to_owned() }];
    let failed = Fate::Reported(report(Action::Failed));
    for fate in others.into_iter().chain([again.clone(), failed]) {
        assert_eq!(world.spool.settle(id, ONE, &[(key, fate)]).await.unwrap(), Settled::EntryKept);
        let listing = world.spool.entry(id).await.unwrap();
        let one = &listing.recipients[0];
        assert_eq!((one.owner.as_deref(), one.attempts, one.state), (Some("two"), 0, RecipientState::Waiting));
        assert!(one.report.is_none() && listing.entry.hold_reason.is_none());
    }
    // Once that one has given it up, the first one's result counts.
    assert!(world.spool.recover("two").await.unwrap().is_empty());
    world.spool.settle(id, ONE, &[(key, again)]).await.unwrap();
    let listing = world.spool.entry(id).await.unwrap();
    assert!(listing.recipients[0].attempts == 1 && listing.recipients[0].report.is_some());
    world.clock.advance(Duration::from_secs(1));
    let claimed = world.spool.claim(Claim { owner: "two", ..claim(&[]) }).await.unwrap();
    assert_eq!(claimed[0].recipients[0].key, key);
    // The first has sent it after all: then the other need not.
    assert_eq!(world.spool.settle(id, ONE, &[(key, Fate::Done)]).await.unwrap(), Settled::EntryGone);
    assert!(world.spool.confirm("two", &[key]).await.unwrap().is_empty());
}

async fn who_was_held_dead_settles_nothing_that_another_has_settled(database: Database) {
    let world = World::new(database, SetUp::default());
    let (id, key) = taken_over(&world).await;
    let told = async || {
        let pending = world.spool.pending_report(id).await.unwrap().unwrap();
        let one = &pending.recipients[0];
        (one.state, one.report.as_ref().map(|report| report.action))
    };
    let failed = Fate::Reported(report(Action::Failed, &world));
    world.spool.settle(id, Settler::Claimant("two"), &[(key, failed.clone())]).await.unwrap();
    let late = [delayed(&world), Fate::Hold { reason: "odd".to_owned() }];
    for fate in late.clone() {
        world.spool.settle(id, ONE, &[(key, fate)]).await.unwrap();
        assert_eq!(told().await, (RecipientState::Finished, Some(Action::Failed)));
    }
    // An arrival outweighs the other's result, and is not taken back.
    let delivered = Fate::Reported(report(Action::Delivered, &world));
    world.spool.settle(id, ONE, &[(key, delivered)]).await.unwrap();
    for fate in late.into_iter().chain([failed]) {
        world.spool.settle(id, Settler::Claimant("two"), &[(key, fate)]).await.unwrap();
        assert_eq!(told().await, (RecipientState::Finished, Some(Action::Delivered)));
    }
}

async fn claims_are_exclusive_and_come_back(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let recipients = (0..40).map(|n| to(&format!("r{n}@x.test"), "mx:x.test", &world)).collect();
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let other = |owner| Claim { owner, limit: 15, ..claim(&[]) };
    let (one, two) = tokio::join!(world.spool.claim(other("one")), world.spool.claim(other("two")));
    let keys = |claimed: &[postrider::storage::spool::Claimed]| -> Vec<RecipientKey> {
        claimed.iter().flat_map(|group| group.recipients.iter().map(|one| one.key)).collect()
    };
    let (one, two) = (keys(&one.unwrap()), keys(&two.unwrap()));
    assert!(one.iter().all(|key| !two.contains(key)));
    assert_eq!(one.len(), 15);
    // A node that comes back takes up its own claims; messages it was sending may arrive twice.
    world.spool.mark_sending("one", &one[..2]).await.unwrap();
    // Not for a node that has lost only one of them, nor with a trace of it left.
    let mixed = [one[2], two[0]];
    assert!(matches!(world.spool.mark_sending("one", &mixed).await, Err(Error::Overtaken)));
    let uncertain = world.spool.recover("one").await.unwrap();
    assert_eq!(
        uncertain.iter().map(|(entry, one)| (*entry, one.key)).collect::<Vec<_>>(),
        [(id, one[0]), (id, one[1])]
    );
    // A node that does not come back loses its claims with the lease.
    let before = keys(&world.spool.claim(claim(&[])).await.unwrap());
    assert!(two.iter().all(|key| !before.contains(key)));
    world.clock.advance(Duration::from_secs(1_800));
    world.spool.renew("one", &before).await.unwrap();
    world.clock.advance(Duration::from_secs(1_801));
    let mut after = keys(&world.spool.claim(claim(&[])).await.unwrap());
    let mut lost = two.clone();
    after.sort_unstable();
    lost.sort_unstable();
    assert_eq!(after, lost);
    // A clock set forward beyond a lease takes nothing from a working node: neither for itself, ...
    world.clock.advance(Duration::from_secs(7_200));
    assert!(world.spool.claim(claim(&[])).await.unwrap().is_empty());
    assert_eq!(world.spool.next_due("one", &[]).await.unwrap(), None);
    // ... nor for its neighbours.
    let marks = tempfile::tempdir().unwrap();
    let one = QueueNode::new(world.database.clone(), marks.path(), "one".to_owned(), Duration::from_secs(1_200));
    one.join().await.unwrap();
    assert!(world.spool.claim(other("two")).await.unwrap().is_empty());
}

/// A node that is gone has noted results the database did not accept; another reads them before it takes over the
/// claims.
async fn notes_count_for_who_wrote_them(database: Database) {
    let world = World::new(database, SetUp::default());
    let recipients = vec![to("a@x.test", "mx:x.test", &world), to("b@x.test", "mx:x.test", &world)];
    let mail = mail(&[]);
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let claimed = world.spool.claim(claim(&[])).await.unwrap();
    let [mine, others] = [0, 1].map(|n| claimed[0].recipients[n].key);
    let now = world.clock.now();
    let report = Report { action: Action::Failed, status: "5.1.1".to_owned(), diagnostic: None, remote: None, at: now };
    let note = |key| Note::of(id, &(key, Fate::Reported(report.clone())), "one", None).unwrap();
    // One of the two was given back, and now belongs to another.
    world.spool.give_back("one", &[others]).await.unwrap();
    assert_eq!(world.spool.claim(Claim { owner: "three", ..claim(&[]) }).await.unwrap().len(), 1);
    world.spool.note(&[note(mine), note(others)]).await.unwrap();
    assert_eq!(world.spool.settle_noted("two").await.unwrap(), [note(mine)]);
    let listing = world.spool.entry(id).await.unwrap();
    let found = |key| listing.recipients.iter().find(|one| one.key == key).unwrap();
    assert_eq!((found(mine).state, found(mine).report.as_ref()), (RecipientState::Finished, Some(&report)));
    let other = found(others);
    assert_eq!((other.state, other.owner.as_deref()), (RecipientState::Waiting, Some("three")));
    assert!(world.spool.settle_noted("two").await.unwrap().is_empty(), "a note is read once");
}

async fn what_a_forgotten_node_has_claimed_is_taken_over(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let recipients = vec![to("a@x.test", "mx:x.test", &world)];
    world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let marks = tempfile::tempdir().unwrap();
    let node =
        |name: &str| QueueNode::new(world.database.clone(), marks.path(), name.to_owned(), Duration::from_secs(1_200));
    let (one, two) = (node("one"), node("two"));
    one.join().await.unwrap();
    two.join().await.unwrap();
    assert_eq!(world.spool.claim(claim(&[])).await.unwrap().len(), 1);
    // The database's clock was set forward: nobody has taken anything over, so the lease continues.
    world.database.execute("UPDATE queue_nodes SET lease_end = 1 WHERE node = 'one'", &[]).await.unwrap();
    assert!(one.renew().await.unwrap());
    // It could not leave a mark, or the mark is gone.
    std::fs::remove_dir_all(marks.path().join("nodes")).unwrap();
    let seen = async || two.neighbours().await.unwrap().into_iter().map(|other| (other.is_alive, other.is_given_up));
    assert_eq!(seen().await.collect::<Vec<_>>(), [(true, false)]);
    assert_eq!(forget_node(&world.database, "one").await.unwrap(), 1);
    assert_eq!(seen().await.collect::<Vec<_>>(), [(false, true)]);
    assert!(!one.renew().await.unwrap(), "it cannot come back unnoticed");
    assert!(two.bury(&two.neighbours().await.unwrap()[0]).await.unwrap());
    assert!(world.spool.recover_from("one").await.unwrap().is_empty(), "nothing was in transmission");
    assert_eq!(seen().await.count(), 0, "and the node is forgotten");
    assert_eq!(world.spool.claim(Claim { owner: "two", ..claim(&[]) }).await.unwrap().len(), 1);
    // One without claims is forgotten at once.
    assert_eq!(forget_node(&world.database, "two").await.unwrap(), 1);
    one.join().await.unwrap();
    assert_eq!(forget_node(&world.database, "one").await.unwrap(), 0);
    assert_eq!(two.neighbours().await.unwrap(), []);
}

fn report(action: Action, world: &World) -> Report {
    Report {
        action,
        status: "5.1.1".to_owned(),
        diagnostic: Some("smtp; 550 no".to_owned()),
        remote: Some("mx.x.test".to_owned()),
        at: world.clock.now(),
    }
}

fn delayed(world: &World) -> Fate {
    Fate::Again {
        due_at: world.clock.now() + Duration::from_secs(9),
        at: world.clock.now(),
        reply: "x".to_owned(),
        report: Some(report(Action::Delayed, world)),
    }
}

async fn reports_and_notifications_change_places(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let recipients = vec![to("a@x.test", "mx:x.test", &world), to("b@x.test", "mx:x.test", &world)];
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let claimed = world.spool.claim(claim(&[])).await.unwrap();
    let failed = Fate::Reported(report(Action::Failed, &world));
    let fates = [(claimed[0].recipients[0].key, failed), (claimed[0].recipients[1].key, delayed(&world))];
    world.spool.settle(id, ONE, &fates).await.unwrap();
    assert_eq!(world.spool.entries_to_report(None, 10).await.unwrap(), [id]);
    let pending = world.spool.pending_report(id).await.unwrap().unwrap();
    assert_eq!(pending.recipients.len(), 2);
    let actions = pending.recipients.iter().map(|recipient| recipient.report.as_ref().map(|report| report.action));
    assert_eq!(actions.collect::<Vec<_>>(), [Some(Action::Failed), Some(Action::Delayed)]);
    let recipients = vec![to("ann@sender.test", "mx:sender.test", &world)];
    let new = NewEntry { mail: &mail, recipients, message_id: None, hold: None };
    let notification = world.spool.commit_report(&pending, Some(new)).await.unwrap().unwrap();
    assert_eq!(world.spool.entry(id).await.unwrap().recipients.len(), 1);
    assert_eq!(world.spool.entry(notification).await.unwrap().recipients.len(), 1);
    assert!(world.spool.pending_report(id).await.unwrap().is_none());
}

async fn what_has_happened_since_is_still_told(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let recipients = vec![to("a@x.test", "mx:x.test", &world)];
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let key = world.spool.claim(claim(&[])).await.unwrap()[0].recipients[0].key;
    world.spool.settle(id, ONE, &[(key, delayed(&world))]).await.unwrap();
    let pending = world.spool.pending_report(id).await.unwrap().unwrap();
    // While the sender is being told of the delay, it is given up.
    let failed = Fate::Reported(report(Action::Failed, &world));
    world.spool.settle(id, Settler::Administrator, &[(key, failed)]).await.unwrap();
    assert!(matches!(world.spool.commit_report(&pending, None).await, Err(Error::Overtaken)));
    let pending = world.spool.pending_report(id).await.unwrap().unwrap();
    assert_eq!(pending.recipients[0].report.as_ref().map(|report| report.action), Some(Action::Failed));
    world.spool.commit_report(&pending, None).await.unwrap();
    assert!(world.spool.entry(id).await.is_err());
}

async fn every_entry_to_be_told_of_has_its_turn(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let recipients = ["a@x.test", "b@x.test"]
            .map(|one| NewRecipient { report: Some(report(Action::Failed, &world)), ..to(one, "mx:x.test", &world) });
        let new = NewEntry { mail: &mail, recipients: recipients.to_vec(), message_id: None, hold: None };
        ids.push(world.spool.commit(new).await.unwrap());
    }
    ids.sort_by_key(ToString::to_string);
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..3 {
        let next = world.spool.entries_to_report(after, 1).await.unwrap();
        after = next.last().copied();
        found.extend(next);
    }
    assert_eq!(found, ids);
    assert_eq!(world.spool.entries_to_report(after, 1).await.unwrap(), []);
}

async fn sweeps_orphans(database: Database) {
    let world = World::new(database.clone(), SetUp::default());
    let mail = mail(&[]);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let recipients = vec![to("a@x.test", "mx:x.test", &world)];
        let new = NewEntry { mail: &mail, recipients, message_id: None, hold: None };
        ids.push(world.spool.commit(new).await.unwrap());
    }
    // The row is gone, the body is not: the result of a crash between the two.
    for sql in ["DELETE FROM queue_recipients WHERE entry = ?", "DELETE FROM queue_entries WHERE id = ?"] {
        database.execute(sql, &[ids[0].to_string().into()]).await.unwrap();
    }
    assert_eq!(world.spool.sweep().await.unwrap(), 0, "young ones may belong to a commit under way");
    world.clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(world.spool.sweep().await.unwrap(), 1);
    assert!(world.spool.message(ids[0]).await.is_err() && world.spool.message(ids[1]).await.is_ok());
}

async fn what_is_being_queued_is_no_orphan(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    // By a clock that was set forward every body is old.
    world.clock.advance(Duration::from_secs(2 * 3_600));
    for _ in 0..20 {
        let recipients = vec![to("a@x.test", "mx:x.test", &world)];
        let commit = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None });
        let sweeping = async {
            loop {
                world.spool.sweep().await.unwrap();
            }
        };
        let id = tokio::select! {
            id = commit => id.unwrap(),
            () = sweeping => unreachable!("it does not end"),
        };
        assert!(world.spool.message(id).await.is_ok());
    }
}

async fn a_body_that_could_not_be_removed_is_removed_later(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let peer = world.network.host("192.0.2.1", Peer::new().waits_for(std::sync::Arc::clone(&gate)));
    world.queue.start();
    let id = world.send(&mail(&["a@x.test"])).await;
    world.until("it is in flight", async || peer.heard.lock().iter().any(|line| line == "DATA")).await;
    // A directory is in its place, which cannot be deleted as a file.
    let body = world.body(id);
    std::fs::remove_file(&body).unwrap();
    std::fs::create_dir(&body).unwrap();
    gate.add_permits(9);
    world.until_empty().await;
    world.until_quiet().await;
    std::fs::remove_dir(&body).unwrap();
    std::fs::write(&body, "left over").unwrap();
    world.clock.advance(Duration::from_secs(61));
    world.until("it is removed", async || !body.exists()).await;
    world.restart().await;
}

async fn a_body_whose_rows_were_refused_is_removed(database: Database) {
    let world = World::new(database.clone(), SetUp::default());
    let mail = mail(&[]);
    let recipients = vec![to("a@x.test", "mx:x.test", &world)];
    database.execute("DROP TABLE queue_recipients", &[]).await.unwrap();
    world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap_err();
    assert_eq!(world.bodies(), 0);
}
