//! `dovecot-keywords`: which letter in file names stands for which keyword, one `<slot> <keyword>` a line.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use super::{directory, small};
use crate::foundations::files::{self, Owner, lock_directory};
use crate::storage::mailbox::{Keyword, Keywords};

/// The file's name.
pub const NAME: &str = "dovecot-keywords";

/// Reads a folder's table; empty without the file. Invalid lines are skipped.
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

/// Adds keywords to the table of a folder that others may be using, as far as it has room, and returns it. Blocks.
///
/// # Errors
/// The disk fails.
pub fn learn(folder: &Path, owner: Owner, wanted: &[Keyword]) -> Result<Keywords, files::Error> {
    let path = folder.join(NAME);
    let failed = |verb| move |source| files::Error { verb, path: folder.join(NAME), source };
    // Anyone else who gives out letters at this moment waits.
    let _turn = lock_directory(folder)?;
    let directory = directory::open(folder).map_err(failed("open"))?;
    let before = read(directory.as_fd()).map_err(failed("read"))?;
    let mut table = before.clone();
    for keyword in wanted {
        let _ = table.learn(keyword);
    }
    if table != before {
        write(directory.as_fd(), &table).map_err(failed("write"))?;
        owner.give_path(&path)?;
    }
    Ok(table)
}

/// Replaces a folder's table durably. It is on disk before any file's name uses a new letter.
pub fn write(folder: BorrowedFd<'_>, keywords: &Keywords) -> io::Result<()> {
    let content: String = keywords.iter().map(|(slot, keyword)| format!("{slot} {keyword}\n")).collect();
    small::replace(folder, NAME, content.as_bytes())
}
