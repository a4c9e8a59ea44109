use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

use super::*;
use crate::foundations::address::ReversePath;
use crate::foundations::clock::{Hand, SharedClock, SystemClock, Timestamp};
use crate::foundations::dns::ZoneResolver;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Envelope, Message, Recipient};
use crate::foundations::settings::Live;
use crate::services::outbound::demand::{Candidate, demand};
use crate::services::outbound::route::way;
use crate::services::outbound::tls::called;
use crate::services::outbound::{Carried, Connecting, Connector, Io, OutboundParts, Roots};

/// The way to one host, once for each of these.
struct ToOne(Mutex<Vec<DuplexStream>>);

impl Connector for ToOne {
    fn connect(&self, _: SocketAddr, _: Option<IpAddr>) -> Connecting<'_> {
        let stream = self.0.lock().pop();
        Box::pin(async move {
            let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// A host that takes a message for one recipient at a time. Before it answers the end of one, its sender is to give up. How
/// many messages it was sent.
async fn one_at_a_time(stream: DuplexStream, limits: &str, give_up: &CancellationToken) -> usize {
    let hello = format!("250-x\r\n250 LIMITS {limits}");
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 x ESMTP\r\n").await.unwrap();
    let (mut messages, mut in_message, mut line) = (0, false, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return messages;
        }
        let verb = line.split_whitespace().next().unwrap_or_default();
        let reply = match verb {
            "." if in_message => {
                messages += 1;
                give_up.cancel();
                // The sender sees that first, whoever of the two has the next turn.
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                "250 2.0.0 Taken"
            }
            _ if in_message => continue,
            "EHLO" => hello.as_str(),
            "DATA" => "354 Go on",
            _ => "250 2.0.0 Fine",
        };
        in_message = verb == "DATA";
        stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
    }
}

fn outbound(host: Vec<DuplexStream>) -> Outbound {
    outbound_at(host, Arc::new(SystemClock))
}

fn outbound_at(host: Vec<DuplexStream>, clock: SharedClock) -> Outbound {
    let zone = ZoneResolver::new();
    zone.add("x.test A 192.0.2.1").unwrap();
    outbound_in(Arc::new(zone), host, clock)
}

fn outbound_in(zone: Arc<ZoneResolver>, host: Vec<DuplexStream>, clock: SharedClock) -> Outbound {
    Outbound::new(OutboundParts {
        settings: Live::default(),
        hostname: "mail.example.test".parse().unwrap(),
        resolver: zone,
        connector: Arc::new(ToOne(Mutex::new(host))),
        roots: Roots::of(rustls::RootCertStore::empty()),
        clock,
        reports: None,
        database: None,
        filter: None,
    })
}

fn envelope() -> Envelope {
    Envelope::plain(ReversePath::Null, Vec::new())
}

/// What comes of a message.
async fn sent(courier: &mut Courier, to: &[&str]) -> Vec<Outcome> {
    sent_as(courier, "Subject: x\r\n\r\nx\r\n", to).await
}

async fn sent_as(courier: &mut Courier, message: &'static str, to: &[&str]) -> Vec<Outcome> {
    let recipients: Vec<Recipient> = to.iter().map(|to| Recipient::plain(to.parse().unwrap())).collect();
    let group = Group {
        id: QueueId::generate(Timestamp::EPOCH),
        envelope: &envelope(),
        recipients: &recipients,
        message: &Carried::new(Message::new(message), ()),
        before_end: &|_| Box::pin(std::future::ready(Ok(()))),
    };
    let haste = Haste { give_up: &CancellationToken::new(), stage: &Stage::default() };
    courier.attempt(group, haste).await.into_iter().map(|attempt| attempt.outcome).collect()
}

#[tokio::test]
async fn a_host_that_takes_one_message_a_session_gets_several_sessions() {
    let ((near, far), (other_near, other_far)) = (tokio::io::duplex(1 << 12), tokio::io::duplex(1 << 12));
    let mut courier = outbound(vec![other_near, near]).courier(Destination::Exchangers("x.test".parse().unwrap()));
    let sending = async move { sent(&mut courier, &["a@x.test", "b@x.test"]).await };
    let (limits, unused) = ("MAILMAX=1 RCPTMAX=1", CancellationToken::new());
    let (first, second) = (one_at_a_time(far, limits, &unused), one_at_a_time(other_far, limits, &unused));
    let (outcomes, first, second) = tokio::join!(sending, first, second);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{outcomes:?}");
    assert_eq!((first, second), (1, 1));
}

/// Sends two messages over one session, and a third after something has changed: it needs another session, and there is no way to
/// the host any more.
async fn expect_another_session(outbound: &Outbound, far: tokio::io::DuplexStream, change: impl FnOnce()) {
    let mut courier = outbound.courier(Destination::Exchangers("x.test".parse().unwrap()));
    let sending = async move {
        let before = [sent(&mut courier, &["a@x.test"]).await, sent(&mut courier, &["b@x.test"]).await].concat();
        change();
        (before, sent(&mut courier, &["c@x.test"]).await)
    };
    let unused = CancellationToken::new();
    let ((before, after), messages) = tokio::join!(sending, one_at_a_time(far, "RCPTMAX=1", &unused));
    assert!(before.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{before:?}");
    assert!(matches!(&after[..], [Outcome::Trouble(trouble)] if !trouble.is_permanent()), "{after:?}");
    assert_eq!(messages, 2);
}

/// A network in which one host answers, by IPv4, and what is said of every IPv6 address.
struct OnlyIpv4 {
    answers: IpAddr,
    there: ToOne,
    ipv6: io::ErrorKind,
}

impl Connector for OnlyIpv4 {
    fn connect(&self, address: SocketAddr, source: Option<IpAddr>) -> Connecting<'_> {
        let kind = match address.ip() {
            IpAddr::V6(_) => self.ipv6,
            ip if ip == self.answers => return self.there.connect(address, source),
            IpAddr::V4(_) => io::ErrorKind::ConnectionRefused,
        };
        Box::pin(std::future::ready(Err(io::Error::from(kind))))
    }
}

/// Sends a message where only this address answers.
async fn expect_arrival_at(address: [u8; 4], ipv6: io::ErrorKind, zone: &str) {
    let (near, far) = tokio::io::duplex(1 << 12);
    let there = ToOne(Mutex::new(vec![near]));
    let resolver = ZoneResolver::new();
    resolver.add(zone).unwrap();
    let parts = OutboundParts {
        settings: Live::default(),
        hostname: "mail.example.test".parse().unwrap(),
        resolver: Arc::new(resolver),
        connector: Arc::new(OnlyIpv4 { answers: IpAddr::from(address), there, ipv6 }),
        roots: Roots::of(rustls::RootCertStore::empty()),
        clock: Arc::new(SystemClock),
        reports: None,
        database: None,
        filter: None,
    };
    let mut courier = Outbound::new(parts).courier(Destination::Exchangers("x.test".parse().unwrap()));
    let sending = async move { sent(&mut courier, &["a@x.test"]).await };
    let unused = CancellationToken::new();
    let (outcomes, messages) = tokio::join!(sending, one_at_a_time(far, "RCPTMAX=1", &unused));
    assert!(matches!(&outcomes[..], [Outcome::Relayed { .. }]), "{outcomes:?}");
    assert_eq!(messages, 1);
}

#[tokio::test]
async fn addresses_without_a_route_are_not_in_the_way_of_others() {
    expect_arrival_at([192, 0, 2, 4], io::ErrorKind::NetworkUnreachable, &exchangers_with_both_kinds(4)).await;
}

#[tokio::test]
async fn if_ipv6_leads_nowhere_many_exchangers_are_not_all_tried_by_it() {
    for ipv6 in [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut] {
        expect_arrival_at([192, 0, 2, 2], ipv6, &exchangers_with_both_kinds(5)).await;
    }
}

/// So many exchangers, each with an address of either kind.
fn exchangers_with_both_kinds(count: u8) -> String {
    let lines = |n: u8| format!("x.test MX {n} h{n}.test\nh{n}.test A 192.0.2.{n}\nh{n}.test AAAA 2001:db8::{n}\n");
    (1..=count).map(lines).collect()
}

#[tokio::test]
async fn many_addresses_of_a_host_are_not_in_the_way_of_the_next() {
    let down: String = (1..=9_u8).map(|n| format!("h1.test A 192.0.2.{n}\n")).collect();
    let zone = format!("x.test MX 1 h1.test\nx.test MX 2 h2.test\n{down}h2.test A 192.0.2.10");
    expect_arrival_at([192, 0, 2, 10], io::ErrorKind::NetworkUnreachable, &zone).await;
}

#[tokio::test]
async fn a_connection_from_before_a_reload_is_not_used_again() {
    let (near, far) = tokio::io::duplex(1 << 12);
    let outbound = outbound(vec![near]);
    expect_another_session(&outbound, far, || outbound.parts.settings.set(OutboundSettings::default())).await;
}

/// Its domain may have other exchangers by now.
#[tokio::test]
async fn a_connection_is_not_used_for_ever() {
    let (near, far) = tokio::io::duplex(1 << 12);
    let clock = Arc::new(Hand::at(Timestamp::EPOCH));
    let outbound = outbound_at(vec![near], Arc::clone(&clock) as SharedClock);
    let wait = || clock.advance(Duration::from_secs(301));
    expect_another_session(&outbound, far, wait).await;
}

#[tokio::test]
async fn a_connection_from_before_the_clock_was_put_back_is_not_used_again() {
    let (near, far) = tokio::io::duplex(1 << 12);
    let clock = Arc::new(Hand::at(Timestamp::EPOCH));
    let outbound = outbound_at(vec![near], Arc::clone(&clock) as SharedClock);
    let put_back = || clock.put_back(Duration::from_secs(3_600));
    expect_another_session(&outbound, far, put_back).await;
}

#[tokio::test]
async fn a_connection_is_not_used_again_once_its_host_has_to_show_more() {
    let (near, far) = tokio::io::duplex(1 << 12);
    let zone = Arc::new(ZoneResolver::new());
    zone.add("x.test SECURE A 192.0.2.1").unwrap();
    let clock = Arc::new(Hand::at(Timestamp::EPOCH));
    let outbound = outbound_in(Arc::clone(&zone), vec![near], Arc::clone(&clock) as SharedClock);
    let publish = || {
        zone.add(&format!("_25._tcp.x.test SECURE TLSA 3 1 1 {}", "00".repeat(32))).unwrap();
        clock.advance(Duration::from_secs(10));
    };
    expect_another_session(&outbound, far, publish).await;
}

#[tokio::test]
async fn messages_in_a_row_do_not_wait_for_the_dns() {
    let (near, far) = tokio::io::duplex(1 << 12);
    let zone = Arc::new(ZoneResolver::new());
    zone.add("x.test SECURE A 192.0.2.1").unwrap();
    let clock = Arc::new(Hand::at(Timestamp::EPOCH));
    let outbound = outbound_in(Arc::clone(&zone), vec![near], Arc::clone(&clock) as SharedClock);
    let mut courier = outbound.courier(Destination::Exchangers("x.test".parse().unwrap()));
    let sending = async move {
        let (mut outcomes, mut asked) = (sent(&mut courier, &["a@x.test"]).await, Vec::new());
        // The time since the message before, in seconds.
        for passed in [0, 9, 1, 9] {
            clock.advance(Duration::from_secs(passed));
            let before = zone.questions();
            outcomes.extend(sent(&mut courier, &["b@x.test"]).await);
            asked.push(zone.questions() > before);
        }
        (outcomes, asked)
    };
    let unused = CancellationToken::new();
    let ((outcomes, asked), messages) = tokio::join!(sending, one_at_a_time(far, "RCPTMAX=1", &unused));
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{outcomes:?}");
    assert_eq!((messages, asked), (5, vec![false, false, true, false]));
}

/// RFC 7672 §8.1
#[tokio::test]
async fn a_host_is_asked_for_the_certificate_of_the_name_with_the_records() {
    let alias = "x.test SECURE MX 10 mx.x.test\nmx.x.test SECURE CNAME real.y.test\nreal.y.test SECURE A 192.0.2.1\n";
    for base in ["mx.x.test", "real.y.test"] {
        let zone = Arc::new(ZoneResolver::new());
        zone.add(&format!("{alias}_25._tcp.{base} SECURE TLSA 3 1 1 {}", "00".repeat(32))).unwrap();
        let Outbound { parts, .. } = outbound_in(zone, vec![], Arc::new(SystemClock));
        let settings = parts.settings.get();
        let shuffle = Shuffle::of(QueueId::generate(Timestamp::EPOCH), Timestamp::EPOCH);
        let destination = Destination::Exchangers("x.test".parse().unwrap());
        let host = hosts(&*parts.resolver, &destination, &parts.hostname, shuffle).await.unwrap().remove(0);
        let addresses = host_addresses(&*parts.resolver, &host, settings.families, shuffle).await.unwrap();
        let (way, sts, certainty) = (way(&settings, &destination), None, Certainty::Sure);
        let (destination, addresses, wish) = (&destination, &addresses, SenderWish::None);
        let candidate = Candidate { destination, way: &way, host: &host, addresses, sts, certainty, wish };
        let demanded = demand(&parts, &settings, &candidate).await.unwrap();
        assert_eq!(called(&host.name, &demanded.policy), base);
    }
}

#[tokio::test]
async fn who_waives_what_a_domain_demands_does_so_for_one_message() {
    let (near, far) = tokio::io::duplex(1 << 12);
    let zone = Arc::new(ZoneResolver::new());
    let records = format!("x.test SECURE A 192.0.2.1\n_25._tcp.x.test SECURE TLSA 3 1 1 {}", "00".repeat(32));
    zone.add(&records).unwrap();
    let outbound = outbound_in(zone, vec![near], Arc::new(SystemClock));
    let mut courier = outbound.courier(Destination::Exchangers("x.test".parse().unwrap()));
    let sending = async move {
        let waiving = "Subject: x\r\ntls-required:\r\n no\r\n\r\nx\r\n";
        let waived =
            [sent_as(&mut courier, waiving, &["a@x.test"]).await, sent_as(&mut courier, waiving, &["b@x.test"]).await];
        // It goes neither over the kept session nor over a new one.
        (waived.concat(), sent(&mut courier, &["c@x.test"]).await)
    };
    let unused = CancellationToken::new();
    let ((waived, after), messages) = tokio::join!(sending, one_at_a_time(far, "RCPTMAX=1", &unused));
    assert!(waived.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{waived:?}");
    assert!(matches!(&after[..], [Outcome::Trouble(trouble)] if !trouble.is_permanent()), "{after:?}");
    assert_eq!(messages, 2);
}

#[tokio::test]
async fn who_gives_up_waits_for_the_message_on_its_way_and_sends_no_other() {
    let (near, far) = tokio::io::duplex(1 << 12);
    let mut courier = outbound(vec![near]).courier(Destination::Exchangers("x.test".parse().unwrap()));
    let envelope = envelope();
    let recipients = ["a@x.test", "b@x.test"].map(|to| Recipient::plain(to.parse().unwrap()));
    let message = Carried::new(Message::new("Subject: x\r\n\r\nx\r\n"), ());
    let (give_up, stage) = (CancellationToken::new(), Stage::default());
    let sending = async {
        let group = Group {
            id: QueueId::generate(Timestamp::EPOCH),
            envelope: &envelope,
            recipients: &recipients,
            message: &message,
            before_end: &|_| Box::pin(std::future::ready(Ok(()))),
        };
        let attempts = courier.attempt(group, Haste { give_up: &give_up, stage: &stage }).await;
        courier.finish().await;
        attempts
    };
    let (attempts, messages) = tokio::join!(sending, one_at_a_time(far, "RCPTMAX=1", &give_up));
    assert!(matches!(attempts[0].outcome, Outcome::Relayed { .. }), "{attempts:?}");
    let put_off = match &attempts[1].outcome {
        Outcome::Trouble(trouble) => trouble.status.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!((put_off.as_str(), messages), ("4.4.5", 1));
}
