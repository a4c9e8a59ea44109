//! The webmail and calendars, in the process that has the mailboxes but not the queue.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use postrider::config::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Roles;
use crate::harness::until;
use crate::smtp::milters::{self, Heard, Script};

/// One request over a connection of its own; returns the whole answer.
async fn request(address: SocketAddr, what: &str, fields: &str, body: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// One request to the webmail, as its page sends it.
async fn wish(address: SocketAddr, path: &str, cookie: &str, body: &str) -> String {
    let fields = format!("X-Postrider: 1\r\nCookie: {cookie}\r\nContent-Type: application/json");
    request(address, &format!("POST /api/{path}"), &fields, body).await
}

/// Ann's cookie.
async fn log_in(address: SocketAddr) -> String {
    let answer = wish(address, "session", "", r#"{"address": "ann@example.test", "password": "the-word"}"#).await;
    let cookie = answer.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next());
    cookie.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// One request of Ann's calendar program.
async fn ask(address: SocketAddr, what: &str, body: &str) -> String {
    let login = base64::engine::general_purpose::STANDARD.encode("ann@example.test:the-word");
    let fields = format!("Authorization: Basic {login}\r\nDepth: 1\r\nContent-Type: text/calendar");
    request(address, what, &fields, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_in_the_webmail_goes_through_the_process_with_the_queue() {
    let roles = Roles::new().with_users(&["ann", "bob"]).await;
    let at = roles.address(Protocol::Webmail);
    let cookie = &log_in(at).await;
    let letter = |to: &str, key: &str| {
        format!(
            r#"{{"key": "{key}{key}", "letter": {{"from": {{"address": "ann@example.test"}}, "to": [{{"name": "", "address": "{to}"}}], "subject": "From a browser", "text": "Across two processes"}}}}"#
        )
    };
    let answer = wish(at, "send", cookie, &letter("bob@example.test", "0123456789")).await;
    assert!(answer.contains(r#""sent":true"#), "{answer}");
    let answer = wish(at, "send", cookie, &letter("nobody@example.test", "9876543210")).await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("No such user"), "{answer}");
    let mut bob = roles.imap("bob").await;
    assert_eq!(bob.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    let message = bob.ok("FETCH 1 BODY.PEEK[]").await.untagged[0].clone();
    assert!(message.contains("Across two processes") && message.contains("From: ann@example.test"), "{message}");
}

/// Only a click entered it: the process with the mailboxes did not know who was logged in at the other.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_here_answers_by_mail_is_entered_by_the_other_process() {
    let roles = Roles::new().with_users(&["ann", "bob", "eve"]).await;
    let at = roles.address(Protocol::Webmail);
    let home = "/dav/calendars/ann@example.test/";
    assert!(ask(at, &format!("PROPFIND {home}"), "").await.starts_with("HTTP/1.1 207"));
    let meeting = format!("{home}Personal/meeting.ics");
    let content = super::super::scheduling::event("m", "ann@example.test", &["bob@example.test"]);
    let answer = ask(at, &format!("PUT {meeting}"), &content).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let reply = content
        .replace("BEGIN:VEVENT", "METHOD:REPLY\r\nBEGIN:VEVENT")
        .replace("ATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@example.test\r\n", "")
        .replace("PARTSTAT=NEEDS-ACTION;RSVP=TRUE", "PARTSTAT=TENTATIVE");
    let stored = async || ask(at, &format!("GET {meeting}"), "").await.replace("\r\n ", "");
    for (user, is_entered) in [("eve", false), ("bob", true)] {
        let author = format!("{user}@example.test");
        let message = format!(
            "From: {author}\r\nTo: ann@example.test\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/calendar; method=REPLY; charset=utf-8\r\n\r\n{reply}"
        );
        let code = roles.submission(user).await.deliver(&author, &["ann@example.test"], &message).await.code;
        assert_eq!(code, 250);
        if is_entered {
            until("the answer is entered", async || stored().await.contains("PARTSTAT=TENTATIVE")).await;
        }
        let stored = stored().await;
        assert_eq!(stored.contains("PARTSTAT=TENTATIVE"), is_entered, "{user}: {stored}");
    }
}

/// A letter whose author was told that it was not sent has reached nobody.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_webmail_calls_not_sent_reaches_nobody() {
    const REFUSING: Script = &[("cat", &[(b'y', b"550 5.7.1 Not for Cat\0")])];
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("milter.sock");
    milters::begin(&socket, REFUSING, 0, Heard::default());
    let database = format!("sqlite:{}/p.sqlite", directory.path().display());
    let more = format!("[[spam.milters]]\nname = \"odd\"\naddress = \"unix:{}\"\n", socket.display());
    let roles = Roles::on(directory, &database, &more).with_users(&["ann", "bob", "cat"]).await;
    let at = roles.address(Protocol::Webmail);
    let cookie = &log_in(at).await;
    let letter = |to: &[&str], key: &str| {
        let to = to.iter().map(|name| format!(r#"{{"name": "", "address": "{name}@example.test"}}"#));
        let to = to.collect::<Vec<_>>().join(", ");
        format!(
            r#"{{"key": "{key}{key}", "letter": {{"from": {{"address": "ann@example.test"}}, "to": [{to}], "subject": "From a browser", "text": "For all or nobody"}}}}"#
        )
    };
    let answer = wish(at, "send", cookie, &letter(&["bob", "cat"], "0123456789")).await;
    assert!(answer.contains("Not for Cat") && !answer.contains(r#""sent":true"#), "{answer}");
    assert_eq!(roles.imap("bob").await.ok("SELECT INBOX").await.number("EXISTS"), Some(0));
    let answer = wish(at, "send", cookie, &letter(&["bob"], "9876543210")).await;
    assert!(answer.contains(r#""sent":true"#), "{answer}");
    assert_eq!(roles.imap("bob").await.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
}

/// The process with the mailboxes reaches no other hosts: the one with the queue unsubscribes from lists for it (RFC
/// 8058).
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_left_by_the_process_with_the_queue() {
    let mut roles = Roles::new().with_users(&["ann"]).await;
    // The socket that does everything may be out of reach.
    fs::remove_file(roles.path().join("run/mta.sock")).unwrap();
    let mut ann = roles.imap("ann").await;
    let letter = crate::clients::leaving::letter("https:///u/1");
    assert!(ann.append("INBOX", "", &letter).await.is_ok());
    let at = roles.address(Protocol::Webmail);
    let cookie = &log_in(at).await;
    let leave = async || wish(at, "message/unsubscribe", cookie, r#"{"folder": "INBOX", "uid": 1}"#).await;
    // Reported by the other process, which has tried.
    let answer = leave().await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("`https:///u/1` is not a URI"), "{answer}");
    roles.running[1].kill().await.unwrap();
    let answer = leave().await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("does not answer"), "{answer}");
    assert!(!answer.contains("mta-post.sock"), "{answer}");
}
