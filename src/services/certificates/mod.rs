//! Certificates: which one a TLS client is shown, and when they change.
//!
//! Loads certificate chains and keys from PEM files ([`acme`] gets some of them), chooses by the name the client asks for (SNI), and loads them again
//! on a reload or when a file has changed. [`Certificates::context`] is what listeners hand to connections.
//!
//! Where others find our keys in the DNS (DANE), a certificate with a key that is not there waits, and the old one goes on;
//! a copy of it is kept over a restart. A new one is tried in memory before anybody sees it.
//!
//! Promises: only TLS 1.2 and 1.3 with rustls' modern suites; a certificate that cannot be used never replaces one that
//! can (the old ones stay; an event of kind `certificate`, an error line and [`State::problem`] say why); connections that exist are not
//! disturbed. Called by `daemon`, and by `config` for its checks. One reload waits for the
//! other; files are read on the blocking pool.

pub mod acme;
mod error;
mod exchange;
mod held;
mod load;
mod rehearsal;
mod self_signed;
mod serve;
mod settings;
mod state;
mod tlsa;
mod troubles;

pub use error::Error;
pub use load::{Loaded, load, public_key_digest, read_chain};
pub use self_signed::SelfSigned;
pub use serve::{Certificates, CertificatesParts};
pub use settings::{CertificateFiles, DaneSettings, HoldBack, TlsSettings, TlsVersion};
pub use state::{Standing, State};
pub use tlsa::vouches;
