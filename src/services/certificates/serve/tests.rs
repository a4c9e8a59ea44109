use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::*;
use crate::foundations::clock::{Clock, SystemClock};
use crate::foundations::dns::ZoneResolver;
use crate::foundations::net::Stream;
use crate::foundations::settings::Span;
use crate::services::certificates::{DaneSettings, SelfSigned, Standing};

/// Writes a fresh certificate for a name and returns its files and the authority to trust.
fn certificate(directory: &Path, name: &str) -> (CertificateFiles, String) {
    let made = SelfSigned::make(&[name], SystemClock.now()).unwrap();
    let file = name.replace('*', "wildcard");
    let pair =
        CertificateFiles { cert: directory.join(format!("{file}.pem")), key: directory.join(format!("{file}.key")) };
    fs::write(&pair.cert, &made.certificate).unwrap();
    fs::write(&pair.key, made.key.expose()).unwrap();
    (pair, made.authority)
}

fn open(certificates: Vec<CertificateFiles>) -> Result<Arc<Certificates>, Vec<Error>> {
    let state = tempfile::tempdir().unwrap();
    let settings = TlsSettings { certificates, acme_state: state.path().to_owned(), ..TlsSettings::default() };
    open_with(settings, Arc::new(ZoneResolver::new()))
}

fn open_with(settings: TlsSettings, resolver: SharedResolver) -> Result<Arc<Certificates>, Vec<Error>> {
    open_at(settings, resolver, Arc::new(SystemClock))
}

fn open_at(
    settings: TlsSettings,
    resolver: SharedResolver,
    clock: SharedClock,
) -> Result<Arc<Certificates>, Vec<Error>> {
    Certificates::open(CertificatesParts {
        settings: Live::new(settings),
        hostname: Live::new("mail.example.test".parse().unwrap()),
        resolver,
        clock,
        journal: Journal::lines_only(),
    })
}

/// Replaces a certificate and its key by new ones, for these names, made at a time.
fn replace(pair: &CertificateFiles, names: &[&str], at: Timestamp) {
    let made = SelfSigned::make(names, at).unwrap();
    files::write_durable(&pair.key, made.key.expose().as_bytes(), 0o600).unwrap();
    files::write_durable(&pair.cert, made.certificate.as_bytes(), 0o600).unwrap();
}

/// A clock that shows what it is told to. Whoever sleeps looks again after a moment.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(Duration::from_millis(5)))
    }
}

/// A clock on which everybody sleeps until let go.
struct Steps {
    asleep: AtomicUsize,
    go: Arc<Semaphore>,
}

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.asleep.fetch_add(1, Ordering::Relaxed);
        let go = Arc::clone(&self.go);
        Box::pin(async move {
            if let Ok(step) = go.acquire_owned().await {
                step.forget();
            }
        })
    }
}

/// Makes a handshake as a client that trusts `authority` and asks for `name`; returns whether both sides succeed.
async fn shake(context: &TlsContext, authority: &str, name: &str) -> bool {
    let (near, far) = tokio::io::duplex(1 << 16);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let server = async {
        let mut stream = Stream::from(far).start_tls(context).await.ok()?;
        let facts = stream.tls()?;
        assert_eq!((facts.version, facts.server_name.as_deref()), ("TLSv1.3", Some(name)));
        assert!(facts.cipher.starts_with("TLS_"), "{}", facts.cipher);
        stream.write_all(b"hello").await.ok()?;
        stream.flush().await.ok()
    };
    let client = async {
        let mut stream = connector.connect(ServerName::try_from(name.to_owned()).unwrap(), near).await.ok()?;
        let mut read = [0; 5];
        stream.read_exact(&mut read).await.ok()?;
        (&read == b"hello").then_some(())
    };
    let (server, client) = tokio::join!(server, client);
    server.and(client).is_some()
}

#[tokio::test]
async fn chooses_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (first, first_ca) = certificate(directory.path(), "mail.example.test");
    let (second, second_ca) = certificate(directory.path(), "mail.other.test");
    let (wildcard, wildcard_ca) = certificate(directory.path(), "*.other.test");
    let certificates = open(vec![first, second, wildcard]).unwrap();
    let context = certificates.context().unwrap();
    assert!(shake(&context, &first_ca, "mail.example.test").await);
    assert!(shake(&context, &second_ca, "mail.other.test").await);
    assert!(shake(&context, &wildcard_ca, "imap.other.test").await);
    assert!(!shake(&context, &wildcard_ca, "mail.other.test").await);
    assert!(!shake(&context, &first_ca, "unknown.test").await);
    let wildcard = &certificates.loaded()[2];
    assert!(wildcard.covers("IMAP.other.test") && !wildcard.covers("other.test") && !wildcard.covers("a.b.other.test"));
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let (pair, old_ca) = certificate(directory.path(), "mail.example.test");
    let certificates = open(vec![pair.clone()]).unwrap();
    let context = certificates.context().unwrap();

    fs::write(&pair.cert, "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(certificates.reload().await.unwrap_err()[..], [Error::Malformed { .. }]));
    assert!(shake(&context, &old_ca, "mail.example.test").await);

    let (_, new_ca) = certificate(directory.path(), "mail.example.test");
    certificates.reload().await.unwrap();
    assert!(shake(&context, &new_ca, "mail.example.test").await);
    assert!(!shake(&context, &old_ca, "mail.example.test").await);
}

#[tokio::test]
async fn a_key_that_the_dns_does_not_have_waits_for_it_also_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (pair, old_ca) = certificate(directory.path(), "mail.example.test");
    let zone = Arc::new(ZoneResolver::new());
    let dane = DaneSettings { settle: Span::seconds(0), ..DaneSettings::default() };
    let acme_state = directory.path().join("state");
    let settings = TlsSettings { certificates: vec![pair.clone()], acme_state, dane, ..TlsSettings::default() };
    let certificates = open_with(settings.clone(), Arc::clone(&zone) as _).unwrap();
    let publish = |certificate: &Loaded| {
        zone.add(&format!("_25._tcp.mail.example.test TLSA 3 1 1 {}", certificate.public_key())).unwrap();
    };
    publish(&certificates.loaded()[0]);

    let (_, new_ca) = certificate(directory.path(), "mail.example.test");
    certificates.reload().await.unwrap();
    let context = certificates.context().unwrap();
    assert!(shake(&context, &old_ca, "mail.example.test").await, "the old one goes on");
    let states = certificates.states();
    assert_eq!(states.iter().map(|state| state.standing).collect::<Vec<_>>(), [Standing::InForce, Standing::HeldBack]);
    let record = format!("_25._tcp.mail.example.test. IN TLSA 3 1 1 {}", states[1].public_key);
    assert_eq!(states[1].publish, [record]);

    let again = open_with(settings.clone(), Arc::clone(&zone) as _).unwrap();
    assert!(shake(&again.context().unwrap(), &old_ca, "mail.example.test").await, "and after a restart");
    assert_eq!(again.held(), 1);
    again.reload().await.unwrap();
    assert_eq!(again.held(), 1, "the DNS does not have it yet");

    publish(&again.newest(&pair.cert).unwrap());
    for one in [&certificates, &again] {
        one.reload().await.unwrap();
        assert_eq!(one.held(), 0);
        assert!(shake(&one.context().unwrap(), &new_ca, "mail.example.test").await, "now it is served");
    }
    let after = open_with(settings, zone).unwrap();
    assert!(shake(&after.context().unwrap(), &new_ca, "mail.example.test").await && after.held() == 0);
}

#[tokio::test]
async fn a_dns_that_does_not_answer_has_not_taken_its_records_back() {
    let directory = tempfile::tempdir().unwrap();
    let (pair, old_ca) = certificate(directory.path(), "mail.example.test");
    let zone = Arc::new(ZoneResolver::new());
    let dane = DaneSettings { settle: Span::seconds(0), ..DaneSettings::default() };
    let open_in = |state: &str| {
        let (certificates, acme_state) = (vec![pair.clone()], directory.path().join(state));
        let settings = TlsSettings { certificates, acme_state, dane: dane.clone(), ..TlsSettings::default() };
        open_with(settings, Arc::clone(&zone) as _).unwrap()
    };
    let at = "_25._tcp.mail.example.test";
    let (asked, unasked) = (open_in("asked"), open_in("unasked"));
    zone.add(&format!("{at} TLSA 3 1 1 {}", asked.loaded()[0].public_key())).unwrap();
    assert!(asked.learn().await);
    zone.remove(at);
    zone.add(&format!("{at} FAIL")).unwrap();
    assert!(asked.learn().await, "it is remembered");
    assert!(!unasked.learn().await, "it has never answered");

    let (_, new_ca) = certificate(directory.path(), "mail.example.test");
    for one in [&asked, &unasked] {
        one.reload().await.unwrap();
    }
    assert!(shake(&asked.context().unwrap(), &old_ca, "mail.example.test").await, "the records name the old key");
    assert!(shake(&unasked.context().unwrap(), &new_ca, "mail.example.test").await, "nothing was ever published");
    assert_eq!((asked.held(), unasked.held()), (1, 0));
    zone.remove(at);
    asked.reload().await.unwrap();
    assert!(shake(&asked.context().unwrap(), &new_ca, "mail.example.test").await, "the DNS says that there are none");
}

#[tokio::test]
async fn a_role_that_cannot_ask_the_dns_follows_one_that_can() {
    let directory = tempfile::tempdir().unwrap();
    let (pair, old_ca) = certificate(directory.path(), "mail.example.test");
    let (zone, nothing) = (Arc::new(ZoneResolver::new()), Arc::new(ZoneResolver::new()));
    let at = "_25._tcp.mail.example.test";
    nothing.add(&format!("{at} FAIL")).unwrap();
    let dane = DaneSettings { settle: Span::seconds(0), ..DaneSettings::default() };
    let acme_state = directory.path().join("state");
    let settings = TlsSettings { certificates: vec![pair.clone()], acme_state, dane, ..TlsSettings::default() };
    let one = open_with(settings.clone(), Arc::clone(&zone) as _).unwrap();
    let publish = |certificate: &Loaded| {
        zone.add(&format!("{at} TLSA 3 1 1 {}", certificate.public_key())).unwrap();
    };
    publish(&one.loaded()[0]);
    let (_, new_ca) = certificate(directory.path(), "mail.example.test");
    one.reload().await.unwrap();
    let other = open_with(settings, nothing).unwrap();
    other.reload().await.unwrap();
    assert_eq!((one.held(), other.held()), (1, 1));
    assert!(shake(&other.context().unwrap(), &old_ca, "mail.example.test").await, "nobody has taken it yet");

    publish(&one.newest(&pair.cert).unwrap());
    for role in [&one, &other] {
        role.reload().await.unwrap();
        assert_eq!(role.held(), 0);
        assert!(shake(&role.context().unwrap(), &new_ca, "mail.example.test").await);
    }
}

#[tokio::test]
async fn what_changes_before_files_are_watched_or_becomes_good_later_is_taken() {
    let (directory, now) = (tempfile::tempdir().unwrap(), SystemClock.now());
    let (pair, _) = certificate(directory.path(), "mail.example.test");
    let clock = Arc::new(Hand(AtomicI64::new(now.unix_micros())));
    let acme_state = directory.path().join("state");
    let settings = TlsSettings { certificates: vec![pair.clone()], acme_state, ..TlsSettings::default() };
    let certificates = open_at(settings, Arc::new(ZoneResolver::new()), Arc::clone(&clock) as _).unwrap();
    let mut changes = certificates.changes();
    let mut changed = async || tokio::time::timeout(Duration::from_secs(30), changes.changed()).await;

    replace(&pair, &["mail.example.test"], now);
    let tasks = Tasks::new();
    tasks.spawn(Arc::clone(&certificates).watch(tasks.clone()));
    changed().await.expect("what was exchanged while the server started is not taken").unwrap();

    replace(&pair, &["mail.example.test"], now + DAY * 3);
    let refused = async {
        while certificates.states()[0].problem.as_ref().is_none_or(|problem| !problem.contains("not valid before")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused).await.expect("one that is not valid yet is taken");
    clock.0.store((now + DAY * 4).unix_micros(), Ordering::Relaxed);
    changed().await.expect("a certificate that is valid by now is not taken").unwrap();
    assert_eq!(certificates.states()[0].problem, None);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn half_of_a_pair_is_told_of_only_when_it_stays_so() {
    let (directory, now) = (tempfile::tempdir().unwrap(), SystemClock.now());
    let (pair, _) = certificate(directory.path(), "mail.example.test");
    let clock = Arc::new(Steps { asleep: AtomicUsize::new(0), go: Arc::new(Semaphore::new(0)) });
    let acme_state = directory.path().join("state");
    let settings = TlsSettings { certificates: vec![pair.clone()], acme_state, ..TlsSettings::default() };
    let certificates = open_at(settings, Arc::new(ZoneResolver::new()), Arc::clone(&clock) as _).unwrap();
    let tasks = Tasks::new();
    tasks.spawn(Arc::clone(&certificates).watch(tasks.clone()));
    let looked = async |times: usize| {
        let looked = async {
            while clock.asleep.load(Ordering::Relaxed) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looked).await.unwrap();
    };
    let look = async |times: usize| {
        clock.go.add_permits(1);
        looked(times).await;
        certificates.states()[0].problem.clone()
    };
    looked(1).await;

    let made = SelfSigned::make(&["mail.example.test"], now).unwrap();
    files::write_durable(&pair.key, made.key.expose().as_bytes(), 0o600).unwrap();
    assert_eq!(look(2).await, None, "the certificate may be on its way");
    files::write_durable(&pair.cert, made.certificate.as_bytes(), 0o600).unwrap();
    assert_eq!(look(3).await, None);
    assert_eq!(look(4).await, None);
    assert_eq!(certificates.loaded()[0].fingerprint(), load(&pair).unwrap().fingerprint(), "it is taken");

    let other = SelfSigned::make(&["mail.example.test"], now).unwrap();
    files::write_durable(&pair.key, other.key.expose().as_bytes(), 0o600).unwrap();
    assert_eq!(look(5).await, None);
    let problem = look(6).await;
    assert!(problem.as_ref().is_some_and(|problem| problem.contains("does not belong")), "{problem:?}");
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn the_name_of_the_host_moves_from_one_certificate_to_another() {
    let (directory, now) = (tempfile::tempdir().unwrap(), SystemClock.now());
    let (first, _) = certificate(directory.path(), "mail.example.test");
    let (second, _) = certificate(directory.path(), "www.example.test");
    let certificates = open(vec![first.clone(), second.clone()]).unwrap();
    replace(&first, &["imap.example.test"], now);
    assert!(matches!(certificates.reload().await.unwrap_err()[..], [Error::Unfit { .. }]), "nothing is for it");
    replace(&second, &["mail.example.test"], now);
    certificates.reload().await.unwrap();
    assert_eq!(certificates.meant("mail.example.test"), [certificates.loaded()[1].fingerprint()]);
}

#[tokio::test]
async fn says_what_is_wrong_with_each() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _) = certificate(directory.path(), "mail.example.test");
    let (second, _) = certificate(directory.path(), "mail.other.test");
    let crossed = CertificateFiles { cert: first.cert.clone(), key: second.key.clone() };
    let swapped = CertificateFiles { cert: first.key.clone(), key: first.cert.clone() };
    let missing = CertificateFiles { cert: directory.path().join("missing"), key: first.key.clone() };
    let errors = open(vec![first, crossed, swapped, missing]).err().unwrap();
    let kinds: Vec<bool> = vec![
        matches!(errors[0], Error::Mismatch { .. }),
        matches!(errors[1], Error::NoCertificate(_)),
        matches!(errors[2], Error::File(_)),
    ];
    assert_eq!((errors.len(), kinds), (3, vec![true; 3]), "{errors:?}");
}
