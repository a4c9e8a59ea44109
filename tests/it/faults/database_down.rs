//! The database goes away, hangs, and comes back.

use std::thread;
use std::time::{Duration, Instant};

use postrider::storage::database::Dialect;

use super::fake_mx::FakeMx;
use super::proxy::{Proxy, Way};
use super::server::{Layout, PASSWORD, Server};
use crate::accounts::engines::Fresh;

/// How long an answer may take while the database is silent, and how long the recovery.
const PATIENCE: Duration = Duration::from_secs(20);

fn letter(id: &str) -> Vec<u8> {
    format!("From: ann@example.test\r\nMessage-ID: <{id}@down.test>\r\n\r\ntext\r\n").into_bytes()
}

fn survives(dialect: Dialect) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(fresh) = runtime.block_on(Fresh::create(dialect)) else { return };
    if let Some((host, port)) = fresh.local_port() {
        let proxy = Proxy::start(port);
        let database = fresh.url_through(&host, proxy.port).to_string();
        goes_on(&proxy, database);
    } else {
        eprintln!("SKIPPED on {dialect}: its server is not on this machine");
    }
    runtime.block_on(fresh.remove());
}

fn goes_on(proxy: &Proxy, database: String) {
    let more = "[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"[ADDRESS]\"\nport = 2525\n\
                [directory]\ncache_for = \"0s\"\n\
                [database]\nacquire_timeout = \"1s\"\nstatement_timeout = \"1s\"\nretry_after_failure = \"200ms\"\n\
                [queue]\nfirst_retry = \"1s\"\nlongest_retry = \"1s\"\nfirst_rest = \"1s\"\nlongest_rest = \"1s\"\n"
        .to_owned();
    let server = Server::start(Layout { database: Some(database), more, ..Layout::default() });
    let deliver = |id: &str| {
        let replies = server.lmtp().unwrap().send("a@elsewhere.test", &["ann@example.test"], &letter(id)).unwrap();
        replies[0].code
    };
    assert_eq!(deliver("first"), 250);
    let replies = server
        .submission("ann")
        .unwrap()
        .send("ann@example.test", &["someone@elsewhere.test"], &letter("accepted"))
        .unwrap();
    assert_eq!(replies[0].code, 250, "{replies:?}");
    let mut open = server.imap("ann").unwrap();
    assert!(open.select("INBOX").unwrap().is_ok());

    for way in [Way::Cut, Way::Stopped] {
        proxy.set(way);
        let begun = Instant::now();
        assert_eq!(deliver("refused"), 451, "{way:?}: LMTP");
        let mut relay = server.relay().unwrap();
        relay.command("MAIL FROM:<a@elsewhere.test>").unwrap();
        let reply = relay.command("RCPT TO:<ann@example.test>").unwrap();
        assert_eq!(reply.code, 451, "{way:?}: SMTP: {reply:?}");
        let refused = server.submission("ann").err().expect("nobody can log in").to_string();
        assert!(refused.contains("454") && refused.contains("4.7.0"), "{way:?}: submission: {refused}");
        let mut imap = server.imap_stranger().unwrap();
        let answer = imap.command(&format!("LOGIN ann@example.test \"{PASSWORD}\"")).unwrap();
        assert_eq!((answer.status.as_str(), answer.code.as_str()), ("NO", "UNAVAILABLE"), "{way:?}: {answer:?}");
        // Open sessions continue.
        let fetched = open.fetch("1:*", "(UID FLAGS BODY.PEEK[TEXT])").unwrap();
        assert_eq!(fetched[0].octets("BODY[TEXT]"), b"text\r\n", "{way:?}");
        for command in ["UID STORE 1 +FLAGS (\\Seen)", "UID STORE 1 -FLAGS (\\Seen)", "UID SEARCH TEXT text", "NOOP"] {
            let answer = open.command(command).unwrap();
            assert!(answer.is_ok(), "{way:?}: {command}: {answer:?}");
        }
        assert!(begun.elapsed() < PATIENCE, "{way:?}: the answers took {:?}", begun.elapsed());
        proxy.set(Way::Open);
        let begun = Instant::now();
        while let Err(error) = server.imap("ann") {
            assert!(begun.elapsed() < PATIENCE, "{way:?}: it does not come back: {error}");
            // Nothing announces when the server looks again.
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("database {way:?}: back {:.0?} after it was there again", begun.elapsed());
        let begun = Instant::now();
        while deliver(&format!("{way:?}")) != 250 {
            assert!(begun.elapsed() < PATIENCE, "{way:?}: mail is not taken again");
            thread::sleep(Duration::from_millis(50));
        }
    }
    // Accepted messages are passed on; refused ones are nowhere.
    let elsewhere = FakeMx::start(server.port(2525));
    let arrived = elsewhere.wait_for(PATIENCE * 2, |arrived| arrived.contains_key("<accepted@down.test>"));
    assert!(arrived, "accepted mail does not arrive\n{}", server.log());
    open.command("NOOP").unwrap();
    let ids = open.fetch("1:*", "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])").unwrap();
    let ids: Vec<_> = ids.iter().map(|row| String::from_utf8_lossy(row.octets("BODY[HEADER")).into_owned()).collect();
    assert!(!ids.iter().any(|id| id.contains("refused")), "{ids:?}");
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn mariadb_goes_away() {
    survives(Dialect::MySql);
}

#[test]
fn postgres_goes_away() {
    survives(Dialect::Postgres);
}
