//! The certificate a listener has shown.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, RootCertStore};
use serde::Serialize;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::foundations::clock::Timestamp;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::net::{CertificateJudge, Shown};

/// A certificate as it was served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Served {
    /// The host names it is for.
    pub names: Vec<String>,
    /// Who has issued it.
    pub issuer: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// How many certificates were sent along with it.
    pub intermediates: usize,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// SHA-256 of its public key, in hexadecimal: the data of a TLSA record `3 1 1` (RFC 6698 §2.1).
    pub public_key: String,
    /// Why a client that trusts the system's authorities would refuse it for our host name; `None` when it would not.
    pub distrust: Option<String>,
}

/// Accepts every certificate and keeps what it has seen.
#[derive(Debug)]
pub(super) struct Witness {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    seen: Mutex<Option<Served>>,
}

impl Witness {
    pub(super) fn new(provider: Arc<CryptoProvider>, roots: Arc<RootCertStore>) -> Self {
        Self { provider, roots, seen: Mutex::new(None) }
    }

    /// What was served in the handshake.
    pub(super) fn seen(&self) -> Option<Served> {
        self.seen.lock().take()
    }

    fn distrust(&self, shown: Shown<'_>) -> Option<String> {
        let Shown { end_entity, intermediates, server_name, now, .. } = shown;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&self.provider)).build();
        match verifier {
            Ok(verifier) => {
                let verified = verifier.verify_server_cert(end_entity, intermediates, server_name, &[], now);
                verified.err().map(|error| in_words(&error))
            }
            Err(_) => Some("this machine trusts no certificate authority at all".to_owned()),
        }
    }
}

/// Accepts every certificate and keeps the chain it has seen.
#[derive(Debug, Default)]
pub(super) struct Chain(Mutex<Vec<Vec<u8>>>);

impl Chain {
    /// What was served in the handshake, in DER, the server's own certificate first.
    pub(super) fn seen(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl CertificateJudge for Chain {
    fn judge(&self, shown: Shown<'_>) -> Result<(), rustls::Error> {
        let certificates = std::iter::once(shown.end_entity).chain(shown.intermediates);
        *self.0.lock() = certificates.map(|certificate| certificate.to_vec()).collect();
        Ok(())
    }
}

fn in_words(error: &rustls::Error) -> String {
    match error {
        // It is spelled like a name in a program.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no authority that this machine trusts vouches for it, or its chain is not complete".to_owned()
        }
        error => error.to_string(),
    }
}

impl CertificateJudge for Witness {
    fn judge(&self, shown: Shown<'_>) -> Result<(), rustls::Error> {
        *self.seen.lock() = describe(shown.end_entity, shown.intermediates.len(), self.distrust(shown));
        Ok(())
    }
}

/// What a certificate says; `None` for one that is none.
fn describe(der: &CertificateDer<'_>, intermediates: usize, distrust: Option<String>) -> Option<Served> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternative = certificate.subject_alternative_name().ok()?;
    let names = alternative.into_iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let validity = certificate.validity();
    Some(Served {
        names: names.collect(),
        issuer: certificate.issuer().to_string(),
        not_before: Timestamp::from_unix_seconds(validity.not_before.timestamp()),
        not_after: Timestamp::from_unix_seconds(validity.not_after.timestamp()),
        intermediates,
        fingerprint: hexadecimal(digest(&SHA256, der).as_ref()),
        public_key: hexadecimal(digest(&SHA256, certificate.public_key().raw).as_ref()),
        distrust,
    })
}
