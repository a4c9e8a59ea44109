//! A single query shows where a message is, and why.

use postrider::foundations::clock::Clock as _;
use postrider::foundations::event::EventKind;
use postrider::services::trace::{Asked, Period, Trace, Wording};
use postrider::storage::database::Database;

use super::peer::Peer;
use super::world::{SetUp, World, mail};

crate::accounts::engines::on_every_engine!(tells_the_whole_journey);

async fn tells_the_whole_journey(database: Database) {
    let world = World::new(database, SetUp::default());
    world.zone.add("x.test A 192.0.2.1\nnull.test MX 0 .\nsender.test A 192.0.2.2").unwrap();
    let peer = world.network.host("192.0.2.1", Peer::new());
    world.network.host("192.0.2.2", Peer::new());
    peer.answers("RCPT TO:<a@x.test>", "451 4.7.1 Greylisted", 1);
    world.queue.start();
    let mail = mail(&["a@x.test", "b@null.test"]);
    let id = world.send(&mail).await;
    world.until_tried(id, 1).await;
    world.clock.advance(std::time::Duration::from_secs(600));
    world.until_empty().await;
    let trace = Trace::new(world.journal.clone());
    let find = async |text: &str| {
        world.journal.flush().await;
        trace.find(&text.parse::<Asked>().unwrap(), Period::default()).await.unwrap()
    };
    let ending = "given up for b@null.test; passed on for a@x.test";
    world.until("it is recorded", async || find(&mail.id.to_string()).await.journeys[0].ending == ending).await;
    for asked in ["<1@example.test>", "1@example.test", "A@x.test", "ann@sender.test", &id.to_string()] {
        let traced = find(asked).await;
        let journey = traced.journeys.iter().find(|journey| journey.mail == mail.id).unwrap();
        assert_eq!(journey.ending, ending, "{asked}");
        let words = traced.to_string();
        assert!(words.contains("451 4.7.1 Greylisted; the next attempt is at "), "{words}");
        assert!(words.contains("The sender ann@sender.test was notified: failed; about b@null.test"), "{words}");
    }
    let sent = world.events(id, EventKind::NotificationSent).await;
    let notification = sent[0].details["notification_mail"].as_str().unwrap();
    for asked in [format!("<{notification}@mail.example.test>"), notification.to_owned()] {
        let traced = find(&asked).await;
        assert_eq!((traced.journeys.len(), traced.journeys[0].mail.to_string().as_str()), (1, notification));
        assert_eq!(traced.journeys[0].ending, "passed on for ann@sender.test");
    }
    assert!(find("nobody@x.test").await.journeys.is_empty());
    let search = async |words: &str, period| {
        let words = words.split(' ').map(str::to_owned).collect();
        trace.search(&Wording { words, period, limit: 50, ..Wording::default() }).await.unwrap().events
    };
    let ever = Period::default();
    let found = search("GREYLISTED a@X.test", ever).await;
    assert!(!found.is_empty() && found.iter().all(|step| step.words.contains("451 4.7.1 Greylisted")), "{found:?}");
    assert!(search("greylisted b@null.test", ever).await.is_empty());
    assert!(search("grey%listed", ever).await.is_empty() && search("greylist_d", ever).await.is_empty());
    let now = Some(world.clock.now());
    let before = Period { since: None, until: now.map(|now| now - std::time::Duration::from_secs(300)) };
    assert_eq!(search("greylisted", before).await.len(), found.len(), "the first attempt was ten minutes ago");
    assert!(search("greylisted", Period { since: before.until, until: None }).await.is_empty());
    let asked = "A@x.test".parse::<Asked>().unwrap();
    assert_eq!(trace.find(&asked, before).await.unwrap().journeys[0].ending, ending, "the whole journey is told");
    let later = Period { since: now.map(|now| now + std::time::Duration::from_secs(1)), until: None };
    assert!(trace.find(&asked, later).await.unwrap().journeys.is_empty());
    let json = serde_json::to_value(find("A@x.test").await).unwrap();
    assert_eq!(json["journeys"][0]["steps"][0]["kind"], "queued");
    world.restart().await;
}
