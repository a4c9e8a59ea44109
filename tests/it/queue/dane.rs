//! Domains' requirements for senders: DANE.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use mail_auth::report::tlsrpt::{PolicyType, ResultType};
use rustls::pki_types::CertificateDer;
use tokio_rustls::TlsAcceptor;

use super::peer::Peer;
use super::policies::{counted, tried};
use super::tls::{acceptor, certificate, on_sqlite};
use super::world::{SetUp, World};

const ZONE: &str = "x.test SECURE MX 10 mx.x.test\nmx.x.test SECURE A 192.0.2.1\nsender.test FAIL";

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn public_key(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    parsed.tbs_certificate.subject_pki.raw.to_vec()
}

/// A certificate for a host by an authority of its own; the authority's, and the host with both.
fn by_authority(host: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let (key, own_key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = authority.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::from_params(&authority, &key);
    let own = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&own_key, &issuer).unwrap();
    (root.der().clone(), acceptor(vec![own.der().clone(), root.der().clone()], &own_key))
}

#[test]
fn signed_records_vouch_for_certificates() {
    on_sqlite(|database| async move {
        let (own, shown) = certificate("other.test");
        let (root, below) = by_authority("mx.x.test");
        let (other_root, wrong_name) = by_authority("y.test");
        let key = hex(digest(&SHA256, &public_key(&own)).as_ref());
        let whole = hex(digest(&SHA512, &own).as_ref());
        let anchor = |root: &CertificateDer<'_>| format!("SECURE TLSA 2 0 1 {}", hex(digest(&SHA256, root).as_ref()));
        let nothing = "00".repeat(32);
        for (record, host, wanted) in [
            (format!("SECURE TLSA 3 1 1 {key}"), Some(&shown), Some("dane")),
            (format!("SECURE TLSA 3 0 2 {whole}"), Some(&shown), Some("dane")),
            (format!("SECURE TLSA 3 1 0 {}", hex(&public_key(&own))), Some(&shown), Some("dane")),
            (format!("SECURE TLSA 3 1 1 {nothing}"), Some(&shown), None),
            (format!("SECURE TLSA 3 1 1 {key}"), None, None),
            (anchor(&root), Some(&below), Some("dane")),
            (anchor(&other_root), Some(&wrong_name), None),
            (anchor(&root), Some(&shown), None),
            // Records that cannot be used ask for TLS with any certificate.
            (format!("SECURE TLSA 1 1 1 {nothing}"), Some(&shown), Some("dane")),
            (format!("SECURE TLSA 1 1 1 {nothing}"), None, None),
            // Unsigned ones are ignored, and a failed look-up may be an attack.
            (format!("TLSA 3 1 1 {nothing}"), Some(&shown), Some("opportunistic")),
            ("FAIL".to_owned(), Some(&shown), None),
            ("BOGUS".to_owned(), Some(&shown), None),
        ] {
            let world = World::new(database.clone(), SetUp::default());
            world.zone.add(ZONE).unwrap();
            world.zone.add(&format!("_25._tcp.mx.x.test {record}")).unwrap();
            let peer = host.map_or_else(Peer::new, |host| Peer::new().tls(host.clone()));
            let peer = world.network.host("192.0.2.1", peer);
            world.queue.start();
            assert_eq!(tried(&world).await.as_deref(), wanted, "{record}");
            assert_eq!(peer.taken().len(), usize::from(wanted.is_some()));
            world.restart().await;
        }
    });
}

#[test]
fn records_count_only_when_the_way_to_them_is_signed() {
    on_sqlite(|database| async move {
        let nothing = "00".repeat(32);
        for zone in [
            "x.test MX 10 mx.x.test\nmx.x.test SECURE A 192.0.2.1",
            "x.test SECURE MX 10 mx.x.test\nmx.x.test A 192.0.2.1",
        ] {
            let world = World::new(database.clone(), SetUp::default());
            world.zone.add(&format!("{zone}\n_25._tcp.mx.x.test SECURE TLSA 3 1 1 {nothing}")).unwrap();
            world.network.host("192.0.2.1", Peer::new().tls(certificate("mx.x.test").1));
            world.queue.start();
            assert_eq!(tried(&world).await.as_deref(), Some("opportunistic"), "{zone}");
            world.restart().await;
        }
    });
}

#[test]
fn aliases_and_domains_without_exchangers_are_protected_too() {
    on_sqlite(|database| async move {
        let (own, shown) = certificate("other.test");
        let key = hex(digest(&SHA256, &public_key(&own)).as_ref());
        let (fits, nothing) = (format!("SECURE TLSA 3 1 1 {key}"), format!("SECURE TLSA 3 1 1 {}", "00".repeat(32)));
        let alias = "x.test SECURE MX 10 mx.x.test\nmx.x.test SECURE CNAME real.y.test\nreal.y.test SECURE A 192.0.2.1";
        let half = "x.test SECURE MX 10 mx.x.test\nmx.x.test CNAME real.y.test\nreal.y.test SECURE A 192.0.2.1";
        let out = "x.test SECURE MX 10 mx.x.test\nmx.x.test SECURE CNAME real.y.test\nreal.y.test A 192.0.2.1";
        let unsigned = "x.test SECURE MX 10 mx.x.test\nmx.x.test CNAME real.y.test\nreal.y.test A 192.0.2.1";
        for (zone, records, wanted) in [
            ("x.test SECURE A 192.0.2.1", vec![("x.test", &fits)], Some("dane")),
            ("x.test SECURE A 192.0.2.1", vec![("x.test", &nothing)], None),
            ("x.test A 192.0.2.1", vec![("x.test", &nothing)], Some("opportunistic")),
            (alias, vec![("real.y.test", &fits)], Some("dane")),
            (alias, vec![("real.y.test", &fits), ("mx.x.test", &nothing)], Some("dane")),
            (alias, vec![("mx.x.test", &fits)], Some("dane")),
            (alias, vec![("mx.x.test", &nothing)], None),
            (half, vec![("real.y.test", &nothing)], Some("opportunistic")),
            // RFC 7672 §2.2.2: the records of a signed alias count wherever it leads, and those of what is not signed never do.
            (out, vec![("mx.x.test", &fits)], Some("dane")),
            (out, vec![("mx.x.test", &nothing)], None),
            (out, vec![("real.y.test", &nothing)], Some("opportunistic")),
            (unsigned, vec![("mx.x.test", &nothing), ("real.y.test", &nothing)], Some("opportunistic")),
        ] {
            let world = World::new(database.clone(), SetUp::default());
            world.zone.add(zone).unwrap();
            world.zone.add("sender.test FAIL").unwrap();
            for (name, record) in &records {
                world.zone.add(&format!("_25._tcp.{name} {record}")).unwrap();
            }
            world.network.host("192.0.2.1", Peer::new().tls(shown.clone()));
            world.queue.start();
            assert_eq!(tried(&world).await.as_deref(), wanted, "{zone} {records:?}");
            world.restart().await;
        }
    });
}

#[test]
fn forged_records_are_counted_as_failures_of_dane() {
    on_sqlite(|database| async move {
        database.execute("DELETE FROM report_tallies", &[]).await.unwrap();
        let world = World::new(database, SetUp::default());
        world.zone.add(ZONE).unwrap();
        world.zone.add("_25._tcp.mx.x.test BOGUS").unwrap();
        world.network.host("192.0.2.1", Peer::new().tls(certificate("mx.x.test").1));
        world.queue.start();
        assert_eq!(tried(&world).await, None);
        assert_eq!(counted(&world).await, [(PolicyType::Tlsa, Some(ResultType::DnssecInvalid), 0, 1)]);
        world.restart().await;
    });
}
