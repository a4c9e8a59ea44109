//! The queue shared by nodes.

use postrider::config::Protocol;
use postrider::storage::cluster::Nodes;
use postrider::storage::database::{Dialect, Sql, Val};
use tokio::net::{TcpListener, TcpStream};

use super::moves::command;
use super::on_shared_engines;
use super::world::{BRISK, Node, World};
use crate::harness::{PASSWORD, Smtp, until};

on_shared_engines!(
    what_a_node_sends_is_its_own,
    what_a_dead_node_was_sending_is_sent_by_another,
    nodes_with_queues_of_their_own_say_so,
);

/// Everything goes to one host, and a node that is gone is soon forgotten by its queue.
const ROUTE: &str = "[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"[127.0.0.1]\"\n[spool]\nnode_lease = \"5s\"\n";

/// Who has claimed the one recipient in the queue.
async fn claimant(world: &World) -> Option<String> {
    let row = world.database.fetch_optional("SELECT owner FROM queue_recipients", &[]).await.unwrap();
    row.expect("it is in the queue").opt_text(0).unwrap()
}

async fn what_a_node_sends_is_its_own(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let more = "[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"[127.0.0.1]\"\n";
    let (a, silent, connection) = sending(&world, more).await;
    let exchanger = silent.local_addr().unwrap();

    // Another node with the same host name takes nothing away: not when it starts, nor while it works.
    let b = world.node_with("b", BRISK, more, exchanger).await;
    b.imap("bob@example.test").await.ok("SELECT INBOX").await;
    assert_eq!(claimant(&world).await.as_deref(), Some("a"));

    // The node dies and will not come back: the other one sends what it was sending.
    a.kill();
    drop(connection);
    until("the lease of a ends", async || {
        let nodes = Nodes::new(world.database.clone()).list().await.unwrap();
        nodes.iter().any(|node| node.name == "a" && !node.is_alive())
    })
    .await;
    assert_eq!(claimant(&world).await.as_deref(), Some("a"));
    let freed = command(&b, &["cluster", "forget", "a"]).await;
    let freed: serde_json::Value = serde_json::from_str(&freed).unwrap();
    assert_eq!(freed["freed"], 1, "{freed}");
    until("b sends it", async || claimant(&world).await.as_deref() == Some("b")).await;
    silent.accept().await.unwrap();
    b.kill();
    world.end().await;
}

/// A node that sends a letter to another server, which accepts connections and says nothing.
async fn sending(world: &World, more: &str) -> (Node, TcpListener, TcpStream) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let a = world.node_with("a", BRISK, more, silent.local_addr().unwrap()).await;
    let mut smtp = Smtp::hello(a.tls(Protocol::Submissions).await, "EHLO client.example").await;
    smtp.log_in("ann@example.test", PASSWORD).await;
    let letter = "From: ann@example.test\r\nSubject: Far\r\n\r\nText\r\n";
    let reply = smtp.deliver("ann@example.test", &["someone@elsewhere.example"], letter).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let (connection, _) = silent.accept().await.unwrap();
    until("a claims what it sends", async || claimant(world).await.as_deref() == Some("a")).await;
    (a, silent, connection)
}

/// How often something was recorded about a node.
async fn recorded(world: &World, node: &str, what: &str) -> i64 {
    let sql = "SELECT COUNT(*) FROM events WHERE kind = 'cluster' AND subject = ? AND details LIKE ?";
    let values: [Val; 2] = [node.into(), format!("%{what}%").into()];
    world.database.fetch_optional(sql, &values).await.unwrap().unwrap().int(0).unwrap()
}

async fn what_a_dead_node_was_sending_is_sent_by_another(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, silent, connection) = sending(&world, ROUTE).await;
    let exchanger = silent.local_addr().unwrap();
    let b = world.node_with("b", BRISK, ROUTE, exchanger).await;
    // As long as it is alive nobody takes anything from it: its lease ends and is renewed many times meanwhile.
    let renewed = async || {
        let row = world.database.fetch_optional("SELECT lease_end FROM queue_nodes WHERE node = 'a'", &[]).await;
        row.unwrap().unwrap().int(0).unwrap()
    };
    let first = renewed().await;
    until("the lease of a was renewed for longer than it lasts", async || renewed().await > first + 6_000_000).await;
    assert_eq!(claimant(&world).await.as_deref(), Some("a"));
    a.kill();
    drop(connection);
    until("b sends it", async || claimant(&world).await.as_deref() == Some("b")).await;
    silent.accept().await.unwrap();
    until("it is recorded", async || recorded(&world, "a", "claims taken over").await == 1).await;
    b.kill();
    world.end().await;
}

async fn nodes_with_queues_of_their_own_say_so(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, silent, connection) = sending(&world, ROUTE).await;
    let exchanger = silent.local_addr().unwrap();
    let elsewhere = format!("{ROUTE}directory = \"{}\"\n", world.mail_root().join("../spool-of-b").display());
    let b = world.node_with("b", BRISK, &elsewhere, exchanger).await;
    for node in ["a", "b"] {
        until("both say so", async || recorded(&world, node, "does not see the same queue").await == 1).await;
    }
    a.kill();
    drop(connection);
    until("the lease of a ends", async || {
        let sql = format!("SELECT 1 FROM queue_nodes WHERE node = 'a' AND lease_end <= {}", dialect.now());
        world.database.fetch_optional(Sql::assembled(sql), &[]).await.unwrap().is_some()
    })
    .await;
    // What b has looked at since then has left it alone.
    let renewed = async || {
        let row = world.database.fetch_optional("SELECT lease_end FROM queue_nodes WHERE node = 'b'", &[]).await;
        row.unwrap().unwrap().int(0).unwrap()
    };
    let first = renewed().await;
    until("b looks again, twice", async || renewed().await > first + 1_500_000).await;
    assert_eq!(claimant(&world).await.as_deref(), Some("a"));
    // With the right directory it takes over: not before it knows the way to the other host.
    b.stop().await;
    let lease = async |end: i64| {
        let sql = "UPDATE queue_nodes SET lease_end = ? WHERE node = 'a'";
        world.database.execute(sql, &[end.into()]).await.unwrap();
    };
    lease(i64::MAX / 2).await;
    let b = world.node_with("b", BRISK, ROUTE, exchanger).await;
    lease(1).await;
    until("b sends it", async || claimant(&world).await.as_deref() == Some("b")).await;
    b.kill();
    world.end().await;
}
