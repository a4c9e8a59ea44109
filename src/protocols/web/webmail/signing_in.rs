//! Signing in and out, the list of logins, and the password.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem, Wish};
use super::door::{Member, Reader, Whose, cookie_name, session};
use super::security::attempt;
use super::{reasons, remembered};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::secret::Secret;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::logins::begun;
use crate::protocols::web::token::{cookie, digest, fresh};
use crate::services::guard::Service;
use crate::services::login::{Entered, LoginAttempt, Need, SecondFactor};
use crate::storage::directory::{Account, PasswordOwner};
use crate::storage::logins::{BrowserLogin, Ending};

/// The form's fields; the code in a second step, when it was asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    address: String,
    password: String,
    #[serde(default)]
    code: Option<String>,
    /// No code is to be asked for on this browser for some time.
    #[serde(default)]
    remember: bool,
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
        return Err(Problem::of(&reasons::NOT_ENCRYPTED));
    }
    let id = SessionId::generate(room.needs.clock.now());
    let attempt = LoginAttempt {
        username: credentials.address,
        password: Secret::new(credentials.password),
        peer: caller.client,
        session: id,
        service: Service::Web,
    };
    let has_code = credentials.code.is_some();
    let shown = SecondFactor { code: credentials.code.as_deref(), browsers: &remembered::shown(&caller, &headers) };
    let entered = room.needs.login.enter(attempt, shown).await;
    let account = match entered.map_err(|refusal| not_let_in(refusal, has_code))? {
        Entered::In(account) => account,
        Entered::CodeWanted => return Ok(code_wanted(&room)),
    };
    // What was shown. Should the account have another password or second factor by now, this login ends with the next request.
    let (passed, password) = (account.two_factor_since, account.password.clone());
    let account = room.needs.directory.account_now(&account.address).await?;
    let Some(account) = account else { return Err(Problem::of(&reasons::ACCOUNT_GONE)) };
    let now = room.needs.clock.now();
    let browser = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let (name, client) = (account.address.to_string(), caller.client.ip().map(|ip| ip.to_string()));
    let begun = begun(id, name, password.expose(), now, client.unwrap_or_default(), browser);
    let login = BrowserLogin { two_factor_since: passed, ..begun };
    let length = settings.session.duration();
    let token = fresh()?;
    room.logins.begin(&token, &login, &room.limits()).await?;
    let mut response = Json(Signed::of(&room, &account)).into_response();
    let mut set = |cookie: String| {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    };
    set(cookie(cookie_name(&caller), &token, length, caller.is_encrypted));
    if credentials.remember && has_code {
        let account = Account { two_factor_since: passed, password, ..account };
        if let Some(cookie) = remembered::remember(&room, &caller, &account, &login).await {
            set(cookie);
        }
    }
    Ok(response)
}

/// The address or the password is wrong, or the code that came with them; what else is wrong is said as it is.
fn not_let_in(refusal: Refusal, has_code: bool) -> Problem {
    match (refusal.kind, has_code) {
        (Kind::AuthenticationFailed, false) => Problem::of(&reasons::WRONG_PASSWORD),
        (Kind::AuthenticationFailed, true) => Problem::of(&reasons::WRONG_CODE),
        _ => Problem::from(refusal),
    }
}

/// The password is right, and nobody is let in yet.
fn code_wanted(room: &Room) -> Response {
    let days = remembered::days(&room.needs.login.settings());
    let wanted =
        serde_json::json!({ "error": "A one-time code is needed too.", "code_wanted": true, "remember_days": days });
    (StatusCode::UNAUTHORIZED, Json(wanted)).into_response()
}

/// Who is signed in.
#[derive(Serialize)]
struct Signed {
    address: String,
    /// This login may only turn on two-factor login.
    must_enrol: bool,
}

impl Signed {
    fn of(room: &Room, account: &Account) -> Self {
        Self { address: account.address.to_string(), must_enrol: room.needs.login.need(account) == Need::Enrolment }
    }
}

/// Who asks.
pub(super) async fn who(State(room): State<Arc<Room>>, member: Member) -> Response {
    Json(Signed::of(&room, &member.account)).into_response()
}

/// Signs out. If another account has signed in meanwhile, it stays: the user signing out has no login any more.
pub(super) async fn leave(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Asked(whose): Asked<Whose>,
) -> Answer<Response> {
    if let Some(session) = session(&room, &caller, &headers).await? {
        let login = session.login;
        if !whose.may_be(&login.account) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        room.logins.end(&login.account, Ending::One(login.id)).await?;
        record_end(&room, &login.account, login.id, "signed out");
    }
    let gone = cookie(cookie_name(&caller), "", std::time::Duration::ZERO, caller.is_encrypted);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
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
pub(super) async fn list(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    let account = reader.account.address.to_string();
    let sessions = room.logins.of(&account, room.needs.clock.now(), &room.limits()).await?;
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
    Ok(Json(serde_json::json!({ "sessions": entries })).into_response())
}

/// Ends another login of the account.
pub(super) async fn end(State(room): State<Arc<Room>>, reader: Reader, Path(id): Path<String>) -> Answer<StatusCode> {
    let id: SessionId = id.parse().map_err(|_| Problem::bad("This is not the id of a login."))?;
    let account = reader.account.address.to_string();
    if room.logins.end(&account, Ending::One(id)).await? == 0 {
        return Err(Problem::of(&reasons::LOGIN_ENDED));
    }
    record_end(&room, &account, id, "ended from another login");
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all other logins of the account.
pub(super) async fn end_others(State(room): State<Arc<Room>>, reader: Reader) -> Answer<StatusCode> {
    let account = reader.account.address.to_string();
    if room.logins.end(&account, Ending::AllBut(reader.session)).await? > 0 {
        record_end(&room, &account, reader.session, "all others ended from this login");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A change of password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
        return Err(Problem::of(&reasons::SHORT_PASSWORD).with("least", least));
    }
    let address = &reader.account.address;
    let attempt = attempt(address, reader.session, caller, wish.old);
    room.needs.login.confirm_password(&attempt).await.map_err(|refusal| match refusal.kind {
        Kind::AuthenticationFailed => Problem::of(&reasons::OLD_PASSWORD),
        _ => Problem::from(refusal),
    })?;
    let hash = room.needs.login.hash(Secret::new(wish.new)).await?;
    let mut edit = room.needs.directory.edit().await?;
    edit.set_password(address, &hash, PasswordOwner::User).await?;
    edit.commit().await?;
    // The password is the new one; whatever cannot be ended now ends at its next request, since it was made with the old one.
    room.logins.keep_with(&reader.digest, &digest(hash.expose())).await?;
    let ended = room.logins.end(&address.to_string(), Ending::AllBut(reader.session)).await?;
    let event = Event::new(room.needs.clock.now(), EventKind::AccountChanged).session(reader.session);
    let event = event.subject(address.to_string()).with("what", "password").with("by", "its user, in the webmail");
    room.needs.journal.record(event.with("logins_ended", ended));
    Ok(StatusCode::NO_CONTENT)
}

fn record_end(room: &Room, account: &str, session: SessionId, why: &'static str) {
    let event = Event::new(room.needs.clock.now(), EventKind::LoginEnded).session(session);
    room.needs.journal.record(event.subject(account).with("service", "web").with("reason", why));
}
