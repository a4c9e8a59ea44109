//! DKIM keys that are exchanged on a schedule.

use std::time::Duration;

use postrider::foundations::event::{Event, EventKind};
use postrider::services::filter::authentication::dkim::{DkimResult, verify};
use postrider::storage::journal::Query;

use crate::harness::{Host, Peer, cli};

const DAY: Duration = Duration::from_secs(86_400);

/// Waits until so many steps have been recorded; all of them, the first one first, as action and selector.
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

/// Publishes what is to be published.
async fn publish(host: &Host) {
    for event in events(host).await.iter().filter(|event| event.details["action"] == "announced") {
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
    // Nothing signs whose record is not there.
    let message = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    let send = async |count: usize| {
        let mut smtp = host.submission("ann@example.test").await;
        assert_eq!(smtp.deliver("ann@example.test", &["bob@far.test"], message).await.code, 250);
        peer.wait_for(count).await[count - 1].content.clone()
    };
    assert!(!send(1).await.contains("DKIM-Signature"));
    publish(&host).await;
    host.clock().advance(Duration::from_secs(61));
    assert_eq!(steps(&host, 2).await[1], ("active".to_owned(), first.clone()));
    let signed = until_signed(&send, &first).await;
    let signatures = verify(host.zone(), signed.as_bytes()).await;
    assert_eq!(signatures.dkim.iter().map(|s| s.result).collect::<Vec<_>>(), [DkimResult::Pass]);
    // The next pair is made ahead, and waits for its record and its day.
    host.clock().advance(DAY * 84);
    let second = steps(&host, 3).await[2].clone();
    assert_eq!(second.0, "announced");
    host.clock().advance(DAY * 7);
    // It is late: the old one goes on.
    assert_eq!(steps(&host, 3).await.len(), 3);
    publish(&host).await;
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

/// Sends until the filter has taken the key over, which follows its event by a moment.
async fn until_signed(send: &impl AsyncFn(usize) -> String, selector: &str) -> String {
    for count in 2..200 {
        let content = send(count).await;
        if content.contains(&format!("s={selector};")) {
            return content;
        }
    }
    panic!("nothing is signed");
}
