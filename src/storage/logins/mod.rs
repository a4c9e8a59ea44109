//! Logins of browsers: who has signed in to the webmail and to the monitoring page.
//!
//! Promises: a login that has begun is on disk, so that it outlives the process and counts on every machine with this
//! database. A token is known here by its digest only: who reads the table, or a backup of it, cannot use one. Logins are
//! bounded for each account and for all; those unused for longest make room. Nothing is remembered here: `protocols::web`
//! does that, for as long as a login that was ended elsewhere may go on. Failures are returned, nothing is logged.

mod browser;

pub use browser::{BrowserLogin, BrowserLogins, Ending, Limits, Page};
