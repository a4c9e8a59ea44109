//! DKIM keys rotated on a schedule.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::event::{Event, EventKind};
use postrider::foundations::settings::Live;
use postrider::foundations::tasks::Tasks;
use postrider::services::filter::authentication::dkim::{Algorithm, DkimResult, verify};
use postrider::services::filter::rotation::{Rotation, RotationParts};
use postrider::services::filter::{DkimRotationSettings, DkimSettings, FilterSettings};
use postrider::storage::database::Dialect;
use postrider::storage::journal::{Journal, JournalSettings, Query};

use crate::accounts::engines::run;
use crate::harness::{Host, Peer, TestClock, cli, until};

const DAY: Duration = Duration::from_secs(86_400);

/// Waits until this many steps have been recorded; returns all, the first one first, as action and selector.
async fn steps(host: &Host, count: usize) -> Vec<(String, String)> {
    for _ in 0..4_000 {
        let events = events(host).await;
        if events.len() >= count {
            return events
                .iter()
                .map(|event| {
                    let text = |name: &str| event.details[name].as_str().unwrap().to_owned();
                    (text("action"), text("selector"))
                })
                .collect();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("only {:#?}", events(host).await);
}

async fn events(host: &Host) -> Vec<Event> {
    let mut events = host.events(&Query { kinds: vec![EventKind::SigningKey], ..Query::default() }).await;
    events.sort_by_key(|event| (event.at, event.details["selector"].to_string()));
    events
}

/// Publishes a domain's pending records.
async fn publish(host: &Host, domain: &str) {
    let events = events(host).await;
    let of_domain = events.iter().filter(|event| event.subject.as_deref() == Some(domain));
    for event in of_domain.filter(|event| event.details["action"] == "announced") {
        let text = |name: &str| event.details[name].as_str().unwrap().to_owned();
        host.zone().remove(&text("publish"));
        host.zone().add(&format!("{} TXT {}", text("publish"), text("record"))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_announced_put_in_force_and_retired() {
    let place = tempfile::tempdir().unwrap();
    let settings = format!(
        "[journal]\nkeep_for = \"1000d\"\n[spam.dkim.rotation]\ndirectory = \"{}\"\ndomains = [\"example.test\"]\nalgorithms = [\"ed25519\"]",
        place.path().join("dkim").display()
    );
    let peer = Peer::start().await;
    let host = Host::start().settings(&settings).user("ann@example.test");
    let host = host.dns("far.test MX 10 mx.far.test\nmx.far.test A 192.0.2.25").await;
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    let first = steps(&host, 1).await[0].1.clone();
    // A key without a published record does not sign.
    let message = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    let send = async |count: usize| {
        let mut smtp = host.submission("ann@example.test").await;
        assert_eq!(smtp.deliver("ann@example.test", &["bob@far.test"], message).await.code, 250);
        peer.wait_for(count).await[count - 1].content.clone()
    };
    assert!(!send(1).await.contains("DKIM-Signature"));
    publish(&host, "example.test").await;
    host.clock().advance(Duration::from_secs(61));
    assert_eq!(steps(&host, 2).await[1], ("active".to_owned(), first.clone()));
    let signed = until_signed(&send, &first).await;
    let signatures = verify(host.zone(), signed.as_bytes(), Duration::MAX).await;
    assert_eq!(signatures.dkim.iter().map(|s| s.result).collect::<Vec<_>>(), [DkimResult::Pass]);
    // The next pair is made in advance, and waits for its record and its day.
    host.clock().advance(DAY * 84);
    let second = steps(&host, 3).await[2].clone();
    assert_eq!(second.0, "announced");
    host.clock().advance(DAY * 7);
    // It is late: the old one continues.
    assert_eq!(steps(&host, 3).await.len(), 3);
    publish(&host, "example.test").await;
    host.clock().advance(Duration::from_secs(61));
    let mut switched = steps(&host, 5).await.split_off(3);
    switched.sort();
    let mut wanted = [("active".to_owned(), second.1.clone()), ("retired".to_owned(), first.clone())];
    wanted.sort();
    assert_eq!(switched, wanted);
    host.clock().advance(DAY * 7);
    assert_eq!(steps(&host, 6).await[5], ("deleted".to_owned(), first.clone()));
    let files: Vec<String> = std::fs::read_dir(place.path().join("dkim/example.test"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".pem"))
        .collect();
    assert_eq!(files, [format!("{}.pem", second.1)]);
    let (listed, _) = cli::run(&host.config(), &["dkim", "list"], "").await;
    assert_eq!(
        (&listed[0]["selector"], &listed[0]["state"]),
        (&second.1.as_str().into(), &"active".into()),
        "{listed}"
    );
    host.stop().await;
}

/// Waits until a step for a domain has been recorded this often.
async fn until_recorded(host: &Host, domain: &str, action: &str, count: usize) {
    until(&format!("{count} times {action} of {domain}"), async || {
        let events = events(host).await;
        let of_domain = events.iter().filter(|event| event.subject.as_deref() == Some(domain));
        of_domain.filter(|event| event.details["action"] == action).count() >= count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_takes_no_signature_away() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("dkim");
    std::fs::create_dir_all(directory.join("broken.test")).unwrap();
    std::fs::write(directory.join("broken.test/state.json"), "{").unwrap();
    let settings = format!(
        "[journal]\nkeep_for = \"1000d\"\n[spam.dkim.rotation]\ndirectory = \"{}\"\ndomains = [\"broken.test\", \"example.test\", \"last.test\"]\nalgorithms = [\"ed25519\"]",
        directory.display()
    );
    let peer = Peer::start().await;
    let host = Host::start().settings(&settings).user("ann@example.test");
    let host = host.dns("far.test MX 10 mx.far.test\nmx.far.test A 192.0.2.25").await;
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    let message = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    let send = async |count: usize| {
        let mut smtp = host.submission("ann@example.test").await;
        assert_eq!(smtp.deliver("ann@example.test", &["bob@far.test"], message).await.code, 250);
        peer.wait_for(count).await[count - 1].content.clone()
    };
    // A problem with one domain does not affect the others.
    until_recorded(&host, "last.test", "announced", 1).await;
    publish(&host, "example.test").await;
    host.clock().advance(Duration::from_secs(61));
    until_recorded(&host, "example.test", "active", 1).await;
    let key = events(&host).await.into_iter().find(|event| event.details["action"] == "active").unwrap();
    let key = key.details["selector"].as_str().unwrap().to_owned();
    send(1).await;
    until_signed(&send, &key).await;
    // Nor does it take away what a domain had. The second step of the last domain comes after the look that follows the
    // first.
    std::fs::write(directory.join("example.test/state.json"), "{").unwrap();
    publish(&host, "last.test").await;
    host.clock().advance(Duration::from_secs(61));
    until_recorded(&host, "last.test", "active", 1).await;
    host.clock().advance(DAY * 84);
    until_recorded(&host, "last.test", "announced", 2).await;
    let sent = peer.messages().len();
    assert!(send(sent + 1).await.contains(&format!("s={key};")));
    // Where a reload ends the rotation, its keys no longer sign.
    let mut spam = (*host.parts().live.spam.get()).clone();
    (spam.dkim.rotation.directory, spam.dkim.rotation.domains) = (None, Vec::new());
    host.parts().live.spam.set(spam);
    host.clock().advance(Duration::from_secs(61));
    until("no key signs", async || {
        let sent = peer.messages().len();
        !send(sent + 1).await.contains("DKIM-Signature")
    })
    .await;
    host.stop().await;
}

/// Sends until the filter has adopted the key, a moment after its event.
async fn until_signed(send: &impl AsyncFn(usize) -> String, selector: &str) -> String {
    for count in 2..200 {
        let content = send(count).await;
        if content.contains(&format!("s={selector};")) {
            return content;
        }
    }
    panic!("nothing is signed");
}

/// A key takes a while to be found, and its files a while to be on disk.
#[test]
fn nothing_else_waits_while_keys_are_made() {
    run(Dialect::Sqlite, |database| async move {
        let place = tempfile::tempdir().unwrap();
        let (clock, tasks) = (TestClock::new(), Tasks::new());
        let directory = Some(place.path().join("dkim"));
        let rotation = DkimRotationSettings { directory, algorithms: vec![Algorithm::Rsa], ..Default::default() };
        let dkim = DkimSettings { rotation, ..Default::default() };
        let journal_settings = Live::new(JournalSettings::default());
        let rotation = Rotation::new(RotationParts {
            settings: Live::new(FilterSettings { dkim, ..Default::default() }),
            resolver: Arc::new(ZoneResolver::new()),
            journal: Journal::start(database, journal_settings, Arc::new(clock.clone()), &tasks),
            clock: Arc::new(clock),
        });
        let domain = "example.test".parse().unwrap();
        let is_made = Cell::new(false);
        let making = async {
            let pairs = rotation.rotate(&domain).await;
            is_made.set(true);
            pairs
        };
        let others = async {
            let mut turns = 0_u32;
            while !is_made.get() {
                turns += 1;
                tokio::task::yield_now().await;
            }
            turns
        };
        let (pairs, turns) = tokio::join!(making, others);
        assert_eq!(pairs.unwrap().len(), 1);
        assert!(turns > 20, "others had only {turns} turns");
        tasks.stop(Duration::from_secs(10)).await;
    });
}
