//! Kills the server (SIGKILL) again and again while clients work, and checks each time whether it has kept its
//! promises.
//!
//! `POSTRIDER_TEST_KILLS` sets the number of kills (20), `POSTRIDER_TEST_SEED` repeats a run's decisions; the scheduler
//! varies, so a failure recurs often but not always.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::audit::{Auditor, Depth};
use super::ledger::Ledger;
use super::worker::{Progress, Worker};
use crate::faults::fake_mx::FakeMx;
use crate::faults::random::Random;
use crate::faults::server::{Layout, Server, USERS};
use crate::faults::variable;

/// Clients at work at the same time.
const WORKERS: usize = 4;
/// How long the operations of one round may take.
const ROUND: Duration = Duration::from_secs(120);

#[test]
fn nothing_acknowledged_is_lost() {
    let kills = variable("POSTRIDER_TEST_KILLS").map_or(20, |kills| kills.parse::<u32>().unwrap());
    let seed = variable("POSTRIDER_TEST_SEED")
        .map_or_else(|| RandomState::new().hash_one(kills), |seed| seed.parse().unwrap());
    eprintln!("crash: {kills} kills; to repeat: POSTRIDER_TEST_SEED={seed}");
    let begun = Instant::now();
    let mut run = Run::new(seed);
    while run.kills < kills {
        run.round();
        run.look(if run.kills % 20 == 10 { Depth::Bodies } else { Depth::Lists });
    }
    run.look(Depth::Bodies);
    run.everything_sent_has_arrived();
    run.report(begun.elapsed());
}

/// One run of the test.
struct Run {
    seed: u64,
    random: Random,
    server: Server,
    elsewhere: FakeMx,
    workers: Vec<Worker>,
    auditor: Auditor,
    kills: u32,
    slowest_start: Duration,
}

impl Run {
    fn new(seed: u64) -> Self {
        let more = "[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"[ADDRESS]\"\nport = 2525\n\
                    [submission]\nmessages_per_hour = 0\nrecipients_per_day = 0\n";
        let server = Server::prepare(Layout { more: more.to_owned(), ..Layout::default() });
        let elsewhere = FakeMx::start(server.port(2525));
        server.resume();
        for user in USERS {
            let mut imap = server.imap(user).unwrap();
            let answer = imap.command("CREATE Work").unwrap();
            assert!(answer.is_ok(), "{answer:?}");
        }
        Self {
            seed,
            random: Random::new(seed),
            server,
            elsewhere,
            workers: (0..WORKERS).map(|name| Worker::new(name, seed)).collect(),
            auditor: Auditor::default(),
            kills: 0,
            slowest_start: Duration::ZERO,
        }
    }

    /// Work, a kill at a random moment, perhaps further ones while the server starts, and a start.
    fn round(&mut self) {
        let progress = Progress::default();
        let wanted = 1 + self.random.below(60);
        let further = Duration::from_micros(self.random.below(4000));
        let (server, progress) = (&self.server, &progress);
        thread::scope(|scope| {
            for worker in &mut self.workers {
                scope.spawn(move || worker.run(server, progress));
            }
            progress.wait(wanted, ROUND);
            // Nothing signals when the server is in the middle of something: a random moment is just right here.
            thread::sleep(further);
            progress.over.store(true, Ordering::SeqCst);
            server.kill();
        });
        self.elsewhere.next_epoch();
        self.kills += 1;
        while self.random.below(5) == 0 {
            let _ready = self.server.launch();
            thread::sleep(Duration::from_millis(self.random.below(500)));
            self.server.kill();
            self.elsewhere.next_epoch();
            self.kills += 1;
        }
        if self.random.below(6) == 0 {
            self.lose_indexes();
        }
        self.slowest_start = self.slowest_start.max(self.server.resume());
    }

    /// Indexes are caches: without them everything must look the same.
    fn lose_indexes(&self) {
        for user in USERS {
            for entry in fs::read_dir(self.server.maildir(user)).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap().to_string_lossy().starts_with("postrider-index") {
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }

    fn look(&mut self, depth: Depth) {
        let mut ledgers: Vec<&mut Ledger> = self.workers.iter_mut().map(|worker| &mut worker.ledger).collect();
        let looked = self.auditor.look(&self.server, &mut ledgers, depth);
        assert!(looked.is_ok(), "after {} kills (seed {}):\n{}", self.kills, self.seed, looked.unwrap_err());
    }

    /// Mail for another host arrives: once, or again when it was on its way at a kill.
    fn everything_sent_has_arrived(&self) {
        let sent: BTreeSet<&String> = self.workers.iter().flat_map(|worker| &worker.ledger.sent).collect();
        let all = self
            .elsewhere
            .wait_for(Duration::from_secs(60), |arrived| sent.iter().all(|id| arrived.contains_key(id.as_str())));
        let arrived = self.elsewhere.arrived();
        let missing: Vec<_> = sent.iter().filter(|id| !arrived.contains_key(id.as_str())).collect();
        assert!(all, "accepted but never passed on (seed {}): {missing:?}", self.seed);
        for (id, epochs) in &arrived {
            let apart = epochs.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(apart, "{id} was passed on twice without a kill in between (seed {}): {epochs:?}", self.seed);
        }
    }

    fn report(&self, took: Duration) {
        let ledgers = || self.workers.iter().map(|worker| &worker.ledger);
        let mut done = std::collections::BTreeMap::<&str, u64>::new();
        ledgers().flat_map(|ledger| &ledger.done).for_each(|(name, count)| *done.entry(*name).or_default() += count);
        let cut: u64 = ledgers().map(|ledger| ledger.cut).sum();
        let settled = |n: usize| ledgers().map(|ledger| ledger.settled[n]).sum::<u64>();
        let arrived = self.elsewhere.arrived();
        let again: usize = arrived.values().map(|epochs| epochs.len() - 1).sum();
        eprintln!(
            "crash: {} kills in {took:.1?}; acknowledged {done:?}; {cut} answers never came, of whose copies {} were \
             there and {} not; {} messages passed on, {again} of them again; {} messages on disk, {} files in tmp/; \
             slowest start {:.2?}",
            self.kills,
            settled(0),
            settled(1),
            arrived.len(),
            self.auditor.messages,
            self.auditor.temporary,
            self.slowest_start,
        );
    }
}
