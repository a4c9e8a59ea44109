use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::super::{ObjectId, pack};
use super::{ASIDE, Backend, Fetched, Listed};
use crate::foundations::files;
use crate::services::backup::Error;
use crate::services::backup::error::{at, damaged};
use crate::services::backup::s3::{BucketPlace, Client, Payload, S3Settings};

/// A part of a bucket, with a directory on this machine for files being transferred and for what would take long to read
/// again. Locks are on this machine, too: one machine writes to one prefix.
pub struct BucketBackend {
    client: Client,
    cache: PathBuf,
    ends: PathBuf,
    fetched: AtomicU64,
}

/// Largest end of a pack that is kept.
const LARGEST_END: u64 = 1 << 30;

impl BucketBackend {
    pub fn open(place: BucketPlace, settings: &S3Settings) -> Result<Self, Error> {
        // The same bucket name elsewhere is another bucket.
        let digest = ObjectId::of(format!("{} {place}", settings.endpoint).as_bytes()).to_string();
        let cache = settings.cache_directory.join(format!("{}-{}", place.bucket, &digest[..16]));
        let ends = cache.join("ends");
        let client = Client::open(place, settings)?;
        files::create_directory(&ends, 0o700)?;
        Ok(Self { client, cache, ends, fetched: AtomicU64::new(0) })
    }

    fn end_of(&self, name: &str) -> Option<PathBuf> {
        Some(self.ends.join(Path::new(name).file_stem()?))
    }

    /// Whether the object that the storage did not overwrite is the one to be stored. It is if the first of two attempts
    /// succeeded without an answer. It may not be if an unreadable pack is created again.
    fn compare(&self, name: &str, size: u64, id: ObjectId) -> Result<(), Error> {
        let found = self.client.list(name)?.into_iter().find(|found| found.name == name);
        let found = found.map(|found| Listed { name: found.name, size: found.size });
        let is_whole = match found.filter(|found| found.size == size) {
            Some(found) => pack::hash_file(&self.fetch(&found)?.path)? == id,
            None => false,
        };
        let because = "it is not what was to be written there, and is not overwritten: move it away \
                       (`postrider backup prune --damaged` moves packs that cannot be opened), and try again";
        if is_whole { Ok(()) } else { Err(damaged(&self.shown(name), because)) }
    }
}

impl Backend for BucketBackend {
    fn shown(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.client.place().to_string().into() } else { self.client.shown(name).into() }
    }

    fn list(&self, directory: &str) -> Result<Vec<Listed>, Error> {
        let found = self.client.list(&format!("{directory}/"))?;
        Ok(found.into_iter().map(|found| Listed { name: found.name, size: found.size }).collect())
    }

    fn has_foreign_files(&self) -> Result<bool, Error> {
        let of_ours = ["packs", "snapshots", ASIDE];
        let above = |name: &str| name.split_once('/').is_some_and(|(above, _)| of_ours.contains(&above));
        let known = |name: &str| name.is_empty() || above(name);
        Ok(self.client.list("")?.iter().any(|found| !known(&found.name)))
    }

    fn initialize(&self) -> Result<(), Error> {
        Ok(())
    }

    fn read(&self, name: &str, largest: u64) -> Result<Option<Vec<u8>>, Error> {
        let content = self.client.read(name, usize::try_from(largest).unwrap_or(usize::MAX))?;
        Ok(content.map(Vec::from))
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        if length == 0 {
            return Ok(Vec::new());
        }
        Ok(self.client.read_at(name, offset, length as u64)?.into())
    }

    fn fetch(&self, file: &Listed) -> Result<Fetched, Error> {
        let number = self.fetched.fetch_add(1, Ordering::Relaxed);
        let path = self.cache.join(format!("{}{}{}{number}", pack::TEMPORARY, std::process::id(), pack::FETCHED));
        let fetched = Fetched { path, is_copy: true };
        self.client.download(&file.name, file.size, &fetched.path)?;
        Ok(fetched)
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let payload = Payload::Octets(Bytes::copy_from_slice(content));
        if self.client.put(name, payload, &ObjectId::of(content).0)? {
            return Ok(());
        }
        // The first of two attempts may have succeeded without an answer.
        match self.read(name, content.len() as u64 + 1)? {
            Some(there) if there == content => Ok(()),
            _ => Err(Error::Exists { path: self.shown(name), advice: "another machine has written it" }),
        }
    }

    fn unfinished(&self) -> &Path {
        &self.cache
    }

    fn add(&self, source: &Path, name: &str, id: ObjectId) -> Result<(), Error> {
        let length = fs::metadata(source).map_err(at("read", source))?.len();
        if self.client.put(name, Payload::File(source.to_owned(), length), &id.0)? {
            return Ok(());
        }
        // According to its name, it had this content once.
        self.compare(name, length, id)
    }

    fn take(&self, finished: &Path, name: &str, id: ObjectId) -> Result<(), Error> {
        self.add(finished, name, id)?;
        fs::remove_file(finished).map_err(at("remove", finished))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        Ok(self.client.remove(name)?)
    }

    fn set_aside(&self, file: &Listed, name: &str) -> Result<(), Error> {
        let fetched = self.fetch(file)?;
        let length = fs::metadata(&fetched.path).map_err(at("read", &fetched.path))?.len();
        let id = pack::hash_file(&fetched.path)?;
        // A copy that was put there before is damaged in the same way, and is not overwritten.
        self.client.put(name, Payload::File(fetched.path.clone(), length), &id.0)?;
        self.remove(&file.name)
    }

    fn kept_end(&self, name: &str) -> Option<Vec<u8>> {
        files::read_bounded(&self.end_of(name)?, LARGEST_END).ok()
    }

    fn keep_end(&self, name: &str, end: &[u8]) {
        let Some(path) = self.end_of(name) else { return };
        // A truncated file does not match its checksum and is read again from the bucket.
        if let Err(error) = fs::write(&path, end) {
            log::warn!(path:% = path.display(), error:% = error; "A list of the backups' contents cannot be cached");
        }
    }

    fn forget_ends(&self, packs: &[Listed]) {
        let wanted: std::collections::HashSet<_> = packs.iter().filter_map(|pack| self.end_of(&pack.name)).collect();
        for entry in fs::read_dir(&self.ends).into_iter().flatten().flatten() {
            if !wanted.contains(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn locks(&self) -> &Path {
        &self.cache
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::backup::s3::scripted::{Scripted, failure, page, place};

    #[test]
    fn what_is_in_the_way_of_a_pack_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let (source, name) = (directory.path().join("source"), "packs/ab/abc.pack");
        fs::write(&source, "a whole pack").unwrap();
        let there = |content: &'static str| {
            let storage = Scripted::answering(vec![
                ("412 Precondition Failed", failure("PreconditionFailed")),
                ("200 OK", page(&[(name, content.len())], None)),
                ("200 OK", content.into()),
            ]);
            let cache_directory = directory.path().join("cache");
            let backend = BucketBackend::open(place(), &S3Settings { cache_directory, ..storage.settings() }).unwrap();
            backend.add(&source, name, ObjectId::of(b"a whole pack"))
        };
        there("a whole pack").unwrap();
        for content in ["a wh0le pack", "a whole"] {
            let error = there(content).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains("s3://mail/one/packs/ab/abc.pack"), "{error}");
        }
        assert!(source.exists());
    }
}
