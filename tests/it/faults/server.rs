//! The real program as a child process: started, measured, killed, started again.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::imap::Imap;
use super::pipe::Pipe;
use super::smtp::Smtp;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "open sesame";
/// The users, all at `example.test`.
pub(crate) const USERS: [&str; 2] = ["ann", "bob"];

/// How long the program may take to start, on a machine with other load.
const START: Duration = Duration::from_secs(60);

/// Deviations from the default.
#[derive(Default)]
pub(crate) struct Layout {
    /// Where mail is kept.
    pub(crate) mail_root: Option<PathBuf>,
    /// Where queued messages are kept.
    pub(crate) spool: Option<PathBuf>,
    /// The database's URL.
    pub(crate) database: Option<String>,
    /// Further tables of the configuration.
    pub(crate) more: String,
}

/// The program with its directory.
pub(crate) struct Server {
    directory: TempDir,
    address: Ipv4Addr,
    mail_root: PathBuf,
    child: Mutex<Option<Child>>,
}

/// Octets of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// In use now.
    pub(crate) now: u64,
    /// The most since the last [`Server::forget_peak`].
    pub(crate) peak: u64,
}

/// A loopback address that no other test has, in this run or a concurrent one: so each server can have fixed ports.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (190 << 16);
    let [_, a, b, c] = n.to_be_bytes();
    Ipv4Addr::new(127, 64 + a, b, c)
}

impl Server {
    /// Writes a configuration and accounts, and starts the program. Every message is filtered, but none goes to Junk:
    /// the tests look for mail in INBOX.
    pub(crate) fn start(layout: Layout) -> Self {
        let server = Self::prepare(layout);
        server.resume();
        server
    }

    /// The same without starting it.
    pub(crate) fn prepare(layout: Layout) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = own_address();
        let within = |name: &str| directory.path().join(name);
        let mail_root = layout.mail_root.unwrap_or_else(|| within("mail"));
        let spool = layout.spool.unwrap_or_else(|| within("spool"));
        let database = layout.database.unwrap_or_else(|| format!("sqlite:{}", within("postrider.sqlite").display()));
        fs::write(within("hash"), format!("{{BLF-CRYPT}}{}\n", bcrypt::hash(PASSWORD, 4).unwrap())).unwrap();
        let users = USERS.map(|user| {
            format!("[domains.\"example.test\".users.{user}]\nhashed_password_file = {:?}\n", within("hash"))
        });
        fs::write(within("accounts.toml"), users.concat()).unwrap();
        let listeners = [
            ("lmtp", format!("unix:{}", within("lmtp.sock").display())),
            ("imap", format!("unix:{}", within("imap.sock").display())),
            ("imap", format!("{address}:1430")),
            ("smtp", format!("{address}:2500")),
            ("submission", format!("{address}:5870")),
        ]
        .map(|(protocol, bind)| format!("[[listener]]\nprotocol = {protocol:?}\nbind = [{bind:?}]\n\n"))
        .concat();
        let config = format!(
            "hostname = \"mail.example.test\"\n\n\
             [server]\ncontrol_directory = {:?}\nlog_format = \"text\"\n\n\
             [storage]\nmail_root = {mail_root:?}\ndatabase = {database:?}\n\n\
             [spool]\ndirectory = {spool:?}\n\n\
             [tls]\nself_signed = {:?}\n\n\
             [accounts]\ndeclared = {:?}\n\n\
             [dns]\nservers = [\"{address}:53\"]\ntimeout = \"100ms\"\nattempts = 1\n\n\
             [spam]\nthreshold = 900.0\nrefuse = 1000.0\n\n\
             {listeners}{}",
            within("run"),
            within("tls"),
            within("accounts.toml"),
            layout.more.replace("ADDRESS", &address.to_string()),
        );
        fs::write(within("postrider.toml"), config).unwrap();
        Self { directory, address, mail_root, child: Mutex::new(None) }
    }

    /// Starts the program and waits until it is ready; returns how long that took.
    pub(crate) fn resume(&self) -> Duration {
        let begun = Instant::now();
        let ready = self.launch();
        ready.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut message = [0; 4096];
        loop {
            match ready.recv(&mut message) {
                Ok(length) if message[..length].starts_with(b"READY=1") => return begun.elapsed(),
                Ok(_) => continue,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
            if let Some(status) = self.ended() {
                panic!("the server ended with {status}\n{}", self.log());
            }
            assert!(begun.elapsed() < START, "the server does not get ready\n{}", self.log());
        }
    }

    /// Starts the program without waiting; its messages to systemd arrive in the socket.
    pub(crate) fn launch(&self) -> UnixDatagram {
        assert!(self.child.lock().is_none(), "the server runs already");
        let notify = self.directory.path().join("notify.sock");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).unwrap();
        let log = File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_postrider"))
            .arg("--config")
            .arg(self.directory.path().join("postrider.toml"))
            .arg("serve")
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.child.lock() = Some(child);
        ready
    }

    /// Kills it as a failing machine would: at once, without warning (SIGKILL).
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().take().expect("the server runs");
        assert!(child.try_wait().unwrap().is_none(), "the server ended by itself\n{}", self.log());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().as_ref().unwrap().id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(20_000)..]).into_owned()
    }

    /// A file or directory of this server's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A user's Maildir.
    pub(crate) fn maildir(&self, user: &str) -> PathBuf {
        self.mail_root.join("example.test").join(user)
    }

    /// The certificate authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.path("tls/ca.pem")
    }

    /// The address of one of this server's ports.
    pub(crate) fn port(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    /// A session as a front end.
    pub(crate) fn lmtp(&self) -> io::Result<Smtp> {
        Smtp::lmtp(Pipe::unix(&self.path("lmtp.sock"))?)
    }

    /// A session as another mail server.
    pub(crate) fn relay(&self) -> io::Result<Smtp> {
        Smtp::over_smtp(Pipe::tcp(self.port(2500))?)
    }

    /// A session of a user who submits mail, under TLS.
    pub(crate) fn submission(&self, user: &str) -> io::Result<Smtp> {
        let mut client = Smtp::over_smtp(Pipe::tcp(self.port(5870))?)?.start_tls(&self.authority())?;
        client.command("EHLO client.test")?;
        let reply = client.login(&format!("{user}@example.test"), PASSWORD)?;
        if reply.code == 235 { Ok(client) } else { Err(io::Error::other(format!("{reply:?}"))) }
    }

    /// A session that has not logged in.
    pub(crate) fn imap_stranger(&self) -> io::Result<Imap> {
        Imap::greet(Pipe::unix(&self.path("imap.sock"))?)
    }

    /// A session of a user.
    pub(crate) fn imap(&self, user: &str) -> io::Result<Imap> {
        let mut client = self.imap_stranger()?;
        let answer = client.command(&format!("LOGIN {user}@example.test \"{PASSWORD}\""))?;
        if answer.is_ok() { Ok(client) } else { Err(io::Error::other(format!("{answer:?}"))) }
    }

    /// The program's memory.
    pub(crate) fn memory(&self) -> Memory {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("a line of that name");
            line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        Memory { now: kib("VmRSS:") << 10, peak: kib("VmHWM:") << 10 }
    }

    /// Resets the peak to what is in use now (`proc_pid_clear_refs(5)`).
    pub(crate) fn forget_peak(&self) {
        fs::write(self.proc("clear_refs"), "5").unwrap();
    }

    fn proc(&self, name: &str) -> PathBuf {
        let id = self.child.lock().as_ref().expect("the server runs").id();
        Path::new("/proc").join(id.to_string()).join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.get_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the end of the server's log:\n{}", self.log());
        }
    }
}
