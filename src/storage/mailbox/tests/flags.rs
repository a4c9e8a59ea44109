//! Flags and keywords.

use super::super::maildir::filename::Place;
use super::*;
use crate::foundations::failure::Kind;
use crate::foundations::mail::UnchangedSince;

/// They may have been set by another session that is still waiting for the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_are_set_already_are_on_disk_when_that_is_said() {
    let store = Store::new().await;
    store.append("INBOX", "1\r\n").await;
    store.append("INBOX", "2\r\n").await;
    let view = store.view("INBOX").await;
    let seen = change(FlagOperation::Add, Flags::SEEN);
    let stored = view.store_flags(&[uid(2), uid(1)], &seen).await.unwrap();
    assert_eq!(stored.uids(), [uid(1), uid(2)], "ascending");
    let folder = store.user.folder(&FolderName::inbox()).unwrap();
    folder.lock().touch(Place::Cur);
    let stored = view.store_flags(&[uid(2)], &seen).await.unwrap();
    assert!(stored.changed.is_empty());
    assert!(!folder.lock().touched.cur);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_since_is_obeyed() {
    let store = Store::new().await;
    store.append("INBOX", "1\r\n").await;
    store.append("INBOX", "2\r\n").await;
    let mut view = store.view("INBOX").await;
    let before = view.highest_mod_seq();
    let stored = view.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::SEEN)).await.unwrap();
    assert!(stored.changed[0].1 > before);
    let conditional = FlagChange {
        unchanged_since: Some(UnchangedSince::ModSeq(before)),
        ..change(FlagOperation::Replace, Flags::FLAGGED)
    };
    let stored = view.store_flags(&[uid(1), uid(2)], &conditional).await.unwrap();
    assert_eq!((stored.uids(), stored.modified), (vec![uid(2)], vec![uid(1)]));
    view.sync(Expunges::Tell);
    assert_eq!(view.row(sequence(2)).unwrap().flags, Flags::FLAGGED);
}

/// A session that changes flags learns what others have changed in the same messages, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_says_which_messages_others_had_changed_before() {
    let store = Store::new().await;
    store.append("INBOX", "1\r\n").await;
    store.append("INBOX", "2\r\n").await;
    let (mut a, b) = (store.view("INBOX").await, store.view("INBOX").await);
    b.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::FLAGGED)).await.unwrap();
    let stored = a.store_flags(&[uid(2), uid(1)], &change(FlagOperation::Add, Flags::SEEN)).await.unwrap();
    assert_eq!((stored.uids(), stored.overtaken), (vec![uid(1), uid(2)], vec![uid(1)]));
    a.sync(Expunges::Hold);
    let stored = a.store_flags(&[uid(1)], &change(FlagOperation::Remove, Flags::SEEN)).await.unwrap();
    assert_eq!((stored.uids(), stored.overtaken), (vec![uid(1)], vec![]));
}

/// Each batch is visible to others as soon as it is done: they have been told its mod-sequence as the highest when the
/// next one changes messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_gets_a_mod_sequence_that_others_may_have_been_told_already() {
    let store = Store::new().await;
    for n in 1..=600 {
        std::fs::write(store.path().join(format!("cur/{n}.M1P1Q{n}.h,U={n},S=1,W=1:2,")), b"x").unwrap();
    }
    let mut view = store.view("INBOX").await;
    let all: Vec<Uid> = (1..=600).map(uid).collect();
    let mut told = view.highest_mod_seq();
    let stored = view.store_flags(&all, &change(FlagOperation::Add, Flags::SEEN)).await.unwrap();
    assert_eq!(stored.uids(), all);
    for batch in stored.changed.chunks(crate::storage::mailbox::change::BATCH) {
        let mod_seqs = || batch.iter().map(|(_, mod_seq)| *mod_seq);
        assert!(mod_seqs().all(|mod_seq| mod_seq > told), "{told}: {batch:?}");
        told = mod_seqs().max().unwrap();
    }
    view.sync(Expunges::Tell);
    assert_eq!(view.highest_mod_seq(), told);
    let shown: Vec<_> = view.rows(&SequenceSet::all()).map(|(_, row)| (row.uid, row.mod_seq)).collect();
    assert_eq!(shown, stored.changed, "a message with another one was changed by somebody else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keywords_have_an_end() {
    let store = Store::new().await;
    let all: Vec<String> = (0..26).map(|n| format!("k{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    store.append_flagged("INBOX", "x", Flags::NONE, &all).await;
    let keywords = vec![Keyword::parse("one-more").unwrap()];
    let view = store.view("INBOX").await;
    let more = FlagChange { keywords, ..change(FlagOperation::Add, Flags::NONE) };
    assert_eq!(view.store_flags(&[uid(1)], &more).await.unwrap_err().kind(), Kind::TooMany);
    assert!(std::fs::read_to_string(store.path().join("dovecot-keywords")).unwrap().starts_with("0 k0\n1 k1\n"));
}
