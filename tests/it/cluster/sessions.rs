//! Clients that connect to a node which does not own their mailboxes.

use postrider::config::Protocol;
use postrider::storage::database::Dialect;

use super::on_shared_engines;
use super::world::{CALM, World};
use crate::harness::{Imap, PASSWORD, tools};

on_shared_engines!(
    either_node_shows_the_same_mailbox,
    idle_hears_of_a_delivery_at_the_other_node,
    compression_and_starttls_go_through,
    pop3_and_managesieve_go_through,
    sessions_end_with_their_password,
);

const ANN: &str = "ann@example.test";

async fn either_node_shows_the_same_mailbox(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, b) = (world.node("a", CALM).await, world.node("b", CALM).await);
    let mut at_b = b.imap(ANN).await;
    assert_eq!(world.owner(ANN).await.as_deref(), Some("b"));
    let mut at_a = a.imap(ANN).await;
    assert_eq!(world.owner(ANN).await.as_deref(), Some("b"));
    assert!(at_a.append("INBOX", "\\Flagged", "Subject: from a\r\n\r\nx\r\n").await.is_ok());
    assert!(at_b.append("INBOX", "", "Subject: from b\r\n\r\nx\r\n").await.is_ok());
    for session in [&mut at_a, &mut at_b] {
        let selected = session.ok("SELECT INBOX").await;
        assert_eq!(selected.number("EXISTS"), Some(2), "{selected:?}");
        let fetched = session.ok("FETCH 1:2 (UID FLAGS)").await;
        assert!(fetched.untagged[0].contains("UID 1 ") && fetched.untagged[0].contains("\\Flagged"), "{fetched:?}");
    }
    at_a.ok("STORE 1 +FLAGS (\\Deleted)").await;
    at_a.ok("EXPUNGE").await;
    let told = at_b.ok("NOOP").await;
    assert_eq!(told.number("EXPUNGE"), Some(1), "{told:?}");
    // Somebody else's password does not open it.
    let mut stranger = Imap::greeted(a.tls(Protocol::Imaps).await).await;
    assert!(!stranger.command(&format!("LOGIN \"{ANN}\" \"wrong\"")).await.is_ok());
    // Logging out and in again over the same connection, which now leads to the other node.
    let bye = at_a.ok("LOGOUT").await;
    assert!(bye.untagged.iter().any(|line| line.starts_with("BYE")), "{bye:?}");
    assert!(at_a.talk.is_closed().await);
    let mut again = a.imap(ANN).await;
    again.ok("UNAUTHENTICATE").await;
    again.ok(&format!("LOGIN \"bob@example.test\" \"{PASSWORD}\"")).await;
    again.ok("SELECT INBOX").await;
    drop((at_a, at_b, again, stranger));
    a.stop().await;
    b.stop().await;
    world.end().await;
}

async fn idle_hears_of_a_delivery_at_the_other_node(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, b) = (world.node("a", CALM).await, world.node("b", CALM).await);
    let mut owner = b.imap(ANN).await;
    owner.ok("SELECT INBOX").await;
    let mut idle = a.imap(ANN).await;
    idle.ok("SELECT INBOX").await;
    let tag = idle.begin("IDLE").await;
    assert!(idle.talk.line().await.starts_with('+'));
    for (node, to) in [(&a, &[ANN, "bob@example.test"][..]), (&b, &[ANN][..])] {
        let mut smtp = node.smtp().await;
        let reply = smtp.deliver("x@peer.example", to, "Subject: hello\r\n\r\nx\r\n").await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    let mut exists = String::new();
    while !exists.starts_with("* 2 EXISTS") {
        exists = idle.talk.line().await;
    }
    idle.talk.send("DONE\r\n").await;
    assert!(idle.finish(&tag).await.is_ok());
    assert_eq!(owner.ok("NOOP").await.number("EXISTS"), Some(2));
    // The other recipient of the first message is with the node that accepted it.
    let mut bob = b.imap("bob@example.test").await;
    assert_eq!(bob.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    assert_eq!(world.owner("bob@example.test").await.as_deref(), Some("a"));
    // When the node that holds the connection stops, the client is told.
    drop((owner, bob));
    let tag = idle.begin("IDLE").await;
    assert!(idle.talk.line().await.starts_with('+'));
    a.stop().await;
    let mut lines = Vec::new();
    while let Some(line) = idle.talk.next_line().await {
        lines.push(line);
    }
    assert!(lines.iter().any(|line| line.starts_with("* BYE")), "{lines:?} after {tag}");
    b.stop().await;
    world.end().await;
}

async fn compression_and_starttls_go_through(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, b) = (world.node("a", CALM).await, world.node("b", CALM).await);
    let mut owner = b.imap(ANN).await;
    let text = "All work and no play.\r\n".repeat(4_000);
    assert!(owner.append("INBOX", "", &format!("Subject: long\r\n\r\n{text}")).await.is_ok());
    let mut client = Imap::greeted(a.plain(Protocol::Imap).await).await.start_tls(a.authority()).await;
    let login = client.ok(&format!("LOGIN \"{ANN}\" \"{PASSWORD}\"")).await;
    assert!(login.tagged.contains("COMPRESS=DEFLATE"), "{login:?}");
    assert!(!login.tagged.contains("STARTTLS"), "{login:?}");
    client.ok("SELECT INBOX").await;
    let whole = client.ok("FETCH 1 BODY.PEEK[TEXT]").await;
    assert!(whole.untagged[0].contains(&text), "the message is another");
    let script = format!(
        "import imaplib, ssl, zlib\n\
         c = ssl.create_default_context(cafile={:?})\n\
         i = imaplib.IMAP4_SSL('localhost', {}, ssl_context=c)\n\
         i.login({ANN:?}, {PASSWORD:?})\n\
         imaplib.Commands['COMPRESS'] = ('AUTH', 'SELECTED')\n\
         assert i._simple_command('COMPRESS', 'DEFLATE')[0] == 'OK'\n\
         up, down = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)\n\
         i.sock.sendall(up.compress(b'x SELECT INBOX\\r\\nx FETCH 1 BODY.PEEK[]\\r\\n') + up.flush(zlib.Z_SYNC_FLUSH))\n\
         got = b''\n\
         while got.count(b'\\nx OK') < 2: got += down.decompress(i.sock.recv(65536))\n\
         assert got.count(b'All work and no play') == 4000\n",
        a.authority().display(),
        a.address(Protocol::Imaps).port(),
    );
    let path = world.mail_root().join("../compress.py");
    std::fs::write(&path, script).unwrap();
    let output = tokio::process::Command::new("python3").arg(&path).output().await.unwrap();
    tools::assert_success("python3", &output);
    drop((owner, client));
    a.stop().await;
    b.stop().await;
    world.end().await;
}

async fn pop3_and_managesieve_go_through(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, b) = (world.node("a", CALM).await, world.node("b", CALM).await);
    let mut owner = b.imap(ANN).await;
    assert!(owner.append("INBOX", "", "Subject: one\r\n\r\nx\r\n").await.is_ok());
    let mut pop = a.tls(Protocol::Pop3s).await;
    assert!(pop.line().await.starts_with("+OK"));
    // In one piece: everything after the login is for the other node.
    pop.send(format!("USER {ANN}\r\nPASS {PASSWORD}\r\nSTAT\r\nDELE 1\r\nQUIT\r\n")).await;
    let mut lines = Vec::new();
    while let Some(line) = pop.next_line().await {
        lines.push(line);
    }
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("+OK")) && lines[2].starts_with("+OK 1 "), "{lines:?}");
    assert_eq!(owner.ok("SELECT INBOX").await.number("EXISTS"), Some(0));
    let mut sieve = a.plain(Protocol::ManageSieve).await;
    while !sieve.line().await.starts_with("OK") {}
    sieve.send("STARTTLS\r\n").await;
    assert!(sieve.line().await.starts_with("OK"));
    let mut sieve = sieve.start_tls(a.authority()).await;
    while !sieve.line().await.starts_with("OK") {}
    let credentials = base64(&format!("\0{ANN}\0{PASSWORD}"));
    sieve
        .send(format!(
            "AUTHENTICATE \"PLAIN\" \"{credentials}\"\r\nPUTSCRIPT \"mine\" \"discard;\"\r\nSETACTIVE \"mine\"\r\n"
        ))
        .await;
    for _ in 0..3 {
        let line = sieve.line().await;
        assert!(line.starts_with("OK"), "{line}");
    }
    for node in [&a, &b] {
        let reply = node.smtp().await.deliver("x@peer.example", &[ANN], "Subject: gone\r\n\r\nx\r\n").await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    assert_eq!(owner.ok("NOOP").await.number("EXISTS"), None);
    drop((owner, pop, sieve));
    a.stop().await;
    b.stop().await;
    world.end().await;
}

async fn sessions_end_with_their_password(dialect: Dialect) {
    let Some(world) = World::new(dialect).await else { return };
    let (a, b) = (world.node("a", CALM).await, world.node("b", CALM).await);
    let owner = b.imap(ANN).await;
    let mut client = a.imap(ANN).await;
    client.ok("SELECT INBOX").await;
    let sql = "UPDATE virtual_users SET enabled = ? WHERE email = ?";
    world.database.execute(sql, &[false.into(), ANN.into()]).await.unwrap();
    let mut last = String::new();
    while let Some(line) = client.talk.next_line().await {
        last = line;
    }
    assert!(last.contains("This login is no longer valid"), "{last}");
    drop((owner, client));
    a.stop().await;
    b.stop().await;
    world.end().await;
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// External programs, all through the wrong node.
async fn foreign(script: &str, programs: &[&str]) {
    let Some(world) = World::new(Dialect::Postgres).await else { return };
    let (a, b) = (world.node("a", CALM).await, world.node("b", CALM).await);
    let (ann, bob) = (b.imap(ANN).await, b.imap("bob@example.test").await);
    tools::run_script(script, programs, &a.description).await;
    drop((ann, bob));
    a.stop().await;
    b.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imaplib() {
    foreign("imaplib_session.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poplib() {
    foreign("poplib_session.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mbsync() {
    foreign("mbsync_session.py", &["mbsync"]).await;
}
