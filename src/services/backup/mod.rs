//! Backups: taken while mail flows, verified, and tested by restoring them.
//!
//! A backup goes into a repository (`repository/`): a directory of packs, which hold the content of files as objects named
//! by their SHA-256, and of snapshots, each a small document that says what existed at one moment. A message that is in an
//! earlier backup is not even opened again: Maildir files never change, only their names do, with the flags.
//!
//! # What it promises
//!
//! - A backup is taken from the running server without stopping it. The database is read in one transaction first, then
//!   the bodies of the queue as that transaction sees it, then the mailboxes: a queued message that is delivered
//!   meanwhile is in the backup twice rather than not at all.
//! - A snapshot is written last and durably, when everything it names is on disk. An interruption at any point leaves the
//!   earlier backups unchanged, and the next run finds the finished packs.
//! - Every object is checked against its SHA-256 whenever it is read. `verify` reads everything.
//! - Restoring overwrites nothing: a message that exists already stays as it is, another file of the same name is kept
//!   beside the restored one, and a database with accounts is left alone.
//! - One process writes to a repository at a time, and nothing is removed from it while somebody reads.
//!
//! Called by the command line, which reads the directories of its server, whether that is running or not. It never
//! takes the mail root's lock: it reads Maildirs as any other program may, and writes to them as Maildir requires (in
//! `tmp/`, then a rename). All functions block, except those that talk to the database.
//!
//! In the log: warnings about files that are not read because they are not regular files.

mod base_name;
mod collect;
mod create;
mod destination;
mod error;
mod expected;
mod export;
mod final_pass;
mod history;
mod overlap;
mod progress;
mod prune;
mod references;
mod remote;
mod repository;
mod restore;
mod retention;
mod rows;
mod runs;
mod s3;
mod scan;
mod seal;
mod settings;
mod source;
mod tree;
mod verify;

pub use create::{Created, Extent, create};
pub use destination::Destination;
pub use error::Error;
pub use expected::{ExpectedFolder, ExpectedMessage, expected_folders};
pub use export::{Exported, Format, export};
pub use history::{HistoryError, RunReport, history};
pub use overlap::{lies_in, overlap};
pub use progress::Progress;
pub use prune::{Damaged, Pruned, plan as plan_prune, prune};
pub use remote::{Remote, pull, push};
pub use repository::{Access, ObjectId, Repository, Snapshot, SnapshotId, Totals, UserEntry};
pub use restore::{AccountRestored, QueueFate, Restored, Selection, missing_accounts, saved_accounts};
pub use restore::{restore_database, restore_files, restore_mail, restore_missing_accounts, restore_missing_calendars};
pub use retention::kept;
pub use runs::{Run, RunKind, last_runs, note_run};
pub use s3::{AddressStyle, BucketPlace, S3Settings};
pub use seal::is_recipient;
pub use settings::{BackupSettings, RetentionSettings};
pub use source::Source;
pub use verify::{Depth, Verified, verify};
