//! The HTTP client for authorities: HTTPS only, with bounded answers.

use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::Limited;
use hyper::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::services::outbound::Roots;

/// Most octets of an answer that are read. A certificate chain has about ten thousand.
const LARGEST_ANSWER: usize = 1 << 20;

/// A client that reads answers up to a limit.
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Http {
    /// Trusts the certificate authorities in a PEM file, or those of the system.
    ///
    /// # Errors
    /// The file cannot be read or has no certificate in it.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, Error> {
        let roots = Roots::load(roots).map_err(|error| Error::Other(error.into()))?;
        let tls = roots.client_config().map_err(|error| Error::Other(error.into()))?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let answer = self.0.request(request);
        Box::pin(async move {
            let answer = answer.await.map_err(|error| Error::Other(error.into()))?;
            Ok(BytesResponse::from(answer.map(|body| Limited::new(body, LARGEST_ANSWER))))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {octets}\r\n\r\n");
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
        let (acceptor, http) = (acceptor(&made), Http::new(Some(&roots)).unwrap());
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
}
