//! The journal: every decision of the server, kept for a while and searchable.
//!
//! Promises: [`Journal::record`] never waits and never fails its caller. It writes the event's line to the log at once
//! and puts the event on a bounded channel; a task writes the gathered events to the table `events`, many rows at a
//! time. Each is written once, even when the answer to a commit is lost. A power failure may lose the latest events of
//! the journal, never anything else. While the database is away, events wait on the channel; when that is full, further
//! ones are counted and dropped, and the number becomes an event itself. Beside the rows it keeps counts of events for
//! every five minutes, by kind and outcome, which are small and kept for longer: charts and totals are read from them.
//! Events older than `keep_for` and beyond `keep_at_most` are deleted in small slices, every `prune_every` and after
//! many were written. Code that deletes anything by age asks [`Journal::believes_the_clock`] first, which records when
//! the clock was last checked: a clock set forward by mistake must not destroy data.
//!
//! Called by every service; services therefore do not log what they record. Takes no locks.

mod ages;
mod counts;
mod error;
mod line;
mod query;
mod record;
mod retention;
mod search;
mod settings;
mod writer;

pub use ages::Believed;
pub use counts::{BUCKET, Count};
pub use error::Error;
pub use line::sentence;
pub use query::{Order, Query, Search};
pub use record::{Journal, JournalCounts};
pub use search::Searched;
pub use settings::JournalSettings;
