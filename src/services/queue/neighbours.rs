//! Other nodes that send from the same queue.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Error, Queue};
use crate::foundations::event::{Event, EventKind};
use crate::storage::spool::{self, Neighbour, QueueNode};

/// How many times a lease is renewed in the time that it lasts.
const RENEWALS: u32 = 8;
/// How often to look whether another node is gone, or was forgotten.
const LOOK: Duration = Duration::from_secs(3);
/// Shortest pause between two renewals.
const BREATH: Duration = Duration::from_millis(100);

impl Queue {
    /// Renews this node's lease on what it claims, and frees what those have claimed who are gone.
    pub(super) async fn look_after_neighbours(self) {
        let (parts, mut apart) = (&self.0.parts, BTreeSet::new());
        let Some(node) = &parts.node else { return };
        loop {
            if let Err(error) = self.look_round(node, &mut apart).await {
                log::warn!(cause:% = error; "The state of the other nodes of this queue is unknown now");
            }
            let renewal = tokio::time::Instant::now() + (node.lease() / RENEWALS).max(BREATH);
            while tokio::time::Instant::now() < renewal {
                let look = tokio::time::Instant::now() + LOOK;
                tokio::select! {
                    () = parts.tasks.stopping() => return,
                    () = tokio::time::sleep_until(look.min(renewal)) => {}
                }
                // A failure is told with the renewal.
                if let Ok(others) = node.neighbours().await {
                    let _ = self.take_over_from(node, &others).await;
                }
            }
        }
    }

    /// A full disk must not keep the queue from being emptied: without a mark, nothing is taken over from this node.
    pub(super) async fn join(&self, node: &QueueNode) -> Result<(), Error> {
        match node.join().await {
            Err(error @ spool::Error::Body { .. }) => {
                log::error!(cause:% = error; "This node cannot leave its mark in the queue's directory, where the others look for it");
                Ok(())
            }
            joined => Ok(joined?),
        }
    }

    async fn look_round(&self, node: &QueueNode, apart: &mut BTreeSet<String>) -> Result<(), Error> {
        if !node.renew().await? {
            // What it had claimed was free for others meanwhile; each message is confirmed before it is sent.
            log::warn!("The other nodes of this queue took this node for dead; it joins again");
            self.join(node).await?;
        }
        let others = node.neighbours().await?;
        for other in &others {
            let concerns = other.is_alive || other.has_claims;
            match (other.is_seen, concerns) {
                (false, true) => self.tell_apart(other, apart),
                (true, _) => _ = apart.remove(&other.name),
                (false, false) => {}
            }
        }
        self.take_over_from(node, &others).await
    }

    /// Takes over what those nodes have claimed whose leases have ended.
    async fn take_over_from(&self, node: &QueueNode, others: &[Neighbour]) -> Result<(), Error> {
        // One that was given up by an administrator need not have left a mark: its disk may have been full.
        let is_gone = |other: &&Neighbour| (other.is_seen || other.is_given_up) && !other.is_alive && other.has_claims;
        for other in others.iter().filter(is_gone) {
            self.take_over(node, other).await?;
        }
        Ok(())
    }

    /// Bodies that another node has written cannot be read here, and the other way round.
    fn tell_apart(&self, other: &Neighbour, apart: &mut BTreeSet<String>) {
        log::error!(node = other.name.as_str();
            "This node and another do not see the same queue: `spool.directory` must be one directory that all nodes of a cluster \
             share. Messages wait until they do, and nothing is taken over from the other node");
        if apart.insert(other.name.clone()) {
            self.record_neighbour(&other.name, "does not see the same queue");
        }
    }

    async fn take_over(&self, node: &QueueNode, other: &Neighbour) -> Result<(), Error> {
        if !node.bury(other).await? {
            return Ok(());
        }
        let other = other.name.as_str();
        self.settle_noted().await?;
        let uncertain = self.0.parts.spool.recover_from(other).await?;
        log::warn!(node = other, uncertain = uncertain.len(); "Other nodes send what a lost node was about to send");
        self.record_repeated(uncertain);
        self.record_neighbour(other, "claims taken over");
        Ok(())
    }

    fn record_neighbour(&self, other: &str, what: &'static str) {
        let event = Event::new(self.0.parts.clock.now(), EventKind::Cluster).subject(other.to_owned());
        self.0.parts.journal.record(event.with("what", what).with("by", self.owner().to_owned()));
    }
}
