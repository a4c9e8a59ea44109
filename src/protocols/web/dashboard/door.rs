//! Access control.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::login::is_logged_in;
use super::{DashboardSettings, Room};
use crate::foundations::mail::Peer;
use crate::protocols::web::caller::{Caller, Scheme};
use crate::protocols::web::form::problem;

/// Lets a request pass or turns it away, and gives every answer the headers that keep browsers in bounds.
pub(super) async fn guard(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let settings = room.needs.settings.get();
    let caller = Caller::of(peer, request.headers(), &settings.proxies, Scheme::Http);
    request.extensions_mut().insert(caller);
    let mut response = match refusal(&room, &settings, &caller, request.uri().path(), request.headers()).await {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Why a request is turned away; `None` when it is not.
async fn refusal(
    room: &Room,
    settings: &DashboardSettings,
    caller: &Caller,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response> {
    if settings.password_file.is_none() {
        if !caller.is_local {
            let why = "No password is set (dashboard.password_file), so only this machine itself is served.";
            return Some(problem(StatusCode::FORBIDDEN, why));
        }
        if !settings.proxy_decides && caller.client.ip().is_some_and(|ip| !ip.is_loopback()) {
            let why = "No password is set (dashboard.password_file), so only this machine itself is served, and a proxy here \
                       speaks for another; see dashboard.proxy_decides.";
            return Some(problem(StatusCode::FORBIDDEN, why));
        }
        if !is_our_name(room, settings, headers) {
            let why = "The page is not served under this name; see dashboard.names in the configuration.";
            return Some(problem(StatusCode::FORBIDDEN, why));
        }
        return None;
    }
    if OPEN.contains(&path) || is_logged_in(room, settings, caller, headers).await {
        return None;
    }
    Some(match path.starts_with("/api/") {
        true => problem(StatusCode::UNAUTHORIZED, "Log in at /login first; the cookie it sets lets you in."),
        false => Redirect::to("/login").into_response(),
    })
}

/// Whether a request names this server, and not whatever name somebody has led here (DNS rebinding).
fn is_our_name(room: &Room, settings: &DashboardSettings, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let known = |domain: &crate::foundations::address::Domain| domain.as_str().eq_ignore_ascii_case(name);
    // An address cannot be led anywhere else.
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || known(&room.needs.hostname)
        || settings.names.iter().any(known)
}

/// Pages served before a login.
const OPEN: &[&str] = &["/login", "/dashboard.css", "/icon.svg", "/healthz", "/readyz"];

/// Only the page's own resources may run or be loaded.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
