//! Taking mail over from Dovecot, and giving it back.

use std::os::unix::fs::MetadataExt as _;

use super::*;

fn write(path: &Path, name: &str, content: &str) {
    std::fs::write(path.join(name), content).unwrap();
}

fn maildir(path: &Path) {
    for directory in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(path.join(directory)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uids_keywords_and_subscriptions_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    maildir(&path);
    maildir(&path.join(".Entw&APw-rfe.v1"));
    write(&path, "cur/1700000001.M1P1.h,S=6,W=8:2,Sa", "a\nbcd\n");
    write(&path, "cur/1700000002.M2P2.h,S=3:2,RFb", "x\r\n");
    write(&path, "new/1700000003.M3P3.h", "new\n");
    // As `doveadm flags add` leaves a message that no mail program has seen.
    write(&path, "new/1700000004.M4P4.h:2,Fa", "new\n");
    write(&path, "dovecot-keywords", "0 $Junk\n1 $Forwarded\n");
    write(
        &path,
        "dovecot-uidlist",
        "3 V1690000000 N40 Gabc\n17 :1700000001.M1P1.h,S=6,W=8:2,\n33 W3 :1700000002.M2P2.h,S=3\n39 :gone\n",
    );
    write(&path, "subscriptions", "Entw&APw-rfe.v1\n");
    let store = Store::open(root).await;
    let view = store.view("INBOX").await;
    assert_eq!((uids(&view), view.uid_validity().get()), (vec![17, 33, 40, 41], 1_690_000_000));
    let rows: Vec<Row> = view.rows(&SequenceSet::all()).map(|(_, row)| row).collect();
    assert_eq!((rows[0].size, rows[1].size, rows[2].size), (8, 3, 5));
    assert_eq!(rows[0].flags, Flags::SEEN);
    assert_eq!(view.keywords().names(rows[0].keywords).map(Keyword::as_str).collect::<Vec<_>>(), ["$Junk"]);
    assert_eq!(rows[1].flags, Flags::ANSWERED | Flags::FLAGGED | Flags::FORWARDED);
    assert_eq!((rows[3].flags, rows[3].keywords), (Flags::FLAGGED, rows[0].keywords));
    assert!(path.join("cur/1700000004.M4P4.h,U=41,S=4,W=5:2,Fa").exists());
    assert_eq!(whole(&view, 17).await, b"a\r\nbcd\r\n");
    let folders = store.user.folders().await.unwrap();
    let names: Vec<(&str, bool)> = folders.iter().map(|folder| (folder.name.as_str(), folder.subscribed)).collect();
    assert_eq!(names, [("Entwürfe/v1", true), ("INBOX", false)]);
    drop(view);
    // Everything is in the names now.
    std::fs::remove_file(store.path().join("dovecot-uidlist")).unwrap();
    let root = store.crash().await;
    let store = Store::open(root).await;
    let view = store.view("INBOX").await;
    assert_eq!((uids(&view), view.uid_validity().get()), (vec![17, 33, 40, 41], 1_690_000_000));
    // And back.
    store.user.write_uidlists().await.unwrap();
    let list = std::fs::read_to_string(store.path().join("dovecot-uidlist")).unwrap();
    assert!(list.starts_with("3 V1690000000 N"), "{list}");
    assert!(list.contains("17 :1700000001.M1P1.h,U=17,S=6,W=8\n"), "{list}");
    // Dovecot knows `$Forwarded` only by its letter.
    let names = files(&store.path());
    assert!(
        names.iter().any(|name| name.starts_with("cur/1700000002.M2P2.h") && name.ends_with(":2,FRb")),
        "{names:?}"
    );
    let view = store.view("INBOX").await;
    let rows: Vec<Row> = view.rows(&SequenceSet::all()).map(|(_, row)| row).collect();
    assert_eq!(rows[1].flags, Flags::ANSWERED | Flags::FLAGGED | Flags::FORWARDED);
    assert_eq!(view.keywords().names(rows[1].keywords).count(), 0);
    assert_eq!(whole(&view, 33).await, b"x\r\n");
    drop(view);
    let store = store.restart().await;
    let rows: Vec<Row> = store.view("INBOX").await.rows(&SequenceSet::all()).map(|(_, row)| row).collect();
    assert_eq!((rows[1].uid, rows[1].flags), (uid(33), Flags::ANSWERED | Flags::FLAGGED | Flags::FORWARDED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_root_writes_belongs_to_the_owner_of_the_mail() {
    let root = tempfile::tempdir().unwrap();
    // Only root may give files away.
    if std::os::unix::fs::chown(root.path(), Some(1001), Some(1001)).is_err() {
        return;
    }
    let store = Store::open(root).await;
    store.append_flagged("INBOX", "1234567", Flags::NONE, &["$Work"]).await;
    store.user.create(&name("Lists/Rust")).await.unwrap();
    {
        let view = store.view("INBOX").await;
        let mut summaries = view.summaries(vec![uid(1)]);
        assert!(summaries.next().await.is_some());
    }
    store.user.write_uidlists().await.unwrap();
    let store = store.restart().await;
    for file in ["dovecot-uidlist", "postrider-uid", "postrider.index", ".Lists.Rust/maildirfolder"] {
        assert!(store.path().join(file).exists(), "{file}");
    }
    let mut waiting = vec![store.root.path().to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (1001, 1001), "{}", path.display());
            waiting.extend(metadata.is_dir().then_some(path));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_lacks_only_its_places_is_taken_over_too() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    std::fs::create_dir_all(&path).unwrap();
    write(&path, "dovecot-uidlist", "3 V1690000000 N40 Gabc\n");
    let store = Store::open(root).await;
    assert_eq!(store.append("INBOX", "first").await, 40);
    assert_eq!(store.view("INBOX").await.uid_validity().get(), 1_690_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_from_before_the_takeover_is_not_believed_a_second_time() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    maildir(&path);
    write(&path, "cur/1700000001.M1P1.h:2,S", "x\r\n");
    write(&path, "dovecot-uidlist", "3 V1690000000 N18 Gabc\n17 :1700000001.M1P1.h\n");
    let store = Store::open(root).await;
    for expected in 18..=20 {
        assert_eq!(store.append("INBOX", "x\r\n").await, expected);
    }
    // The highest UID is known only from our own file.
    store.view("INBOX").await.remove(&[uid(20)]).await.unwrap();
    let root = store.crash().await;
    write(&path, "postrider-uid", "damaged");
    let store = Store::open(root).await;
    let validity = store.view("INBOX").await.uid_validity().get();
    assert!(validity > 1_690_000_000, "the next message would have been another one to clients: {validity}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uids_that_dovecot_has_given_out_since_are_kept_too() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    maildir(&path);
    write(&path, "cur/1700000001.M1P1.h:2,S", "x\r\n");
    write(&path, "dovecot-uidlist", "3 V1690000000 N40 Gabc\n17 :1700000001.M1P1.h\n");
    let store = Store::open(root).await;
    assert_eq!(store.append("INBOX", "x\r\n").await, 40);
    store.user.write_uidlists().await.unwrap();
    store.mailboxes.close().await;
    let root = store.crash().await;
    // As Dovecot does it: lines are appended, and the first one stays.
    let list = std::fs::read_to_string(path.join("dovecot-uidlist")).unwrap();
    assert!(list.starts_with("3 V1690000000 N41\n"), "{list}");
    write(&path, "dovecot-uidlist", &format!("{list}41 :1700000009.M9P9.h\n42 :gone\n"));
    write(&path, "new/1700000009.M9P9.h", "x\r\n");
    let store = Store::open(root).await;
    let view = store.view("INBOX").await;
    assert_eq!((uids(&view), view.uid_validity().get()), (vec![17, 40, 41], 1_690_000_000));
    assert_eq!(store.append("INBOX", "x\r\n").await, 43);
    // The list stays, and is ignored from now on.
    drop(view);
    let store = store.restart().await;
    let view = store.view("INBOX").await;
    assert_eq!((uids(&view), view.uid_validity().get()), (vec![17, 40, 41, 43], 1_690_000_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quota_of_maildir_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    maildir(&path);
    write(&path, "maildirsize", "10S,3C\n4 1\n4 1\n");
    let store = Store::open(root).await;
    store.append("INBOX", "1234567").await;
    let options = AppendOptions::delivery(None);
    let error = store.user.append(&FolderName::inbox(), &message("1234"), options).await.unwrap_err();
    assert!(matches!(error, Error::OverQuota { used: 7, wanted: 4, quota: 10 }));
    let store = store.restart().await;
    assert_eq!(std::fs::read_to_string(store.path().join("maildirsize")).unwrap(), "10S,3C\n7 1\n");
    // From the end of the index, without reading the folder.
    assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 7, messages: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_makes_room_within_the_quota_of_maildir() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    maildir(&path);
    write(&path, "maildirsize", "10S,1C\n");
    let store = Store::open(root).await;
    store.append("INBOX", "1234567").await;
    for (text, in_place_of, fits) in
        [("123", None, false), ("12345678901", Some(7), false), ("1234567890", Some(7), true)]
    {
        let options = AppendOptions { in_place_of, ..AppendOptions::delivery(None) };
        let stored = store.user.append(&FolderName::inbox(), &message(text), options).await;
        assert_eq!(stored.is_ok(), fits, "{text}: {stored:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mailbox_takes_no_copies_but_moves_and_is_free_without_its_maildirsize() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    maildir(&path);
    write(&path, "maildirsize", "4C\n");
    let store = Store::open(root).await;
    let full = |result: Result<Copied, Error>| matches!(result, Err(Error::OverQuota { .. }));
    for _ in 0..3 {
        store.append("INBOX", "x\r\n").await;
    }
    store.user.folders().await.unwrap();
    let view = store.view("INBOX").await;
    let trash = name("Trash");
    assert!(full(view.copy(&[uid(1), uid(2)], &trash, Missing::Fail, None).await), "one would fit");
    store.append("INBOX", "x\r\n").await;
    assert!(full(view.copy(&[uid(1)], &trash, Missing::Fail, None).await));
    assert_eq!(view.move_to(&[uid(1), uid(2)], &trash, Missing::Fail).await.unwrap().uids.len(), 2);
    store.user.rename(&FolderName::inbox(), &name("Old")).await.unwrap();
    drop(view);
    let store = store.restart().await;
    assert_eq!(std::fs::read_to_string(path.join("maildirsize")).unwrap(), "4C\n12 4\n");
    // The administrator lifts the limit.
    std::fs::remove_file(path.join("maildirsize")).unwrap();
    store.append("INBOX", "x\r\n").await;
    let _store = store.restart().await;
    assert!(!path.join("maildirsize").exists());
}

/// Dovecot's `mailbox_list_utf8` changes the names of directories, and clients then make their folders once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_directories_of_one_folder_the_same_is_shown_in_any_order() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("example.test/ann");
    maildir(&path);
    let names = ["ä", "ö", "ü", "Ä", "Ö", "Ü", "é", "ñ"];
    for (n, folder) in names.into_iter().enumerate() {
        let (encoded, plain) = (name(folder).directory(), format!(".{folder}"));
        // In whatever order they are listed: those made first, or those made last.
        let mut both = [(encoded, "shown\r\n"), (plain, "hidden\r\n")];
        if n % 2 == 0 {
            both.reverse();
        }
        for (directory, text) in both {
            maildir(&path.join(&directory));
            write(&path.join(&directory), "cur/1700000001.M1P1.h:2,S", text);
        }
    }
    let store = Store::open(root).await;
    for folder in names {
        assert_eq!(whole(&store.view(folder).await, 1).await, b"shown\r\n", "{folder}");
    }
}

/// If the second one appears while the first is in use. Mail that nobody had seen was removed with its directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_or_renamed_is_the_directory_that_is_shown() {
    let store = Store::new().await;
    let filled = |directory: &str, text: &str| {
        maildir(&store.path().join(directory));
        write(&store.path().join(directory), "cur/1700000001.M1P1.h:2,S", text);
    };
    for folder in ["ä", "ö"] {
        filled(&format!(".{folder}"), "shown\r\n");
        assert_eq!(whole(&store.view(folder).await, 1).await, b"shown\r\n");
        filled(&name(folder).directory(), "not seen\r\n");
    }
    store.user.delete(&name("ä")).await.unwrap();
    store.user.rename(&name("ö"), &name("new")).await.unwrap();
    assert_eq!(whole(&store.view("new").await, 1).await, b"shown\r\n");
    for folder in ["ä", "ö"] {
        assert_eq!(whole(&store.view(folder).await, 1).await, b"not seen\r\n");
    }
}

/// Annotations went to the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn annotations_are_those_of_the_directory_that_is_shown() {
    let store = Store::new().await;
    maildir(&store.path().join(".ä"));
    let view = store.view("ä").await;
    maildir(&store.path().join(name("ä").directory()));
    store.user.folders().await.unwrap();
    let changes = vec![("/private/comment".to_owned(), Some(b"x".to_vec()))];
    store.user.set_metadata(Some(view.folder()), changes).await.unwrap();
    assert!(store.path().join(".ä/postrider-metadata").exists());
    // A folder that left memory was the other one when it came back.
    assert!(store.user.known_path(view.folder()).unwrap().unwrap().ends_with(".ä"));
    drop(view);
    let store = store.restart().await;
    assert_eq!(store.user.metadata(Some(&name("ä"))).await.unwrap().len(), 0, "the usual one from then on");
}
