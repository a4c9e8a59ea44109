//! A message in, out and on.

use postrider::config::Protocol;

use crate::harness::{Host, Imap, PASSWORD, Peer};

const MESSAGE: &str = "From: ann@example.test\r\nTo: bob@example.test\r\nSubject: One\r\n\r\nFirst line\r\n.dot\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn from_submission_to_imap() {
    let host = Host::start().user("ann@example.test").user("bob@example.test").await;
    let mut ann = host.submission("ann@example.test").await;
    let reply = ann.deliver("ann@example.test", &["bob@example.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let mut bob = host.imap("bob@example.test").await;
    assert_eq!(bob.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    let fetched = bob.ok("FETCH 1 (BODY.PEEK[TEXT])").await;
    assert!(fetched.untagged[0].contains("First line\r\n.dot\r\n"), "{fetched:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_author_is_the_address_that_mail_gave() {
    let host = Host::start().user("ann@example.test").user("bob@example.test");
    let host = host.alias("info@example.test", "ann@example.test").await;
    let mut ann = host.submission("ann@example.test").await;
    for sender in ["info@example.test", "ann@example.test"] {
        let reply = ann.deliver(sender, &["bob@example.test"], "Subject: One\r\n\r\nx\r\n").await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    let mut bob = host.imap("bob@example.test").await;
    bob.ok("SELECT INBOX").await;
    let authors = bob.ok("FETCH 1:2 (BODY.PEEK[HEADER.FIELDS (FROM SENDER)])").await.untagged;
    assert!(authors[0].contains("From: <info@example.test>") && !authors[0].contains("ann@"), "{authors:?}");
    assert!(authors[1].contains("From: <ann@example.test>"), "{authors:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_another_host_and_over_lmtp() {
    let host = Host::start().user("bob@example.test").await;
    let reply = host.smtp().await.deliver("eve@elsewhere.test", &["bob@example.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let refused = host.smtp().await.deliver("eve@elsewhere.test", &["eve@elsewhere.test"], MESSAGE).await;
    assert!(refused.text().starts_with("550 5.7.1"), "{}", refused.text());
    let reply = host.lmtp().await.deliver("eve@elsewhere.test", &["bob@example.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let mut bob = host.imap("bob@example.test").await;
    assert_eq!(bob.ok("SELECT INBOX").await.number("EXISTS"), Some(2));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_named_twice_gets_a_message_once() {
    let host = Host::start().user("bob@example.test").user("ann@example.test").await;
    let mut lmtp = host.lmtp().await;
    lmtp.ok("MAIL FROM:<eve@elsewhere.test>").await;
    for recipient in ["bob@example.test", "ann@example.test", "BOB@example.test"] {
        lmtp.ok(&format!("RCPT TO:<{recipient}>")).await;
    }
    assert_eq!(lmtp.command("DATA").await.code, 354);
    lmtp.content(MESSAGE).await;
    for _ in 0..3 {
        assert_eq!(lmtp.reply().await.code, 250);
    }
    for user in ["bob@example.test", "ann@example.test"] {
        assert_eq!(host.imap(user).await.ok("SELECT INBOX").await.number("EXISTS"), Some(1), "{user}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_another_host() {
    let host = Host::start()
        .user("ann@example.test")
        .dns("elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25")
        .await;
    let peer = Peer::start().await;
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    let mut ann = host.submission("ann@example.test").await;
    let reply = ann.deliver("ann@example.test", &["eve@elsewhere.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let messages = peer.wait_for(1).await;
    assert_eq!(
        (messages[0].from.as_str(), &messages[0].to[..]),
        ("ann@example.test", &["eve@elsewhere.test".to_owned()][..])
    );
    assert!(messages[0].content.contains("First line\r\n.dot\r\n"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_there_after_a_restart() {
    let host = Host::start().user("bob@example.test").await;
    let reply = host.smtp().await.deliver("eve@elsewhere.test", &["bob@example.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let before = host.imap("bob@example.test").await.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY)").await;
    let host = host.restart().await;
    let after = host.imap("bob@example.test").await.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY)").await;
    assert_eq!(before.untagged, after.untagged);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_secures_a_login() {
    let host = Host::start().user("ann@example.test").await;
    let mut plain = Imap::greeted(host.plain(Protocol::Imap).await).await;
    let refused = plain.command(&format!("LOGIN ann@example.test \"{PASSWORD}\"")).await;
    assert!(!refused.is_ok(), "{}", refused.tagged);
    let mut secured = plain.start_tls(&host.authority()).await;
    secured.ok(&format!("LOGIN ann@example.test \"{PASSWORD}\"")).await;
    host.stop().await;
}
