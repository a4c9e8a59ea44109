//! The HTTP client for authorities: HTTPS only, with bounded answers.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Limited;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;

use super::time::retry_after;
use crate::services::outbound::Roots;

/// Most octets of an answer that are read. A certificate chain has about ten thousand.
const LARGEST_ANSWER: usize = 1 << 20;

/// How long an authority wants to be left alone (`Retry-After`), which the ACME library does not say for all answers. Cloning gives
/// another handle to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct RetryAfter(Arc<Mutex<Wanted>>);

#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    by_latest: Option<Duration>,
    by_refusals: Option<Duration>,
}

impl RetryAfter {
    /// Notes what an answer says.
    fn note(&self, status: StatusCode, headers: &HeaderMap) {
        let said = retry_after(headers);
        let mut wanted = self.0.lock();
        wanted.by_latest = said;
        if status.is_client_error() || status.is_server_error() {
            wanted.by_refusals = wanted.by_refusals.max(said);
        }
    }

    /// What the latest answer says, whatever else it was.
    pub(super) fn of_latest(&self) -> Option<Duration> {
        self.0.lock().by_latest
    }

    /// The longest that a refusal has said (RFC 8555 §6.6).
    pub(super) fn of_refusals(&self) -> Option<Duration> {
        self.0.lock().by_refusals
    }
}

/// A client that reads answers up to a limit.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    retry_after: RetryAfter,
}

impl Http {
    /// Trusts the certificate authorities in a PEM file, or those of the system. Notes when answers ask for a pause.
    ///
    /// # Errors
    /// The file cannot be read or has no certificate in it.
    pub(super) fn new(roots: Option<&Path>, retry_after: RetryAfter) -> Result<Self, Error> {
        let roots = Roots::load(roots).map_err(|error| Error::Other(error.into()))?;
        let tls = roots.client_config().map_err(|error| Error::Other(error.into()))?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), retry_after })
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (answer, wanted) = (self.client.request(request), self.retry_after.clone());
        Box::pin(async move {
            let answer = answer.await.map_err(|error| Error::Other(error.into()))?;
            wanted.note(answer.status(), answer.headers());
            Ok(BytesResponse::from(answer.map(|body| Limited::new(body, LARGEST_ANSWER))))
        })
    }
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::foundations::clock::{Clock as _, SystemClock};
    use crate::services::certificates::SelfSigned;

    fn acceptor(made: &SelfSigned) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = CertificateDer::pem_slice_iter(made.certificate.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.key.expose().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
    }

    /// Gives one client an answer of this many octets.
    async fn answer(listener: &TcpListener, acceptor: &TlsAcceptor, octets: usize) {
        answer_with(listener, acceptor, "200 OK", octets).await;
    }

    async fn answer_with(listener: &TcpListener, acceptor: &TlsAcceptor, status: &str, octets: usize) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {octets}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // A client that has read enough hangs up.
        let _ = stream.write_all(&vec![b'x'; octets]).await;
        let _ = stream.shutdown().await;
    }

    #[tokio::test]
    async fn an_answer_beyond_the_bound_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let made = SelfSigned::make(&["127.0.0.1"], SystemClock.now()).unwrap();
        let roots = directory.path().join("ca.pem");
        std::fs::write(&roots, &made.authority).unwrap();
        let (acceptor, http) = (acceptor(&made), Http::new(Some(&roots), RetryAfter::default()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}/directory", listener.local_addr().unwrap());
        for (octets, is_read) in [(LARGEST_ANSWER, true), (LARGEST_ANSWER + 1, false)] {
            let request = Request::builder().uri(&uri).body(BodyWrapper::default()).unwrap();
            let read = async {
                let mut response = http.request(request).await.unwrap();
                response.body.into_bytes().await.map(|body| body.len())
            };
            let (read, ()) = tokio::join!(read, answer(&listener, &acceptor, octets));
            assert_eq!(read.is_ok(), is_read, "{octets}: {read:?}");
        }
    }

    #[tokio::test]
    async fn the_pause_that_refusals_ask_for_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        let made = SelfSigned::make(&["127.0.0.1"], SystemClock.now()).unwrap();
        let roots = directory.path().join("ca.pem");
        std::fs::write(&roots, &made.authority).unwrap();
        let wanted = RetryAfter::default();
        let (acceptor, http) = (acceptor(&made), Http::new(Some(&roots), wanted.clone()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}/order", listener.local_addr().unwrap());
        let seconds = |pause: Option<Duration>| pause.map(|pause| pause.as_secs());
        for (status, latest, refusals) in [
            ("200 OK\r\nRetry-After: 7", Some(7), None),
            ("429 Too Many Requests\r\nRetry-After: 3600", Some(3600), Some(3600)),
            ("503 Busy\r\nRetry-After: 60", Some(60), Some(3600)),
            ("200 OK", None, Some(3600)),
        ] {
            let request = Request::builder().uri(&uri).body(BodyWrapper::default()).unwrap();
            let (response, ()) = tokio::join!(http.request(request), answer_with(&listener, &acceptor, status, 1));
            assert!(response.is_ok(), "{status}");
            assert_eq!((seconds(wanted.of_latest()), seconds(wanted.of_refusals())), (latest, refusals), "{status}");
        }
    }
}
