//! HTTP/1.1 on a connection that has been accepted already.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use super::Connection;
use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// HTTP, as all pages and the figures speak it.
    pub struct HttpSettings {
        /// Time a client has for the header of a request, also between two requests. Then the connection is closed.
        pub header_timeout: Span = Span::seconds(30),
        /// Largest header of a request. A larger one is answered with 431.
        pub header_size: ByteSize = ByteSize::kib(32),
        /// Longest life of a connection. Then it is closed after the request in flight.
        pub lifetime: Span = Span::hours(1),
    }
}

/// Serves requests on a connection until the client leaves, a limit is reached or the server stops.
///
/// # Errors
/// What the client did wrong or the network did to it; nothing that needs an administrator.
pub async fn serve_http(
    connection: Connection,
    router: axum::Router,
    settings: &HttpSettings,
) -> Result<(), hyper::Error> {
    let Some(connection) = connection.secured().await else { return Ok(()) };
    let service = TowerToHyperService::new(router);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from(settings.header_timeout))
        // hyper's own lower bound is 8 KiB.
        .max_buf_size(settings.header_size.len().max(8 << 10))
        .serve_connection(TokioIo::new(connection.stream), service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => return result,
        () = connection.stop.cancelled() => {}
        () = tokio::time::sleep(settings.lifetime.duration()) => {}
    }
    serving.as_mut().graceful_shutdown();
    serving.await
}
