//! Opening connections.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;

/// A connection to read from and write to.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A connection being opened.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send + 'a>>;

/// Opens connections to other hosts. The daemon has [`TcpConnector`]; tests bring one that leads elsewhere.
pub trait Connector: Send + Sync + 'static {
    /// Connects to an address, from a local one if given. The caller bounds the time.
    fn connect(&self, address: SocketAddr, source: Option<IpAddr>) -> Connecting<'_>;
}

/// Who opens connections to one place that is known beforehand.
pub trait Dial: Send + Sync + 'static {
    /// Connects. The caller bounds the time.
    fn dial(&self) -> Connecting<'_>;
}

/// Connects over TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect(&self, address: SocketAddr, source: Option<IpAddr>) -> Connecting<'_> {
        Box::pin(async move {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            if let Some(source) = source {
                socket.bind(SocketAddr::new(source, 0))?;
            }
            let stream = socket.connect(address).await?;
            // Commands are small and each waits for its reply.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}
