//! Sieve: the language in which users say what happens to their mail (RFC 5228 and its extensions).
//!
//! [`compile`] turns the text into a [`Script`], or gives *all* its mistakes with line, column and what would be right. [`run`]
//! gives an [`Outcome`]: the actions, and a trace in plain words of why. Pure: no files, sockets, clock or database; facts are
//! handed in by [`Situation`] and [`World`]. The caller performs the actions, remembers what is to be remembered, and records
//! events.
//!
//! Promises: neither panics, whatever the script and the message hold; the work is bounded by [`SieveSettings`]; a script that
//! fails keeps the message (RFC 5228 §2.10.6).

mod outcome;
mod script;
mod settings;
mod situation;

pub use outcome::{Action, Failure, FileCopy, FileInto, Notification, Outcome, Remember, Step, Vacation};
pub use script::{Compiled, EXTENSIONS, Mistake, NOTIFY_METHODS, Script, compile, run};
pub use settings::SieveSettings;
pub use situation::{Included, Location, Situation, Spam, World};
