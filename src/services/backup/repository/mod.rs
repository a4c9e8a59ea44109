//! Where backups are kept.
//!
//! ```text
//! postrider-backup.json              what this directory is, and the format
//! packs/3f/3f0c….pack                objects, compressed; named by the SHA-256 of the whole file
//! snapshots/20260131T020000Z.snapshot  what was there at that moment
//! writing.lock, reading.lock         locked while somebody writes, or reads
//! ```
//!
//! A backend keeps these files (`backend/`): in a directory, or under a prefix of a bucket, where the only locks are those
//! of this machine.
//!
//! Packs and snapshots are never changed, so that any tool may copy them elsewhere: packs first, then snapshots. An object
//! is the content of a file, or a piece of a large one, or a list of such; it is named by its SHA-256. Small objects share
//! a block of about a mebibyte, which is compressed as a whole: a file for each message would cost more than reading it.

mod backend;
mod block;
mod copy;
mod index;
mod marker;
mod object;
mod pack;
mod snapshot;
mod store;

pub use object::ObjectId;
pub use snapshot::{DatabaseRecord, FileContent, FileRecord, FolderRecord, Snapshot, SnapshotId, TableRecord, Totals};
pub use snapshot::{UserEntry, UserRecord};
pub use store::{Access, Repository};

pub(super) use block::{Block, Kind};
pub(super) use copy::{check, copy, other_size};
pub(super) use index::Location;
pub(super) use marker::FORMAT;
pub(super) use pack::hash_file;
