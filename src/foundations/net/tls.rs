use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use crate::foundations::mail::{Peer, TlsFacts};

/// How to answer TLS handshakes now: shared by all listeners, exchanged as a whole on a reload. Cloning is cheap.
#[derive(Clone)]
pub struct TlsContext(Arc<ArcSwap<TlsSetup>>);

/// What a handshake needs.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    /// Versions, suites and certificates.
    pub config: Arc<ServerConfig>,
    /// How long a client may take for the handshake; then it is closed.
    pub handshake: Duration,
}

impl TlsContext {
    /// Starts with a setup.
    pub fn new(setup: TlsSetup) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(setup)))
    }

    /// The setup for a handshake that begins now.
    pub fn setup(&self) -> Arc<TlsSetup> {
        self.0.load_full()
    }

    /// Puts another setup in force for handshakes from now on. Connections that exist keep theirs.
    pub fn replace(&self, setup: TlsSetup) {
        self.0.store(Arc::new(setup));
    }
}

impl fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsContext").field("handshake", &self.setup().handshake).finish_non_exhaustive()
    }
}

/// Whether a client can begin TLS on a connection that is plain (STARTTLS, STLS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// It can.
    Offered,
    /// There is no certificate.
    Unavailable,
}

impl StartTls {
    /// With what handshakes need, or without.
    pub const fn with(context: Option<&TlsContext>) -> Self {
        if context.is_some() { Self::Offered } else { Self::Unavailable }
    }
}

/// Whether passwords may come in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// From this client they may.
    Allowed,
    /// Only under TLS.
    UnderTls,
}

impl Plaintext {
    /// From this client, where they may from these networks. What comes over a Unix socket never crosses a wire.
    pub fn from_client(peer: &Peer, networks: &[IpNet]) -> Self {
        if peer.is_local_or_in(networks) { Self::Allowed } else { Self::UnderTls }
    }
}

/// What a Received field, a policy and the log want to know about a session after its handshake.
pub(super) fn facts(session: &ServerConnection) -> TlsFacts {
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLS",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    TlsFacts {
        version,
        // rustls names TLS 1.3 suites `TLS13_...`; IANA's names begin with `TLS_`.
        cipher: cipher.replacen("TLS13_", "TLS_", 1),
        server_name: session.server_name().map(str::to_owned),
    }
}
