//! Its routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use tokio_util::sync::CancellationToken;

use super::set_up;
use crate::foundations::address::{Address, Domain};
use crate::foundations::mail::Peer;
use crate::foundations::net::{Connection, HttpSettings, serve_http};
use crate::foundations::settings::Live;
use crate::protocols::web::caller::Scheme;
use crate::protocols::web::form::drain;
use crate::protocols::web::refused::turn_away;
use crate::services::autoconfig::{AutoconfigSettings, Offer, asked_address};
use crate::services::certificates::Certificates;
use crate::services::guard::{Guard, Service};
use crate::services::mta_sts::{self, PublishedSettings};
use crate::services::set_up::SetUp;
use crate::storage::directory::Directory;

/// Makes the pages for people, for one connection.
pub type Pages = Box<dyn Fn(Peer, CancellationToken) -> Router + Send + Sync>;

/// The room's dependencies.
pub struct Room {
    /// Pages for people, where there are any.
    pub pages: Option<Pages>,
    /// Counts connections.
    pub guard: Guard,
    /// Limits.
    pub http: Live<HttpSettings>,
    /// Our name.
    pub hostname: Live<Domain>,
    /// Our policies on TLS, for those who send to us.
    pub policies: Live<PublishedSettings>,
    /// Whether mail programs are told their settings, and how.
    pub autoconfig: Live<AutoconfigSettings>,
    /// The settings that they are told.
    pub offer: Offer,
    /// Which domains are ours.
    pub directory: Directory,
    /// The names of this server, and what authorities are answered.
    pub certificates: Arc<Certificates>,
    /// Where users choose their password.
    pub set_up: SetUp,
    /// Whether requests come over TLS.
    pub scheme: Scheme,
}

/// Serves one connection.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let (session, peer) = (connection.session, connection.peer);
    let settings = room.http.get();
    // Also where there are no pages: authorities and other servers ask for a file now and then, and nobody may hold all the
    // connections that there are for them.
    let _pass = match room.guard.admit(&peer, Service::Web) {
        Ok(pass) => pass,
        Err(refusal) => return turn_away(connection, &refusal, &room.guard, &room.set_up.journal).await,
    };
    let stop = connection.stop.clone();
    let made = move || router(room, peer, stop);
    if let Err(error) = serve_http(connection, made, &settings).await {
        log::debug!(session:% = session, peer:% = peer; "site: the connection ended early: {error}");
    }
}

fn router(room: Arc<Room>, peer: Peer, stop: CancellationToken) -> Router {
    let mut router = Router::new().route("/.well-known/acme-challenge/{token}", get(challenge));
    if room.scheme == Scheme::Https {
        let chosen = get(set_up::form).post(set_up::choose).layer(DefaultBodyLimit::max(set_up::LARGEST));
        router = router
            .route("/.well-known/mta-sts.txt", get(policy))
            .route("/set-up/style.css", get(set_up::style))
            .route("/set-up/{token}", chosen)
            .layer(Extension(peer));
        if room.autoconfig.get().enabled {
            router = router.merge(autoconfig(room.autoconfig.get().largest_question as usize));
        }
    } else {
        router =
            router.route("/.well-known/caldav", any(encrypted_dav)).route("/.well-known/carddav", any(encrypted_dav));
    }
    match room.pages.as_ref().map(|pages| pages(peer, stop)) {
        Some(pages) => router.with_state(room).fallback_service(pages),
        None => router.fallback(elsewhere).with_state(room),
    }
}

async fn challenge(State(room): State<Arc<Room>>, Path(token): Path<String>) -> Response {
    match room.certificates.challenges().key_authorization(&token) {
        Some(answer) => ([(header::CONTENT_TYPE, "application/octet-stream")], answer).into_response(),
        None => (StatusCode::NOT_FOUND, "no certificate is being obtained with this token\n").into_response(),
    }
}

/// RFC 8461 §3.3: as text/plain, by the name that was asked for.
async fn policy(State(room): State<Arc<Room>>, headers: HeaderMap) -> Response {
    let asked = host(&headers).to_ascii_lowercase();
    match mta_sts::policy(&room.policies.get(), &room.hostname.get(), &asked) {
        Some(text) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "max-age=60")];
            (kind, text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no policy for this name\n").into_response(),
    }
}

/// Where mail programs look. Outlook writes its path in several ways.
fn autoconfig(largest_question: usize) -> Router<Arc<Room>> {
    Router::new()
        .route("/mail/config-v1.1.xml", get(thunderbird))
        .route("/.well-known/autoconfig/mail/config-v1.1.xml", get(thunderbird))
        .route("/autodiscover/autodiscover.xml", post(outlook))
        .route("/Autodiscover/Autodiscover.xml", post(outlook))
        .route("/AutoDiscover/AutoDiscover.xml", post(outlook))
        .route("/apple.mobileconfig", get(apple))
        .layer(DefaultBodyLimit::max(largest_question))
}

/// For the domain whose name was asked for, with or without `autoconfig.` before it.
async fn thunderbird(State(room): State<Arc<Room>>, headers: HeaderMap) -> Response {
    let host = host(&headers).to_ascii_lowercase();
    let Ok(domain) = host.strip_prefix("autoconfig.").unwrap_or(&host).parse::<Domain>() else {
        return (StatusCode::NOT_FOUND, "this is not the name of a domain\n").into_response();
    };
    tell(&room, &domain, XML, |offer, name| offer.thunderbird(&domain, name)).await
}

/// For the domain of the address that is asked about. Whether there is such an address is nobody's business.
async fn outlook(State(room): State<Arc<Room>>, question: String) -> Response {
    match asked_address(&question) {
        Some(address) => tell(&room, address.domain(), XML, |offer, name| offer.outlook(&address, name)).await,
        None => (StatusCode::BAD_REQUEST, "the request names no address in <EMailAddress>\n").into_response(),
    }
}

/// The same for Apple's devices, which install what a person fetches with their browser.
async fn apple(State(room): State<Arc<Room>>, Query(question): Query<BTreeMap<String, String>>) -> Response {
    match question.get("address").and_then(|address| address.trim().parse::<Address>().ok()) {
        Some(address) => tell(&room, address.domain(), PROFILE, |offer, name| offer.apple(&address, name)).await,
        None => {
            (StatusCode::BAD_REQUEST, "give your address: /apple.mobileconfig?address=YOU@DOMAIN\n").into_response()
        }
    }
}

const XML: &str = "text/xml; charset=utf-8";
/// What makes a device offer to install it.
const PROFILE: &str = "application/x-apple-aspen-config";

async fn tell(
    room: &Room,
    domain: &Domain,
    kind: &'static str,
    answer: impl Fn(&Offer, Option<&str>) -> String,
) -> Response {
    match room.directory.domain(domain).await {
        Ok(Some(_)) => {
            let text = answer(&room.offer, room.autoconfig.get().display_name.as_deref());
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Ok(None) => (StatusCode::NOT_FOUND, "this server has no mail for this domain\n").into_response(),
        Err(error) => {
            log::warn!(error:% = error; "site: a mail program could not get its settings");
            (StatusCode::SERVICE_UNAVAILABLE, "try again later\n").into_response()
        }
    }
}

/// The name that a client asks for, without the port.
fn host(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// RFC 6764 §5: where calendars and contacts are, which is over TLS only (§8): by the name that was asked for where this server
/// has a certificate for it, or else by its own. 301 is the status that all programs follow.
async fn encrypted_dav(State(room): State<Arc<Room>>, request: Request) -> Response {
    let asked = host(request.headers()).to_ascii_lowercase();
    let path = request.uri().path().to_owned();
    drain(request.into_body()).await;
    let covers = |name: &str| room.certificates.loaded().iter().any(|certificate| certificate.covers(name));
    let own = room.hostname.get().to_string();
    match [asked, own].into_iter().find(|name| covers(name)) {
        Some(name) => {
            (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, format!("https://{name}{path}"))]).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is nothing here\n").into_response(),
    }
}

/// Everything else is asked for over HTTPS, and there is nothing of it here.
async fn elsewhere(State(room): State<Arc<Room>>, headers: HeaderMap, uri: Uri) -> Response {
    let host = host(&headers);
    // A host of the client's choice would make this server lead people anywhere.
    if room.scheme == Scheme::Https || !room.certificates.loaded().iter().any(|certificate| certificate.covers(host)) {
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Redirect::permanent(&format!("https://{}{path}", host.to_ascii_lowercase())).into_response()
}
