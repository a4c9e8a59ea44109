//! The answers.

use super::settings::{AcceptanceSettings, NullSender};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::{Login, Peer, Who};
use crate::foundations::settings::Live;
use crate::services::delivery::DeliverySettings;
use crate::services::routing::{ByAlias, Identity, Reached, Resolution, Routing};
use crate::storage::directory::Directory;

/// The room. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Acceptance {
    routing: Routing,
    directory: Directory,
    settings: Live<AcceptanceSettings>,
    /// For the answer about a full mailbox, which is the same at RCPT as after the message.
    delivery: Live<DeliverySettings>,
}

/// Whether a client may send to addresses that are not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relaying {
    /// It has logged in, or comes from a network that may.
    Allowed,
    /// It is a program of this machine, and reaches also the machine's users.
    ToMachineUsers,
    /// It may not.
    Refused,
}

impl Acceptance {
    /// Acceptance by these rules.
    pub const fn new(
        routing: Routing,
        directory: Directory,
        settings: Live<AcceptanceSettings>,
        delivery: Live<DeliverySettings>,
    ) -> Self {
        Self { routing, directory, settings, delivery }
    }

    /// An address of ours without its tag.
    pub fn untagged(&self, address: &Address) -> Address {
        self.routing.untagged(address)
    }

    /// Whether a client may send to addresses that are not ours.
    pub fn relaying(&self, peer: &Peer, login: Option<&Login>) -> Relaying {
        let settings = self.settings.get();
        let from_inside = peer.is_in(&settings.relay_networks);
        match login {
            Some(Login { who: Who::MachineUser, .. }) => Relaying::ToMachineUsers,
            None if !from_inside => Relaying::Refused,
            _ => Relaying::Allowed,
        }
    }

    /// Whether an account may use this reverse-path.
    pub async fn sender(&self, path: &ReversePath, login: &Login) -> Result<(), Refusal> {
        match path {
            ReversePath::Null if self.settings.get().null_sender == NullSender::Allow => Ok(()),
            ReversePath::Null => {
                Err(Refusal::new(Kind::NoPermission, "Users may not send with the null sender").smtp(550, "5.7.1"))
            }
            ReversePath::Address(address) => self.identity(address, login).await,
        }
    }

    /// Whether an address is one of the account's: its own, an alias that leads to it, either with a tag.
    pub async fn identity(&self, address: &Address, login: &Login) -> Result<(), Refusal> {
        match self.routing.may_send_as(&login.address, address).await {
            Ok(Identity::Own | Identity::Alias) => Ok(()),
            Ok(Identity::Foreign) => {
                let text = format!("{address} is not an address of {}", login.address);
                Err(Refusal::new(Kind::NoPermission, text).smtp(553, "5.7.1"))
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Whether a recipient may be written to, with a message of the size that MAIL declared.
    pub async fn recipient(&self, address: &Address, size: Option<u64>, relaying: Relaying) -> Result<(), Refusal> {
        match self.routing.resolve(address).await.map_err(unavailable)? {
            Resolution::Remote if relaying == Relaying::Allowed => Ok(()),
            Resolution::Remote if relaying == Relaying::ToMachineUsers && self.routing.is_of_machine(address) => {
                Err(Refusal::new(Kind::NotFound, "Nobody here gets mail for users of this machine").smtp(550, "5.1.1"))
            }
            Resolution::Remote if relaying == Relaying::ToMachineUsers => {
                let text = "Programs of this user may send only to addresses on this server";
                Err(Refusal::new(Kind::NoPermission, text).smtp(550, "5.7.1"))
            }
            Resolution::Remote => {
                Err(Refusal::new(Kind::NoPermission, "Relaying denied: not one of our domains").smtp(550, "5.7.1"))
            }
            Resolution::Local { by_alias: ByAlias::MachineUsers, .. } if relaying == Relaying::Refused => {
                Err(Refusal::new(Kind::NotFound, "No such user here").smtp(550, "5.1.1"))
            }
            Resolution::Unknown => Err(Refusal::new(Kind::NotFound, "No such user here").smtp(550, "5.1.1")),
            Resolution::Refused(refusal) => Err(refusal),
            Resolution::Local { accounts, forwards, .. } => {
                if !forwards.is_empty() {
                    return Ok(());
                }
                for reached in &accounts {
                    if self.has_room(reached, size).await? {
                        return Ok(());
                    }
                }
                Err(self.delivery.get().over_quota.refusal())
            }
        }
    }

    /// Whether a mailbox can take so many octets more, as far as is known now; delivery checks again.
    async fn has_room(&self, reached: &Reached, size: Option<u64>) -> Result<bool, Refusal> {
        let Some(quota) = reached.account.quota else { return Ok(true) };
        let usage = self.directory.usage(&reached.account.address).await.map_err(unavailable)?;
        let used = usage.map_or(0, |usage| usage.bytes);
        // Without a size, one octet must fit.
        Ok(used.saturating_add(size.unwrap_or(0).max(1)) <= quota.get())
    }
}

/// The answer when the directory cannot be asked.
fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Refusal {
    Refusal::temporary(error).smtp(451, "4.3.0")
}
