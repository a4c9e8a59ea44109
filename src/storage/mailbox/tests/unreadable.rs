//! Files that cannot be read, beside others that can, and directories in which nothing can be renamed.

use std::os::unix::fs::PermissionsExt as _;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::*;
use crate::foundations::settings::ByteSize;

/// Runs a test on threads subject to permissions, even when run by root.
fn as_anybody<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let run = move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, sets).unwrap();
        // The blocking threads are created by this one, and inherit its permissions.
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    };
    std::thread::spawn(run).join().unwrap();
}

fn permit(file: &Path, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_keeps_no_other_from_its_readers() {
    as_anybody(|| async {
        let store = Store::new().await;
        store.append("INBOX", "first\r\n").await;
        let view = store.view("INBOX").await;
        let put = |name: &str, mode| {
            let file = store.path().join("new").join(name);
            std::fs::write(&file, "foreign\n").unwrap();
            permit(&file, mode);
            file
        };
        // While the folder is in use.
        let bad = put("1700000001.M1P1.h", 0o000);
        put("1700000002.M2P2.h", 0o600);
        drop(view);
        let view = store.view("INBOX").await;
        assert_eq!(uids(&view).len(), 2);
        // When it is loaded, and mail keeps arriving.
        drop(view);
        let store = store.restart().await;
        store.append("INBOX", "last\r\n").await;
        let view = store.view("INBOX").await;
        assert_eq!(uids(&view).len(), 3);
        // Once it can be read it is a message like any other.
        drop(view);
        permit(&bad, 0o600);
        let store = store.restart().await;
        let view = store.view("INBOX").await;
        assert_eq!(uids(&view).len(), 4);
        let last = *uids(&view).last().unwrap();
        assert_eq!(whole(&view, last).await, b"foreign\r\n");
    });
}

/// RFC 9051 §2.3.1.1: otherwise clients that look for new mail at UIDNEXT would find some again and again.
#[test]
fn what_is_no_message_takes_no_uid() {
    as_anybody(|| async {
        let store = Store::new().await;
        store.append("INBOX", "first\r\n").await;
        drop(store.view("INBOX").await);
        let cur = store.path().join("cur");
        std::fs::create_dir(cur.join("1700000001.M1P1.h:2,S")).unwrap();
        std::os::unix::fs::symlink("nowhere", cur.join("1700000002.M2P2.h:2,")).unwrap();
        let other = store.path().join("tmp/other");
        std::fs::write(&other, "foreign\n").unwrap();
        permit(&other, 0o000);
        std::fs::rename(other, cur.join("1700000003.M3P3.h:2,")).unwrap();
        let mut store = store;
        for _ in 0..2 {
            assert_eq!(store.view("INBOX").await.uid_next(), uid(2));
            store = store.restart().await;
        }
        // A message that is found beside them gets the next UID.
        std::fs::write(cur.join("1700000004.M4P4.h:2,"), "foreign\n").unwrap();
        assert_eq!(uids(&store.view("INBOX").await), [1, 2]);
        assert_eq!(store.append("INBOX", "last\r\n").await, 3);
    });
}

#[test]
fn a_folder_that_cannot_be_used_keeps_no_mail_from_the_others() {
    as_anybody(|| async {
        let store = Store::new().await;
        let bad = store.path().join(".Old");
        for directory in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(bad.join(directory)).unwrap();
        }
        std::fs::write(bad.join("cur/1700000001.M1P1.h:2,S"), "foreign\r\n").unwrap();
        permit(&bad, 0o500);
        store.append("INBOX", "first\r\n").await;
        let view = store.view("INBOX").await;
        view.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::SEEN)).await.unwrap();
        assert!(store.user.open(&name("Old"), Access::ReadWrite).await.is_err());
        assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 7, messages: 1 });
        // Once it can be used it is a folder like any other.
        permit(&bad, 0o700);
        assert_eq!(uids(&store.view("Old").await), [1]);
        assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 16, messages: 2 });
    });
}

#[test]
fn what_could_not_be_folded_in_is_tried_again() {
    as_anybody(|| async {
        let store = Store::new().await;
        let gone = store.append("INBOX", "gone\r\n").await;
        store.append("INBOX", "first\r\n").await;
        let kept = store.view("INBOX").await;
        let (new, cur) = (store.path().join("new"), store.path().join("cur"));
        // It may be on its way from `new/` to `cur/`.
        while let Some(file) = files(&store.path()).into_iter().find(|file| file.contains(&format!("U={gone}"))) {
            let _ = std::fs::remove_file(store.path().join(file));
        }
        let mut foreign = 0;
        loop {
            foreign += 1;
            std::fs::write(new.join(format!("170000000{foreign}.M1P1.h")), "foreign\n").unwrap();
            for directory in [&new, &cur] {
                permit(directory, 0o500);
            }
            let refused = store.user.open(&name("INBOX"), Access::ReadWrite).await.is_err();
            for directory in [&new, &cur] {
                permit(directory, 0o700);
            }
            // The watcher of the folder may have been faster.
            if refused {
                break;
            }
            assert!(foreign < 9, "it is never refused");
        }
        assert_eq!(uids(&store.view("INBOX").await).len(), 1 + foreign);
        drop(kept);
    });
}

/// Both are caches. On a full disk the second may be missing, and nobody could see what to remove.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_used_without_an_index_and_a_cache_that_cannot_be_read() {
    let store = Store::new().await;
    store.append("INBOX", "first\r\n").await;
    let root = store.crash().await;
    let path = root.path().join("example.test/ann");
    for name in ["postrider.index", "postrider.cache"] {
        let _ = std::fs::remove_file(path.join(name));
        // Not even root can read or replace it.
        std::fs::create_dir(path.join(name)).unwrap();
    }
    let store = Store::open(root).await;
    let view = store.view("INBOX").await;
    assert_eq!(uids(&view), [1]);
    let mut summaries = view.summaries(vec![uid(1)]);
    assert_eq!(summaries.next().await.unwrap().1.unwrap(), "first\r");
    assert_eq!(store.append("INBOX", "second\r\n").await, 2);
    assert_eq!(store.user.usage().await.unwrap().messages, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_too_large_for_memory_is_read_in_pieces_and_not_summarised() {
    let settings = MailboxSettings { summarized_size: ByteSize::mib(2), ..MailboxSettings::default() };
    let store = Store::open_with(tempfile::tempdir().unwrap(), settings).await;
    drop(store.view("INBOX").await);
    let large = "Subject: large\r\n\r\n".to_owned() + &"line\r\n".repeat(400_000);
    for (n, content) in [(1, "Subject: small\r\n\r\n"), (2, large.as_str()), (3, &large[..1 << 20])] {
        std::fs::write(store.path().join("tmp/x"), content).unwrap();
        std::fs::rename(store.path().join("tmp/x"), store.path().join(format!("cur/{n}.M1P1Q{n}.h:2,S"))).unwrap();
    }
    let view = store.view("INBOX").await;
    let mut by_size: Vec<_> = view.rows(&SequenceSet::all()).map(|(_, row)| (row.size, row.uid)).collect();
    by_size.sort_unstable_by_key(|(size, _)| *size);
    let uids: Vec<Uid> = by_size.iter().map(|(_, uid)| *uid).collect();
    assert_eq!(uids.len(), 3);
    let mut summaries = view.summaries(uids.clone());
    for wanted in ["Subject: small\r", "Subject: large\r"] {
        assert_eq!(summaries.next().await.unwrap().1.unwrap(), wanted);
    }
    let refused = summaries.next().await.unwrap().1.unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    let mut bodies = view.bodies(vec![uids[2]]);
    assert!(matches!(bodies.next().await.unwrap().1, Ok(Content::Large(body)) if body.size() == large.len() as u64));
}
