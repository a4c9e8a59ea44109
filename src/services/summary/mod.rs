//! Reports about a period: as JSON for other programs, as a letter for the postmaster.
//!
//! Reads the counts of events, the queue and the usage of mailboxes, never a message. What cannot be read fails the report
//! as a whole: a report with silent gaps would be believed. A file system that does not answer is named. What the running
//! server knows of its certificates is handed in. Called by the command line (from a timer) and, to send the letter, by the
//! role that has the queue.

mod attention;
mod error;
mod letter;
mod read;
mod settings;
mod words;

pub use error::Error;
pub use letter::letter;
pub use read::{BackupReport, MailboxReport, QueueReport, SpamReport, Summary};
pub use settings::SummarySettings;
