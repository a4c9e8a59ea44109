//! Trying listeners.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ipnet::IpNet;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::certificate::{Chain, Served, Witness};
use super::conversation::{Conversation, Io};
use crate::foundations::address::Domain;
use crate::foundations::mail::Peer;
use crate::foundations::net::{Judged, LOCAL_HEADER};

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// SMTP, as relay or for submission.
    Smtp,
    /// LMTP.
    Lmtp,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// ManageSieve.
    ManageSieve,
    /// HTTP.
    Http,
}

/// How a listener encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    None,
    /// When the client asks for it and the server agrees: STARTTLS, STLS.
    OnRequest,
    /// From the first octet.
    Immediate,
}

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A listener to try.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Its protocol, as the configuration calls it.
    pub protocol: &'static str,
    /// Where it is.
    pub target: Target,
    /// What is spoken there.
    pub speech: Speech,
    /// How it encrypts.
    pub encryption: Encryption,
    /// From where it wants a PROXY header.
    pub proxies: Vec<IpNet>,
}

/// How a listener has answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probed {
    /// The protocol.
    pub protocol: &'static str,
    /// Where it is.
    pub address: Target,
    /// Milliseconds that the whole conversation took; `None` when it failed.
    pub milliseconds: Option<u64>,
    /// What was wrong; `None` when nothing was.
    pub problem: Option<String>,
    /// The certificate served; `None` where the server does not offer TLS, or the handshake failed.
    pub certificate: Option<Served>,
}

/// Tries listeners. Cloning shares the authorities.
#[derive(Debug, Clone)]
pub struct Prober {
    hostname: Domain,
    patience: Duration,
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
}

impl Prober {
    /// Probes for a certificate with this name, and gives each listener so much time. Certificates are judged by the
    /// system's authorities.
    pub fn new(hostname: Domain, patience: Duration) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { hostname, patience, provider, roots: Arc::new(roots) }
    }

    /// The same for a certificate with another name.
    #[must_use]
    pub fn asking_for(self, hostname: Domain) -> Self {
        Self { hostname, ..self }
    }

    /// Tries all listeners at once.
    pub async fn try_all(&self, probes: &[Probe]) -> Vec<Probed> {
        join_all(probes.iter().map(|probe| self.try_one(probe))).await
    }

    /// Tries one.
    async fn try_one(&self, probe: &Probe) -> Probed {
        let begun = Instant::now();
        let witness = Witness::new(Arc::clone(&self.provider), Arc::clone(&self.roots));
        let witness = Arc::new(Judged::new(witness, Arc::clone(&self.provider)));
        let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(&witness) as _;
        let problem = match timeout(self.patience, self.talk(probe, &verifier)).await {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some(format!("no answer within {} seconds", self.patience.as_secs())),
        };
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Probed {
            protocol: probe.protocol,
            address: probe.target.clone(),
            milliseconds: problem.is_none().then_some(milliseconds),
            problem,
            certificate: witness.judge().seen(),
        }
    }

    /// The chains that a listener shows, in DER, its own certificate first: to clients that know RSA only, and to those that
    /// know everything else. Empty if it shows none.
    pub async fn chains(&self, probe: &Probe) -> Vec<Vec<Vec<u8>>> {
        let (of_rsa, of_others) = (self.chain(probe, is_of_rsa), self.chain(probe, |scheme| !is_of_rsa(scheme)));
        let (of_rsa, of_others) = tokio::join!(of_rsa, of_others);
        let mut chains = vec![of_rsa, of_others];
        chains.retain(|chain| !chain.is_empty());
        chains.dedup();
        chains
    }

    async fn chain(&self, probe: &Probe, is_wanted: fn(SignatureScheme) -> bool) -> Vec<Vec<u8>> {
        let chain = Judged::new(Chain::default(), Arc::clone(&self.provider)).asking_for(is_wanted);
        let chain = Arc::new(chain);
        let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(&chain) as _;
        // Whatever goes wrong: what has been shown has been shown.
        let _ = timeout(self.patience, self.talk(probe, &verifier)).await;
        chain.judge().seen()
    }

    async fn talk(&self, probe: &Probe, verifier: &Arc<dyn ServerCertVerifier>) -> Result<(), String> {
        let stream: Box<dyn Io> = match &probe.target {
            Target::Tcp(address) => {
                Box::new(connect(*address, &probe.proxies).await.map_err(|error| error.to_string())?)
            }
            Target::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(|error| error.to_string())?),
        };
        let mut talk = match probe.encryption {
            Encryption::None => Conversation::new(stream),
            Encryption::Immediate => Conversation::new(self.encrypted(stream, verifier).await?),
            Encryption::OnRequest => {
                let mut talk = Conversation::new(stream);
                talk.greeted(probe.speech).await?;
                if talk.ask_for_tls(probe.speech, self.hostname.as_str()).await? {
                    talk = Conversation::new(self.encrypted(talk.into_inner(), verifier).await?);
                    // RFC 5804 §2.2: its capabilities come again. RFC 3207 §4.2: elsewhere nothing is greeted twice.
                    if probe.speech == Speech::ManageSieve {
                        talk.greeted(probe.speech).await?;
                    }
                }
                return talk.finish(probe.speech, self.hostname.as_str()).await;
            }
        };
        talk.greeted(probe.speech).await?;
        talk.finish(probe.speech, self.hostname.as_str()).await
    }

    async fn encrypted(
        &self,
        stream: Box<dyn Io>,
        verifier: &Arc<dyn ServerCertVerifier>,
    ) -> Result<Box<dyn Io>, String> {
        let name = ServerName::try_from(self.hostname.as_str().to_owned())
            .map_err(|_| format!("`{}` is not a valid name for TLS", self.hostname))?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let verifier = Arc::clone(verifier);
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        // A resumed session shows no certificate.
        config.resumption = Resumption::disabled();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connected.map(|stream| Box::new(stream) as Box<dyn Io>).map_err(|error| format!("TLS failed: {error}"))
    }
}

/// Whether a key of RSA makes such signatures.
fn is_of_rsa(scheme: SignatureScheme) -> bool {
    use SignatureScheme as Scheme;
    matches!(
        scheme,
        Scheme::RSA_PKCS1_SHA1
            | Scheme::RSA_PKCS1_SHA256
            | Scheme::RSA_PKCS1_SHA384
            | Scheme::RSA_PKCS1_SHA512
            | Scheme::RSA_PSS_SHA256
            | Scheme::RSA_PSS_SHA384
            | Scheme::RSA_PSS_SHA512
    )
}

/// Connects. Where the listener takes this machine for a proxy, says that it speaks for nobody else, as a proxy does
/// for its health checks.
async fn connect(address: SocketAddr, proxies: &[IpNet]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    if Peer::Tcp(stream.local_addr()?).is_in(proxies) {
        stream.write_all(&LOCAL_HEADER).await?;
    }
    Ok(stream)
}
