//! The one task that claims what is due and gives it to workers.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::lanes::{Capacity, Rest};
use super::outcome::untried;
use super::schedule::longest_wait;
use super::{Change, Error, Queue, settling, worker};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::QueueId;
use crate::storage::journal::Believed;
use crate::storage::spool::{Claim, Claimed, Destination, Fate, QUARANTINED, Queued, RecipientKey, Selection};

/// Most recipients in one claim.
const SLICE: usize = 100;
/// How often to look whether samples are wanted, while they are not.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// Held entries that are looked at in one go.
const SLICE_HELD: u32 = 200;
/// Entries whose senders are told in one go of housekeeping.
const SLICE_REPORTS: u32 = 100;
/// How often leases are renewed and forgotten reports are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// A clock that goes back by less than this was only corrected.
const SET_BACK: Duration = Duration::from_secs(5);
/// Pause after a failure of the database.
const PAUSE: Duration = Duration::from_secs(5);
/// Shortest pause between two looks when something is due that cannot be had now.
const BREATH: Duration = Duration::from_millis(100);

/// What the clock showed when it was last looked at.
struct Seen {
    time: Timestamp,
    at: Instant,
}

/// Whether the clock was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    Yes,
    No,
}

impl Queue {
    /// Starts the scheduler. It ends, with its workers, when the tasks are told to stop; groups in hand are finished first.
    pub fn start(&self) {
        let tasks = &self.0.parts.tasks;
        let queue = self.clone();
        tasks.keep("the queue's scheduler", move || queue.clone().run());
        let queue = self.clone();
        tasks.keep("the record of the queue's length", move || queue.clone().sample());
    }

    /// Writes the queue's length down now and then, for the charts.
    async fn sample(self) {
        let tasks = &self.0.parts.tasks;
        loop {
            let every = self.0.parts.settings.get().sample_every.duration();
            if !every.is_zero()
                && let Err(error) = self.0.parts.spool.sample().await
            {
                log::warn!(cause:% = error; "The queue's length cannot be recorded now");
            }
            let pause = if every.is_zero() { LOOK_AGAIN } else { every.max(PAUSE) };
            let clock = &self.0.parts.clock;
            tokio::select! {
                () = tasks.stopping() => return,
                () = clock.sleep_until(clock.now() + pause) => {}
            }
        }
    }

    async fn run(self) {
        let tasks = &self.0.parts.tasks;
        while let Err(error) = self.0.begun.get_or_try_init(|| self.begin()).await {
            log::warn!(cause:% = error; "The queue cannot be read yet");
            tokio::select! {
                () = tasks.stopping() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        let clock = &self.0.parts.clock;
        // At once: a scheduler that has panicked may have claimed recipients that never came into a lane.
        let mut housekeeping_at = clock.now();
        let (mut seen, mut reported) = (Seen { time: clock.now(), at: Instant::now() }, None);
        while !tasks.is_stopping() {
            if self.follow_back(&mut seen).await == Back::Yes {
                housekeeping_at = clock.now();
            }
            let next = match self.fill().await {
                Ok(next) => next,
                Err(error) => {
                    log::warn!(cause:% = error; "The queue cannot be read now");
                    // The claim may have been committed all the same.
                    housekeeping_at = clock.now();
                    tokio::select! {
                        () = tasks.stopping() => return,
                        () = tokio::time::sleep(PAUSE) => continue,
                    }
                }
            };
            let now = clock.now();
            if now >= housekeeping_at {
                self.keep_house(&mut reported).await;
                housekeeping_at = now + HOUSEKEEPING;
            }
            let wake = next.map_or(housekeeping_at, |next| next.min(housekeeping_at));
            if wake <= clock.now() {
                tokio::time::sleep(BREATH).await;
            }
            tokio::select! {
                () = tasks.stopping() => {}
                () = self.0.parts.spool.changed() => {}
                () = self.0.stir.notified() => {}
                () = clock.sleep_until(wake) => {}
                // A clock that was put back shows that time late.
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
        }
    }

    /// Notices that the clock was put back since it was last looked at, and keeps recipients from waiting longer because of that.
    async fn follow_back(&self, seen: &mut Seen) -> Back {
        let now = Seen { time: self.0.parts.clock.now(), at: Instant::now() };
        let by = seen.time.since(now.time);
        if by < SET_BACK {
            *seen = now;
            return Back::No;
        }
        let by = by + (now.at - seen.at);
        if let Err(error) = self.0.parts.spool.bring_forward(by).await {
            log::warn!(cause:% = error; "The clock was set back, and messages cannot be made due sooner yet; it will be tried again");
            return Back::Yes;
        }
        log::warn!(seconds = by.as_secs(); "The clock was set back; waiting messages are still tried as originally planned");
        self.0.lanes.lock().wake_all();
        *seen = now;
        Back::Yes
    }

    /// The name under which this process claims.
    pub(super) fn owner(&self) -> &str {
        &self.0.parts.claimant
    }

    /// Takes back what an earlier process of this name had claimed. This must happen only once: later it would take from our own
    /// workers.
    async fn begin(&self) -> Result<(), Error> {
        if let Some(node) = &self.0.parts.node {
            self.join(node).await?;
        }
        // First: what is known to have arrived is no possible duplicate.
        self.settle_noted().await?;
        self.record_repeated(self.0.parts.spool.recover(self.owner()).await?);
        let latest = self.0.parts.clock.now() + longest_wait(&self.0.parts.settings.get());
        let forward = self.0.parts.spool.none_due_after(latest).await?;
        if forward > 0 {
            log::warn!(recipients = forward; "The clock was ahead when these recipients were tried; they are tried now");
        }
        // Nobody waits for this.
        if let Err(error) = self.0.parts.spool.sweep().await {
            log::warn!(cause:% = error; "Leftovers of a crash in the spool cannot be removed now; the next start tries again");
        }
        if self.0.parts.node.is_some() {
            let queue = self.clone();
            self.0.parts.tasks.keep("the care of this node's lease", move || queue.clone().look_after_neighbours());
        }
        Ok(())
    }

    /// Says which messages may arrive twice.
    pub(super) fn record_repeated(&self, uncertain: Vec<(QueueId, Queued)>) {
        for (id, recipient) in uncertain {
            let event = Event::new(self.0.parts.clock.now(), EventKind::QueueChanged)
                .queue(id)
                .subject(recipient.recipient.address.to_string())
                .with("possible_duplicate", true)
                .with("reason", "the server stopped while this message was being transmitted; it is sent again");
            self.0.parts.journal.record(event);
        }
    }

    /// Claims what is due while there is room. Returns when more will be due, if anything will be.
    async fn fill(&self) -> Result<Option<Timestamp>, Error> {
        loop {
            let settings = self.0.parts.settings.get();
            self.start_workers();
            let Capacity { recipients, except } = self.0.lanes.lock().capacity(&settings);
            if recipients == 0 {
                let in_the_way = self.0.lanes.lock().make_room(self.0.parts.clock.now());
                if in_the_way.is_empty() {
                    // A worker stirs when it has settled something.
                    return Ok(None);
                }
                self.return_to_rest(in_the_way).await;
                continue;
            }
            let limit = u32::try_from(recipients.min(SLICE)).unwrap_or(1);
            let in_hand = self.0.lanes.lock().in_hand();
            let claim = Claim { owner: self.owner(), only: None, except: &except, limit, in_hand: &in_hand };
            let claimed = self.0.parts.spool.claim(claim).await?;
            if claimed.is_empty() {
                return Ok(self.0.parts.spool.next_due(self.owner(), &except).await?);
            }
            join_all(claimed.into_iter().map(|group| self.take_in(group))).await;
            if self.0.parts.tasks.is_stopping() {
                return Ok(None);
            }
        }
    }

    /// Sorts a claimed group into its lane; what goes elsewhere now, or to a destination that rests, is given back.
    async fn take_in(&self, mut group: Claimed) {
        self.0.lanes.lock().leave_out_known(&mut group);
        let now = self.0.parts.clock.now();
        let Claimed { entry, destination, recipients } = group;
        let (mut here, mut elsewhere) = (Vec::with_capacity(recipients.len()), Vec::new());
        for recipient in recipients {
            match self.goes_to(&destination, &recipient).await {
                same if same == destination => here.push(recipient),
                destination => elsewhere.push((recipient.key, Fate::Redirected { destination })),
            }
        }
        if !elsewhere.is_empty() {
            self.settle_surely(entry.id, &elsewhere, settling::Sent::No).await;
        }
        if here.is_empty() {
            return;
        }
        let rest = self.0.lanes.lock().resting(&destination, now).cloned();
        if let Some(rest) = rest {
            let group = Claimed { entry, destination, recipients: here };
            let owed = self.put_off(&group, Some(&rest)).await;
            if owed == worker::Owed::Report && !self.0.lanes.lock().holds(group.entry.id) {
                self.notify_sender(group.entry.id).await;
            }
            return;
        }
        let settings = self.0.parts.settings.get();
        let most = usize::try_from(settings.recipients_per_transaction.max(1)).unwrap_or(usize::MAX);
        let mut lanes = self.0.lanes.lock();
        for chunk in here.chunks(most) {
            let (entry, destination) = (std::sync::Arc::clone(&entry), destination.clone());
            lanes.add(Claimed { entry, destination, recipients: chunk.to_vec() }, &settings);
        }
    }

    /// Gives back groups that were waiting for destinations that rest.
    pub(super) async fn return_to_rest(&self, groups: Vec<Claimed>) {
        for group in groups {
            let rest = self.0.lanes.lock().resting(&group.destination, self.0.parts.clock.now()).cloned();
            // Held until it is written down, so that housekeeping goes on renewing its lease.
            if self.put_off(&group, rest.as_ref()).await == worker::Owed::Report {
                self.0.lanes.lock().owe_report(group.entry.id);
            }
            self.let_go(&group, settling::Written::Yes).await;
        }
    }

    /// Where a recipient goes by now: routes change, and a domain may have become ours. Whether mail for our own mailboxes still is
    /// ours is asked when it is delivered.
    async fn goes_to(&self, destination: &Destination, recipient: &Queued) -> Destination {
        if *destination == Destination::Local {
            return Destination::Local;
        }
        let address = &recipient.recipient.address;
        self.destination_of(address).await.unwrap_or_else(|error| {
            log::warn!(cause:% = error; "It is unknown whether {address} is local by now; its mail is routed as before");
            self.0.parts.outbound.destination(address.domain())
        })
    }

    /// Gives a group back until its destination has rested. To tell the sender is left to the caller.
    pub(super) async fn put_off(&self, group: &Claimed, rest: Option<&Rest>) -> worker::Owed {
        let (fates, events) = untried(&self.0.parts.settings.get(), group, rest, self.0.parts.clock.now());
        let owed = fates.iter().any(|(_, fate)| worker::owes_report(fate));
        if self.settle_surely(group.entry.id, &fates, settling::Sent::No).await == settling::Written::No {
            return worker::Owed::Nothing;
        }
        events.into_iter().for_each(|event| self.0.parts.journal.record(event));
        if owed { worker::Owed::Report } else { worker::Owed::Nothing }
    }

    /// Gives every group that deserves one a worker.
    fn start_workers(&self) {
        let settings = self.0.parts.settings.get();
        while !self.0.parts.tasks.is_stopping() {
            let Some(group) = self.0.lanes.lock().start_worker(&settings) else { return };
            self.0.parts.tasks.spawn(worker::run(self.clone(), group));
        }
    }

    /// Deletes what has been in quarantine for too long.
    async fn empty_quarantine(&self) -> Result<(), Error> {
        let lifetime = self.0.parts.settings.get().quarantine_lifetime.duration();
        if lifetime.is_zero() {
            return Ok(());
        }
        match self.0.parts.journal.believes_the_clock().await {
            Ok(Believed::Yes) => {}
            Ok(Believed::NotBefore(_)) => return Ok(()),
            Err(error) => {
                log::warn!(cause:% = error; "It is unknown whether the clock was set forward; nothing in quarantine is deleted now");
                return Ok(());
            }
        }
        let limit = self.0.parts.clock.now() - lifetime;
        let mut after = None;
        loop {
            // In the order of their arrival: the first young one is the last to be looked at.
            let held = self.0.parts.spool.list(&Selection::Held, after, SLICE_HELD).await?;
            for listing in &held {
                let entry = &listing.entry;
                if entry.received_at > limit {
                    return Ok(());
                }
                if entry.hold_reason.as_deref() == Some(QUARANTINED) {
                    self.change(&Change::Expire(entry.id)).await?;
                }
            }
            match held.last() {
                Some(last) => after = Some(last.entry.id),
                None => return Ok(()),
            }
        }
    }

    /// Renews the leases of what is in memory. Whatever else is reserved for this process has been forgotten: the answer to a
    /// claim was lost, or a worker broke down. Nobody would see to it, so it is given back.
    ///
    /// Must run in the task that claims, or else a claim on its way to a lane would look forgotten.
    async fn renew(&self) -> Result<(), Error> {
        let spool = &self.0.parts.spool;
        let reserved = spool.reserved(self.owner()).await?;
        let (held, forgotten): (Vec<RecipientKey>, Vec<RecipientKey>) = {
            let lanes = self.0.lanes.lock();
            reserved.into_iter().partition(|key| lanes.holds_recipient(*key))
        };
        spool.renew(self.owner(), &held).await?;
        if !forgotten.is_empty() {
            log::warn!(recipients = forgotten.len(); "Reserved recipients that nobody worked on are returned to the queue");
            spool.give_back(self.owner(), &forgotten).await?;
        }
        Ok(())
    }

    /// Renews leases, and sees to what a crash or a failure has left behind: bodies, and reports, going on after the last one of the
    /// time before (`reported`).
    async fn keep_house(&self, reported: &mut Option<QueueId>) {
        self.0.parts.spool.remove_leftovers().await;
        if let Err(error) = self.renew().await {
            log::warn!(cause:% = error; "The queue's leases cannot be renewed now");
            return;
        }
        if let Err(error) = self.empty_quarantine().await {
            log::warn!(cause:% = error; "Old messages in quarantine cannot be deleted now; it will be tried again");
        }
        match self.0.parts.spool.entries_to_report(*reported, SLICE_REPORTS).await {
            Ok(ids) => {
                // After the last ones it begins anew. So reports that cannot be sent, however many, do not hide those that can.
                *reported = ids.last().copied().filter(|_| ids.len() == SLICE_REPORTS as usize);
                for id in ids {
                    if !self.0.lanes.lock().holds(id) {
                        self.notify_sender(id).await;
                    }
                }
            }
            Err(error) => log::warn!(cause:% = error; "Pending reports to senders cannot be read now"),
        }
    }
}
