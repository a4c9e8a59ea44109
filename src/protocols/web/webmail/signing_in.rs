//! Signing in and out, the list of logins, and the password.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::door::{Reader, session};
use super::sessions::{COOKIE, Session};
use crate::foundations::address::Address;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Kind;
use crate::foundations::ids::SessionId;
use crate::foundations::secret::Secret;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::token::{cookie, key};
use crate::services::guard::Service;
use crate::services::login::LoginAttempt;
use crate::storage::directory::PasswordOwner;

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Credentials {
    address: String,
    password: String,
}

/// Somebody signs in.
pub(super) async fn enter(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Wish(credentials): Wish<Credentials>,
) -> Answer<Response> {
    let settings = room.needs.settings.get();
    if !caller.is_private && !settings.plain_http {
        let why = "This connection is not encrypted, so no password is taken over it. Use https.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let id = SessionId::generate(room.needs.clock.now());
    let attempt = LoginAttempt {
        username: credentials.address,
        password: Secret::new(credentials.password),
        peer: caller.client,
        session: id,
        service: Service::Web,
    };
    let login = room.needs.login.verify(attempt).await.map_err(|refusal| match refusal.kind {
        Kind::AuthenticationFailed => {
            Problem::new(StatusCode::UNAUTHORIZED, "The address or the password is not right.")
        }
        _ => Problem::from(refusal),
    })?;
    let account = room.needs.directory.account_now(&login.address).await?;
    let Some(account) = account else { return Err(Problem::missing("The account is gone.")) };
    let now = room.needs.clock.now();
    let browser = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let session = Session {
        id,
        account: account.address.clone(),
        password: key(account.password.expose()),
        begun: now,
        used: now,
        client: caller.client.ip().map(|ip| ip.to_string()).unwrap_or_default(),
        browser: browser.chars().take(LONGEST_BROWSER).collect(),
    };
    let length = settings.session.duration();
    match room.sessions.begin(session, &room.limits()) {
        Some(token) => {
            let cookie = cookie(COOKIE, &token, length, caller.is_encrypted);
            Ok(([(header::SET_COOKIE, cookie)], Json(Signed::of(&account.address))).into_response())
        }
        None => Err(Problem::ours(&"there is no randomness to be had")),
    }
}

/// Who is signed in.
#[derive(Serialize)]
struct Signed {
    address: String,
}

impl Signed {
    fn of(address: &Address) -> Self {
        Self { address: address.to_string() }
    }
}

/// Who asks.
pub(super) async fn who(reader: Reader) -> Response {
    Json(Signed::of(&reader.account.address)).into_response()
}

/// Somebody leaves.
pub(super) async fn leave(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if let Some(session) = session(&room, &headers) {
        room.sessions.end(&session.account, |other| other.id == session.id);
        record_end(&room, &session.account, session.id, "signed out");
    }
    let gone = cookie(COOKIE, "", std::time::Duration::ZERO, caller.is_encrypted);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response()
}

/// One login, for its owner.
#[derive(Serialize)]
struct Entry {
    id: String,
    begun: i64,
    used: i64,
    client: String,
    browser: String,
    current: bool,
}

/// All logins of the account.
pub(super) async fn list(State(room): State<Arc<Room>>, reader: Reader) -> Response {
    let sessions = room.sessions.of(&reader.account.address, room.needs.clock.now(), &room.limits());
    let entries: Vec<Entry> = sessions
        .into_iter()
        .map(|session| Entry {
            current: session.id == reader.session,
            id: session.id.to_string(),
            begun: session.begun.unix_millis(),
            used: session.used.unix_millis(),
            client: session.client,
            browser: session.browser,
        })
        .collect();
    Json(serde_json::json!({ "sessions": entries })).into_response()
}

/// Ends another login of the account.
pub(super) async fn end(State(room): State<Arc<Room>>, reader: Reader, Path(id): Path<String>) -> Answer<StatusCode> {
    let id: SessionId = id.parse().map_err(|_| Problem::bad("This is no name of a login."))?;
    let account = &reader.account.address;
    if room.sessions.end(account, |session| session.id == id) == 0 {
        return Err(Problem::missing("This login has ended already."));
    }
    record_end(&room, account, id, "ended from another login");
    Ok(StatusCode::NO_CONTENT)
}

/// A change of password.
#[derive(Deserialize)]
pub(super) struct NewPassword {
    old: String,
    new: String,
}

/// Changes the password; all other logins end.
pub(super) async fn change_password(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    reader: Reader,
    Wish(wish): Wish<NewPassword>,
) -> Answer<StatusCode> {
    let least = room.needs.settings.get().password as usize;
    if wish.new.chars().count() < least {
        return Err(Problem::bad(format!("A new password needs at least {least} characters.")));
    }
    let address = &reader.account.address;
    let attempt = LoginAttempt {
        username: address.to_string(),
        password: Secret::new(wish.old),
        peer: caller.client,
        session: reader.session,
        service: Service::Web,
    };
    room.needs.login.verify(attempt).await.map_err(|refusal| match refusal.kind {
        Kind::AuthenticationFailed => Problem::new(StatusCode::FORBIDDEN, "The present password is not right."),
        _ => Problem::from(refusal),
    })?;
    let hash = room.needs.login.hash(Secret::new(wish.new)).await?;
    let mut edit = room.needs.directory.edit().await?;
    edit.set_password(address, &hash, PasswordOwner::User).await?;
    edit.commit().await?;
    room.sessions.keep_with(reader.session, key(hash.expose()));
    let ended = room.sessions.end(address, |session| session.id != reader.session);
    let event = Event::new(room.needs.clock.now(), EventKind::AccountChanged).session(reader.session);
    let event = event.subject(address.to_string()).with("what", "password").with("by", "its user, in the webmail");
    room.needs.journal.record(event.with("logins_ended", ended as u64));
    Ok(StatusCode::NO_CONTENT)
}

fn record_end(room: &Room, account: &Address, session: SessionId, why: &'static str) {
    let event = Event::new(room.needs.clock.now(), EventKind::LoginEnded).session(session);
    room.needs.journal.record(event.subject(account.to_string()).with("service", "web").with("reason", why));
}

/// Of what a browser says about itself, in characters.
const LONGEST_BROWSER: usize = 200;
