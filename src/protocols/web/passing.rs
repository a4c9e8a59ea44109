//! Passes requests on to the node that answers them, each over its own connection.
//!
//! Bodies are streamed both ways, one piece at a time, and each side waits for the other. A side that is silent for too long
//! ends the exchange.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Version, header};
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::foundations::tasks::Tasks;

/// Octets of an answer that wait to be passed on.
const MEMORY: usize = 64 << 10;
/// A stream of events is silent for half of this when there is nothing to tell.
const STREAM_SILENCE: Duration = Duration::from_secs(60);

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing moved for too long.
    #[error("the other node was silent for too long")]
    Silent,
    /// The connection ended.
    #[error("the connection to the other node ended: {0}")]
    Broken(#[from] hyper::Error),
}

/// What ends the passing on of requests.
pub(super) struct Bounds<'a> {
    /// How long nothing may move.
    pub(super) silence: Duration,
    /// Where the connection is looked after.
    pub(super) tasks: &'a Tasks,
    /// When this is cancelled, streams of events end.
    pub(super) stop: &'a CancellationToken,
}

/// Passes a request on over a ready connection to a node. The returned answer is streamed.
pub(super) async fn pass<L>(link: L, request: Request, bounds: &Bounds<'_>) -> Result<Response, Failure>
where
    L: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = http1::Builder::new().max_buf_size(MEMORY).handshake(TokioIo::new(link)).await;
    let (mut sender, connection) = shaken?;
    bounds.tasks.spawn(async move {
        if let Err(error) = connection.await {
            log::debug!(error:% = error; "The connection of a request that was passed on ended early");
        }
    });
    let moved = Moved::now();
    let sending = sender.send_request(outgoing(request, &moved));
    tokio::pin!(sending);
    let response = loop {
        let end = moved.last() + bounds.silence;
        tokio::select! {
            answered = &mut sending => break answered?,
            () = sleep_until(end) => {
                if moved.last() + bounds.silence <= Instant::now() {
                    return Err(Failure::Silent);
                }
            }
        }
    };
    Ok(incoming(response, bounds))
}

/// When something last went towards the other node.
#[derive(Debug, Clone)]
struct Moved(Arc<Mutex<Instant>>);

impl Moved {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn last(&self) -> Instant {
        *self.0.lock()
    }

    fn again(&self) {
        *self.0.lock() = Instant::now();
    }
}

fn outgoing(request: Request, moved: &Moved) -> hyper::Request<Going> {
    let (mut parts, body) = request.into_parts();
    strip(&mut parts.headers);
    parts.version = Version::HTTP_11;
    // RFC 9112 §3.2.1: to a server, without what a client of a proxy puts before the path.
    if let Some(path) = parts.uri.path_and_query().cloned() {
        parts.uri = path.into();
    }
    hyper::Request::from_parts(parts, Going { body, moved: moved.clone() })
}

fn incoming(response: hyper::Response<Incoming>, bounds: &Bounds<'_>) -> Response {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let silence = if is_stream { bounds.silence.max(STREAM_SILENCE) } else { bounds.silence };
    let stop = is_stream.then(|| Box::pin(bounds.stop.clone().cancelled_owned()));
    let coming = Coming { body, silence, timer: Box::pin(sleep(silence)), is_waited_for: false, stop };
    Response::from_parts(parts, Body::new(coming))
}

/// Takes fields away that are about one connection only (RFC 9110 §7.6.1).
fn strip(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in named {
        headers.remove(name);
    }
    for name in ABOUT_THE_CONNECTION {
        headers.remove(name);
    }
}

/// The last is answered by the side that reads the body first.
const ABOUT_THE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// The body of a request on its way.
struct Going {
    body: Body,
    moved: Moved,
}

impl HttpBody for Going {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.moved.again();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer on its way.
struct Coming {
    body: Incoming,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer runs. A browser that is slow to read is no silence of the other node's.
    is_waited_for: bool,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl HttpBody for Coming {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.is_waited_for = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Failure::Broken)));
        }
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        if !self.is_waited_for {
            self.is_waited_for = true;
            let end = Instant::now() + self.silence;
            self.timer.as_mut().reset(end);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Failure::Silent)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";

    /// Another node that reads a request's head and says this.
    async fn node(mut link: DuplexStream, says: &'static str) -> DuplexStream {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            // Whoever has no patience is gone before it has asked.
            let Ok(octet) = link.read_u8().await else { return link };
            head.push(octet);
        }
        link.write_all(says.as_bytes()).await.unwrap();
        link
    }

    async fn passed(
        says: &'static str,
        silence: Duration,
    ) -> (Result<Response, Failure>, DuplexStream, CancellationToken) {
        let (here, there) = tokio::io::duplex(1 << 16);
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let bounds = Bounds { silence, tasks: &tasks, stop: &stop };
        let request = Request::builder().uri("/api/folders").header("host", "mail").body(Body::empty()).unwrap();
        let (response, link) = tokio::join!(pass(here, request, &bounds), node(there, says));
        (response, link, stop)
    }

    #[tokio::test]
    async fn a_node_that_says_nothing_is_given_up() {
        let (response, _link, _) = passed("", Duration::from_millis(50)).await;
        assert!(matches!(response, Err(Failure::Silent)));
    }

    #[tokio::test]
    async fn an_answer_that_stops_is_not_taken_for_a_whole_one() {
        let (response, _link, _) = passed(HALF, Duration::from_secs(3)).await;
        let mut body = response.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        assert!(body.frame().await.unwrap().is_err());
        let (response, link, _) = passed(HALF, Duration::from_mins(1)).await;
        drop(link);
        assert!(response.unwrap().into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn a_stream_of_events_ends_with_the_server() {
        let told =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";
        let (response, _link, stop) = passed(told, Duration::from_mins(1)).await;
        let mut body = response.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ":\n\n");
        stop.cancel();
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn fields_about_one_connection_stay_with_it() {
        let fields = [("connection", "close, X-Hop"), ("x-hop", "1"), ("expect", "100-continue"), ("cookie", "a=b")];
        let mut headers: HeaderMap =
            fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["cookie"]);
    }
}
