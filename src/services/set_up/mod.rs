//! Set-up links: how users get their first password, or a new one, without anybody else knowing it.
//!
//! An administrator makes a link ([`invite`]) and passes it on; the page it leads to sets the password ([`SetUp`]).
//! Promises: a link works once, until it ends, and no longer once the password has been set in any other way; tokens are
//! neither stored nor logged; a password set here belongs to the user, so that no declaration overwrites it. Called by the
//! command line and by `protocols::web::site`. Each password set is an event.

mod error;
mod settings;
mod token;

use std::time::Duration;

pub use error::Error;
pub use settings::SetUpSettings;
pub use token::Token;

use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::Peer;
use crate::foundations::secret::Secret;
use crate::foundations::settings::Live;
use crate::services::login::Login;
use crate::storage::directory::{Directory, PasswordOwner};
use crate::storage::journal::Journal;

/// Where the page is, below the address of the site.
pub const PATH: &str = "/set-up/";

/// Makes a link for a user; an earlier one is no longer good. Returns its token and when it ends.
///
/// # Errors
/// There is no such user, the database fails, or the system gives no random numbers.
pub async fn invite(directory: &Directory, address: &Address, valid: Duration) -> Result<(Token, Timestamp), Error> {
    let token = Token::random()?;
    let mut edit = directory.edit().await?;
    let ends_at = edit.give_set_up_link(address, &token.digest(), valid).await?;
    edit.commit().await?;
    Ok((token, ends_at))
}

/// The page's side.
#[derive(Clone)]
pub struct SetUp {
    /// Accounts and links.
    pub directory: Directory,
    /// Who hashes.
    pub login: Login,
    /// Where it is written down.
    pub journal: Journal,
    /// What is asked of passwords.
    pub settings: Live<SetUpSettings>,
    /// The time.
    pub clock: SharedClock,
}

impl SetUp {
    /// Whose password a link sets.
    ///
    /// # Errors
    /// [`Error::NotGood`], or the database fails.
    pub async fn whose(&self, token: &str) -> Result<Address, Error> {
        let token = Token::parse(token).ok_or(Error::NotGood)?;
        self.directory.set_up_link(&token.digest()).await?.ok_or(Error::NotGood)
    }

    /// Sets the password and uses the link up. A password that is not taken leaves the link as it is.
    ///
    /// # Errors
    /// The link is not good, the password is not taken, or something fails for now.
    pub async fn set(&self, token: &str, password: Secret<String>, peer: &Peer) -> Result<Address, Error> {
        // First the link: only those with a good one may have passwords hashed.
        self.whose(token).await?;
        let least = self.settings.get().shortest_password;
        if password.expose().chars().count() < least as usize {
            return Err(Error::TooShort(least));
        }
        let hash = self.login.hash(password).await.map_err(Error::Refused)?;
        let digest = Token::parse(token).ok_or(Error::NotGood)?.digest();
        let mut edit = self.directory.edit().await?;
        let address = edit.use_set_up_link(&digest).await?.ok_or(Error::NotGood)?;
        edit.set_password(&address, &hash, PasswordOwner::User).await?;
        edit.commit().await?;
        let event = Event::new(self.clock.now(), EventKind::AccountChanged).subject(address.to_string());
        let event = event.with("by", "set-up-link").with("peer", peer.to_string());
        self.journal.record(event.with("change", format!("{address} has chosen a password")));
        Ok(address)
    }
}
