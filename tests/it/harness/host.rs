use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use postrider::config::{Checks, Protocol, load};
use postrider::daemon::{Daemon, LogFormat, LogLevel, Parts, Roles, World};
use postrider::foundations::clock::{SharedClock, SystemClock};
use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::event::Event;
use postrider::foundations::net::{Bind, Inherited};
use postrider::foundations::secret::Secret;
use postrider::storage::directory::{Error, NewUser, Owner, Source};
use postrider::storage::journal::Query;
use tempfile::TempDir;

use super::{Detour, Imap, Smtp, Talk, TestClock, user};

/// The password of every user.
pub const PASSWORD: &str = "correct-horse";
/// Its bcrypt hash, of the lowest cost, so that tests do not wait.
const COST: u32 = 4;

/// A running server.
pub struct Host {
    daemon: Option<Daemon>,
    clock: TestClock,
    zone: Arc<ZoneResolver>,
    detour: Detour,
    wishes: Wishes,
    directory: Arc<TempDir>,
}

#[derive(Clone, Default)]
struct Wishes {
    settings: toml::Table,
    users: Vec<String>,
    aliases: Vec<(String, String)>,
    zone: String,
    real_time: bool,
    directory: Option<Arc<TempDir>>,
}

/// A server that is about to be started.
#[derive(Default)]
pub struct Start(Wishes);

impl Host {
    pub fn start() -> Start {
        Start::default()
    }

    async fn launch(
        wishes: Wishes,
        directory: Arc<TempDir>,
        clock: TestClock,
        zone: Arc<ZoneResolver>,
        detour: Detour,
    ) -> Self {
        postrider::daemon::log::start(LogFormat::Text, LogLevel::Warn);
        let path = directory.path().join("postrider.toml");
        std::fs::write(&path, configuration(directory.path(), &wishes.settings)).unwrap();
        let config = load(&path, Checks::Files, None).unwrap_or_else(|error| panic!("{error}"));
        let time: SharedClock = if wishes.real_time { Arc::new(SystemClock) } else { Arc::new(clock.clone()) };
        let world = World {
            clock: time,
            resolver: Some(Arc::clone(&zone) as _),
            connector: Arc::new(detour.clone()),
            credentials: None,
            inherited: Inherited::default(),
        };
        let daemon =
            Box::pin(Daemon::build(config, Roles::all(), world)).await.unwrap_or_else(|error| panic!("{error}"));
        let host = Self { daemon: Some(daemon), clock, zone, detour, wishes, directory };
        host.make_accounts().await;
        host
    }

    async fn make_accounts(&self) {
        for user in &self.wishes.users {
            self.add_user(user, None).await;
        }
        for (source, destination) in &self.wishes.aliases {
            self.add_domain(Source::parse(source).unwrap().domain()).await;
            let mut edit = self.parts().directory.edit().await.unwrap();
            match edit.add_alias(&Source::parse(source).unwrap(), destination, Owner::Admin).await {
                Ok(_) => edit.commit().await.unwrap(),
                Err(Error::Exists(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn add_domain(&self, domain: &postrider::foundations::address::Domain) {
        let mut edit = self.parts().directory.edit().await.unwrap();
        match edit.add_domain(domain, Owner::Admin).await {
            Ok(_) => edit.commit().await.unwrap(),
            Err(Error::Exists(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds a user, and the domain if need be; an existing one stays.
    pub async fn add_user(&self, address: &str, quota: Option<postrider::foundations::settings::ByteSize>) {
        let hash = postrider::services::login::hash(&Secret::new(PASSWORD.to_owned()), COST).unwrap();
        let user = NewUser { password: Some(hash), quota, ..user(address) };
        self.add_domain(user.address.domain()).await;
        let mut edit = self.parts().directory.edit().await.unwrap();
        match edit.add_user(&user).await {
            Ok(_) => edit.commit().await.unwrap(),
            Err(Error::Exists(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// The server's parts.
    pub fn parts(&self) -> &Arc<Parts> {
        self.daemon.as_ref().expect("a host that was not stopped has a daemon").parts()
    }

    pub const fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// The DNS, to add records to.
    pub fn zone(&self) -> &ZoneResolver {
        &self.zone
    }

    /// Where connections to other hosts are sent.
    pub const fn detour(&self) -> &Detour {
        &self.detour
    }

    /// The temporary directory of all files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The file of settings.
    pub fn config(&self) -> PathBuf {
        self.directory().join("postrider.toml")
    }

    pub fn mail_root(&self) -> PathBuf {
        self.directory().join("mail")
    }

    /// The authority's certificate, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.directory().join("tls/ca.pem")
    }

    /// The address at which a protocol is served.
    pub fn address(&self, protocol: Protocol) -> SocketAddr {
        let daemon = self.daemon.as_ref().expect("a host that was not stopped has a daemon");
        let place = daemon.listening().iter().find(|place| place.protocol == protocol);
        match place.map(|place| &place.bind) {
            Some(Bind::Tcp(address)) => *address,
            other => panic!("{protocol} is served at {other:?}"),
        }
    }

    /// A connection without TLS.
    pub async fn plain(&self, protocol: Protocol) -> Talk {
        Talk::plain(self.address(protocol)).await
    }

    /// A connection with TLS from the start.
    pub async fn tls(&self, protocol: Protocol) -> Talk {
        Talk::tls(self.address(protocol), &self.authority()).await
    }

    /// Another mail server's connection to port 25, after EHLO.
    pub async fn smtp(&self) -> Smtp {
        Smtp::hello(self.plain(Protocol::Smtp).await, "EHLO peer.example").await
    }

    /// A user's connection for submission, logged in.
    pub async fn submission(&self, user: &str) -> Smtp {
        let mut smtp = Smtp::hello(self.tls(Protocol::Submissions).await, "EHLO client.example").await;
        smtp.log_in(user, PASSWORD).await;
        smtp
    }

    /// A front end's connection, after LHLO.
    pub async fn lmtp(&self) -> Smtp {
        Smtp::hello(self.plain(Protocol::Lmtp).await, "LHLO frontend.example").await
    }

    /// A user's IMAP connection, logged in.
    pub async fn imap(&self, user: &str) -> Imap {
        let mut imap = Imap::greeted(self.tls(Protocol::Imaps).await).await;
        imap.ok(&format!("LOGIN \"{user}\" \"{PASSWORD}\"")).await;
        imap
    }

    /// The events that a query asks for, with everything recorded until now among them.
    pub async fn events(&self, query: &Query) -> Vec<Event> {
        self.parts().journal.flush().await;
        self.parts().journal.query(query).await.unwrap()
    }

    /// The same facts as `postrider demo --json` prints, in a file, for the scripts of external clients.
    pub fn description(&self) -> PathBuf {
        let daemon = self.daemon.as_ref().expect("a host that was not stopped has a daemon");
        let listeners: serde_json::Map<String, serde_json::Value> = daemon
            .listening()
            .iter()
            .map(|place| (place.protocol.to_string(), place.bind.to_string().into()))
            .collect();
        let users: Vec<_> =
            self.wishes.users.iter().map(|user| serde_json::json!({ "address": user, "password": PASSWORD })).collect();
        let facts = serde_json::json!({
            "listeners": listeners,
            "users": users,
            "ca": self.authority(),
            "program": env!("CARGO_BIN_EXE_postrider"),
            "config": self.directory().join("postrider.toml"),
            "database": format!("sqlite:{}", self.directory().join("postrider.sqlite").display()),
            "mail_root": self.mail_root(),
        });
        let path = self.directory().join("description.json");
        std::fs::write(&path, facts.to_string()).unwrap();
        path
    }

    /// Loads another configuration, as SIGHUP does.
    pub async fn reload(&self, config: postrider::config::Config) {
        self.try_reload(config).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The same where it may fail; returns its messages, or what waits for a restart.
    pub async fn try_reload(&self, config: postrider::config::Config) -> Result<Vec<&'static str>, String> {
        let daemon = self.daemon.as_ref().expect("a host that was not stopped has a daemon");
        Box::pin(daemon.reload(config)).await.map_err(|error| error.to_string())
    }

    /// Stops in an orderly way and starts again on the same directory (and new ports).
    pub async fn restart(mut self) -> Self {
        assert!(self.halt().await, "something did not end in time");
        let (wishes, directory) = (self.wishes.clone(), Arc::clone(&self.directory));
        Self::launch(wishes, directory, self.clock.clone(), Arc::clone(&self.zone), self.detour.clone()).await
    }

    /// Stops in an orderly way.
    pub async fn stop(mut self) {
        assert!(self.halt().await, "something did not end in time");
    }

    /// Stops, and says whether everything ended in time.
    pub async fn halt(&mut self) -> bool {
        match self.daemon.take() {
            Some(daemon) => daemon.stop(Duration::from_secs(10)).await,
            None => true,
        }
    }
}

impl Drop for Host {
    /// Holds after every test: nothing half-delivered is left.
    fn drop(&mut self) {
        if std::thread::panicking() || self.daemon.is_some() {
            return;
        }
        let mut open = vec![self.mail_root()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                let in_tmp = directory.file_name().is_some_and(|name| name == "tmp");
                assert!(!in_tmp, "`{}` was left behind", path.display());
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
    }
}

impl Start {
    /// Further configuration; a key given here overrides the harness's own.
    pub fn settings(mut self, text: &str) -> Self {
        merge(&mut self.0.settings, text.parse().unwrap());
        self
    }

    /// A user whose password is [`PASSWORD`]; the domain is made if need be.
    pub fn user(mut self, address: &str) -> Self {
        self.0.users.push(address.to_owned());
        self
    }

    pub fn alias(mut self, source: &str, destination: &str) -> Self {
        self.0.aliases.push((source.to_owned(), destination.to_owned()));
        self
    }

    /// DNS records, one a line, as [`ZoneResolver::add`] reads them.
    pub fn dns(mut self, lines: &str) -> Self {
        self.0.zone.push_str(lines);
        self.0.zone.push('\n');
        self
    }

    /// On an existing directory, with whatever it contains.
    pub fn on(self, directory: TempDir) -> Self {
        self.on_shared(Arc::new(directory))
    }

    /// The same where the directory is needed after the server, too.
    pub fn on_shared(mut self, directory: Arc<TempDir>) -> Self {
        self.0.directory = Some(directory);
        self
    }

    /// With the system's clock, for external clients that wait for something.
    pub const fn real_time(mut self) -> Self {
        self.0.real_time = true;
        self
    }
}

impl IntoFuture for Start {
    type Output = Host;
    type IntoFuture = Pin<Box<dyn Future<Output = Host> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let zone = Arc::new(ZoneResolver::new());
            zone.add(&self.0.zone).unwrap();
            let fresh = || Arc::new(tempfile::tempdir().unwrap());
            let directory = self.0.directory.clone().unwrap_or_else(fresh);
            Host::launch(self.0, directory, TestClock::new(), zone, Detour::default()).await
        })
    }
}

/// The harness's own configuration overlaid with that of the test.
fn configuration(directory: &Path, settings: &toml::Table) -> String {
    let base = format!(
        "hostname = \"mail.example.test\"\n\
         [server]\ncontrol_directory = \"{0}/run\"\nstop_within = \"5s\"\n\
         [storage]\nmail_root = \"{0}/mail\"\ndatabase = \"sqlite:{0}/postrider.sqlite\"\n\
         [spool]\ndirectory = \"{0}/spool\"\n\
         [tls]\nself_signed = \"{0}/tls\"\nacme_state = \"{0}/acme\"\n\
         [login]\ncost = {COST}\n",
        directory.display()
    );
    let mut table: toml::Table = base.parse().unwrap();
    let listener = |protocol: &Protocol| {
        let bind = match protocol {
            Protocol::Sendmail => format!("unix:{}/sendmail.sock", directory.display()),
            _ => "127.0.0.1:0".to_owned(),
        };
        let listener = format!("protocol = \"{protocol}\"\nbind = [\"{bind}\"]\nmode = \"0666\"");
        toml::Value::Table(listener.parse().unwrap())
    };
    let wanted = Protocol::ALL.iter().filter(|one| **one != Protocol::Cluster || settings.contains_key("cluster"));
    table.insert("listener".to_owned(), wanted.map(listener).collect::<Vec<_>>().into());
    merge(&mut table, settings.clone());
    toml::to_string(&table).unwrap()
}

/// Overlays one table on another, recursively.
fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}
