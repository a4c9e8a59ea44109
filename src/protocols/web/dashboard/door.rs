//! Who may come in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};

use super::sessions::tokens;
use super::{DashboardSettings, Room};
use crate::foundations::mail::Peer;

/// Who asks, as far as it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// The client; behind a proxy that is believed, the one it speaks for.
    pub(super) client: Peer,
    /// Whether the connection itself comes from this machine.
    pub(super) is_local: bool,
    /// Whether nobody on the way can read along.
    pub(super) is_private: bool,
}

impl Caller {
    fn of(peer: Peer, headers: &HeaderMap, settings: &DashboardSettings) -> Self {
        let is_loopback = |peer: &Peer| peer.ip().is_none_or(|ip| ip.is_loopback());
        let is_proxy = peer.ip().is_none_or(|ip| settings.proxies.iter().any(|network| network.contains(&ip)));
        let text = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
        let last = |name: &str| text(name).and_then(|list| list.rsplit(',').next()).map(str::trim);
        // Everything left of the last entry was written by whoever came before the proxy.
        let client = match last("x-forwarded-for").filter(|_| is_proxy) {
            Some(entry) => Peer::Tcp(SocketAddr::new(forwarded(entry), 0)),
            None => peer,
        };
        let by_tls = is_proxy && last("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        Self { client, is_local: is_loopback(&peer), is_private: by_tls || is_loopback(&client) }
    }

    /// Whether the browser speaks TLS to the proxy before us.
    pub(super) fn wants_secure_cookie(&self, headers: &HeaderMap) -> bool {
        self.is_private && headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https")
    }
}

/// The address in an entry of X-Forwarded-For, with or without a port. What cannot be read is some stranger's.
fn forwarded(entry: &str) -> IpAddr {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().or_else(|_| entry.parse().map(|address: SocketAddr| address.ip()));
    address.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

/// Lets a request pass or turns it away, and gives every answer the headers that keep browsers in bounds.
pub(super) async fn guard(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let settings = room.needs.settings.get();
    let caller = Caller::of(peer, request.headers(), &settings);
    request.extensions_mut().insert(caller);
    let mut response = match refusal(&room, &settings, &caller, &request) {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Why a request is turned away; `None` when it is not.
fn refusal(room: &Room, settings: &DashboardSettings, caller: &Caller, request: &Request) -> Option<Response> {
    let path = request.uri().path();
    if settings.password_file.is_none() {
        if !caller.is_local {
            let why = "No password is set (dashboard.password_file), so only this machine itself is served.";
            return Some(problem(StatusCode::FORBIDDEN, why));
        }
        if !is_our_name(room, settings, request.headers()) {
            let why = "The page is not known under this name; see dashboard.names in the configuration.";
            return Some(problem(StatusCode::FORBIDDEN, why));
        }
        return None;
    }
    if OPEN.contains(&path) || logged_in(room, request.headers()) {
        return None;
    }
    Some(match path.starts_with("/api/") {
        true => problem(StatusCode::UNAUTHORIZED, "Log in at /login first; the cookie it sets lets you in."),
        false => Redirect::to("/login").into_response(),
    })
}

fn logged_in(room: &Room, headers: &HeaderMap) -> bool {
    let now = room.needs.clock.now();
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(tokens).any(|token| room.sessions.has(token, now))
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

/// A refusal as the interface words it.
pub(super) fn problem(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(serde_json::json!({ "error": why.into() }))).into_response()
}

/// Whether a form was sent by a page of ours. Old browsers send neither field; their cookie is held back by SameSite.
pub(super) fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, of)| of == host),
        (None, None, _) => true,
        _ => false,
    }
}

/// What is served before a login.
const OPEN: &[&str] = &["/login", "/dashboard.css", "/icon.svg"];

/// Nothing but what the page itself brings may run or be loaded.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn peer(text: &str) -> Peer {
        Peer::Tcp(text.parse().unwrap())
    }

    #[test]
    fn believes_only_proxies() {
        let settings = DashboardSettings::default();
        let said = headers(&[("x-forwarded-for", "203.0.113.9, 192.0.2.7"), ("x-forwarded-proto", "https")]);
        let behind = Caller::of(peer("127.0.0.1:9"), &said, &settings);
        assert_eq!(behind, Caller { client: peer("192.0.2.7:0"), is_local: true, is_private: true });
        let liar = Caller::of(peer("198.51.100.1:9"), &said, &settings);
        assert_eq!(liar, Caller { client: peer("198.51.100.1:9"), is_local: false, is_private: false });
        let plain = Caller::of(peer("127.0.0.1:9"), &headers(&[("x-forwarded-for", "192.0.2.7")]), &settings);
        assert!(!plain.is_private, "the client reaches the proxy without TLS");
        assert!(Caller::of(peer("[::1]:9"), &headers(&[]), &settings).is_private);
    }

    #[test]
    fn entries_come_in_many_forms() {
        for (entry, wanted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:1234", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:1234", "2001:db8::7"),
            ("unknown", "0.0.0.0"),
        ] {
            assert_eq!(forwarded(entry).to_string(), wanted);
        }
    }

    #[test]
    fn forms_of_others_are_told_apart() {
        for (pairs, wanted) in [
            (vec![], true),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://x"), ("host", "x")], false),
            (vec![("origin", "http://x:1"), ("host", "x:1")], true),
            (vec![("origin", "http://evil"), ("host", "x")], false),
            (vec![("origin", "null"), ("host", "x")], false),
        ] {
            assert_eq!(is_own_form(&headers(&pairs)), wanted, "{pairs:?}");
        }
    }
}
