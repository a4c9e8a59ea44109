use super::super::pass::Penalty;
use super::super::settings::ServiceRates;
use super::*;
use crate::foundations::clock::Hand;
use crate::foundations::settings::Span;

fn guard(settings: GuardSettings) -> (Guard, Arc<Hand>) {
    let clock = Arc::new(Hand::at(Timestamp::from_unix_seconds(1_000_000)));
    (Guard::new(Live::new(settings), Arc::clone(&clock) as SharedClock), clock)
}

fn peer(address: &str) -> Peer {
    Peer::Tcp(format!("{address}:1000").parse().unwrap())
}

static OUTDATED: Secret<String> = Secret::new(String::new());

/// A login with the same wrong password each time.
fn wrong(account: &str) -> Failure<'_> {
    Failure::Login { account, password: &OUTDATED }
}

#[test]
fn at_once_is_given_back() {
    let (guard, _) = guard(GuardSettings { smtp: ServiceRates { per_minute: 0, at_once: 2 }, ..Default::default() });
    let client = peer("192.0.2.1");
    let first = guard.admit(&client, Service::Smtp).unwrap();
    let _second = guard.admit(&client, Service::Smtp).unwrap();
    let refusal = guard.admit(&client, Service::Smtp).unwrap_err();
    assert_eq!(refusal.smtp, Some((421, "4.7.0".into())));
    assert!(guard.admit(&client, Service::Imap).is_ok());
    assert!(guard.admit(&peer("192.0.2.2"), Service::Smtp).is_ok());
    drop(first);
    assert!(guard.admit(&client, Service::Smtp).is_ok());
}

#[test]
fn per_minute_says_when_to_come_back() {
    let (guard, clock) = guard(GuardSettings::default());
    let client = peer("[2001:db8::1]");
    for n in 0..30 {
        // Another address of the same /64 is the same client.
        let client = if n % 2 == 0 { client } else { peer("[2001:db8::2]") };
        assert!(guard.admit(&client, Service::Smtp).is_ok());
    }
    let refusal = guard.admit(&client, Service::Smtp).unwrap_err();
    assert!(refusal.public.ends_with("try again in 2 seconds"), "{refusal}");
    clock.advance(Duration::from_secs(2));
    assert!(guard.admit(&client, Service::Smtp).is_ok());
}

#[test]
fn trusted_peers_are_not_counted() {
    let (guard, _) = guard(GuardSettings::default());
    let passes: Vec<Pass> = (0..100)
        .flat_map(|_| [peer("127.0.0.1"), peer("[::1]"), peer("[::ffff:127.0.0.1]"), Peer::Unix])
        .map(|peer| guard.admit(&peer, Service::Smtp).unwrap())
        .collect();
    assert_eq!(passes.len(), 400);
    for _ in 0..100 {
        assert_eq!(guard.failed(&peer("127.0.0.1"), wrong("ann")), Duration::ZERO);
    }
    assert!(guard.bans().is_empty());
}

#[test]
fn failures_slow_down_then_ban_and_bans_grow() {
    let (guard, clock) = guard(GuardSettings { account_failures: 0, ..Default::default() });
    let client = peer("192.0.2.1");
    let delays: Vec<u64> = (0..10).map(|_| guard.failed(&client, wrong("ann")).as_secs()).collect();
    assert_eq!(delays, [0, 1, 2, 4, 8, 15, 15, 15, 15, 15]);
    assert!(guard.admit(&client, Service::Imap).is_err());
    assert!(guard.may_log_in(&client, "eve").is_err());
    assert!(guard.admit(&peer("192.0.2.2"), Service::Imap).is_ok());
    assert_eq!(guard.bans().len(), 1);
    clock.advance(Duration::from_secs(601));
    assert!(guard.admit(&client, Service::Imap).is_ok());
    for _ in 0..10 {
        guard.failed(&client, Failure::Session);
    }
    clock.advance(Duration::from_secs(601));
    assert!(guard.admit(&client, Service::Imap).is_err(), "the second ban is twice as long");
    assert_eq!(guard.unban("192.0.2.0/24".parse().unwrap(), None), 1);
    assert!(guard.admit(&client, Service::Imap).is_ok());
}

#[test]
fn a_guessed_account_stays_open_to_its_owner() {
    let (guard, _) = guard(GuardSettings { account_failures: 5, ..Default::default() });
    let owner = peer("198.51.100.1");
    guard.logged_in(&owner, "Ann@example.test");
    for n in 0..5 {
        guard.failed(&peer(&format!("192.0.{n}.1")), wrong("ann@example.test"));
    }
    let refusal = guard.may_log_in(&peer("203.0.113.1"), "ann@example.test").unwrap_err();
    assert_eq!(refusal.smtp, Some((454, "4.7.0".into())));
    assert!(guard.may_log_in(&owner, "ann@example.test").is_ok());
    for _ in 0..50 {
        guard.failed(&owner, wrong("ann@example.test"));
    }
    assert!(guard.bans().is_empty());
    assert!(guard.may_log_in(&peer("203.0.113.1"), "eve@example.test").is_ok());
}

#[test]
fn an_outdated_password_does_not_make_the_next_mistake_a_ban() {
    let (guard, _) = guard(GuardSettings::default());
    let household = peer("198.51.100.1");
    guard.logged_in(&household, "ann@example.test");
    let fail = |account| guard.failed(&household, wrong(account)).as_secs();
    // Ann's old phone goes on trying, ever slower.
    let delays: Vec<u64> = (0..50).map(|_| fail("ann@example.test")).collect();
    assert_eq!((&delays[..6], delays[49]), (&[0, 1, 2, 4, 8, 15][..], 15));
    // A visitor mistypes.
    fail("eve@example.test");
    assert_eq!(guard.bans(), []);
    assert!(guard.admit(&household, Service::Imap).is_ok());
    // Whoever guesses there is banned as everywhere.
    for _ in 0..9 {
        fail("eve@example.test");
    }
    assert_eq!(guard.bans().len(), 1);
}

/// Somebody in the network of the owner's provider could guess for ever.
#[test]
fn guesses_from_a_network_that_has_logged_in_are_banned() {
    let (guard, _) = guard(GuardSettings::default());
    let (owner, neighbour) = (peer("198.51.100.1"), peer("198.51.100.2"));
    guard.logged_in(&owner, "ann@example.test");
    let guess = |client: &Peer, n: u32| {
        let password = Secret::new(format!("guess {n}"));
        guard.failed(client, Failure::Login { account: "ann@example.test", password: &password });
    };
    for n in 0..10 {
        assert!(guard.may_log_in(&neighbour, "ann@example.test").is_ok(), "{n}");
        guess(&neighbour, n);
    }
    assert!(guard.may_log_in(&neighbour, "ann@example.test").is_err());
    // The owner's own devices go on with what they have.
    for _ in 0..50 {
        for password in 0..5 {
            guess(&owner, password);
        }
    }
    assert!(guard.may_log_in(&owner, "ann@example.test").is_ok());
    assert_eq!(guard.bans().len(), 1);
}

/// Whoever has an IPv6 /48 has 256 networks to guess from.
#[test]
fn failures_are_counted_by_ipv6_48_too() {
    let settings = GuardSettings { failures: 2, network_factor: 2, account_failures: 0, ..Default::default() };
    let (guard, _) = guard(settings.clone());
    // One failure of each /56: none is a reason to ban it.
    for n in 1..=8 {
        let client = peer(&format!("[2001:db8:1:{n}00::1]"));
        assert!(guard.admit(&client, Service::Imap).is_ok(), "{n}");
        guard.failed(&client, Failure::Session);
    }
    assert_eq!(guard.bans().iter().map(|ban| ban.network.to_string()).collect::<Vec<_>>(), ["2001:db8:1::/48"]);
    assert!(guard.admit(&peer("[2001:db8:1:ff00::1]"), Service::Imap).is_err());
    assert!(guard.admit(&peer("[2001:db8:2::1]"), Service::Imap).is_ok());
    // Without a limit for networks there is none here.
    let (guard, _) = self::guard(GuardSettings { network_factor: 0, ..settings });
    for n in 1..=255 {
        guard.failed(&peer(&format!("[2001:db8:1:{n:x}00::1]")), Failure::Session);
    }
    assert_eq!(guard.bans(), []);
}

#[test]
fn an_outdated_password_at_home_keeps_nobody_out_elsewhere() {
    let (guard, _) = guard(GuardSettings { account_failures: 5, ..Default::default() });
    let (home, hotel) = (peer("198.51.100.1"), peer("203.0.113.1"));
    guard.logged_in(&home, "ann@example.test");
    for _ in 0..50 {
        guard.failed(&home, wrong("ann@example.test"));
    }
    assert!(guard.may_log_in(&hotel, "ann@example.test").is_ok());
}

#[test]
fn bans_by_hand() {
    let (guard, clock) = guard(GuardSettings::default());
    guard.ban("198.51.100.7/24".parse().unwrap(), Some(Duration::from_secs(60)), "spam", None).unwrap();
    guard.ban("2001:db8::/32".parse().unwrap(), None, "", None).unwrap();
    assert_eq!(guard.bans().len(), 2);
    assert!(guard.admit(&peer("198.51.100.200"), Service::Smtp).is_err());
    assert!(guard.admit(&peer("[2001:db8:1::1]"), Service::Smtp).is_err());
    clock.advance(Duration::from_secs(61));
    assert!(guard.admit(&peer("198.51.100.200"), Service::Smtp).is_ok());
    assert_eq!(guard.unban("2001:db8:1::1/128".parse().unwrap(), None), 1);
    assert!(guard.admit(&peer("[2001:db8:1::1]"), Service::Smtp).is_ok());
}

#[test]
fn a_ban_of_one_ipv6_address_keeps_that_one_out() {
    let (guard, _) = guard(GuardSettings::default());
    guard.ban("2001:db8::5/128".parse().unwrap(), None, "", None).unwrap();
    guard.ban("2001:db8:0:1::/96".parse().unwrap(), None, "", None).unwrap();
    assert!(guard.admit(&peer("[2001:db8::5]"), Service::Smtp).is_err());
    assert!(guard.may_log_in(&peer("[2001:db8::5]"), "ann@example.test").is_err());
    assert!(guard.admit(&peer("[2001:db8::6]"), Service::Smtp).is_ok());
    assert!(guard.admit(&peer("[2001:db8:0:1::7]"), Service::Smtp).is_err());
    assert!(guard.admit(&peer("[2001:db8:0:1:1::7]"), Service::Smtp).is_ok());
}

#[test]
fn errors_of_a_session() {
    let settings =
        GuardSettings { patient_errors: 2, most_errors: 4, error_delay: Span::seconds(3), ..Default::default() };
    let (guard, _) = guard(settings);
    let mut pass = guard.admit(&peer("192.0.2.1"), Service::Smtp).unwrap();
    let penalties: Vec<Penalty> = (0..5).map(|_| pass.error()).collect();
    let delay = |seconds| Penalty::Delay(Duration::from_secs(seconds));
    assert_eq!(penalties, [Penalty::None, Penalty::None, delay(3), delay(6), Penalty::Disconnect]);
    let mut pass = guard.admit(&Peer::Unix, Service::Lmtp).unwrap();
    assert_eq!((0..4).map(|_| pass.error()).collect::<Vec<_>>(), [Penalty::None; 4]);
}

/// Clients let in or kept out while the clock was a year ahead do not have to wait for a year.
#[test]
fn a_clock_put_back_keeps_nobody_out() {
    let (guard, clock) = guard(GuardSettings { failures: 3, account_failures: 3, ..Default::default() });
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    clock.advance(YEAR);
    let (good, bad) = (peer("192.0.2.1"), peer("198.51.100.1"));
    assert!(guard.admit(&good, Service::Smtp).is_ok());
    for _ in 0..3 {
        guard.failed(&bad, wrong("ann"));
    }
    assert!(guard.admit(&bad, Service::Smtp).is_err() && guard.may_log_in(&good, "ann").is_err());
    clock.put_back(YEAR);
    assert!(guard.may_log_in(&good, "ann").is_ok());
    // A minute for the client's own rate, and one for its network's.
    for _ in 0..2 {
        let _ = guard.admit(&good, Service::Smtp);
        clock.advance(Duration::from_secs(61));
    }
    assert!(guard.admit(&good, Service::Smtp).is_ok());
    assert!(guard.admit(&bad, Service::Smtp).is_ok() && guard.bans().is_empty());
    // Failures count as ever.
    for _ in 0..3 {
        guard.failed(&bad, wrong("ann"));
    }
    assert!(guard.admit(&bad, Service::Smtp).is_err());
    assert_eq!(guard.bans().len(), 1);
}
