//! Connections to other nodes, and the first words on them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::keys::{Keys, NAME};
use crate::services::login::Carried;
use crate::services::outbound::{Connecting, Dial, Io};

/// Most octets of the first line either way.
const MOST: usize = 8 << 10;
/// Idle time after which the kernel asks whether the other node is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How often it asks before it gives up.
const PROBES: u32 = 4;

/// A connection to another node.
pub type Link = TlsStream<TcpStream>;

/// What a connection between nodes is for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "want", rename_all = "kebab-case")]
pub enum Opening {
    /// Messages for users of the other node, by LMTP.
    Lmtp,
    /// A client's session goes on there.
    Session(Box<Handed>),
    /// A request of a browser, by HTTP/1.1, is answered there.
    Request(Asked),
}

/// A request that a browser has made of a node which does not have its user's mailboxes. The request itself says whose
/// login it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The user whose mailboxes are wanted.
    pub account: String,
    /// The client's address; behind a trusted proxy, that of the client it speaks for.
    pub client: Option<std::net::SocketAddr>,
    /// Whether nobody between the client and us can read along.
    pub is_private: bool,
    /// Whether the browser itself speaks TLS.
    pub is_encrypted: bool,
}

/// A client's session at the moment at which it has logged in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handed {
    /// What the client speaks: the word of [`Service`](crate::services::guard::Service).
    pub service: String,
    /// Who it is, and by what.
    pub login: Carried,
    /// Its address.
    pub peer: Option<std::net::SocketAddr>,
    /// The connection's name in events and logs.
    pub session: String,
    /// The tag of the command that has logged in, where the protocol has tags.
    pub tag: String,
    /// Whether the client's own connection is encrypted.
    pub is_encrypted: bool,
}

/// The other node's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// What follows is the protocol that was wanted.
    Ready,
    /// It refuses.
    Refused {
        /// Why.
        text: String,
    },
}

/// Sends a line.
///
/// # Errors
/// The connection breaks.
pub async fn say(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

/// Reads a line, and not an octet more.
///
/// # Errors
/// The connection breaks, or the line is something else.
pub async fn hear<T: for<'de> Deserialize<'de>>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return serde_json::from_slice(&line).map_err(io::Error::other),
            _ if line.len() >= MOST => return Err(io::Error::other("the first line does not end")),
            octet => line.push(octet),
        }
    }
}

/// Opens connections to other nodes. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Links {
    keys: Keys,
    patience: Duration,
}

impl Links {
    /// With the keys of this cluster.
    pub const fn new(keys: Keys, patience: Duration) -> Self {
        Self { keys, patience }
    }

    /// How long the other side may take for what comes first.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// Connects to a node and says what for; on return, the other node is ready.
    ///
    /// # Errors
    /// The node cannot be reached in time, is not one of ours, or refuses.
    pub async fn open(&self, address: &str, opening: &Opening) -> io::Result<Link> {
        let opened = tokio::time::timeout(self.patience, self.connect(address, opening)).await;
        opened.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the other node did not answer in time")))
    }

    async fn connect(&self, address: &str, opening: &Opening) -> io::Result<Link> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(&stream, KEEPALIVE)?;
        sockopt::set_tcp_keepcnt(&stream, PROBES)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let mut link = TlsConnector::from(self.keys.client()).connect(name, stream).await?;
        say(&mut link, opening).await?;
        match hear(&mut link).await? {
            Answer::Ready => Ok(link),
            Answer::Refused { text } => Err(io::Error::other(text)),
        }
    }
}

/// LMTP at one node.
pub(super) struct LmtpDial {
    pub(super) links: Links,
    pub(super) address: Arc<str>,
}

impl Dial for LmtpDial {
    fn dial(&self) -> Connecting<'_> {
        Box::pin(async move {
            let link = self.links.open(&self.address, &Opening::Lmtp).await?;
            Ok(Box::new(link) as Box<dyn Io>)
        })
    }
}
