use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::inherited::InheritedSocket;
use super::{Bind, Connection, Handshake, Inherited, ProxyHeader, Stream, TlsContext, proxy};
use crate::foundations::clock::SharedClock;
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::foundations::tasks::Tasks;

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    options: ListenerOptions,
    counters: Arc<Counters>,
}

/// Settings for every connection of a listener.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// The protocol's name for the log.
    pub name: &'static str,
    /// Most connections at once; further clients wait in the kernel's queue.
    pub connections: usize,
    /// Set for ports where TLS begins at once.
    pub implicit_tls: Option<TlsContext>,
    /// Networks whose hosts must begin with a PROXY header; nobody else's header is read.
    pub proxies: Vec<IpNet>,
    /// How long a proxy may take to send its header; after that the connection is closed.
    pub proxy_timeout: Duration,
}

/// Who may open a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixAccess {
    /// Permission bits of the socket, such as 0o660.
    pub mode: u32,
    /// Its owner, when not the user of this process.
    pub user: Option<u32>,
    /// Its group, when not the group of this process.
    pub group: Option<u32>,
}

/// What has happened at a listener since it was bound.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections now open.
    pub open: AtomicUsize,
    /// Connections that ended before the protocol began: failed handshakes and bad PROXY headers.
    pub failed: AtomicU64,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

/// Whether `[::]` leaves IPv4 to another listener.
fn leaves_ipv4(address: SocketAddr, others: &[Bind]) -> bool {
    let is_ipv4_twin = |bind: &Bind| matches!(bind, Bind::Tcp(SocketAddr::V4(v4)) if v4.ip().is_unspecified() && v4.port() == address.port());
    address.is_ipv6() && address.ip().is_unspecified() && others.iter().any(is_ipv4_twin)
}

impl Listener {
    /// Begins to listen, on the sockets that systemd passed for this place if there are any. Returns a list because
    /// `systemd:NAME` may stand for several; `others` are all places in the configuration, so that `[::]` and `0.0.0.0`
    /// on one port do not collide.
    ///
    /// Must be called within the runtime.
    ///
    /// # Errors
    /// The address is in use or not ours, the socket's directory is missing, or systemd passed no socket of that name.
    pub fn bind(
        bind: &Bind,
        others: &[Bind],
        access: UnixAccess,
        inherited: &mut Inherited,
        options: &ListenerOptions,
    ) -> io::Result<Vec<Self>> {
        let passed = inherited.take_for(bind);
        let sockets = match bind {
            _ if !passed.is_empty() => passed.into_iter().map(adopt).collect::<io::Result<_>>()?,
            Bind::Tcp(address) => vec![tcp(*address, leaves_ipv4(*address, others))?],
            Bind::Unix(path) => vec![unix(path, access)?],
            Bind::Systemd(name) => {
                let text = format!("systemd passed no socket named `{name}` (FileDescriptorName= of the socket unit)");
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
        };
        let listener = |socket| Self { socket, options: options.clone(), counters: Arc::default() };
        Ok(sockets.into_iter().map(listener).collect())
    }

    /// Where it listens, with the port the system chose for port 0.
    ///
    /// # Errors
    /// The system cannot name the socket's address.
    pub fn local(&self) -> io::Result<Bind> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().map(Bind::Tcp),
            Socket::Unix(socket) => {
                let address = socket.local_addr()?;
                Ok(Bind::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
            }
        }
    }

    /// What happens here, for the dashboard and the metrics.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Accepts until `accepting` is told to stop, and runs `protocol` for each connection in a task of `sessions`.
    ///
    /// Two groups, so that a stopping server first stops accepting and then waits for the sessions that are open.
    pub async fn serve<P, F>(self, accepting: Tasks, sessions: Tasks, clock: SharedClock, protocol: P)
    where
        P: Fn(Connection) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let seats = Arc::new(Semaphore::new(self.options.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let options = Arc::new(self.options);
        let mut pause = SHORTEST_PAUSE;
        loop {
            let next = async {
                let seat = Arc::clone(&seats).acquire_owned().await;
                (seat, self.socket.accept().await)
            };
            let (seat, accepted) = tokio::select! {
                biased;
                () = accepting.stopping() => return,
                next = next => next,
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if is_shortage(&error) {
                        log::error!(listener = options.name, error:% = error; "Cannot accept connections; trying again soon");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    // All other errors concern a single client that has gone away again (accept(2)).
                    continue;
                }
            };
            pause = SHORTEST_PAUSE;
            self.counters.accepted.fetch_add(1, Ordering::Relaxed);
            let open = Open::enter(&self.counters);
            let (options, clock, stop) = (Arc::clone(&options), Arc::clone(&clock), sessions.token());
            let protocol = protocol.clone();
            sessions.spawn(async move {
                let _seat = seat;
                if let Some(connection) = begin(accepted, &options, &clock, stop, &open).await {
                    protocol(connection).await;
                }
                drop(open);
            });
        }
    }
}

/// The steps before the protocol; `None` when the connection ends during them.
async fn begin(
    accepted: Accepted,
    options: &ListenerOptions,
    clock: &SharedClock,
    stop: CancellationToken,
    open: &Open,
) -> Option<Connection> {
    let session = SessionId::generate(clock.now());
    let peer = accepted.peer();
    let prepared = tokio::select! {
        prepared = prepare(accepted, options) => prepared,
        () = stop.cancelled() => return None,
    };
    match prepared {
        Ok((stream, peer, local)) => {
            let handshake = options.implicit_tls.clone().map(|context| Handshake {
                context,
                counters: Arc::clone(&open.0),
                listener: options.name,
            });
            Some(Connection { stream, peer, local, session, stop, handshake })
        }
        Err(error) => {
            open.0.failed.fetch_add(1, Ordering::Relaxed);
            log::debug!(listener = options.name, session:% = session, peer:% = peer, error:% = error;
                "A connection ended before it began");
            None
        }
    }
}

/// Counts a connection as open for as long as it lives, even when its task panics.
struct Open(Arc<Counters>);

impl Open {
    fn enter(counters: &Arc<Counters>) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Accepted {
    fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, address) => Peer::Tcp(*address),
            Self::Unix(_) => Peer::Unix,
        }
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(socket) => socket.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Self::Unix(socket) => socket.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

/// The steps before a protocol takes over: reading the PROXY header where one is due.
async fn prepare(accepted: Accepted, options: &ListenerOptions) -> io::Result<(Stream, Peer, Option<SocketAddr>)> {
    let (mut stream, peer, local) = match accepted {
        Accepted::Unix(stream) => (Stream::from(stream), Peer::Unix, None),
        Accepted::Tcp(stream, peer) => {
            stream.set_nodelay(true)?;
            sockopt::set_socket_keepalive(&stream, true)?;
            sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
            let local = stream.local_addr()?;
            (Stream::from(stream), Peer::Tcp(peer), Some(local))
        }
    };
    let (mut peer, mut local) = (peer, local);
    if peer.is_in(&options.proxies) {
        let header = tokio::time::timeout(options.proxy_timeout, proxy::read(&mut stream)).await;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the proxy sent no PROXY header in time");
        if let ProxyHeader::Client { source, destination } = header.map_err(|_| late())?? {
            (peer, local) = (Peer::Tcp(source), Some(destination));
        }
    }
    Ok((stream, peer, local))
}

/// Descriptors or memory have run out: trying again at once is useless.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| shortages.iter().any(|errno| errno.raw_os_error() == code))
}

fn tcp(address: SocketAddr, ipv6_only: bool) -> io::Result<Socket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, ipv6_only)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG).map(Socket::Tcp)
}

/// Binds a Unix socket, replacing one left behind by a process that no longer runs.
fn unix(path: &Path, access: UnixAccess) -> io::Result<Socket> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on this socket")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let socket = UnixListener::bind(path)?;
    // Until here the socket has the mode of the umask; clients that come early find at most that.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(access.mode))?;
    if access.user.is_some() || access.group.is_some() {
        std::os::unix::fs::chown(path, access.user, access.group)?;
    }
    Ok(Socket::Unix(socket))
}

fn adopt(socket: InheritedSocket) -> io::Result<Socket> {
    match socket {
        InheritedSocket::Tcp(socket) => {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket).map(Socket::Tcp)
        }
        InheritedSocket::Unix(socket) => {
            socket.set_nonblocking(true)?;
            UnixListener::from_std(socket).map(Socket::Unix)
        }
    }
}

const BACKLOG: u32 = 1024;
/// Idle time after which the kernel asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(300);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
