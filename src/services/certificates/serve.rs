use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::acme::Challenges;
use super::load::{ACME_TLS, BySni, Table, stand_in};
use super::{CertificateFiles, Error, Loaded, TlsSettings, TlsVersion, load};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::net::{TlsContext, TlsSetup};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::storage::journal::Journal;

/// The certificates in force.
pub struct Certificates {
    settings: Live<TlsSettings>,
    clock: SharedClock,
    journal: Journal,
    by_name: Arc<BySni>,
    loaded: ArcSwap<Vec<Loaded>>,
    context: TlsContext,
    web: TlsContext,
}

impl Certificates {
    /// Loads them for the first time. Blocks for as long as it takes to read a few small files.
    ///
    /// # Errors
    /// Every certificate that cannot be used; a server that starts wants all of them.
    pub fn open(settings: Live<TlsSettings>, clock: SharedClock, journal: Journal) -> Result<Arc<Self>, Vec<Error>> {
        let now = settings.get();
        let loaded = load_all(&now, clock.now())?;
        let table = ArcSwap::from_pointee(Table::new(&loaded));
        let by_name = Arc::new(BySni { table, challenges: Challenges::default() });
        let context = TlsContext::new(setup(&now, &by_name, &[]));
        let web = TlsContext::new(setup(&now, &by_name, WEB));
        let loaded = ArcSwap::from_pointee(loaded);
        Ok(Arc::new(Self { settings, clock, journal, by_name, loaded, context, web }))
    }

    /// What listeners need for handshakes; `None` when no certificate is configured, so that no TLS is offered.
    pub fn context(&self) -> Option<TlsContext> {
        (!self.loaded.load().is_empty()).then(|| self.context.clone())
    }

    /// The same for HTTPS, where authorities ask for challenges too; `None` when no certificate is configured.
    pub fn web_context(&self) -> Option<TlsContext> {
        (!self.loaded.load().is_empty()).then(|| self.web.clone())
    }

    /// What authorities are answered while a certificate is obtained.
    pub fn challenges(&self) -> &Challenges {
        &self.by_name.challenges
    }

    /// What is loaded now, in the order of the configuration.
    pub fn loaded(&self) -> Arc<Vec<Loaded>> {
        self.loaded.load_full()
    }

    /// Loads the files again and puts them in force if all of them are good; otherwise everything stays as it is.
    ///
    /// # Errors
    /// What is wrong, certificate by certificate. It has been logged and recorded.
    pub async fn reload(&self) -> Result<(), Vec<Error>> {
        let settings = self.settings.get();
        let (wanted, now) = (Arc::clone(&settings), self.clock.now());
        let loaded = tokio::task::spawn_blocking(move || load_all(&wanted, now)).await;
        let loaded = loaded.unwrap_or_else(|_| Err(vec![])).and_then(|loaded| {
            // A context that was handed out must go on working.
            if loaded.is_empty() && self.context().is_some() { Err(vec![Error::None]) } else { Ok(loaded) }
        });
        match loaded {
            Ok(loaded) => {
                self.by_name.table.store(Arc::new(Table::new(&loaded)));
                self.context.replace(setup(&settings, &self.by_name, &[]));
                self.web.replace(setup(&settings, &self.by_name, WEB));
                self.record_loaded(&loaded);
                self.loaded.store(Arc::new(loaded));
                Ok(())
            }
            Err(errors) => {
                for error in &errors {
                    log::error!(error:% = error; "A certificate cannot be loaded; the old ones stay in use");
                    let event = Event::new(self.clock.now(), EventKind::Certificate);
                    self.journal.record(event.with("result", "kept-old").with("error", error.to_string()));
                }
                Err(errors)
            }
        }
    }

    /// Loads the files again whenever one of them has changed, and warns of certificates that end soon, until `tasks` stop.
    pub async fn watch(self: Arc<Self>, tasks: Tasks) {
        let mut seen = fingerprint(&self.settings.get()).await;
        let mut warned = Timestamp::EPOCH;
        loop {
            let now = self.clock.now();
            if now.since(warned) >= DAY {
                warned = now;
                self.warn_of_ends();
            }
            let pause = self.settings.get().look_every.duration().max(SHORTEST_PAUSE);
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.clock.sleep_until(now + pause) => {}
            }
            let found = fingerprint(&self.settings.get()).await;
            if found != seen {
                seen = found;
                // What went wrong has been said; a half-written pair is complete at the next look.
                let _ = self.reload().await;
            }
        }
    }

    fn record_loaded(&self, loaded: &[Loaded]) {
        for certificate in loaded {
            let event = Event::new(self.clock.now(), EventKind::Certificate)
                .with("result", if certificate.temporary { "standing-in" } else { "loaded" })
                .with("names", certificate.names.clone())
                .with("until", certificate.not_after.to_string());
            self.journal.record(event);
        }
    }

    fn warn_of_ends(&self) {
        let (now, ahead) = (self.clock.now(), self.settings.get().warn_before.duration());
        for certificate in self.loaded.load().iter().filter(|certificate| certificate.not_after < now + ahead) {
            let names = certificate.names.join(" ");
            if certificate.not_after <= now {
                log::error!(names = names, until:% = certificate.not_after; "A certificate has expired; clients refuse it");
            } else {
                log::warn!(names = names, until:% = certificate.not_after; "A certificate expires soon");
            }
        }
    }
}

/// All certificates, or all errors.
fn load_all(settings: &TlsSettings, now: Timestamp) -> Result<Vec<Loaded>, Vec<Error>> {
    let from_files = settings.certificates.iter().map(load);
    let obtained = settings.acme.iter().filter_map(|wanted| {
        let file = wanted.file(&settings.acme_state)?;
        if file.exists() {
            return Some(load(&CertificateFiles { cert: file.clone(), key: file }));
        }
        let names: Vec<&str> = wanted.names.iter().map(|name| name.as_str()).collect();
        Some(stand_in(&file, &names, now))
    });
    let mut loaded = Vec::new();
    let mut errors = Vec::new();
    for certificate in from_files.chain(obtained) {
        match certificate {
            Ok(certificate) => loaded.push(certificate),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

fn setup(settings: &TlsSettings, by_name: &Arc<BySni>, protocols: &[&[u8]]) -> TlsSetup {
    let versions: &[&SupportedProtocolVersion] = match settings.oldest {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(by_name) as Arc<_>);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // One ticket resumes a session as well as two, and is half as much work (RFC 8446 §4.6.1).
    config.send_tls13_tickets = 1;
    TlsSetup { config: Arc::new(config), handshake: settings.handshake_timeout.duration() }
}

/// Changes whenever a file is replaced or rewritten: inode, size and time of the last change.
async fn fingerprint(settings: &TlsSettings) -> Vec<(u64, u64, i64, i64)> {
    let given = settings.certificates.iter().flat_map(|pair| [pair.cert.clone(), pair.key.clone()]);
    let obtained = settings.acme.iter().filter_map(|wanted| wanted.file(&settings.acme_state));
    let paths: Vec<PathBuf> = given.chain(obtained).collect();
    let look = move || {
        let of = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
        };
        paths.iter().map(|path| of(path).unwrap_or_default()).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// What is spoken over HTTPS, for ALPN (RFC 7301).
const WEB: &[&[u8]] = &[b"http/1.1", ACME_TLS];
const DAY: Duration = Duration::from_secs(86_400);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
