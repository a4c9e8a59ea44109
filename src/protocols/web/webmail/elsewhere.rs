//! Requests for mailboxes that another node has.
//!
//! This node identifies the user and passes the request on unchanged; the owner checks the login again in the database. The
//! owner trusts this node about the client and its address.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Room;
use super::answer::{Answer, Problem, with_another_node};
use super::door::session;
use super::reasons;
use super::serve::{LARGEST_WISH, Visit};
use crate::foundations::address::Address;
use crate::foundations::mail::Peer;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::form::{drain, drain_up_to};
use crate::protocols::web::passing::{Bounds, Failure, pass};
use crate::services::cluster::{Asked, Cluster, Way};

/// Answers a request here, or has it answered by the node that has the mailboxes.
pub(super) async fn to_owner(
    State((room, visit)): State<(Arc<Room>, Visit)>,
    request: Request,
    next: Next,
) -> Response {
    let cluster = room.needs.cluster.as_ref().filter(|_| is_about_mailboxes(request.uri().path()));
    let Some(cluster) = cluster else { return next.run(request).await };
    let most = most(&room, request.uri().path());
    if announced(request.headers()).is_some_and(|length| length > most as u64) {
        // The owner would refuse it in the middle of the body and close, and its answer would get lost.
        drain_up_to(request.into_body(), most).await;
        return Problem::of(&reasons::REQUEST_TOO_LARGE).with("most", most).into_response();
    }
    let caller = request.extensions().get::<Caller>().copied();
    let link = match way(&room, cluster, request.headers(), caller).await {
        Ok(Way::Here) => return next.run(request).await,
        Ok(Way::There(link)) => link,
        Err(problem) => {
            drain(request.into_body()).await;
            return problem.into_response();
        }
    };
    let silence = cluster.membership().settings().silence.duration();
    let bounds = Bounds { silence, tasks: &room.needs.tasks, stop: &visit.stop };
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    // On the heap, so that requests which stay here do not carry the room for it.
    match Box::pin(pass(*link, request, &bounds)).await {
        Ok(response) => response,
        Err(failure) => {
            log::warn!("webmail: a request could not be passed on: {failure}");
            unanswered(&failure, is_change).into_response()
        }
    }
}

/// Signing in and out is the same everywhere, and works while the owner of the mailboxes is unreachable.
fn is_about_mailboxes(path: &str) -> bool {
    path.strip_prefix("/api/").is_some_and(|rest| !matches!(rest, "session" | "openapi.json"))
}

/// The largest body of a request.
fn most(room: &Room, path: &str) -> usize {
    match path {
        "/api/uploads" => room.needs.settings.get().attachment.len(),
        "/api/messages/import" => room.needs.settings.get().message.len(),
        _ => LARGEST_WISH,
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Where a request is answered. One without a login is refused here.
async fn way(room: &Room, cluster: &Cluster, headers: &HeaderMap, caller: Option<Caller>) -> Answer<Way> {
    let Some(caller) = caller else { return Ok(Way::Here) };
    let Some(session) = session(room, &caller, headers).await? else { return Ok(Way::Here) };
    let Ok(account) = session.login.account.parse::<Address>() else { return Ok(Way::Here) };
    let asked = Asked {
        account: account.to_string(),
        client: address(caller.client),
        is_private: caller.is_private,
        is_encrypted: caller.is_encrypted,
    };
    // The error is already in the log.
    cluster.way(&account, &asked).await.map_err(|_| with_another_node())
}

fn address(client: Peer) -> Option<SocketAddr> {
    match client {
        Peer::Tcp(address) => Some(address),
        Peer::Unix | Peer::Internal => None,
    }
}

/// Who asks, in the words of the node that has the browser's connection.
pub(super) fn caller(asked: &Asked) -> Caller {
    Caller {
        client: asked.client.map_or(Peer::Unix, Peer::Tcp),
        is_local: false,
        is_private: asked.is_private,
        is_encrypted: asked.is_encrypted,
    }
}

/// A request that the owner has begun to read was perhaps fulfilled.
fn unanswered(failure: &Failure, is_change: bool) -> Problem {
    Problem::of(match (failure, is_change) {
        (Failure::Silent, true) => &reasons::SILENT,
        (Failure::Silent, false) => &reasons::SILENT_READING,
        (Failure::Broken(_), true) => &reasons::BROKEN,
        (Failure::Broken(_), false) => &reasons::BROKEN_READING,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_mailboxes_is_passed_on() {
        for (path, wanted) in [
            ("/", false),
            ("/app.js", false),
            ("/api/session", false),
            ("/api/openapi.json", false),
            ("/api/sessions", true),
            ("/api/messages", true),
            ("/api/uploads/abc", true),
            ("/api/changes", true),
        ] {
            assert_eq!(is_about_mailboxes(path), wanted, "{path}");
        }
    }
}
