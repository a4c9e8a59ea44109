//! TLS towards other hosts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mail_auth::report::tlsrpt::ResultType;
use parking_lot::Mutex;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::attempt::Verified;
use super::{Io, TlsLevel, dane};
use crate::foundations::clock::Timestamp;
use crate::foundations::dns::Tlsa;
use crate::foundations::mail::TlsFacts;
use crate::foundations::net::{CertificateJudge, Judged, Shown};

/// What a connection must show before mail goes over it. Decided before connecting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Encrypted if it can be, else plain.
    May,
    /// Encrypted, with any certificate.
    Encrypt,
    /// Encrypted, with a certificate of a trusted authority for one of these names.
    Verify {
        /// Host names.
        names: Vec<String>,
    },
    /// Encrypted, with a certificate that one of these signed records vouches for (RFC 7672).
    Dane {
        /// Usable records; at least one.
        records: Vec<Tlsa>,
        /// Names of which the certificate must have one, where a record names a trust anchor; first the one that has the records.
        names: Vec<String>,
    },
}

impl TlsPolicy {
    /// The policy that a level stands for when the host has this name.
    pub(super) fn of(level: TlsLevel, host: &str) -> Self {
        match level {
            TlsLevel::May => Self::May,
            TlsLevel::Encrypt => Self::Encrypt,
            TlsLevel::Verify => Self::Verify { names: vec![host.to_owned()] },
        }
    }
}

/// The authorities whose certificates are trusted, and the cryptography. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Roots {
    store: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Roots {
    /// The authorities in a PEM file, or those of the system. Certificates that cannot be understood are skipped; fails
    /// when the file cannot be read or none is left in it. The system's may be empty: then nothing can be verified.
    pub fn load(file: Option<&Path>) -> std::io::Result<Self> {
        let mut store = RootCertStore::empty();
        match file {
            Some(file) => {
                let pem = std::fs::read(file)?;
                let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
                if store.add_parsable_certificates(certificates).0 == 0 {
                    return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "no certificate in the file"));
                }
            }
            None => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        Ok(Self::of(store))
    }

    /// These authorities.
    pub fn of(store: RootCertStore) -> Self {
        Self { store: Arc::new(store), provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()) }
    }

    /// For a client that wants exactly the host it names, vouched for by one of these.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(Arc::clone(&self.store)).with_no_client_auth())
    }

    /// Whether one of these vouches at this time for a host's certificate, which comes first, with those behind it.
    pub fn vouch_for(&self, chain: &[CertificateDer<'_>], host: &str, now: Timestamp) -> bool {
        let Some((own, others)) = chain.split_first() else { return false };
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.store), Arc::clone(&self.provider));
        let (Ok(verifier), Some(name)) = (builder.build(), server_name(host)) else { return false };
        let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verifier.verify_server_cert(own, others, &name, &[], now).is_ok()
    }
}

/// Why there is no TLS session.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("{0}")]
    Handshake(#[from] std::io::Error),
    #[error("`{0}` is not a valid name for TLS")]
    Name(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// What was wrong with the certificate, when it was that.
    pub(super) fn certificate(&self) -> Option<&CertificateError> {
        let error = match self {
            Self::Handshake(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
            Self::Setup(error) => error,
            Self::Name(_) => return None,
        };
        match error {
            rustls::Error::InvalidCertificate(error) => Some(error),
            _ => None,
        }
    }

    /// What reports call it (RFC 8460 §4.3).
    pub(super) fn reported(&self) -> ResultType {
        match self.certificate() {
            Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => ResultType::CertificateExpired,
            Some(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
                ResultType::CertificateHostMismatch
            }
            Some(CertificateError::UnknownIssuer | CertificateError::BadSignature) => ResultType::CertificateNotTrusted,
            Some(_) | None => ResultType::ValidationFailure,
        }
    }
}

/// Makes a connection encrypted, as client.
pub(super) async fn handshake(
    stream: Box<dyn Io>,
    host: &str,
    policy: &TlsPolicy,
    roots: &Roots,
) -> Result<(Box<dyn Io>, TlsFacts, Verified), TlsError> {
    let host = called(host, policy);
    let name = server_name(host).ok_or_else(|| TlsError::Name(host.to_owned()))?;
    let all = |names: &[String]| names.iter().filter_map(|name| server_name(name)).collect();
    let demand = match policy {
        TlsPolicy::Verify { names } => Demand::OneOf(all(names)),
        TlsPolicy::Dane { records, names } => Demand::Vouched(records.clone(), all(names)),
        TlsPolicy::May | TlsPolicy::Encrypt => Demand::Nothing,
    };
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&roots.provider)).with_safe_default_protocol_versions()?;
    // Without authorities there is nothing to build a verifier of; then every certificate is unverified.
    let webpki =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.store), Arc::clone(&roots.provider)).build().ok();
    let provider = Arc::clone(&roots.provider);
    let verifier = Verifier { webpki, provider, demand, verified: Mutex::new(Verified::No) };
    let verifier = Arc::new(Judged::new(verifier, Arc::clone(&roots.provider)));
    let shared: Arc<dyn ServerCertVerifier> = Arc::clone(&verifier) as _;
    let mut config = builder.dangerous().with_custom_certificate_verifier(shared).with_no_client_auth();
    // A resumed session shows no certificate, and what it has shown once is not kept with it.
    config.resumption = Resumption::disabled();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let connection = stream.get_ref().1;
    let facts = TlsFacts {
        version: match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        },
        cipher: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str().map(ToOwned::to_owned))
            .unwrap_or_default(),
        server_name: Some(host.to_owned()),
    };
    let verified = *verifier.judge().verified.lock();
    Ok((Box::new(stream), facts, verified))
}

/// The name by which a host is asked for its certificate. RFC 7672 §8.1: the one that has the records, which may be another than
/// that by which the host was found.
pub(super) fn called<'a>(host: &'a str, policy: &'a TlsPolicy) -> &'a str {
    match policy {
        TlsPolicy::Dane { names, .. } => names.first().map_or(host, String::as_str),
        TlsPolicy::May | TlsPolicy::Encrypt | TlsPolicy::Verify { .. } => host,
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    if let Some(address) = host.parse::<crate::foundations::address::Domain>().ok().and_then(|name| name.literal()) {
        return Some(ServerName::from(address));
    }
    ServerName::try_from(host.to_owned()).ok()
}

/// Looks at every certificate and remembers whether it proves the host's name; insists on it only when told to.
#[derive(Debug)]
struct Verifier {
    webpki: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    demand: Demand,
    verified: Mutex<Verified>,
}

#[derive(Debug)]
enum Demand {
    Nothing,
    OneOf(Vec<ServerName<'static>>),
    Vouched(Vec<Tlsa>, Vec<ServerName<'static>>),
}

impl CertificateJudge for Verifier {
    fn judge(&self, shown: Shown<'_>) -> Result<(), rustls::Error> {
        let Shown { end_entity, intermediates, server_name, ocsp_response, now } = shown;
        let check = |name: &ServerName<'_>| match &self.webpki {
            Some(webpki) => webpki.verify_server_cert(end_entity, intermediates, name, ocsp_response, now).map(|_| ()),
            None => Err(rustls::Error::General("no certificate authority is trusted here".to_owned())),
        };
        let result = match &self.demand {
            Demand::Nothing => check(server_name),
            Demand::OneOf(names) => {
                let nobody = Err(rustls::Error::General("the policy names no host".to_owned()));
                names.iter().map(check).reduce(|first, next| first.or(next)).unwrap_or(nobody)
            }
            Demand::Vouched(records, names) => {
                dane::proves(records, (end_entity, intermediates), names, now, &self.provider)
            }
        };
        match (result, &self.demand) {
            (Ok(()), _) => *self.verified.lock() = Verified::Yes,
            (Err(error), Demand::OneOf(_) | Demand::Vouched(..)) => return Err(error),
            // RFC 7435: encryption without authentication is better than none.
            (Err(_), Demand::Nothing) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::{Clock as _, SystemClock};
    use crate::services::certificates::SelfSigned;

    #[test]
    fn authorities_vouch_for_what_they_have_issued() {
        let now = SystemClock.now();
        let [ours, other] = ["a.test", "b.test"].map(|name| SelfSigned::make(&[name], now).unwrap());
        let read = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let mut store = RootCertStore::empty();
        store.add(read(&ours.authority).remove(0)).unwrap();
        let roots = Roots::of(store);
        for (pem, host, at, wanted) in [
            (&ours.certificate, "a.test", now, true),
            (&ours.certificate, "b.test", now, false),
            (&ours.certificate, "a.test", now + Duration::from_secs(900 * 86_400), false),
            (&other.certificate, "b.test", now, false),
        ] {
            assert_eq!(roots.vouch_for(&read(pem), host, at), wanted, "{host} {at}");
        }
        assert!(!roots.vouch_for(&[], "a.test", now));
    }
}
