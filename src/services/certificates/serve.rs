use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex as Lock;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::sync::{Mutex, watch};

use super::acme::Challenges;
use super::held::{self, Held};
use super::load::{ACME_TLS, BySni, Table, stand_in};
use super::problems::Problems;
use super::replacement::{Decision, Waited, decide, unfit};
use super::test_handshake::test_handshake;
use super::tlsa::Published;
use super::{CertificateFiles, DaneSettings, Error, HoldBack, Loaded, State, TlsSettings, TlsVersion, load, tlsa};
use crate::foundations::address::Domain;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::dns::{SharedResolver, Tlsa};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::files;
use crate::foundations::net::{TlsContext, TlsSetup};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::storage::journal::Journal;

/// What [`Certificates`] needs.
pub struct CertificatesParts {
    /// The settings.
    pub settings: Live<TlsSettings>,
    /// The host name of this server.
    pub hostname: Live<Domain>,
    /// The DNS, which says which keys others expect.
    pub resolver: SharedResolver,
    /// The time.
    pub clock: SharedClock,
    /// Where changes are recorded.
    pub journal: Journal,
}

/// The certificates in force.
pub struct Certificates {
    settings: Live<TlsSettings>,
    hostname: Live<Domain>,
    resolver: SharedResolver,
    clock: SharedClock,
    journal: Journal,
    by_name: Arc<BySni>,
    loaded: ArcSwap<Vec<Loaded>>,
    held: ArcSwap<Vec<Held>>,
    /// What the files looked like right before those in force were read from them.
    seen: ArcSwap<Fingerprint>,
    /// The last answer of the DNS, by the names of the records.
    known: Lock<HashMap<String, Vec<Tlsa>>>,
    problems: Problems,
    /// One reload at a time.
    reloading: Mutex<()>,
    changes: watch::Sender<u64>,
    context: TlsContext,
    web: TlsContext,
}

impl Certificates {
    /// Loads them for the first time. Blocks while a few small files are read.
    ///
    /// # Errors
    /// Every certificate that cannot be used; at the start all of them must be usable.
    pub fn open(parts: CertificatesParts) -> Result<Arc<Self>, Vec<Error>> {
        let CertificatesParts { settings, hostname, resolver, clock, journal } = parts;
        let (snapshot, now) = (settings.get(), clock.now());
        let seen = ArcSwap::from_pointee(fingerprint(&snapshot));
        let (loaded, held) = held::take_up(&snapshot.acme_state, load_all(&snapshot, now)?, now);
        let table = ArcSwap::from_pointee(Table::new(&loaded));
        let by_name = Arc::new(BySni { table, challenges: Challenges::default() });
        let context = TlsContext::new(setup(&snapshot, &by_name, &[]));
        let web = TlsContext::new(setup(&snapshot, &by_name, WEB));
        Ok(Arc::new(Self {
            settings,
            hostname,
            resolver,
            clock,
            journal,
            by_name,
            loaded: ArcSwap::from_pointee(loaded),
            held: ArcSwap::from_pointee(held),
            seen,
            known: Lock::default(),
            problems: Problems::default(),
            reloading: Mutex::new(()),
            changes: watch::Sender::new(0),
            context,
            web,
        }))
    }

    /// What listeners need for handshakes; `None` when no certificate is configured, so that no TLS is offered.
    pub fn context(&self) -> Option<TlsContext> {
        (!self.loaded.load().is_empty()).then(|| self.context.clone())
    }

    /// The same for HTTPS, where authorities check challenges too; `None` when no certificate is configured.
    pub fn web_context(&self) -> Option<TlsContext> {
        (!self.loaded.load().is_empty()).then(|| self.web.clone())
    }

    /// The answers for authorities while a certificate is being obtained.
    pub fn challenges(&self) -> &Challenges {
        &self.by_name.challenges
    }

    /// What is served now, in the order of the configuration.
    pub fn loaded(&self) -> Arc<Vec<Loaded>> {
        self.loaded.load_full()
    }

    /// The newest certificate of a file: the one that waits for the DNS, else the one in force.
    pub fn newest(&self, file: &Path) -> Option<Loaded> {
        let held =
            self.held.load().iter().find(|held| held.certificate.file == file).map(|held| held.certificate.clone());
        held.or_else(|| self.loaded.load().iter().find(|loaded| loaded.file == file).cloned())
    }

    /// The name of this server.
    pub(super) fn hostname(&self) -> Arc<Domain> {
        self.hostname.get()
    }

    /// How many certificates wait for the DNS.
    pub fn held(&self) -> usize {
        self.held.load().len()
    }

    /// All certificates, the served ones first, then the waiting ones.
    pub fn states(&self) -> Vec<State> {
        let (loaded, held) = (self.loaded.load(), self.held.load());
        let in_force = |one: &Loaded| State { problem: self.problems.of(&one.file), ..State::of(one) };
        loaded.iter().map(in_force).chain(held.iter().map(Held::state)).collect()
    }

    /// Notes the result of asking an authority for a file's certificate: why it issued none, or that it did.
    pub(super) fn note_obtaining(&self, file: &Path, problem: Option<&str>) {
        self.problems.obtained(file, problem);
    }

    /// The fingerprints of the certificates that clients should see when they ask for a name.
    pub fn meant(&self, name: &str) -> Vec<String> {
        self.by_name.table.load().meant(&name.to_ascii_lowercase())
    }

    /// Signals whenever other certificates are put in force.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Loads the files again and puts them in force if all of them are good, except those that wait until the DNS has
    /// their keys; otherwise everything stays as it is.
    ///
    /// # Errors
    /// What is wrong with each certificate. It has been logged and recorded.
    pub async fn reload(&self) -> Result<(), Vec<Error>> {
        let _one = self.reloading.lock().await;
        let settings = self.settings.get();
        let (wanted, now) = (Arc::clone(&settings), self.clock.now());
        let read = tokio::task::spawn_blocking(move || (fingerprint(&wanted), load_all(&wanted, now))).await;
        let (seen, loaded) = read.unwrap_or_else(|_| (Fingerprint::default(), Err(vec![])));
        let loaded = loaded.and_then(|loaded| {
            // A context that was handed out must keep working.
            if loaded.is_empty() && self.context().is_some() { Err(vec![Error::None]) } else { Ok(loaded) }
        });
        match loaded.and_then(|loaded| self.judge(loaded, now)) {
            Ok(candidates) => {
                let (loaded, held) = self.choose(candidates, &settings, now).await;
                self.put_in_force(&settings, loaded, held);
                self.seen.store(Arc::new(seen));
                self.problems.loaded(&[], &settings, &[]);
                Ok(())
            }
            Err(errors) => {
                self.problems.loaded(&errors, &settings, &self.loaded.load());
                for error in &errors {
                    let event = Event::new(self.clock.now(), EventKind::Certificate);
                    self.journal.record(event.with("result", "kept-old").with("problem", error.to_string()));
                }
                Err(errors)
            }
        }
    }

    /// Checks that no new certificate is worse than the one it replaces, and that clients can make a handshake with it.
    fn judge(&self, candidates: Vec<Loaded>, now: Timestamp) -> Result<Vec<Loaded>, Vec<Error>> {
        let (in_force, hostname) = (self.loaded.load(), self.hostname.get());
        let is_for_us = |new: &Loaded| !new.temporary && new.not_after > now && new.covers(hostname.as_str());
        // The name may have moved from one certificate to another.
        let lost = (!candidates.iter().any(is_for_us)).then_some(hostname.as_str());
        let unfit = |new: &Loaded| {
            let old = in_force.iter().find(|old| old.file == new.file);
            if old.is_some_and(|old| old.leaf() == new.leaf()) {
                return None;
            }
            let worse = old.filter(|old| !old.temporary).and_then(|old| unfit(old, new, lost, now));
            let reason = worse.or_else(|| test_handshake(new).err())?;
            Some(Error::Unfit { file: new.file.clone(), reason })
        };
        let errors: Vec<Error> = candidates.iter().filter_map(unfit).collect();
        if errors.is_empty() { Ok(candidates) } else { Err(errors) }
    }

    /// Which of the new certificates are put in force, and which wait.
    async fn choose(
        &self,
        candidates: Vec<Loaded>,
        settings: &TlsSettings,
        now: Timestamp,
    ) -> (Vec<Loaded>, Vec<Held>) {
        let (in_force, waiting) = (self.loaded.load_full(), self.held.load_full());
        let (mut loaded, mut held) = (Vec::new(), Vec::new());
        for new in candidates {
            let old = in_force.iter().find(|old| old.file == new.file && !old.temporary && old.leaf() != new.leaf());
            let Some(old) = old else {
                loaded.push(new);
                continue;
            };
            let before = waiting.iter().find(|held| held.certificate.leaf() == new.leaf());
            if before.is_some_and(|held| held.is_taken_elsewhere(&settings.acme_state)) {
                loaded.push(new);
                continue;
            }
            let published = self.published(&new, &settings.dane).await;
            match decide((old, &new), &published, &settings.dane, before.map(|held| held.waited), now) {
                Decision::Take => loaded.push(new),
                Decision::TakeUnpublished(missing) => {
                    self.record_unpublished(&new, &missing);
                    loaded.push(new);
                }
                Decision::Hold(missing) => {
                    let waiting = Held { missing, waited: Waited::default(), ..Held::begin(new, before, now) };
                    self.record_held(&waiting, before, settings);
                    held::keep(&settings.acme_state, old);
                    loaded.push(old.clone());
                    held.push(waiting);
                }
                Decision::Settle => {
                    let seen = before.and_then(|held| held.waited.seen).or(Some(now));
                    held.push(Held { waited: Waited { seen }, ..Held::begin(new, before, now) });
                    loaded.push(old.clone());
                }
            }
        }
        (loaded, held)
    }

    /// What the DNS has for a certificate. If it does not answer now, its last answer
    /// counts, unless a certificate is kept waiting because there is no answer.
    async fn published(&self, certificate: &Loaded, settings: &DaneSettings) -> Vec<Published> {
        let mut published = tlsa::look_up(&*self.resolver, settings, certificate).await;
        let mut known = self.known.lock();
        for one in &mut published {
            match &one.records {
                Some(records) => {
                    known.insert(one.at.clone(), records.clone());
                }
                None if settings.hold_back == HoldBack::Published => one.records = known.get(&one.at).cloned(),
                None => {}
            }
        }
        published
    }

    /// Asks the DNS regularly what it has for the certificates in force, until `tasks` stop: it may not answer when one of
    /// them is to be replaced.
    pub async fn follow_dns(self: Arc<Self>, tasks: Tasks) {
        loop {
            let pause = tokio::select! {
                () = tasks.stopping() => return,
                known = self.learn() => {
                    let again = self.settings.get().dane.look_every.duration().max(SHORTEST_PAUSE);
                    if known { again.max(LEARN_AGAIN) } else { again }
                }
            };
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.clock.sleep_until(self.clock.now() + pause) => {}
            }
        }
    }

    /// Asks once, and returns whether something is known about every name.
    async fn learn(&self) -> bool {
        let settings = self.settings.get();
        if settings.dane.hold_back != HoldBack::Published {
            return true;
        }
        let (mut asked, mut all) = (HashSet::new(), true);
        for certificate in self.loaded().iter().filter(|certificate| !certificate.temporary) {
            for one in self.published(certificate, &settings.dane).await {
                all &= one.records.is_some();
                asked.insert(one.at);
            }
        }
        self.known.lock().retain(|at, _| asked.contains(at));
        all
    }

    fn put_in_force(&self, settings: &TlsSettings, loaded: Vec<Loaded>, held: Vec<Held>) {
        let before = self.loaded.load_full();
        let is_new = |one: &&Loaded| !before.iter().any(|old| old.leaf() == one.leaf());
        let changed = loaded.len() != before.len() || loaded.iter().any(|one| is_new(&one));
        self.by_name.table.store(Arc::new(Table::new(&loaded)));
        self.context.replace(setup(settings, &self.by_name, &[]));
        self.web.replace(setup(settings, &self.by_name, WEB));
        self.record_loaded(loaded.iter().filter(is_new));
        for was_held in self.held.load().iter() {
            if !held.iter().any(|held| held.certificate.file == was_held.certificate.file) {
                held::forget(&settings.acme_state, &was_held.certificate.file);
            }
        }
        self.loaded.store(Arc::new(loaded));
        self.held.store(Arc::new(held));
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Loads the files again whenever they have changed and a second look finds them stable, checks whether the DNS has
    /// the keys of waiting certificates, and warns of certificates that expire soon, until `tasks` stop. Rejected files are
    /// tried again from time to time: a disk that failed briefly, or a clock that was behind, leaves no trace on the files.
    pub async fn watch(self: Arc<Self>, tasks: Tasks) {
        let (mut tried, mut last) = (Fingerprint::default(), Fingerprint::clone(&self.seen.load()));
        let mut warned = Timestamp::EPOCH;
        // Those found waiting at the start are checked right away.
        let mut asked = Timestamp::EPOCH;
        loop {
            let now = self.clock.now();
            // A clock that was ahead must not delay anything by as long as it was ahead.
            (warned, asked) = (warned.min(now), asked.min(now));
            if now.since(warned) >= DAY {
                warned = now;
                self.warn_of_ends();
            }
            let settings = self.settings.get();
            let wanted = Arc::clone(&settings);
            let found = tokio::task::spawn_blocking(move || fingerprint(&wanted)).await.unwrap_or_default();
            let is_due = self.held() > 0 && now.since(asked) >= settings.dane.look_every.duration();
            let is_new = found != **self.seen.load() && (found != tried || now.since(asked) >= TRY_AGAIN);
            // Certificate and key are replaced one after the other: a file that has just changed may be half of a pair.
            let is_settled = std::mem::replace(&mut last, found.clone()) == found;
            if is_settled && (is_new || is_due) {
                (tried, asked) = (found, now);
                // Errors have been logged already.
                let _ = self.reload().await;
            }
            let pause = if is_settled { settings.look_every.duration().max(SHORTEST_PAUSE) } else { SHORTEST_PAUSE };
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.clock.sleep_until(now + pause) => {}
            }
        }
    }

    fn record_loaded<'a>(&self, loaded: impl Iterator<Item = &'a Loaded>) {
        for certificate in loaded {
            let event = Event::new(self.clock.now(), EventKind::Certificate)
                .with("result", if certificate.temporary { "standing-in" } else { "loaded" })
                .with("names", certificate.names.clone())
                .with("until", certificate.not_after.to_string());
            self.journal.record(event);
        }
    }

    /// Logs once that a certificate waits, and what to do.
    fn record_held(&self, held: &Held, before: Option<&Held>, settings: &TlsSettings) {
        if before.is_some_and(|before| before.missing == held.missing) {
            return;
        }
        let (names, publish) = (held.certificate.names.join(" "), held.publish().join(" and "));
        log::error!(
            names = names, publish = publish, file:% = held.certificate.file.display();
            "A new certificate is held back because the DNS does not have its key; publish the record"
        );
        let problem = format!(
            "the new certificate for {names} is held back and the old one served: publish {publish}; it is taken {} after \
             the DNS shows it",
            settings.dane.settle
        );
        let event = Event::new(self.clock.now(), EventKind::Certificate).with("result", "held-back");
        let event = event.with("names", held.certificate.names.clone()).with("publish", held.publish());
        self.journal.record(event.with("until", held.certificate.not_after.to_string()).with("problem", problem));
    }

    fn record_unpublished(&self, new: &Loaded, missing: &[String]) {
        let publish: Vec<String> = missing.iter().map(|at| held::record(at, new)).collect();
        let problem = format!(
            "the old certificate is about to end, so the new one is served although the DNS does not vouch for its key: \
             publish {} at once, or take the TLSA records away",
            publish.join(" and ")
        );
        log::error!(names = new.names.join(" "); "Certificates: {problem}");
        let event = Event::new(self.clock.now(), EventKind::Certificate).with("result", "taken-unpublished");
        self.journal.record(event.with("names", new.names.clone()).with("publish", publish).with("problem", problem));
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
        for held in self.held.load().iter() {
            let (names, publish) = (held.certificate.names.join(" "), held.publish().join(" and "));
            log::warn!(names = names, publish = publish; "A certificate waits for its TLSA record");
        }
    }
}

/// All certificates, or all errors.
fn load_all(settings: &TlsSettings, now: Timestamp) -> Result<Vec<Loaded>, Vec<Error>> {
    let from_files = settings.certificates.iter().map(load);
    let obtained = settings.acme.iter().filter_map(|wanted| {
        let file = wanted.file(&settings.acme_state)?;
        Some(match files::is_there(&file) {
            Ok(true) => load(&CertificateFiles { cert: file.clone(), key: file }),
            Ok(false) => {
                let names: Vec<&str> = wanted.names.iter().map(|name| name.as_str()).collect();
                stand_in(&file, &names, now)
            }
            Err(error) => Err(error.into()),
        })
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
    // One ticket resumes a session as well as two, with half the work (RFC 8446 §4.6.1).
    config.send_tls13_tickets = 1;
    TlsSetup { config: Arc::new(config), handshake: settings.handshake_timeout.duration() }
}

/// Inode, size and last change of every file.
type Fingerprint = Vec<(u64, u64, i64, i64)>;

/// Changes whenever a file is replaced or rewritten, or becomes readable by others (which is no change of its content). Blocks.
fn fingerprint(settings: &TlsSettings) -> Fingerprint {
    let given = settings.certificates.iter().flat_map(|pair| [pair.cert.clone(), pair.key.clone()]);
    let obtained = settings.acme.iter().filter_map(|wanted| wanted.file(&settings.acme_state));
    let of = |path: PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()))
    };
    given.chain(obtained).map(|path| of(path).unwrap_or_default()).collect()
}

/// The protocols over HTTPS, for ALPN (RFC 7301).
const WEB: &[&[u8]] = &[b"http/1.1", ACME_TLS];
const DAY: Duration = Duration::from_secs(86_400);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the DNS is asked what it has for the certificates in force.
const LEARN_AGAIN: Duration = Duration::from_hours(1);
/// After how long rejected files are read again even if they have not changed.
const TRY_AGAIN: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests;
