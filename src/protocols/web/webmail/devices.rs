//! Settings for users' other programs, and a profile for Apple's devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Room;
use super::answer::Answer;
use super::door::Reader;
use crate::services::autoconfig::{Protection, Server, ServerKind};

#[derive(Serialize)]
struct Shown<'a> {
    hostname: &'a str,
    login: String,
    servers: Vec<ServerShown>,
    calendars_and_contacts: Option<String>,
}

#[derive(Serialize)]
struct ServerShown {
    kind: &'static str,
    port: u16,
    protection: &'static str,
}

impl From<&Server> for ServerShown {
    fn from(server: &Server) -> Self {
        Self {
            kind: match server.kind {
                ServerKind::Imap => "imap",
                ServerKind::Pop3 => "pop3",
                ServerKind::Smtp => "smtp",
            },
            port: server.port,
            protection: match server.protection {
                Protection::Immediate => "tls",
                Protection::StartTls => "starttls",
            },
        }
    }
}

/// Where programs find the mail, the calendars and the contacts of this server.
pub(super) async fn show(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    let offer = &room.needs.offer;
    let hostname = offer.hostname.as_str();
    let place = |port| if port == 443 { format!("https://{hostname}/") } else { format!("https://{hostname}:{port}/") };
    let shown = Shown {
        hostname,
        login: reader.account.address.to_string(),
        servers: offer.servers.iter().map(ServerShown::from).collect(),
        calendars_and_contacts: offer.dav.map(place),
    };
    Ok(Json(shown).into_response())
}

/// The profile for the signed-in account.
pub(super) async fn apple(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    let settings = room.needs.autoconfig.get();
    let profile = room.needs.offer.apple(&reader.account.address, settings.display_name.as_deref());
    let headers = [
        (header::CONTENT_TYPE, "application/x-apple-aspen-config"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"mail.mobileconfig\""),
    ];
    Ok((headers, profile).into_response())
}
