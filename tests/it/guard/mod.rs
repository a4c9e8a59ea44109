//! Bans: kept over a restart, shared between machines, passed on to the packet filter.

mod packet_filter;

use std::sync::Arc;
use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::clock::SharedClock;
use postrider::foundations::event::EventKind;
use postrider::foundations::mail::Peer;
use postrider::foundations::secret::Secret;
use postrider::foundations::settings::{Live, Span};
use postrider::foundations::tasks::Tasks;
use postrider::services::guard::{
    Failure, Guard, GuardSettings, NftablesSettings, RateShare, Service, Sharing, SharingParts,
};
use postrider::storage::database::{Database, Dialect, Val};
use postrider::storage::journal::{Journal, JournalSettings, Query};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::accounts::engines::{on_every_engine, run};
use crate::harness::{Host, TestClock};

on_every_engine!(
    bans_are_shared,
    a_ban_by_hand_outlasts_an_earned_one,
    known_networks_are_shared,
    rates_are_shared,
    rates_that_were_committed_late_are_shared,
    guesses_at_several_processes_are_counted_together,
);

struct Machine {
    guard: Guard,
    sharing: Sharing,
    settings: Live<GuardSettings>,
}

fn machine(database: &Database, clock: &TestClock, journal: &Journal, nftables: NftablesSettings) -> Machine {
    let clock: SharedClock = Arc::new(clock.clone());
    let settings = GuardSettings { failures: 2, ban: Span::minutes(10), nftables, ..GuardSettings::default() };
    let settings = Live::new(settings);
    let guard = Guard::new(settings.clone(), Arc::clone(&clock));
    let (database, journal) = (database.clone(), journal.clone());
    let parts = SharingParts { guard: guard.clone(), settings: settings.clone(), database, journal, clock };
    Machine { guard, sharing: Sharing::new(parts), settings }
}

fn journal(database: &Database, clock: &TestClock, tasks: &Tasks) -> Journal {
    Journal::start(database.clone(), Live::new(JournalSettings::default()), Arc::new(clock.clone()), tasks)
}

fn peer() -> Peer {
    Peer::Tcp("192.0.2.7:4000".parse().unwrap())
}

static GUESS: Secret<String> = Secret::new(String::new());

fn wrong(account: &str) -> Failure<'_> {
    Failure::Login { account, password: &GUESS }
}

impl Machine {
    fn misbehave(&self) {
        for _ in 0..2 {
            self.guard.failed(&peer(), Failure::Session);
        }
    }

    fn refuses(&self) -> bool {
        self.guard.admit(&peer(), Service::Imap).is_err()
    }
}

async fn bans_are_shared(database: Database) {
    let (clock, tasks) = (TestClock::new(), Tasks::new());
    let journal = journal(&database, &clock, &tasks);
    let start = || machine(&database, &clock, &journal, NftablesSettings::default());
    let (mut one, mut other) = (start(), start());
    one.misbehave();
    one.guard.ban("2001:db8::/48".parse().unwrap(), None, "by hand", Some("alice")).unwrap();
    // Another role of the same server is told, too; that leaves one event.
    other.guard.ban_as_elsewhere("2001:db8::/48".parse().unwrap(), None, "by hand").unwrap();
    assert!(one.refuses() && !other.refuses());
    one.sharing.exchange().await.unwrap();
    other.sharing.exchange().await.unwrap();
    assert!(other.refuses());
    assert_eq!(other.guard.bans(), one.guard.bans());
    // A restart forgets nothing.
    let mut again = start();
    again.sharing.exchange().await.unwrap();
    assert_eq!(again.guard.bans(), one.guard.bans());
    // A ban lifted by one is lifted everywhere, and stays lifted.
    assert_eq!(other.guard.unban("192.0.2.7/32".parse().unwrap(), None), 1);
    assert_eq!(other.guard.unban("2001:db8::/48".parse().unwrap(), Some("bob")), 1);
    for machine in [&mut other, &mut one, &mut again] {
        machine.sharing.exchange().await.unwrap();
        assert!(!machine.refuses());
        assert_eq!(machine.guard.bans(), []);
    }
    // The next ban is twice as long, and the one after it twice as long again, wherever it is earned.
    one.misbehave();
    one.sharing.exchange().await.unwrap();
    clock.advance(Duration::from_secs(21 * 60));
    let mut late = start();
    late.sharing.exchange().await.unwrap();
    assert!(!late.refuses());
    late.misbehave();
    clock.advance(Duration::from_secs(21 * 60));
    assert!(late.refuses());
    journal.flush().await;
    let events = journal.query(&Query { kinds: vec![EventKind::Ban], ..Query::default() }).await.unwrap();
    let lifted = events.iter().filter(|event| event.details["action"] == "lifted").count();
    assert_eq!((events.len(), lifted), (5, 2), "{events:#?}");
    let mut named: Vec<_> = events.iter().filter_map(|event| event.details.get("administrator")?.as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, ["alice", "bob"], "nobody is named for what follows from failures");
    tasks.stop(Duration::from_secs(10)).await;
}

#[test]
fn more_bans_at_once_than_one_answer_holds_are_all_read() {
    run(Dialect::Sqlite, |database| async move {
        let (clock, tasks) = (TestClock::new(), Tasks::new());
        let journal = journal(&database, &clock, &tasks);
        let now = postrider::foundations::clock::Clock::now(&clock);
        let columns = ["network", "ends_at", "reason", "origin", "bans", "changed_at"];
        let rows: Vec<Vec<Val>> = (0..20_500_u32)
            .map(|n| {
                let network = format!("{}/32", std::net::Ipv4Addr::from_bits(0x0a00_0000 + n));
                let until = now + Duration::from_secs(3_600);
                vec![network.into(), until.into(), "".into(), "earned".into(), 1_u32.into(), now.into()]
            })
            .collect();
        let mut transaction = database.begin().await.unwrap();
        transaction.insert_many("bans", &columns, &rows).await.unwrap();
        transaction.commit().await.unwrap();
        let mut one = machine(&database, &clock, &journal, NftablesSettings::default());
        one.sharing.exchange().await.unwrap();
        assert_eq!(one.guard.bans().len(), rows.len());
        tasks.stop(Duration::from_secs(10)).await;
    });
}

async fn a_ban_by_hand_outlasts_an_earned_one(database: Database) {
    let (clock, tasks) = (TestClock::new(), Tasks::new());
    let journal = journal(&database, &clock, &tasks);
    let start = || machine(&database, &clock, &journal, NftablesSettings::default());
    let (mut one, mut other) = (start(), start());
    let network = "192.0.2.7/32".parse().unwrap();
    one.guard.ban(network, None, "by hand", None).unwrap();
    one.sharing.exchange().await.unwrap();
    // The client holds connections to both; the other does not know of the ban yet.
    one.misbehave();
    other.misbehave();
    one.sharing.exchange().await.unwrap();
    other.sharing.exchange().await.unwrap();
    // Its own ban has expired, and the manual one survives a restart.
    clock.advance(Duration::from_secs(11 * 60));
    let mut again = start();
    again.sharing.exchange().await.unwrap();
    assert!(again.refuses());
    // When both are lifted, no machine keeps either.
    again.misbehave();
    assert_eq!(again.guard.unban(network, None), 2);
    for machine in [&mut again, &mut one, &mut other] {
        machine.sharing.exchange().await.unwrap();
        assert!(!machine.refuses());
        assert_eq!(machine.guard.bans(), []);
    }
    tasks.stop(Duration::from_secs(10)).await;
}

async fn known_networks_are_shared(database: Database) {
    let (clock, tasks) = (TestClock::new(), Tasks::new());
    let journal = journal(&database, &clock, &tasks);
    let start = || machine(&database, &clock, &journal, NftablesSettings::default());
    let ann = "ann@example.test";
    // Whether the peer is let in while others guess passwords from everywhere.
    let is_let_in = |machine: &Machine, account: &str| {
        for n in 0..30 {
            let guesser = Peer::Tcp(format!("10.{n}.0.1:4000").parse().unwrap());
            machine.guard.failed(&guesser, wrong(account));
        }
        let stranger = Peer::Tcp("198.51.100.1:4000".parse().unwrap());
        assert!(machine.guard.may_log_in(&stranger, account).is_err());
        machine.guard.may_log_in(&peer(), account).is_ok()
    };
    let (mut one, mut other) = (start(), start());
    assert!(!is_let_in(&start(), ann));
    one.guard.logged_in(&peer(), "Ann@example.test");
    one.sharing.exchange().await.unwrap();
    other.sharing.exchange().await.unwrap();
    assert!(is_let_in(&other, ann) && !is_let_in(&other, "bob@example.test"));
    // It logs in repeatedly, and is known for a month after the last time.
    for _ in 0..20 {
        clock.advance(Duration::from_secs(86_400));
        one.guard.logged_in(&peer(), ann);
    }
    one.sharing.exchange().await.unwrap();
    clock.advance(Duration::from_secs(20 * 86_400));
    let mut restarted = start();
    restarted.sharing.exchange().await.unwrap();
    assert!(is_let_in(&restarted, ann));
    clock.advance(Duration::from_secs(11 * 86_400));
    let mut late = start();
    late.sharing.exchange().await.unwrap();
    assert!(!is_let_in(&late, ann) && !is_let_in(&restarted, ann));
    tasks.stop(Duration::from_secs(10)).await;
}

fn sharing_rates(share_rates: bool, database: &Database, clock: &TestClock, journal: &Journal) -> Machine {
    let clock: SharedClock = Arc::new(clock.clone());
    let settings = Live::new(GuardSettings { share_rates, ..GuardSettings::default() });
    let guard = Guard::new(settings.clone(), Arc::clone(&clock));
    let (database, journal) = (database.clone(), journal.clone());
    let parts = SharingParts { guard: guard.clone(), settings: settings.clone(), database, journal, clock };
    Machine { guard, sharing: Sharing::new(parts), settings }
}

/// A transaction may end later than one that began after it, and its rows then have smaller numbers.
async fn rates_that_were_committed_late_are_shared(database: Database) {
    let (clock, tasks) = (TestClock::new(), Tasks::new());
    let journal = journal(&database, &clock, &tasks);
    let mut machine = sharing_rates(true, &database, &clock, &journal);
    let now = postrider::foundations::clock::Clock::now(&clock);
    let hour = Duration::from_secs(3_600);
    let copies = |units| [RateShare { what: "copies an hour", units, count: 10, period: hour }];
    for (id, process) in [(1_000, "quick"), (999, "slow")] {
        let values: [Val; 5] = [
            i64::from(id).into(),
            process.into(),
            now.into(),
            "named copies an hour ann@example.test".into(),
            (4 * 360_000_000_i64).into(),
        ];
        let sql = "INSERT INTO shared_rates (id, process, at, rate, micros) VALUES (?, ?, ?, ?, ?)";
        database.execute(sql, &values).await.unwrap();
        machine.sharing.exchange().await.unwrap();
    }
    assert!(machine.guard.take("ann@example.test", &copies(3)).is_err());
    // Rows that are read again are not counted again.
    machine.sharing.exchange().await.unwrap();
    assert_eq!(machine.guard.take("ann@example.test", &copies(2)), Ok(()));
    tasks.stop(Duration::from_secs(10)).await;
}

/// Otherwise a password guesser would have as many times the tries as there are processes and machines.
async fn guesses_at_several_processes_are_counted_together(database: Database) {
    let (clock, tasks) = (TestClock::new(), Tasks::new());
    let journal = journal(&database, &clock, &tasks);
    let start = || sharing_rates(false, &database, &clock, &journal);
    let (mut one, mut other) = (start(), start());
    let guess = |machine: &Machine, times: u8| {
        for n in 0..times {
            let guesser = Peer::Tcp(format!("198.51.100.{n}:4000").parse().unwrap());
            machine.guard.failed(&guesser, wrong("ann@example.test"));
        }
    };
    let is_open = |machine: &Machine| machine.guard.may_log_in(&peer(), "ann@example.test").is_ok();
    // Twenty is the limit.
    guess(&one, 12);
    guess(&other, 8);
    assert!(is_open(&one) && is_open(&other));
    for machine in [&mut one, &mut other] {
        machine.sharing.exchange().await.unwrap();
    }
    assert!(!is_open(&other));
    one.sharing.exchange().await.unwrap();
    assert!(!is_open(&one));
    // Nor does a restart restore the tries.
    let mut restarted = start();
    restarted.sharing.exchange().await.unwrap();
    assert!(!is_open(&restarted));
    tasks.stop(Duration::from_secs(10)).await;
}

async fn rates_are_shared(database: Database) {
    let (clock, tasks) = (TestClock::new(), Tasks::new());
    let journal = journal(&database, &clock, &tasks);
    let machine = |share_rates| sharing_rates(share_rates, &database, &clock, &journal);
    let (mut one, mut other, mut alone) = (machine(true), machine(true), machine(false));
    let connect = |machine: &Machine, times: u32| {
        (0..times).filter(|_| machine.guard.admit(&peer(), Service::Smtp).is_ok()).count()
    };
    // Thirty a minute are allowed.
    assert_eq!(connect(&one, 20), 20);
    let hour = Duration::from_secs(3_600);
    let copies = |units| [RateShare { what: "copies an hour", units, count: 10, period: hour }];
    assert_eq!(one.guard.take("ann@example.test", &copies(8)), Ok(()));
    for machine in [&mut one, &mut other, &mut alone] {
        machine.sharing.exchange().await.unwrap();
    }
    assert_eq!(connect(&other, 30), 10);
    assert!(other.guard.take("ann@example.test", &copies(3)).is_err());
    assert_eq!(connect(&alone, 40), 30);
    // Nothing is reported twice, and what was used up comes back with time.
    for _ in 0..2 {
        one.sharing.exchange().await.unwrap();
        other.sharing.exchange().await.unwrap();
    }
    assert_eq!(connect(&one, 30), 0);
    clock.advance(Duration::from_secs(61));
    one.sharing.exchange().await.unwrap();
    assert_eq!(connect(&one, 31), 30);
    clock.advance(Duration::from_secs(700));
    one.sharing.exchange().await.unwrap();
    one.sharing.exchange().await.unwrap();
    let old = "SELECT COUNT(*) FROM shared_rates WHERE at < ?";
    let before = postrider::foundations::clock::Clock::now(&clock) - Duration::from_secs(600);
    let rows = database.fetch_optional(old, &[before.into()]).await.unwrap().unwrap();
    assert_eq!(rows.int(0).unwrap(), 0);
    tasks.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_bring_so_much_and_no_more() {
    let settings = "[guard]\ntrusted = []\nfailures = 3\n[guard.traffic]\nmessages_per_minute = 4\n\
                    recipients_per_minute = 6\nmessages_per_mailbox_per_hour = 3\nunknown_recipients_per_hour = 1";
    let host = Host::start().settings(settings).user("ann@example.test").user("bob@example.test").await;
    let mut smtp = host.smtp().await;
    let message = "From: eve@far.test\r\nSubject: x\r\n\r\nx\r\n";
    for wanted in ["250", "250", "250", "450 4.2.1"] {
        let reply = smtp.deliver("eve@far.test", &["ann+tag@example.test"], message).await;
        assert!(reply.text().starts_with(wanted), "{}", reply.text());
    }
    let reply = smtp.deliver("eve@far.test", &["bob@example.test"], message).await;
    assert!(reply.text().starts_with("450 4.7.1"), "{}", reply.text());
    // Our users are counted separately.
    let mut ours = host.submission("ann@example.test").await;
    let own = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    for _ in 0..6 {
        assert_eq!(ours.deliver("ann@example.test", &["bob@example.test"], own).await.code, 250);
    }
    host.clock().advance(Duration::from_secs(61));
    smtp.ok("MAIL FROM:<eve@far.test>").await;
    // The client may name six in a minute. A mailbox that is only named keeps its own allowance.
    for _ in 0..6 {
        smtp.ok("RCPT TO:<bob@example.test>").await;
    }
    let reply = smtp.command("RCPT TO:<bob@example.test>").await;
    assert!(reply.text().starts_with("450 4.7.1"), "{}", reply.text());
    smtp.ok("RSET").await;
    host.clock().advance(Duration::from_secs(61));
    // Nor does a recipient named twice get two messages.
    for (to, wanted) in [
        (&["bob@example.test"; 2][..], "250"),
        (&["bob@example.test"], "250"),
        (&["bob@example.test"], "250"),
        (&["bob@example.test"], "450 4.2.1"),
    ] {
        let reply = smtp.deliver("eve@far.test", to, message).await;
        assert!(reply.text().starts_with(wanted), "{}", reply.text());
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_many_who_do_not_exist_leads_to_a_ban() {
    let settings = "[guard]\ntrusted = []\nfailures = 3\n[guard.traffic]\nunknown_recipients_per_hour = 2";
    let host = Host::start().settings(settings).user("ann@example.test").await;
    // A new session each time, as address harvesters do.
    for n in 0..5 {
        let mut smtp = host.smtp().await;
        smtp.ok("MAIL FROM:<eve@far.test>").await;
        assert_eq!(smtp.command(&format!("RCPT TO:<x{n}@example.test>")).await.code, 550);
    }
    assert_eq!(host.parts().guard.bans().len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_client_gets_no_handshake() {
    let host = Host::start().settings("[guard]\ntrusted = []").user("ann@example.test").await;
    host.parts().guard.ban("127.0.0.0/8".parse().unwrap(), None, "", None).unwrap();
    for protocol in [Protocol::Submissions, Protocol::Imaps, Protocol::Pop3s] {
        // It sends nothing: a server that waits for its handshake would wait for half a minute.
        let mut client = TcpStream::connect(host.address(protocol)).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(20), client.read(&mut [0; 1])).await;
        assert_eq!(closed.unwrap().unwrap(), 0, "{protocol:?}");
    }
    // Where TLS has not begun, it is told why.
    for protocol in [Protocol::Smtp, Protocol::Submission, Protocol::Imap, Protocol::Pop3] {
        let mut client = TcpStream::connect(host.address(protocol)).await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(said.contains("Your address is not served here"), "{protocol:?}: {said}");
    }
    // Each service reports it once.
    let events = host.events(&Query { kinds: vec![EventKind::ConnectionRefused], ..Query::default() }).await;
    let mut services: Vec<&str> = events.iter().filter_map(|event| event.details["service"].as_str()).collect();
    services.sort_unstable();
    assert_eq!(services, ["imap", "pop3", "smtp", "submission"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_again_and_again_does_not_fill_the_journal() {
    let host = Host::start().settings("[guard]\ntrusted = []").user("ann@example.test").await;
    host.parts().guard.ban("127.0.0.0/8".parse().unwrap(), None, "", None).unwrap();
    let connect = async || {
        let mut client = TcpStream::connect(host.address(Protocol::Smtp)).await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("421 4.7.0 "), "{said}");
    };
    let query = Query { kinds: vec![EventKind::ConnectionRefused], ..Query::default() };
    for _ in 0..40 {
        connect().await;
    }
    assert_eq!(host.events(&query).await.len(), 1);
    host.clock().advance(Duration::from_secs(61));
    connect().await;
    connect().await;
    let events = host.events(&query).await;
    let times: Vec<Option<u64>> = events.iter().map(|event| event.details.get("times")?.as_u64()).collect();
    // It and the 39 unreported ones before it.
    assert_eq!(times, [None, Some(40)]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sent_uses_nothing_up() {
    let settings = "[guard]\ntrusted = []\n[submission]\nmessages_per_hour = 2\nrecipients_per_hour = 3";
    let users = ["ann@example.test", "bob@example.test", "cat@example.test", "dan@example.test"];
    let host = users.iter().fold(Host::start().settings(settings), |host, user| host.user(user)).await;
    let mut smtp = host.submission("ann@example.test").await;
    let message = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    for (to, wanted) in [
        (&users[..1], "250"),
        // Only two copies are left.
        (&users[..3], "450 4.7.1"),
        (&users[..3], "450 4.7.1"),
        // Waiting will not help.
        (&users[..], "550 5.5.3"),
        (&users[1..2], "250"),
        (&users[..1], "450 4.7.1"),
    ] {
        let reply = smtp.deliver("ann@example.test", to, message).await;
        assert!(reply.text().starts_with(wanted), "{to:?}: {}", reply.text());
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudden_rise_is_an_event() {
    let settings = "[guard]\ntrusted = []\n[submission]\nrise_from = 3\nrecipients_per_hour = 5";
    let host = Host::start().settings(settings).user("ann@example.test").await;
    let mut smtp = host.submission("ann@example.test").await;
    let message = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    for wanted in [250, 250, 250, 250, 250, 450] {
        assert_eq!(smtp.deliver("ann@example.test", &["ann@example.test"], message).await.code, wanted);
    }
    let events = host.events(&Query { kinds: vec![EventKind::SendingRise], ..Query::default() }).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].subject.as_deref(), Some("ann@example.test"));
    assert_eq!(events[0].details["copies"], 3);
    // The metric that alerts use.
    let mut talk = host.plain(postrider::config::Protocol::Metrics).await;
    talk.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned()).await;
    let mut figure = String::new();
    while figure.is_empty() {
        figure =
            Some(talk.line().await).filter(|line| line.starts_with("postrider_sending_rises ")).unwrap_or_default();
    }
    assert_eq!(figure.trim_end_matches(".0"), "postrider_sending_rises 1");
    host.stop().await;
}
