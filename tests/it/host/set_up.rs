//! Users choose their password through a link.

use postrider::config::Protocol;
use postrider::foundations::event::EventKind;
use postrider::storage::journal::Query;

use crate::harness::{Host, Imap, PASSWORD, cli};

const PATH: &str = "/set-up/";

/// The command's output and status.
async fn invite(host: &Host, arguments: &[&str]) -> (serde_json::Value, i32) {
    cli::run(&host.config(), &[&["user", "invite"][..], arguments].concat(), "").await
}

/// The page's path in a link.
fn path(link: &serde_json::Value) -> String {
    let link = link.as_str().unwrap();
    assert!(link.starts_with("https://mail.example.test"), "{link}");
    link[link.find(PATH).unwrap()..].to_owned()
}

async fn ask(host: &Host, protocol: Protocol, request: &str) -> String {
    let mut talk = match protocol {
        Protocol::Https => host.tls(protocol).await,
        _ => host.plain(protocol).await,
    };
    talk.send(request).await;
    talk.rest().await
}

async fn get(host: &Host, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n\r\n");
    ask(host, Protocol::Https, &request).await
}

async fn choose(host: &Host, path: &str, password: &str, again: &str) -> String {
    let form = format!("password={password}&again={again}");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    ask(host, Protocol::Https, &request).await
}

async fn may_log_in(host: &Host, password: &str) -> bool {
    let mut imap = Imap::greeted(host.tls(Protocol::Imaps).await).await;
    imap.command(&format!("LOGIN ann@example.test \"{password}\"")).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_chosen_once() {
    let host = Host::start().user("ann@example.test").real_time().await;
    let (made, exit) = invite(&host, &["ann@example.test", "--valid", "1h"]).await;
    assert_eq!((exit, &made["address"]), (0, &"ann@example.test".into()));
    let page = path(&made["link"]);

    let shown = get(&host, &page).await;
    assert!(shown.starts_with("HTTP/1.1 200") && shown.contains("ann@example.test"), "{shown}");
    for header in
        ["cache-control: no-store", "referrer-policy: no-referrer", "content-security-policy: default-src 'none'"]
    {
        assert!(shown.contains(header), "{header} is missing in\n{shown}");
    }
    assert!(get(&host, "/set-up/style.css").await.contains("content-type: text/css"));

    for (password, again, why) in [
        ("long+enough+word", "another+long+word", "are not the same"),
        ("short", "short", "at least 10 characters"),
        (&"x".repeat(72), &"x".repeat(72), "<p class=\"problem\""),
    ] {
        let refused = choose(&host, &page, password, again).await;
        assert!(refused.starts_with("HTTP/1.1 400") && refused.contains(why), "{refused}");
    }
    assert!(may_log_in(&host, PASSWORD).await, "the password is the one from before");

    let set = choose(&host, &page, "a+word+of+my+own", "a+word+of+my+own").await;
    assert!(set.starts_with("HTTP/1.1 200") && set.contains("Your password is set"), "{set}");
    for protocol in [Protocol::Imaps, Protocol::Submissions] {
        let port = host.address(protocol).port();
        assert!(set.contains(&format!("<dd>mail.example.test, port {port}, SSL/TLS</dd>")), "{protocol}: {set}");
    }
    assert!(set.contains("<a href=\"/\">"), "the webmail is here: {set}");
    assert!(may_log_in(&host, "a word of my own").await);
    assert!(!may_log_in(&host, PASSWORD).await);

    for gone in [get(&host, &page).await, choose(&host, &page, "one+word+more", "one+word+more").await] {
        assert!(gone.starts_with("HTTP/1.1 404") && gone.contains("no longer valid"), "{gone}");
    }
    let changed = Query { kinds: vec![EventKind::AccountChanged], ..Query::default() };
    let mut events = host.events(&changed).await;
    // The administrator's invitation is one too.
    events.retain(|event| event.details["by"] != "an administrator");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (events[0].subject.as_deref(), &events[0].details["by"]),
        (Some("ann@example.test"), &"set-up-link".into())
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_link_is_not_found() {
    let host = Host::start().user("ann@example.test").await;
    for path in ["/set-up/", "/set-up/x", "/set-up/..%2f..", &format!("/set-up/{}", "A".repeat(43))] {
        assert!(get(&host, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    // Without TLS nobody is asked for a password.
    let request = "GET /set-up/x HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n\r\n";
    let led = ask(&host, Protocol::Http, request).await;
    assert!(led.starts_with("HTTP/1.1 308") && led.contains("location: https://mail.example.test/set-up/x"), "{led}");
    assert_eq!(invite(&host, &["nobody@example.test"]).await.1, 4);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_without_a_password_are_invited() {
    let settings = "[set_up]\naddress = \"https://mail.example.test/\"";
    let host = Host::start().settings(settings).user("ann@example.test").real_time().await;
    let added = cli::output(&host.config(), &["user", "add", "bob@example.test", "--no-password"], "").await;
    assert!(added.status.success(), "{added:?}");
    let (made, _) = invite(&host, &["--all"]).await;
    assert_eq!(made.as_array().map(Vec::len), Some(1), "{made}");
    assert_eq!(made[0]["address"], "bob@example.test");
    assert!(made[0]["link"].as_str().unwrap().starts_with("https://mail.example.test/set-up/"), "{made}");
    host.stop().await;
}
