//! What the postmaster has to see to, in sentences that say what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::Error;
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::{amount, are, counted};
use crate::foundations::event::EventKind;
use crate::services::backup::{RunKind, RunReport};
use crate::services::certificates::{Standing, State};
use crate::services::overview::{Answers, QueueState, Sources};
use crate::storage::journal::{Order, Query};

/// Of the disks: those that do not answer, and those of which less than a tenth is free. Directories of one file system are told
/// together, since room is made for all of them at once.
pub(super) fn of_disks(answers: &Answers) -> Vec<String> {
    let mut told: Vec<String> = answers.problems.iter().map(|problem| format!("See `dmesg`: {problem}")).collect();
    let mut short: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for disk in answers.disks.iter().filter(|disk| u128::from(disk.free) * 10 < u128::from(disk.size)) {
        let room = format!("{} of {}", amount(disk.free), amount(disk.size));
        short.entry(room).or_default().push(disk.purpose);
    }
    told.extend(short.into_iter().map(|(room, purposes)| {
        format!("Only {room} are free for {}: make room before mail is refused", purposes.join(", "))
    }));
    told
}

/// Of the queue: what waits for an administrator.
pub(super) fn of_queue(queue: &QueueState) -> Option<String> {
    (queue.held > 0).then(|| {
        let held = counted(queue.held, "recipient");
        format!("{held} {} held: look at `postrider queue list`, then release or delete them", are(queue.held))
    })
}

/// Of the backups: those that failed.
pub(super) fn of_backups(runs: &[RunReport]) -> impl Iterator<Item = String> {
    runs.iter().filter(|run| run.problem.is_some()).map(|run| {
        let what = match run.what {
            RunKind::Created => "backup",
            RunKind::Verified => "check of the backups",
            RunKind::Pruned => "removal of old backups",
            RunKind::Pushed => "copy of the backups to another place",
            RunKind::Restored => "restore",
            RunKind::Drill => "restore drill",
        };
        format!("The last {what} failed: `postrider report backups` says why")
    })
}

/// Of the certificates: those that are not as intended, or end soon. Several processes may have the same one.
pub(super) fn of_certificates(states: &[State], now: Timestamp) -> BTreeSet<String> {
    let words = |state: &State| {
        let names = state.names.join(", ");
        if state.standing == Standing::HeldBack {
            let next = "`postrider certificate list` prints what to publish";
            return Some(format!("A new certificate for {names} waits for its TLSA record: {next}"));
        }
        if let Some(trouble) = state.trouble() {
            return Some(format!("See `postrider certificate check`: {trouble}"));
        }
        let ends = state.not_after.local().format("%Y-%m-%d");
        let next = "look at `postrider certificate list`, and at what renews it";
        (state.not_after - SOON < now).then(|| format!("The certificate for {names} is valid until {ends}: {next}"))
    };
    states.iter().filter_map(words).collect()
}

/// Of the events: accounts that may be in a stranger's hands, and gaps in the record itself.
pub(super) async fn of_events(sources: &Sources, since: Timestamp) -> Result<BTreeSet<String>, Error> {
    let query = Query {
        kinds: vec![EventKind::SendingRise, EventKind::Lifecycle],
        since: Some(since),
        order: Order::NewestFirst,
        limit: 1_000,
        ..Query::default()
    };
    let events = sources.journal.query(&query).await?;
    let words = events.iter().filter_map(|event| match event.kind {
        EventKind::SendingRise => {
            let account = event.subject.as_deref()?;
            let next = format!("if its user did not send this (`postrider trace {account}`), change the password");
            Some(format!("{account} suddenly sent much more than usual: {next}"))
        }
        _ => {
            event.details.get("events_dropped").and_then(Value::as_u64)?;
            Some("Events were lost while the database was away: these figures are too small".to_owned())
        }
    });
    Ok(words.collect())
}

/// So long before its end, a certificate should have been renewed.
const SOON: Duration = Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::overview::Disk;

    fn certificate(standing: Standing, days: u64, problem: Option<&str>) -> State {
        State {
            file: "/c.pem".to_owned(),
            standing,
            names: vec!["mail.a.test".to_owned()],
            not_before: Timestamp::EPOCH,
            not_after: Timestamp::EPOCH + Duration::from_secs(days * 86_400),
            fingerprint: String::new(),
            public_key: String::new(),
            held_since: None,
            publish: Vec::new(),
            problem: problem.map(str::to_owned),
        }
    }

    #[test]
    fn certificates_that_end_soon_or_are_not_as_intended_are_told_once() {
        let now = Timestamp::EPOCH;
        for (standing, days, problem, wanted) in [
            (Standing::InForce, 15, None, None),
            (Standing::InForce, 13, None, Some("The certificate for mail.a.test is valid until 1970-01-1")),
            (Standing::InForce, 60, Some("no key"), Some("See `postrider certificate check`: ")),
            (Standing::StandingIn, 60, None, Some("See `postrider certificate check`: ")),
            (Standing::HeldBack, 60, None, Some("A new certificate for mail.a.test waits for its TLSA record")),
        ] {
            let state = certificate(standing, days, problem);
            let told = of_certificates(&[state.clone(), state], now);
            assert_eq!(told.len(), usize::from(wanted.is_some()), "{told:?}");
            assert!(told.iter().all(|told| told.starts_with(wanted.unwrap_or_default())), "{told:?}");
        }
    }

    #[test]
    fn disks_that_fill_up_and_recipients_that_are_held_are_told() {
        let disk = |purpose, free: u64| Disk { purpose, size: 100 << 30, free: free << 30 };
        let disks = vec![disk("mailboxes", 9), disk("queue", 10), disk("database", 9)];
        let problems = vec!["the file system of `/backup` does not answer".to_owned()];
        assert_eq!(
            of_disks(&Answers { disks, problems }),
            [
                "See `dmesg`: the file system of `/backup` does not answer",
                "Only 9G of 100G are free for mailboxes, database: make room before mail is refused",
            ]
        );
        assert_eq!(of_queue(&QueueState::default()), None);
        let held = QueueState { held: 1, ..QueueState::default() };
        assert!(of_queue(&held).is_some_and(|told| told.starts_with("1 recipient is held: ")));
    }
}
