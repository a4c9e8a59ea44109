//! Imported mail, stored in mailboxes as any other mail program would: beside a running server or without one.
//!
//! A folder that does not exist yet is made under a hidden name, with the UIDs of its source, and gets its own name
//! once it is complete. Into an existing folder, messages are put one by one and get new UIDs. An interrupted deposit
//! is continued by the next one: messages already there are recognised by the unique part of their names.

pub(super) mod unique;

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use self::unique::Present;
use self::unique::{fitting, present, uniques};
use super::maildir::filename::{Place, suffix};
use super::maildir::uid_file::{Takeover, UidFile};
use super::maildir::{directory, keywords_file, subscriptions};
use super::user::directory_of;
use super::{Error, Flags, FolderName, Keyword, KeywordSet, Keywords};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::files::{Owner, publish, publish_directory, sync_directory, sync_file_system};
use crate::foundations::mail::{Uid, UidValidity, crlf_len};

/// The numbers a folder had at its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceUids {
    /// UIDVALIDITY.
    pub validity: UidValidity,
    /// UIDNEXT; the next UID here is not below it.
    pub next: Uid,
}

/// An imported message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposited {
    /// Its file name without fields and flags: always the same for the same message, and without `,`, `:`, `/`.
    pub unique: String,
    /// Its UID at the source.
    pub uid: Option<Uid>,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE.
    pub date: Timestamp,
}

/// A user's mailboxes, open for imported mail. All methods block.
#[derive(Debug)]
pub struct Deposit {
    /// The user's directory.
    home: PathBuf,
    /// Where it is made, if it did not exist.
    hidden: Option<PathBuf>,
    owner: Owner,
    purpose: Purpose,
}

/// The purpose of a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Storing,
    /// A dry run.
    Looking,
}

impl Deposit {
    /// Opens the mailboxes of a user, who need not have any yet.
    ///
    /// # Errors
    /// The mail root cannot be read, or the address cannot be a directory's name.
    pub fn begin(mail_root: &Path, user: &Address) -> Result<Self, Error> {
        let home = directory_of(mail_root, user)?;
        let owner = Owner::of(mail_root)?;
        let hidden = if home.join("cur").is_dir() {
            None
        } else {
            let hidden = hidden_name(&home);
            owner.make_directory(&hidden)?;
            Some(hidden)
        };
        Ok(Self { home, hidden, owner, purpose: Purpose::Storing })
    }

    /// Like [`Self::begin`], but a dry run: nothing is made or written.
    ///
    /// # Errors
    /// The address cannot be a directory's name.
    pub fn look(mail_root: &Path, user: &Address) -> Result<Self, Error> {
        let home = directory_of(mail_root, user)?;
        let hidden = (!home.join("cur").is_dir()).then(|| hidden_name(&home));
        Ok(Self { home, hidden, owner: Owner::SELF, purpose: Purpose::Looking })
    }

    /// Whether messages are stored, and not only looked for.
    pub fn stores(&self) -> bool {
        self.purpose == Purpose::Storing
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// The disk fails.
    pub fn folder(&self, name: &FolderName, uids: Option<SourceUids>) -> Result<DepositFolder<'_>, Error> {
        let home = self.hidden.as_ref().unwrap_or(&self.home);
        let is_new_inbox = name.is_inbox() && self.hidden.is_some();
        let target = if name.is_inbox() { home.clone() } else { home.join(name.directory()) };
        let there = target.join("cur").is_dir() && !is_new_inbox;
        let path = if there || name.is_inbox() {
            target.clone()
        } else {
            home.join(format!("{ARRIVING}{}", name.directory()))
        };
        let keywords = if self.stores() {
            for directory in ["tmp", "new", "cur"] {
                self.owner.make_directory(&path.join(directory))?;
            }
            let folder =
                directory::open(&path).map_err(|error| Error::io(format!("open {}", path.display()), error))?;
            let keywords = keywords_file::read(folder.as_fd());
            keywords.map_err(|error| Error::io(format!("read the keywords of {name}"), error))?
        } else {
            Keywords::default()
        };
        let taken = uniques(&path).map_err(|error| Error::io(format!("read {}", path.display()), error))?;
        let uids = uids.filter(|_| !there);
        Ok(DepositFolder {
            deposit: self,
            name: name.clone(),
            path,
            target,
            there,
            taken,
            keywords,
            uids,
            written: Written::none(),
        })
    }

    /// Adds to the folders the user is subscribed to.
    ///
    /// # Errors
    /// The disk fails.
    pub fn subscribe(&self, names: &BTreeSet<FolderName>) -> Result<(), Error> {
        if !self.stores() {
            return Ok(());
        }
        let home = self.hidden.as_ref().unwrap_or(&self.home);
        let failed = |error| Error::io(format!("write the subscriptions in {}", home.display()), error);
        let directory = directory::open(home).map_err(failed)?;
        let before = subscriptions::read(directory.as_fd()).map_err(failed)?;
        let all: BTreeSet<FolderName> = before.union(names).cloned().collect();
        if all != before {
            subscriptions::write(directory.as_fd(), &all).map_err(failed)?;
            self.owner.give_path(&home.join(subscriptions::NAME))?;
        }
        Ok(())
    }

    /// Makes all of it visible, durably.
    ///
    /// # Errors
    /// The disk fails, or somebody has made the mailboxes meanwhile: then nothing is lost, and repeating the import
    /// adds what is missing.
    pub fn finish(self) -> Result<(), Error> {
        match &self.hidden {
            _ if !self.stores() => {}
            Some(hidden) => {
                for directory in ["tmp", "new", "cur"] {
                    self.owner.make_directory(&hidden.join(directory))?;
                }
                // Scripts are there before the first mail arrives, in the same directory.
                if self.home.is_dir() && !self.home.join("cur").exists() {
                    move_into(hidden, &self.home)?;
                } else {
                    publish_directory(hidden, &self.home)?;
                }
            }
            None => {
                sync_file_system(&self.home)?;
                clear_away(&hidden_name(&self.home), &self.home)?;
            }
        }
        Ok(())
    }
}

/// Prefix of unfinished folders; no folder's directory begins like this.
const ARRIVING: &str = "..arriving";

/// Where mailboxes are made: the store and other programs skip names that begin with a dot.
pub(super) fn hidden_name(home: &Path) -> PathBuf {
    let mut name = OsStr::new(".arriving-").to_owned();
    name.push(home.file_name().unwrap_or_default());
    home.with_file_name(name)
}

/// Moves complete content into an existing directory without mailboxes. `cur`, by which mailboxes are recognised, comes
/// last, so that an interrupted deposit continues here.
fn move_into(hidden: &Path, home: &Path) -> Result<(), Error> {
    let failed = |error| Error::io(format!("read {}", hidden.display()), error);
    let names = fs::read_dir(hidden).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let names: Vec<_> = names.map_err(failed)?;
    sync_file_system(hidden)?;
    let mut taken = None;
    for name in names.iter().filter(|name| *name != "cur") {
        match publish(&hidden.join(name), &home.join(name)) {
            Err(error) if error.source.kind() == ErrorKind::AlreadyExists => taken = Some(error),
            published => published?,
        }
    }
    publish(&hidden.join("cur"), &home.join("cur"))?;
    sync_directory(home)?;
    if let Some(error) = taken {
        return Err(error.into());
    }
    fs::remove_dir(hidden).map_err(|error| Error::io(format!("remove {}", hidden.display()), error))
}

/// Removes the remains of an interrupted deposit, once all of it is in the mailboxes.
fn clear_away(left: &Path, home: &Path) -> Result<(), Error> {
    if !left.is_dir() {
        return Ok(());
    }
    let failed = |error| Error::io(format!("read {}", left.display()), error);
    let mut folders = vec![(left.to_owned(), home.to_owned())];
    for entry in fs::read_dir(left).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let shown = name.to_string_lossy();
        let own = shown.strip_prefix(ARRIVING).unwrap_or(&shown);
        if own.starts_with('.') {
            folders.push((left.join(&name), home.join(own)));
        }
    }
    for (from, to) in folders {
        if !uniques(&from).map_err(failed)?.is_subset(&uniques(&to).map_err(failed)?) {
            log::warn!(directory:% = left.display();
                "`{}` holds messages of an interrupted import that are not in the mailboxes yet: run that import again", left.display());
            return Ok(());
        }
    }
    fs::remove_dir_all(left).map_err(|error| Error::io(format!("remove {}", left.display()), error))
}

/// A folder, open for imported mail.
#[derive(Debug)]
pub struct DepositFolder<'a> {
    deposit: &'a Deposit,
    name: FolderName,
    path: PathBuf,
    target: PathBuf,
    /// Whether others may be using it.
    there: bool,
    taken: HashSet<Vec<u8>>,
    keywords: Keywords,
    uids: Option<SourceUids>,
    written: Written,
}

/// Complete files, which get their names once they are on disk.
#[derive(Debug)]
struct Written {
    /// Where each is, and its name.
    files: Vec<(PathBuf, PathBuf)>,
    octets: u64,
    /// When the first was written.
    since: Instant,
}

impl Written {
    /// How many are synced in one go.
    const FILES: usize = 1_000;
    /// How many octets are synced in one go.
    const OCTETS: u64 = 64 << 20;
    /// How long a file waits for more to gather. Files without a final name are imported again after an interruption.
    const WAIT: Duration = Duration::from_secs(5);

    fn none() -> Self {
        Self { files: Vec::new(), octets: 0, since: Instant::now() }
    }

    fn add(&mut self, temporary: PathBuf, path: PathBuf, octets: usize) {
        if self.files.is_empty() {
            self.since = Instant::now();
        }
        self.files.push((temporary, path));
        self.octets += octets as u64;
    }

    fn is_due(&self) -> bool {
        self.files.len() >= Self::FILES || self.octets >= Self::OCTETS || self.since.elapsed() >= Self::WAIT
    }
}

impl DepositFolder<'_> {
    /// Whether a message is already there.
    pub fn has(&self, unique: &str) -> bool {
        self.taken.contains(fitting(unique).as_bytes())
    }

    /// The messages that were already there when the folder was opened.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn present(&self) -> Result<Vec<Present>, Error> {
        present(&self.path).map_err(|error| Error::io(format!("read {}", self.path.display()), error))
    }

    /// Gives up the source's UIDs: some messages that are already there have other ones.
    pub const fn forget_uids(&mut self) {
        self.uids = None;
    }

    /// Whether the messages keep their UIDs.
    pub const fn keeps_uids(&self) -> bool {
        self.uids.is_some()
    }

    /// Adds a message; others see it once some have gathered. Returns how many of its keywords were lost because file
    /// names have room for only 26 different ones.
    ///
    /// # Errors
    /// The disk fails.
    pub fn put(&mut self, message: &Deposited, content: &[u8]) -> Result<usize, Error> {
        let unique = fitting(&message.unique).into_owned();
        if !self.deposit.stores() {
            self.taken.insert(unique.into_bytes());
            return Ok(0);
        }
        let (keywords, lost) = self.letters(&message.keywords)?;
        let place = if message.flags.is_empty() && keywords.is_empty() { Place::New } else { Place::Cur };
        let mut name = unique.clone();
        if let (Some(uid), Some(uids)) = (message.uid, &mut self.uids) {
            name.push_str(&format!(",U={uid}"));
            uids.next = uids.next.max(uid.saturating_add(1));
        }
        name.push_str(&format!(",S={},W={}", content.len(), crlf_len(content)));
        name.push_str(&suffix(place, message.flags, keywords));
        let temporary = self.path.join("tmp").join(&unique);
        // Left by an interrupted deposit.
        let _ = fs::remove_file(&temporary);
        self.deposit.owner.write_new(&temporary, content, 0o600, message.date.unix_micros().saturating_mul(1_000))?;
        let path = self.path.join(place.directory()).join(&name);
        self.taken.insert(unique.into_bytes());
        self.written.add(temporary, path, content.len());
        if self.written.is_due() {
            self.name_written()?;
        }
        Ok(lost)
    }

    /// Gives written files their names. The name makes a message count as present for the next deposit, so its content
    /// must be on disk first.
    fn name_written(&mut self) -> Result<(), Error> {
        let written = std::mem::replace(&mut self.written, Written::none());
        if written.files.is_empty() {
            return Ok(());
        }
        sync_file_system(&self.path)?;
        for (temporary, path) in written.files {
            fs::rename(&temporary, &path).map_err(|error| Error::io(format!("rename to {}", path.display()), error))?;
        }
        Ok(())
    }

    fn letters(&mut self, wanted: &[Keyword]) -> Result<(KeywordSet, usize), Error> {
        if wanted.iter().any(|keyword| self.keywords.slot(keyword).is_none()) {
            self.keywords = keywords_file::learn(&self.path, self.deposit.owner, wanted)?;
        }
        let lost = wanted.iter().filter(|keyword| self.keywords.slot(keyword).is_none()).count();
        Ok((self.keywords.set(wanted), lost))
    }

    /// Makes a new folder visible, with the UIDs of its source.
    ///
    /// # Errors
    /// The disk fails.
    pub fn finish(mut self) -> Result<(), Error> {
        if !self.deposit.stores() {
            return Ok(());
        }
        self.name_written()?;
        if let Some(uids) = self.uids {
            let failed = |error| Error::io(format!("write the UIDs of {}", self.name), error);
            let SourceUids { validity, next: bound } = uids;
            let file = UidFile { validity, bound, floor: None, takeover: Takeover::Done, id: None };
            file.write(directory::open(&self.path).map_err(failed)?.as_fd()).map_err(failed)?;
            self.deposit.owner.give_path(&self.path.join(UidFile::NAME))?;
        }
        if self.path != self.target {
            publish_directory(&self.path, &self.target)?;
        } else if self.there && !self.name.is_inbox() {
            let home = self.deposit.hidden.as_ref().unwrap_or(&self.deposit.home);
            clear_away(&home.join(format!("{ARRIVING}{}", self.name.directory())), &self.target)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::unique::LONGEST_UNIQUE;
    use super::*;

    fn message(unique: &str) -> Deposited {
        let date = Timestamp::from_unix_seconds(1_700_000_000);
        Deposited { unique: unique.to_owned(), uid: None, flags: Flags::NONE, keywords: vec![], date }
    }

    /// Puts messages into INBOX and `Old`.
    fn put(root: &Path, uniques: &[&str]) -> Deposit {
        let deposit = Deposit::begin(root, &"ann@example.test".parse().unwrap()).unwrap();
        for name in ["INBOX", "Old"] {
            let mut folder = deposit.folder(&name.parse().unwrap(), None).unwrap();
            for unique in uniques.iter().filter(|unique| !folder.has(unique)).collect::<Vec<_>>() {
                folder.put(&message(unique), b"Subject: x\n\n").unwrap();
            }
            folder.finish().unwrap();
        }
        deposit
    }

    #[test]
    fn scripts_that_are_there_before_the_mail_stay() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("example.test/ann");
        fs::create_dir_all(home.join("sieve")).unwrap();
        fs::write(home.join("sieve/main.sieve"), "keep;").unwrap();
        put(root.path(), &["1"]).finish().unwrap();
        assert!(home.join("sieve/main.sieve").is_file());
        for folder in [home.clone(), home.join(".Old")] {
            assert_eq!(uniques(&folder).unwrap().len(), 1, "{}", folder.display());
        }
        assert!(!hidden_name(&home).exists());
    }

    #[test]
    fn names_that_are_too_long_for_our_fields_get_others() {
        let root = tempfile::tempdir().unwrap();
        let longest = [format!("1700000000.{}", "ö".repeat(122)), format!("1700000000.{}a", "x".repeat(243))];
        let names: Vec<&str> = longest.iter().map(String::as_str).collect();
        assert!(names.iter().all(|name| name.len() == 255));
        for _ in 0..2 {
            put(root.path(), &names).finish().unwrap();
            let found = uniques(&root.path().join("example.test/ann/.Old")).unwrap();
            assert_eq!(found.len(), 2, "the second time they are known");
            assert!(found.iter().all(|name| name.starts_with(b"1700000000.")), "{found:?}");
        }
        let fields = format!(",U={},S={},W={}:2,DFPRSTabcdefghijklmnopqrstuvwxyz", u32::MAX, u64::MAX, u64::MAX);
        assert!(LONGEST_UNIQUE + fields.len() <= 255, "{}", fields.len());
    }

    #[test]
    fn messages_get_their_names_once_they_are_synced() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("example.test/ann");
        put(root.path(), &[]).finish().unwrap();
        let deposit = Deposit::begin(root.path(), &"ann@example.test".parse().unwrap()).unwrap();
        let mut folder = deposit.folder(&FolderName::inbox(), None).unwrap();
        let mut written = 0;
        let mut put_one = |folder: &mut DepositFolder<'_>, octets: usize, makes_due: fn(&mut Written)| {
            written += 1;
            makes_due(&mut folder.written);
            folder.put(&message(&written.to_string()), &vec![b'x'; octets]).unwrap();
            assert!(folder.has(&written.to_string()), "it does not come twice");
            uniques(&home).unwrap().len()
        };
        let due_later = |written: &mut Written| written.since += Duration::from_secs(3_600);
        assert_eq!(put_one(&mut folder, 10, |_| {}), 0);
        assert_eq!(put_one(&mut folder, 10, due_later), 0);
        assert_eq!(put_one(&mut folder, 10, |written| written.since -= Written::WAIT + Duration::from_secs(3_600)), 3);
        assert_eq!(put_one(&mut folder, Written::OCTETS as usize, |_| {}), 4);
        for _ in 1..Written::FILES {
            assert_eq!(put_one(&mut folder, 1, |written| written.since = Instant::now()), 4);
        }
        assert_eq!(put_one(&mut folder, 1, |_| {}), 4 + Written::FILES);
        assert_eq!(put_one(&mut folder, 1, |_| {}), 4 + Written::FILES);
        folder.finish().unwrap();
        assert_eq!(uniques(&home).unwrap().len(), 5 + Written::FILES);
    }

    #[test]
    fn what_a_deposit_left_is_cleared_away_once_it_is_in_the_mailboxes() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("example.test/ann");
        let cut_off = put(root.path(), &["1", "2"]);
        fs::create_dir_all(home.join("cur")).unwrap();
        cut_off.finish().unwrap_err();
        put(root.path(), &["1"]).finish().unwrap();
        assert!(hidden_name(&home).exists(), "2 is nowhere else");
        put(root.path(), &["1", "2"]).finish().unwrap();
        assert!(!hidden_name(&home).exists());
    }
}
