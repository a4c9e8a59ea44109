//! `dovecot-keywords`: which letter in file names stands for which keyword, one `<slot> <keyword>` a line.

use std::io;
use std::os::fd::BorrowedFd;

use super::small;
use crate::storage::mailbox::{Keyword, Keywords};

/// The file's name.
pub const NAME: &str = "dovecot-keywords";

/// Reads a folder's table; empty without the file. Lines that make no sense are passed over.
pub fn read(folder: BorrowedFd<'_>) -> io::Result<Keywords> {
    let mut keywords = Keywords::none();
    let content = small::read(folder, NAME)?.unwrap_or_default();
    for line in String::from_utf8_lossy(&content).lines().take(1000) {
        if let Some((slot, name)) = line.trim().split_once(' ')
            && let Ok(slot) = slot.parse()
            && let Ok(keyword) = Keyword::parse(name.trim())
        {
            keywords.put(slot, keyword);
        }
    }
    Ok(keywords)
}

/// Replaces a folder's table durably. It is on disk before any file's name uses a new letter.
pub fn write(folder: BorrowedFd<'_>, keywords: &Keywords) -> io::Result<()> {
    let content: String = keywords.iter().map(|(slot, keyword)| format!("{slot} {keyword}\n")).collect();
    small::replace(folder, NAME, content.as_bytes())
}
