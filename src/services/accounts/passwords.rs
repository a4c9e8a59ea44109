//! Declared passwords: what their files hold, and whether one has changed since it was applied.
//!
//! A declared hash is recognised by its SHA-256. A password declared in clear is recognised only by bcrypt, as strong as
//! the password's own hash: a quick fingerprint beside it would make guessing it cheap.

use std::collections::HashMap;
use std::path::Path;

use aws_lc_rs::digest;

use super::read::read_text;
use super::{Declaration, DeclaredPassword, DeclaredUser, Unfit};
use crate::foundations::secret::Secret;
use crate::services::login::{self, Scheme, recognise};
use crate::storage::directory::{Account, Everything, PasswordOwner};

/// More than any password or hash.
const LARGEST_SECRET: u64 = 4096;

/// What is to be done about a user's password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PasswordChange {
    /// Nothing: none is declared, or it has been applied.
    Nothing,
    /// The declared one is to be set.
    Set,
    /// It is new, but the user has one of their own: only note that it was seen.
    Note,
}

/// For each user with a password declared in clear: whether it is the one the fingerprint was made of. Takes a bcrypt
/// for each.
pub(super) type Compared = HashMap<String, (String, bool)>;

pub(super) fn compare(declaration: &Declaration, now: &Everything) -> Compared {
    let mut compared = Compared::new();
    for account in &now.accounts {
        let key = account.address.key();
        let Some(DeclaredPassword::Plain(plain)) = declaration.users.get(&key).and_then(|user| user.password.as_ref())
        else {
            continue;
        };
        if let Some(fingerprint) = &account.declared_password {
            let same = fingerprint.strip_prefix("bcrypt:").is_some_and(|hash| login::check(hash, plain) == Ok(true));
            compared.insert(key, (fingerprint.clone(), same));
        }
    }
    compared
}

pub(super) fn password_change(user: &DeclaredUser, account: &Account, compared: &Compared) -> PasswordChange {
    let Some(password) = &user.password else { return PasswordChange::Nothing };
    match &account.declared_password {
        Some(known) => {
            let same = match password {
                DeclaredPassword::Hashed(hash) => *known == fingerprint(hash),
                DeclaredPassword::Plain(_) => {
                    compared.get(&account.address.key()).is_some_and(|(seen, same)| seen == known && *same)
                }
            };
            if same { PasswordChange::Nothing } else { PasswordChange::Set }
        }
        None if account.password_owner == Some(PasswordOwner::User) => PasswordChange::Note,
        None => PasswordChange::Set,
    }
}

/// A hash to be stored, and the fingerprint of the declaration it comes from.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) hash: Secret<String>,
    pub(super) fingerprint: String,
}

/// Takes a bcrypt for a password in clear.
pub(super) fn prepare(password: &DeclaredPassword, cost: u32) -> Result<Prepared, login::Unusable> {
    match password {
        DeclaredPassword::Hashed(hash) => Ok(Prepared { hash: hash.clone(), fingerprint: fingerprint(hash) }),
        DeclaredPassword::Plain(plain) => {
            let hash = login::hash(plain, cost)?;
            let fingerprint = format!("bcrypt:{}", hash.expose());
            Ok(Prepared { hash, fingerprint })
        }
    }
}

fn fingerprint(hash: &Secret<String>) -> String {
    use std::fmt::Write as _;
    let digest = digest::digest(&digest::SHA256, hash.expose().as_bytes());
    digest.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The password in a file that is declared under this key.
pub(super) fn usable(key: &str, path: &Path) -> Result<DeclaredPassword, Unfit> {
    let text = read_text(path, LARGEST_SECRET).map_err(Unfit::Unread)?;
    let line = text.trim_end_matches(['\r', '\n']);
    if key == "hashed_password_file" {
        let scheme = recognise(line).map_err(Unfit::NoHash)?;
        return Ok(DeclaredPassword::Hashed(Secret::new(with_scheme(line, scheme))));
    }
    if line.is_empty() || line.len() > 71 || line.contains(char::is_control) {
        return Err(Unfit::NoPassword);
    }
    Ok(DeclaredPassword::Plain(Secret::new(line.to_owned())))
}

/// The hash with its scheme in front, so that other programs on the database need no default.
fn with_scheme(hash: &str, scheme: Scheme) -> String {
    if hash.starts_with('{') {
        return hash.to_owned();
    }
    let word = match scheme {
        Scheme::Bcrypt { .. } => "BLF-CRYPT",
        Scheme::Sha512Crypt => "SHA512-CRYPT",
        Scheme::Sha256Crypt => "SHA256-CRYPT",
        Scheme::Argon2id => "ARGON2ID",
        Scheme::Argon2i => "ARGON2I",
    };
    format!("{{{word}}}{hash}")
}
