//! Results that the database does not take, kept beside the bodies until it does.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bodies::{Bodies, NOTES};
use super::settle::Settler;
use super::{Action, Error, Fate, Report, Spool};
use crate::foundations::event::Event;
use crate::foundations::files;
use crate::foundations::ids::QueueId;
use crate::storage::database::Val;

/// What has become of one recipient, written down beside the bodies. It says only what must not happen again: the message has
/// arrived, or was refused for good.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The entry.
    pub entry: QueueId,
    /// The recipient's key in the database.
    pub key: i64,
    /// Who had claimed the recipient; unknown in notes of earlier versions.
    pub claimant: Option<String>,
    /// What the sender is still to be told.
    pub report: Option<Report>,
    /// The event that tells of it.
    pub event: Option<Event>,
}

/// What a note's file holds; an empty one stands for a message that has arrived.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    claimant: Option<String>,
    report: Option<Report>,
    event: Option<Event>,
}

/// Longest note.
const LONGEST: u64 = 256 << 10;

impl Note {
    /// A note of a fate, if it is one of which a note is kept.
    pub fn of(entry: QueueId, (key, fate): &(i64, Fate), claimant: &str, event: Option<Event>) -> Option<Self> {
        let report = match fate {
            Fate::Done => None,
            Fate::Reported(report) => Some(report.clone()),
            Fate::Again { .. } | Fate::Untried { .. } | Fate::Redirected { .. } | Fate::Hold { .. } => return None,
        };
        Some(Self { entry, key: *key, claimant: Some(claimant.to_owned()), report, event })
    }

    fn fate(&self) -> Fate {
        self.report.clone().map_or(Fate::Done, Fate::Reported)
    }

    fn name(&self) -> String {
        format!("{}.{}", self.entry, self.key)
    }

    fn named(name: &str) -> Option<(QueueId, i64)> {
        let (entry, key) = name.split_once('.')?;
        Some((entry.parse().ok()?, key.parse().ok()?))
    }

    /// Whether the recipient was refused, which the sender must hear.
    fn is_failure(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.action == Action::Failed)
    }
}

impl Bodies {
    /// Writes notes down. When it returns, they are on disk.
    fn note(&self, notes: &[Note]) -> Result<(), Error> {
        let directory = self.root().join(NOTES);
        files::create_directory(&directory, 0o700).map_err(in_file)?;
        notes.iter().try_for_each(|note| write(&directory, note))?;
        files::sync_directory(&directory).map_err(in_file)
    }

    fn forget_notes(&self, notes: &[Note]) -> Result<(), Error> {
        for note in notes {
            let path = self.root().join(NOTES).join(note.name());
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::Body { path, source }),
                _ => {}
            }
        }
        Ok(())
    }

    /// All notes that are there.
    fn notes(&self) -> Result<Vec<Note>, Error> {
        let directory = self.root().join(NOTES);
        let failed = |source| Error::Body { path: directory.clone(), source };
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut notes = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let Some((entry, key)) = path.file_name().and_then(|name| Note::named(name.to_str()?)) else { continue };
            match files::read_bounded(&path, LONGEST) {
                // Another node may have dealt with it meanwhile.
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                read => {
                    let Content { claimant, report, event } = understood(&path, &read.map_err(in_file)?);
                    notes.push(Note { entry, key, claimant, report, event });
                }
            }
        }
        Ok(notes)
    }
}

/// A disk without room for a note may still have room for a name: that says that the message has arrived, which is what counts.
/// A refusal is not written so: it would be forgotten that the sender is to be told.
fn write(directory: &Path, note: &Note) -> Result<(), Error> {
    let path = directory.join(note.name());
    let Note { claimant, report, event, .. } = note.clone();
    let content = Content { claimant, report, event };
    let content = serde_json::to_vec(&content).unwrap_or_default();
    match files::write_durable(&path, &content, 0o600) {
        Err(error) if error.kind() == crate::foundations::failure::Kind::NoSpace && !note.is_failure() => {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
            file.and_then(|file: File| file.sync_all()).map_err(|source| Error::Body { path, source })
        }
        written => written.map_err(in_file),
    }
}

fn understood(path: &Path, content: &[u8]) -> Content {
    if content.is_empty() {
        return Content::default();
    }
    serde_json::from_slice(content).unwrap_or_else(|error| {
        log::error!(file:% = path.display(), cause:% = error;
            "A note of what has become of a queued message cannot be understood; it is taken to say that the message has arrived");
        Content::default()
    })
}

fn in_file(error: files::Error) -> Error {
    Error::Body { path: error.path, source: error.source }
}

impl Spool {
    /// Writes down beside the bodies what the database does not take now. When it returns, it survives a power failure, and
    /// [`Spool::settle_noted`] of the next start finds it.
    pub async fn note(&self, notes: &[Note]) -> Result<(), Error> {
        let notes = notes.to_vec();
        self.on_disk(move |bodies| bodies.note(&notes)).await
    }

    /// Removes notes of what the database has taken.
    pub async fn forget_notes(&self, notes: &[Note]) -> Result<(), Error> {
        let notes = notes.to_vec();
        self.on_disk(move |bodies| bodies.forget_notes(&notes)).await
    }

    /// Writes into the database what was noted when it was away, and removes the notes. Those that told it something new.
    /// `owner` is the node that asks.
    pub async fn settle_noted(&self, owner: &str) -> Result<Vec<Note>, Error> {
        let mut told = Vec::new();
        for note in self.on_disk(Bodies::notes).await? {
            let claimant = note.claimant.as_deref().unwrap_or(owner);
            // The key alone may be another message's in a database that was restored.
            let sql = "SELECT owner FROM queue_recipients WHERE id = ? AND entry = ? AND state <> ?";
            let finished = super::RecipientState::Finished.number();
            let values = [Val::from(note.key), Val::from(note.entry.to_string()), Val::from(finished)];
            let row = self.database().fetch_optional(sql, &values).await?;
            let owner = row.map(|row| row.opt_text(0)).transpose()?;
            // Once another has the recipient, only that the message has arrived still counts.
            let counts = |owner: Option<String>| note.fate().is_final() || owner.is_none_or(|owner| owner == claimant);
            if owner.is_some_and(counts) {
                self.settle_one_noted(claimant, &note).await?;
                told.push(note.clone());
            }
            self.forget_notes(std::slice::from_ref(&note)).await?;
        }
        Ok(told)
    }

    /// What the database refuses, an administrator must look at: the recipient is held, and not tried again.
    async fn settle_one_noted(&self, claimant: &str, note: &Note) -> Result<(), Error> {
        let settle = async |fate| self.settle(note.entry, Settler::Claimant(claimant), &[(note.key, fate)]).await;
        match settle(note.fate()).await {
            Err(error) if error.is_refusal() => {
                log::error!(queue:% = note.entry, cause:% = error; "The database refuses what was noted of a message; its recipient is held");
                let reason = format!("the last attempt has ended for good, but its result cannot be kept: {error}");
                settle(Fate::Hold { reason }).await.map(|_| ())
            }
            settled => settled.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::Timestamp;

    fn report(action: Action) -> Report {
        Report { action, status: "2.0.0".to_owned(), diagnostic: None, remote: None, at: Timestamp::EPOCH }
    }

    fn noted(key: i64, fate: &Fate) -> Note {
        Note::of(QueueId::generate(Timestamp::EPOCH), &(key, fate.clone()), "one", None).unwrap()
    }

    #[test]
    fn notes_come_and_go() {
        let root = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(root.path().join("spool")).unwrap();
        assert_eq!(bodies.notes().unwrap(), []);
        let mut notes = [noted(1, &Fate::Done), noted(2, &Fate::Reported(report(Action::Relayed)))];
        bodies.note(&notes).unwrap();
        bodies.note(&notes).unwrap();
        let mut found = bodies.notes().unwrap();
        found.sort_by_key(|note| note.key);
        notes.sort_by_key(|note| note.key);
        assert_eq!(found, notes);
        assert!(bodies.directories().unwrap().is_empty(), "they are no bodies");
        bodies.forget_notes(&notes).unwrap();
        bodies.forget_notes(&notes).unwrap();
        assert_eq!(bodies.notes().unwrap(), []);
    }

    #[test]
    fn only_what_must_not_happen_again_is_noted() {
        let id = QueueId::generate(Timestamp::EPOCH);
        for fate in [Fate::Untried { due_at: Timestamp::EPOCH }, Fate::Hold { reason: String::new() }] {
            assert_eq!(Note::of(id, &(1, fate), "one", None), None);
        }
    }

    #[test]
    fn a_name_says_that_a_message_has_arrived() {
        let root = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(root.path().to_owned()).unwrap();
        let note = Note { claimant: None, ..noted(3, &Fate::Done) };
        fs::write(root.path().join(NOTES).join(note.name()), "").unwrap();
        fs::write(root.path().join(NOTES).join(".half.tmp"), "{").unwrap();
        assert_eq!(bodies.notes().unwrap(), [note]);
    }
}
