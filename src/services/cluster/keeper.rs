//! The lease of this node: held, renewed, and acted upon when it ends.

use std::sync::Arc;
use std::time::Duration;

use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::tasks::Tasks;
use crate::storage::cluster::{Membership, NodeState, Term};
use crate::storage::journal::Journal;
use crate::storage::mailbox::{IdleUsers, Mailboxes, Release};

/// Rest after a renewal that failed.
const BREATH: Duration = Duration::from_millis(500);
/// Users handed over or given up in one go because somebody wished it.
const AT_ONCE: u32 = 500;

/// Keeps the lease. Cloning gives another handle.
#[derive(Clone)]
pub struct Keeper {
    membership: Membership,
    mailboxes: Mailboxes,
    journal: Journal,
    clock: SharedClock,
}

impl Keeper {
    /// For the mailboxes of this node.
    pub fn new(membership: Membership, mailboxes: Mailboxes, journal: Journal, clock: SharedClock) -> Self {
        Self { membership, mailboxes, journal, clock }
    }

    /// Joins if that is possible at once, so that a starting node serves its first client.
    pub async fn begin(&self) {
        self.join().await;
    }

    /// Whether this node has a lease now.
    pub fn has_lease(&self) -> bool {
        self.membership.term().is_some()
    }

    /// Holds the lease until it is told to stop.
    pub async fn run(self, tasks: Tasks) {
        let mut in_vain = 0;
        loop {
            let Some(term) = self.membership.term() else {
                let is_taken = tokio::select! {
                    () = tasks.stopping() => return,
                    is_taken = self.join() => is_taken,
                };
                in_vain = if is_taken { in_vain + 1 } else { 0 };
                if in_vain == self.renewals_of_two_leases() {
                    log::error!(node = self.membership.node();
                        "Another process holds the lease of this node and renews it: two machines must not have the same \
                         `cluster.node`. This one serves no mailboxes");
                }
                if self.membership.term().is_none() {
                    tokio::select! {
                        () = tasks.stopping() => return,
                        () = tokio::time::sleep(self.membership.settings().renew.duration()) => {}
                    }
                }
                continue;
            };
            tokio::select! {
                () = self.hold(&term) => {
                    term.end();
                    self.mailboxes.abandon();
                    self.record("lost");
                    log::error!(node = self.membership.node();
                        "The lease of this node could not be renewed: its sessions end, and other nodes may take its users");
                }
                () = tasks.stopping() => return,
                () = self.errands(&term) => {}
            }
        }
    }

    /// How often a lease is tried for in twice its length: that of a process that is gone has ended then.
    fn renewals_of_two_leases(&self) -> u128 {
        let settings = self.membership.settings();
        2 * settings.lease.duration().as_millis() / settings.renew.duration().as_millis().max(1) + 1
    }

    /// Joins, unless another process has the lease of this node; whether that is so.
    async fn join(&self) -> bool {
        let joined = self.membership.join().await;
        let is_taken = matches!(joined, Ok(None));
        match joined {
            Ok(Some(term)) => {
                if let Err(error) = self.membership.read_state().await {
                    log::warn!(error:% = error; "It is not known whether this node is to be emptied");
                }
                log::info!(node = self.membership.node(), epoch = term.epoch; "This node has joined");
                self.record("joined");
            }
            Ok(None) => log::debug!(node = self.membership.node(); "An earlier lease of this node has not yet expired"),
            Err(error) => log::warn!(error:% = error; "This node cannot join; it serves no mailboxes"),
        }
        is_taken
    }

    /// Renews the term until that fails for good.
    async fn hold(&self, term: &Arc<Term>) {
        let renew = self.membership.settings().renew.duration();
        let mut pause = renew;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause.min(term.left())) => {}
                () = term.ended() => return,
            }
            if !term.is_good() {
                return;
            }
            match tokio::time::timeout(term.left(), self.membership.renew(term)).await {
                Ok(Ok(true)) => pause = renew,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    log::warn!(error:% = error, left = term.left().as_millis(); "The lease of this node was not renewed; trying again");
                    pause = BREATH;
                }
            }
        }
    }

    /// What is done besides: other nodes' leases are watched, users move where they are wanted, a node being emptied gives up its
    /// own, unused users are given back.
    async fn errands(&self, term: &Arc<Term>) {
        let settings = self.membership.settings();
        let mut seen = IdleUsers::default();
        loop {
            tokio::time::sleep(settings.renew.duration()).await;
            self.look_round().await;
            if let Err(error) = self.move_wanted(term).await {
                log::warn!(error:% = error; "It is not known which users are to move");
                continue;
            }
            match self.membership.read_state().await {
                Ok(NodeState::Draining) => {
                    if let Err(error) = self.empty(term).await {
                        log::warn!(error:% = error; "It is not known which users this node has to give up");
                    }
                }
                Ok(NodeState::Serving) => {
                    for key in self.mailboxes.unused(settings.idle.duration(), &mut seen) {
                        self.release(&key, term, Release::Unused).await;
                    }
                }
                Err(error) => log::warn!(error:% = error; "It is not known whether this node is to be emptied"),
            }
        }
    }

    async fn look_round(&self) {
        match self.membership.look_round().await {
            Ok(ended) => ended.iter().for_each(|node| {
                log::warn!(node = node.as_str();
                    "The lease of node {node} has not been renewed and has ended, although it lasts longer by the database's clock, \
                     which must have been set back: set it right");
            }),
            Err(error) => log::warn!(error:% = error; "The leases of the other nodes are unknown now"),
        }
    }

    async fn empty(&self, term: &Arc<Term>) -> Result<(), crate::storage::cluster::Error> {
        for home in self.membership.owned(term, AT_ONCE).await? {
            self.release(&home, term, Release::Anyway).await;
        }
        Ok(())
    }

    async fn move_wanted(&self, term: &Arc<Term>) -> Result<(), crate::storage::cluster::Error> {
        for (home, node) in self.membership.wanted(term, AT_ONCE).await? {
            self.release(&home, term, Release::To(&node)).await;
        }
        Ok(())
    }

    async fn release(&self, home: &str, term: &Term, release: Release<'_>) {
        if let Err(error) = self.mailboxes.release(home, term, release).await {
            log::warn!(error:% = error; "A user could not be given back; this node keeps the mailboxes");
        }
    }

    /// Gives everything back at the very end.
    pub async fn leave(&self) {
        match self.membership.leave().await {
            Ok(()) => self.record("left"),
            Err(error) => log::warn!(error:% = error; "The users of this node stay with it until its lease ends"),
        }
    }

    fn record(&self, what: &'static str) {
        let event = Event::new(self.clock.now(), EventKind::Cluster).subject(self.membership.node().to_owned());
        self.journal.record(event.with("what", what).with("users", self.mailboxes.users().len()));
    }
}
