//! A whole envelope: who gets a copy here, where else it goes, and for whom it cannot be taken.

use std::collections::HashMap;

use super::expand::{ByAlias, Reached};
use super::{Error, Resolution, Routing};
use crate::foundations::address::Address;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::{Envelope, Notify, OriginalRecipient, Recipient};
use crate::foundations::settings::ByteSize;
use crate::storage::spool::Action;

/// Where the copies of one message go.
#[derive(Debug, Default)]
pub struct Routes {
    /// Mailboxes here, each once.
    pub local: Vec<LocalRecipient>,
    /// Addresses elsewhere that the sender has named, each once.
    pub remote: Vec<Recipient>,
    /// Addresses elsewhere to which aliases of ours lead, each once, without those in `remote`.
    pub forwards: Vec<Recipient>,
    /// Recipients in whose place others get the message, which is to be reported to the sender.
    pub passed_on: Vec<(Recipient, Action)>,
    /// Recipients nobody gets a copy for, and why.
    pub failed: Vec<(Recipient, Refusal)>,
    /// The aliases that were followed, for the journal.
    pub expansions: Vec<Expansion>,
}

/// A mailbox that gets a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRecipient {
    /// Whose mailbox.
    pub account: Address,
    /// The most it may hold.
    pub quota: Option<ByteSize>,
    /// The tag of the address that led here (RFC 5233), for the folder or for Sieve.
    pub tag: Option<String>,
    /// The recipient of the envelope it stands for. When several led to one mailbox: the first, with the wishes for
    /// notifications of all.
    pub recipient: Recipient,
}

impl LocalRecipient {
    /// The mailbox that was reached, as a copy for this recipient of the envelope.
    pub fn of(reached: &Reached, recipient: &Recipient) -> Self {
        Self {
            account: reached.account.address.clone(),
            quota: reached.account.quota,
            tag: reached.tag.clone(),
            recipient: recipient.clone(),
        }
    }

    /// The recipient as the queue keeps it: by the account's own address, with its tag, so that an alias that has been
    /// followed is not followed again. The address the sender used goes along (RFC 3461 §4.2).
    pub fn at_home(&self) -> Recipient {
        let mut recipient = self.recipient.clone();
        if !self.is_own(&recipient.address) {
            let address_type = if recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" }.to_owned();
            let address = recipient.address.to_string();
            recipient.original.get_or_insert(OriginalRecipient { address_type, address });
            recipient.address = self.account.clone();
        }
        recipient
    }

    /// The recipient under an address to which a script passes the message on. Of failures the sender is told as of those of an alias's
    /// members; success is told of the one who was named (RFC 3461 §5.2.7).
    pub fn passed_on_to(&self, address: Address) -> Recipient {
        let mut recipient = forwarded(&self.recipient, address);
        recipient.notify.success = false;
        recipient
    }

    /// Whether an address is the account's own, perhaps with the tag. An alias may have a name that begins like the account's.
    pub fn is_own(&self, address: &Address) -> bool {
        if address.key() == self.account.key() {
            return true;
        }
        let (name, own) = (address.local().value().to_lowercase(), self.account.local().value().to_lowercase());
        let tagged = self.tag.as_ref().is_some_and(|tag| {
            let tagged = name.strip_prefix(&own).and_then(|rest| rest.strip_suffix(&tag.to_lowercase()));
            tagged.is_some_and(|separator| separator.chars().count() == 1)
        });
        tagged && address.domain() == self.account.domain()
    }
}

/// An alias that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The recipient of the envelope.
    pub from: Address,
    /// Mailboxes and addresses it led to.
    pub to: Vec<Address>,
}

impl Routing {
    /// Follows every recipient of an envelope. Fails as a whole when the directory cannot be asked.
    pub async fn split(&self, envelope: &Envelope) -> Result<Routes, Error> {
        let mut gathered = Gathered::default();
        for recipient in &envelope.recipients {
            match self.resolve(&recipient.address).await? {
                Resolution::Remote => add(&mut gathered.routes.remote, &mut gathered.remote, recipient.clone()),
                Resolution::Unknown => {
                    let refusal = Refusal::new(Kind::NotFound, "No such user here").smtp(550, "5.1.1");
                    gathered.routes.failed.push((recipient.clone(), refusal));
                }
                Resolution::Refused(refusal) => gathered.routes.failed.push((recipient.clone(), refusal)),
                Resolution::Local { accounts, forwards, by_alias } => {
                    let member = match by_alias {
                        ByAlias::No => recipient.clone(),
                        ByAlias::Yes | ByAlias::MachineUsers => gathered.note_alias(recipient, &accounts, &forwards),
                    };
                    for reached in &accounts {
                        gathered.add_local(reached, &member, by_alias);
                    }
                    for address in forwards {
                        add(&mut gathered.routes.forwards, &mut gathered.forwards, forwarded(&member, address));
                    }
                }
            }
        }
        Ok(gathered.finish())
    }
}

/// Routes while they are put together. The maps say where in its list a recipient is already, so that each is there once.
#[derive(Default)]
struct Gathered {
    routes: Routes,
    /// By the number of the account.
    local: HashMap<i64, usize>,
    /// By address.
    remote: HashMap<String, usize>,
    /// By address.
    forwards: HashMap<String, usize>,
}

impl Gathered {
    /// Notes that a recipient is an alias. Returns the recipient as its members inherit it: success is told of the alias,
    /// not of them.
    fn note_alias(&mut self, recipient: &Recipient, accounts: &[Reached], forwards: &[Address]) -> Recipient {
        let mut member = recipient.clone();
        if recipient.notify.success {
            self.routes.passed_on.push((recipient.clone(), passing(accounts.len() + forwards.len())));
            member.notify.success = false;
        }
        let reached = accounts.iter().map(|reached| &reached.account.address);
        let to = reached.chain(forwards).cloned().collect();
        self.routes.expansions.push(Expansion { from: recipient.address.clone(), to });
        member
    }

    fn add_local(&mut self, reached: &Reached, recipient: &Recipient, by_alias: ByAlias) {
        let at = *self.local.entry(reached.account.id).or_insert(self.routes.local.len());
        match self.routes.local.get_mut(at) {
            Some(known) => {
                let notify = both(known.recipient.notify, recipient.notify);
                // Success is told of the one who was named, not of an alias that leads to the same mailbox.
                if by_alias == ByAlias::No {
                    known.recipient = recipient.clone();
                }
                known.recipient.notify = notify;
            }
            None => self.routes.local.push(LocalRecipient::of(reached, recipient)),
        }
    }

    /// A recipient named by the sender gets the message once, under the old sender, and not also by an alias.
    fn finish(mut self) -> Routes {
        for recipient in std::mem::take(&mut self.routes.forwards) {
            match self.remote.get(&recipient.address.to_string()).and_then(|at| self.routes.remote.get_mut(*at)) {
                Some(known) => known.notify = both(known.notify, recipient.notify),
                None => self.routes.forwards.push(recipient),
            }
        }
        self.routes
    }
}

/// What a sender who asks is told of an alias (RFC 3461 §5.2.7). Its members are asked for success no more, so that nobody
/// learns by it who they are (RFC 3464 §4.2 (a)).
pub const fn passing(members: usize) -> Action {
    if members == 1 { Action::Relayed } else { Action::Expanded }
}

/// The recipient under its new address. The address the sender used goes along, so that a notification can name it
/// (RFC 3461 §5.2.7.3 for aliases; §4.2 lets a relay add it).
fn forwarded(recipient: &Recipient, address: Address) -> Recipient {
    let original = recipient.original.clone().unwrap_or_else(|| OriginalRecipient {
        address_type: if recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" }.to_owned(),
        address: recipient.address.to_string(),
    });
    Recipient { address, notify: recipient.notify, original: Some(original) }
}

fn add(list: &mut Vec<Recipient>, seen: &mut HashMap<String, usize>, recipient: Recipient) {
    let at = *seen.entry(recipient.address.to_string()).or_insert(list.len());
    match list.get_mut(at) {
        Some(known) => known.notify = both(known.notify, recipient.notify),
        None => list.push(recipient),
    }
}

/// The wishes of two recipients that turn out to be one: whatever either wants to be told.
const fn both(a: Notify, b: Notify) -> Notify {
    Notify {
        success: a.success || b.success,
        failure: a.failure || b.failure,
        delay: a.delay || b.delay,
        explicit: a.explicit || b.explicit,
    }
}
