//! In which language is a message written, and does its recipient read it?
//!
//! Promises: a text is analysed only on demand, once, and no further than the settings allow; a text that is short,
//! doubtful or partly in a language the recipient reads counts as readable; the same text gives the same answer.
//!
//! Languages are told apart by `whatlang` (trigrams and alphabets, no model file). It always answers with one of those it
//! knows, so a language it does not know is told from others by its letters alone.

mod known;
mod locale;
mod readers;
mod reading;

pub use known::Language;
pub use locale::{Locale, is_far_away};
pub use readers::Readers;
pub use reading::Reading;

#[cfg(test)]
mod tests;
