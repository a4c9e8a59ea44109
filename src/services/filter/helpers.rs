//! The virus scanner and the milters, with what holds when they do not answer.

use bytes::Bytes;

use super::authentication::{Iprev, iprev};
use super::milter::{self, Answer, Change, Surroundings};
use super::settings::{ClamavSettings, OnFailure};
use super::{FilterSettings, Signal, clamav};
use crate::foundations::address::Address;
use crate::foundations::dns::SharedResolver;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Mail;
use crate::foundations::wire::smtp::EnhancedStatus;

/// What the helpers say together.
#[derive(Debug, Default)]
pub struct Helpers {
    /// Whether there is anybody to ask.
    pub asked: bool,
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

/// Asks the scanner and the milters, the milters one after the other; `shown` is the message as milters see it. By the
/// resolver they are told the client's name.
pub async fn ask(
    settings: &FilterSettings,
    mail: &Mail,
    shown: &Bytes,
    hostname: &str,
    resolver: Option<&SharedResolver>,
) -> Helpers {
    let mut helpers = Helpers::default();
    if settings.clamav.address.is_none() && settings.milters.is_empty() {
        return helpers;
    }
    helpers.asked = true;
    scanned(&settings.clamav, mail, &mut helpers).await;
    let mut message = shown.clone();
    let client_name = match resolver {
        Some(resolver) if !settings.milters.is_empty() => client_name(settings, mail, resolver).await,
        _ => None,
    };
    let surroundings = Surroundings { hostname, client_name: client_name.as_deref() };
    for milter in &settings.milters {
        if helpers.refusal.is_some() {
            break;
        }
        let outcome = match milter::ask(milter, mail, &message, surroundings).await {
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

/// The client's name, if it leads back to its address.
async fn client_name(settings: &FilterSettings, mail: &Mail, resolver: &SharedResolver) -> Option<String> {
    let address = mail.origin.peer.ip().filter(|address| !address.is_loopback())?;
    match tokio::time::timeout(settings.deadline.duration(), iprev(&**resolver, address)).await {
        Ok(Iprev::Pass(name)) => Some(name),
        Ok(Iprev::Fail | Iprev::TempError) | Err(_) => None,
    }
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
            let refusal = replied(reply, (550, "5.7.1"), Kind::Invalid);
            tell("REJECT", refusal.to_string());
            helpers.refusal = Some(refusal);
        }
        Answer::Later(reply) => {
            let refusal = replied(reply, (451, "4.7.1"), Kind::Temporary);
            tell("LATER", refusal.to_string());
            helpers.refusal = Some(refusal);
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

/// A milter's own reply, such as `550 5.7.1 No thanks`, or a standard one. Lines of a longer one are joined, for a refusal
/// has one; each begins with the code, and with the enhanced status if there is one (RFC 5321 §4.2.1, RFC 2034 §4).
fn replied(reply: Option<String>, standard: (u16, &'static str), kind: Kind) -> Refusal {
    let reply = reply.unwrap_or_default();
    let (mut code, mut status) = (standard.0, None);
    let mut words: Vec<&str> = Vec::new();
    for line in reply.lines() {
        let mut rest = line.trim();
        if let Some((number, after)) = coded(rest) {
            (code, rest) = (number, after);
        }
        let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
        // RFC 2034 §4: it says the same as the code.
        if let Some(found) = first.parse::<EnhancedStatus>().ok().filter(|s| s.class().digit() == code / 100) {
            (status, rest) = (Some(found), after.trim());
        }
        words.extend(Some(rest).filter(|rest| !rest.is_empty()));
    }
    let clean: String = words.join(" ").chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(LONGEST).collect();
    let public = if clean.is_empty() { "The message was refused by a filter".to_owned() } else { clean };
    let refusal = Refusal::new(kind, public);
    match status {
        Some(status) => refusal.smtp(code, status.to_string()),
        None if code / 100 == standard.0 / 100 => refusal.smtp(code, standard.1),
        None => refusal.smtp(standard.0, standard.1),
    }
}

/// Most characters of a reply that are passed on: with an address before them they fit a line (RFC 5321 §4.5.3.1.5).
const LONGEST: usize = 240;

/// The code at the start of a line of a reply, and what follows it.
fn coded(line: &str) -> Option<(u16, &str)> {
    let (number, rest) = line.split_at_checked(3)?;
    let code = number.parse::<u16>().ok().filter(|code| (400..600).contains(code))?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix([' ', '-'])? };
    Some((code, rest.trim_start()))
}

fn shout(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_milter_replies_is_passed_on_in_one_line() {
        let rejected = ((550, "5.7.1"), Kind::Invalid);
        let standard = "The message was refused by a filter";
        for (reply, (standing, kind), wanted) in [
            ("550 5.7.1 No thanks", rejected, (550, "5.7.1", "No thanks")),
            ("550-5.7.26 line one\r\n550 5.7.26 line 100% two", rejected, (550, "5.7.26", "line one line 100% two")),
            ("554 Go away", rejected, (554, "5.7.1", "Go away")),
            ("550 4.7.1 Odd", rejected, (550, "5.7.1", "4.7.1 Odd")),
            ("550", rejected, (550, "5.7.1", standard)),
            ("", rejected, (550, "5.7.1", standard)),
            ("5501 words", rejected, (550, "5.7.1", "5501 words")),
            ("451 4.4.3 DNS", ((451, "4.7.1"), Kind::Temporary), (451, "4.4.3", "DNS")),
            ("421 4.3.2", ((451, "4.7.1"), Kind::Temporary), (421, "4.3.2", standard)),
        ] {
            let refusal = replied(Some(reply.to_owned()), standing, kind);
            let (code, status) = refusal.smtp.unwrap();
            assert_eq!((code, &*status, &*refusal.public), wanted, "{reply}");
        }
    }
}
