//! Entries that are given up, and those that wait because their message cannot be read.

use std::time::Duration;

use postrider::foundations::ids::QueueId;
use postrider::storage::database::Database;

use super::peer::Peer;
use super::world::{SetUp, World, mail};

use crate::accounts::engines::on_every_engine;

on_every_engine!(
    gives_up_in_the_end,
    a_message_that_cannot_be_read_is_given_up_in_the_end,
    a_message_that_was_cut_off_is_not_sent,
);

async fn gives_up_in_the_end(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    let sender = world.network.host("192.0.2.2", Peer::new());
    peer.answers("MAIL", "450 4.2.0 Later", usize::MAX);
    world.queue.start();
    // Attempts go on for as long after it is queued, not after it came.
    world.clock.advance(Duration::from_secs(3_600));
    let id = world.send(&mail(&["a@x.test"])).await;
    until_given_up(&world, id).await;
    let told: Vec<String> = sender.taken().into_iter().map(|one| one.data).collect();
    assert_eq!(told.len(), 2, "a warning and the end: {told:#?}");
    let until = told[0].split_once("Will-Retry-Until: ").and_then(|(_, rest)| rest.lines().next()).unwrap();
    assert!(
        told[0].contains("Action: delayed") && told[0].contains(&format!("tried again until {until}.")),
        "{}",
        told[0]
    );
    assert!(told[1].contains("Action: failed\r\nStatus: 4.4.7\r\n"), "{}", told[1]);
    assert!(told[1].contains("450 4.2.0 Later"));
    world.restart().await;
}

/// As with a failing disk.
async fn a_message_that_cannot_be_read_is_given_up_in_the_end(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    let sender = world.network.host("192.0.2.2", Peer::new());
    let id = world.send(&mail(&["a@x.test"])).await;
    let body = world.body(id);
    std::fs::remove_file(&body).unwrap();
    std::fs::create_dir(&body).unwrap();
    world.queue.start();
    until_given_up(&world, id).await;
    let told: Vec<String> = sender.taken().into_iter().map(|one| one.data).collect();
    assert_eq!(told.len(), 2, "a warning and the end: {told:#?}");
    for told in &told {
        assert!(told.contains("cannot be read from the disk"), "{told}");
    }
    assert!(told[1].contains("Action: failed\r\nStatus: 4.4.7\r\n"), "{}", told[1]);
    assert_eq!(peer.taken(), []);
    world.restart().await;
}

async fn a_message_that_was_cut_off_is_not_sent(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    let id = world.send(&mail(&["a@x.test"])).await;
    let body = world.body(id);
    let whole = std::fs::read(&body).unwrap();
    std::fs::write(&body, &whole[..whole.len() - 3]).unwrap();
    world.queue.start();
    world.until_tried(id, 1).await;
    assert_eq!(peer.taken(), []);
    // An administrator has found the rest.
    std::fs::write(&body, whole).unwrap();
    world.clock.advance(Duration::from_secs(1_800));
    world.until_empty().await;
    assert_eq!(peer.taken().len(), 1);
    world.restart().await;
}

/// Lets time pass until an entry is no longer tried, after the five days of the settings.
async fn until_given_up(world: &World, id: QueueId) {
    world.until_tried(id, 1).await;
    let mut half_hours = 0;
    while world.queue.show(id).await.is_ok() {
        assert!(half_hours < 6 * 48, "it is still there");
        // Less than a lease, which would otherwise end in the middle of an attempt.
        world.clock.advance(Duration::from_secs(1_800));
        half_hours += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
        // Everything due now is tried before time passes.
        world
            .until("nothing is due", async || {
                let due = world.spool.next_due("", &[]).await.unwrap();
                due.is_none_or(|at| at > postrider::foundations::clock::Clock::now(&world.clock))
                    && world.queue.connections() == 0
            })
            .await;
    }
    world.until_empty().await;
    assert!(half_hours >= 5 * 48, "{half_hours}");
}
