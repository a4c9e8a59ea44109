//! Tokens of logins, and the cookies that carry them.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

/// A new token; `None` without a source of randomness.
pub(super) fn fresh() -> Option<String> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(random.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// The tokens in a Cookie field (RFC 6265 §5.4). There may be several of one name.
pub(super) fn tokens<'c>(name: &'static str, cookies: &'c str) -> impl Iterator<Item = &'c str> {
    cookies.split(';').filter_map(|pair| pair.trim().split_once('=')).filter(move |(is, _)| *is == name).map(|(_, v)| v)
}

/// The Set-Cookie field for a token; an empty one takes the cookie away.
pub(super) fn cookie(name: &str, token: &str, length: Duration, encrypted: bool) -> String {
    let age = if token.is_empty() { 0 } else { length.as_secs() };
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{name}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

/// A look-up by the hash says nothing about tokens by the time it takes.
pub(super) fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read() {
        let found: Vec<&str> = tokens("name", "a=b; name=x;name=y; c").collect();
        assert_eq!(found, ["x", "y"]);
        assert!(
            cookie("name", "x", Duration::from_secs(5), true).ends_with("Max-Age=5; HttpOnly; SameSite=Strict; Secure")
        );
        assert!(cookie("name", "", Duration::from_secs(5), false).contains("Max-Age=0;"));
    }
}
