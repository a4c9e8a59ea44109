//! IMAP4rev2 and IMAP4rev1 (RFC 9051, RFC 3501) with their extensions.
//!
//! [`run`] owns a connection: it cuts bytes into commands ([`Framer`](crate::foundations::wire::imap::Framer)), admits
//! each by the command table (`command_table`), performs it (`commands`, one file each), tells what others have
//! changed, and answers. Commands run one after the other, in the order in which they came.
//!
//! Promises: no command gets OK before what it stored is on disk; sequence numbers change only where RFC 9051 §7.5.1
//! allows; memory of a session is bounded, and an idle one holds no buffers; a message announced by APPEND is let in
//! only when it is within the limits and the memory for it is there. Reading mail never asks SQL.
//!
//! Takes no locks but the count of connections per account. Calls the guard, `services::login`, `storage::mailbox` and,
//! for quotas, `storage::directory`. In the log: failures of the store at level error with the session's id, broken
//! connections at level debug.

mod account;
mod attention;
mod capability;
mod command_table;
mod commands;
mod connections;
mod contexts;
mod deflate;
mod limits;
mod link;
mod outcome;
mod room;
mod selected;
mod serve;
mod settings;
mod state;

pub use room::{Needs, Room};
pub use serve::{resume, run};
pub use settings::ImapSettings;
