//! One worker: groups of one lane, one after the other, over one connection.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::lanes::{Aside, EntryState, LongAttempt, Next};
use super::outcome::{Attempted, Consequence, RecipientResult, consequence, plain};
use super::room::{MEMORY_UNIT, Memory};
use super::settling::{Sent, Written};
use super::{Queue, QueueSettings};
use crate::foundations::ids::QueueId;
use crate::foundations::mail::Message;
use crate::foundations::wire::smtp::{Class, EnhancedStatus};
use crate::services::outbound::{Carried, Courier, Group, Haste, Present, Scope, Trouble};
use crate::storage::spool::{self, Claimed, Destination, Entry, Fate, Queued, RecipientKey};

/// How long a message waits if its body could not even be asked for.
const UNREADABLE: Duration = Duration::from_secs(60);
/// How long a message waits whose state the database did not tell. That is only written down once the database answers again, so there
/// is nothing more to wait for.
const UNCONFIRMED: Duration = Duration::from_secs(1);
/// Pause before the database is asked again to take a mark.
const SECOND_THOUGHT: Duration = Duration::from_millis(500);
/// How often to look for room beside the usual places, or for memory.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Whether there is something that the sender of an entry is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    Report,
    Nothing,
}

/// Whether a worker has something to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Open,
    None,
}

/// The result for a group, recipient by recipient.
type Results = Vec<Attempted>;

/// What follows from it for each recipient, by its key.
type Consequences = Vec<(RecipientKey, Consequence)>;

/// Works on a group, then on others of its lane as long as the lanes say so.
pub(super) async fn run(queue: Queue, first: Claimed) {
    let destination = first.destination.clone();
    let mut courier = match destination {
        Destination::Local => None,
        _ => Some(queue.0.parts.outbound.courier(destination.clone())),
    };
    let slot = Slot { queue, destination };
    let Slot { queue, destination } = &slot;
    let mut group = first;
    loop {
        if AssertUnwindSafe(queue.work(courier.as_mut(), &group)).catch_unwind().await.is_err() {
            // It is not known where the conversation stands, so the connection is closed without another word.
            courier = None;
            queue.broke_down(&group).await;
            break;
        }
        let open = courier.as_ref().is_some_and(Courier::is_connected);
        match queue.next_group(destination, if open { Connection::Open } else { Connection::None }).await {
            Some(next) => group = next,
            None => break,
        }
    }
    if let Some(mut courier) = courier {
        courier.finish().await;
    }
}

/// A worker's place in its lane. It is free again when the worker has gone, even by a panic.
struct Slot {
    queue: Queue,
    destination: Destination,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let room = &self.queue.0;
        room.lanes.lock().end_worker(&self.destination, room.parts.clock.now());
        room.stir.notify_one();
    }
}

/// A worker whose attempt takes long. Dropped, it counts as any other again.
struct SteppedAside<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Drop for SteppedAside<'_> {
    fn drop(&mut self) {
        self.queue.0.lanes.lock().step_back(self.number);
    }
}

/// Whether a fate leaves something to tell the sender.
pub(super) const fn owes_report(fate: &Fate) -> bool {
    matches!(fate, Fate::Reported(_) | Fate::Again { report: Some(_), .. })
}

impl Queue {
    /// The next group of the lane. With an open connection it is waited for a moment.
    async fn next_group(&self, destination: &Destination, connection: Connection) -> Option<Claimed> {
        let settings = self.0.parts.settings.get();
        let patience = Instant::now() + settings.idle_connection.duration();
        let tasks = &self.0.parts.tasks;
        while !tasks.is_stopping() {
            let (next, refill) = {
                let mut lanes = self.0.lanes.lock();
                (lanes.next(destination, self.0.parts.clock.now(), &settings), lanes.take_refill())
            };
            if refill {
                self.0.stir.notify_one();
            }
            let wake = match next {
                Next::Group(group) => return Some(*group),
                Next::End => return None,
                Next::Linger(wake) => wake,
            };
            let woken = connection == Connection::Open
                && tokio::select! {
                    () = wake.notified() => true,
                    () = tokio::time::sleep_until(patience) => false,
                    () = tasks.stopping() => false,
                };
            self.0.lanes.lock().stop_lingering(destination);
            if !woken {
                return None;
            }
        }
        None
    }

    /// Tries a group and records the result.
    async fn work(&self, courier: Option<&mut Courier>, group: &Claimed) {
        let settings = self.0.parts.settings.get();
        let units = u32::try_from(group.entry.size.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX);
        let permit = self.memory(&group.destination, units).await;
        // It was claimed some time ago, and an administrator may have held, released or deleted it since.
        let (wanted, others) = self.confirmed(group).await;
        if wanted.recipients.is_empty() {
            // In this order: a recipient that is claimed again while it is still in memory waits for housekeeping.
            self.let_go(group, Written::Yes).await;
            return self.give_back(group.entry.id, &others).await;
        }
        self.give_back(group.entry.id, &others).await;
        let consequences = match self.0.parts.spool.whole_message(&group.entry).await {
            Ok(message) => {
                let message = self.carried(message, permit, (group, units));
                let results = self.attempt(courier, &wanted, &message).await;
                self.tell_lane(&wanted, &results).await;
                drop(message);
                self.consequences(&settings, &wanted, results)
            }
            Err(error) => self.unreadable(&error, &wanted),
        };
        self.conclude(group, consequences).await;
    }

    /// The recipients of a group that may be tried now, perhaps none, and the keys of those that are to be given back.
    async fn confirmed(&self, group: &Claimed) -> (Claimed, Vec<RecipientKey>) {
        let spool = &self.0.parts.spool;
        let keys: Vec<RecipientKey> = group.recipients.iter().map(|one| one.key).collect();
        let confirmed = match spool.confirm(self.owner(), &keys).await {
            Ok(confirmed) => confirmed,
            Err(error) => {
                log::warn!(queue:% = group.entry.id, cause:% = error; "A message is not tried now: its state cannot be read");
                let fate = Fate::Untried { due_at: self.0.parts.clock.now() + UNCONFIRMED };
                let fates: Vec<_> = keys.iter().map(|key| (*key, fate.clone())).collect();
                self.settle_surely(group.entry.id, &fates, Sent::No).await;
                return (Claimed { recipients: Vec::new(), ..group.clone() }, Vec::new());
            }
        };
        if confirmed.len() == keys.len() {
            return (group.clone(), Vec::new());
        }
        let (wanted, others): (Vec<Queued>, Vec<Queued>) =
            group.recipients.iter().cloned().partition(|one| confirmed.contains(&one.key));
        (Claimed { recipients: wanted, ..group.clone() }, others.iter().map(|one| one.key).collect())
    }

    /// Gives back recipients who were held, released or deleted since they were claimed.
    async fn give_back(&self, id: QueueId, keys: &[RecipientKey]) {
        if keys.is_empty() {
            return;
        }
        if let Err(error) = self.0.parts.spool.give_back(self.owner(), keys).await {
            // Housekeeping gives back what nobody works on.
            log::debug!(queue:% = id, cause:% = error; "Held recipients cannot be returned now");
        }
    }

    /// Puts off a group whose worker has panicked.
    async fn broke_down(&self, group: &Claimed) {
        let id = group.entry.id;
        log::error!(queue:% = id; "An attempt ended in a fault of this program; it will be repeated like a failed one");
        let is_settled = !group.recipients.iter().any(|one| self.0.lanes.lock().holds_recipient(one.key));
        if is_settled {
            return;
        }
        let why = "A fault of this program has ended the attempt; its log says more";
        self.conclude(group, self.failed_here(group, why)).await;
    }

    /// Records the result for a group, and lets go of it.
    async fn conclude(&self, group: &Claimed, consequences: Consequences) {
        let id = group.entry.id;
        let owes = consequences.iter().any(|(_, one)| owes_report(&one.fate));
        let written = self.settle_noting(id, &consequences).await;
        if written == Written::Yes {
            let events = consequences.into_iter().filter_map(|(_, one)| one.event);
            events.for_each(|event| self.0.parts.journal.record(event));
        }
        if owes {
            self.0.lanes.lock().owe_report(id);
        }
        self.let_go(group, written).await;
    }

    /// Forgets a group, and tells the sender what has gathered if it was the last one of its entry.
    pub(super) async fn let_go(&self, group: &Claimed, written: Written) {
        let state = self.0.lanes.lock().finish(group);
        if state == EntryState::ReportOwed && written == Written::Yes {
            self.notify_sender(group.entry.id).await;
        }
    }

    async fn attempt(&self, courier: Option<&mut Courier>, group: &Claimed, message: &Carried) -> Results {
        let Some(courier) = courier else {
            // Only the end of a transmission lets go of it.
            let Some(message) = message.message() else { return Vec::new() };
            let keys: Vec<RecipientKey> = group.recipients.iter().map(|one| one.key).collect();
            if let Err(trouble) = self.mark(group.entry.id, &keys).await {
                return keys.iter().map(|_| RecipientResult::Trouble(trouble.clone()).into()).collect();
            }
            let results = self.deliver_here(&group.entry, &group.recipients, &message).await;
            return results.into_iter().map(Attempted::from).collect();
        };
        let recipients = plain(&group.recipients);
        let long = Arc::new(LongAttempt::default());
        let before_end = |places: Vec<usize>| -> Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + '_>> {
            Box::pin(async move {
                let keys: Vec<RecipientKey> = places.iter().map(|place| group.recipients[*place].key).collect();
                self.mark(group.entry.id, &keys).await
            })
        };
        let group_out = Group {
            id: group.entry.id,
            envelope: &group.entry.envelope,
            recipients: &recipients,
            message,
            before_end: &before_end,
        };
        let attempts = std::pin::pin!(courier.attempt(group_out, Haste { give_up: &long.give_up, stage: &long.stage }));
        self.watched(attempts, group, &long).await.into_iter().map(Attempted::from).collect()
    }

    /// Marks recipients that the message may reach from now on. If the mark cannot be written, the result could not be either, and
    /// after a restart the message would be sent again: so it is not sent now. Nor is it if another node took this one for dead and
    /// has the recipients now.
    async fn mark(&self, id: QueueId, keys: &[RecipientKey]) -> Result<(), Trouble> {
        let (spool, owner) = (&self.0.parts.spool, self.owner());
        let mut marked = spool.mark_sending(owner, keys).await;
        if marked.as_ref().is_err_and(|error| !matches!(error, spool::Error::Overtaken)) {
            // Another transaction may have been in the way.
            tokio::time::sleep(SECOND_THOUGHT).await;
            marked = spool.mark_sending(owner, keys).await;
        }
        marked.map_err(|error| {
            let why = match error {
                spool::Error::Overtaken => {
                    log::warn!(queue:% = id; "A message is not sent now: it was taken away from this node, or changed by hand");
                    "The message was taken away from this sender while it was on its way"
                }
                error => {
                    log::warn!(queue:% = id, cause:% = error; "A message is not sent now: the database cannot be written");
                    "This server's database cannot be written now; nothing is sent while its result could not be kept"
                }
            };
            // RFC 3463 §3.4: X.3.0, mail system status.
            Trouble::ours(EnhancedStatus::new(4, 3, 0), why, Scope::Message)
        })
    }

    /// Waits for an attempt. When it takes long, it goes on beside the usual places.
    async fn watched<T>(
        &self,
        mut attempt: Pin<&mut impl Future<Output = T>>,
        group: &Claimed,
        long: &Arc<LongAttempt>,
    ) -> T {
        let settings = self.0.parts.settings.get();
        let mut patience = settings.slow_after.duration();
        loop {
            if let Ok(came) = tokio::time::timeout(patience, &mut attempt).await {
                return came;
            }
            let aside = self.0.lanes.lock().step_aside(group, long, Instant::now(), &settings);
            if let Aside::Stepped(number) = aside {
                let _aside = SteppedAside { queue: self, number };
                self.0.stir.notify_one();
                return attempt.await;
            }
            patience = LOOK_AGAIN;
        }
    }

    /// The message of a group, which is read again where the first host has refused it after its end and there is another: it may have
    /// taken long to say so.
    fn carried(&self, message: Message, permit: impl Send + 'static, (group, units): (&Claimed, u32)) -> Carried {
        let (queue, entry, destination) = (self.clone(), Arc::clone(&group.entry), group.destination.clone());
        Carried::new(message, permit).or_again(move || {
            let (queue, entry, destination) = (queue.clone(), Arc::clone(&entry), destination.clone());
            Box::pin(async move { queue.read_again(&entry, &destination, units).await })
        })
    }

    /// The message of an entry, and the memory for it.
    async fn read_again(&self, entry: &Entry, destination: &Destination, units: u32) -> Option<Present> {
        let held: Box<dyn Send> = Box::new(self.memory(destination, units).await);
        match self.0.parts.spool.whole_message(entry).await {
            Ok(message) => Some((message, held)),
            Err(error) => {
                log::warn!(queue:% = entry.id, cause:% = error; "The body of a queued message cannot be read again for another host");
                None
            }
        }
    }

    /// Memory for a message to a destination.
    async fn memory(&self, destination: &Destination, units: u32) -> [Option<OwnedSemaphorePermit>; 2] {
        let is_quick = self.0.lanes.lock().is_quick(destination);
        let of_doubtful = if is_quick { None } else { self.part_of(&self.0.doubtful_memory, units).await };
        [of_doubtful, self.part_of(&self.0.memory, units).await]
    }

    /// Memory of one kind. A worker that has to wait for it makes attempts give up that hold memory and take long.
    async fn part_of(&self, memory: &Memory, units: u32) -> Option<OwnedSemaphorePermit> {
        let mut permit = std::pin::pin!(Arc::clone(&memory.permits).acquire_many_owned(units.clamp(1, memory.units)));
        let mut patience = self.0.parts.settings.get().slow_after.duration();
        loop {
            match tokio::time::timeout(patience, &mut permit).await {
                Ok(permit) => return permit.ok(),
                Err(_) => self.0.lanes.lock().give_up_oldest(Instant::now()),
            }
            patience = LOOK_AGAIN;
        }
    }

    fn consequences(&self, settings: &QueueSettings, group: &Claimed, results: Results) -> Consequences {
        let now = self.0.parts.clock.now();
        let each = group.recipients.iter().zip(results).map(|(recipient, attempted)| {
            (recipient.key, consequence(settings, &group.entry, recipient, attempted, now))
        });
        each.collect()
    }

    /// Lets the lane know whether its destination can be talked to.
    async fn tell_lane(&self, group: &Claimed, results: &Results) {
        let settings = self.0.parts.settings.get();
        let now = self.0.parts.clock.now();
        let Some(why) = unreached(results) else {
            return self.0.lanes.lock().reached(&group.destination, &settings);
        };
        let waiting = self.0.lanes.lock().unreached(&group.destination, why, now, &settings);
        self.return_to_rest(waiting).await;
    }

    /// What is done with a group whose body cannot be read.
    fn unreadable(&self, error: &spool::Error, group: &Claimed) -> Consequences {
        log::error!(queue:% = group.entry.id, cause:% = error; "The body of a queued message cannot be read");
        let fate = match error {
            // A disk may recover. If it does not, the message is given up in the end, and the sender is told.
            spool::Error::Body { .. } => {
                return self.failed_here(group, "The message cannot be read from the disk of this server");
            }
            // An administrator can restore the file and release the entry.
            spool::Error::BodyMissing(_) => Fate::Hold { reason: "the file with its body is missing".to_owned() },
            _ => Fate::Untried { due_at: self.0.parts.clock.now() + UNREADABLE },
        };
        let each = group.recipients.iter();
        each.map(|recipient| (recipient.key, Consequence { fate: fate.clone(), event: None })).collect()
    }

    /// An attempt that failed because of this server alone. It counts like any other, so that there is an end to them.
    fn failed_here(&self, group: &Claimed, why: &str) -> Consequences {
        // RFC 3463 §3.4: X.3.0, mail system status.
        let trouble = Trouble::ours(EnhancedStatus::new(4, 3, 0), why, Scope::Message);
        let results = group.recipients.iter().map(|_| RecipientResult::Trouble(trouble.clone()).into()).collect();
        self.consequences(&self.0.parts.settings.get(), group, results)
    }
}

/// Why no host of the destination could be talked to, if that is what every result says.
fn unreached(results: &Results) -> Option<&str> {
    let mut why = None;
    for Attempted { result, .. } in results {
        match result {
            RecipientResult::Trouble(Trouble { scope: Scope::Destination, status, reply, .. })
                if status.class() == Class::Transient =>
            {
                why = Some(reply.as_str());
            }
            _ => return None,
        }
    }
    why
}
