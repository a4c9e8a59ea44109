//! `maildirsize`: the quota of Maildir++, when another program has put it there.
//!
//! Its first line gives the limits, `1000000S,1000C` (octets, messages); the following ones add up to the usage. We
//! obey the limits beside the account's own quota and rewrite the file with one line of usage, which Maildir++ calls
//! recalculating it. We never create it, and read its first line each time: removing the file lifts the limits.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use super::{directory, small};
use crate::storage::mailbox::Usage;

const NAME: &str = "maildirsize";

/// The limits in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most octets; `None` for no limit.
    pub octets: Option<u64>,
    /// Most messages; `None` for no limit.
    pub messages: Option<u64>,
    /// The line as it was, with limits we do not know.
    line: String,
}

/// Reads the limits of a user; `None` without a valid file.
pub fn read(user: &Path) -> io::Result<Option<Limits>> {
    let root = directory::open(user)?;
    let content = small::read(root.as_fd(), NAME)?;
    Ok(content.and_then(|content| parse(std::str::from_utf8(&content).ok()?)))
}

fn parse(content: &str) -> Option<Limits> {
    let line = content.lines().next()?.trim();
    let mut limits = Limits { octets: None, messages: None, line: line.to_owned() };
    for limit in line.split(',') {
        let number = limit.get(..limit.len().checked_sub(1)?)?.parse().ok().filter(|number| *number > 0);
        match limit.as_bytes().last()? {
            b'S' => limits.octets = number,
            b'C' => limits.messages = number,
            _ => {}
        }
    }
    Some(limits)
}

/// Replaces the file. Not synced: it can be rebuilt from the mailbox.
pub fn write(user: &Path, limits: &Limits, usage: Usage) -> io::Result<()> {
    let root = directory::open(user)?;
    let content = format!("{}\n{} {}\n", limits.line, usage.octets, usage.messages);
    small::replace_unsynced(root.as_fd(), NAME, content.as_bytes(), small::Sync::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_limits() {
        let limits = |text| parse(text).map(|limits| (limits.octets, limits.messages));
        assert_eq!(limits("1000S,10C\n5 1\n"), Some((Some(1000), Some(10))));
        assert_eq!(limits("10C\n"), Some((None, Some(10))));
        assert_eq!(limits("0S,5X\n"), Some((None, None)));
        assert_eq!(limits(""), None);
        assert_eq!(limits("\n"), None);
    }
}
