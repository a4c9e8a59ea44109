//! Declared accounts: one file says which domains, users and aliases there are; the directory is made to agree.
//!
//! The file is TOML or JSON (the NixOS module writes JSON); [`Declaration`] documents it and reads it with every mistake
//! collected. [`Accounts::plan`] says what would change, [`Accounts::reconcile`] changes it, in one transaction, by the
//! same comparison. Promises:
//!
//! - What others have made (by the command line, by SQL) is left alone unless the file names it; then the file takes it
//!   over, field by field.
//! - What the file once named and no longer names is disabled and archived, never deleted; what comes back is enabled
//!   with its mail. Only rows of aliases are removed.
//! - A declared password is applied when it is new or has changed in the declaration; a password the user has chosen
//!   since stays. One that cannot be used affects its user only, who keeps the password in force.
//! - A display name that is not declared belongs to the user. Quota and `enabled` belong to the declaration.

mod alias_loops;
mod change;
mod compare;
mod declaration;
mod json;
mod passwords;
mod read;
mod reconcile;
mod settings;

pub use change::{Change, Password, Plan};
pub use declaration::{Declaration, DeclaredAlias, DeclaredPassword, DeclaredUser, Unfit, UnusablePassword};
pub use read::{DeclarationError, Format, Secrets};
pub use reconcile::{Accounts, Error, plan};
pub use settings::{AccountsSettings, DeclaredFile};
