//! Mail from a backup in formats that other programs read.

mod mbox;
mod seed;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::create::{read_folder, read_record};
use super::error::at;
use super::repository::{Repository, Snapshot};
use super::restore::keywords;
use super::tree::MessageEntry;
use super::{Error, Progress, Restored, Selection, restore_mail};
use crate::foundations::files::create_directory;
use crate::storage::mailbox::{FileName, FolderName};

crate::words! {
    /// A format for mail.
    pub enum Format {
        /// Maildir++ directories, as the server keeps them.
        Maildir = "maildir",
        /// One mbox file (mboxrd) for each folder, with flags as `Status` and `X-Status`, and keywords as `X-Keywords`.
        Mbox = "mbox",
        /// One file for each message, in directories for the folders.
        Eml = "eml",
        /// The three archives with checksums as the earlier container stack wrote them: `mysql_*.sql.gz`, `maildirs_*.tar.gz`,
        /// `configs_*.tar.gz`.
        Seed = "seed",
    }
}

/// What was exported.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Messages.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Files that were written, for formats with few of them.
    pub files: Vec<PathBuf>,
    /// Messages and files that the backup has lost, for the format that goes on without them: Maildir.
    pub lost: u64,
    /// Why, as in [`super::Restored`].
    pub damage: BTreeSet<String>,
}

/// Writes mail into a directory, which must be empty or not exist. As Maildirs, everything intact is written, and what
/// is lost is counted. Blocks.
///
/// # Errors
/// The directory is not empty, nothing in the backup is selected, an object is missing or damaged, or the disk fails.
pub fn export(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    format: Format,
    directory: &Path,
    progress: &Progress,
) -> Result<Exported, Error> {
    create_directory(directory, 0o700)?;
    let mut entries = fs::read_dir(directory).map_err(at("read", directory))?;
    if entries.next().is_some() {
        return Err(Error::Exists { path: directory.to_owned(), advice: "name an empty directory" });
    }
    let exported = match format {
        Format::Maildir => {
            let Restored { messages, octets, lost, damage, .. } =
                restore_mail(repository, snapshot, selection, directory, progress)?;
            Exported { messages, octets, files: vec![], lost, damage }
        }
        Format::Seed => seed::write(repository, snapshot, selection, directory, progress)?,
        Format::Mbox | Format::Eml => folders(repository, snapshot, selection, format, directory, progress)?,
    };
    if exported.messages + exported.lost == 0 && !selection.is_everything() {
        let what = selection.to_string();
        return Err(Error::NotInBackup { snapshot: snapshot.id.to_string(), what });
    }
    crate::foundations::files::sync_file_system(directory)?;
    Ok(exported)
}

/// Called with domain, local part, directory, messages and keywords of a folder.
type EachFolder<'a> = dyn FnMut(&str, &str, &str, Vec<MessageEntry>, &[(u8, String)]) -> Result<(), Error> + 'a;

/// Goes through the selected folders, each with its name and its messages in the order of their UIDs.
fn each_folder(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    each: &mut EachFolder<'_>,
) -> Result<(), Error> {
    for user in snapshot.users.iter().filter(|user| selection.takes(user)) {
        let record = read_record(repository, &user.record)?;
        for folder in record.folders.iter().filter(|folder| selection.takes_folder(&folder.directory)) {
            let (messages, keywords) = (read_folder(repository, folder)?, keywords(repository, folder, &record)?);
            each(&user.domain, &user.local, &folder.directory, messages, &keywords)?;
        }
    }
    Ok(())
}

/// A message, if it is selected.
fn content(repository: &Repository, selection: &Selection, message: &MessageEntry) -> Result<Option<Vec<u8>>, Error> {
    let content = repository.read_all(&message.objects)?;
    let is_meant = selection.message_id.as_ref().is_none_or(|id| {
        let header = crate::foundations::mail::HeaderSection::of(&content);
        let value = header.first("Message-ID").map(|field| field.text());
        value.is_some_and(|value| value.trim().trim_matches(['<', '>']) == id)
    });
    Ok(is_meant.then_some(content))
}

fn folders(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    format: Format,
    directory: &Path,
    progress: &Progress,
) -> Result<Exported, Error> {
    let mut exported = Exported::default();
    each_folder(repository, snapshot, selection, &mut |domain, local, folder, messages, keywords| {
        // A folder's levels become directories; characters with a meaning in paths are replaced in its name.
        let name = match folder {
            "" => "INBOX".to_owned(),
            folder => FolderName::from_directory(folder).map_or_else(|| folder.to_owned(), |name| name.to_string()),
        };
        let place = directory.join(domain).join(local);
        let path = match format {
            Format::Mbox => place.join(format!("{name}.mbox")),
            _ => place.join(&name),
        };
        let (mut mbox, mut uids) = (Vec::new(), HashSet::new());
        for (n, message) in (1..).zip(&messages) {
            let Some(content) = content(repository, selection, message)? else { continue };
            progress.add(1, content.len() as u64);
            exported.messages += 1;
            exported.octets += content.len() as u64;
            if format == Format::Eml {
                create_directory(&path, 0o700)?;
                let uid = FileName::parse(&message.name, message.place).and_then(|name| name.uid);
                let name = match uid {
                    Some(uid) if uids.insert(uid) => format!("{uid:010}.eml"),
                    // As with a file that somebody has copied within the folder.
                    Some(uid) => format!("{uid:010}-{n}.eml"),
                    None => format!("new-{n}.eml"),
                };
                write(&path.join(name), &content)?;
            } else {
                mbox::append(&mut mbox, message, keywords, &content);
                if mbox.len() >= MBOX_BUFFER {
                    append(&path, &mbox)?;
                    mbox.clear();
                }
            }
        }
        if format == Format::Mbox && (!mbox.is_empty() || selection.message_id.is_none()) {
            append(&path, &mbox)?;
        }
        Ok(())
    })?;
    Ok(exported)
}

/// Octets of an mbox that are written at once.
const MBOX_BUFFER: usize = 4 << 20;

fn append(path: &Path, content: &[u8]) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    create_directory(path.parent().unwrap_or(path), 0o700)?;
    let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(at("write", path))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(at("write", path))
}
