//! What [`super::Parts`] are built from (settings, database, certificates …), and how the larger parts are built from it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::build::Stages;
use super::control::ReloadRequest;
use super::no_queue::NoQueue;
use super::posting::OverControl;
use super::{Error, Listening, LiveSettings, Roles, Unopened};
use crate::config::{Config, Protocol, Role};
use crate::foundations::clock::SharedClock;
use crate::foundations::dns::SharedResolver;
use crate::foundations::mail::Summary;
use crate::foundations::net::Bind;
use crate::foundations::tasks::Tasks;
use crate::services::certificates::Certificates;
use crate::services::certificates::acme::RenewalRequest;
use crate::services::cluster::{AmongNodes, Cluster, Keys, Links};
use crate::services::dav::scheduling::{ByMail, ByMailParts};
use crate::services::delivery::{Delivery, ScriptingParts};
use crate::services::filter::Filter;
use crate::services::handover::{InvitationReading, LocalDelivery, Posting, Queueing};
use crate::services::intake::{Intake, IntakeParts};
use crate::services::outbound::{Connector, LmtpTarget, Outbound, OutboundParts, OverLmtp, Roots};
use crate::services::posting::PostOffice;
use crate::services::queue::{Queue, QueueParts};
use crate::services::reports::{Receiver, ReceiverParts};
use crate::services::routing::{Routing, Srs};
use crate::services::served::Inspector;
use crate::storage::cluster::{ClusterSettings, Membership};
use crate::storage::database::Database;
use crate::storage::dav::Collections;
use crate::storage::directory::{self, Directory};
use crate::storage::journal::Journal;
use crate::storage::mailbox::{Fuller, Mailboxes, Summarizer};
use crate::storage::quarantine::QuarantineNotes;
use crate::storage::reports::Reports;
use crate::storage::scripts::Scripts;
use crate::storage::spool::{QueueNode, Spool};

/// What exists before the parts, and builds the larger ones of them: see [`super::Daemon::build`].
pub(super) struct PartsBuilder {
    pub(super) config: Config,
    pub(super) live: LiveSettings,
    pub(super) roles: Roles,
    pub(super) reloads: mpsc::Sender<ReloadRequest>,
    pub(super) renewals: mpsc::Sender<RenewalRequest>,
    pub(super) credentials: Option<PathBuf>,
    pub(super) clock: SharedClock,
    pub(super) resolver: SharedResolver,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) database: Database,
    pub(super) listening: Vec<Listening>,
    pub(super) unopened: Vec<Unopened>,
    pub(super) journal: Journal,
    pub(super) certificates: Arc<Certificates>,
    pub(super) inspector: Arc<Inspector>,
    /// For connections between nodes.
    pub(super) nodes: Option<(Keys, ClusterSettings)>,
}

impl PartsBuilder {
    /// The clock, shared with another part.
    pub(super) fn time(&self) -> SharedClock {
        Arc::clone(&self.clock)
    }

    /// The mailboxes in the `access` role and, if this is one of several nodes, which node has which.
    pub(super) fn mailboxes(
        &self,
        directory: &Directory,
        stages: &Stages,
    ) -> Result<Option<(Mailboxes, Option<Cluster>)>, Error> {
        if !self.roles.has(Role::Access) {
            return Ok(None);
        }
        let membership =
            |(_, settings): &(_, ClusterSettings)| Membership::new(self.database.clone(), settings.clone());
        let membership = self.nodes.as_ref().map(membership);
        let mailboxes = open_mailboxes(self, directory, membership.clone(), stages)?;
        let cluster = membership.zip(self.nodes.as_ref()).map(|(membership, (keys, _))| {
            let links = Links::new(keys.clone(), self.config.cluster.patience.duration());
            Cluster::new(membership, mailboxes.clone(), links)
        });
        Ok(Some((mailboxes, cluster)))
    }

    /// Aliases, and which domains are ours.
    pub(super) fn routing(&self, directory: &Directory) -> Result<Routing, Error> {
        // Senders are rewritten where mail leaves; no other role gets the secret.
        let srs = match self.roles.has(Role::Mta) {
            true => Srs::load(&self.config.routing.srs, &self.config.hostname, self.time())?,
            false => None,
        };
        let (settings, hostname) = (self.live.routing.clone(), self.config.hostname.clone());
        Ok(Routing::new(directory.clone(), settings, hostname).with_srs(srs))
    }

    /// The filter, with everything it queries.
    pub(super) fn filter(&self, reports: &Reports, routing: &Routing) -> Arc<Filter> {
        let filter = Filter::new(self.live.spam.clone(), self.time())
            .with_hostname(self.live.hostname.clone())
            .with_routing(routing.clone())
            .with_resolver(Arc::clone(&self.resolver))
            .with_database(self.database.clone())
            .with_reports(reports.clone());
        Arc::new(filter)
    }

    /// Delivery into the mailboxes of this process. Mail from scripts goes to `office` or, without one, to the process with
    /// the queue.
    pub(super) fn delivery(
        &self,
        mailboxes: &Mailboxes,
        scripts: &Scripts,
        routing: &Routing,
        office: Option<&Arc<PostOffice>>,
        tasks: &Tasks,
    ) -> Arc<dyn LocalDelivery> {
        let posting: Arc<dyn Posting> = match office {
            Some(office) => Arc::clone(office) as _,
            None => Arc::new(OverControl::new(self.config.server.clone())),
        };
        let (settings, journal) = (self.live.delivery.clone(), self.journal.clone());
        let delivery = Delivery::new(mailboxes.clone(), settings, journal, self.time());
        let hostname = self.live.hostname.clone();
        let delivery = delivery.with_invitations(self.invitations(routing), hostname, tasks.clone());
        Arc::new(delivery.with_scripts(ScriptingParts {
            scripts: scripts.clone(),
            sieve: self.live.sieve.clone(),
            hostname: self.live.hostname.clone(),
            routing: routing.clone(),
            posting,
        }))
    }

    /// What enters messages about events into calendars.
    fn invitations(&self, routing: &Routing) -> Arc<dyn InvitationReading> {
        let dav = self.live.dav.clone();
        Arc::new(ByMail::new(ByMailParts {
            collections: Collections::new(self.database.clone()),
            routing: routing.clone(),
            settings: Box::new(move || {
                let settings = dav.get();
                let is_on = settings.enabled && settings.scheduling.enabled;
                is_on.then(|| (settings.bounds(), settings.scheduling.by_mail))
            }),
            journal: self.journal.clone(),
            clock: self.time(),
        }))
    }

    /// Delivery through the process that has the mailboxes.
    pub(super) fn delivery_elsewhere(&self) -> Arc<dyn LocalDelivery> {
        let (hostname, settings) = (self.config.hostname.clone(), self.live.outbound.clone());
        Arc::new(OverLmtp::new(lmtp_target(&self.config), hostname, settings))
    }

    /// Delivery to the node that has the mailbox: only `here`, or one of several.
    pub(super) fn delivery_among_nodes(
        &self,
        cluster: Option<&Cluster>,
        here: Arc<dyn LocalDelivery>,
    ) -> Arc<dyn LocalDelivery> {
        let Some(cluster) = cluster else { return here };
        let (hostname, settings) = (self.config.hostname.clone(), self.live.outbound.clone());
        Arc::new(AmongNodes::new(cluster.clone(), here, hostname, settings))
    }

    /// The parts that intake needs.
    pub(super) fn intake(
        &self,
        (filter, routing, reports): (&Arc<Filter>, &Routing, &Reports),
        delivery: Arc<dyn LocalDelivery>,
        queue: Arc<dyn Queueing>,
    ) -> IntakeParts {
        let receiver = Receiver::new(ReceiverParts {
            settings: self.live.reports.clone(),
            reports: reports.clone(),
            journal: self.journal.clone(),
            clock: self.time(),
        });
        IntakeParts {
            settings: self.live.intake.clone(),
            is_judged: false,
            hostname: self.live.hostname.clone(),
            filter: Arc::clone(filter),
            routing: routing.clone(),
            delivery,
            queue,
            reports: Arc::new(receiver),
            notes: QuarantineNotes::new(self.database.clone()),
            journal: self.journal.clone(),
            clock: self.time(),
        }
    }

    /// Accepts messages passed on by other nodes, only for mailboxes of this one. The node that received a message has
    /// filtered it, and its queue keeps it until this one has stored it.
    pub(super) fn intake_here(intake: &IntakeParts, here: Arc<dyn LocalDelivery>) -> Intake {
        Intake::new(IntakeParts { is_judged: true, delivery: here, queue: Arc::new(NoQueue), ..intake.clone() })
    }

    /// Delivery to other hosts.
    pub(super) fn outbound(&self, reports: &Reports, filter: &Arc<Filter>) -> Result<Outbound, Error> {
        Ok(Outbound::new(OutboundParts {
            settings: self.live.outbound.clone(),
            hostname: self.config.hostname.clone(),
            resolver: Arc::clone(&self.resolver),
            connector: Arc::clone(&self.connector),
            roots: Roots::load(self.config.outbound.authorities.as_deref())?,
            clock: self.time(),
            reports: Some(reports.clone()),
            database: Some(reports.database().clone()),
            filter: Some(Arc::clone(filter)),
        }))
    }

    /// The queue; it is started separately.
    pub(super) fn queue(
        &self,
        spool: Spool,
        outbound: Outbound,
        routing: Routing,
        delivery: Arc<dyn LocalDelivery>,
        tasks: &Tasks,
    ) -> Queue {
        Queue::new(QueueParts {
            settings: self.live.queue.clone(),
            hostname: self.config.hostname.clone(),
            // To the outside, nodes share one host name and one queue.
            claimant: match self.config.cluster.is_on() {
                true => self.config.cluster.node.clone(),
                false => self.config.hostname.to_string(),
            },
            node: self.config.cluster.is_on().then(|| {
                let (spool, name) = (&self.config.spool, self.config.cluster.node.clone());
                QueueNode::new(self.database.clone(), &spool.directory, name, spool.node_lease.duration())
            }),
            spool,
            outbound,
            routing,
            delivery,
            journal: self.journal.clone(),
            clock: self.time(),
            tasks: tasks.clone(),
        })
    }
}

/// Opens the mailboxes; their sizes are written to the directory.
fn open_mailboxes(
    builder: &PartsBuilder,
    directory: &Directory,
    membership: Option<Membership>,
    stages: &Stages,
) -> Result<Mailboxes, Error> {
    let root = &builder.config.storage.mail_root;
    let (settings, time, tasks) = (builder.live.mailbox.clone(), builder.time(), stages.storage.clone());
    let mailboxes = Mailboxes::open_among(root, settings, time, tasks, SUMMARIZER, membership)?;
    let directory = directory.clone();
    mailboxes.tell_usage(move |account, usage| {
        directory.set_usage(account, directory::Usage { bytes: usage.octets, messages: usage.messages });
    });
    Ok(mailboxes)
}

/// How the store summarises messages for IMAP.
pub(super) const SUMMARIZER: Summarizer = Summarizer {
    version: u32::from_be_bytes([0, 0, 0, Summary::VERSION]),
    summarize: |message| {
        let mut out = Vec::new();
        Summary::of(message).write(&mut out);
        out
    },
    fuller: Some(Fuller { lacks: Summary::lacks, extend: Summary::extended }),
};

/// Where the process with the mailboxes accepts mail: the first address of an `lmtp` listener.
fn lmtp_target(config: &Config) -> LmtpTarget {
    let mut places = config.listener.iter().filter(|listener| listener.protocol == Protocol::Lmtp);
    let target = places.find_map(|listener| {
        listener.bind.iter().find_map(|bind| match bind {
            Bind::Tcp(address) => Some(LmtpTarget::Tcp(*address)),
            Bind::Unix(path) => Some(LmtpTarget::Unix(path.clone())),
            Bind::Systemd(_) => None,
        })
    });
    target.unwrap_or_else(|| LmtpTarget::Unix(PathBuf::from("/run/postrider/lmtp.sock")))
}
