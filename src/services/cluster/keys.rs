//! TLS between nodes, from the one secret they share.
//!
//! The secret becomes a key pair, the same on every node, and each side of a connection makes the other prove that it
//! has the private key of this very pair. So there is no authority, nothing expires, and a certificate alone lets
//! nobody in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error as TlsError, ServerConfig,
    SignatureScheme,
};

use crate::foundations::files;
use crate::foundations::net::{CertificateJudge, Judged, Shown, TlsContext, TlsSetup};

/// Fewest octets of a secret.
const FEWEST: usize = 32;
/// Most octets of the file.
const MOST: u64 = 1 << 16;
/// The name nodes call each other in a handshake. It proves nothing; keys do.
pub(super) const NAME: &str = "node.postrider.internal";

/// The secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSecret {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// It is too short to be kept.
    #[error("the cluster's secret in `{0}` has fewer than 32 octets; `openssl rand -base64 48` makes one")]
    Short(String),
    /// No key can be made from it.
    #[error("no key can be made from the cluster's secret: {0}")]
    Key(String),
}

/// What both sides of a connection between nodes need.
#[derive(Clone)]
pub struct Keys {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// From the file with the secret. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or what it holds is no secret.
    pub fn read(path: &Path) -> Result<Self, BadSecret> {
        let content = files::read_bounded(path, MOST)?;
        let secret = content.trim_ascii();
        if secret.len() < FEWEST {
            return Err(BadSecret::Short(path.display().to_string()));
        }
        Self::from_secret(secret).map_err(BadSecret::Key)
    }

    fn from_secret(secret: &[u8]) -> Result<Self, String> {
        let key = key_pair(secret)?;
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).map_err(|error| error.to_string())?;
        params.distinguished_name.push(DnType::CommonName, "Postrider node");
        let certificate = params.self_signed(&key).map_err(|error| error.to_string())?.der().clone();
        let der = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(provider::default_provider());
        let same = SameKey {
            key: public_key(&certificate).map_err(|error| error.to_string())?,
            provider: Arc::clone(&provider),
        };
        let failed = |error: TlsError| error.to_string();
        let versions = [&rustls::version::TLS13];
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_protocol_versions(&versions).map_err(failed)?;
        let server = server.with_client_cert_verifier(Arc::new(same.clone()));
        let server = server.with_single_cert(vec![certificate.clone()], der()).map_err(failed)?;
        let judged = Arc::new(Judged::new(same, Arc::clone(&provider)));
        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_protocol_versions(&versions).map_err(failed)?;
        let client = client.dangerous().with_custom_certificate_verifier(judged);
        let client = client.with_client_auth_cert(vec![certificate], der()).map_err(failed)?;
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }

    /// For the listener.
    pub fn context(&self, handshake: Duration) -> TlsContext {
        TlsContext::new(TlsSetup { config: Arc::clone(&self.server), handshake })
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}

struct Seed;

impl KeyType for Seed {
    fn len(&self) -> usize {
        32
    }
}

/// The key pair that belongs to a secret.
fn key_pair(secret: &[u8]) -> Result<KeyPair, String> {
    let salt = Salt::new(HKDF_SHA256, b"postrider cluster");
    let mut seed = [0; 32];
    let (extracted, purpose) = (salt.extract(secret), [&b"link key, version 1"[..]]);
    let derived = extracted.expand(&purpose, Seed).map_err(|error| error.to_string())?;
    derived.fill(&mut seed).map_err(|error| error.to_string())?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| error.to_string())?;
    let document = pair.to_pkcs8().map_err(|error| error.to_string())?;
    let der = PrivatePkcs8KeyDer::from(document.as_ref().to_vec());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(|error| error.to_string())
}

fn public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, TlsError> {
    Ok(ParsedCertificate::try_from(certificate)?.subject_public_key_info().as_ref().to_vec())
}

/// Trusts whoever has our own key.
#[derive(Debug, Clone)]
struct SameKey {
    key: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl SameKey {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), TlsError> {
        if public_key(certificate)? == self.key {
            return Ok(());
        }
        Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

impl CertificateJudge for SameKey {
    fn judge(&self, shown: Shown<'_>) -> Result<(), TlsError> {
        self.check(shown.end_entity)
    }
}

impl ClientCertVerifier for SameKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("nodes speak TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    async fn meet(server: &Keys, client: &Keys) -> bool {
        let (one, other) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from(NAME).unwrap();
        let accept = TlsAcceptor::from(Arc::clone(&server.server)).accept(one);
        let connector = TlsConnector::from(client.client());
        let connect = connector.connect(name, other);
        let (accepted, connected) = tokio::join!(accept, connect);
        accepted.is_ok() && connected.is_ok()
    }

    #[tokio::test]
    async fn only_those_with_the_secret_meet() {
        let ours = || Keys::from_secret(b"0123456789012345678901234567890123456789").unwrap();
        let others = Keys::from_secret(b"9876543210987654321098765432109876543210").unwrap();
        assert!(meet(&ours(), &ours()).await);
        assert!(!meet(&ours(), &others).await);
        assert!(!meet(&others, &ours()).await);
    }

    #[test]
    fn a_short_secret_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "hunter2\n").unwrap();
        assert!(matches!(Keys::read(&path), Err(BadSecret::Short(_))));
    }
}
