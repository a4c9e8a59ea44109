//! One login, from the name and password to an account or a refusal.

use std::sync::Arc;

use super::cache::{Cache, Name, Verdict};
use super::hashing::Workshop;
use super::{LoginSettings, Rehash, Scheme, Unusable, password};
use crate::foundations::address::Address;
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::mail;
use crate::foundations::mail::Peer;
use crate::foundations::secret::Secret;
use crate::foundations::settings::Live;
use crate::services::guard::{Failure, Guard, Service};
use crate::storage::directory::{Account, Directory, Source};
use crate::storage::journal::Journal;

/// Longest user name that is looked at and written down.
const LONGEST_NAME: usize = 320;

/// What a client says about itself.
#[derive(Debug)]
pub struct LoginAttempt {
    /// The user name as given.
    pub username: String,
    /// The password as given.
    pub password: Secret<String>,
    /// Where from.
    pub peer: Peer,
    /// Over which connection.
    pub session: SessionId,
    /// By which protocol.
    pub service: Service,
}

/// The room. Cloning gives another handle.
#[derive(Clone)]
pub struct Login(Arc<Inner>);

struct Inner {
    directory: Directory,
    guard: Guard,
    journal: Journal,
    settings: Live<LoginSettings>,
    clock: SharedClock,
    /// Without randomness there is no key, and nothing is remembered.
    cache: Option<Cache>,
    workshop: Workshop,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// Why a login came to nothing; the words are for the journal.
enum Failed {
    /// The client's fault, or the account's.
    Refused(&'static str),
    /// The stored hash cannot be checked.
    Unusable(Unusable),
    /// Ours.
    Later(Box<dyn std::error::Error + Send + Sync>),
}

/// Whether a hash was computed for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Cache,
    Work,
}

impl Login {
    /// Logins against a directory. The numbers of workers and of remembered logins hold from the start to the end of
    /// the process; the other settings may change.
    pub fn new(
        directory: Directory,
        guard: Guard,
        journal: Journal,
        settings: Live<LoginSettings>,
        clock: SharedClock,
    ) -> Self {
        let now = settings.get();
        let (cache, workshop) = (Cache::new(now.remembered), Workshop::new(now.workers));
        Self(Arc::new(Inner { directory, guard, journal, settings, clock, cache, workshop }))
    }

    /// Whether this is somebody. The one entry for every protocol. Takes its time with a wrong password, and longer
    /// with each that follows.
    pub async fn verify(&self, attempt: LoginAttempt) -> Result<mail::Login, Refusal> {
        let inner = &self.0;
        let name = shown(&attempt.username);
        if let Err(refusal) = inner.guard.may_log_in(&attempt.peer, &name) {
            inner.refused(&attempt, &name, "too many failures before");
            return Err(refusal);
        }
        match inner.find_out(&attempt).await {
            Ok((account, from)) => {
                inner.guard.logged_in(&attempt.peer, &name);
                let event = inner.event(EventKind::LoginAccepted, &attempt, &account.address.to_string());
                inner.journal.record(event.with("remembered", from == From::Cache));
                inner.strengthen(&account, &attempt.password).await;
                Ok(mail::Login { address: account.address })
            }
            Err(Failed::Later(cause)) => {
                inner.refused(&attempt, &name, "passing problem here");
                let public = "This server cannot check passwords right now; try again later";
                Err(Refusal::new(Kind::Temporary, public).smtp(454, "4.7.0").because(cause))
            }
            Err(failed) => {
                match failed {
                    Failed::Refused(reason) => inner.refused(&attempt, &name, reason),
                    Failed::Unusable(why) => {
                        log::warn!(user = name.as_str(), session:% = attempt.session; "The stored password cannot be used: {why}");
                        inner.refused(&attempt, &name, "stored password cannot be used");
                    }
                    Failed::Later(_) => {}
                }
                let delay = inner.guard.failed(&attempt.peer, Failure::Login { account: &name });
                tokio::time::sleep(delay).await;
                let public = "Wrong user name or password";
                Err(Refusal::new(Kind::AuthenticationFailed, public).smtp(535, "5.7.8"))
            }
        }
    }

    /// The hash of a new password, made by the same bounded workers.
    pub async fn hash(&self, password: Secret<String>) -> Result<Secret<String>, Refusal> {
        let settings = self.0.settings.get();
        let cost = settings.cost;
        let work = move || password::hash(&password, cost);
        let made = self.0.workshop.run(settings.waiting, settings.patience.duration(), || None, work).await;
        match made {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(Unusable::Randomness)) => Err(Refusal::temporary(Unusable::Randomness)),
            Ok(Err(why)) => Err(Refusal::new(Kind::Invalid, why.to_string())),
            Err(busy) => Err(Refusal::temporary(busy)),
        }
    }
}

impl Inner {
    async fn find_out(&self, attempt: &LoginAttempt) -> Result<(Account, From), Failed> {
        let later = |e: crate::storage::directory::Error| Failed::Later(Box::new(e));
        let settings = self.settings.get();
        let mut account = None;
        let mut closed = None;
        if let Some(address) = address(&attempt.username, &settings) {
            account = self.directory.account_now(&address).await.map_err(later)?;
            let domain = self.directory.domain(address.domain()).await.map_err(later)?;
            closed = match (&account, domain) {
                (None, _) => None,
                (_, None) => Some("unknown domain"),
                (_, Some(domain)) if !domain.is_active() => Some("domain disabled"),
                (Some(account), _) if account.archived_at.is_some() => Some("account removed"),
                (Some(account), _) if !account.may_log_in() => Some("account disabled"),
                _ => None,
            };
        }
        let stored = account.as_ref().map(|account| account.password.expose().clone());
        let unusable = stored.as_deref().and_then(|hash| password::recognise(hash).err());
        // Who asks for a user that is not there must not learn it from a faster answer.
        let checked = stored.filter(|_| unusable.is_none()).unwrap_or_else(|| decoy(settings.cost));
        let subject = account.as_ref().map_or_else(|| shown(&attempt.username), |account| account.address.key());
        let (verdict, from) = self.check(&subject, checked, &attempt.password, &settings).await?;
        match (account, unusable, closed, verdict) {
            (None, ..) => Err(Failed::Refused("no such user")),
            (_, Some(Unusable::Missing), ..) => Err(Failed::Refused("no password set")),
            (_, Some(why), ..) => Err(Failed::Unusable(why)),
            (_, _, _, Verdict::Wrong) => Err(Failed::Refused("wrong password")),
            (_, _, Some(reason), _) => Err(Failed::Refused(reason)),
            (Some(account), None, None, Verdict::Right) => Ok((account, from)),
        }
    }

    async fn check(
        &self,
        subject: &str,
        stored: String,
        given: &Secret<String>,
        settings: &LoginSettings,
    ) -> Result<(Verdict, From), Failed> {
        let keep = settings.remember.duration();
        let name: Option<Name> = self.cache.as_ref().map(|cache| cache.name(subject, &stored, given));
        let known = || self.cache.as_ref()?.get(name?, self.clock.now(), keep);
        if let Some(verdict) = known() {
            return Ok((verdict, From::Cache));
        }
        let given = given.clone();
        let work = move || password::check(&stored, &given);
        let shortcut = || known().map(|verdict| Ok(verdict == Verdict::Right));
        let checked = self.workshop.run(settings.waiting, settings.patience.duration(), shortcut, work).await;
        let right = checked.map_err(|busy| Failed::Later(Box::new(busy)))?.map_err(Failed::Unusable)?;
        let verdict = if right { Verdict::Right } else { Verdict::Wrong };
        if let (Some(cache), Some(name)) = (&self.cache, name) {
            cache.put(name, verdict, self.clock.now());
        }
        Ok((verdict, From::Work))
    }

    /// Replaces a weak hash, where the settings want it. A failure is no reason to refuse the login.
    async fn strengthen(&self, account: &Account, given: &Secret<String>) {
        let settings = self.settings.get();
        let weak = match password::recognise(account.password.expose()) {
            Ok(Scheme::Bcrypt { cost }) => cost < settings.cost,
            Ok(Scheme::Sha512Crypt | Scheme::Sha256Crypt) => true,
            Ok(Scheme::Argon2id | Scheme::Argon2i) | Err(_) => false,
        };
        if settings.rehash != Rehash::Weaker || !weak {
            return;
        }
        let (given, cost) = (given.clone(), settings.cost);
        let work = move || password::hash(&given, cost);
        let made = self.workshop.run(settings.waiting, settings.patience.duration(), || None, work).await;
        // A password that is too long for a new hash keeps its old one.
        let Ok(Ok(hash)) = made else { return };
        let stored = async {
            let mut edit = self.directory.edit().await?;
            edit.strengthen_password(account, &hash).await?;
            edit.commit().await
        };
        if let Err(error) = stored.await {
            log::warn!(cause:% = error, user:% = account.address; "A stronger hash of a password could not be stored");
        }
    }

    fn event(&self, kind: EventKind, attempt: &LoginAttempt, subject: &str) -> Event {
        Event::new(self.clock.now(), kind)
            .session(attempt.session)
            .subject(subject)
            .with("service", attempt.service.word())
            .with("peer", attempt.peer.to_string())
    }

    fn refused(&self, attempt: &LoginAttempt, name: &str, reason: &'static str) {
        self.journal.record(self.event(EventKind::LoginRefused, attempt, name).with("reason", reason));
    }
}

/// The user name as it may stand in a journal: bounded, without control characters, in lower case.
fn shown(username: &str) -> String {
    let cleaned = username.trim().chars().take(LONGEST_NAME).map(|c| if c.is_control() { '?' } else { c });
    cleaned.collect::<String>().to_lowercase()
}

/// The address a user name stands for.
fn address(username: &str, settings: &LoginSettings) -> Option<Address> {
    let name = username.trim();
    if name.len() > LONGEST_NAME {
        return None;
    }
    let full = match (name.contains('@'), &settings.default_domain) {
        (false, Some(domain)) => format!("{name}@{domain}"),
        _ => name.to_owned(),
    };
    match Source::parse(&full)? {
        Source::Address(address) => Some(address),
        Source::CatchAll(_) => None,
    }
}

/// A well-formed hash of the given cost that no password has.
fn decoy(cost: u32) -> String {
    format!("$2y${:02}$abcdefghijklmnopqrstuu{}", cost.clamp(4, 16), "a".repeat(30) + "O")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_addresses() {
        let mut settings = LoginSettings::default();
        let key = |name: &str, settings: &LoginSettings| address(name, settings).map(|address| address.key());
        assert_eq!(key(" Ann@Example.TEST ", &settings).as_deref(), Some("ann@example.test"));
        assert_eq!(key("ann", &settings), None);
        assert_eq!(key("@example.test", &settings), None);
        assert_eq!(key(&"a".repeat(400), &settings), None);
        settings.default_domain = "example.test".parse().ok();
        assert_eq!(key("Ann", &settings).as_deref(), Some("ann@example.test"));
        assert_eq!(key("ann@other.test", &settings).as_deref(), Some("ann@other.test"));
        assert_eq!(shown("a\r\nb"), "a??b");
    }

    #[test]
    fn a_decoy_is_well_formed() {
        for cost in [0, 4, 12, 99] {
            assert_eq!(password::recognise(&decoy(cost)), Ok(Scheme::Bcrypt { cost: cost.clamp(4, 16) }));
        }
        assert_eq!(password::check(&decoy(4), &Secret::new("x".to_owned())), Ok(false));
    }
}
