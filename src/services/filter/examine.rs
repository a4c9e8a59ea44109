//! Judging a message that lies in a file, after the fact: the same rules, the same classifier, the same weights as in
//! the SMTP dialogue, with the hop by which it came read from its Received fields.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::authentication::{Authentication, Authenticator, Client, Iprev};
use super::classifier::Table;
use super::rules::{ClientName, Facts, RuleSet};
use super::score::{Assessment, assess};
use super::view::{Hop, View, hop};
use super::{FilterSettings, Signal, decide, dns_lists};
use crate::foundations::clock::Timestamp;
use crate::foundations::dns::SharedResolver;

/// Judges messages without receiving them.
pub struct Examiner {
    settings: FilterSettings,
    rules: RuleSet,
    site: Option<Arc<Table>>,
    own: Option<Arc<Table>>,
}

/// What came out for one message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examined {
    /// Sum of the weights.
    pub score: f64,
    /// `accept`, `junk` or `refuse`.
    pub verdict: &'static str,
    /// What was noticed, the heaviest first.
    pub signals: Vec<Signal>,
}

impl std::fmt::Debug for Examiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examiner").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

/// What the network says about a message.
#[derive(Debug, Default)]
pub struct Inquiry {
    authentication: Option<Authentication>,
    listed: Vec<Signal>,
}

impl Examiner {
    /// With these settings and what has been learned by everybody and by one account.
    pub fn new(settings: FilterSettings, site: Option<Arc<Table>>, own: Option<Arc<Table>>) -> Self {
        let rules = super::load_rules(&settings.rules);
        Self { settings, rules, site, own }
    }

    /// The compiled rules.
    pub const fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Judges a message by itself alone.
    pub fn examine(&self, message: &[u8]) -> Examined {
        self.examine_with(message, &Inquiry::default())
    }

    /// Judges a message with what the network says about it.
    pub fn examine_with(&self, message: &[u8], inquiry: &Inquiry) -> Examined {
        let view = View::new(message, &self.settings.limits);
        let hop = hop(&view);
        let reverse_path = reverse_path(&view);
        let authentication = inquiry.authentication.as_ref();
        let mut others = inquiry.listed.clone();
        others.extend(authentication.iter().flat_map(|a| a.signals()));
        let verified = authentication.and_then(|a| a.iprev.as_ref());
        let facts = Facts {
            reverse_path: &reverse_path,
            hello: hop.as_ref().map_or("", |h| &h.hello),
            client: hop.as_ref().map(|h| h.address),
            client_name: client_name(hop.as_ref(), verified),
            authenticated: authentication.is_some_and(Authentication::is_authentic),
            network: authentication.is_some(),
            others: &others,
            ..Facts::of(&view)
        };
        let Assessment { score, signals, .. } = assess(&self.rules, &facts, self.site.as_deref(), self.own.as_deref());
        Examined { score, verdict: decide::word(&self.settings, score, authentication), signals }
    }

    /// Asks the DNS about a message's sender and links.
    pub async fn inquire(&self, message: &[u8], resolver: &SharedResolver, hostname: &str) -> Inquiry {
        let (client, hello, reverse_path, author, domains) = {
            let view = View::new(message, &self.settings.limits);
            let hop = hop(&view);
            let author = view.from_address().rsplit_once('@').map_or("", |(_, d)| d).to_owned();
            let hello = hop.as_ref().map(|h| h.hello.clone()).unwrap_or_default();
            (hop.map(|h| h.address), hello, reverse_path(&view), author, dns_lists::domains_of(&view))
        };
        let patience: Duration = self.settings.deadline.duration();
        let from = Client {
            address: client,
            hello: &hello,
            reverse_path: &reverse_path,
            author: &author,
            at: Timestamp::EPOCH,
        };
        let authenticator = Authenticator::new(Arc::clone(resolver), hostname.to_owned());
        let trusted = &self.settings.authentication.trusted_sealers;
        let checks = authenticator.check(message, from, trusted, patience);
        let lists = dns_lists::ask(&**resolver, &self.settings.dns_lists, client, &domains);
        let (authentication, listed) = tokio::join!(checks, tokio::time::timeout(patience, lists));
        Inquiry { authentication: Some(authentication), listed: listed.unwrap_or_default() }
    }
}

/// The reverse-path as delivery has written it down.
fn reverse_path(view: &View<'_>) -> String {
    view.field("Return-Path").map_or("", |f| f.address()).to_owned()
}

fn client_name<'h>(hop: Option<&'h Hop>, verified: Option<&'h Iprev>) -> ClientName<'h> {
    match (verified, hop) {
        (Some(Iprev::Pass(name)), _) => ClientName::Verified(name),
        (Some(Iprev::Fail), _) => ClientName::Missing,
        (Some(Iprev::TempError), _) | (None, None) => ClientName::NotAsked,
        (None, Some(hop)) => hop.name.as_deref().map_or(ClientName::Missing, ClientName::Verified),
    }
}
