//! Domains' requirements for senders: MTA-STS, and what is counted of them for reports.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mail_auth::report::tlsrpt::{FailureDetails, PolicyDetails, PolicyType, ResultType};
use parking_lot::Mutex;
use postrider::foundations::clock::Clock as _;
use postrider::foundations::event::EventKind;
use postrider::foundations::settings::Live;
use postrider::foundations::tasks::Tasks;
use postrider::services::outbound::{Connecting, Connector, Io, Outbound, OutboundParts, OutboundSettings, Roots};
use postrider::services::queue::Change;
use postrider::storage::database::Database;
use postrider::storage::reports::{Kind, Reports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::peer::{Network, Peer};
use super::tls::{certificate, on_sqlite, trusting};
use super::world::{SetUp, World, mail};

/// Sends one message and waits until it was tried; returns the policy that its event names when it was relayed.
pub(crate) async fn tried(world: &World) -> Option<String> {
    let id = world.send(&mail(&["a@x.test"])).await;
    world
        .until("it was tried", async || match world.queue.show(id).await {
            Ok(listing) => listing.recipients.first().is_some_and(|one| one.attempts == 1 && one.owner.is_none()),
            Err(_) => !world.events(id, EventKind::Relayed).await.is_empty(),
        })
        .await;
    let _ = world.queue.change(&Change::Delete(id)).await;
    let relayed = world.events(id, EventKind::Relayed).await;
    relayed
        .first()
        .map(|event| event.details.get("policy").and_then(|policy| policy.as_str()).unwrap_or("none").to_owned())
}

/// A network with a web server on port 443 of every address.
struct Web {
    network: Arc<Network>,
    acceptor: TlsAcceptor,
    page: Arc<Mutex<Option<String>>>,
    /// Request bodies it received.
    posted: Arc<Mutex<Vec<Vec<u8>>>>,
    tasks: Tasks,
}

/// A request as it came, with its body.
async fn request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    loop {
        let mut block = [0; 4096];
        let read = stream.read(&mut block).await.unwrap_or(0);
        all.extend_from_slice(&block[..read]);
        let text = String::from_utf8_lossy(&all).to_ascii_lowercase();
        let Some(head) = text.find("\r\n\r\n") else {
            assert!(read > 0, "half a request");
            continue;
        };
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if all.len() >= head + 4 + length.unwrap_or(0) {
            return (String::from_utf8_lossy(&all[..head]).into_owned(), all.split_off(head + 4));
        }
    }
}

impl Connector for Web {
    fn connect(&self, address: SocketAddr, source: Option<IpAddr>) -> Connecting<'_> {
        if address.port() != 443 {
            return self.network.connect(address, source);
        }
        Box::pin(async move {
            let page = self.page.lock().clone().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::TimedOut))?;
            let (near, far) = tokio::io::duplex(1 << 16);
            let acceptor = self.acceptor.clone();
            let posted = Arc::clone(&self.posted);
            self.tasks.spawn(async move {
                let Ok(mut stream) = acceptor.accept(far).await else { return };
                let (request, body) = request(&mut stream).await;
                let found = request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
                    && request.to_ascii_lowercase().contains("\r\nhost: mta-sts.x.test");
                let answer = match found {
                    false if request.starts_with("POST /in?x=1 HTTP/1.1\r\n") => {
                        posted.lock().push(body);
                        "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".to_owned()
                    }
                    true => format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{page}",
                        page.len()
                    ),
                    false => "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

const STS_ZONE: &str = "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\nmta-sts.x.test A 192.0.2.80\nsender.test FAIL";
const ANNOUNCED: &str = "_mta-sts.x.test TXT v=STSv1; id=1;";

fn policy(mode: &str, host: &str) -> Option<String> {
    Some(format!("version: STSv1\r\nmode: {mode}\r\nmx: {host}\r\nmax_age: 86400\r\n"))
}

/// Drops the policies that earlier worlds have kept.
async fn forget(database: &Database) {
    database.execute("DELETE FROM mta_sts_policies", &[]).await.unwrap();
}

/// The world with a web server, and both certificates trusted.
fn with_web(database: Database, page: Option<String>) -> (World, Arc<Web>, Roots, TlsAcceptor) {
    let (web_root, web) = certificate("mta-sts.x.test");
    let (mx_root, mx) = certificate("mx.x.test");
    let mut store = rustls::RootCertStore::empty();
    store.add(web_root).unwrap();
    store.add(mx_root).unwrap();
    let roots = Roots::of(store);
    let tasks = Tasks::new();
    let network = Network::new(tasks.clone());
    let web = Arc::new(Web { network, acceptor: web, page: Arc::new(Mutex::new(page)), posted: Arc::default(), tasks });
    let set_up = SetUp { roots: roots.clone(), connector: Some(web.clone()), ..SetUp::default() };
    (World::new(database, set_up), web, roots, mx)
}

/// The same in a world where x.test announces a policy, and nothing is kept of an earlier one.
async fn announced(database: Database, page: Option<String>) -> (World, Arc<Web>, TlsAcceptor) {
    forget(&database).await;
    let (world, web, _, mx) = with_web(database, page);
    world.zone.add(STS_ZONE).unwrap();
    world.zone.add(ANNOUNCED).unwrap();
    (world, web, mx)
}

#[test]
fn policies_are_obeyed() {
    on_sqlite(|database| async move {
        for (page, secure, wanted) in [
            (policy("enforce", "mx.x.test"), true, Some("mta-sts")),
            (policy("enforce", "*.x.test"), true, Some("mta-sts")),
            // Without TLS, or at a host the policy does not name, it is not sent.
            (policy("enforce", "mx.x.test"), false, None),
            (policy("enforce", "other.x.test"), true, None),
            (policy("testing", "other.x.test"), false, Some("none")),
            (policy("none", "other.x.test"), false, Some("none")),
            // If no policy can be fetched, there is none.
            (None, false, Some("none")),
            (Some("nonsense".to_owned()), false, Some("none")),
        ] {
            let (world, web, mx) = announced(database.clone(), page.clone()).await;
            let peer = if secure { Peer::new().tls(mx) } else { Peer::new() };
            web.network.host("192.0.2.1", peer);
            world.queue.start();
            assert_eq!(tried(&world).await.as_deref(), wanted, "{page:?}");
            world.restart().await;
        }
    });
}

#[test]
fn what_requires_tls_goes_to_no_exchanger_that_nobody_vouches_for() {
    on_sqlite(|database| async move {
        let signed = "x.test SECURE MX 10 mx.x.test\nmx.x.test A 192.0.2.1\nsender.test FAIL";
        let announced = [STS_ZONE, ANNOUNCED].join("\n");
        for (zone, page, taken) in [
            (announced.as_str(), policy("enforce", "mx.x.test"), 1),
            (announced.as_str(), policy("testing", "mx.x.test"), 1),
            (announced.as_str(), policy("testing", "other.x.test"), 0),
            (announced.as_str(), policy("none", "mx.x.test"), 0),
            (STS_ZONE, None, 0),
            (signed, None, 1),
        ] {
            forget(&database).await;
            let (world, web, _, mx) = with_web(database.clone(), page.clone());
            world.zone.add(zone).unwrap();
            let peer = web.network.host("192.0.2.1", Peer::new().extensions(&["REQUIRETLS"]).tls(mx));
            world.queue.start();
            // The certificate is the right one, but a session for others says nothing of the way to the host.
            let ordinary = world.send(&mail(&["b@x.test"])).await;
            let relayed = async |id| !world.events(id, EventKind::Relayed).await.is_empty();
            world.until("an ordinary message is there", async || relayed(ordinary).await).await;
            let mut demanding = mail(&["a@x.test"]);
            demanding.envelope.require_tls = true;
            let id = world.send(&demanding).await;
            let failed = async || world.events(id, EventKind::Failed).await;
            world.until("it is settled", async || relayed(id).await || !failed().await.is_empty()).await;
            assert_eq!(peer.taken().len(), 1 + taken, "{zone} {page:?}");
            assert!(failed().await.iter().all(|event| event.details["status"] == "5.7.10"), "{zone} {page:?}");
            world.restart().await;
        }
    });
}

#[test]
fn what_requires_tls_waits_for_a_policy_that_cannot_be_fetched() {
    on_sqlite(|database| async move {
        let (world, web, mx) = announced(database, None).await;
        web.network.host("192.0.2.1", Peer::new().extensions(&["REQUIRETLS"]).tls(mx));
        world.queue.start();
        let mut demanding = mail(&["a@x.test"]);
        demanding.envelope.require_tls = true;
        let id = world.send(&demanding).await;
        let deferred = async || world.events(id, EventKind::Deferred).await;
        world.until("it is put off", async || !deferred().await.is_empty()).await;
        assert_eq!(deferred().await[0].details["status"], "4.7.10");
        let _ = world.queue.change(&Change::Delete(id)).await;
        world.restart().await;
    });
}

#[test]
fn a_policy_from_an_impostor_counts_for_nothing() {
    on_sqlite(|database| async move {
        // Nobody trusts the web server's certificate.
        let tasks = Tasks::new();
        let network = Network::new(tasks.clone());
        let page = Arc::new(Mutex::new(policy("enforce", "evil.test")));
        let acceptor = certificate("mta-sts.x.test").1;
        let web = Arc::new(Web { network, acceptor, page, posted: Arc::default(), tasks });
        let (root, mx) = certificate("mx.x.test");
        let set_up = SetUp { roots: trusting(root), connector: Some(web.clone()), ..SetUp::default() };
        let world = World::new(database, set_up);
        world.zone.add(STS_ZONE).unwrap();
        world.zone.add(ANNOUNCED).unwrap();
        web.network.host("192.0.2.1", Peer::new().tls(mx));
        world.queue.start();
        assert_eq!(tried(&world).await.as_deref(), Some("opportunistic"));
        world.restart().await;
    });
}

#[test]
fn a_policy_once_seen_holds_until_its_time_is_over() {
    on_sqlite(|database| async move {
        let (world, web, mx) = announced(database, policy("enforce", "mx.x.test")).await;
        web.network.host("192.0.2.1", Peer::new().tls(mx));
        world.queue.start();
        assert_eq!(tried(&world).await.as_deref(), Some("mta-sts"));
        world.until_quiet().await;
        // It is known after a restart, too.
        let world = world.restart().await;
        world.queue.start();
        // Somebody removes the announcement, the policy and the host's TLS.
        world.zone.remove("_mta-sts.x.test");
        *web.page.lock() = None;
        let plain = web.network.host("192.0.2.1", Peer::new());
        assert_eq!(tried(&world).await, None);
        world.zone.add("_mta-sts.x.test TXT v=STSv1; id=2").unwrap();
        assert_eq!(tried(&world).await, None);
        assert!(plain.taken().is_empty());
        world.clock.advance(Duration::from_secs(86_401));
        assert_eq!(tried(&world).await.as_deref(), Some("none"));
        world.restart().await;
    });
}

#[test]
fn a_policy_that_could_not_be_read_is_looked_for_again() {
    on_sqlite(|database| async move {
        let (world, web, mx) = announced(database, policy("enforce", "mx.x.test")).await;
        web.network.host("192.0.2.1", Peer::new().tls(mx));
        world.queue.start();
        assert_eq!(tried(&world).await.as_deref(), Some("mta-sts"));
        world.until_quiet().await;
        let world = world.restart().await;
        let plain = web.network.host("192.0.2.1", Peer::new());
        world.zone.remove("_mta-sts.x.test");
        *web.page.lock() = None;
        world.database.execute("ALTER TABLE mta_sts_policies RENAME TO away", &[]).await.unwrap();
        world.queue.start();
        let _ = tried(&world).await;
        // A connection that is still open would be reused as it was opened.
        world.until_quiet().await;
        world.database.execute("ALTER TABLE away RENAME TO mta_sts_policies", &[]).await.unwrap();
        let before = plain.taken().len();
        assert_eq!(tried(&world).await, None, "the policy holds");
        assert_eq!(plain.taken().len(), before);
        world.restart().await;
    });
}

/// Although it is announced unchanged, so that it does not expire just when it cannot be fetched.
#[test]
fn a_policy_is_fetched_again_before_its_time_is_over() {
    on_sqlite(|database| async move {
        let (world, web, mx) = announced(database, policy("enforce", "mx.x.test")).await;
        web.network.host("192.0.2.1", Peer::new().tls(mx));
        world.queue.start();
        for (hours, wanted) in [(0, "mta-sts"), (20, "mta-sts")] {
            world.clock.advance(Duration::from_secs(hours * 3600));
            assert_eq!(tried(&world).await.as_deref(), Some(wanted), "{hours}");
            // Over an open connection no policy is requested.
            world.until_quiet().await;
        }
        *web.page.lock() = None;
        world.clock.advance(Duration::from_secs(12 * 3600));
        assert_eq!(tried(&world).await.as_deref(), Some("mta-sts"), "the first one has ended");
        world.restart().await;
    });
}

/// The counts for x.test, as policy types with the failure and the numbers of successes and failures.
pub(crate) async fn counted(world: &World) -> Vec<(PolicyType, Option<ResultType>, u64, u64)> {
    world.reports.flush().await.unwrap();
    let day = Reports::day_of(world.clock.now());
    let tallies = world.reports.tallies(Kind::Tls, day, "x.test", 100).await.unwrap();
    tallies
        .iter()
        .map(|tally| {
            let policy: PolicyDetails = serde_json::from_str(&tally.policy).unwrap();
            let failure = serde_json::from_str::<FailureDetails>(&tally.detail).ok();
            (policy.policy_type, failure.map(|failure| failure.result_type), tally.good, tally.bad)
        })
        .collect()
}

#[test]
fn what_was_seen_is_counted_for_reports() {
    use PolicyType::{NoPolicyFound, Sts};
    use ResultType::{CertificateNotTrusted, StartTlsNotSupported, StsPolicyFetchError, ValidationFailure};
    on_sqlite(|database| async move {
        // The policy, whether the host has TLS, and with the trusted certificate; returns the counts.
        for (page, secure, proper, wanted) in [
            (policy("enforce", "mx.x.test"), true, true, vec![(Sts, None, 1, 0)]),
            (policy("enforce", "mx.x.test"), false, true, vec![(Sts, Some(StartTlsNotSupported), 0, 1)]),
            (policy("enforce", "mx.x.test"), true, false, vec![(Sts, Some(CertificateNotTrusted), 0, 1)]),
            (policy("enforce", "other.x.test"), true, true, vec![(Sts, Some(ValidationFailure), 0, 1)]),
            (policy("testing", "mx.x.test"), true, false, vec![(Sts, Some(CertificateNotTrusted), 0, 1)]),
            (policy("testing", "other.x.test"), true, true, vec![(Sts, Some(ValidationFailure), 0, 1)]),
            (None, true, false, vec![(NoPolicyFound, None, 1, 0), (Sts, Some(StsPolicyFetchError), 0, 1)]),
        ] {
            database.execute("DELETE FROM report_tallies", &[]).await.unwrap();
            let (world, web, mx) = announced(database.clone(), page.clone()).await;
            let peer = match (secure, proper) {
                (true, true) => Peer::new().tls(mx),
                (true, false) => Peer::new().tls(certificate("mx.x.test").1),
                (false, _) => Peer::new(),
            };
            web.network.host("192.0.2.1", peer);
            world.queue.start();
            tried(&world).await;
            let mut found = counted(&world).await;
            found.sort_by_key(|(kind, ..)| *kind == Sts);
            assert_eq!(found, wanted, "{page:?} {secure} {proper}");
            world.restart().await;
        }
    });
}

#[test]
fn reports_go_over_https_to_the_internet_only() {
    on_sqlite(|database| async move {
        let (world, web, roots, _) = with_web(database, policy("none", ""));
        world.zone.add("mta-sts.x.test A 192.0.2.80\nhome.x.test A 192.168.0.1\nother.x.test A 192.0.2.80").unwrap();
        let outbound = Outbound::new(OutboundParts {
            settings: Live::new(OutboundSettings::default()),
            hostname: "mail.example.test".parse().unwrap(),
            resolver: world.zone.clone(),
            connector: web.clone(),
            roots,
            clock: Arc::new(world.clock.clone()),
            reports: None,
            database: None,
            filter: None,
        });
        for (uri, taken) in [
            ("https://mta-sts.x.test/in?x=1", true),
            ("HTTPS://MTA-STS.x.test:443/in?x=1", true),
            ("https://mta-sts.x.test/elsewhere", false),
            ("http://mta-sts.x.test/in?x=1", false),
            ("https://home.x.test/in?x=1", false),
            // The certificate is not for this name.
            ("https://other.x.test/in?x=1", false),
            ("mailto:a@x.test", false),
            ("https://", false),
        ] {
            web.posted.lock().clear();
            let result = outbound.post(uri, "application/tlsrpt+gzip", b"\x1f\x8b report".to_vec()).await;
            assert_eq!(result.is_ok(), taken, "{uri}: {result:?}");
            let wanted: &[Vec<u8>] = if taken { &[b"\x1f\x8b report".to_vec()] } else { &[] };
            assert_eq!(*web.posted.lock(), wanted, "{uri}");
        }
        world.restart().await;
    });
}
