//! Sockets: who connects, over what, and how many at once.
//!
//! A [`Listener`] accepts from a TCP port, a Unix socket or a socket that systemd passed, learns the real client from a
//! PROXY header when the peer is trusted to send one, and runs one task per [`Connection`]. A [`Stream`] is what the
//! protocols read and write: plain or, after [`Stream::start_tls`], encrypted. Where TLS begins at once, the protocol calls
//! [`Connection::secured`] when it has decided to serve the client.
//!
//! Promises: no more than `connections` tasks at once (further clients wait in the kernel's queue), a bounded time and a
//! bounded number of octets before a protocol takes over, and no busy loop when file descriptors run out.
//! Failures before a protocol takes over are logged at debug level with the peer, for they are the internet's daily noise;
//! a listener that cannot accept is logged at error level.

mod bind;
mod connection;
mod http;
mod inherited;
mod judged;
mod link;
mod listener;
mod network;
mod proxy;
mod stream;
mod tcp;
mod tls;

pub use bind::{Bind, InvalidBind};
pub use connection::{Connection, Handshake};
pub use http::{HttpSettings, serve_http};
pub use inherited::Inherited;
pub use judged::{CertificateJudge, Judged, Shown};
pub use link::{Link, Lost};
pub use listener::{Counters, Listener, ListenerOptions, UnixAccess};
pub use network::parse_network;
pub use proxy::{InvalidProxyHeader, LOCAL_HEADER, ProxyHeader};
pub use stream::Stream;
pub use tls::{Plaintext, StartTls, TlsContext, TlsSetup};
