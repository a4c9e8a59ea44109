//! Destinations that accept a connection and then stay silent: responsive ones do not wait for them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider::foundations::mail::Message;
use postrider::foundations::settings::{ByteSize, Span};
use postrider::services::outbound::{Connecting, Connector, Io};
use postrider::services::queue::QueueSettings;
use postrider::storage::database::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::peer::{Network, Peer};
use super::world::{SetUp, World, mail};

crate::accounts::engines::on_every_engine!(
    those_that_answer_do_not_wait_for_those_that_stall,
    messages_that_stall_keep_no_memory,
    messages_without_a_reply_keep_no_memory,
    a_message_that_may_have_arrived_is_waited_for,
);

/// TCP connections to one listener for all addresses of 198.51.100.0/24 and 203.0.113.0/24; the network without sockets
/// for all others.
struct Mixed {
    listener: SocketAddr,
    network: Arc<Network>,
}

impl Connector for Mixed {
    fn connect(&self, address: SocketAddr, source: Option<IpAddr>) -> Connecting<'_> {
        let IpAddr::V4(v4) = address.ip() else { return self.network.connect(address, source) };
        if !matches!(v4.octets(), [198 | 203, ..]) {
            return self.network.connect(address, source);
        }
        let listener = self.listener;
        Box::pin(async move { Ok(Box::new(TcpStream::connect(listener).await?) as Box<dyn Io>) })
    }
}

/// How far a host goes before it falls silent.
#[derive(Clone, Copy)]
enum Until {
    Greeting,
    Data,
    End,
}

/// A listener whose connections all stall; where it listens.
async fn stalling(until: Until) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if !matches!(until, Until::Greeting) {
                stream.write_all(b"220 peer\r\n").await.unwrap();
                for reply in ["250 peer\r\n", "250 fine\r\n", "250 fine\r\n", "354 go on\r\n"] {
                    let _ = stream.read(&mut [0; 1000]).await;
                    let _ = stream.write_all(reply.as_bytes()).await;
                }
            }
            if matches!(until, Until::End) {
                let mut last = Vec::new();
                while !last.ends_with(b"\r\n.\r\n") {
                    let mut octets = [0; 1 << 16];
                    let read = stream.read(&mut octets).await.unwrap();
                    last.extend_from_slice(&octets[..read]);
                    last.drain(..last.len().saturating_sub(5));
                }
            }
            open.push(stream);
        }
    };
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of the test")]
    tokio::spawn(serve);
    address
}

fn world(database: Database, queue: QueueSettings, listener: SocketAddr, good: Peer) -> (World, Arc<Peer>) {
    let network = Network::new(postrider::foundations::tasks::Tasks::new());
    let connector: Arc<dyn Connector> = Arc::new(Mixed { listener, network: Arc::clone(&network) });
    let world = World::new(database, SetUp { queue, connector: Some(connector), ..SetUp::default() });
    world.zone.add("good.test A 192.0.2.1\nsender.test A 192.0.2.2").unwrap();
    let good = network.host("192.0.2.1", good);
    (world, good)
}

/// Waits until `count` messages have reached the responsive host; returns how long that took.
async fn taken(world: &World, peer: &Peer, count: usize) -> Duration {
    let begin = Instant::now();
    world.until("mail to the destination that answers is there", async || peer.taken().len() >= count).await;
    begin.elapsed()
}

async fn those_that_answer_do_not_wait_for_those_that_stall(database: Database) {
    let queue = QueueSettings {
        connections: 10,
        connections_for_quick: 2,
        slow_after: Span::millis(300),
        slow_connections: 20,
        recipients_in_memory: 100,
        idle_connection: Span::millis(1),
        ..QueueSettings::default()
    };
    let (world, good) = world(database, queue, stalling(Until::Greeting).await, Peer::new());
    for n in 0..100 {
        world.zone.add(&format!("stall{n}.test A 198.51.100.{n}")).unwrap();
        let names: Vec<String> = (0..5).map(|r| format!("r{r}@stall{n}.test")).collect();
        world.send(&mail(&names.iter().map(String::as_str).collect::<Vec<_>>())).await;
    }
    world.queue.start();
    world.until("all places are taken", async || world.queue.connections() >= 10).await;
    // Nothing is known of it, and 100 are ahead of it.
    world.send(&mail(&["a@good.test"])).await;
    taken(&world, &good, 1).await;
    // From now on it has slots of its own.
    for n in 2..6 {
        world.send(&mail(&["a@good.test"])).await;
        let known = taken(&world, &good, n).await;
        assert!(known < Duration::from_secs(2), "message {n}: {known:?}");
    }
    assert!(world.queue.connections() <= 30, "{}", world.queue.connections());
}

async fn messages_that_stall_keep_no_memory(database: Database) {
    keep_no_memory(database, Until::Data).await;
}

async fn messages_without_a_reply_keep_no_memory(database: Database) {
    keep_no_memory(database, Until::End).await;
}

async fn keep_no_memory(database: Database, until: Until) {
    let queue = QueueSettings {
        connections_for_quick: 0,
        slow_after: Span::millis(100),
        slow_rate: ByteSize::mib(100),
        memory: ByteSize::mib(8),
        ..QueueSettings::default()
    };
    let (world, good) = world(database, queue, stalling(until).await, Peer::new().extensions(&["PIPELINING"]));
    let mut large = mail(&["a@stall.test"]);
    large.message =
        Message::new(format!("Message-ID: <1@example.test>\r\n\r\n{}", "line after line\r\n".repeat(300_000)));
    for n in 0..4 {
        world.zone.add(&format!("stall{n}.test A 203.0.113.{n}")).unwrap();
        large.envelope.recipients[0].address = format!("r@stall{n}.test").parse().unwrap();
        world.send(&large).await;
    }
    world.queue.start();
    world.until("memory is taken", async || world.queue.connections() == 4).await;
    large.envelope.recipients[0].address = "a@good.test".parse().unwrap();
    world.send(&large).await;
    taken(&world, &good, 1).await;
}

async fn a_message_that_may_have_arrived_is_waited_for(database: Database) {
    let queue = QueueSettings {
        connections: 1,
        connections_for_quick: 0,
        slow_after: Span::millis(20),
        slow_connections: 1,
        ..QueueSettings::default()
    };
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let good = Peer::new().waits_for(Arc::clone(&gate));
    let (world, good) = world(database, queue, stalling(Until::Greeting).await, good);
    world.zone.add("stall1.test A 198.51.100.1\nstall2.test A 198.51.100.2").unwrap();
    let id = world.send(&mail(&["a@good.test"])).await;
    world.queue.start();
    world.until("it is at its end", async || good.heard.lock().iter().any(|line| line == "DATA")).await;
    for n in 1..3 {
        world.send(&mail(&[&format!("a@stall{n}.test")])).await;
    }
    // It has stepped aside, and a stalling one has its slot and wants to step aside too.
    world.until("another is under way", async || world.queue.connections() == 2).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    gate.add_permits(1);
    world.until("it is gone", async || world.queue.show(id).await.is_err()).await;
    assert_eq!(good.taken().len(), 1);
}
