use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::long_attempts::STALL;
use super::*;
use crate::foundations::address::ReversePath;
use crate::foundations::ids::MailId;
use crate::foundations::mail::{Envelope, Recipient};
use crate::foundations::settings::ByteSize;
use crate::services::queue::outcome::untried;
use crate::storage::spool::{Entry, Fate, Queued, RecipientState};

static KEYS: AtomicI64 = AtomicI64::new(0);
const NOW: Timestamp = Timestamp::from_unix_seconds(1_000_000);

fn group(destination: &str, recipients: i64) -> Claimed {
    let destination: Destination = destination.parse().unwrap();
    let envelope = Envelope::plain(ReversePath::Null, Vec::new());
    let entry = Entry {
        id: QueueId::generate(NOW),
        mail: MailId::generate(NOW),
        session: None,
        received_at: NOW,
        envelope,
        message_id: None,
        login: None,
        size: 1,
        hold_reason: None,
    };
    let recipient = |key| Queued {
        key: RecipientKey(key),
        recipient: Recipient::plain("a@x.test".parse().unwrap()),
        destination: destination.clone(),
        state: RecipientState::Waiting,
        due_at: NOW,
        expires_at: NOW,
        warn_at: None,
        attempts: 0,
        last_at: None,
        last_reply: None,
        report: None,
        owner: None,
        sending_since: None,
    };
    let first = KEYS.fetch_add(recipients, Ordering::Relaxed);
    let recipients = (first..first + recipients).map(recipient).collect();
    Claimed { entry: Arc::new(entry), destination, recipients }
}

fn settings() -> QueueSettings {
    QueueSettings {
        connections: 4,
        connections_per_destination: 3,
        first_connections: 2,
        recipients_in_memory: 40,
        connections_for_quick: 0,
        ..QueueSettings::default()
    }
}

fn started(lanes: &mut Lanes) -> Vec<String> {
    std::iter::from_fn(|| lanes.start_worker(&settings())).map(|group| group.destination.to_string()).collect()
}

#[test]
fn lanes_take_turns_within_their_limits() {
    let mut lanes = Lanes::default();
    for _ in 0..5 {
        lanes.add(group("mx:large.test", 1), &settings());
    }
    lanes.add(group("mx:small.test", 1), &settings());
    assert_eq!(started(&mut lanes), ["mx:large.test", "mx:small.test", "mx:large.test"]);
    let large: Destination = "mx:large.test".parse().unwrap();
    // Two more successes than the limit, and it may have one more connection, but never more than three.
    for _ in 0..20 {
        lanes.reached(&large, &settings());
    }
    assert_eq!(started(&mut lanes), ["mx:large.test"]);
    // Everything is taken: who comes now gets the next connection that becomes free.
    lanes.add(group("mx:late.test", 1), &settings());
    assert!(started(&mut lanes).is_empty());
    assert!(matches!(lanes.next(&large, NOW, &settings()), Next::End));
    lanes.end_worker(&large, NOW);
    assert_eq!(started(&mut lanes), ["mx:late.test"]);
    assert_eq!(lanes.workers(), 4);
}

#[test]
fn a_destination_that_does_not_answer_rests() {
    let mut lanes = Lanes::default();
    let dead: Destination = "mx:dead.test".parse().unwrap();
    for _ in 0..6 {
        lanes.add(group("mx:dead.test", 1), &settings());
    }
    assert_eq!(started(&mut lanes).len(), 2);
    assert!(lanes.unreached(&dead, "no answer", NOW, &settings()).is_empty());
    assert!(lanes.unreached(&dead, "no answer", NOW, &settings()).is_empty());
    assert_eq!(lanes.unreached(&dead, "no answer", NOW, &settings()).len(), 4);
    // Others were at it at the same time.
    for _ in 0..3 {
        lanes.unreached(&dead, "no answer", NOW, &settings());
    }
    let rest = lanes.resting(&dead, NOW).unwrap().clone();
    assert_eq!((rest.until, rest.why.as_str()), (NOW + Duration::from_secs(300), "no answer"));
    assert!(matches!(lanes.next(&dead, NOW, &settings()), Next::End));
    assert!(lanes.resting(&dead, rest.until).is_none());
    // A failure after the rest makes the next one longer; an answer ends it all.
    lanes.unreached(&dead, "no answer", rest.until, &settings());
    assert_eq!(lanes.resting(&dead, rest.until).unwrap().until, rest.until + Duration::from_secs(600));
    lanes.reached(&dead, &settings());
    assert!(lanes.resting(&dead, rest.until).is_none());
}

#[test]
fn lanes_whose_rest_is_over_are_forgotten() {
    let mut lanes = Lanes::default();
    let destination = |n: usize| format!("mx:d{n}.test").parse::<Destination>().unwrap();
    for n in 0..=MOST_IDLE {
        lanes.add(group(&format!("mx:d{n}.test"), 1), &settings());
        for _ in 0..settings().failures_before_rest {
            lanes.unreached(&destination(n), "no answer", NOW, &settings());
        }
    }
    lanes.end_worker(&destination(0), NOW);
    assert_eq!(lanes.lanes.len(), MOST_IDLE + 1, "all of them rest");
    lanes.end_worker(&destination(0), NOW + Duration::from_secs(3_600));
    assert_eq!(lanes.lanes.len(), 0);
}

fn step_aside(lanes: &mut Lanes, group: &Claimed, settings: &QueueSettings) -> (Aside, Arc<LongAttempt>) {
    let attempt = Arc::new(LongAttempt::default());
    (lanes.step_aside(group, &attempt, Instant::now(), settings), attempt)
}

#[test]
fn who_takes_long_steps_aside() {
    let settings = QueueSettings { connections_for_quick: 1, slow_connections: 2, ..settings() };
    let mut lanes = Lanes::default();
    for n in 0..6 {
        lanes.add(group(&format!("mx:stall{n}.test"), 1), &settings);
    }
    let start = |lanes: &mut Lanes| std::iter::from_fn(|| lanes.start_worker(&settings)).collect::<Vec<_>>();
    let first = start(&mut lanes);
    assert_eq!(first.len(), 3, "one place is kept");
    // Mailboxes may have it, and so may a destination that has been quick.
    lanes.add(group("local", 1), &settings);
    assert_eq!(start(&mut lanes).len(), 1);
    let (aside, long) = step_aside(&mut lanes, &first[0], &settings);
    let Aside::Stepped(number) = aside else { panic!("there is room") };
    assert_eq!(start(&mut lanes).len(), 1, "its place is free");
    assert!(matches!(step_aside(&mut lanes, &first[1], &settings).0, Aside::Stepped(_)));
    // There is no room aside: the oldest is to go, but not before it has gone does another take its place.
    assert_eq!(step_aside(&mut lanes, &first[2], &settings).0, Aside::NoRoom);
    assert!(long.give_up.is_cancelled());
    lanes.step_back(number);
    lanes.end_worker(&first[0].destination, NOW);
    assert!(matches!(step_aside(&mut lanes, &first[2], &settings).0, Aside::Stepped(_)));
    assert_eq!((lanes.workers(), lanes.places()), (4, 2));
}

#[test]
fn only_what_was_quick_counts_as_quick() {
    let settings = settings();
    let mut lanes = Lanes::default();
    let one: Destination = "mx:one.test".parse().unwrap();
    lanes.add(group("mx:one.test", 1), &settings);
    let taken = lanes.start_worker(&settings).unwrap();
    let (aside, _) = step_aside(&mut lanes, &taken, &settings);
    lanes.reached(&one, &settings);
    assert!(!lanes.is_quick(&one), "it took long");
    let Aside::Stepped(number) = aside else { panic!("there is room") };
    lanes.step_back(number);
    assert_eq!(lanes.doubtful, 1, "it has a usual place again");
    lanes.reached(&one, &settings);
    assert_eq!((lanes.is_quick(&one), lanes.doubtful), (true, 0));
    let (aside, _) = step_aside(&mut lanes, &taken, &settings);
    assert!(!lanes.is_quick(&one), "it takes long again");
    let Aside::Stepped(number) = aside else { panic!("there is room") };
    lanes.step_back(number);
    lanes.reached(&one, &settings);
    lanes.unreached(&one, "no answer", NOW, &settings);
    assert_eq!((lanes.is_quick(&one), lanes.doubtful), (false, 1));
    lanes.end_worker(&one, NOW);
    assert_eq!((lanes.doubtful, lanes.places()), (0, 0));
}

#[test]
fn what_may_have_arrived_or_goes_at_a_fair_rate_is_not_given_up() {
    let settings = QueueSettings { slow_rate: ByteSize::kib(1), ..settings() };
    let mut lanes = Lanes::default();
    let now = Instant::now();
    let attempts: Vec<Arc<LongAttempt>> = ["mx:ending.test", "mx:sending.test", "mx:opening.test"]
        .into_iter()
        .map(|destination| {
            let mut group = group(destination, 1);
            Arc::get_mut(&mut group.entry).unwrap().size = 10 * 1024;
            lanes.add(group.clone(), &settings);
            let attempt = Arc::new(LongAttempt::default());
            assert!(matches!(lanes.step_aside(&group, &attempt, now, &settings), Aside::Stepped(_)));
            attempt
        })
        .collect();
    attempts[0].stage.end();
    attempts[1].stage.send();
    let given_up = || attempts.iter().map(|attempt| attempt.give_up.is_cancelled()).collect::<Vec<_>>();
    lanes.give_up_oldest(now);
    assert_eq!(given_up(), [false, false, true]);
    lanes.give_up_oldest(now + Duration::from_secs(9));
    assert_eq!(given_up(), [false, false, true]);
    lanes.give_up_oldest(now + Duration::from_secs(10));
    assert_eq!(given_up(), [false, true, true]);
    lanes.give_up_oldest(now + Duration::from_secs(1_000));
    assert_eq!(given_up(), [false, true, true]);
}

#[test]
fn who_comes_back_finds_its_place_taken() {
    let settings = QueueSettings { connections: 1, ..settings() };
    let mut lanes = Lanes::default();
    let slow = group("mx:slow.test", 1);
    lanes.add(slow.clone(), &settings);
    lanes.start_worker(&settings).unwrap();
    let Aside::Stepped(number) = step_aside(&mut lanes, &slow, &settings).0 else { panic!("there is room") };
    lanes.add(group("mx:other.test", 1), &settings);
    lanes.start_worker(&settings).unwrap();
    lanes.add(group("mx:slow.test", 1), &settings);
    lanes.step_back(number);
    assert!(matches!(lanes.next(&slow.destination, NOW, &settings), Next::End));
    lanes.end_worker(&slow.destination, NOW);
    assert!(matches!(lanes.next(&"mx:other.test".parse().unwrap(), NOW, &settings), Next::End), "the other starves");
}

#[test]
fn good_destinations_are_remembered_longest() {
    let mut lanes = Lanes::default();
    let good: Destination = "mx:good.test".parse().unwrap();
    lanes.lanes.insert(good.clone(), Lane { quick: true, ..Lane::default() });
    for n in 0..MOST_IDLE {
        lanes.lanes.insert(format!("mx:d{n}.test").parse().unwrap(), Lane::default());
    }
    lanes.end_worker(&good, NOW);
    assert!(lanes.is_quick(&good) && lanes.lanes.len() == 1, "{}", lanes.lanes.len());
}

#[test]
fn backlogs_of_those_who_take_long_make_room() {
    let settings = settings();
    let mut lanes = Lanes::default();
    let (stall, other) = ("mx:stall.test".parse().unwrap(), "mx:other.test".parse().unwrap());
    let first = group("mx:stall.test", 10);
    lanes.add(first.clone(), &settings);
    lanes.start_worker(&settings).unwrap();
    lanes.add(group("mx:stall.test", 10), &settings);
    lanes.add(group("mx:other.test", 20), &settings);
    assert_eq!(lanes.capacity(&settings).recipients, 0);
    assert!(lanes.make_room(NOW).is_empty(), "nobody takes long yet");
    assert!(matches!(step_aside(&mut lanes, &first, &settings).0, Aside::Stepped(_)));
    assert_eq!(lanes.capacity(&settings).recipients, 10, "those of a slow attempt stand apart");
    lanes.add(group("mx:other.test", 10), &settings);
    assert_eq!(lanes.capacity(&settings).recipients, 0);
    assert_eq!(lanes.make_room(NOW).iter().map(|group| group.recipients.len()).sum::<usize>(), 10);
    assert_eq!(lanes.resting(&stall, NOW).unwrap().until, NOW + STALL);
    assert!(lanes.resting(&other, NOW).is_none());
}

#[test]
fn a_backlog_stays_where_somebody_is_quick_enough() {
    let settings = settings();
    let mut lanes = Lanes::default();
    let first = group("mx:half.test", 10);
    lanes.add(first.clone(), &settings);
    lanes.add(group("mx:half.test", 10), &settings);
    lanes.add(group("mx:half.test", 10), &settings);
    assert_eq!(started(&mut lanes).len(), 2);
    assert!(matches!(step_aside(&mut lanes, &first, &settings).0, Aside::Stepped(_)));
    assert!(lanes.make_room(NOW).is_empty(), "its other worker goes on");
}

#[test]
fn a_destination_with_enough_in_memory_is_excepted_from_claims() {
    let mut lanes = Lanes::default();
    assert_eq!(lanes.capacity(&settings()), Capacity { recipients: 40, except: Vec::new() });
    let first = group("mx:large.test", 12);
    let id = first.entry.id;
    lanes.add(first.clone(), &settings());
    let Capacity { recipients, except } = lanes.capacity(&settings());
    assert_eq!((recipients, except.len()), (28, 1));
    lanes.add(group("mx:other.test", 28), &settings());
    assert_eq!(lanes.capacity(&settings()).recipients, 0);
    assert!(lanes.holds(id) && !lanes.take_refill());
    lanes.owe_report(id);
    assert_eq!(lanes.finish(&first), EntryState::ReportOwed);
    assert!(lanes.take_refill() && !lanes.holds(id));
    assert_eq!(lanes.capacity(&settings()).recipients, 12);
}

#[test]
fn a_worker_that_lingers_is_woken_before_another_is_started() {
    let mut lanes = Lanes::default();
    let x: Destination = "mx:x.test".parse().unwrap();
    lanes.add(group("mx:x.test", 1), &settings());
    assert_eq!(started(&mut lanes).len(), 1);
    assert!(matches!(lanes.next(&x, NOW, &settings()), Next::Linger(_)));
    lanes.add(group("mx:x.test", 1), &settings());
    assert!(started(&mut lanes).is_empty());
    lanes.stop_lingering(&x);
    assert!(matches!(lanes.next(&x, NOW, &settings()), Next::Group(_)));
}

#[test]
fn who_is_claimed_anew_has_one_attempt() {
    let mut lanes = Lanes::default();
    let first = group("mx:x.test", 2);
    lanes.add(first.clone(), &settings());
    let in_hand = lanes.start_worker(&settings()).unwrap();
    // The node was taken for dead, and claims what others have freed.
    let mut anew = group("mx:x.test", 1);
    anew.recipients.extend(first.recipients.iter().cloned());
    lanes.leave_out_known(&mut anew);
    assert_eq!(anew.recipients.len(), 1, "the others have an attempt");
    assert!(first.recipients.iter().all(|recipient| lanes.holds_recipient(recipient.key)));
    lanes.finish(&in_hand);
    let mut later = first;
    lanes.leave_out_known(&mut later);
    assert_eq!(later.recipients.len(), 2);
}

#[test]
fn a_rest_that_has_ended_is_nobodys_attempt() {
    // Its time is up, and its last attempt was to come.
    let group = group("mx:x.test", 1);
    let rest = Rest { until: NOW + Duration::from_secs(300), why: "no answer".to_owned() };
    let (fates, events) = untried(&settings(), &group, Some(&rest), NOW);
    assert!(matches!(&fates[0].1, Fate::Again { reply, .. } if reply == "no answer"), "{fates:?}");
    assert_eq!(events.len(), 1);
    // Another worker has reached the destination meanwhile.
    let (fates, events) = untried(&settings(), &group, None, NOW);
    assert_eq!((fates[0].1.clone(), events.len()), (Fate::Untried { due_at: NOW }, 0));
}
