//! The page where users choose their password. It works without scripts.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::Room;
use crate::foundations::failure::Kind;
use crate::foundations::mail::Peer;
use crate::foundations::secret::Secret;
use crate::protocols::web::form::text;
use crate::services::autoconfig::{Protection, Server, ServerKind};
use crate::services::set_up::Error;

/// The form's fields. Another site cannot forge them: the address of the page is the secret.
#[derive(Deserialize)]
pub(super) struct Chosen {
    password: String,
    again: String,
}

/// What mail programs need servers for, in the words of the webmail.
const SERVERS: [(ServerKind, &str); 3] = [
    (ServerKind::Imap, "Reading mail (IMAP)"),
    (ServerKind::Pop3, "Fetching mail (POP3)"),
    (ServerKind::Smtp, "Sending mail (SMTP)"),
];

/// The largest form that is read.
pub(super) const LARGEST: usize = 4 << 10;

pub(super) async fn style() -> Response {
    answer(([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("set_up.css")).into_response())
}

/// The form. Looking at it does not use the link up: programs that read mail follow links too.
pub(super) async fn form(State(room): State<Arc<Room>>, Path(token): Path<String>) -> Response {
    match room.set_up.whose(&token).await {
        Ok(address) => page(&room, StatusCode::OK, "", &fields(&room, &address.to_string())),
        Err(error) => failed(&room, &error, ""),
    }
}

/// Somebody has chosen.
pub(super) async fn choose(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    Path(token): Path<String>,
    Form(chosen): Form<Chosen>,
) -> Response {
    let address = match room.set_up.whose(&token).await {
        Ok(address) => address.to_string(),
        Err(error) => return failed(&room, &error, ""),
    };
    let again = fields(&room, &address);
    if chosen.password != chosen.again {
        return page(&room, StatusCode::BAD_REQUEST, "The two passwords are not the same.", &again);
    }
    match room.set_up.set(&token, Secret::new(chosen.password), &peer).await {
        Ok(_) => page(&room, StatusCode::OK, "", &done(&room, &address)),
        Err(error) => failed(&room, &error, &again),
    }
}

fn failed(room: &Room, error: &Error, again: &str) -> Response {
    let (status, again) = match error.kind() {
        Kind::NotFound => (StatusCode::NOT_FOUND, ""),
        Kind::Invalid => (StatusCode::BAD_REQUEST, again),
        _ => {
            log::warn!("A password could not be set by a link: {error}");
            let later = "Your password could not be set at the moment. Try again in a minute.";
            return page(room, StatusCode::SERVICE_UNAVAILABLE, later, again);
        }
    };
    page(room, status, &error.to_string(), again)
}

fn fields(room: &Room, address: &str) -> String {
    let least = room.set_up.settings.get().shortest_password;
    include_str!("set_up_form.html").replace("{{address}}", &text(address)).replace("{{least}}", &least.to_string())
}

fn done(room: &Room, address: &str) -> String {
    let webmail = if room.pages.is_some() { "<p><a href=\"/\">Read and write mail in the browser</a></p>" } else { "" };
    let servers: String = SERVERS.iter().filter_map(|(kind, what)| server(room, *kind, what)).collect();
    include_str!("set_up_done.html")
        .replace("{{address}}", &text(address))
        .replace("{{webmail}}", webmail)
        .replace("{{servers}}", &servers)
}

/// Where a mail program finds the best server of a kind.
fn server(room: &Room, kind: ServerKind, what: &str) -> Option<String> {
    let Server { port, protection, .. } = room.offer.servers.iter().find(|server| server.kind == kind)?;
    let protection = match protection {
        Protection::Immediate => "SSL/TLS",
        Protection::StartTls => "STARTTLS",
    };
    let hostname = room.hostname.get();
    Some(format!("<dt>{what}</dt>\n<dd>{}, port {port}, {protection}</dd>\n", text(hostname.as_str())))
}

fn page(room: &Room, status: StatusCode, problem: &str, rest: &str) -> Response {
    let problem = match problem {
        "" => String::new(),
        problem => format!("<p class=\"problem\" role=\"alert\">{}</p>", text(problem)),
    };
    let page = include_str!("set_up.html").replace("{{hostname}}", &text(room.hostname.get().as_str()));
    answer((status, Html(page.replace("{{problem}}", &problem).replace("{{rest}}", rest))).into_response())
}

/// Nobody keeps the page, learns its address from a link on it, or shows it within another one.
fn answer(mut response: Response) -> Response {
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
