//! A handshake in memory before a certificate is served.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::Loaded;
use crate::foundations::net::{CertificateJudge, Judged, Shown};

/// Makes a handshake with a certificate as its listeners would, and checks that its key really signs.
///
/// # Errors
/// As part of a sentence: why no client could use it.
pub(super) fn test_handshake(certificate: &Loaded) -> Result<(), String> {
    let failed = |error: rustls::Error| format!("the TLS handshake with it fails: {error}");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let shown = Arc::new(SingleCertAndKey::from(certificate.key.as_ref().clone()));
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let server = server.map_err(failed)?.with_no_client_auth().with_cert_resolver(shown);
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifier = Arc::new(Judged::new(AnyName, provider));
    let client = client.map_err(failed)?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    let name = certificate.names.iter().find(|name| !name.starts_with('*')).map_or("localhost", String::as_str);
    let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` is not a valid TLS server name"))?;
    let mut client = ClientConnection::new(Arc::new(client), name).map_err(failed)?;
    let mut server = ServerConnection::new(Arc::new(server)).map_err(failed)?;
    for _ in 0..MOST_FLIGHTS {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).map_err(|error| error.to_string())?;
        }
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).map_err(|error| error.to_string())?;
            server.process_new_packets().map_err(failed)?;
        }
        flight.clear();
        while server.wants_write() {
            server.write_tls(&mut flight).map_err(|error| error.to_string())?;
        }
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).map_err(|error| error.to_string())?;
            client.process_new_packets().map_err(failed)?;
        }
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
    }
    Err("a handshake with it does not finish".to_owned())
}

/// A TLS 1.3 handshake has two in each direction.
const MOST_FLIGHTS: usize = 8;

/// Does not check who issued the certificate: only the key must match.
#[derive(Debug)]
struct AnyName;

impl CertificateJudge for AnyName {
    fn judge(&self, _: Shown<'_>) -> Result<(), rustls::Error> {
        Ok(())
    }
}
