//! A database that can be read but not written: nothing is sent whose result could not be stored, and messages sent
//! just before are not sent again by the next process.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use postrider::storage::database::{Database, DatabaseSettings, Transaction};
use tokio::runtime::Runtime;

use super::disk::Disk;
use super::pipe::Pipe;
use super::server::{Layout, Server};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a host pauses in its conversation until it is told to continue.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    /// When the message is announced.
    AtData,
    /// When all of it has arrived.
    AtEnd,
}

/// A host that pauses in its first conversation.
struct Host {
    stopped: Receiver<()>,
    go: SyncSender<()>,
    /// Whether each message was transmitted completely.
    came: Receiver<bool>,
}

impl Host {
    fn start(address: SocketAddr, stop: Stop) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (says_stopped, stopped) = sync_channel(9);
        let (go, may_go) = sync_channel(9);
        let (says_came, came) = sync_channel(9);
        thread::spawn(move || {
            let mut stop = Some(stop);
            for socket in listener.incoming() {
                let mut pipe = Pipe::over(socket.unwrap()).unwrap();
                let mut halt = |at: Stop| {
                    if stop == Some(at) {
                        stop = None;
                        says_stopped.send(()).unwrap();
                        may_go.recv().unwrap();
                    }
                };
                let _ = pipe.send(b"220 elsewhere.test\r\n");
                while let Ok(line) = pipe.line() {
                    let is_data = line.eq_ignore_ascii_case(b"DATA");
                    if is_data {
                        halt(Stop::AtData);
                    }
                    let _ = pipe.send(if is_data { b"354 go on\r\n" } else { b"250 fine\r\n" });
                    if is_data {
                        let mut last = pipe.line();
                        while last.as_ref().is_ok_and(|line| line != b".") {
                            last = pipe.line();
                        }
                        let is_whole = last.is_ok();
                        if is_whole {
                            halt(Stop::AtEnd);
                        }
                        let _ = pipe.send(b"250 2.0.0 taken\r\n");
                        says_came.send(is_whole).unwrap();
                    }
                }
            }
        });
        Self { stopped, go, came }
    }
}

/// A server whose mail goes to one host, and somebody else's transaction by which its database can be locked.
struct World {
    server: Server,
    database: Database,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        Self::with(Layout::default())
    }

    fn with(layout: Layout) -> Self {
        let more = "[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"[ADDRESS]\"\nport = 2525\n\
                    [database]\nbusy_timeout = \"100ms\"\nacquire_timeout = \"1s\"\n\
                    [queue]\nfirst_retry = \"1s\"\nlongest_retry = \"1s\"\nfirst_rest = \"1s\"\nlongest_rest = \"1s\"\n";
        let layout_database = layout.database.clone();
        let server = Server::start(Layout { more: more.to_owned(), ..layout });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let database =
            layout_database.unwrap_or_else(|| format!("sqlite:{}", server.path("postrider.sqlite").display()));
        let url = database.parse().unwrap();
        let database = runtime.block_on(Database::connect(&url, &DatabaseSettings::default())).unwrap();
        Self { server, database, runtime }
    }

    /// A message is on its way to a host, which pauses until told to continue.
    fn sending(&self, stop: Stop) -> Host {
        let host = Host::start(self.server.port(2525), stop);
        self.submit();
        host.stopped.recv_timeout(PATIENCE).unwrap();
        host
    }

    fn submit(&self) {
        let letter = b"From: ann@example.test\r\nMessage-ID: <1@noted.test>\r\n\r\ntext\r\n";
        let mut client = self.server.submission("ann").unwrap();
        let replies = client.send("ann@example.test", &["someone@elsewhere.test"], letter).unwrap();
        assert_eq!(replies[0].code, 250, "{replies:?}");
    }

    /// From now on nobody else can write.
    fn lock(&self) -> Transaction {
        self.runtime.block_on(self.database.begin()).unwrap()
    }

    fn unlock(&self, transaction: Transaction) {
        self.runtime.block_on(transaction.rollback()).unwrap();
    }

    fn number(&self, sql: &'static str) -> i64 {
        self.runtime.block_on(self.database.fetch_all(sql, &[])).unwrap()[0].int(0).unwrap()
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}\n{}", self.server.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Until nothing is in the queue.
    fn until_sent(&self) {
        self.until("the queue is empty", || self.number("SELECT COUNT(*) FROM queue_entries") == 0);
    }
}

#[test]
fn nothing_is_sent_whose_result_could_not_be_kept() {
    let world = World::new();
    let host = world.sending(Stop::AtData);
    let lock = world.lock();
    host.go.send(()).unwrap();
    assert!(!host.came.recv_timeout(PATIENCE).unwrap(), "the message is sent though nothing can be written down");
    world.server.kill();
    world.unlock(lock);
    world.server.resume();
    assert!(host.came.recv_timeout(PATIENCE).unwrap(), "it is sent when the database can be written again");
    world.until_sent();
    assert!(host.came.try_recv().is_err(), "and once");
}

/// Number of notes in a spool.
fn noted(spool: &Path) -> usize {
    let notes = std::fs::read_dir(spool.join("unsettled"));
    // A name with a leading dot is still being written.
    notes.map_or(0, |notes| notes.flatten().filter(|one| !one.file_name().as_encoded_bytes().starts_with(b".")).count())
}

#[test]
fn what_has_arrived_while_nothing_could_be_written_is_not_sent_again() {
    let world = World::new();
    let host = world.sending(Stop::AtEnd);
    let lock = world.lock();
    host.go.send(()).unwrap();
    assert!(host.came.recv_timeout(PATIENCE).unwrap());
    let spool = world.server.path("spool");
    world.until("the result is noted beside the spool", || noted(&spool) == 1);
    world.server.kill();
    world.unlock(lock);
    world.server.resume();
    world.until_sent();
    assert!(host.came.try_recv().is_err(), "it is not sent again");
    world.until("the note is gone", || noted(&spool) == 0);
    world.until("its event is there", || world.number("SELECT COUNT(*) FROM events WHERE kind = 'relayed'") == 1);
}

#[test]
fn what_is_noted_is_forgotten_when_the_database_can_be_written() {
    let world = World::new();
    let host = world.sending(Stop::AtEnd);
    let lock = world.lock();
    host.go.send(()).unwrap();
    let spool = world.server.path("spool");
    world.until("the result is noted beside the spool", || noted(&spool) == 1);
    world.unlock(lock);
    world.until_sent();
    world.until("the note is gone", || noted(&spool) == 0);
    assert!(host.came.try_recv().is_ok() && host.came.try_recv().is_err());
}

/// A disk that has room for a name, and not one octet more.
#[test]
fn what_has_arrived_when_the_disk_was_full_is_not_sent_again() {
    let Some(disk) = Disk::mount(24) else { return };
    let database = format!("sqlite:{}", disk.path("data/postrider.sqlite").display());
    let spool = disk.path("spool");
    let world = World::with(Layout { spool: Some(spool.clone()), database: Some(database), ..Layout::default() });
    let host = world.sending(Stop::AtEnd);
    disk.fill();
    host.go.send(()).unwrap();
    assert!(host.came.recv_timeout(PATIENCE).unwrap());
    // The database may still have had room for the result.
    let settled = || world.number("SELECT COUNT(*) FROM queue_entries") == 0;
    world.until("the result is noted somewhere", || noted(&spool) == 1 || settled());
    world.server.kill();
    disk.empty();
    world.server.resume();
    world.until_sent();
    assert!(host.came.try_recv().is_err(), "it is not sent again");
}
