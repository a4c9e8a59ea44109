//! Making and revoking passwords of devices, and turning second factors off: for users and administrators alike.

use super::app_password::{GeneratedSecret, MadeAppPassword};
use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Kind;
use crate::foundations::random::NoRandomness;
use crate::storage::directory::{self, AppPassword, Directory, NewAppPassword, Scopes};
use crate::storage::journal::Journal;

/// Why a password of a device was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The directory failed, or does not have it.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The system gives no random numbers.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl KeyError {
    /// The kind, for those who answer a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Directory(error) => error.kind(),
            Self::Randomness(_) => Kind::Temporary,
        }
    }
}

/// The password of a device that somebody wants.
#[derive(Debug)]
pub struct AppPasswordWish {
    /// What the user calls it.
    pub name: String,
    /// What it is good for.
    pub scopes: Scopes,
    /// When it ends, if it does.
    pub ends_at: Option<Timestamp>,
}

/// What lets users in besides their password. Every change is an event.
#[derive(Clone)]
pub struct Keyring {
    /// Where they are kept.
    pub directory: Directory,
    /// Where changes are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

impl Keyring {
    /// Makes a password of a device, which is shown now and never again. A user may have at most `most`.
    ///
    /// # Errors
    /// There is no such user, the name is in use or none, there are too many, or something fails.
    pub async fn add(
        &self,
        address: &Address,
        wish: AppPasswordWish,
        most: u32,
        by: &'static str,
    ) -> Result<MadeAppPassword, KeyError> {
        let AppPasswordWish { name, scopes, ends_at } = wish;
        let made = GeneratedSecret::password()?;
        let new = NewAppPassword { name, digest: made.digest(), scopes, ends_at };
        let mut edit = self.directory.edit().await?;
        let kept = edit.add_app_password(address, &new, most).await?;
        edit.commit().await?;
        self.record(address, "made", &kept, by);
        let (id, name, ends_at) = (kept.id, kept.name, kept.ends_at);
        Ok(MadeAppPassword { id, name, password: made.shown_password(), ends_at })
    }

    /// Revokes the password of a device with this name or number. Sessions that it has opened end.
    ///
    /// # Errors
    /// There is no such user or password, or the database fails.
    pub async fn revoke(&self, address: &Address, which: &str, by: &'static str) -> Result<AppPassword, KeyError> {
        let mut edit = self.directory.edit().await?;
        let gone = edit.revoke_app_password(address, which).await?;
        edit.commit().await?;
        self.record(address, "revoked", &gone, by);
        Ok(gone)
    }

    /// Turns two-factor login of an account off; whether it was on.
    ///
    /// # Errors
    /// There is no such user, or the database fails.
    pub async fn turn_off_two_factor(&self, address: &Address, by: &'static str) -> Result<bool, KeyError> {
        let mut edit = self.directory.edit().await?;
        let was_on = edit.remove_two_factor(address).await?;
        edit.commit().await?;
        if was_on {
            let event = Event::new(self.clock.now(), EventKind::TwoFactor).subject(address.to_string());
            self.journal.record(event.with("change", "turned off").with("by", by));
        }
        Ok(was_on)
    }

    fn record(&self, address: &Address, change: &'static str, password: &AppPassword, by: &'static str) {
        let event = Event::new(self.clock.now(), EventKind::AppPassword).subject(address.to_string());
        let event = event.with("change", change).with("name", password.name.clone()).with("by", by);
        self.journal.record(event.with("scopes", password.scopes.to_string()));
    }
}
