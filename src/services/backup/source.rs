use std::path::PathBuf;

use crate::storage::database::Database;

/// What a backup is taken from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The server's name.
    pub hostname: String,
    /// The mailboxes.
    pub mail_root: PathBuf,
    /// The bodies of queued mail.
    pub spool: PathBuf,
    /// Accounts, queue, learned spam data, events.
    pub database: Database,
    /// Configuration, keys and certificates, as absolute paths.
    pub files: Vec<PathBuf>,
    /// Files and directories with secrets that must not be in it, as the configuration names them.
    pub secrets_left_out: Vec<String>,
    /// `age` recipients for whom those files are encrypted; none to leave them as they are.
    pub recipients: Vec<String>,
    /// Whether mailboxes without any message are accepted, although an earlier backup has some.
    pub may_be_empty: bool,
}
