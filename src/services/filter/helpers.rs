//! The virus scanner and the milters, and what applies when they do not answer.

use std::sync::Arc;

use bytes::Bytes;

use super::dialogue::{Dialogue, Surroundings};
use super::milter::Change;
use super::settings::{ClamavSettings, OnFailure};
use super::{FilterSettings, Signal, clamav};
use crate::foundations::address::Address;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Mail;

/// What the helpers say together.
#[derive(Debug, Default)]
pub struct Helpers {
    /// Whether any are configured.
    pub asked: bool,
    /// A permanent or temporary refusal.
    pub refusal: Option<Refusal>,
    /// The reason to quarantine the message, if any.
    pub held: Option<String>,
    /// The message as milters have left it, when they have changed it.
    pub rewritten: Option<Bytes>,
    /// Changes of the envelope, in order.
    pub envelope: Vec<Change>,
    /// Recipients for whom a milter refuses the message, though others may have it.
    pub refused: Vec<(Address, Refusal)>,
    /// Signals to report.
    pub signals: Vec<Signal>,
}

impl Helpers {
    /// Whether nothing else needs to be asked.
    pub const fn is_final(&self) -> bool {
        self.refusal.is_some()
    }
}

/// Asks the scanner and then the milters; `shown` is the message as milters see it. In a dialogue they know the
/// sender and the recipients already.
pub async fn ask(
    settings: &Arc<FilterSettings>,
    mail: &Mail,
    shown: &Bytes,
    surroundings: Surroundings<'_>,
    dialogue: Option<Box<Dialogue>>,
) -> Helpers {
    let mut helpers = Helpers::default();
    if settings.clamav.address.is_none() && settings.milters.is_empty() && dialogue.is_none() {
        return helpers;
    }
    helpers.asked = true;
    scanned(&settings.clamav, mail, &mut helpers).await;
    if helpers.is_final() {
        if let Some(dialogue) = dialogue {
            dialogue.abandon().await;
        }
        return helpers;
    }
    match dialogue {
        Some(dialogue) => dialogue.message(shown, helpers).await,
        None if settings.milters.is_empty() => helpers,
        None => {
            let Mail { id, ref origin, ref envelope, .. } = *mail;
            let mut dialogue =
                Dialogue::begin(Arc::clone(settings), surroundings, id, origin.clone(), envelope.reverse_path.clone())
                    .await;
            for recipient in &envelope.recipients {
                if let Err(refusal) = dialogue.recipient(&recipient.address).await {
                    dialogue.note_refused(&recipient.address, refusal);
                }
            }
            if dialogue.refuses(envelope.recipients.len()) {
                return dialogue.end(helpers).await;
            }
            dialogue.message(shown, helpers).await
        }
    }
}

async fn scanned(settings: &ClamavSettings, mail: &Mail, helpers: &mut Helpers) {
    match clamav::scan(settings, &mail.message.pieces()).await {
        None | Some(Ok(clamav::Answer::Clean)) => {}
        Some(Ok(clamav::Answer::Infected(name))) => {
            helpers.signals.push(Signal::new("CLAMAV_INFECTED", 100.0, name.clone()));
            let text = format!("The message contains a virus ({name})");
            helpers.refusal = Some(Refusal::new(Kind::Invalid, text).smtp(550, "5.7.1"));
        }
        Some(Err(error)) => {
            log::warn!(mail:% = mail.id; "filter: the virus scanner cannot be used: {error}");
            failed(settings.on_failure, "clamav", helpers);
        }
    }
}

/// Notes what follows when one of them does not answer.
pub(super) fn failed(action: OnFailure, name: &str, helpers: &mut Helpers) {
    let text = "The message cannot be checked now; try again later";
    let refusal = match action {
        OnFailure::Accept => None,
        OnFailure::Later => Some(Refusal::new(Kind::Temporary, text).smtp(451, "4.7.1")),
        OnFailure::Refuse => Some(Refusal::new(Kind::Invalid, "The message cannot be checked").smtp(550, "5.7.1")),
    };
    helpers.signals.push(Signal::new(format!("{}_UNAVAILABLE", shout(name)), 0.0, "it did not answer"));
    helpers.refusal = helpers.refusal.take().or(refusal);
}

/// A name as it is written in those of signals.
pub(super) fn shout(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).take(40).collect()
}
