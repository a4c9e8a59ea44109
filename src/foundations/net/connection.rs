use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::Stream;
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;

/// One client's connection, as a protocol gets it.
#[derive(Debug)]
pub struct Connection {
    /// The bytes. On ports with implicit TLS the handshake is done.
    pub stream: Stream,
    /// The client; behind a trusted proxy, the one the proxy speaks for.
    pub peer: Peer,
    /// The address the client connected to, unless it came over a Unix socket.
    pub local: Option<SocketAddr>,
    /// The connection's name in every event and log line.
    pub session: SessionId,
    /// Cancelled when the server stops: tell the client, finish what is in flight, end.
    pub stop: CancellationToken,
}
