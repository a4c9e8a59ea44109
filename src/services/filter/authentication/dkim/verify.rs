//! Checking signatures and seals.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use mail_auth::common::cache::NoCache;
use mail_auth::common::crypto::{Algorithm as Crypto, HashAlgorithm};
use mail_auth::common::headers::Writable as _;
use mail_auth::dkim::{Canonicalization, DkimError};
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, Error, MX, MessageAuthenticator, Parameters, RecordSet};

use super::canonical::{ends_in_white_space, relaxed_body};
use super::lookup::{Keys, in_ascii};
use crate::foundations::dns::Resolver;
use crate::foundations::mail::HeaderSection;

/// The results of RFC 8601 §2.7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimResult {
    /// The signature verifies.
    Pass,
    /// It does not verify.
    Fail,
    /// It means nothing here: malformed, expired, or for a part of the body only.
    Neutral,
    /// The DNS did not answer.
    TempError,
    /// It can never verify: no key, revoked key, malformed, forbidden algorithm.
    PermError,
}

impl DkimResult {
    /// The word for it in Authentication-Results.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whether it verifies.
    pub result: DkimResult,
    /// The signing domain in lower case; empty when the field is malformed.
    pub domain: String,
    /// Its selector.
    pub selector: String,
    /// `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: &'static str,
    /// The beginning of the signature in base64, to tell several of one domain apart (RFC 6008).
    pub head: String,
    /// Why it does not verify.
    pub reason: Option<String>,
    /// Whether the signer is only testing (`t=y` of the key): the message counts as unsigned, even if the signature fails.
    pub is_test: bool,
}

/// The chain of ARC seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// There is none.
    None,
    /// It is intact.
    Pass {
        /// The domains of the sealers, the first one first.
        sealers: Vec<String>,
        /// What the newest sealer says about the author (the text of its ARC-Authentication-Results).
        results: String,
    },
    /// It is broken, with the reason.
    Fail(String),
}

/// All signatures and seals of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// DKIM signatures in the order of the header, at most [`MAX_SIGNATURES`].
    pub dkim: Vec<Signature>,
    /// How many more there were that were not checked.
    pub ignored: usize,
    /// ARC.
    pub arc: Chain,
}

/// Most DKIM signatures that are checked; each costs a look-up and a verification.
pub const MAX_SIGNATURES: usize = 10;
/// Longest ARC chain that is followed; RFC 8617 allows 50.
const MAX_SEALS: usize = 50;
/// Most comparisons of field names that one signature may cost.
const MAX_COMPARISONS: usize = 10_000_000;
/// Most tags of a signature or seal; RFC 8617 §4.1.3 knows seven.
const MAX_TAGS: usize = 100;

/// Checks all signatures of a message. Keys come from the resolver, all at the same time; one that is missing after
/// `patience` is a temporary error of the signatures that need it, and of no others.
pub async fn verify(resolver: &dyn Resolver, bytes: &[u8], patience: Duration) -> Signatures {
    let none = Signatures { dkim: Vec::new(), ignored: 0, arc: Chain::None };
    if !bytes.contains(&b'\n') || !has_signature(bytes) {
        return none;
    }
    let Some((mut message, ignored)) = parsed(bytes) else { return none };
    let flaw = if message.as_headers.len() > MAX_SEALS { too_long(&mut message) } else { flaw(&mut message) };
    let bodies = measure(&mut message);
    let keys = Keys::fetch(resolver, &message, patience).await;
    // The authenticator's own resolver is never asked: every name it needs is in `keys`, also those without a key.
    let Ok(authenticator) = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()) else {
        return none;
    };
    let dkim = authenticator.verify_dkim(parameters(&message, &keys)).await;
    let arc = match flaw {
        Some(flaw) => Chain::Fail(flaw.to_owned()),
        None => chain(&authenticator.verify_arc(parameters(&message, &keys)).await),
    };
    let dkim = dkim.iter().map(|output| signature(output, &message, &keys, &bodies)).collect();
    Signatures { dkim, ignored, arc }
}

/// The message without body hashes, which mail-auth would compute for every signature; and how many signatures are not
/// checked.
pub(super) fn parsed(bytes: &[u8]) -> Option<(AuthenticatedMessage<'_>, usize)> {
    let header = &bytes[..HeaderSection::of(bytes).body_start()];
    // Signatures of a part of the body are checked like the rest, so that the result says whose they are.
    let mut message = AuthenticatedMessage::parse_with_opts(header, None, false)?;
    message.raw_message = bytes;
    let all = message.dkim_headers.len();
    let fields = message.headers.len();
    message.dkim_headers.truncate(MAX_SIGNATURES);
    message.dkim_headers.retain(|field| is_bearable(&field.header.h, fields));
    message.errors.truncate(MAX_SIGNATURES);
    message.ams_headers.truncate(MAX_SEALS + 1);
    let ignored = all - message.dkim_headers.len();
    Some((message, ignored))
}

/// Whether a signature covers few enough fields: mail-auth compares each name with all others and with all fields.
fn is_bearable(names: &[String], fields: usize) -> bool {
    names.len().saturating_mul(names.len() + fields) <= MAX_COMPARISONS
}

/// Sets aside a chain that is too long (RFC 8617 §4.2.1): nothing of it is looked up or checked.
fn too_long(message: &mut AuthenticatedMessage<'_>) -> Option<&'static str> {
    message.as_headers.clear();
    message.ams_headers.clear();
    message.aar_headers.clear();
    Some("too many seals")
}

/// What RFC 8617 requires of a chain beyond what mail-auth checks; also corrects the default canonical form.
fn flaw(message: &mut AuthenticatedMessage<'_>) -> Option<&'static str> {
    if message.ams_headers.is_empty() {
        let rest = message.as_headers.is_empty() && message.aar_headers.is_empty();
        return (!rest && !message.has_arc_errors).then_some("a set without its signature");
    }
    if !message.as_headers.iter().all(|h| is_tag_list(h.value)) {
        return Some("a seal that is not a list of tags");
    }
    // §4.1.3: the algorithm is named, and it is not SHA-1 (RFC 8301).
    let named = |value: &[u8]| {
        tag(value, b"a")
            .is_some_and(|a| a.eq_ignore_ascii_case("rsa-sha256") || a.eq_ignore_ascii_case("ed25519-sha256"))
    };
    if !message.as_headers.iter().all(|h| named(h.value)) || !message.ams_headers.iter().all(|h| named(h.value)) {
        return Some("a seal without a usable algorithm");
    }
    if message.ams_headers.iter().any(|h| h.header.l > 0) {
        return Some("a signature of a part of the body");
    }
    let newest = message.ams_headers.last();
    if newest.is_some_and(|h| !is_bearable(&h.header.h, message.headers.len())) {
        return Some("a signature of too many fields");
    }
    // §4.1.2: seals are not signed by signatures.
    if message.ams_headers.iter().any(|h| h.header.h.iter().any(|f| f.eq_ignore_ascii_case("arc-seal"))) {
        return Some("a signature that covers a seal");
    }
    // Without `c=` sealers have used the relaxed forms, as the published test suite has it.
    for header in &mut message.ams_headers {
        if tag(header.value, b"c").is_none() {
            (header.header.ch, header.header.cb) = (Canonicalization::Relaxed, Canonicalization::Relaxed);
        }
    }
    None
}

/// Hashes the body as the checked signatures need it; of seals, only the newest is compared with it. Returns the lengths of
/// the canonical body, for the forms in which a part of it is signed (`l=`). We hash such parts ourselves: RFC 6376 §3.5 counts octets
/// of the canonical body, mail-auth those of the body as it came. So are those of relaxed bodies with blank lines at their end.
pub(super) fn measure(message: &mut AuthenticatedMessage<'_>) -> Vec<(Canonicalization, u64)> {
    let whole = message.raw_message.get(message.body_offset as usize..).unwrap_or_default();
    let of_seal = message.ams_headers.last().map(|h| (h.header.cb, HashAlgorithm::from(h.header.a), h.header.l));
    let of_dkim = message.dkim_headers.iter().map(|h| (h.header.cb, HashAlgorithm::from(h.header.a), h.header.l));
    let mut wanted: Vec<(Canonicalization, HashAlgorithm, u64)> = Vec::new();
    for hash in of_dkim.chain(of_seal) {
        if !wanted.contains(&hash) {
            wanted.push(hash);
        }
    }
    let (mut hashes, mut lengths) = (Vec::new(), Vec::new());
    for form in [Canonicalization::Relaxed, Canonicalization::Simple] {
        let is_blank_at_end = form == Canonicalization::Relaxed && ends_in_white_space(whole);
        let body = if is_blank_at_end { relaxed_body(whole) } else { whole };
        let mut canonical: Vec<u8> = Vec::new();
        if wanted.iter().any(|(of, _, length)| *of == form && *length > 0) {
            canonical.reserve_exact(body.len());
            form.canonical_body(body, 0).write(&mut canonical);
            lengths.push((form, canonical.len() as u64));
        }
        for (_, algorithm, length) in wanted.iter().filter(|(of, ..)| *of == form) {
            let signed = usize::try_from(*length).unwrap_or(usize::MAX).min(canonical.len());
            let hash = match *length {
                0 => algorithm.hash(form.canonical_body(body, 0)),
                _ => algorithm.hash(&canonical[..signed]),
            };
            hashes.push((form, *algorithm, *length, hash.as_ref().to_vec()));
        }
    }
    message.body_hashes = hashes;
    lengths
}

/// Whether a seal is a list of tags (RFC 6376 §3.2): each has a name, no name comes twice, and those that every seal has
/// (RFC 8617 §4.1.3) are written in lower case.
fn is_tag_list(list: &[u8]) -> bool {
    let list = list.trim_ascii_end();
    let mut names: Vec<&[u8]> = Vec::new();
    for pair in list.strip_suffix(b";").unwrap_or(list).split(|b| *b == b';') {
        let Some(at) = memchr::memchr(b'=', pair) else { return false };
        let name = pair[..at].trim_ascii();
        let is_name = name.first().is_some_and(u8::is_ascii_alphabetic)
            && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if !is_name || names.len() >= MAX_TAGS || names.contains(&name) {
            return false;
        }
        names.push(name);
    }
    let wanted: [&[u8]; 6] = [b"a", b"b", b"cv", b"d", b"i", b"s"];
    wanted.iter().all(|name| names.contains(name))
}

/// The value of a tag in a list of `name=value;`, white space removed (RFC 6376 §3.2).
pub fn tag(list: &[u8], name: &[u8]) -> Option<String> {
    list.split(|b| *b == b';').find_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        let value = || {
            let octets: Vec<u8> = pair[at + 1..].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            String::from_utf8_lossy(&octets).into_owned()
        };
        pair[..at].trim_ascii().eq_ignore_ascii_case(name).then(value)
    })
}

fn has_signature(bytes: &[u8]) -> bool {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |n| n + 2);
    bytes[..end].split(|b| *b == b'\n').any(|line| {
        let starts = |name: &[u8]| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name);
        starts(b"dkim-signature") || starts(b"arc-")
    })
}

type Cached<'k> = Parameters<
    'k,
    &'k AuthenticatedMessage<'k>,
    Keys,
    NoCache<Box<str>, RecordSet<MX>>,
    NoCache<Box<str>, RecordSet<Ipv4Addr>>,
    NoCache<Box<str>, RecordSet<Ipv6Addr>>,
    NoCache<IpAddr, RecordSet<Box<str>>>,
>;

fn parameters<'k>(message: &'k AuthenticatedMessage<'k>, keys: &'k Keys) -> Cached<'k> {
    Parameters::new(message).with_txt_cache(keys)
}

fn signature(
    output: &mail_auth::DkimOutput<'_>,
    message: &AuthenticatedMessage<'_>,
    keys: &Keys,
    bodies: &[(Canonicalization, u64)],
) -> Signature {
    use mail_auth::DkimResult as Theirs;
    let (mut result, mut reason) = match output.result() {
        Theirs::Pass => (DkimResult::Pass, None),
        // RFC 8601 §2.7.1: a signature that was checked and does not verify has failed, even if only because of the body.
        Theirs::Neutral(error @ Error::Dkim(DkimError::FailedBodyHashMatch)) => {
            (DkimResult::Fail, Some(error.to_string()))
        }
        Theirs::Neutral(error) => (DkimResult::Neutral, Some(error.to_string())),
        Theirs::Fail(error) => (DkimResult::Fail, Some(error.to_string())),
        Theirs::TempError(error) => (DkimResult::TempError, Some(error.to_string())),
        Theirs::PermError(error) => (DkimResult::PermError, Some(error.to_string())),
        Theirs::None => (DkimResult::Neutral, None),
    };
    let Some(signature) = output.signature() else {
        return Signature {
            result,
            domain: String::new(),
            selector: String::new(),
            algorithm: "",
            head: String::new(),
            reason,
            is_test: false,
        };
    };
    let key = keys.of(signature);
    if let (DkimResult::PermError, Some(flaw)) = (result, key.and_then(|key| key.flaw)) {
        reason = Some(flaw.to_owned());
    }
    let algorithm = match signature.a {
        Crypto::RsaSha1 => "rsa-sha1",
        Crypto::RsaSha256 => "rsa-sha256",
        Crypto::Ed25519Sha256 => "ed25519-sha256",
    };
    if result == DkimResult::Pass
        && let Some((worse, why)) = malformation(signature, message).or_else(|| objection(signature, bodies))
    {
        (result, reason) = (worse, Some(why.to_owned()));
    }
    // RFC 6376 §3.6.1: to be treated like an unsigned message, even if the signature fails.
    let is_test = key.is_some_and(|key| key.is_test);
    if is_test && result != DkimResult::TempError {
        (result, reason) = (DkimResult::Neutral, Some("the signer only tests".to_owned()));
    }
    use base64::Engine as _;
    let head = base64::engine::general_purpose::STANDARD.encode(&signature.b[..signature.b.len().min(6)]);
    Signature {
        result,
        domain: in_ascii(&signature.d),
        selector: signature.s.clone(),
        algorithm,
        head,
        reason,
        is_test,
    }
}

/// What RFC 6376 §6.1.1 requires of a signature beyond what mail-auth checks.
fn malformation(
    signature: &mail_auth::dkim::Signature,
    message: &AuthenticatedMessage<'_>,
) -> Option<(DkimResult, &'static str)> {
    let field = message.dkim_headers.iter().find(|field| std::ptr::eq(&field.header, signature))?;
    let flaw = |why| Some((DkimResult::PermError, why));
    let Some(names) = once_each(field.value) else { return flaw("a tag is repeated, or there are too many") };
    let needed: [&[u8]; 7] = [b"v", b"a", b"b", b"bh", b"d", b"h", b"s"];
    if !needed.iter().all(|name| names.contains(name)) {
        return flaw("a tag is missing");
    }
    // §3.5
    if tag(field.value, b"q").is_some_and(|ways| !ways.split(':').any(|way| way.eq_ignore_ascii_case("dns/txt"))) {
        return flaw("its key is not in the DNS");
    }
    if tag(field.value, b"i").is_some_and(|user| !user.contains('@')) {
        return flaw("AUID does not match domain name");
    }
    // Nothing of the body is signed; mail-auth takes it for all of it.
    if tag(field.value, b"l").is_some_and(|length| length.bytes().all(|digit| digit == b'0')) {
        return Some((DkimResult::Neutral, "only a part of the body is signed"));
    }
    None
}

/// The names of the tags in a list; `None` when one comes twice (RFC 6376 §3.2), or there are too many.
pub(super) fn once_each(list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names: Vec<&[u8]> = Vec::new();
    for pair in list.split(|b| *b == b';') {
        let Some(at) = memchr::memchr(b'=', pair) else { continue };
        let name = pair[..at].trim_ascii();
        if names.len() >= MAX_TAGS || names.contains(&name) {
            return None;
        }
        names.push(name);
    }
    Some(names)
}

/// Why a valid signature proves less than it should.
fn objection(
    signature: &mail_auth::dkim::Signature,
    bodies: &[(Canonicalization, u64)],
) -> Option<(DkimResult, &'static str)> {
    // RFC 8301 §3.1
    if signature.a == Crypto::RsaSha1 {
        return Some((DkimResult::PermError, "rsa-sha1 proves nothing any more"));
    }
    // RFC 6376 §5.4
    if !signature.h.iter().any(|h| h.eq_ignore_ascii_case("from")) {
        return Some((DkimResult::PermError, "the From field is not signed"));
    }
    // RFC 6376 §8.2: anybody could have written what follows.
    let is_cut = |(form, length): &(Canonicalization, u64)| *form == signature.cb && signature.l < *length;
    if signature.l > 0 && bodies.iter().any(is_cut) {
        return Some((DkimResult::Neutral, "only a part of the body is signed"));
    }
    None
}

fn chain(output: &mail_auth::ArcOutput<'_>) -> Chain {
    use mail_auth::DkimResult as Theirs;
    match output.result() {
        Theirs::None => Chain::None,
        Theirs::Pass => Chain::Pass {
            sealers: output.sets().iter().map(|s| s.seal.header.d.to_ascii_lowercase()).collect(),
            results: output
                .sets()
                .last()
                .map_or_else(String::new, |s| String::from_utf8_lossy(s.results.value).into_owned()),
        },
        Theirs::Neutral(error) | Theirs::Fail(error) | Theirs::PermError(error) | Theirs::TempError(error) => {
            Chain::Fail(error.to_string())
        }
    }
}
