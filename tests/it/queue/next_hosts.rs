//! Hosts and addresses are tried in turn.

use std::time::Duration;

use postrider::services::outbound::OutboundSettings;
use postrider::storage::database::Database;

use super::peer::Peer;
use super::world::{SetUp, World, mail};

use crate::accounts::engines::on_every_engine;

on_every_engine!(
    goes_to_the_next_address_of_a_host_that_takes_nothing_now,
    nothing_is_given_up_before_every_host_was_asked,
);

/// Two machines with one name.
pub(super) const ONE_NAME: &str = "x.test AAAA 2001:db8::1\nx.test A 192.0.2.3";

/// That with an IPv6 address comes first.
async fn goes_to_the_next_address_of_a_host_that_takes_nothing_now(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add(ONE_NAME).unwrap();
    let (first, second) =
        (world.network.host("2001:db8::1", Peer::new()), world.network.host("192.0.2.3", Peer::new()));
    world.queue.start();
    for (n, command) in ["MAIL", "RCPT", "DATA", "(end)"].into_iter().enumerate() {
        first.answers(command, "451 4.3.0 Not now", 1);
        world.send(&mail(&["a@x.test"])).await;
        world.until_empty().await;
        assert_eq!((first.taken().len(), second.taken().len(), first.connections()), (0, n + 1, n + 1), "{command}");
        world.until_quiet().await;
    }
    world.restart().await;
}

/// Two hosts that never take mail say nothing about the third.
async fn nothing_is_given_up_before_every_host_was_asked(database: Database) {
    let outbound = OutboundSettings { addresses_tried: 2, ..OutboundSettings::default() };
    let world = World::new(database, SetUp { outbound, ..SetUp::default() });
    for n in 1..=3 {
        world.zone.add(&format!("x.test MX {n} h{n}.x.test\nh{n}.x.test A 192.0.2.{n}")).unwrap();
    }
    let never = || Peer::new().greeting("521 5.3.2 There is no mail here");
    let (first, second) = (world.network.host("192.0.2.1", never()), world.network.host("192.0.2.2", never()));
    world.queue.start();
    let id = world.send(&mail(&["a@x.test"])).await;
    world.until_tried(id, 1).await;
    assert_eq!((first.connections(), second.connections()), (1, 1));
    let again = world.network.host("192.0.2.2", Peer::new());
    world.clock.advance(Duration::from_secs(6 * 60));
    world.until_empty().await;
    assert_eq!(again.taken().len(), 1);
    world.restart().await;
}
