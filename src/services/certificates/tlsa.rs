//! Keys that others find in the DNS (DANE): which records there are, and which of them fit a certificate. Pure but for
//! the look-up.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use futures_util::future::join_all;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{DaneSettings, Loaded};
use crate::foundations::dns::{Resolver, Tlsa};

/// The records under one name in the DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    /// `_25._tcp.mail.example.com`.
    pub(super) at: String,
    /// The host name in it.
    pub(super) host: String,
    /// The records; `None` when the DNS does not answer now.
    pub(super) records: Option<Vec<Tlsa>>,
}

/// More names of one certificate are not looked up.
const MOST_NAMES: usize = 50;

/// Looks up the records for every host name of a certificate.
pub(super) async fn look_up(resolver: &dyn Resolver, settings: &DaneSettings, certificate: &Loaded) -> Vec<Published> {
    let hosts = certificate.names.iter().filter(|name| !name.starts_with("*.")).take(MOST_NAMES);
    let questions =
        hosts.flat_map(|host| settings.ports.iter().map(move |port| (format!("_{port}._tcp.{host}"), host)));
    let asked = questions.map(|(at, host)| async move {
        let records = match resolver.tlsa(&at).await {
            Ok(answer) => Some(answer.records),
            Err(error) if error.is_absence() => Some(Vec::new()),
            Err(_) => None,
        };
        Published { at, host: host.clone(), records }
    });
    join_all(asked).await
}

/// Whether one of the records matches a certificate or, as a trust anchor, one of its issuers. Whether the chain is
/// valid is not checked (RFC 7672 §3.1.1 does not require it for the host's own key).
pub(super) fn vouched(records: &[Tlsa], certificate: &Loaded) -> bool {
    vouches(records, certificate.chain())
}

/// The same for a chain in DER, the host's own certificate first.
pub fn vouches<'c>(records: &[Tlsa], mut chain: impl Iterator<Item = &'c [u8]>) -> bool {
    let Some(own) = chain.next() else { return false };
    let others: Vec<&[u8]> = chain.collect();
    records.iter().any(|record| match record.usage {
        // RFC 6698 §2.1.1: 1 and 3 are about the host's own certificate, 0 and 2 about an authority.
        1 | 3 => fits(record, own),
        0 | 2 => others.iter().any(|other| fits(record, other)),
        _ => false,
    })
}

/// RFC 6698 §2.1.2 and §2.1.3.
fn fits(record: &Tlsa, certificate: &[u8]) -> bool {
    let parsed;
    let selected: &[u8] = match record.selector {
        0 => certificate,
        1 => match X509Certificate::from_der(certificate) {
            Ok((_, whole)) => {
                parsed = whole;
                parsed.public_key().raw
            }
            Err(_) => return false,
        },
        _ => return false,
    };
    match record.matching {
        0 => record.data == selected,
        1 => record.data == digest(&SHA256, selected).as_ref(),
        2 => record.data == digest(&SHA512, selected).as_ref(),
        _ => false,
    }
}
