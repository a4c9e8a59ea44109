//! Tokens of logins, and the cookies that carry them.

use std::time::Duration;

use aws_lc_rs::digest::SHA256;

use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::random::{self, NoRandomness};

/// A new token.
pub(super) fn fresh() -> Result<String, NoRandomness> {
    Ok(hexadecimal(&random::octets::<32>()?))
}

/// The tokens in a Cookie field (RFC 6265 §5.4). There may be several of one name.
pub(super) fn tokens<'c>(name: &'static str, cookies: &'c str) -> impl Iterator<Item = &'c str> {
    cookies.split(';').filter_map(|pair| pair.trim().split_once('=')).filter(move |(is, _)| *is == name).map(|(_, v)| v)
}

/// The tokens of all cookies whose names begin so.
pub(super) fn tokens_under<'c>(prefix: &'static str, cookies: &'c str) -> impl Iterator<Item = &'c str> {
    let pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(name, _)| name.starts_with(prefix)).map(|(_, token)| token)
}

/// The Set-Cookie field for a token; an empty one takes the cookie away.
pub(super) fn cookie(name: &str, token: &str, length: Duration, encrypted: bool) -> String {
    let age = if token.is_empty() { 0 } else { length.as_secs() };
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{name}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

/// Whether this could be a token of ours, so that nobody has the database search for nonsense.
pub(super) fn is_token(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// SHA-256 in hexadecimal: a look-up by it says nothing about tokens by the time it takes.
pub(super) fn digest(text: &str) -> String {
    hexadecimal(aws_lc_rs::digest::digest(&SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read() {
        assert!(is_token(&fresh().unwrap()) && !is_token("x") && !is_token(&"x".repeat(64)));
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let found: Vec<&str> = tokens("name", "a=b; name=x;name=y; c").collect();
        assert_eq!(found, ["x", "y"]);
        assert!(
            cookie("name", "x", Duration::from_secs(5), true).ends_with("Max-Age=5; HttpOnly; SameSite=Strict; Secure")
        );
        assert!(cookie("name", "", Duration::from_secs(5), false).contains("Max-Age=0;"));
    }
}
