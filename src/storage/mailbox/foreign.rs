//! Maildirs of other programs, read for import.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::deposit::unique::unique;
use super::maildir::filename::{FileName, Place};
use super::maildir::uid_file::{Takeover, UidFile};
use super::maildir::uidlist::UidList;
use super::maildir::{directory, keywords_file, subscriptions};
use super::{Deposited, Error, FolderName, Keywords, SourceUids};
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::mail::Uid;

/// How another program arranges folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Side by side, with `.` before every level: `.Archive.2026`.
    MaildirPlusPlus,
    /// Nested: `Archive/2026`.
    FileSystem,
}

/// A folder of another program.
#[derive(Debug, Clone)]
pub struct ForeignFolder {
    /// The directory that contains the folder or is it; its owner may change what is below.
    pub home: PathBuf,
    /// Its name.
    pub name: FolderName,
    /// Its UIDs, when there is a `dovecot-uidlist` or this program's file of UIDs.
    pub uids: Option<SourceUids>,
    /// Its messages in the order of their UIDs, then of their names.
    pub messages: Vec<ForeignMessage>,
    /// Links in the place of messages to files of other owners: not imported until somebody has checked them.
    pub links: Vec<PathBuf>,
}

/// A message of another program.
#[derive(Debug, Clone)]
pub struct ForeignMessage {
    /// What is known about it.
    pub message: Deposited,
    /// Its path below the home of its folder.
    pub path: PathBuf,
}

/// A user's mail as another program left it.
#[derive(Debug, Clone, Default)]
pub struct ForeignHome {
    /// Its folders.
    pub folders: Vec<ForeignFolder>,
    /// Those the user is subscribed to.
    pub subscribed: BTreeSet<FolderName>,
    /// Directories that look like folders but whose names cannot be shown to clients.
    pub unnamed: Vec<PathBuf>,
    /// Links in the place of folders to directories of other owners.
    pub links: Vec<PathBuf>,
}

impl ForeignHome {
    /// The mail of the user whose directory this is: the directory itself, or one within it if it is the home around
    /// the mail, as with Dovecot's `mail = maildir:~/mail` or `~/Maildir`.
    pub fn at(path: &Path) -> Option<PathBuf> {
        let looks_like_mail =
            |path: &Path| ["cur", "INBOX/cur", ".INBOX/cur"].iter().any(|inbox| path.join(inbox).is_dir());
        [path.to_owned(), path.join("mail"), path.join("Maildir")].into_iter().find(|path| looks_like_mail(path))
    }

    /// Where mail in Dovecot's own formats (dbox) lies: in this directory, or in one within it. No other program reads
    /// these.
    pub fn dbox(path: &Path) -> Option<PathBuf> {
        let is_dbox = |path: &PathBuf| {
            path.join("mailboxes/INBOX/dbox-Mails").is_dir()
                || path.join("mailboxes").is_dir() && path.join("storage").is_dir()
        };
        let within = fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        std::iter::once(path.to_owned()).chain(within).find(is_dbox)
    }

    /// Reads the folders below a user's directory. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or contains no Maildir.
    pub fn read(path: &Path, layout: Layout) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::io(format!("read {}", path.display()), error);
        let mut home = Self::default();
        if path.join("cur").is_dir() {
            home.folders.push(ForeignFolder::read(path, FolderName::inbox())?);
        }
        match layout {
            Layout::MaildirPlusPlus => home.read_beside(path)?,
            Layout::FileSystem => home.read_below(path, &mut Vec::new())?,
        }
        home.one_inbox();
        home.subscribed = subscribed(path, layout).map_err(failed)?;
        for folder in &mut home.folders {
            path.clone_into(&mut folder.home);
        }
        home.folders.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(home)
    }

    /// Where the inbox is a directory of its own, an empty one often exists around it; its UIDs are ignored. If it is
    /// not empty, its messages get new UIDs, since two folders have used the same ones.
    fn one_inbox(&mut self) {
        if self.folders.iter().filter(|folder| folder.name.is_inbox()).count() > 1 {
            self.folders.retain(|folder| !folder.name.is_inbox() || !folder.messages.is_empty());
        }
        // The one around was found first.
        let mut others: Vec<&mut ForeignFolder> =
            self.folders.iter_mut().filter(|folder| folder.name.is_inbox()).collect();
        others.pop();
        others.into_iter().for_each(|folder| folder.uids = None);
    }

    /// The directories of folders beside an inbox ([`Layout::MaildirPlusPlus`]).
    ///
    /// # Errors
    /// The inbox cannot be read.
    pub fn folders_beside(inbox: &Path) -> Result<Vec<PathBuf>, Error> {
        let failed = |error: io::Error| Error::io(format!("read {}", inbox.display()), error);
        let mut found = Vec::new();
        for entry in fs::read_dir(inbox).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") && entry.path().join("cur").is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    fn read_beside(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |error: io::Error| Error::io(format!("read {}", path.display()), error);
        for at in Self::folders_beside(path)? {
            let name = at.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !leads_to_own(&at).map_err(failed)? {
                self.links.push(at);
                continue;
            }
            // Dovecot's `INBOX=~/Maildir/.INBOX`.
            let is_inbox = name.eq_ignore_ascii_case(".INBOX");
            match FolderName::from_directory(&name).or_else(|| is_inbox.then(FolderName::inbox)) {
                Some(name) => self.folders.push(ForeignFolder::read(&at, name)?),
                None => self.unnamed.push(at),
            }
        }
        Ok(())
    }

    fn read_below(&mut self, path: &Path, levels: &mut Vec<String>) -> Result<(), Error> {
        let failed = |error: io::Error| Error::io(format!("read {}", path.display()), error);
        if levels.len() > FolderName::MAX_DEPTH {
            self.unnamed.push(path.to_owned());
            return Ok(());
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (at, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') || matches!(&*name, "cur" | "new" | "tmp") || !at.is_dir() {
                continue;
            }
            if !leads_to_own(&at).map_err(failed)? {
                self.links.push(at);
                continue;
            }
            levels.push(name);
            if at.join("cur").is_dir() {
                match FolderName::from_levels(levels.iter().map(String::as_str)) {
                    Some(name) => self.folders.push(ForeignFolder::read(&at, name)?),
                    None => self.unnamed.push(at.clone()),
                }
            }
            self.read_below(&at, levels)?;
            levels.pop();
        }
        Ok(())
    }
}

impl ForeignFolder {
    /// Reads a Maildir. Blocks.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path, name: FolderName) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::io(format!("read {}", path.display()), error);
        let folder = directory::open(path).map_err(failed)?;
        // Mail of this program has its UIDs in the file names, whatever lists Dovecot has left beside them.
        let own = UidFile::read(folder.as_fd()).map_err(failed)?.filter(|own| own.takeover == Takeover::Done);
        let list = UidList::read(folder.as_fd()).map_err(failed)?.filter(|_| own.is_none());
        let keywords = keywords_file::read(folder.as_fd()).map_err(failed)?;
        let uid_of = |name: &FileName<'_>| match (&list, own) {
            (Some(list), _) => list.uids.get(name.base).copied(),
            (None, Some(_)) => name.uid,
            (None, None) => None,
        };
        let (mut messages, mut links) = (Vec::new(), Vec::new());
        for place in [Place::New, Place::Cur] {
            let directory = path.join(place.directory());
            match leads_to_own(&directory) {
                Ok(true) => {}
                Ok(false) => {
                    links.push(directory);
                    continue;
                }
                // Some programs make it only with the first message.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            }
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                match message(&entry, place, &uid_of, &keywords).map_err(failed)? {
                    Listed::Message(message) => messages.push(message),
                    Listed::Link(path) => links.push(path),
                    Listed::Other => {}
                }
            }
        }
        messages.sort_by(|a, b| {
            let key = |one: &ForeignMessage| (one.message.uid.unwrap_or(Uid::MAX), one.message.unique.clone());
            key(a).cmp(&key(b))
        });
        let listed = list.as_ref().map(|list| SourceUids { validity: list.validity, next: list.next });
        let uids = own.map(|own| SourceUids { validity: own.validity, next: own.bound }).or(listed);
        let mut folder = Self { home: path.to_owned(), name, uids, messages, links };
        folder.number();
        Ok(folder)
    }

    /// Gives UIDs to messages missing from the list: the next ones, as Dovecot would.
    fn number(&mut self) {
        let Some(uids) = &mut self.uids else { return };
        for message in self.messages.iter_mut().filter(|message| message.message.uid.is_none()) {
            message.message.uid = Some(uids.next);
            uids.next = uids.next.saturating_add(1);
        }
    }
}

/// What stands in the place of a message.
enum Listed {
    Message(ForeignMessage),
    Link(PathBuf),
    Other,
}

fn message(
    entry: &fs::DirEntry,
    place: Place,
    uid_of: &dyn Fn(&FileName<'_>) -> Option<Uid>,
    keywords: &Keywords,
) -> io::Result<Listed> {
    use std::os::unix::ffi::OsStrExt as _;
    let name = entry.file_name();
    let Some(parsed) = FileName::parse(name.as_bytes(), place) else { return Ok(Listed::Other) };
    let path = entry.path();
    let metadata = match fs::metadata(&path) {
        // A link to nothing or to itself is in the place of a message, too.
        Err(_) if fs::symlink_metadata(&path).is_ok_and(|there| there.is_symlink()) => return Ok(Listed::Link(path)),
        // Renamed or removed since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listed::Other),
        metadata => metadata?,
    };
    if !metadata.is_file() {
        return Ok(Listed::Other);
    }
    if entry.file_type()?.is_symlink() && !leads_to_own(&path)? {
        return Ok(Listed::Link(path));
    }
    let message = Deposited {
        unique: unique_of(parsed.base),
        uid: uid_of(&parsed),
        flags: parsed.flags,
        keywords: keywords.names(parsed.keywords).cloned().collect(),
        date: Timestamp::from_unix_seconds(metadata.mtime()),
    };
    Ok(Listed::Message(ForeignMessage { message, path }))
}

/// The part of another program's file name that is the same in every run. Maildir names begin with one, before fields such as
/// `S=12` or OfflineIMAP's `FMD5=…`. Of any other name all counts, as a digest, since what is before the first `,` or `:` may be
/// common to several.
fn unique_of(base: &[u8]) -> String {
    let unique = unique(base);
    let mut fields = base[unique.len()..].split(|octet| *octet == b',').skip(1);
    let are_fields = fields.all(|field| match field.iter().position(|octet| *octet == b'=') {
        Some(end) => end > 0 && field[..end].iter().all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit()),
        None => matches!(field, [b'A'..=b'Z']),
    });
    match std::str::from_utf8(unique) {
        Ok(unique) if are_fields && !base.contains(&b':') => unique.to_owned(),
        _ => {
            let digest = hexadecimal(&digest(&SHA256, base).as_ref()[..10]);
            format!("{}-{digest}", String::from_utf8_lossy(unique))
        }
    }
}

/// Whether a link leads to something its owner also owns: an administrator can read files that no user of the other
/// server could.
fn leads_to_own(path: &Path) -> io::Result<bool> {
    files::leads_to_own(path).map_err(|error| error.source)
}

/// Largest file of subscriptions.
const LARGEST_LIST: u64 = 16 << 20;

/// `subscriptions`; in its first format, names use the layout's own separator.
fn subscribed(path: &Path, layout: Layout) -> io::Result<BTreeSet<FolderName>> {
    let text = match files::read_own(path, Path::new(subscriptions::NAME), LARGEST_LIST) {
        Ok(None) => return Ok(BTreeSet::new()),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        text => String::from_utf8_lossy(&text.map_err(|error| error.source)?.unwrap_or_default()).into_owned(),
    };
    if layout == Layout::FileSystem && !text.starts_with(subscriptions::HEADER) {
        return Ok(text.lines().filter_map(|line| FolderName::from_levels(line.split('/'))).collect());
    }
    Ok(subscriptions::parse(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::mailbox::Deposit;

    #[test]
    fn two_inboxes_have_one_set_of_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let (source, mail_root) = (directory.path().join("source"), directory.path().join("mail"));
        fs::create_dir(&mail_root).unwrap();
        for (inbox, validity, unique) in [("", 7, "1.around"), (".INBOX", 8, "2.own")] {
            let inbox = source.join(inbox);
            fs::create_dir_all(inbox.join("cur")).unwrap();
            fs::write(inbox.join(format!("cur/{unique}:2,S")), "Subject: x\n\n").unwrap();
            fs::write(inbox.join("dovecot-uidlist"), format!("3 V{validity} N6\n5 :{unique}\n")).unwrap();
        }
        let home = ForeignHome::read(&source, Layout::MaildirPlusPlus).unwrap();
        let deposit = Deposit::begin(&mail_root, &"ann@example.test".parse().unwrap()).unwrap();
        for folder in &home.folders {
            let mut target = deposit.folder(&folder.name, folder.uids).unwrap();
            for message in &folder.messages {
                target.put(&message.message, b"Subject: x\n\n").unwrap();
            }
            target.finish().unwrap();
        }
        deposit.finish().unwrap();
        let inbox = mail_root.join("example.test/ann");
        let names = fs::read_dir(inbox.join("cur")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["1.around,S=12,W=14:2,S", "2.own,U=5,S=12,W=14:2,S"]);
        let numbers = UidFile::read(directory::open(&inbox).unwrap().as_fd()).unwrap().unwrap();
        assert_eq!((numbers.validity.get(), numbers.bound.get()), (8, 6));
    }

    /// One that led to itself kept all of its user's mail out, and one that led nowhere was passed over in silence.
    #[test]
    fn links_to_nothing_are_told_and_keep_no_message_out() {
        let directory = tempfile::tempdir().unwrap();
        let cur = directory.path().join("cur");
        fs::create_dir(&cur).unwrap();
        fs::write(cur.join("1.M1.host:2,S"), "Subject: x\n\n").unwrap();
        for (target, name) in [("nowhere", "2.M2.host:2,S"), ("3.M3.host:2,S", "3.M3.host:2,S")] {
            std::os::unix::fs::symlink(target, cur.join(name)).unwrap();
        }
        let mut folder = ForeignFolder::read(directory.path(), FolderName::inbox()).unwrap();
        folder.links.sort();
        assert_eq!(
            (folder.messages.len(), folder.links),
            (1, vec![cur.join("2.M2.host:2,S"), cur.join("3.M3.host:2,S")])
        );
    }

    /// All but the first of those that begin alike counted as already there.
    #[test]
    fn no_two_files_are_taken_for_one_message() {
        use std::os::unix::ffi::OsStrExt as _;
        let directory = tempfile::tempdir().unwrap();
        let cur = directory.path().join("cur");
        fs::create_dir(&cur).unwrap();
        let usual: [&[u8]; 4] =
            [b"1.M1.host,S=12,W=14:2,S", b"2.M2.host,Z:2,", b"plain", b"3_0.3.host,U=7,FMD5=7e33429f:2,S"];
        let others: [&[u8]; 6] = [b"Re: a.eml", b"Re: b.eml", b"a, b.eml", b"a, c.eml", b"caf\xe8:2,S", b"caf\xe9:2,S"];
        for name in usual.iter().chain(&others) {
            fs::write(cur.join(std::ffi::OsStr::from_bytes(name)), "Subject: x\n\n").unwrap();
        }
        let folder = ForeignFolder::read(directory.path(), FolderName::inbox()).unwrap();
        let uniques: BTreeSet<&str> = folder.messages.iter().map(|message| message.message.unique.as_str()).collect();
        assert_eq!(uniques.len(), 10, "{uniques:?}");
        assert!(
            ["1.M1.host", "2.M2.host", "plain", "3_0.3.host"].iter().all(|usual| uniques.contains(usual)),
            "{uniques:?}"
        );
        assert!(!uniques.iter().any(|unique| unique.contains([',', ':'])), "{uniques:?}");
    }
}
