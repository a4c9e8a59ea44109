//! Sieve: the language in which users say what happens to their mail (RFC 5228 and its extensions).
//!
//! [`compile`] turns the text into a [`Script`], or gives *all* its mistakes with line, column and what would be right. [`run`]
//! gives an [`Outcome`]: the actions, and a trace in plain words of why. Pure: no files, sockets, clock or database; facts are
//! handed in by [`Situation`] and [`World`]. The caller performs the actions, remembers what is to be remembered, and records
//! events.
//!
//! On the way: `lexer` and `parser` know the grammar alone, `check` knows what names mean and reads arguments, each word of the
//! language is in `extensions` (its arguments, and what it does), `run` has the state of a run and its limits.
//!
//! [`rules`] is the other way in: what people put together from lists of conditions and actions, as a script and back.
//!
//! Promises: neither panics, whatever the script and the message hold; the work is bounded by [`SieveSettings`]; a script that
//! fails keeps the message (RFC 5228 §2.10.6).

mod check;
mod extensions;
mod foreign;
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

pub use foreign::{Answer, ForeignArgument, ForeignCommand, Host, Stage, Vocabulary};
pub use outcome::{Action, Failure, FileCopy, FileInto, Notification, Outcome, Remember, Step, Vacation};
pub use script::{Compiled, EXTENSIONS, Mistake, NOTIFY_METHODS, Script, compile, compile_with, run, run_with};
pub use settings::SieveSettings;
pub use situation::{Included, Location, Situation, Spam, World};
