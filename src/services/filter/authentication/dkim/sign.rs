//! Signing outgoing mail.

use std::path::PathBuf;

use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256, SigningKey};
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::{Canonicalization, DkimSigner, Done};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::canonical::relaxed_body;
use super::keys::record_of;
use crate::foundations::address::Domain;
use crate::foundations::mail::{HeaderSection, Message};
use crate::foundations::secret::Secret;

/// A key cannot be generated, read or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's generator failed.
    #[error("a key cannot be generated")]
    Generate,
    /// The file is not a private key.
    #[error("{path} holds no private key in PEM (PKCS #8 or PKCS #1): {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The message cannot be signed.
    #[error("the message cannot be signed: {0}")]
    Sign(String),
}

/// Signs for one domain with one key.
pub struct Signer {
    domain: Domain,
    selector: String,
    /// The text of the record with its public key.
    record: String,
    key: Key,
}

enum Key {
    Rsa(DkimSigner<RsaKey<Sha256>, Done>),
    Ed25519(DkimSigner<Ed25519Key, Done>),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}._domainkey.{})", self.selector, self.domain)
    }
}

/// Fields that are signed, each once more than it occurs, so that none can be added behind our back
/// (RFC 6376 §8.15).
const SIGNED: &[&str] = &[
    "From",
    "From",
    "To",
    "To",
    "Cc",
    "Cc",
    "Subject",
    "Subject",
    "Date",
    "Date",
    "Message-ID",
    "Message-ID",
    "Reply-To",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Sender",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

impl Signer {
    /// A signer with a key in PEM; the kind of key is found out. `path` is for the error's text.
    pub fn new(domain: Domain, selector: &str, pem: &Secret<String>, path: &std::path::Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Key { path: path.to_owned(), reason };
        let text = pem.expose().as_bytes();
        let record = record_of(text, path)?;
        let der = PrivateKeyDer::from_pem_slice(text).map_err(|e| wrong(e.to_string()))?;
        if let PrivateKeyDer::Pkcs8(_) = &der
            && let Ok(pkcs8) = PrivatePkcs8KeyDer::from_pem_slice(text)
            && let Ok(key) = Ed25519Key::from_pkcs8_maybe_unchecked_der(pkcs8.secret_pkcs8_der())
        {
            let key = Key::Ed25519(prepared(key, &domain, selector));
            return Ok(Self { domain, selector: selector.to_owned(), record, key });
        }
        let key = RsaKey::<Sha256>::from_key_der(der).map_err(|e| wrong(e.to_string()))?;
        let key = Key::Rsa(prepared(key, &domain, selector));
        Ok(Self { domain, selector: selector.to_owned(), record, key })
    }

    /// The domain it signs for.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Its selector.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// The line of a zone with its public key.
    pub fn published(&self) -> String {
        format!("{}._domainkey.{} TXT {}", self.selector, self.domain, self.record)
    }

    /// The complete DKIM-Signature field for a message, to be put in front of it.
    pub fn sign(&self, message: &Message) -> Result<String, Error> {
        let [prefix, original] = message.pieces();
        let (header, body) = original.split_at(HeaderSection::of(original).body_start().min(original.len()));
        // The body must be in one piece with a part of the header.
        let pieces = [prefix, &original[..header.len() + relaxed_body(body).len()]];
        let chunks = || pieces.into_iter().filter(|p| !p.is_empty());
        let signature = match &self.key {
            Key::Rsa(signer) => signer.sign_chained(chunks()),
            Key::Ed25519(signer) => signer.sign_chained(chunks()),
        };
        Ok(signature.map_err(|e| Error::Sign(e.to_string()))?.to_header())
    }
}

fn prepared<K: SigningKey>(key: K, domain: &Domain, selector: &str) -> DkimSigner<K, Done> {
    DkimSigner::from_key(key)
        .domain(domain.as_str())
        .selector(selector)
        .headers(SIGNED.iter().copied())
        .header_canonicalization(Canonicalization::Relaxed)
        .body_canonicalization(Canonicalization::Relaxed)
}
