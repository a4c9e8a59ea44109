//! How authorities are spoken with: over HTTPS alone, and with an end to what they answer.

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

/// Most octets of an answer that are read. A chain of certificates has some ten thousand.
const LARGEST_ANSWER: usize = 1 << 20;

/// A client that reads no answer beyond its bound.
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Http {
    /// Believes hosts for whom those in a PEM file vouch, or those whom the system believes.
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
