//! Who works on what: a lane for each destination, so many workers each, in turns.

mod long_attempts;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use long_attempts::Slow;
pub(super) use long_attempts::{Aside, LongAttempt};

use super::schedule::rest;
use super::{LaneState, QueueSettings};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::spool::{Claimed, Destination, RecipientKey};

/// All lanes. A plain value: no waiting, no clock.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<Destination, Lane>,
    /// Destinations with work, in the order of their turns.
    turns: VecDeque<Destination>,
    workers: u32,
    /// Attempts that take long, the oldest first. Their workers take none of the usual places.
    slow: VecDeque<Slow>,
    /// Usual places that are taken by lanes which have not lately been quick.
    doubtful: u32,
    /// Counts slow attempts.
    numbers: u64,
    /// Recipients in backlogs and in hand.
    recipients: HashSet<RecipientKey>,
    /// Groups of each entry in backlogs and in hand.
    entries: HashMap<QueueId, u32>,
    /// Recipients of each party ([`Entry::party`](crate::storage::spool::Entry::party)) in backlogs and in hand.
    parties: HashMap<String, usize>,
    /// Entries whose sender is to be told something when their last group is settled.
    owed: HashSet<QueueId>,
    /// Nothing more could be claimed for lack of room.
    full: bool,
    /// The scheduler should claim more.
    refill: bool,
}

#[derive(Debug, Default)]
struct Lane {
    backlog: VecDeque<Claimed>,
    /// Recipients in the backlog.
    waiting: usize,
    workers: u32,
    /// Workers among them that keep a connection and wait for the next group.
    lingering: u32,
    /// Workers among them whose attempt takes long.
    slow: u32,
    /// Its last attempt went well and did not take long.
    quick: bool,
    /// Most workers, as far as the destination has earned them.
    limit: u32,
    /// Groups that have reached the destination since the limit was changed.
    successes: u32,
    /// Attempts in a row that have reached no host.
    failures: u32,
    rest: Option<Rest>,
    wake: Arc<Notify>,
    /// It stands among the turns.
    has_turn: bool,
    /// It was passed over when recipients were claimed, because it had enough.
    passed_over: bool,
}

/// A destination that nobody talks to for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub why: String,
}

/// What a destination has lately been like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Quick,
    Doubtful,
}

/// What may still be claimed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// How many recipients.
    pub(super) recipients: usize,
    /// Destinations for which enough are waiting already.
    pub(super) except: Vec<Destination>,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    Group(Box<Claimed>),
    /// Nothing now; it may keep its connection and wait on this.
    Linger(Arc<Notify>),
    /// Make room.
    End,
}

/// What is to be done about an entry after one of its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryState {
    /// Others of its groups are in memory.
    MoreGroups,
    /// Nothing.
    Quiet,
    /// Its sender is to be told what has gathered.
    ReportOwed,
}

/// Recipients in a lane beyond which no more are claimed for it.
const ENOUGH: usize = 200;
/// Most lanes that are remembered. Beyond it those without work are forgotten, slow ones first.
const MOST_IDLE: usize = 10_000;

impl Lanes {
    /// Workers, lingering ones included.
    pub(super) const fn workers(&self) -> u32 {
        self.workers
    }

    /// Whether anything of an entry is in memory.
    pub(super) fn holds(&self, id: QueueId) -> bool {
        self.entries.contains_key(&id)
    }

    /// Whether a recipient is in memory, so that this node not only has it reserved but also sees to it.
    pub(super) fn holds_recipient(&self, key: RecipientKey) -> bool {
        self.recipients.contains(&key)
    }

    /// How many recipients of each party are in memory.
    pub(super) fn in_hand(&self) -> Vec<(String, usize)> {
        self.parties.iter().map(|(party, count)| (party.clone(), *count)).collect()
    }

    /// Leaves out of a claim the recipients that are in memory already. If other nodes took this one for dead, they freed what it had
    /// claimed, and it may claim that again while its first attempts still go on: these still see to the recipients. What they
    /// have let go of meanwhile is given back by housekeeping.
    pub(super) fn leave_out_known(&self, claimed: &mut Claimed) {
        claimed.recipients.retain(|recipient| !self.recipients.contains(&recipient.key));
    }

    /// What may still be claimed. The less room there is, the sooner a destination has enough.
    pub(super) fn capacity(&mut self, settings: &QueueSettings) -> Capacity {
        let most = usize::try_from(settings.recipients_in_memory.max(1)).unwrap_or(usize::MAX);
        let slow: usize = self.slow.iter().map(|slow| slow.recipients).sum();
        let room = (most + slow).saturating_sub(self.recipients.len());
        self.full = room == 0;
        let enough = (room / 4).clamp(1, ENOUGH);
        let mut except = Vec::new();
        for (destination, lane) in &mut self.lanes {
            lane.passed_over = lane.waiting >= enough;
            if lane.passed_over {
                except.push(destination.clone());
            }
        }
        Capacity { recipients: room, except }
    }

    /// Whether a destination took mail lately without taking long.
    pub(super) fn is_quick(&self, destination: &Destination) -> bool {
        self.lanes.get(destination).is_some_and(|lane| lane.quick)
    }

    /// Whether the scheduler should claim more, asked once.
    pub(super) const fn take_refill(&mut self) -> bool {
        std::mem::replace(&mut self.refill, false)
    }

    /// The sender of an entry is to be told something.
    pub(super) fn owe_report(&mut self, id: QueueId) {
        self.owed.insert(id);
    }

    /// Every lane with work or rest, for people to see.
    pub(super) fn states(&self) -> Vec<LaneState> {
        let shown = self.lanes.iter().filter(|(_, lane)| lane.waiting > 0 || lane.workers > 0 || lane.rest.is_some());
        let state = |(destination, lane): (&Destination, &Lane)| LaneState {
            destination: destination.clone(),
            waiting: lane.waiting,
            connections: lane.workers,
            rest: lane.rest.clone(),
        };
        shown.map(state).collect()
    }

    /// The rest a destination has now.
    pub(super) fn resting(&self, destination: &Destination, now: Timestamp) -> Option<&Rest> {
        self.lanes.get(destination)?.rest.as_ref().filter(|rest| rest.until > now)
    }

    /// Adds a group to its lane.
    pub(super) fn add(&mut self, group: Claimed, settings: &QueueSettings) {
        self.recipients.extend(group.recipients.iter().map(|recipient| recipient.key));
        *self.entries.entry(group.entry.id).or_default() += 1;
        *self.parties.entry(group.entry.party()).or_default() += group.recipients.len();
        let first = first_limit(&group.destination, settings);
        let quick = group.destination == Destination::Local;
        let lane = self.lanes.entry(group.destination.clone()).or_insert_with(|| Lane {
            limit: first,
            quick,
            ..Lane::default()
        });
        if !lane.has_turn {
            lane.has_turn = true;
            self.turns.push_back(group.destination.clone());
        }
        lane.waiting += group.recipients.len();
        lane.backlog.push_back(group);
        if lane.lingering > 0 {
            lane.wake.notify_one();
        }
    }

    /// Takes the groups of an entry out of the backlogs. Those in hand stay there.
    pub(super) fn withdraw(&mut self, id: QueueId) -> Vec<Claimed> {
        let mut withdrawn = Vec::new();
        for lane in self.lanes.values_mut() {
            let (taken, left): (Vec<_>, Vec<_>) = lane.backlog.drain(..).partition(|group| group.entry.id == id);
            lane.backlog = left.into();
            lane.waiting = lane.backlog.iter().map(|group| group.recipients.len()).sum();
            withdrawn.extend(taken);
        }
        withdrawn
    }

    /// The next group that deserves a worker of its own, from the lane whose turn it is. `None` when every lane is at its
    /// limit or the sum of all is. Some places are kept for lanes that have lately been quick.
    pub(super) fn start_worker(&mut self, settings: &QueueSettings) -> Option<Claimed> {
        let most = settings.connections.max(1);
        if self.places() >= most {
            return None;
        }
        let only_quick = self.doubtful >= most.saturating_sub(settings.connections_for_quick).max(1);
        let lanes = &mut self.lanes;
        self.turns.retain(|destination| {
            lanes.get_mut(destination).is_some_and(|lane| {
                lane.has_turn = !lane.backlog.is_empty();
                lane.has_turn
            })
        });
        let ready = |lane: &Lane| {
            let idle = usize::try_from(lane.lingering).unwrap_or(usize::MAX);
            lane.workers < lane.limit && lane.backlog.len() > idle && (lane.quick || !only_quick)
        };
        let place = |wanted: fn(&Lane) -> bool| {
            self.turns.iter().position(|one| self.lanes.get(one).is_some_and(|lane| ready(lane) && wanted(lane)))
        };
        // A lane without any worker goes before more workers for others.
        let place = place(|lane| lane.workers == 0).or_else(|| place(|_| true))?;
        let destination = self.turns.remove(place)?;
        let lane = self.lanes.get_mut(&destination)?;
        let group = lane.pop();
        lane.workers += 1;
        self.workers += 1;
        self.doubtful += u32::from(!lane.quick);
        lane.has_turn = !lane.backlog.is_empty();
        if lane.has_turn {
            self.turns.push_back(destination);
        }
        group
    }

    /// What a worker of this lane does after a group.
    pub(super) fn next(&mut self, destination: &Destination, now: Timestamp, settings: &QueueSettings) -> Next {
        let most = settings.connections.max(1);
        let (crowded, over) = (self.places() >= most, self.places() > most);
        // Another lane that has work and no worker at all goes before more work for this one.
        let starving = crowded
            && self.turns.iter().any(|other| {
                other != destination
                    && self.lanes.get(other).is_some_and(|lane| lane.workers == 0 && !lane.backlog.is_empty())
            });
        let Some(lane) = self.lanes.get_mut(destination) else { return Next::End };
        let rests = lane.rest.as_ref().is_some_and(|rest| rest.until > now);
        // A worker that comes back from a long attempt may find its place taken.
        if starving || rests || over || lane.workers > lane.limit {
            return Next::End;
        }
        match lane.pop() {
            Some(group) => {
                if lane.passed_over && lane.waiting < ENOUGH / 2 {
                    lane.passed_over = false;
                    self.refill = true;
                }
                Next::Group(Box::new(group))
            }
            None => {
                lane.lingering += 1;
                Next::Linger(Arc::clone(&lane.wake))
            }
        }
    }

    /// A lingering worker lingers no more.
    pub(super) fn stop_lingering(&mut self, destination: &Destination) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.lingering = lane.lingering.saturating_sub(1);
        }
    }

    /// A worker has gone.
    pub(super) fn end_worker(&mut self, destination: &Destination, now: Timestamp) {
        self.workers = self.workers.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.workers = lane.workers.saturating_sub(1);
            self.doubtful = self.doubtful.saturating_sub(u32::from(!lane.quick));
        }
        if self.lanes.len() > MOST_IDLE {
            let is_busy = |lane: &Lane| {
                let rests = lane.rest.as_ref().is_some_and(|rest| rest.until > now);
                lane.workers > 0 || !lane.backlog.is_empty() || rests
            };
            // A sender who writes to very many destinations must not cause the good ones to be forgotten.
            self.lanes.retain(|_, lane| lane.quick || is_busy(lane));
            if self.lanes.len() > MOST_IDLE {
                self.lanes.retain(|_, lane| is_busy(lane));
            }
        }
    }

    /// Usual places that are taken.
    fn places(&self) -> u32 {
        self.workers.saturating_sub(self.slow_workers())
    }

    /// Notes what a destination has lately been like.
    fn regard(&mut self, destination: &Destination, pace: Pace) {
        let Some(lane) = self.lanes.get_mut(destination) else { return };
        let quick = pace == Pace::Quick;
        if lane.quick == quick || *destination == Destination::Local {
            return;
        }
        lane.quick = quick;
        let places = lane.workers.saturating_sub(lane.slow);
        self.doubtful = if quick { self.doubtful.saturating_sub(places) } else { self.doubtful + places };
    }

    /// A group has been settled.
    pub(super) fn finish(&mut self, group: &Claimed) -> EntryState {
        let id = group.entry.id;
        for recipient in &group.recipients {
            self.recipients.remove(&recipient.key);
        }
        let party = group.entry.party();
        if let Some(count) = self.parties.get_mut(&party) {
            *count = count.saturating_sub(group.recipients.len());
            if *count == 0 {
                self.parties.remove(&party);
            }
        }
        if self.full {
            self.full = false;
            self.refill = true;
        }
        match self.entries.get_mut(&id) {
            Some(groups) if *groups > 1 => {
                *groups -= 1;
                EntryState::MoreGroups
            }
            _ => {
                self.entries.remove(&id);
                if self.owed.remove(&id) { EntryState::ReportOwed } else { EntryState::Quiet }
            }
        }
    }

    /// A host of the destination has talked to us.
    pub(super) fn reached(&mut self, destination: &Destination, settings: &QueueSettings) {
        let Some(lane) = self.lanes.get_mut(destination) else { return };
        let is_slow = lane.slow > 0;
        lane.failures = 0;
        lane.rest = None;
        lane.successes += 1;
        if lane.successes >= lane.limit && lane.limit < most_workers(destination, settings) {
            lane.limit += 1;
            lane.successes = 0;
        }
        if !is_slow {
            self.regard(destination, Pace::Quick);
        }
    }

    /// Ends every rest.
    pub(super) fn wake_all(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.rest = None);
    }

    /// No host of the destination could be talked to. If it rests now, what waits in its lane is returned.
    pub(super) fn unreached(
        &mut self,
        destination: &Destination,
        why: &str,
        now: Timestamp,
        settings: &QueueSettings,
    ) -> Vec<Claimed> {
        self.regard(destination, Pace::Doubtful);
        let Some(lane) = self.lanes.get_mut(destination) else { return Vec::new() };
        let rests = lane.rest.as_ref().is_some_and(|rest| rest.until > now);
        // Workers that tried at the same time fail at the same time. Those that report after the rest has begun do not prolong it.
        if !rests || lane.failures < settings.failures_before_rest {
            lane.failures = lane.failures.saturating_add(1);
        }
        lane.successes = 0;
        lane.limit = (lane.limit / 2).max(1);
        if lane.failures < settings.failures_before_rest {
            return Vec::new();
        }
        if !rests {
            lane.rest = Some(Rest { until: now + rest(settings, lane.failures), why: why.to_owned() });
        }
        lane.waiting = 0;
        lane.backlog.drain(..).collect()
    }
}

impl Lane {
    fn pop(&mut self) -> Option<Claimed> {
        let group = self.backlog.pop_front()?;
        self.waiting = self.waiting.saturating_sub(group.recipients.len());
        Some(group)
    }
}

/// Most workers of a lane.
fn most_workers(destination: &Destination, settings: &QueueSettings) -> u32 {
    let most = match destination {
        Destination::Local => settings.local_deliveries,
        Destination::Exchangers(_) | Destination::Host(..) => settings.connections_per_destination,
    };
    most.max(1)
}

/// Most workers of a lane about whose destination nothing is known yet.
fn first_limit(destination: &Destination, settings: &QueueSettings) -> u32 {
    match destination {
        Destination::Local => most_workers(destination, settings),
        _ => settings.first_connections.clamp(1, most_workers(destination, settings)),
    }
}

#[cfg(test)]
mod tests;
