//! Copies of a repository elsewhere: in a bucket, or wherever `rsync` reaches.
//!
//! Packs go first and snapshots after them, so that an interrupted copy never names anything that it lacks. Nothing there
//! is changed or removed: files of a repository never change, and an incomplete file has another name until
//! it is complete, or in a bucket does not exist. Files are checked against their SHA-256 before they are copied; those that
//! exist already are compared by size.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::Remedy;
use super::repository::{check, copy, other_size};
use super::s3::BucketPlace;
use super::{BackupSettings, Destination, Error};

/// Where a copy is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A location for `rsync`.
    Rsync(String),
    /// A bucket.
    Bucket(BucketPlace),
}

/// The text is not a location to copy to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place for a copy: `s3://bucket/prefix`, or for `rsync` `host:path`, `user@host:path`, \
     `rsync://host/module/path` or a directory is wanted"
)]
pub struct InvalidRemote(String);

impl Remote {
    /// The directory on this machine, if it is one; as for `rsync`, a colon before the first slash ends a host name.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Rsync(place) if place.split('/').next().is_some_and(|first| !first.contains(':')) => {
                Some(Path::new(place))
            }
            _ => None,
        }
    }
}

impl std::str::FromStr for Remote {
    type Err = InvalidRemote;
    fn from_str(text: &str) -> Result<Self, InvalidRemote> {
        let is_bucket = text.starts_with(BucketPlace::SCHEME);
        let text = text.trim_end_matches('/');
        let invalid = || InvalidRemote(text.to_owned());
        if is_bucket {
            return text.parse().map(Self::Bucket).map_err(|_| invalid());
        }
        // A location that begins with a hyphen would be an option.
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

/// Copies what the remote copy lacks. Blocks.
///
/// # Errors
/// A file to be copied is damaged, or an existing one has another size; `rsync` is missing or fails, or the
/// storage does. What was copied stays and shortens the next run.
pub fn push(settings: &BackupSettings, remote: &Remote) -> Result<(), Error> {
    match (&settings.destination, remote) {
        (here, Remote::Bucket(place)) => copy(here, &Destination::Bucket(place.clone()), settings),
        (Destination::Directory(here), Remote::Rsync(there)) => {
            let (from, to) = (format!("{}/", here.display()), format!("{there}/"));
            let missing = Differing::Missing.files(settings, &from, &to)?;
            check(here, &missing, settings)?;
            in_order(settings, &from, &to, &missing)?;
            // What is damaged here is not missing there, and is not this command's business.
            let others = Differing::InSize.files(settings, &from, &to)?;
            let is_whole = |name: &&String| check(here, std::slice::from_ref(*name), settings).is_ok();
            match others.iter().find(is_whole) {
                Some(name) => Err(other_size(Path::new(&(to + name)))),
                None => Ok(()),
            }
        }
        (Destination::Bucket(place), Remote::Rsync(_)) => Err(out_of_reach(place)),
    }
}

/// Copies back what is missing here, for a machine that has lost its backups. Blocks.
///
/// # Errors
/// `rsync` is missing or fails, or the storage does. Damaged files that arrived by `rsync` stay, since most of their content can
/// be read, but are an error, too.
pub fn pull(settings: &BackupSettings, remote: &Remote) -> Result<(), Error> {
    match (&settings.destination, remote) {
        (here, Remote::Bucket(place)) => copy(&Destination::Bucket(place.clone()), here, settings),
        (Destination::Directory(here), Remote::Rsync(there)) => {
            crate::foundations::files::create_directory(here, 0o700)?;
            let (from, to) = (format!("{there}/"), format!("{}/", here.display()));
            let mut doubtful = Differing::Missing.files(settings, &from, &to)?;
            in_order(settings, &from, &to, &doubtful)?;
            doubtful.extend(Differing::InSize.files(settings, &from, &to)?);
            check(here, &doubtful, settings)
        }
        (Destination::Bucket(place), Remote::Rsync(_)) => Err(out_of_reach(place)),
    }
}

fn out_of_reach(place: &BucketPlace) -> Error {
    let because = format!("it cannot read `{place}`: copy to another bucket, or keep the backups in a directory");
    Error::Program { program: "rsync", because, remedy: Remedy::Change }
}

/// How files at two places differ.
#[derive(Debug, Clone, Copy)]
enum Differing {
    /// The other place lacks them.
    Missing,
    /// Both have them, in different sizes.
    InSize,
}

impl Differing {
    /// The packs and snapshots that differ, by their names below the root.
    fn files(self, settings: &BackupSettings, from: &str, to: &str) -> Result<Vec<String>, Error> {
        let way: &[&str] = match self {
            Self::Missing => &["--ignore-existing"],
            Self::InSize => &["--existing", "--size-only"],
        };
        let shell = format!("--rsh={}", settings.remote_shell);
        let listed = rsync(&[way, &[&shell, "--dry-run", "--out-format=%n"]].concat(), from, to, "")?;
        let is_file = |name: &&str| {
            (name.starts_with("packs/") && name.ends_with(".pack"))
                || (name.starts_with("snapshots/") && name.ends_with(".snapshot"))
        };
        Ok(listed.lines().filter(is_file).map(str::to_owned).collect())
    }
}

/// The packs and the mark, then the snapshots among the files, which name what is in the packs: not one that was made
/// meanwhile, whose packs may not be among the copied ones.
fn in_order(settings: &BackupSettings, from: &str, to: &str, files: &[String]) -> Result<(), Error> {
    let shell = format!("--rsh={}", settings.remote_shell);
    let always = ["--ignore-existing", "--fsync", &shell];
    rsync(&[&always[..], &["--exclude=/snapshots/*"]].concat(), from, to, "")?;
    let snapshots = files.iter().filter(|name| name.starts_with("snapshots/"));
    let names: String = snapshots.map(|name| format!("{name}\n")).collect();
    if names.is_empty() {
        return Ok(());
    }
    rsync(&[&always[..], &["--files-from=-"]].concat(), from, to, &names).map(drop)
}

/// Runs `rsync` with an input, and returns its output.
fn rsync(more: &[&str], from: &str, to: &str, input: &str) -> Result<String, Error> {
    let failed = |because: String, remedy| Error::Program { program: "rsync", because, remedy };
    let mut command = Command::new("rsync");
    command.args(["--recursive", "--times", "--perms", "--mkpath", "--exclude=*.lock", "--exclude=/damaged"]);
    command.arg("--exclude=.unfinished.*").arg("--exclude=.*.tmp").args(more).args(["--", from, to]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        // If it ends before it has read everything, it says why.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        child.wait_with_output()
    });
    let output = output.map_err(|error| failed(format!("it cannot be started: {error}"), Remedy::of(&error)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // rsync(1): wrong usage, incompatible protocol versions, errors selecting files, unsupported actions. The
    // remote shell's 127 means that there is no rsync at the other end.
    let remedy = match output.status.code() {
        Some(1..=4 | 126 | 127) => Remedy::Change,
        _ => Remedy::Patience,
    };
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned(), remedy))
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
