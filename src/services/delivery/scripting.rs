//! Scripts at work in deliveries: who looks at a message, and with which facts.

use std::sync::Arc;

use super::client::Client;
use super::perform::Execution;
use super::run_scripts::{Decided, Facts, Folders, ScriptWorld, run_scripts};
use super::script_cache::{Plan, ScriptCache};
use super::settings::{DeliverySettings, JunkScripts};
use super::store::{Delivery, Item};
use crate::foundations::address::{Address, Domain};
use crate::foundations::failure::Refusal;
use crate::foundations::mail::{HeaderSection, addresses};
use crate::foundations::processor::Parties;
use crate::foundations::settings::Live;
use crate::services::filter::Folder;
use crate::services::handover::{Outcome, Posting};
use crate::services::routing::{self, Identity, Routing};
use crate::services::sieve::SieveSettings;
use crate::storage::mailbox::{FolderName, SpecialUse, User};
use crate::storage::scripts::{Error, Home, Scripts};

/// What scripts need beyond mailboxes.
pub struct ScriptingParts {
    /// The users' scripts.
    pub scripts: Scripts,
    /// What scripts may do.
    pub sieve: Live<SieveSettings>,
    /// Our name.
    pub hostname: Live<Domain>,
    /// Whose addresses are whose.
    pub routing: Routing,
    /// Sends what scripts want sent.
    pub posting: Arc<dyn Posting>,
}

/// Scripts at work.
pub(super) struct Scripting {
    pub(super) parts: ScriptingParts,
    cache: Arc<ScriptCache>,
    /// One script of an account runs at a time: some take a while.
    runners: Parties,
    /// One message of an account whose scripts look for duplicates is dealt with at a time, from the question until the answer to
    /// the next one is remembered (RFC 7352 §3).
    duplicates: Parties,
}

impl Scripting {
    pub(super) fn new(parts: ScriptingParts, delivery: Live<DeliverySettings>) -> Self {
        let cache = ScriptCache::new(parts.scripts.clone(), delivery, parts.sieve.clone());
        Self { parts, cache: Arc::new(cache), runners: Parties::default(), duplicates: Parties::default() }
    }

    pub(super) fn hostname(&self) -> Arc<Domain> {
        self.parts.hostname.get()
    }

    pub(super) async fn home<T: Send + 'static>(
        &self,
        account: &Address,
        work: impl FnOnce(&Home) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.parts.scripts.job(account, work).await
    }

    /// Runs scripts. Fails if the disk does not give one of them this time.
    async fn decide(&self, plan: &Plan, facts: Facts, user: &Arc<User>) -> Result<Decided, Error> {
        let (cache, plan, user) = (Arc::clone(&self.cache), plan.clone(), Arc::clone(user));
        let (account, settings) = (facts.account.key(), self.parts.sieve.get());
        let work = move || {
            let home = cache.home(&facts.account)?;
            let world = ScriptWorld::new(&facts, &*user, &home, &cache);
            Ok::<_, Error>(run_scripts(&plan, facts, &world, &settings))
        };
        let mut decided = self.runners.in_turn(&account, work).await.unwrap_or(Err(Error::Closing))?;
        match decided.unread.take() {
            Some(error) => Err(error),
            None => Ok(decided),
        }
    }
}

impl Folders for User {
    fn knows(&self, folder: &FolderName) -> bool {
        Self::knows(self, folder)
    }

    fn special(&self, special: SpecialUse) -> Option<FolderName> {
        self.special_folder(special)
    }

    fn special_name(&self, special: SpecialUse) -> Option<FolderName> {
        Self::special(self, special)
    }

    fn annotation(&self, folder: Option<&FolderName>, entry: &str) -> Option<String> {
        Self::annotation(self, folder, entry)
    }
}

/// The scripts of one message, with who runs them.
pub(super) struct Planned {
    scripting: Arc<Scripting>,
    plan: Plan,
}

/// Most addresses of a header that are looked up to find the user's own.
const MOST_LOOKED_UP: usize = 100;

impl Delivery {
    /// What finds the scripts that look at this message, for a thread that may block; `None` where none may look.
    pub(super) fn scripts_for(
        &self,
        item: &Item<'_>,
    ) -> Option<impl FnOnce() -> Option<Result<Planned, Error>> + Send + use<>> {
        let scripting = Arc::clone(self.scripting.as_ref()?);
        let account = item.recipient.account.clone();
        match item.verdict.folder(&account) {
            Folder::Quarantine => return None,
            Folder::Junk if item.settings.sieve.junk == JunkScripts::Skip => return None,
            Folder::Junk | Folder::Inbox => {}
        }
        Some(move || match scripting.cache.plan(&account) {
            Ok(plan) if plan.is_empty() => None,
            Ok(plan) => Some(Ok(Planned { scripting, plan })),
            // What is wanted of the message is known once the disk answers again.
            Err(error) if error.is_passing() => Some(Err(error)),
            Err(error) => {
                log::warn!(user:% = account, error:% = error; "The scripts of {account} cannot be read; none is run");
                None
            }
        })
    }

    /// Runs the scripts and does what they have decided.
    pub(super) async fn deliver_by(
        &self,
        planned: Planned,
        user: &Arc<User>,
        item: &Item<'_>,
    ) -> Result<Outcome, Refusal> {
        let Planned { scripting, plan } = planned;
        let (facts, account) = (self.facts(&scripting, item).await?, item.recipient.account.key());
        let mut place = None;
        if plan.looks_for_duplicates() {
            place = Some(scripting.duplicates.place(&account).await);
        }
        let mut decided = scripting.decide(&plan, facts.clone(), user).await.map_err(Refusal::temporary)?;
        // An included script has. Another message may be about to be remembered.
        if decided.looked_for_duplicates && place.is_none() {
            place = Some(scripting.duplicates.place(&account).await);
            decided = scripting.decide(&plan, facts, user).await.map_err(Refusal::temporary)?;
        }
        Execution { delivery: self, scripting: &scripting, item, user }.perform(decided, place).await
    }

    async fn facts(&self, scripting: &Scripting, item: &Item<'_>) -> Result<Facts, Refusal> {
        let account = &item.recipient.account;
        let own_addresses = own_addresses(&scripting.parts.routing, item).await.map_err(Refusal::temporary)?;
        let hostname = (*scripting.hostname()).clone();
        Ok(Facts {
            message: item.message.clone(),
            reverse_path: item.mail.envelope.reverse_path.clone(),
            recipient: item.recipient.recipient.address.clone(),
            account: account.clone(),
            own_addresses,
            login: item.mail.origin.login.as_ref().map(|login| login.address.to_string()),
            tag_separator: scripting.parts.routing.tag_separator(),
            now: self.clock.now(),
            client: Client::of(item.mail, item.message, &hostname),
            hostname,
            junk: item.verdict.folder(account) == Folder::Junk,
        })
    }
}

/// The account's address, and those that lead to it among the sender and the addresses of the header (RFC 5230 §4.5, §4.6).
async fn own_addresses(routing: &Routing, item: &Item<'_>) -> Result<Vec<Address>, routing::Error> {
    let account = &item.recipient.account;
    let mut own = vec![account.clone()];
    if item.recipient.recipient.address != *account {
        own.push(item.recipient.recipient.address.clone());
    }
    let bytes = item.message.bytes();
    let header = HeaderSection::of(&bytes);
    let named = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];
    let fields = header.fields().filter(|field| named.iter().any(|name| field.is(name)));
    let recipients = fields.flat_map(|field| addresses::read(&field.value())).filter_map(|entry| match entry {
        addresses::Entry::Mailbox(mailbox) => mailbox.address().parse::<Address>().ok(),
        _ => None,
    });
    let sender = item.mail.envelope.reverse_path.address().cloned();
    let found: Vec<Address> = sender.into_iter().chain(recipients.take(MOST_LOOKED_UP)).collect();
    for address in found {
        if !own.contains(&address) && routing.may_send_as(account, &address).await? != Identity::Foreign {
            own.push(address);
        }
    }
    Ok(own)
}
