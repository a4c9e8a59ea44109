//! The machine: disks, files, limits, clock.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use super::{Doctor, Finding, Health};

/// A file or directory that not everybody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// Where it is.
    pub path: PathBuf,
    /// The permission bits that it must not have.
    pub forbidden: u32,
    /// What is in it, for people.
    pub holds: &'static str,
}

/// A file system that must not be full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// A directory on it, or one to be made there.
    pub path: PathBuf,
    /// What it is for, for people.
    pub purpose: &'static str,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unread {
    /// What it holds, for people, with its place.
    pub about: String,
    /// Why.
    pub because: String,
}

pub(super) fn check(doctor: &Doctor<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = doctor.volumes.iter().flat_map(volume).collect();
    findings.extend(doctor.guarded.iter().map(guarded));
    findings.extend(doctor.unread.iter().map(|unread| {
        let remedy = "Put the file where the configuration says, or name the one that is there; run this as a user who may read it.";
        Finding::ill("file", &unread.about, Health::Wrong, &unread.because, remedy)
    }));
    findings.push(files(doctor.connections, getrlimit(Resource::Nofile).maximum));
    findings.push(clock());
    findings
}

fn volume(volume: &Volume) -> Vec<Finding> {
    let about = format!("{} ({})", volume.purpose, volume.path.display());
    let there = volume.path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let Ok(found) = rustix::fs::statvfs(there) else {
        let remedy = format!("Let this user look at `{}`.", there.display());
        return vec![Finding::ill("disk", about, Health::Unknown, "cannot be looked at", remedy)];
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
            if mode & forbidden == 0 {
                return Finding::well("permissions", about, format!("mode {mode:04o}"));
            }
            let remedy = format!("chmod {:04o} {}", mode & !forbidden, path.display());
            let found = format!("mode {mode:04o} lets others at it");
            Finding::ill("permissions", about, Health::Wrong, found, remedy)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let remedy = "It is made when the server starts; if it runs, the configuration names another place.";
            Finding::ill("permissions", about, Health::Unknown, "does not exist", remedy)
        }
        Err(error) => {
            let remedy = "Run this as root, or as the user whose file it is.";
            Finding::ill("permissions", about, Health::Unknown, error.to_string(), remedy)
        }
    }
}

/// Every connection is an open file, and work on a message needs a few more.
fn files(connections: u64, most: Option<u64>) -> Finding {
    let about = "open files";
    match most {
        Some(most) if most < connections => Finding::ill(
            "limits",
            about,
            Health::Warning,
            format!("{most} are allowed here, and {connections} connections are"),
            "Raise LimitNOFILE= of the unit, or lower guard.connections.",
        ),
        Some(most) => Finding::well("limits", about, format!("{most} are allowed here")),
        None => Finding::well("limits", about, "no limit"),
    }
}

/// What says that the clock is set: files of systemd-timesyncd and chrony, which exist only then.
const SYNCHRONIZED: [&str; 2] = ["/run/systemd/timesync/synchronized", "/var/lib/chrony/drift"];

fn clock() -> Finding {
    match SYNCHRONIZED.iter().find(|path| Path::new(path).exists()) {
        Some(path) => Finding::well("clock", "the time", format!("is kept (`{path}`)")),
        None => Finding::ill(
            "clock",
            "the time",
            Health::Unknown,
            "nothing here says that it is synchronized",
            "Run systemd-timesyncd or chrony: signatures, certificates and retries depend on the time.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_compared() {
        assert_eq!(files(100, Some(1_024)).health, Health::Well);
        assert_eq!(files(20_000, Some(1_024)).health, Health::Warning);
        assert_eq!(files(20_000, None).health, Health::Well);
    }

    #[test]
    fn files_that_others_may_read_are_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        std::fs::write(&path, "x").unwrap();
        let file = Guarded { path: path.clone(), forbidden: 0o007, holds: "a key" };
        for (mode, wanted) in [(0o644, Health::Wrong), (0o640, Health::Well)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(guarded(&file).health, wanted, "{mode:o}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(guarded(&file).health, Health::Unknown);
    }
}
