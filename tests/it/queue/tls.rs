//! How strictly TLS is enforced.

use std::sync::Arc;

use postrider::foundations::address::{Domain, ReversePath};
use postrider::foundations::event::EventKind;
use postrider::foundations::ids::QueueId;
use postrider::services::outbound::{OutboundSettings, Roots, RouteSettings, TlsLevel};
use postrider::services::queue::{Change, QueueSettings};
use postrider::storage::database::Database;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::peer::{HANG_UP, Peer};
use super::world::{SetUp, World, mail};

/// One engine is enough: the database has no part in this.
pub(crate) fn on_sqlite<F: Future<Output = ()>>(test: fn(Database) -> F) {
    crate::accounts::engines::run(postrider::storage::database::Dialect::Sqlite, test);
}

/// A self-signed certificate for this host.
pub(crate) fn certificate(host: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    (certificate.clone(), acceptor(vec![certificate], &made.signing_key))
}

/// A server that presents these certificates, its own first.
pub(crate) fn acceptor(chain: Vec<CertificateDer<'static>>, key: &rcgen::KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) fn trusting(certificate: CertificateDer<'static>) -> Roots {
    let mut store = rustls::RootCertStore::empty();
    store.add(certificate).unwrap();
    Roots::of(store)
}

const ZONE: &str = "x.test SECURE MX 10 mx.x.test\nmx.x.test A 192.0.2.1\nsender.test FAIL";

/// Waits until a message with one recipient was tried.
async fn tried(world: &World, id: QueueId) {
    world
        .until("it was tried", async || match world.queue.show(id).await {
            Ok(listing) => listing.recipients[0].attempts == 1,
            Err(_) => true,
        })
        .await;
}

#[test]
fn any_certificate_is_better_than_none() {
    on_sqlite(|database| async move {
        let world = World::new(database, SetUp::default());
        world.zone.add(ZONE).unwrap();
        let peer = world.network.host("192.0.2.1", Peer::new().tls(certificate("other.test").1));
        world.queue.start();
        let id = world.send(&mail(&["a@x.test"])).await;
        world.until_empty().await;
        assert!(peer.taken()[0].over_tls);
        world.until("it is recorded", async || !world.events(id, EventKind::Relayed).await.is_empty()).await;
        let relayed = world.events(id, EventKind::Relayed).await;
        assert_eq!(relayed[0].details["tls"], "TLSv1.3");
        assert_eq!(relayed[0].details["verified"], false);
        world.restart().await;
    });
}

#[test]
fn plain_text_goes_where_the_handshake_fails_unless_tls_is_required() {
    on_sqlite(|database| async move {
        for (level, taken) in [(TlsLevel::May, 1), (TlsLevel::Encrypt, 0)] {
            let outbound = OutboundSettings { tls: level, ..OutboundSettings::default() };
            let world = World::new(database.clone(), SetUp { outbound, ..SetUp::default() });
            world.zone.add(ZONE).unwrap();
            // It announces TLS, and then hangs up.
            let peer = world.network.host("192.0.2.1", Peer::new().extensions(&["STARTTLS"]));
            world.queue.start();
            let id = world.send(&mail(&["a@x.test"])).await;
            tried(&world, id).await;
            assert_eq!(peer.taken().len(), taken, "{level:?}");
            let _ = world.queue.change(&Change::Delete(id)).await;
            world.restart().await;
        }
    });
}

/// In TLS 1.3 a host that wants a certificate of ours says so after the handshake.
#[test]
fn plain_text_goes_where_tls_ends_at_once_unless_it_is_required() {
    on_sqlite(|database| async move {
        for (level, taken) in [(TlsLevel::May, 1), (TlsLevel::Encrypt, 0)] {
            let outbound = OutboundSettings { tls: level, ..OutboundSettings::default() };
            let world = World::new(database.clone(), SetUp { outbound, ..SetUp::default() });
            world.zone.add(ZONE).unwrap();
            let peer = world.network.host("192.0.2.1", Peer::new().tls(certificate("mx.x.test").1));
            peer.answers("EHLO", "250-peer\r\n250 STARTTLS", 1);
            peer.answers("EHLO", HANG_UP, 1);
            world.queue.start();
            let id = world.send(&mail(&["a@x.test"])).await;
            tried(&world, id).await;
            let over_tls: Vec<bool> = peer.taken().iter().map(|one| one.over_tls).collect();
            assert_eq!(over_tls, vec![false; taken], "{level:?}");
            let _ = world.queue.change(&Change::Delete(id)).await;
            world.restart().await;
        }
    });
}

#[test]
fn a_route_may_demand_a_name() {
    on_sqlite(|database| async move {
        let (good, acceptor) = certificate("mx.x.test");
        for (roots, taken) in [(trusting(good), 1), (trusting(certificate("mx.x.test").0), 0)] {
            let route =
                RouteSettings { domains: vec!["*.test".to_owned()], tls: TlsLevel::Verify, ..RouteSettings::default() };
            let outbound = OutboundSettings { routes: vec![route], ..OutboundSettings::default() };
            let world = World::new(database.clone(), SetUp { outbound, roots, ..SetUp::default() });
            world.zone.add(ZONE).unwrap();
            let peer = world.network.host("192.0.2.1", Peer::new().tls(acceptor.clone()));
            world.queue.start();
            let id = world.send(&mail(&["a@x.test"])).await;
            tried(&world, id).await;
            assert_eq!(peer.taken().len(), taken);
            let _ = world.queue.change(&Change::Delete(id)).await;
            world.restart().await;
        }
    });
}

#[test]
fn require_tls_goes_all_the_way_or_not_at_all() {
    on_sqlite(|database| async move {
        let (root, acceptor) = certificate("mx.x.test");
        for (extension, taken) in [("REQUIRETLS", 1), ("8BITMIME", 0)] {
            let set_up = SetUp { roots: trusting(root.clone()), ..SetUp::default() };
            let world = World::new(database.clone(), set_up);
            world.zone.add(ZONE).unwrap();
            let peer = Peer::new().extensions(&[extension]).tls(acceptor.clone());
            let peer = world.network.host("192.0.2.1", peer);
            world.queue.start();
            let mut mail = mail(&["a@x.test"]);
            mail.envelope.require_tls = true;
            let id = world.send(&mail).await;
            world
                .until("it is settled", async || {
                    !world.events(id, EventKind::Relayed).await.is_empty()
                        || !world.events(id, EventKind::Failed).await.is_empty()
                })
                .await;
            assert_eq!(peer.taken().len(), taken, "{extension}");
            if taken == 0 {
                assert_eq!(world.events(id, EventKind::Failed).await[0].details["status"], "5.7.30");
            } else {
                assert!(peer.taken()[0].mail.ends_with(" REQUIRETLS"));
            }
            world.restart().await;
        }
    });
}

#[test]
fn a_notification_that_requires_tls_arrives_without_it_rather_than_not_at_all() {
    on_sqlite(|database| async move {
        for (peer, said) in [
            (Peer::new(), false),
            (Peer::new().extensions(&["8BITMIME"]).tls(certificate("other.test").1), false),
            (Peer::new().extensions(&["REQUIRETLS"]).tls(certificate("mx.x.test").1), true),
        ] {
            let world = World::new(database.clone(), SetUp::default());
            world.zone.add(ZONE).unwrap();
            let peer = world.network.host("192.0.2.1", peer);
            world.queue.start();
            let mut mail = mail(&["a@x.test"]);
            (mail.envelope.require_tls, mail.envelope.reverse_path) = (true, ReversePath::Null);
            world.send(&mail).await;
            world.until_empty().await;
            let taken = peer.taken();
            assert_eq!(taken.iter().map(|one| one.mail.ends_with(" REQUIRETLS")).collect::<Vec<_>>(), [said]);
            world.restart().await;
        }
    });
}

#[test]
fn what_one_message_demands_stops_no_other() {
    on_sqlite(|database| async move {
        // Without TLS it is returned at once; a certificate may be fixed. Either way the host accepts everything else.
        for (peer, fate, status) in [
            (Peer::new(), EventKind::Failed, "5.7.10"),
            (Peer::new().tls(certificate("other.test").1), EventKind::Deferred, "4.7.5"),
        ] {
            let queue = QueueSettings { failures_before_rest: 1, ..SetUp::default().queue };
            let world = World::new(database.clone(), SetUp { queue, ..SetUp::default() });
            // The second exchanger answers nobody: that does not make the first one's answer a failure of all.
            world.zone.add(ZONE).unwrap();
            world.zone.add("x.test MX 20 away.x.test\naway.x.test A 192.0.2.9").unwrap();
            let peer = world.network.host("192.0.2.1", peer);
            world.zone.add("y.test SECURE MX 10 mx.x.test").unwrap();
            world.queue.start();
            for (domain, fate, status) in [("y.test", fate, status), ("x.test", EventKind::Deferred, "4.")] {
                let mut demanding = mail(&[&format!("secret@{domain}")]);
                demanding.envelope.require_tls = true;
                let demanding = world.send(&demanding).await;
                world.until("it was tried", async || !world.events(demanding, fate).await.is_empty()).await;
                let came = world.events(demanding, fate).await[0].details["status"].as_str().unwrap().to_owned();
                assert!(came.starts_with(status), "{came}");
                let taken = peer.taken().len();
                let ordinary = world.send(&mail(&[&format!("hello@{domain}")])).await;
                world.until("it is there", async || !world.events(ordinary, EventKind::Relayed).await.is_empty()).await;
                assert_eq!(peer.taken().len(), taken + 1);
                let _ = world.queue.change(&Change::Delete(demanding)).await;
            }
            world.restart().await;
        }
    });
}

#[test]
fn a_demand_for_tls_is_met_by_another_exchanger() {
    on_sqlite(|database| async move {
        let (root, acceptor) = certificate("second.x.test");
        let world = World::new(database, SetUp { roots: trusting(root), ..SetUp::default() });
        world.zone.add(ZONE).unwrap();
        world.zone.add("x.test MX 20 second.x.test\nsecond.x.test A 192.0.2.2").unwrap();
        let plain = world.network.host("192.0.2.1", Peer::new());
        let second = world.network.host("192.0.2.2", Peer::new().extensions(&["REQUIRETLS"]).tls(acceptor));
        world.queue.start();
        let mut mail = mail(&["secret@x.test"]);
        mail.envelope.require_tls = true;
        world.send(&mail).await;
        world.until_empty().await;
        assert_eq!((plain.taken().len(), second.taken().len()), (0, 1));
        world.restart().await;
    });
}

/// RFC 8689 §4.2.1
#[test]
fn every_exchanger_is_asked_whether_it_requires_tls_further_on() {
    on_sqlite(|database| async move {
        let names = ["mx.x.test", "second.x.test", "third.x.test"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let root = made.cert.der().clone();
        let acceptor = acceptor(vec![root.clone()], &made.signing_key);
        let world = World::new(database, SetUp { roots: trusting(root), ..SetUp::default() });
        world.zone.add(ZONE).unwrap();
        world.zone.add("x.test SECURE MX 20 second.x.test\nsecond.x.test A 192.0.2.2").unwrap();
        world.zone.add("x.test SECURE MX 30 third.x.test\nthird.x.test A 192.0.2.3").unwrap();
        let without = || Peer::new().tls(acceptor.clone());
        let (first, second) = (world.network.host("192.0.2.1", without()), world.network.host("192.0.2.2", without()));
        let third = Peer::new().extensions(&["REQUIRETLS"]).tls(acceptor.clone());
        let third = world.network.host("192.0.2.3", third);
        world.queue.start();
        let mut mail = mail(&["secret@x.test"]);
        mail.envelope.require_tls = true;
        world.send(&mail).await;
        world.until_empty().await;
        assert_eq!((first.connections(), second.connections(), third.taken().len()), (1, 1, 1));
        world.restart().await;
    });
}

#[test]
fn a_smarthost_gets_the_password_over_tls_only() {
    on_sqlite(|database| async move {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let host: Domain = "relay.test".parse().unwrap();
        let route = RouteSettings {
            domains: vec!["*".to_owned()],
            host: Some(host),
            port: 587,
            tls: TlsLevel::Encrypt,
            username: Some("me".to_owned()),
            password_file: Some(file.path().to_owned()),
            ..RouteSettings::default()
        };
        let outbound = OutboundSettings { routes: vec![route], ..OutboundSettings::default() };
        let world = World::new(database, SetUp { outbound, ..SetUp::default() });
        world.zone.add("relay.test A 192.0.2.7").unwrap();
        let peer = Peer::new().extensions(&["AUTH PLAIN"]).tls(certificate("relay.test").1);
        let peer = world.network.host("192.0.2.7", peer);
        world.queue.start();
        world.send(&mail(&["a@x.test", "b@y.test"])).await;
        world.until_empty().await;
        assert_eq!(peer.taken()[0].recipients.len(), 2, "both domains in one transaction");
        assert!(peer.heard.lock().iter().any(|line| line == "AUTH PLAIN AG1lAHNlY3JldA=="));
        world.until_quiet().await;
        let plain = Peer::new().extensions(&["AUTH PLAIN"]);
        let plain = world.network.host("192.0.2.7", plain);
        let id = world.send(&mail(&["c@x.test"])).await;
        world.until_tried(id, 1).await;
        assert!(!plain.heard.lock().iter().any(|line| line.starts_with("AUTH")));
        world.restart().await;
    });
}
