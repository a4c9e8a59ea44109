//! The routes of the monitoring page.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router, middleware};
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Semaphore};

use super::{DashboardSettings, api, door, login};
use crate::foundations::address::Domain;
use crate::foundations::clock::SharedClock;
use crate::foundations::net::{Connection, HttpSettings, serve_http};
use crate::foundations::settings::Live;
use crate::protocols::web::form;
use crate::protocols::web::logins::{Logins, Outage, Pace};
use crate::protocols::web::refused::turn_away;
use crate::services::guard::{Ban, Guard, Service};
use crate::services::login::LoginSettings;
use crate::services::overview::{Overviewer, Shared};
use crate::services::probe::{Probe, Probed, Prober};
use crate::services::served::Report;
use crate::services::trace::Trace;
use crate::storage::journal::Journal;
use crate::storage::logins::{BrowserLogins, Limits};
use crate::storage::reports::Reports;

/// Asks the processes of other roles for something.
pub type Asking<T> = Box<dyn Fn() -> BoxFuture<'static, Vec<T>> + Send + Sync>;

/// Asks whether the process can do its work now; the error is for the log.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The room's dependencies.
pub struct Needs {
    /// Limits of HTTP.
    pub http: Live<HttpSettings>,
    /// Its own settings.
    pub settings: Live<DashboardSettings>,
    /// The server's name.
    pub hostname: Domain,
    /// Where the facts come from.
    pub overviewer: Overviewer,
    /// The listeners to try.
    pub probes: Vec<Probe>,
    /// How often it is looked whether a login is still good.
    pub login: Live<LoginSettings>,
    /// Who has logged in.
    pub logins: BrowserLogins,
    /// Counts logins and connections.
    pub guard: Guard,
    /// The bans that other processes have.
    pub others_bans: Asking<Ban>,
    /// The certificates of all processes.
    pub certificates: Asking<Report>,
    /// What keeps processes from their work.
    pub troubles: Asking<String>,
    /// The reports that other servers have sent.
    pub reports: Reports,
    /// Where logins are recorded and events found.
    pub journal: Journal,
    /// Whether the process can work.
    pub readiness: Readiness,
    /// The time.
    pub clock: SharedClock,
}

/// The room.
pub struct Room {
    pub(super) needs: Needs,
    pub(super) logins: Logins,
    pub(super) waiting: Semaphore,
    /// Its value is which one-time codes were used.
    pub(super) one_login: Mutex<login::UsedSteps>,
    pub(super) prober: Prober,
    pub(super) probed: Shared<Vec<Probed>>,
    pub(super) trace: Trace,
}

impl Room {
    /// Makes the room.
    pub fn new(needs: Needs) -> Self {
        let settings = needs.settings.get();
        Self {
            logins: Logins::new(needs.logins.clone(), settings.sessions, Outage::KnownStay),
            waiting: Semaphore::new(settings.waiting.max(1) as usize),
            one_login: Mutex::new(login::UsedSteps::before(needs.clock.now())),
            prober: Prober::new(needs.hostname.clone(), settings.probe_timeout.duration()),
            probed: Shared::default(),
            trace: Trace::new(needs.journal.clone()),
            needs,
        }
    }

    /// A login does not end by being unused: a page on a wall is looked at, not clicked.
    pub(super) fn limits(&self) -> Limits {
        let settings = self.needs.settings.get();
        let whole = settings.session.duration();
        Limits { idle: whole, whole, per_account: settings.sessions, all: settings.sessions }
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::of(&self.needs.login.get(), self.limits().idle)
    }

    /// How the listeners have answered a moment ago.
    pub(super) async fn listeners(&self) -> Arc<Vec<Probed>> {
        let fresh_for = self.needs.settings.get().fresh_for.duration().max(SHORTEST_PROBE_PAUSE);
        self.probed.get(fresh_for, self.prober.try_all(&self.needs.probes)).await
    }

    /// The bans of all processes, each network once for each reason.
    pub(super) async fn bans(&self) -> Vec<Ban> {
        let mut bans = self.needs.guard.bans();
        for ban in (self.needs.others_bans)().await {
            if !bans.contains(&ban) {
                bans.push(ban);
            }
        }
        bans.truncate(MOST_BANS);
        bans
    }
}

/// Serves one connection.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let (session, peer) = (connection.session, connection.peer);
    let _pass = match room.needs.guard.admit(&peer, Service::Web) {
        Ok(pass) => pass,
        Err(refusal) => return turn_away(connection, &refusal, &room.needs.guard, &room.needs.journal).await,
    };
    let settings = room.needs.http.get();
    let pages = move || router(room).layer(Extension(peer));
    if let Err(error) = serve_http(connection, pages, &settings).await {
        log::debug!(session:% = session, peer:% = peer; "dashboard: the connection ended early: {error}");
    }
}

fn router(room: Arc<Room>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/login", get(login::form).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/dashboard.css", asset(CSS, include_str!("dashboard.css")))
        .route("/icon.svg", asset("image/svg+xml", include_str!("icon.svg")))
        .route("/app.js", asset(JAVASCRIPT, include_str!("app.js")))
        .route("/charts.js", asset(JAVASCRIPT, include_str!("charts.js")))
        .route("/elements.js", asset(JAVASCRIPT, include_str!("elements.js")))
        .route("/reports.js", asset(JAVASCRIPT, include_str!("reports.js")))
        .route("/keys.js", asset(JAVASCRIPT, include_str!("keys.js")))
        .route("/search.js", asset(JAVASCRIPT, include_str!("search.js")))
        .route("/tiles.js", asset(JAVASCRIPT, include_str!("tiles.js")))
        .nest("/api/v1", api::router())
        .fallback(|| async { form::problem(StatusCode::NOT_FOUND, "There is nothing here; see /api/v1/openapi.json.") })
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(middleware::from_fn_with_state(Arc::clone(&room), door::guard))
        .with_state(room)
}

fn asset(kind: &'static str, text: &'static str) -> MethodRouter<Arc<Room>> {
    get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
}

/// For load balancers, which have no login: only whether, not why.
async fn readyz(State(room): State<Arc<Room>>) -> Response {
    match (room.needs.readiness)().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => {
            log::debug!("dashboard: not ready: {reason}");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

async fn index(State(room): State<Arc<Room>>) -> Response {
    let has_password = room.needs.settings.get().password_file.is_some();
    let may_leave = if has_password { "" } else { "hidden" };
    let page = include_str!("index.html").replace("{{leave}}", may_leave);
    Html(page.replace("{{hostname}}", &form::text(room.needs.hostname.as_str()))).into_response()
}

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// In octets: a password and its name.
const LARGEST_FORM: usize = 4 << 10;
/// More bans are not shown.
const MOST_BANS: usize = 1_000;
/// A page that is looked at must not become a flood of connections.
const SHORTEST_PROBE_PAUSE: Duration = Duration::from_secs(5);
