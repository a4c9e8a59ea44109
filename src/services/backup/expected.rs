//! What a client must see of a user's mail, according to a backup.

use std::collections::BTreeSet;

use super::create::{read_folder, read_record};
use super::repository::{FileContent, ObjectId, Repository, UserEntry, UserRecord};
use super::{Error, tree};
use crate::foundations::mail::Uid;
use crate::storage::mailbox::{FileName, Flags, FolderName, UidFile};

/// A folder as a client must see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFolder {
    /// Its name.
    pub name: FolderName,
    /// UIDVALIDITY, if the server had set it.
    pub uid_validity: Option<u32>,
    /// Every message.
    pub messages: Vec<ExpectedMessage>,
}

/// A message as a client must see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedMessage {
    /// Its UID; `None` for a file that the server had not seen yet.
    pub uid: Option<Uid>,
    /// Octets of the file.
    pub size: u64,
    /// Flags and keywords, as IMAP writes them.
    pub flags: BTreeSet<String>,
    /// What it holds.
    pub objects: Vec<ObjectId>,
}

/// A user's folders. Directories whose names no client could use are left out, as the server does.
///
/// # Errors
/// The lists are missing or damaged.
pub fn expected_folders(repository: &Repository, user: &UserEntry) -> Result<Vec<ExpectedFolder>, Error> {
    let record = read_record(repository, &user.record)?;
    let mut folders = Vec::new();
    for folder in &record.folders {
        let name = match folder.directory.as_str() {
            "" => Some(FolderName::inbox()),
            directory => FolderName::from_directory(directory),
        };
        let Some(name) = name else { continue };
        let uid_file = small_file(repository, &record, &folder.directory, UidFile::NAME)?;
        let uid_validity = uid_file.and_then(|content| UidFile::parse(&content)).map(|file| file.validity.get());
        let keywords = small_file(repository, &record, &folder.directory, "dovecot-keywords")?.unwrap_or_default();
        let keywords = super::restore::read_keywords(&keywords);
        let messages = read_folder(repository, folder)?.iter().map(|message| expected(message, &keywords)).collect();
        folders.push(ExpectedFolder { name, uid_validity, messages });
    }
    Ok(folders)
}

fn small_file(
    repository: &Repository,
    record: &UserRecord,
    directory: &str,
    name: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    match record.files.iter().find(|file| file.path == path).map(|file| &file.content) {
        Some(FileContent::Objects(objects)) => repository.read_all(objects).map(Some),
        _ => Ok(None),
    }
}

fn expected(message: &tree::MessageEntry, keywords: &[(u8, String)]) -> ExpectedMessage {
    let name = FileName::parse(&message.name, message.place);
    let mut flags = BTreeSet::new();
    if let Some(name) = &name {
        for (flag, word) in [
            (Flags::ANSWERED, "\\Answered"),
            (Flags::DELETED, "\\Deleted"),
            (Flags::DRAFT, "\\Draft"),
            (Flags::FLAGGED, "\\Flagged"),
            (Flags::FORWARDED, "$Forwarded"),
            (Flags::SEEN, "\\Seen"),
        ] {
            if name.flags.contains(flag) {
                flags.insert(word.to_owned());
            }
        }
        for slot in name.keywords.slots() {
            flags.extend(keywords.iter().filter(|(known, _)| *known == slot).map(|(_, name)| name.clone()));
        }
    }
    let uid = name.and_then(|name| name.uid);
    ExpectedMessage { uid, size: message.size, flags, objects: message.objects.clone() }
}
