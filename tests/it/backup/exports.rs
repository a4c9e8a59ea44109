//! Exporting mail and keys in forms that other programs read, and copies to other places.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::whole::furnished;
use super::world::{backup, command, deliver, done, packs, picture, settings};
use crate::accounts::engines::Fresh;
use crate::harness::{Host, tools};
use postrider::storage::database::{Dialect, Sql};

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_mbox_eml_and_maildir() {
    if tools::find("python3").is_none() {
        return;
    }
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    let target = tempfile::tempdir().unwrap();
    for format in ["mbox", "eml", "maildir"] {
        let to = target.path().join(format);
        let exported = done(&host, &["export", "--format", format, "--to", to.to_str().unwrap()]).await;
        assert_eq!(exported["messages"], 38, "{format}");
    }
    let script = r#"
import email, mailbox, pathlib, sys
root = pathlib.Path(sys.argv[1])
ids = lambda messages: sorted(m["Message-ID"] for m in messages)
box = mailbox.mbox(root / "mbox/example.test/ann/INBOX.mbox", create=False)
maildir = mailbox.Maildir(root / "maildir/example.test/ann", create=False)
eml = [email.message_from_bytes(p.read_bytes()) for p in (root / "eml/example.test/ann/INBOX").iterdir()]
assert len(box) == 29 and ids(box) == ids(maildir) == ids(eml), (len(box), ids(box), ids(maildir), ids(eml))
flagged = [m["Message-ID"] for m in box if "F" in m.get_flags() and "R" in m.get_flags()]
assert sorted(flagged) == ["<a%d@x>" % n for n in range(5)], flagged
assert ids(m for m in maildir if "F" in m.get_flags()) == sorted(flagged)
work = mailbox.mbox(root / "mbox/example.test/ann/Work/2026 v1.0.mbox", create=False)
assert len(work) == 7
body = box[0].get_payload()
assert body.count("says something") == 3, body
"#;
    let output = Command::new("python3").args(["-c", script]).arg(target.path()).output().unwrap();
    tools::assert_success("python3", &output);
    let to = target.path().join("one");
    let one = ["export", "--format", "eml", "--message-id", "a7@x", "--to", to.to_str().unwrap()];
    assert_eq!(done(&host, &one).await["messages"], 2, "in the inbox and in the folder it was copied to");
    let (_, code) = backup(&host, &one).await;
    assert_eq!(code, 5, "the directory is not empty any more");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_of_one_uid_are_two_files_of_eml() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let folder = host.mail_root().join("example.test/ann/.Twice/cur");
    fs::create_dir_all(&folder).unwrap();
    for name in ["1.M1P1.host,U=7:2,S", "2.M2P2.host,U=7:2,S", "3.M3P3.host,U=8:2,S"] {
        fs::write(folder.join(name), format!("Subject: {name}\r\n\r\n")).unwrap();
    }
    done(&host, &["create"]).await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("eml");
    done(&host, &["export", "--format", "eml", "--user", "ann@example.test", "--to", to.to_str().unwrap()]).await;
    let exported = fs::read_dir(to.join("example.test/ann/Twice")).unwrap().map(|file| file.unwrap().path());
    let mut subjects: Vec<String> = exported.map(|path| fs::read_to_string(path).unwrap()).collect();
    subjects.sort();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert!(subjects.iter().zip(1..).all(|(text, n)| text.starts_with(&format!("Subject: {n}."))), "{subjects:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_stack_reads_its_archives() {
    let programs = ["tar", "sha256sum", "gunzip", "mariadb"];
    if !programs.iter().all(|program| tools::find(program).is_some()) {
        return;
    }
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let created = done(&host, &["create"]).await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("seed");
    done(&host, &["export", "--format", "seed", "--to", to.to_str().unwrap()]).await;
    let stamp = created["id"].as_str().unwrap().replace('T', "_").replace('Z', "");
    let checked =
        Command::new("sha256sum").args(["-c", &format!("checksums_{stamp}.sha256")]).current_dir(&to).output();
    tools::assert_success("sha256sum", &checked.unwrap());
    let unpacked = target.path().join("vhosts");
    fs::create_dir(&unpacked).unwrap();
    let archive = to.join(format!("maildirs_{stamp}.tar.gz"));
    let untar = Command::new("tar").arg("-xzf").arg(archive).current_dir(&unpacked).output();
    tools::assert_success("tar", &untar.unwrap());
    let sent = unpacked.join("example.test/ann/.Work.2026 v1\\2e0/cur");
    assert_eq!(fs::read_dir(sent).unwrap().count(), 7);
    let listed = Command::new("tar").arg("-tzf").arg(to.join(format!("configs_{stamp}.tar.gz"))).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("postrider.toml"));

    let Some(fresh) = Fresh::create(Dialect::MySql).await else { return };
    let database = fresh.connect().await;
    let dump = Command::new("gunzip").arg("-c").arg(to.join(format!("mysql_{stamp}.sql.gz"))).output().unwrap();
    for statement in String::from_utf8(dump.stdout).unwrap().split(";\n").filter(|text| text.starts_with("CREATE")) {
        database.execute(Sql::rare(statement.to_owned()), &[]).await.unwrap();
    }
    // The statements that fill the tables, one a line.
    let dump = Command::new("gunzip").arg("-c").arg(to.join(format!("mysql_{stamp}.sql.gz"))).output().unwrap();
    let text = String::from_utf8(dump.stdout).unwrap();
    for statement in text.lines().filter(|line| line.starts_with("INSERT")) {
        database.execute(Sql::rare(statement.trim_end_matches(';').replace('?', "\u{1}")), &[]).await.unwrap();
    }
    let users = database.fetch_all("SELECT email FROM virtual_users ORDER BY email", &[]).await.unwrap();
    let users: Vec<String> = users.iter().map(|row| row.text(0).unwrap()).collect();
    assert_eq!(users, ["ann@example.test", "bob@example.test"]);
    database.close().await;
    fresh.remove().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_elsewhere_is_a_repository_too() {
    if tools::find("rsync").is_none() {
        return;
    }
    let (destination, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    let remote = elsewhere.path().join("far/away");
    let remote = remote.to_str().unwrap();
    done(&host, &["push", "--remote", remote]).await;
    let first = packs(elsewhere.path().join("far/away").as_path());
    assert_eq!(first.len(), packs(destination.path()).len());
    deliver(&host, "ann@example.test", ["more@x".to_owned()]).await;
    done(&host, &["create"]).await;
    done(&host, &["push", "--remote", remote]).await;
    // An interrupted copy is reported, and nothing is overwritten.
    let cut = first.last().unwrap();
    let content = fs::read(cut).unwrap();
    fs::write(cut, &content[..content.len() - 1]).unwrap();
    let (said, code) = backup(&host, &["push", "--remote", remote]).await;
    assert_eq!(code, 6, "{said}");
    assert!(said["error"].as_str().unwrap().contains(cut.to_str().unwrap()), "{said}");
    fs::remove_file(cut).unwrap();
    // Data damaged here is not copied, and neither is the backup that needs it.
    let here = destination.path().join(cut.strip_prefix(remote).unwrap());
    let mut flipped = content.clone();
    flipped[5] ^= 1;
    fs::write(&here, &flipped).unwrap();
    let (said, code) = backup(&host, &["push", "--remote", remote]).await;
    assert_eq!(code, 6, "{said}");
    assert!(!cut.exists());
    fs::write(&here, &content).unwrap();
    done(&host, &["push", "--remote", remote]).await;
    assert_eq!(fs::read(cut).unwrap(), content);
    // Data damaged here later does not reach the copy.
    let pack = &packs(destination.path())[0];
    fs::write(pack, "nothing").unwrap();
    done(&host, &["push", "--remote", remote]).await;
    let verified = done(&host, &["--destination", remote, "verify"]).await;
    assert_eq!(verified["snapshots"], 2);

    // The machine is lost, and its backups come back from the remote copy; damaged data there is reported.
    fs::remove_dir_all(destination.path()).unwrap();
    fs::write(cut, &flipped).unwrap();
    let (said, code) = backup(&host, &["pull", "--remote", remote]).await;
    assert_eq!(code, 6, "{said}");
    fs::write(cut, &content).unwrap();
    fs::remove_file(&here).unwrap();
    done(&host, &["pull", "--remote", remote]).await;
    done(&host, &["verify"]).await;
    let target = tempfile::tempdir().unwrap();
    done(&host, &["restore", "--to", target.path().to_str().unwrap()]).await;
    let restored = Host::start().on(target).await;
    assert_eq!(picture(&restored, "ann@example.test").await, picture(&host, "ann@example.test").await);
    restored.stop().await;
    let (said, code) = backup(&host, &["push", "--remote", "/proc/nowhere/here"]).await;
    assert_eq!(code, 75, "{said}");
    assert!(said["error"].as_str().unwrap().contains("rsync"), "{said}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_names_nothing_that_was_made_meanwhile() {
    let Some(rsync) = tools::find("rsync") else { return };
    let (destination, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let host = furnished(&destination).await;
    done(&host, &["create"]).await;
    deliver(&host, "ann@example.test", ["more@x".to_owned()]).await;
    // Another backup is made once the packs are copied, and before the snapshots are.
    let programs = tempfile::tempdir().unwrap();
    let create = command(&host, &["create"]);
    let words = std::iter::once(create.as_std().get_program()).chain(create.as_std().get_args());
    let create: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let script = format!(
        "#!/bin/sh\n{} \"$@\" || exit\ncase \"$*\" in\n*--exclude=/snapshots/*) {} >&2;;\nesac\n",
        rsync.display(),
        create.join(" ")
    );
    let program = programs.path().join("rsync");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let remote = elsewhere.path().to_str().unwrap();
    let pushed = command(&host, &["push", "--remote", remote]).env("PATH", programs.path()).output().await.unwrap();
    assert!(pushed.status.success(), "{pushed:?}");
    assert_eq!(done(&host, &["list"]).await.as_array().unwrap().len(), 2);
    let verified = done(&host, &["--destination", remote, "verify"]).await;
    assert_eq!(verified["snapshots"], 1, "{verified}");
    host.stop().await;
}

/// Whether a file below a directory has a private key in it.
fn has_a_key(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => has_a_key(&path),
        false => String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("PRIVATE KEY"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_secrets_says_what_must_be_brought() {
    let (destination, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let host = Host::start().user("ann@example.test").settings(&settings(destination.path())).await;
    let restored = async |name: &str| {
        let directory = target.path().join(name);
        let told = done(&host, &["restore", "--to", directory.to_str().unwrap()]).await;
        (told, has_a_key(&directory.join("files")))
    };
    done(&host, &["create"]).await;
    let (told, has_key) = restored("with").await;
    assert!(has_key && told["secrets_left_out"].is_null(), "{told}");

    let created = done(&host, &["create", "--without-secrets"]).await;
    let left_out = &created["secrets_left_out"];
    assert!(!left_out.as_array().unwrap().is_empty(), "{created}");
    let (told, has_key) = restored("without").await;
    assert!(!has_key && told["secrets_left_out"] == *left_out, "{told}");
    assert!(target.path().join("without/files").join(host.config().strip_prefix("/").unwrap()).exists());
    let listed = done(&host, &["list"]).await;
    assert_eq!([&listed[0]["secrets_left_out"], &listed[1]["secrets_left_out"]], [&serde_json::json!([]), left_out]);
    assert_eq!(done(&host, &["verify"]).await["without_secrets"], 1);

    let config = host.config();
    let setting = "[backup]\nwithout_secrets = true\n";
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("[backup]\n", setting)).unwrap();
    assert_eq!(done(&host, &["create"]).await["secrets_left_out"], *left_out);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_encrypted_for_whom_they_are_meant() {
    if !["age", "age-keygen"].iter().all(|program| tools::find(program).is_some()) {
        return;
    }
    let (destination, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = keys.path().join("key");
    let made = Command::new("age-keygen").arg("-o").arg(&identity).output().unwrap();
    tools::assert_success("age-keygen", &made);
    let recipient = Command::new("age-keygen").arg("-y").arg(&identity).output().unwrap();
    let recipient = String::from_utf8(recipient.stdout).unwrap();
    let host = Host::start()
        .user("ann@example.test")
        .settings(&settings(destination.path()))
        .settings(&format!("[backup]\nage_recipients = [\"{}\"]", recipient.trim()))
        .await;
    done(&host, &["create"]).await;
    let second = done(&host, &["create"]).await;
    assert!(second["new_octets"].as_u64().unwrap() < 20_000, "nothing is encrypted again: {second}");
    let target = tempfile::tempdir().unwrap();
    let (closed, opened) = (target.path().join("closed"), target.path().join("opened"));
    done(&host, &["restore", "--to", closed.to_str().unwrap()]).await;
    let below = host.directory().strip_prefix("/").unwrap();
    let sealed = fs::read(closed.join("files").join(below).join("postrider.toml.age")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1"));
    let arguments = ["restore", "--identity", identity.to_str().unwrap(), "--to", opened.to_str().unwrap()];
    done(&host, &arguments).await;
    assert_eq!(
        fs::read(opened.join("files").join(below).join("postrider.toml")).unwrap(),
        fs::read(host.config()).unwrap()
    );
    // A drill needs no key: it makes its own.
    let setting = format!("[backup]\ndrill_directory = \"{}\"\n", target.path().display());
    let config = host.config();
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("[backup]\n", &setting)).unwrap();
    done(&host, &["drill"]).await;
    host.stop().await;
}
