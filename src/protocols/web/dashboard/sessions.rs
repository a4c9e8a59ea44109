//! Who has logged in.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

use crate::foundations::clock::Timestamp;

/// The logins that are in force. Only hashes of their tokens are kept.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Timestamp>>);

/// Where browsers keep a token.
const COOKIE: &str = "postrider_dashboard";

impl Sessions {
    /// Begins one and returns its token; `None` without a source of randomness. Beyond `most`, the oldest ends.
    pub(super) fn begin(&self, now: Timestamp, length: Duration, most: usize) -> Option<String> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let token: String = random.iter().map(|octet| format!("{octet:02x}")).collect();
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

/// The tokens in a Cookie field (RFC 6265 §5.4). There may be several of one name.
pub(super) fn tokens(cookies: &str) -> impl Iterator<Item = &str> {
    cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, v)| v)
}

/// The Set-Cookie field for a token; an empty one takes the cookie away.
pub(super) fn cookie(token: &str, length: Duration, encrypted: bool) -> String {
    let age = if token.is_empty() { 0 } else { length.as_secs() };
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

/// A look-up by the hash says nothing about tokens by the time it takes.
fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
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

    #[test]
    fn cookies_are_read() {
        let found: Vec<&str> = tokens("a=b; postrider_dashboard=x;postrider_dashboard=y; c").collect();
        assert_eq!(found, ["x", "y"]);
        assert!(cookie("x", Duration::from_secs(5), true).ends_with("Max-Age=5; HttpOnly; SameSite=Strict; Secure"));
        assert!(cookie("", Duration::from_secs(5), false).contains("Max-Age=0;"));
    }
}
