use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Lines to and from a server.
pub struct Talk(BufReader<Box<dyn Stream>>);

impl Talk {
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(Box::new(stream)))
    }

    pub async fn tls(address: SocketAddr, authority: &Path) -> Self {
        Self::plain(address).await.start_tls(authority).await
    }

    /// With the name the certificate must hold.
    pub async fn tls_with(address: SocketAddr, authority: &Path, name: &str) -> Self {
        Self::plain(address).await.shake_hands(authority, name).await
    }

    /// Does the handshake on this connection. Anything the server has sent before is lost.
    pub async fn start_tls(self, authority: &Path) -> Self {
        self.shake_hands(authority, "mail.example.test").await
    }

    async fn shake_hands(self, authority: &Path, name: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&std::fs::read(authority).unwrap()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = connector.connect(name, self.0.into_inner()).await.unwrap();
        Self(BufReader::new(Box::new(stream)))
    }

    /// One line without its CRLF; `None` when the server has closed.
    pub async fn next_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = timeout(PATIENCE, self.0.read_until(b'\n', &mut line)).await;
        match read.expect("the server says nothing") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    /// One line without its CRLF.
    pub async fn line(&mut self) -> String {
        self.next_line().await.expect("the server has closed the connection")
    }

    /// Everything until the server closes, with bare line feeds.
    pub async fn rest(&mut self) -> String {
        let mut whole = String::new();
        while let Some(line) = self.next_line().await {
            whole.push_str(&line);
            whole.push('\n');
        }
        whole
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.write_all(octets.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        timeout(PATIENCE, self.0.read_exact(&mut octets)).await.expect("the server says nothing").unwrap();
        octets
    }

    /// Whether the server says nothing more and closes.
    pub async fn is_closed(&mut self) -> bool {
        self.next_line().await.is_none()
    }
}
