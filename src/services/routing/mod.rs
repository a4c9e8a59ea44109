//! Where mail for an address goes: aliases, catch-alls, tags, and which domains are ours.
//!
//! The order in which an address is looked up, the first that is there decides:
//!
//! 1. an alias with this very address, then a user with it (so an alias replaces a user of the same name, unless it
//!    names itself among its destinations: that keeps a copy in the mailbox);
//! 2. the same two for the address without its `+tag`; the tag goes along to destinations that are ours;
//! 3. for `postmaster` and `abuse`, the address of the setting `postmaster`;
//! 4. the catch-all of the domain (`@domain`), which thus never takes mail from a user or an alias;
//! 5. for `postmaster` and `abuse`, the first user of the domain;
//! 6. at this host's own name, the address of the setting `machine_users`: whom programs of the machine write to.
//!
//! Destinations are looked up in the same way, until only users and addresses elsewhere are left. `@domain` as a
//! destination keeps the name and changes the domain. Promises: an account is reached at most once, however many ways
//! lead to it; an expansion ends, whatever the tables hold. The room reads the directory and nothing else.
//!
//! What aliases pass on to other servers leaves under a sender of ours where a secret is set ([`Srs`]); such a sender is an
//! address of ours too, and leads to whom it stands for.

mod expand;
mod settings;
mod split;
mod srs;
mod walk;

pub use expand::{ByAlias, ComesBack, Identity, Reached, Resolution, Routing};
pub use settings::{DisabledUsers, RoutingSettings, SrsSettings};
pub use split::{Expansion, LocalRecipient, Routes, passing};
pub use srs::Srs;

use crate::foundations::failure::Kind;
use crate::storage::directory;

/// Routing could not find out; trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] directory::Error),
}

impl Error {
    /// The kind, for those who answer a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Directory(error) => error.kind(),
        }
    }
}
