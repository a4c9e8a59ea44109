use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

/// What an authority will ask, and the answers. Cloning gives another handle to the same answers.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    /// By token (RFC 8555 §8.3).
    http: HashMap<String, String>,
    /// By host name in lower case (RFC 8737 §3).
    tls: HashMap<String, Arc<CertifiedKey>>,
}

/// An answer that is given until this is dropped.
#[derive(Debug)]
#[must_use = "the answer is forgotten when this is dropped"]
pub(super) struct Given {
    challenges: Challenges,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Token(String),
    Name(String),
}

impl Challenges {
    /// The body of the answer to `GET /.well-known/acme-challenge/TOKEN`, when an authority is expected to ask for it.
    pub fn key_authorization(&self, token: &str) -> Option<String> {
        self.0.lock().http.get(token).cloned()
    }

    /// The certificate for a handshake with the protocol `acme-tls/1`.
    pub(in super::super) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.lock().tls.get(name).cloned()
    }

    /// Starts answering over HTTP.
    pub(super) fn give_http(&self, token: &str, key_authorization: &str) -> Given {
        self.0.lock().http.insert(token.to_owned(), key_authorization.to_owned());
        Given { challenges: self.clone(), key: Key::Token(token.to_owned()) }
    }

    /// Starts answering in TLS handshakes, with a certificate for the name that holds the digest of the key
    /// authorization.
    ///
    /// # Errors
    /// The name is not one a certificate can hold.
    pub(super) fn give_tls(&self, name: &str, digest: &[u8]) -> Result<Given, rcgen::Error> {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()])?;
        params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(digest)];
        let key = rcgen::KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signer = any_supported_type(&der).map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
        let certified = CertifiedKey::new(vec![certificate.der().clone()], signer);
        self.0.lock().tls.insert(name.to_owned(), Arc::new(certified));
        Ok(Given { challenges: self.clone(), key: Key::Name(name.to_owned()) })
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let mut answers = self.challenges.0.lock();
        match &self.key {
            Key::Token(token) => drop(answers.http.remove(token)),
            Key::Name(name) => drop(answers.tls.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_only_while_asked_for() {
        let challenges = Challenges::default();
        let http = challenges.give_http("token", "token.thumbprint");
        let tls = challenges.give_tls("mail.example.test", &[7; 32]).unwrap();
        assert_eq!(challenges.key_authorization("token").as_deref(), Some("token.thumbprint"));
        assert_eq!(challenges.key_authorization("other"), None);
        assert!(challenges.certificate("mail.example.test").is_some());
        drop((http, tls));
        assert_eq!(challenges.key_authorization("token"), None);
        assert!(challenges.certificate("mail.example.test").is_none());
    }
}
