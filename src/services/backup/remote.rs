//! Copies of a repository elsewhere, made by `rsync`.
//!
//! Packs go first and snapshots after them, so that a copy that was interrupted names nothing that it lacks. Nothing that
//! is there is changed or removed: files of a repository never change, and a file that was cut off has another name until
//! it is complete.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Error;

/// Where a copy is: what `rsync` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote(String);

/// The text is no place that `rsync` could copy to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place for `rsync`: `host:path`, `user@host:path`, `rsync://host/module/path` or a directory is wanted"
)]
pub struct InvalidRemote(String);

impl std::str::FromStr for Remote {
    type Err = InvalidRemote;
    fn from_str(text: &str) -> Result<Self, InvalidRemote> {
        let text = text.trim_end_matches('/');
        // What begins with a hyphen would be an option.
        let is_plain = !text.is_empty() && !text.starts_with('-') && !text.chars().any(char::is_control);
        let is_known = text.starts_with("rsync://") || !text.contains("://");
        if is_plain && is_known { Ok(Self(text.to_owned())) } else { Err(InvalidRemote(text.to_owned())) }
    }
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Copies what the remote place lacks. Blocks.
///
/// # Errors
/// `rsync` is not there or fails; what was copied stays and shortens the next run.
pub fn push(repository: &Path, remote: &Remote) -> Result<(), Error> {
    let here = repository.display().to_string();
    // The mark and the packs, then the snapshots that name what is in them.
    rsync(&["--exclude=/snapshots/*", "--exclude=*.lock"], &format!("{here}/"), &format!("{remote}/"))?;
    rsync(&["--exclude=*.lock"], &format!("{here}/"), &format!("{remote}/"))
}

/// Copies back what this place lacks, for a machine that has lost its backups. Blocks.
///
/// # Errors
/// `rsync` is not there or fails.
pub fn pull(repository: &Path, remote: &Remote) -> Result<(), Error> {
    crate::foundations::files::create_directory(repository, 0o700)?;
    let here = repository.display().to_string();
    rsync(&["--exclude=/snapshots/*", "--exclude=*.lock"], &format!("{remote}/"), &format!("{here}/"))?;
    rsync(&["--exclude=*.lock"], &format!("{remote}/"), &format!("{here}/"))
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
        for text in ["host:/srv/mail", "me@host:backups/", "rsync://host/module", "/mnt/usb"] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), text.trim_end_matches('/'));
        }
        for text in ["", "/", "-e sh", "s3://bucket/x", "a\nb"] {
            assert!(text.parse::<Remote>().is_err(), "{text}");
        }
    }
}
