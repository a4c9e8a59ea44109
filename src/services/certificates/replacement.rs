//! Whether a new certificate may take the place of the one in force. Pure.

use std::time::Duration;

use super::tlsa::{Published, vouched};
use super::{DaneSettings, HoldBack, Loaded};
use crate::foundations::clock::Timestamp;

/// What to do with a new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is put in force.
    Take,
    /// It is put in force although senders that check the DNS will refuse it: the old one is about to expire.
    TakeUnpublished(Vec<String>),
    /// It waits until the DNS has its key under these names.
    Hold(Vec<String>),
    /// The DNS has its key; it waits until nobody has the earlier records cached.
    Settle,
}

/// How far in the future a certificate's validity may begin.
const CLOCKS_APART: Duration = Duration::from_mins(10);

/// A certificate that is waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Waited {
    /// When its key was first found in the DNS.
    pub(super) seen: Option<Timestamp>,
}

/// Why a certificate must not replace another one; `None` when it may. `lost` is the host's own name if none of the
/// new certificates covers it.
pub(super) fn unfit(old: &Loaded, new: &Loaded, lost: Option<&str>, now: Timestamp) -> Option<String> {
    if new.temporary {
        return Some("its file is gone, and nobody would trust the temporary one in its place".to_owned());
    }
    if new.not_after <= now && old.not_after > now {
        return Some(format!("it expired on {}", new.not_after));
    }
    // An authority's clock may differ from ours.
    if new.not_before > now + CLOCKS_APART && old.not_before <= now {
        return Some(format!("it is not valid before {}", new.not_before));
    }
    let lost = lost.filter(|lost| old.covers(lost) && !new.covers(lost))?;
    Some(format!("it is not for `{lost}`, as the old one is"))
}

/// Whether a new certificate waits for the DNS.
pub(super) fn decide(
    (old, new): (&Loaded, &Loaded),
    published: &[Published],
    settings: &DaneSettings,
    waited: Option<Waited>,
    now: Timestamp,
) -> Decision {
    if settings.hold_back == HoldBack::Never {
        return Decision::Take;
    }
    // If the DNS does not answer, it has not vouched for a waiting certificate.
    let is_missing = |at: &&Published| match &at.records {
        // If the DNS does not have the old key either, waiting helps nobody.
        Some(records) if !records.is_empty() => !vouched(records, new) && vouched(records, old),
        Some(_) => settings.hold_back == HoldBack::Always && old.covers(&at.host),
        None => (settings.hold_back == HoldBack::Always || waited.is_some()) && old.covers(&at.host),
    };
    let misses: Vec<String> = published.iter().filter(is_missing).map(|at| at.at.clone()).collect();
    if misses.is_empty() {
        let since = |waited: Waited| now.since(waited.seen.unwrap_or(now));
        let settled = waited.is_none_or(|waited| since(waited) >= settings.settle.duration());
        let ends = old.not_after <= now + settings.give_up_before.duration();
        return if settled || ends { Decision::Take } else { Decision::Settle };
    }
    if old.not_after <= now + settings.give_up_before.duration() {
        return Decision::TakeUnpublished(misses);
    }
    Decision::Hold(misses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::Tlsa;
    use crate::foundations::settings::Span;
    use crate::services::certificates::{SelfSigned, load};

    const DAY: Duration = Duration::from_hours(24);

    fn certificate(now: Timestamp) -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let pair = SelfSigned::keep_in(directory.path(), &["mail.example.test"], now).unwrap();
        Loaded { not_after: now + DAY * 30, ..load(&pair).unwrap() }
    }

    fn published(records: Option<Vec<Tlsa>>) -> Vec<Published> {
        vec![Published { at: "_25._tcp.mail.example.test".to_owned(), host: "mail.example.test".to_owned(), records }]
    }

    fn record(of: &Loaded) -> Tlsa {
        let key = of.public_key();
        let data = (0..key.len()).step_by(2).map(|n| u8::from_str_radix(&key[n..n + 2], 16).unwrap()).collect();
        Tlsa { usage: 3, selector: 1, matching: 1, data }
    }

    #[test]
    fn waits_for_the_key_in_the_dns() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let (old, new, other) = (certificate(now), certificate(now), certificate(now));
        let settings = DaneSettings::default();
        let held = || Decision::Hold(vec!["_25._tcp.mail.example.test".to_owned()]);
        let after = |records, waited| decide((&old, &new), &published(records), &settings, waited, now);
        let waited = |seen| Some(Waited { seen });
        assert_eq!(after(Some(vec![]), None), Decision::Take, "nobody publishes anything");
        assert_eq!(after(None, None), Decision::Take, "the DNS is silent, and never was asked to vouch");
        assert_eq!(after(Some(vec![record(&old)]), None), held());
        assert_eq!(after(Some(vec![record(&old), record(&new)]), None), Decision::Take, "published beforehand");
        assert_eq!(after(Some(vec![record(&other)]), None), Decision::Take, "the old one is refused too");
        assert_eq!(after(Some(vec![record(&old), record(&new)]), waited(None)), Decision::Settle, "others remember");
        assert_eq!(after(Some(vec![record(&new)]), waited(Some(now))), Decision::Settle);
        assert_eq!(after(Some(vec![record(&new)]), waited(Some(now - DAY))), Decision::Take);
        assert_eq!(after(None, waited(Some(now - DAY))), held(), "the DNS is silent while it waits");

        let ending = Loaded { not_after: now + Duration::from_hours(40), ..old.clone() };
        let decided = decide((&ending, &new), &published(Some(vec![record(&old)])), &settings, None, now);
        assert!(matches!(decided, Decision::TakeUnpublished(_)), "{decided:?}");
        let never = DaneSettings { hold_back: HoldBack::Never, ..DaneSettings::default() };
        assert_eq!(decide((&old, &new), &published(Some(vec![record(&old)])), &never, None, now), Decision::Take);
        let always = DaneSettings { hold_back: HoldBack::Always, settle: Span::seconds(0), ..DaneSettings::default() };
        for records in [None, Some(vec![])] {
            assert_eq!(decide((&old, &new), &published(records), &always, None, now), held());
        }
    }

    #[test]
    fn a_worse_one_is_not_taken() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let (old, new) = (certificate(now), certificate(now));
        assert_eq!(unfit(&old, &new, Some("mail.example.test"), now), None);
        let ended = Loaded { not_after: now - DAY, ..new.clone() };
        assert!(unfit(&old, &ended, Some("mail.example.test"), now).is_some());
        assert_eq!(unfit(&ended, &ended, Some("mail.example.test"), now), None, "no worse than the other");
        let early = Loaded { not_before: now + DAY, ..new.clone() };
        assert!(unfit(&old, &early, Some("mail.example.test"), now).is_some());
        let narrow = Loaded { names: vec!["www.example.test".to_owned()], ..new };
        assert!(unfit(&old, &narrow, Some("mail.example.test"), now).is_some());
        assert_eq!(unfit(&old, &narrow, Some("other.test"), now), None);
        assert_eq!(unfit(&old, &narrow, None, now), None, "another one is for it");
    }
}
