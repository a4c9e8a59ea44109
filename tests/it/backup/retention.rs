//! Thinning out.

use std::fs;

use postrider::services::backup::{Run, RunKind, last_runs};

use super::whole::furnished;
use super::world::{backup, command, deliver, done, packs, picture};
use crate::harness::Host;

/// Renames a snapshot as if it had been taken at another moment.
fn backdate(destination: &std::path::Path, from: &str, to: &str) {
    let path = |id: &str| destination.join("snapshots").join(format!("{id}.snapshot"));
    fs::rename(path(from), path(to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_backup_needs_goes_and_the_others_stay_whole() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    // Much data that only the first backup has: its packs are worth rewriting.
    let mut imap = host.imap("ann@example.test").await;
    let noise: String = (0..4000u64).map(|n| format!("{:016x}\r\n", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let large = format!("From: a@b.test\r\nMessage-ID: <large@x>\r\n\r\n{noise}");
    assert!(imap.append("INBOX", "", &large).await.is_ok());
    let first = done(&host, &["create"]).await;
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE * +FLAGS (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    deliver(&host, "ann@example.test", ["second@x".to_owned()]).await;
    let second = done(&host, &["create"]).await;
    let before = picture(&host, "ann@example.test").await;
    // Both are younger than two days.
    let nothing = done(&host, &["prune"]).await;
    assert_eq!((&nothing["removed"], &nothing["freed"]), (&serde_json::json!([]), &0.into()));

    backdate(destination.path(), first["id"].as_str().unwrap(), "20010101T000000Z");
    let rules = "[backup.retention]\ndaily = 1\nweekly = 1\nmonthly = 1\nfull = 0\n";
    let config = host.config();
    fs::write(&config, fs::read_to_string(&config).unwrap() + rules).unwrap();
    let mut people = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
    let output =
        people.arg("--config").arg(host.config()).args(["backup", "prune", "--dry-run"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.lines().skip(1).all(|line| line.starts_with("would be removed\t")), "{said}");
    let planned = done(&host, &["prune", "--dry-run"]).await;
    assert_eq!(planned["removed"], serde_json::json!(["20010101T000000Z"]));
    assert_eq!(done(&host, &["list"]).await.as_array().unwrap().len(), 2);
    let sizes = || packs(destination.path()).iter().map(|pack| fs::metadata(pack).unwrap().len()).sum::<u64>();
    let full = sizes();
    let pruned = done(&host, &["prune"]).await;
    assert_eq!(pruned["removed"], planned["removed"]);
    assert!(pruned["freed"].as_u64().unwrap() > 0 && sizes() < full, "{pruned}");
    done(&host, &["verify"]).await;
    let target = tempfile::tempdir().unwrap();
    done(&host, &["restore", "--to", target.path().to_str().unwrap()]).await;
    let restored = Host::start().on(target).await;
    assert_eq!(picture(&restored, "ann@example.test").await, before);
    restored.stop().await;
    let listed = done(&host, &["list"]).await;
    assert_eq!(listed[0]["id"], second["id"]);
    let next = done(&host, &["create"]).await;
    assert_eq!(next["full"], true, "the only full one went, so this one trusts nobody");
    assert_eq!(next["new_octets"].as_u64().unwrap() / 100_000, 0, "but nothing is stored twice: {next}");

    fs::write(&config, fs::read_to_string(&config).unwrap().replace("[backup]\n", "[backup]\nappend_only = true\n"))
        .unwrap();
    let (said, code) = backup(&host, &["prune"]).await;
    assert_eq!(code, 1);
    assert!(said["error"].as_str().unwrap().contains("append_only"), "{said}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_while_the_clock_was_ahead_is_not_the_newest() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let early = done(&host, &["create"]).await;
    backdate(destination.path(), early["id"].as_str().unwrap(), AHEAD);
    assert_eq!(done(&host, &["prune", "--dry-run"]).await["kept"], serde_json::json!([AHEAD]), "it is all there is");
    let (said, code) = backup(&host, &["prune", "--backup", AHEAD]).await;
    assert_eq!(code, 1, "{said}");
    let full = done(&host, &["create"]).await;
    assert_eq!(full["full"], true, "nobody knows how old the other is");
    deliver(&host, "ann@example.test", ["later@x".to_owned()]).await;
    let last = done(&host, &["create"]).await;
    assert_eq!((&last["full"], &last["read"]), (&false.into(), &1.into()));
    let output = command(&host, &["list"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(AHEAD) && said.contains("prune --backup"), "{said}");

    let target = tempfile::tempdir().unwrap();
    let restored = done(&host, &["restore", "--to", target.path().to_str().unwrap()]).await;
    assert_eq!(restored["backup"], last["id"]);
    let drilled = done(&host, &["drill"]).await;
    assert_eq!(drilled["backup"], last["id"]);
    let rules = "[backup.retention]\ndaily = 1\nweekly = 0\nmonthly = 0\nfull = 0\ndays = 0\n";
    let config = host.config();
    fs::write(&config, fs::read_to_string(&config).unwrap() + rules).unwrap();
    let pruned = done(&host, &["prune"]).await;
    assert_eq!(pruned["kept"], serde_json::json!([last["id"], AHEAD]), "{pruned}");
    let pruned = done(&host, &["prune", "--backup", AHEAD]).await;
    assert_eq!((&pruned["kept"], &pruned["removed"]), (&serde_json::json!([last["id"]]), &serde_json::json!([AHEAD])));
    let (said, code) = backup(&host, &["prune", "--backup", AHEAD]).await;
    assert_eq!(code, 4, "{said}");
    done(&host, &["verify"]).await;
    host.stop().await;
}

/// The remains of an interrupted first backup do not make the pruning timer fail.
#[tokio::test(flavor = "multi_thread")]
async fn prune_has_nothing_to_do_before_the_first_backup() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let place = elsewhere.path().to_str().unwrap();
    done(&host, &["create", "--destination", place]).await;
    for file in fs::read_dir(elsewhere.path().join("snapshots")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let before = packs(elsewhere.path());
    let (answer, code) = backup(&host, &["prune", "--destination", place]).await;
    assert!(code == 4 && answer["error"].as_str().unwrap().contains("postrider backup pull"), "{answer}");
    host.parts().database.execute("DELETE FROM events", &[]).await.unwrap();
    for arguments in [&["prune", "--dry-run", "--destination", place][..], &["prune", "--destination", place]] {
        let pruned = done(&host, arguments).await;
        assert_eq!((&pruned["removed"], &pruned["freed"]), (&serde_json::json!([]), &0.into()), "{pruned}");
    }
    assert_eq!(packs(elsewhere.path()), before);
    let runs = last_runs(&host.parts().database).await.unwrap();
    let pruned = |runs: &[Run]| runs.iter().find(|run| run.what == RunKind::Pruned).unwrap().problem.clone();
    assert_eq!(pruned(&runs), None);
    // A mistyped backup name is the caller's mistake, not a failure of the runs.
    let (_, code) = backup(&host, &["prune", "--backup", AHEAD, "--destination", place]).await;
    assert_eq!(code, 4);
    let runs = last_runs(&host.parts().database).await.unwrap();
    assert_eq!(pruned(&runs), None);
    host.stop().await;
}

/// A backup that nobody can have taken.
const AHEAD: &str = "20990101T000000Z";

#[tokio::test(flavor = "multi_thread")]
async fn packs_whose_list_was_lost_stay() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let made = done(&host, &["create"]).await;
    let (snapshots, aside) = (destination.path().join("snapshots"), destination.path().join("aside"));
    fs::rename(&snapshots, &aside).unwrap();
    fs::create_dir(&snapshots).unwrap();
    let before = packs(destination.path());
    for (arguments, word) in [
        (&["prune"][..], "postrider backup pull"),
        (&["prune", "--damaged"], "postrider backup pull"),
        (&["prune", "--dry-run"], "postrider backup pull"),
        (&["verify"], "postrider backup create"),
    ] {
        let (answer, code) = backup(&host, arguments).await;
        assert!(code == 4 && answer["error"].as_str().unwrap().contains(word), "{arguments:?}: {answer}");
    }
    assert_eq!(done(&host, &["list"]).await, serde_json::json!([]));
    assert_eq!(packs(destination.path()), before);
    fs::remove_dir(&snapshots).unwrap();
    fs::rename(&aside, &snapshots).unwrap();
    assert_eq!(done(&host, &["list"]).await[0]["id"], made["id"]);
    done(&host, &["verify"]).await;
    host.stop().await;
}
