//! What is noted of a message in quarantine, for the letter to its recipients.

use crate::foundations::clock::Timestamp;
use crate::foundations::mail::Mail;
use crate::services::filter::view::View;
use crate::services::filter::{LimitSettings, Verdict};
use crate::storage::quarantine::Note;

/// Most reasons that are noted.
const MAX_REASONS: usize = 3;

/// The note of a message, held in the queue or not.
pub(super) fn note(mail: &Mail, verdict: &Verdict, entry: Option<String>, now: Timestamp) -> Note {
    let limits = LimitSettings::default();
    let view = View::header(mail.message.original(), &limits);
    let reasons = verdict.signals.iter().filter(|signal| signal.weight > 0.0).take(MAX_REASONS);
    let mut reasons: Vec<&str> = reasons.map(|signal| &*signal.because).collect();
    if reasons.is_empty() {
        // A milter asked for that.
        reasons = verdict.signals.iter().take(MAX_REASONS).map(|signal| &*signal.because).collect();
    }
    Note {
        mail: mail.id.to_string(),
        noted_at: now,
        entry,
        author: view.value("From").to_owned(),
        subject: view.value("Subject").to_owned(),
        sent: view.value("Date").to_owned(),
        score: verdict.score,
        because: reasons.join("; "),
    }
}
