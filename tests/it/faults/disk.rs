//! A small disk of the test's own, to be filled up.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::variable;

/// A mounted file system; unmounted when dropped.
pub(crate) struct Disk {
    path: PathBuf,
    _directory: TempDir,
}

impl Disk {
    /// Mounts a new one of this many mebibytes: ext4 on a file, or else memory. `None`, with a message, where that is
    /// not permitted.
    /// not permitted.
    pub(crate) fn mount(mib: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let (path, image) = (directory.path().join("disk"), directory.path().join("image"));
        fs::create_dir(&path).unwrap();
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let (target, image) = (path.to_str().unwrap(), image.to_str().unwrap());
        let ext4 = run("mkfs.ext4", &["-q", "-m", "0", image]) && run("mount", &["-o", "loop", image, target]);
        let size = format!("size={mib}m");
        if ext4 || run("mount", &["-t", "tmpfs", "-o", &size, "none", target]) {
            eprintln!("a disk of {mib} MiB: {}", if ext4 { "ext4" } else { "tmpfs" });
            return Some(Self { path, _directory: directory });
        }
        let required = variable("POSTRIDER_TEST_REQUIRE_ALL").is_some_and(|value| value != "0");
        assert!(
            !required,
            "a file system to fill is required (POSTRIDER_TEST_REQUIRE_ALL), but mounting is not permitted"
        );
        eprintln!("SKIPPED: mounting a file system is not permitted here");
        None
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Leaves not one octet free.
    pub(crate) fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        for size in [1 << 20, 64 << 10, 4096, 1024, 1] {
            loop {
                match file.write(&vec![7; size]) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
            // Room that the system has only promised must be allocated now.
            match file.sync_all() {
                Err(error) if error.kind() != ErrorKind::StorageFull => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// Frees this many octets.
    pub(crate) fn loosen(&self, octets: u64) {
        let file = File::options().write(true).open(self.ballast()).unwrap();
        file.set_len(file.metadata().unwrap().len().saturating_sub(octets)).unwrap();
        file.sync_all().unwrap();
    }

    /// Frees everything.
    pub(crate) fn empty(&self) {
        self.loosen(u64::MAX);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !run("umount", &[self.path.to_str().unwrap()]) {
            run("umount", &["-l", self.path.to_str().unwrap()]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let path = Path::new(program);
    let status =
        Command::new(path).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
