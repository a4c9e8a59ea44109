use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Counters, Stream, TlsContext};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;

/// One client's connection, as handed to a protocol.
#[derive(Debug)]
pub struct Connection {
    /// The bytes. Where `handshake` is set, nothing can be said over them yet.
    pub stream: Stream,
    /// The client; behind a trusted proxy, the one the proxy speaks for.
    pub peer: Peer,
    /// The address the client connected to, unless it came over a Unix socket.
    pub local: Option<SocketAddr>,
    /// The connection's name in every event and log line.
    pub session: SessionId,
    /// Cancelled when the server stops: tell the client, finish what is in flight, then end.
    pub stop: CancellationToken,
    /// Set on ports where TLS begins at once. The handshake waits for [`Connection::secured`], so that the protocol can
    /// first decide whether to serve the client: a handshake costs a place, time and CPU.
    pub handshake: Option<Handshake>,
}

/// A TLS handshake that is due.
#[derive(Debug)]
pub struct Handshake {
    pub(super) context: TlsContext,
    pub(super) counters: Arc<Counters>,
    pub(super) listener: &'static str,
}

impl Connection {
    /// Does the TLS handshake if one is due. `None` when it fails, the client is too slow, or the server stops meanwhile.
    ///
    /// On the heap, so that the session that follows does not carry the room for it.
    pub fn secured(mut self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async move {
            let Some(Handshake { context, counters, listener }) = self.handshake.take() else { return Some(self) };
            let done = tokio::select! {
                done = self.stream.start_tls(&context) => done,
                () = self.stop.cancelled() => return None,
            };
            match done {
                Ok(stream) => Some(Self { stream, ..self }),
                Err(error) => {
                    counters.failed.fetch_add(1, Ordering::Relaxed);
                    log::debug!(listener = listener, session:% = self.session, peer:% = self.peer, error:% = error;
                        "A connection ended before it began");
                    None
                }
            }
        })
    }
}
