//! Getting a policy: one GET over HTTPS.

use http_body_util::Full;
use hyper::{Request, StatusCode};

use super::policy::Policy;
use crate::services::outbound::OutboundSettings;
use crate::services::outbound::https::{self, Reach, Server};
use crate::services::outbound::route::OutboundParts;

/// Largest policy in octets (RFC 8461 §3.2 suggests 64 KiB).
const LARGEST: usize = 64 << 10;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum FetchError {
    /// It cannot be had.
    #[error("{0}")]
    Unreachable(String),
    /// The host that has it cannot be trusted.
    #[error("{0}")]
    Certificate(String),
    /// It is none.
    #[error("the policy cannot be used: {0}")]
    Invalid(&'static str),
}

impl From<https::Error> for FetchError {
    fn from(error: https::Error) -> Self {
        match error {
            https::Error::Certificate { .. } => Self::Certificate(error.to_string()),
            https::Error::Unreachable(_) | https::Error::Answer(_) => Self::Unreachable(error.to_string()),
        }
    }
}

/// The policy of a domain (RFC 8461 §3.3).
pub(in super::super) async fn fetch(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    domain: &str,
) -> Result<Policy, FetchError> {
    let limit = settings.mta_sts.timeout.duration();
    let host = format!("mta-sts.{domain}");
    let request = Request::get("/.well-known/mta-sts.txt").header("Accept", "text/plain");
    // The parts of the request are our own words.
    let request = request.body(Full::default()).map_err(|error| FetchError::Unreachable(error.to_string()))?;
    let server = Server { host: &host, port: 443, reach: Reach::Anywhere };
    let asking = https::ask(parts, settings, server, request, LARGEST);
    let slow = |_| FetchError::Unreachable(format!("no answer within {limit:?}"));
    let answer = tokio::time::timeout(limit, asking).await.map_err(slow)??;
    // Redirections do not count (RFC 8461 §3.3).
    if answer.status != StatusCode::OK {
        return Err(FetchError::Unreachable(format!("the answer is {}", answer.status)));
    }
    if answer.content_type != "text/plain" {
        return Err(FetchError::Invalid("it is not text/plain"));
    }
    let text = std::str::from_utf8(&answer.body).map_err(|_| FetchError::Invalid("it is not text"))?;
    Policy::parse(text).map_err(FetchError::Invalid)
}
