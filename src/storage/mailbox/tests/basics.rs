//! The promises of the store, one after the other.

use parking_lot::Mutex;

use super::super::change::Only;
use super::*;
use crate::foundations::failure::Kind;
use crate::foundations::settings::{ByteSize, Span};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_survive_with_their_uids() {
    let store = Store::new().await;
    assert_eq!(store.append("INBOX", "one\r\n").await, 1);
    assert_eq!(store.append_flagged("INBOX", "two\r\n", Flags::SEEN, &["$Junk"]).await, 2);
    let view = store.view("INBOX").await;
    let validity = view.uid_validity();
    assert_eq!((uids(&view), view.recent(), view.unseen()), (vec![1, 2], 2, 1));
    drop(view);
    let store = Store::open(store.crash().await).await;
    let view = store.view("INBOX").await;
    assert_eq!((uids(&view), view.uid_validity()), (vec![1, 2], validity));
    let row = view.row(view.sequence(uid(2)).unwrap()).unwrap();
    assert_eq!(row.flags, Flags::SEEN);
    assert_eq!(view.keywords().names(row.keywords).map(Keyword::as_str).collect::<Vec<_>>(), ["$Junk"]);
    assert_eq!(whole(&view, 1).await, b"one\r\n");
    assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_for_one_fails_for_all_who_wait() {
    let store = Store::new().await;
    store.append("INBOX", "one\r\n").await;
    let folder = store.user.folder(&FolderName::inbox()).unwrap();
    let directories = folder.directories().unwrap();
    let place = super::super::maildir::filename::Place::New;
    let (waiting, later) = {
        let mut state = folder.lock();
        let waiting = state.touch(place);
        folder.fail_pending(&mut state, &directories);
        (waiting, state.touch(place))
    };
    // The disk works again, which says nothing about the data it lost.
    folder.commit(&directories, later).unwrap();
    folder.commit(&directories, waiting).unwrap_err();
    assert_eq!(store.append("INBOX", "two\r\n").await, 2);
}

/// On one thread, so that nobody else looks into the folder meanwhile.
#[tokio::test]
async fn what_went_is_known_although_the_rest_could_not_go() {
    let store = Store::new().await;
    for _ in 1..=3 {
        store.append("INBOX", "text\r\n").await;
    }
    let folder = store.user.folder(&FolderName::inbox()).unwrap();
    let mut files = std::fs::read_dir(store.path().join("new")).unwrap().map(|entry| entry.unwrap().path());
    let second = files.find(|file| file.to_string_lossy().contains(",U=2,")).unwrap();
    // A directory cannot be removed as a file is.
    std::fs::remove_file(&second).unwrap();
    std::fs::create_dir(&second).unwrap();
    let unfinished = folder.expunge(&[1, 2, 3].map(uid), Only::Named).unwrap_err();
    assert_eq!(unfinished.gone, [uid(1)], "{unfinished}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_told_in_order() {
    let store = Store::new().await;
    for n in 1..=4 {
        store.append("INBOX", &format!("{n}\r\n")).await;
    }
    let (mut a, b) = (store.view("INBOX").await, store.view("INBOX").await);
    assert_eq!((a.recent(), b.recent()), (4, 0));
    b.store_flags(&[uid(2), uid(3)], &change(FlagOperation::Add, Flags::DELETED)).await.unwrap();
    let flags = |n| Update::Flags { sequence: sequence(n), uid: uid(n) };
    a.changed().await;
    assert_eq!(a.sync(Expunges::Hold), [flags(2), flags(3)]);
    assert_eq!(b.expunge(None).await.unwrap(), Vec::<Uid>::new(), "the view has not heard of its own change yet");
    let mut b = b;
    b.sync(Expunges::Tell);
    assert_eq!(b.expunge(None).await.unwrap(), [uid(2), uid(3)]);
    store.append("INBOX", "5\r\n").await;
    assert_eq!(a.sync(Expunges::Hold), [Update::Exists(5), Update::Recent(5)]);
    assert_eq!(uids(&a), [1, 2, 3, 4, 5]);
    assert_eq!(a.sequence(uid(4)), Some(sequence(4)));
    let gone = |n| Update::Expunged { sequence: sequence(n), uid: uid(n) };
    assert_eq!(a.sync(Expunges::Tell), [gone(3), gone(2)]);
    assert_eq!((uids(&a), a.recent()), (vec![1, 4, 5], 3));
    assert_eq!(a.sync(Expunges::Tell), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_marked_messages_go_wherever_they_are() {
    let store = Store::new().await;
    // More than one chunk of the state, so that whole chunks are skipped.
    for n in 1..=1100 {
        std::fs::write(store.path().join(format!("cur/{n}.M1P1Q{n}.h,U={n},S=1,W=1:2,")), b"x").unwrap();
    }
    let mut view = store.view("INBOX").await;
    assert_eq!(view.len(), 1100);
    let marked: Vec<Uid> = [1, 512, 513, 700, 1100].map(uid).to_vec();
    view.store_flags(&marked, &change(FlagOperation::Add, Flags::DELETED)).await.unwrap();
    view.store_flags(&[uid(700)], &change(FlagOperation::Remove, Flags::DELETED)).await.unwrap();
    view.sync(Expunges::Tell);
    let among = SequenceSet::parse(b"2:512,700,*").unwrap();
    assert_eq!(view.expunge(Some(&among)).await.unwrap(), [uid(512), uid(1100)]);
    assert_eq!(view.expunge(None).await.unwrap(), [uid(1), uid(513)]);
    view.sync(Expunges::Tell);
    assert_eq!(view.expunge(None).await.unwrap(), Vec::<Uid>::new());
    assert_eq!((view.len(), view.status().deleted), (1096, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_and_moves() {
    let store = Store::new().await;
    store.user.folders().await.unwrap();
    store.append_flagged("INBOX", "one\r\n", Flags::SEEN, &["x"]).await;
    store.append("INBOX", "two\r\n").await;
    let mut inbox = store.view("INBOX").await;
    let copied = inbox.copy(&[uid(1), uid(2)], &name("Archive"), Missing::Fail, None).await.unwrap();
    assert_eq!(copied.uids, [(uid(1), uid(1)), (uid(2), uid(2))]);
    let moved = inbox.move_to(&[uid(1)], &name("Archive"), Missing::Fail).await.unwrap();
    assert_eq!(moved.uids, [(uid(1), uid(3))]);
    assert!(matches!(inbox.sync(Expunges::Tell)[..], [Update::Expunged { .. }]));
    let archive = store.view("Archive").await;
    let row = archive.row(sequence(3)).unwrap();
    assert_eq!(row.flags, Flags::SEEN);
    assert_eq!(archive.keywords().names(row.keywords).map(Keyword::as_str).collect::<Vec<_>>(), ["x"]);
    assert_eq!(whole(&archive, 2).await, b"two\r\n");
    let error = inbox.copy(&[uid(2)], &name("Nowhere"), Missing::Fail, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let quota = Some(ByteSize::bytes(20));
    let error = inbox.copy(&[uid(2)], &name("Archive"), Missing::Fail, quota).await.unwrap_err();
    assert_eq!(error.kind(), Kind::OverQuota);
    assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 20, messages: 4 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quota_is_exact() {
    let store = Store::new().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    store.mailboxes.tell_usage(move |account, usage| teller.lock().push((account.clone(), usage)));
    let quota = Some(ByteSize::bytes(10));
    let append = async |text| store.user.append(&FolderName::inbox(), &text, AppendOptions::delivery(quota)).await;
    append(message("12345678")).await.unwrap();
    let error = append(message("123")).await.unwrap_err();
    assert!(matches!(error, Error::OverQuota { used: 8, wanted: 3, quota: 10 }));
    append(message("12")).await.unwrap();
    let usages = [(0, 0), (8, 1), (10, 2)].map(|(octets, messages)| (ann(), Usage { octets, messages }));
    assert_eq!(*told.lock(), usages);
    let view = store.view("INBOX").await;
    view.remove(&[uid(1)]).await.unwrap();
    assert_eq!(store.user.usage().await.unwrap(), Usage { octets: 2, messages: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_come_and_go() {
    let store = Store::new().await;
    let names = |entries: &[FolderEntry]| entries.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>();
    let folders = store.user.folders().await.unwrap();
    assert_eq!(names(&folders), ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
    assert!(folders.iter().all(|folder| folder.subscribed && folder.exists));
    assert_eq!(folders[0].special_use, Some(SpecialUse::Archive));
    store.user.create(&name("Work/example.com")).await.unwrap();
    assert!(store.path().join(".Work.example\\2ecom/maildirfolder").exists());
    assert_eq!(store.user.create(&name("Work/example.com")).await.unwrap_err().kind(), Kind::Exists);
    let mut view = store.view("Work/example.com").await;
    let validity = view.uid_validity();
    store.user.rename(&name("Work"), &name("Play")).await.unwrap();
    assert_eq!(view.sync(Expunges::Tell), [Update::Gone]);
    assert_eq!(store.view("Play/example.com").await.uid_validity(), validity);
    store.user.delete(&name("Play/example.com")).await.unwrap();
    store.user.create(&name("Play/example.com")).await.unwrap();
    assert!(store.view("Play/example.com").await.uid_validity() > validity);
    store.append("INBOX", "x").await;
    store.user.rename(&FolderName::inbox(), &name("Old")).await.unwrap();
    assert_eq!((store.view("INBOX").await.len(), store.view("Old").await.len()), (0, 1));
    for (result, kind) in [
        (store.user.delete(&FolderName::inbox()).await.map(drop), Kind::Invalid),
        (store.user.delete(&name("Nope")).await.map(drop), Kind::NotFound),
        (store.user.rename(&name("Old"), &name("Old/Older")).await, Kind::Invalid),
        (store.user.rename(&name("Old"), &name("Sent")).await, Kind::Exists),
    ] {
        assert_eq!(result.unwrap_err().kind(), kind);
    }
    store.user.subscribe(&name("Not/There"), Subscription::On).await.unwrap();
    store.user.subscribe(&name("Sent"), Subscription::Off).await.unwrap();
    let store = store.restart().await;
    let folders = store.user.folders().await.unwrap();
    let find = |text: &str| folders.iter().find(|folder| folder.name.as_str() == text).unwrap();
    assert!(!find("Not/There").exists && !find("Sent").subscribed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_another_session_takes_away_is_missing_and_nothing_worse() {
    let store = Store::new().await;
    let change = FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::SEEN,
        keywords: vec![Keyword::parse("new").unwrap()],
        unchanged_since: None,
    };
    // With and without another folder where it was.
    for (old, new) in [("Renamed", Some("Elsewhere")), ("Deleted", None), ("Again", None)] {
        store.user.create(&name(old)).await.unwrap();
        let uid = uid(store.append(old, "x").await);
        let view = store.view(old).await;
        match new {
            Some(new) => store.user.rename(&name(old), &name(new)).await.unwrap(),
            None => assert_eq!(store.user.delete(&name(old)).await.unwrap(), [uid]),
        }
        if old == "Again" {
            store.user.create(&name(old)).await.unwrap();
            store.append(old, "another").await;
        }
        let target = name("Archive");
        let failures = [
            view.store_flags(&[uid], &change).await.map(|_| ()),
            view.copy(&[uid], &target, Missing::Fail, None).await.map(|_| ()),
            view.move_to(&[uid], &target, Missing::Fail).await.map(|_| ()),
            view.remove(&[uid]).await.map(|_| ()).map_err(Error::from),
            view.body(uid).await.map(|_| ()),
        ];
        for failure in failures {
            assert!(matches!(&failure, Err(Error::NoFolder(gone)) if gone.as_str() == old), "{old}: {failure:?}");
        }
        assert_eq!(store.view("Archive").await.len(), 0);
    }
    assert_eq!(store.view("Again").await.len(), 1);
}

/// On one thread, so that nobody else looks at the news before the index is written.
#[tokio::test]
async fn what_is_found_while_the_index_is_written_is_in_it() {
    let store = Store::new().await;
    let _watched = store.user.open(&name("INBOX"), Access::ReadOnly).await.unwrap();
    let folder = store.user.folder(&name("INBOX")).unwrap();
    store.append("INBOX", "one\r\n").await;
    std::fs::write(store.path().join("tmp/x"), "foreign\n").unwrap();
    std::fs::rename(store.path().join("tmp/x"), store.path().join("new/1700000000.x.host")).unwrap();
    folder.flush().unwrap();
    assert_eq!(folder.current().len(), 2);
    let store = store.restart().await;
    assert_eq!(uids(&store.view("INBOX").await), [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_programs_are_noticed() {
    let store = Store::new().await;
    store.append("INBOX", "one\r\n").await;
    let mut view = store.view("INBOX").await;
    // With a session open: by inotify.
    std::fs::write(store.path().join("tmp/x"), "foreign\n").unwrap();
    std::fs::rename(store.path().join("tmp/x"), store.path().join("new/1700000000.x.host")).unwrap();
    wait(&mut view, |view| view.len() == 2).await;
    assert_eq!(whole(&view, 2).await, b"foreign\r\n");
    assert_eq!(view.row(sequence(2)).unwrap().size, 9);
    let file = files(&store.path()).into_iter().find(|file| file.contains("1700000000.x")).unwrap();
    assert!(file.contains("1700000000.x.host,U=2,S=8,W=9"), "{file}");
    std::fs::rename(store.path().join(&file), store.path().join("cur/1700000000.x.host,U=2,S=8,W=9:2,FS")).unwrap();
    wait(&mut view, |view| view.row(sequence(2)).is_some_and(|row| row.flags == Flags::SEEN | Flags::FLAGGED)).await;
    // The store finds the file under its new name.
    view.store_flags(&[uid(2)], &change(FlagOperation::Remove, Flags::FLAGGED)).await.unwrap();
    std::fs::remove_file(store.path().join("cur/1700000000.x.host,U=2,S=8,W=9:2,S")).unwrap();
    wait(&mut view, |view| view.len() == 1).await;
    drop(view);
    // Without one: by the directory's time. A copied name gets a UID of its own.
    let own = files(&store.path()).remove(0);
    std::fs::copy(store.path().join(&own), store.path().join("cur/copy,U=1,S=5,W=5:2,")).unwrap();
    let view = store.view("INBOX").await;
    assert_eq!(uids(&view), [1, 3]);
}

async fn wait(view: &mut View, done: impl Fn(&View) -> bool) {
    let look = async {
        while !done(view) {
            view.changed().await;
            view.sync(Expunges::Tell);
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), look).await.expect("the change is noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn summaries_are_cached_and_made_anew() {
    let store = Store::new().await;
    for n in 1..=600 {
        store.append("INBOX", &format!("line {n}\r\nmore\r\n")).await;
    }
    let read = async |view: &View| {
        let mut summaries = view.summaries((1..=600).rev().map(uid).collect());
        let mut found = Vec::new();
        while let Some((uid, summary)) = summaries.next().await {
            assert_eq!(summary.unwrap(), format!("line {uid}\r"));
            found.push(uid.get());
        }
        assert!(found.iter().rev().copied().eq(1..=600));
    };
    let view = store.view("INBOX").await;
    read(&view).await;
    drop(view);
    let store = store.restart().await;
    read(&store.view("INBOX").await).await;
    let store = Store::open(store.crash().await).await;
    let cache = store.path().join("postrider.cache");
    let mut content = std::fs::read(&cache).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    content.truncate(middle + middle / 2);
    std::fs::write(&cache, content).unwrap();
    read(&store.view("INBOX").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_are_read_in_pieces() {
    let store = Store::new().await;
    let text = "0123456789abcde\r\n".repeat(100_000);
    store.append("INBOX", &text).await;
    let view = store.view("INBOX").await;
    let (_, content) = view.bodies(vec![uid(1), uid(9)]).next().await.unwrap();
    let Content::Large(mut body) = content.unwrap() else { panic!("small") };
    assert_eq!(body.size(), text.len() as u64);
    assert_eq!(body.read(170, 20).await.unwrap(), &text.as_bytes()[170..190]);
    assert_eq!(body.read(body.size() - 3, 20).await.unwrap(), "e\r\n");
    assert!(matches!(view.body(uid(9)).await.unwrap_err(), Error::NoMessage(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused() {
    let store = Store::new().await;
    let settings = Live::new(MailboxSettings::default());
    let open =
        || Mailboxes::open(store.root.path(), settings.clone(), Arc::new(SystemClock), Tasks::new(), summarizer());
    assert!(matches!(open(), Err(Error::Busy(_))));
    store.mailboxes.close().await;
    assert!(open().is_ok());
    for address in ["\"../x\"@example.test", "\".\"@example.test", "a/b@example.test"] {
        let Ok(address) = address.parse() else { continue };
        assert!(matches!(store.mailboxes.user(&address).await, Err(Error::BadUser(_))), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vanished_messages_are_remembered() {
    let store = Store::new().await;
    for n in 1..=6 {
        store.append("INBOX", &format!("{n}")).await;
    }
    let view = store.view("INBOX").await;
    let before = view.highest_mod_seq();
    view.remove(&[uid(2), uid(3)]).await.unwrap();
    let store = {
        drop(view);
        store.restart().await
    };
    let mut view = store.view("INBOX").await;
    let all = SequenceSet::all();
    assert_eq!(view.vanished(before, &all).to_string(), "2:3");
    let middle = view.highest_mod_seq();
    view.remove(&[uid(6)]).await.unwrap();
    view.sync(Expunges::Tell);
    assert_eq!(view.vanished(middle, &all).to_string(), "6");
    assert_eq!(view.vanished(before, &SequenceSet::range(uid(1), uid(2))).to_string(), "2");
    // What still has a number has not vanished.
    view.remove(&[uid(1), uid(5)]).await.unwrap();
    view.sync(Expunges::Hold);
    assert_eq!(view.vanished(before, &all).to_string(), "2:3,6");
    view.sync(Expunges::Tell);
    assert_eq!(view.vanished(before, &all).to_string(), "1:3,5:6");
    // Without the index nothing is remembered, so everything absent is reported.
    drop(view);
    let root = store.crash().await;
    std::fs::remove_file(root.path().join("example.test/ann/postrider.index")).unwrap();
    let store = Store::open(root).await;
    let view = store.view("INBOX").await;
    assert!(view.highest_mod_seq() > middle);
    let vanished = view.vanished(middle, &SequenceSet::range(uid(1), uid(6)));
    assert_eq!(vanished.to_string(), "1:3,5:6");
    assert!(view.uid_next() > uid(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_jobs_take_long_waits_alone() {
    let settings = MailboxSettings { parallel_jobs: 3, jobs_per_user: 2, ..MailboxSettings::default() };
    let store = Store::open_with(tempfile::tempdir().unwrap(), settings).await;
    let bob = store.mailboxes.user(&"bob@example.test".parse().unwrap()).await.unwrap();
    let (mut ends, mut held) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let user = Arc::clone(&store.user);
        held.push(store.tasks.spawn(async move {
            let never = || ended.blocking_recv().ok();
            user.append_unless(&name("INBOX"), &message("x"), AppendOptions::delivery(None), never).await
        }));
        ends.push(end);
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let (inbox, letter) = (name("INBOX"), message("served"));
    let served = bob.append(&inbox, &letter, AppendOptions::delivery(None));
    tokio::time::timeout(std::time::Duration::from_secs(20), served).await.expect("bob is served").unwrap();
    for end in ends {
        end.send(()).unwrap();
    }
    for one in held {
        assert!(matches!(one.await.unwrap().unwrap(), Unless::Instead(())));
    }
}

/// They waited for the next writing of indexes, however many there were until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_summaries_wait_in_memory() {
    const MESSAGES: u32 = 100;
    let settings = MailboxSettings { index_delay: Span::hours(1), ..MailboxSettings::default() };
    let store = Store::open_with(tempfile::tempdir().unwrap(), settings).await;
    let folder = store.user.folder(&FolderName::inbox()).unwrap();
    let waits_little = || assert!(folder.summaries.memory() < 5 << 20, "{} octets", folder.summaries.memory());
    let line = "x".repeat(100 << 10);
    for _ in 0..MESSAGES {
        store.append("INBOX", &format!("{line}\r\n")).await;
        waits_little();
    }
    folder.summaries.remove(folder.directories().unwrap().root());
    let mut summaries = store.view("INBOX").await.summaries((1..=MESSAGES).map(uid).collect());
    for _ in 0..MESSAGES {
        assert_eq!(summaries.next().await.unwrap().1.unwrap().len(), line.len() + 1);
        waits_little();
    }
}
