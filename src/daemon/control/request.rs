//! What is said over a control socket, either way.

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

/// What the command line may ask a running role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// What runs here: [`Status`].
    Status,
    /// Load configuration, certificates and declared accounts again.
    Reload,
    /// Forget what is remembered about domains, users and aliases, for they have been changed.
    Forget,
    /// Something for the queue: [`crate::daemon::administration`].
    Queue {
        /// What.
        command: QueueCommand,
    },
    /// Something for a user's mailboxes.
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
        /// What becomes of the old one.
        old: OldAddress,
    },
    /// Send the summary of the last so many seconds to the postmaster; whom it went to.
    Summary {
        /// How far back it goes.
        seconds: u64,
    },
    /// The certificates, and how listeners have served them: [`Report`].
    Certificates,
    /// Ask the listeners of this process for their certificates now: [`Report`].
    CertificateCheck,
    /// Renew certificates now, or those for a name: a list of [`crate::services::certificates::acme::Renewal`].
    CertificateRenew {
        /// Which.
        name: Option<Domain>,
    },
    /// Put a message of a user's script into the queue: the name of its entry. The message follows the line, so many octets.
    Post {
        /// Who sends what to whom.
        errand: Box<crate::daemon::posting::Posted>,
        /// Octets of the message.
        size: u64,
    },
    /// Ask the page of a mailing list to send no more letters to a user (RFC 8058 §3.2).
    LeaveList {
        /// Its address.
        page: String,
    },
    /// What this process counts: [`crate::daemon::figures::ProcessFigures`].
    Figures,
    /// The bans in force: a list of [`crate::services::guard::Ban`].
    BanList,
    /// Ban a network.
    BanAdd {
        /// Whom.
        network: IpNet,
        /// For how many seconds; unset for no end.
        seconds: Option<u64>,
        /// Why, for the log.
        reason: String,
    },
    /// Lift the bans of a network; how many there were.
    BanRemove {
        /// Whose.
        network: IpNet,
    },
}

impl Request {
    /// How long an answer may take. Who hears nothing longer does not wait for a process that hangs.
    pub(super) const fn patience(&self) -> Duration {
        match self {
            Self::Status
            | Self::Forget
            | Self::Certificates
            | Self::Figures
            | Self::BanList
            | Self::BanAdd { .. }
            | Self::BanRemove { .. } => Duration::from_secs(60),
            // A script, and whoever sent the message, waits; or a reader.
            Self::Post { .. } | Self::LeaveList { .. } => Duration::from_secs(120),
            Self::CertificateCheck | Self::Queue { .. } | Self::Summary { .. } => Duration::from_secs(600),
            // As long as there are messages, accounts or authorities that are slow.
            Self::Reload | Self::Mailboxes { .. } | Self::Rename { .. } | Self::CertificateRenew { .. } => {
                Duration::from_secs(3600)
            }
        }
    }
}

/// What an administrator can have done to a user's mailboxes as a whole.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxCommand {
    /// Rebuild their indexes.
    Reindex,
    /// Write Dovecot's lists of UIDs into them, so that it can take them over.
    WriteUidlists,
    /// Delete them all, with everything beside them.
    Discard,
}

impl MailboxCommand {
    /// Does it, in the process that has the mailboxes.
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

/// What runs in a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its roles, with commas.
    pub roles: String,
    /// When it was started.
    pub since: Timestamp,
    /// Its process id.
    pub process: u32,
    /// Where it should listen and does not. A process of another version may not tell.
    #[serde(default)]
    pub unopened: Vec<Unopened>,
}

/// What comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Done(serde_json::Value),
    Failed(Complaint),
}

/// Why a running role did not do what was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Complaint {
    /// What it means for whoever asked.
    pub nature: Nature,
    /// The reason, for the administrator.
    pub text: String,
}

/// What a complaint means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// What was named does not exist.
    NotFound,
    /// What was to be created exists already.
    Exists,
    /// It may work later.
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
