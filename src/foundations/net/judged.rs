use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// The certificates that a server has shown in a handshake, and what is needed to judge them.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Its own.
    pub end_entity: &'a CertificateDer<'a>,
    /// Those that lead to an authority.
    pub intermediates: &'a [CertificateDer<'a>],
    /// The name it was called by.
    pub server_name: &'a ServerName<'a>,
    /// The authority's word on revocation (stapled OCSP); empty if there was none.
    pub ocsp_response: &'a [u8],
    /// The time of the handshake.
    pub now: UnixTime,
}

/// A client's decision about a server's certificate.
pub trait CertificateJudge: Debug + Send + Sync {
    /// Accepts or refuses the handshake.
    ///
    /// # Errors
    /// The certificate is refused.
    fn judge(&self, shown: Shown<'_>) -> Result<(), rustls::Error>;
}

/// A judge at work. Proof that the server holds the certificate's key is always demanded, whatever the judge says.
#[derive(Debug)]
pub struct Judged<J> {
    judge: J,
    provider: Arc<CryptoProvider>,
    /// The signatures that are asked for; all that the provider knows if it is `None`.
    schemes: Option<Vec<SignatureScheme>>,
}

impl<J: CertificateJudge> Judged<J> {
    /// With the cryptography to check signatures by.
    pub const fn new(judge: J, provider: Arc<CryptoProvider>) -> Self {
        Self { judge, provider, schemes: None }
    }

    /// Asks only for these signatures of those that the provider knows: a server that has several certificates shows one
    /// whose key can make them.
    #[must_use]
    pub fn asking_for(mut self, is_wanted: impl Fn(SignatureScheme) -> bool) -> Self {
        let known = self.supported_verify_schemes();
        self.schemes = Some(known.into_iter().filter(|scheme| is_wanted(*scheme)).collect());
        self
    }

    /// The judge, who may have kept something.
    pub const fn judge(&self) -> &J {
        &self.judge
    }
}

impl<J: CertificateJudge> ServerCertVerifier for Judged<J> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge.judge(Shown { end_entity, intermediates, server_name, ocsp_response, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = || self.provider.signature_verification_algorithms.supported_schemes();
        self.schemes.clone().unwrap_or_else(known)
    }
}
