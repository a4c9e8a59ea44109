//! Browsers that need no code for some time, because their user asked for that.
//!
//! What a browser keeps is a second thing that somebody has, besides the device that makes codes: a token of 256 random
//! bits, found by its digest. It alone lets nobody in, for the password is asked for first; and it does not allow
//! changes to what protects the account ([`Login::confirm`]), for which a browser left open must not be enough. NIST SP
//! 800-63B asks for an authenticator at every login of its second level: a site that follows it sets
//! `login.two_factor_remember` to 0.

use aws_lc_rs::digest::{SHA256, digest};

use super::second_factor::refused;
use super::verify::Inner;
use super::{KeyError, Keyring, Login, LoginAttempt, LoginSettings};
use crate::foundations::address::Address;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Refusal;
use crate::foundations::hexadecimal::hexadecimal;
use crate::storage::directory::{self, Account, RememberedBrowser, RememberedFor};

/// What a remembered browser of this account is bound to; `None` when none is remembered or needs to be.
pub fn remembered_for(account: &Account, settings: &LoginSettings) -> Option<RememberedFor> {
    let time = settings.two_factor_remember.duration();
    let two_factor_since = account.two_factor_since.filter(|_| !time.is_zero())?;
    let password = digest(&SHA256, account.password.expose().as_bytes());
    let password = hexadecimal(password.as_ref());
    Some(RememberedFor { user_id: account.id, password, two_factor_since, time })
}

impl Login {
    /// Remembers a browser that has shown a code for this account; whether that is wanted here.
    ///
    /// # Errors
    /// Something fails for now.
    pub async fn remember_browser(&self, account: &Account, browser: &RememberedBrowser) -> Result<bool, Refusal> {
        let (inner, settings) = (&self.0, self.settings());
        let Some(of) = remembered_for(account, &settings) else { return Ok(false) };
        let kept = async {
            let mut edit = inner.directory.edit().await?;
            edit.remember_browser(&of, browser, settings.two_factor_browsers).await?;
            edit.commit().await
        };
        kept.await.map_err(refused)?;
        let event = Event::new(inner.clock.now(), EventKind::TwoFactor).subject(account.address.to_string());
        let event = event.with("change", "browser remembered").with("browser", browser.browser.clone());
        inner.journal.record(event.with("client", browser.client.clone()));
        Ok(true)
    }
}

impl Inner {
    /// Whether one of these digests is of the token of a browser that needs no code.
    pub(super) async fn is_remembered(
        &self,
        attempt: &LoginAttempt,
        account: &Account,
        browsers: &[String],
    ) -> Result<bool, Refusal> {
        let Some(of) = remembered_for(account, &self.settings.get()) else { return Ok(false) };
        let client = attempt.peer.ip().map_or_else(|| attempt.peer.to_string(), |ip| ip.to_string());
        for digest in browsers {
            if self.directory.use_remembered_browser(&of, digest, &client).await.map_err(refused)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Keyring {
    /// The browsers that need no code for an account, the one used last first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn browsers(
        &self,
        account: &Account,
        settings: &LoginSettings,
    ) -> Result<Vec<RememberedBrowser>, directory::Error> {
        match remembered_for(account, settings) {
            Some(of) => self.directory.remembered_browsers(&of).await,
            None => Ok(Vec::new()),
        }
    }

    /// Forgets all browsers of an account, or the one with this name: a code is asked for there again. How many there were.
    ///
    /// # Errors
    /// There is no such user, or the database fails.
    pub async fn forget_browsers(
        &self,
        address: &Address,
        id: Option<&str>,
        by: &'static str,
    ) -> Result<u64, KeyError> {
        let mut edit = self.directory.edit().await?;
        let forgotten = edit.forget_browsers(address, id).await?;
        edit.commit().await?;
        if forgotten > 0 {
            let event = Event::new(self.clock.now(), EventKind::TwoFactor).subject(address.to_string());
            let event = event.with("change", "browsers forgotten").with("by", by);
            self.journal.record(event.with("forgotten", forgotten));
        }
        Ok(forgotten)
    }
}
