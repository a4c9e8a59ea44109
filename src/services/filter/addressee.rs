//! Whose settings, lessons and known senders apply to a recipient: those of the account that gets the mail.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::FilterSettings;
use super::classifier::{Owner, Table};
use super::pipeline::Filter;
use super::reputation::{Claims, Standing, standing};
use crate::foundations::address::Address;
use crate::foundations::mail::Recipient;
use crate::services::routing::{Resolution, Routing, RoutingSettings};

/// Most recipients whose own tables, languages and known senders are used.
pub(super) const MAX_LOOKED_AT: usize = 50;

/// A recipient of a message.
#[derive(Debug, Clone)]
pub struct Addressee {
    /// The address in the envelope, by [`Address::key`].
    pub written: String,
    /// The account that it leads to. If it leads to several or to other servers, the address itself without its tag.
    pub account: Address,
    /// The account by [`Address::key`].
    pub account_key: String,
}

impl Addressee {
    /// A recipient who leads to this account.
    pub fn new(written: &Address, account: Address) -> Self {
        Self { written: written.key(), account_key: account.key(), account }
    }

    /// The names under which settings may apply to it, the most specific first.
    pub fn names(&self) -> [&str; 2] {
        [&self.written, &self.account_key]
    }

    /// All recipients of an envelope. Those not resolved in time are known by the address alone.
    pub(super) async fn all(routing: Option<&Routing>, recipients: &[Recipient], patience: Duration) -> Vec<Self> {
        let until = Instant::now() + patience;
        let mut addressees = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            let address = &recipient.address;
            let account = match routing {
                Some(routing) => match tokio::time::timeout_at(until, account(routing, address)).await {
                    Ok(Some(account)) => account,
                    Ok(None) | Err(_) => routing.untagged(address),
                },
                None => RoutingSettings::default().untagged(address).0,
            };
            addressees.push(Self::new(address, account));
        }
        addressees
    }
}

/// The one account that an address leads to.
async fn account(routing: &Routing, address: &Address) -> Option<Address> {
    match routing.resolve(address).await {
        Ok(Resolution::Local { accounts, forwards, .. }) if forwards.is_empty() => match accounts.as_slice() {
            [only] => Some(only.account.address.clone()),
            _ => None,
        },
        Ok(_) => None,
        Err(error) => {
            log::warn!(address:% = address; "filter: cannot find out where {address} leads; the settings for the address itself apply: {error}");
            None
        }
    }
}

impl Filter {
    /// What has been learned by everybody and by each recipient, as far as it can be loaded in time.
    pub(super) async fn tables(
        &self,
        settings: &FilterSettings,
        addressees: &[Addressee],
        patience: Duration,
    ) -> (Option<Arc<Table>>, Vec<(String, Arc<Table>)>) {
        let Some(store) = self.store.as_ref().filter(|_| settings.classifier.enabled) else {
            return (None, Vec::new());
        };
        let until = Instant::now() + patience;
        let load = |owner: Owner| async move {
            match tokio::time::timeout_at(until, store.table(&owner)).await {
                Ok(Ok(table)) => Some(table),
                Ok(Err(error)) => {
                    log::warn!("filter: learned data cannot be read: {error}");
                    None
                }
                Err(_) => None,
            }
        };
        let site = load(Owner::Site).await;
        let mut own = Vec::new();
        for addressee in addressees.iter().take(MAX_LOOKED_AT) {
            if let Some(table) = load(Owner::Account(addressee.account.clone())).await
                && table.is_ready()
            {
                own.push((addressee.written.clone(), table));
            }
        }
        (site, own)
    }

    /// The sender's reputation: with everybody, or with the recipient if there is one; and how much the
    /// recipients differ if there are several.
    pub(super) async fn standings(
        &self,
        settings: &FilterSettings,
        addressees: &[Addressee],
        claims: &Claims,
        patience: Duration,
    ) -> (Standing, Vec<(String, f64)>) {
        let reputation = &settings.reputation;
        let Some(book) = self.book.as_ref().filter(|_| reputation.enabled) else { return Default::default() };
        let looked_at = &addressees[..addressees.len().min(MAX_LOOKED_AT)];
        let owners: Vec<String> =
            std::iter::once(String::new()).chain(looked_at.iter().map(|who| who.account_key.clone())).collect();
        let mut parties = claims.parties();
        parties.extend(claims.correspondent());
        let found = match tokio::time::timeout(patience, book.read(reputation, &owners, &parties)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                log::warn!("filter: sender reputation cannot be read, senders count as unknown: {error}");
                return Default::default();
            }
            Err(_) => return Default::default(),
        };
        let of = |account: Option<&str>| standing(reputation, claims, &found, account);
        if let [only] = looked_at {
            return (of(Some(&only.account_key)), Vec::new());
        }
        let general = of(None);
        let shifts = looked_at
            .iter()
            .map(|who| (who.written.clone(), of(Some(&who.account_key)).weight() - general.weight()))
            .filter(|(_, shift)| *shift != 0.0)
            .collect();
        (general, shifts)
    }
}
