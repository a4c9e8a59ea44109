//! A minimal client for the self-check: lines over TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A conversation with a server whose certificate has been verified.
pub(in crate::cli) struct Client(BufReader<TlsStream<TcpStream>>);

impl Client {
    /// Connects to a port with TLS from the start.
    pub(in crate::cli) async fn connect(address: SocketAddr, authority: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&std::fs::read(authority)?)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("mail.example.test")?;
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok(Self(BufReader::new(stream)))
    }

    /// One line without its end.
    pub(in crate::cli) async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = Vec::new();
        if self.0.read_until(b'\n', &mut line).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    pub(in crate::cli) async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        self.0.write_all(text.as_bytes()).await?;
        self.0.flush().await.context("nothing can be sent to the server")
    }

    pub(in crate::cli) async fn octets(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        let mut octets = vec![0; count];
        self.0.read_exact(&mut octets).await?;
        Ok(octets)
    }

    /// Sends an SMTP command and expects a reply with this code.
    pub(in crate::cli) async fn smtp(&mut self, command: &str, code: &str) -> anyhow::Result<()> {
        if !command.is_empty() {
            self.send(&format!("{command}\r\n")).await?;
        }
        loop {
            let line = self.line().await?;
            if !line.starts_with(code) {
                let verb = command.split(' ').next().unwrap_or_default();
                bail!("expected {code} after `{verb}`, but the server said `{line}`");
            }
            // RFC 5321 §4.2.1: a hyphen behind the code means that more lines follow.
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// Sends an IMAP command and returns the lines before its tagged OK, each with the literals in it.
    pub(in crate::cli) async fn imap(&mut self, tag: &str, command: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        self.send(&format!("{tag} {command}\r\n")).await?;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            if let Some(end) = line.strip_prefix(tag) {
                if !end.starts_with(" OK") {
                    let verb = command.split(' ').next().unwrap_or_default();
                    bail!("expected OK after `{verb}`, but the server said `{line}`");
                }
                return Ok(lines);
            }
            let length = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')?.1.parse().ok());
            let literal = match length {
                Some(length) => self.octets(length).await?,
                None => Vec::new(),
            };
            lines.push((line, literal));
        }
    }
}
