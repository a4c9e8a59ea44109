//! What is known about the name of a command or test before its arguments are read.

use super::Arguments;
use crate::services::sieve::program::{Judge, Perform};

/// The name of a command.
pub(in crate::services::sieve) struct CommandWord {
    pub(in crate::services::sieve) name: &'static str,
    /// The extensions of which one must be required; none for the base language.
    pub(in crate::services::sieve) extensions: &'static [&'static str],
    pub(in crate::services::sieve) has_block: bool,
    /// Reads the arguments; `None` after a mistake, which has been reported.
    pub(in crate::services::sieve) read: fn(&mut Arguments<'_, '_>) -> Option<Box<dyn Perform>>,
}

/// The name of a test.
pub(in crate::services::sieve) struct TestWord {
    pub(in crate::services::sieve) name: &'static str,
    /// The extensions of which one must be required; none for the base language.
    pub(in crate::services::sieve) extensions: &'static [&'static str],
    pub(in crate::services::sieve) tests: Tests,
    /// Reads the arguments; `None` after a mistake, which has been reported.
    pub(in crate::services::sieve) read: fn(&mut Arguments<'_, '_>) -> Option<Box<dyn Judge>>,
}

/// Which tests stand inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services::sieve) enum Tests {
    /// None.
    None,
    /// Exactly one, without parentheses.
    One,
    /// Some, in parentheses.
    List,
}
