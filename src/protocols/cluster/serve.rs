//! The first line, and the room that takes the rest.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::foundations::failure::Refusal;
use crate::foundations::mail::Peer;
use crate::foundations::net::Connection;
use crate::services::cluster::{Answer, Asked, Cluster, Handed, Opening, hear, say};
use crate::services::guard::Service;
use crate::services::login::{LoggedIn, Login};

/// Takes over a session that another node has begun.
pub type Sessions = Box<dyn Fn(Connection, Handed, LoggedIn) -> BoxFuture<'static, ()> + Send + Sync>;

/// Answers a request that a browser has made to another node.
pub type Requests = Box<dyn Fn(Connection, Asked) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the room needs; filled by `daemon::build`.
pub struct Needs {
    /// Who is where.
    pub cluster: Cluster,
    /// Whether a login is still valid.
    pub login: Login,
    /// Takes messages.
    pub lmtp: Box<dyn Fn(Connection) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Takes IMAP sessions.
    pub imap: Sessions,
    /// Takes POP3 sessions.
    pub pop3: Sessions,
    /// Takes ManageSieve sessions.
    pub managesieve: Sessions,
    /// Answers browsers.
    pub web: Requests,
}

/// Connections of other nodes.
pub struct Room {
    needs: Needs,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Room")
    }
}

impl Room {
    /// A room without connections.
    pub const fn new(needs: Needs) -> Self {
        Self { needs }
    }
}

/// Serves one connection of another node to its end.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let (session, peer) = (connection.session, connection.peer);
    let Some(mut connection) = connection.secured().await else { return };
    let patience = room.needs.cluster.links().patience();
    let opening = tokio::select! {
        heard = tokio::time::timeout(patience, hear::<Opening>(&mut connection.stream)) => heard,
        () = connection.stop.cancelled() => return,
    };
    match opening {
        Ok(Ok(Opening::Lmtp)) => {
            if answer(&mut connection, &Answer::Ready).await {
                // The peer has proved to be one of our nodes, so it counts as a process of this machine.
                (room.needs.lmtp)(Connection { peer: Peer::Unix, ..connection }).await;
            }
        }
        Ok(Ok(Opening::Session(handed))) => take(connection, *handed, &room).await,
        Ok(Ok(Opening::Request(asked))) => respond(connection, asked, &room).await,
        Ok(Err(error)) => {
            log::warn!(session:% = session, peer:% = peer, error:% = error; "Another node sent something unexpected")
        }
        Err(_) => log::debug!(session:% = session, peer:% = peer; "Another node sent nothing"),
    }
}

async fn take(mut connection: Connection, handed: Handed, room: &Room) {
    match room.admit(&handed).await {
        Ok((sessions, logged_in)) => {
            if !answer(&mut connection, &Answer::Ready).await {
                return;
            }
            let connection = Connection {
                peer: handed.peer.map_or(Peer::Unix, Peer::Tcp),
                session: handed.session.parse().unwrap_or(connection.session),
                ..connection
            };
            sessions(connection, handed, logged_in).await;
        }
        Err(refusal) => {
            log::info!(session = handed.session.as_str(), cause:? = refusal.cause; "A session from another node was not accepted");
            answer(&mut connection, &Answer::Refused { text: refusal.public.into_owned() }).await;
        }
    }
}

async fn respond(mut connection: Connection, asked: Asked, room: &Room) {
    match room.has(&asked.account).await {
        Ok(()) => {
            if answer(&mut connection, &Answer::Ready).await {
                (room.needs.web)(connection, asked).await;
            }
        }
        Err(refusal) => {
            log::info!(session:% = connection.session, cause:? = refusal.cause; "A request from another node was not accepted");
            answer(&mut connection, &Answer::Refused { text: refusal.public.into_owned() }).await;
        }
    }
}

impl Room {
    /// Whether a user's mailboxes are here.
    async fn has(&self, account: &str) -> Result<(), Refusal> {
        let account = account.parse().map_err(|_| Refusal::temporary("no address"))?;
        match self.needs.cluster.elsewhere(&account).await? {
            None => Ok(()),
            Some(other) => Err(Refusal::temporary(format!("the mailboxes are with {} now", other.node))),
        }
    }

    /// Whether a session can go on here, and in which room.
    async fn admit(&self, handed: &Handed) -> Result<(&Sessions, LoggedIn), Refusal> {
        let needs = &self.needs;
        let service = Service::from_word(&handed.service);
        let sessions = match service {
            Some(Service::Imap) => &needs.imap,
            Some(Service::Pop3) => &needs.pop3,
            Some(Service::ManageSieve) => &needs.managesieve,
            _ => return Err(Refusal::temporary("a service that is not handed over")),
        };
        let service = service.unwrap_or(Service::Imap);
        let session = handed.session.parse().map_err(|_| Refusal::temporary("no name of a session"))?;
        let logged_in = needs.login.resume(&handed.login, session, service).await?;
        match needs.cluster.elsewhere(&logged_in.address).await? {
            None => Ok((sessions, logged_in)),
            Some(other) => Err(Refusal::temporary(format!("the mailboxes are with {} now", other.node))),
        }
    }
}

async fn answer(connection: &mut Connection, answer: &Answer) -> bool {
    match say(&mut connection.stream, answer).await {
        Ok(()) => true,
        Err(error) => {
            log::debug!(session:% = connection.session, error:% = error; "Another node went away");
            false
        }
    }
}
