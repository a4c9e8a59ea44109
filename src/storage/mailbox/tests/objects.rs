//! What outlives names, index and cache: identifiers, dates, annotations. Also news about changes.

use std::pin::Pin;
use std::time::Duration;

use super::super::folder::TIME_GRAIN;
use super::*;
use crate::foundations::clock::{Clock, Timestamp};
use crate::foundations::failure::Kind;
use crate::foundations::settings::Span;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_keep_their_identifiers() {
    let store = Store::new().await;
    let id = async |store: &Store, folder: &str| store.user.status(&name(folder)).await.unwrap().mailbox_id.unwrap();
    let made = store.user.create(&name("Work")).await.unwrap().unwrap();
    let inbox = id(&store, "INBOX").await;
    assert_ne!(made, inbox);
    assert_eq!((id(&store, "Work").await, store.view("Work").await.mailbox_id()), (made, Some(made)));
    store.user.rename(&name("Work"), &name("Play/Deep")).await.unwrap();
    assert_eq!(id(&store, "Play/Deep").await, made);
    let again = store.user.create(&name("Work")).await.unwrap().unwrap();
    assert_ne!(again, made);
    let root = store.crash().await;
    std::fs::remove_file(root.path().join("example.test/ann/postrider.index")).ok();
    let store = Store::open(root).await;
    let after = (id(&store, "Play/Deep").await, id(&store, "Work").await, id(&store, "INBOX").await);
    assert_eq!(after, (made, again, inbox));
    store.user.delete(&name("Work")).await.unwrap();
    let new = store.user.create(&name("Work")).await.unwrap().unwrap();
    assert!(new != again && new != made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_of_earlier_versions_get_identifiers_that_stay() {
    let store = Store::new().await;
    store.append("INBOX", "x").await;
    let root = store.crash().await;
    let path = root.path().join("example.test/ann").join(UidFile::NAME);
    let file = UidFile::parse(&std::fs::read(&path).unwrap()).unwrap();
    let old = UidFile { id: None, ..file };
    assert!(!old.to_text().contains('I'), "{}", old.to_text());
    std::fs::write(&path, old.to_text()).unwrap();
    let store = Store::open(root).await;
    let first = store.view("INBOX").await.mailbox_id().unwrap();
    let written = UidFile::parse(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((written.id, written.validity), (Some(first), file.validity));
    let store = Store::open(store.crash().await).await;
    assert_eq!(store.view("INBOX").await.mailbox_id(), Some(first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_messages_came_is_in_the_names_of_files() {
    let store = Store::new().await;
    store.append("INBOX", "ours").await;
    let cur = store.path().join("cur");
    std::fs::write(cur.join("1000000000.M1P1.elsewhere:2,S"), "theirs").unwrap();
    std::fs::write(cur.join("no-time-at-all:2,S"), "nobody's").unwrap();
    let store = store.restart().await;
    let view = store.view("INBOX").await;
    assert_eq!(uids(&view).len(), 3);
    let dates = |view: &View| {
        let mut dates = Vec::new();
        for number in uids(view) {
            dates.push(view.saved_at(uid(number)).map(|at| at.unix_seconds()));
        }
        dates.sort_unstable();
        dates
    };
    let found = dates(&view);
    assert_eq!(found[..2], [None, Some(1_000_000_000)]);
    let ours = found[2].unwrap();
    assert!(ours > 1_700_000_000, "{ours}");
    drop(view);
    let root = store.crash().await;
    std::fs::remove_file(root.path().join("example.test/ann/postrider.index")).ok();
    let store = Store::open(root).await;
    assert_eq!(dates(&store.view("INBOX").await), found);
}

/// Programs that move mail do send the year 1, 1601 or 1900 for an unknown date, and file systems do not go back that far.
/// INTERNALDATE, and with it EMAILID, stays what a client was first told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_that_no_file_can_have_do_not_change_when_the_index_is_lost() {
    let store = Store::new().await;
    for date in [-62_135_596_800, -11_644_473_600, -2_208_988_800, -1, 253_402_300_799] {
        let internal_date = Some(Timestamp::from_unix_seconds(date));
        let options = AppendOptions { internal_date, ..AppendOptions::delivery(None) };
        store.user.append(&name("INBOX"), &message("x\r\n"), options).await.unwrap();
    }
    let dates = |view: &View| -> Vec<i64> {
        view.rows(&SequenceSet::all()).map(|(_, row)| row.internal_date.unix_seconds()).collect()
    };
    let told = dates(&store.view("INBOX").await);
    assert_eq!((told.len(), told[3]), (5, -1));
    let root = store.crash().await;
    std::fs::remove_file(root.path().join("example.test/ann/postrider.index")).ok();
    let store = Store::open(root).await;
    assert_eq!(dates(&store.view("INBOX").await), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn annotations_last_and_have_limits() {
    let store = Store::new().await;
    let set = async |store: &Store, of: Option<&str>, entries: &[(&str, Option<&[u8]>)]| {
        let changes = entries.iter().map(|(entry, value)| ((*entry).to_owned(), value.map(<[u8]>::to_vec))).collect();
        store.user.set_metadata(of.map(name).as_ref(), changes).await
    };
    let get = async |store: &Store, of: Option<&str>| store.user.metadata(of.map(name).as_ref()).await.unwrap();
    set(&store, Some("INBOX"), &[("/private/a", Some(b"1\0")), ("/shared/b", Some(b""))]).await.unwrap();
    set(&store, None, &[("/private/a", Some(b"account"))]).await.unwrap();
    let store = Store::open(store.crash().await).await;
    let found = get(&store, Some("INBOX")).await;
    assert_eq!((found.len(), &found["/private/a"][..], &found["/shared/b"][..]), (2, &b"1\0"[..], &b""[..]));
    assert_eq!(get(&store, None).await["/private/a"], b"account");
    assert!(matches!(set(&store, Some("Nowhere"), &[("/private/a", None)]).await, Err(Error::NoFolder(_))));
    // All or nothing.
    let large = vec![0; (64 << 10) + 1];
    let refused = set(&store, Some("INBOX"), &[("/private/c", Some(b"c")), ("/private/d", Some(&large))]).await;
    assert!(matches!(refused, Err(Error::MetadataTooLarge(most)) if most == 64 << 10), "{refused:?}");
    assert_eq!(get(&store, Some("INBOX")).await.len(), 2);
    let names: Vec<String> = (0..101).map(|n| format!("/private/n{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (&name[..], Some(&b"x"[..]))).collect();
    assert!(matches!(set(&store, None, &many).await, Err(Error::TooMuchMetadata)));
    set(&store, None, &many[..99]).await.unwrap();
    assert!(matches!(
        set(&store, None, &many[99..100]).await.and(set(&store, None, &many).await),
        Err(Error::TooMuchMetadata)
    ));
    let big = vec![b'x'; 60 << 10];
    let big: Vec<_> = names[..5].iter().map(|name| (&name[..], Some(&big[..]))).collect();
    assert!(matches!(set(&store, Some("INBOX"), &big).await, Err(Error::TooMuchMetadata)));
    // Removing leaves no file behind.
    set(&store, Some("INBOX"), &[("/private/a", None), ("/shared/b", None)]).await.unwrap();
    assert!(!store.path().join("postrider-metadata").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_is_told_to_those_who_listen() {
    let store = Store::new().await;
    store.append("INBOX", "before").await;
    // The default folders are made.
    store.user.folders().await.unwrap();
    let mut listener = store.user.listen();
    assert!(listener.ready().unwrap().is_none());
    store.append("INBOX", "after").await;
    let news = listener.next().await.unwrap();
    let News::Messages { folder, status, messages: true, flags: false } = &*news else { panic!("{news:?}") };
    assert_eq!((folder.as_str(), status.messages, status.unseen), ("INBOX", 2, 2));
    let view = store.view("INBOX").await;
    view.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::SEEN)).await.unwrap();
    let news = listener.next().await.unwrap();
    assert!(
        matches!(&*news, News::Messages { messages: false, flags: true, status, .. } if status.unseen == 1),
        "{news:?}"
    );
    store.user.create(&name("Work")).await.unwrap();
    assert_eq!(*listener.next().await.unwrap(), News::Created(name("Work")));
    view.move_to(&[uid(1)], &name("Work"), Missing::Fail).await.unwrap();
    let mut counts = std::collections::BTreeMap::new();
    while counts != [("INBOX".to_owned(), 1), ("Work".to_owned(), 1)].into() {
        let news = listener.next().await.unwrap();
        let News::Messages { folder, status, .. } = &*news else { panic!("{news:?}") };
        counts.insert(folder.to_string(), status.messages);
    }
    // A delivery subscribes to the folder that it makes.
    store.append("Lists", "x").await;
    for news in [News::Created(name("Lists")), News::Subscription(name("Lists"))] {
        assert_eq!(*listener.next().await.unwrap(), news);
    }
    assert!(matches!(&*listener.next().await.unwrap(), News::Messages { status, .. } if status.messages == 1));
    // A listener that falls behind is told so once, and continues from there.
    for n in 0..1200 {
        let subscription = if n % 2 == 0 { Subscription::On } else { Subscription::Off };
        store.user.subscribe(&name("Elsewhere"), subscription).await.unwrap();
    }
    assert_eq!(listener.next().await.unwrap_err(), Missed);
    assert_eq!(*listener.next().await.unwrap(), News::Subscription(name("Elsewhere")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_have_whole_messages_of_every_size() {
    let store = Store::new().await;
    let mut texts = Vec::new();
    for n in 0..300_usize {
        let line = format!("message {n}\r\n");
        texts.push(line.repeat(match n % 60 {
            0 => 70_000,
            30 => 100_000,
            n => n + 1,
        }));
    }
    for text in &texts {
        store.append("INBOX", text).await;
    }
    // With bare LFs, as Dovecot writes: read apart from the others.
    let text = "bare\nlines\n";
    std::fs::write(store.path().join("cur/1000000000.M1P1.h,S=11,W=13:2,"), text).unwrap();
    // With a name that claims too much or too little.
    std::fs::write(store.path().join("cur/1000000001.M1P1.h,S=20,W=20:2,"), "short\r\n").unwrap();
    let store = store.restart().await;
    let view = store.view("INBOX").await;
    let mut bodies = view.bodies(uids(&view).into_iter().map(uid).collect());
    let mut found = Vec::new();
    while let Some((_, content)) = bodies.next().await {
        found.push(match content.unwrap() {
            Content::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Content::Large(mut body) => {
                let length = usize::try_from(body.size()).unwrap();
                String::from_utf8(body.read(0, length).await.unwrap().to_vec()).unwrap()
            }
        });
    }
    texts.extend(["bare\r\nlines\r\n".to_owned(), "short\r\n".to_owned()]);
    found.sort();
    texts.sort();
    assert!(found == texts, "{} of {}", found.len(), texts.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_who_move_a_message_one_has_it() {
    let store = Store::new().await;
    for round in 1..=10u64 {
        let mut uids = Vec::new();
        for n in 0..30 {
            uids.extend(Uid::new(store.append("INBOX", &format!("{round} {n}\n")).await));
        }
        let (one, other) = (store.view("INBOX").await, store.view("INBOX").await);
        let (here, there) = (name("One"), name("Other"));
        let (one, other) =
            tokio::join!(one.move_to(&uids, &here, Missing::Create), other.move_to(&uids, &there, Missing::Create));
        assert_eq!(one.unwrap().uids.len() + other.unwrap().uids.len(), 30);
        let mut there = 0;
        for folder in ["One", "Other"] {
            there += u64::from(store.user.status(&name(folder)).await.unwrap().messages);
        }
        assert_eq!((there, store.user.status(&name("INBOX")).await.unwrap().messages), (round * 30, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_several_move_is_not_moved_on_twice() {
    let store = Store::new().await;
    let (one, other, end) = (name("One"), name("Other"), name("End"));
    for folder in [&one, &other, &end] {
        store.user.create(folder).await.unwrap();
    }
    for round in 1..=10u64 {
        let mut uids = Vec::new();
        for n in 0..30 {
            uids.extend(Uid::new(store.append("INBOX", &format!("{round} {n}\n")).await));
        }
        let (left, right) = (store.view("INBOX").await, store.view("INBOX").await);
        let first = left.move_to(&uids, &one, Missing::Fail);
        let second = right.move_to(&uids, &other, Missing::Fail);
        // Files seen there continue at once.
        let third = async {
            for _ in 0..40 {
                for folder in ["One", "Other"] {
                    let view = store.view(folder).await;
                    let seen = super::uids(&view).into_iter().filter_map(Uid::new).collect::<Vec<_>>();
                    view.move_to(&seen, &end, Missing::Fail).await.unwrap();
                }
            }
        };
        let (first, second, ()) = tokio::join!(first, second, third);
        assert_eq!(first.unwrap().uids.len() + second.unwrap().uids.len(), 30);
        let mut there = 0;
        for folder in [&one, &other, &end] {
            there += u64::from(store.user.status(folder).await.unwrap().messages);
        }
        assert_eq!((there, store.user.status(&name("INBOX")).await.unwrap().messages), (round * 30, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_leave_a_folder_is_not_in_the_other_one_either() {
    let store = Store::new().await;
    store.append("INBOX", "one").await;
    store.append("INBOX", "two").await;
    store.user.create(&name("Work")).await.unwrap();
    // Messages are removed only once the UIDs given out are on disk, which is impossible here.
    let in_the_way = store.path().join("postrider-uid.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let view = store.view("INBOX").await;
    view.move_to(&[uid(1), uid(2)], &name("Work"), Missing::Fail).await.unwrap_err();
    assert_eq!(uids(&store.view("INBOX").await), [1, 2]);
    assert_eq!(files(&store.path().join(".Work")).len(), 0);
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(view.move_to(&[uid(1), uid(2)], &name("Work"), Missing::Fail).await.unwrap().uids.len(), 2);
    assert_eq!((uids(&store.view("INBOX").await).len(), files(&store.path().join(".Work")).len()), (0, 2));
}

/// A clock that is a day ahead.
struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Duration::from_secs(86_400)
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SystemClock.sleep_until(at)
    }
}

/// What a client was last told is lost in the crash; it is still told of everything that has happened since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_learn_what_has_changed_though_the_clock_was_ahead() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open_at(root, MailboxSettings::default(), Arc::new(Ahead)).await;
    for text in ["one", "two", "three"] {
        store.append("INBOX", text).await;
    }
    store.mailboxes.close().await;
    let root = store.crash().await;
    // The clock is right again, and the index of what follows is never written.
    let settings = MailboxSettings { index_delay: Span::hours(1), ..MailboxSettings::default() };
    let store = Store::open_with(root, settings).await;
    tokio::time::sleep(TIME_GRAIN).await;
    let mut view = store.view("INBOX").await;
    view.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::FLAGGED)).await.unwrap();
    view.sync(Expunges::Tell);
    let told = view.highest_mod_seq();
    view.remove(&[uid(2)]).await.unwrap();
    view.store_flags(&[uid(3)], &change(FlagOperation::Add, Flags::SEEN)).await.unwrap();
    drop(view);
    let store = Store::open(store.crash().await).await;
    let view = store.view("INBOX").await;
    assert_eq!(view.vanished(told, &SequenceSet::range(uid(1), uid(3))).to_string(), "2");
    assert!(view.rows(&SequenceSet::all()).any(|(_, row)| row.uid == uid(3) && row.mod_seq > told));
}

/// Like the previous test, but the server crashes twice, and writes no index in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_learn_what_has_changed_between_two_crashes_though_the_clock_was_ahead() {
    let store = Store::open_at(tempfile::tempdir().unwrap(), MailboxSettings::default(), Arc::new(Ahead)).await;
    for text in ["one", "two", "three"] {
        store.append("INBOX", text).await;
    }
    store.mailboxes.close().await;
    let root = store.crash().await;
    let never = || MailboxSettings { index_delay: Span::hours(1), ..MailboxSettings::default() };
    let changed = |root: &tempfile::TempDir, seconds| {
        let cur = std::fs::File::open(root.path().join("example.test/ann/cur")).unwrap();
        cur.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    // The index has nothing of what was done before the first crash.
    changed(&root, 1_000);
    let store = Store::open_with(root, never()).await;
    let mut view = store.view("INBOX").await;
    view.sync(Expunges::Tell);
    let told = view.highest_mod_seq();
    view.remove(&[uid(2)]).await.unwrap();
    view.store_flags(&[uid(3)], &change(FlagOperation::Add, Flags::SEEN)).await.unwrap();
    drop(view);
    let root = store.crash().await;
    changed(&root, 2_000);
    let store = Store::open_with(root, never()).await;
    let view = store.view("INBOX").await;
    assert_eq!(view.vanished(told, &SequenceSet::range(uid(1), uid(3))).to_string(), "2");
    assert!(view.rows(&SequenceSet::all()).any(|(_, row)| row.uid == uid(3) && row.mod_seq > told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_that_cannot_be_renamed_leaves_no_folder() {
    let store = Store::new().await;
    store.append("INBOX", "x").await;
    let old = name("Old");
    // The annotations cannot be read.
    let annotations = store.path().join("postrider-metadata");
    std::fs::create_dir(&annotations).unwrap();
    assert!(store.user.rename(&FolderName::inbox(), &old).await.is_err());
    assert!(!store.user.knows(&old) && !store.path().join(".Old").exists());
    assert_eq!(store.view("INBOX").await.len(), 1);
    std::fs::remove_dir(&annotations).unwrap();
    store.user.rename(&FolderName::inbox(), &old).await.unwrap();
    assert_eq!((store.view("INBOX").await.len(), store.view("Old").await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_make_a_folder_one_by_renaming_the_inbox_only_one_does() {
    let store = Store::new().await;
    for round in 0..50 {
        store.append("INBOX", "x").await;
        let folder = name(&format!("Old{round}"));
        let inbox = FolderName::inbox();
        let (renamed, created) = tokio::join!(store.user.rename(&inbox, &folder), store.user.create(&folder));
        let exist = [renamed.err(), created.err()].map(|error| error.map(|error| error.kind()));
        assert!(matches!(exist, [None, Some(Kind::Exists)] | [Some(Kind::Exists), None]), "{round}: {exist:?}");
    }
}
