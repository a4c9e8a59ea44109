//! Mail that aliases pass on to other servers.

use std::io::Write as _;
use std::sync::Arc;

use postrider::foundations::dns::ZoneResolver;
use postrider::protocols::smtp::Mode;
use postrider::services::filter::authentication::dkim::{Algorithm, Chain, generate, verify};
use postrider::services::filter::{DkimKeySettings, FilterSettings};
use postrider::services::handover::Bound;
use postrider::services::routing::SrsSettings;

use super::world::{Client, Wishes, World};

async fn greeted(world: &World) -> Client {
    let mut client = world.connect();
    assert!(client.reply().await.starts_with("220"));
    assert!(client.command("EHLO client.example").await.starts_with("250"));
    client
}

async fn send(client: &mut Client, sender: &str, recipients: &[&str]) {
    assert!(client.command(&format!("MAIL FROM:<{sender}>")).await.starts_with("250"));
    for recipient in recipients {
        assert!(client.command(&format!("RCPT TO:<{recipient}>")).await.starts_with("250"), "{recipient}");
    }
    assert!(client.command("DATA").await.starts_with("354"));
    assert!(client.command("From: eve@far.test\r\nTo: away@example.test\r\n\r\nhello\r\n.").await.starts_with("250"));
}

#[tokio::test]
async fn senders_are_rewritten_and_notifications_find_them() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    secret.write_all(b"a secret that nobody knows\n").unwrap();
    let srs = SrsSettings { secret_file: Some(secret.path().to_owned()), ..SrsSettings::default() };
    let world = World::new(Wishes { srs, ..Wishes::new(Mode::Relay) }).await;
    let mut client = greeted(&world).await;
    send(&mut client, "eve@far.test", &["away@example.test", "ann@example.test"]).await;
    assert_eq!(world.mailboxes.0.lock().len(), 1);
    let (sender, _) = world.queue.mails.lock()[0].clone();
    assert!(sender.starts_with("SRS0=") && sender.ends_with("=far.test=eve@mail.example.test"), "{sender}");
    assert_eq!(world.queue.entries.lock()[0].0, [("ann@elsewhere.test".to_owned(), Bound::Elsewhere)]);
    // So do the long addresses of bulk senders.
    let bulk = "bounces+12345678-9abc-ann.example=elsewhere.test@em1234.newsletter.example";
    send(&mut client, bulk, &["away@example.test"]).await;
    let (long, _) = world.queue.mails.lock().pop().unwrap();
    assert!(long.len() > 100 && long.starts_with("SRS0="), "{long}");
    world.queue.entries.lock().clear();
    send(&mut client, "", &[&long]).await;
    assert_eq!(world.queue.entries.lock()[0].0, [(bulk.to_owned(), Bound::Elsewhere)]);
    // Our own domain may send from here unchanged, and so may the null sender.
    for own in ["bob@example.test", ""] {
        send(&mut client, own, &["away@example.test"]).await;
        assert_eq!(world.queue.mails.lock().pop().unwrap().0, own);
    }
    // A notification comes back, and is passed on to the original sender.
    world.queue.entries.lock().clear();
    send(&mut client, "", &[&sender]).await;
    assert_eq!(world.queue.entries.lock()[0].0, [("eve@far.test".to_owned(), Bound::Elsewhere)]);
    // An address that we have not made is nobody's.
    assert!(client.command("MAIL FROM:<>").await.starts_with("250"));
    let forged = sender.replace("=eve@", "=bob@");
    assert!(client.command(&format!("RCPT TO:<{forged}>")).await.starts_with("550 5.1.1"));
}

#[tokio::test]
async fn without_a_secret_senders_stay() {
    let world = World::new(Wishes::new(Mode::Relay)).await;
    let mut client = greeted(&world).await;
    send(&mut client, "eve@far.test", &["away@example.test"]).await;
    assert_eq!(world.queue.mails.lock()[0].0, "eve@far.test");
}

#[tokio::test]
async fn what_is_passed_on_is_sealed() {
    let pair = generate(Algorithm::Rsa).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pair.private.expose().as_bytes()).unwrap();
    let key = DkimKeySettings {
        domain: Some("example.test".parse().unwrap()),
        selector: "s1".to_owned(),
        file: file.path().to_owned(),
    };
    let mut spam = FilterSettings::default();
    spam.dkim.keys.push(key);
    let zone = Arc::new(ZoneResolver::new());
    zone.add("far.test TXT v=spf1 ip4:192.0.2.1 -all\n_dmarc.far.test TXT v=DMARC1; p=reject").unwrap();
    zone.add(&format!("s1._domainkey.example.test TXT {}", pair.record)).unwrap();
    let world = World::new(Wishes { spam, zone: Some(Arc::clone(&zone)), ..Wishes::new(Mode::Relay) }).await;
    let mut client = greeted(&world).await;
    send(&mut client, "eve@far.test", &["away@example.test", "ann@example.test"]).await;
    let (_, text) = world.queue.mails.lock()[0].clone();
    let Chain::Pass { sealers, results } = verify(&*zone, text.as_bytes(), std::time::Duration::MAX).await.arc else {
        panic!("{text}")
    };
    assert_eq!(sealers, ["example.test"]);
    assert!(results.contains("dmarc=pass") && results.contains("mail.example.test"), "{results}");
    // Mail that stays here needs no seal.
    assert!(!world.mailboxes.0.lock()[0].1.contains("ARC-Seal"));
}
