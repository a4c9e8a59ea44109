//! Import of mail and accounts from other servers.
//!
//! Folders that do not exist here yet keep the UIDVALIDITY and UIDs of their source, so that clients need not download
//! anything again; existing folders only get the messages that they lack, with new UIDs. Every import can be repeated:
//! messages that are there already are recognised by their names, and an interrupted import continues where it stopped.
//!
//! Promises: nothing at the source is changed; nothing here is overwritten; a folder becomes visible when it is complete.
//! [`rename`] moves a user's mail from one address to another, in the process that owns it. Everything else
//! works on the mail root as another program would, with or without a running server; called by `cli`.
//!
//! `importer` copies mail from Maildirs and mboxes (`mboxes` finds these in files and archives), [`imap`] from another server,
//! `scripts` Sieve scripts; `accounts` takes over the tables of a Postfix and Dovecot stack, read from a database or a `dump`.

mod accounts;
mod archive;
mod compressed;
mod dump;
mod error;
mod gmail;
pub mod imap;
mod importer;
mod inactive_accounts;
mod mboxes;
mod nix;
mod rename;
mod scripts;
mod single_message;
mod stack;
mod stored_message;

pub use accounts::{SeedAccounts, SeedAlias, SeedUser};
pub use error::Error;
pub use importer::{FolderMoved, Importer, Sort, Sorting};
pub use inactive_accounts::InactiveAccounts;
pub use mboxes::{LeftOut, Reading, mboxes};
pub use nix::{DeclaredUser, declaration};
pub use rename::{RenameError, rename};
pub use scripts::{ScriptDone, ScriptMoved, script_home};
pub use single_message::{SingleMessage, single_message};
pub use stack::StackBackup;
pub use stored_message::SpecialFolders;
