//! Directories that somebody moves away or replaces while they are in use.

use super::*;

/// Like `cp -r`. Files that disappear during the copy are ignored.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let _ = std::fs::copy(entry.path(), target);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_where_the_path_leads_and_not_where_the_old_directory_is() {
    let store = Store::new().await;
    let away = store.root.path().join("ann-was-here");
    store.append("INBOX", "first\r\n").await;
    // Nothing is moved from `new/` to `cur/` for it while the directory is copied.
    let mut view = store.user.open(&name("INBOX"), Access::ReadOnly).await.unwrap();
    std::fs::rename(store.path(), &away).unwrap();
    copy(&away, &store.path());
    assert_eq!(store.append("INBOX", "second\r\n").await, 2);
    assert_eq!((files(&store.path()).len(), files(&away).len()), (2, 1));
    assert_eq!(view.sync(Expunges::Tell), [Update::Gone]);
    let again = store.view("INBOX").await;
    assert_eq!((uids(&again), again.uid_validity()), (vec![1, 2], view.uid_validity()));
    assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 15, messages: 2 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_removed_is_another_when_it_is_there_again() {
    let store = Store::new().await;
    let (path, away) = (store.path().join(".Work"), store.root.path().join("work-was-here"));
    store.append("Work", "old\r\n").await;
    let mut view = store.user.open(&name("Work"), Access::ReadOnly).await.unwrap();
    std::fs::rename(&path, &away).unwrap();
    assert_eq!(store.append("Work", "new\r\n").await, 1);
    assert_eq!((files(&path).len(), files(&away).len()), (1, 1));
    assert_eq!(view.sync(Expunges::Tell), [Update::Gone]);
    assert!(store.view("Work").await.uid_validity() > view.uid_validity());
    assert_eq!(store.user.usage().await.unwrap().messages, 1);

    // The copy that was moved away comes back, and sessions that have the folder open notice at the first operation.
    let mut view = store.view("Work").await;
    std::fs::rename(&path, store.root.path().join("work-was-made")).unwrap();
    std::fs::rename(&away, &path).unwrap();
    let flagged = view.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::SEEN)).await;
    assert!(matches!(flagged, Err(Error::NoFolder(_))));
    assert_eq!(view.sync(Expunges::Tell), [Update::Gone]);
    assert_eq!(whole(&store.view("Work").await, 1).await, b"old\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_directory_is_gone_is_a_new_one() {
    let store = Store::new().await;
    store.append("INBOX", "old\r\n").await;
    store.append("Work", "old\r\n").await;
    let before = store.view("INBOX").await.uid_validity();
    let known = store.user.folders().await.unwrap().len();
    std::fs::rename(store.path(), store.root.path().join("ann-was-here")).unwrap();
    assert_eq!(store.append("INBOX", "new\r\n").await, 1);
    assert_eq!(files(&store.path()).len(), 1);
    assert!(store.view("INBOX").await.uid_validity() > before);
    assert_eq!(store.user.usage().await.unwrap().messages, 1);
    // The default folders are there again, and `Work` is not.
    assert_eq!(store.user.folders().await.unwrap().len(), known - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_removed_counts_no_longer_once_folders_are_listed() {
    for is_in_memory in [true, false] {
        let mut store = Store::new().await;
        store.append("INBOX", "here").await;
        store.append("Work", "there").await;
        if !is_in_memory {
            store = store.restart().await;
        }
        assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 9, messages: 2 });
        std::fs::rename(store.path().join(".Work"), store.root.path().join("work-was-here")).unwrap();
        store.user.folders().await.unwrap();
        assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 4, messages: 1 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_somebody_adds_counts_once_folders_are_listed() {
    let store = Store::new().await;
    store.append("INBOX", "here").await;
    assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 4, messages: 1 });
    let added = store.path().join(".Added");
    for directory in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(added.join(directory)).unwrap();
    }
    std::fs::write(added.join("cur/1700000001.M1P1.h:2,S"), "foreign\r\n").unwrap();
    store.user.folders().await.unwrap();
    assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 13, messages: 2 });
}
