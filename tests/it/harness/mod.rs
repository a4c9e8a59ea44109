//! A whole server in this process, for tests that talk to it as clients do.
//!
//! `Host::start().user("ann@example.test").settings("[smtp]\nrecipients = 3").await` binds every listener to a port of the
//! system's choice, in a temporary directory, with its own certificate authority, a clock that stands still until the test
//! moves it, and a DNS of the test's own records. It is built by the same `Daemon::build` as `postrider serve`.

pub mod cli;
mod clock;
mod dns;
pub mod frozen;
mod host;
mod imap;
mod peer;
mod smtp;
mod talk;
pub mod tools;
mod user;
mod wait;
mod wire;

pub use clock::TestClock;
pub use dns::NameServer;
pub use host::{Host, PASSWORD};
pub use imap::{Imap, Response};
pub use peer::{Detour, Peer, Received};
pub use smtp::{Reply, Smtp};
pub use talk::Talk;
pub use user::{PENCIL, user};
pub use wait::{PATIENCE, until};
pub use wire::Wire;
