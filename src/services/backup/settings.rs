//! Settings of backups.

use std::path::PathBuf;

use super::{Destination, S3Settings};
use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// Backups. They are taken by `postrider backup create`, as a timer calls it.
    pub struct BackupSettings {
        /// Where the backups are: a directory, which should lie on another disk than the mail, or `"s3://bucket/prefix"`.
        pub destination: Destination = Destination::Directory(PathBuf::from("/var/backup/postrider")),
        /// After this time since the last full run, a run reads every message again instead of trusting that known ones have
        /// not changed. Nothing is stored twice either way.
        pub full_every: Span = Span::days(7),
        /// How hard zstd tries, from 1 (fast) to 19 (small).
        pub compression: u8 = 3,
        /// Size at which a pack file is closed and the next begun. An interrupted run must read the content of the open one
        /// again.
        pub pack_size: ByteSize = ByteSize::mib(64),
        /// Who can read configuration and keys in backups: recipients of `age` (`age1…` or a public SSH key). The program
        /// `age` encrypts these files; without recipients they are stored as they are. Mail and database never are.
        pub age_recipients: Vec<String> = vec![],
        /// Private keys and other secrets that the configuration names are not in backups: they must be kept elsewhere, because
        /// a restored server needs them. Hashes of passwords are in the database, and stay.
        pub without_secrets: bool = false,
        /// Where `postrider backup push` copies the backups: `"s3://bucket/prefix"`, or for `rsync` `host:path` or
        /// `user@host:path` over ssh, `rsync://host/module/path`, or a directory. Nothing is ever removed there.
        pub remote: String = String::new(),
        /// How `rsync` reaches a remote that is `host:path`, with options: a key with `-i`, a port with `-p`. It must not ask.
        pub remote_shell: String = "ssh -o BatchMode=yes".to_owned(),
        /// Storage that speaks S3.
        pub s3: S3Settings = S3Settings::default(),
        /// Which backups are kept.
        pub retention: RetentionSettings = RetentionSettings::default(),
        /// Nothing is ever removed from the destination: `postrider backup prune` refuses. For a destination that another
        /// machine, or the storage itself, thins out.
        pub append_only: bool = false,
        /// Directory in which `postrider backup drill` restores. It needs room for all mail.
        pub drill_directory: PathBuf = PathBuf::from("/var/tmp"),
        /// Users whose mail a drill checks over IMAP, different ones each time; 0 for all.
        pub drill_users: u32 = 10,
        /// Messages of each of them whose content it compares; 0 for all. Of the others it compares UID, size and flags.
        pub drill_messages: u32 = 200,
        /// How far `create`, `verify`, `prune` and `push` yield processor and disk to others, from 0 to 19, as in nice(1).
        pub nice: u8 = 10,
        /// Threads that read and compress; 0 for one per processor.
        pub threads: u16 = 0,
    }
}

crate::settings! {
    /// Which backups are kept by `postrider backup prune`: those that any of these settings keeps, and always the newest.
    pub struct RetentionSettings {
        /// Number of days with backups of which the last one is kept.
        pub daily: u32 = 7,
        /// Number of weeks of which the last one is kept.
        pub weekly: u32 = 4,
        /// Number of months of which the last one is kept.
        pub monthly: u32 = 12,
        /// Backups younger than this many days are all kept.
        pub days: u32 = 2,
        /// Number of the newest full backups (every message read) that are kept.
        pub full: u32 = 2,
    }
}
