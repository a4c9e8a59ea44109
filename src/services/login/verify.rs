//! One login, from the name and password to an account or a refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::app_password::{GeneratedSecret, scope};
use super::cache::{Cache, CacheKey, Verdict};
use super::equal_cost::{self, Checked, Opens, decoy};
use super::hashing::HashingWorkers;
use super::stay::{Credential, Stays};
use super::{LoginAttempt, LoginSettings, Need, PasswordReach, Rehash, Scheme, Stay, Unusable, password};
use crate::foundations::address::Address;
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::secret::Secret;
use crate::foundations::settings::Live;
use crate::services::guard::{Failure, Guard};
use crate::storage::directory::{self, Account, AppPassword, Directory, Source};
use crate::storage::journal::Journal;

/// Longest user name that is looked at and written down.
const LONGEST_NAME: usize = 320;
/// By how much wrong passwords may cost more than new ones, in steps of bcrypt, because accounts have costlier hashes.
const MOST_ABOVE: u32 = 2;
/// Why somebody was not asked for a password.
const TOO_MANY: &str = "too many failures before";
/// No account has this number.
const NOBODY: i64 = -1;

/// Somebody whom a mail program has let in.
#[derive(Debug)]
pub struct LoggedIn {
    /// The account's own address.
    pub address: Address,
    /// Says when the session is to end. Whoever holds it is counted as a session; dropping it ends that.
    pub stay: Stay,
}

/// The room. Cloning gives another handle.
#[derive(Clone)]
pub struct Login(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) directory: Directory,
    pub(super) guard: Guard,
    pub(super) journal: Journal,
    pub(super) settings: Live<LoginSettings>,
    pub(super) clock: SharedClock,
    /// `None` when the system gave no random key: then nothing is remembered.
    cache: Option<Cache>,
    workers: HashingWorkers,
    /// Highest cost of a hash that was met, as that of bcrypt.
    highest_cost: AtomicU32,
    pub(super) stays: Arc<Stays>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// Why a login failed; the words are for the journal.
pub(super) enum Failed {
    /// The client's fault, or the account's.
    Refused(&'static str),
    /// What was shown is right, but not enough or not for this. The client is told, and it is no guess to be counted.
    Insufficient(&'static str, Refusal),
    /// Others have failed too often. It is told, and the password was not looked at.
    TooMany(Refusal),
    /// The stored hash cannot be checked.
    Unusable(Unusable),
    /// Ours.
    Later(Box<dyn std::error::Error + Send + Sync>),
}

/// Whether a hash was computed for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    FromCache,
    ByHashing,
}

/// By what somebody is let in.
pub(super) enum Proof {
    /// The account's password.
    Password(Answered),
    /// A password of a device.
    AppPassword(AppPassword),
}

/// Where somebody wants to come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// By a program that knows nothing but names and passwords.
    Program,
    /// By the webmail, which can ask for a code.
    Page,
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
        let (cache, workers) = (Cache::new(now.remembered), HashingWorkers::new(now.workers));
        let stays = Arc::default();
        let highest_cost = AtomicU32::new(0);
        Self(Arc::new(Inner { directory, guard, journal, settings, clock, cache, workers, highest_cost, stays }))
    }

    /// Whether this is somebody. The one entry for every program, which shows the account's password or one of a device.
    /// Takes its time with a wrong password, and longer with each that follows.
    pub async fn verify(&self, attempt: LoginAttempt) -> Result<LoggedIn, Refusal> {
        let inner = &self.0;
        let (account, proof) = inner.identify(&attempt, Entrance::Program).await?;
        inner.let_in(&attempt, &account, &proof, None);
        let credential = match &proof {
            Proof::Password(_) => {
                inner.strengthen(&account, &attempt.password).await;
                Credential::password(&account)
            }
            Proof::AppPassword(password) => {
                inner.note_use(&attempt, &account, password).await;
                Credential::AppPassword(password.id)
            }
        };
        let stay = inner.stays.enter(&account, credential, attempt.session, attempt.service);
        Ok(LoggedIn { address: account.address, stay })
    }

    /// The hash of a new password, made by the same bounded workers.
    pub async fn hash(&self, password: Secret<String>) -> Result<Secret<String>, Refusal> {
        let settings = self.0.settings.get();
        let cost = settings.cost;
        let work = move || password::hash(&password, cost);
        let made = self.0.workers.run(settings.waiting, settings.patience.duration(), || None, work).await;
        match made {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(Unusable::Randomness(why))) => Err(Refusal::temporary(why)),
            Ok(Err(why)) => Err(Refusal::new(Kind::Invalid, why.to_string())),
            Err(busy) => Err(Refusal::temporary(busy)),
        }
    }
}

impl Inner {
    /// Whose password this is. What fails is recorded, counted, and answered when it is time.
    pub(super) async fn identify(
        &self,
        attempt: &LoginAttempt,
        entrance: Entrance,
    ) -> Result<(Account, Proof), Refusal> {
        let name = self.name(attempt);
        // Guessing at an account keeps none of its devices out: nobody finds their passwords by guessing.
        let is_device =
            entrance == Entrance::Program && GeneratedSecret::parse_password(attempt.password.expose()).is_some();
        let admitted = match is_device {
            true => self.guard.may_try(&attempt.peer),
            false => self.guard.may_log_in(&attempt.peer, &name),
        };
        if let Err(refusal) = admitted {
            self.refused(attempt, &name, TOO_MANY);
            return Err(refusal);
        }
        let failed = match self.find_out(attempt, entrance).await {
            Ok(found) => return Ok(found),
            Err(failed) => failed,
        };
        match failed {
            Failed::Later(cause) => {
                self.refused(attempt, &name, "passing problem here");
                return Err(unable().because(cause));
            }
            Failed::Insufficient(reason, refusal) => {
                self.refused(attempt, &name, reason);
                return Err(refusal);
            }
            Failed::TooMany(refusal) => {
                self.refused(attempt, &name, TOO_MANY);
                // It was looked for although the account is closed.
                if is_device {
                    self.hold_back(attempt, &name).await;
                }
                return Err(refusal);
            }
            Failed::Refused(reason) => self.refused(attempt, &name, reason),
            Failed::Unusable(why) => {
                log::warn!(user = name.as_str(), session:% = attempt.session; "The stored password cannot be used: {why}");
                self.refused(attempt, &name, "stored password cannot be used");
            }
        }
        self.hold_back(attempt, &name).await;
        let public = "Wrong user name or password";
        Err(Refusal::new(Kind::AuthenticationFailed, public).smtp(535, "5.7.8"))
    }

    /// Counts a failure and waits as long as its answer is to be held back.
    pub(super) async fn hold_back(&self, attempt: &LoginAttempt, name: &str) {
        let delay = self.guard.failed(&attempt.peer, Failure::Login { account: name, password: &attempt.password });
        tokio::time::sleep(delay).await;
    }

    /// Somebody is let in: tells the guard and the journal.
    pub(super) fn let_in(
        &self,
        attempt: &LoginAttempt,
        account: &Account,
        proof: &Proof,
        second: Option<&'static str>,
    ) {
        self.guard.logged_in(&attempt.peer, &self.name(attempt));
        let event = self.event(EventKind::LoginAccepted, attempt, &account.address.to_string());
        let event = match proof {
            Proof::Password(answered) => event.with("remembered", *answered == Answered::FromCache),
            Proof::AppPassword(password) => event.with("app_password", password.name.clone()),
        };
        self.journal.record(event.with_known("second_factor", second));
    }

    async fn find_out(&self, attempt: &LoginAttempt, entrance: Entrance) -> Result<(Account, Proof), Failed> {
        let settings = self.settings.get();
        let (account, closed) = match address(&attempt.username, &settings) {
            Some(address) => self.look_up(&address).await.map_err(|e| Failed::Later(Box::new(e)))?,
            None => (None, None),
        };
        if entrance == Entrance::Program
            && let Some(password) = self.app_password(account.as_ref(), attempt).await?
            && let Some(account) = &account
        {
            return match closed {
                Some(reason) => Err(Failed::Refused(reason)),
                None => Ok((account.clone(), Proof::AppPassword(password))),
            };
        }
        let stored = account.as_ref().map(|account| account.password.expose().clone());
        let scheme = stored.as_deref().map(password::recognise);
        let cost = self.cost(scheme.as_ref(), &settings);
        let unusable = scheme.and_then(Result::err);
        // A faster answer must not reveal that a user does not exist.
        let checked = stored.filter(|_| unusable.is_none()).unwrap_or_else(|| decoy(cost));
        let opens = if closed.is_none() { Opens::Account } else { Opens::Nothing };
        let (verdict, answered) = self.check(attempt, checked, opens, cost).await?;
        match (account, unusable, closed, verdict) {
            (None, ..) => Err(Failed::Refused("no such user")),
            (_, Some(Unusable::Missing), ..) => Err(Failed::Refused("no password set")),
            (_, Some(Unusable::Locked), ..) => Err(Failed::Refused("password locked")),
            (_, Some(why), ..) => Err(Failed::Unusable(why)),
            (_, _, _, Verdict::Wrong) => Err(Failed::Refused("wrong password")),
            (_, _, Some(reason), _) => Err(Failed::Refused(reason)),
            (Some(account), None, None, Verdict::Right) => match entrance {
                Entrance::Program => app_passwords_only(&account, &settings).map_or(Ok(account), Err),
                Entrance::Page => Ok(account),
            }
            .map(|account| (account, Proof::Password(answered))),
        }
    }

    /// The account of an address as it is now, and why nobody may log in to it.
    async fn look_up(&self, address: &Address) -> Result<(Option<Account>, Option<&'static str>), directory::Error> {
        let account = self.directory.account_now(address).await?;
        let domain = self.directory.domain(address.domain()).await?;
        let closed = match (&account, domain) {
            (None, _) => None,
            (_, None) => Some("unknown domain"),
            (_, Some(domain)) if !domain.is_active() => Some("domain disabled"),
            (Some(account), _) if account.archived_at.is_some() => Some("account removed"),
            (Some(account), _) if !account.may_log_in() => Some("account disabled"),
            _ => None,
        };
        Ok((account, closed))
    }

    /// The cost that a wrong password has for everybody. Accounts with costlier hashes than new ones must be no easier
    /// to tell from unknown names than those with cheaper ones; but the work that anybody can cause stays bounded.
    fn cost(&self, scheme: Option<&Result<Scheme, Unusable>>, settings: &LoginSettings) -> u32 {
        let own = match scheme {
            Some(Ok(Scheme::Bcrypt { cost })) => *cost,
            _ => 0,
        };
        let highest_cost = self.highest_cost.fetch_max(own, Ordering::Relaxed).max(own);
        highest_cost.clamp(settings.cost, settings.cost.saturating_add(MOST_ABOVE))
    }

    /// The password of a device that was shown, if it is one. It is asked for in the database each time: what is
    /// revoked is remembered nowhere. Unknown users are looked up too, which takes as long.
    async fn app_password(
        &self,
        account: Option<&Account>,
        attempt: &LoginAttempt,
    ) -> Result<Option<AppPassword>, Failed> {
        let Some(given) = GeneratedSecret::parse_password(attempt.password.expose()) else { return Ok(None) };
        let found = self.directory.app_password(account.map_or(NOBODY, |account| account.id), &given.digest()).await;
        let Some(found) = found.map_err(|e| Failed::Later(Box::new(e)))? else { return Ok(None) };
        let told = |reason, public: &'static str| {
            Err(Failed::Insufficient(reason, Refusal::new(Kind::AuthenticationFailed, public).smtp(535, "5.7.8")))
        };
        if found.is_over(self.clock.now()) {
            return told("app password has ended", "This app password has expired; create a new one in the webmail");
        }
        if !found.scopes.includes(scope(attempt.service)) {
            let public = "This app password is not valid for this service; create another one in the webmail";
            return told("app password is for something else", public);
        }
        Ok(Some(found))
    }

    /// Records now and then that a password of a device is used. A failure is no reason to refuse the login.
    async fn note_use(&self, attempt: &LoginAttempt, account: &Account, password: &AppPassword) {
        let now = self.clock.now();
        let known = now - self.settings.get().note_use_every.duration();
        if password.used_at.is_some_and(|used_at| used_at > known) {
            return;
        }
        let from = attempt.peer.ip().map_or_else(|| attempt.peer.to_string(), |ip| ip.to_string());
        match self.directory.note_app_password(password, &from, now, known).await {
            Ok(true) if password.used_at.is_none() => {
                let event = self.event(EventKind::AppPassword, attempt, &account.address.to_string());
                self.journal
                    .record(event.with("change", "used for the first time").with("name", password.name.clone()));
            }
            Ok(_) => {}
            Err(error) => {
                log::warn!(cause:% = error, user:% = account.address; "The use of an app password could not be recorded");
            }
        }
    }

    async fn check(
        &self,
        attempt: &LoginAttempt,
        stored: String,
        opens: Opens,
        cost: u32,
    ) -> Result<(Verdict, Answered), Failed> {
        let settings = self.settings.get();
        let (keep, given) = (settings.remember.duration(), &attempt.password);
        // All spellings of an address are one name, whether somebody has it or not.
        let subject = self.name(attempt);
        let key: Option<CacheKey> = self.cache.as_ref().map(|cache| cache.key_for(&subject, &stored, given));
        let known = || self.cache.as_ref()?.get(key?, self.clock.now(), keep);
        if let Some(verdict) = known() {
            return Ok((verdict, Answered::FromCache));
        }
        let given = given.clone();
        let work = move || equal_cost::check(&stored, &given, opens, cost).map_err(Failed::Unusable);
        // Many may have been sent at once: what failed of them meanwhile counts for those that wait.
        let shortcut = || match self.guard.may_log_in(&attempt.peer, &subject) {
            Err(refusal) => Some(Err(Failed::TooMany(refusal))),
            Ok(()) => known().map(|verdict| Ok(Checked { is_right: verdict == Verdict::Right, rounds: 0 })),
        };
        let checked = self.workers.run(settings.waiting, settings.patience.duration(), shortcut, work).await;
        let Checked { is_right, rounds } = checked.map_err(|busy| Failed::Later(Box::new(busy)))??;
        // What hashes of other schemes ask for is known only now.
        self.highest_cost.fetch_max(equal_cost::cost_of(rounds), Ordering::Relaxed);
        let verdict = if is_right { Verdict::Right } else { Verdict::Wrong };
        if let (Some(cache), Some(key)) = (&self.cache, key) {
            cache.put(key, verdict, self.clock.now());
        }
        Ok((verdict, Answered::ByHashing))
    }

    /// Replaces a weak hash, where the settings want it, and returns the one that is in force then. A failure is no
    /// reason to refuse the login.
    pub(super) async fn strengthen(&self, account: &Account, given: &Secret<String>) -> Option<Secret<String>> {
        let settings = self.settings.get();
        let weak = match password::recognise(account.password.expose()) {
            Ok(Scheme::Bcrypt { cost }) => cost < settings.cost,
            Ok(Scheme::Sha512Crypt | Scheme::Sha256Crypt) => true,
            Ok(Scheme::Argon2id | Scheme::Argon2i) | Err(_) => false,
        };
        if settings.rehash != Rehash::Weaker || !weak {
            return None;
        }
        let (given, cost) = (given.clone(), settings.cost);
        let work = move || password::hash(&given, cost);
        let made = self.workers.run(settings.waiting, settings.patience.duration(), || None, work).await;
        // A password that is too long for a new hash keeps its old one.
        let Ok(Ok(hash)) = made else { return None };
        let storing = async {
            let mut edit = self.directory.edit().await?;
            let is_replaced = edit.strengthen_password(account, &hash).await?;
            edit.commit().await?;
            Ok::<bool, directory::Error>(is_replaced)
        };
        let stored = storing.await;
        match stored {
            Ok(true) => Some(hash),
            // Another login was faster, which does not change the time, or the password is another one by now.
            Ok(false) => {
                let now = self.directory.account_now(&account.address).await.ok().flatten()?;
                let is_same = now.id == account.id && now.password_changed_at == account.password_changed_at;
                is_same.then_some(now.password)
            }
            Err(error) => {
                log::warn!(cause:% = error, user:% = account.address; "A stronger hash of a password could not be stored");
                None
            }
        }
    }

    /// Under which name failures are counted: an address can be written in many ways (RFC 5321 §4.1.2: `"\a\nn"@example.org`
    /// is `ann@example.org`), and each of them would be counted by itself.
    pub(super) fn name(&self, attempt: &LoginAttempt) -> String {
        let address = address(&attempt.username, &self.settings.get());
        address.map_or_else(|| shown(&attempt.username), |address| address.key())
    }

    pub(super) fn event(&self, kind: EventKind, attempt: &LoginAttempt, subject: &str) -> Event {
        Event::new(self.clock.now(), kind)
            .session(attempt.session)
            .subject(subject)
            .with("service", attempt.service.word())
            .with("peer", attempt.peer.to_string())
    }

    pub(super) fn refused(&self, attempt: &LoginAttempt, name: &str, reason: &'static str) {
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

/// The refusal for the account's password where only passwords of devices count.
fn app_passwords_only(account: &Account, settings: &LoginSettings) -> Option<Failed> {
    if settings.password_with_two_factor == PasswordReach::Everything {
        return None;
    }
    let (reason, public) = match Need::of(account.two_factor_since, account.address.domain(), settings) {
        Need::Nothing => return None,
        Need::Code => (
            "two-factor login is on; only app passwords count here",
            "This account has two-factor login: use an app password, which you can create in the webmail's settings",
        ),
        Need::Enrolment => (
            "two-factor login is required; only app passwords count here",
            "This account needs two-factor login: turn it on in the webmail, then use an app password",
        ),
    };
    // RFC 4954 §6: a stronger way to log in is wanted.
    Some(Failed::Insufficient(reason, Refusal::new(Kind::AuthenticationFailed, public).smtp(534, "5.7.9")))
}

/// Nothing can be said about a password right now.
pub(super) fn unable() -> Refusal {
    let public = "This server cannot check passwords right now; try again later";
    Refusal::new(Kind::Temporary, public).smtp(454, "4.7.0")
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
}
