//! What milters are told during the SMTP dialogue, and what applies when one of them does not answer.

use std::sync::Arc;

use bytes::Bytes;

use super::authentication::{Iprev, iprev};
use super::helpers::{Helpers, failed, shout};
use super::milter::{self, Answer, Change, Conversation, Told};
use super::{FilterSettings, Signal};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::dns::SharedResolver;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::MailId;
use crate::foundations::mail::Origin;
use crate::foundations::processor;
use crate::foundations::wire::smtp::EnhancedStatus;

/// What is known besides the message.
#[derive(Clone, Copy)]
pub struct Surroundings<'s> {
    /// Our name.
    pub hostname: &'s str,
    /// Looks up the client's name.
    pub resolver: Option<&'s SharedResolver>,
}

/// One message at all configured milters, from MAIL to its end. A milter is told only what those before it have let pass.
pub struct Dialogue {
    settings: Arc<FilterSettings>,
    told: Told,
    /// One per milter; `None` for one that does not answer.
    conversations: Vec<Option<Conversation>>,
    /// What has been said so far.
    said: Helpers,
}

impl std::fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialogue").field("told", &self.told).finish_non_exhaustive()
    }
}

impl Dialogue {
    /// Tells all milters of the client and the sender.
    pub(super) async fn begin(
        settings: Arc<FilterSettings>,
        surroundings: Surroundings<'_>,
        id: MailId,
        origin: Origin,
        reverse_path: ReversePath,
    ) -> Self {
        let client_name = match surroundings.resolver {
            Some(resolver) => client_name(&settings, &origin, resolver).await,
            None => None,
        };
        let told = Told { id, origin, reverse_path, hostname: surroundings.hostname.to_owned(), client_name };
        let (mut conversations, mut said) = (Vec::with_capacity(settings.milters.len()), Helpers::default());
        for milter in &settings.milters {
            conversations.push(match Conversation::begin(milter, &told).await {
                Ok(conversation) => {
                    let refuses = conversation.decided().is_some_and(|answer| refusal_of(answer).is_some());
                    if let Some(answer) = conversation.decided().filter(|_| refuses) {
                        heed(answer.clone(), &milter.name, &mut said);
                    }
                    Some(conversation)
                }
                Err(error) => {
                    silent(&told, &milter.name, &error);
                    failed(milter.on_failure, &milter.name, &mut said);
                    None
                }
            });
            if said.is_final() {
                break;
            }
        }
        Self { settings, told, conversations, said }
    }

    /// The name under which milters know the message.
    pub const fn id(&self) -> MailId {
        self.told.id
    }

    /// The refusal of the sender, if there is one.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.said.refusal.as_ref().map(Refusal::again)
    }

    /// Announces a recipient. The refusal is for this one, or for all that follow if a milter does not answer.
    pub async fn recipient(&mut self, address: &Address) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        for (milter, place) in self.settings.milters.iter().zip(&mut self.conversations) {
            let Some(conversation) = place else { continue };
            match conversation.recipient(&self.told, address).await {
                Ok(answer) => {
                    if let Some(refusal) = answer.as_ref().and_then(refusal_of) {
                        return Err(refusal);
                    }
                }
                Err(error) => {
                    *place = None;
                    silent(&self.told, &milter.name, &error);
                    failed(milter.on_failure, &milter.name, &mut self.said);
                    if let Some(refusal) = &self.said.refusal {
                        return Err(refusal.again());
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes a refused recipient about whom the client learns only with the message. The refusal names the recipient: it may
    /// be the answer for all.
    pub(super) fn note_refused(&mut self, address: &Address, mut refusal: Refusal) {
        if self.said.is_final() {
            return;
        }
        refusal.public = format!("<{address}>: {}", refusal.public).into();
        self.said.refused.push((address.clone(), refusal));
    }

    /// Whether none of this many recipients is left.
    pub(super) fn refuses(&self, recipients: usize) -> bool {
        self.said.is_final() || (recipients > 0 && self.said.refused.len() == recipients)
    }

    /// Tells the message to one milter after the other, and adds to `helpers` what all have said.
    pub(super) async fn message(mut self, shown: &Bytes, helpers: Helpers) -> Helpers {
        let mut message = shown.clone();
        for (milter, place) in self.settings.milters.iter().zip(&mut self.conversations) {
            if self.said.is_final() {
                break;
            }
            let Some(conversation) = place else { continue };
            let outcome = match conversation.message(&self.told, &message).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    *place = None;
                    silent(&self.told, &milter.name, &error);
                    failed(milter.on_failure, &milter.name, &mut self.said);
                    continue;
                }
            };
            let (envelope, content): (Vec<_>, Vec<_>) = outcome.changes.into_iter().partition(Change::is_of_envelope);
            if !content.is_empty() {
                let before = message.clone();
                match processor::in_turn(move || milter::apply(&before, &content)).await {
                    Ok(changed) => message = changed,
                    Err(error) => {
                        log::error!(mail:% = self.told.id, milter:% = milter.name; "filter: a milter's changes cannot be applied: {error}");
                        failed(milter.on_failure, &milter.name, &mut self.said);
                        continue;
                    }
                }
            }
            self.said.envelope.extend(envelope);
            heed(outcome.answer, &milter.name, &mut self.said);
        }
        self.said.rewritten = Some(message).filter(|message| message != shown);
        self.end(helpers).await
    }

    /// Ends the conversations, and adds to `helpers` what all have said.
    pub(super) async fn end(self, mut helpers: Helpers) -> Helpers {
        futures_util::future::join_all(self.conversations.into_iter().flatten().map(Conversation::end)).await;
        helpers.signals.extend(self.said.signals);
        Helpers { asked: true, signals: helpers.signals, ..self.said }
    }

    /// Ends the conversations: the message will not come.
    pub async fn abandon(self) {
        self.end(Helpers::default()).await;
    }
}

fn silent(told: &Told, name: &str, error: &milter::Error) {
    log::warn!(mail:% = told.id, milter:% = name; "filter: the milter cannot be used: {error}");
}

/// The client's name, if it leads back to its address.
async fn client_name(settings: &FilterSettings, origin: &Origin, resolver: &SharedResolver) -> Option<String> {
    let address = origin.peer.ip().filter(|address| !address.is_loopback())?;
    match tokio::time::timeout(settings.deadline.duration(), iprev(&**resolver, address)).await {
        Ok(Iprev::Pass(name)) => Some(name),
        Ok(Iprev::Fail | Iprev::TempError) | Err(_) => None,
    }
}

fn heed(answer: Answer, name: &str, helpers: &mut Helpers) {
    let mut tell = |what: &str, because: String| {
        helpers.signals.push(Signal::new(format!("MILTER_{}_{what}", shout(name)), 0.0, because));
    };
    if let Some(refusal) = refusal_of(&answer) {
        tell(if refusal.is_temporary() { "LATER" } else { "REJECT" }, refusal.to_string());
        helpers.refusal = Some(refusal);
        return;
    }
    match answer {
        Answer::Accept | Answer::Reject(_) | Answer::Later(_) => {}
        // Mail is never dropped without a trace: a message that a milter discards is kept where an administrator finds it.
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

/// The refusal that an answer means, if it means one.
fn refusal_of(answer: &Answer) -> Option<Refusal> {
    match answer {
        Answer::Reject(reply) => Some(replied(reply.as_deref(), (550, "5.7.1"), Kind::Invalid)),
        Answer::Later(reply) => Some(replied(reply.as_deref(), (451, "4.7.1"), Kind::Temporary)),
        Answer::Accept | Answer::Discard | Answer::Quarantine(_) => None,
    }
}

/// A milter's own reply, such as `550 5.7.1 No thanks`, or a standard one. The lines of a longer one are joined, since a refusal
/// has only one; each begins with the code, and with the enhanced status if there is one (RFC 5321 §4.2.1, RFC 2034 §4).
fn replied(reply: Option<&str>, standard: (u16, &'static str), kind: Kind) -> Refusal {
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

/// Most characters of a reply that are passed on: with an address before them they fit on a line (RFC 5321 §4.5.3.1.5).
const LONGEST: usize = 240;

/// The code at the start of a line of a reply, and what follows it.
fn coded(line: &str) -> Option<(u16, &str)> {
    let (number, rest) = line.split_at_checked(3)?;
    let code = number.parse::<u16>().ok().filter(|code| (400..600).contains(code))?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix([' ', '-'])? };
    Some((code, rest.trim_start()))
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
            let refusal = replied(Some(reply), standing, kind);
            let (code, status) = refusal.smtp.unwrap();
            assert_eq!((code, &*status, &*refusal.public), wanted, "{reply}");
        }
    }
}
