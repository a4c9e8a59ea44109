//! Where addresses lead, and whose they are.

use std::sync::Arc;

use tokio::try_join;

use super::walk::Walk;
use super::{Error, RoutingSettings, Srs};
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Visits;
use crate::foundations::settings::Live;
use crate::storage::directory::{Account, Directory};

/// The room. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Routing {
    pub(super) directory: Directory,
    settings: Live<RoutingSettings>,
    pub(super) hostname: Domain,
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
pub(super) enum Place {
    Ours,
    Disabled,
    Elsewhere,
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
        Walk::new(self, &settings).run(address).await
    }

    /// Where mail for a rewritten sender goes: to the original sender, who is elsewhere, or has come here since.
    async fn resolve_original(&self, sender: Address, settings: &RoutingSettings) -> Result<Resolution, Error> {
        if matches!(self.place(&sender).await?, Place::Elsewhere) {
            return Ok(Resolution::Local { accounts: Vec::new(), forwards: vec![sender], by_alias: ByAlias::Yes });
        }
        Walk::new(self, settings).run(&sender).await
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
        let Resolution::Local { accounts, forwards, .. } = self.resolve(address).await? else {
            return Ok(ComesBack::No);
        };
        let reached = accounts.iter().map(|reached| &reached.account.address);
        let others: Vec<&Address> = reached.filter(|other| other.key() != account.key()).collect();
        let comes_back = others.len() < accounts.len();
        let reaches_others = !forwards.is_empty() || others.iter().any(|other| visits.count(other) == 0);
        Ok(match (comes_back, others.is_empty()) {
            _ if reaches_others && comes_back => ComesBack::AndToOthers,
            (true, true) => ComesBack::Only,
            (_, false) if !reaches_others => ComesBack::ToOthersBefore,
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

    pub(super) async fn place(&self, address: &Address) -> Result<Place, Error> {
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
    /// It has been in the mailboxes of all others whom it reaches, to which it would come back.
    ToOthersBefore,
}

/// The names that every domain must answer to: RFC 5321 §4.5.1, RFC 2142 §2 and §5.
pub(super) fn is_role(address: &Address) -> bool {
    ["postmaster", "abuse"].iter().any(|name| address.local().value().eq_ignore_ascii_case(name))
}

pub(super) fn disabled(what: &'static str) -> Refusal {
    Refusal::new(Kind::NotFound, format!("This {what} is disabled and takes no mail")).smtp(550, "5.2.1")
}
