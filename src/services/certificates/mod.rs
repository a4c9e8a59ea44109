//! Certificates: which one a TLS client is shown, and when they change.
//!
//! Loads certificate chains and keys from PEM files ([`acme`] gets some of them), chooses by the name the client asks for (SNI), and loads them again
//! on a reload or when a file has changed. [`Certificates::context`] is what listeners hand to connections.
//!
//! Promises: only TLS 1.2 and 1.3 with rustls' modern suites; a certificate that cannot be used never replaces one that
//! can (the old ones stay, an event of kind `certificate` and an error line say why); connections that exist are not
//! disturbed. Called by `daemon`, and by `config` for its checks. Takes no locks; files are read on the blocking pool.

pub mod acme;
mod error;
mod load;
mod self_signed;
mod serve;
mod settings;

pub use error::Error;
pub use load::{Loaded, load, public_key_digest};
pub use self_signed::SelfSigned;
pub use serve::Certificates;
pub use settings::{CertificateFiles, TlsSettings, TlsVersion};
