//! Account security: two-factor login and app passwords.
//!
//! Anything that weakens security asks for the password again: an unattended browser must not be enough. With two-factor
//! login on, it also asks for a code, and so does making an app password, which opens the mail without one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use qrcode::{Color, EcLevel, QrCode};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::door::{Member, Reader};
use super::{reasons, remembered};
use crate::foundations::address::Address;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::secret::Secret;
use crate::protocols::web::caller::Caller;
use crate::services::guard::Service;
use crate::services::login::{AppPasswordWish, LoginAttempt, Need, PasswordReach};
use crate::storage::directory::{Account, AppPassword, Scope, Scopes};
use crate::storage::logins::Ending;

/// Who has done it, in events.
pub(super) const BY: &str = "its user, in the webmail";
/// The longest time an app password may be made for, in days. Longer is without an end.
const LONGEST: u32 = 3_660;

/// The data of the settings page.
#[derive(Serialize)]
struct Shown {
    two_factor: TwoFactorShown,
    app_passwords: Vec<AppPasswordShown>,
    scopes: Vec<&'static str>,
    most_app_passwords: u32,
}

#[derive(Serialize)]
struct TwoFactorShown {
    on: bool,
    since: Option<i64>,
    required: bool,
    recovery_codes: u32,
    /// Mail programs get in by app passwords only, once it is on.
    app_passwords_only: bool,
    /// For how long browsers may be spared a code; 0 is never.
    remember_days: u64,
    /// Those that are.
    browsers: Vec<remembered::Shown>,
}

#[derive(Serialize)]
struct AppPasswordShown {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    made: i64,
    ends: Option<i64>,
    over: bool,
    used: Option<i64>,
    used_from: Option<String>,
}

/// How the account is protected. Also for users who must turn on two-factor login first.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    member: Member,
) -> Answer<Response> {
    let (login, directory, now) = (&room.needs.login, &room.needs.directory, room.needs.clock.now());
    let settings = login.settings();
    let kept = directory.two_factor(member.account.id).await?.filter(|kept| kept.confirmed_at.is_some());
    // What the account needs without what it has says whether it may do without.
    let bare = Account { two_factor_since: None, ..(*member.account).clone() };
    let two_factor = TwoFactorShown {
        on: kept.is_some(),
        since: kept.as_ref().and_then(|kept| kept.confirmed_at).map(|at| at.unix_millis()),
        required: login.need(&bare) == Need::Enrolment,
        recovery_codes: kept.map_or(0, |kept| kept.recovery_codes),
        app_passwords_only: settings.password_with_two_factor == PasswordReach::Webmail,
        remember_days: remembered::days(&settings),
        browsers: remembered::list(&room, &member.account, &caller, &headers).await?,
    };
    let shown = |one: AppPassword| AppPasswordShown {
        id: one.id.to_string(),
        scopes: one.scopes.words().collect(),
        made: one.made_at.unix_millis(),
        ends: one.ends_at.map(|at| at.unix_millis()),
        over: one.is_over(now),
        used: one.used_at.map(|at| at.unix_millis()),
        used_from: one.used_from,
        name: one.name,
    };
    let app_passwords = directory.app_passwords(member.account.id).await?.into_iter().map(shown).collect();
    let scopes = Scope::ALL.iter().map(|scope| scope.word()).collect();
    let most_app_passwords = settings.app_passwords;
    Ok(Json(Shown { two_factor, app_passwords, scopes, most_app_passwords }).into_response())
}

/// What shows that it is the account's owner who sits there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    password: String,
    #[serde(default)]
    code: Option<String>,
}

/// An attempt in the name of the signed-in user.
pub(super) fn attempt(address: &Address, session: SessionId, caller: Caller, password: String) -> LoginAttempt {
    LoginAttempt {
        username: address.to_string(),
        password: Secret::new(password),
        peer: caller.client,
        session,
        service: Service::Web,
    }
}

/// A refusal to somebody who is signed in: not the one that would end the login.
fn not_proven(refusal: Refusal) -> Problem {
    match refusal.kind {
        Kind::AuthenticationFailed => Problem::of(&reasons::NOT_PROVEN),
        // The password is right.
        Kind::NoPermission => Problem::of(&reasons::CODE_NEEDED),
        _ => Problem::from(refusal),
    }
}

/// Why two-factor login is not turned on.
fn not_begun(refusal: Refusal) -> Problem {
    match refusal.kind {
        Kind::Exists => Problem::of(&reasons::TWO_FACTOR_ON),
        Kind::NotFound => Problem::of(&reasons::NO_SECRET_WAITS),
        Kind::Invalid => Problem::of(&reasons::NOT_THE_CODE),
        _ => Problem::from(refusal),
    }
}

/// What authenticator programs are given.
#[derive(Serialize)]
struct EnrolmentShown {
    secret: String,
    address: String,
    picture: Picture,
}

/// A picture of dark squares: a path within so many by so many.
#[derive(Serialize)]
struct Picture {
    size: usize,
    path: String,
}

/// Draws a text. The page turns no text into markup, so it is given a path and no SVG.
fn picture(text: &str) -> Option<Picture> {
    use std::fmt::Write as _;
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, mut path) = (code.width(), String::new());
    for (n, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // ISO/IEC 18004: four squares of quiet around it.
            let _ = write!(path, "M{} {}h1v1h-1z", n % width + QUIET, n / width + QUIET);
        }
    }
    Some(Picture { size: width + 2 * QUIET, path })
}

const QUIET: usize = 4;

/// Makes a secret, which counts once it is confirmed.
pub(super) async fn begin(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    member: Member,
    Wish(proof): Wish<Proof>,
) -> Answer<Response> {
    let attempt = attempt(&member.account.address, member.session, caller, proof.password);
    let account = room.needs.login.confirm_password(&attempt).await.map_err(not_proven)?;
    let begun = room.needs.login.begin_two_factor(&account, &room.needs.hostname.get()).await;
    let enrolment = begun.map_err(not_begun)?;
    let address = enrolment.address.expose().clone();
    let picture = picture(&address).ok_or_else(|| Problem::ours(&"the secret does not fit into a picture"))?;
    let secret = enrolment.secret.expose().clone();
    Ok(Json(EnrolmentShown { secret, address, picture }).into_response())
}

/// A first code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FirstCode {
    code: String,
}

/// Recovery codes as they are shown, once.
#[derive(Serialize)]
struct CodesShown {
    recovery_codes: Vec<String>,
}

impl CodesShown {
    fn of(codes: &[Secret<String>]) -> Response {
        Json(Self { recovery_codes: codes.iter().map(|code| code.expose().clone()).collect() }).into_response()
    }
}

/// Turns two-factor login on; all other logins end.
pub(super) async fn confirm(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    member: Member,
    Wish(wish): Wish<FirstCode>,
) -> Answer<Response> {
    let address = &member.account.address;
    let attempt = attempt(address, member.session, caller, String::new());
    let codes = room.needs.login.confirm_two_factor(&attempt, &member.account, &wish.code).await;
    let codes = codes.map_err(not_begun)?;
    if let Some(account) = room.needs.directory.account_now(address).await? {
        room.logins.passed(&member.digest, account.two_factor_since).await?;
    }
    let ended = room.logins.end(&address.to_string(), Ending::AllBut(member.session)).await?;
    if ended > 0 {
        let event = Event::new(room.needs.clock.now(), EventKind::LoginEnded).session(member.session);
        let event = event.subject(address.to_string()).with("service", "web").with("logins_ended", ended);
        room.needs.journal.record(event.with("reason", "two-factor login turned on"));
    }
    Ok(CodesShown::of(&codes))
}

/// The user has given the password, and a code if two-factor login is on.
async fn proven(room: &Room, attempt: &LoginAttempt, proof: Option<&str>) -> Answer<Account> {
    room.needs.login.confirm(attempt, proof).await.map_err(not_proven)
}

/// Replaces the recovery codes.
pub(super) async fn new_codes(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    reader: Reader,
    Wish(proof): Wish<Proof>,
) -> Answer<Response> {
    let attempt = attempt(&reader.account.address, reader.session, caller, proof.password);
    let account = proven(&room, &attempt, proof.code.as_deref()).await?;
    if account.two_factor_since.is_none() {
        return Err(Problem::of(&reasons::TWO_FACTOR_OFF));
    }
    let codes = room.needs.login.new_recovery_codes(&attempt, &account).await?;
    Ok(CodesShown::of(&codes))
}

/// Turns two-factor login off.
pub(super) async fn turn_off(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    reader: Reader,
    Wish(proof): Wish<Proof>,
) -> Answer<StatusCode> {
    let attempt = attempt(&reader.account.address, reader.session, caller, proof.password);
    let account = proven(&room, &attempt, proof.code.as_deref()).await?;
    room.needs.login.keyring().turn_off_two_factor(&account.address, BY).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A password for a device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAppPassword {
    name: String,
    scopes: Vec<String>,
    #[serde(default)]
    days: Option<u32>,
    password: String,
    /// Where two-factor login is on: what opens the mail without a code must not be had without one.
    #[serde(default)]
    code: Option<String>,
}

/// A password of a device as it is shown, once.
#[derive(Serialize)]
struct MadeShown {
    id: String,
    name: String,
    password: String,
}

/// Makes a password for a device.
pub(super) async fn add(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    reader: Reader,
    Wish(wish): Wish<NewAppPassword>,
) -> Answer<Response> {
    let scopes = Scopes::of(wish.scopes.iter().map(String::as_str)).ok_or_else(|| Problem::of(&reasons::NO_PURPOSE))?;
    let days = match wish.days {
        Some(0) => return Err(Problem::of(&reasons::SHORT_LIFE)),
        Some(days) if days > LONGEST => return Err(Problem::of(&reasons::LONG_LIFE).with("most", LONGEST)),
        days => days,
    };
    let attempt = attempt(&reader.account.address, reader.session, caller, wish.password);
    let account = proven(&room, &attempt, wish.code.as_deref()).await?;
    let ends_at = days.map(|days| room.needs.clock.now() + Duration::from_secs(86_400 * u64::from(days)));
    let most = room.needs.login.settings().app_passwords;
    let wish = AppPasswordWish { name: wish.name, scopes, ends_at };
    let made = room.needs.login.keyring().add(&account.address, wish, most, BY).await?;
    let shown =
        MadeShown { id: made.id.to_string(), name: made.name.clone(), password: made.password.expose().clone() };
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// Which password of a device is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    name: String,
}

/// Revokes a password of a device.
pub(super) async fn revoke(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Named>,
) -> Answer<StatusCode> {
    room.needs.login.keyring().revoke(&reader.account.address, &wish.name, BY).await?;
    Ok(StatusCode::NO_CONTENT)
}
