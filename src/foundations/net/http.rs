//! HTTP/1.1 on a connection that has been accepted already.

mod pace;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use self::pace::{Arriving, Taking};
use super::Connection;
use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// HTTP, as all pages and the figures speak it: how large requests and answers may be, and how long clients may
    /// take. It holds for listeners of the protocols `http`, `https`, `webmail`, `dashboard` and `metrics`.
    pub struct HttpSettings {
        /// Time a client has for the header of a request, also between two requests. Then the connection is closed.
        pub header_timeout: Span = Span::seconds(30),
        /// Largest header of a request. A larger one is answered with 431.
        pub header_size: ByteSize = ByteSize::kib(32),
        /// Time a client may pause while it sends the rest of a request after its header, or takes the answer. Then the
        /// connection is closed.
        pub stall: Span = Span::seconds(60),
        /// Octets a second at which a request's body must arrive after the first `stall`; `0` for no limit. A slower one is
        /// refused.
        pub least_rate: ByteSize = ByteSize::kib(1),
        /// Memory for bodies that are still arriving, and for letters that are being put together, of all accounts. Beyond it a
        /// request waits a little and is then refused with 503.
        pub bodies: ByteSize = ByteSize::mib(256),
        /// The same for one account, which never gets more than twice what is left for others.
        pub bodies_per_user: ByteSize = ByteSize::mib(96),
        /// Memory for answers that clients have not taken yet, of all accounts. Beyond it a request waits a little and is then
        /// refused with 503. Answers of up to 256 KiB do not count, nor do files, which are read as they are sent.
        pub answers: ByteSize = ByteSize::mib(256),
        /// The same for one account, which never gets more than twice what is left for others.
        pub answers_per_user: ByteSize = ByteSize::mib(96),
        /// Longest life of a connection. Then it is closed after the request in flight, which may take as long again.
        pub lifetime: Span = Span::hours(1),
    }
}

/// Serves requests on a connection until the client leaves, a limit is reached or the server stops. The pages are made for the
/// first request: routes take a hundred kilobytes, too much for a client that connects and asks for nothing.
///
/// Errors of the client or the network; none that an administrator must act on.
pub async fn serve_http(
    connection: Connection,
    pages: impl FnOnce() -> Router + Send + 'static,
    settings: &HttpSettings,
) -> Result<(), hyper::Error> {
    let Some(connection) = connection.secured().await else { return Ok(()) };
    let (stall, rate) = (settings.stall.duration(), settings.least_rate.get());
    let pages = Arc::new(LazyLock::new(pages));
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = Arc::clone(&pages);
        async move {
            if !names_one_host(&request) {
                return Ok(nameless());
            }
            let request = request.map(|body| Body::new(Arriving::new(Body::new(body), stall, rate)));
            TowerToHyperService::new(Router::clone(&pages)).call(request).await
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from(settings.header_timeout))
        // hyper's own lower bound is 8 KiB.
        .max_buf_size(settings.header_size.len().max(8 << 10))
        .serve_connection(TokioIo::new(Taking::new(connection.stream, stall)), service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => return result,
        () = connection.stop.cancelled() => {}
        () = tokio::time::sleep(settings.lifetime.duration()) => {}
    }
    serving.as_mut().graceful_shutdown();
    // A client that moves one octet now and then never stalls; its connection ends nevertheless.
    tokio::time::timeout(settings.lifetime.duration(), serving).await.unwrap_or(Ok(()))
}

/// RFC 9112 §3.2: a request names its host exactly once; HTTP/1.0 need not. With several, a proxy might choose another
/// host than we do.
fn names_one_host(request: &Request<Incoming>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    matches!((hosts, request.version()), (1, _) | (0, Version::HTTP_10 | Version::HTTP_09))
}

fn nameless() -> Response {
    let why = "a request must have exactly one Host field\n";
    // What follows on the connection may have been meant for another server.
    (StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")], why).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::foundations::clock::Timestamp;
    use crate::foundations::ids::SessionId;
    use crate::foundations::mail::Peer;
    use crate::foundations::tasks::Tasks;

    fn connection(server: DuplexStream) -> Connection {
        Connection {
            stream: server.into(),
            peer: Peer::Internal,
            local: None,
            session: SessionId::generate(Timestamp::EPOCH),
            stop: CancellationToken::new(),
            handshake: None,
        }
    }

    /// A client's end of a connection that is served until `done` is told.
    fn served(settings: HttpSettings, tasks: &Tasks) -> (DuplexStream, tokio::sync::oneshot::Receiver<()>) {
        let (client, server) = tokio::io::duplex(1 << 10);
        let connection = connection(server);
        let router = axum::Router::new()
            .route("/take", post(|body: Bytes| async move { body.len().to_string() }))
            .route("/give", get(|| async { vec![b'x'; 1 << 20] }));
        let (told, done) = tokio::sync::oneshot::channel();
        tasks.spawn(async move {
            // However it has ended.
            let _ = serve_http(connection, || router, &settings).await;
            let _ = told.send(());
        });
        (client, done)
    }

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), what).await.expect("it has ended long before")
    }

    fn impatient() -> HttpSettings {
        HttpSettings { stall: Span::seconds(1), ..HttpSettings::default() }
    }

    #[tokio::test]
    async fn who_stops_sending_is_left() {
        let tasks = Tasks::new();
        let (mut client, done) = served(impatient(), &tasks);
        client.write_all(b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        let mut answer = String::new();
        soon(client.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        soon(done).await.unwrap();
    }

    #[tokio::test]
    async fn who_drips_is_left() {
        let tasks = Tasks::new();
        for (pause, wanted) in [(200, "4"), (1, "2")] {
            let settings =
                HttpSettings { least_rate: ByteSize::kib(1), stall: Span::seconds(1), ..HttpSettings::default() };
            let (mut client, _done) = served(settings, &tasks);
            client.write_all(b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n").await.unwrap();
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if client.write_all(&[b'x'; 100]).await.is_err() {
                    break;
                }
            }
            let mut answer = [0; 10];
            soon(client.read_exact(&mut answer)).await.unwrap();
            assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {wanted}"));
        }
    }

    #[tokio::test]
    async fn who_stops_taking_is_left() {
        let tasks = Tasks::new();
        let (mut client, done) = served(impatient(), &tasks);
        client.write_all(b"GET /give HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        soon(done).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_names_one_host() {
        let tasks = Tasks::new();
        for (version, hosts, wanted) in [
            ("1.1", "Host: x\r\n", "200"),
            ("1.1", "Host:\r\n", "200"),
            ("1.1", "", "400"),
            ("1.1", "Host: x\r\nhost: y\r\n", "400"),
            ("1.0", "", "200"),
            ("1.0", "Host: x\r\nHost: x\r\n", "400"),
        ] {
            let (mut client, done) = served(HttpSettings::default(), &tasks);
            let request = format!("POST /take HTTP/{version}\r\n{hosts}Content-Length: 0\r\nConnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            soon(client.read_to_string(&mut answer)).await.unwrap();
            assert_eq!(answer.split(' ').nth(1), Some(wanted), "{request}{answer}");
            soon(done).await.unwrap();
        }
    }

    #[tokio::test]
    async fn no_request_in_flight_lasts_for_ever() {
        let tasks = Tasks::new();
        let settings = HttpSettings { lifetime: Span::seconds(1), stall: Span::hours(1), ..HttpSettings::default() };
        let (mut client, done) = served(settings, &tasks);
        client.write_all(b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        soon(done).await.unwrap();
    }

    #[tokio::test]
    async fn who_asks_for_nothing_has_no_pages_made() {
        let tasks = Tasks::new();
        let (mut client, server) = tokio::io::duplex(1 << 10);
        let connection = connection(server);
        let (making, mut made) = tokio::sync::oneshot::channel();
        let pages = move || {
            let _ = making.send(());
            Router::new().route("/", get(|| async { "x" }))
        };
        tasks.spawn(async move { drop(serve_http(connection, pages, &HttpSettings::default()).await) });
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        tokio::task::yield_now().await;
        assert!(made.try_recv().is_err());
        client.write_all(b"Connection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        soon(client.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        made.try_recv().unwrap();
    }
}
