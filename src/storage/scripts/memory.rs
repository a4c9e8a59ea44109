//! What scripts must remember between messages: senders answered, messages passed on, messages seen.
//!
//! A line for each key, in `<home>/.postrider-sieve`: when it expires, in seconds since 1970, and the key's digest.
//! Lines are appended; a later line about a key replaces an earlier one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};

use super::{Error, Home};
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::hexadecimal::hexadecimal;

/// The file in the user's directory.
const FILE: &str = ".postrider-sieve";
/// Octets of a digest in hexadecimal.
const DIGEST: usize = 32;
/// Upper bound for the length of a line.
const LINE: u64 = 64;
/// A file of up to this size is always read: more may have been remembered before `remembered` was lowered.
const READ: u64 = 64 << 20;

/// The memory of one user's scripts.
#[derive(Debug, Default)]
pub struct Memory(HashMap<String, i64>);

impl Memory {
    /// Whether a key is remembered.
    pub fn has(&self, key: &str, now: Timestamp) -> bool {
        self.0.get(&hashed(key)).is_some_and(|until| *until > now.unix_seconds())
    }
}

/// The result of remembering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was remembered before and has not expired.
    Before,
    /// It is newly remembered.
    New,
}

impl Home {
    /// Everything that is remembered.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn memory(&self) -> Result<Memory, Error> {
        // Twice the size at which it is thinned out, since further lines may be added.
        let most = u64::from(self.settings.remembered).saturating_mul(2 * LINE).max(READ);
        match files::read_bounded(&self.memory_file(), most) {
            Ok(octets) => Ok(Memory(parse(&String::from_utf8_lossy(&octets)))),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(Memory::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers a key unless it is remembered already. On disk when it returns; of two callers at the same time, one
    /// is told that it is new.
    ///
    /// # Errors
    /// The disk fails.
    pub fn claim(&self, key: &str, until: Timestamp, now: Timestamp) -> Result<Known, Error> {
        let _lock = self.lock()?;
        let memory = self.memory()?;
        if memory.has(key, now) {
            return Ok(Known::Before);
        }
        self.add(memory, key, until.unix_seconds(), now)?;
        Ok(Known::New)
    }

    /// Remembers a key until a time, replacing an earlier entry; a time in the past makes it forgotten.
    ///
    /// # Errors
    /// The disk fails.
    pub fn remember(&self, key: &str, until: Timestamp, now: Timestamp) -> Result<(), Error> {
        let _lock = self.lock()?;
        let memory = self.memory()?;
        self.add(memory, key, until.unix_seconds(), now)
    }

    fn add(&self, mut memory: Memory, key: &str, until: i64, now: Timestamp) -> Result<(), Error> {
        let digest = hashed(key);
        memory.0.insert(digest.clone(), until);
        let path = self.memory_file();
        let (most, now) = (self.settings.remembered.max(1) as usize, now.unix_seconds());
        // The same keys again and again make the file longer, too.
        let is_long = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > most as u64 * LINE);
        if memory.0.len() > most || is_long {
            // The entries that expire first go, and some more, so that this is rare.
            let mut kept: Vec<(&String, i64)> = memory.0.iter().map(|(key, until)| (key, *until)).collect();
            kept.retain(|(_, until)| *until > now);
            kept.sort_unstable_by_key(|(_, until)| std::cmp::Reverse(*until));
            kept.truncate(most - most / 4);
            let text: String = kept.iter().map(|(key, until)| line(key, *until)).collect();
            return Ok(self.owner()?.write_durable(&path, text.as_bytes(), 0o600)?);
        }
        let failed = |source| files::Error { verb: "write", path: path.clone(), source };
        let is_new = !files::is_there(&path)?;
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut file: File = opened.map_err(failed)?;
        let mut text = line(&digest, until);
        if has_half_a_line(&file).map_err(failed)? {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
        if is_new {
            self.owner()?.give_path(&path)?;
            files::sync_directory(self.path())?;
        }
        Ok(())
    }

    fn memory_file(&self) -> PathBuf {
        self.path().join(FILE)
    }
}

/// Whether a crash has left an incomplete line, to which no other must be appended.
fn has_half_a_line(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut octet = [0];
    file.read_exact_at(&mut octet, last)?;
    Ok(octet != *b"\n")
}

fn line(digest: &str, until: i64) -> String {
    format!("{until} {digest}\n")
}

fn parse(text: &str) -> HashMap<String, i64> {
    // A crash may have left half a line.
    let entry = |line: &str| {
        let (until, digest) = line.split_once(' ')?;
        (digest.len() == DIGEST).then_some(())?;
        Some((digest.to_owned(), until.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

/// So that the file does not reveal who has written, and no key can break a line.
fn hashed(key: &str) -> String {
    hexadecimal(&digest(&SHA256, key.as_bytes()).as_ref()[..DIGEST / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::settings::Live;
    use crate::storage::scripts::{ScriptSettings, Scripts};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn remembers_for_a_time_and_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Live::new(ScriptSettings::default());
        let home = || Scripts::new(directory.path(), settings.clone()).home(&"a@b.test".parse().unwrap()).unwrap();
        assert_eq!(home().claim("x", at(100), at(1)).unwrap(), Known::New);
        assert_eq!(home().claim("x", at(200), at(99)).unwrap(), Known::Before);
        assert_eq!(home().claim("x", at(300), at(100)).unwrap(), Known::New);
        assert!(home().memory().unwrap().has("x", at(299)) && !home().memory().unwrap().has("x", at(300)));
        home().remember("x", at(0), at(150)).unwrap();
        assert!(!home().memory().unwrap().has("x", at(150)));
        // Half a line, as a crash may leave it.
        let path = directory.path().join("b.test/a/.postrider-sieve");
        let mut text = std::fs::read(&path).unwrap();
        text.truncate(text.len() - 10);
        std::fs::write(&path, text).unwrap();
        assert!(home().memory().unwrap().has("x", at(299)));
        home().remember("y", at(400), at(150)).unwrap();
        assert!(home().memory().unwrap().has("y", at(399)), "what comes behind it is a line of its own");
    }

    #[test]
    fn is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Live::new(ScriptSettings { remembered: 8, ..ScriptSettings::default() });
        let home = Scripts::new(directory.path(), settings).home(&"a@b.test".parse().unwrap()).unwrap();
        for n in 0..100 {
            home.remember(&format!("key {n}"), at(1000 + n), at(1)).unwrap();
        }
        let memory = home.memory().unwrap();
        assert!(memory.0.len() <= 8, "{}", memory.0.len());
        assert!(memory.has("key 99", at(1)) && !memory.has("key 0", at(1)));
        for n in 0..100 {
            home.remember("key 99", at(2000 + n), at(1)).unwrap();
        }
        assert!(home.memory().unwrap().has("key 99", at(2098)));
        let path = directory.path().join("b.test/a/.postrider-sieve");
        assert!(std::fs::metadata(path).unwrap().len() <= 9 * LINE);
    }

    /// A file longer than the present limit must remain readable, or no script could pass anything on any more.
    #[test]
    fn what_was_remembered_before_the_limit_was_lowered_is_thinned_out() {
        let directory = tempfile::tempdir().unwrap();
        let home = |remembered| {
            let settings = Live::new(ScriptSettings { remembered, ..ScriptSettings::default() });
            Scripts::new(directory.path(), settings).home(&"a@b.test".parse().unwrap()).unwrap()
        };
        for n in 0..100 {
            home(100).remember(&format!("key {n}"), at(1000 + n), at(1)).unwrap();
        }
        assert!(home(8).memory().unwrap().has("key 99", at(1)));
        assert_eq!(home(8).claim("another", at(2000), at(1)).unwrap(), Known::New);
        let memory = home(8).memory().unwrap();
        assert!(memory.0.len() <= 8 && memory.has("key 99", at(1)) && memory.has("another", at(1)));
    }
}
