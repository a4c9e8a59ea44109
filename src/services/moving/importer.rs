use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::mboxes::Reading;
use super::stored_message::{SpecialFolders, StoredMessage};
use super::{Error, compressed};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::mail::mbox::{self, Wrapped};
use crate::foundations::mail::{HeaderDate, HeaderSection};
use crate::storage::mailbox::{Deposit, DepositFolder, Deposited, FolderName, ForeignFolder, ForeignHome};

/// Imports mail into the mailboxes below a mail root. All functions block.
#[derive(Debug, Clone)]
pub struct Importer {
    /// The mail root here.
    pub mail_root: PathBuf,
    /// Largest message in octets.
    pub largest: u64,
    /// Whether to only say what would be done.
    pub dry_run: bool,
}

/// The folders into which the messages of an mbox go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sorting {
    /// All into this one.
    Into(FolderName),
    /// Each into the one that its Gmail labels name; those without labels into the inbox.
    ByLabels,
}

/// How the messages of an mbox are sorted.
#[derive(Debug)]
pub struct Sort<'a> {
    /// Into which folders.
    pub sorting: Sorting,
    /// The folders for which Gmail has its own names.
    pub special_folders: &'a SpecialFolders,
    /// The date of messages that have none.
    pub now: Timestamp,
}

/// The result for a folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FolderMoved {
    /// Its name.
    pub folder: String,
    /// Messages imported, or that would be.
    pub messages: u64,
    /// Octets of them.
    pub octets: u64,
    /// Messages that were there already.
    pub present: u64,
    /// Those of them that were recognised by their content, because the source has given them other UIDs since an earlier run.
    pub recognised: u64,
    /// Empty files: not messages, and not imported.
    pub empty: u64,
    /// Links in place of messages to files of somebody else, or to nothing: not imported.
    pub links: u64,
    /// Messages that are larger than allowed: not imported.
    pub too_large: u64,
    /// Messages that are encrypted, compressed in an unknown way, too damaged to be unpacked, or in files that cannot be read:
    /// not imported.
    pub unreadable: u64,
    /// Messages already imported with other folders, in a mailbox that shows the messages of others: not imported again.
    pub elsewhere: u64,
    /// Messages that the source listed but did not deliver: expunged meanwhile, or damaged there.
    pub withheld: u64,
    /// Why the source refused the folder, or some of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether UIDVALIDITY and UIDs are those of the source.
    pub keeps_uids: bool,
    /// Keywords that messages lost.
    pub lost_keywords: u64,
}

impl FolderMoved {
    pub(super) fn new(folder: &FolderName) -> Self {
        Self {
            folder: folder.to_string(),
            messages: 0,
            octets: 0,
            present: 0,
            recognised: 0,
            empty: 0,
            links: 0,
            too_large: 0,
            unreadable: 0,
            elsewhere: 0,
            withheld: 0,
            refused: None,
            keeps_uids: false,
            lost_keywords: 0,
        }
    }
}

impl Importer {
    /// Imports what another program left for a user.
    ///
    /// # Errors
    /// Something there cannot be read, or the disk fails; what was complete by then is kept.
    pub fn home(&self, user: &Address, home: &ForeignHome, mut tell: impl FnMut(FolderMoved)) -> Result<(), Error> {
        let deposit = self.deposit(user)?;
        for folder in &home.folders {
            tell(self.folder(&deposit, folder)?);
        }
        deposit.subscribe(&home.subscribed)?;
        Ok(deposit.finish()?)
    }

    /// Opens a user's mailboxes; for reading only if nothing is to be changed.
    ///
    /// # Errors
    /// The mail root cannot be read, or the address cannot be a directory's name.
    pub fn deposit(&self, user: &Address) -> Result<Deposit, Error> {
        let open = if self.dry_run { Deposit::look } else { Deposit::begin };
        Ok(open(&self.mail_root, user)?)
    }

    fn folder(&self, deposit: &Deposit, folder: &ForeignFolder) -> Result<FolderMoved, Error> {
        let mut moved = FolderMoved::new(&folder.name);
        let mut target = deposit.folder(&folder.name, folder.uids)?;
        moved.keeps_uids = target.keeps_uids();
        moved.links = folder.links.len() as u64;
        for link in &folder.links {
            log::warn!("`{}` is left out: it is a link to a file of somebody else, or to nothing", link.display());
        }
        for message in &folder.messages {
            if target.has(&message.message.unique) {
                moved.present += 1;
                continue;
            }
            let content = match self.read(&folder.home, &message.path) {
                Ok(None) => {
                    log::warn!("`{}` is left out: it is a link to a file of somebody else", message.path.display());
                    moved.links += 1;
                    continue;
                }
                Err(Error::TooLarge { what, largest }) => {
                    log::warn!("`{what}` is left out: it is larger than the {largest} octets that `--largest` allows");
                    moved.too_large += 1;
                    continue;
                }
                // A damaged disk, or missing rights.
                Err(error @ (Error::Compressed { .. } | Error::Encrypted(_) | Error::File(_))) => {
                    log::warn!(error:% = error; "A message is left out");
                    moved.unreadable += 1;
                    continue;
                }
                content => content?.unwrap_or_default(),
            };
            if content.is_empty() {
                log::warn!(file:% = message.path.display();
                    "An empty message file is left out: it has lost its content; restore it and run the same command again");
                moved.empty += 1;
                continue;
            }
            moved.messages += 1;
            moved.octets += content.len() as u64;
            moved.lost_keywords += target.put(&message.message, &content)? as u64;
        }
        target.finish()?;
        Ok(moved)
    }

    /// A message below a home directory; `None` when it has become a link to a file of somebody else.
    fn read(&self, home: &Path, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let below = path.strip_prefix(home).unwrap_or(path);
        let file = match files::open_own(home, below) {
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Gone(path.to_owned()));
            }
            file => file?,
        };
        let Some(file) = file else { return Ok(None) };
        let failed = |source| files::Error { verb: "read", path: path.to_owned(), source };
        let mut octets = Vec::new();
        file.take(self.largest.saturating_add(1)).read_to_end(&mut octets).map_err(failed)?;
        if octets.len() as u64 > self.largest {
            return Err(Error::TooLarge { what: path.display().to_string(), largest: self.largest });
        }
        compressed::message(path, octets, self.largest).map(Some)
    }

    /// Imports the messages of an mbox. The same message in the same file is recognised the next time.
    ///
    /// # Errors
    /// The file cannot be read, or the disk fails.
    pub fn mbox(
        &self,
        user: &Address,
        (file, source): (&Path, &mut Reading<'_>),
        how: &Sort<'_>,
    ) -> Result<Vec<FolderMoved>, Error> {
        let deposit = self.deposit(user)?;
        let mut folders: BTreeMap<String, (DepositFolder<'_>, FolderMoved)> = BTreeMap::new();
        if let Sorting::Into(folder) = &how.sorting {
            folders.insert(folder.to_string(), (deposit.folder(folder, None)?, FolderMoved::new(folder)));
        }
        let failed = |source| files::Error { verb: "read", path: file.to_owned(), source };
        while let Some(wrapped) = source.read().map_err(failed)? {
            let kept = StoredMessage::of(mbox::unwrap(&wrapped.octets), how.special_folders);
            if kept.is_internal {
                continue;
            }
            let folder = match &how.sorting {
                Sorting::Into(folder) => folder.clone(),
                Sorting::ByLabels => kept.folder.clone().unwrap_or_else(FolderName::inbox),
            };
            let (target, moved) = match folders.entry(folder.to_string()) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(free) => free.insert((deposit.folder(&folder, None)?, FolderMoved::new(&folder))),
            };
            self.put_unwrapped(&wrapped, kept, how.now, target, moved)?;
        }
        let mut told = Vec::new();
        for (target, moved) in folders.into_values() {
            target.finish()?;
            told.push(moved);
        }
        deposit.finish()?;
        Ok(told)
    }

    fn put_unwrapped(
        &self,
        wrapped: &Wrapped,
        kept: StoredMessage,
        now: Timestamp,
        target: &mut DepositFolder<'_>,
        moved: &mut FolderMoved,
    ) -> Result<(), Error> {
        let StoredMessage { flags, keywords, lost, content, .. } = kept;
        let separator =
            mbox::separator_date(&wrapped.octets).map(|date| Timestamp::from_unix_seconds(date.and_utc().timestamp()));
        // The same in every run: without a date it is the content alone.
        let unique = format!("{}.{}.mbox", separator.map_or(0, Timestamp::unix_seconds).max(0), name_for(&content));
        if target.has(&unique) {
            moved.present += 1;
            return Ok(());
        }
        if content.len() as u64 > self.largest || wrapped.octets.len() as u64 != wrapped.size {
            let subject = HeaderSection::of(&content).first("Subject").map(|field| field.text()).unwrap_or_default();
            let separator = first_line(&wrapped.octets).trim_end().to_owned();
            log::warn!(octets = wrapped.size, subject:% = subject;
                "The message after `{separator}` is left out: it is larger than `--largest` allows");
            moved.too_large += 1;
            return Ok(());
        }
        moved.messages += 1;
        moved.octets += content.len() as u64;
        let date = separator.or_else(|| date_within(&content)).unwrap_or(now);
        let message = Deposited { unique, uid: None, flags, keywords, date };
        moved.lost_keywords += lost + target.put(&message, &content)? as u64;
        Ok(())
    }
}

/// The unique part of the file name for a message that has no file name yet.
pub(super) fn name_for(content: &[u8]) -> String {
    let hash = digest(&SHA256, content);
    hexadecimal(&hash.as_ref()[..10])
}

fn first_line(content: &[u8]) -> String {
    let line = content.split(|octet| *octet == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned()
}

/// When a message arrived, by its own header, if the line before it does not say so (RFC 4155 requires the time of delivery
/// there): the time after the last semicolon in the last host's Received field (RFC 5321 §4.4), or else when it was written.
pub(super) fn date_within(content: &[u8]) -> Option<Timestamp> {
    let header = HeaderSection::of(content);
    let newest = header.first("Received").map(|field| field.value().into_owned());
    let came = newest.and_then(|value| HeaderDate::read(value.rsplit(|octet| *octet == b';').next()?));
    let date = came.or_else(|| header.first("Date").and_then(|field| HeaderDate::read(&field.value())))?;
    Some(Timestamp::from_unix_seconds(date.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::mailbox::{Layout, MailboxSettings};

    #[test]
    fn an_emptied_file_is_told_and_not_counted() {
        let directory = tempfile::tempdir().unwrap();
        let (source, mail_root) = (directory.path().join("source"), directory.path().join("mail"));
        for place in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(source.join(place)).unwrap();
        }
        std::fs::create_dir(&mail_root).unwrap();
        std::fs::write(source.join("cur/1.M1.host,S=12:2,S"), "").unwrap();
        std::fs::write(source.join("cur/2.M2.host:2,S"), "Subject: 2\n\ntext\n").unwrap();
        let home = ForeignHome::read(&source, Layout::MaildirPlusPlus).unwrap();
        let user = "ann@example.test".parse().unwrap();
        let importer = Importer { mail_root: mail_root.clone(), largest: 1 << 20, dry_run: false };
        let move_in = || {
            let mut told = Vec::new();
            importer.home(&user, &home, |moved| told.push((moved.messages, moved.present, moved.empty))).unwrap();
            told
        };
        assert_eq!(move_in(), [(1, 0, 1)]);
        assert_eq!(std::fs::read_dir(mail_root.join("example.test/ann/cur")).unwrap().count(), 1);
        // A message that has reappeared is imported by the next run.
        std::fs::write(source.join("cur/1.M1.host,S=12:2,S"), "Subject: 1\n\n").unwrap();
        assert_eq!(move_in(), [(1, 1, 0)]);
        std::fs::remove_file(source.join("cur/2.M2.host:2,S")).unwrap();
        let elsewhere = Importer { mail_root: directory.path().join("other"), ..importer };
        std::fs::create_dir(&elsewhere.mail_root).unwrap();
        let gone = elsewhere.home(&user, &home, |_| panic!("it is told as moved in")).unwrap_err();
        assert!(gone.to_string().contains("2.M2.host:2,S` has disappeared"), "{gone}");
    }

    /// Imports an mbox into the INBOX of a user below a directory.
    fn import_mbox(importer: &Importer, text: &str, now: i64) -> FolderMoved {
        let user = "ann@example.test".parse().unwrap();
        let special_folders = SpecialFolders::of(&MailboxSettings::default());
        let sorting = Sorting::Into(FolderName::inbox());
        let how = Sort { sorting, special_folders: &special_folders, now: Timestamp::from_unix_seconds(now) };
        let reader: Box<dyn std::io::BufRead> = Box::new(text.as_bytes());
        let mut reading = mbox::Messages::begin(reader, 1 << 20).unwrap().unwrap();
        importer.mbox(&user, (Path::new("mbox"), &mut reading), &how).unwrap().remove(0)
    }

    #[test]
    fn an_mbox_without_dates_is_known_again_and_an_empty_one_has_no_messages() {
        let directory = tempfile::tempdir().unwrap();
        let importer = Importer { mail_root: directory.path().to_owned(), largest: 1 << 20, dry_run: false };
        let text = "From a@b\nSubject: 1\n\nx\n\nFrom c@d\nSubject: 2\n\ny\n";
        assert_eq!(import_mbox(&importer, text, 1_700_000_000).messages, 2);
        let planned = import_mbox(&Importer { dry_run: true, ..importer.clone() }, text, 1_700_000_030);
        assert_eq!((planned.messages, planned.present), (0, 2));
        let again = import_mbox(&importer, text, 1_700_000_060);
        assert_eq!((again.messages, again.present), (0, 2));
        let empty = import_mbox(&importer, "", 1_700_000_000);
        assert_eq!((empty.messages, empty.octets), (0, 0));
    }

    #[test]
    fn messages_of_an_mbox_are_as_old_as_they_say() {
        const NOW: i64 = 1_800_000_000;
        let received = "Received: from a.test by b.test; Tue, 14 Nov 2023 22:13:20 +0000 (UTC)\n\
                        Received: from c.test by a.test; Tue, 14 Nov 2023 22:13:00 +0000\n";
        let date = "Date: Tue, 14 Nov 2023 22:12:00 +0000\n";
        for (separator, header, wanted) in [
            ("From a@b Tue Nov 14 22:13:25 2023", format!("{received}{date}"), 1_700_000_005),
            ("From a@b", format!("{received}{date}"), 1_700_000_000),
            ("From a@b", format!("Received: by b.test; who knows when\n{date}"), 1_699_999_920),
            ("From a@b", format!("Received: by b.test\n{date}"), 1_699_999_920),
            ("From a@b", date.to_owned(), 1_699_999_920),
            ("From a@b", "Date: soon\n".to_owned(), NOW),
            ("From a@b", String::new(), NOW),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let importer = Importer { mail_root: directory.path().to_owned(), largest: 1 << 20, dry_run: false };
            let text = format!("{separator}\nSubject: 1\n{header}\nx\n");
            assert_eq!(import_mbox(&importer, &text, NOW).messages, 1, "{text}");
            let home = ForeignHome::read(&directory.path().join("example.test/ann"), Layout::MaildirPlusPlus).unwrap();
            assert_eq!(home.folders[0].messages[0].message.date.unix_seconds(), wanted, "{text}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_keeps_no_other_out() {
        let directory = tempfile::tempdir().unwrap();
        let importer = Importer { mail_root: directory.path().join("mail"), largest: 30, dry_run: false };
        std::fs::create_dir(&importer.mail_root).unwrap();
        let letter =
            |n: u32, length| format!("From a@b Mon Nov 23 04:00:0{n} 2026\nSubject: {n}\n\n{}\n\n", "x".repeat(length));
        let text = letter(1, 5) + &letter(2, 50) + &letter(3, 5);
        let moved = import_mbox(&importer, &text, 0);
        assert_eq!((moved.messages, moved.too_large), (2, 1));

        let source = directory.path().join("source");
        for place in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(source.join(place)).unwrap();
        }
        for (name, length) in [("1.M1.host", 5), ("2.M2.host", 50)] {
            std::fs::write(source.join("new").join(name), format!("Subject: x\n\n{}\n", "x".repeat(length))).unwrap();
        }
        let home = ForeignHome::read(&source, Layout::MaildirPlusPlus).unwrap();
        let mut told = Vec::new();
        importer
            .home(&"bob@example.test".parse().unwrap(), &home, |moved| told.push((moved.messages, moved.too_large)))
            .unwrap();
        assert_eq!(told, [(1, 1)]);
    }

    #[test]
    fn what_cannot_be_unpacked_and_a_directory_that_is_missing_keep_no_message_out() {
        let directory = tempfile::tempdir().unwrap();
        let importer = Importer { mail_root: directory.path().join("mail"), largest: 1 << 20, dry_run: false };
        std::fs::create_dir(&importer.mail_root).unwrap();
        let source = directory.path().join("source");
        for place in ["tmp", "cur", ".Sent/cur"] {
            std::fs::create_dir_all(source.join(place)).unwrap();
        }
        for (name, content) in [
            ("cur/1.M1.host:2,S", &b"Subject: 1\n\nx\n"[..]),
            ("cur/2.M2.host,Z:2,S", b"BZh91AY&SY"),
            ("cur/3.M3.host:2,S", b"\x1f\x8bno gzip"),
            ("cur/4.M4.host:2,S", b"Subject: 4\n\nx\n"),
            (".Sent/cur/5.M5.host:2,S", b"Subject: 5\n\nx\n"),
            ("cur/6.M6.host:2,S", b"CRYPTED\x03\x07\x02\0\0\0\x10"),
        ] {
            std::fs::write(source.join(name), content).unwrap();
        }
        // Like a file on a damaged disk, it gives an error to whoever reads it.
        std::os::unix::fs::symlink("/proc/self/mem", source.join("cur/0.M0.host:2,S")).unwrap();
        let home = ForeignHome::read(&source, Layout::MaildirPlusPlus).unwrap();
        let mut told = Vec::new();
        let tell = |moved: FolderMoved| told.push((moved.folder, moved.messages, moved.unreadable));
        importer.home(&"ann@example.test".parse().unwrap(), &home, tell).unwrap();
        assert_eq!(told, [("INBOX".to_owned(), 2, 4), ("Sent".to_owned(), 1, 0)]);
    }
}
