//! An SMTP server with everything behind it real except the mailboxes and the queue, which keep what they get in memory
//! and fail on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use postrider::foundations::address::Domain;
use postrider::foundations::budget::Budget;
use postrider::foundations::clock::{Clock as _, SharedClock, SystemClock};
use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::failure::{Kind, Refusal};
use postrider::foundations::ids::{QueueId, SessionId};
use postrider::foundations::mail::{Mail, Peer};
use postrider::foundations::net::Connection;
use postrider::foundations::settings::{ByteSize, Live};
use postrider::foundations::tasks::Tasks;
use postrider::protocols::smtp::{Mode, PlaintextAuth, Room, SmtpSettings, run};
use postrider::services::acceptance::{Acceptance, AcceptanceSettings};
use postrider::services::delivery::DeliverySettings;
use postrider::services::filter::{Filter, FilterSettings, Verdict};
use postrider::services::guard::{Guard, GuardSettings};
use postrider::services::handover::{Bound, LocalDelivery, Outcome, Postponed, Queueing, ReportReading};
use postrider::services::intake::{Intake, IntakeParts, IntakeSettings};
use postrider::services::login::{Login, LoginSettings};
use postrider::services::routing::{LocalRecipient, Routing, RoutingSettings, Srs, SrsSettings};
use postrider::services::submission::{Submission, SubmissionParts, SubmissionSettings};
use postrider::storage::database::{Database, DatabaseSettings, DatabaseUrl};
use postrider::storage::directory::{Directory, DirectorySettings, NewUser, Owner, Source, Usage};
use postrider::storage::journal::{Journal, JournalSettings};
use postrider::storage::quarantine::QuarantineNotes;
use tokio_util::sync::CancellationToken;

use crate::harness::{Wire, user};

/// Mailboxes in memory. `broken@` cannot be written now, `refusing@` never.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes(pub(crate) Mutex<Vec<(String, String)>>);

impl LocalDelivery for Mailboxes {
    fn deliver<'a>(
        &'a self,
        mail: &'a Mail,
        _: &'a Verdict,
        recipients: &'a [LocalRecipient],
    ) -> BoxFuture<'a, Vec<Result<Outcome, Refusal>>> {
        let text = String::from_utf8_lossy(&mail.message.bytes()).into_owned();
        let deliver = |recipient: &LocalRecipient| match recipient.account.local().value() {
            "broken" => Err(Refusal::new(Kind::Temporary, "Not now").smtp(451, "4.3.0")),
            "refusing" => Err(Refusal::new(Kind::Invalid, "Never").smtp(550, "5.2.0")),
            _ => {
                self.0.lock().push((recipient.account.to_string(), text.clone()));
                Ok(Outcome::Stored { folder: "INBOX".to_owned(), uid: 1 })
            }
        };
        std::future::ready(recipients.iter().map(deliver).collect()).boxed()
    }
}

/// An entry's destination, and why it is held.
type Entry = (Vec<(String, Bound)>, Option<String>);

/// A queue in memory that can be broken.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) entries: Mutex<Vec<Entry>>,
    /// Sender and message of each entry.
    pub(crate) mails: Mutex<Vec<(String, String)>>,
    pub(crate) broken: AtomicBool,
    /// What is reloaded while the next entry is written.
    pub(crate) reload: Mutex<Option<(Live<IntakeSettings>, IntakeSettings)>>,
}

impl Queueing for Queue {
    fn postpone<'a>(&'a self, postponed: Postponed<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>> {
        if self.broken.load(Ordering::SeqCst) {
            return std::future::ready(Err(Refusal::temporary("the disk is gone").smtp(451, "4.3.0"))).boxed();
        }
        if let Some((live, settings)) = self.reload.lock().take() {
            live.set(settings);
        }
        let recipients = postponed.recipients.iter().map(|(one, bound)| (one.address.to_string(), *bound)).collect();
        self.entries.lock().push((recipients, postponed.hold));
        let sender = postponed.mail.envelope.reverse_path.address().map(ToString::to_string).unwrap_or_default();
        let text = String::from_utf8_lossy(&postponed.mail.message.bytes()).into_owned();
        self.mails.lock().push((sender, text));
        std::future::ready(Ok(QueueId::generate(SystemClock.now()))).boxed()
    }

    fn postpone_together<'a>(&'a self, postponed: Vec<Postponed<'a>>) -> BoxFuture<'a, Result<Vec<QueueId>, Refusal>> {
        async move {
            let mut ids = Vec::new();
            for one in postponed {
                ids.push(self.postpone(one).await?);
            }
            Ok(ids)
        }
        .boxed()
    }
}

/// The server, and what tests inspect.
pub(crate) struct World {
    pub(crate) room: Arc<Room>,
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) directory: Directory,
    pub(crate) intake: Live<IntakeSettings>,
    tasks: Tasks,
    _directory: tempfile::TempDir,
}

/// What a test changes.
pub(crate) struct Wishes {
    pub(crate) mode: Mode,
    pub(crate) smtp: SmtpSettings,
    pub(crate) guard: GuardSettings,
    pub(crate) submission: SubmissionSettings,
    pub(crate) memory: ByteSize,
    pub(crate) srs: SrsSettings,
    pub(crate) spam: FilterSettings,
    pub(crate) intake: Live<IntakeSettings>,
    pub(crate) delivery: DeliverySettings,
    /// The DNS records for the filter; without them, it does not ask.
    pub(crate) zone: Option<Arc<ZoneResolver>>,
}

impl Wishes {
    pub(crate) fn new(mode: Mode) -> Self {
        let smtp = SmtpSettings {
            greeting_delay: postrider::foundations::settings::Span::millis(0),
            plaintext_auth: PlaintextAuth::Networks,
            plaintext_networks: vec!["192.0.2.0/24".parse().unwrap()],
            lmtp_networks: vec!["192.0.2.0/24".parse().unwrap()],
            message_size: ByteSize::mib(1),
            ..SmtpSettings::default()
        };
        let guard = GuardSettings {
            error_delay: postrider::foundations::settings::Span::millis(1),
            most_errors: 40,
            ..GuardSettings::default()
        };
        Self {
            mode,
            smtp,
            guard,
            submission: SubmissionSettings::default(),
            memory: ByteSize::mib(64),
            srs: SrsSettings::default(),
            spam: FilterSettings::default(),
            intake: Live::new(IntakeSettings::default()),
            delivery: DeliverySettings::default(),
            zone: None,
        }
    }
}

async fn database(path: &std::path::Path) -> Database {
    let url = DatabaseUrl::sqlite(&path.join("postrider.sqlite"));
    let database = Database::connect(&url, &DatabaseSettings::default()).await.unwrap();
    database.migrate().await.unwrap();
    database
}

async fn directory(database: Database, clock: &SharedClock, tasks: &Tasks) -> Directory {
    let directory = Directory::open(database, Live::new(DirectorySettings::default()), Arc::clone(clock), tasks);
    let mut edit = directory.edit().await.unwrap();
    edit.add_domain(&"example.test".parse().unwrap(), Owner::Admin).await.unwrap();
    for name in ["ann", "bob", "full", "broken", "refusing"] {
        let user = NewUser { quota: Some(ByteSize::mib(1)), ..user(&format!("{name}@example.test")) };
        edit.add_user(&user).await.unwrap();
    }
    for (source, destination) in [
        ("sales@example.test", "ann@example.test"),
        ("sales@example.test", "bob@example.test"),
        ("away@example.test", "ann@elsewhere.test"),
        ("both@example.test", "ann@example.test"),
        ("both@example.test", "broken@example.test"),
    ] {
        edit.add_alias(&Source::parse(source).unwrap(), destination, Owner::Admin).await.unwrap();
    }
    edit.commit().await.unwrap();
    directory.set_usage(&"full@example.test".parse().unwrap(), Usage { bytes: 1 << 20, messages: 1 });
    directory
}

impl World {
    pub(crate) async fn new(wishes: Wishes) -> Self {
        let (place, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let clock: SharedClock = Arc::new(SystemClock);
        let database = database(place.path()).await;
        let directory = directory(database.clone(), &clock, &tasks).await;
        let name: Domain = "mail.example.test".parse().unwrap();
        let hostname = Live::new(name.clone());
        let journal =
            Journal::start(database.clone(), Live::new(JournalSettings::default()), Arc::clone(&clock), &tasks);
        let guard = Guard::new(Live::new(wishes.guard), Arc::clone(&clock));
        let srs = Srs::load(&wishes.srs, &name, Arc::clone(&clock)).unwrap();
        let routing = Routing::new(directory.clone(), Live::new(RoutingSettings::default()), name).with_srs(srs);
        let mut filter = Filter::new(Live::new(wishes.spam), Arc::clone(&clock)).with_hostname(hostname.clone());
        if let Some(zone) = wishes.zone {
            filter = filter.with_resolver(zone);
        }
        let (settings, delivery) = (Live::new(AcceptanceSettings::default()), Live::new(wishes.delivery));
        let acceptance = Acceptance::new(routing.clone(), directory.clone(), settings, delivery);
        let (mailboxes, queue) = (Arc::new(Mailboxes::default()), Arc::new(Queue::default()));
        let login_settings = Live::new(LoginSettings::default());
        let (per_network, intake) = (wishes.smtp.memory_per_network, wishes.intake);
        let room = Room {
            mode: wishes.mode,
            settings: Live::new(wishes.smtp),
            hostname: hostname.clone(),
            tls: None,
            budget: Budget::new(wishes.memory, per_network),
            guard: guard.clone(),
            login: Login::new(directory.clone(), guard.clone(), journal.clone(), login_settings, Arc::clone(&clock)),
            acceptance: acceptance.clone(),
            submission: Arc::new(Submission::new(SubmissionParts {
                settings: Live::new(wishes.submission),
                hostname: hostname.clone(),
                acceptance,
                guard,
                journal: journal.clone(),
                clock: Arc::clone(&clock),
            })),
            intake: Arc::new(Intake::new(IntakeParts {
                settings: intake.clone(),
                is_judged: false,
                hostname,
                filter: Arc::new(filter),
                routing,
                delivery: Arc::clone(&mailboxes) as Arc<dyn LocalDelivery>,
                queue: Arc::clone(&queue) as Arc<dyn Queueing>,
                reports: Arc::new(NoReports),
                notes: QuarantineNotes::new(database),
                journal: journal.clone(),
                clock: Arc::clone(&clock),
            })),
            journal,
            clock,
        };
        Self { room: Arc::new(room), mailboxes, queue, directory, intake, tasks, _directory: place }
    }

    /// Connects a client from 192.0.2.1.
    pub(crate) fn connect(&self) -> Client {
        self.connect_from([192, 0, 2, 1])
    }

    /// Connects a client from an address.
    pub(crate) fn connect_from(&self, address: [u8; 4]) -> Client {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let stop = CancellationToken::new();
        let connection = Connection {
            stream: theirs.into(),
            peer: Peer::Tcp((address, 40_000).into()),
            local: None,
            session: SessionId::generate(SystemClock.now()),
            stop: stop.clone(),
            handshake: None,
        };
        self.tasks.spawn(run(connection, Arc::clone(&self.room)));
        Client { wire: Wire::new(ours), stop }
    }
}

/// Nobody is interested in reports.
struct NoReports;

impl ReportReading for NoReports {
    fn read<'a>(&'a self, _: &'a Mail) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The client's end.
pub(crate) struct Client {
    wire: Wire,
    pub(crate) stop: CancellationToken,
}

impl Client {
    /// Sends octets; if the server has closed, reading finds out.
    pub(crate) async fn send(&mut self, octets: &[u8]) {
        self.wire.send(octets).await;
    }

    /// The next line without CRLF; `None` at the end of the connection.
    pub(crate) async fn line(&mut self) -> Option<String> {
        self.wire.line().await
    }

    /// The last line of the next reply.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await.expect("the connection is closed");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    /// Sends a command and returns the last line of its reply.
    pub(crate) async fn command(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }
}
