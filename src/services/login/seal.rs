//! Secrets of second factors at rest: sealed under a key from a file where one is set, else as they are.

use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::totp::Key;
use crate::foundations::address::Address;
use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::foundations::random::NoRandomness;
use crate::foundations::secret::Secret;

/// Shortest content of the key's file, in octets, without what ends its line.
const SHORTEST: usize = 32;
/// Longest.
const LONGEST: u64 = 4 << 10;

/// Why a secret cannot be sealed or read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key's file cannot be read.
    #[error("the key of login.two_factor_key_file cannot be read: {0}")]
    File(#[from] files::Error),
    /// It is too short to be a key.
    #[error("the file of login.two_factor_key_file holds less than 32 octets; `openssl rand -base64 32` makes a key")]
    Short,
    /// A secret is sealed, and no key is set.
    #[error("the secret of this account is sealed, but login.two_factor_key_file is not set")]
    NoKey,
    /// It was sealed under another key, or for another account, or is damaged.
    #[error("the secret of this account was sealed under another key, or is damaged")]
    Damaged,
    /// The system gives no random numbers.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl SealError {
    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Short | Self::NoKey => Kind::Invalid,
            Self::Damaged => Kind::Corrupt,
            Self::Randomness(_) => Kind::Temporary,
        }
    }
}

/// The key of a file. Never on an async thread.
///
/// # Errors
/// The file cannot be read or is too short.
pub fn read_key(path: &Path) -> Result<Secret<Vec<u8>>, SealError> {
    let content = files::read_bounded(path, LONGEST)?;
    let content = content.trim_ascii();
    if content.len() < SHORTEST {
        return Err(SealError::Short);
    }
    // Whatever the form of the content, the cipher wants 32 octets.
    Ok(Secret::new(digest(&SHA256, content).as_ref().to_vec()))
}

fn cipher(key: &Secret<Vec<u8>>) -> Result<RandomizedNonceKey, SealError> {
    RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(|_| SealError::Damaged)
}

/// A secret as it is stored for an account.
pub(super) fn seal(key: &Key, account: &str, under: Option<&Secret<Vec<u8>>>) -> Result<Secret<String>, SealError> {
    let Some(under) = under else { return Ok(Secret::new(format!("{PLAIN}{}", key.text().expose()))) };
    let mut octets = key.octets().clone();
    // Bound to the account, so that nobody who writes the table gives one user's secret to another.
    let nonce = cipher(under)?
        .seal_in_place_append_tag(Aad::from(account.as_bytes()), &mut octets)
        .map_err(|_| NoRandomness)?;
    let whole = [nonce.as_ref().as_slice(), &octets].concat();
    Ok(Secret::new(format!("{SEALED}{}", STANDARD.encode(whole))))
}

/// The secret that is stored for an account.
pub(super) fn open(stored: &str, account: &str, under: Option<&Secret<Vec<u8>>>) -> Result<Key, SealError> {
    if let Some(plain) = stored.strip_prefix(PLAIN) {
        return Key::parse(plain).ok_or(SealError::Damaged);
    }
    let sealed = stored.strip_prefix(SEALED).ok_or(SealError::Damaged)?;
    let under = under.ok_or(SealError::NoKey)?;
    let mut whole = STANDARD.decode(sealed).map_err(|_| SealError::Damaged)?;
    if whole.len() < NONCE_LEN {
        return Err(SealError::Damaged);
    }
    let mut octets = whole.split_off(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(&whole).map_err(|_| SealError::Damaged)?;
    let opened = cipher(under)?
        .open_in_place(nonce, Aad::from(account.as_bytes()), &mut octets)
        .map_err(|_| SealError::Damaged)?;
    Ok(Key::from_octets(opened))
}

/// A stored secret as it is stored when its account has another address, for which it has to be sealed anew. Never on an
/// async thread: where it is sealed, the key's file is read.
///
/// # Errors
/// It is sealed, and the key cannot be read or is another one.
pub fn reseal(
    stored: &Secret<String>,
    from: &Address,
    to: &Address,
    key_file: Option<&Path>,
) -> Result<Secret<String>, SealError> {
    if !stored.expose().starts_with(SEALED) {
        return Ok(stored.clone());
    }
    let under = read_key(key_file.ok_or(SealError::NoKey)?)?;
    seal(&open(stored.expose(), &from.key(), Some(&under))?, &to.key(), Some(&under))
}

const PLAIN: &str = "plain:";
const SEALED: &str = "aes-256-gcm:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_under_the_same_key_only() {
        let key = Key::random().unwrap();
        let (one, other) = (Secret::new(vec![1; 32]), Secret::new(vec![2; 32]));
        let sealed = seal(&key, "ann@example.test", Some(&one)).unwrap();
        assert!(!sealed.expose().contains(key.text().expose()) && sealed.expose().len() < 255);
        assert_eq!(open(sealed.expose(), "ann@example.test", Some(&one)).unwrap(), key);
        for (account, under) in
            [("bob@example.test", Some(&one)), ("ann@example.test", Some(&other)), ("ann@example.test", None)]
        {
            assert!(open(sealed.expose(), account, under).is_err(), "{account}");
        }
        let plain = seal(&key, "ann@example.test", None).unwrap();
        assert_eq!(open(plain.expose(), "ann@example.test", Some(&one)).unwrap(), key, "from before there was a key");
        for damaged in ["", "plain:", "aes-256-gcm:AAAA", "aes-256-gcm:???", &sealed.expose()[..40]] {
            assert!(open(damaged, "ann@example.test", Some(&one)).is_err(), "{damaged}");
        }
    }

    #[test]
    fn what_is_sealed_goes_along_to_another_address() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "k".repeat(32)).unwrap();
        let (key, under) = (Key::random().unwrap(), read_key(&path).unwrap());
        let (ann, anna): (Address, Address) = ("Ann@a.test".parse().unwrap(), "anna@b.test".parse().unwrap());
        let sealed = seal(&key, &ann.key(), Some(&under)).unwrap();
        let moved = reseal(&sealed, &ann, &anna, Some(&path)).unwrap();
        assert_eq!(open(moved.expose(), &anna.key(), Some(&under)).unwrap(), key);
        assert!(open(moved.expose(), &ann.key(), Some(&under)).is_err());
        assert!(matches!(reseal(&sealed, &ann, &anna, None), Err(SealError::NoKey)));
        assert!(matches!(reseal(&sealed, &anna, &ann, Some(&path)), Err(SealError::Damaged)));
        let plain = seal(&key, &ann.key(), None).unwrap();
        assert_eq!(reseal(&plain, &ann, &anna, None).unwrap(), plain);
    }

    #[test]
    fn keys_come_from_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(matches!(read_key(&path), Err(SealError::File(_))));
        std::fs::write(&path, "short\n").unwrap();
        assert!(matches!(read_key(&path), Err(SealError::Short)));
        std::fs::write(&path, format!("{}\n", "k".repeat(32))).unwrap();
        let first = read_key(&path).unwrap();
        std::fs::write(&path, "k".repeat(32)).unwrap();
        assert_eq!(read_key(&path).unwrap(), first, "what ends the line is no part of it");
    }
}
