//! One-time codes by the time (RFC 6238), as authenticator programs make them: HMAC-SHA-1, six digits, thirty seconds.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq as _;

use crate::foundations::clock::Timestamp;
use crate::foundations::random::{self, NoRandomness};
use crate::foundations::secret::Secret;

/// Length of a step (RFC 6238 §5.2).
const STEP: i64 = 30;
/// RFC 4226 §4, R6: 160 bits are recommended.
const LENGTH: usize = 20;
/// Steps that a user's clock may be off in either direction (RFC 6238 §6), the time to type among them.
const AROUND: i64 = 1;

/// What codes are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(Secret<Vec<u8>>);

impl Key {
    /// A new one.
    pub(super) fn random() -> Result<Self, NoRandomness> {
        Ok(Self(Secret::new(random::octets::<LENGTH>()?.to_vec())))
    }

    /// From base32 (RFC 4648 §6), as people copy it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bare: String =
            text.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).map(|c| c.to_ascii_uppercase()).collect();
        let octets = BASE32_NOPAD.decode(bare.as_bytes()).ok()?;
        // RFC 4226 §4, R6: 128 bits are the least.
        (octets.len() >= 16).then(|| Self(Secret::new(octets)))
    }

    /// From octets that were made here.
    pub(super) fn from_octets(octets: &[u8]) -> Self {
        Self(Secret::new(octets.to_vec()))
    }

    /// In base32.
    pub(super) fn text(&self) -> Secret<String> {
        Secret::new(BASE32_NOPAD.encode(self.0.expose()))
    }

    pub(super) const fn octets(&self) -> &Vec<u8> {
        self.0.expose()
    }

    /// The step whose code this is, among those of about now.
    pub(super) fn step_of(&self, code: Code, now: Timestamp) -> Option<i64> {
        let present = now.unix_seconds().div_euclid(STEP);
        (present - AROUND..=present + AROUND).find(|step| bool::from(self.code(*step).ct_eq(&code.0)))
    }

    /// RFC 4226 §5.3 with the step as the counter.
    fn code(&self, step: i64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.expose());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = tag.last().map_or(0, |last| usize::from(last & 15));
        let four = tag.get(offset..offset + 4).and_then(|four| four.try_into().ok()).unwrap_or_default();
        (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000
    }
}

/// Six digits that somebody has typed.
#[derive(Clone, Copy)]
pub(super) struct Code(u32);

impl Code {
    /// From six digits, with or without a space between them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bare: String = text.chars().filter(|c| !c.is_whitespace()).take(7).collect();
        let fits = bare.len() == 6 && bare.bytes().all(|octet| octet.is_ascii_digit());
        bare.parse().ok().filter(|_| fits).map(Self)
    }
}

/// The step of time, among those of about now, whose code this is, by a secret in base32 of at least 16 octets.
///
/// # Errors
/// That is no such secret.
pub fn one_time_step(secret: &Secret<String>, code: &str, now: Timestamp) -> Result<Option<i64>, BadSecret> {
    let key = Key::parse(secret.expose()).ok_or(BadSecret)?;
    Ok(Code::parse(code).and_then(|code| key.step_of(code, now)))
}

/// The last step of time whose code is taken now.
pub fn last_one_time_step(now: Timestamp) -> i64 {
    now.unix_seconds().div_euclid(STEP) + AROUND
}

/// An invalid secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at least 16 octets in base32 are required")]
pub struct BadSecret;

/// The address that authenticator programs read from a picture.
pub(super) fn address(key: &Key, account: &str, issuer: &str) -> Secret<String> {
    let issuer = encoded(issuer);
    Secret::new(format!(
        "otpauth://totp/{issuer}:{}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period={STEP}",
        encoded(account),
        key.text().expose()
    ))
}

/// RFC 3986 §2.1: everything but unreserved characters.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, octet| {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, of whose eight digits the last six are ours.
    #[test]
    fn the_vectors_of_the_standard() {
        let key = Key(Secret::new(b"12345678901234567890".to_vec()));
        for (seconds, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            let now = Timestamp::from_unix_seconds(seconds);
            assert_eq!(key.code(seconds / STEP), code, "{seconds}");
            assert_eq!(key.step_of(Code(code), now), Some(seconds / STEP));
            let text = format!("{code:06}");
            assert_eq!(Code::parse(&format!(" {} {} ", &text[..3], &text[3..])).map(|code| code.0), Some(code));
        }
        let now = Timestamp::from_unix_seconds(59);
        assert_eq!(key.step_of(Code(287_082), now + std::time::Duration::from_secs(30)), Some(1));
        assert_eq!(key.step_of(Code(287_082), now + std::time::Duration::from_secs(61)), None);
    }

    #[test]
    fn only_six_digits_are_a_code() {
        for bad in ["", "12345", "1234567", "12345a", "12 34 5", "１２３４５６"] {
            assert!(Code::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn keys_and_their_addresses_are_read() {
        let key = Key::parse("gezd gnbv gy3t qojq gezd gnbv gy3t qojq").unwrap();
        assert_eq!(key.octets(), b"12345678901234567890");
        assert_eq!(Key::parse(key.text().expose()), Some(key.clone()));
        assert_eq!(Key::parse("GEZDGNBV"), None);
        assert_eq!(
            address(&key, "a b@example.test", "mail.example.test").expose(),
            "otpauth://totp/mail.example.test:a%20b%40example.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&\
             issuer=mail.example.test&algorithm=SHA1&digits=6&period=30"
        );
    }
}
