//! Logins: their table, and a short-lived cache of it.
//!
//! A request queries the database only if the cached login is older than `look_again`; so a login ended by another process
//! lasts at most that much longer. One that was ended here ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::token::{digest, is_token};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::SessionId;
use crate::services::login::LoginSettings;
use crate::storage::database::Error;
use crate::storage::logins::{BrowserLogin, BrowserLogins, Ending, Limits};

/// How exactly it is looked and written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// For how long a look-up may be cached.
    look_again: Duration,
    /// How often at most it is written down that a login is used.
    note_every: Duration,
}

impl Pace {
    /// As logins are looked after elsewhere. A login whose use is written down late must not end early for another process.
    pub(super) fn of(settings: &LoginSettings, idle: Duration) -> Self {
        let note_every = settings.note_use_every.duration().min(idle / 8);
        Self { look_again: settings.look_again.duration(), note_every }
    }
}

/// A login as it was found.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Of its token.
    pub(super) digest: Arc<str>,
    pub(super) login: BrowserLogin,
    /// Whether the database was asked just now.
    pub(super) is_fresh: bool,
}

/// What becomes of logins while the database is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// Nobody is let in: what is behind the door needs the database, too.
    NobodyIn,
    /// Whoever is known stays, and logins begin in memory: the page shows that the database is away. So they do for good
    /// where this process may only read the database.
    KnownStay,
}

/// The logins to one page.
#[derive(Debug)]
pub(super) struct Logins {
    table: BrowserLogins,
    outage: Outage,
    known: moka::sync::Cache<Arc<str>, Arc<Mutex<Known>>>,
    /// Number of invalidations: data read before one must not be cached after it.
    forgotten: AtomicU64,
    forgetting: Mutex<()>,
}

#[derive(Debug)]
struct Known {
    login: BrowserLogin,
    looked_at: Timestamp,
    noted: Timestamp,
    place: Place,
}

/// Where a login is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Table,
    /// It could not be written down: the table knows nothing of it.
    Memory,
}

impl Logins {
    /// The logins in a table, of which so many are remembered.
    pub(super) fn new(table: BrowserLogins, remembered: u32, outage: Outage) -> Self {
        let known = moka::sync::Cache::new(remembered.max(1).into());
        Self { table, outage, known, forgotten: AtomicU64::new(0), forgetting: Mutex::new(()) }
    }

    /// Starts the login for this token.
    pub(super) async fn begin(&self, token: &str, login: &BrowserLogin, limits: &Limits) -> Result<(), Error> {
        let key = digest(token);
        match self.table.begin(&key, login, limits).await {
            // Others have had to make room.
            Ok(ended) => ended.iter().for_each(|digest| self.forget_one(digest)),
            Err(error) if self.outage == Outage::KnownStay => {
                log::warn!(cause:% = error; "A browser's login could not be stored; it is kept in memory until this process ends");
                let (looked_at, noted) = (login.used, login.used);
                let known = Known { login: login.clone(), looked_at, noted, place: Place::Memory };
                self.known.insert(key.into(), Arc::new(Mutex::new(known)));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The login of a token, which is marked as used.
    pub(super) async fn used(
        &self,
        token: &str,
        now: Timestamp,
        limits: &Limits,
        pace: Pace,
    ) -> Result<Option<Session>, Error> {
        if !is_token(token) {
            return Ok(None);
        }
        let digest: Arc<str> = digest(token).into();
        let Some((known, is_fresh)) = self.look(&digest, now, limits, pace).await? else { return Ok(None) };
        let (login, must_note) = {
            let mut known = known.lock();
            known.login.used = known.login.used.max(now);
            let must_note = known.place == Place::Table && now.since(known.noted) >= pace.note_every;
            if must_note {
                known.noted = now;
            }
            (known.login.clone(), must_note)
        };
        if must_note && let Err(error) = self.table.note_use(&digest, now).await {
            log::warn!(cause:% = error; "The use of a browser's login could not be recorded");
        }
        Ok(Some(Session { digest, login, is_fresh }))
    }

    /// A login, without using it; `None` when it is in force no longer.
    pub(super) async fn still(
        &self,
        digest: &Arc<str>,
        now: Timestamp,
        limits: &Limits,
        pace: Pace,
    ) -> Result<Option<Session>, Error> {
        let found = self.look(digest, now, limits, pace).await?;
        Ok(found.map(|(known, is_fresh)| Session {
            digest: Arc::clone(digest),
            login: known.lock().login.clone(),
            is_fresh,
        }))
    }

    /// A login as the database has it now, whatever is remembered.
    pub(super) async fn anew(
        &self,
        digest: &Arc<str>,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<Option<Session>, Error> {
        let pace = Pace { look_again: Duration::ZERO, note_every: Duration::MAX };
        self.still(digest, now, limits, pace).await
    }

    async fn look(
        &self,
        digest: &Arc<str>,
        now: Timestamp,
        limits: &Limits,
        pace: Pace,
    ) -> Result<Option<(Arc<Mutex<Known>>, bool)>, Error> {
        let known = self.known.get(digest);
        if let Some(known) = &known {
            let (is_over, looked_at, place) = {
                let known = known.lock();
                (known.login.is_over(now, limits), known.looked_at, known.place)
            };
            // A clock that was set back must not make an answer live for ever.
            if !is_over && looked_at <= now && now.since(looked_at) < pace.look_again {
                return Ok(Some((Arc::clone(known), false)));
            }
            if place == Place::Memory {
                if is_over {
                    self.known.invalidate(digest);
                    return Ok(None);
                }
                known.lock().looked_at = now;
                return Ok(Some((Arc::clone(known), true)));
            }
        }
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let found = match (self.table.find(digest).await, &known) {
            (Err(_), Some(known)) if self.outage == Outage::KnownStay => {
                let is_over = known.lock().login.is_over(now, limits);
                return Ok((!is_over).then(|| (Arc::clone(known), true)));
            }
            (found, _) => found?,
        };
        let Some(mut login) = found else {
            self.known.invalidate(digest);
            return Ok(None);
        };
        let noted = login.used;
        if let Some(known) = known {
            login.used = login.used.max(known.lock().login.used);
        }
        if login.is_over(now, limits) {
            return Ok(None);
        }
        let found = Arc::new(Mutex::new(Known { login, looked_at: now, noted, place: Place::Table }));
        let _turn = self.forgetting.lock();
        if self.forgotten.load(Ordering::Acquire) == forgotten {
            self.known.insert(Arc::clone(digest), Arc::clone(&found));
        }
        Ok(Some((found, true)))
    }

    /// The logins of an account that are in force, the one used last first.
    pub(super) async fn of(&self, account: &str, now: Timestamp, limits: &Limits) -> Result<Vec<BrowserLogin>, Error> {
        let mut logins = Vec::new();
        for (digest, mut login) in self.table.of(account).await? {
            if let Some(known) = self.known.get(digest.as_str()) {
                login.used = login.used.max(known.lock().login.used);
            }
            logins.push(login);
        }
        logins.retain(|login| !login.is_over(now, limits));
        logins.sort_by_key(|login| std::cmp::Reverse(login.used));
        Ok(logins)
    }

    /// Ends logins of an account; how many there were.
    pub(super) async fn end(&self, account: &str, which: Ending) -> Result<u64, Error> {
        let mut in_memory = 0;
        self.forget(|known| {
            let ends = match which {
                Ending::One(id) => known.login.id == id,
                Ending::AllBut(id) => known.login.id != id,
            };
            let is_meant = known.place == Place::Memory && known.login.account == account && ends;
            in_memory += u64::from(is_meant);
            is_meant
        });
        if in_memory > 0 && matches!(which, Ending::One(_)) {
            return Ok(in_memory);
        }
        let ended = self.table.end(account, which).await;
        // Also after an error: they may have ended all the same.
        self.forget(|known| known.place == Place::Table && known.login.account == account);
        Ok(ended? + in_memory)
    }

    /// Says of a login that it has passed two-factor login as it is since then.
    pub(super) async fn passed(&self, digest: &Arc<str>, since: Option<Timestamp>) -> Result<(), Error> {
        let written = self.table.passed(digest, since).await;
        self.forget_one(digest);
        written
    }

    /// The account's password has been changed by this login, which stays.
    pub(super) async fn keep_with(&self, digest: &Arc<str>, password: &str) -> Result<(), Error> {
        let written = self.table.keep_with(digest, password).await;
        self.forget_one(digest);
        written
    }

    fn forget_one(&self, digest: &str) {
        let _turn = self.forgetting.lock();
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.known.invalidate(digest);
    }

    fn forget(&self, mut meant: impl FnMut(&Known) -> bool) {
        let _turn = self.forgetting.lock();
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        for (digest, known) in &self.known {
            if meant(&known.lock()) {
                self.known.invalidate(&*digest);
            }
        }
    }
}

/// One that has just begun.
pub(super) fn begun(
    id: SessionId,
    account: String,
    password: &str,
    now: Timestamp,
    client: String,
    browser: &str,
) -> BrowserLogin {
    BrowserLogin {
        id,
        account,
        password: digest(password),
        two_factor_since: None,
        begun: now,
        used: now,
        client,
        browser: browser.chars().take(LONGEST_BROWSER).collect(),
    }
}

/// Longest name that is kept of what a browser says about itself, in characters.
const LONGEST_BROWSER: usize = 200;

#[cfg(test)]
mod tests {
    use super::super::token::fresh;
    use super::*;
    use crate::storage::database::test_database;
    use crate::storage::logins::Page;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_login_that_could_not_be_written_down_lasts_as_long_as_any_other() {
        let (_directory, database) = test_database().await;
        // As for a user of the database who may only read.
        let deny = "CREATE TRIGGER deny BEFORE INSERT ON browser_logins BEGIN SELECT RAISE(ABORT, 'denied'); END";
        database.execute(deny, &[]).await.unwrap();
        let hour = Duration::from_secs(3_600);
        let limits = Limits { idle: hour, whole: 24 * hour, per_account: 9, all: 9 };
        let pace = Pace { look_again: Duration::from_secs(10), note_every: Duration::from_secs(60) };
        let logins = Logins::new(BrowserLogins::new(database.clone(), Page::Dashboard), 9, Outage::KnownStay);
        let start = Timestamp::EPOCH + 24 * hour;
        let login = |text: &str| begun(SessionId::generate(start), "one".to_owned(), text, start, String::new(), "");
        let (first, second) = (login("a"), login("a"));
        let token = fresh().unwrap();
        logins.begin(&token, &first, &limits).await.unwrap();
        let other = fresh().unwrap();
        logins.begin(&other, &second, &limits).await.unwrap();
        let used = async |token: &str, after: Duration| logins.used(token, start + after, &limits, pace).await.unwrap();
        assert!(used(&token, Duration::from_secs(5)).await.is_some_and(|session| !session.is_fresh));
        assert!(used(&token, Duration::from_secs(15)).await.is_some_and(|session| session.is_fresh));
        assert!(used(&token, hour).await.is_some());
        assert!(used(&other, hour).await.is_none(), "nobody has used it for an hour");
        let third = login("a");
        let other = fresh().unwrap();
        logins.begin(&other, &third, &limits).await.unwrap();
        assert_eq!(logins.end("one", Ending::One(first.id)).await.unwrap(), 1);
        assert!(used(&token, Duration::from_secs(1)).await.is_none());
        assert!(used(&other, Duration::from_secs(1)).await.is_some());
        database.close().await;
    }
}
