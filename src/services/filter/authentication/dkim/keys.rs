//! Generating and reading keys.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::Error;
use crate::foundations::secret::Secret;

crate::words! {
    /// Kinds of keys for DKIM.
    pub enum Algorithm {
        /// RSA with 2048 bits (RFC 6376), which every verifier supports.
        Rsa = "rsa",
        /// Ed25519 (RFC 8463), short and fast; to be used beside an RSA key.
        Ed25519 = "ed25519",
    }
}

/// A new key pair.
#[derive(Debug)]
pub struct KeyPair {
    /// PKCS #8 in PEM, to be written into a file that only the server can read.
    pub private: Secret<String>,
    /// The text of the TXT record at `selector._domainkey.domain`.
    pub record: String,
}

/// Generates a key pair.
pub fn generate(algorithm: Algorithm) -> Result<KeyPair, Error> {
    let wrong = |_| Error::Generate;
    match algorithm {
        Algorithm::Rsa => {
            let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(wrong)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(wrong)?;
            let public = public_key_info(pair.public_key());
            Ok(KeyPair { private: pem(der.as_ref()), record: format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public)) })
        }
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate().map_err(wrong)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(wrong)?;
            let public = STANDARD.encode(pair.public_key().as_ref());
            Ok(KeyPair { private: pem(der.as_ref()), record: format!("v=DKIM1; k=ed25519; p={public}") })
        }
    }
}

/// The text of the TXT record that belongs to a private key in PEM (PKCS #8 or PKCS #1); `path` is for the error.
pub fn record_of(pem: &[u8], path: &Path) -> Result<String, Error> {
    let wrong = |reason: String| Error::Key { path: path.to_owned(), reason };
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| wrong(error.to_string()))?;
    let rsa = match &key {
        PrivateKeyDer::Pkcs8(der) => {
            if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()) {
                return Ok(format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(pair.public_key().as_ref())));
            }
            aws_lc_rs::rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der())
        }
        PrivateKeyDer::Pkcs1(der) => aws_lc_rs::rsa::KeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(wrong("neither RSA nor Ed25519".to_owned())),
    };
    let pair = rsa.map_err(|_| wrong("neither RSA nor Ed25519".to_owned()))?;
    Ok(format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public_key_info(pair.public_key()))))
}

fn pem(der: &[u8]) -> Secret<String> {
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    let encoded = STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    Secret::new(text)
}

/// RFC 6376 §3.6.1 wants the SubjectPublicKeyInfo (in practice) of RFC 5280: the key's algorithm around its numbers.
pub fn public_key_info(key: &aws_lc_rs::rsa::PublicKey) -> Vec<u8> {
    let components = PublicKeyComponents::<Vec<u8>>::from(key);
    let numbers = sequence(&[integer(&components.n), integer(&components.e)].concat());
    let mut bits = vec![0u8];
    bits.extend_from_slice(&numbers);
    let bits = tagged(0x03, &bits);
    // rsaEncryption, 1.2.840.113549.1.1.1, with NULL parameters.
    let algorithm = sequence(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00]);
    sequence(&[algorithm, bits].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}

fn integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|b| *b != 0).unwrap_or(number.len().saturating_sub(1));
    let mut content = Vec::with_capacity(number.len() + 1);
    if number.get(start).is_some_and(|b| *b >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(&number[start..]);
    tagged(0x02, &content)
}

/// One DER element.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let start = length.iter().position(|b| *b != 0).unwrap_or(length.len() - 1);
    if content.len() < 0x80 {
        out.push(length[length.len() - 1]);
    } else {
        out.push(0x80 | u8::try_from(length.len() - start).unwrap_or(8));
        out.extend_from_slice(&length[start..]);
    }
    out.extend_from_slice(content);
    out
}

/// Whether a text can be a selector (RFC 6376 §3.1): labels of letters and digits, with `-` between them, and `_`, which many
/// use.
pub fn is_selector(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 190 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_labels() {
        for text in ["mail", "2026.rsa", "s_1", "a-b"] {
            assert!(is_selector(text), "{text}");
        }
        for text in ["", "s 1\"", ".a", "a..b", "-a", "a;", &"x".repeat(64)] {
            assert!(!is_selector(text), "{text}");
        }
    }

    #[test]
    fn the_record_is_found_again() {
        for algorithm in Algorithm::ALL {
            let pair = generate(*algorithm).unwrap();
            let found = record_of(pair.private.expose().as_bytes(), Path::new("key.pem")).unwrap();
            assert_eq!(found, pair.record);
        }
        assert!(record_of(b"nothing", Path::new("key.pem")).is_err());
    }
}
