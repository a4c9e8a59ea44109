//! Copies of a repository elsewhere: in a bucket, or wherever `rsync` reaches.
//!
//! Packs go first and snapshots after them, so that a copy that was interrupted names nothing that it lacks. Nothing that
//! is there is changed or removed: files of a repository never change, and a file that was cut off has another name until
//! it is complete, or in a bucket is not there.

use std::process::{Command, Stdio};

use super::repository::copy;
use super::s3::BucketPlace;
use super::{BackupSettings, Destination, Error};

/// Where a copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// What `rsync` takes.
    Rsync(String),
    /// A bucket.
    Bucket(BucketPlace),
}

/// The text is no place to copy to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place for a copy: `s3://bucket/prefix`, or for `rsync` `host:path`, `user@host:path`, \
     `rsync://host/module/path` or a directory is wanted"
)]
pub struct InvalidRemote(String);

impl std::str::FromStr for Remote {
    type Err = InvalidRemote;
    fn from_str(text: &str) -> Result<Self, InvalidRemote> {
        let is_bucket = text.starts_with(BucketPlace::SCHEME);
        let text = text.trim_end_matches('/');
        let invalid = || InvalidRemote(text.to_owned());
        if is_bucket {
            return text.parse().map(Self::Bucket).map_err(|_| invalid());
        }
        // What begins with a hyphen would be an option.
        let is_plain = !text.is_empty() && !text.starts_with('-') && !text.chars().any(char::is_control);
        let is_known = text.starts_with("rsync://") || !text.contains("://");
        if is_plain && is_known { Ok(Self::Rsync(text.to_owned())) } else { Err(invalid()) }
    }
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsync(place) => f.write_str(place),
            Self::Bucket(place) => place.fmt(f),
        }
    }
}

/// Copies what the remote place lacks. Blocks.
///
/// # Errors
/// `rsync` is not there or fails, or the storage does; what was copied stays and shortens the next run.
pub fn push(settings: &BackupSettings, remote: &Remote) -> Result<(), Error> {
    match (&settings.destination, remote) {
        (here, Remote::Bucket(place)) => copy(here, &Destination::Bucket(place.clone()), settings),
        (Destination::Directory(here), Remote::Rsync(there)) => {
            in_order(settings, &format!("{}/", here.display()), &format!("{there}/"))
        }
        (Destination::Bucket(place), Remote::Rsync(_)) => Err(out_of_reach(place)),
    }
}

/// Copies back what this place lacks, for a machine that has lost its backups. Blocks.
///
/// # Errors
/// `rsync` is not there or fails, or the storage does.
pub fn pull(settings: &BackupSettings, remote: &Remote) -> Result<(), Error> {
    match (&settings.destination, remote) {
        (here, Remote::Bucket(place)) => copy(&Destination::Bucket(place.clone()), here, settings),
        (Destination::Directory(here), Remote::Rsync(there)) => {
            crate::foundations::files::create_directory(here, 0o700)?;
            in_order(settings, &format!("{there}/"), &format!("{}/", here.display()))
        }
        (Destination::Bucket(place), Remote::Rsync(_)) => Err(out_of_reach(place)),
    }
}

fn out_of_reach(place: &BucketPlace) -> Error {
    let because =
        format!("it does not reach into `{place}`: copy to another bucket, or keep the backups in a directory");
    Error::Program { program: "rsync", because }
}

/// The packs and the mark, then the snapshots that name what is in them.
fn in_order(settings: &BackupSettings, from: &str, to: &str) -> Result<(), Error> {
    let shell = format!("--rsh={}", settings.remote_shell);
    rsync(&[&shell, "--exclude=/snapshots/*", "--exclude=*.lock"], from, to)?;
    rsync(&[&shell, "--exclude=*.lock"], from, to)
}

fn rsync(more: &[&str], from: &str, to: &str) -> Result<(), Error> {
    let failed = |because: String| Error::Program { program: "rsync", because };
    let mut command = Command::new("rsync");
    command.args(["--recursive", "--times", "--perms", "--ignore-existing", "--mkpath", "--fsync"]);
    command.arg("--exclude=.unfinished.*").arg("--exclude=.*.tmp").args(more).args(["--", from, to]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().map_err(|error| failed(format!("it cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for text in ["host:/srv/mail", "me@host:backups/", "rsync://host/module", "/mnt/usb", "s3://bucket/x/"] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), text.trim_end_matches('/'));
        }
        for text in ["", "/", "-e sh", "s3://", "http://x/y", "a\nb"] {
            assert!(text.parse::<Remote>().is_err(), "{text}");
        }
    }
}
