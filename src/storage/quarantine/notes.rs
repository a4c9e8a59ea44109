//! The table of notes, and the claims on them.

use std::time::Duration;

use crate::foundations::clock::Timestamp;
use crate::storage::database::{Database, Error, Row, Sql, Val};

/// A message in quarantine, as reported to its recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The message's name in the journal.
    pub mail: String,
    /// When it came.
    pub noted_at: Timestamp,
    /// Its id in the queue, if it is held there; otherwise it is in the recipient's folder.
    pub entry: Option<String>,
    /// Its From field.
    pub author: String,
    /// Its Subject field.
    pub subject: String,
    /// Its Date field.
    pub sent: String,
    /// Its score.
    pub score: f64,
    /// The reason, in words.
    pub because: String,
}

/// The room. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct QuarantineNotes {
    database: Database,
}

/// A process that has claimed an account's notes has this long to send its letter; then another may.
const LEASE: Duration = Duration::from_secs(600);
/// Longest author and subject, in characters.
const LINE: usize = 255;
/// Longest date.
const DATE: usize = 64;
/// Longest reason.
const REASON: usize = 600;

impl QuarantineNotes {
    /// The room over a migrated database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Records a message for an account; recording it again changes nothing.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note(&self, account: &str, note: &Note) -> Result<(), Error> {
        let insert = "INSERT INTO quarantine_notes (account, mail, noted_at, entry, author, subject, sent, score, because) \
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let insert = format!("{insert}{}", self.database.dialect().on_conflict(&["account", "mail"], &[]));
        let values: [Val; 9] = [
            account.into(),
            note.mail.as_str().into(),
            note.noted_at.into(),
            note.entry.clone().into(),
            line(&note.author, LINE).into(),
            line(&note.subject, LINE).into(),
            line(&note.sent, DATE).into(),
            note.score.into(),
            line(&note.because, REASON).into(),
        ];
        self.database.execute(Sql::assembled(insert), &values).await?;
        Ok(())
    }

    /// Accounts with notes from before a moment, in the order of their names after `after`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn waiting(&self, before: Timestamp, after: &str, limit: u32) -> Result<Vec<String>, Error> {
        let sql =
            "SELECT DISTINCT account FROM quarantine_notes WHERE noted_at < ? AND account > ? ORDER BY account LIMIT ?";
        let rows = self.database.fetch_all(sql, &[before.into(), after.into(), limit.into()]).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Claims an account's notes for this process; `false` when another has claimed them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claim(&self, account: &str, now: Timestamp) -> Result<bool, Error> {
        let conflict = self.database.dialect().on_conflict(&["account"], &[]);
        let insert = format!("INSERT INTO quarantine_letters (account, claimed_at) VALUES (?, 0){conflict}");
        self.database.execute(Sql::assembled(insert), &[account.into()]).await?;
        // A claim from the future was made while the clock was ahead.
        let sql =
            "UPDATE quarantine_letters SET claimed_at = ? WHERE account = ? AND (claimed_at < ? OR claimed_at > ?)";
        let values: [Val; 4] = [now.into(), account.into(), (now - LEASE).into(), (now + LEASE).into()];
        Ok(self.database.execute(sql, &values).await? == 1)
    }

    /// An account's notes from before a moment, the oldest first. Only after a claim: an earlier claimant may have sent
    /// them meanwhile.
    ///
    /// # Errors
    /// The database fails.
    pub async fn of(&self, account: &str, before: Timestamp, limit: u32) -> Result<Vec<Note>, Error> {
        let sql = "SELECT mail, noted_at, entry, author, subject, sent, score, because FROM quarantine_notes \
                   WHERE account = ? AND noted_at < ? ORDER BY noted_at, mail LIMIT ?";
        let rows = self.database.fetch_all(sql, &[account.into(), before.into(), limit.into()]).await?;
        let note = |row: &Row| -> Result<Note, Error> {
            Ok(Note {
                mail: row.text(0)?,
                noted_at: row.time(1)?,
                entry: row.opt_text(2)?,
                author: row.text(3)?,
                subject: row.text(4)?,
                sent: row.text(5)?,
                score: row.real(6)?,
                because: row.text(7)?,
            })
        };
        rows.iter().map(note).collect()
    }

    /// Records that an account has been told of notes from before a moment: they are deleted, and the claim ends.
    ///
    /// # Errors
    /// The database fails.
    pub async fn settle(&self, account: &str, before: Timestamp) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        let sql = "DELETE FROM quarantine_notes WHERE account = ? AND noted_at < ?";
        transaction.execute(sql, &[account.into(), before.into()]).await?;
        transaction.execute("DELETE FROM quarantine_letters WHERE account = ?", &[account.into()]).await?;
        transaction.commit().await
    }
}

/// A text on one line, cut to this length.
fn line(text: &str, longest: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::database::test_database;

    #[tokio::test]
    async fn one_of_two_processes_tells_and_a_claim_ends() {
        let (_folder, database) = test_database().await;
        let notes = QuarantineNotes::new(database);
        let at = |seconds: i64| Timestamp::from_unix_seconds(1_000_000 + seconds);
        let note = Note {
            mail: "m1".to_owned(),
            noted_at: at(0),
            entry: None,
            author: "Eve\r\nBcc: x".to_owned(),
            subject: "x".repeat(1000),
            sent: String::new(),
            score: 7.5,
            because: "found".to_owned(),
        };
        notes.note("ann@example.test", &note).await.unwrap();
        notes.note("ann@example.test", &note).await.unwrap();
        assert_eq!(notes.waiting(at(0), "", 10).await.unwrap(), [] as [&str; 0]);
        assert_eq!(notes.waiting(at(1), "", 10).await.unwrap(), ["ann@example.test"]);
        assert!(notes.claim("ann@example.test", at(10)).await.unwrap());
        assert!(!notes.claim("ann@example.test", at(20)).await.unwrap());
        let found = notes.of("ann@example.test", at(1), 10).await.unwrap();
        assert_eq!((found.len(), found[0].author.as_str(), found[0].subject.len()), (1, "Eve  Bcc: x", LINE));
        // The claimant has gone away silently.
        assert!(notes.claim("ann@example.test", at(700)).await.unwrap());
        notes.settle("ann@example.test", at(1)).await.unwrap();
        assert!(notes.claim("ann@example.test", at(701)).await.unwrap());
        assert!(notes.of("ann@example.test", at(1), 10).await.unwrap().is_empty());
        // The claimant from the time when the clock was ahead has gone, too.
        assert!(notes.claim("ann@example.test", at(9_000_000)).await.unwrap());
        assert!(notes.claim("ann@example.test", at(800)).await.unwrap());
    }
}
