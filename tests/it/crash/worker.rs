//! A client that delivers, appends, flags, moves, copies, expunges and submits, and keeps a ledger of it.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::ledger::{Copy, Entry, FOLDERS, Ledger, Place, Presence};
use super::letter;
use crate::faults::imap::{Answer, Imap};
use crate::faults::pipe::is_over;
use crate::faults::random::Random;
use crate::faults::server::Server;
use crate::faults::smtp::{Reply, Smtp};

/// The progress of all workers together in this round.
#[derive(Default)]
pub(super) struct Progress {
    acknowledged: Mutex<u64>,
    more: Condvar,
    /// Whether the server is being killed, so that broken connections are expected.
    pub(super) over: AtomicBool,
}

impl Progress {
    /// Waits until so many operations have been acknowledged.
    pub(super) fn wait(&self, wanted: u64, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut acknowledged = self.acknowledged.lock();
        while *acknowledged < wanted {
            let late = self.more.wait_until(&mut acknowledged, deadline).timed_out();
            assert!(!late, "only {acknowledged} of {wanted} operations were acknowledged in time");
        }
    }

    fn step(&self) {
        *self.acknowledged.lock() += 1;
        self.more.notify_all();
    }
}

/// One client and what it knows.
pub(super) struct Worker {
    name: usize,
    random: Random,
    letters: u64,
    pub(super) ledger: Ledger,
}

/// The connections of a round.
struct Lines<'s> {
    server: &'s Server,
    lmtp: Option<Smtp>,
    relay: Option<Smtp>,
    submission: Option<Smtp>,
    imap: Option<Imap>,
    selected: Option<&'static str>,
}

impl Worker {
    pub(super) fn new(name: usize, seed: u64) -> Self {
        Self { name, random: Random::new((seed, name)), letters: 0, ledger: Ledger::default() }
    }

    /// Works until the server is killed.
    pub(super) fn run(&mut self, server: &Server, progress: &Progress) {
        let mut lines = Lines { server, lmtp: None, relay: None, submission: None, imap: None, selected: None };
        loop {
            match self.step(&mut lines) {
                Ok(()) => progress.step(),
                Err(error) if is_over(&error) && progress.over.load(Ordering::SeqCst) => {
                    self.ledger.cut += 1;
                    return;
                }
                Err(error) => panic!("worker {}: {error}", self.name),
            }
        }
    }

    fn step(&mut self, lines: &mut Lines<'_>) -> io::Result<()> {
        match self.random.below(14) {
            0..=2 => self.deliver(lines),
            3 => self.relay(lines),
            4 => self.submit(lines),
            5 | 6 => self.append(lines),
            7 | 8 => self.flag(lines),
            9 | 10 => self.transfer(lines, "MOVE"),
            11 => self.transfer(lines, "COPY"),
            _ => self.expunge(lines),
        }
    }

    fn fresh(&mut self) -> String {
        self.letters += 1;
        format!("<{}-{}-{:x}@load.test>", self.name, self.letters, self.random.next())
    }

    /// Records that a letter is about to arrive somewhere.
    fn expect(&mut self, id: &str, places: &[Place], flags: &BTreeSet<String>) {
        let copies = places.iter().map(|place| Copy::arriving(*place, flags.clone())).collect();
        self.ledger.letters.insert(id.to_owned(), Entry { copies, somewhere: false });
    }

    fn arrived(&mut self, id: &str) {
        for copy in &mut self.ledger.letters.get_mut(id).unwrap().copies {
            copy.presence = Presence::Here;
        }
    }

    fn deliver(&mut self, lines: &mut Lines<'_>) -> io::Result<()> {
        let id = self.fresh();
        self.expect(&id, &[("ann", "INBOX")], &BTreeSet::new());
        let replies = lines.lmtp()?.send("load@elsewhere.test", &["ann@example.test"], letter::text(&id).as_bytes())?;
        self.demand(&replies);
        self.arrived(&id);
        self.ledger.acknowledge("lmtp");
        Ok(())
    }

    fn relay(&mut self, lines: &mut Lines<'_>) -> io::Result<()> {
        let id = self.fresh();
        self.expect(&id, &[("ann", "INBOX"), ("bob", "INBOX")], &BTreeSet::new());
        let to = ["ann@example.test", "bob@example.test"];
        let replies = lines.relay()?.send("load@elsewhere.test", &to, letter::text(&id).as_bytes())?;
        self.demand(&replies);
        self.arrived(&id);
        self.ledger.acknowledge("smtp");
        Ok(())
    }

    fn submit(&mut self, lines: &mut Lines<'_>) -> io::Result<()> {
        let id = self.fresh();
        let content = letter::text(&id);
        let replies = lines.submission()?.send("ann@example.test", &["someone@elsewhere.test"], content.as_bytes())?;
        self.demand(&replies);
        self.ledger.sent.insert(id);
        self.ledger.acknowledge("submission");
        Ok(())
    }

    fn append(&mut self, lines: &mut Lines<'_>) -> io::Result<()> {
        let id = self.fresh();
        let folder = self.random.pick(&FOLDERS).unwrap();
        let flags = self.some_flags();
        self.expect(&id, &[("ann", folder)], &flags);
        let list = flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let answer = lines.imap()?.append(folder, &list, letter::text(&id).as_bytes())?;
        self.demand_ok("APPEND", &answer);
        self.arrived(&id);
        self.ledger.letters.get_mut(&id).unwrap().copies[0].uid = answer.new_uid();
        self.ledger.acknowledge("append");
        Ok(())
    }

    fn flag(&mut self, lines: &mut Lines<'_>) -> io::Result<()> {
        let Some((id, place, uid)) = self.any_copy() else { return self.append(lines) };
        let change = self.some_flags();
        let copy = self.copy(&id, place);
        let old = copy.flags[0].clone();
        let (operation, new): (_, BTreeSet<String>) = match uid % 3 {
            0 => ("FLAGS", change.clone()),
            1 => ("+FLAGS", old.union(&change).cloned().collect()),
            _ => ("-FLAGS.SILENT", old.difference(&change).cloned().collect()),
        };
        copy.flags = vec![old, new.clone()];
        let list = change.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let answer = lines.select(place.1)?.command(&format!("UID STORE {uid} {operation} ({list})"))?;
        self.demand_ok("STORE", &answer);
        self.copy(&id, place).flags = vec![new];
        self.ledger.acknowledge("store");
        Ok(())
    }

    fn expunge(&mut self, lines: &mut Lines<'_>) -> io::Result<()> {
        let Some((id, place, uid)) = self.any_copy() else { return self.append(lines) };
        let copy = self.copy(&id, place);
        let mut deleted = copy.flags[0].clone();
        deleted.insert("\\Deleted".to_owned());
        copy.flags.push(deleted.clone());
        let answer = lines.select(place.1)?.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?;
        self.demand_ok("STORE", &answer);
        let copy = self.copy(&id, place);
        copy.flags = vec![deleted];
        copy.presence = Presence::Doubtful;
        let answer = lines.imap()?.command(&format!("UID EXPUNGE {uid}"))?;
        self.demand_ok("EXPUNGE", &answer);
        self.copy(&id, place).presence = Presence::Gone;
        self.ledger.acknowledge("expunge");
        Ok(())
    }

    /// Moves or copies a letter to a folder in which it is not.
    fn transfer(&mut self, lines: &mut Lines<'_>, command: &'static str) -> io::Result<()> {
        let Some((id, place, uid)) = self.any_copy() else { return self.append(lines) };
        let entry = self.ledger.letters.get_mut(&id).unwrap();
        let free =
            |folder: &&&'static str| entry.at(("ann", folder)).is_none_or(|copy| copy.presence == Presence::Gone);
        let Some(to) = FOLDERS.iter().find(free).copied() else { return self.append(lines) };
        let flags = entry.at(place).unwrap().flags[0].clone();
        if command == "MOVE" {
            entry.at(place).unwrap().presence = Presence::Doubtful;
            entry.somewhere = true;
        }
        entry.copies.push(Copy::arriving(("ann", to), flags));
        let answer = lines.select(place.1)?.command(&format!("UID {command} {uid} {to}"))?;
        self.demand_ok(command, &answer);
        let copy = self.copy(&id, ("ann", to));
        copy.presence = Presence::Here;
        copy.uid = answer.new_uid();
        if command == "MOVE" {
            self.copy(&id, place).presence = Presence::Gone;
            self.ledger.letters.get_mut(&id).unwrap().somewhere = false;
        }
        self.ledger.acknowledge(if command == "MOVE" { "move" } else { "copy" });
        Ok(())
    }

    fn copy(&mut self, id: &str, place: Place) -> &mut Copy {
        self.ledger.letters.get_mut(id).unwrap().at(place).unwrap()
    }

    /// A copy without doubts.
    fn any_copy(&mut self) -> Option<(String, Place, u32)> {
        let known: Vec<_> = (self.ledger.letters.iter())
            .flat_map(|(id, entry)| entry.copies.iter().map(move |copy| (id, copy)))
            .filter(|(_, copy)| copy.presence == Presence::Here && copy.place.0 == "ann")
            .filter_map(|(id, copy)| Some((id, copy.place, copy.uid?)))
            .collect();
        self.random.pick(&known).map(|(id, place, uid)| ((*id).clone(), *place, *uid))
    }

    fn some_flags(&mut self) -> BTreeSet<String> {
        let all = ["\\Answered", "\\Flagged", "\\Seen", "$Work", "later"];
        let chosen = self.random.next();
        (0..).zip(all).filter(|(n, _)| chosen >> n & 1 == 1).map(|(_, flag)| flag.to_owned()).collect()
    }

    fn demand(&self, replies: &[Reply]) {
        assert!(replies.iter().all(Reply::is_success), "worker {}: {replies:?}", self.name);
    }

    fn demand_ok(&self, command: &str, answer: &Answer) {
        assert!(answer.is_ok(), "worker {}: {command}: {answer:?}", self.name);
    }
}

impl Lines<'_> {
    fn lmtp(&mut self) -> io::Result<&mut Smtp> {
        kept(&mut self.lmtp, || self.server.lmtp())
    }

    fn relay(&mut self) -> io::Result<&mut Smtp> {
        kept(&mut self.relay, || self.server.relay())
    }

    fn submission(&mut self) -> io::Result<&mut Smtp> {
        kept(&mut self.submission, || self.server.submission("ann"))
    }

    fn imap(&mut self) -> io::Result<&mut Imap> {
        kept(&mut self.imap, || self.server.imap("ann"))
    }

    fn select(&mut self, folder: &'static str) -> io::Result<&mut Imap> {
        if self.selected != Some(folder) {
            self.selected = None;
            let answer = self.imap()?.select(folder)?;
            assert!(answer.is_ok(), "SELECT {folder}: {answer:?}");
            self.selected = Some(folder);
        }
        self.imap()
    }
}

/// What is there, or what is made now.
fn kept<T>(slot: &mut Option<T>, make: impl FnOnce() -> io::Result<T>) -> io::Result<&mut T> {
    if slot.is_none() {
        *slot = Some(make()?);
    }
    Ok(slot.as_mut().unwrap())
}
