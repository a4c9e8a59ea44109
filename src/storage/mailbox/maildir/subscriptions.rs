//! `subscriptions`: one folder a line, as Dovecot writes it.
//!
//! Dovecot's first format has one name a line with `.` between the levels; its second begins with `V 2` and an empty
//! line and has tabs between them. Both are read; the second, which can hold every name, is written.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;

use super::small;
use crate::storage::mailbox::FolderName;

/// The file's name.
pub const NAME: &str = "subscriptions";
/// The beginning of the second format.
pub const HEADER: &str = "V\t2\n\n";

/// Reads a user's subscriptions.
pub fn read(user: BorrowedFd<'_>) -> io::Result<BTreeSet<FolderName>> {
    let content = small::read(user, NAME)?.unwrap_or_default();
    Ok(parse(&String::from_utf8_lossy(&content)))
}

/// The names in a file of either format.
pub fn parse(text: &str) -> BTreeSet<FolderName> {
    match text.strip_prefix(HEADER) {
        Some(lines) => lines.lines().filter_map(|line| FolderName::from_levels(line.split('\t'))).collect(),
        None => text.lines().filter_map(|line| FolderName::from_levels(line.split('.'))).collect(),
    }
}

/// Replaces a user's subscriptions durably.
pub fn write(user: BorrowedFd<'_>, names: &BTreeSet<FolderName>) -> io::Result<()> {
    let mut text = HEADER.to_owned();
    for name in names {
        text.push_str(&name.encoded_levels().collect::<Vec<_>>().join("\t"));
        text.push('\n');
    }
    small::replace(user, NAME, text.as_bytes())
}
