//! An IMAP server with two accounts, in a directory of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::clock::{Clock, SharedClock, SystemClock};
use postrider::foundations::ids::SessionId;
use postrider::foundations::mail::{Peer, Summary};
use postrider::foundations::net::{Connection, Stream};
use postrider::foundations::settings::{ByteSize, Live};
use postrider::foundations::tasks::Tasks;
use postrider::protocols::imap::{ImapSettings, Needs, Room, run};
use postrider::services::guard::{Guard, GuardSettings};
use postrider::services::login::{Login, LoginSettings};
use postrider::storage::database::{Database, DatabaseSettings};
use postrider::storage::directory::{Directory, DirectorySettings, NewUser, Owner};
use postrider::storage::journal::Journal;
use postrider::storage::mailbox::{Fuller, MailboxSettings, Mailboxes, Summarizer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio_util::sync::CancellationToken;

use crate::harness::user;

pub(crate) struct World {
    room: Arc<Room>,
    tasks: Tasks,
    stop: CancellationToken,
    directory: tempfile::TempDir,
}

/// Settings for tests: passwords without TLS from everywhere.
pub(crate) fn settings() -> ImapSettings {
    let everywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
    ImapSettings { allow_plaintext: everywhere.into(), ..ImapSettings::default() }
}

impl World {
    pub(crate) async fn new(settings: ImapSettings) -> Self {
        Self::with(settings, MailboxSettings::default()).await
    }

    /// The same with settings of the mailboxes.
    pub(crate) async fn with(settings: ImapSettings, storage: MailboxSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let tasks = Tasks::new();
        let url = format!("sqlite:{}", directory.path().join("database.sqlite").display()).parse().unwrap();
        let database = Database::connect(&url, &DatabaseSettings::default()).await.unwrap();
        database.migrate().await.unwrap();
        let accounts = Directory::open(database, Live::new(DirectorySettings::default()), clock.clone(), &tasks);
        add_users(&accounts).await;
        let guard = Guard::new(Live::new(GuardSettings::default()), clock.clone());
        let journal = Journal::lines_only();
        let login_settings = Live::new(LoginSettings { cost: 4, ..LoginSettings::default() });
        let login = Login::new(accounts.clone(), guard.clone(), journal.clone(), login_settings, clock.clone());
        let mail_root = directory.path().join("mail");
        std::fs::create_dir(&mail_root).unwrap();
        let summarize = |message: &[u8]| {
            let mut stored = Vec::new();
            Summary::of(message).write(&mut stored);
            stored
        };
        let fuller = Some(Fuller { lacks: Summary::lacks, extend: Summary::extended });
        let summarizer = Summarizer { version: 1, summarize, fuller };
        let mailboxes =
            Mailboxes::open(&mail_root, Live::new(storage), clock.clone(), tasks.clone(), summarizer).unwrap();
        let room = Arc::new(Room::new(Needs {
            cluster: None,
            settings: Live::new(settings),
            guard,
            login,
            directory: accounts,
            mailboxes,
            journal,
            clock,
            lessons: None,
            tls: None,
        }));
        Self { room, tasks, stop: CancellationToken::new(), directory }
    }

    /// A user's Maildir.
    pub(crate) fn maildir(&self, user: &str) -> PathBuf {
        self.directory.path().join("mail/example.test").join(user)
    }

    /// A new connection from another host.
    pub(crate) fn connect(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let peer: SocketAddr = "192.0.2.9:4000".parse().unwrap();
        let connection = Connection {
            stream: Stream::from(theirs),
            peer: Peer::Tcp(peer),
            local: None,
            session: SessionId::generate(SystemClock.now()),
            stop: self.stop.clone(),
            handshake: None,
        };
        self.tasks.spawn(run(connection, Arc::clone(&self.room)));
        Client { stream: BufReader::new(ours) }
    }

    /// Tells all sessions that the server stops.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

async fn add_users(accounts: &Directory) {
    let mut edit = accounts.edit().await.unwrap();
    edit.add_domain(&"example.test".parse().unwrap(), Owner::Admin).await.unwrap();
    for (address, quota) in [("ann@example.test", None), ("bob@example.test", Some(ByteSize::mib(1)))] {
        edit.add_user(&NewUser { quota, ..user(address) }).await.unwrap();
    }
    edit.commit().await.unwrap();
}

/// The other end of a connection.
pub(crate) struct Client {
    stream: BufReader<DuplexStream>,
}

/// Longer than anything takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

impl Client {
    /// Sends octets as they are.
    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        let sent = tokio::time::timeout(PATIENCE, self.stream.write_all(octets.as_ref())).await;
        sent.expect("the server reads").unwrap();
    }

    /// The next line without its CRLF; `None` at the end of the connection.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_until(b'\n', &mut line)).await;
        if read.expect("the server answers").unwrap() == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        Some(line.strip_suffix("\r\n").expect("a whole line").to_owned())
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("it closes").unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Sends a command and returns all lines up to its tagged response.
    pub(crate) async fn command(&mut self, command: &str) -> Vec<String> {
        self.send(format!("{command}\r\n")).await;
        let tag = command.split(' ').next().unwrap_or_default();
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            let last = line.starts_with(&format!("{tag} "));
            lines.push(line);
            if last {
                break;
            }
        }
        lines
    }

    /// Reads the greeting and logs in.
    pub(crate) async fn log_in(&mut self, user: &str) {
        self.line().await.expect("a greeting");
        let lines = self.command(&format!("login LOGIN {user}@example.test pencil")).await;
        assert!(lines.last().unwrap().starts_with("login OK"), "{lines:?}");
    }
}
