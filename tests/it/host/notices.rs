//! What senders and next hosts receive about a message: success notifications, and valid signatures.

use std::time::Duration;

use postrider::services::filter::authentication::dkim::{Algorithm, DkimResult, generate, verify};

use crate::harness::{Host, Imap, Peer};

/// Everything in a mailbox, once it holds all these texts.
async fn until_told(imap: &mut Imap, wanted: &[&str]) -> String {
    let wait = async {
        loop {
            imap.ok("SELECT INBOX").await;
            let told = imap.ok("FETCH 1:* BODY.PEEK[]").await.untagged.concat();
            if wanted.iter().all(|text| told.contains(text)) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{wanted:?} is not told"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_success_does_not_learn_whom_an_alias_names() {
    let host = Host::start()
        .user("ann@example.test")
        .user("bob@example.test")
        .user("carl@example.test")
        .alias("team@example.test", "bob@example.test")
        .alias("team@example.test", "carl@example.test")
        .alias("info@example.test", "bob@example.test")
        .await;
    let mut ann = host.submission("ann@example.test").await;
    ann.ok("MAIL FROM:<ann@example.test> ENVID=one").await;
    ann.ok("RCPT TO:<team@example.test> NOTIFY=SUCCESS").await;
    ann.ok("RCPT TO:<info@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;info@elsewhere.test").await;
    ann.ok("RCPT TO:<carl@example.test> NOTIFY=SUCCESS").await;
    ann.ok("DATA").await;
    ann.content("From: ann@example.test\r\nTo: team@example.test\r\nSubject: One\r\n\r\nhello\r\n").await;
    assert_eq!(ann.reply().await.code, 250);
    let wanted = [
        "Final-Recipient: rfc822; team@example.test\r\nAction: expanded\r\n",
        "Original-Recipient: rfc822; info@elsewhere.test\r\nFinal-Recipient: rfc822; info@example.test\r\nAction: relayed\r\n",
        "Final-Recipient: rfc822; carl@example.test\r\nAction: delivered\r\n",
        "Original-Envelope-Id: one\r\n",
    ];
    let told = until_told(&mut host.imap("ann@example.test").await, &wanted).await;
    assert!(!told.contains("bob@example.test"), "{told}");
    assert_eq!(told.matches("Action: ").count(), 3, "{told}");
    for user in ["bob@example.test", "carl@example.test"] {
        assert_eq!(host.imap(user).await.ok("SELECT INBOX").await.number("EXISTS"), Some(1), "{user}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_fit_where_only_seven_bits_are_taken() {
    let pair = generate(Algorithm::Rsa).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("dkim.pem");
    postrider::foundations::files::write_durable(&key, pair.private.expose().as_bytes(), 0o600).unwrap();
    let settings =
        format!("[[spam.dkim.keys]]\ndomain = \"example.test\"\nselector = \"s1\"\nfile = \"{}\"\n", key.display());
    let host = Host::start()
        .settings(&settings)
        .user("ann@example.test")
        .dns("elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25")
        .await;
    host.zone().add(&format!("s1._domainkey.example.test TXT {}", pair.record)).unwrap();
    let peer = Peer::start().await;
    peer.answer("EHLO", "250-peer.example\r\n250 PIPELINING");
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    let mut ann = host.submission("ann@example.test").await;
    ann.ok("MAIL FROM:<ann@example.test> BODY=8BITMIME").await;
    ann.ok("RCPT TO:<eve@elsewhere.test>").await;
    ann.ok("DATA").await;
    ann.content(
        "From: ann@example.test\r\nTo: eve@elsewhere.test\r\nSubject: One\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u{fc}n\r\n.und mehr\r\n",
    )
    .await;
    assert_eq!(ann.reply().await.code, 250);
    let messages = peer.wait_for(1).await;
    let content = &messages[0].content;
    assert!(content.is_ascii() && content.contains("\r\n\r\ngr=C3=BCn\r\n"), "{content}");
    let found = verify(host.zone(), content.as_bytes(), Duration::MAX).await.dkim;
    let results: Vec<_> = found.iter().map(|one| (one.domain.as_str(), one.result)).collect();
    assert_eq!(results, [("example.test", DkimResult::Pass)], "{content}");
    host.stop().await;
}
