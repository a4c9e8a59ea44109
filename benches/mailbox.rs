//! How fast the store is: `cargo bench --bench mailbox [-- DIRECTORY]`.
//!
//! Prints one line for each measurement. Rates depend on the disk under the directory (default: the system's temporary
//! one); `reference` is what the bare file system does at the same concurrency and durability.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement ends at the first error")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use postrider::foundations::clock::SystemClock;
use postrider::foundations::mail::{Message, SequenceSet, Uid};
use postrider::foundations::settings::Live;
use postrider::foundations::tasks::Tasks;
use postrider::storage::mailbox::{
    Access, AppendOptions, Content, FlagChange, FlagOperation, Flags, FolderName, MailboxSettings, Mailboxes, Missing,
    Summarizer, User,
};

const DELIVERIES: usize = 2000;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let root = match directory {
        Some(directory) => tempfile::tempdir_in(directory).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    for concurrency in [1, 16, 50] {
        reference(root.path(), concurrency).await;
        deliver(root.path(), concurrency).await;
    }
    for messages in [1000, 100_000] {
        folder(root.path(), messages).await;
    }
}

fn mailboxes(root: &Path) -> Mailboxes {
    let settings = Live::new(MailboxSettings::default());
    let summarizer =
        Summarizer { version: 1, summarize: |message| message[..message.len().min(600)].to_vec(), fuller: None };
    Mailboxes::open(root, settings, Arc::new(SystemClock), Tasks::new(), summarizer).unwrap()
}

fn message(octets: usize) -> Message {
    let mut text = b"From: a@example.test\r\nTo: b@example.test\r\nSubject: measure\r\n\r\n".to_vec();
    while text.len() < octets {
        text.extend_from_slice(b"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do.\r\n");
    }
    Message::new(text)
}

/// Runs `work` for all numbers below `count`, the given number of them at once.
async fn at_once<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    concurrency: usize,
    work: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> f64 {
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..concurrency {
        let (next, work) = (Arc::clone(&next), work.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return;
                }
                work(n).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

async fn reference(root: &Path, concurrency: usize) {
    let base = root.join(format!("reference-{concurrency}"));
    for n in 0..concurrency {
        for place in ["tmp", "new"] {
            std::fs::create_dir_all(base.join(format!("{n}/{place}"))).unwrap();
        }
    }
    let bytes = message(4096).bytes();
    let cpu = cpu();
    let rate = at_once(DELIVERIES, concurrency, move |n| {
        let (base, bytes) = (base.join((n % concurrency).to_string()), bytes.clone());
        async move {
            let work = move || write_as_maildir(&base, n, &bytes);
            tokio::task::spawn_blocking(work).await.unwrap();
        }
    });
    report(&format!("reference, {concurrency} at once"), rate.await, cpu, DELIVERIES);
}

fn write_as_maildir(base: &Path, n: usize, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(base.join(format!("tmp/{n}"))).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
    std::fs::rename(base.join(format!("tmp/{n}")), base.join(format!("new/{n}"))).unwrap();
    std::fs::File::open(base.join("new")).unwrap().sync_all().unwrap();
}

async fn deliver(root: &Path, concurrency: usize) {
    let root = root.join(format!("deliver-{concurrency}"));
    std::fs::create_dir_all(&root).unwrap();
    let mailboxes = mailboxes(&root);
    for n in 0..concurrency {
        append(&user(&mailboxes, n).await, &message(10)).await;
    }
    let message = message(4096);
    let (store, cpu) = (mailboxes.clone(), cpu());
    let rate = at_once(DELIVERIES, concurrency, move |n| {
        let (mailboxes, message) = (store.clone(), message.clone());
        async move { append(&user(&mailboxes, n % concurrency).await, &message).await }
    });
    report(&format!("delivery, {concurrency} users and at once"), rate.await, cpu, DELIVERIES);
    let one = user(&mailboxes, 0).await;
    let message = self::message(4096);
    let cpu = self::cpu();
    let rate = at_once(DELIVERIES, concurrency, move |_| {
        let (user, message) = (Arc::clone(&one), message.clone());
        async move { append(&user, &message).await }
    });
    report(&format!("delivery, 1 user, {concurrency} at once"), rate.await, cpu, DELIVERIES);
    mailboxes.close().await;
}

async fn user(mailboxes: &Mailboxes, n: usize) -> Arc<User> {
    mailboxes.user(&format!("user{n}@example.test").parse().unwrap()).await.unwrap()
}

async fn append(user: &Arc<User>, message: &Message) {
    user.append(&FolderName::inbox(), message, AppendOptions::delivery(None)).await.unwrap();
}

async fn folder(root: &Path, messages: usize) {
    let root = root.join(format!("folder-{messages}"));
    let cur = root.join("example.test/user0/cur");
    std::fs::create_dir_all(&cur).unwrap();
    let bytes = message(2048).bytes();
    for n in 1..=messages {
        std::fs::write(cur.join(format!("1700000000.M{n}P1Q1.host,U={n},S={s},W={s}:2,S", s = bytes.len())), &bytes)
            .unwrap();
    }
    let timed = |name: &str, begin: Instant| {
        println!("{:<48} {:>12.3} ms", format!("{name}, {messages} messages"), begin.elapsed().as_secs_f64() * 1000.0);
    };
    let inbox = FolderName::inbox();
    let store = mailboxes(&root);
    let ann = user(&store, 0).await;
    let begin = Instant::now();
    let view = ann.open(&inbox, Access::ReadWrite).await.unwrap();
    timed("open, no index", begin);
    drop(view);
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    store.close().await;
    drop((ann, store));
    let store = mailboxes(&root);
    let ann = user(&store, 0).await;
    ann.folders().await.unwrap();
    let store = {
        drop(ann);
        store.close().await;
        drop(store);
        mailboxes(&root)
    };
    let ann = user(&store, 0).await;
    let begin = Instant::now();
    let view = ann.open(&inbox, Access::ReadWrite).await.unwrap();
    timed("open, from the index", begin);
    let begin = Instant::now();
    drop(ann.open(&inbox, Access::ReadOnly).await.unwrap());
    timed("open, warm", begin);
    let begin = Instant::now();
    let seen = view.rows(&SequenceSet::all()).filter(|(_, row)| row.flags.contains(Flags::SEEN)).count();
    assert_eq!(seen, messages);
    timed("rows, all", begin);
    let uids: Vec<Uid> = (1..=messages as u32).filter_map(Uid::new).collect();
    for name in ["summaries, made", "summaries, cached"] {
        let begin = Instant::now();
        let mut summaries = view.summaries(uids.clone());
        while let Some((_, summary)) = summaries.next().await {
            assert!(!summary.unwrap().is_empty());
        }
        timed(name, begin);
        tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    }
    let begin = Instant::now();
    let mut bodies = view.bodies(uids.clone());
    while let Some((_, content)) = bodies.next().await {
        assert!(matches!(content.unwrap(), Content::Whole(_)));
    }
    timed("bodies, all", begin);
    let change =
        |operation| FlagChange { operation, flags: Flags::FLAGGED, keywords: Vec::new(), unchanged_since: None };
    let begin = Instant::now();
    for n in 0..100 {
        view.store_flags(&[uids[n * uids.len() / 100]], &change(FlagOperation::Add)).await.unwrap();
    }
    timed("flag change, 100 one by one", begin);
    let begin = Instant::now();
    for _ in 0..100 {
        append(&ann, &message(2048)).await;
    }
    timed("append, 100 one by one", begin);
    let begin = Instant::now();
    view.store_flags(&uids, &change(FlagOperation::Replace)).await.unwrap();
    timed("flag change, all at once", begin);
    let begin = Instant::now();
    view.copy(&uids, &"Archive".parse().unwrap(), Missing::Create, None).await.unwrap();
    timed("copy, all at once", begin);
    let begin = Instant::now();
    view.remove(&uids).await.unwrap();
    timed("remove, all at once", begin);
    store.close().await;
}

/// CPU time used by this process so far, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = |n| stat.rsplit(')').next().unwrap().split_whitespace().nth(n).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn report(name: &str, rate: f64, before: f64, count: usize) {
    let micros = (cpu() - before) * 1e6 / count as f64;
    println!("{name:<48} {rate:>12.0} a second {micros:>8.0} µs of processor each");
}
