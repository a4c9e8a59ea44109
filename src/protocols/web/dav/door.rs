//! Access control.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;

use super::Room;
use super::answer::{Answer, Problem};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::SessionId;
use crate::foundations::secret::Secret;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::token::digest;
use crate::services::guard::Service;
use crate::services::login::{LoginAttempt, Stay};
use crate::storage::directory::Account;

/// Which proxies are trusted; the webmail's settings.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Reverse proxies whose word about others is taken.
    pub proxies: Vec<IpNet>,
    /// Whether passwords are taken without TLS from other machines.
    pub plain_http: bool,
}

/// The logged-in user.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) account: Arc<Account>,
    pub(super) session: SessionId,
}

/// A password that was right for an account, and is until something changes.
#[derive(Clone)]
pub(super) struct Known {
    account: crate::foundations::address::Address,
    /// Of the stored hash: a changed password is not known.
    password: String,
    session: SessionId,
    at: Timestamp,
    /// Over when the account or the password it came in with is no longer good.
    stay: Arc<Stay>,
}

/// Lets in who has the password of a mailbox (RFC 7617).
pub(super) async fn enter(room: &Room, caller: &Caller, headers: &HeaderMap, trust: &Trust) -> Answer<Visitor> {
    if !caller.is_private && !trust.plain_http {
        let why = "This connection is not encrypted, so no password is accepted over it. Use https.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
    let Some((username, password)) = given.and_then(credentials) else { return Err(Problem::unsigned()) };
    let name = room.key.as_ref().map(|key| name(key, caller, &username, &password));
    if let Some(visitor) = remembered(room, name.as_ref()).await? {
        return Ok(visitor);
    }
    let now = room.needs.clock.now();
    let session = SessionId::generate(now);
    let attempt =
        LoginAttempt { username, password: Secret::new(password), peer: caller.client, session, service: Service::Web };
    let login = room.needs.login.verify(attempt).await?;
    let account = room.needs.directory.account_now(&login.address).await?.ok_or_else(Problem::unsigned)?;
    if let Some(name) = name {
        let (address, password) = (account.address.clone(), digest(account.password.expose()));
        room.logins.insert(name, Known { account: address, password, session, at: now, stay: Arc::new(login.stay) });
    }
    Ok(Visitor { account: Arc::new(account), session })
}

/// Clients send the password with each request: a proof is good for some minutes, as long as the account stays as it is.
async fn remembered(room: &Room, name: Option<&[u8; 32]>) -> Answer<Option<Visitor>> {
    let Some(known) = name.and_then(|name| room.logins.get(name)) else { return Ok(None) };
    let (now, keep) = (room.needs.clock.now(), room.needs.settings.get().login.duration());
    if now < known.at || now.since(known.at) >= keep || known.stay.is_over() {
        return Ok(None);
    }
    let account = room.needs.directory.account(&known.account).await?;
    let same = |account: &Arc<Account>| account.may_log_in() && digest(account.password.expose()) == known.password;
    Ok(account.filter(same).map(|account| Visitor { account, session: known.session }))
}

/// Tells nothing without the process's key, and is another one for each client.
fn name(key: &hmac::Key, caller: &Caller, username: &str, password: &str) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    let client = caller.client.ip().map(|ip| ip.to_string()).unwrap_or_default();
    for part in [client.as_str(), username, password] {
        // Lengths in front, so that no two triples give the same octets.
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let mut name = [0; 32];
    name.copy_from_slice(context.sign().as_ref());
    name
}

/// The user name and password of an Authorization field.
fn credentials(field: &str) -> Option<(String, String)> {
    let (scheme, encoded) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read() {
        let of = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let wanted = Some(("ann@example.test".to_owned(), "a:b ü".to_owned()));
        assert_eq!(credentials(&of("ann@example.test:a:b ü")), wanted);
        for wrong in ["", "Basic", "Basic !!!", "Bearer abc", &of("nobody")] {
            assert_eq!(credentials(wrong), None, "{wrong}");
        }
    }
}
