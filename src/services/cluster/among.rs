//! Delivery to mailboxes that several nodes own.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;

use super::handing::Cluster;
use super::link::LmtpDial;
use crate::foundations::address::Domain;
use crate::foundations::failure::Refusal;
use crate::foundations::mail::Mail;
use crate::foundations::settings::Live;
use crate::services::filter::Verdict;
use crate::services::handover::{LocalDelivery, Outcome};
use crate::services::outbound::{OutboundSettings, OverLmtp};
use crate::services::routing::LocalRecipient;

/// Nodes whose connections are kept.
const MOST_NODES: usize = 64;

/// Delivers to the mailboxes of this node, and passes on to the others what is theirs.
pub struct AmongNodes {
    cluster: Cluster,
    here: Arc<dyn LocalDelivery>,
    hostname: Domain,
    outbound: Live<OutboundSettings>,
    others: Mutex<HashMap<String, OverLmtp>>,
}

impl AmongNodes {
    /// `here` delivers to this node's mailboxes.
    pub fn new(
        cluster: Cluster,
        here: Arc<dyn LocalDelivery>,
        hostname: Domain,
        outbound: Live<OutboundSettings>,
    ) -> Self {
        Self { cluster, here, hostname, outbound, others: Mutex::default() }
    }

    /// The way to a node.
    fn other(&self, address: &str) -> OverLmtp {
        let mut others = self.others.lock();
        if others.len() >= MOST_NODES && !others.contains_key(address) {
            others.clear();
        }
        let fresh = || {
            let dial = LmtpDial { links: self.cluster.links().clone(), address: address.into() };
            OverLmtp::through(Box::new(dial), self.hostname.clone(), self.outbound.clone())
        };
        others.entry(address.to_owned()).or_insert_with(fresh).clone()
    }

    async fn divide(
        &self,
        mail: &Mail,
        verdict: &Verdict,
        recipients: &[LocalRecipient],
    ) -> Vec<Result<Outcome, Refusal>> {
        let mut results: Vec<Option<Result<Outcome, Refusal>>> = recipients.iter().map(|_| None).collect();
        let mut by_owner: HashMap<Option<String>, Vec<usize>> = HashMap::new();
        for (place, recipient) in recipients.iter().enumerate() {
            match self.cluster.elsewhere(&recipient.account).await {
                Ok(elsewhere) => by_owner.entry(elsewhere.map(|other| other.address)).or_default().push(place),
                Err(refusal) => results[place] = Some(Err(refusal)),
            }
        }
        let parts = by_owner.into_iter().map(|(owner, places)| async move {
            let theirs: Vec<LocalRecipient> = places.iter().map(|place| recipients[*place].clone()).collect();
            let came = match owner {
                None => self.here.deliver(mail, verdict, &theirs).await,
                Some(address) => self.other(&address).deliver(mail, verdict, &theirs).await,
            };
            places.into_iter().zip(came).collect::<Vec<_>>()
        });
        for (place, result) in join_all(parts).await.into_iter().flatten() {
            results[place] = Some(result);
        }
        let nothing = || Err(Refusal::temporary("the node that owns the mailbox gave no answer".to_owned()));
        results.into_iter().map(|result| result.unwrap_or_else(nothing)).collect()
    }
}

impl LocalDelivery for AmongNodes {
    fn deliver<'a>(
        &'a self,
        mail: &'a Mail,
        verdict: &'a Verdict,
        recipients: &'a [LocalRecipient],
    ) -> BoxFuture<'a, Vec<Result<Outcome, Refusal>>> {
        self.divide(mail, verdict, recipients).boxed()
    }
}
