//! Several nodes over one mail root and one database, each with a runtime of its own, so that one can be killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postrider::config::Protocol;
use postrider::storage::cluster::Nodes;
use postrider::storage::database::{Database, Dialect};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::accounts::engines::Fresh;
use crate::harness::{Host, Imap, PASSWORD, Smtp, Talk, until};

/// What the nodes share.
pub struct World {
    pub fresh: Fresh,
    pub database: Database,
    directory: tempfile::TempDir,
}

/// How a node renews its lease.
#[derive(Clone, Copy)]
pub struct Pace {
    pub lease: &'static str,
    pub renew: &'static str,
    pub margin: &'static str,
    pub idle: &'static str,
}

/// Nobody loses a lease by accident.
pub const CALM: Pace = Pace { lease: "30s", renew: "300ms", margin: "2s", idle: "5m" };
/// A dead node is soon forgotten.
pub const BRISK: Pace = Pace { lease: "6s", renew: "300ms", margin: "2s", idle: "5m" };

pub struct Node {
    listening: Vec<(Protocol, SocketAddr)>,
    authority: PathBuf,
    pub description: PathBuf,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    stopped: Option<oneshot::Receiver<()>>,
}

impl World {
    pub async fn new(dialect: Dialect) -> Option<Arc<Self>> {
        let fresh = Fresh::create(dialect).await?;
        let database = fresh.connect().await;
        database.migrate().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret"), "a secret of more than thirty-two octets, for tests").unwrap();
        std::fs::create_dir(directory.path().join("mail")).unwrap();
        Some(Arc::new(Self { fresh, database, directory }))
    }

    pub fn mail_root(&self) -> PathBuf {
        self.directory.path().join("mail")
    }

    fn settings(&self, name: &str, pace: Pace, database: &str) -> String {
        let shared = self.directory.path().display();
        let Pace { lease, renew, margin, idle } = pace;
        format!(
            "[storage]\nmail_root = \"{shared}/mail\"\ndatabase = \"{database}\"\n\
             [cluster]\nnode = \"{name}\"\naddress = \"127.0.0.1:0\"\nsecret = \"{shared}/secret\"\n\
             lease = \"{lease}\"\nrenew = \"{renew}\"\nmargin = \"{margin}\"\nidle = \"{idle}\"\npatience = \"20s\"\n\
             [spool]\ndirectory = \"{shared}/spool\"\n"
        )
    }

    /// A node that serves when this returns.
    pub async fn node(&self, name: &str, pace: Pace) -> Node {
        self.node_through(name, pace, &self.fresh.url.to_string()).await
    }

    /// A node that reaches the database over another path.
    pub async fn node_through(&self, name: &str, pace: Pace, database: &str) -> Node {
        boot(self.settings(name, pace, database), "", None).await
    }

    /// A node with further settings.
    pub async fn node_set(&self, name: &str, pace: Pace, more: &str) -> Node {
        boot(self.settings(name, pace, &self.fresh.url.to_string()), more, None).await
    }

    /// A node with further settings. Everything it sends to this machine goes to `exchanger`.
    pub async fn node_with(&self, name: &str, pace: Pace, more: &str, exchanger: SocketAddr) -> Node {
        boot(self.settings(name, pace, &self.fresh.url.to_string()), more, Some(exchanger)).await
    }

    /// Who owns a user now.
    pub async fn owner(&self, home: &str) -> Option<String> {
        Nodes::new(self.database.clone()).owner(home).await.unwrap()
    }

    /// Waits until somebody owns a user, or nobody.
    pub async fn until_owner(&self, home: &str, wanted: Option<&str>) {
        until("the owner changes", async || self.owner(home).await.as_deref() == wanted).await;
    }

    pub async fn end(self: Arc<Self>) {
        let world = Arc::into_inner(self).expect("no test keeps the world");
        world.database.close().await;
        world.fresh.remove().await;
    }
}

async fn boot(settings: String, more: &str, exchanger: Option<SocketAddr>) -> Node {
    let more = more.to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (tell, told) = oneshot::channel();
    let (stop, stopping) = oneshot::channel::<()>();
    let (end, stopped) = oneshot::channel();
    runtime.spawn(async move {
        let host = Host::start().settings(&settings).settings(&more);
        let host = host.user("ann@example.test").user("bob@example.test").real_time().await;
        if let Some(exchanger) = exchanger {
            host.detour().lead(exchanger.ip(), exchanger);
        }
        let protocols = Protocol::ALL.iter().filter(|protocol| **protocol != Protocol::Sendmail);
        let protocols = protocols.map(|protocol| (*protocol, host.address(*protocol))).collect();
        let _ = tell.send((protocols, host.authority(), host.description()));
        if stopping.await.is_ok() {
            host.stop().await;
            let _ = end.send(());
        } else {
            // Killed along with the runtime.
            std::future::pending::<()>().await;
        }
    });
    let (listening, authority, description) = told.await.expect("the node starts");
    Node { listening, authority, description, runtime: Some(runtime), stop: Some(stop), stopped: Some(stopped) }
}

impl Node {
    pub fn address(&self, protocol: Protocol) -> SocketAddr {
        self.listening.iter().find(|(other, _)| *other == protocol).unwrap().1
    }

    pub fn authority(&self) -> &Path {
        &self.authority
    }

    pub async fn plain(&self, protocol: Protocol) -> Talk {
        Talk::plain(self.address(protocol)).await
    }

    pub async fn tls(&self, protocol: Protocol) -> Talk {
        Talk::tls(self.address(protocol), &self.authority).await
    }

    pub async fn imap(&self, user: &str) -> Imap {
        let mut imap = Imap::greeted(self.tls(Protocol::Imaps).await).await;
        imap.ok(&format!("LOGIN \"{user}\" \"{PASSWORD}\"")).await;
        imap
    }

    pub async fn smtp(&self) -> Smtp {
        Smtp::hello(self.plain(Protocol::Smtp).await, "EHLO peer.example").await
    }

    /// Stops in an orderly way.
    pub async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.stopped.take().unwrap().await.expect("the node stops");
        self.runtime.take().unwrap().shutdown_background();
    }

    /// All of it ends at once, whatever it is doing.
    pub fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
