//! Tests of the store through its doors.

mod basics;
mod flags;
mod model;
mod objects;
mod races;
mod replaced;
mod takeover;
mod unreadable;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, SystemClock};
use crate::foundations::mail::{Message, SequenceNumber, SequenceSet, Uid};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;

/// A mail root with one user, opened and reopened.
struct Store {
    root: tempfile::TempDir,
    tasks: Tasks,
    mailboxes: Mailboxes,
    user: Arc<User>,
}

fn ann() -> Address {
    "ann@example.test".parse().unwrap()
}

/// The first line and the size: enough to tell messages apart.
fn summarizer() -> Summarizer {
    let summarize = |message: &[u8]| message.split(|b| *b == b'\n').next().unwrap_or_default().to_vec();
    Summarizer { version: 1, summarize, fuller: None }
}

impl Store {
    async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap()).await
    }

    async fn open(root: tempfile::TempDir) -> Self {
        Self::open_with(root, MailboxSettings::default()).await
    }

    async fn open_with(root: tempfile::TempDir, settings: MailboxSettings) -> Self {
        Self::open_at(root, settings, Arc::new(SystemClock)).await
    }

    async fn open_at(root: tempfile::TempDir, settings: MailboxSettings, clock: SharedClock) -> Self {
        let tasks = Tasks::new();
        let settings = Live::new(settings);
        let mailboxes = Mailboxes::open(root.path(), settings, clock, tasks.clone(), summarizer()).unwrap();
        let user = mailboxes.user(&ann()).await.unwrap();
        Self { root, tasks, mailboxes, user }
    }

    /// As after kill -9: nothing in memory is written.
    async fn crash(self) -> tempfile::TempDir {
        self.tasks.stop(std::time::Duration::from_secs(5)).await;
        let Self { root, mailboxes, user, .. } = self;
        drop((mailboxes, user));
        root
    }

    /// An orderly end and a new beginning.
    async fn restart(self) -> Self {
        self.mailboxes.close().await;
        Self::open(self.crash().await).await
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("example.test/ann")
    }

    async fn append(&self, folder: &str, text: &str) -> u32 {
        self.append_flagged(folder, text, Flags::NONE, &[]).await
    }

    async fn append_flagged(&self, folder: &str, text: &str, flags: Flags, keywords: &[&str]) -> u32 {
        let keywords = keywords.iter().map(|keyword| Keyword::parse(keyword).unwrap()).collect();
        let options = AppendOptions { flags, keywords, ..AppendOptions::delivery(None) };
        self.user.append(&name(folder), &message(text), options).await.unwrap().uid.get()
    }

    async fn view(&self, folder: &str) -> View {
        self.user.open(&name(folder), Access::ReadWrite).await.unwrap()
    }
}

fn name(text: &str) -> FolderName {
    FolderName::parse(text).unwrap()
}

fn message(text: &str) -> Message {
    Message::new(text.as_bytes().to_vec())
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn sequence(number: u32) -> SequenceNumber {
    SequenceNumber::new(number).unwrap()
}

fn uids(view: &View) -> Vec<u32> {
    view.rows(&SequenceSet::all()).map(|(_, row)| row.uid.get()).collect()
}

fn change(operation: FlagOperation, flags: Flags) -> FlagChange {
    FlagChange { operation, flags, keywords: Vec::new(), unchanged_since: None }
}

async fn whole(view: &View, number: u32) -> Vec<u8> {
    match view.bodies(vec![uid(number)]).next().await.unwrap().1.unwrap() {
        Content::Whole(bytes) => bytes.to_vec(),
        Content::Large(mut body) => body.read(0, usize::try_from(body.size()).unwrap()).await.unwrap().to_vec(),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut files: Vec<String> = ["new", "cur"]
        .iter()
        .flat_map(|place| std::fs::read_dir(folder.join(place)).unwrap().map(move |file| (place, file.unwrap())))
        .map(|(place, file)| format!("{place}/{}", file.file_name().to_string_lossy()))
        .collect();
    files.sort();
    files
}
