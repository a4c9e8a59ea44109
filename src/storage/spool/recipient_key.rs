//! The key of a recipient in the queue.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use crate::storage::database::Val;

/// Names a recipient of an entry: its key in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientKey(pub i64);

impl fmt::Display for RecipientKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl FromStr for RecipientKey {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<RecipientKey> for Val {
    fn from(key: RecipientKey) -> Self {
        key.0.into()
    }
}
