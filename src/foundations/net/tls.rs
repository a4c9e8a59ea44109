use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use crate::foundations::mail::TlsFacts;

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
