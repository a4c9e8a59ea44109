//! The queue that nodes share.

use postrider::config::Protocol;
use postrider::storage::cluster::Nodes;
use postrider::storage::database::Dialect;
use tokio::net::TcpListener;

use super::moves::command;
use super::on_shared_engines;
use super::world::{BRISK, World, until};
use crate::harness::{PASSWORD, Smtp};

on_shared_engines!(what_a_node_sends_is_its_own);

/// Who has claimed the one recipient in the queue.
async fn claimant(world: &World) -> Option<String> {
    let row = world.database.fetch_optional("SELECT owner FROM queue_recipients", &[]).await.unwrap();
    row.expect("it is in the queue").opt_text(0).unwrap()
}

async fn what_a_node_sends_is_its_own(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    // Another server that accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exchanger = silent.local_addr().unwrap();
    let more = "[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"[127.0.0.1]\"\n";
    let a = world.node_with("a", BRISK, more, exchanger).await;
    let mut smtp = Smtp::hello(a.tls(Protocol::Submissions).await, "EHLO client.example").await;
    smtp.log_in("ann@example.test", PASSWORD).await;
    let letter = "From: ann@example.test\r\nSubject: Far\r\n\r\nText\r\n";
    let reply = smtp.deliver("ann@example.test", &["someone@elsewhere.example"], letter).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let (connection, _) = silent.accept().await.unwrap();
    until("a claims what it sends", async || claimant(&world).await.as_deref() == Some("a")).await;

    // Another node of the same host name takes nothing away: not when it starts, nor while it works.
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
