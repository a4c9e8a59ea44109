//! The virus scanner and the milters, with what holds when they do not answer.

use bytes::Bytes;

use super::milter::{self, Answer, Change};
use super::settings::{ClamavSettings, OnFailure};
use super::{FilterSettings, Signal, clamav};
use crate::foundations::address::Address;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Mail;

/// What the helpers say together.
#[derive(Debug, Default)]
pub struct Helpers {
    /// To be refused, for good or for now.
    pub refusal: Option<Refusal>,
    /// To be kept, with the reason.
    pub held: Option<String>,
    /// The message as milters have left it, when they have changed it.
    pub rewritten: Option<Bytes>,
    /// Recipients to be added and removed.
    pub recipients: Vec<Change>,
    /// Recipients for whom a milter refuses the message, though others may have it.
    pub refused: Vec<(Address, Refusal)>,
    /// What is to be told.
    pub signals: Vec<Signal>,
}

impl Helpers {
    /// Whether nothing else needs to be asked.
    pub const fn is_final(&self) -> bool {
        self.refusal.is_some()
    }
}

/// Asks the scanner and the milters, the milters one after the other; `shown` is the message as milters see it.
pub async fn ask(settings: &FilterSettings, mail: &Mail, shown: &Bytes, hostname: &str) -> Helpers {
    let mut helpers = Helpers::default();
    if settings.clamav.address.is_none() && settings.milters.is_empty() {
        return helpers;
    }
    scanned(&settings.clamav, mail, &mut helpers).await;
    let mut message = shown.clone();
    for milter in &settings.milters {
        if helpers.refusal.is_some() {
            break;
        }
        let outcome = match milter::ask(milter, mail, &message, hostname).await {
            Ok(outcome) => outcome,
            Err(error) => {
                log::warn!(mail:% = mail.id, milter:% = milter.name; "filter: the milter cannot be asked: {error}");
                failed(milter.on_failure, &milter.name, &mut helpers);
                continue;
            }
        };
        let changed = milter::apply(&message, &outcome.changes);
        if changed != message {
            helpers.rewritten = Some(changed.clone());
            message = changed;
        }
        let about_recipients = |c: &Change| matches!(c, Change::AddRecipient(_) | Change::RemoveRecipient(_));
        helpers.recipients.extend(outcome.changes.into_iter().filter(about_recipients));
        for (recipient, answer) in outcome.refused {
            helpers.refused.extend(refused_for(&recipient, answer).map(|refusal| (recipient, refusal)));
        }
        heed(outcome.answer, &milter.name, &mut helpers);
    }
    helpers
}

async fn scanned(settings: &ClamavSettings, mail: &Mail, helpers: &mut Helpers) {
    match clamav::scan(settings, &mail.message.pieces()).await {
        None | Some(Ok(clamav::Answer::Clean)) => {}
        Some(Ok(clamav::Answer::Infected(name))) => {
            helpers.signals.push(Signal::new("CLAMAV_INFECTED", 100.0, name.clone()));
            let text = format!("The message holds a virus ({name})");
            helpers.refusal = Some(Refusal::new(Kind::Invalid, text).smtp(550, "5.7.1"));
        }
        Some(Err(error)) => {
            log::warn!(mail:% = mail.id; "filter: the virus scanner cannot be asked: {error}");
            failed(settings.on_failure, "clamav", helpers);
        }
    }
}

fn failed(action: OnFailure, name: &str, helpers: &mut Helpers) {
    let text = "The message cannot be checked now; try again later";
    let refusal = match action {
        OnFailure::Accept => None,
        OnFailure::Later => Some(Refusal::new(Kind::Temporary, text).smtp(451, "4.7.1")),
        OnFailure::Refuse => Some(Refusal::new(Kind::Invalid, "The message cannot be checked").smtp(550, "5.7.1")),
    };
    helpers.signals.push(Signal::new(format!("{}_UNAVAILABLE", shout(name)), 0.0, "it did not answer"));
    helpers.refusal = helpers.refusal.take().or(refusal);
}

fn heed(answer: Answer, name: &str, helpers: &mut Helpers) {
    let mut tell = |what: &str, because: String| {
        helpers.signals.push(Signal::new(format!("MILTER_{}_{what}", shout(name)), 0.0, because));
    };
    match answer {
        Answer::Accept => {}
        Answer::Reject(reply) => {
            tell("REJECT", reply.clone().unwrap_or_default());
            helpers.refusal = Some(replied(reply, (550, "5.7.1"), Kind::Invalid));
        }
        Answer::Later(reply) => {
            tell("LATER", reply.clone().unwrap_or_default());
            helpers.refusal = Some(replied(reply, (451, "4.7.1"), Kind::Temporary));
        }
        // Mail is never dropped without a trace: what a milter wants dropped is kept where an administrator finds it.
        Answer::Discard => {
            tell("DISCARD", String::new());
            helpers.held = Some(format!("milter `{name}` wants it dropped"));
        }
        Answer::Quarantine(reason) => {
            tell("QUARANTINE", reason.clone());
            helpers.held = Some(reason);
        }
    }
}

/// The refusal for one recipient, which it names: the answer may be given for all.
fn refused_for(recipient: &Address, answer: Answer) -> Option<Refusal> {
    let mut refusal = match answer {
        Answer::Reject(reply) => replied(reply, (550, "5.7.1"), Kind::Invalid),
        Answer::Later(reply) => replied(reply, (451, "4.7.1"), Kind::Temporary),
        Answer::Accept | Answer::Discard | Answer::Quarantine(_) => return None,
    };
    refusal.public = format!("<{recipient}>: {}", refusal.public).into();
    Some(refusal)
}

/// A milter's own reply, such as `550 5.7.1 No thanks`, or a standard one. Its enhanced status is not passed on: only
/// known ones can be.
fn replied(reply: Option<String>, standard: (u16, &'static str), kind: Kind) -> Refusal {
    let text = reply.unwrap_or_default();
    let code =
        text.get(..3).and_then(|c| c.parse::<u16>().ok()).filter(|c| (400..600).contains(c)).unwrap_or(standard.0);
    let words = text.get(3..).unwrap_or_default().trim();
    let words = match words.split_once(' ') {
        Some((status, rest)) if status.starts_with(['4', '5']) && status.contains('.') => rest,
        _ => words,
    };
    let clean: String = words.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(200).collect();
    let public = if clean.is_empty() { "The message was refused by a filter".to_owned() } else { clean };
    Refusal::new(kind, public).smtp(code, standard.1)
}

fn shout(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).take(40).collect()
}
