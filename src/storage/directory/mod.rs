//! Domains, users, aliases and mailbox usage: the seed's tables, and our additions beside them.
//!
//! Promises: an address is looked up by [`Address::key`](crate::foundations::address::Address::key) and found in
//! whatever case it is stored; nothing is found that differs in more than case. Look-ups for recipients use a small
//! cache that our own writes clear at once and whose entries expire after `cache_for`; [`Directory::account_now`],
//! which logins use, always asks the database. Removing an account or a domain archives it and keeps every row; only
//! [`Edit::delete_user`] does not.
//!
//! Every change goes through [`Edit`]: one transaction, then the cache is cleared.

mod app_password;
mod belongings;
mod cache;
mod edit;
mod entry;
mod error;
mod list;
mod look_up;
mod remembered;
mod renaming;
mod set_up_link;
mod settings;
mod standing;
mod totals;
mod two_factor;
mod usage;

pub use app_password::{AppPassword, NewAppPassword, Scope, Scopes};
pub use edit::{Edit, NewUser, same_destination};
pub use entry::{Account, AliasEntry, DomainEntry, Owner, PasswordOwner, Source, Standing, Usage, listed};
pub use error::Error;
pub use list::{Everything, Page};
pub use look_up::Directory;
pub use remembered::{RememberedBrowser, RememberedFor};
pub use renaming::{OldAddress, Renaming};
pub use settings::DirectorySettings;
pub use standing::Standings;
pub use totals::{Fullest, Fullness, Totals};
pub use two_factor::{Tries, TwoFactor};
