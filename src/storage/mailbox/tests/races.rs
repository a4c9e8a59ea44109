//! Interference by another session or program between two steps of the store. The steps are taken manually on one
//! thread, so that nothing else runs in between.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::super::commit::Touched;
use super::super::folder::{Folder, Pending};
use super::super::index;
use super::super::maildir::filename::Place;
use super::super::reconcile::Known;
use super::super::snapshot::Record;
use super::*;
use crate::foundations::clock::{Clock, Timestamp, Uptime};
use crate::foundations::mail::ModSeq;

/// A clock that is set by hand, in seconds.
struct Hand(AtomicU64);

impl Hand {
    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn go_on(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::Relaxed).cast_signed())
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

/// A store at some time long before the file system's.
async fn long_ago() -> (Arc<Hand>, Store) {
    let clock = Arc::new(Hand(AtomicU64::new(1_500_000_000)));
    let shared: SharedClock = clock.clone();
    let store = Store::open_at(tempfile::tempdir().unwrap(), MailboxSettings::default(), shared).await;
    (clock, store)
}

/// A message of one octet.
fn small(uid: Uid) -> Record {
    Record {
        uid,
        mod_seq: ModSeq::MIN,
        size: 1,
        virtual_size: 1,
        date: 0,
        keywords: KeywordSet::NONE,
        flags: Flags::NONE,
        place: Place::New,
        regular: true,
    }
}

/// Puts a file into a folder as another program does.
fn put(folder: &Path, name: &str) {
    std::fs::write(folder.join("tmp/x"), "foreign\n").unwrap();
    std::fs::rename(folder.join("tmp/x"), folder.join("new").join(name)).unwrap();
}

/// Says that a directory changed at this time.
fn change_at(directory: &Path, time: SystemTime) {
    std::fs::File::open(directory).unwrap().set_modified(time).unwrap();
}

/// Of two sessions one moves a message, and the other marks it meanwhile.
#[tokio::test]
async fn a_keyword_that_is_set_while_a_message_is_moved_goes_with_it() {
    let store = Store::new().await;
    for folder in ["One", "Two"] {
        store.user.create(&name(folder)).await.unwrap();
        store.append(folder, "x\r\n").await;
    }
    let mut both = ["One", "Two"].map(|folder| store.user.folder(&name(folder)).unwrap());
    // Two folders are locked in this order, so that the one the message is in is not locked while the other is waited for.
    both.sort_by_key(Arc::as_ptr);
    let [to, from] = &both;
    let late =
        FlagChange { keywords: vec![Keyword::parse("late").unwrap()], ..change(FlagOperation::Add, Flags::NONE) };
    let held = to.lock();
    let before = to.used();
    let moved = std::thread::scope(|scope| {
        let moving = scope.spawn(|| to.take_over(from, &[uid(1)]));
        // It has looked at the keywords, and is waiting for the folder.
        while to.used() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        from.store_flags(&[uid(1)], &late, None).unwrap();
        drop(held);
        moving.join().unwrap().unwrap()
    });
    let there = to.current();
    let (record, _) = there.by_uid(moved[0].new).unwrap();
    assert_eq!(there.keywords.names(record.keywords).map(Keyword::as_str).collect::<Vec<_>>(), ["late"]);
    assert_eq!(from.current().len(), 0);
}

#[tokio::test]
async fn a_folder_that_must_be_listed_is_listed_whatever_else_is_found() {
    let store = Store::new().await;
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let directories = folder.directories().unwrap();
    put(&store.path(), "1700000000.M1P1.h");
    // The state after inotify has reported the file, when the disk failed while the file was examined.
    folder.lock().seen = directories.mtimes().unwrap();
    folder.watch();
    folder.lock().stale = true;
    put(&store.path(), "1700000001.M2P2.h");
    folder.absorb_events(&mut folder.lock(), &directories);
    assert_eq!(folder.current().len(), 2);
}

/// Another program may take it as soon as it has its name.
#[tokio::test]
async fn a_message_that_is_taken_away_before_it_is_on_disk_is_not_there() {
    let store = Store::new().await;
    let _watched = store.user.open(&name("INBOX"), Access::ReadOnly).await.unwrap();
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let directories = folder.directories().unwrap();
    std::fs::write(store.path().join("tmp/unique"), "x").unwrap();
    let (_, ticket) = folder.place(&directories, "unique", small).unwrap();
    std::fs::remove_file(store.path().join(&files(&store.path())[0])).unwrap();
    folder.absorb_events(&mut folder.lock(), &directories);
    folder.commit(&directories, ticket).unwrap();
    assert_eq!(folder.current().len(), 0);
}

/// A session that was reading when the folder was renamed does not find a file, and looks for it.
#[tokio::test]
async fn a_folder_that_has_another_name_is_left_to_who_has_it_by_that_name() {
    let store = Store::new().await;
    store.user.create(&name("Old")).await.unwrap();
    let folder = store.user.folder(&name("Old")).unwrap();
    let directories = folder.directories().unwrap();
    store.user.rename(&name("Old"), &name("New")).await.unwrap();
    let path = store.path().join(".New");
    put(&path, "1700000000.M1P1.h");
    let looked = folder.reconcile(&mut folder.lock(), &directories, Known::Live);
    assert!(matches!(looked, Err(Error::NoFolder(_))));
    assert_eq!(files(&path), ["new/1700000000.M1P1.h"]);
}

/// The same if it finds one that another program has written to.
#[tokio::test]
async fn a_message_in_a_folder_that_has_another_name_gets_its_uid_from_who_has_it_by_that_name() {
    let store = Store::new().await;
    store.user.create(&name("Old")).await.unwrap();
    store.append("Old", "begun\r\n").await;
    let folder = store.user.folder(&name("Old")).unwrap();
    let directories = folder.directories().unwrap();
    store.user.rename(&name("Old"), &name("New")).await.unwrap();
    let path = store.path().join(".New");
    let before = files(&path);
    std::fs::write(path.join(&before[0]), "begun and ended\r\n").unwrap();
    let taken = folder.take_anew(&mut folder.lock(), &directories, &[uid(1)]);
    assert!(matches!(taken, Err(Error::NoFolder(_))));
    assert_eq!(files(&path), before);
}

#[tokio::test]
async fn what_comes_while_a_sync_fails_is_noticed() {
    let store = Store::new().await;
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let directories = folder.directories().unwrap();
    std::fs::write(store.path().join("tmp/unique"), "x").unwrap();
    folder.place(&directories, "unique", small).unwrap();
    put(&store.path(), "1700000000.M1P1.h");
    change_at(&store.path().join("new"), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    folder.fail_pending(&mut folder.lock(), &directories);
    folder.refresh().unwrap();
    assert_eq!(folder.current().len(), 1);
}

/// Of two messages that arrive within one tick of the file system's clock, the second changes no time.
#[tokio::test]
async fn what_comes_when_the_last_session_has_just_closed_a_folder_is_noticed() {
    let (clock, store) = long_ago().await;
    drop(store.user.open(&name("INBOX"), Access::ReadOnly).await.unwrap());
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let new = store.path().join("new");
    change_at(&store.path().join("cur"), clock.time());
    change_at(&new, clock.time());
    folder.flush().unwrap();
    put(&store.path(), "1700000000.M1P1.h");
    change_at(&new, clock.time());
    clock.go_on();
    folder.refresh().unwrap();
    assert_eq!(folder.current().len(), 1);
    change_at(&new, clock.time());
    clock.go_on();
    folder.flush().unwrap();
    assert!(!folder.lock().watched, "the watch ends once it can");
}

/// The same for a folder that no session has open, whether it is queried next or its index is written.
#[tokio::test]
async fn what_comes_when_a_folder_has_just_been_listed_is_noticed() {
    let (clock, store) = long_ago().await;
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let new = store.path().join("new");
    change_at(&store.path().join("cur"), clock.time());
    for n in 0..2 {
        clock.go_on();
        change_at(&new, clock.time());
        folder.refresh().unwrap();
        put(&store.path(), &format!("170000000{n}.M1P1.h"));
        change_at(&new, clock.time());
        clock.go_on();
        assert_eq!(folder.current().len(), n);
        if n == 0 { folder.refresh() } else { folder.flush() }.unwrap();
        assert_eq!(folder.current().len(), n + 1);
    }
}

/// And of two folders that another program makes.
#[tokio::test]
async fn a_folder_that_is_made_when_folders_have_just_been_listed_is_noticed() {
    let (clock, store) = long_ago().await;
    store.user.folders().await.unwrap();
    change_at(&store.path(), clock.time());
    let before = store.user.folders().await.unwrap().len();
    std::fs::create_dir_all(store.path().join(".Made/cur")).unwrap();
    change_at(&store.path(), clock.time());
    clock.go_on();
    assert_eq!(store.user.folders().await.unwrap().len(), before + 1);
}

/// Otherwise the folder would be listed by the next session that loads it, and all mod-sequences would be new.
#[tokio::test]
async fn an_index_counts_though_something_was_found_while_it_was_written() {
    let (clock, store) = long_ago().await;
    let _watched = store.user.open(&name("INBOX"), Access::ReadOnly).await.unwrap();
    let folder = store.user.folder(&name("INBOX")).unwrap();
    put(&store.path(), "1700000000.M1P1.h");
    change_at(&store.path().join("cur"), clock.time());
    change_at(&store.path().join("new"), clock.time());
    clock.go_on();
    for _ in 0..2 {
        folder.flush().unwrap();
    }
    assert_eq!(index::usage(&store.path()).map(|usage| usage.messages), Some(1));
}

#[tokio::test]
async fn a_message_that_is_marked_while_it_is_moved_moves_to_a_folder_without_room_for_its_keywords() {
    let store = Store::new().await;
    let [from, to] = ["From", "To"];
    store.append_flagged(from, "x\r\n", Flags::NONE, &["one-more"]).await;
    let full: Vec<String> = (0..Keywords::MOST).map(|n| format!("k{n}")).collect();
    store.append_flagged(to, "y\r\n", Flags::NONE, &full.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let [from, to] = [from, to].map(|folder| store.user.folder(&name(folder)).unwrap());
    let copied = to.receive(&from, &[uid(1)]).unwrap();
    from.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::SEEN), None).unwrap();
    assert!(to.release(&from, &copied).unwrap().is_empty());
    let there = to.current();
    let (record, _) = there.by_uid(copied[0].new).unwrap();
    assert_eq!((record.flags, record.keywords), (Flags::SEEN, KeywordSet::NONE));
    assert_eq!(from.current().len(), 0);
}

/// As when a client goes away during login. Giving a user to another node also waits for the turn.
#[tokio::test]
async fn whoever_takes_a_user_next_waits_for_who_is_bringing_it_into_memory() {
    let store = Store::new().await;
    let bob: Address = "bob@example.test".parse().unwrap();
    drop(tokio::time::timeout(Duration::ZERO, store.mailboxes.user(&bob)).await);
    let _turn = store.mailboxes.inner.turns.wait(&bob.key()).await;
    assert!(store.mailboxes.known(&bob.key()).is_some());
}

/// Flags and copies change only `cur/`, and other programs deliver into `new/`.
#[tokio::test]
async fn what_comes_beside_a_change_of_ours_is_noticed() {
    let store = Store::new().await;
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let directories = folder.directories().unwrap();
    let mut state = folder.lock();
    state.before_change(&directories);
    put(&store.path(), "1700000000.M1P1.h");
    change_at(&store.path().join("new"), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    state.after_change(&directories, Touched { cur: true, new: false });
    drop(state);
    folder.refresh().unwrap();
    assert_eq!(folder.current().len(), 1);
}

/// A program writes a message where it is to stay, as `cp` and `tar` do. It is found when it has only begun.
#[tokio::test]
async fn a_message_that_is_written_in_its_place_is_whole_in_the_end() {
    let store = Store::new().await;
    store.append("INBOX", "first\r\n").await;
    let view = store.view("INBOX").await;
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let directories = folder.directories().unwrap();
    let mut file = std::fs::File::create(store.path().join("cur/1700000001.M1P1.h:2,S")).unwrap();
    file.write_all(b"Subject: second\n").unwrap();
    // Nobody has written to it for a while.
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    folder.absorb_events(&mut folder.lock(), &directories);
    assert_eq!(whole(&view, 2).await, b"Subject: second\r\n");
    file.write_all(b"\ntext\n").unwrap();
    drop(file);
    folder.absorb_events(&mut folder.lock(), &directories);
    // What clients have read of a UID never changes.
    assert!(matches!(view.bodies(vec![uid(2)]).next().await, Some((_, Err(Error::NoMessage(_))))));
    assert_eq!(whole(&view, 3).await, b"Subject: second\r\n\r\ntext\r\n");
    let current = folder.current();
    assert_eq!((current.len(), current.by_uid(uid(3)).unwrap().0.flags), (2, Flags::SEEN));
}

/// Keeps a folder locked, as somebody does who marks very many messages, until the sender is used.
async fn occupy(folder: Arc<Folder>) -> (tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let ((begin, begun), (end, ended)) = (tokio::sync::oneshot::channel(), tokio::sync::oneshot::channel());
    let change = tokio::task::spawn_blocking(move || {
        let _state = folder.lock();
        begin.send(()).unwrap();
        let _ = ended.blocking_recv();
    });
    begun.await.unwrap();
    (end, change)
}

/// Each change that inotify reported waited for the folder in a job of its own.
#[tokio::test]
async fn news_of_a_folder_that_is_being_changed_keeps_nobody_else_waiting() {
    let settings = MailboxSettings { parallel_jobs: 3, ..MailboxSettings::default() };
    let store = Store::open_with(tempfile::tempdir().unwrap(), settings).await;
    store.user.create(&name("Other")).await.unwrap();
    let view = store.view("INBOX").await;
    let (end, occupied) = occupy(store.user.folder(&name("INBOX")).unwrap()).await;
    for n in 0..10 {
        put(&store.path(), &format!("170000000{n}.M1P1.h"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let other = tokio::time::timeout(Duration::from_secs(10), store.user.status(&name("Other"))).await;
    end.send(()).unwrap();
    occupied.await.unwrap();
    assert_eq!(other.expect("it waits for nobody").unwrap().messages, 0);
    assert_eq!(store.user.status(view.folder()).await.unwrap().messages, 10);
}

/// STORE, COPY, MOVE and EXPUNGE took as many places as there were sessions.
#[tokio::test]
async fn changes_of_one_user_keep_no_other_waiting() {
    let settings = MailboxSettings { parallel_jobs: 5, jobs_per_user: 2, ..MailboxSettings::default() };
    let store = Store::open_with(tempfile::tempdir().unwrap(), settings).await;
    let bob = store.mailboxes.user(&"bob@example.test".parse().unwrap()).await.unwrap();
    store.append("INBOX", "x\r\n").await;
    let mut views = Vec::new();
    for _ in 0..8 {
        views.push(store.view("INBOX").await);
    }
    let (end, occupied) = occupy(store.user.folder(&name("INBOX")).unwrap()).await;
    let mark = |view: View| async move { view.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::SEEN)).await };
    let marks: Vec<_> = views.into_iter().map(|view| store.tasks.spawn(mark(view))).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let other = tokio::time::timeout(Duration::from_secs(10), bob.status(&name("INBOX"))).await;
    end.send(()).unwrap();
    occupied.await.unwrap();
    assert_eq!(other.expect("he waits for nobody").unwrap().messages, 0);
    for mark in marks {
        mark.await.unwrap().unwrap();
    }
}

/// Each session of a user could occupy a place of its own with them.
#[tokio::test]
async fn pieces_of_a_large_message_are_read_in_the_turns_of_their_user() {
    let settings = MailboxSettings { jobs_per_user: 1, ..MailboxSettings::default() };
    let store = Store::open_with(tempfile::tempdir().unwrap(), settings).await;
    store.append("INBOX", "x\r\n").await;
    let view = store.view("INBOX").await;
    let mut body = view.body(uid(1)).await.unwrap();
    let (end, occupied) = occupy(store.user.folder(&name("INBOX")).unwrap()).await;
    let mark = async move { view.store_flags(&[uid(1)], &change(FlagOperation::Add, Flags::SEEN)).await };
    let mark = store.tasks.spawn(mark);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let early = tokio::time::timeout(Duration::from_millis(200), body.read(0, 3)).await;
    end.send(()).unwrap();
    occupied.await.unwrap();
    mark.await.unwrap().unwrap();
    assert!(early.is_err(), "it passes the turns by: {early:?}");
    assert_eq!(body.read(0, 3).await.unwrap(), "x\r\n");
}

/// While a folder was copied to one that somebody has open, each report about a copy was compared with all the others.
#[tokio::test]
async fn copies_on_their_way_to_the_disk_are_recognised_at_once() {
    const COPIES: u32 = 30_000;
    let store = Store::new().await;
    store.append("INBOX", "x\r\n").await;
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let (mut state, current) = (folder.lock(), folder.current());
    let (record, stored) = current.by_uid(uid(1)).unwrap();
    let record = Record { flags: Flags::SEEN, place: Place::Cur, ..*record };
    let copies: Vec<Record> = (0..COPIES).map(|n| Record { uid: uid(10 + 2 * n), ..record }).collect();
    let named = |uid: Uid| String::from_utf8_lossy(stored).replace(",U=1", &format!(",U={}", uid.get())).into_bytes();
    for record in copies.iter().copied() {
        let (ticket, name) = (state.touch(Place::Cur), named(record.uid));
        state.pending.push_back(Pending { ticket, record, name });
    }
    let begun = Uptime::now();
    for copy in &copies {
        let name = copy.file_name(&named(copy.uid));
        assert!(state.is_ours(&current, Place::Cur, &name) && !state.is_ours(&current, Place::New, &name));
    }
    assert!(Uptime::now() < begun + Duration::from_secs(8));
    let other = uid(11);
    assert!(!state.is_ours(&current, Place::Cur, &Record { uid: other, ..record }.file_name(&named(other))));
    state.pending.clear();
}

/// It had two, and the first was seen to come and go.
#[tokio::test]
async fn a_message_that_is_written_in_its_place_has_one_uid() {
    let (clock, store) = long_ago().await;
    store.append("INBOX", "first\r\n").await;
    let view = store.view("INBOX").await;
    let folder = store.user.folder(&name("INBOX")).unwrap();
    let directories = folder.directories().unwrap();
    let mut file = std::fs::File::create(store.path().join("cur/1700000001.M1P1.h:2,S")).unwrap();
    file.write_all(b"Subject: second\n").unwrap();
    file.set_modified(clock.time()).unwrap();
    folder.absorb_events(&mut folder.lock(), &directories);
    folder.flush().unwrap();
    assert_eq!((folder.current().len(), index::usage(&store.path())), (1, None));
    file.write_all(b"\ntext\n").unwrap();
    drop(file);
    folder.absorb_events(&mut folder.lock(), &directories);
    assert_eq!(folder.current().len(), 2);
    assert_eq!(whole(&view, 2).await, b"Subject: second\r\n\r\ntext\r\n");
}

/// The same in a folder that nobody has open, where inotify reports nothing.
#[tokio::test]
async fn a_message_that_has_become_longer_is_another() {
    let store = Store::new().await;
    let put = |name: &str, content: &str| std::fs::write(store.path().join("cur").join(name), content).unwrap();
    store.append("INBOX", "first\r\n").await;
    for (name, content) in [("1700000001.M1P1.h:2,S", "begun\r\n"), ("1700000002.M1P1.h:2,S", "all of it\r\n")] {
        put(name, content);
    }
    assert_eq!(store.user.status(&name("INBOX")).await.unwrap().messages, 3);
    for file in std::fs::read_dir(store.path().join("cur")).unwrap().map(|file| file.unwrap().path()) {
        if file.to_string_lossy().contains(",U=2,") {
            std::fs::write(file, "begun and ended\r\n").unwrap();
        }
    }
    let mut view = store.view("INBOX").await;
    assert_eq!(uids(&view), [1, 2, 3]);
    let mut read = view.bodies([1, 2, 3].map(uid).to_vec());
    assert!(matches!(read.next().await, Some((_, Ok(Content::Whole(bytes)))) if bytes == "first\r\n"));
    assert!(matches!(read.next().await, Some((_, Err(Error::NoMessage(_))))));
    assert!(matches!(read.next().await, Some((_, Ok(Content::Whole(bytes)))) if bytes == "all of it\r\n"));
    view.sync(Expunges::Tell);
    assert_eq!(uids(&view), [1, 3, 4]);
    assert_eq!(whole(&view, 4).await, b"begun and ended\r\n");
}

/// It stayed empty: of nothing, nothing was read.
#[tokio::test]
async fn a_message_that_was_found_empty_is_another_once_it_is_written() {
    let store = Store::new().await;
    store.append("INBOX", "first\r\n").await;
    let cur = store.path().join("cur");
    std::fs::write(cur.join("1700000001.M1P1.h:2,S"), "").unwrap();
    assert_eq!(store.user.status(&name("INBOX")).await.unwrap().messages, 2);
    for file in std::fs::read_dir(cur).unwrap().map(|file| file.unwrap().path()) {
        if file.to_string_lossy().contains(",U=2,") {
            std::fs::write(file, "written\r\n").unwrap();
        }
    }
    let view = store.view("INBOX").await;
    assert!(matches!(view.bodies(vec![uid(2)]).next().await, Some((_, Err(Error::NoMessage(_))))));
    assert_eq!(whole(&view, 3).await, b"written\r\n");
}
