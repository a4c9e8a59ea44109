//! The conversation with SMTP and LMTP clients: mail from other hosts, from our users, and from front ends.
//!
//! Promises: 250 to a message is said only with a [`crate::services::intake::Receipt`] in hand; whatever a client sent
//! before a TLS handshake is ignored after it; no sequence of octets but CRLF `.` CRLF ends DATA; each session is
//! bounded in memory and each wait in time.
//!
//! [`run`] is the driver and the room's only I/O. [`session::Session`] is pure: it takes commands and answers of the
//! services and says what to do next. `asker` puts its questions to the services: guard, login, acceptance, submission
//! and intake. `daemon` calls [`run`] for each connection. In the log: a line when a session ends for any reason but
//! QUIT, and what the services record as events.

mod asker;
mod conversation;
mod hello;
mod profile;
mod serve;
mod session;
mod settings;
mod transaction;
mod verbs;

pub use conversation::Conversation;
pub use profile::{Auth, Mode, Profile};
pub use serve::{Room, run};
pub use session::{Answer, Completed, Question, Session, Step};
pub use settings::{EarlyInput, PlaintextAuth, SmtpSettings};
