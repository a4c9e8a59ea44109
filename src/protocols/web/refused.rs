//! Clients that the guard does not let in.

use std::time::Duration;

use tokio::time::timeout;

use crate::foundations::failure::Refusal;
use crate::foundations::net::{Connection, Link};
use crate::services::guard::{Guard, Service};
use crate::storage::journal::Journal;

/// How long the first octets of the request are waited for, and then for the client to take the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of the request is read.
const MOST_READ: usize = 16 << 10;

/// Tells a client why it is not served, and records that.
pub(super) async fn turn_away(connection: Connection, refusal: &Refusal, guard: &Guard, journal: &Journal) {
    let (session, peer) = (connection.session, connection.peer);
    log::debug!(session:% = session, peer:% = peer; "web: the client was refused: {refusal}");
    if let Some(event) = guard.turned_away(refusal, Service::Web, &peer, session) {
        journal.record(event);
    }
    // Nothing can be said before a handshake, and an unwanted client gets none.
    if connection.handshake.is_some() {
        return;
    }
    let mut link = Link::new(connection.stream, PATIENCE);
    // First the request: closing a connection with unread octets resets it, and the client might lose the answer.
    if matches!(timeout(PATIENCE, link.read(MOST_READ)).await, Ok(Ok(()))) {
        link.out.extend_from_slice(answer(&refusal.public).as_bytes());
        link.close().await;
    }
}

/// RFC 6585 §4.
fn answer(why: &str) -> String {
    let length = why.len() + 1;
    format!(
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nRetry-After: 60\r\nConnection: close\r\n\r\n{why}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let answer = answer("Too many connections");
        let (header, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(header.starts_with("HTTP/1.1 429 "));
        assert!(header.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
        assert_eq!(body, "Too many connections\n");
    }
}
