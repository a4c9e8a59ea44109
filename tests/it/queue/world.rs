//! A queue with everything it needs, on a database of the test's engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use postrider::foundations::address::{Address, ReversePath};
use postrider::foundations::clock::{Clock, SharedClock, Timestamp};
use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::event::{Event, EventKind};
use postrider::foundations::failure::{Kind, Refusal};
use postrider::foundations::ids::{MailId, QueueId, SessionId};
use postrider::foundations::mail::{Envelope, Extras, Mail, Message, Origin, Peer, Recipient, With};
use postrider::foundations::settings::Live;
use postrider::foundations::tasks::Tasks;
use postrider::services::filter::Verdict;
use postrider::services::handover::{Bound, LocalDelivery, Outcome, Postponed};
use postrider::services::outbound::{Connector, Outbound, OutboundParts, OutboundSettings, Roots};
use postrider::services::queue::{Queue, QueueParts, QueueSettings};
use postrider::services::routing::{LocalRecipient, Routing, RoutingSettings};
use postrider::storage::database::Database;
use postrider::storage::directory::{Directory, DirectorySettings};
use postrider::storage::journal::{Journal, JournalSettings, Query, Search};
use postrider::storage::reports::Reports;
use postrider::storage::spool::{Selection, Spool, SpoolSettings, body_path};

use super::peer::Network;
use crate::harness::PATIENCE;

/// A clock that moves when the test says so, and wakes sleepers. Cloning gives another handle.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    now: AtomicI64,
    moved: tokio::sync::watch::Sender<()>,
    /// The next to sleep by it panics.
    breaks: AtomicBool,
}

impl TestClock {
    fn new() -> Self {
        let moved = tokio::sync::watch::channel(()).0;
        // Files carry the real time, so this world begins with it.
        let now = postrider::foundations::clock::SystemClock.now().unix_micros();
        Self(Arc::new(Hands { now: AtomicI64::new(now), moved, breaks: AtomicBool::new(false) }))
    }

    /// The next to sleep by it panics, once.
    pub(crate) fn break_down(&self) {
        self.0.breaks.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_about_to_break_down(&self) -> bool {
        self.0.breaks.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.0.now.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
        self.0.moved.send_replace(());
    }

    /// Further sleepers sleep on.
    pub(crate) fn put_back(&self, span: Duration) {
        self.0.now.fetch_sub(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.now.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, at: Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        assert!(!self.0.breaks.swap(false, Ordering::SeqCst), "the clock breaks down, as it shall");
        let clock = self.clone();
        let mut moved = clock.0.moved.subscribe();
        Box::pin(async move {
            while clock.now() < at {
                if moved.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        })
    }
}

/// Mailboxes that only count, and refuse the given recipients.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes {
    pub(crate) stored: Mutex<Vec<(String, String)>>,
    pub(crate) full: Mutex<Vec<String>>,
    /// The scripts of these pass everything on.
    pub(crate) passing: Mutex<Vec<String>>,
    /// Delivery to this one panics.
    pub(crate) broken: Mutex<Vec<String>>,
}

impl LocalDelivery for Mailboxes {
    fn deliver<'a>(
        &'a self,
        mail: &'a Mail,
        _: &'a Verdict,
        recipients: &'a [LocalRecipient],
    ) -> BoxFuture<'a, Vec<Result<Outcome, Refusal>>> {
        Box::pin(async move {
            let one = |recipient: &LocalRecipient| {
                let account = recipient.account.to_string();
                assert!(!self.broken.lock().contains(&account), "the delivery to {account} breaks down, as it shall");
                if self.full.lock().contains(&account) {
                    return Err(Refusal::new(Kind::OverQuota, "The mailbox is full"));
                }
                if self.passing.lock().contains(&account) {
                    return Ok(Outcome::Queued(QueueId::generate(Timestamp::EPOCH)));
                }
                let text = String::from_utf8_lossy(&mail.message.bytes()).into_owned();
                self.stored.lock().push((account, text));
                Ok(Outcome::Stored { folder: "INBOX".to_owned(), uid: 1 })
            };
            recipients.iter().map(one).collect()
        })
    }
}

/// Everything around a queue.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) clock: TestClock,
    pub(crate) zone: Arc<ZoneResolver>,
    pub(crate) network: Arc<Network>,
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) journal: Journal,
    pub(crate) spool: Spool,
    pub(crate) queue: Queue,
    pub(crate) directory: Directory,
    pub(crate) reports: Reports,
    tasks: Tasks,
    storage: Tasks,
    spool_directory: Arc<tempfile::TempDir>,
    set_up: SetUp,
}

/// What a test changes.
#[derive(Clone)]
pub(crate) struct SetUp {
    pub(crate) queue: QueueSettings,
    pub(crate) outbound: OutboundSettings,
    pub(crate) roots: Roots,
    /// Used instead of the network without sockets.
    pub(crate) connector: Option<Arc<dyn Connector>>,
}

impl Default for SetUp {
    fn default() -> Self {
        let idle = postrider::foundations::settings::Span::millis(20);
        let queue = QueueSettings { idle_connection: idle, ..QueueSettings::default() };
        let roots = Roots::of(rustls::RootCertStore::empty());
        Self { queue, outbound: OutboundSettings::default(), roots, connector: None }
    }
}

impl World {
    /// A world whose queue is not running yet.
    pub(crate) fn new(database: Database, set_up: SetUp) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let network = Network::new(Tasks::new());
        Self::with(database, set_up, TestClock::new(), Arc::new(ZoneResolver::new()), network, directory)
    }

    fn with(
        database: Database,
        set_up: SetUp,
        clock: TestClock,
        zone: Arc<ZoneResolver>,
        network: Arc<Network>,
        spool_directory: Arc<tempfile::TempDir>,
    ) -> Self {
        let (tasks, storage) = (Tasks::new(), Tasks::new());
        let shared: SharedClock = Arc::new(clock.clone());
        let quick = JournalSettings {
            gather_for: postrider::foundations::settings::Span::millis(1),
            ..JournalSettings::default()
        };
        let journal = Journal::start(database.clone(), Live::new(quick), shared.clone(), &storage);
        let settings = SpoolSettings { directory: spool_directory.path().join("spool"), ..SpoolSettings::default() };
        let spool = Spool::open(database.clone(), &settings, shared.clone(), &storage).unwrap();
        let directory =
            Directory::open(database.clone(), Live::new(DirectorySettings::default()), shared.clone(), &storage);
        let hostname: postrider::foundations::address::Domain = "mail.example.test".parse().unwrap();
        let reports = Reports::new(database.clone(), shared.clone());
        let outbound = Outbound::new(OutboundParts {
            settings: Live::new(set_up.outbound.clone()),
            hostname: hostname.clone(),
            resolver: zone.clone(),
            connector: set_up.connector.clone().unwrap_or_else(|| network.clone()),
            roots: set_up.roots.clone(),
            clock: shared.clone(),
            reports: Some(reports.clone()),
            database: Some(database.clone()),
            filter: None,
        });
        let routing = Routing::new(directory.clone(), Live::new(RoutingSettings::default()), hostname.clone());
        let mailboxes = Arc::new(Mailboxes::default());
        let queue = Queue::new(QueueParts {
            settings: Live::new(set_up.queue.clone()),
            claimant: hostname.to_string(),
            hostname,
            node: None,
            spool: spool.clone(),
            outbound,
            routing,
            delivery: mailboxes.clone(),
            journal: journal.clone(),
            clock: shared,
            tasks: tasks.clone(),
        });
        Self {
            database,
            clock,
            zone,
            network,
            mailboxes,
            journal,
            spool,
            queue,
            directory,
            reports,
            tasks,
            storage,
            spool_directory,
            set_up,
        }
    }

    /// Stops everything and recreates the world on the same database and spool, as a restart does.
    pub(crate) async fn restart(self) -> Self {
        assert!(self.tasks.stop(Duration::from_secs(10)).await, "the workers end");
        assert!(self.storage.stop(Duration::from_secs(10)).await, "the writers end");
        let Self { database, set_up, clock, zone, network, spool_directory, .. } = self;
        Self::with(database, set_up, clock, zone, network, spool_directory)
    }

    /// Drops everything in memory without stopping anything, as a crash does. Work in flight is cut off.
    pub(crate) fn crash(self) -> Self {
        let Self { database, set_up, clock, zone, network, spool_directory, tasks, storage, .. } = self;
        tasks.token().cancel();
        storage.token().cancel();
        Self::with(database, set_up, clock, zone, network, spool_directory)
    }

    /// How many files the spool holds.
    pub(crate) fn bodies(&self) -> usize {
        let folders = std::fs::read_dir(self.spool_directory.path().join("spool")).unwrap();
        folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
    }

    /// The file with the body of an entry.
    pub(crate) fn body(&self, id: QueueId) -> PathBuf {
        body_path(&self.spool_directory.path().join("spool"), id)
    }

    /// Queues a message and starts work on it if the queue runs.
    pub(crate) async fn send(&self, mail: &Mail) -> QueueId {
        let recipients = mail.envelope.recipients.iter().cloned().map(|one| (one, Bound::Elsewhere)).collect();
        self.queue
            .enqueue(Postponed { mail, message_id: Some("<1@example.test>"), recipients, hold: None })
            .await
            .unwrap()
    }

    /// Waits until something holds. Real time, but only as long as it takes.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let left = self.queue.list(&Selection::All, None, 10).await;
            panic!("in vain: {what}; the queue holds {left:#?}");
        }
    }

    /// Waits until nothing is left in the queue.
    pub(crate) async fn until_empty(&self) {
        self.until("the queue is empty", async || self.queue.counts().await.unwrap().entries == 0).await;
    }

    /// Waits until no connection is open.
    pub(crate) async fn until_quiet(&self) {
        self.until("no connection is open", async || self.queue.connections() == 0).await;
    }

    /// Waits until the entry has been tried this often and nobody is working on it.
    pub(crate) async fn until_tried(&self, id: QueueId, attempts: u32) {
        self.until("the entry has been tried", async || {
            let Ok(listing) = self.queue.show(id).await else { return false };
            listing.recipients.iter().all(|one| one.attempts >= attempts && one.owner.is_none())
        })
        .await;
    }

    /// The events of an entry, as kind and subject.
    pub(crate) async fn events(&self, id: QueueId, kind: EventKind) -> Vec<Event> {
        self.journal.flush().await;
        let query = Query { search: Some(Search::Queue(id)), kinds: vec![kind], ..Query::default() };
        self.journal.query(&query).await.unwrap()
    }
}

/// A message from Ann.
pub(crate) fn mail(to: &[&str]) -> Mail {
    let recipients = to.iter().map(|to| Recipient::plain(to.parse().unwrap())).collect();
    mail_to(recipients)
}

/// A message from Ann to these recipients.
pub(crate) fn mail_to(recipients: Vec<Recipient>) -> Mail {
    let at = postrider::foundations::clock::SystemClock.now();
    let sender: Address = "ann@sender.test".parse().unwrap();
    Mail {
        id: MailId::generate(at),
        origin: Origin {
            session: SessionId::generate(at),
            peer: Peer::Internal,
            local: None,
            hello: String::new(),
            with: With::Esmtp(Extras { tls: true, login: true, utf8: false }),
            tls: None,
            login: None,
            at,
        },
        envelope: Envelope::plain(ReversePath::Address(sender), recipients),
        message: Message::new(
            "Message-ID: <1@example.test>\r\nFrom: ann@sender.test\r\nSubject: hello\r\n\r\n.dotted\r\nbody\r\n",
        ),
    }
}
