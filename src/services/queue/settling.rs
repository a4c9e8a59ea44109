//! Writing down the results for recipients, whatever the state of the database.

use std::time::Duration;

use super::Queue;
use super::outcome::Consequence;
use crate::foundations::ids::QueueId;
use crate::storage::spool::{self, Action, Fate, Note, RecipientKey, Report, Settler};

/// How long the database may take before a note is left beside the spool.
const NOTED_AFTER: Duration = Duration::from_secs(1);
/// Longest pause between attempts to write down what has happened.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often the database must refuse before the refusal is believed.
const REFUSALS: u32 = 3;
/// How often a write is tried while the server is stopping.
const LAST_ATTEMPTS: u32 = 3;

/// Whether fates have been written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// The server is stopping and the database is away, or it refuses what could be forgotten.
    No,
}

/// Whether a recipient may have been sent the message in the attempt whose result is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Perhaps,
    /// Nothing can happen twice.
    No,
}

impl Written {
    /// Whether both have.
    const fn and(self, other: Self) -> Self {
        match self {
            Self::Yes => other,
            Self::No => Self::No,
        }
    }
}

impl Queue {
    /// Records the result of an attempt. While the database does not take it, a note of what must not happen again lies
    /// beside the spool, so that the next process knows if this one ends.
    pub(super) async fn settle_noting(&self, id: QueueId, consequences: &[(RecipientKey, Consequence)]) -> Written {
        let fates: Vec<(RecipientKey, Fate)> = consequences.iter().map(|(key, one)| (*key, one.fate.clone())).collect();
        let note = |(fate, (_, one)): (_, &(_, Consequence))| Note::of(id, fate, self.owner(), one.event.clone());
        let notes: Vec<Note> = fates.iter().zip(consequences).filter_map(note).collect();
        let mut settling = std::pin::pin!(self.settle_surely(id, &fates, Sent::Perhaps));
        if notes.is_empty() {
            return settling.await;
        }
        let early = tokio::time::timeout(NOTED_AFTER, &mut settling).await.ok();
        if early == Some(Written::Yes) {
            return Written::Yes;
        }
        let spool = &self.0.parts.spool;
        if let Err(error) = spool.note(&notes).await {
            log::error!(queue:% = id, cause:% = error;
                "The result of an attempt cannot be recorded anywhere: if the server stops before the database takes it, the message is sent again");
        }
        let written = match early {
            Some(written) => written,
            None => settling.await,
        };
        if written == Written::Yes
            && let Err(error) = spool.forget_notes(&notes).await
        {
            log::warn!(queue:% = id, cause:% = error; "The note of a message's result cannot be removed; the next start removes it");
        }
        written
    }

    /// Writes into the database what an earlier process, or another node that is gone, could only note beside the spool.
    pub(super) async fn settle_noted(&self) -> Result<(), spool::Error> {
        let told = self.0.parts.spool.settle_noted(self.owner()).await?;
        if !told.is_empty() {
            log::warn!(recipients = told.len(); "The results of attempts made while the database was away are now being written to it");
        }
        told.into_iter().filter_map(|note| note.event).for_each(|event| self.0.parts.journal.record(event));
        Ok(())
    }

    /// Writes fates down, however long the database is away: what has been sent must not be sent again. If the database refuses a
    /// fate, the recipient is held. If it refuses even that and nothing was sent, housekeeping gives the recipient back: nobody, the
    /// scheduler least of all, waits for a database that refuses.
    pub(super) async fn settle_surely(&self, id: QueueId, fates: &[(RecipientKey, Fate)], sent: Sent) -> Written {
        let error = match self.settle_unless_refused(id, fates).await {
            Ok(written) => return written,
            Err(error) => error,
        };
        log::error!(queue:% = id, cause:% = error;
            "The database refuses the result of an attempt: the recipients concerned are held; look before you release them");
        let mut written = Written::Yes;
        for (key, fate) in fates {
            let one = [(*key, fate.clone())];
            written = written.and(match self.settle_unless_refused(id, &one).await {
                Ok(written) => written,
                Err(error) => self.hold_surely(id, (*key, fate), sent, &error).await,
            });
        }
        written
    }

    /// Holds a recipient whose fate the database refuses. If it refuses that, too, all that can be done is to keep the recipient from
    /// being tried until somebody has looked, unless nothing was sent.
    async fn hold_surely(
        &self,
        id: QueueId,
        (key, fate): (RecipientKey, &Fate),
        sent: Sent,
        error: &spool::Error,
    ) -> Written {
        let reason = format!("the last attempt has ended ({}), but its result cannot be kept: {error}", ended(fate));
        let held = [(key, Fate::Hold { reason })];
        loop {
            let error = match self.settle_unless_refused(id, &held).await {
                Ok(written) => return written,
                Err(error) => error,
            };
            log::error!(queue:% = id, cause:% = error; "The database refuses to hold a recipient; it will be tried again");
            if sent == Sent::No || self.0.parts.tasks.is_stopping() {
                return Written::No;
            }
            tokio::time::sleep(LONGEST_PAUSE).await;
        }
    }

    /// What this process claims is settled under its own name.
    fn as_settler(&self) -> Settler<'_> {
        Settler::Claimant(self.owner())
    }

    /// Writes fates down unless the database refuses again and again.
    async fn settle_unless_refused(
        &self,
        id: QueueId,
        fates: &[(RecipientKey, Fate)],
    ) -> Result<Written, spool::Error> {
        let mut pause = Duration::from_millis(500);
        let mut attempts = 0;
        loop {
            let error = match self.0.parts.spool.settle(id, self.as_settler(), fates).await {
                Ok(_) => return Ok(Written::Yes),
                Err(error) => error,
            };
            attempts += 1;
            if attempts >= REFUSALS && error.is_refusal() {
                return Err(error);
            }
            if attempts == 1 {
                log::error!(queue:% = id, cause:% = error; "The result of an attempt cannot be recorded yet");
            }
            if self.0.parts.tasks.is_stopping() && attempts >= LAST_ATTEMPTS {
                return Ok(Written::No);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// What an administrator is to know about an attempt whose result could not be kept.
const fn ended(fate: &Fate) -> &'static str {
    match fate {
        Fate::Reported(Report { action: Action::Failed, .. }) => "the message was refused",
        Fate::Done | Fate::Reported(_) => "the message was taken",
        Fate::Again { .. } => "it was to be tried again",
        Fate::Untried { .. } | Fate::Redirected { .. } | Fate::Hold { .. } => "nothing was sent",
    }
}
