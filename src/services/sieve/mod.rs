//! Sieve: the language in which users say what happens to their mail (RFC 5228 and its extensions).
//!
//! [`compile`] turns the text into a [`Script`], or returns *all* its mistakes with line, column and a correction. [`run`]
//! returns an [`Outcome`]: the actions, and a trace in plain words that explains them. Pure: no files, sockets, clock or database;
//! [`Situation`] and [`World`] provide the facts. The caller performs the actions, stores what must be remembered, and records
//! events.
//!
//! `lexer` and `parser` know only the grammar, `check` knows what names mean and reads arguments, each word of the
//! language is in `extensions` (its arguments, and what it does), `run` has the state of a run and its limits.
//!
//! [`rules`] is the other way in: it converts what people put together from lists of conditions and actions to a script and back.
//!
//! Promises: neither panics, whatever the script and the message hold; the work is bounded by [`SieveSettings`]; a script that
//! fails keeps the message (RFC 5228 §2.10.6).

mod check;
mod extensions;
mod host_commands;
mod lexer;
mod matching;
mod outcome;
mod parser;
mod program;
pub mod rules;
mod run;
mod script;
mod settings;
mod situation;
mod syntax;
#[cfg(test)]
mod tests;

pub use host_commands::{Answer, Host, HostArgument, HostCommand, Stage, Vocabulary};
pub use outcome::{Action, Failure, FileCopy, FileInto, Notification, Outcome, Remember, Step, Vacation};
pub use script::{Compiled, EXTENSIONS, Mistake, NOTIFY_METHODS, Script, compile, compile_with, run, run_with};
pub use settings::SieveSettings;
pub use situation::{Client, Included, Location, Situation, Spam, World};
