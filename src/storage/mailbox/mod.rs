//! The mailbox store: Maildir directories that any mail program could read, and the files that make them fast.
//!
//! Called by `services::delivery`, `protocols::imap`, `protocols::pop3` and others that access mailboxes. It knows
//! nothing of accounts (whether one exists, what its quota is), of protocols, or of a message's content: the cached
//! summaries are opaque octets made by the [`Summarizer`] it is given.
//!
//! # What it promises
//!
//! - [`User::append`], [`View::store_flags`], [`View::copy`], [`View::move_to`], [`View::expunge`] and [`View::remove`]
//!   return after the files *and* their directory entries are synced (`fdatasync` of the file, rename, `fsync` of the
//!   directory). Callers that wait for one directory at the same time share one `fsync` (`commit.rs`). An inbox made
//!   for its first message is synced at the same time as the message (`unsynced.rs`).
//! - Nobody sees a message before it is on disk, or the absence of one before that is. Flags are seen at once and
//!   acknowledged when they are on disk.
//! - The UID is in the file's name, so that the rename that makes a message visible fixes it. No UID is given out
//!   twice: the next one lies above all in names and above the bound in `postrider-uid`, and that bound is raised,
//!   durably, before a message is removed whose UID is not below it (`uid_file.rs`). After a crash UIDNEXT may skip
//!   numbers.
//! - Index (`postrider.index`) and cache (`postrider.cache`) may vanish or be damaged at any time. The index counts only
//!   if the directories have not changed since it was written; otherwise they are listed, every message gets a new
//!   mod-sequence (from the time, above all earlier ones) and the history of expunges begins again, so that a client that
//!   resynchronises is told too much rather than too little.
//! - A failure leaves nothing half-visible: what could not be synced is taken back, what is left in `tmp/` is removed.
//!
//! # Other programs
//!
//! Files that others add, rename or remove are noticed by inotify while a session has the folder open, and by the
//! directories' times otherwise. A file without our `U=` is adopted by renaming it; a file whose name claims another
//! message's UID gets a new one. Others must work as Maildir demands: write in `tmp/`, then rename or link. If the
//! directory that was opened has been replaced or removed, everything known of the folder is dropped: its sessions end,
//! and the directory now at its path is read (`maildir/inodes.rs`). A user without a directory gets a new inbox.
//! Messages with bare LF, as Dovecot writes them, are served with CRLF (`body.rs`); our own are stored as received.
//!
//! # Locks
//!
//! From outer to inner; nobody takes one while holding a later one, and none is held across an `await`:
//!
//! 1. `.postrider.lock` in the mail root, `flock`ed by the one process that owns all mailboxes below it, or shared by the
//!    nodes of a cluster, of which each owns those users for whom it has a [`Tenure`](crate::storage::cluster::Tenure);
//! 2. `User::gate`, for reading by whoever changes messages, for writing by whoever makes, renames or deletes folders;
//! 3. `User::loaded`, while a folder is looked up or brought into memory;
//! 4. `Folder::lock`, during renames and bookkeeping of one batch; two folders at once only through `lock_both`. Never
//!    held during the shared `fsync`; held during the one of an expunge;
//! 5. short ones around a single value (directories, summaries, events, history, claims, usage).
//!
//! A user's turn (`Turns`) is not one of these: it is awaited, and held while a user is loaded into memory, given to
//! another node, renamed or deleted.
//!
//! File operations run on blocking threads, at most `parallel_jobs` at once, of which one user has `jobs_per_user`.
//! Sessions read `Arc`s of immutable snapshots and wait for nobody.
//!
//! # In the log
//!
//! Warnings: an index or cache could not be written (nothing is lost), inotify is not available, a folder changed by
//! another program could not be read, a user's directory was replaced, a message cannot be read and is skipped
//! ([`Unreadable`]). An error: a folder cannot be used, and the user's other mail is served without it. Failed
//! operations are returned to the caller, with paths for the log and a [`Kind`](crate::foundations::failure::Kind) for
//! the client.

mod append;
mod body;
mod change;
mod commit;
mod deposit;
mod environment;
mod error;
mod flags;
mod folder;
mod foreign;
mod index;
mod leaving;
mod mailboxes;
mod maildir;
mod measure;
mod metadata;
mod moving;
mod name;
mod news;
mod options;
mod reconcile;
mod removal;
mod renaming;
mod row;
mod settings;
mod shared;
mod snapshot;
mod summaries;
mod transfer;
mod unreadable;
mod unsynced;
mod usage;
mod user;
mod view;
mod visit;
mod watch;

pub use body::{Bodies, Body, Content, Summaries};
pub use deposit::{Deposit, DepositFolder, Deposited, Present, SourceUids};
pub use error::{Error, Unfinished};
pub use flags::{Flags, InvalidKeyword, Keyword, KeywordSet, Keywords};
pub use foreign::{ForeignFolder, ForeignHome, ForeignMessage, Layout};
pub use mailboxes::{Fuller, Mailboxes, Summarizer};
pub use maildir::filename::{FileName, Place};
pub use maildir::keywords_file::learn as learn_keywords;
pub use maildir::uid_file::UidFile;
pub use measure::measure;
pub use metadata::{Metadata, annotation};
pub use name::{FolderName, InvalidFolderName};
pub use news::{Listener, Missed, News};
pub use options::{
    Access, AppendOptions, Appended, Copied, Expunges, FlagChange, FlagOperation, FolderEntry, Missing, SpecialUse,
    Status, Stored, Subscription, Unless, Update, Usage, UsageLimits,
};
pub use row::Row;
pub use settings::MailboxSettings;
pub use shared::{IdleUsers, Release};
pub use unreadable::Unreadable;
pub use user::User;
pub(in crate::storage) use user::directory_of as home_of;
pub use view::View;
pub use visit::Visit;

#[cfg(test)]
mod tests;
