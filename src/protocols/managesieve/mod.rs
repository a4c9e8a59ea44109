//! The conversation with ManageSieve clients (RFC 5804): users put, look at and activate their Sieve scripts.
//!
//! Promises: a script is stored or activated only when it compiles, and `OK` is said only when the change is on disk; a
//! script with mistakes is answered with all of them, line by line. Whatever a client sent before a TLS handshake is
//! ignored after it. A session holds small buffers, and one script at a time.
//!
//! [`run`] is the driver and the room's only I/O. [`Session`] is pure: it takes commands and says what to do next.
//! `daemon` calls [`run`] for each connection; the services called are guard, login and sieve. Each change is an event.
//! In the log: a line when a session ends for any reason but LOGOUT or the client leaving.

mod answers;
mod serve;
mod session;
mod settings;

pub use serve::{Needs, Room, resume, run};
pub use session::{Profile, Session, Step, Wish};
pub use settings::ManageSieveSettings;
