//! Connections to the storage that end too early, and an overloaded storage.

use std::collections::BTreeMap;
use std::fs;

use super::storage::Storage;
use super::unreliable::{Fate, Seen, Unreliable};
use super::world::{backup, deliver, done, much_noise, settings};
use crate::harness::Host;

const BUCKET: &str = "s3://mail/one";

/// A server whose backups go through an unreliable proxy, in packs of a mebibyte.
async fn furnished(storage: &Storage, attempts: u32) -> (Host, Unreliable, tempfile::TempDir) {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start()
        .user("ann@example.test")
        .settings(&settings(destination.path()))
        .settings("[backup]\npack_size = \"1M\"")
        .await;
    let between = Unreliable::before(&storage.address).await;
    storage.settings_at(&between.address, &host, &format!("attempts = {attempts}"));
    deliver(&host, "ann@example.test", ["first@x".to_owned()]).await;
    (host, between, destination)
}

async fn run(host: &Host, arguments: &[&str]) -> serde_json::Value {
    done(host, &[&["--destination", BUCKET], arguments].concat()).await
}

/// How often each object was put, whatever the result.
fn attempts(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut attempts = BTreeMap::new();
    seen.iter()
        .filter(|seen| seen.method == "PUT")
        .for_each(|seen| *attempts.entry(seen.path.as_str()).or_default() += 1);
    attempts
}

/// The octets of all packs below a prefix.
fn stored(storage: &Storage, prefix: &str) -> usize {
    let keys = storage.keys("mail").into_iter().filter(|key| key.starts_with(prefix) && key.ends_with(".pack"));
    keys.map(|key| storage.get("mail", &key).len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_harms_nothing_and_is_continued() {
    let Some(storage) = Storage::start(&["mail"], false).await else { return };
    let (host, between, _destination) = furnished(&storage, 2).await;
    let first = run(&host, &["create"]).await;
    much_noise(&host);
    let mut arrived: Vec<String> = Vec::new();
    for fate in [Fate::Cut, Fate::CutBeyond, Fate::SlowDown, Fate::Failed] {
        // One more pack passes each time, and then nothing more.
        let mut passed = None::<String>;
        between.treats(move |method, path| match method {
            "PUT" if passed.as_deref().is_none_or(|passed| passed == path) => {
                passed = Some(path.to_owned());
                Fate::Passed
            }
            "PUT" => fate,
            _ => Fate::Passed,
        });
        let (said, code) = backup(&host, &["--destination", BUCKET, "create"]).await;
        assert_eq!(code, 75, "{fate:?}: {said}");
        let error = said["error"].as_str().unwrap();
        assert!(error.contains("tried 2 times") && error.contains("Run it again"), "{error}");
        let seen = between.seen();
        assert!(attempts(&seen).values().all(|attempts| *attempts <= 2), "{seen:?}");
        assert!(seen.iter().any(|seen| seen.method == "PUT" && seen.fate == fate), "{fate:?}: {seen:?}");
        let new: Vec<String> =
            seen.iter().filter(|seen| seen.succeeded && seen.method == "PUT").map(|seen| seen.path.clone()).collect();
        assert_eq!(new.len(), 1, "{seen:?}");
        assert!(!arrived.contains(&new[0]), "{} was sent again", new[0]);
        arrived.extend(new);
        // The earlier backup is undamaged.
        between.treats(|_, _| Fate::Passed);
        let listed = run(&host, &["list"]).await;
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &first["id"]));
        run(&host, &["verify"]).await;
    }
    between.treats(|_, _| Fate::Passed);
    let second = run(&host, &["create"]).await;
    assert_eq!(second["messages"], 201);
    let seen = between.seen();
    assert!(attempts(&seen).keys().all(|path| !arrived.iter().any(|there| there == path)), "{seen:?}");
    let sent: usize = seen.iter().filter(|seen| seen.puts("/packs/")).map(|seen| seen.octets).sum();
    done(&host, &["--destination", "s3://mail/whole", "create"]).await;
    let (whole, pieces) = (stored(&storage, "whole/"), stored(&storage, "one/"));
    // At most the ends of four lists more; a pack that was sent twice would be more than a mebibyte.
    assert!(pieces < whole + (256 << 10), "{pieces} octets, where a single run needs {whole}");
    assert!(sent + (2 << 20) < whole, "the last run sent {sent} of {whole} octets");
    let verified = run(&host, &["verify"]).await;
    assert_eq!((&verified["snapshots"], &verified["problems"]), (&2.into(), &serde_json::json!([])));
    let target = tempfile::tempdir().unwrap();
    assert_eq!(run(&host, &["restore", "--to", target.path().to_str().unwrap()]).await["messages"], 201);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_a_few_times_is_tried_again() {
    let Some(storage) = Storage::start(&["mail"], false).await else { return };
    let (host, between, _destination) = furnished(&storage, 4).await;
    let once = |part: &str| {
        let seen = between.seen();
        let puts: Vec<&Seen> = seen.iter().filter(|seen| seen.puts(part)).collect();
        let whole = puts.iter().filter(|seen| !matches!(seen.fate, Fate::Cut | Fate::CutBeyond));
        assert!(whole.clone().count() > 0, "{puts:?}");
        assert!(whole.clone().all(|seen| seen.has_checksum()), "{puts:?}");
        let mut taken: Vec<&str> = puts.iter().filter(|seen| seen.succeeded).map(|seen| seen.path.as_str()).collect();
        taken.sort_unstable();
        let all = taken.len();
        taken.dedup();
        assert_eq!(taken.len(), all, "something was put twice: {puts:?}");
        puts.iter().filter(|seen| seen.fate != Fate::Passed).count()
    };
    between.treats_next("PUT", "/packs/", &[Fate::Cut, Fate::SlowDown, Fate::Failed]);
    run(&host, &["create"]).await;
    assert_eq!(once("/packs/"), 3);
    // The storage has it, but the client was not told.
    deliver(&host, "ann@example.test", ["second@x".to_owned()]).await;
    between.treats_next("PUT", "/packs/", &[Fate::Unanswered, Fate::Passed, Fate::Unanswered]);
    assert_eq!(run(&host, &["create"]).await["messages"], 2);
    between.treats_next("PUT", "/snapshots/", &[Fate::Unanswered, Fate::CutBeyond]);
    run(&host, &["create"]).await;
    assert_eq!(once("/snapshots/"), 2, "the last attempt found it there");
    assert_eq!(run(&host, &["list"]).await.as_array().unwrap().len(), 3);

    fs::remove_dir_all(storage.cache()).unwrap();
    for part in ["/packs/", "/snapshots/", "/mail"] {
        between.treats_next("GET", part, &[Fate::AnsweredInPart, Fate::SlowDown, Fate::Unanswered]);
        let verified = run(&host, &["verify"]).await;
        assert_eq!(verified["problems"], serde_json::json!([]), "{part}");
        assert_eq!(between.seen().iter().filter(|seen| seen.fate != Fate::Passed).count(), 3, "{part}");
    }
    let target = tempfile::tempdir().unwrap();
    between.treats_next("GET", "/packs/", &[Fate::AnsweredInPart; 3]);
    assert_eq!(run(&host, &["restore", "--to", target.path().to_str().unwrap()]).await["messages"], 2);

    // Data that never arrives whole is not damaged: the message says that it may be available later.
    let config = host.config();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("attempts = 4", "attempts = 1")).unwrap();
    between.treats(|method, path| match (method, path.contains("/packs/")) {
        ("GET", true) => Fate::AnsweredInPart,
        _ => Fate::Passed,
    });
    for is_known in [true, false] {
        if !is_known {
            fs::remove_dir_all(storage.cache()).unwrap();
        }
        let target = tempfile::tempdir().unwrap();
        let to = target.path().join("all");
        for arguments in [&["verify"][..], &["restore", "--to", to.to_str().unwrap()]] {
            let (said, code) = backup(&host, &[&["--destination", BUCKET], arguments].concat()).await;
            assert_eq!(code, 75, "{arguments:?}: {said}");
        }
        assert!(!to.join("mail/example.test/ann").exists(), "an account appeared that lacks what it had");
    }
    between.treats(|_, _| Fate::Passed);
    run(&host, &["verify"]).await;
    host.stop().await;
}
