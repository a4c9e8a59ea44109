use std::io;

use super::listeners;
use crate::config::Protocol;
use crate::foundations::net::Bind;
use crate::foundations::{dns, files};
use crate::services::cluster::BadSecret;
use crate::services::{accounts, certificates};
use crate::storage::{database, mailbox, spool};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory or file cannot be created or read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The database cannot be opened or migrated.
    #[error("the database cannot be used: {0}")]
    Database(#[from] database::Error),
    /// The file with the database's address holds something else.
    #[error("`storage.database_file`: {0}")]
    DatabaseUrl(String),
    /// All certificates that cannot be loaded.
    #[error("certificates cannot be loaded: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Certificates(Vec<certificates::Error>),
    /// Files that are reloaded with the configuration cannot be used; their previous contents stay in force.
    #[error("{}; the old version stays in force", .0.join("; "))]
    Unusable(Vec<String>),
    /// A reloaded configuration is in force, except for these parts.
    #[error("{}; the rest of the configuration is in force", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Incomplete(Vec<Self>),
    /// The queue's directory cannot be used.
    #[error("the queue cannot be opened: {0}")]
    Spool(#[from] spool::Error),
    /// The mailboxes cannot be opened.
    #[error("the mailboxes cannot be opened: {0}")]
    Mailboxes(#[from] mailbox::Error),
    /// The file of declared accounts cannot be used.
    #[error(transparent)]
    Declaration(#[from] accounts::DeclarationError),
    /// The declared accounts cannot be applied.
    #[error("the declared accounts cannot be applied: {0}")]
    Accounts(#[from] accounts::Error),
    /// The cluster secret cannot be used.
    #[error("`cluster.secret`: {0}")]
    Cluster(#[from] BadSecret),
    /// DNS cannot be set up.
    #[error("name resolution cannot be set up: {0}")]
    Dns(#[from] dns::Error),
    /// An address cannot be listened on.
    #[error("{}", listeners::complaint(*protocol, bind, source))]
    Listen {
        /// The protocol; `None` for a control socket.
        protocol: Option<Protocol>,
        /// The address.
        bind: Bind,
        /// The system's error.
        source: io::Error,
    },
    /// An owner of a socket does not exist.
    #[error("`{0}` is not a user or group of this machine")]
    Owner(String),
    /// Signals or the control socket cannot be set up.
    #[error("the process cannot be set up: {0}")]
    Process(#[from] io::Error),
}
