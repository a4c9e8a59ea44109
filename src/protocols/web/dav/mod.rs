//! Calendars and contacts (RFC 4791, RFC 6352) for programs that synchronise them, over WebDAV (RFC 4918, classes 1 and 3).
//!
//! Promises: a stored object comes back octet for octet under a strong ETag, and is on disk when the request is answered. Users
//! see only their own collections. Requests, answers, recurrences and the time for a query are limited; XML with a document
//! type is refused. Passwords (Basic, RFC 7617) are accepted over TLS, from this machine, or through a trusted proxy, and go
//! through `services::login`, so that the guard counts them with those of all protocols.
//!
//! `xml` and `request` are grammar and do no I/O; each other file is a method or two. Called by the listeners of the webmail: one
//! name, one certificate and one proxy serve both. The lock of cached logins is held only for a look-up.

mod answer;
mod body;
mod conditions;
mod door;
mod find;
mod make;
mod multistatus;
mod object;
mod outbox;
mod place;
mod properties;
mod report;
mod request;
mod room;
mod scheduled;
mod serve;
mod settings;
mod transfer;
mod xml;

pub use door::Trust;
pub use room::{Needs, Room};
pub use serve::pages;
pub use settings::DavSettings;
