//! Sealing forwarded mail (ARC, RFC 8617): our signed results for a message, so that the next server can
//! believe them although SPF, and perhaps a signature, no longer passes there.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::common::crypto::{HashAlgorithm, RsaKey, Sha256, SigningKey as _};
use mail_auth::dkim::Canonicalization;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::canonical::relaxed_body;
use super::{Error, tag};
use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{Field, HeaderSection, Message};
use crate::foundations::secret::Secret;

/// What a seal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// The value of our Authentication-Results field.
    pub results: String,
    /// How many sets the message has, all of them complete.
    pub sets: usize,
}

/// Seals for one domain with one RSA key.
pub struct Sealer {
    domain: Domain,
    selector: String,
    key: RsaKey<Sha256>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({}._domainkey.{})", self.selector, self.domain)
    }
}

/// Most sets of a message (RFC 8617 §4.2.1).
const MOST: usize = 50;
/// Fields that are signed if present.
const SIGNED: &[&str] = &[
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Sender",
    "List-Id",
    "DKIM-Signature",
];

impl Sealer {
    /// A sealer with a key in PEM; `None` when it is not an RSA key, the only kind every verifier supports.
    pub fn new(domain: Domain, selector: &str, pem: &Secret<String>) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).ok()?;
        let key = RsaKey::<Sha256>::from_key_der(der).ok()?;
        Some(Self { domain, selector: selector.to_owned(), key })
    }

    /// The domain it seals for.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The three fields of the next set, to be put in front of the message (RFC 8617 §5.1).
    pub fn seal(&self, message: &Message, findings: &Findings, at: Timestamp) -> Result<String, Error> {
        let bytes = message.bytes();
        let header = HeaderSection::of(&bytes);
        let body = bytes.get(header.body_start()..).unwrap_or_default();
        Ok(self.set(&header, body, findings, at)?.concat())
    }

    /// The newest set of a message, if it was made by this sealer and verifies: what it says, and where its fields are. An RSA
    /// signature is always the same for the same text (RFC 8017 §8.2), so this is the set that would be made again.
    pub fn newest(&self, message: &[u8]) -> Option<(Findings, [Range<usize>; 3])> {
        let header = HeaderSection::of(message);
        let instance = header.all(SEAL).filter_map(|field| number(&field)).max()?;
        let mut set = Vec::new();
        for name in [SEAL, SIGNATURE, RESULTS] {
            let mut fields = header.all(name).filter(|field| number(field) == Some(instance));
            set.push(fields.next().filter(|_| fields.next().is_none())?);
        }
        let [seal, signature, results] = &set[..] else { return None };
        for field in [seal, signature] {
            let is = |name, wanted| tag(field.body, name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
            if !(is(b"d", self.domain.as_str()) && is(b"s", &self.selector)) {
                return None;
            }
        }
        let at = Timestamp::from_unix_seconds(tag(seal.body, b"t")?.parse().ok()?);
        let (_, text) = std::str::from_utf8(results.body).ok()?.split_once(';')?;
        let findings = Findings { results: text.trim().to_owned(), sets: instance.checked_sub(1)? };
        let mut rest = message[..header.body_start()].to_vec();
        let mut ranges = [seal, signature, results].map(|field| field.range.clone());
        ranges.sort_unstable_by_key(|range| range.start);
        for range in ranges.iter().rev() {
            rest.drain(range.clone());
        }
        let made = self.set(&HeaderSection::of(&rest), &message[header.body_start()..], &findings, at).ok()?;
        let is_again = made.iter().zip(&set).all(|(made, field)| made.as_bytes() == field.raw);
        is_again.then_some((findings, ranges))
    }

    /// Seal, signature and results of a set, for a message that has all sets before it.
    fn set(
        &self,
        header: &HeaderSection<'_>,
        body: &[u8],
        findings: &Findings,
        at: Timestamp,
    ) -> Result<[String; 3], Error> {
        let instance = findings.sets + 1;
        if instance > MOST {
            return Err(Error::Sign("it has too many sets of seals".to_owned()));
        }
        let (domain, selector, time) = (&self.domain, &self.selector, at.unix_seconds());
        let results = format!(" i={instance}; {}", findings.results.trim());

        let hash = HashAlgorithm::Sha256.hash(Canonicalization::Relaxed.canonical_body(relaxed_body(body), u64::MAX));
        let (names, mut signed) = chosen(header);
        let mut signature = format!(
            " i={instance}; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}; t={time};\r\n\th={};\r\n\tbh={};\r\n\tb=",
            names.join(":\r\n\t "),
            BASE64.encode(hash.as_ref())
        );
        signed.extend(relaxed("arc-message-signature", signature.as_bytes()));
        signature.push_str(&self.sign(&signed)?);

        let cv = if findings.sets == 0 { "none" } else { "pass" };
        let mut seal = format!(" i={instance}; a=rsa-sha256; cv={cv}; d={domain}; s={selector}; t={time};\r\n\tb=");
        let mut chain = Vec::new();
        for before in 1..instance {
            for name in [RESULTS, SIGNATURE, SEAL] {
                let field = header.all(name).find(|field| number(field) == Some(before));
                let field = field.ok_or_else(|| Error::Sign(format!("set {before} of its seals is not whole")))?;
                chain.extend(relaxed(name, field.body));
                chain.extend(b"\r\n");
            }
        }
        for (name, value) in [(RESULTS, &results), (SIGNATURE, &signature)] {
            chain.extend(relaxed(name, value.as_bytes()));
            chain.extend(b"\r\n");
        }
        chain.extend(relaxed(SEAL, seal.as_bytes()));
        seal.push_str(&self.sign(&chain)?);
        Ok([(SEAL, seal), (SIGNATURE, signature), (RESULTS, results)]
            .map(|(name, value)| format!("{name}:{value}\r\n")))
    }

    /// The signature in base64, in lines.
    fn sign(&self, text: &[u8]) -> Result<String, Error> {
        let signature = BASE64.encode(self.key.sign(text).map_err(|error| Error::Sign(error.to_string()))?);
        let lines = signature.as_bytes().chunks(72).map(String::from_utf8_lossy);
        Ok(lines.collect::<Vec<_>>().join("\r\n\t "))
    }
}

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

/// The names of the fields that are signed, as often as each is there, and their canonical text; of several the last one
/// goes first (RFC 6376 §5.4.2).
fn chosen(header: &HeaderSection<'_>) -> (Vec<&'static str>, Vec<u8>) {
    let (mut names, mut text) = (Vec::new(), Vec::new());
    for name in SIGNED {
        let fields: Vec<Field<'_>> = header.all(name).collect();
        for field in fields.iter().rev() {
            names.push(*name);
            text.extend(relaxed(name, field.body));
            text.extend(b"\r\n");
        }
    }
    (names, text)
}

/// The instance of a field of a set.
fn number(field: &Field<'_>) -> Option<usize> {
    let text = field.text();
    let value = text.split(';').find_map(|tag| tag.trim().strip_prefix("i=").map(|value| value.trim().to_owned()));
    value?.parse().ok()
}

/// RFC 6376 §3.4.2, without the line end.
fn relaxed(name: &str, value: &[u8]) -> Vec<u8> {
    let mut text = name.to_ascii_lowercase().into_bytes();
    text.push(b':');
    let start = text.len();
    let mut space = false;
    for octet in value {
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' => space = true,
            octet => {
                if space && text.len() > start {
                    text.push(b' ');
                }
                space = false;
                text.push(*octet);
            }
        }
    }
    text
}
