//! The monitoring page and the metrics.

use std::collections::BTreeSet;
use std::process::Stdio;

use postrider::config::Protocol;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Host, Imap, until};

pub(super) async fn get(host: &Host, protocol: Protocol, path: &str) -> String {
    let mut talk = host.plain(protocol).await;
    talk.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
    talk.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_and_readiness() {
    let host = Host::start().user("ann@example.test").await;
    let metrics = get(&host, Protocol::Metrics, "/metrics").await;
    for figure in
        ["postrider_users 1.0", "postrider_queue_entries 0.0", "postrider_connections_open{protocol=\"metrics\""]
    {
        assert!(metrics.contains(figure), "{figure} is missing in\n{metrics}");
    }
    for protocol in [Protocol::Metrics, Protocol::Dashboard] {
        for (path, words) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
            let told = get(&host, protocol, path).await;
            assert!(told.starts_with("HTTP/1.1 200") && told.ends_with(words), "{protocol} {path}: {told}");
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_database_and_logins_are_among_the_figures() {
    let host = Host::start().user("ann@example.test").await;
    host.imap("ann@example.test").await;
    let mut imap = Imap::greeted(host.tls(Protocol::Imaps).await).await;
    assert!(imap.command("LOGIN ann@example.test wrong").await.tagged.starts_with("NO"));
    host.parts().journal.flush().await;
    let metrics = get(&host, Protocol::Metrics, "/metrics").await;
    let of = |figure: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(figure)?.trim().parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{figure} is missing in\n{metrics}"))
    };
    for purpose in ["mailboxes", "queue", "database"] {
        let free = of(&format!("postrider_disk_free_bytes{{purpose=\"{purpose}\"}}"));
        assert!(free <= of(&format!("postrider_disk_size_bytes{{purpose=\"{purpose}\"}}")), "{purpose}");
    }
    for (figure, wanted) in [
        ("postrider_disks_silent", 0.0),
        ("postrider_database_up", 1.0),
        ("postrider_logins_last_hour{result=\"accepted\"}", 1.0),
        ("postrider_logins_last_hour{result=\"refused\"}", 1.0),
    ] {
        assert!((of(figure) - wanted).abs() < 0.5, "{figure}: {metrics}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_that_all_listeners_answer() {
    let host = Host::start().user("ann@example.test").await;
    let overview = get(&host, Protocol::Dashboard, "/api/v1/overview").await;
    assert!(overview.starts_with("HTTP/1.1 200"), "{overview}");
    assert!(overview.contains("\"protocol\":\"imaps\"") && !overview.contains("\"milliseconds\":null"), "{overview}");
    let page = get(&host, Protocol::Dashboard, "/").await;
    assert!(page.contains("mail.example.test"), "{page}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_password_only_our_own_names_are_served() {
    let host = Host::start().await;
    for (name, wanted) in [("127.0.0.1:8080", "200"), ("mail.example.test", "200"), ("led-here.example", "403")] {
        let mut talk = host.plain(Protocol::Dashboard).await;
        talk.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")).await;
        assert!(talk.line().await.starts_with(&format!("HTTP/1.1 {wanted}")), "{name}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_password_nobody_is_served_behind_a_proxy_that_does_not_decide() {
    for (settings, wanted) in [("", "403"), ("[dashboard]\nproxy_decides = true", "200")] {
        let host = Host::start().settings(settings).await;
        for (speaks_for, wanted) in [("192.0.2.7", wanted), ("127.0.0.1", "200")] {
            let mut talk = host.plain(Protocol::Dashboard).await;
            let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {speaks_for}\r\n");
            talk.send(head + "Connection: close\r\n\r\n").await;
            assert!(talk.line().await.starts_with(&format!("HTTP/1.1 {wanted}")), "{settings} {speaks_for}");
        }
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_can_only_be_read_is_a_problem() {
    let host = Host::start().await;
    let is_told = async || {
        let overview = get(&host, Protocol::Dashboard, "/api/v1/overview").await;
        let metrics = get(&host, Protocol::Metrics, "/metrics").await;
        let figure = metrics.lines().find(|line| line.starts_with("postrider_database_writable{role="));
        let figure = figure.unwrap_or_else(|| panic!("{metrics}")).ends_with(" 0.0");
        (overview.contains("the database could not be written to within 1s"), figure)
    };
    until("all is well", async || is_told().await == (false, false)).await;
    let held = host.parts().database.begin().await.unwrap();
    assert_eq!(is_told().await, (true, true));
    held.rollback().await.unwrap();
    until("all is well again", async || is_told().await == (false, false)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_documented() {
    let host = Host::start().user("ann@example.test").await;
    let metrics = get(&host, Protocol::Metrics, "/metrics").await;
    let shown: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("postrider_"))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let text = include_str!("../../../docs/metrics.md");
    let documented: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(shown, documented);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_calendars_without_tls_is_led_to_it() {
    let host = Host::start().await;
    for path in ["/.well-known/caldav", "/.well-known/carddav"] {
        for name in ["mail.example.test", "192.0.2.1", "led-here.example"] {
            let mut talk = host.plain(Protocol::Http).await;
            talk.send(format!("PROPFIND {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")).await;
            let answer = talk.rest().await;
            assert!(answer.starts_with("HTTP/1.1 301"), "{name}: {answer}");
            assert!(answer.contains(&format!("location: https://mail.example.test{path}\n")), "{name}: {answer}");
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_policy_on_tls_is_served_by_name() {
    let settings = "[[mta_sts.policies]]\ndomain = \"example.test\"\nmode = \"enforce\"\nmax_age = \"1d\"";
    let host = Host::start().settings(settings).await;
    for (name, found) in [
        ("mta-sts.example.test", true),
        ("MTA-STS.example.test:443", true),
        ("example.test", false),
        ("mta-sts.other.test", false),
    ] {
        let mut talk = host.tls(Protocol::Https).await;
        let request = format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        talk.send(request).await;
        let whole = talk.rest().await;
        assert_eq!(whole.starts_with("HTTP/1.1 200"), found, "{name}: {whole}");
        assert!(whole.contains("content-type: text/plain"), "{whole}");
        assert_eq!(whole.ends_with("mode: enforce\nmx: mail.example.test\nmax_age: 86400\n"), found, "{whole}");
    }
    host.stop().await;
}

/// A request over HTTPS, whole.
async fn ask(host: &Host, request: &str) -> String {
    let mut talk = host.tls(Protocol::Https).await;
    talk.send(request.to_owned()).await;
    talk.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_programs_find_their_settings() {
    let host = Host::start().user("ann@example.test").settings("[autoconfig]\ndisplay_name = \"House & Co\"").await;
    let port = host.address(Protocol::Imaps).port();
    for (name, path, found) in [
        ("autoconfig.example.test", "/mail/config-v1.1.xml?emailaddress=ann%40example.test", true),
        ("example.test", "/.well-known/autoconfig/mail/config-v1.1.xml", true),
        ("autoconfig.other.test", "/mail/config-v1.1.xml", false),
    ] {
        let answer = ask(&host, &format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), found, "{name}: {answer}");
        let server =
            format!("<hostname>mail.example.test</hostname>\n<port>{port}</port>\n<socketType>SSL</socketType>");
        assert_eq!(answer.contains(&server) && answer.contains("House &amp; Co"), found, "{name}: {answer}");
    }
    for (body, code) in [
        ("<Request><EMailAddress>nobody@example.test</EMailAddress></Request>", 200),
        ("<Request><EMailAddress>ann@other.test</EMailAddress></Request>", 404),
        ("<Request></Request>", 400),
        (&"x".repeat(70_000), 413),
    ] {
        let head = format!(
            "POST /Autodiscover/Autodiscover.xml HTTP/1.1\r\nHost: autodiscover.example.test\r\nConnection: close\r\n\
             Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = ask(&host, &(head + body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
        assert_eq!(answer.contains("<LoginName>nobody@example.test</LoginName>"), code == 200, "{answer}");
    }
    for (question, code) in [
        ("?address=nobody%2Btag%40example.test", 200),
        ("?address=ann%40other.test", 404),
        ("?address=ann", 400),
        ("", 400),
    ] {
        let request = format!(
            "GET /apple.mobileconfig{question} HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n\r\n"
        );
        let answer = ask(&host, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
        assert_eq!(answer.contains("content-type: application/x-apple-aspen-config"), code == 200, "{answer}");
        if code == 200 {
            read_by_python(&answer[answer.find("<?xml").unwrap()..], port).await;
        }
    }
    host.stop().await;
}

/// Python's reader of property lists finds the account in a profile.
async fn read_by_python(profile: &str, port: u16) {
    let program = "import plistlib, sys; p = plistlib.loads(sys.stdin.buffer.read())['PayloadContent']; \
                   print([(c['PayloadType'], c.get('EmailAddress'), c.get('IncomingMailServerPortNumber')) for c in p])";
    let mut python = tokio::process::Command::new("python3");
    python.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdin.take().unwrap().write_all(profile.as_bytes()).await.unwrap();
    let output = python.wait_with_output().await.unwrap();
    let read = String::from_utf8(output.stdout).unwrap();
    let mail = format!("('com.apple.mail.managed', 'nobody+tag@example.test', {port})");
    let beside = ["caldav", "carddav"].map(|kind| format!("('com.apple.{kind}.account', None, None)"));
    assert_eq!(read.trim(), format!("[{mail}, {}]", beside.join(", ")));
}
