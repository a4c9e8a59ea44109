//! The messages of one folder.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use parking_lot::Mutex;
use rayon::prelude::*;

use super::Restored;
use super::user::Restoring;
use crate::foundations::files::sync_file_system;
use crate::services::backup::error::{at, damaged};
use crate::services::backup::repository::Location;
use crate::services::backup::tree::{MessageEntry, unique};
use crate::services::backup::{Error, scan};
use crate::storage::mailbox::{FileName, Keyword, Place, learn_keywords};

/// Messages that share a block, with their positions in it.
type Group<'a> = Vec<(Location, &'a MessageEntry)>;

/// Called with each message and its content.
type EachContent<'a> = dyn Fn(&MessageEntry, &[u8]) -> Result<Restored, Error> + Sync + 'a;

impl Restoring<'_> {
    /// Writes all messages under their own names, into a folder that nobody else sees yet.
    pub fn all_messages(&self, folder: &Path, messages: &[MessageEntry]) -> Result<Restored, Error> {
        self.each_content(messages, &|message, content| {
            let path = scan::path_of(folder, message.place, &message.name);
            // Left by an interrupted run: an intact one is not written twice. After a power failure, a file may have the right
            // length and the wrong content.
            match fs::read(&path) {
                Ok(there) if there == content => {}
                Ok(_) => {
                    fs::remove_file(&path).map_err(at("remove", &path))?;
                    self.write(&path, message, content)?;
                }
                Err(_) => self.write(&path, message, content)?,
            }
            Ok(Restored { messages: 1, octets: content.len() as u64, ..Restored::default() })
        })
    }

    /// Adds the missing messages to a folder that may be in use, as Maildir requires.
    pub fn missing_messages(
        &self,
        folder: &Path,
        messages: &[MessageEntry],
        keywords: &[(u8, String)],
    ) -> Result<Restored, Error> {
        let (listing, _) = scan::messages(folder, || i64::MAX).map_err(at("read", folder))?;
        let there: HashSet<&[u8]> = listing.iter().map(|listed| unique(listed.base())).collect();
        let (present, missing): (Vec<_>, Vec<_>) =
            messages.iter().cloned().partition(|message| there.contains(unique(message.base())));
        let table = learn_keywords(folder, self.owner, &used(&missing, keywords))?;
        let known: Vec<_> = table.iter().map(|(slot, keyword)| (slot, keyword.as_str().to_owned())).collect();
        let written = Mutex::new(Vec::with_capacity(missing.len()));
        let restored = self.each_content(&missing, &|message, content| {
            let (name, dropped) = foreign_name(message, keywords, &known);
            let temporary = folder.join("tmp").join(std::ffi::OsStr::from_bytes(&name));
            let _ = fs::remove_file(&temporary);
            self.write(&temporary, message, content)?;
            written.lock().push((temporary, scan::path_of(folder, message.place, &name)));
            let keywords_dropped = dropped;
            Ok(Restored { messages: 1, octets: content.len() as u64, keywords_dropped, ..Restored::default() })
        })?;
        // The next run takes a message as present if its name exists, so its content is on disk before it gets the name.
        sync_file_system(folder)?;
        for (temporary, path) in written.into_inner() {
            fs::rename(&temporary, &path).map_err(at("rename", &temporary))?;
        }
        Ok(restored.and(Restored { present: present.len() as u64, ..Restored::default() }))
    }

    fn write(&self, path: &Path, message: &MessageEntry, content: &[u8]) -> Result<(), Error> {
        self.progress.goes_on()?;
        self.progress.add(1, content.len() as u64);
        Ok(self.owner.write_new(path, content, 0o600, message.date.saturating_mul(1_000_000_000))?)
    }

    /// Processes each message with its content, in several threads. A block is decompressed once for all
    /// messages in it.
    fn each_content(&self, messages: &[MessageEntry], each: &EachContent<'_>) -> Result<Restored, Error> {
        let (groups, missing) = self.by_block(messages)?;
        let restored = groups.par_iter().map(|group| {
            let block = match self.repository.block(group[0].0) {
                Ok(block) => block,
                Err(error) => return Restored::lost(group.len() as u64, error),
            };
            let mut restored = Restored::default();
            for (location, message) in group {
                let first = self.repository.slice(&block, *location, &message.objects[0]);
                let whole = match (&message.objects[..], first) {
                    (_, Err(error)) => Err(error),
                    ([_], Ok(content)) => Ok(Cow::Borrowed(content)),
                    (objects, Ok(_)) => self.repository.read_all(objects).map(Cow::Owned),
                };
                restored = restored.and(match whole {
                    Ok(content) => each(message, &content)?,
                    Err(error) => Restored::lost(1, error)?,
                });
            }
            Ok(restored)
        });
        Ok(restored.try_reduce(Restored::default, |a, b| Ok::<_, Error>(a.and(b)))?.and(missing))
    }

    /// Messages by the block in which they begin, and the result for those that are in none.
    pub fn by_block<'m>(&self, messages: &'m [MessageEntry]) -> Result<(Vec<Group<'m>>, Restored), Error> {
        let (mut placed, mut missing) = (Vec::with_capacity(messages.len()), Restored::default());
        for message in messages {
            let none = || damaged(self.repository.root(), "it lists a message without content");
            match message.objects.first().ok_or_else(none).and_then(|first| self.repository.locate(first)) {
                Ok(location) => placed.push((location, message)),
                Err(error) => missing = missing.and(Restored::lost(1, error)?),
            }
        }
        placed.sort_by_key(|(location, _)| *location);
        let groups = placed.chunk_by(|(a, _), (b, _)| (a.pack, a.block) == (b.pack, b.block));
        Ok((groups.map(<[_]>::to_vec).collect(), missing))
    }
}

/// `<slot> <keyword>` lines.
pub fn read_keywords(content: &[u8]) -> Vec<(u8, String)> {
    let text = String::from_utf8_lossy(content);
    let lines = text.lines().filter_map(|line| line.trim().split_once(' '));
    lines.filter_map(|(slot, name)| Some((slot.parse().ok()?, name.trim().to_owned()))).collect()
}

/// The keywords that messages have, by the table they were saved with.
fn used(messages: &[MessageEntry], saved: &[(u8, String)]) -> Vec<Keyword> {
    let letters = |message: &MessageEntry| message.name[message.base().len()..].to_vec();
    let letters: HashSet<u8> = messages.iter().flat_map(letters).filter(u8::is_ascii_lowercase).collect();
    let used = saved.iter().filter(|(slot, _)| letters.contains(&b'a'.saturating_add(*slot)));
    used.filter_map(|(_, name)| Keyword::parse(name).ok()).collect()
}

/// The name of a message in an existing folder: without our UID, since the folder has assigned others, and
/// with the letters that its keywords have there; and the number of keywords that have none.
fn foreign_name(message: &MessageEntry, saved: &[(u8, String)], known: &[(u8, String)]) -> (Vec<u8>, u64) {
    let base = message.base();
    let info = &message.name[base.len()..];
    let fields = base.split(|octet| *octet == b',').filter(|field| !field.starts_with(b"U="));
    let mut name = fields.collect::<Vec<_>>().join(&b","[..]);
    let mut letters: Vec<u8> = Vec::new();
    let mut dropped = 0;
    for letter in info.strip_prefix(b":2,").unwrap_or_default() {
        if !letter.is_ascii_lowercase() {
            letters.push(*letter);
            continue;
        }
        let keyword = saved.iter().find(|(slot, _)| *slot == letter - b'a').map(|(_, name)| name);
        let there = keyword.and_then(|keyword| known.iter().find(|(_, name)| name.eq_ignore_ascii_case(keyword)));
        match there {
            Some((slot, _)) if *slot < 26 => letters.push(b'a' + slot),
            _ => dropped += 1,
        }
    }
    letters.sort_unstable();
    if message.place == Place::Cur && FileName::parse(&message.name, Place::Cur).is_some() {
        name.extend_from_slice(b":2,");
        name.extend_from_slice(&letters);
    }
    (name, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::backup::ObjectId;

    #[test]
    fn a_living_folder_gets_names_without_uids_and_with_its_own_letters() {
        let message = |name: &str| MessageEntry {
            place: Place::Cur,
            name: name.as_bytes().to_vec(),
            size: 1,
            date: 0,
            objects: vec![ObjectId::of(b"")],
        };
        let saved = read_keywords(b"0 work\n1 $Forwarded\n");
        let known = read_keywords(b"0 other\n3 Work\n");
        let (name, dropped) = foreign_name(&message("1.M2.h,U=7,S=5,W=6:2,FSab"), &saved, &known);
        assert_eq!((name.as_slice(), dropped), (&b"1.M2.h,S=5,W=6:2,FSd"[..], 1));
        let (name, dropped) = foreign_name(&message("plain:2,"), &saved, &known);
        assert_eq!((name.as_slice(), dropped), (&b"plain:2,"[..], 0));
    }
}
