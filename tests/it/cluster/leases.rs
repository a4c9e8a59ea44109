//! Ownership of users, by the database alone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use postrider::foundations::settings::Span;
use postrider::storage::cluster::{ClusterSettings, Duties, Error, Membership, NodeState, Nodes, Place};
use postrider::storage::database::{Database, Sql};

use crate::accounts::engines::on_every_engine;

on_every_engine!(
    only_one_takes_a_user,
    users_of_the_dead_are_taken_and_the_dead_stay_dead,
    a_clock_put_forward_ends_no_lease_of_the_living,
    every_renewal_changes_the_lease,
    what_is_given_back_is_free_at_once,
    a_node_of_the_same_name_waits,
    a_node_being_emptied_gives_to_others,
    duties_have_one_holder,
);

fn node(database: &Database, name: &str, lease: u64) -> Membership {
    let settings = ClusterSettings {
        node: name.to_owned(),
        address: format!("{name}.test:2425"),
        lease: Span::millis(lease),
        margin: Span::millis(lease / 10),
        ..ClusterSettings::default()
    };
    Membership::new(database.clone(), settings)
}

/// In milliseconds.
const LONG: u64 = 600_000;
const SHORT: u64 = 600;
const HOUR: Duration = Duration::from_secs(3600);

fn is_here(place: &Place) -> bool {
    matches!(place, Place::Here(tenure) if tenure.check().is_ok())
}

/// The owner of a user, as seen by a node.
async fn asked(membership: &Membership, home: &str) -> String {
    match membership.take(home).await.unwrap() {
        Place::Here(_) => membership.node().to_owned(),
        Place::There(other) => other.node,
    }
}

async fn only_one_takes_a_user(database: Database) {
    let nodes: Vec<Membership> = ["a", "b", "c"].iter().map(|name| node(&database, name, LONG)).collect();
    for one in &nodes {
        assert!(matches!(one.take("ann@example.test").await, Err(Error::NoLease)));
        assert!(one.join().await.unwrap().is_some());
    }
    for round in 0..20 {
        let home = format!("user{round}@example.test");
        let owners = join_all(nodes.iter().flat_map(|one| [asked(one, &home), asked(one, &home)])).await;
        assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), 1, "{owners:?}");
    }
    let known = Nodes::new(database).list().await.unwrap();
    assert_eq!(known.iter().map(|node| node.users).sum::<i64>(), 20, "{known:?}");
    assert!(known.iter().all(postrider::storage::cluster::Node::is_alive));
}

async fn users_of_the_dead_are_taken_and_the_dead_stay_dead(database: Database) {
    let (a, b) = (node(&database, "a", SHORT), node(&database, "b", LONG));
    let dead = a.join().await.unwrap().unwrap();
    b.join().await.unwrap().unwrap();
    let Place::Here(tenure) = a.take("ann@example.test").await.unwrap() else { panic!("a does not have ann") };
    assert!(matches!(b.take("ann@example.test").await.unwrap(), Place::There(_)));
    assert!(a.renew(&dead).await.unwrap());
    assert!(tenure.check().is_ok());
    let takes = async {
        while !is_here(&b.take("ann@example.test").await.unwrap()) {
            // While another owns it, the previous owner still owns it by its own clock, or nobody does.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), takes).await.expect("the lease ends");
    assert!(tenure.check().is_err(), "two own the same user");
    // A renewal that comes late finds nothing to renew.
    assert!(!a.renew(&dead).await.unwrap());
    assert!(tenure.check().is_err());
    let again = a.join().await.unwrap().expect("its lease has ended");
    assert_ne!(again.epoch, dead.epoch);
    assert!(matches!(a.take("ann@example.test").await.unwrap(), Place::There(other) if other.node == "b"));
    assert!(tenure.check().is_err());
}

/// Seen from a clock that was set forward, the leases of all nodes have ended long ago.
async fn a_clock_put_forward_ends_no_lease_of_the_living(database: Database) {
    let (a, b) = (node(&database, "a", LONG), node(&database, "b", LONG));
    let term = a.join().await.unwrap().unwrap();
    b.join().await.unwrap().unwrap();
    let Place::Here(tenure) = a.take("ann@example.test").await.unwrap() else { panic!("a does not have ann") };
    database.execute("UPDATE cluster_nodes SET lease_end = 1", &[]).await.unwrap();
    assert!(a.renew(&term).await.unwrap());
    assert!(matches!(b.take("ann@example.test").await.unwrap(), Place::There(_)));
    assert!(tenure.check().is_ok());
    // Once another has taken over, nothing is renewed.
    database.execute("UPDATE cluster_nodes SET lease_end = 1", &[]).await.unwrap();
    assert!(is_here(&b.take("ann@example.test").await.unwrap()));
    assert!(!a.renew(&term).await.unwrap());
}

/// Others count how long a lease has been the same: a living node must not look dead while the database's clock stands still.
async fn every_renewal_changes_the_lease(database: Database) {
    let dialect = database.dialect();
    let (length, now) = (15_000_000_i64, dialect.now());
    for (before, by_one) in [(length + 500_000, true), (length - 500_000, false), (length + 60_000_000, false)] {
        let renewed = dialect.renewed("e", length);
        let sql = format!("SELECT e, {renewed} FROM (SELECT {now} + {before} AS e) AS leases");
        let row = database.fetch_optional(Sql::assembled(sql), &[]).await.unwrap().unwrap();
        let (old, new) = (row.int(0).unwrap(), row.int(1).unwrap());
        assert_ne!(old, new);
        assert_eq!(new == old + 1, by_one, "{before}");
    }
}

async fn what_is_given_back_is_free_at_once(database: Database) {
    let (a, b) = (node(&database, "a", LONG), node(&database, "b", LONG));
    let term = a.join().await.unwrap().unwrap();
    b.join().await.unwrap().unwrap();
    for home in ["ann@example.test", "bob@example.test", "cat@example.test"] {
        assert!(is_here(&a.take(home).await.unwrap()));
    }
    a.give_back("ann@example.test", &term).await.unwrap();
    assert!(is_here(&b.take("ann@example.test").await.unwrap()));
    assert!(Nodes::new(database.clone()).wish("bob@example.test", "b").await.unwrap());
    assert_eq!(a.wanted(&term, 10).await.unwrap(), [("bob@example.test".to_owned(), "b".to_owned())]);
    a.hand_over("bob@example.test", &term, "b").await.unwrap();
    assert!(is_here(&b.take("bob@example.test").await.unwrap()));
    let Place::Here(tenure) = a.take("cat@example.test").await.unwrap() else { panic!("a does not have cat") };
    a.leave().await.unwrap();
    assert!(tenure.check().is_err());
    assert!(is_here(&b.take("cat@example.test").await.unwrap()));
    assert!(matches!(a.take("dan@example.test").await, Err(Error::NoLease)));
    assert!(Nodes::new(database.clone()).forget("a").await.unwrap());
    assert!(!Nodes::new(database).forget("b").await.unwrap());
}

async fn a_node_of_the_same_name_waits(database: Database) {
    let (first, second) = (node(&database, "a", LONG), node(&database, "a", LONG));
    first.join().await.unwrap().unwrap();
    assert!(second.join().await.unwrap().is_none(), "two processes are one node");
    first.leave().await.unwrap();
    assert!(second.join().await.unwrap().is_some());
}

async fn a_node_being_emptied_gives_to_others(database: Database) {
    let (a, b) = (node(&database, "a", LONG), node(&database, "b", LONG));
    a.join().await.unwrap().unwrap();
    let nodes = Nodes::new(database.clone());
    nodes.set_state("a", NodeState::Draining).await.unwrap();
    assert_eq!(a.read_state().await.unwrap(), NodeState::Draining);
    assert!(matches!(a.take("ann@example.test").await, Err(Error::NoTaker)));
    b.join().await.unwrap().unwrap();
    assert_eq!(asked(&a, "ann@example.test").await, "b");
    assert!(is_here(&b.take("ann@example.test").await.unwrap()));
    assert!(matches!(nodes.set_state("c", NodeState::Serving).await, Err(Error::NoNode(_))));
}

async fn duties_have_one_holder(database: Database) {
    let (a, b) = (Duties::new(database.clone(), "a"), Duties::new(database, "b"));
    let taken = join_all([a.take("reports", HOUR), b.take("reports", HOUR)]).await;
    let taken: Vec<bool> = taken.into_iter().map(Result::unwrap).collect();
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
    let (holder, other) = if taken[0] { (a, b) } else { (b, a) };
    assert!(holder.take("reports", HOUR).await.unwrap());
    assert!(!other.take("reports", HOUR).await.unwrap());
    assert!(other.take("another", HOUR).await.unwrap());
    holder.leave("reports").await.unwrap();
    assert!(other.take("reports", HOUR).await.unwrap());
}
