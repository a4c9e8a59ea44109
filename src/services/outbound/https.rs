//! One request over HTTPS to a host that a domain has named: the certificate must be of a trusted authority and for its
//! name, redirections do not count, and the answer is bounded.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use super::route::OutboundParts;
use super::tls::{TlsError, handshake};
use super::{Io, Outbound, OutboundSettings, TlsPolicy};
use crate::foundations::address::Domain;
use crate::foundations::dns::addresses;
use crate::services::handover::ListLeaving;

/// Addresses that are tried.
const ADDRESSES: usize = 4;
/// Most octets read of an answer that nobody is interested in.
const LARGEST_RECEIPT: usize = 64 << 10;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Without parameters, in lower case.
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Unreachable(String),
    #[error("the certificate of {host} cannot be trusted: {reason}")]
    Certificate { host: String, reason: String },
    #[error("the answer cannot be read: {0}")]
    Answer(String),
}

/// Which hosts may be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Anywhere,
    /// Not those of our own network: a stranger has chosen the host.
    Public,
}

/// Who is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) reach: Reach,
}

impl Outbound {
    /// Sends octets to a URI that a stranger has published, by POST. Only `https:` counts, and only hosts of the Internet.
    ///
    /// # Errors
    /// In a sentence: the URI is none, the host cannot be reached or trusted, or its answer is no success.
    pub async fn post(&self, uri: &str, content_type: &'static str, body: Vec<u8>) -> Result<(), String> {
        let settings = self.parts.settings.get();
        let parsed: hyper::Uri = uri.parse().map_err(|_| format!("`{uri}` is not a URI"))?;
        let host = parsed.host().filter(|_| parsed.scheme_str() == Some("https"));
        let host = host.ok_or_else(|| format!("`{uri}` is not an https URI"))?.to_ascii_lowercase();
        let path = parsed.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path).header(CONTENT_TYPE, content_type).body(Full::from(body));
        let request = request.map_err(|error| error.to_string())?;
        let server = Server { host: &host, port: parsed.port_u16().unwrap_or(443), reach: Reach::Public };
        let limit = settings.mta_sts.timeout.duration();
        let asking = ask(&self.parts, &settings, server, request, LARGEST_RECEIPT);
        let answer = tokio::time::timeout(limit, asking).await.map_err(|_| format!("no answer within {limit:?}"))?;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("{host} answers {}", answer.status)) }
    }
}

/// RFC 8058 §3.1: the body of the request.
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

impl ListLeaving for Outbound {
    fn leave<'a>(&'a self, page: &'a str) -> BoxFuture<'a, Result<(), String>> {
        // RFC 8058 §3.2: nothing goes along that would tell more than the address does.
        self.post(page, "application/x-www-form-urlencoded", ONE_CLICK.into()).boxed()
    }
}

impl Outbound {
    /// The lines of the policy (MTA-STS) that a domain serves now, fetched as for a delivery to it.
    ///
    /// # Errors
    /// In a sentence: why a sender would get none.
    pub async fn policy_of(&self, domain: &Domain) -> Result<Vec<String>, String> {
        let fetched = super::mta_sts::fetch(&self.parts, &self.parts.settings.get(), domain.as_str()).await;
        fetched.map(|policy| policy.lines()).map_err(|error| error.to_string())
    }
}

/// Asks and reads the whole answer. The caller bounds the time.
pub(super) async fn ask(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    server: Server<'_>,
    mut request: Request<Full<Bytes>>,
    largest: usize,
) -> Result<Answer, Error> {
    let stream = connect(parts, settings, server).await?;
    let Server { host, port, .. } = server;
    let broken = |error: hyper::Error| Error::Answer(error.to_string());
    let authority = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
    let authority = HeaderValue::from_str(&authority).map_err(|error| Error::Unreachable(error.to_string()))?;
    request.headers_mut().insert(HOST, authority);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("postrider"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answering = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let status = response.status();
        let body = Limited::new(response.into_body(), largest).collect().await;
        let body = body.map_err(|error| Error::Answer(error.to_string()))?.to_bytes();
        Ok(Answer { status, content_type, body })
    };
    tokio::pin!(answering, connection);
    tokio::select! {
        answer = &mut answering => answer,
        // The connection is over; what has been read of the answer is still to be given out.
        _ = &mut connection => answering.await,
    }
}

async fn connect(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    Server { host, port, reach }: Server<'_>,
) -> Result<Box<dyn Io>, Error> {
    let found = addresses(&*parts.resolver, host).await.map_err(|error| Error::Unreachable(error.to_string()))?;
    let mut last = Error::Unreachable(format!("{host} has no address that may be used"));
    let usable = found.records.into_iter().filter(|address| reach == Reach::Anywhere || is_public(*address));
    for address in usable.take(ADDRESSES) {
        let source = match address {
            IpAddr::V4(_) => settings.source_ipv4,
            IpAddr::V6(_) => settings.source_ipv6,
        };
        let connecting = parts.connector.connect(SocketAddr::new(address, port), source);
        let unreachable = |cause: String| Error::Unreachable(format!("cannot connect to {host}: {cause}"));
        let stream = match tokio::time::timeout(settings.timeouts.connect.duration(), connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                last = unreachable(error.to_string());
                continue;
            }
            Err(_) => {
                last = unreachable("no answer in time".to_owned());
                continue;
            }
        };
        let policy = TlsPolicy::Verify { names: vec![host.to_owned()] };
        match handshake(stream, host, &policy, &parts.roots).await {
            Ok((stream, ..)) => return Ok(stream),
            Err(error) if error.certificate().is_some() => {
                last = Error::Certificate { host: host.to_owned(), reason: error.to_string() };
            }
            Err(error @ (TlsError::Handshake(_) | TlsError::Name(_) | TlsError::Setup(_))) => {
                last = unreachable(error.to_string());
            }
        }
    }
    Err(last)
}

/// Whether an address is one of the Internet, as far as that can be told without asking: by IANA's registries of
/// special-purpose addresses (RFC 6890). Those for documentation are let pass, since nobody has them.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, _, _, g, h] = v6.segments();
            let within =
                |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
            match (a, b) {
                // RFC 6052 §2.1: behind a translator lies an IPv4 address.
                (0x64, 0xff9b) => (c, d) == (0, 0) && v6.segments()[4..6] == [0, 0] && within(g, h),
                // RFC 3056 §2: 6to4.
                (0x2002, _) => within(b, c),
                // RFC 2928 §2: Teredo, ORCHID, benchmarks and other protocols, of which none has servers.
                (0x2001, 0..0x200) => false,
                // RFC 4291 §2.4: all global unicast addresses that are given out.
                _ => a & 0xe000 == 0x2000,
            }
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL.iter().any(|(network, bits)| (address.to_bits() ^ network.to_bits()) >> (32 - bits) == 0)
}

/// IPv4 networks that are not of the Internet, with the bits of their prefix.
const SPECIAL: [(Ipv4Addr, u32); 12] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_network_is_not_the_internet() {
        for (address, public) in [
            ("192.0.2.1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("2001:db8::1", true),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::ffff:127.0.0.1", false),
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("100.127.255.255", false),
            ("172.15.255.255", true),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.0.1.1", true),
            ("192.88.99.1", false),
            ("198.17.255.255", true),
            ("198.18.0.1", false),
            ("198.19.255.255", false),
            ("198.20.0.1", true),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("2606:4700::1111", true),
            ("2001::1", false),
            ("2001:20::1", false),
            ("2001:1ff::1", false),
            ("2001:200::1", true),
            ("2002:808:808::1", true),
            ("2002:a00:1::1", false),
            ("64:ff9b::808:808", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b:1::808:808", false),
            ("::10.0.0.1", false),
            ("::8.8.8.8", false),
            ("100::1", false),
            ("5f00::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
