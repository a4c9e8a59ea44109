//! Annotations of folders and of a user's account (RFC 5464): a small file beside the messages of each.
//!
//! `postrider-metadata` has one line for each entry, name and value in base 64, and at its end a line with the CRC-32
//! of everything before. It holds user data that cannot be rebuilt: it is replaced durably and included in backups. A
//! damaged file keeps the lines that can be read.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::maildir::{directory, small};
use super::news::News;
use super::{Error, FolderName, User};

/// The file of a folder.
const OF_FOLDER: &str = "postrider-metadata";
/// The file of the account, beside that of the inbox.
const OF_ACCOUNT: &str = "postrider-account-metadata";

/// Entries by name, with their values.
pub type Metadata = BTreeMap<String, Vec<u8>>;

impl User {
    /// The annotations of a folder, or of the account.
    pub async fn metadata(self: &Arc<Self>, of: Option<&FolderName>) -> Result<Metadata, Error> {
        let (user, of) = (Arc::clone(self), of.cloned());
        self.job(move || {
            user.prepare_for(of.as_ref().unwrap_or(&FolderName::inbox()))?;
            let _gate = user.enter();
            let (path, file) = user.metadata_file(of.as_ref())?;
            read(&path, file)
        })
        .await
    }

    /// Sets annotations, and removes those without a value: all of them or, when one cannot be set, none. Durable when
    /// it returns.
    pub async fn set_metadata(
        self: &Arc<Self>,
        of: Option<&FolderName>,
        changes: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<(), Error> {
        let (user, of) = (Arc::clone(self), of.cloned());
        self.job(move || {
            user.prepare_for(of.as_ref().unwrap_or(&FolderName::inbox()))?;
            // Nobody else writes it meanwhile.
            let _gate = user.gate_for_change();
            let (path, file) = user.metadata_file(of.as_ref())?;
            let mut all = read(&path, file)?;
            let before = all.clone();
            let entries: Vec<String> = changes.iter().map(|(entry, _)| entry.clone()).collect();
            for (entry, value) in changes {
                match value {
                    Some(value) => _ = all.insert(entry, value),
                    None => _ = all.remove(&entry),
                }
            }
            if all == before {
                return Ok(());
            }
            user.check_metadata(&before, &all)?;
            user.account.tenure.check()?;
            write(&path, file, &all)?;
            user.account.tenure.check()?;
            user.account.hub.tell(|| News::Metadata { folder: of, entries });
            Ok(())
        })
        .await
    }

    /// The value of an annotation of a folder, or of the account; `None` where there is none, or none that is text. One
    /// look at the disk, which blocks.
    pub fn annotation(&self, of: Option<&FolderName>, entry: &str) -> Option<String> {
        let (path, file) = self.metadata_file(of).ok()?;
        text_of(&path, file, entry)
    }

    /// Refuses annotations beyond the limits; existing ones may stay and shrink.
    fn check_metadata(&self, before: &Metadata, all: &Metadata) -> Result<(), Error> {
        let settings = self.environment.settings.get();
        let largest = settings.metadata_value.get();
        if all.iter().any(|(entry, value)| value.len() as u64 > largest && before.get(entry) != Some(value)) {
            return Err(Error::MetadataTooLarge(largest));
        }
        let octets = |all: &Metadata| all.iter().map(|(entry, value)| (entry.len() + value.len()) as u64).sum::<u64>();
        let too_many = all.len() > settings.metadata_entries as usize && all.len() > before.len();
        let too_much = octets(all) > settings.metadata_total.get() && octets(all) > octets(before);
        if too_many || too_much { Err(Error::TooMuchMetadata) } else { Ok(()) }
    }

    fn metadata_file(&self, of: Option<&FolderName>) -> Result<(std::path::PathBuf, &'static str), Error> {
        match of {
            None => Ok((self.path.clone(), OF_ACCOUNT)),
            Some(folder) => {
                let path = self.known_path(folder)?.ok_or_else(|| Error::NoFolder(folder.clone()))?;
                Ok((path, OF_FOLDER))
            }
        }
    }

    /// RFC 5464 §4.1: the annotations of a renamed inbox are those of both.
    pub(super) fn copy_metadata(&self, from: &FolderName, to: &FolderName) -> Result<(), Error> {
        let (source, file) = self.metadata_file(Some(from))?;
        let all = read(&source, file)?;
        if all.is_empty() {
            return Ok(());
        }
        let (target, file) = self.metadata_file(Some(to))?;
        self.account.tenure.check()?;
        write(&target, file, &all)
    }
}

/// Like [`User::annotation`], for a user's directory that no server has open.
pub fn annotation(home: &Path, of: Option<&FolderName>, entry: &str) -> Option<String> {
    match of {
        None => text_of(home, OF_ACCOUNT, entry),
        Some(folder) => text_of(&home.join(folder.directory()), OF_FOLDER, entry),
    }
}

fn text_of(path: &Path, file: &str, entry: &str) -> Option<String> {
    // An annotation that cannot be read does not exist for a script.
    read(path, file).ok()?.remove(entry).and_then(|value| String::from_utf8(value).ok())
}

fn read(path: &Path, file: &str) -> Result<Metadata, Error> {
    let failed = |error: io::Error| Error::io(format!("cannot read the annotations in `{}`", path.display()), error);
    let folder = directory::open(path).map_err(failed)?;
    let content = small::read(folder.as_fd(), file).map_err(failed)?;
    let Some(content) = content else { return Ok(Metadata::new()) };
    let (all, whole) = parse(&content);
    if !whole {
        log::warn!(file:% = path.join(file).display(); "A file of annotations is damaged; its readable lines are kept");
    }
    Ok(all)
}

fn write(path: &Path, file: &str, all: &Metadata) -> Result<(), Error> {
    let failed = |error: io::Error| Error::io(format!("cannot write the annotations in `{}`", path.display()), error);
    let folder = directory::open(path).map_err(failed)?;
    if all.is_empty() {
        return remove(folder.as_fd(), file).map_err(failed);
    }
    small::replace(folder.as_fd(), file, &format(all)).map_err(failed)
}

fn remove(folder: BorrowedFd<'_>, file: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, file, rustix::fs::AtFlags::empty()) {
        Ok(()) => Ok(rustix::fs::fsync(folder)?),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn format(all: &Metadata) -> Vec<u8> {
    let mut text = String::new();
    for (entry, value) in all {
        text.push_str(&format!("{} {}\n", BASE64.encode(entry), BASE64.encode(value)));
    }
    text.push_str(&format!("{END} {:08x}\n", crc32fast::hash(text.as_bytes())));
    text.into_bytes()
}

/// How the last line begins; no entry's line begins like that.
const END: &str = "#";

/// The readable entries, and whether they are all.
fn parse(content: &[u8]) -> (Metadata, bool) {
    let mut all = Metadata::new();
    let (mut whole, mut at) = (false, 0);
    for line in content.split_inclusive(|b| *b == b'\n') {
        let text = std::str::from_utf8(line).ok().and_then(|line| line.trim_end_matches('\n').split_once(' '));
        match text {
            Some((END, crc)) => {
                whole = u32::from_str_radix(crc, 16).is_ok_and(|crc| crc == crc32fast::hash(&content[..at]));
            }
            Some((entry, value)) => {
                let entry = BASE64.decode(entry).ok().and_then(|entry| String::from_utf8(entry).ok());
                if let (Some(entry), Ok(value)) = (entry, BASE64.decode(value)) {
                    all.insert(entry, value);
                }
            }
            None => {}
        }
        at += line.len();
    }
    (all, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_notices_damage() {
        let entries =
            [("/private/comment", &b"two\r\nlines"[..]), ("/shared/vendor/x/y z", b""), ("/private/a", b"\0\xff")];
        let all: Metadata = entries.map(|(entry, value)| (entry.to_owned(), value.to_vec())).into();
        let content = format(&all);
        assert_eq!(parse(&content), (all.clone(), true));
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1;
            let (read, whole) = parse(&damaged);
            assert!(!whole || read == all, "{at}");
            // Without the final line end, all entries are still there.
            assert!(!parse(&content[..at]).1 || at + 1 == content.len(), "{at}");
        }
        assert_eq!(parse(b""), (Metadata::new(), false));
    }
}
