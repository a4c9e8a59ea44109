//! The machine: disks, files, limits, clock.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::{Doctor, Finding, Health};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::services::certificates::acme::{AcmeCertificate, told_time};

/// A file or directory that not everybody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// Where it is.
    pub path: PathBuf,
    /// The permission bits that it must not have.
    pub forbidden: u32,
    /// What is in it, for people.
    pub holds: String,
}

/// A file system that must not be full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// A directory on it, or one to be made there.
    pub path: PathBuf,
    /// What it is for, for people.
    pub purpose: &'static str,
}

/// How the database is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseHealth {
    /// It can be read and written.
    Good,
    /// It answers, but cannot be written; why.
    NotWritable(String),
    /// It does not answer, or refuses what opening it takes, as a read-only MariaDB or PostgreSQL does; why.
    Away(String),
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unread {
    /// What it holds, for people, with its place.
    pub about: String,
    /// Why.
    pub because: String,
}

pub(super) fn check(doctor: &Doctor<'_>, compared: Option<Compared>) -> Vec<Finding> {
    let mut findings = vec![database(&doctor.database)];
    findings.extend(doctor.volumes.iter().flat_map(volume));
    findings.extend(doctor.guarded.iter().map(guarded));
    findings.extend(doctor.unread.iter().map(|unread| {
        let remedy =
            "Put the file where the configuration says, or correct the path there; run this as a user who may read it.";
        Finding::ill("file", &unread.about, Health::Wrong, &unread.because, remedy)
    }));
    findings.push(files(doctor.connections, getrlimit(Resource::Nofile).maximum));
    findings.push(clock(&SYNCHRONIZED.map(Path::new), compared, doctor.clock.now()));
    findings
}

fn database(health: &DatabaseHealth) -> Finding {
    let (failure, remedy) = match health {
        DatabaseHealth::Good => {
            return Finding::well("database", "accounts and queue", "it answers and can be written");
        }
        DatabaseHealth::NotWritable(why) => (
            format!("it cannot be written: {why}"),
            "End the program that keeps it locked, or let this server write to it: mail that must be queued waits at its \
             senders until then, and events are lost.",
        ),
        DatabaseHealth::Away(why) => (
            why.clone(),
            "Start it, let this server write to it, or correct `storage.database`: mail waits at its senders until it answers. \
             Until then, only the domains that `--domain` names are examined.",
        ),
    };
    Finding::ill("database", "accounts and queue", Health::Wrong, failure, remedy)
}

fn volume(volume: &Volume) -> Vec<Finding> {
    let about = format!("{} ({})", volume.purpose, volume.path.display());
    let there = volume.path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let Ok(found) = rustix::fs::statvfs(there) else {
        let remedy = format!("Give this user access to `{}`.", there.display());
        return vec![Finding::ill("disk", about, Health::Unknown, "cannot be examined", remedy)];
    };
    let share = |free: u64, all: u64| if all == 0 { 100 } else { u128::from(free) * 100 / u128::from(all) };
    let room = [
        ("disk", share(found.f_bavail, found.f_blocks), "of the space is free"),
        ("inodes", share(found.f_favail, found.f_files), "of the files it can hold are free"),
    ];
    room.into_iter()
        .map(|(check, percent, words)| {
            let text = format!("{percent} % {words}");
            let remedy = "Make room: mail is refused for now when nothing can be stored.";
            match percent {
                0..=2 => Finding::ill(check, &about, Health::Wrong, text, remedy),
                3..=9 => Finding::ill(check, &about, Health::Warning, text, remedy),
                _ => Finding::well(check, &about, text),
            }
        })
        .collect()
}

fn guarded(guarded: &Guarded) -> Finding {
    let Guarded { path, forbidden, holds } = guarded;
    let about = format!("{holds} ({})", path.display());
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.mode() & 0o777;
            if !is_exposed(path, &metadata, *forbidden) {
                return Finding::well("permissions", about, format!("mode {mode:04o}"));
            }
            let remedy = format!("chmod {:04o} {}", mode & !forbidden, path.display());
            let found = format!("mode {mode:04o} lets others access it");
            Finding::ill("permissions", about, Health::Wrong, found, remedy)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let remedy =
                "The server creates it when it starts; if it is running, the configuration names another place.";
            Finding::ill("permissions", about, Health::Unknown, "does not exist", remedy)
        }
        Err(error) => {
            let remedy = "Run this as root, or as the owner of the file.";
            Finding::ill("permissions", about, Health::Unknown, error.to_string(), remedy)
        }
    }
}

/// Whether others can access what is in a file or directory. Seeing the names of keys in a directory does no harm as
/// long as they can neither read nor replace any.
fn is_exposed(path: &Path, metadata: &std::fs::Metadata, forbidden: u32) -> bool {
    let mode = metadata.mode();
    if mode & forbidden == 0 {
        return false;
    }
    let shows_names_only = metadata.is_dir() && forbidden == OTHERS && mode & 0o002 == 0;
    let is_open = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.and_then(|entry| entry.metadata()).is_ok_and(|metadata| metadata.mode() & OTHERS != 0)
    };
    !shows_names_only || std::fs::read_dir(path).map_or(true, |mut entries| entries.any(is_open))
}

/// Bits for everybody who is neither the owner nor of the group.
pub const OTHERS: u32 = 0o007;

/// Every connection is an open file, and work on a message needs a few more.
fn files(connections: u64, most: Option<u64>) -> Finding {
    let about = "open files";
    match most {
        Some(most) if most < connections => Finding::ill(
            "limits",
            about,
            Health::Warning,
            format!("{most} are allowed here, and `guard.connections` has {connections}"),
            "Raise LimitNOFILE= of the unit, or lower guard.connections.",
        ),
        Some(most) => Finding::well("limits", about, format!("{most} are allowed here")),
        None => Finding::well("limits", about, "no limit"),
    }
}

/// What says that the clock is set: files that systemd-timesyncd and chrony (by the names that its own documentation,
/// Debian and NixOS give) write whenever they have set it.
const SYNCHRONIZED: [&str; 3] =
    ["/run/systemd/timesync/synchronized", "/var/lib/chrony/drift", "/var/lib/chrony/chrony.drift"];
/// Both write at least every few hours; anything older was left by one that no longer runs, or reaches no server.
const RECENT: Duration = Duration::from_hours(24);

/// This machine's clock beside another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compared {
    /// Whose clock that is.
    with: String,
    /// By how many seconds this one is ahead of it.
    ahead: i64,
}

/// An offset from which on one-time codes fail, which hold for 30 seconds (RFC 6238 §5.2). An answer tells the time to a
/// second or two.
const TOO_FAR: u64 = 30;

/// The clock beside that of the first authority that says what time it is.
pub(super) async fn compared_time(certificates: &[AcmeCertificate], clock: &SharedClock) -> Option<Compared> {
    let mut silent = Vec::new();
    for wanted in certificates {
        let AcmeCertificate { authority, authority_root, .. } = wanted;
        // Most servers have many certificates of one authority, which is waited for only once.
        if silent.contains(&(authority, authority_root)) {
            continue;
        }
        if let Some(there) = told_time(wanted).await {
            let ahead = clock.now().unix_seconds() - there.unix_seconds();
            return Some(Compared { with: authority.clone(), ahead });
        }
        silent.push((authority, authority_root));
    }
    None
}

fn clock(places: &[&Path], compared: Option<Compared>, now: Timestamp) -> Finding {
    if let Some(Compared { with, ahead }) = compared.as_ref().filter(|one| one.ahead.unsigned_abs() >= TOO_FAR) {
        let side = if *ahead > 0 { "ahead of" } else { "behind" };
        let found = format!("is {} seconds {side} that of {with}", ahead.unsigned_abs());
        return Finding::ill("clock", "the time", Health::Wrong, found, CLOCK_REMEDY);
    }
    let changed = |path: &&Path| Some((path.display().to_string(), std::fs::metadata(path).ok()?.mtime()));
    let newest = places.iter().filter_map(changed).max_by_key(|(_, at)| *at);
    let newest = newest.map(|(path, at)| (path, Timestamp::from_unix_seconds(at)));
    let found = match newest {
        Some((path, at)) if now.since(at) < RECENT => {
            return Finding::well("clock", "the time", format!("is synchronized (`{path}`)"));
        }
        Some((path, at)) => format!("has not been set since {at} (`{path}`)"),
        None => "nothing here says that it is synchronized".to_owned(),
    };
    let found = match compared {
        Some(Compared { with, .. }) => format!("{found}, but now it agrees with {with}"),
        None => found,
    };
    Finding::ill("clock", "the time", Health::Unknown, found, CLOCK_REMEDY)
}

const CLOCK_REMEDY: &str =
    "Run systemd-timesyncd or chrony: signatures, certificates, one-time codes and retries depend on the time.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::{Clock as _, SystemClock};

    #[test]
    fn limits_are_compared() {
        assert_eq!(files(100, Some(1_024)).health, Health::Well);
        assert_eq!(files(20_000, Some(1_024)).health, Health::Warning);
        assert_eq!(files(20_000, None).health, Health::Well);
    }

    #[test]
    fn a_database_that_refuses_tables_is_to_be_made_writable() {
        let read_only = "the tables cannot be brought up to date: the server is running with --read-only";
        let remedy = database(&DatabaseHealth::Away(read_only.to_owned())).remedy;
        assert!(remedy.as_deref().is_some_and(|remedy| remedy.contains("let this server write to it")), "{remedy:?}");
    }

    #[test]
    fn a_clock_is_kept_by_who_has_set_it_lately() {
        let directory = tempfile::tempdir().unwrap();
        let (here, missing) = (directory.path().join("chrony.drift"), directory.path().join("drift"));
        let places = [missing.as_path(), here.as_path()];
        let now = SystemClock.now();
        assert_eq!(clock(&places, None, now).health, Health::Unknown);
        std::fs::write(&here, "0.1 0.01").unwrap();
        for (later, wanted) in [(0, Health::Well), (23, Health::Well), (25, Health::Unknown)] {
            assert_eq!(clock(&places, None, now + Duration::from_hours(later)).health, wanted, "{later} hours");
        }
        // Whoever keeps it: what it shows is wrong.
        for (ahead, wanted) in [(-30, Health::Wrong), (-29, Health::Well), (0, Health::Well), (31, Health::Wrong)] {
            let compared = Some(Compared { with: "https://ca.test/".to_owned(), ahead });
            assert_eq!(clock(&places, compared, now).health, wanted, "{ahead} seconds");
        }
    }

    #[tokio::test]
    async fn an_authority_that_does_not_answer_is_asked_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = format!("https://{}/directory", listener.local_addr().unwrap());
        let wanted = AcmeCertificate { authority, ..AcmeCertificate::default() };
        let asked = std::cell::Cell::new(0);
        let closing = async {
            while let Ok(accepted) = listener.accept().await {
                asked.set(asked.get() + 1);
                drop(accepted);
            }
        };
        let here: SharedClock = std::sync::Arc::new(SystemClock);
        let certificates = [wanted.clone(), wanted];
        tokio::select! {
            time = compared_time(&certificates, &here) => assert_eq!(time, None),
            () = closing => {}
        }
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn files_that_others_may_read_are_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        std::fs::write(&path, "x").unwrap();
        let file = Guarded { path: path.clone(), forbidden: 0o007, holds: "a key".to_owned() };
        for (mode, wanted) in [(0o644, Health::Wrong), (0o640, Health::Well)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(guarded(&file).health, wanted, "{mode:o}");
        }
        let above = Guarded { path: directory.path().to_owned(), forbidden: OTHERS, holds: "keys".to_owned() };
        let private = Guarded { forbidden: 0o077, ..above.clone() };
        for (of_directory, of_file, wanted) in
            [(0o755, 0o640, Health::Well), (0o755, 0o644, Health::Wrong), (0o750, 0o644, Health::Well)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(of_file)).unwrap();
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(of_directory)).unwrap();
            assert_eq!(guarded(&above).health, wanted, "{of_directory:o} {of_file:o}");
            assert_eq!(guarded(&private).health, Health::Wrong, "{of_directory:o}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(guarded(&file).health, Health::Unknown);
    }
}
