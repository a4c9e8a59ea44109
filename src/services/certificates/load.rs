use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::acme::Challenges;
use super::{CertificateFiles, Error, SelfSigned};
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::secret::Secret;

/// One certificate with its key, ready to be served, and what it says about itself.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What rustls signs with.
    pub(super) key: Arc<CertifiedKey>,
    /// Chain and key in PEM, to be saved when the files already have other ones.
    pub(super) pem: Arc<Secret<String>>,
    /// The host names it is for, in lower case; `*.` in front stands for one label.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// The file with its chain.
    pub file: PathBuf,
    /// Whether it is only a stand-in until the real one has been obtained.
    pub temporary: bool,
}

impl Loaded {
    /// The certificate itself in DER, without its intermediates.
    pub fn leaf(&self) -> &[u8] {
        self.key.cert.first().map(AsRef::as_ref).unwrap_or_default()
    }

    /// The certificate and its intermediates in DER.
    pub(super) fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(AsRef::as_ref)
    }

    /// SHA-256 of the certificate, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.leaf())
    }

    /// SHA-256 of its public key, in hexadecimal: the data of a TLSA record `3 1 1` (RFC 6698 §2.1).
    pub fn public_key(&self) -> String {
        key_digest(self.leaf()).unwrap_or_default()
    }

    /// Whether it is for this host name (RFC 6125 §6.4.3: a wildcard stands for exactly one label).
    pub fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let above = host.split_once('.').map(|(_, above)| above);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(base) => above == Some(base),
            None => *name == host,
        })
    }
}

/// Reads one certificate and its key, and checks that they belong together. Blocks.
///
/// # Errors
/// A file cannot be read or holds something else, or the key is another certificate's.
pub fn load(pair: &CertificateFiles) -> Result<Loaded, Error> {
    let chain = files::read_bounded(&pair.cert, LARGEST_FILE)?;
    let key = files::read_bounded(&pair.key, LARGEST_FILE)?;
    assemble(pair, &chain, &key)
}

/// Makes a stand-in for a certificate that has not been obtained yet: for the same names, but trusted by nobody.
///
/// # Errors
/// A name is not one a certificate can hold.
pub(super) fn stand_in(file: &Path, names: &[&str], now: Timestamp) -> Result<Loaded, Error> {
    let made = SelfSigned::make(names, now).map_err(|error| malformed(file, &error))?;
    let pair = CertificateFiles { cert: file.to_owned(), key: file.to_owned() };
    let loaded = assemble(&pair, made.certificate.as_bytes(), made.key.expose().as_bytes())?;
    Ok(Loaded { temporary: true, ..loaded })
}

fn assemble(pair: &CertificateFiles, cert_pem: &[u8], key_pem: &[u8]) -> Result<Loaded, Error> {
    let chain = parse_chain(&pair.cert, cert_pem)?;
    let signer = parse_key(&pair.key, key_pem)?;
    let mut pem = String::from_utf8_lossy(cert_pem).into_owned();
    if cert_pem != key_pem {
        pem = format!("{}\n{}", pem.trim_end(), String::from_utf8_lossy(key_pem));
    }
    let Description { names, not_before, not_after } = describe(&pair.cert, &chain)?;
    let key = CertifiedKey::new(chain, signer);
    match key.keys_match() {
        Ok(()) => {}
        // This key type cannot give its public half; a handshake will show whether it fits.
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(Error::Mismatch { cert: pair.cert.clone(), key: pair.key.clone() });
        }
        Err(error) => return Err(malformed(&pair.cert, &error)),
    }
    Ok(Loaded {
        key: Arc::new(key),
        pem: Arc::new(Secret::new(pem)),
        names,
        not_before,
        not_after,
        file: pair.cert.clone(),
        temporary: false,
    })
}

/// SHA-256 of the public key of a certificate file's first certificate, in hexadecimal: the data of a TLSA record `3 1 1`
/// (RFC 6698 §2.1). The private key is not needed. Blocks.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn public_key_digest(path: &Path) -> Result<String, Error> {
    let chain = read_chain(path)?;
    let first = chain.first().ok_or_else(|| Error::NoCertificate(path.to_owned()))?;
    key_digest(first).ok_or_else(|| malformed(path, &"it is not a certificate"))
}

/// The same for a certificate in DER; `None` for octets that are none.
pub fn key_digest(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(fingerprint(certificate.public_key().raw))
}

/// The host names that a certificate in DER is for, in lower case.
pub fn names_of(der: &[u8]) -> Vec<String> {
    let described = describe(Path::new(""), &[CertificateDer::from(der)]);
    described.map(|described| described.names).unwrap_or_default()
}

/// SHA-256 in hexadecimal.
fn fingerprint(octets: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    hexadecimal(digest.as_ref())
}

/// A certificate file's chain in DER, the host's own certificate first. The private key is not needed. Blocks.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    parse_chain(path, &files::read_bounded(path, LARGEST_FILE)?)
}

fn parse_chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| malformed(path, &error))?;
    if chain.is_empty() { Err(Error::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn parse_key(path: &Path, pem: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    use rustls::pki_types::pem::Error as Pem;
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Pem::NoItemsFound => Error::NoKey(path.to_owned()),
        error => malformed(path, &error),
    })?;
    any_supported_type(&der).map_err(|error| malformed(path, &error))
}

fn malformed(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Malformed { path: path.to_owned(), reason: reason.to_string() }
}

/// What a certificate says about itself.
struct Description {
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Describes the first certificate of a chain.
fn describe(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Description, Error> {
    let first = chain.first().ok_or_else(|| Error::NoCertificate(path.to_owned()))?;
    let (_, certificate) = X509Certificate::from_der(first).map_err(|error| malformed(path, &error))?;
    let alternative = certificate.subject_alternative_name().map_err(|error| malformed(path, &error))?;
    let names = alternative.into_iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let validity = certificate.validity();
    Ok(Description {
        names: names.collect(),
        not_before: Timestamp::from_unix_seconds(validity.not_before.timestamp()),
        not_after: Timestamp::from_unix_seconds(validity.not_after.timestamp()),
    })
}

/// The certificates by the names they are for. Several may share a name (an ECDSA and an RSA one).
#[derive(Debug, Default)]
pub(super) struct Table {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By the name after `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// In the order of the configuration.
    all: Vec<Arc<CertifiedKey>>,
}

impl Table {
    pub(super) fn new(certificates: &[Loaded]) -> Self {
        let mut table = Self::default();
        for loaded in certificates {
            table.all.push(Arc::clone(&loaded.key));
            for name in &loaded.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(base) => (&mut table.wildcard, base),
                    None => (&mut table.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(Arc::clone(&loaded.key));
            }
        }
        table
    }

    /// The best match for a name: the name itself, then a wildcard, then the first certificate of the configuration.
    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.all };
        let above = || name.split_once('.').and_then(|(_, above)| self.wildcard.get(above));
        self.exact.get(name).or_else(above).unwrap_or(&self.all)
    }

    /// The fingerprints of the certificates that may be served to clients that ask for a name; a name may have several.
    pub(super) fn meant(&self, name: &str) -> Vec<String> {
        let leaves = self.candidates(Some(name)).iter().filter_map(|key| key.cert.first());
        leaves.map(|leaf| fingerprint(leaf)).collect()
    }

    pub(super) fn choose(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives the server name in lower case.
        let candidates = self.candidates(hello.server_name());
        let usable = candidates.iter().find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        usable.or_else(|| candidates.first()).cloned()
    }
}

/// The table now in force, as rustls uses it, and what authorities are shown.
#[derive(Debug, Default)]
pub(super) struct BySni {
    pub(super) table: arc_swap::ArcSwap<Table>,
    pub(super) challenges: Challenges,
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An authority offers this protocol alone, and must see the challenge's certificate or none (RFC 8737 §3).
        if hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ACME_TLS)) {
            return self.challenges.certificate(hello.server_name()?);
        }
        self.table.load().choose(&hello)
    }
}

/// The protocol in which an authority asks for a challenge's certificate (RFC 8737 §6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// More than any chain has; a wrong path to something huge must not fill up memory.
const LARGEST_FILE: u64 = 1 << 20;
