//! Results that the database did not accept, kept beside the bodies until it does.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bodies::{Bodies, NOTES};
use super::settle::Settler;
use super::{Action, Error, Fate, RecipientKey, Report, Spool};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::files;
use crate::foundations::ids::QueueId;
use crate::storage::database::Val;

/// A recipient's result, written down beside the bodies. Kept only for final results, which must not be repeated: the
/// message has arrived, or was refused for good.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The entry.
    pub entry: QueueId,
    /// The recipient.
    pub key: RecipientKey,
    /// Who had claimed the recipient; unknown in notes of earlier versions.
    pub claimant: Option<String>,
    /// A report still to be sent to the sender.
    pub report: Option<Report>,
    /// The event about it.
    pub event: Option<Event>,
    /// Why the note cannot be read. The recipient's result is then unknown, and the recipient is held.
    pub unreadable: Option<String>,
}

/// The content of a note's file; an empty one stands for a message that has arrived.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    claimant: Option<String>,
    report: Option<Report>,
    event: Option<Event>,
}

/// Suffix for the name of a note that cannot be read.
const SET_ASIDE: &str = ".unreadable";
/// Longest note.
const LONGEST: u64 = 256 << 10;

impl Note {
    /// A note of a result, if notes are kept for it.
    pub fn of(
        entry: QueueId,
        (key, fate): &(RecipientKey, Fate),
        claimant: &str,
        event: Option<Event>,
    ) -> Option<Self> {
        let report = match fate {
            Fate::Done => None,
            Fate::Reported(report) => Some(report.clone()),
            Fate::Again { .. } | Fate::Untried { .. } | Fate::Redirected { .. } | Fate::Hold { .. } => return None,
        };
        Some(Self { entry, key: *key, claimant: Some(claimant.to_owned()), report, event, unreadable: None })
    }

    fn fate(&self) -> Fate {
        match &self.unreadable {
            Some(why) => Fate::Hold { reason: format!("the note of the last attempt's result cannot be read: {why}") },
            None => self.report.clone().map_or(Fate::Done, Fate::Reported),
        }
    }

    /// Whether the note still counts for a recipient claimed by `owner`. If that is no longer the claimant, only final
    /// results count.
    fn counts(&self, claimant: &str, owner: Option<&str>) -> bool {
        self.unreadable.is_some() || self.fate().is_final() || owner.is_none_or(|owner| owner == claimant)
    }

    fn name(&self) -> String {
        format!("{}.{}", self.entry, self.key)
    }

    fn named(name: &str) -> Option<(QueueId, RecipientKey)> {
        let (entry, key) = name.split_once('.')?;
        Some((entry.parse().ok()?, key.parse().ok()?))
    }

    /// Whether the recipient was refused, so that the sender must be told.
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

    /// Removes a note that was processed. One that could not be read is left to the administrator, under a name that no
    /// note has.
    fn put_away(&self, note: &Note) -> Result<(), Error> {
        if note.unreadable.is_none() {
            return self.forget_notes(std::slice::from_ref(note));
        }
        let path = self.root().join(NOTES).join(note.name());
        let aside = path.with_file_name(format!("{}{SET_ASIDE}", note.name()));
        fs::rename(&path, aside).map_err(|source| Error::Body { path, source })
    }

    /// All present notes.
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
                // Another node may have processed it meanwhile.
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => notes.push(unreadable(entry, key, error.to_string())),
                Ok(content) => notes.push(match understood(&content) {
                    Ok(Content { claimant, report, event }) => {
                        Note { entry, key, claimant, report, event, unreadable: None }
                    }
                    Err(error) => unreadable(entry, key, error.to_string()),
                }),
            }
        }
        Ok(notes)
    }
}

/// A disk without room for a note may still have room for its name. An empty note says that the message has arrived,
/// which matters most. A refusal is not noted like that: the report to the sender would be lost.
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

fn understood(content: &[u8]) -> Result<Content, serde_json::Error> {
    if content.is_empty() { Ok(Content::default()) } else { serde_json::from_slice(content) }
}

/// Stands for a note that cannot be read: the message may have arrived, or been refused.
fn unreadable(entry: QueueId, key: RecipientKey, why: String) -> Note {
    log::error!(queue:% = entry, cause = why.as_str();
        "The result noted for a queued message cannot be read; the note is set aside and the recipient is held");
    Note { entry, key, claimant: None, report: None, event: None, unreadable: Some(why) }
}

fn in_file(error: files::Error) -> Error {
    Error::Body { path: error.path, source: error.source }
}

impl Spool {
    /// Writes down beside the bodies what the database does not accept now. When it returns, it survives a power
    /// failure, and [`Spool::settle_noted`] of the next start finds it.
    pub async fn note(&self, notes: &[Note]) -> Result<(), Error> {
        let notes = notes.to_vec();
        self.on_disk(move |bodies| bodies.note(&notes)).await
    }

    /// Removes notes that the database has accepted.
    pub async fn forget_notes(&self, notes: &[Note]) -> Result<(), Error> {
        let notes = notes.to_vec();
        self.on_disk(move |bodies| bodies.forget_notes(&notes)).await
    }

    /// Writes results noted during an outage into the database, and removes the notes. Returns those that were new to
    /// it. `owner` is the calling node.
    pub async fn settle_noted(&self, owner: &str) -> Result<Vec<Note>, Error> {
        let mut told = Vec::new();
        for mut note in self.on_disk(Bodies::notes).await? {
            let claimant = note.claimant.clone().unwrap_or_else(|| owner.to_owned());
            // In a restored database, the key alone may be another message's.
            let sql = "SELECT owner, address FROM queue_recipients WHERE id = ? AND entry = ? AND state <> ?";
            let finished = super::RecipientState::Finished.number();
            let values = [Val::from(note.key), Val::from(note.entry.to_string()), Val::from(finished)];
            if let Some(row) = self.database().fetch_optional(sql, &values).await?
                && note.counts(&claimant, row.opt_text(0)?.as_deref())
            {
                self.settle_one_noted(&claimant, &note).await?;
                if note.unreadable.is_some() {
                    note.event = Some(self.held(&note, row.text(1)?));
                }
                told.push(note.clone());
            }
            self.put_away(note).await;
        }
        Ok(told)
    }

    /// A result that the database refuses needs an administrator: the recipient is held, and not tried again.
    async fn settle_one_noted(&self, claimant: &str, note: &Note) -> Result<(), Error> {
        // A recipient with an unknown result is not tried again, whoever has claimed it.
        let by = if note.unreadable.is_some() { Settler::Administrator } else { Settler::Claimant(claimant) };
        let settle = async |fate| self.settle(note.entry, by, &[(note.key, fate)]).await;
        match settle(note.fate()).await {
            Err(error) if error.is_refusal() => {
                log::error!(queue:% = note.entry, cause:% = error; "The database refuses the noted result of a message; its recipient is held");
                let reason = format!("the last attempt had a final result, but the database refuses it: {error}");
                settle(Fate::Hold { reason }).await.map(|_| ())
            }
            settled => settled.map(|_| ()),
        }
    }

    /// The event for a recipient that is held because its note cannot be read.
    fn held(&self, note: &Note, address: String) -> Event {
        let event = Event::new(self.clock().now(), EventKind::QueueChanged).queue(note.entry).subject(address.clone());
        let event = event.with("action", "hold").with("to", vec![address]);
        event.with("unreadable_note", note.unreadable.clone().unwrap_or_default())
    }

    /// Removes a note. On failure it stays, but tells the next start nothing new.
    async fn put_away(&self, note: Note) {
        let entry = note.entry;
        if let Err(error) = self.on_disk(move |bodies| bodies.put_away(&note)).await {
            log::warn!(queue:% = entry, cause:% = error; "The noted result of a message cannot be removed; the next start tries again");
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
        Note::of(QueueId::generate(Timestamp::EPOCH), &(RecipientKey(key), fate.clone()), "one", None).unwrap()
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
            assert_eq!(Note::of(id, &(RecipientKey(1), fate), "one", None), None);
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

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let root = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(root.path().to_owned()).unwrap();
        let (good, bad, senseless) = (noted(3, &Fate::Done), noted(4, &Fate::Done), noted(5, &Fate::Done));
        bodies.note(std::slice::from_ref(&good)).unwrap();
        fs::write(root.path().join(NOTES).join(senseless.name()), "{").unwrap();
        // A directory cannot be read as a file.
        let path = root.path().join(NOTES).join(bad.name());
        fs::create_dir(&path).unwrap();
        let found = bodies.notes().unwrap();
        assert_eq!(found.len(), 3);
        for note in &found {
            assert_eq!(note.unreadable.is_some(), note.key != good.key);
            bodies.put_away(note).unwrap();
        }
        assert_eq!(bodies.notes().unwrap(), []);
        assert!(path.with_file_name(format!("{}{SET_ASIDE}", bad.name())).is_dir());
    }
}
