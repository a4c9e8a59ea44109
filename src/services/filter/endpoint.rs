//! Where a helper listens.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::foundations::settings::{Place, Problems, Setting, Shape};

/// A Unix socket, or a host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:/path`
    Unix(PathBuf),
    /// `host:port`
    Tcp(String),
}

impl Endpoint {
    /// Reads the written form.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text)) {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let text = text.strip_prefix("inet:").unwrap_or(text);
        let (host, port) = text.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)).then(|| Self::Tcp(text.to_owned()))
    }

    /// Connects within `patience`.
    pub async fn connect(&self, patience: Duration) -> std::io::Result<Box<dyn Wire>> {
        let connected = async {
            Ok(match self {
                Self::Unix(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Wire>,
                Self::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream) as Box<dyn Wire>
                }
            })
        };
        tokio::time::timeout(patience, connected).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

/// Both ways of a connection.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Wire for T {}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

impl Setting for Endpoint {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = "a socket such as \"unix:/run/clamav/clamd.ctl\" or \"127.0.0.1:3310\"";
        let text = place.text(wanted, problems)?;
        Self::parse(text).or_else(|| place.wrong(wanted, problems))
    }

    fn shape() -> Shape {
        Shape::Value("socket address")
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}
