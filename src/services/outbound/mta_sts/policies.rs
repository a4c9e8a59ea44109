//! What is known of the policies of domains.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::fetch::fetch;
use super::policy::{Policy, announced};
use crate::foundations::clock::Timestamp;
use crate::foundations::dns::{Error, ErrorKind};
use crate::services::outbound::OutboundSettings;
use crate::services::outbound::observed::not_fetched;
use crate::services::outbound::route::OutboundParts;
use crate::storage::database;

/// Policies that were fetched: in memory, and in a table that outlives a restart.
#[derive(Debug, Default)]
pub(in super::super) struct Policies {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    policy: Option<Stored>,
    /// The id that could not be fetched, and when that was.
    failed: Option<(String, Timestamp)>,
    /// Whether the table has been looked at.
    looked: bool,
}

/// A policy that was fetched.
#[derive(Debug, Clone)]
struct Stored {
    policy: Arc<Policy>,
    id: String,
    /// Until when it holds.
    until: Timestamp,
}

impl Stored {
    fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// RFC 8461 §5.1: before it ends, so that a host that cannot be reached for a while leaves the domain its policy.
    fn ends_soon(&self, now: Timestamp) -> bool {
        self.until - self.policy.max_age / 4 <= now
    }
}

/// Whether what is known of a domain's policy is all there is to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Certainty {
    Sure,
    /// It cannot be looked up or fetched now.
    Unsure,
}

/// How long after a failure a policy is not asked for again (RFC 8461 §3.3).
const PAUSE: Duration = Duration::from_secs(300);

impl Policies {
    /// The policy of a domain, if it has one. When the domain announces another than the one that is known, the new one
    /// is fetched; whatever fails, the known one holds until its time is over (RFC 8461 §3.1, §5.1). Also says whether it is certain
    /// that there is no other.
    pub(in super::super) async fn find(
        &self,
        parts: &OutboundParts,
        settings: &OutboundSettings,
        domain: &str,
    ) -> (Option<Arc<Policy>>, Certainty) {
        let answer = parts.resolver.txt(&format!("_mta-sts.{domain}")).await;
        let told = match &answer {
            Err(Error { kind: ErrorKind::Temporary | ErrorKind::Bogus, .. }) => Certainty::Unsure,
            _ => Certainty::Sure,
        };
        let id = answer.ok().and_then(|answer| announced(&answer.records));
        let now = parts.clock.now();
        let mut known = self.known.lock().get(domain).cloned().unwrap_or_default();
        if !known.looked && known.policy.is_none() {
            // A table that could not be read is looked at again: without it, whoever takes the announcement away on the wire would
            // take the policy away, until the next restart.
            if let Ok(policy) = stored(parts, domain, now).await {
                known = self.change(domain, settings, |known| known.found(policy));
            }
        }
        if known.is_ahead_of(now) {
            known = self.change(domain, settings, |known| known.follow(now));
            if let Some(stored) = &known.policy {
                store(parts, domain, stored, now).await;
            }
        }
        let valid = known.policy.filter(|stored| stored.holds(now));
        let kept = valid.as_ref().map(|stored| Arc::clone(&stored.policy));
        let Some(id) = id else { return (kept, told) };
        let paused = known.failed.is_some_and(|(failed, at)| failed == id && now.since(at) < PAUSE);
        if paused || valid.as_ref().is_some_and(|stored| stored.id == id && !stored.ends_soon(now)) {
            let certainty = if kept.is_some() { Certainty::Sure } else { Certainty::Unsure };
            return (kept, certainty);
        }
        match fetch(parts, settings, domain).await {
            Ok(policy) => {
                let policy = Arc::new(policy);
                let stored = Stored { until: now + policy.max_age, policy: Arc::clone(&policy), id };
                store(parts, domain, &stored, now).await;
                let fresh = Known { policy: Some(stored), failed: None, looked: true };
                self.change(domain, settings, |known| *known = fresh);
                (Some(policy), Certainty::Sure)
            }
            Err(error) => {
                not_fetched(parts, domain, &error);
                log::warn!(domain:% = domain; "The MTA-STS policy of {domain} cannot be fetched: {error}");
                let known = self.change(domain, settings, |known| known.not_fetched(valid, (id, now)));
                (known.policy.map(|stored| stored.policy), Certainty::Unsure)
            }
        }
    }

    /// Changes what is known of a domain, and says what that is now. Others may have changed it since it was looked at: what
    /// they have learnt stands. When there is no room, what ends first is forgotten.
    fn change(&self, domain: &str, settings: &OutboundSettings, change: impl FnOnce(&mut Known)) -> Known {
        let mut known = self.known.lock();
        let most = settings.mta_sts.domains.max(1) as usize;
        if known.len() >= most && !known.contains_key(domain) {
            let end = |known: &Known| known.policy.as_ref().map(|stored| stored.until);
            if let Some(first) = known.iter().min_by_key(|(_, known)| end(known)).map(|(name, _)| name.clone()) {
                known.remove(&first);
            }
        }
        let entry = known.entry(domain.to_owned()).or_default();
        change(entry);
        entry.clone()
    }
}

impl Known {
    /// Whether the clock was ahead when this became known.
    fn is_ahead_of(&self, now: Timestamp) -> bool {
        let ends_late = self.policy.as_ref().is_some_and(|stored| stored.until > now + stored.policy.max_age);
        ends_late || self.failed.as_ref().is_some_and(|(_, at)| *at > now)
    }

    /// Corrects times that were noted while the clock was ahead: otherwise a policy would hold, or not be asked for, for as long.
    fn follow(&mut self, now: Timestamp) {
        if let Some(stored) = &mut self.policy {
            stored.until = stored.until.min(now + stored.policy.max_age);
        }
        self.failed = self.failed.take().filter(|(_, at)| *at <= now);
    }

    /// The table has been looked at.
    fn found(&mut self, policy: Option<Stored>) {
        self.looked = true;
        if self.policy.is_none() {
            self.policy = policy;
        }
    }

    /// The policy of this id could not be fetched then; `valid` was in force when that began. Whoever asked at the same time may have
    /// got it.
    fn not_fetched(&mut self, valid: Option<Stored>, (id, at): (String, Timestamp)) {
        self.policy = self.policy.take().filter(|stored| stored.holds(at)).or(valid);
        self.failed = Some((id, at));
    }
}

/// What the table knows of a domain's policy. The error has been logged.
async fn stored(parts: &OutboundParts, domain: &str, now: Timestamp) -> Result<Option<Stored>, ()> {
    let Some(database) = parts.database.as_ref() else { return Ok(None) };
    let sql = "SELECT policy_id, policy, valid_until FROM mta_sts_policies WHERE domain = ? AND valid_until > ?";
    let read = async {
        let Some(row) = database.fetch_optional(sql, &[domain.into(), now.into()]).await? else { return Ok(None) };
        Ok::<_, database::Error>(Some((row.text(0)?, row.text(1)?, row.time(2)?)))
    };
    match read.await {
        Ok(Some((id, text, until))) => {
            Ok(Policy::parse(&text).ok().map(|policy| Stored { policy: Arc::new(policy), id, until }))
        }
        Ok(None) => Ok(None),
        Err(error) => {
            log::warn!(domain:% = domain, cause:% = error; "The stored MTA-STS policies cannot be read");
            Err(())
        }
    }
}

/// Keeps a policy in the table, and forgets those whose time is over.
async fn store(parts: &OutboundParts, domain: &str, stored: &Stored, now: Timestamp) {
    let Some(database) = &parts.database else { return };
    let others = ["policy_id", "policy", "valid_until"];
    let sql = database.dialect().upsert("mta_sts_policies", &["domain"], &others);
    let Stored { policy, id, until } = stored;
    let values = [domain.into(), id.as_str().into(), policy.lines().join("\n").into(), (*until).into()];
    let work = async {
        database.execute(sql, &values).await?;
        database.execute("DELETE FROM mta_sts_policies WHERE valid_until < ?", &[now.into()]).await
    };
    if let Err(error) = work.await {
        log::warn!(domain:% = domain, cause:% = error; "The MTA-STS policy of {domain} cannot be stored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    fn policy(id: &str, until: Timestamp) -> Stored {
        let text = "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 86400";
        Stored { policy: Arc::new(Policy::parse(text).unwrap()), id: id.to_owned(), until }
    }

    fn id(known: &Known) -> Option<&str> {
        known.policy.as_ref().map(|stored| stored.id.as_str())
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_no_policy_and_stops_no_request() {
        let (day, year) = (Duration::from_secs(86_400), Duration::from_secs(86_400 * 365));
        let mut known =
            Known { policy: Some(policy("1", NOW + year)), failed: Some(("2".to_owned(), NOW + year)), looked: true };
        assert!(known.is_ahead_of(NOW));
        known.follow(NOW);
        assert!(!known.is_ahead_of(NOW) && known.failed.is_none());
        assert_eq!(known.policy.as_ref().map(|stored| stored.until), Some(NOW + day));
        known.failed = Some(("2".to_owned(), NOW));
        assert!(!known.is_ahead_of(NOW));
        known.follow(NOW + Duration::from_secs(1));
        assert_eq!((id(&known), known.failed.is_some()), (Some("1"), true));
    }

    #[test]
    fn what_another_has_fetched_stands() {
        let (policies, settings) = (Policies::default(), OutboundSettings::default());
        let later = NOW + Duration::from_secs(86_400);
        // Two ask at the same time. One gets it, the other looks at the table last and does not get it.
        let fresh = Known { policy: Some(policy("1", later)), failed: None, looked: true };
        policies.change("x.test", &settings, |known| *known = fresh);
        let known = policies.change("x.test", &settings, |known| known.found(None));
        assert_eq!(id(&known), Some("1"));
        let known = policies.change("x.test", &settings, |known| known.not_fetched(None, ("1".to_owned(), NOW)));
        assert_eq!((id(&known), known.failed.is_some()), (Some("1"), true));
        // What has expired no longer counts, and what was in force is not forgotten for lack of room.
        let known = policies.change("x.test", &settings, |known| known.not_fetched(None, ("2".to_owned(), later)));
        assert_eq!(id(&known), None);
        let valid = Some(policy("1", later));
        let known = policies.change("y.test", &settings, |known| known.not_fetched(valid, ("2".to_owned(), NOW)));
        assert_eq!(id(&known), Some("1"));
    }
}
