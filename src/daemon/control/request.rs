//! The requests and answers of the control sockets.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::daemon::Unopened;
use crate::daemon::administration::QueueCommand;
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::Timestamp;
use crate::foundations::failure::Kind;
use crate::storage::directory::OldAddress;
use crate::storage::mailbox::{self, Mailboxes};

/// A request to a running role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// The status of this process: [`Status`].
    Status,
    /// Reload configuration, certificates and declared accounts.
    Reload,
    /// Drop cached domains, users and aliases, since they have changed.
    Forget,
    /// A command to the queue: [`crate::daemon::administration`].
    Queue {
        /// What.
        command: QueueCommand,
    },
    /// A command to a user's mailboxes.
    Mailboxes {
        /// Whose.
        user: Address,
        /// What.
        command: MailboxCommand,
    },
    /// Give a user another address.
    Rename {
        /// Who.
        from: Address,
        /// The new address.
        to: Address,
        /// What happens to the old one.
        old: OldAddress,
    },
    /// Send the postmaster a summary of the given number of seconds; returns the recipients.
    Summary {
        /// How far back it goes.
        seconds: u64,
    },
    /// The certificates, and how listeners served them at the last check: [`Report`].
    Certificates,
    /// Check the certificates that the listeners of this process serve now: [`Report`].
    CertificateCheck,
    /// Renew all certificates or those for a name now: a list of [`crate::services::certificates::acme::Renewal`].
    CertificateRenew {
        /// Which.
        name: Option<Domain>,
    },
    /// Put a message from a user's script into the queue; returns its queue id. The message follows the line.
    Post {
        /// Who sends what to whom.
        errand: Box<crate::daemon::posting::Posted>,
        /// Size of the message in octets.
        size: u64,
    },
    /// Unsubscribe a user from a mailing list through its web page (RFC 8058 §3.2).
    LeaveList {
        /// Its address.
        page: String,
    },
    /// The figures of this process: [`crate::daemon::figures::ProcessFigures`].
    Figures,
    /// The bans in force: a list of [`crate::services::guard::Ban`].
    BanList,
    /// Ban a network.
    BanAdd {
        /// Whom.
        network: IpNet,
        /// For how many seconds; unset for an unlimited ban.
        seconds: Option<u64>,
        /// The reason, for the log.
        reason: String,
        /// Whether another process was asked first, which records the event.
        #[serde(default)]
        recorded: bool,
    },
    /// Lift the bans of a network; returns how many there were.
    BanRemove {
        /// Whose.
        network: IpNet,
    },
}

/// A request as it is sent, with who makes it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked<R> {
    #[serde(flatten)]
    pub(super) request: R,
    /// Named if the request is recorded in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) administrator: Option<String>,
}

impl Request {
    /// Whether the process records in events who has asked.
    pub(super) const fn is_recorded(&self) -> bool {
        matches!(
            self,
            Self::Queue { .. }
                | Self::BanAdd { .. }
                | Self::BanRemove { .. }
                | Self::Reload
                | Self::CertificateRenew { .. }
        )
    }

    /// How long an answer may take. After that, the process is assumed to hang.
    pub(super) const fn patience(&self) -> Duration {
        match self {
            Self::Status
            | Self::Forget
            | Self::Certificates
            | Self::Figures
            | Self::BanList
            | Self::BanAdd { .. }
            | Self::BanRemove { .. } => Duration::from_secs(60),
            // A script and the sender of its message are waiting, or a reader.
            Self::Post { .. } | Self::LeaveList { .. } => Duration::from_secs(120),
            Self::CertificateCheck | Self::Queue { .. } | Self::Summary { .. } => Duration::from_secs(600),
            // These take as long as the number of messages or accounts, or slow authorities, require.
            Self::Reload | Self::Mailboxes { .. } | Self::Rename { .. } | Self::CertificateRenew { .. } => {
                Duration::from_secs(3600)
            }
        }
    }
}

/// An administrator's command to a user's mailboxes as a whole.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxCommand {
    /// Rebuild their indexes.
    Reindex,
    /// Write Dovecot's UID lists into them, so that Dovecot can take them over.
    WriteUidlists,
    /// Delete them, with everything else of the user's.
    Discard,
}

impl MailboxCommand {
    /// Carries it out, in the process that has the mailboxes.
    ///
    /// # Errors
    /// Files cannot be read or written.
    pub(in crate::daemon) async fn perform(self, mailboxes: &Mailboxes, user: &Address) -> Result<(), mailbox::Error> {
        match self {
            Self::Reindex => mailboxes.user(user).await?.reindex().await,
            Self::WriteUidlists => mailboxes.user(user).await?.write_uidlists().await,
            Self::Discard => mailboxes.discard(user).await,
        }
    }
}

/// The status of a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its roles, separated by commas.
    pub roles: String,
    /// When it was started.
    pub since: Timestamp,
    /// Its process id.
    pub process: u32,
    /// Listeners that it could not open. A process of another version may not report them.
    #[serde(default)]
    pub unopened: Vec<Unopened>,
}

/// The answer to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Done(serde_json::Value),
    Failed(Complaint),
}

/// Why a running role did not carry out a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Complaint {
    /// What it means for the caller.
    pub nature: Nature,
    /// The reason, for the administrator.
    pub text: String,
}

/// The nature of a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// What was named does not exist.
    NotFound,
    /// What was to be created already exists.
    Exists,
    /// It may succeed later.
    Temporary,
    /// The configuration, or a file that it names, cannot be used.
    Configuration,
    /// Everything else.
    Other,
}

impl Complaint {
    pub(super) fn new(kind: Option<Kind>, text: impl ToString) -> Self {
        let nature = match kind {
            Some(Kind::NotFound) => Nature::NotFound,
            Some(Kind::Exists) => Nature::Exists,
            Some(Kind::Temporary) => Nature::Temporary,
            _ => Nature::Other,
        };
        Self { nature, text: text.to_string() }
    }

    pub(super) fn configuration(text: impl ToString) -> Self {
        Self { nature: Nature::Configuration, text: text.to_string() }
    }

    pub(super) fn other(text: impl ToString) -> Self {
        Self::new(None, text)
    }
}
