//! Certificates: which one a TLS client gets, and when they change.
//!
//! Loads certificate chains and keys from PEM files ([`acme`] obtains some of them), chooses by the name the client asks for (SNI),
//! and loads them again on a reload or when a file has changed. [`Certificates::context`] is what listeners hand to connections.
//!
//! If our keys are published in the DNS (DANE), a certificate whose key is not there waits, and the old one stays in force;
//! a copy of it survives a restart. A new certificate is tried in memory before clients see it.
//!
//! Promises: only TLS 1.2 and 1.3 with rustls' modern suites; a certificate that cannot be used never replaces one that
//! can (the old ones stay; an event of kind `certificate`, an error line and [`State::problem`] say why); existing connections are not
//! disturbed. Called by `daemon`, and by `config` for its checks. Reloads run one at a time; files are read on the
//! blocking pool.

pub mod acme;
mod error;
mod held;
mod load;
mod problems;
mod replacement;
mod self_signed;
mod serve;
mod settings;
mod state;
mod test_handshake;
mod tlsa;

pub use error::Error;
pub use load::{Loaded, key_digest, load, names_of, public_key_digest, read_chain};
pub use self_signed::SelfSigned;
pub use serve::{Certificates, CertificatesParts};
pub use settings::{CertificateFiles, DaneSettings, HoldBack, TlsSettings, TlsVersion};
pub use state::{Standing, State};
pub use tlsa::vouches;
