//! Who is it? Passwords for SMTP, IMAP and POP3.
//!
//! Promises: every login asks the directory afresh, so that a new password, a disabled account or a removed one counts
//! at once. Hashing happens on a bounded number of blocking threads with a bounded queue before them. A success is
//! remembered for some minutes under a keyed hash of account, stored hash and password, so that a client that
//! reconnects every minute costs nothing; the key is made anew with each start and nothing of it is ever written.
//! An unknown user costs the same time as a known one with a hash of the configured cost. What the peer may read is
//! always the same sentence; the reason is in the journal. Passwords are in no log, error or event.
//!
//! Failures are counted by [`Guard`](crate::services::guard::Guard), which also says how long the answer is to be held
//! back; [`Login::verify`] waits for that long. When the database is down the refusal is a temporary one (SMTP 454 4.7.0, IMAP
//! UNAVAILABLE), never "wrong password".

mod cache;
mod hashing;
mod password;
mod settings;
mod verify;

pub use password::{Scheme, Unusable, check, hash, recognise};
pub use settings::{LoginSettings, Rehash};
pub use verify::{Login, LoginAttempt};
