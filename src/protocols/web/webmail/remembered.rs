//! Remembered browsers, which are rarely asked for a one-time code.
//!
//! Each account has its own cookie in a browser, so that several people may use one. Signing out removes the login's cookie;
//! this one stays, since it only spares a code to somebody who knows the password.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::door::Reader;
use super::reasons;
use super::security::BY;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::token::{cookie, digest, fresh, is_token, tokens_under};
use crate::services::login::LoginSettings;
use crate::storage::directory::{Account, RememberedBrowser};
use crate::storage::logins::BrowserLogin;

/// For how many days browsers may be remembered; 0 is not at all.
pub(super) fn days(settings: &LoginSettings) -> u64 {
    settings.two_factor_remember.duration().as_secs().div_ceil(86_400)
}

/// The prefixes of the cookies' names; see [`cookie_name`](super::door::cookie_name) for why there are two.
const fn prefix(caller: &Caller) -> &'static str {
    if caller.is_encrypted { "__Host-postrider_known_" } else { "postrider_known_" }
}

/// Digests of the tokens by which a browser may be known.
pub(super) fn shown(caller: &Caller, headers: &HeaderMap) -> Vec<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let tokens = cookies.flat_map(|cookies| tokens_under(prefix(caller), cookies)).filter(|token| is_token(token));
    tokens.take(MOST_TOKENS).map(digest).collect()
}

/// Remembers the browser of a login for which a code was shown; the cookie for it. Somebody who is in stays in when this fails.
pub(super) async fn remember(room: &Room, caller: &Caller, account: &Account, login: &BrowserLogin) -> Option<String> {
    let token = fresh().ok()?;
    let browser = RememberedBrowser {
        digest: digest(&token),
        id: login.id.to_string(),
        made_at: login.begun,
        used_at: login.begun,
        client: login.client.clone(),
        browser: login.browser.clone(),
    };
    match room.needs.login.remember_browser(account, &browser).await {
        Ok(true) => {
            // Enough to tell the accounts of one browser apart, without revealing addresses in its cookies.
            let name = format!("{}{}", prefix(caller), &digest(&account.address.key())[..16]);
            let time = room.needs.login.settings().two_factor_remember.duration();
            Some(cookie(&name, &token, time, caller.is_encrypted))
        }
        Ok(false) => None,
        Err(error) => {
            log::warn!(user:% = account.address, cause:% = error; "A browser could not be remembered; it will be asked for a code again");
            None
        }
    }
}

/// One browser, for the account's owner.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    made: i64,
    ends: i64,
    used: i64,
    client: String,
    browser: String,
    current: bool,
}

/// The browsers of an account.
pub(super) async fn list(room: &Room, account: &Account, caller: &Caller, headers: &HeaderMap) -> Answer<Vec<Shown>> {
    let (login, own) = (&room.needs.login, shown(caller, headers));
    let settings = login.settings();
    let time = settings.two_factor_remember.duration();
    let browsers = login.keyring().browsers(account, &settings).await?;
    let shown = |one: RememberedBrowser| Shown {
        current: own.contains(&one.digest),
        id: one.id,
        made: one.made_at.unix_millis(),
        ends: (one.made_at + time).unix_millis(),
        used: one.used_at.unix_millis(),
        client: one.client,
        browser: one.browser,
    };
    Ok(browsers.into_iter().map(shown).collect())
}

/// Which browser is meant; without a name all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    id: Option<String>,
}

/// Asks for a code again where none was asked for.
pub(super) async fn forget(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(which): Wish<Which>,
) -> Answer<StatusCode> {
    let keyring = room.needs.login.keyring();
    let forgotten = keyring.forget_browsers(&reader.account.address, which.id.as_deref(), BY).await?;
    if forgotten == 0 && which.id.is_some() {
        return Err(Problem::of(&reasons::BROWSER_FORGOTTEN));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Most tokens of one request: one for each account that is used in a browser.
const MOST_TOKENS: usize = 16;
