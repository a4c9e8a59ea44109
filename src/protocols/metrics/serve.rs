//! The three pages.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::encode::{Format, encode};
use super::{Figure, FigureKind, Gather};
use crate::foundations::net::{Connection, HttpSettings, serve_http};
use crate::foundations::settings::Live;

/// Asks whether the server can do its work now; the error is a sentence for the administrator.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What the room needs.
pub struct Room {
    /// Limits.
    pub http: Live<HttpSettings>,
    /// Where figures come from.
    pub sources: Vec<Gather>,
    /// Whether the server is ready.
    pub readiness: Readiness,
}

/// Serves one connection.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let (session, peer) = (connection.session, connection.peer);
    let settings = room.http.get();
    let pages = || {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .with_state(room)
    };
    if let Err(error) = serve_http(connection, pages, &settings).await {
        log::debug!(session:% = session, peer:% = peer; "figures: the connection ended early: {error}");
    }
}

async fn metrics(State(room): State<Arc<Room>>, headers: HeaderMap) -> Response {
    let mut figures = gathered(&room.sources, PATIENCE).await;
    figures.push(Figure::labelled(
        "build_info",
        "The running version",
        FigureKind::Gauge,
        "version",
        [(env!("CARGO_PKG_VERSION").to_owned(), 1.0)],
    ));
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::for_client(accept.unwrap_or_default());
    match encode(figures, format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.media_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The figures of all sources. One that does not answer in time is left out, and does not delay the others.
async fn gathered(sources: &[Gather], patience: Duration) -> Vec<Figure> {
    let answers = join_all(sources.iter().map(|gather| timeout(patience, gather()))).await;
    answers.into_iter().flatten().flatten().collect()
}

/// How long a source is waited for. Prometheus gives up a scrape after ten seconds, and would miss also those figures that say
/// what does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

async fn readyz(State(room): State<Arc<Room>>) -> Response {
    match (room.readiness)().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::Timestamp;
    use crate::foundations::ids::SessionId;
    use crate::foundations::mail::Peer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(path: &str, ready: Result<(), String>) -> String {
        let (mut client, server) = tokio::io::duplex(4096);
        let room = Arc::new(Room {
            http: Live::default(),
            sources: vec![Arc::new(|| Box::pin(async { vec![Figure::gauge("up", "Whether it runs", 1.0)] }))],
            readiness: Arc::new(move || {
                let ready = ready.clone();
                Box::pin(async move { ready })
            }),
        });
        let connection = Connection {
            stream: server.into(),
            peer: Peer::Internal,
            local: None,
            session: SessionId::generate(Timestamp::EPOCH),
            stop: tokio_util::sync::CancellationToken::new(),
            handshake: None,
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let (_, read) = tokio::join!(run(connection, room), client.read_to_string(&mut answer));
        read.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_source_that_hangs_is_left_out() {
        let sources: [Gather; 2] = [
            Arc::new(|| Box::pin(std::future::pending::<Vec<Figure>>())),
            Arc::new(|| Box::pin(async { vec![Figure::gauge("up", "Whether it runs", 1.0)] })),
        ];
        assert_eq!(gathered(&sources, Duration::from_millis(1)).await, [Figure::gauge("up", "Whether it runs", 1.0)]);
    }

    #[tokio::test]
    async fn answers() {
        let metrics = ask("/metrics", Ok(())).await;
        assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("postrider_up 1.0\n"), "{metrics}");
        assert!(ask("/healthz", Ok(())).await.ends_with("\r\n\r\nok\n"));
        assert!(ask("/readyz", Ok(())).await.starts_with("HTTP/1.1 200"));
        let refused = ask("/readyz", Err("the database does not answer".to_owned())).await;
        assert!(
            refused.starts_with("HTTP/1.1 503") && refused.ends_with("the database does not answer\n"),
            "{refused}"
        );
        assert!(ask("/nowhere", Ok(())).await.starts_with("HTTP/1.1 404"));
    }
}
