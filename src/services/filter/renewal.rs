//! Renewing our own signatures and seals when a message must be changed in transit.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::FilterSettings;
use super::authentication::dkim::{DkimResult, Findings, Sealer, Signer, tag, verify};
use super::signing::{Keys, Signing};
use crate::foundations::clock::Timestamp;
use crate::foundations::dns::ZoneResolver;
use crate::foundations::mail::{Field, HeaderSection, Message};

/// What is known about the signatures of a message.
pub struct Signatures {
    keys: Arc<Keys>,
    /// Our keys whose signatures verify.
    ours: Vec<usize>,
    /// Our key that made the newest seal, and what the seal says. The chain depends only on it: the signatures of earlier
    /// sets need not verify any more (RFC 8617 §5.2).
    seal: Option<(usize, Findings)>,
    fields: Vec<Range<usize>>,
    foreign: Vec<String>,
    at: Timestamp,
}

impl Signatures {
    /// Checks the signatures of a message. Anybody can name our keys in a signature: only those that verify are ours.
    pub(super) async fn of(signing: &Signing, settings: &Arc<FilterSettings>, message: &[u8], at: Timestamp) -> Self {
        let keys = signing.keys(settings);
        let header = HeaderSection::of(message);
        let fields: Vec<Field<'_>> = header.all("DKIM-Signature").collect();
        let named: Vec<Option<usize>> =
            fields.iter().map(|field| keys.signers.iter().position(|signer| names(field, signer))).collect();
        let zone = ZoneResolver::new();
        for key in named.iter().flatten() {
            // A key without a possible record makes no valid signature.
            let _ = zone.add(&keys.signers[*key].published());
        }
        let found = match named.iter().any(Option::is_some) {
            // The zone is a table: nobody waits.
            true => verify(&zone, message, Duration::from_secs(60)).await.dkim,
            false => Vec::new(),
        };
        let fits = |key: &usize| {
            let signer = &keys.signers[*key];
            let is_its = |domain: &str, selector: &str| {
                domain.eq_ignore_ascii_case(signer.domain().as_str())
                    && selector.eq_ignore_ascii_case(signer.selector())
            };
            found.iter().any(|one| one.result == DkimResult::Pass && is_its(&one.domain, &one.selector))
        };
        let ours: Vec<usize> = (0..keys.signers.len()).filter(fits).collect();
        let is_ours = |key: &Option<usize>| key.is_some_and(|key| ours.contains(&key));
        let (mut ranges, mut foreign) = (Vec::new(), Vec::new());
        for (field, key) in fields.iter().zip(&named) {
            if is_ours(key) {
                ranges.push(field.range.clone());
            } else {
                foreign.extend(tag(field.body, b"d"));
            }
        }
        let newest = |(key, sealer): (usize, &Sealer)| sealer.newest(message).map(|(says, set)| ((key, says), set));
        let seal = match keys.sealers.iter().enumerate().find_map(newest) {
            Some((seal, set)) => {
                ranges.extend(set);
                ranges.sort_unstable_by_key(|range| range.start);
                Some(seal)
            }
            None => {
                foreign.extend(header.all("ARC-Seal").filter_map(|field| tag(field.body, b"d")));
                None
            }
        };
        foreign.sort_unstable();
        foreign.dedup();
        foreign.truncate(MOST_NAMED);
        Self { keys: Arc::clone(&keys), ours, seal, fields: ranges, foreign, at }
    }

    /// The positions of our own signatures and our seal in the header, which become invalid once the message is changed.
    pub fn fields(&self) -> &[Range<usize>] {
        &self.fields
    }

    /// The domains whose signatures and seals cannot be renewed here.
    pub fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// Whether any of them is ours.
    pub const fn has_ours(&self) -> bool {
        !self.ours.is_empty() || self.seal.is_some()
    }

    /// The fields that replace our own signatures and our seal, for the changed message.
    pub fn renewed(&self, message: &Message) -> String {
        let mut fields = String::new();
        for signer in self.ours.iter().map(|key| &self.keys.signers[*key]) {
            match signer.sign(message) {
                Ok(field) => fields.push_str(&field),
                Err(error) => log::error!(domain:% = signer.domain(); "filter: a message is sent unsigned: {error}"),
            }
        }
        let Some((key, says)) = &self.seal else { return fields };
        let sealer = &self.keys.sealers[*key];
        match sealer.seal(&message.with_prefix(fields.as_bytes()), says, self.at) {
            Ok(seal) => seal + &fields,
            Err(error) => {
                log::error!(domain:% = sealer.domain(); "filter: a message is passed on without its seal: {error}");
                fields
            }
        }
    }
}

/// Most domains that are reported.
const MOST_NAMED: usize = 10;

/// Whether a signature claims to be made by this key.
fn names(field: &Field<'_>, signer: &Signer) -> bool {
    let is = |name: &[u8], wanted: &str| tag(field.body, name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
    is(b"d", signer.domain().as_str()) && is(b"s", signer.selector())
}

#[cfg(test)]
mod tests {
    use super::super::authentication::dkim::{Algorithm, Chain, generate};
    use super::super::settings::DkimKeySettings;
    use super::*;

    const AT: Timestamp = Timestamp::EPOCH;
    const MESSAGE: &str = "From: ann@example.test\r\nSubject: a\r\n\r\nbody\r\n";

    fn settings(directory: &std::path::Path) -> Arc<FilterSettings> {
        let mut settings = FilterSettings::default();
        for (algorithm, selector) in [(Algorithm::Rsa, "r"), (Algorithm::Ed25519, "e")] {
            let file = directory.join(selector);
            std::fs::write(&file, generate(algorithm).unwrap().private.expose()).unwrap();
            let key =
                DkimKeySettings { domain: Some("example.test".parse().unwrap()), selector: selector.to_owned(), file };
            settings.dkim.keys.push(key);
        }
        Arc::new(settings)
    }

    #[tokio::test]
    async fn only_signatures_that_fit_are_ours() {
        let directory = tempfile::tempdir().unwrap();
        let (signing, settings) = (Signing::default(), settings(directory.path()));
        let signed = Message::new(MESSAGE);
        let fields = signing.fields(&settings, &signed);
        let foreign = "DKIM-Signature: v=1; a=rsa-sha256; d=other.test; s=r; h=from; bh=eA==; b=eA==\r\n";
        let signed = signed.with_prefix(fields.as_bytes()).with_prefix(foreign.as_bytes()).bytes();
        let found = Signatures::of(&signing, &settings, &signed, AT).await;
        assert_eq!((found.ours.len(), found.foreign()), (2, &["other.test".to_owned()][..]));
        let (first, last) = (found.fields()[0].start, found.fields()[1].end);
        assert_eq!(&signed[first..last], fields.as_bytes());
        // What they sign now is signed again.
        let changed = Message::new(MESSAGE.replace("body", "other"));
        let renewed = changed.with_prefix(found.renewed(&changed).as_bytes()).bytes();
        let found = Signatures::of(&signing, &settings, &renewed, AT).await;
        assert_eq!((found.ours.len(), found.fields().len()), (2, 2));
        // A stranger can write the names of our keys, but no valid signature.
        let forged = Message::new(MESSAGE.replace("body", "forged")).with_prefix(fields.as_bytes()).bytes();
        let found = Signatures::of(&signing, &settings, &forged, AT).await;
        assert!(!found.has_ours() && found.fields().is_empty() && found.renewed(&changed).is_empty());
        assert_eq!(found.foreign(), ["example.test"]);
    }

    #[tokio::test]
    async fn the_newest_seal_is_made_anew_where_it_is_ours() {
        let directory = tempfile::tempdir().unwrap();
        let (signing, settings) = (Signing::default(), settings(directory.path()));
        let other = generate(Algorithm::Rsa).unwrap();
        let stranger = Sealer::new("other.test".parse().unwrap(), "s", &other.private).unwrap();
        let before = Message::new(MESSAGE);
        let says = |sets| Findings { results: "mx.test;\r\n\tdmarc=pass".to_owned(), sets };
        let before = before.with_prefix(stranger.seal(&before, &says(0), AT).unwrap().as_bytes());
        let found = Signatures::of(&signing, &settings, &before.bytes(), AT).await;
        assert_eq!((found.has_ours(), found.foreign()), (false, &["other.test".to_owned()][..]));
        let domain = "example.test".parse().unwrap();
        let set = signing.seal(&settings, &before, &says(1), &domain, Timestamp::from_unix_seconds(1_795_492_800));
        let sealed = before.with_prefix(set.as_bytes());
        let found = Signatures::of(&signing, &settings, &sealed.bytes(), AT).await;
        assert!(found.has_ours() && found.foreign().is_empty());
        assert_eq!(found.fields().iter().map(|range| range.len()).sum::<usize>(), set.len());
        // The chain of the changed message is intact again.
        let changed = Message::new(String::from_utf8(before.bytes().to_vec()).unwrap().replace("body", "other"));
        let renewed = changed.with_prefix(found.renewed(&changed).as_bytes()).bytes();
        let zone = ZoneResolver::new();
        zone.add(&format!("s._domainkey.other.test TXT {}", other.record)).unwrap();
        for signer in &signing.keys(&settings).signers {
            zone.add(&signer.published()).unwrap();
        }
        let chain = verify(&zone, &renewed, Duration::MAX).await.arc;
        assert!(matches!(&chain, Chain::Pass { sealers, .. } if sealers.len() == 2), "{chain:?}");
        // A message that somebody else has changed is not sealed again.
        let forged = String::from_utf8(sealed.bytes().to_vec()).unwrap().replace("body", "forged");
        let found = Signatures::of(&signing, &settings, forged.as_bytes(), AT).await;
        assert!(!found.has_ours() && found.fields().is_empty());
        assert_eq!(found.foreign(), ["example.test", "other.test"]);
        // Nor one with a set that comes before the first.
        let plain = Message::new(MESSAGE);
        let set = signing.seal(&settings, &plain, &says(0), &domain, AT).replace("i=1;", "i=0;");
        assert!(!Signatures::of(&signing, &settings, &plain.with_prefix(set.as_bytes()).bytes(), AT).await.has_ours());
    }
}
