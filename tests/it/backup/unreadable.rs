//! Mail that cannot be read, or only its name.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use postrider::foundations::event::EventKind;
use postrider::storage::journal::Query;

use super::whole::furnished;
use super::world::{backup, command, done, message};
use crate::harness::cli::printed;

#[tokio::test(flavor = "multi_thread")]
async fn folders_whose_names_are_no_text_are_told() {
    use std::os::unix::ffi::OsStrExt as _;
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let home = host.mail_root().join("example.test/ann");
    let folder = home.join(std::ffi::OsStr::from_bytes(b".Caf\xe9"));
    fs::create_dir_all(folder.join("cur")).unwrap();
    fs::write(folder.join("cur/1.M1P1.host:2,S"), message("cafe@x", 1)).unwrap();
    let output = command(&host, &["create"]).output().await.unwrap();
    let created = printed(&["create"], &output);
    let shown = home.join(".Caf\\xe9").display().to_string();
    assert_eq!((output.status.code(), &created["left_out"][0]["path"]), (Some(0), &shown.clone().into()), "{created}");
    assert_eq!(created["left_out"].as_array().unwrap().len(), 1, "{created}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&shown) && said.contains("UTF-8"), "{said}");
    let query = Query { kinds: vec![EventKind::Backup], ..Query::default() };
    let events = host.events(&query).await;
    assert_eq!(events[0].details["left_out"][0]["path"], shown);
    host.stop().await;
}

/// A file that gives an error to whoever reads it, like one on a damaged disk, until it is dropped.
struct BadSector(PathBuf);

impl BadSector {
    /// `None`, with a message, where that is not permitted.
    fn at(path: PathBuf) -> Option<Self> {
        fs::write(&path, message("bad@x", 1)).unwrap();
        let mut mount = Command::new("mount");
        if mount.args(["--bind", "/proc/1/mem"]).arg(&path).status().is_ok_and(|status| status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: mounting a file is not permitted here");
        None
    }
}

impl Drop for BadSector {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// There was no backup of anything, in every run.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_keeps_nothing_else_out() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let whole = done(&host, &["create"]).await;
    // Of somebody whose mailboxes the server does not touch.
    let cur = host.mail_root().join("example.test/carl/cur");
    fs::create_dir_all(&cur).unwrap();
    let path = cur.join("1700000000.M1P1.host:2,S");
    let Some(bad) = BadSector::at(path.clone()) else { return };
    for arguments in [&["create"][..], &["create"], &["create", "--full"]] {
        let (created, code) = backup(&host, arguments).await;
        assert_eq!((code, &created["messages"]), (1, &whole["messages"]), "{created}");
        let left_out = created["left_out"].as_array().unwrap();
        assert!(left_out.len() == 1 && left_out[0]["path"] == path.display().to_string(), "{created}");
    }
    drop(bad);
    let created = done(&host, &["create"]).await;
    assert_eq!(created["messages"].as_u64().unwrap(), whole["messages"].as_u64().unwrap() + 1, "{created}");
    host.stop().await;
}
