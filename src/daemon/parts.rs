use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::build::Stages;
use super::control::{MailboxCommand, ReloadRequest};
use super::no_queue::NoQueue;
use super::parts_builder::{PartsBuilder, SUMMARIZER};
use super::{Error, Listening, LiveSettings, Roles, Unopened};
use crate::config::{Config, Role};
use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, SystemClock, Timestamp};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::acceptance::Acceptance;
use crate::services::backup::Destination;
use crate::services::certificates::Certificates;
use crate::services::certificates::acme::RenewalRequest;
use crate::services::cluster::{Cluster, Keeper};
use crate::services::filter::Filter;
use crate::services::guard::Guard;
use crate::services::handover::Queueing;
use crate::services::intake::Intake;
use crate::services::login::Login;
use crate::services::moving::{RenameError, rename};
use crate::services::outbound::Outbound;
use crate::services::overview::{Disks, Sources};
use crate::services::posting::PostOffice;
use crate::services::queue::Queue;
use crate::services::routing::Routing;
use crate::services::served::Inspector;
use crate::services::submission::{Submission, SubmissionParts};
use crate::storage::database::Database;
use crate::storage::directory::{Directory, Renaming};
use crate::storage::journal::Journal;
use crate::storage::mailbox::Mailboxes;
use crate::storage::reports::Reports;
use crate::storage::scripts::Scripts;
use crate::storage::spool::Spool;

/// What the roles of a process share, bottom up.
pub struct Parts {
    /// The configuration this process was started with.
    pub config: Config,
    /// The settings in force.
    pub live: LiveSettings,
    /// The roles of this process.
    pub roles: Roles,
    /// When this process was started.
    pub since: Timestamp,
    /// Takes requests to reload the configuration, which only the process as a whole can do.
    pub reloads: mpsc::Sender<ReloadRequest>,
    /// Takes requests to renew certificates, in the `mta` role.
    pub renewals: mpsc::Sender<RenewalRequest>,
    /// The directory of this process's credentials.
    pub credentials: Option<PathBuf>,
    /// The time.
    pub clock: SharedClock,
    /// Accounts, queue and events.
    pub database: Database,
    /// The listeners of this process.
    pub listening: Vec<Listening>,
    /// Listeners that are not served because systemd passed no socket for them.
    pub unopened: Vec<Unopened>,
    /// Where decisions are recorded.
    pub journal: Journal,
    /// Domains, users and aliases.
    pub directory: Directory,
    /// Data for reports, and received reports.
    pub reports: Reports,
    /// Monitored file systems.
    pub disks: Disks,
    /// The queue's entries. Roles other than `mta` only count them.
    pub spool: Spool,
    /// TLS.
    pub certificates: Arc<Certificates>,
    /// Checks that listeners serve the certificates they should.
    pub inspector: Arc<Inspector>,
    /// Filters messages: authentication, rules, classifier, milters.
    pub filter: Arc<Filter>,
    /// Rates, failures and bans of this process.
    pub guard: Guard,
    /// Checks passwords and second factors.
    pub login: Login,
    /// Aliases, and which domains are ours.
    pub routing: Routing,
    /// Which senders and recipients are accepted.
    pub acceptance: Acceptance,
    /// The mailboxes, in the `access` role.
    pub mailboxes: Option<Mailboxes>,
    /// The lease on them, if this is one of several nodes.
    pub keeper: Option<Keeper>,
    /// Which node has which mailboxes, if this is one of several.
    pub cluster: Option<Cluster>,
    /// Delivery to other hosts.
    pub outbound: Outbound,
    /// Accepts messages passed on by other nodes, only for mailboxes of this one.
    pub intake_here: Option<Arc<Intake>>,
    /// The users' scripts, in the `access` role.
    pub scripts: Option<Scripts>,
    /// Sends mail from scripts, in the `mta` role.
    pub office: Option<Arc<PostOffice>>,
    /// The running queue, in the `mta` role.
    pub queue: Option<Queue>,
    /// Accepts messages, in the `mta` and `access` roles.
    pub intake: Arc<Intake>,
}

impl Parts {
    /// Builds the services on top of storage.
    pub(super) fn assemble(builder: PartsBuilder, stages: &Stages) -> Result<Self, Error> {
        let (config, live) = (&builder.config, &builder.live);
        let (database, journal) = (&builder.database, &builder.journal);
        let directory = Directory::open(database.clone(), live.directory.clone(), builder.time(), &stages.storage);
        let spool = Spool::open(database.clone(), &config.spool, builder.time(), &stages.storage)?;
        let guard = Guard::new(live.guard.clone(), builder.time());
        let login = Login::new(directory.clone(), guard.clone(), journal.clone(), live.login.clone(), builder.time());
        let routing = builder.routing(&directory)?;
        let (settings, delivery) = (live.acceptance.clone(), live.delivery.clone());
        let acceptance = Acceptance::new(routing.clone(), directory.clone(), settings, delivery);
        let (mailboxes, cluster) = builder.mailboxes(&directory, stages)?.unzip();
        let cluster: Option<Cluster> = cluster.flatten();
        let keeper = cluster.as_ref().zip(mailboxes.as_ref()).map(|(cluster, mailboxes)| {
            Keeper::new(cluster.membership().clone(), mailboxes.clone(), journal.clone(), builder.time())
        });
        let scripts =
            mailboxes.is_some().then(|| Scripts::new(config.storage.mail_root.as_path(), live.scripts.clone()));
        let reports = Reports::new(database.clone(), builder.time());
        let filter = builder.filter(&reports, &routing);
        let office = || PostOffice::new(routing.clone(), Arc::clone(&filter), live.delivery.clone());
        let office = builder.roles.has(Role::Mta).then(|| Arc::new(office()));
        let here = match (&mailboxes, &scripts) {
            (Some(mailboxes), Some(scripts)) => {
                builder.delivery(mailboxes, scripts, &routing, office.as_ref(), &stages.services)
            }
            _ => builder.delivery_elsewhere(),
        };
        let delivery = builder.delivery_among_nodes(cluster.as_ref(), Arc::clone(&here));
        let outbound = builder.outbound(&reports, &filter)?;
        let queue = builder.roles.has(Role::Mta).then(|| {
            builder.queue(spool.clone(), outbound.clone(), routing.clone(), Arc::clone(&delivery), &stages.services)
        });
        if let (Some(office), Some(queue)) = (&office, &queue) {
            office.open(Arc::new(queue.clone()));
        }
        let keeping: Arc<dyn Queueing> = match &queue {
            Some(queue) => Arc::new(queue.clone()),
            None => Arc::new(NoQueue),
        };
        let intake = builder.intake((&filter, &routing, &reports), delivery, keeping);
        let intake_here = cluster.as_ref().map(|_| Arc::new(PartsBuilder::intake_here(&intake, here)));
        let parts = Self {
            since: builder.clock.now(),
            disks: watched(&builder.config),
            config: builder.config,
            live: builder.live,
            roles: builder.roles,
            reloads: builder.reloads,
            renewals: builder.renewals,
            credentials: builder.credentials,
            clock: builder.clock,
            database: builder.database,
            listening: builder.listening,
            unopened: builder.unopened,
            journal: builder.journal,
            certificates: builder.certificates,
            inspector: builder.inspector,
            directory,
            reports,
            spool,
            filter,
            guard,
            login,
            routing,
            acceptance,
            mailboxes,
            keeper,
            cluster,
            outbound,
            intake_here,
            scripts,
            office,
            queue,
            intake: Arc::new(Intake::new(intake)),
        };
        super::background::start(&parts, builder.resolver, stages);
        Ok(parts)
    }

    /// Where figures on the server are read from.
    pub(super) fn sources(&self) -> Sources {
        Sources {
            database: self.database.clone(),
            directory: self.directory.clone(),
            journal: self.journal.clone(),
            spool: self.spool.clone(),
            disks: self.disks.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// What our users may send; shared by all listeners, since limits apply across all of them.
    pub(super) fn submission(&self) -> Arc<Submission> {
        Arc::new(Submission::new(SubmissionParts {
            settings: self.live.submission.clone(),
            hostname: self.live.hostname.clone(),
            acceptance: self.acceptance.clone(),
            guard: self.guard.clone(),
            journal: self.journal.clone(),
            clock: Arc::clone(&self.clock),
        }))
    }
}

/// The directories whose file systems must not fill up.
pub fn watched(config: &Config) -> Disks {
    let places = [("mailboxes", config.storage.mail_root.clone()), ("queue", config.spool.directory.clone())];
    let database = config.storage.database.path().map(|path| ("database", path));
    let backups = match &config.backup.destination {
        Destination::Directory(path) => Some(("backups", path.clone())),
        Destination::Bucket(_) => None,
    };
    Disks::new(places.into_iter().chain(database).chain(backups))
}

/// Carries out a command to a user's mailboxes while no server is running.
///
/// # Errors
/// The mail root cannot be opened, or another process owns the mailboxes.
pub async fn tend_mailboxes(config: &Config, user: &Address, command: MailboxCommand) -> Result<(), Error> {
    with_mailboxes(config, async |mailboxes| command.perform(mailboxes, user).await).await??;
    Ok(())
}

/// Gives a user another address while no server is running.
///
/// # Errors
/// The mail root cannot be opened, another process owns the mailboxes, or the address cannot be given.
pub async fn rename_user(
    config: &Config,
    directory: &Directory,
    renaming: &Renaming<'_>,
) -> Result<Result<(), RenameError>, Error> {
    let key_file = config.login.two_factor_key_file.as_deref();
    with_mailboxes(config, async |mailboxes| rename(directory, mailboxes, renaming, key_file).await).await
}

/// Opens all mailboxes for one piece of work, and closes them whether or not it succeeds.
async fn with_mailboxes<T>(config: &Config, work: impl AsyncFnOnce(&Mailboxes) -> T) -> Result<T, Error> {
    let tasks = Tasks::new();
    let clock = Arc::new(SystemClock);
    let settings = Live::new(config.mailbox.clone());
    let mailboxes = Mailboxes::open(&config.storage.mail_root, settings, clock, tasks.clone(), SUMMARIZER)?;
    let result = work(&mailboxes).await;
    mailboxes.close().await;
    tasks.stop(Duration::from_secs(5)).await;
    Ok(result)
}
