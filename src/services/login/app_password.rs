//! Passwords of single devices: made here, never chosen.

use aws_lc_rs::digest::{SHA256, digest};

use crate::foundations::clock::Timestamp;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::random::{self, NoRandomness};
use crate::foundations::secret::Secret;
use crate::services::guard::Service;
use crate::storage::directory::Scope;

/// Lower-case letters and digits without those that are taken for each other: 32, so that each stands for five bits.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of a password: 100 bits.
const PASSWORD: usize = 20;
/// Characters of a recovery code: 80 bits.
const RECOVERY_CODE: usize = 16;

/// A password or code that was generated here, without the hyphens between its groups, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GeneratedSecret(Secret<String>);

impl GeneratedSecret {
    /// A new password.
    pub(super) fn password() -> Result<Self, NoRandomness> {
        fresh(PASSWORD).map(Self)
    }

    /// A new recovery code.
    pub(super) fn recovery_code() -> Result<Self, NoRandomness> {
        fresh(RECOVERY_CODE).map(Self)
    }

    /// A text that may be a password of a device. People copy them with and without what stands between the groups.
    pub(super) fn parse_password(text: &str) -> Option<Self> {
        parse(text, PASSWORD).map(Self)
    }

    /// A text that may be a recovery code.
    pub(super) fn parse_recovery_code(text: &str) -> Option<Self> {
        parse(text, RECOVERY_CODE).map(Self)
    }

    /// What is stored of it: SHA-256, in hexadecimal. Not a slow hash such as bcrypt's, which protects words that people
    /// choose and that can be guessed: these have 80 random bits or more, which nobody tries out however fast the hash is.
    /// So a device that logs in every minute costs a look-up and waits for no worker.
    pub(super) fn digest(&self) -> String {
        hexadecimal(digest(&SHA256, self.0.expose().as_bytes()).as_ref())
    }

    /// For people: groups of `length`, with hyphens between them.
    fn grouped(&self, length: usize) -> Secret<String> {
        let groups: Vec<String> = self
            .0
            .expose()
            .as_bytes()
            .chunks(length)
            .map(|group| String::from_utf8_lossy(group).into_owned())
            .collect();
        Secret::new(groups.join("-"))
    }

    /// A password for people.
    pub(super) fn shown_password(&self) -> Secret<String> {
        self.grouped(5)
    }

    /// A recovery code for people.
    pub(super) fn shown_recovery_code(&self) -> Secret<String> {
        self.grouped(4)
    }
}

fn fresh(length: usize) -> Result<Secret<String>, NoRandomness> {
    let octets = random::octets::<PASSWORD>()?;
    Ok(Secret::new(octets.iter().take(length).map(|octet| char::from(ALPHABET[usize::from(octet & 31)])).collect()))
}

fn parse(text: &str, length: usize) -> Option<Secret<String>> {
    if text.len() > 2 * length {
        return None;
    }
    let bare: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    let fits = bare.len() == length && bare.bytes().all(|octet| ALPHABET.contains(&octet));
    fits.then(|| Secret::new(bare))
}

/// What a password of a device must open for a service. Pages are opened by the password of the account; what else comes
/// over HTTP is for calendars and address books.
pub(super) const fn scope(service: Service) -> Scope {
    match service {
        Service::Imap | Service::Pop3 => Scope::Mail,
        Service::Smtp | Service::Submission | Service::Lmtp => Scope::Sending,
        Service::ManageSieve => Scope::Scripts,
        Service::Web => Scope::Dav,
    }
}

/// A password of a device as it is shown, once.
#[derive(Debug)]
pub struct MadeAppPassword {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The password, in groups.
    pub password: Secret<String>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_in_any_form() {
        assert_eq!(ALPHABET.iter().collect::<std::collections::HashSet<_>>().len(), 32);
        let made = GeneratedSecret::password().unwrap();
        let shown = made.shown_password().expose().clone();
        assert_eq!(shown.len(), 23);
        for form in [shown.clone(), shown.replace('-', ""), shown.replace('-', " "), shown.to_uppercase()] {
            assert_eq!(GeneratedSecret::parse_password(&form), Some(made.clone()), "{form}");
        }
        for other in ["", "pencil", &shown[1..], &format!("{shown}a"), "ll000-11111-ooooo-lllll"] {
            assert_eq!(GeneratedSecret::parse_password(other), None, "{other}");
        }
        assert_ne!(GeneratedSecret::password().unwrap(), made);
        let code = GeneratedSecret::recovery_code().unwrap();
        assert_eq!(code.shown_recovery_code().expose().len(), 19);
        assert_eq!(GeneratedSecret::parse_recovery_code(code.shown_recovery_code().expose()), Some(code.clone()));
        assert_eq!(GeneratedSecret::parse_password(code.shown_recovery_code().expose()), None);
        assert_eq!(code.digest().len(), 64);
    }
}
