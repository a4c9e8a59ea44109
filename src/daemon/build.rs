use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

use super::control::ReloadRequest;
use super::lifecycle::patiently;
use super::listeners::BoundListeners;
use super::parts_builder::PartsBuilder;
use super::probes::inspected;
use super::{Error, Listening, LiveSettings, Parts, Roles, World, control, declared, listeners, log, rooms};
use crate::config::{Config, ListenerSettings, Protocol, Role};
use crate::foundations::clock::SharedClock;
use crate::foundations::dns::{SharedResolver, SystemResolver};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::foundations::net::Bind;
use crate::foundations::tasks::Tasks;
use crate::services::certificates::acme::{Acme, RenewalRequest};
use crate::services::certificates::{Certificates, CertificatesParts, SelfSigned};
use crate::services::cluster::Keys;
use crate::services::outbound::Roots;
use crate::services::routing::Srs;
use crate::services::served::{Inspector, InspectorParts};
use crate::storage::cluster::{ClusterSettings, Duties};
use crate::storage::database::{Database, DatabaseUrl};
use crate::storage::journal::Journal;
use crate::storage::spool::Possession;

/// The running server.
pub struct Daemon {
    parts: Arc<Parts>,
    listening: Vec<Listening>,
    stages: Stages,
    reloads: mpsc::Receiver<ReloadRequest>,
    /// Released when everything has ended.
    _spool: Option<Possession>,
}

/// Tasks, in the order in which they stop.
#[derive(Debug, Default)]
pub(super) struct Stages {
    /// Accepting connections.
    pub(super) accepting: Tasks,
    /// Conversations.
    pub(super) sessions: Tasks,
    /// Background work: the queue, watching files, the control socket.
    pub(super) services: Tasks,
    /// The lease on users' mailboxes, if there are several nodes.
    pub(super) lease: Tasks,
    /// What must be written last: the journal, usage, indexes.
    pub(super) storage: Tasks,
}

impl Daemon {
    /// Builds everything, bottom up, and starts serving. When it returns, every listener accepts connections.
    ///
    /// If the database does not answer, it waits and logs this. `World` holds everything that tests replace.
    ///
    /// # Errors
    /// Something the roles need is unavailable. Nothing is left running then.
    pub async fn build(mut config: Config, roles: Roles, world: World) -> Result<Self, Error> {
        let World { clock, resolver, connector, credentials, mut inherited } = world;
        prepare_tls(&mut config, &clock)?;
        prepare_directories(&config, &roles)?;
        let spool = possess_spool(&config, &roles)?;
        let stages = Stages::default();
        let live = LiveSettings::new(&config);
        let resolver = match resolver {
            Some(resolver) => resolver,
            None => Arc::new(SystemResolver::new(&config.dns)?),
        };
        let database = patiently(Database::connect(&database_url(&config)?, &config.database)).await?;
        let journal = if roles.may_change() {
            Journal::start(database.clone(), live.journal.clone(), Arc::clone(&clock), &stages.storage)
        } else {
            Journal::read_only(database.clone())
        };
        let certificates = open_certificates(&live, &resolver, &journal, &clock)?;
        let is_node = config.cluster.is_on() && roles.has(Role::Access);
        let nodes = is_node.then(|| Keys::read(&config.cluster.secret)).transpose()?;
        let context = nodes.as_ref().map(|keys| keys.context(config.cluster.patience.duration()));
        let BoundListeners { bound, unopened } =
            listeners::bind(&config, &roles, &certificates, context.as_ref(), &mut inherited)?;
        let listening: Vec<Listening> = bound.iter().map(|bound| bound.listening.clone()).collect();
        let nodes = nodes.map(|keys| (keys, reachable(&config.cluster, &listening)));
        let (own, elsewhere) = inspected(&config, &roles, &listening);
        let inspector = Arc::new(Inspector::new(InspectorParts {
            settings: live.tls.clone(),
            hostname: config.hostname.clone(),
            certificates: Arc::clone(&certificates),
            own,
            elsewhere,
            journal: journal.clone(),
            clock: Arc::clone(&clock),
        }));
        migrate(&database, &roles).await?;

        let (reload, reloads) = mpsc::channel(4);
        let (renewals, wanted_renewals) = mpsc::channel(4);
        let builder = PartsBuilder {
            config,
            live,
            roles,
            reloads: reload,
            renewals,
            credentials,
            clock,
            resolver,
            connector,
            database,
            listening,
            unopened,
            journal,
            certificates,
            inspector,
            nodes,
        };
        let parts = Arc::new(Parts::assemble(builder, &stages)?);
        declared::tell(&parts, &declared::reconcile(&parts, &parts.config).await?);
        control::listen(&parts, &mut inherited, &stages.services)?;
        set_going(&parts, &stages, wanted_renewals).await;
        let listening = rooms::serve(&parts, &stages, bound);
        for name in inherited.names() {
            ::log::warn!(socket = name; "systemd passed a socket that this process has no use for; it is not served");
        }
        let event = Event::new(parts.clock.now(), EventKind::Lifecycle);
        parts.journal.record(event.with("what", "started").with("roles", parts.roles.to_string()));
        Ok(Self { parts, listening, stages, reloads, _spool: spool })
    }

    /// Where this process listens, in the order of the configuration.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// What the roles share.
    pub const fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// The next request to reload. Pending for as long as there is none.
    pub async fn reload_request(&mut self) -> ReloadRequest {
        match self.reloads.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }

    /// Applies another configuration: settings for sessions and messages from now on, certificates, the log level. What
    /// only a restart can change stays as it is, with a warning; the keys of those settings are returned.
    ///
    /// # Errors
    /// [`Error::Incomplete`]: certificates, declared accounts or some of their passwords, SRS secrets or authorities cannot
    /// be loaded and stay as they were; everything else is in force. Any other error: nothing has changed.
    pub async fn reload(&self, mut config: Config) -> Result<Vec<&'static str>, Error> {
        let waiting = needs_restart(&self.parts.config, &config);
        // Some parts keep the host name from the start, so the others must not use another one.
        config.hostname = self.parts.config.hostname.clone();
        prepare_tls(&mut config, &self.parts.clock)?;
        for key in &waiting {
            ::log::warn!(key = key; "This setting has changed; it takes effect at the next restart");
        }
        log::set_level(config.server.log_level);
        self.parts.live.set(&config);
        if self.parts.queue.is_some() {
            self.parts.filter.read_rules().await;
        }
        let certificates = self.parts.certificates.reload().await.map_err(Error::Certificates);
        let accounts = declared::reconcile(&self.parts, &config).await.and_then(|unusable| match unusable.as_slice() {
            [] => Ok(()),
            some => Err(Error::Unusable(some.iter().map(ToString::to_string).collect())),
        });
        self.parts.directory.forget();
        let errors: Vec<Error> =
            [certificates, accounts, self.read_again(&config)].into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(waiting) } else { Err(Error::Incomplete(errors)) }
    }

    /// Reads the files for outgoing mail: the SRS secrets, which are used from now on, and the authorities, of which those
    /// read at the start stay in use.
    fn read_again(&self, config: &Config) -> Result<(), Error> {
        if !self.parts.roles.has(Role::Mta) {
            return Ok(());
        }
        let mut problems = Vec::new();
        // The host name only changes at a restart.
        match Srs::load(&config.routing.srs, &self.parts.config.hostname, SharedClock::clone(&self.parts.clock)) {
            Ok(srs) => self.parts.routing.rewrite_by(srs),
            Err(error) => problems.push(format!("`routing.srs.secret_file`: {error}")),
        }
        if let Err(error) = Roots::load(config.outbound.authorities.as_deref()) {
            problems.push(format!("`outbound.authorities`: {error}"));
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Unusable(problems)) }
    }

    /// Stops: accepts no new connections, lets conversations and deliveries in flight finish for at most `patience`, then
    /// ends everything else. Returns whether all of it ended in time.
    pub async fn stop(self, patience: Duration) -> bool {
        let accepted = ended("listeners", &self.stages.accepting, SHORT).await;
        let finished = ended("sessions", &self.stages.sessions, patience).await;
        let event = Event::new(self.parts.clock.now(), EventKind::Lifecycle);
        self.parts.journal.record(event.with("what", "stopping").with("roles", self.parts.roles.to_string()));
        let served = ended("services", &self.stages.services, patience.max(SHORT)).await;
        if let Some(office) = &self.parts.office {
            office.close();
        }
        let closed = match &self.parts.mailboxes {
            Some(mailboxes) => tokio::time::timeout(CLOSING, mailboxes.close()).await.is_ok(),
            None => true,
        };
        if !closed {
            ::log::warn!("Mailbox indexes could not be written in time; the directories will be read again");
        }
        // Only now may others take over. If something may still be written, they are kept away until the lease expires.
        let kept = ended("lease", &self.stages.lease, SHORT).await;
        if let Some(keeper) = self.parts.keeper.as_ref().filter(|_| closed) {
            keeper.leave().await;
        }
        let stored = ended("storage", &self.stages.storage, SHORT).await;
        self.parts.database.close().await;
        accepted && finished && served && closed && kept && stored
    }
}

/// Starts what runs by itself: certificate renewal, the queue, a node's lease.
async fn set_going(parts: &Arc<Parts>, stages: &Stages, renewals: mpsc::Receiver<RenewalRequest>) {
    let services = &stages.services;
    let (certificates, running) = (Arc::clone(&parts.certificates), services.clone());
    services.keep("the watch over certificates", move || Arc::clone(&certificates).watch(running.clone()));
    let (certificates, running) = (Arc::clone(&parts.certificates), services.clone());
    services.keep("the watch over TLSA records", move || Arc::clone(&certificates).follow_dns(running.clone()));
    // Listeners that are being closed are not checked.
    let (inspector, running) = (Arc::clone(&parts.inspector), stages.accepting.clone());
    stages.accepting.keep("the inspection of listeners", move || Arc::clone(&inspector).run(running.clone()));
    if let Some(queue) = &parts.queue {
        queue.start();
        let (live, clock) = (&parts.live, Arc::clone(&parts.clock));
        let acme = Acme::new(live.tls.clone(), Arc::clone(&parts.certificates), clock, parts.journal.clone());
        let cluster = &parts.config.cluster;
        let duties = cluster.is_on().then(|| Duties::new(parts.database.clone(), &cluster.node));
        let (acme, renewals) = (Arc::new(acme.among(duties)), Arc::new(Mutex::new(renewals)));
        let running = services.clone();
        services
            .keep("the renewal of certificates", move || Arc::clone(&acme).run(Arc::clone(&renewals), running.clone()));
    }
    if let Some(keeper) = &parts.keeper {
        keeper.begin().await;
        let (keeper, running) = (keeper.clone(), stages.lease.clone());
        stages.lease.keep("the care of this node's lease", move || keeper.clone().run(running.clone()));
    }
}

/// Stops a stage; returns whether all of it ended in time. Remaining tasks are cut off when the process ends.
async fn ended(stage: &'static str, tasks: &Tasks, patience: Duration) -> bool {
    let ended = tasks.stop(patience).await;
    if !ended {
        ::log::warn!(stage = stage, tasks = tasks.len(); "Some tasks did not end in time and are cut off");
    }
    ended
}

/// Takes the spool for this process, in the role with the queue.
fn possess_spool(config: &Config, roles: &Roles) -> Result<Option<Possession>, Error> {
    if !roles.has(Role::Mta) {
        return Ok(None);
    }
    let cluster = &config.cluster;
    let node = cluster.is_on().then_some(cluster.node.as_str());
    Ok(Some(Possession::take(&config.spool.directory, node)?))
}

fn open_certificates(
    live: &LiveSettings,
    resolver: &SharedResolver,
    journal: &Journal,
    clock: &SharedClock,
) -> Result<Arc<Certificates>, Error> {
    let certificates = Certificates::open(CertificatesParts {
        settings: live.tls.clone(),
        hostname: live.hostname.clone(),
        resolver: Arc::clone(resolver),
        clock: Arc::clone(clock),
        journal: journal.clone(),
    });
    certificates.map_err(Error::Certificates)
}

/// Creates or finds the self-signed certificate, if one is configured.
fn prepare_tls(config: &mut Config, clock: &SharedClock) -> Result<(), Error> {
    let Some(directory) = &config.tls.self_signed else { return Ok(()) };
    let names = [config.hostname.as_str(), "localhost", "127.0.0.1", "::1"];
    let pair = SelfSigned::keep_in(directory, &names, clock.now());
    config.tls.certificates.push(pair.map_err(|error| Error::Certificates(vec![error]))?);
    Ok(())
}

fn prepare_directories(config: &Config, roles: &Roles) -> Result<(), Error> {
    if roles.has(Role::Access) {
        files::create_directory(&config.storage.mail_root, 0o700)?;
    }
    if roles.has(Role::Mta) {
        files::create_directory(&config.spool.directory, 0o700)?;
    }
    if let Some(path) = config.storage.database.path()
        && let Some(above) = path.parent()
    {
        files::create_directory(above, 0o770)?;
    }
    Ok(())
}

/// The database's URL, from its file if there is one.
///
/// # Errors
/// The file cannot be read or holds something else.
pub fn database_url(config: &Config) -> Result<DatabaseUrl, Error> {
    let Some(path) = &config.storage.database_file else { return Ok(config.storage.database.clone()) };
    let unreadable = |error: files::Error| {
        let wanted =
            "It must contain the database's address on one line, and be readable by the user that the server runs as";
        Error::DatabaseUrl(format!("{error}. {wanted}"))
    };
    let text = String::from_utf8_lossy(&files::read_bounded(path, 1 << 16).map_err(unreadable)?).trim().to_owned();
    text.parse::<DatabaseUrl>().map_err(|error| Error::DatabaseUrl(error.to_string()))
}

/// The node's settings, with the actual port instead of port 0.
fn reachable(settings: &ClusterSettings, listening: &[Listening]) -> ClusterSettings {
    let mut settings = settings.clone();
    let place = listening.iter().find(|place| place.protocol == Protocol::Cluster).map(|place| &place.bind);
    if let (Some(Bind::Tcp(bound)), Ok(mut address)) = (place, settings.address.parse::<SocketAddr>())
        && address.port() == 0
    {
        address.set_port(bound.port());
        settings.address = address.to_string();
    }
    settings
}

/// How long a database server may refuse us: whoever started both may be about to create the database.
const UNUSABLE: Duration = Duration::from_secs(10);

/// Brings the tables up to date. Waits for a server that cannot be reached yet: it may be starting too.
async fn migrate(database: &Database, roles: &Roles) -> Result<(), Error> {
    let mut pause = Duration::from_millis(200);
    let mut refused: Option<Instant> = None;
    loop {
        let result = if roles.may_change() { patiently(database.migrate()).await } else { database.check().await };
        match result {
            Ok(()) => return Ok(()),
            // Waiting would not help. The service manager tries again, and shows that we have failed.
            Err(error) if error.is_set_up() && refused.get_or_insert_with(Instant::now).elapsed() >= UNUSABLE => {
                return Err(error.into());
            }
            Err(error) if error.kind() == Kind::Temporary => {
                if !error.is_set_up() {
                    refused = None;
                }
                ::log::warn!(error:% = error; "Waiting for the database");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What differs between two configurations and cannot be changed in a running process.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let level = new.server.log_level;
    let server = super::ServerSettings { log_level: level, ..old.server.clone() };
    let fixed = [
        ("server", server == new.server),
        ("listener", same_places(old, new)),
        ("hostname", old.hostname == new.hostname),
        ("storage", old.storage == new.storage),
        ("cluster", old.cluster == new.cluster),
        ("database", old.database == new.database),
        ("dns", old.dns == new.dns),
        ("spool", old.spool == new.spool),
        ("outbound.authorities", old.outbound.authorities == new.outbound.authorities),
        // Listeners that started without certificates offer no TLS.
        ("tls", has_tls(old) || !has_tls(new)),
        ("dav.public_port", old.dav.public_port == new.dav.public_port),
        ("webmail.submission", old.webmail.submission == new.webmail.submission),
    ];
    // Sizes of shared resources and caches, and settings that are read only at the start, at least in part.
    macro_rules! sizes {
        ($($room:ident $(.$part:ident)+),+ $(,)?) => {
            [$((concat!(stringify!($room) $(, ".", stringify!($part))+), old.$room $(.$part)+ == new.$room $(.$part)+)),+]
        };
    }
    let sizes = sizes![
        dashboard.fresh_for,
        dashboard.probe_timeout,
        dashboard.sessions,
        dashboard.waiting,
        dav.enabled,
        dav.logins,
        dav.queries_at_once,
        directory.cache_entries,
        http.answers,
        http.answers_per_user,
        http.bodies,
        http.bodies_per_user,
        imap.append_memory,
        imap.append_memory_per_user,
        journal.waiting,
        login.remembered,
        login.workers,
        mailbox.parallel_jobs,
        queue.memory,
        smtp.memory,
        smtp.memory_per_network,
        spam.classifier.account_tokens,
        spam.classifier.accounts_in_memory,
        spam.classifier.refresh,
        spam.classifier.tokens,
        webmail.opened_at_once,
        webmail.searches_at_once,
        webmail.sessions,
    ];
    fixed.into_iter().chain(sizes).filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

/// Whether there is a certificate, or will be one.
fn has_tls(config: &Config) -> bool {
    let tls = &config.tls;
    tls.self_signed.is_some() || !tls.certificates.is_empty() || !tls.acme.is_empty()
}

/// Whether two configurations listen at the same places. A port chosen by the system may since have been written into
/// the configuration.
fn same_places(old: &Config, new: &Config) -> bool {
    let chosen = |old: &Bind, new: &Bind| match (old, new) {
        (Bind::Tcp(old), Bind::Tcp(new)) => old.port() == 0 && old.ip() == new.ip(),
        _ => false,
    };
    let same = |(old, new): (&ListenerSettings, &ListenerSettings)| {
        let rest = ListenerSettings { bind: old.bind.clone(), ..new.clone() };
        let places = old.bind.iter().zip(&new.bind).all(|(old, new)| old == new || chosen(old, new));
        *old == rest && old.bind.len() == new.bind.len() && places
    };
    old.listener.len() == new.listener.len() && old.listener.iter().zip(&new.listener).all(same)
}

/// For tasks that wait for nothing outside.
const SHORT: Duration = Duration::from_secs(5);
/// For indexes written at the end, which a storage that does not answer would delay forever.
const CLOSING: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Checks, load};
    use crate::foundations::settings::Span;

    #[test]
    fn what_was_read_once_waits_for_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("postrider.toml");
        let listener = "[[listener]]\nprotocol = \"smtp\"\nbind = [\"[::]:25\"]\n";
        std::fs::write(&file, format!("hostname = \"mail.example.test\"\n{listener}")).unwrap();
        let config = || load(&file, Checks::Syntax, None).unwrap_or_else(|error| panic!("{error}"));
        let (old, mut new) = (config(), config());
        assert!(needs_restart(&old, &new).is_empty());
        new.tls.self_signed = Some(directory.path().join("tls"));
        new.dav.public_port = Some(8443);
        new.webmail.submission = Some(directory.path().join("submission.sock"));
        new.dashboard.fresh_for = Span::seconds(77);
        new.dashboard.probe_timeout = Span::seconds(77);
        // The settings served to mail programs say whether there are calendars.
        new.dav.enabled = false;
        new.journal.waiting = 99;
        new.spam.classifier.refresh = Span::seconds(77);
        let wanted = [
            "tls",
            "dav.public_port",
            "webmail.submission",
            "dashboard.fresh_for",
            "dashboard.probe_timeout",
            "dav.enabled",
            "journal.waiting",
            "spam.classifier.refresh",
        ];
        assert_eq!(needs_restart(&old, &new), wanted);
        // Certificates can be replaced in a running server if it already has some.
        let mut others = config();
        others.tls.self_signed = Some(directory.path().join("others"));
        assert!(!needs_restart(&new, &others).contains(&"tls"));
    }
}
