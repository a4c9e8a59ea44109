//! Users who move between nodes, intentionally or not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::clock::SystemClock;
use postrider::foundations::mail::{Message, SequenceSet};
use postrider::foundations::settings::{Live, Span};
use postrider::foundations::tasks::Tasks;
use postrider::storage::cluster::{ClusterSettings, Membership, NodeState, Nodes};
use postrider::storage::database::Dialect;
use postrider::storage::mailbox::{Access, AppendOptions, Error, FolderName, MailboxSettings, Mailboxes, Summarizer};

use super::on_shared_engines;
use super::world::{BRISK, CALM, Node, Pace, World};
use crate::faults::proxy::{Proxy, Way};
use crate::harness::{Imap, PASSWORD, PATIENCE, Smtp, until};

on_shared_engines!(
    users_of_a_killed_node_are_served_by_the_other,
    deliveries_survive_users_that_move,
    a_node_without_its_database_lets_go_and_comes_back,
    whoever_wakes_up_late_changes_nothing,
);

const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";

/// Messages that were acknowledged, by their subjects.
type Acknowledged = Arc<parking_lot::Mutex<BTreeSet<String>>>;

/// Delivers one message after the other at a node until it is told to stop or the node is gone.
async fn deliver(address: std::net::SocketAddr, name: &'static str, done: Acknowledged, stop: Arc<AtomicBool>) {
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let Ok(stream) = tokio::net::TcpStream::connect(address).await else { break };
        let mut lmtp = Lines::new(stream);
        if lmtp.reply().await.is_none() || lmtp.say("LHLO front.example").await.is_none() {
            break;
        }
        while !stop.load(Ordering::Acquire) {
            number += 1;
            let subject = format!("{name}-{number}");
            if lmtp.say("MAIL FROM:<x@peer.example>").await != Some(250)
                || lmtp.say(&format!("RCPT TO:<{ANN}>")).await != Some(250)
            {
                break;
            }
            if lmtp.say("DATA").await != Some(354) {
                break;
            }
            match lmtp.say(&format!("Subject: {subject}\r\n\r\nx\r\n.")).await {
                Some(250) => _ = done.lock().insert(subject),
                // Would be retried later; here with another message.
                Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                None => return,
            }
        }
    }
}

/// A client that tolerates the end of its connection.
struct Lines(tokio::io::BufReader<tokio::net::TcpStream>);

impl Lines {
    fn new(stream: tokio::net::TcpStream) -> Self {
        Self(tokio::io::BufReader::new(stream))
    }

    async fn say(&mut self, line: &str) -> Option<u16> {
        use tokio::io::AsyncWriteExt as _;
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
        self.reply().await
    }

    async fn reply(&mut self) -> Option<u16> {
        use tokio::io::AsyncBufReadExt as _;
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await.ok()?.ok()?;
            if read == 0 {
                return None;
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.get(..3)?.parse().ok();
            }
        }
    }
}

/// The subjects that a client sees in INBOX, each with its UID.
async fn subjects(imap: &mut Imap) -> BTreeMap<u32, String> {
    imap.ok("SELECT INBOX").await;
    let fetched = imap.ok("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await;
    let mut found = BTreeMap::new();
    for line in fetched.untagged.iter().filter(|line| line.contains("FETCH")) {
        let uid = line.split("UID ").nth(1).and_then(|rest| rest.split([' ', ')']).next()).unwrap().parse().unwrap();
        let subject = line.split("Subject: ").nth(1).and_then(|rest| rest.split('\r').next()).unwrap_or_default();
        assert_eq!(found.insert(uid, subject.trim().to_owned()), None, "UID {uid} twice");
    }
    found
}

/// The UIDs in the names of the files, each once.
fn uids_on_disk(home: &Path) -> BTreeSet<u32> {
    let mut found: BTreeMap<u32, String> = BTreeMap::new();
    for place in ["new", "cur"] {
        for entry in std::fs::read_dir(home.join(place)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let uid = name.split(",U=").nth(1).and_then(|rest| rest.split([',', ':']).next());
            let uid = uid.unwrap_or_else(|| panic!("{name} has no UID")).parse().unwrap();
            let base = name.split(':').next().unwrap().to_owned();
            // A message that moves from `new/` to `cur/` meanwhile may be seen in both.
            let before = found.insert(uid, base.clone());
            assert!(before.is_none_or(|before| before == base), "UID {uid} twice: {name}");
        }
    }
    found.into_keys().collect()
}

/// What clients were told must hold: no UID used for two messages, no acknowledged message missing or changed.
async fn compare(world: &World, node: &Node, done: &Acknowledged, seen: &BTreeMap<u32, String>) {
    let mut imap = node.imap(ANN).await;
    let now = subjects(&mut imap).await;
    let there: BTreeSet<&str> = now.values().map(String::as_str).collect();
    let missing: Vec<String> =
        done.lock().iter().filter(|subject| !there.contains(subject.as_str())).cloned().collect();
    assert!(missing.is_empty(), "acknowledged and not there: {missing:?}");
    for (uid, subject) in seen {
        assert_eq!(now.get(uid), Some(subject), "UID {uid} means another message now");
    }
    assert_eq!(uids_on_disk(&world.mail_root().join("example.test/ann")), now.keys().copied().collect());
}

async fn users_of_a_killed_node_are_served_by_the_other(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, b) = (world.node("a", BRISK).await, world.node("b", CALM).await);
    let mut at_a = a.imap(ANN).await;
    assert_eq!(world.owner(ANN).await.as_deref(), Some("a"));
    let (done, stop) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
    let tasks = Tasks::new();
    for (node, name) in [(&a, "a"), (&b, "b")] {
        tasks.spawn(deliver(node.address(Protocol::Lmtp), name, Arc::clone(&done), Arc::clone(&stop)));
    }
    until("some were delivered by both", async || {
        let done = done.lock();
        ["a-", "b-"].iter().all(|name| done.iter().filter(|subject| subject.starts_with(name)).count() >= 10)
    })
    .await;
    let seen = subjects(&mut at_a).await;
    let through_b = b.imap(ANN).await;
    a.kill();
    // The lease of the dead node must end first; until then nobody else serves its users.
    until("the other node serves the user", async || {
        let mut imap = Imap::greeted(b.tls(Protocol::Imaps).await).await;
        imap.command(&format!("LOGIN \"{ANN}\" \"{PASSWORD}\"")).await.is_ok()
    })
    .await;
    world.until_owner(ANN, Some("b")).await;
    let before = done.lock().len();
    until("deliveries go on", async || done.lock().len() > before + 5).await;
    stop.store(true, Ordering::Release);
    assert!(tasks.stop(PATIENCE).await, "deliveries do not end");
    compare(&world, &b, &done, &seen).await;
    drop((at_a, through_b));
    b.stop().await;
    world.end().await;
}

async fn deliveries_survive_users_that_move(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, b) = (world.node("a", CALM).await, world.node("b", CALM).await);
    let (done, stop) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
    let tasks = Tasks::new();
    for (node, name) in [(&a, "a"), (&b, "b")] {
        tasks.spawn(deliver(node.address(Protocol::Lmtp), name, Arc::clone(&done), Arc::clone(&stop)));
    }
    let nodes = Nodes::new(world.database.clone());
    let mut seen = BTreeMap::new();
    for round in 0..6 {
        let to = if round % 2 == 0 { "b" } else { "a" };
        until("somebody has the user", async || world.owner(ANN).await.is_some()).await;
        nodes.wish(ANN, to).await.unwrap();
        world.until_owner(ANN, Some(to)).await;
        let before = done.lock().len();
        until("deliveries go on", async || done.lock().len() >= before + 6).await;
        let mut imap = if round % 3 == 0 { a.imap(ANN).await } else { b.imap(ANN).await };
        let now = subjects(&mut imap).await;
        assert!(seen.iter().all(|(uid, subject)| now.get(uid) == Some(subject)), "a UID means another message now");
        seen = now;
    }
    // Emptied on purpose: sessions are told, others take its users.
    let mut bob = a.imap(BOB).await;
    until("a has bob", async || world.owner(BOB).await.as_deref() == Some("a")).await;
    nodes.set_state("a", NodeState::Draining).await.unwrap();
    let mut last = String::new();
    while let Some(line) = bob.talk.next_line().await {
        last = line;
    }
    assert!(last.starts_with("* BYE") && last.contains("moved"), "{last}");
    let bob = a.imap(BOB).await;
    assert_eq!(world.owner(BOB).await.as_deref(), Some("b"));
    stop.store(true, Ordering::Release);
    assert!(tasks.stop(PATIENCE).await, "deliveries do not end");
    compare(&world, &b, &done, &seen).await;
    drop(bob);
    a.stop().await;
    b.stop().await;
    world.end().await;
}

async fn a_node_without_its_database_lets_go_and_comes_back(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let Some((host, port)) = world.fresh.local_port() else { return };
    let proxy = Proxy::start(port);
    let through = world.fresh.url_through(&host.replace("localhost", "127.0.0.1"), proxy.port).to_string();
    let a = world.node_through("a", BRISK, &through).await;
    let b = world.node("b", Pace { lease: "60s", ..CALM }).await;
    let mut imap = a.imap(ANN).await;
    assert!(imap.append("INBOX", "", "Subject: before\r\n\r\nx\r\n").await.is_ok());
    proxy.set(Way::Cut);
    // The session is ended before anybody else may own the user.
    let mut last = String::new();
    while let Some(line) = imap.talk.next_line().await {
        last = line;
    }
    assert!(last.starts_with("* BYE"), "{last}");
    until("the other node serves the user", async || {
        let mut imap = Imap::greeted(b.tls(Protocol::Imaps).await).await;
        imap.command(&format!("LOGIN \"{ANN}\" \"{PASSWORD}\"")).await.is_ok()
    })
    .await;
    let mut at_b = b.imap(ANN).await;
    assert!(at_b.append("INBOX", "", "Subject: meanwhile\r\n\r\nx\r\n").await.is_ok());
    // A node without its database acknowledges nothing.
    let lmtp = tokio::net::TcpStream::connect(a.address(Protocol::Lmtp)).await.unwrap();
    let mut lmtp = Lines::new(lmtp);
    lmtp.reply().await;
    lmtp.say("LHLO front.example").await;
    lmtp.say("MAIL FROM:<x@peer.example>").await;
    let told = lmtp.say(&format!("RCPT TO:<{ANN}>")).await;
    let stored = if told == Some(250) && lmtp.say("DATA").await == Some(354) {
        lmtp.say("Subject: lost?\r\n\r\nx\r\n.").await
    } else {
        told
    };
    assert!(stored.is_none_or(|code| (400..500).contains(&code)), "{stored:?}");
    proxy.set(Way::Open);
    until("the node serves again", async || {
        let mut imap = Imap::greeted(a.tls(Protocol::Imaps).await).await;
        imap.command(&format!("LOGIN \"{ANN}\" \"{PASSWORD}\"")).await.is_ok()
    })
    .await;
    let mut again = a.imap(ANN).await;
    let found: Vec<String> = subjects(&mut again).await.into_values().collect();
    assert_eq!(found, ["before", "meanwhile"]);
    assert_eq!(world.owner(ANN).await.as_deref(), Some("b"));
    drop((imap, at_b, again));
    a.stop().await;
    b.stop().await;
    world.end().await;
}

/// Mailboxes of one node without the rest of it, and with nobody to renew its lease.
async fn mailboxes(world: &World, name: &str, lease: u64) -> (Mailboxes, Membership) {
    let settings = ClusterSettings {
        node: name.to_owned(),
        address: "127.0.0.1:1".to_owned(),
        lease: Span::millis(lease),
        margin: Span::millis(200),
        ..ClusterSettings::default()
    };
    let membership = Membership::new(world.database.clone(), settings);
    membership.join().await.unwrap().unwrap();
    let summarizer = Summarizer { version: 1, summarize: |_| Vec::new(), fuller: None };
    let (settings, clock) = (Live::new(MailboxSettings::default()), Arc::new(SystemClock));
    let open =
        Mailboxes::open_among(&world.mail_root(), settings, clock, Tasks::new(), summarizer, Some(membership.clone()));
    (open.unwrap(), membership)
}

/// A process that is frozen by its machine for longer than its lease.
async fn whoever_wakes_up_late_changes_nothing(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (inbox, ann) = (FolderName::inbox(), ANN.parse().unwrap());
    let message = |subject: &str| Message::new(format!("Subject: {subject}\r\n\r\nx\r\n").into_bytes());
    let (a, lease) = mailboxes(&world, "a", 4_000).await;
    let user = a.user(&ann).await.unwrap();
    let first = user.append(&inbox, &message("first"), AppendOptions::delivery(None)).await.unwrap();
    let view = user.open(&inbox, Access::ReadWrite).await.unwrap();
    let (b, _kept) = mailboxes(&world, "b", 600_000).await;
    // Nothing renews the lease of `a`, as if its process stood still.
    let mut opened = None;
    until("the lease ends", async || {
        match b.user(&ann).await {
            Ok(user) => opened = Some(user),
            Err(Error::Elsewhere(node)) => assert_eq!(node, "a"),
            Err(error) => panic!("{error}"),
        }
        opened.is_some()
    })
    .await;
    let theirs = opened.unwrap();
    let second = theirs.append(&inbox, &message("second"), AppendOptions::delivery(None)).await.unwrap();
    assert_ne!(second.uid, first.uid);
    // It resumes where it was, and is stopped.
    let late = user.append(&inbox, &message("late"), AppendOptions::delivery(None)).await;
    assert!(late.is_err(), "{late:?}");
    let expunged = view.remove(&[first.uid]).await;
    assert!(expunged.is_err(), "{expunged:?}");
    assert!(user.create(&"Late".parse().unwrap()).await.is_err());
    assert!(matches!(a.user(&ann).await, Err(Error::Cluster(_))));
    assert!(lease.join().await.unwrap().is_some());
    assert!(matches!(a.user(&ann).await, Err(Error::Elsewhere(node)) if node == "b"));
    a.abandon();
    a.close().await;
    // The state if the process was frozen between the last check and the rename: the message appears, under a UID of
    // its own.
    let home = world.mail_root().join("example.test/ann");
    let claimed = format!("1700000000.M1P1Q1.a,U={},S=22,W=22", second.uid);
    std::fs::write(home.join("tmp/frozen"), "Subject: frozen\r\n\r\nx\r\n").unwrap();
    std::fs::rename(home.join("tmp/frozen"), home.join("new").join(claimed)).unwrap();
    let view = theirs.open(&inbox, Access::ReadWrite).await.unwrap();
    let all: Vec<_> = view.rows(&SequenceSet::all()).map(|(_, row)| row.uid).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!((all[0], all[1]), (first.uid, second.uid));
    assert_eq!(uids_on_disk(&home).len(), 3);
    drop(view);
    b.close().await;
    world.end().await;
}

/// The output of a node's command line.
pub async fn command(node: &Node, words: &[&str]) -> String {
    let description: serde_json::Value = serde_json::from_slice(&std::fs::read(&node.description).unwrap()).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
    let config = description["config"].as_str().unwrap();
    let output = command.args(["--json", "--config", config]).args(words).output().await.unwrap();
    crate::harness::tools::assert_success("postrider", &output);
    String::from_utf8(output.stdout).unwrap()
}

/// SMTP is the same at both nodes.
#[tokio::test(flavor = "multi_thread")]
async fn mail_from_outside_reaches_the_owner() {
    let Some(world) = World::new(Dialect::MySql).await else { return };
    let (a, b, c) = (world.node("a", CALM).await, world.node("b", CALM).await, world.node("c", CALM).await);
    let (mut ann, mut bob) = (b.imap(ANN).await, c.imap(BOB).await);
    let mut smtp: Smtp = a.smtp().await;
    let reply = smtp.deliver("x@peer.example", &[ANN, BOB], "Subject: both\r\n\r\nx\r\n").await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    assert_eq!(subjects(&mut ann).await.into_values().collect::<Vec<_>>(), ["both"]);
    assert_eq!(subjects(&mut bob).await.into_values().collect::<Vec<_>>(), ["both"]);
    let status = command(&a, &["cluster", "status"]).await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let shown: Vec<_> = status.as_array().unwrap().iter().map(|node| (&node["name"], &node["users"])).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown[1] == (&"b".into(), &1.into()) && shown[2] == (&"c".into(), &1.into()), "{shown:?}");
    assert!(command(&a, &["cluster", "owner", ANN]).await.contains("\"b\""));
    command(&a, &["cluster", "move", ANN, "a"]).await;
    world.until_owner(ANN, Some("a")).await;
    drop((ann, bob));
    for node in [a, b, c] {
        node.stop().await;
    }
    let idle = world.owner(ANN).await;
    assert_eq!(idle, None, "a node that has stopped gives back what it owned");
    world.end().await;
}
