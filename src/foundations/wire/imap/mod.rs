//! The grammar of IMAP (RFC 9051, RFC 3501 and their extensions): bytes to commands, responses to bytes.
//!
//! [`Framer`] splits a client's input into complete commands, [`Command::parse`] parses one, [`encode`] writes
//! responses. Every parser carries its ABNF. Promises: no input makes them panic, take more than linear time, nest
//! deeper or grow larger than the limits written beside each list; an error says what was expected, and where, and
//! keeps the tag whenever it could be read. Called by `protocols::imap` and, for cached wire forms, by
//! `storage::mailbox`. Never does I/O, never logs.

mod command;
mod cursor;
mod date;
pub mod encode;
mod fetch;
mod flag;
mod framer;
mod list;
mod mailbox;
mod messages;
mod metadata;
mod name;
mod nesting;
mod notify;
mod search;
mod sort;
#[cfg(test)]
mod tests;
mod url;

pub use command::{Command, CommandBody, SyntaxCause, SyntaxError, Tag, UidSet};
pub use cursor::{Malformed, is_atom};
pub use date::write_date_time;
pub use fetch::{Fetch, FetchItem, PartPath, Partial, Reading, Section, SectionText, Store, StoreAction, Telling};
pub use flag::{Flag, MAX_KEYWORD, SystemFlag};
pub use framer::{Announced, Fault, Framed, Framer, LimitPassed, Limits};
pub use list::{List, ListReturn, ListSelect, SpecialUse};
pub use mailbox::{Append, Appended, CatenatePart, MessageData, QuotaLimits, Replace, Resync, Select, StatusItem};
pub use messages::{Addressing, Messages, Numbers, PartialRange};
pub use metadata::{Depth, EntryName, EntryScope, GetMetadata, SetMetadata};
pub use name::{InvalidName, NameEncoding, RawName, decode_utf7, encode_name, encode_utf7};
pub use notify::{EVENTS, EventGroup, Events, MailboxFilter, Notify};
pub use search::{DateOf, Search, SearchKey, SearchReturn, SearchText, When};
pub use sort::{Direction, Sort, SortCriterion, SortKey, Thread, ThreadAlgorithm};
pub use url::{InvalidUrl, MessageUrl};
