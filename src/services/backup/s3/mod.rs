//! Storage that speaks S3, as a blocking client for the few requests that backups need.
//!
//! Requests are signed by `rusty-s3` (Signature Version 4, in the URL) and sent by hyper. What is put has its SHA-256 with
//! it, so that the storage refuses what has changed on the way, as a bucket with Object Lock demands of every upload; and
//! `If-None-Match: *`, so that nothing is ever overwritten. A put is one request: one that was cut off leaves nothing.
//! What may work later is tried again, with a longer pause each time.
//!
//! Works on a thread of its own, and blocks the caller's, which may be a thread of any runtime but that one.

mod client;
mod error;
mod place;
#[cfg(test)]
pub(super) mod scripted;
mod settings;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use place::BucketPlace;
pub use settings::{AddressStyle, S3Settings};

pub(super) use client::{Client, Payload};
