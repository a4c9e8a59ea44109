//! A POP3 server with everything behind it real.

use std::path::Path;
use std::sync::Arc;

use postrider::foundations::clock::{Clock as _, SharedClock, SystemClock};
use postrider::foundations::ids::SessionId;
use postrider::foundations::mail::{Message, Peer};
use postrider::foundations::net::Connection;
use postrider::foundations::settings::Live;
use postrider::foundations::tasks::Tasks;
use postrider::protocols::pop3::{Needs, Pop3Settings, Room, run};
use postrider::services::guard::{Guard, GuardSettings};
use postrider::services::login::{Login, LoginSettings};
use postrider::storage::database::{Database, DatabaseSettings, DatabaseUrl};
use postrider::storage::directory::{Directory, DirectorySettings, Owner};
use postrider::storage::journal::Journal;
use postrider::storage::mailbox::{
    Access, AppendOptions, FolderName, MailboxSettings, Mailboxes, Summarizer, Usage, View,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{Wire, user};

pub struct World {
    pub room: Arc<Room>,
    pub mailboxes: Mailboxes,
    tasks: Tasks,
    place: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap()).await
    }

    async fn at(place: tempfile::TempDir) -> Self {
        let (tasks, clock): (_, SharedClock) = (Tasks::new(), Arc::new(SystemClock));
        let url = DatabaseUrl::sqlite(&place.path().join("postrider.sqlite"));
        let database = Database::connect(&url, &DatabaseSettings::default()).await.unwrap();
        database.migrate().await.unwrap();
        let directory = Directory::open(database, Live::new(DirectorySettings::default()), Arc::clone(&clock), &tasks);
        if directory.domain(&"example.test".parse().unwrap()).await.unwrap().is_none() {
            add_ann(&directory).await;
        }
        let mail_root = mail_root(place.path());
        std::fs::create_dir_all(&mail_root).unwrap();
        let summarizer = Summarizer { version: 1, summarize: |_| Vec::new(), fuller: None };
        let settings = Live::new(MailboxSettings::default());
        let mailboxes = Mailboxes::open(&mail_root, settings, Arc::clone(&clock), tasks.clone(), summarizer).unwrap();
        let guard = GuardSettings {
            error_delay: postrider::foundations::settings::Span::millis(1),
            ..GuardSettings::default()
        };
        let guard = Guard::new(Live::new(guard), Arc::clone(&clock));
        let journal = Journal::lines_only();
        let login = Live::new(LoginSettings::default());
        let login = Login::new(directory, guard.clone(), journal.clone(), login, Arc::clone(&clock));
        let settings =
            Pop3Settings { allow_plaintext: vec!["192.0.2.0/24".parse().unwrap()], ..Pop3Settings::default() };
        let room = Room::new(Needs {
            cluster: None,
            settings: Live::new(settings),
            guard,
            login,
            mailboxes: mailboxes.clone(),
            journal,
            clock,
            tls: None,
        });
        Self { room: Arc::new(room), mailboxes, tasks, place }
    }

    /// The same files after the process has ended and begun again.
    pub async fn restart(self) -> Self {
        self.mailboxes.close().await;
        let Self { room, mailboxes, place, .. } = self;
        drop((room, mailboxes));
        Self::at(place).await
    }

    /// Ann's Maildir.
    pub fn maildir(&self) -> std::path::PathBuf {
        mail_root(self.place.path()).join("example.test/ann")
    }

    pub async fn append(&self, message: &str) {
        let user = self.mailboxes.user(&"ann@example.test".parse().unwrap()).await.unwrap();
        let message = Message::new(message.to_owned());
        user.append(&FolderName::inbox(), &message, AppendOptions::delivery(None)).await.unwrap();
    }

    /// Ann's INBOX as another session sees it.
    pub async fn view(&self) -> View {
        let user = self.mailboxes.user(&"ann@example.test".parse().unwrap()).await.unwrap();
        user.open(&FolderName::inbox(), Access::ReadWrite).await.unwrap()
    }

    pub async fn usage(&self) -> Usage {
        let user = self.mailboxes.user(&"ann@example.test".parse().unwrap()).await.unwrap();
        user.usage().await.unwrap()
    }

    /// Connects a client from a network where TLS is not required, and reads the greeting.
    pub async fn connect(&self) -> Client {
        self.connect_from("192.0.2.1:40000").await
    }

    pub async fn connect_from(&self, peer: &str) -> Client {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let stop = CancellationToken::new();
        let connection = Connection {
            stream: theirs.into(),
            peer: Peer::Tcp(peer.parse().unwrap()),
            local: None,
            session: SessionId::generate(SystemClock.now()),
            stop: stop.clone(),
            handshake: None,
        };
        self.tasks.spawn(run(connection, Arc::clone(&self.room)));
        let mut client = Client { wire: Wire::new(ours), stop };
        assert_eq!(client.line().await.as_deref(), Some("+OK Postrider is ready"));
        client
    }

    /// Connects a client and logs it in.
    pub async fn ann(&self) -> Client {
        let mut client = self.connect().await;
        assert_eq!(client.ask("USER ann@example.test").await, "+OK Send your password");
        let answer = client.ask("PASS pencil").await;
        assert!(answer.starts_with("+OK "), "{answer}");
        client
    }
}

fn mail_root(place: &Path) -> std::path::PathBuf {
    place.join("mail")
}

async fn add_ann(directory: &Directory) {
    let mut edit = directory.edit().await.unwrap();
    edit.add_domain(&"example.test".parse().unwrap(), Owner::Admin).await.unwrap();
    edit.add_user(&user("ann@example.test")).await.unwrap();
    edit.commit().await.unwrap();
}

/// The client's end.
pub struct Client {
    wire: Wire,
    pub stop: CancellationToken,
}

impl Client {
    /// Sends octets; if the server has closed, reading finds out.
    pub async fn send(&mut self, octets: &str) {
        self.wire.send(octets.as_bytes()).await;
    }

    /// The next line without CRLF; `None` at the end of the connection.
    pub async fn line(&mut self) -> Option<String> {
        self.wire.line().await
    }

    /// Sends a command and returns the line that answers it.
    pub async fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.line().await.expect("the connection is closed")
    }

    /// Sends a command and returns its lines after `+OK`, dots undone.
    pub async fn lines(&mut self, line: &str) -> Vec<String> {
        let answer = self.ask(line).await;
        assert!(answer.starts_with("+OK"), "{answer}");
        self.rest().await
    }

    /// The lines up to the one with a dot.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.expect("the connection is closed");
            match line.strip_prefix('.') {
                Some("") => return lines,
                Some(stuffed) => lines.push(stuffed.to_owned()),
                None => lines.push(line),
            }
        }
    }
}
