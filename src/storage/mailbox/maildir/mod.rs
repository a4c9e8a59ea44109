//! The on-disk format: file names, directories, and the small files beside the messages.

pub(super) mod directory;
pub(super) mod filename;
pub(super) mod inodes;
pub(super) mod keywords_file;
pub(super) mod maildirsize;
pub(super) mod small;
pub(super) mod subscriptions;
pub(super) mod uid_file;
pub(super) mod uidlist;
