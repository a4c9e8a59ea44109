//! How our listeners look from outside: a real handshake of each protocol, and the certificate that is served.
//!
//! A [`Prober`] connects as a client would, reads the greeting, asks for TLS by the protocol's own command where the port
//! begins in the clear, and looks at the certificate chain as it came. Promises: it logs in to nothing, sends no mail and
//! ends every conversation politely; one probe takes at most its patience. A certificate that nobody would trust does not
//! end the probe: what is wrong with it is part of the answer. Called by the monitoring page and the self-test.

mod certificate;
mod conversation;
mod prober;

pub use certificate::Served;
pub use prober::{Encryption, Probe, Probed, Prober, Speech, Target};
