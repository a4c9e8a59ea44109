//! Certificates that the DNS vouches for (DANE, RFC 7672).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use mail_auth::report::tlsrpt::ResultType;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::opening::Unopened;
use super::{Scope, Trouble};
use crate::foundations::dns::{Error, ErrorKind, Resolver, Security, Tlsa};
use crate::foundations::wire::smtp::EnhancedStatus;

/// RFC 7672 §3.1: trust anchors and certificates of the host itself; the other usages are not for mail.
const ANCHOR: u8 = 2;
const HOST: u8 = 3;

/// The usable records of a name that the DNS vouches for; empty when there are only others, `None` when
/// it has none that count. A look-up that fails may be an attack: the host must not be used (RFC 7672 §2.1.1).
pub(super) async fn records(resolver: &dyn Resolver, host: &str, port: u16) -> Result<Option<Vec<Tlsa>>, Unopened> {
    match resolver.tlsa(&format!("_{port}._tcp.{host}")).await {
        Ok(answer) if answer.security == Security::Secure => {
            let mut usable: Vec<Tlsa> = answer.records.into_iter().filter(is_usable).collect();
            // Name servers shuffle them: what is demanded, and what reports say of it, is the same in any order.
            usable.sort();
            Ok(Some(usable))
        }
        Ok(_) => Ok(None),
        Err(Error { kind: ErrorKind::NoData | ErrorKind::NoSuchName | ErrorKind::InvalidName, .. }) => Ok(None),
        Err(Error { kind: kind @ (ErrorKind::Temporary | ErrorKind::Bogus), .. }) => {
            Err(failed(format!("The TLSA records of {host} cannot be looked up now: {kind}"), kind))
        }
    }
}

/// Whether the DNS vouches for that a name is an alias, whatever the zone is to which that leads. Fails like [`records`].
pub(super) async fn is_signed_alias(resolver: &dyn Resolver, name: &str) -> Result<bool, Unopened> {
    match resolver.cname(name).await {
        Ok(answer) => Ok(answer.security == Security::Secure),
        Err(Error { kind: ErrorKind::NoData | ErrorKind::NoSuchName | ErrorKind::InvalidName, .. }) => Ok(false),
        Err(Error { kind: kind @ (ErrorKind::Temporary | ErrorKind::Bogus), .. }) => {
            Err(failed(format!("What {name} is an alias of cannot be looked up now: {kind}"), kind))
        }
    }
}

fn failed(text: String, kind: ErrorKind) -> Unopened {
    let trouble = Trouble::ours(EnhancedStatus::new(4, 7, 5), text, Scope::Destination);
    Unopened { tls: (kind == ErrorKind::Bogus).then_some(ResultType::DnssecInvalid), ..Unopened::from(trouble) }
}

fn is_usable(record: &Tlsa) -> bool {
    let length = match record.matching {
        0 => !record.data.is_empty(),
        1 => record.data.len() == 32,
        2 => record.data.len() == 64,
        _ => false,
    };
    matches!(record.usage, ANCHOR | HOST) && record.selector <= 1 && length
}

/// Whether one of the records vouches for a chain of certificates. For the host's own certificate names and dates do not
/// matter (RFC 7672 §3.1.1); below a trust anchor it must be valid for one of the names (§3.1.2, §3.2.2).
pub(super) fn proves(
    records: &[Tlsa],
    chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
    names: &[ServerName<'static>],
    now: UnixTime,
    provider: &Arc<CryptoProvider>,
) -> Result<(), rustls::Error> {
    let (own, others) = chain;
    if records.iter().any(|record| record.usage == HOST && fits(record, own)) {
        return Ok(());
    }
    let anchors = others.iter().filter(|c| records.iter().any(|record| record.usage == ANCHOR && fits(record, c)));
    for anchor in anchors {
        let mut store = RootCertStore::empty();
        store.add(anchor.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        if names.iter().any(|name| verifier.verify_server_cert(own, others, name, &[], now).is_ok()) {
            return Ok(());
        }
    }
    Err(rustls::Error::General("no TLSA record matches the certificate".to_owned()))
}

/// RFC 6698 §2.1.
fn fits(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let parsed;
    let selected: &[u8] = match record.selector {
        0 => certificate,
        _ => match x509_parser::parse_x509_certificate(certificate) {
            Ok((_, whole)) => {
                parsed = whole;
                parsed.tbs_certificate.subject_pki.raw
            }
            Err(_) => return false,
        },
    };
    match record.matching {
        0 => record.data == selected,
        1 => record.data == digest(&SHA256, selected).as_ref(),
        _ => record.data == digest(&SHA512, selected).as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::ZoneResolver;

    #[tokio::test]
    async fn records_are_the_same_in_any_order() {
        let lines = ["01", "02"].map(|octet| format!("_25._tcp.x.test SECURE TLSA 3 1 1 {}\n", octet.repeat(32)));
        let mut found = Vec::new();
        for zone_file in [lines.concat(), lines.iter().rev().cloned().collect()] {
            let zone = ZoneResolver::new();
            zone.add(&zone_file).unwrap();
            found.push(records(&zone, "x.test", 25).await.unwrap().unwrap());
        }
        assert_eq!(found[0].len(), 2);
        assert_eq!(found[0], found[1]);
    }

    #[tokio::test]
    async fn an_alias_must_be_signed_and_a_failure_is_no_answer() {
        let zone = ZoneResolver::new();
        zone.add("a.test SECURE CNAME x.test\nb.test CNAME x.test\nc.test SECURE A 192.0.2.1\nd.test FAIL").unwrap();
        for (name, wanted) in [
            ("a.test", Some(true)),
            ("b.test", Some(false)),
            ("c.test", Some(false)),
            ("d.test", None),
            ("e.test", Some(false)),
        ] {
            assert_eq!(is_signed_alias(&zone, name).await.ok(), wanted, "{name}");
        }
    }
}
