//! Storage from which nothing can be removed: buckets with Object Lock whose key may not delete, append-only
//! directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::storage::Storage;
use super::whole::{furnished, furnished_at};
use super::world::{backup, command, deliver, done, packs, picture};
use crate::faults::disk::Disk;
use crate::harness::Host;
use crate::harness::cli::printed;

/// Only the newest backup is kept.
const NEWEST: &str = "\n[backup.retention]\ndaily = 0\nweekly = 0\nmonthly = 0\ndays = 0\nfull = 0\n";

fn configure(host: &Host, change: impl FnOnce(String) -> String) {
    let config = host.config();
    fs::write(&config, change(fs::read_to_string(&config).unwrap())).unwrap();
}

/// Three backups, each of which is checked, and the newest is restored.
async fn three_backups(host: &Host, mut between: impl FnMut()) {
    let first = done(host, &["create"]).await;
    assert_eq!((&first["full"], &first["messages"]), (&true.into(), &38.into()));
    between();
    deliver(host, "ann@example.test", ["new@x".to_owned()]).await;
    let second = done(host, &["create"]).await;
    assert_eq!((&second["full"], &second["read"], &second["messages"]), (&false.into(), &1.into(), &39.into()));
    between();
    done(host, &["create", "--full"]).await;
    between();
    let verified = done(host, &["verify"]).await;
    assert_eq!((&verified["snapshots"], &verified["problems"]), (&3.into(), &serde_json::json!([])));
    let target = tempfile::tempdir().unwrap();
    assert_eq!(done(host, &["restore", "--to", target.path().to_str().unwrap()]).await["messages"], 39);
    let restored = Host::start().on(target).await;
    assert_eq!(picture(&restored, "ann@example.test").await, picture(host, "ann@example.test").await);
    restored.stop().await;
}

/// Pruning exits with 77, says what stayed and why, and every listed backup is whole.
async fn prune_is_held(host: &Host, because: &str) {
    let planned = done(host, &["prune", "--dry-run"]).await;
    assert_eq!(planned["removed"].as_array().unwrap().len(), 2);
    let output = command(host, &["prune"]).output().await.unwrap();
    let pruned = printed(&["prune"], &output);
    assert_eq!(output.status.code(), Some(77), "{pruned}");
    assert_eq!(
        (&pruned["removed"], &pruned["freed"], &pruned["written"]),
        (&serde_json::json!([]), &0.into(), &0.into())
    );
    assert_eq!(pruned["kept"].as_array().unwrap().len(), 3);
    let held = pruned["held"].as_array().unwrap();
    for id in planned["removed"].as_array().unwrap() {
        let told = |held: &&serde_json::Value| held.as_str().unwrap().contains(id.as_str().unwrap());
        assert!(held.iter().find(told).unwrap().as_str().unwrap().contains(because), "{held:?}");
    }
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("should have been removed are still there") && said.contains("backup.append_only"), "{said}");
    let verified = done(host, &["verify"]).await;
    assert_eq!((&verified["snapshots"], &verified["problems"]), (&3.into(), &serde_json::json!([])));
}

/// With `backup.append_only` nothing is tried.
async fn prune_is_forbidden(host: &Host) {
    configure(host, |text| text.replace("[backup]\n", "[backup]\nappend_only = true\n"));
    let (said, code) = backup(host, &["prune"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said["error"].as_str().unwrap().contains("append_only"), "{said}");
    configure(host, |text| text.replace("append_only = true\n", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_bucket_takes_backups_and_keeps_them() {
    let Some(storage) = Storage::start(&["other"], false).await else { return };
    storage.lock("mail").await;
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    storage.settings(&host, NEWEST);
    configure(&host, |text| text.replace(&destination.path().display().to_string(), "s3://mail/one"));
    three_backups(&host, || {}).await;
    let keys = storage.keys("mail");
    prune_is_held(&host, "the storage does not allow its removal").await;
    assert_eq!(storage.keys("mail"), keys);
    prune_is_forbidden(&host).await;
    let next = done(&host, &["create"]).await;
    assert_eq!((&next["full"], &next["read"]), (&false.into(), &0.into()));

    // A key that may delete hides locked objects without freeing them: every version stays until its time is over.
    let versions =
        || String::from_utf8(storage.curl(&[&format!("{}/mail?versions", storage.address)]).unwrap()).unwrap();
    let before = versions().matches("<Version>").count();
    storage.curl(&["-X", "DELETE", &format!("{}/mail?policy", storage.address)]).unwrap();
    let pruned = done(&host, &["prune"]).await;
    assert_eq!((pruned["removed"].as_array().unwrap().len(), &pruned["held"]), (3, &serde_json::json!([])));
    assert_eq!(done(&host, &["list"]).await.as_array().unwrap().len(), 1);
    assert!(before > 0 && versions().matches("<Version>").count() >= before);
    done(&host, &["verify"]).await;
    host.stop().await;
}

fn chattr(arguments: &[&str], paths: &[PathBuf]) -> bool {
    let done = Command::new("chattr").args(arguments).args(paths).status();
    paths.is_empty() || done.is_ok_and(|status| status.success())
}

/// The directories and files of a repository, except unfinished ones.
fn parts(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let below = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let (packs, snapshots) = (root.join("packs"), root.join("snapshots"));
    let all = below(root).chain(below(&packs)).chain(below(&snapshots)).chain(self::packs(root));
    let all = all.filter(|path| !path.ends_with("unfinished"));
    let (mut directories, files): (Vec<_>, Vec<_>) = all.partition(|path| path.is_dir());
    directories.push(root.to_owned());
    (directories, files)
}

/// From now on names can only be added to directories, and files cannot be changed; not even by root.
fn harden(root: &Path) -> bool {
    let (directories, files) = parts(root);
    chattr(&["+a"], &directories) && chattr(&["+i"], &files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_only_grows_takes_backups_and_keeps_them() {
    let Some(disk) = Disk::mount(64) else { return };
    let root = disk.path("backups");
    let host = furnished_at(&root).await;
    configure(&host, |text| text + NEWEST);
    fs::create_dir(disk.path("probe")).unwrap();
    if !chattr(&["+a"], &[disk.path("probe")]) {
        eprintln!("SKIPPED: directories cannot be made append-only here");
        return;
    }
    three_backups(&host, || assert!(harden(&root))).await;
    let before = packs(&root);
    assert!(fs::remove_file(&before[0]).is_err() && fs::write(&before[0], "x").is_err(), "the place lets go");
    prune_is_held(&host, "Operation not permitted").await;
    assert_eq!(packs(&root), before);
    assert_eq!(fs::read_dir(root.join("unfinished")).unwrap().count(), 0);
    prune_is_forbidden(&host).await;
    let next = done(&host, &["create"]).await;
    assert_eq!((&next["full"], &next["read"]), (&false.into(), &0.into()));

    // One of them is unlocked: it goes, and what the others need stays.
    let (directories, files) = parts(&root);
    let oldest = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "snapshot")).min().unwrap();
    assert!(chattr(&["-a"], &[root.join("snapshots")]) && chattr(&["-i"], std::slice::from_ref(oldest)));
    let (pruned, code) = backup(&host, &["prune"]).await;
    assert_eq!((code, pruned["removed"].as_array().unwrap().len()), (77, 1), "{pruned}");
    assert_eq!(done(&host, &["verify"]).await["snapshots"], 3);
    assert!(chattr(&["-a"], &directories) && chattr(&["-i"], &parts(&root).1));
    assert_eq!(done(&host, &["prune"]).await["removed"].as_array().unwrap().len(), 2);
    assert_eq!(done(&host, &["verify"]).await["snapshots"], 1);
    host.stop().await;
}
