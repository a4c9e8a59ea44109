//! A blocking S3 client for the few requests that backups need.
//!
//! Requests are signed by `rusty-s3` (Signature Version 4, in the URL) and sent by hyper. An upload carries its SHA-256,
//! so that the storage refuses what has changed on the way (a bucket with Object Lock requires this), and
//! `If-None-Match: *`, so that nothing is ever overwritten. An upload is one request: an interrupted one leaves nothing.
//! Requests that may succeed later are tried again, with a longer pause each time.
//!
//! Works on its own thread, and blocks the caller's, which may be a thread of any runtime except its own.

mod client;
mod error;
mod place;
#[cfg(test)]
pub(super) mod scripted;
mod settings;
#[cfg(test)]
mod tests;
mod transfer;

pub use error::Error;
pub use place::BucketPlace;
pub use settings::{AddressStyle, S3Settings};

pub(super) use client::Client;
pub(super) use transfer::Payload;
