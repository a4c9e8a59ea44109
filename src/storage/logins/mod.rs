//! Logins of browsers: who has signed in to the webmail and to the monitoring page.
//!
//! Promises: a login that has begun is on disk, so it outlives the process and is valid on every machine with this
//! database. Tokens are stored only as digests: reading the table, or a backup of it, gives access to none. Logins are
//! limited per account and in total; those unused for longest make room. Nothing is cached here: `protocols::web` does
//! that, for as long as a login that was ended elsewhere may remain in use. Failures are returned, nothing is logged.

mod browser;

pub use browser::{BrowserLogin, BrowserLogins, Ending, Limits, Page};
