//! Backups in S3 storage, served by moto.

use std::fs;

use super::storage::Storage;
use super::whole::furnished;
use super::world::{backup, deliver, done, packs, picture};
use crate::harness::{Host, tools};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_destination_like_any_other() {
    let Some(storage) = Storage::start(&["mail"], true).await else { return };
    let (destination, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let host = furnished(&destination).await;
    let authority = format!("authorities = \"{}\"", storage.directory.path().join("cert.pem").display());
    storage.settings(&host, &authority);
    let config = host.config();
    let text = fs::read_to_string(&config).unwrap();
    let own = format!("[backup]\ndrill_directory = \"{}\"\npack_size = \"1M\"\n", scratch.path().display());
    fs::write(&config, text.replace("[backup]\n", &own)).unwrap();
    let bucket = "s3://mail/one/host";
    let at = |arguments: &[&str]| -> Vec<String> {
        ["--destination", bucket].iter().chain(arguments).map(|word| (*word).to_owned()).collect()
    };
    let run = async |arguments: &[&str]| {
        let arguments = at(arguments);
        done(&host, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let (said, code) = backup(&host, &["--destination", bucket, "list"]).await;
    assert_eq!(code, 4, "there is no backup yet: {said}");
    let first = run(&["create"]).await;
    assert_eq!((&first["full"], &first["messages"]), (&true.into(), &38.into()));
    deliver(&host, "ann@example.test", ["new@x".to_owned()]).await;
    let second = run(&["create"]).await;
    assert_eq!((&second["full"], &second["read"], &second["messages"]), (&false.into(), &1.into(), &39.into()));
    assert_eq!(run(&["list"]).await.as_array().unwrap().len(), 2, "over several pages of the listing");
    let verified = run(&["verify"]).await;
    assert_eq!((&verified["snapshots"], &verified["problems"]), (&2.into(), &serde_json::json!([])));
    assert_eq!(run(&["drill"]).await["differences"], serde_json::json!([]));
    // Another machine that has only the bucket.
    fs::remove_dir_all(storage.cache()).unwrap();
    let target = tempfile::tempdir().unwrap();
    assert_eq!(run(&["restore", "--to", target.path().to_str().unwrap()]).await["messages"], 39);
    let restored = Host::start().on(target).await;
    assert_eq!(picture(&restored, "ann@example.test").await, picture(&host, "ann@example.test").await);
    restored.stop().await;

    let pruned = run(&["prune", "--dry-run"]).await;
    assert_eq!(pruned["removed"], serde_json::json!([]));
    let keys = storage.keys("mail");
    assert!(keys.iter().all(|key| key.starts_with("one/host/")), "{keys:?}");
    // Objects missing from the bucket, or with a flipped bit, are detected.
    let pack =
        keys.iter().filter(|key| key.ends_with(".pack")).max_by_key(|key| storage.get("mail", key).len()).unwrap();
    let whole = storage.get("mail", pack);
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    storage.put("mail", pack, &flipped);
    let (said, code) = backup(&host, &["--destination", bucket, "verify"]).await;
    assert_eq!(code, 6, "{said}");
    assert!(said["problems"].to_string().contains(pack.as_str()), "{said}");
    assert_eq!(backup(&host, &["--destination", bucket, "drill"]).await.1, 6);
    storage.put("mail", pack, &whole[..whole.len() - 1]);
    assert_eq!(backup(&host, &["--destination", bucket, "verify"]).await.1, 6);
    storage.put("mail", pack, &whole);
    run(&["verify"]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_empties_a_bucket_of_what_no_backup_needs() {
    let Some(storage) = Storage::start(&["mail"], false).await else { return };
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    storage.settings(&host, "");
    let config = host.config();
    let retention = "\n[backup.retention]\ndaily = 0\nweekly = 0\nmonthly = 0\ndays = 0\nfull = 0\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + retention).unwrap();
    let run = async |arguments: &[&str]| done(&host, &[&["--destination", "s3://mail"], arguments].concat()).await;
    run(&["create"]).await;
    run(&["create", "--full"]).await;
    let before = storage.keys("mail").len();
    let pruned = run(&["prune"]).await;
    assert_eq!((pruned["removed"].as_array().unwrap().len(), pruned["kept"].as_array().unwrap().len()), (1, 1));
    assert!(storage.keys("mail").len() < before);
    run(&["verify"]).await;
    // Damaged objects are set aside within the bucket.
    let newest = run(&["create"]).await["id"].as_str().unwrap().to_owned();
    let key = format!("snapshots/{newest}.snapshot");
    storage.put("mail", &key, b"nothing that could be read, and long enough for a checksum at its end");
    assert_eq!(run(&["prune", "--damaged"]).await["set_aside"], serde_json::json!([newest]));
    let keys = storage.keys("mail");
    assert!(!keys.contains(&key) && keys.contains(&format!("damaged/{newest}.snapshot")), "{keys:?}");
    run(&["verify"]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_into_a_bucket_and_come_back() {
    let Some(storage) = Storage::start(&["offsite"], false).await else { return };
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    storage.settings(&host, "");
    done(&host, &["create"]).await;
    let remote = "s3://offsite/backups";
    done(&host, &["push", "--remote", remote]).await;
    deliver(&host, "ann@example.test", ["more@x".to_owned()]).await;
    done(&host, &["create"]).await;
    // Data damaged here does not reach the copy, and is reported.
    let known = storage.keys("offsite");
    let new: Vec<_> = packs(destination.path())
        .into_iter()
        .filter(|pack| !known.iter().any(|key| key.ends_with(pack.file_name().unwrap().to_str().unwrap())))
        .collect();
    let content = fs::read(&new[0]).unwrap();
    let mut flipped = content.clone();
    flipped[5] ^= 1;
    fs::write(&new[0], &flipped).unwrap();
    let (said, code) = backup(&host, &["push", "--remote", remote]).await;
    assert_eq!(code, 6, "{said}");
    assert_eq!(storage.keys("offsite").iter().filter(|key| key.ends_with(".snapshot")).count(), 1);
    fs::write(&new[0], &content).unwrap();
    done(&host, &["push", "--remote", remote]).await;
    done(&host, &["--destination", remote, "verify"]).await;

    fs::remove_dir_all(destination.path()).unwrap();
    done(&host, &["pull", "--remote", remote]).await;
    let verified = done(&host, &["verify"]).await;
    assert_eq!(verified["snapshots"], 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_storage_refuses_is_said_and_leaves_nothing() {
    let Some(storage) = Storage::start(&["mail"], false).await else { return };
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    storage.settings(&host, "attempts = 2");
    let (said, code) = backup(&host, &["--destination", "s3://nowhere", "create"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said["error"].as_str().unwrap().contains("there is no such bucket"), "{said}");
    storage.put("mail", "holiday.jpg", b"x");
    let (said, code) = backup(&host, &["--destination", "s3://mail", "create"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said["error"].as_str().unwrap().contains("not a backup repository"), "{said}");
    done(&host, &["--destination", "s3://mail/below", "create"]).await;
    // Nobody answers.
    let config = host.config();
    let text = fs::read_to_string(&config).unwrap();
    let port = tools::free_port();
    fs::write(&config, text.replace(&storage.address, &format!("http://localhost:{port}"))).unwrap();
    let (said, code) = backup(&host, &["--destination", "s3://mail/below", "create"]).await;
    assert_eq!(code, 75, "{said}");
    fs::write(&config, text.replace(&storage.address, "http://storage.example.test")).unwrap();
    let (said, _) = backup(&host, &["--destination", "s3://mail/below", "create"]).await;
    assert!(said["error"].as_str().unwrap().contains("https://"), "{said}");
    fs::write(&config, &text).unwrap();
    done(&host, &["--destination", "s3://mail/below", "verify"]).await;
    host.stop().await;
}
