//! Judging a message in a file after the fact: the same rules, classifier and weights as in
//! the SMTP dialogue; the hop by which it came is read from its Received fields.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::authentication::{Authentication, Authenticator, Client, Iprev};
use super::classifier::Table;
use super::glance::Glance;
use super::language::{Language, Reading};
use super::reputation::{Book, Claims, Standing, standing};
use super::rules::{ClientName, Facts, RuleSet};
use super::score::{Assessment, assess};
use super::view::{Hop, View, hop};
use super::{FilterSettings, Signal, decide, dns_lists};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::dns::SharedResolver;

/// Judges messages without receiving them.
pub struct Examiner {
    settings: FilterSettings,
    rules: RuleSet,
    site: Option<Arc<Table>>,
    own: Option<Arc<Table>>,
    book: Option<Arc<Book>>,
    recipient: Option<Address>,
}

/// The result for one message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examined {
    /// Sum of the weights.
    pub score: f64,
    /// `accept`, `junk`, `quarantine` or `refuse`.
    pub verdict: &'static str,
    /// The ISO 639-1 code of its language, if it was needed and is beyond doubt.
    pub language: Option<&'static str>,
    /// What was noticed, the heaviest first.
    pub signals: Vec<Signal>,
}

impl std::fmt::Debug for Examiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examiner").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

/// What others say about a message: the network, and its sender's reputation.
#[derive(Debug, Default)]
pub struct Inquiry {
    authentication: Option<Authentication>,
    listed: Vec<Signal>,
    standing: Standing,
}

impl Examiner {
    /// An examiner with these settings and what has been learned by everybody and by one account.
    pub fn new(settings: FilterSettings, site: Option<Arc<Table>>, own: Option<Arc<Table>>) -> Self {
        let rules = super::load_rules(&settings.rules);
        Self { settings, rules, site, own, book: None, recipient: None }
    }

    /// Adds sender reputation.
    #[must_use]
    pub fn with_book(mut self, book: Option<Arc<Book>>) -> Self {
        self.book = book;
        self
    }

    /// For a recipient with their own thresholds and known senders.
    #[must_use]
    pub fn with_recipient(mut self, recipient: Option<&Address>) -> Self {
        self.recipient = recipient.cloned();
        self
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
        let claims = authentication.map(|found| Claims::of("", Some(found), None));
        let mut others = inquiry.listed.clone();
        others.extend(authentication.iter().flat_map(|a| a.signals()));
        others.extend(inquiry.standing.signals.iter().cloned());
        let verified = authentication.and_then(|a| a.iprev.as_ref());
        let reading = Reading::new(&view, &self.settings.recognition);
        let recipient = self.recipient.as_ref().map(Address::key);
        let languages = self.settings.languages(&Vec::from_iter(recipient.as_deref()));
        let facts = Facts {
            reading: Some(&reading),
            languages: languages.unwrap_or(&self.rules.options().ok_languages),
            reverse_path: &reverse_path,
            hello: hop.as_ref().map_or("", |h| &h.hello),
            client: hop.as_ref().map(|h| h.address),
            client_name: client_name(hop.as_ref(), verified),
            authenticated: authentication.is_some_and(Authentication::is_authentic),
            shown: claims.as_ref().map(|claims| claims.shown.as_slice()),
            is_stranger: inquiry.standing.is_stranger,
            network: authentication.is_some(),
            others: &others,
            ..Facts::of(&view)
        };
        let Assessment { score, signals, .. } = assess(&self.rules, &facts, self.site.as_deref(), self.own.as_deref());
        let thresholds = match &recipient {
            Some(recipient) => self.settings.thresholds(&[recipient]),
            None => self.settings.site_thresholds(),
        };
        Examined {
            score,
            verdict: decide::word(&self.settings, &thresholds, score, authentication),
            language: reading.noted().map(Language::code),
            signals,
        }
    }

    /// Asks the DNS about a message's sender and links.
    pub async fn inquire(&self, message: &[u8], resolver: &SharedResolver, hostname: &str) -> Inquiry {
        let (client, hello, reverse_path, address) = {
            let view = View::new(message, &self.settings.limits);
            let hop = hop(&view);
            let hello = hop.as_ref().map(|h| h.hello.clone()).unwrap_or_default();
            (hop.map(|h| h.address), hello, reverse_path(&view), view.from_address().to_owned())
        };
        let Glance { authors, domains, .. } = Glance::of(message, &reverse_path, &self.settings);
        let patience: Duration = self.settings.deadline.duration();
        let at = Timestamp::EPOCH;
        let from = Client { address: client, hello: &hello, reverse_path: &reverse_path, authors: &authors, at };
        let authenticator = Authenticator::new(Arc::clone(resolver), hostname.to_owned());
        let trusted = &self.settings.authentication.trusted_sealers;
        let checks = authenticator.check(message, from, trusted, patience);
        let lists = dns_lists::ask(&**resolver, &self.settings.dns_lists, client, &domains, patience);
        let (authentication, listed) = tokio::join!(checks, lists);
        let standing = self.standing(&Claims::of(&address, Some(&authentication), client)).await;
        Inquiry { authentication: Some(authentication), listed, standing }
    }

    /// Looks up the reputation of a message's sender, as this server recorded the sender on arrival. No network.
    pub async fn recall(&self, message: &[u8], hostname: &str) -> Inquiry {
        if self.book.is_none() {
            return Inquiry::default();
        }
        let claims = Claims::of_delivered(&View::header(message, &self.settings.limits), hostname);
        Inquiry { standing: self.standing(&claims).await, ..Inquiry::default() }
    }

    async fn standing(&self, claims: &Claims) -> Standing {
        let settings = &self.settings.reputation;
        let Some(book) = self.book.as_ref().filter(|_| settings.enabled) else { return Standing::default() };
        let account = self.recipient.as_ref().map(Address::key);
        let owners: Vec<String> = std::iter::once(String::new()).chain(account.clone()).collect();
        let mut parties = claims.parties();
        parties.extend(claims.correspondent());
        match book.read(settings, &owners, &parties).await {
            Ok(found) => standing(settings, claims, &found, account.as_deref()),
            Err(error) => {
                log::warn!("filter: sender reputation cannot be read, senders count as unknown: {error}");
                Standing::default()
            }
        }
    }
}

/// The reverse-path as delivery recorded it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::ZoneResolver;

    #[tokio::test]
    async fn authors_are_the_same_as_in_the_dialogue() {
        let zone = ZoneResolver::new();
        zone.add("_dmarc.bank.test TXT v=DMARC1; p=reject").unwrap();
        let resolver: SharedResolver = Arc::new(zone);
        let examiner = Examiner::new(FilterSettings::default(), None, None);
        for from in ["a@far.test, boss@bank.test", "boss@bank.test\u{202c}", "\"boss@bank.test\""] {
            let message = format!("From: {from}\r\n\r\nx");
            let inquiry = examiner.inquire(message.as_bytes(), &resolver, "mx.test").await;
            let domain = inquiry.authentication.map(|found| found.dmarc.domain);
            assert_eq!(domain.as_deref(), Some("bank.test"), "{from:?}");
        }
    }
}
