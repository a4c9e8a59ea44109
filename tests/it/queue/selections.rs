//! Administrators' operations on entries, one or many at a time: list, hold, release, delete.

use std::time::Duration;

use postrider::foundations::address::ReversePath;
use postrider::foundations::clock::Clock;
use postrider::storage::database::Database;
use postrider::storage::spool::{Error, Fate, NewEntry, QUARANTINED, RecipientState, Selection};

use super::spool::{ONE, claim, to};
use super::world::{SetUp, World, mail};

crate::accounts::engines::on_every_engine!(
    holds_releases_and_deletes,
    selections_pass_over_the_quarantine,
    what_is_released_is_not_deleted_with_the_quarantine,
    lists_have_every_message_of_many_recipients,
    tells_where_mail_goes_and_how_long_the_queue_was,
);

async fn holds_releases_and_deletes(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let recipients = vec![to("A@x.test", "mx:x.test", &world), to("b@y_z.test", "mx:y_z.test", &world)];
    let hold = Some("suspicious".to_owned());
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold }).await.unwrap();
    assert!(world.spool.claim(claim(&[])).await.unwrap().is_empty());
    let held = world.spool.list(&Selection::Held, None, 10).await.unwrap();
    assert_eq!(held[0].entry.hold_reason.as_deref(), Some("suspicious"));
    assert!(held[0].recipients.iter().all(|one| one.state == RecipientState::Held));
    // Recipients still held keep the original reason.
    let one = Selection::Recipient("a@x.test".parse().unwrap());
    assert_eq!(world.spool.release(&one).await.unwrap(), 1);
    let listing = world.spool.entry(id).await.unwrap();
    assert_eq!(listing.entry.hold_reason.as_deref(), Some("suspicious"));
    let states: Vec<_> = listing.recipients.iter().map(|one| one.state).collect();
    assert_eq!(states, [RecipientState::Waiting, RecipientState::Held]);
    assert_eq!(world.spool.hold(&one).await.unwrap(), 1);
    for (selection, met) in [
        (Selection::All, 2),
        (Selection::Entry(id), 2),
        (Selection::Sender(ReversePath::Address("ANN@sender.test".parse().unwrap())), 2),
        (one, 1),
        (Selection::Domain("y_z.test".parse().unwrap()), 1),
    ] {
        assert_eq!(world.spool.list(&selection, None, 10).await.unwrap().len(), 1, "{selection:?}");
        assert_eq!(world.spool.release(&selection).await.unwrap(), met, "{selection:?}");
        assert_eq!(world.spool.entry(id).await.unwrap().entry.hold_reason, None);
        assert_eq!(world.spool.retry(&selection).await.unwrap(), met, "{selection:?}");
        assert_eq!(world.spool.hold(&selection).await.unwrap(), met, "{selection:?}");
    }
    for nobody in [Selection::Sender(ReversePath::Null), Selection::Domain("ybz.test".parse().unwrap())] {
        assert_eq!(world.spool.list(&nobody, None, 10).await.unwrap().len(), 0);
    }
    assert_eq!(world.spool.list(&Selection::All, Some(id), 10).await.unwrap().len(), 0);
    world.spool.release(&Selection::All).await.unwrap();
    assert_eq!(world.spool.retry(&Selection::All).await.unwrap(), 2);
    world.spool.delete(id).await.unwrap();
    assert!(world.spool.delete(id).await.is_err());
    assert!(matches!(world.spool.message(id).await, Err(Error::BodyMissing(_))));
}

async fn selections_pass_over_the_quarantine(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let commit = async |hold: Option<&str>| {
        let recipients = vec![to("a@x.test", "mx:x.test", &world)];
        let hold = hold.map(str::to_owned);
        world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold }).await.unwrap()
    };
    let (kept, other) = (commit(Some(QUARANTINED)).await, commit(Some("suspicious")).await);
    let selections = [
        Selection::All,
        Selection::Held,
        Selection::Sender(ReversePath::Address("ann@sender.test".parse().unwrap())),
        Selection::Recipient("a@x.test".parse().unwrap()),
        Selection::Domain("x.test".parse().unwrap()),
    ];
    for selection in selections {
        assert_eq!(world.spool.list(&selection, None, 10).await.unwrap().len(), 2, "{selection:?}");
        assert_eq!(world.spool.release(&selection).await.unwrap(), 1, "{selection:?}");
        assert_eq!(world.spool.retry(&Selection::All).await.unwrap(), 1);
        assert_eq!(world.spool.hold(&Selection::All).await.unwrap(), 1);
        let still = world.spool.entry(kept).await.unwrap();
        assert_eq!(still.entry.hold_reason.as_deref(), Some(QUARANTINED), "{selection:?}");
        assert_eq!(still.recipients[0].state, RecipientState::Held, "{selection:?}");
    }
    assert_eq!(world.spool.release(&Selection::Entry(kept)).await.unwrap(), 1);
    assert_eq!(world.spool.entry(kept).await.unwrap().entry.hold_reason, None);
    world.spool.delete(other).await.unwrap();
}

async fn what_is_released_is_not_deleted_with_the_quarantine(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    let mut ids = Vec::new();
    for hold in [QUARANTINED, QUARANTINED, "suspicious"] {
        let recipients = vec![to("a@x.test", "mx:x.test", &world), to("b@y.test", "mx:y.test", &world)];
        let new = NewEntry { mail: &mail, recipients, message_id: None, hold: Some(hold.to_owned()) };
        ids.push(world.spool.commit(new).await.unwrap());
    }
    // After the process that deletes old entries has looked at it.
    assert_eq!(world.spool.release(&Selection::Entry(ids[0])).await.unwrap(), 2);
    for (id, deleted) in ids.iter().zip([0, 2, 0]) {
        assert_eq!(world.spool.delete_quarantined(*id).await.unwrap(), deleted);
        assert_eq!(world.spool.message(*id).await.is_ok(), deleted == 0);
    }
    assert_eq!(world.spool.delete_quarantined(ids[1]).await.unwrap(), 0, "it has gone");
    assert_eq!(world.spool.claim(claim(&[])).await.unwrap().len(), 2, "the released one goes to both");
}

async fn lists_have_every_message_of_many_recipients(database: Database) {
    let world = World::new(database, SetUp::default());
    let mail = mail(&[]);
    // Two are more than one answer holds, and so is the last one alone.
    let sizes = [1, 12_000, 12_000, 20_001];
    for size in sizes {
        let recipients = (0..size).map(|n| to(&format!("r{n}@x.test"), "mx:x.test", &world)).collect();
        world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    }
    for selection in [Selection::All, Selection::Domain("x.test".parse().unwrap())] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = world.spool.list(&selection, after, 500).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.entry.id);
            seen.extend(page.iter().map(|listing| listing.recipients.len()));
        }
        // Ids of one moment have no order.
        seen.sort_unstable();
        assert_eq!(seen, sizes, "{selection:?}");
    }
}

async fn tells_where_mail_goes_and_how_long_the_queue_was(database: Database) {
    let world = World::new(database, SetUp::default());
    assert!(world.spool.destinations(10).await.unwrap().is_empty());
    let mail = mail(&[]);
    let recipients = vec![
        to("a@x.test", "mx:x.test", &world),
        to("b@x.test", "mx:x.test", &world),
        to("c@y.test", "mx:y.test", &world),
    ];
    let id = world.spool.commit(NewEntry { mail: &mail, recipients, message_id: None, hold: None }).await.unwrap();
    let claimed = world.spool.claim(claim(&["mx:y.test".parse().unwrap()])).await.unwrap();
    let now = world.clock.now();
    let again = |reply: &str| Fate::Again { due_at: now, at: now, reply: reply.to_owned(), report: None };
    let keys: Vec<_> = claimed[0].recipients.iter().map(|one| one.key).collect();
    world.spool.settle(id, ONE, &[(keys[0], again("451 no")), (keys[1], again("451 no"))]).await.unwrap();
    world.spool.hold(&Selection::All).await.unwrap();
    let found = world.spool.destinations(10).await.unwrap();
    let plain: Vec<_> =
        found.iter().map(|one| (one.destination.as_str(), one.waiting, one.held, one.attempts)).collect();
    assert_eq!(plain, [("mx:x.test", 0, 2, 1), ("mx:y.test", 0, 1, 0)]);
    assert_eq!((found[0].last_reply.as_deref(), found[1].last_reply.as_deref()), (Some("451 no"), None));
    assert!(found[0].oldest.is_some_and(|oldest| now.since(oldest) < Duration::from_secs(60)));
    assert_eq!(world.spool.destinations(1).await.unwrap().len(), 1);

    let step = Duration::from_secs(900);
    world.spool.sample().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.spool.sample().await.unwrap();
    let samples = world.spool.samples(now, step).await.unwrap();
    let most = samples.iter().map(|sample| (sample.entries, sample.waiting, sample.held)).max();
    assert_eq!(most, Some((1, 0, 3)), "{samples:?}");
    assert!(world.spool.samples(now + Duration::from_secs(60), step).await.unwrap().is_empty());
}
