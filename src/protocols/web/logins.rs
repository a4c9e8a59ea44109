//! Who has signed in: the table of logins, and what is remembered of it for a moment.
//!
//! A request asks the database only when what is known of its login is older than `look_again`; so a login that another
//! process has ended goes on for that long at most. One that was ended here ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::token::{digest, fresh, is_token};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::SessionId;
use crate::services::login::LoginSettings;
use crate::storage::database::Error;
use crate::storage::logins::{BrowserLogin, BrowserLogins, Ending, Limits};

/// How exactly it is looked and written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// For how long what was looked up may be believed.
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
    /// Whoever is known stays, and logins begin in memory: the page shows that the database is away.
    KnownStay,
}

/// The logins to one page.
#[derive(Debug)]
pub(super) struct Logins {
    table: BrowserLogins,
    outage: Outage,
    known: moka::sync::Cache<Arc<str>, Arc<Mutex<Known>>>,
    /// How often something was forgotten: what was read before must not be remembered after it.
    forgotten: AtomicU64,
    forgetting: Mutex<()>,
}

#[derive(Debug)]
struct Known {
    login: BrowserLogin,
    looked_at: Timestamp,
    noted: Timestamp,
}

impl Logins {
    /// The logins in a table, of which so many are remembered.
    pub(super) fn new(table: BrowserLogins, remembered: u32, outage: Outage) -> Self {
        let known = moka::sync::Cache::new(remembered.max(1).into());
        Self { table, outage, known, forgotten: AtomicU64::new(0), forgetting: Mutex::new(()) }
    }

    /// Begins one and returns its token; `None` without a source of randomness.
    pub(super) async fn begin(&self, login: &BrowserLogin, limits: &Limits) -> Result<Option<String>, Error> {
        let Some(token) = fresh() else { return Ok(None) };
        let key = digest(&token);
        match self.table.begin(&key, login, limits).await {
            // Others have had to make room.
            Ok(ended) => ended.iter().for_each(|digest| self.forget_one(digest)),
            Err(error) if self.outage == Outage::KnownStay => {
                log::warn!(cause:% = error; "A browser's login could not be written down; it ends when the database is back");
                let (looked_at, noted) = (login.used, login.used);
                let known = Known { login: login.clone(), looked_at, noted };
                self.known.insert(key.into(), Arc::new(Mutex::new(known)));
            }
            Err(error) => return Err(error),
        }
        Ok(Some(token))
    }

    /// The login that a token stands for, and marks it as used.
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
            let must_note = now.since(known.noted) >= pace.note_every;
            if must_note {
                known.noted = now;
            }
            (known.login.clone(), must_note)
        };
        if must_note && let Err(error) = self.table.note_use(&digest, now).await {
            log::warn!(cause:% = error; "The use of a browser's login could not be written down");
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
            let (is_over, looked_at) = {
                let known = known.lock();
                (known.login.is_over(now, limits), known.looked_at)
            };
            // A clock that was set back must not make an answer live for ever.
            if !is_over && looked_at <= now && now.since(looked_at) < pace.look_again {
                return Ok(Some((Arc::clone(known), false)));
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
        let found = Arc::new(Mutex::new(Known { login, looked_at: now, noted }));
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
        let ended = self.table.end(account, which).await;
        // Also after an error: they may have ended all the same.
        self.forget(|login| login.account == account);
        ended
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

    fn forget(&self, meant: impl Fn(&BrowserLogin) -> bool) {
        let _turn = self.forgetting.lock();
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        for (digest, known) in &self.known {
            if meant(&known.lock().login) {
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

/// Of what a browser says about itself, in characters.
const LONGEST_BROWSER: usize = 200;
