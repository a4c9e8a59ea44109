//! Who has signed in.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::SessionId;
use crate::protocols::web::token::{fresh, key};

/// The logins that are in force. Only hashes of their tokens are kept.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

/// Where browsers keep a token.
pub(super) const COOKIE: &str = "postrider_webmail";

/// One login.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Its name in events, and for ending it from another browser.
    pub(super) id: SessionId,
    /// Whose it is.
    pub(super) account: Address,
    /// The hash of the stored password it was made with: another password ends it.
    pub(super) password: [u8; 32],
    /// Since when two-factor login was on for the account when it passed: if it was turned on later, the login has to be made
    /// anew.
    pub(super) two_factor_since: Option<Timestamp>,
    /// When it began.
    pub(super) begun: Timestamp,
    /// When it was used last.
    pub(super) used: Timestamp,
    /// Where from, and with what, as the browser says.
    pub(super) client: String,
    pub(super) browser: String,
}

/// How long and how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) idle: Duration,
    pub(super) whole: Duration,
    pub(super) per_user: usize,
    pub(super) all: usize,
}

impl Session {
    fn is_over(&self, now: Timestamp, limits: &Limits) -> bool {
        self.used + limits.idle <= now || self.begun + limits.whole <= now
    }
}

impl Sessions {
    /// Begins one and returns its token; `None` without a source of randomness. Beyond the limits, those unused for
    /// longest end.
    pub(super) fn begin(&self, session: Session, limits: &Limits) -> Option<String> {
        let token = fresh()?;
        let now = session.used;
        let mut sessions = self.0.lock();
        sessions.retain(|_, session| !session.is_over(now, limits));
        let own = |of: &Session| of.account.key() == session.account.key();
        while sessions.values().filter(|of| own(of)).count() >= limits.per_user.max(1) {
            end_oldest(&mut sessions, own);
        }
        while sessions.len() >= limits.all.max(1) {
            end_oldest(&mut sessions, |_| true);
        }
        sessions.insert(key(&token), session);
        Some(token)
    }

    /// Says of a login that it has passed two-factor login as it is since then.
    pub(super) fn passed(&self, id: SessionId, since: Option<Timestamp>) {
        let mut sessions = self.0.lock();
        if let Some(session) = sessions.values_mut().find(|session| session.id == id) {
            session.two_factor_since = since;
        }
    }

    /// The login that a token stands for, and marks it as used.
    pub(super) fn used(&self, token: &str, now: Timestamp, limits: &Limits) -> Option<Session> {
        let mut sessions = self.0.lock();
        let session = sessions.get_mut(&key(token)).filter(|session| !session.is_over(now, limits))?;
        session.used = now;
        Some(session.clone())
    }

    /// Whether a login is still in force, without using it.
    pub(super) fn is_in_force(&self, id: SessionId, now: Timestamp, limits: &Limits) -> bool {
        self.0.lock().values().any(|session| session.id == id && !session.is_over(now, limits))
    }

    /// The logins of an account, the one used last first.
    pub(super) fn of(&self, account: &Address, now: Timestamp, limits: &Limits) -> Vec<Session> {
        let sessions = self.0.lock();
        let own = |session: &&Session| session.account.key() == account.key() && !session.is_over(now, limits);
        let mut own: Vec<Session> = sessions.values().filter(own).cloned().collect();
        own.sort_by_key(|session| std::cmp::Reverse(session.used));
        own
    }

    /// Ends those logins of an account that are meant; how many there were.
    pub(super) fn end(&self, account: &Address, meant: impl Fn(&Session) -> bool) -> usize {
        let mut sessions = self.0.lock();
        let before = sessions.len();
        sessions.retain(|_, session| session.account.key() != account.key() || !meant(session));
        before - sessions.len()
    }

    /// The account's password has been changed by this login, which stays.
    pub(super) fn keep_with(&self, id: SessionId, password: [u8; 32]) {
        if let Some(session) = self.0.lock().values_mut().find(|session| session.id == id) {
            session.password = password;
        }
    }
}

fn end_oldest(sessions: &mut HashMap<[u8; 32], Session>, among: impl Fn(&Session) -> bool) {
    let oldest = sessions.iter().filter(|(_, session)| among(session)).min_by_key(|(_, session)| session.used);
    if let Some(oldest) = oldest.map(|(key, _)| *key) {
        sessions.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn session(account: &str, seconds: i64) -> Session {
        Session {
            id: SessionId::generate(at(seconds)),
            account: account.parse().unwrap(),
            password: [0; 32],
            two_factor_since: None,
            begun: at(seconds),
            used: at(seconds),
            client: String::new(),
            browser: String::new(),
        }
    }

    #[test]
    fn they_end() {
        let (sessions, second) = (Sessions::default(), Duration::from_secs(1));
        let limits = Limits { idle: second * 10, whole: second * 25, per_user: 2, all: 3 };
        let first = sessions.begin(session("ann@example.test", 0), &limits).unwrap();
        assert!(sessions.used(&first, at(9), &limits).is_some());
        assert!(sessions.used(&first, at(18), &limits).is_some(), "use prolongs it");
        assert!(sessions.used("", at(18), &limits).is_none());
        assert!(sessions.used(&first, at(25), &limits).is_none(), "not without end");
        let bob = sessions.begin(session("bob@example.test", 30), &limits).unwrap();
        let tokens: Vec<String> =
            (31..34).map(|n| sessions.begin(session("Ann@example.test", n), &limits).unwrap()).collect();
        assert!(sessions.used(&tokens[0], at(34), &limits).is_none(), "the third of an account ends the first");
        assert!(sessions.used(&bob, at(34), &limits).is_some() && sessions.used(&tokens[2], at(34), &limits).is_some());
        let ann = "ann@example.test".parse().unwrap();
        assert_eq!(sessions.of(&ann, at(34), &limits).len(), 2);
        let kept = sessions.used(&tokens[2], at(34), &limits).unwrap().id;
        assert_eq!(sessions.end(&ann, |session| session.id != kept), 1);
        assert!(sessions.is_in_force(kept, at(35), &limits) && !sessions.is_in_force(kept, at(50), &limits));
    }
}
