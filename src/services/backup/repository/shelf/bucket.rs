use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::super::{ObjectId, pack};
use super::{ASIDE, Fetched, Listed, Shelf};
use crate::foundations::files;
use crate::services::backup::Error;
use crate::services::backup::error::at;
use crate::services::backup::s3::{BucketPlace, Client, Payload, S3Settings};

/// A part of a bucket, with a directory of this machine for what is on its way and for what would take long to read
/// again. Locks are of this machine, too: one machine writes to one prefix.
pub struct BucketShelf {
    client: Client,
    workshop: PathBuf,
    ends: PathBuf,
    fetched: AtomicU64,
}

/// Largest end of a pack that is kept.
const LARGEST_END: u64 = 1 << 30;

impl BucketShelf {
    pub fn open(place: BucketPlace, settings: &S3Settings) -> Result<Self, Error> {
        // The same bucket name elsewhere is another bucket.
        let digest = ObjectId::of(format!("{} {place}", settings.endpoint).as_bytes()).to_string();
        let workshop = settings.cache_directory.join(format!("{}-{}", place.bucket, &digest[..16]));
        let ends = workshop.join("ends");
        let client = Client::open(place, settings)?;
        files::create_directory(&ends, 0o700)?;
        Ok(Self { client, workshop, ends, fetched: AtomicU64::new(0) })
    }

    fn end_of(&self, name: &str) -> Option<PathBuf> {
        Some(self.ends.join(Path::new(name).file_stem()?))
    }
}

impl Shelf for BucketShelf {
    fn shown(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.client.place().to_string().into() } else { self.client.shown(name).into() }
    }

    fn list(&self, directory: &str) -> Result<Vec<Listed>, Error> {
        let found = self.client.list(&format!("{directory}/"))?;
        Ok(found.into_iter().map(|found| Listed { name: found.name, size: found.size }).collect())
    }

    fn has_strangers(&self) -> Result<bool, Error> {
        let of_ours = ["packs", "snapshots", ASIDE];
        let above = |name: &str| name.split_once('/').is_some_and(|(above, _)| of_ours.contains(&above));
        let known = |name: &str| name.is_empty() || above(name);
        Ok(self.client.list("")?.iter().any(|found| !known(&found.name)))
    }

    fn furnish(&self) -> Result<(), Error> {
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
        let path = self.workshop.join(format!("{}{}{}{number}", pack::TEMPORARY, std::process::id(), pack::FETCHED));
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
            _ => Err(Error::Exists { path: self.shown(name), advice: "another machine has put it there" }),
        }
    }

    fn workshop(&self) -> &Path {
        &self.workshop
    }

    fn add(&self, source: &Path, name: &str, id: ObjectId) -> Result<(), Error> {
        let length = fs::metadata(source).map_err(at("read", source))?.len();
        // What is there already has this content: its name says so.
        self.client.put(name, Payload::File(source.to_owned(), length), &id.0)?;
        Ok(())
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
        // One that was put there before is as damaged, and not written over.
        self.client.put(name, Payload::File(fetched.path.clone(), length), &id.0)?;
        self.remove(&file.name)
    }

    fn kept_end(&self, name: &str) -> Option<Vec<u8>> {
        files::read_bounded(&self.end_of(name)?, LARGEST_END).ok()
    }

    fn keep_end(&self, name: &str, end: &[u8]) {
        let Some(path) = self.end_of(name) else { return };
        // A file that was cut off has not the checksum in it and is read again from the bucket.
        if let Err(error) = fs::write(&path, end) {
            log::warn!(path:% = path.display(), error:% = error; "A list of what is in the backups cannot be kept");
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
        &self.workshop
    }
}
