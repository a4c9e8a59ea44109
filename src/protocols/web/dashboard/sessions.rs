//! Who has logged in.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::foundations::clock::Timestamp;
use crate::protocols::web::token::{fresh, key};

/// The logins that are in force. Only hashes of their tokens are kept.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Timestamp>>);

/// Where browsers keep a token.
pub(super) const COOKIE: &str = "postrider_dashboard";

impl Sessions {
    /// Begins one and returns its token; `None` without a source of randomness. Beyond `most`, the oldest ends.
    pub(super) fn begin(&self, now: Timestamp, length: Duration, most: usize) -> Option<String> {
        let token = fresh()?;
        let mut sessions = self.0.lock();
        sessions.retain(|_, until| *until > now);
        while sessions.len() >= most.max(1) {
            let oldest = sessions.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)?;
            sessions.remove(&oldest);
        }
        sessions.insert(key(&token), now + length);
        Some(token)
    }

    /// Whether a token stands for a login in force.
    pub(super) fn has(&self, token: &str, now: Timestamp) -> bool {
        self.0.lock().get(&key(token)).is_some_and(|until| *until > now)
    }

    /// Ends one.
    pub(super) fn end(&self, token: &str) {
        self.0.lock().remove(&key(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begin_and_end() {
        let (sessions, hour) = (Sessions::default(), Duration::from_secs(3_600));
        let at = |seconds| Timestamp::from_unix_seconds(seconds);
        let first = sessions.begin(at(0), hour, 2).unwrap();
        let second = sessions.begin(at(1), hour, 2).unwrap();
        assert!(sessions.has(&first, at(2)) && sessions.has(&second, at(2)) && !sessions.has("", at(2)));
        let third = sessions.begin(at(2), hour, 2).unwrap();
        assert!(!sessions.has(&first, at(3)), "the oldest makes room");
        sessions.end(&second);
        assert!(!sessions.has(&second, at(3)));
        assert!(sessions.has(&third, at(3_601)) && !sessions.has(&third, at(3_602)), "it ends by itself");
    }
}
