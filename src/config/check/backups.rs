//! Checks the destinations of backups, and the recipients for whom keys are encrypted.

use std::path::Path;

use super::{Config, Places, Problems};
use crate::services::backup::{Destination, Remote, is_recipient, overlap};

/// Checks that the destinations of backups are separate from the data to be saved and from each other, and absolute.
pub(super) fn check_backups(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    let backup = &config.backup;
    let remote = match backup.remote.parse::<Remote>() {
        _ if backup.remote.is_empty() => None,
        Ok(remote) => Some(remote),
        Err(error) => {
            problems.add(places.problem("backup.remote", "", error.to_string()));
            None
        }
    };
    let destination = match &backup.destination {
        Destination::Directory(path) => Some(path.as_path()),
        Destination::Bucket(_) => None,
    };
    let copy = remote.as_ref().and_then(Remote::directory);
    let mail = (config.storage.mail_root.as_path(), "`storage.mail_root`, which is to be backed up");
    let spool = (config.spool.directory.as_path(), "`spool.directory`, which is to be backed up");
    let own = destination.map(|path| (path, "`backup.destination`, of which it is a copy"));
    for (key, path, others) in [
        ("backup.destination", destination, vec![mail, spool]),
        ("backup.remote", copy, [Some(mail), Some(spool), own].into_iter().flatten().collect()),
    ] {
        if let Some(path) = path
            && let Some(wanted) = amiss(path, &others)
        {
            problems.add(places.problem(key, format!("\"{}\"", path.display()), wanted));
        }
    }
    let is_bucket = destination.is_none() || matches!(remote, Some(Remote::Bucket(_)));
    if is_bucket && backup.s3.endpoint.is_empty() {
        let wanted = "the URL of the storage that the bucket is in, such as \"https://s3.eu-central-1.amazonaws.com\"";
        problems.add(places.problem("backup.s3.endpoint", "", wanted));
    }
    for (n, _) in backup.age_recipients.iter().enumerate().filter(|(_, text)| !is_recipient(text)) {
        // The value may be a secret key, so it is not repeated.
        let wanted = "a recipient of `age`: `age1…` or a public SSH key, and never a secret key";
        problems.add(places.problem(format!("backup.age_recipients.{}", n + 1), "", wanted));
    }
}

/// What the directory should be, if it is unsuitable for backups.
fn amiss(path: &Path, others: &[(&Path, &str)]) -> Option<String> {
    if !path.is_absolute() {
        return Some("a path that begins with /; use `backup.remote` for another machine".to_owned());
    }
    let (other, what) = others.iter().find(|(other, _)| overlap(path, other))?;
    Some(format!("a directory apart from \"{}\", {what}", other.display()))
}
