use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::super::Loaded;
use super::{AcmeCertificate, Refused};
use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;

/// What the worker knows about a certificate besides its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// When the authority would like the certificate to be renewed (RFC 9773 §4.2).
    pub(super) window: Option<(Timestamp, Timestamp)>,
    /// When to ask the authority about that again.
    pub(super) ask_at: Timestamp,
    /// Failed attempts since the last success.
    pub(super) failures: u32,
    /// No attempt is made before this.
    pub(super) rest_until: Timestamp,
}

impl Default for Plan {
    fn default() -> Self {
        Self { window: None, ask_at: Timestamp::EPOCH, failures: 0, rest_until: Timestamp::EPOCH }
    }
}

impl Plan {
    /// Notes a failure: the pause before the next attempt doubles each time, from five minutes to half a day, so that a mistake
    /// that an administrator has to fix does not use up the authority's limits. It is longer if the authority wants that, but never
    /// than half a day: a certificate must not expire because of one answer.
    pub(super) fn failed(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        let rest = SHORTEST_REST.saturating_mul(1 << self.failures.min(20)).max(retry_after.unwrap_or_default());
        self.failures += 1;
        self.rest_until = now + rest.min(LONGEST_REST);
    }

    /// Corrects times that were set far in the future because the clock was ahead.
    pub(super) fn follow(&mut self, now: Timestamp) {
        self.rest_until = self.rest_until.min(now + LONGEST_REST);
        self.ask_at = self.ask_at.min(now + ASK_EVERY);
    }
}

/// When to obtain a certificate: now, if the present one is temporary or lacks a name.
pub(super) fn due(wanted: &AcmeCertificate, loaded: Option<&Loaded>, plan: &Plan, now: Timestamp) -> Timestamp {
    let Some(loaded) = loaded else { return now };
    if loaded.temporary || wanted.names.iter().any(|name| !loaded.covers(name.as_str())) {
        return now;
    }
    let latest = loaded.not_after - before_end(wanted, loaded);
    match plan.window {
        Some((start, end)) => place_in(start, end, loaded),
        None => latest,
    }
}

/// How long before its end a certificate is renewed.
fn before_end(wanted: &AcmeCertificate, loaded: &Loaded) -> Duration {
    let lifetime = loaded.not_after.since(loaded.not_before);
    wanted.renew_before.map_or(lifetime / 3, |span| span.duration().min(lifetime / 2))
}

/// Who has issued a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    /// The authority of the configuration, as far as is known.
    Wanted,
    Another,
}

/// The names to order a certificate for when some are refused: the others, unless the server's own name is refused. A name that
/// the `present` certificate is for is not given up before half of the time for its renewal is over, or the authority no longer
/// wants it to be used. Before its renewal, one for no more names is not ordered: authorities count what they issue. Only that of
/// another authority is replaced at once.
pub(super) fn rest(
    wanted: &AcmeCertificate,
    (refused, own): (&[Refused], &Domain),
    present: Option<(&Loaded, Issuer)>,
    plan: &Plan,
    now: Timestamp,
) -> Option<Vec<Domain>> {
    let is_left = |name: &&Domain| !refused.iter().any(|one| one.name == name.as_str());
    let rest: Vec<Domain> = wanted.names.iter().filter(is_left).cloned().collect();
    if rest.is_empty() || (wanted.names.contains(own) && !rest.contains(own)) {
        return None;
    }
    let Some((present, issuer)) = present else { return Some(rest) };
    let gains = issuer == Issuer::Another || rest.iter().any(|name| !present.covers(name.as_str()));
    let loses = wanted.names.iter().any(|name| present.covers(name.as_str()) && !rest.contains(name));
    let before = before_end(wanted, present);
    let (begins, is_over) = plan.window.map_or((false, false), |(start, end)| (start <= now, end <= now));
    let is_due = begins || present.not_after <= now + before;
    let ends = is_over || present.not_after <= now + before / 2;
    (ends || (!loses && (gains || is_due))).then_some(rest)
}

/// A point between the two, always the same for one certificate and different for different ones, so that not
/// everybody renews at once (RFC 9773 §4.2 asks for a random one).
fn place_in(start: Timestamp, end: Timestamp, loaded: &Loaded) -> Timestamp {
    let hash = digest(&SHA256, loaded.leaf());
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    start + end.since(start).mul_f64(f64::from(u32::from_be_bytes(first)) / (f64::from(u32::MAX) + 1.0))
}

const SHORTEST_REST: Duration = Duration::from_mins(5);
const LONGEST_REST: Duration = Duration::from_hours(12);
/// How often the authority is asked when it would like a certificate to be renewed.
pub(super) const ASK_EVERY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::settings::Span;
    use crate::services::certificates::SelfSigned;

    const DAY: Duration = Duration::from_hours(24);

    fn loaded(names: &[&str], now: Timestamp) -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let pair = SelfSigned::keep_in(directory.path(), names, now).unwrap();
        Loaded { not_before: now, not_after: now + DAY * 90, ..crate::services::certificates::load(&pair).unwrap() }
    }

    fn wanted(names: &[&str]) -> AcmeCertificate {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        AcmeCertificate { names, ..AcmeCertificate::default() }
    }

    #[test]
    fn renews_in_time() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let loaded = loaded(&["a.test", "b.test"], now);
        let due_for = |wanted: &AcmeCertificate, plan: Plan| due(wanted, Some(&loaded), &plan, now);
        let names = wanted(&["a.test"]);
        assert_eq!(due(&names, None, &Plan::default(), now), now, "there is none");
        assert_eq!(due_for(&wanted(&["a.test", "c.test"]), Plan::default()), now, "a name is missing");
        assert_eq!(due_for(&names, Plan::default()), now + DAY * 60, "a third of its life is left");
        let early = AcmeCertificate { renew_before: Some(Span::days(40)), ..names.clone() };
        assert_eq!(due_for(&early, Plan::default()), now + DAY * 50);
        let silly = AcmeCertificate { renew_before: Some(Span::days(400)), ..names.clone() };
        assert_eq!(due_for(&silly, Plan::default()), now + DAY * 45, "never at once again");
        let temporary = Loaded { temporary: true, ..loaded.clone() };
        assert_eq!(due(&names, Some(&temporary), &Plan::default(), now), now);
    }

    #[test]
    fn names_that_are_refused_stop_the_others_only_while_they_have_a_certificate() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let (own, nobody): (Domain, Domain) = ("mail.test".parse().unwrap(), "other.test".parse().unwrap());
        let all = ["mail.test", "a.test", "b.test"];
        let over = Plan { window: Some((now - DAY * 2, now - DAY)), ..Plan::default() };
        let plan = Plan::default();
        // What is refused, the names of the certificate there is, the days that it has left, and what is ordered.
        for (refused, present, left, plan, wanted_names) in [
            (&["b.test"][..], &[][..], 0, plan, &["mail.test", "a.test"][..]),
            (&["b.test", "a.test"], &[], 0, plan, &["mail.test"]),
            // Not without the server's own name, and not for nothing.
            (&["mail.test"], &[], 0, plan, &[]),
            (&all, &[], 0, plan, &[]),
            // The same again is not ordered, and what is there is not given up early.
            (&["b.test"], &["mail.test", "a.test"], 80, plan, &[]),
            (&["b.test"], &["mail.test", "a.test"], 29, plan, &["mail.test", "a.test"]),
            (&["b.test"], &all, 80, plan, &[]),
            (&["b.test"], &all, 16, plan, &[]),
            (&["b.test"], &all, 14, plan, &["mail.test", "a.test"]),
            (&["b.test"], &all, 80, over, &["mail.test", "a.test"]),
            (&["b.test"], &["mail.test"], 80, plan, &["mail.test", "a.test"]),
            (&["b.test"], &["mail.test", "b.test"], 80, plan, &[]),
        ] {
            let of_name = |name: &&str| Refused { name: (*name).to_owned(), reason: String::new() };
            let refused: Vec<Refused> = refused.iter().map(of_name).collect();
            let present = (!present.is_empty()).then(|| {
                let not_before = now - DAY * (90 - left);
                Loaded { not_before, not_after: not_before + DAY * 90, ..loaded(present, now) }
            });
            let present = present.as_ref().map(|present| (present, Issuer::Wanted));
            let ordered = rest(&wanted(&all), (&refused, &own), present, &plan, now);
            let names: Vec<&str> = ordered.iter().flatten().map(Domain::as_str).collect();
            assert_eq!(names, wanted_names, "{refused:?} {left}");
        }
        // A certificate without the server's own name has none that must not be missing.
        let refused = [Refused { name: "mail.test".to_owned(), reason: String::new() }];
        assert!(rest(&wanted(&all), (&refused, &nobody), None, &plan, now).is_some());
    }

    #[test]
    fn another_authority_replaces_a_certificate_at_once_unless_names_would_be_lost() {
        let (now, own) = (Timestamp::from_unix_seconds(1_800_000_000), "mail.test".parse::<Domain>().unwrap());
        let (present, wanted) = (loaded(&["mail.test", "a.test"], now), wanted(&["mail.test", "a.test", "b.test"]));
        for (name, issuer, names) in
            [("b.test", Issuer::Wanted, None), ("b.test", Issuer::Another, Some(2)), ("a.test", Issuer::Another, None)]
        {
            let refused = [Refused { name: name.to_owned(), reason: String::new() }];
            let ordered = rest(&wanted, (&refused, &own), Some((&present, issuer)), &Plan::default(), now);
            assert_eq!(ordered.as_ref().map(Vec::len), names, "{name} {issuer:?}");
        }
    }

    #[test]
    fn follows_the_authority() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let loaded = loaded(&["a.test"], now);
        let plan = Plan { window: Some((now + DAY, now + DAY * 3)), ..Plan::default() };
        let at = due(&wanted(&["a.test"]), Some(&loaded), &plan, now);
        assert!(at >= now + DAY && at < now + DAY * 3, "{at}");
        assert_eq!(due(&wanted(&["a.test"]), Some(&loaded), &plan, now), at, "the same every time");
    }

    #[test]
    fn rests_longer_and_longer() {
        let (mut plan, now) = (Plan::default(), Timestamp::from_unix_seconds(1_800_000_000));
        let rests: Vec<u64> = (0..9)
            .map(|_| {
                plan.failed(now, None);
                plan.rest_until.since(now).as_secs() / 60
            })
            .collect();
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 320, 640, 720]);
    }

    #[test]
    fn rests_as_long_as_the_authority_wants_within_bounds() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        for (minutes, wanted) in [(0, 5), (4, 5), (60, 60), (100_000, 720)] {
            let mut plan = Plan::default();
            plan.failed(now, Some(Duration::from_mins(minutes)));
            assert_eq!(plan.rest_until.since(now).as_secs() / 60, wanted, "{minutes}");
            plan.failed(now, None);
            assert_eq!(plan.rest_until.since(now).as_secs() / 60, 10, "it is asked for once");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_puts_nothing_off() {
        let (mut plan, now) = (Plan::default(), Timestamp::from_unix_seconds(1_800_000_000));
        plan.failed(now + DAY * 365, None);
        plan.ask_at = now + DAY * 366;
        plan.follow(now);
        assert_eq!((plan.rest_until, plan.ask_at), (now + LONGEST_REST, now + ASK_EVERY));
        let mut near = Plan { rest_until: now + SHORTEST_REST, ask_at: now, ..plan };
        near.follow(now);
        assert_eq!((near.rest_until, near.ask_at), (now + SHORTEST_REST, now));
    }
}
