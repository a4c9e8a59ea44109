//! Logging in and out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::{DashboardSettings, Room};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::files;
use crate::foundations::ids::SessionId;
use crate::foundations::secret::Secret;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::form::{is_own_form, problem, text};
use crate::protocols::web::logins::begun;
use crate::protocols::web::token::{cookie, digest, fresh, tokens};
use crate::services::guard::{Failure, Trust};
use crate::services::login;
use crate::storage::logins::Ending;

/// The form's fields.
#[derive(Deserialize)]
pub(super) struct Credentials {
    password: String,
    #[serde(default)]
    code: String,
}

/// The name of this login for the guard and the journal. No mailbox has such a name.
pub(super) const ADMINISTRATOR: &str = "administrator of the monitoring page";

/// Where browsers keep a token; by a proxy with HTTPS, under a name that no other host of the domain can set (`__Host-`,
/// draft-ietf-httpbis-rfc6265bis §4.1.3.2). Without encryption browsers take no such cookie.
const fn cookie_name(caller: &Caller) -> &'static str {
    if caller.is_encrypted { "__Host-postrider_dashboard" } else { "postrider_dashboard" }
}

/// The field for a one-time code.
const CODE: &str = "<label for=\"code\">One-time code</label>\n\
    <input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\" required maxlength=\"10\">";

/// In octets; no hash has more.
const LARGEST_HASH: u64 = 1 << 10;

/// The form.
pub(super) async fn form(State(room): State<Arc<Room>>) -> Response {
    page(&room, StatusCode::OK, "")
}

/// Logs somebody in who has sent the form.
pub(super) async fn enter(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Response {
    let settings = room.needs.settings.get();
    if !is_own_form(&headers) {
        return problem(StatusCode::FORBIDDEN, "Another site has sent this form.");
    }
    if !caller.is_private && !settings.plain_http {
        let why = "This connection is not encrypted, so no password is taken over it. Reach the page by HTTPS through a \
                   reverse proxy, or set dashboard.plain_http.";
        return page(&room, StatusCode::FORBIDDEN, why);
    }
    let Ok(waiting) = room.waiting.try_acquire() else {
        return page(&room, StatusCode::SERVICE_UNAVAILABLE, "Too many logins are waiting; try again later.");
    };
    let mut steps = room.one_login.lock().await;
    if let Err(refusal) = room.needs.guard.may_log_in(&caller.client, ADMINISTRATOR) {
        record(&room, EventKind::LoginRefused, &caller, Some("too many failures before"));
        return page(&room, StatusCode::TOO_MANY_REQUESTS, &refusal.public);
    }
    // Each code is a guess of its own.
    let shown = Secret::new(format!("{} {}", credentials.password, credentials.code));
    let reason = match prove(&room, &settings, credentials, &mut steps).await {
        Ok(password) => {
            drop((waiting, steps));
            return let_in(&room, &settings, &caller, &headers, &password).await;
        }
        Err(reason) => reason,
    };
    record(&room, EventKind::LoginRefused, &caller, Some(reason));
    let delay = room.needs.guard.failed(&caller.client, Failure::Login { account: ADMINISTRATOR, password: &shown });
    // Strangers are counted and banned, and must not keep others waiting. Clients of this machine are not: they
    // guess one after the other.
    let is_early = steps.are_early(room.needs.clock.now());
    let held = (room.needs.guard.trusts(&caller.client) == Trust::Trusted).then_some((waiting, steps));
    tokio::time::sleep(delay.max(settings.wrong_password_delay.duration())).await;
    drop(held);
    let why = match settings.one_time_secret_file {
        None => "That is not the administrator's password.",
        Some(_) if is_early => {
            "That is not the administrator's password, or the code is not right. This server has started a moment ago and \
             cannot tell which codes were used before; try again in a minute."
        }
        Some(_) => "That is not the administrator's password, or the code is wrong or was already used.",
    };
    page(&room, StatusCode::UNAUTHORIZED, why)
}

/// The hash of the administrator's password when this was it, with the right code where one is wanted; or why not.
async fn prove(
    room: &Room,
    settings: &DashboardSettings,
    credentials: Credentials,
    steps: &mut UsedSteps,
) -> Result<String, &'static str> {
    let Some(password) = right_password(settings, credentials.password).await else { return Err("wrong password") };
    match step(room, settings, credentials.code).await {
        Some(Step::Any) => Ok(password),
        // RFC 6238 §5.2: a code is accepted once.
        Some(Step::Of(step)) if steps.use_up(step, room.needs.clock.now()) => Ok(password),
        Some(Step::Of(_)) | None => Err("wrong one-time code, or one used before"),
    }
}

/// Begins the login of somebody who has shown the password of this hash.
async fn let_in(
    room: &Room,
    settings: &DashboardSettings,
    caller: &Caller,
    headers: &HeaderMap,
    password: &str,
) -> Response {
    room.needs.guard.logged_in(&caller.client, ADMINISTRATOR);
    let (now, length) = (room.needs.clock.now(), settings.session.duration());
    let client = caller.client.ip().map(|ip| ip.to_string()).unwrap_or_default();
    let browser = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let login = begun(SessionId::generate(now), ADMINISTRATOR.to_owned(), password, now, client, browser);
    let Ok(token) = fresh() else {
        return page(room, StatusCode::SERVICE_UNAVAILABLE, "The system provides no random numbers; try again later.");
    };
    if let Err(error) = room.logins.begin(&token, &login, &room.limits()).await {
        log::warn!(cause:% = error; "A login to the monitoring page could not be started");
        return page(room, StatusCode::SERVICE_UNAVAILABLE, "The database cannot be reached; try again later.");
    }
    record(room, EventKind::LoginAccepted, caller, None);
    let cookie = cookie(cookie_name(caller), &token, length, caller.is_encrypted);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// Logs somebody out.
pub(super) async fn leave(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if !is_own_form(&headers) {
        return problem(StatusCode::FORBIDDEN, "Another site has sent this form.");
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let (now, limits, pace) = (room.needs.clock.now(), room.limits(), room.pace());
    for token in cookies.flat_map(|cookies| tokens(cookie_name(&caller), cookies)).take(MOST_TOKENS) {
        let ended = match room.logins.used(token, now, &limits, pace).await {
            Ok(Some(session)) => room.logins.end(ADMINISTRATOR, Ending::One(session.login.id)).await.map(|_| ()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            log::warn!(cause:% = error; "A login to the monitoring page could not be ended");
            let why = "The login could not be ended because the database cannot be reached. Close the browser, and try again later.";
            return problem(StatusCode::SERVICE_UNAVAILABLE, why);
        }
    }
    let gone = cookie(cookie_name(&caller), "", std::time::Duration::ZERO, caller.is_encrypted);
    ([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response()
}

/// The hash of the administrator's password, if this is it.
async fn right_password(settings: &DashboardSettings, given: String) -> Option<String> {
    let stored = stored_password(settings).await?;
    let given = Secret::new(given);
    let check = move || login::check(&stored, &given).map(|right| right.then_some(stored));
    match tokio::task::spawn_blocking(check).await {
        Ok(Ok(right)) => right,
        Ok(Err(problem)) => {
            log::error!("The password of the monitoring page cannot be used: {problem}");
            None
        }
        Err(_) => None,
    }
}

/// The hash of the administrator's password. Its file is read each time, so that a new password counts at once.
async fn stored_password(settings: &DashboardSettings) -> Option<String> {
    let path = settings.password_file.clone()?;
    let read = tokio::task::spawn_blocking(move || {
        let stored = files::read_bounded(&path, LARGEST_HASH).map_err(|error| error.to_string())?;
        Ok::<_, String>(String::from_utf8_lossy(&stored).trim().to_owned())
    });
    match read.await {
        Ok(Ok(stored)) => Some(stored),
        Ok(Err(problem)) => {
            log::error!("The password of the monitoring page cannot be read: {problem}");
            None
        }
        Err(_) => None,
    }
}

/// Whether a request comes from somebody who has logged in with the password as it is now.
pub(super) async fn is_logged_in(
    room: &Room,
    settings: &DashboardSettings,
    caller: &Caller,
    headers: &HeaderMap,
) -> bool {
    let (now, limits, pace) = (room.needs.clock.now(), room.limits(), room.pace());
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    for token in cookies.flat_map(|cookies| tokens(cookie_name(caller), cookies)).take(MOST_TOKENS) {
        let session = match room.logins.used(token, now, &limits, pace).await {
            Ok(Some(session)) => session,
            Ok(None) => continue,
            Err(error) => {
                log::warn!(cause:% = error; "Logins to the monitoring page cannot be looked up");
                continue;
            }
        };
        if !session.is_fresh || stored_password(settings).await.is_some_and(|is| digest(&is) == session.login.password)
        {
            return true;
        }
        if let Err(error) = room.logins.end(ADMINISTRATOR, Ending::One(session.login.id)).await {
            log::warn!(cause:% = error; "A login to the monitoring page could not be ended");
        }
    }
    false
}

/// Most tokens of one request. A browser sends several cookies of one name only for parent domains.
const MOST_TOKENS: usize = 4;

/// Which steps of time have had their code used.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedSteps {
    /// The last one that was used here.
    last: i64,
    /// When this process began, and the last step whose code may have been used before.
    began: Timestamp,
    before: i64,
}

impl UsedSteps {
    /// What a process must take for used that begins now.
    pub(super) fn before(began: Timestamp) -> Self {
        Self { last: 0, began, before: login::last_one_time_step(began) }
    }

    /// Uses the code of a step up, and those of all steps before it; false when it may have been used.
    fn use_up(&mut self, step: i64, now: Timestamp) -> bool {
        // A clock that was ahead when the process began, and was put right, must keep nobody out until then.
        let may_be_used = step <= self.last || (now >= self.began && step <= self.before);
        if !may_be_used {
            self.last = step;
        }
        !may_be_used
    }

    /// Whether codes of this time may have been used before this process.
    fn are_early(&self, now: Timestamp) -> bool {
        now >= self.began && login::last_one_time_step(now) <= self.before + 1
    }
}

/// The second factor of a login.
enum Step {
    /// Nothing is wanted.
    Any,
    /// The code of this step of time.
    Of(i64),
}

/// The step of time of a code that is right; any, when none is wanted. The file of the secret is read each time, too.
async fn step(room: &Room, settings: &DashboardSettings, code: String) -> Option<Step> {
    let Some(path) = settings.one_time_secret_file.clone() else { return Some(Step::Any) };
    let now = room.needs.clock.now();
    let check = move || {
        let secret = files::read_bounded(&path, LARGEST_HASH).map_err(|error| error.to_string())?;
        let secret = Secret::new(String::from_utf8_lossy(&secret).trim().to_owned());
        login::one_time_step(&secret, &code, now).map_err(|error| format!("`{}`: {error}", path.display()))
    };
    match tokio::task::spawn_blocking(check).await {
        Ok(Ok(step)) => step.map(Step::Of),
        Ok(Err(problem)) => {
            log::error!("The one-time secret of the monitoring page cannot be used: {problem}");
            None
        }
        Err(_) => None,
    }
}

fn record(room: &Room, kind: EventKind, caller: &Caller, reason: Option<&str>) {
    let event = Event::new(room.needs.clock.now(), kind).subject(ADMINISTRATOR);
    let event = event.with("peer", caller.client.to_string()).with("service", "dashboard");
    room.needs.journal.record(event.with_known("reason", reason));
}

fn page(room: &Room, status: StatusCode, problem: &str) -> Response {
    let problem = match problem {
        "" => String::new(),
        problem => format!("<p class=\"problems\" role=\"alert\">{}</p>", text(problem)),
    };
    let page = include_str!("login.html").replace("{{problem}}", &problem);
    let code = if room.needs.settings.get().one_time_secret_file.is_some() { CODE } else { "" };
    let page = page.replace("{{code}}", code);
    (status, Html(page.replace("{{hostname}}", &text(room.needs.hostname.as_str())))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_also_after_a_restart() {
        let at = Timestamp::from_unix_seconds;
        let step = |seconds: i64| seconds.div_euclid(30);
        let mut steps = UsedSteps::before(at(600));
        // Each of these might have let somebody in right before.
        for (of, now) in [(570, 600), (600, 601), (630, 601), (630, 640), (630, 690)] {
            assert!(!steps.use_up(step(of), at(now)), "{of} at {now}");
        }
        assert!(steps.are_early(at(600)) && steps.are_early(at(659)) && !steps.are_early(at(660)));
        assert!(steps.use_up(step(660), at(660)));
        assert!(!steps.use_up(step(660), at(661)) && !steps.use_up(step(630), at(661)));
        assert!(steps.use_up(step(690), at(661)));
        // The clock was an hour ahead.
        let mut steps = UsedSteps::before(at(4_200));
        assert!(steps.use_up(step(600), at(600)) && !steps.use_up(step(600), at(601)));
    }
}
