//! What is fuzzed: one function from bytes for each target. A body panics when a promise is broken.
//!
//! The fuzz targets call them with what libFuzzer makes up; the integration test `fuzz` calls them with the seeds and with
//! every input that has ever broken one, so that they hold without a fuzzer too.

pub mod address;
pub mod calendar;
pub mod filters;
pub mod header;
pub mod imap;
pub mod imap_name;
pub mod line;
pub mod maildir_name;
pub mod managesieve;
pub mod mime;
pub mod pop3;
pub mod rules;
pub mod sasl;
pub mod sieve;
pub mod smtp_command;
pub mod smtp_reply;
pub mod smtp_session;
pub mod summary;
pub mod text;
pub mod threads;

/// A body.
pub type Body = fn(&[u8]);

/// All of them by the names of their targets.
pub const ALL: &[(&str, Body)] = &[
    ("address", address::run),
    ("calendar", calendar::run),
    ("filters", filters::run),
    ("header", header::run),
    ("imap", imap::run),
    ("imap_name", imap_name::run),
    ("line", line::run),
    ("maildir_name", maildir_name::run),
    ("managesieve", managesieve::run),
    ("mime", mime::run),
    ("pop3", pop3::run),
    ("rules", rules::run),
    ("sasl", sasl::run),
    ("sieve", sieve::run),
    ("smtp_command", smtp_command::run),
    ("smtp_reply", smtp_reply::run),
    ("smtp_session", smtp_session::run),
    ("summary", summary::run),
    ("text", text::run),
    ("threads", threads::run),
];
