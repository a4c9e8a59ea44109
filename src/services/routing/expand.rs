//! One address, followed to its end.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::try_join;

use super::{DisabledUsers, Error, RoutingSettings, Srs};
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Visits;
use crate::foundations::settings::Live;
use crate::storage::directory::{Account, Directory, Source, listed};

/// The room. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Routing {
    directory: Directory,
    settings: Live<RoutingSettings>,
    hostname: Domain,
    srs: Live<Option<Srs>>,
}

/// Where one address leads.
#[derive(Debug)]
pub enum Resolution {
    /// Its domain is not ours.
    Remote,
    /// Its domain is ours, but nobody has this address.
    Unknown,
    /// It is ours and leads somewhere.
    Local {
        /// Mailboxes here, each once.
        accounts: Vec<Reached>,
        /// Addresses elsewhere, each once.
        forwards: Vec<Address>,
        /// Whether an alias or catch-all was followed.
        by_alias: ByAlias,
    },
    /// It is ours, but mail for it cannot be taken: the aliases form a loop (554 5.4.6) or are too many (451 4.3.5), or
    /// the user or domain is disabled (550 5.2.1).
    Refused(Refusal),
}

/// Whether an alias was followed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByAlias {
    /// The address is the user's own, perhaps with a tag.
    No,
    /// At least one alias or catch-all.
    Yes,
    /// It is a user of this machine, whose mail goes where the settings say. Strangers may not write to them.
    MachineUsers,
}

/// A mailbox at the end of the way.
#[derive(Debug, Clone)]
pub struct Reached {
    /// Whose.
    pub account: Arc<Account>,
    /// The tag of the address that led here.
    pub tag: Option<String>,
}

/// Whose an address is.
enum Place {
    Ours,
    Disabled,
    Elsewhere,
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

impl Routing {
    /// Routing over a directory. `hostname` is this host's own name, whose postmaster is ours (RFC 5321 §4.5.1).
    pub fn new(directory: Directory, settings: Live<RoutingSettings>, hostname: Domain) -> Self {
        Self { directory, settings, hostname, srs: Live::default() }
    }

    /// With senders rewritten for what is passed on.
    #[must_use]
    pub fn with_srs(self, srs: Option<Srs>) -> Self {
        self.rewrite_by(srs);
        self
    }

    /// Rewrites senders by these secrets from now on, here and in everything that was cloned from the same.
    pub fn rewrite_by(&self, srs: Option<Srs>) {
        self.srs.set(srs);
    }

    /// The reverse-path under which a message is passed on by an alias: a sender of ours, or the old one where it is ours
    /// already, is null, or cannot be rewritten.
    pub async fn forwarding_path(&self, path: &ReversePath) -> Result<ReversePath, Error> {
        let srs = self.srs.get();
        let (Some(srs), Some(sender)) = (&*srs, path.address()) else { return Ok(path.clone()) };
        if !matches!(self.place(sender).await?, Place::Elsewhere) {
            return Ok(path.clone());
        }
        Ok(match srs.forward(sender) {
            Some(rewritten) => ReversePath::Address(rewritten),
            None => {
                log::info!(sender:% = sender; "The sender {sender} is too long to be rewritten and stays as it is");
                path.clone()
            }
        })
    }

    /// Where mail for one address goes.
    pub async fn resolve(&self, address: &Address) -> Result<Resolution, Error> {
        let settings = self.settings.get();
        if let Some(original) = self.srs.get().as_ref().as_ref().and_then(|srs| srs.reverse(address)) {
            return match original {
                Ok(sender) => self.resolve_original(sender, &settings).await,
                Err(wrong) => {
                    log::info!(address:% = address; "{address} is not a rewritten sender of ours: {wrong:?}");
                    Ok(Resolution::Unknown)
                }
            };
        }
        match self.place(address).await? {
            Place::Ours => {}
            Place::Disabled => return Ok(Resolution::Refused(disabled("domain"))),
            Place::Elsewhere => return Ok(Resolution::Remote),
        }
        self.walk(&settings).run(address).await
    }

    fn walk<'a>(&'a self, settings: &'a RoutingSettings) -> Walk<'a> {
        Walk {
            routing: self,
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

    /// Where mail for a rewritten sender goes: to the original sender, who is elsewhere, or has come here since.
    async fn resolve_original(&self, sender: Address, settings: &RoutingSettings) -> Result<Resolution, Error> {
        if matches!(self.place(&sender).await?, Place::Elsewhere) {
            return Ok(Resolution::Local { accounts: Vec::new(), forwards: vec![sender], by_alias: ByAlias::Yes });
        }
        self.walk(settings).run(&sender).await
    }

    /// Whether an address may stand as the sender of mail that this account submits: its own, with or without a
    /// tag, or one whose mail reaches it by an alias or catch-all.
    pub async fn may_send_as(&self, account: &Address, sender: &Address) -> Result<Identity, Error> {
        if self.is_own(account, sender).await? {
            return Ok(Identity::Own);
        }
        Ok(match self.resolve(sender).await? {
            Resolution::Local { accounts, .. } if accounts.iter().any(|r| r.account.address.key() == account.key()) => {
                Identity::Alias
            }
            _ => Identity::Foreign,
        })
    }

    /// Whether mail that an account passes on to an address comes back to it.
    pub async fn comes_back(&self, account: &Address, address: &Address) -> Result<ComesBack, Error> {
        self.comes_back_after(account, address, &Visits::default()).await
    }

    /// The same for a message that has been in other mailboxes, whose owners have it or have passed it on.
    pub async fn comes_back_after(
        &self,
        account: &Address,
        address: &Address,
        visits: &Visits,
    ) -> Result<ComesBack, Error> {
        if self.is_own(account, address).await? {
            return Ok(ComesBack::Only);
        }
        Ok(match self.resolve(address).await? {
            Resolution::Local { accounts, forwards, .. }
                if accounts.iter().any(|reached| reached.account.address.key() == account.key()) =>
            {
                let others = accounts.iter().map(|reached| &reached.account.address);
                let others: Vec<&Address> = others.filter(|other| other.key() != account.key()).collect();
                if !forwards.is_empty() || others.iter().any(|other| visits.count(other) == 0) {
                    ComesBack::AndToOthers
                } else if others.is_empty() {
                    ComesBack::Only
                } else {
                    ComesBack::AndToOthersBefore
                }
            }
            _ => ComesBack::No,
        })
    }

    /// The addresses whose mail comes to this account and goes nowhere else: its own, then those of at most `most` aliases.
    pub async fn addresses_of(&self, account: &Address, most: u32) -> Result<Vec<Address>, Error> {
        let mut found = vec![account.clone()];
        for source in self.directory.sources_to(account, most).await? {
            let is_new = found.iter().all(|known| known.key() != source.key());
            if is_new && self.comes_back(account, &source).await? == ComesBack::Only {
                found.push(source);
            }
        }
        Ok(found)
    }

    /// Whether it is the account's address, perhaps with a tag. One that is somebody's whole name, as mail to it is looked up, is
    /// theirs: `anna-maria` is no tag of `anna` where both are users.
    async fn is_own(&self, account: &Address, address: &Address) -> Result<bool, Error> {
        let key = account.key();
        if address.key() == key {
            return Ok(true);
        }
        if self.untagged(address).key() != key {
            return Ok(false);
        }
        let whole = address.key();
        let (aliases, other) = try_join!(self.directory.aliases(&whole), self.directory.account(address))?;
        Ok(aliases.is_empty() && other.is_none_or(|other| other.archived_at.is_some()))
    }

    async fn place(&self, address: &Address) -> Result<Place, Error> {
        Ok(match self.directory.domain(address.domain()).await? {
            Some(domain) if domain.is_active() => Place::Ours,
            Some(domain) if domain.archived_at.is_none() => Place::Disabled,
            _ if *address.domain() == self.hostname && (is_role(address) || self.has_machine_users()) => Place::Ours,
            _ => Place::Elsewhere,
        })
    }

    /// Whether an address is at this host's own name, as those of its users are.
    pub fn is_of_machine(&self, address: &Address) -> bool {
        *address.domain() == self.hostname
    }

    fn has_machine_users(&self) -> bool {
        self.settings.get().machine_users.is_some()
    }

    /// What separates a name from its tag in addresses of ours.
    pub fn tag_separator(&self) -> Option<char> {
        self.settings.get().separator()
    }

    /// An address of ours without its tag: the name of the mailbox, whatever its owner has appended to it.
    pub fn untagged(&self, address: &Address) -> Address {
        self.settings.get().untagged(address).0
    }
}

/// What an address is to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Its own address, perhaps with a tag.
    Own,
    /// An alias that leads to it.
    Alias,
    /// Somebody else's.
    Foreign,
}

/// Whether mail for an address reaches the account that passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComesBack {
    /// It does not.
    No,
    /// It does, and goes nowhere else.
    Only,
    /// It does, and others get it, too.
    AndToOthers,
    /// It does, and goes to others, but it has been in the mailboxes of all of them.
    AndToOthersBefore,
}

/// The way from one address to the mailboxes and hosts at its ends.
struct Walk<'a> {
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

impl Walk<'_> {
    async fn run(mut self, start: &Address) -> Result<Resolution, Error> {
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

/// The names that every domain must answer to: RFC 5321 §4.5.1, RFC 2142 §2 and §5.
fn is_role(address: &Address) -> bool {
    ["postmaster", "abuse"].iter().any(|name| address.local().value().eq_ignore_ascii_case(name))
}

fn disabled(what: &'static str) -> Refusal {
    Refusal::new(Kind::NotFound, format!("This {what} is disabled and takes no mail")).smtp(550, "5.2.1")
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
