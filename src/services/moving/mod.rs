//! Moving in: mail and accounts from other servers.
//!
//! Folders that are not there yet keep UIDVALIDITY and UIDs of where they come from, so that clients need not download
//! anything again; into folders that are there, only messages that are missing are put, with new UIDs. Everything can be
//! said twice: what is there already is known by its name, and a move that was cut off goes on where it was.
//!
//! Promises: nothing at the source is changed; nothing here is overwritten; a folder becomes visible when it is complete.
//! [`rename`] moves a user's mail from one address to another, in the process that owns it. All else
//! works on the mail root as another program would, beside a running server or without one; called by `cli`.

mod accounts;
mod archive;
mod compressed;
mod dump;
mod error;
mod gmail;
pub mod imap;
mod kept;
mod mboxes;
mod mover;
mod nix;
mod out_of_use;
mod rename;
mod scripts;
mod single;
mod stack;

pub use accounts::{SeedAccounts, SeedAlias, SeedUser};
pub use error::Error;
pub use kept::Places;
pub use mboxes::{Reading, mboxes};
pub use mover::{FolderMoved, Mover, Sort, Sorting};
pub use nix::{DeclaredUser, declaration};
pub use out_of_use::OutOfUse;
pub use rename::{RenameError, rename};
pub use scripts::{ScriptDone, ScriptMoved, script_home};
pub use single::{Single, single};
pub use stack::StackBackup;
