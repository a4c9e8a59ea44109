//! The states of a connection (RFC 9051 §3).

use tokio::time::Instant;

use super::account::Account;
use super::attention::{Attention, Wakeup};
use super::command_table::OutOfOrder;
use super::selected::Selected;

/// The connection of a client that speaks to us through another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientLink {
    Encrypted,
    Plain,
}

/// The states of RFC 9051 §3 with what belongs to each.
#[derive(Debug)]
pub(super) enum State {
    /// The client has until then to log in.
    NotAuthenticated {
        /// When it gets BYE.
        until: Instant,
    },
    /// Logged in.
    Authenticated(Box<Account>),
    /// In a mailbox.
    Selected(Box<Account>, Box<Selected>),
    /// On the way out.
    Logout,
}

impl State {
    /// Who is logged in.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Authenticated(account) | Self::Selected(account, _) => Some(account),
            Self::NotAuthenticated { .. } | Self::Logout => None,
        }
    }

    /// As [`State::account`], to change something.
    pub fn account_mut(&mut self) -> Option<&mut Account> {
        match self {
            Self::Authenticated(account) | Self::Selected(account, _) => Some(account),
            Self::NotAuthenticated { .. } | Self::Logout => None,
        }
    }

    /// Who is logged in, for a command that needs it.
    pub fn logged_in(&self) -> Result<&Account, OutOfOrder> {
        self.account().ok_or(OutOfOrder::NotAuthenticated)
    }

    /// As [`State::logged_in`], to change something.
    pub fn logged_in_mut(&mut self) -> Result<&mut Account, OutOfOrder> {
        self.account_mut().ok_or(OutOfOrder::NotAuthenticated)
    }

    /// The selected mailbox and whose it is, for a command that needs it.
    pub fn selected(&self) -> Result<(&Account, &Selected), OutOfOrder> {
        match self {
            Self::Selected(account, selected) => Ok((account, selected)),
            _ => Err(OutOfOrder::NotSelected),
        }
    }

    /// As [`State::selected`], to change something.
    pub fn selected_mut(&mut self) -> Result<(&mut Account, &mut Selected), OutOfOrder> {
        match self {
            Self::Selected(account, selected) => Ok((account, selected)),
            _ => Err(OutOfOrder::NotSelected),
        }
    }

    /// Whether the client has asked to be told of changes.
    pub fn watches(&self) -> bool {
        matches!(
            self,
            Self::Authenticated(account) | Self::Selected(account, _)
                if matches!(account.attention, Attention::Watching(_))
        )
    }

    /// Waits for something it has asked to be told of. Cancel-safe.
    pub async fn wake(&mut self) -> Wakeup {
        match self {
            Self::Authenticated(account) => account.attention.wake(None).await,
            Self::Selected(account, selected) => account.attention.wake(Some(selected)).await,
            Self::NotAuthenticated { .. } | Self::Logout => std::future::pending().await,
        }
    }
}
