//! One address, followed to its end.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::try_join;

use super::expand::{ByAlias, Place, Reached, Resolution, Routing, disabled, is_role};
use super::{DisabledUsers, Error, RoutingSettings};
use crate::foundations::address::Address;
use crate::foundations::failure::{Kind, Refusal};
use crate::storage::directory::{Source, listed};

/// The way from one address to the mailboxes and hosts at its ends.
pub(super) struct Walk<'a> {
    routing: &'a Routing,
    settings: &'a RoutingSettings,
    /// Every address on the way; those at the back are still to be looked at.
    steps: Vec<Step>,
    /// The keys of aliases that have been followed.
    followed: HashSet<String>,
    /// Mailboxes that were reached, each once.
    accounts: Vec<Reached>,
    /// Addresses elsewhere that were reached, by their text.
    forwards: BTreeMap<String, Address>,
    /// Whether the first address is that of a user of this machine.
    starts_at_machine_user: bool,
    /// Whether an alias has led back to itself.
    met_circle: bool,
    /// Whether a user or domain on the way is disabled.
    met_disabled: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(routing: &'a Routing, settings: &'a RoutingSettings) -> Self {
        Self {
            routing,
            settings,
            steps: Vec::new(),
            followed: HashSet::new(),
            accounts: Vec::new(),
            forwards: BTreeMap::new(),
            starts_at_machine_user: false,
            met_circle: false,
            met_disabled: false,
        }
    }
}

impl Walk<'_> {
    pub(super) async fn run(mut self, start: &Address) -> Result<Resolution, Error> {
        let (address, written) = (start.clone(), start.clone());
        self.steps.push(Step { address, written, parent: None, depth: 0, alias: None });
        let mut next = 0;
        while next < self.steps.len() {
            if let Err(refusal) = self.look_at(next).await? {
                return Ok(Resolution::Refused(refusal));
            }
            next += 1;
        }
        Ok(self.conclude(start))
    }

    /// Looks at one address on the way: it is an end, or leads on. A refusal ends the walk.
    async fn look_at(&mut self, at: usize) -> Result<Result<(), Refusal>, Error> {
        let address = self.steps[at].address.clone();
        match self.routing.place(&address).await? {
            Place::Ours => {}
            Place::Disabled => {
                self.met_disabled = true;
                return Ok(Ok(()));
            }
            Place::Elsewhere => {
                // As the alias has it: another host may know no tags.
                let written = self.steps[at].written.clone();
                self.forwards.entry(written.to_string()).or_insert(written);
                return Ok(Ok(()));
            }
        }
        match self.find(at, &address).await? {
            Found::Alias { key, destinations, tag } => {
                if self.followed.insert(key.clone()) {
                    return Ok(self.follow(at, key, &destinations, tag));
                }
            }
            Found::MachineUsers(to) => {
                self.starts_at_machine_user |= at == 0;
                if self.followed.insert(to.key()) {
                    return Ok(self.follow(at, address.key(), &[to.to_string()], None));
                }
            }
            Found::Account(reached) => self.arrive(reached),
            Found::Nobody if at > 0 => {
                let start = &self.steps[0].address;
                log::warn!(address:% = address; "An alias for {start} leads to {address}, which does not exist");
            }
            Found::Nobody => {}
        }
        Ok(Ok(()))
    }

    /// What an address is at this point of the walk: an alias that leads back to itself stands for the mailbox of that name.
    async fn find(&mut self, at: usize, address: &Address) -> Result<Found, Error> {
        let found = self.look_up(address).await?;
        let Found::Alias { key, tag, .. } = &found else { return Ok(found) };
        if !self.is_ancestor(at, key) {
            return Ok(found);
        }
        let account = self.account(address, tag.clone()).await?;
        self.met_circle |= account.is_none();
        Ok(account.map_or(Found::Nobody, Found::Account))
    }

    fn arrive(&mut self, reached: Reached) {
        let is_disabled = !reached.account.may_log_in();
        if is_disabled && self.settings.disabled_users == DisabledUsers::Refuse {
            self.met_disabled = true;
        } else if self.accounts.iter().all(|known| known.account.id != reached.account.id) {
            self.accounts.push(reached);
        }
    }

    fn conclude(self, start: &Address) -> Resolution {
        if self.met_circle {
            log::warn!(address:% = start; "The aliases for {start} form a loop");
        }
        if self.accounts.is_empty() && self.forwards.is_empty() {
            return match (self.met_circle, self.met_disabled) {
                (true, _) => Resolution::Refused(
                    Refusal::new(Kind::Invalid, "The aliases of this address form a loop").smtp(554, "5.4.6"),
                ),
                (_, true) => Resolution::Refused(disabled("mailbox")),
                _ => Resolution::Unknown,
            };
        }
        let by_alias = match self.steps.len() {
            _ if self.starts_at_machine_user => ByAlias::MachineUsers,
            0 | 1 => ByAlias::No,
            _ => ByAlias::Yes,
        };
        let mut forwards: Vec<Address> = self.forwards.into_values().collect();
        forwards.sort_unstable();
        Resolution::Local { accounts: self.accounts, forwards, by_alias }
    }

    /// Adds the destinations of an alias to what is still to be looked at.
    fn follow(&mut self, at: usize, key: String, destinations: &[String], tag: Option<String>) -> Result<(), Refusal> {
        let depth = self.steps[at].depth + 1;
        if depth > self.settings.alias_depth {
            log::warn!(alias = key.as_str(); "Aliases lead to each other more than {} times", self.settings.alias_depth);
            return Err(misconfigured());
        }
        let from = self.steps[at].address.clone();
        for text in destinations.iter().flat_map(|row| listed(row)) {
            let written = match Source::parse(text) {
                Some(Source::Address(address)) => Some(address),
                Some(Source::CatchAll(domain)) => Address::new(from.local().clone(), domain).ok(),
                None => None,
            };
            let Some(written) = written else {
                log::warn!(alias = key.as_str(), destination = text; "A destination of an alias is not an address");
                continue;
            };
            if self.steps.len() > self.settings.alias_expansion as usize {
                log::warn!(alias = key.as_str(); "Aliases expand to more than {} addresses", self.settings.alias_expansion);
                return Err(misconfigured());
            }
            let address = with_tag(&written, tag.as_deref(), self.settings);
            self.steps.push(Step { address, written, parent: Some(at), depth, alias: None });
        }
        self.steps[at].alias = Some(key);
        Ok(())
    }

    fn is_ancestor(&self, of: usize, key: &str) -> bool {
        let mut at = self.steps[of].parent;
        while let Some(n) = at {
            if self.steps[n].alias.as_deref() == Some(key) {
                return true;
            }
            at = self.steps[n].parent;
        }
        false
    }

    /// Looks an address up in the order of the room's documentation.
    async fn look_up(&self, address: &Address) -> Result<Found, Error> {
        let (base, tag) = self.settings.untagged(address);
        let whole = [(address, None), (&base, tag.clone())];
        for (candidate, tag) in whole.into_iter().take(if tag.is_some() { 2 } else { 1 }) {
            let key = candidate.key();
            // Together: for most addresses both are needed, and what is not remembered is a round trip to the database.
            let directory = &self.routing.directory;
            let (destinations, account) = try_join!(directory.aliases(&key), directory.account(candidate))?;
            if !destinations.is_empty() {
                return Ok(Found::Alias { key, destinations, tag });
            }
            if let Some(account) = account.filter(|account| account.archived_at.is_none()) {
                return Ok(Found::Account(Reached { account, tag }));
            }
        }
        if is_role(&base)
            && let Some(postmaster) = &self.settings.postmaster
            && postmaster.key() != base.key()
        {
            return Ok(Found::Alias { key: base.key(), destinations: Arc::new([postmaster.to_string()]), tag: None });
        }
        let catch_all = Source::CatchAll(base.domain().clone()).key();
        let destinations = self.routing.directory.aliases(&catch_all).await?;
        if !destinations.is_empty() {
            // With `@domain` as its destination, it leads each name somewhere else. So it counts as one alias for each name.
            let key = format!("{catch_all} for {}", base.key());
            return Ok(Found::Alias { key, destinations, tag: None });
        }
        if is_role(&base) {
            let domain = self.routing.directory.domain(base.domain()).await?.map(|domain| domain.id);
            if let Some(account) = self.routing.directory.oldest_account(domain).await? {
                return Ok(Found::Account(Reached { account: Arc::new(account), tag: None }));
            }
        }
        if *base.domain() == self.routing.hostname
            && let Some(to) = self.settings.machine_users.as_ref().filter(|to| to.key() != base.key())
        {
            return Ok(Found::MachineUsers(to.clone()));
        }
        Ok(Found::Nobody)
    }

    async fn account(&self, address: &Address, tag: Option<String>) -> Result<Option<Reached>, Error> {
        let (base, _) = self.settings.untagged(address);
        for candidate in [address, &base] {
            if let Some(account) = self.routing.directory.account(candidate).await?
                && account.archived_at.is_none()
            {
                return Ok(Some(Reached { account, tag }));
            }
        }
        Ok(None)
    }
}

/// An address on its way, and how it came there.
struct Step {
    address: Address,
    /// The destination as the alias has it, before it was given the tag.
    written: Address,
    parent: Option<usize>,
    depth: u32,
    /// The alias it was found to be.
    alias: Option<String>,
}

/// What one look-up says about an address.
enum Found {
    Alias { key: String, destinations: Arc<[String]>, tag: Option<String> },
    MachineUsers(Address),
    Account(Reached),
    Nobody,
}

fn misconfigured() -> Refusal {
    Refusal::new(Kind::Temporary, "The aliases of this address need the administrator's attention").smtp(451, "4.3.5")
}

/// The destination with the tag of the address that led to it, unless it has one of its own or becomes too long.
fn with_tag(address: &Address, tag: Option<&str>, settings: &RoutingSettings) -> Address {
    let (Some(tag), Some(separator)) = (tag, settings.separator()) else { return address.clone() };
    if address.split_tag(separator).1.is_some() {
        return address.clone();
    }
    let tagged = format!("{}{separator}{tag}@{}", address.local().value(), address.domain().as_str());
    match Source::parse(&tagged) {
        Some(Source::Address(tagged)) => tagged,
        _ => address.clone(),
    }
}
