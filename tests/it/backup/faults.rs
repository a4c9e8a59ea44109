//! What goes wrong, and what is left of it.

use std::fs;
use std::time::Duration;

use postrider::services::backup::{RunKind, last_runs};

use super::whole::furnished;
use super::world::{backup, command, done, much_noise, much_unseen, packs, picture, settings};
use crate::faults::disk::Disk;
use crate::harness::Host;
use crate::harness::cli::printed;

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_noticed_and_what_is_whole_is_restored() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    for pack in packs(destination.path()) {
        let content = fs::read(&pack).unwrap();
        // In the first block, in the middle, in the list and in the footer.
        for at in [10, content.len() / 2, content.len() - 60, content.len() - 3] {
            let mut flipped = content.clone();
            flipped[at] ^= 0x10;
            fs::write(&pack, &flipped).unwrap();
            let (verified, code) = backup(&host, &["verify"]).await;
            assert_eq!(code, 6, "a bit at {at} of {} in {}: {verified}", content.len(), pack.display());
            let told = verified["problems"].to_string();
            assert!(told.contains(pack.to_str().unwrap()), "{told}");
        }
        fs::write(&pack, &content).unwrap();
    }
    done(&host, &["verify"]).await;
    let snapshots = destination.path().join("snapshots");
    let snapshot = fs::read_dir(&snapshots).unwrap().next().unwrap().unwrap().path();
    let content = fs::read(&snapshot).unwrap();
    let mut flipped = content.clone();
    flipped[content.len() / 2] ^= 1;
    fs::write(&snapshot, &flipped).unwrap();
    assert_eq!(backup(&host, &["verify"]).await.1, 6);
    assert_eq!(backup(&host, &["list"]).await.1, 6);
    let target = tempfile::tempdir().unwrap();
    let (_, code) = backup(&host, &["restore", "--to", target.path().to_str().unwrap()]).await;
    assert_eq!(code, 6);
    fs::write(&snapshot, &content).unwrap();

    // A bit in a block costs only that block's content; everything else is restored, and the loss is reported.
    let largest = packs(destination.path()).into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let whole = fs::read(&largest).unwrap();
    let mut partly = 0;
    for eighth in 0..8 {
        let mut flipped = whole.clone();
        flipped[whole.len() * eighth / 8 + 10] ^= 1;
        fs::write(&largest, &flipped).unwrap();
        let target = tempfile::tempdir().unwrap();
        let arguments = ["restore", "--domain", "example.test", "--to", target.path().to_str().unwrap()];
        let (said, code) = backup(&host, &arguments).await;
        let (lost, messages) = (said["lost"].as_u64().unwrap(), said["messages"].as_u64().unwrap());
        assert_eq!(code, if lost > 0 { 6 } else { 0 }, "{said}");
        assert_eq!(said["damage"].as_array().unwrap().is_empty(), lost == 0, "{said}");
        let maildirs = target.path().join("maildirs");
        let arguments = ["export", "--format", "maildir", "--domain", "example.test", "--to"];
        let (exported, ended) = backup(&host, &[&arguments[..], &[maildirs.to_str().unwrap()]].concat()).await;
        for figure in ["messages", "lost", "damage"] {
            assert_eq!((ended, &exported[figure]), (code, &said[figure]), "{exported}");
        }
        partly += u32::from(lost > 0 && messages > 0);
    }
    assert!(partly > 0, "no bit cost some messages and left others");
    fs::write(&largest, &whole).unwrap();

    // Without a pack, its content is missing, and the next backup that reads everything stores it again.
    fs::remove_file(&largest).unwrap();
    assert_eq!(backup(&host, &["verify", "--quick"]).await.1, 6);
    let healed = done(&host, &["create"]).await;
    done(&host, &["verify", healed["id"].as_str().unwrap()]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_leaves_earlier_backups_and_is_continued() {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start()
        .user("ann@example.test")
        .settings(&settings(destination.path()))
        .settings("[backup]\npack_size = \"1M\"")
        .await;
    done(&host, &["create"]).await;
    much_noise(&host);
    let first = packs(destination.path());
    let mut killed = 0;
    for round in 0..30 {
        let before = packs(destination.path());
        let mut child = command(&host, &["create"]).spawn().unwrap();
        // As soon as the run has finished a pack, or has ended.
        while packs(destination.path()).len() <= before.len() + round % 3 && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let _ = child.start_kill();
        child.wait().await.unwrap();
        let listed = done(&host, &["list"]).await;
        if listed.as_array().unwrap().len() == 1 {
            killed += u32::from(packs(destination.path()).len() > before.len());
            done(&host, &["verify"]).await;
            if killed == 2 {
                break;
            }
        } else {
            // It was faster: once more from the beginning.
            let id = listed[1]["id"].as_str().unwrap();
            fs::remove_file(destination.path().join("snapshots").join(format!("{id}.snapshot"))).unwrap();
            packs(destination.path()).iter().filter(|pack| !first.contains(pack)).for_each(|pack| {
                fs::remove_file(pack).unwrap();
            });
        }
    }
    assert!(killed > 0, "no run could be killed in its middle");
    let kept = packs(destination.path()).len();
    let created = done(&host, &["create"]).await;
    assert_eq!(created["messages"], 200);
    assert!(kept > 1);
    done(&host, &["verify"]).await;
    let unfinished = fs::read_dir(destination.path().join("unfinished")).unwrap();
    assert_eq!(unfinished.count(), 0, "what was not finished is gone");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_is_said_and_harms_nothing() {
    let Some(disk) = Disk::mount(8) else { return };
    let destination = disk.path("backups");
    let host = Host::start().user("ann@example.test").settings(&settings(&destination)).await;
    let first = done(&host, &["create"]).await;
    disk.fill();
    super::world::deliver(&host, "ann@example.test", (0..20).map(|n| format!("{n}@x"))).await;
    let output = command(&host, &["create"]).output().await.unwrap();
    let said = printed(&["create"], &output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said["error"].as_str().unwrap().contains("No space left"), "{said}");
    let listed = done(&host, &["list"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], first["id"]);
    done(&host, &["verify"]).await;
    disk.loosen(7 << 20);
    let second = done(&host, &["create"]).await;
    assert_eq!(second["messages"], 20);
    done(&host, &["verify"]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_is_continued() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let id = done(&host, &["create"]).await["id"].as_str().unwrap().to_owned();
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    done(&host, &["restore", "--to", to]).await;
    // The state after a run was cut off in the middle of ann, before bob and the database.
    let mail = target.path().join("mail/example.test");
    fs::rename(mail.join("ann"), mail.join(".restoring-ann")).unwrap();
    fs::write(mail.join(".restoring-ann/postrider-restored-from"), id).unwrap();
    fs::remove_dir_all(mail.join("bob")).unwrap();
    fs::rename(target.path().join("postrider.sqlite"), target.path().join("unfinished.sqlite")).unwrap();
    let mut files: Vec<_> =
        fs::read_dir(mail.join(".restoring-ann/cur")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    fs::remove_file(&files[0]).unwrap();
    let cut = fs::read(&files[1]).unwrap();
    fs::write(&files[1], &cut[..cut.len() / 2]).unwrap();
    done(&host, &["restore", "--to", to]).await;
    assert!(!mail.join(".restoring-ann").exists());
    assert!(!target.path().join("unfinished.sqlite").exists());
    let before = (picture(&host, "ann@example.test").await, picture(&host, "bob@example.test").await);
    let second = Host::start().on(target).await;
    let after = (picture(&second, "ann@example.test").await, picture(&second, "bob@example.test").await);
    assert_eq!(before, after);
    second.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_directories_and_other_writers_are_respected() {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start().user("ann@example.test").settings(&settings(destination.path())).await;
    assert_eq!(backup(&host, &["list"]).await.1, 4, "there is no backup yet");
    done(&host, &["create"]).await;
    let (said, code) = backup(&host, &["verify", "20010101T000000Z"]).await;
    assert_eq!(code, 4, "{said}");
    let runs = last_runs(&host.parts().database).await.unwrap();
    assert!(runs.iter().all(|run| run.what != RunKind::Verified), "{runs:?}");
    // A place without a single backup holds nothing to verify.
    let empty = tempfile::tempdir().unwrap();
    fs::copy(destination.path().join("postrider-backup.json"), empty.path().join("postrider-backup.json")).unwrap();
    ["packs", "snapshots"].into_iter().for_each(|directory| fs::create_dir(empty.path().join(directory)).unwrap());
    let (said, code) = backup(&host, &["--destination", empty.path().to_str().unwrap(), "verify"]).await;
    assert_eq!(code, 4, "{said}");
    // Where nothing can be created, the failure is not that something is missing; the reason is given once, also later.
    let (said, code) = backup(&host, &["--destination", "/proc/backups", "create"]).await;
    assert_eq!(code, 1, "{said}");
    let runs = last_runs(&host.parts().database).await.unwrap();
    let problem = runs.iter().find(|run| run.what == RunKind::Created).and_then(|run| run.problem.clone()).unwrap();
    assert_eq!(problem.matches("(os error 2)").count(), 1, "{problem}");
    let lock = fs::File::open(destination.path().join("writing.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(backup(&host, &["create"]).await.1, 75, "somebody else writes");
    done(&host, &["verify"]).await;
    lock.unlock().unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("holiday.jpg"), "x").unwrap();
    let (said, code) = backup(&host, &["--destination", other.path().to_str().unwrap(), "create"]).await;
    assert_eq!(code, 1, "{said}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    fs::write(destination.path().join("postrider-backup.json"), "{\"format\":2}").unwrap();
    let (said, code) = backup(&host, &["create"]).await;
    assert_eq!(code, 1);
    assert!(said["error"].as_str().unwrap().contains("format 2"), "{said}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_has_gone_is_no_backup() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    // As if its disk were not mounted.
    fs::rename(host.mail_root().join("example.test"), host.directory().join("elsewhere")).unwrap();
    for arguments in [&["create"][..], &["create", "--full"]] {
        let (said, code) = backup(&host, arguments).await;
        assert_eq!(code, 4, "{said}");
        assert!(said["error"].as_str().unwrap().contains("has no messages"), "{said}");
    }
    assert_eq!(done(&host, &["list"]).await.as_array().unwrap().len(), 1);
    assert_eq!(done(&host, &["create", "--empty"]).await["messages"], 0);
    // It is known now.
    done(&host, &["create"]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_is_continued() {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start().user("ann@example.test").settings(&settings(destination.path())).await;
    let folder = much_unseen(&host);
    done(&host, &["create"]).await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let hidden = target.path().join("mail/example.test/.restoring-ann/new");
    let count = || fs::read_dir(&hidden).map_or(0, Iterator::count);
    let mut child = command(&host, &["restore", "--to", to]).spawn().unwrap();
    // In the middle of it, unless it is faster than this loop; then there is just nothing left to do.
    while count() == 0 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _ = child.start_kill();
    child.wait().await.unwrap();
    done(&host, &["restore", "--to", to]).await;
    let there = target.path().join("mail/example.test/ann/new");
    let mut names: Vec<_> = fs::read_dir(there).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 3000);
    for path in names {
        let name = path.file_name().unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(folder.join("new").join(name)).unwrap());
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn untouched_folders_are_known_by_their_times_and_a_lost_pack_makes_them_read_again() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    // The first run may have listed folders that had just changed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    done(&host, &["create"]).await;
    let again = done(&host, &["create"]).await;
    assert_eq!((&again["read"], &again["messages"]), (&0.into(), &38.into()));
    // Another program stores a message there without notice.
    let folder = host.mail_root().join("example.test/ann/cur");
    fs::write(folder.join("9.foreign.host:2,S"), "Subject: x\n\ny\n").unwrap();
    let more = done(&host, &["create"]).await;
    assert_eq!((&more["read"], &more["messages"]), (&1.into(), &39.into()));
    let largest = packs(destination.path()).into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    fs::remove_file(largest).unwrap();
    let healed = done(&host, &["create"]).await;
    assert!(healed["read"].as_u64().unwrap() > 0, "{healed}");
    done(&host, &["verify", healed["id"].as_str().unwrap()]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unplugged_target_is_not_begun_anew_on_the_disk_below() {
    let Some(disk) = Disk::mount(8) else { return };
    let destination = disk.path("backups");
    let host = Host::start().user("ann@example.test").settings(&settings(&destination)).await;
    done(&host, &["create"]).await;
    drop(disk);
    let (said, code) = backup(&host, &["create"]).await;
    assert_eq!(code, 4, "{said}");
    assert!(said["error"].as_str().unwrap().contains("is the disk mounted?"), "{said}");
    assert!(!destination.exists());
    let elsewhere = tempfile::tempdir().unwrap();
    let place = elsewhere.path().join("new").display().to_string();
    done(&host, &["--destination", &place, "create"]).await;
    fs::remove_dir_all(&place).unwrap();
    done(&host, &["--destination", &place, "create", "--new"]).await;
    host.stop().await;
}

/// Flips a bit in the middle of a file.
fn spoil(path: &std::path::Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(path, content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_does_not_stand_in_the_way_of_the_others() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let old = done(&host, &["create"]).await["id"].as_str().unwrap().to_owned();
    super::world::deliver(&host, "ann@example.test", ["new@x".to_owned()]).await;
    let new = done(&host, &["create", "--full"]).await["id"].as_str().unwrap().to_owned();
    let file = |id: &str| destination.path().join(format!("snapshots/{id}.snapshot"));
    spoil(&file(&new));

    let (listed, code) = backup(&host, &["list"]).await;
    assert_eq!(code, 6);
    assert_eq!((&listed[0]["id"], &listed[0]["messages"]), (&old.as_str().into(), &38.into()));
    assert_eq!(listed[1]["id"], new);
    assert!(listed[1]["damaged"].as_str().unwrap().contains("checksum"), "{listed}");

    // The drill takes the newest readable one, and says that it is not the newest.
    let (drilled, code) = backup(&host, &["drill"]).await;
    assert_eq!((code, &drilled["backup"]), (6, &old.as_str().into()), "{drilled}");
    assert_eq!((&drilled["users"], &drilled["messages"]), (&2.into(), &38.into()));
    let differences = drilled["differences"].as_array().unwrap();
    assert!(differences.len() == 1 && differences[0].as_str().unwrap().contains(&new), "{drilled}");
    let runs = last_runs(&host.parts().database).await.unwrap();
    let drill = runs.iter().find(|run| run.what == RunKind::Drill).unwrap();
    assert!(drill.problem.as_deref().unwrap().contains("was used instead"), "{drill:?}");
    assert_eq!(drill.differences, Some(1));

    // Nothing is removed without being asked, and the way out is named.
    let (said, code) = backup(&host, &["prune"]).await;
    assert_eq!(code, 6);
    assert!(said["error"].as_str().unwrap().contains("prune --damaged"), "{said}");
    let planned = done(&host, &["prune", "--damaged", "--dry-run"]).await;
    assert_eq!(planned["set_aside"], serde_json::json!([new]));
    assert!(file(&new).exists());
    let pruned = done(&host, &["prune", "--damaged"]).await;
    assert_eq!((&pruned["set_aside"], &pruned["kept"]), (&serde_json::json!([new]), &serde_json::json!([old])));
    let aside = destination.path().join(format!("damaged/{new}.snapshot"));
    assert_eq!(pruned["aside"], serde_json::json!([aside]));
    assert!(aside.exists() && !file(&new).exists());
    for arguments in [&["list"][..], &["verify"], &["drill"], &["prune"]] {
        done(&host, arguments).await;
    }

    // Without a readable one, nothing says what is needed: so nothing is removed.
    spoil(&file(&old));
    let there = packs(destination.path());
    let (said, code) = backup(&host, &["prune", "--damaged"]).await;
    assert_eq!(code, 6, "{said}");
    assert_eq!((packs(destination.path()), file(&old).exists()), (there, true));
    done(&host, &["create"]).await;
    done(&host, &["prune", "--damaged"]).await;
    done(&host, &["verify"]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_is_set_aside_and_what_it_held_given_up() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let id = done(&host, &["create"]).await["id"].as_str().unwrap().to_owned();
    // The pack of lists is the smaller one; its end says what is in it.
    let pack = packs(destination.path()).into_iter().min_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let mut content = fs::read(&pack).unwrap();
    let end = content.len() - 3;
    content[end] ^= 1;
    fs::write(&pack, content).unwrap();
    let (said, code) = backup(&host, &["prune"]).await;
    assert_eq!(code, 6, "{said}");
    let pruned = done(&host, &["prune", "--damaged"]).await;
    let aside = destination.path().join("damaged").join(pack.file_name().unwrap());
    assert_eq!((&pruned["aside"], &pruned["kept"]), (&serde_json::json!([aside]), &serde_json::json!([id])));
    assert!(!pruned["given_up"].as_array().unwrap().is_empty(), "{pruned}");
    let healed = done(&host, &["create"]).await;
    done(&host, &["verify", healed["id"].as_str().unwrap()]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_passes_is_not_to_be_tried_again() {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start().user("ann@example.test").settings(&settings(destination.path())).await;
    done(&host, &["create"]).await;
    // There is no rsync.
    let output = command(&host, &["push", "--remote", "/nowhere/x"]).env("PATH", "/nowhere").output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", printed(&["push"], &output));
    // Nobody answers.
    let (said, code) = backup(&host, &["push", "--remote", "rsync://127.0.0.1:1/backups/x"]).await;
    assert_eq!(code, 75, "{said}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_that_says_what_backups_are_is_not_what_they_hang_on() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let first = done(&host, &["create"]).await;
    let mark = destination.path().join("postrider-backup.json");
    let good = fs::read(&mark).unwrap();
    let lost = || fs::remove_file(&mark).unwrap();
    let torn = || fs::write(&mark, "").unwrap();
    for spoil in [&lost as &dyn Fn(), &torn] {
        spoil();
        let output = command(&host, &["verify"]).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("postrider-backup.json"), "{said}");
        assert_ne!(fs::read(&mark).ok(), Some(good.clone()), "who only reads writes nothing");
        let target = tempfile::tempdir().unwrap();
        let restored = done(&host, &["restore", "--to", target.path().to_str().unwrap()]).await;
        assert_eq!(restored["lost"], 0, "{restored}");
        let next = done(&host, &["create"]).await;
        assert_eq!(next["full"], false, "the others are known: {next}");
        assert_eq!(fs::read(&mark).unwrap(), good);
    }
    assert_eq!(done(&host, &["list"]).await[0]["id"], first["id"]);
    // Without a single backup there is nothing to keep, and the place may hold anything.
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("postrider-backup.json"), "").unwrap();
    let (said, code) = backup(&host, &["--destination", other.path().to_str().unwrap(), "create"]).await;
    assert_eq!(code, 6, "{said}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_written_is_for_somebody_to_change() {
    let Some(disk) = Disk::mount(16) else { return };
    let destination = disk.path("backups");
    let host = Host::start().user("ann@example.test").settings(&settings(&destination)).await;
    done(&host, &["create"]).await;
    let mut mount = std::process::Command::new("mount");
    assert!(mount.args(["-o", "remount,ro"]).arg(disk.path("")).status().unwrap().success());
    let (said, code) = backup(&host, &["create"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said["error"].as_str().unwrap().contains("ead-only"), "{said}");
    done(&host, &["verify"]).await;
    host.stop().await;
}
