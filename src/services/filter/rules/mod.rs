//! Rules with scores, in the syntax of SpamAssassin's `local.cf`.
//!
//! Promises: a rule file is read completely; every line that is not understood, not supported or without effect here is
//! a [`Complaint`] with its place and reason, never passed over silently. Patterns run in time linear in the text
//! (no backtracking): what Perl can express and a linear engine cannot (look-around, back references) is a complaint.
//! [`RuleSet::evaluate`] is pure.

mod compile;
mod directives;
mod evaluate;
mod file;
mod lists;
mod literals;
mod meta;
mod natives;
mod pattern;
mod perl;
mod points;

pub use compile::{Options, RuleSet};
pub use evaluate::{ClientName, Facts};
pub use file::{Complaint, Severity};
pub use points::Points;

/// The rules that come with this server, in the same syntax.
pub const BUILTIN: &str = include_str!("builtin.cf");

#[cfg(test)]
mod tests;
