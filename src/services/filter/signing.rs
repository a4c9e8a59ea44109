//! Our own signatures on mail of our users.

use std::sync::Arc;

use parking_lot::Mutex;

use super::FilterSettings;
use super::authentication::dkim::{Findings, Sealer, Signer};
use super::settings::DkimKeySettings;
use super::view::View;
use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::mail::Message;
use crate::foundations::secret::Secret;

/// The keys in force, read again when the settings change.
#[derive(Debug, Default)]
pub struct Signing {
    loaded: Mutex<Option<Loaded>>,
    /// Keys that are exchanged on a schedule.
    rotated: Mutex<Arc<Vec<DkimKeySettings>>>,
}

#[derive(Debug)]
struct Loaded {
    from: Arc<FilterSettings>,
    rotated: Arc<Vec<DkimKeySettings>>,
    keys: Arc<Keys>,
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) signers: Vec<Signer>,
    /// Those of the keys that can seal, too.
    pub(super) sealers: Vec<Sealer>,
}

/// Largest key file.
const LARGEST_KEY: u64 = 64 * 1024;

impl Signing {
    /// The DKIM-Signature fields for a message of one of our users; empty when there is no key for its author's domain.
    /// A key that cannot be used is logged, and the message goes on without its signature.
    pub fn fields(&self, settings: &Arc<FilterSettings>, message: &Message) -> String {
        let keys = self.keys(settings);
        if keys.signers.is_empty() {
            return String::new();
        }
        let head = message.bytes();
        let view = View::new(&head, &settings.limits);
        let author = view.from_address().rsplit_once('@').map_or("", |(_, d)| d);
        let mut fields = String::new();
        let author = idna::domain_to_ascii(author).unwrap_or_default();
        for signer in of_domain(&keys.signers, Signer::domain, &author) {
            match signer.sign(message) {
                Ok(field) => fields.push_str(&field),
                Err(error) => log::error!(domain:% = signer.domain(); "filter: a message is sent unsigned: {error}"),
            }
        }
        fields
    }

    /// The fields of a seal with the first RSA key of a domain, or of the nearest one above it; empty without one.
    pub fn seal(
        &self,
        settings: &Arc<FilterSettings>,
        message: &Message,
        findings: &Findings,
        domain: &Domain,
        at: Timestamp,
    ) -> String {
        let keys = self.keys(settings);
        if keys.signers.is_empty() {
            return String::new();
        }
        let Some(sealer) = of_domain(&keys.sealers, Sealer::domain, domain.as_str()).first().copied() else {
            return String::new();
        };
        sealer.seal(message, findings, at).unwrap_or_else(|error| {
            log::error!(domain:% = domain; "filter: a message is passed on without a seal: {error}");
            String::new()
        })
    }

    /// Also signs with these keys, in place of those it was given so before.
    pub fn sign_with(&self, keys: Vec<DkimKeySettings>) {
        let mut rotated = self.rotated.lock();
        if **rotated != keys {
            *rotated = Arc::new(keys);
        }
    }

    pub(super) fn keys(&self, settings: &Arc<FilterSettings>) -> Arc<Keys> {
        let rotated = Arc::clone(&self.rotated.lock());
        let mut loaded = self.loaded.lock();
        if let Some(Loaded { from, rotated: known, keys }) = &*loaded
            && Arc::ptr_eq(from, settings)
            && Arc::ptr_eq(known, &rotated)
        {
            return Arc::clone(keys);
        }
        let keys = Arc::new(load(settings.dkim.keys.iter().chain(rotated.iter())));
        *loaded = Some(Loaded { from: Arc::clone(settings), rotated, keys: Arc::clone(&keys) });
        keys
    }
}

/// All keys of the domain, or of the nearest one above it that has some: relaxed alignment is enough for DMARC.
fn of_domain<'k, K>(keys: &'k [K], owner: impl Fn(&K) -> &Domain, domain: &str) -> Vec<&'k K> {
    let mut name = domain;
    loop {
        let found: Vec<&K> = keys.iter().filter(|key| owner(key).as_str() == name).collect();
        match name.split_once('.') {
            Some((_, above)) if found.is_empty() && above.contains('.') => name = above,
            _ => return found,
        }
    }
}

/// Why nothing can be signed with a key.
pub fn unusable_key(key: &DkimKeySettings) -> Option<String> {
    let domain = key.domain.as_ref()?;
    read(key).and_then(|text| signer(domain, key, &text)).err()
}

fn read(key: &DkimKeySettings) -> Result<Secret<String>, String> {
    let octets = files::read_bounded(&key.file, LARGEST_KEY).map_err(|error| error.to_string())?;
    String::from_utf8(octets).map(Secret::new).map_err(|error| error.to_string())
}

fn signer(domain: &Domain, key: &DkimKeySettings, text: &Secret<String>) -> Result<Signer, String> {
    Signer::new(domain.clone(), &key.selector, text, &key.file).map_err(|error| error.to_string())
}

fn load<'k>(all: impl Iterator<Item = &'k DkimKeySettings>) -> Keys {
    let mut keys = Keys::default();
    for key in all {
        let Some(domain) = &key.domain else {
            log::error!(selector:% = key.selector; "filter: a DKIM key has no domain and is left out");
            continue;
        };
        let text = read(key);
        if let Ok(text) = &text {
            keys.sealers.extend(Sealer::new(domain.clone(), &key.selector, text));
        }
        match text.and_then(|text| signer(domain, key, &text)) {
            Ok(signer) => keys.signers.push(signer),
            Err(error) => {
                log::error!(domain:% = domain, selector:% = key.selector; "filter: the DKIM key cannot be used, mail is sent without its signature: {error}");
            }
        }
    }
    keys
}
