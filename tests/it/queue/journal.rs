//! Events are kept, found and deleted.

use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::clock::{Clock, SharedClock, SystemClock, Timestamp};
use postrider::foundations::event::{Event, EventKind};
use postrider::foundations::ids::{MailId, QueueId, SessionId};
use postrider::foundations::settings::{ByteSize, Live, Span};
use postrider::foundations::tasks::Tasks;
use postrider::services::trace::{Asked, Period, Trace};
use postrider::storage::database::Database;
use postrider::storage::journal::{BUCKET, Believed, Journal, JournalSettings, Order, Query, Search};

use crate::harness::TestClock;

crate::accounts::engines::on_every_engine!(
    finds_what_was_recorded,
    gathers_no_longer_than_there_is_room,
    gathers_no_longer_than_it_runs_or_is_waited_for,
    tells_what_it_could_not_keep,
    one_event_that_is_refused_costs_no_others,
    forgets_by_age_and_number,
    forgets_by_age_what_came_after_a_time_with_the_clock_ahead,
    forgets_by_size,
    forgets_when_much_has_come,
    forgets_nothing_because_a_clock_has_jumped,
    counts_by_time_kind_and_outcome,
    survives_odd_texts,
    searches_in_pieces,
);

fn open(database: Database, settings: JournalSettings) -> (Journal, Tasks) {
    let tasks = Tasks::new();
    let clock: SharedClock = Arc::new(SystemClock);
    (Journal::start(database, Live::new(settings), clock, &tasks), tasks)
}

async fn finds_what_was_recorded(database: Database) {
    let (journal, tasks) = open(database, JournalSettings::default());
    let now = SystemClock.now();
    let (mail, queue, session) = (MailId::generate(now), QueueId::generate(now), SessionId::generate(now));
    journal.record(
        Event::new(now, EventKind::MessageReceived)
            .mail(mail)
            .session(session)
            .subject("Ann@Example.test")
            .with("message_id", "<a.b@c>")
            .with("size", 12),
    );
    let later = now + Duration::from_secs(1);
    journal.record(Event::new(later, EventKind::Relayed).mail(mail).queue(queue).subject("bob@example.net"));
    journal.record(Event::new(later, EventKind::Lifecycle));
    journal.flush().await;
    let find = async |search| {
        let query = Query { search: Some(search), ..Query::default() };
        journal.query(&query).await.unwrap().into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    use EventKind::{Lifecycle, MessageReceived, Relayed};
    assert_eq!(find(Search::Mails(vec![mail])).await, [MessageReceived, Relayed]);
    assert_eq!(find(Search::Mails(Vec::new())).await, []);
    assert_eq!(find(Search::Queue(queue)).await, [Relayed]);
    assert_eq!(find(Search::Session(session)).await, [MessageReceived]);
    assert_eq!(find(Search::MessageId("a.b@c".to_owned())).await, [MessageReceived]);
    assert_eq!(find(Search::Address("ann@example.test".parse().unwrap())).await, [MessageReceived]);
    let newest = Query { order: Order::NewestFirst, limit: 1, kinds: vec![Lifecycle, Relayed], ..Query::default() };
    assert_eq!(journal.query(&newest).await.unwrap()[0].kind, Lifecycle);
    let window = Query { since: Some(now), until: Some(later), ..Query::default() };
    let found = journal.query(&window).await.unwrap();
    assert_eq!((found.len(), found[0].details["size"].as_u64()), (1, Some(12)));
    assert_eq!(journal.counts().written, 3);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn gathers_no_longer_than_there_is_room(database: Database) {
    let settings = JournalSettings { gather_for: Span::hours(1), waiting: 40, ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings);
    let record = |events: u64| {
        for n in 0..events {
            journal.record(Event::new(SystemClock.now(), EventKind::Queued).with("n", n));
        }
    };
    record(1);
    journal.flush().await;
    assert_eq!(journal.counts().written, 1);
    let written = async || {
        while journal.counts().written < 21 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Half of the waiting limit is written at once. Events the writer took before it began to gather no longer wait, so
    // the first round may leave too few.
    record(20);
    if tokio::time::timeout(Duration::from_secs(5), written()).await.is_err() {
        record(20);
        tokio::time::timeout(Duration::from_secs(20), written()).await.expect("half of what may wait is written");
    }
    assert_eq!(journal.counts().dropped, 0);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn gathers_no_longer_than_it_runs_or_is_waited_for(database: Database) {
    let settings = JournalSettings { gather_for: Span::hours(1), ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings);
    let record = async || {
        journal.record(Event::new(SystemClock.now(), EventKind::Queued));
        // Long enough for the writer to take it and begin to gather.
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    record().await;
    assert_eq!(journal.counts().written, 0);
    tokio::time::timeout(Duration::from_secs(30), journal.flush()).await.expect("a flush ends the gathering");
    assert_eq!(journal.counts().written, 1);
    record().await;
    assert!(tasks.stop(Duration::from_secs(30)).await);
    assert_eq!(journal.counts().written, 2);
}

async fn tells_what_it_could_not_keep(database: Database) {
    let settings = JournalSettings { waiting: 16, ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings);
    // Far more than can be written meanwhile.
    for _ in 0..20_000 {
        journal.record(Event::new(SystemClock.now(), EventKind::Queued));
    }
    journal.flush().await;
    // Events dropped after the last write are reported with the next event.
    journal.record(Event::new(SystemClock.now(), EventKind::Queued));
    journal.flush().await;
    let dropped = journal.counts().dropped;
    assert!(dropped > 0);
    let query = Query { kinds: vec![EventKind::Lifecycle], ..Query::default() };
    let told = journal.query(&query).await.unwrap();
    let told: u64 = told.iter().map(|event| event.details["events_dropped"].as_u64().unwrap()).sum();
    assert_eq!(told, dropped);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn one_event_that_is_refused_costs_no_others(database: Database) {
    database.execute("CREATE UNIQUE INDEX only_once ON events (message_id)", &[]).await.unwrap();
    let settings = JournalSettings { gather_for: Span::hours(1), ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings);
    for id in ["<a@x.test>", "<b@x.test>", "<a@x.test>", "<c@x.test>"] {
        journal.record(Event::new(SystemClock.now(), EventKind::Queued).with("message_id", id));
    }
    journal.flush().await;
    assert_eq!((journal.counts().written, journal.counts().dropped), (3, 1));
    assert_eq!(journal.query(&Query::default()).await.unwrap().len(), 3);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn forgets_by_age_and_number(database: Database) {
    let settings = JournalSettings { keep_for: Span::days(1), keep_at_most: 100, ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings.clone());
    let clock: SharedClock = Arc::new(SystemClock);
    let now = clock.now();
    for n in 0..1_500 {
        journal.record(Event::new(Timestamp::from_unix_seconds(n), EventKind::Queued));
    }
    for n in 0..250u64 {
        journal.record(Event::new(now, EventKind::Queued).with("n", n));
    }
    journal.flush().await;
    assert_eq!(journal.prune(&settings, &clock).await.unwrap(), 1_650);
    let left = journal.query(&Query::default()).await.unwrap();
    assert_eq!((left.len(), left[0].details["n"].as_u64()), (100, Some(150)));
    assert_eq!(journal.prune(&settings, &clock).await.unwrap(), 0);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn forgets_by_age_what_came_after_a_time_with_the_clock_ahead(database: Database) {
    let settings = JournalSettings { keep_for: Span::days(1), ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings.clone());
    let clock: SharedClock = Arc::new(SystemClock);
    let ahead = clock.now() + Duration::from_secs(365 * 86_400);
    for _ in 0..1_500 {
        journal.record(Event::new(ahead, EventKind::Queued));
    }
    for n in 0..10 {
        journal.record(Event::new(Timestamp::from_unix_seconds(n), EventKind::Queued));
    }
    journal.flush().await;
    assert_eq!(journal.prune(&settings, &clock).await.unwrap(), 10);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn forgets_by_size(database: Database) {
    let settings = JournalSettings { keep_size: ByteSize::kib(100), ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings.clone());
    let clock: SharedClock = Arc::new(SystemClock);
    for _ in 0..300 {
        journal.record(Event::new(clock.now(), EventKind::Failed).with("reply", "x".repeat(700)));
    }
    journal.flush().await;
    journal.prune(&settings, &clock).await.unwrap();
    let left = journal.query(&Query::default()).await.unwrap().len();
    // About a thousand octets each.
    assert!((90..=110).contains(&left), "{left}");
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn forgets_when_much_has_come(database: Database) {
    let settings = JournalSettings { keep_at_most: 100, prune_every: Span::days(1_000), ..JournalSettings::default() };
    let (journal, tasks) = open(database.clone(), settings);
    let now = SystemClock.now();
    for _ in 0..10_000 {
        journal.record(Event::new(now, EventKind::Queued));
    }
    journal.flush().await;
    crate::harness::until("old events are deleted", async || {
        let row = database.fetch_optional("SELECT COUNT(*) FROM events", &[]).await.unwrap().unwrap();
        row.int(0).unwrap() == 100
    })
    .await;
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

/// A clock set forward by mistake costs nothing if it is set back soon, and otherwise only time.
async fn forgets_nothing_because_a_clock_has_jumped(database: Database) {
    // Background work would be counted there.
    let settings = JournalSettings { prune_every: Span::days(1_000), ..JournalSettings::default() };
    let (tasks, test_clock) = (Tasks::new(), TestClock::new());
    let clock: SharedClock = Arc::new(test_clock.clone());
    let begin = || Journal::start(database.clone(), Live::new(settings.clone()), Arc::clone(&clock), &tasks);
    let day = Duration::from_secs(86_400);
    let journal = begin();
    for _ in 0..5 {
        journal.record(Event::new(clock.now(), EventKind::Queued));
    }
    journal.flush().await;
    // Another process, or the same one after a restart: it has not checked the clock before.
    test_clock.advance(day * 40);
    let journal = begin();
    assert_eq!(journal.prune(&settings, &clock).await.unwrap(), 0);
    let jumped = journal.believes_the_clock().await.unwrap();
    assert_eq!(jumped, Believed::NotBefore(clock.now() + day * 3));
    for _ in 0..2 {
        test_clock.advance(day);
        assert_eq!(begin().believes_the_clock().await.unwrap(), jumped);
        assert_eq!(journal.prune(&settings, &clock).await.unwrap(), 0);
    }
    test_clock.advance(day);
    assert_eq!(begin().believes_the_clock().await.unwrap(), Believed::Yes);
    assert_eq!(journal.prune(&settings, &clock).await.unwrap(), 5);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn counts_by_time_kind_and_outcome(database: Database) {
    let settings = JournalSettings { keep_counts_for: Span::hours(1), ..JournalSettings::default() };
    let (journal, tasks) = open(database, settings.clone());
    let clock: SharedClock = Arc::new(SystemClock);
    let step = Duration::from_secs(900);
    // The middle of an interval, some days ago.
    let whole = i64::try_from(step.as_micros()).unwrap();
    let then = clock.now() - Duration::from_secs(2 * 86_400);
    let begin = Timestamp::from_unix_micros(then.unix_micros() - then.unix_micros() % whole);
    for second in [0, 1, 200, 310, 890, 900] {
        let at = begin + Duration::from_secs(second);
        journal.record(Event::new(at, EventKind::MessageReceived).subject(format!("s{}@x.test", second % 10)));
        journal.record(Event::new(at, EventKind::Verdict).with("decision", "junk"));
    }
    let refused = Event::new(begin, EventKind::RecipientRefused).with("reason", "No such user here; bye");
    journal.record(refused);
    journal.flush().await;
    let kinds = [EventKind::MessageReceived, EventKind::RecipientRefused];
    let counted = journal.counted(&kinds, begin, step).await.unwrap();
    let plain: Vec<_> =
        counted.iter().map(|count| (count.at.since(begin).as_secs(), count.outcome.as_str(), count.number)).collect();
    assert_eq!(plain, [(0, "", 5), (0, "No such user here", 1), (900, "", 1)]);
    let fine = journal.counted(&[EventKind::Verdict], begin + Duration::from_secs(300), BUCKET).await.unwrap();
    let plain: Vec<_> = fine.iter().map(|count| (count.at.since(begin).as_secs(), count.number)).collect();
    assert_eq!((plain, fine[0].outcome.as_str()), (vec![(300, 1), (600, 1), (900, 1)], "junk"));
    let busiest = journal.busiest(&[EventKind::MessageReceived], begin, 1).await.unwrap();
    assert_eq!(busiest, [("s0@x.test".to_owned(), 5)]);
    // A second batch is added to what is there.
    journal.record(Event::new(begin, EventKind::MessageReceived));
    journal.flush().await;
    assert_eq!(journal.counted(&[EventKind::MessageReceived], begin, step).await.unwrap()[0].number, 6);
    journal.prune(&settings, &clock).await.unwrap();
    assert!(journal.counted(&kinds, begin, step).await.unwrap().is_empty(), "counts are forgotten by age");
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

async fn survives_odd_texts(database: Database) {
    let (journal, tasks) = open(database, JournalSettings::default());
    let now = SystemClock.now();
    let odd = "nul \0, newline \n, quote ' \" \\, smile \u{1f600}";
    journal.record(Event::new(now, EventKind::Failed).subject(odd).with("message_id", odd).with("reply", odd));
    journal.record(Event::new(now, EventKind::Failed).subject("x".repeat(5_000)).with("huge", "y".repeat(100_000)));
    // Events recorded while everything stops are still written.
    assert!(tasks.stop(Duration::from_secs(5)).await);
    assert_eq!(journal.counts().written, 2);
    let found = journal.query(&Query::default()).await.unwrap();
    assert_eq!(found[0].details["reply"].as_str(), Some(odd));
    assert!(found[1].details.contains_key("left_out"));
}

async fn searches_in_pieces(database: Database) {
    let (journal, tasks) = open(database.clone(), JournalSettings::default());
    let now = SystemClock.now();
    journal.record(Event::new(now, EventKind::Failed).subject("ann@example.test").with("reply", "550 Needle_100%"));
    journal.record(Event::new(now, EventKind::RecipientRefused).subject("bob@here").with("from", "eva@far.test"));
    journal.record(Event::new(now, EventKind::Lifecycle).with("what", "hay"));
    journal.flush().await;
    for _ in 0..15 {
        let double =
            "INSERT INTO events (at, kind, details) SELECT at, kind, details FROM events WHERE kind = 'lifecycle'";
        database.execute(double, &[]).await.unwrap();
    }
    let asked =
        |words: &[&str]| Query { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Query::default() };
    let patient = journal.search(&asked(&["needle_100%", "ANN@"]), None, Duration::MAX).await.unwrap();
    assert_eq!((patient.events.len(), patient.next, patient.back_to), (1, None, None));
    let nothing = journal.search(&asked(&["needle0100"]), None, Duration::MAX).await.unwrap();
    assert_eq!((nothing.events.len(), nothing.next), (0, None), "nothing in a word stands for anything else");
    let odd =
        Event::new(now, EventKind::Deferred).subject("eve@example.test").with("reply", "[x] (y|z) a.b*c+$^ {1} grün!%");
    journal.record(odd);
    journal.flush().await;
    for (word, wanted) in [
        ("[X]", 1),
        ("(y|Z)", 1),
        ("A.B*C+$^", 1),
        ("{1}", 1),
        ("grün", 1),
        ("N!%", 1),
        ("xample.tes", 2),
        ("[y]", 0),
        ("a.b*c+$^x", 0),
        (".", 3),
        ("(?i)", 0),
        ("\\E", 0),
        ("y|z)", 1),
        ("eed|odd", 0),
        (".", 3),
    ] {
        let found = journal.search(&asked(&[word]), None, Duration::MAX).await.unwrap();
        assert_eq!(found.events.len(), wanted, "{word}");
    }

    // A caller without time gets a part, and continues from there.
    let (mut from, mut rounds, mut found) = (None, 0, Vec::new());
    loop {
        let piece = journal.search(&asked(&["needle"]), from, Duration::ZERO).await.unwrap();
        rounds += 1;
        found.extend(piece.events);
        assert_eq!(piece.back_to.is_some(), piece.next.is_some());
        match piece.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    assert!(rounds > 2 && found.len() == 1 && found[0].kind == EventKind::Failed, "{rounds}: {found:?}");

    // A patient caller finds the refusal of a sender; others are told how far the search got.
    let (trace, eva) = (Trace::new(journal.clone()), "eva@far.test".parse::<Asked>().unwrap());
    let waited = trace.clone().within(Duration::MAX).find(&eva, Period::default()).await.unwrap();
    assert_eq!((waited.besides.len(), waited.mentions_back_to, waited.cut), (1, None, false));
    let hasty = trace.within(Duration::ZERO).find(&eva, Period::default()).await.unwrap();
    assert_eq!((hasty.besides.len(), hasty.cut), (0, false));
    assert!(hasty.mentions_back_to.is_some());

    // A full answer says where it ended, and nothing is repeated or left out.
    let few = Query { limit: 1_000, kinds: vec![EventKind::Lifecycle], ..Query::default() };
    let (mut from, mut count) = (None, 0);
    loop {
        let page = journal.search(&few, from, Duration::MAX).await.unwrap();
        count += page.events.len();
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(count, 1 << 15);
    let before = Query { until: Some(now), ..Query::default() };
    assert_eq!(journal.search(&before, None, Duration::MAX).await.unwrap().events, []);
    tasks.stop(Duration::from_secs(5)).await;
}
