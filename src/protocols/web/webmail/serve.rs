//! The routes.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::{
    Room, acts, assets, changes, contact_files, contacts, conversations, devices, door, drafts, elsewhere, folders,
    holding, imports, invitations, list, parts, people, read, receipts, remembered, scripts, search, security, send,
    signatures, signing_in, unsubscribing, uploads,
};
use crate::foundations::mail::Peer;
use crate::foundations::net::{Connection, serve_http};
use crate::protocols::web::caller::{Caller, Scheme};
use crate::protocols::web::form::problem;
use crate::protocols::web::refused::turn_away;
use crate::services::cluster::Asked;
use crate::services::guard::Service;

/// One connection, for whatever is asked over it.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) source: Source,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
}

/// Where requests come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// From a browser, or a proxy before it.
    Browser { peer: Peer, scheme: Scheme },
    /// From another node, which has said who asks.
    Node(Caller),
}

impl Visit {
    /// Who makes a request.
    pub(super) fn caller(&self, headers: &HeaderMap, proxies: &[IpNet]) -> Caller {
        match self.source {
            Source::Browser { peer, scheme } => Caller::of(peer, headers, proxies, scheme),
            Source::Node(caller) => caller,
        }
    }
}

/// Answers the one request of a connection that another node has passed on.
pub async fn respond(connection: Connection, asked: Asked, room: Arc<Room>) {
    let (session, settings) = (connection.session, room.needs.http.get());
    let visit = Visit { source: Source::Node(elsewhere::caller(&asked)), stop: connection.stop.clone() };
    let pages = move || own_pages(&room, visit);
    if let Err(error) = serve_http(connection, pages, &settings).await {
        log::debug!(session:% = session; "webmail: the connection of another node ended early: {error}");
    }
}

/// Serves one connection without TLS.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let (session, peer) = (connection.session, connection.peer);
    let _pass = match room.needs.guard.admit(&peer, Service::Web) {
        Ok(pass) => pass,
        Err(refusal) => return turn_away(connection, &refusal, &room.needs.guard, &room.needs.journal).await,
    };
    let settings = room.needs.http.get();
    let stop = connection.stop.clone();
    let pages = move || pages(&room, peer, Scheme::Http, stop);
    if let Err(error) = serve_http(connection, pages, &settings).await {
        log::debug!(session:% = session, peer:% = peer; "webmail: the connection ended early: {error}");
    }
}

/// All pages for one connection.
pub fn pages(room: &Arc<Room>, peer: Peer, scheme: Scheme, stop: CancellationToken) -> Router {
    let own = own_pages(room, Visit { source: Source::Browser { peer, scheme }, stop });
    match &room.needs.beside {
        Some(beside) => beside(peer, scheme).fallback_service(own),
        None => own,
    }
}

fn own_pages(room: &Arc<Room>, visit: Visit) -> Router {
    let settings = room.needs.settings.get();
    if !settings.enabled {
        return Router::new().fallback(switched_off);
    }
    let guarded = middleware::from_fn_with_state((Arc::clone(room), visit.clone()), door::guard);
    let pages = Router::new()
        .route("/", get(assets::index))
        .route("/{name}", get(assets::asset))
        .nest("/api", api(settings.attachment.len(), settings.message.len()))
        .fallback(async |_: Request| problem(StatusCode::NOT_FOUND, "There is nothing here; see /api/openapi.json."));
    let pages = match visit.source {
        Source::Browser { .. } if room.needs.cluster.is_some() => {
            pages.layer(middleware::from_fn_with_state((Arc::clone(room), visit.clone()), elsewhere::to_owner))
        }
        // What comes from a node is never passed on to a third.
        Source::Browser { .. } | Source::Node(_) => pages,
    };
    pages.layer(guarded).layer(Extension(visit)).with_state(Arc::clone(room))
}

/// The JSON interface. `openapi.json` describes it; a test compares the two.
fn api(largest_upload: usize, largest_message: usize) -> Router<Arc<Room>> {
    let uploads = Router::new()
        .route("/uploads", post(uploads::upload))
        // One octet more, so that the room itself can report the excess.
        .layer(DefaultBodyLimit::max(largest_upload.saturating_add(1)));
    let imports = Router::new()
        .route("/messages/import", post(imports::import))
        .layer(DefaultBodyLimit::max(largest_message.saturating_add(1)));
    // All that somebody may send who has not signed in yet.
    let session = Router::new()
        .route("/session", get(signing_in::who).post(signing_in::enter).delete(signing_in::leave))
        .layer(DefaultBodyLimit::max(LARGEST_LOGIN));
    Router::new()
        .merge(session)
        .route("/sessions", get(signing_in::list).delete(signing_in::end_others))
        .route("/sessions/{id}", delete(signing_in::end))
        .route("/password", post(signing_in::change_password))
        .route("/security", get(security::show))
        .route("/two-factor", post(security::begin))
        .route("/two-factor/confirm", post(security::confirm))
        .route("/two-factor/recovery-codes", post(security::new_codes))
        .route("/two-factor/off", post(security::turn_off))
        .route("/two-factor/forget", post(remembered::forget))
        .route("/app-passwords", post(security::add))
        .route("/app-passwords/revoke", post(security::revoke))
        .route("/devices", get(devices::show))
        .route("/devices/apple.mobileconfig", get(devices::apple))
        .route("/account", get(people::account))
        .route("/preferences", post(people::prefer))
        .route("/signature", get(signatures::signature))
        .route("/signature/picture", get(signatures::picture))
        .route("/response", get(signatures::response))
        .route("/people", get(people::people))
        .route("/people/forget", post(people::forget))
        .route("/contacts", get(contacts::list))
        .route("/contacts/export", get(contact_files::export))
        .route("/contacts/import", post(contact_files::import))
        .route("/contacts/remove", post(contacts::remove))
        .route("/contact", get(contacts::show).post(contacts::save))
        .route("/folders", get(folders::list).post(folders::create))
        .route("/folders/rename", post(folders::rename))
        .route("/folders/delete", post(folders::delete))
        .route("/folders/subscribe", post(folders::subscribe))
        .route("/folders/empty", post(folders::empty))
        .route("/messages", get(list::list))
        .route("/search", get(search::search))
        .route("/messages/mark", post(acts::mark))
        .route("/messages/move", post(acts::put))
        .route("/messages/remove", post(acts::remove))
        .route("/conversation", get(conversations::show))
        .route("/message", get(read::message))
        .route("/message/page", get(read::page))
        .route("/message/part", get(parts::part))
        .route("/message/attachments", get(parts::all))
        .route("/message/source", get(parts::raw))
        .route("/message/receipt", post(receipts::decide))
        .route("/message/unsubscribe", post(unsubscribing::unsubscribe))
        .route("/invitation", get(invitations::show).post(invitations::act))
        .route("/drafts", post(drafts::save))
        .route("/send", post(send::send))
        .route("/send/undo", post(holding::undo))
        .route("/scripts", get(scripts::list))
        .route("/scripts/check", post(scripts::check))
        .route("/scripts/activate", post(scripts::activate))
        .route("/scripts/rename", post(scripts::rename))
        .route("/scripts/delete", post(scripts::delete))
        .route("/script", get(scripts::show).post(scripts::save))
        .route("/changes", get(changes::watch))
        .route("/openapi.json", get(openapi))
        .layer(DefaultBodyLimit::max(LARGEST_WISH))
        .route("/uploads/{id}", get(uploads::show))
        .merge(uploads)
        .merge(imports)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

async fn switched_off() -> Response {
    problem(StatusCode::NOT_FOUND, "The webmail is switched off (webmail.enabled).")
}

/// In octets: an address, a password and a code.
const LARGEST_LOGIN: usize = 16 << 10;
/// In octets: the text of a letter, or the numbers of ten thousand messages.
pub(super) const LARGEST_WISH: usize = 4 << 20;
