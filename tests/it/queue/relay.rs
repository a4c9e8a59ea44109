//! Messages reach other hosts, if not now then later.

use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::event::EventKind;
use postrider::foundations::settings::Span;
use postrider::services::outbound::OutboundSettings;
use postrider::services::queue::{Change, QueueSettings};
use postrider::storage::database::{Database, Dialect};
use postrider::storage::spool::{Claim, Destination, Selection};

use tokio::sync::Semaphore;

use super::next_hosts::ONE_NAME;
use super::peer::{HANG_UP, Peer};
use super::spool::claim;
use super::world::{SetUp, World, mail};

use crate::accounts::engines::{self, on_every_engine};

on_every_engine!(
    groups_recipients_and_reuses_the_connection,
    tries_again_with_growing_waits,
    goes_to_the_next_host_only_when_the_first_does_not_talk,
    goes_to_the_next_host_when_the_first_takes_nothing_now,
    goes_to_the_next_host_when_the_first_takes_no_more_over_its_connection,
    hosts_that_do_not_greet_are_passed_over,
    gives_up_when_the_host_says_so,
    a_clock_put_ahead_gives_nothing_up_at_once,
    a_dead_destination_rests_and_others_do_not_wait,
    says_which_messages_may_arrive_twice,
    many_messages_few_in_memory,
    a_reply_longer_than_a_column_does_not_stop_the_worker,
    a_result_that_the_database_refuses_holds_the_recipient,
    a_host_that_is_slow_in_every_step_does_not_keep_its_place,
    an_exchanger_that_is_this_server_itself_ends_the_way,
    one_international_address_keeps_the_message_from_nobody_else,
    a_refused_sender_is_told_so_though_the_host_hangs_up,
    replies_that_end_in_a_line_feed_are_understood,
);

/// The replies to the pipelined RCPT commands no longer arrive.
async fn a_refused_sender_is_told_so_though_the_host_hangs_up(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let (x, sender) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    x.answers("MAIL", "550 5.7.1 Your network is not welcome", 9);
    x.answers("RCPT", HANG_UP, 9);
    world.queue.start();
    let id = world.send(&mail(&["a@x.test", "b@x.test"])).await;
    world.until_empty().await;
    assert!(sender.taken()[0].data.contains("Diagnostic-Code: smtp; 550 5.7.1 Your network is not welcome\r\n"));
    let failed = world.events(id, EventKind::Failed).await;
    assert_eq!((failed.len(), x.connections()), (2, 1));
    world.restart().await;
}

async fn replies_that_end_in_a_line_feed_are_understood(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let x = world.network.host("192.0.2.1", Peer::new().greeting("220-We do not\n220-take spam\n220 x.test"));
    world.queue.start();
    world.send(&mail(&["a@x.test"])).await;
    world.until_empty().await;
    assert_eq!(x.taken().len(), 1);
    world.restart().await;
}

/// To a host that does not accept such addresses.
async fn one_international_address_keeps_the_message_from_nobody_else(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let (x, sender) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    let id = world.send(&mail(&["jos\u{e9}@x.test", "ok@x.test"])).await;
    world.queue.start();
    world.until_empty().await;
    let taken = x.taken();
    assert_eq!((taken.len(), taken[0].recipients.as_slice()), (1, ["RCPT TO:<ok@x.test>".to_owned()].as_slice()));
    let failed = world.events(id, EventKind::Failed).await;
    assert_eq!((failed.len(), failed[0].subject.as_deref()), (1, Some("jos\u{e9}@x.test")));
    assert_eq!(sender.taken().len(), 1, "the sender is told");
    world.restart().await;
}

async fn groups_recipients_and_reuses_the_connection(database: Database) {
    let queue = QueueSettings { idle_connection: Span::seconds(3), ..QueueSettings::default() };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    world.zone.add("x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\ny.test A 192.0.2.2").unwrap();
    let (x, y) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    let first = world.send(&mail(&["a@x.test", "b@x.test", "c@y.test"])).await;
    let second = world.send(&mail(&["d@x.test"])).await;
    world.queue.start();
    world.until_empty().await;
    let taken = x.taken();
    let all: Vec<&str> = taken.iter().flat_map(|one| one.recipients.iter().map(String::as_str)).collect();
    assert_eq!(all.len(), 3, "{taken:?}");
    assert!(taken.iter().any(|one| one.recipients == ["RCPT TO:<a@x.test>", "RCPT TO:<b@x.test>"]));
    assert!(taken[0].mail.starts_with("MAIL FROM:<ann@sender.test> SIZE="), "{}", taken[0].mail);
    assert!(taken[0].data.ends_with("\r\n\r\n.dotted\r\nbody\r\n"), "{:?}", taken[0].data);
    assert_eq!(y.taken()[0].recipients, ["RCPT TO:<c@y.test>"]);
    world.until("it is recorded", async || world.events(first, EventKind::Relayed).await.len() == 3).await;
    let relayed = world.events(first, EventKind::Relayed).await;
    assert!(
        relayed.iter().any(|event| event.details["host"] == "mx.x.test" && event.details["address"] == "192.0.2.1:25")
    );
    assert_eq!(world.events(second, EventKind::Queued).await.len(), 1);
    // One worker at a time shares one connection.
    let before = x.connections();
    for n in 0..5 {
        world.send(&mail(&[&format!("r{n}@x.test")])).await;
        world.until_empty().await;
    }
    assert!(x.connections() < before + 5, "{} connections", x.connections());
    assert!(x.heard.lock().iter().any(|line| line == "RSET"));
    world.restart().await;
}

async fn tries_again_with_growing_waits(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    peer.answers("RCPT TO:<b@x.test>", "451 4.7.1 Greylisted", 2);
    let id = world.send(&mail(&["a@x.test", "b@x.test"])).await;
    world.queue.start();
    world.until_tried(id, 1).await;
    let left = world.queue.show(id).await.unwrap().recipients;
    assert_eq!((left.len(), left[0].last_reply.as_deref()), (1, Some("451 4.7.1 Greylisted")));
    assert_eq!(peer.taken().len(), 1);
    world.clock.advance(Duration::from_secs(4 * 60));
    world.clock.advance(Duration::from_secs(2 * 60));
    world.until_tried(id, 2).await;
    world.clock.advance(Duration::from_secs(6 * 60));
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(peer.taken().len(), 1, "the second wait is twice as long");
    // An administrator need not wait.
    assert_eq!(world.queue.change(&Change::Retry(Selection::Entry(id))).await.unwrap(), 1);
    world.until_empty().await;
    assert_eq!(peer.taken()[1].recipients, ["RCPT TO:<b@x.test>"]);
    world.until("it is recorded", async || world.events(id, EventKind::Deferred).await.len() == 2).await;
    world.restart().await;
}

async fn goes_to_the_next_host_only_when_the_first_does_not_talk(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test MX 5 none.x.test\nx.test MX 10 bad.x.test\nx.test MX 20 good.x.test").unwrap();
    world.zone.add("none.x.test A 192.0.2.9\nbad.x.test A 192.0.2.1\ngood.x.test A 192.0.2.2").unwrap();
    let bad = world.network.host("192.0.2.1", Peer::new().greeting("421 4.3.2 Not now"));
    let good = world.network.host("192.0.2.2", Peer::new());
    world.queue.start();
    world.send(&mail(&["a@x.test"])).await;
    world.until_empty().await;
    assert_eq!((bad.connections(), good.taken().len()), (1, 1));
    world.until_quiet().await;
    // The end of the message was sent and no answer came: it may have arrived, so no other host gets it.
    let careful = world.network.host("192.0.2.1", Peer::new());
    careful.answers("(end)", HANG_UP, 1);
    let id = world.send(&mail(&["b@x.test"])).await;
    world.until_tried(id, 1).await;
    assert_eq!((careful.taken().len(), good.taken().len()), (1, 1));
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    assert_eq!((careful.taken().len(), good.taken().len()), (2, 1));
    world.restart().await;
}

/// RFC 5321 §5.1: all hosts are tried before the message waits.
async fn goes_to_the_next_host_when_the_first_takes_nothing_now(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test MX 10 a.x.test\nx.test MX 20 b.x.test\na.x.test A 192.0.2.1\nb.x.test A 192.0.2.3").unwrap();
    world.zone.add("sender.test A 192.0.2.2").unwrap();
    let sender = world.network.host("192.0.2.2", Peer::new());
    let (first, second) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.3", Peer::new()));
    world.queue.start();
    let (later, closing) = ("451 4.3.0 Not now", "421 4.3.2 Going down");
    for (n, answers) in [
        vec![("MAIL", later)],
        vec![("RCPT", later)],
        vec![("DATA", later)],
        vec![("(end)", later)],
        vec![("(end)", closing)],
        vec![("MAIL", later), ("RCPT", HANG_UP)],
    ]
    .iter()
    .enumerate()
    {
        for &(command, reply) in answers {
            first.answers(command, reply, 1);
        }
        world.send(&mail(&["a@x.test"])).await;
        world.until_empty().await;
        assert_eq!((first.taken().len(), second.taken().len()), (0, n + 1), "{answers:?}");
        world.until_quiet().await;
    }
    let by_second = second.taken().len();
    // What only one of them refuses for good may still arrive by the other, and what neither takes waits for the first.
    for (reply, wanted) in [("554 5.7.1 No relaying", "451 4.2.0 Grey"), ("452 4.3.1 Full", "452 4.3.1 Full")] {
        first.answers("RCPT", "451 4.2.0 Grey", 1);
        second.answers("RCPT", reply, 1);
        let before = first.taken().len();
        let id = world.send(&mail(&["a@x.test"])).await;
        world.until_tried(id, 1).await;
        let said = world.queue.show(id).await.unwrap().recipients[0].last_reply.clone();
        assert_eq!(said.as_deref(), Some(wanted));
        world.until_quiet().await;
        world.clock.advance(Duration::from_secs(6 * 60));
        world.until_empty().await;
        assert_eq!((first.taken().len(), second.taken().len()), (before + 1, by_second));
        world.until_quiet().await;
    }
    // What is refused for good is not tried elsewhere, nor is a single recipient of several.
    first.answers("RCPT TO:<b", "450 4.2.1 Busy", 1);
    let id = world.send(&mail(&["a@x.test", "b@x.test"])).await;
    world.until_tried(id, 1).await;
    first.answers("RCPT TO:<c", "550 5.1.1 Nobody", 1);
    world.send(&mail(&["c@x.test"])).await;
    world.until("the sender is told", async || sender.taken().len() == 1).await;
    assert_eq!(second.taken().len(), by_second);
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    world.restart().await;
}

async fn goes_to_the_next_host_when_the_first_takes_no_more_over_its_connection(database: Database) {
    let names = "x.test MX 10 a.x.test\nx.test MX 20 b.x.test\na.x.test A 192.0.2.1\nb.x.test A 192.0.2.3";
    for (zone, address) in [(names, "192.0.2.1"), (ONE_NAME, "2001:db8::1")] {
        let queue = QueueSettings { idle_connection: Span::seconds(30), ..QueueSettings::default() };
        let world = World::new(database.clone(), SetUp { queue, ..SetUp::default() });
        world.zone.add(zone).unwrap();
        let (first, second) = (world.network.host(address, Peer::new()), world.network.host("192.0.2.3", Peer::new()));
        world.queue.start();
        for (n, reply) in [(0, "250 2.1.5 Fine"), (1, "452 4.3.1 Full")] {
            first.answers("RCPT", reply, 1);
            world.send(&mail(&["a@x.test"])).await;
            world.until_empty().await;
            assert_eq!((first.taken().len(), second.taken().len(), first.connections()), (1, n, 1), "{zone}");
        }
        world.restart().await;
    }
}

/// RFC 5321 §3.1: a host's replies before it has heard of a message are not about the message.
async fn hosts_that_do_not_greet_are_passed_over(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test MX 5 a.x.test\nx.test MX 10 b.x.test\na.x.test A 192.0.2.1\nb.x.test A 192.0.2.3").unwrap();
    world.zone.add("sender.test A 192.0.2.2\nnever.test A 192.0.2.4").unwrap();
    let sender = world.network.host("192.0.2.2", Peer::new());
    let refusing = world.network.host("192.0.2.1", Peer::new().greeting("554 5.7.1 No service for you"));
    let unwilling = world.network.host("192.0.2.3", Peer::new());
    unwilling.answers("EHLO", "550 5.7.1 Go away", 1);
    unwilling.answers("HELO", "550 5.7.1 Go away", 1);
    world.network.host("192.0.2.4", Peer::new().greeting("521 5.3.2 There is no mail here"));
    world.queue.start();
    let id = world.send(&mail(&["a@x.test"])).await;
    world.until_tried(id, 1).await;
    let reply = world.queue.show(id).await.unwrap().recipients[0].last_reply.clone().unwrap();
    assert!(reply.contains("5.7.1 Go away") || reply.contains("5.7.1 No service"), "{reply}");
    assert!(sender.taken().is_empty(), "nothing has gone back");
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    assert_eq!((refusing.connections(), unwilling.connections(), unwilling.taken().len()), (2, 2, 1));
    // A host that never takes mail says so (RFC 7504), and is believed.
    let id = world.send(&mail(&["a@never.test"])).await;
    world.until_empty().await;
    world.until("it is recorded", async || world.events(id, EventKind::Failed).await.len() == 1).await;
    assert!(sender.taken()[0].data.contains("Status: 5.3.2\r\n"), "{}", sender.taken()[0].data);
    world.restart().await;
}

async fn gives_up_when_the_host_says_so(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2\nnull.test MX 0 .").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    let sender = world.network.host("192.0.2.2", Peer::new());
    peer.answers("RCPT TO:<b@x.test>", "550-5.1.1 Nobody\r\n550 5.1.1 here", 9);
    world.queue.start();
    let id = world.send(&mail(&["a@x.test", "b@x.test", "c@null.test", "d@nowhere.test"])).await;
    world.until_empty().await;
    assert_eq!(peer.taken()[0].recipients, ["RCPT TO:<a@x.test>"]);
    let notifications = sender.taken();
    assert_eq!(notifications.len(), 1, "one for all who failed");
    assert!(notifications[0].mail.starts_with("MAIL FROM:<>"));
    let text = &notifications[0].data;
    for wanted in [
        "Content-Type: multipart/report; report-type=delivery-status",
        "Final-Recipient: rfc822; b@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; x.test\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 Nobody here\r\n",
        "Final-Recipient: rfc822; c@null.test\r\nAction: failed\r\nStatus: 5.1.10\r\n",
        "Final-Recipient: rfc822; d@nowhere.test\r\nAction: failed\r\nStatus: 5.1.2\r\n",
        "Auto-Submitted: auto-replied\r\n",
        ".dotted\r\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in {text}");
    }
    assert!(!text.contains("a@x.test\r\nAction"));
    world.until("it is recorded", async || world.events(id, EventKind::Failed).await.len() == 3).await;
    world.until("it is recorded", async || world.events(id, EventKind::NotificationSent).await.len() == 1).await;
    world.restart().await;
}

async fn a_clock_put_ahead_gives_nothing_up_at_once(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let (peer, sender) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    peer.answers("MAIL", "450 4.2.0 Later", 3);
    world.queue.start();
    let id = world.send(&mail(&["a@x.test"])).await;
    world.until_tried(id, 1).await;
    world.clock.advance(Duration::from_secs(20 * 365 * 24 * 3600));
    world.until_tried(id, 2).await;
    for attempts in 3..=4 {
        world.clock.advance(Duration::from_secs(3600));
        if attempts == 3 {
            world.until_tried(id, attempts).await;
        }
    }
    world.until_empty().await;
    assert_eq!(peer.taken().len(), 1);
    assert!(sender.taken().iter().all(|told| !told.data.contains("Action: failed")), "{:?}", sender.taken());
    world.restart().await;
}

async fn a_dead_destination_rests_and_others_do_not_wait(database: Database) {
    let queue = QueueSettings {
        connections: 4,
        connections_per_destination: 2,
        first_connections: 2,
        idle_connection: Span::millis(1),
        ..QueueSettings::default()
    };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    world.zone.add("dead.test A 192.0.2.9\nlive.test A 192.0.2.1").unwrap();
    let live = world.network.host("192.0.2.1", Peer::new());
    for n in 0..30 {
        world.send(&mail(&[&format!("r{n}@dead.test")])).await;
    }
    world.send(&mail(&["a@live.test"])).await;
    world.queue.start();
    world.until("the living get theirs", async || live.taken().len() == 1).await;
    let dead: Destination = "mx:dead.test".parse().unwrap();
    world
        .until("the dead rest", async || {
            world.queue.lanes().iter().any(|lane| lane.destination == dead && lane.rest.is_some() && lane.waiting == 0)
        })
        .await;
    world
        .until("nobody is at it", async || {
            let all = world.queue.list(&Selection::All, None, 100).await.unwrap();
            all.iter().flat_map(|one| &one.recipients).all(|one| one.owner.is_none())
        })
        .await;
    let tried: u32 =
        world.queue.list(&Selection::All, None, 100).await.unwrap().iter().map(|one| one.recipients[0].attempts).sum();
    assert!((3..=8).contains(&tried), "only a few were tried: {tried}");
    // It comes back to life.
    let back = world.network.host("192.0.2.9", Peer::new());
    world.clock.advance(Duration::from_secs(20 * 60));
    world.until_empty().await;
    assert_eq!(back.taken().len(), 30);
    world.restart().await;
}

async fn says_which_messages_may_arrive_twice(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let id = world.send(&mail(&["a@x.test"])).await;
    let claimed = world.spool.claim(Claim { owner: "mail.example.test", limit: 9, ..claim(&[]) }).await.unwrap();
    world.spool.mark_sending("mail.example.test", &[claimed[0].recipients[0].key]).await.unwrap();
    let world = world.crash();
    let peer = world.network.host("192.0.2.1", Peer::new());
    world.queue.start();
    world.until_empty().await;
    assert_eq!(peer.taken().len(), 1);
    let said = world.events(id, EventKind::QueueChanged).await;
    assert_eq!((said.len(), said[0].details["possible_duplicate"].as_bool()), (1, Some(true)));
    world.restart().await;
}

async fn many_messages_few_in_memory(database: Database) {
    let queue = QueueSettings {
        recipients_in_memory: 20,
        connections: 3,
        idle_connection: Span::millis(1),
        ..QueueSettings::default()
    };
    let world = World::new(database, SetUp { queue, ..SetUp::default() });
    world.zone.add("a.test A 192.0.2.1\nb.test A 192.0.2.2").unwrap();
    let (a, b) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    for n in 0..150 {
        world.send(&mail(&[&format!("r{n}@a.test")])).await;
    }
    world.send(&mail(&["r@b.test"])).await;
    world.queue.start();
    world.until("the small one does not wait for the large one", async || b.taken().len() == 1).await;
    world.until("all are gone", async || a.taken().len() == 150).await;
    world.until_empty().await;
    let rest = a.taken().len();
    assert_eq!(rest, 150, "none twice");
    world.restart().await;
}

async fn a_reply_longer_than_a_column_does_not_stop_the_worker(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let long: String = std::iter::repeat_n(format!("550-5.1.1 {}\r\n", "no ".repeat(300)), 100).collect();
    let (x, sender) = (world.network.host("192.0.2.1", Peer::new()), world.network.host("192.0.2.2", Peer::new()));
    x.answers("RCPT", format!("{long}550 5.1.1 no").leak(), 1);
    world.queue.start();
    world.send(&mail(&["a@x.test"])).await;
    world.until_empty().await;
    assert!(sender.taken()[0].data.contains("Status: 5.1.1"));
    world.restart().await;
}

async fn a_result_that_the_database_refuses_holds_the_recipient(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let x = world.network.host("192.0.2.1", Peer::new().waits_for(Arc::clone(&gate)));
    x.answers("(end)", "450 4.2.0 not now", 1);
    world.queue.start();
    let id = world.send(&mail(&["a@x.test"])).await;
    world.until("it is in flight", async || x.heard.lock().iter().any(|line| line == "DATA")).await;
    world.database.execute("ALTER TABLE queue_recipients RENAME COLUMN attempts TO tries", &[]).await.unwrap();
    gate.add_permits(9);
    world.until("it is held", async || world.queue.counts().await.unwrap().held == 1).await;
    world.database.execute("ALTER TABLE queue_recipients RENAME COLUMN tries TO attempts", &[]).await.unwrap();
    let reason = world.queue.show(id).await.unwrap().entry.hold_reason.unwrap();
    assert!(reason.starts_with("the last attempt has ended (it was to be tried again)"), "{reason}");
    world.queue.change(&Change::Release(Selection::Entry(id))).await.unwrap();
    world.until_empty().await;
    assert_eq!(x.taken().len(), 1);
    world.restart().await;
}

/// Only PostgreSQL can count what it refuses: a sequence keeps its value when a transaction is rolled back.
#[test]
fn a_result_that_the_database_will_have_later_is_kept() {
    engines::run(Dialect::Postgres, kept_later);
}

async fn kept_later(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let x = world.network.host("192.0.2.1", Peer::new());
    // The spool says everything twice, with what others want and alone. Three times all results are refused, and once each.
    for sql in [
        "CREATE SEQUENCE refusals",
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN \
         IF nextval('refusals') <= 8 THEN RAISE EXCEPTION 'not now'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER refuse BEFORE DELETE ON queue_recipients FOR EACH ROW EXECUTE FUNCTION refuse()",
    ] {
        world.database.execute(sql, &[]).await.unwrap();
    }
    world.queue.start();
    world.send(&mail(&["a@x.test"])).await;
    world.until_empty().await;
    assert_eq!(x.taken().len(), 1);
    let asked = world.database.fetch_optional("SELECT last_value FROM refusals", &[]).await.unwrap().unwrap();
    assert_eq!(asked.int(0).unwrap(), 9);
    world.restart().await;
}

async fn a_host_that_is_slow_in_every_step_does_not_keep_its_place(database: Database) {
    let mut outbound = OutboundSettings::default();
    outbound.timeouts.attempt = Span::millis(500);
    let world = World::new(database, SetUp { outbound, ..SetUp::default() });
    world.zone.add("x.test A 192.0.2.1").unwrap();
    let slow = Peer::new().extensions(&[]).slow(Duration::from_millis(100));
    let peer = world.network.host("192.0.2.1", slow);
    let names: Vec<String> = (0..50).map(|n| format!("r{n}@x.test")).collect();
    let id = world.send(&mail(&names.iter().map(String::as_str).collect::<Vec<_>>())).await;
    world.queue.start();
    world.until_tried(id, 1).await;
    let left = world.queue.show(id).await.unwrap().recipients;
    let said = left[0].last_reply.clone().unwrap_or_default();
    assert!(left.len() == 50 && said.contains("`outbound.timeouts.attempt`"), "{} {said}", left.len());
    assert_eq!(peer.taken(), []);
    world.restart().await;
}

async fn an_exchanger_that_is_this_server_itself_ends_the_way(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("mail.example.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    world
        .zone
        .add("alias.test MX 10 other.name.test\nother.name.test A 192.0.2.1\nnear.test MX 5 near.name.test")
        .unwrap();
    world.zone.add("alias.test MX 20 worse.test\nworse.test A 192.0.2.4\nnear.name.test A 192.0.2.4").unwrap();
    world
        .zone
        .add("near.test MX 10 other.name.test\nhidden.test MX 10 behind.nat.test\nbehind.nat.test A 192.0.2.3")
        .unwrap();
    world.zone.add("hidden.test MX 20 worse.test").unwrap();
    let itself = world.network.host("192.0.2.1", Peer::new());
    let sender = world.network.host("192.0.2.2", Peer::new());
    let behind = world.network.host("192.0.2.3", Peer::new());
    behind.answers("EHLO", "250-Mail.Example.test hello\r\n250 PIPELINING", 9);
    let other = world.network.host("192.0.2.4", Peer::new());
    world.queue.start();
    // By address, and by the name in its greeting; a better host is still asked.
    world.send(&mail(&["a@alias.test", "b@hidden.test", "c@near.test"])).await;
    world.until_empty().await;
    assert_eq!(itself.connections(), 0);
    assert_eq!(behind.taken(), []);
    assert_eq!(
        other.taken().iter().map(|taken| taken.recipients.clone()).collect::<Vec<_>>(),
        [["RCPT TO:<c@near.test>"]]
    );
    let reports: String = sender.taken().iter().map(|taken| taken.data.clone()).collect();
    assert_eq!(reports.matches("Status: 5.4.6").count(), 2, "{reports}");
    world.restart().await;
}
