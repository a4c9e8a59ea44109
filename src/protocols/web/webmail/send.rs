//! Sending.
//!
//! A request is carried out once, however often it is sent: the page gives each letter its own key. While one is in progress,
//! others with its key wait for the same answer; later ones get that answer, too. The Message-ID is made from the key, so that
//! a request repeated after a restart is found among sent messages. A table records which process has begun a request and
//! whether it is done, so that a request repeated to another process, because the mailboxes are now on another node, is not
//! carried out there too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Room;
use super::acts::change;
use super::answer::{Answer, Problem, Wish as Wished};
use super::attached::too_large;
use super::build::{Addressed, AnswerKind, Letter, Moment, Purpose};
use super::door::Reader;
use super::drafts::{discard, size, special};
use super::holding;
use super::people::may_use;
use super::reasons;
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::budget::Share;
use crate::foundations::clock::Timestamp;
use crate::foundations::failure::Refusal;
use crate::foundations::ids::MailId;
use crate::foundations::mail::{
    BodyKind, DsnReturn, Envelope, Mail, Message, Notify, Origin, Recipient, SequenceNumber, Summary, Uid, With,
};
use crate::foundations::said::{self, IntoValue as _, said};
use crate::protocols::web::caller::Caller;
use crate::protocols::web::token::digest;
use crate::storage::mailbox::{Access, AppendOptions, FlagOperation, Flags, Missing, SpecialUse};
use crate::storage::personal::{Begun, Wish};

/// A letter to be sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sending {
    /// Chosen by the page, another one for each letter.
    pub(super) key: String,
    pub(super) letter: Letter,
    /// The draft it was until now.
    pub(super) draft: Option<u32>,
    /// How many seconds it can still be taken back; it is sent at once without.
    #[serde(default, skip_serializing)]
    pub(super) hold: Option<u32>,
}

/// Why a letter is sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A request.
    Asked,
    /// The time until which it was held, unless it was taken back.
    Due,
}

/// Sends in progress, and recent ones.
#[derive(Debug, Default)]
pub(super) struct Sendings(Mutex<HashMap<String, Known>>);

#[derive(Debug, Clone)]
struct Known {
    at: Timestamp,
    /// Locked while it is being sent; then the answer.
    answer: Arc<tokio::sync::Mutex<Option<Answered>>>,
}

/// A letter, by its digest, and the answer to it.
type Answered = (String, Value);

impl Known {
    /// Whether somebody sends it or waits for its answer now.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.answer) > 1
    }
}

/// How long an answer is kept, and how many are.
const KEPT: Duration = Duration::from_secs(3_600);
const MOST_KEPT: usize = 10_000;

impl Sendings {
    pub(super) fn enter(&self, name: String, now: Timestamp) -> Arc<tokio::sync::Mutex<Option<Answered>>> {
        let mut known = self.0.lock();
        if known.len() >= MOST_KEPT {
            known.retain(|_, known| known.at + KEPT > now || known.is_used());
        }
        if known.len() >= MOST_KEPT {
            let oldest = known.iter().filter(|(_, known)| !known.is_used()).min_by_key(|(_, known)| known.at);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                known.remove(&oldest);
            }
        }
        let fresh = || Known { at: now, answer: Arc::default() };
        Arc::clone(&known.entry(name).or_insert_with(fresh).answer)
    }
}

pub(super) async fn send(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    reader: Reader,
    Wished(sending): Wished<Sending>,
) -> Answer<Response> {
    Ok(Json(fulfil(room, caller, reader, sending, Occasion::Asked).await?).into_response())
}

/// Sends a letter once; repetitions get the first answer.
pub(super) async fn fulfil(
    room: Arc<Room>,
    caller: Caller,
    reader: Reader,
    sending: Sending,
    occasion: Occasion,
) -> Answer<Value> {
    let name = name(&reader, &sending.key)?;
    let known = room.sendings.enter(name.clone(), room.needs.clock.now());
    // A browser that goes away in the middle must not leave half of it undone.
    let tasks = room.needs.tasks.clone();
    let work = tasks.spawn(async move {
        let mut answer = known.lock().await;
        let letter = sending.letter.digest();
        if let Some((sent, answer)) = &*answer {
            return if *sent == letter { Ok(answer.clone()) } else { Err(another_letter()) };
        }
        if let Some(seconds) = sending.hold.filter(|seconds| *seconds > 0) {
            return Box::pin(holding::hold(&room, &caller, &reader, &sending, seconds)).await;
        }
        if occasion == Occasion::Due && !holding::is_held(&room, &reader, &sending).await? {
            return Ok(json!({ "sent": false, "notes": [] }));
        }
        let sent = Box::pin(send_once(&room, &caller, &reader, &sending, &name)).await?;
        holding::let_go(&room, &reader, &sending).await;
        *answer = Some((letter, sent.clone()));
        Ok::<Value, Problem>(sent)
    });
    work.await?
}

/// The unique name of a request.
pub(super) fn name(reader: &Reader, key: &str) -> Answer<String> {
    if key.len() < 16 || key.len() > 100 {
        return Err(Problem::bad("`key` must have 16 to 100 characters, chosen at random for each letter."));
    }
    Ok(format!("{} {key}", reader.account.address.key()))
}

/// A letter that can be sent, and the memory it takes.
pub(super) struct Ready {
    addressed: Addressed,
    octets: Vec<u8>,
    _memory: Share<String>,
}

/// Makes the message of a letter; refuses what could not be sent.
pub(super) async fn ready(room: &Arc<Room>, reader: &Reader, letter: &Letter, moment: &Moment) -> Answer<Ready> {
    let addressed = letter.addressed(room.needs.settings.get().recipients)?;
    may_use(room, reader, &addressed.from).await?;
    let memory = letter.memory(room, reader).await?;
    let body = letter.body(room, reader).await?;
    let octets = letter.build(&body, moment, Purpose::Sending)?;
    if octets.len() as u64 > room.needs.settings.get().message.get() {
        return Err(too_large(room));
    }
    Ok(Ready { addressed, octets, _memory: memory })
}

async fn send_once(room: &Arc<Room>, caller: &Caller, reader: &Reader, sending: &Sending, name: &str) -> Answer<Value> {
    let letter = &sending.letter;
    let moment = moment(room, name, &letter.digest());
    if let Some(message_id) = was_sent(reader, &moment.message_id).await? {
        let is_this = message_id == bare(&moment.message_id);
        return if is_this { Ok(json!({ "sent": true, "notes": [] })) } else { Err(another_letter()) };
    }
    let Ready { addressed, octets, _memory } = ready(room, reader, letter, &moment).await?;
    let message = Message::new(octets);
    let recipients = addressed.people.iter().map(|(_, address)| address.clone()).collect();
    let mut mail = mail(room, caller, reader, (addressed.from, recipients), message.clone());
    if letter.notify {
        tell_of_delivery(&mut mail.envelope);
    }
    submit(room, reader, mail, &digest(name)).await?;
    Ok(json!({ "sent": true, "notes": after(room, reader, sending, message, &addressed.people).await }))
}

/// Has a message sent, unless another process has had it sent already.
async fn submit(room: &Room, reader: &Reader, mail: Mail, name: &str) -> Answer<()> {
    let (needs, now) = (&room.needs, room.needs.clock.now());
    let process = room.process.as_deref().map_err(|missing| *missing)?;
    let wish = Wish { account: &reader.account.address, name, process };
    match needs.personal.begin_sending(wish, now, now - REMEMBERED).await? {
        Begun::Here => {}
        Begun::Sent => return Ok(()),
        Begun::Elsewhere(at) => return Err(begun_elsewhere(now.since(at))),
    }
    if let Err(refusal) = needs.submitting.submit(mail, &reader.login).await {
        // What stays reserved is this process's to try again.
        if let Err(error) = needs.personal.take_sending_back(wish).await {
            log::warn!(user:% = reader.login.address, error:% = error; "It could not be recorded that a letter was not sent");
        }
        return Err(not_taken(refusal));
    }
    if let Err(error) = needs.personal.note_sent(wish, needs.clock.now()).await {
        log::warn!(user:% = reader.login.address, error:% = error; "It could not be recorded that a letter was sent");
    }
    Ok(())
}

/// The server's reason for rejecting a message, in the words other programs get too.
pub(super) fn not_taken(refusal: Refusal) -> Problem {
    let why = cause(&refusal);
    Problem::from(refusal).because(&reasons::NOT_TAKEN, why)
}

/// The cause by its enhanced status (RFC 3463), which it has whichever process has refused the message.
fn cause(refusal: &Refusal) -> said::Value {
    let text = refusal.public.trim_end_matches('.');
    let status = refusal.smtp.as_ref().map_or("", |(_, status)| status.as_ref());
    let said = match status {
        "5.1.1" => said!("mail-no-user", "{text}", text),
        "5.2.1" => said!("mail-user-disabled", "{text}", text),
        "4.2.2" | "5.2.2" => said!("mail-full", "{text}", text),
        "4.3.1" => said!("mail-no-room", "{text}", text),
        "4.7.1" => said!("mail-later", "{text}", text),
        "5.4.6" => said!("mail-loop", "{text}", text),
        "5.5.3" => said!("mail-many-copies", "{text}", text),
        "5.7.1" => said!("mail-not-allowed", "{text}", text),
        _ => return text.into_value(),
    };
    said.into_value()
}

/// The page gives each letter its own key, so this is the client's fault; but it must not appear to be sent.
const fn another_letter() -> Problem {
    Problem::of(&reasons::ANOTHER_LETTER)
}

/// Another process was asked first, this long ago.
fn begun_elsewhere(ago: Duration) -> Problem {
    if ago < IN_HAND {
        return Problem::of(&reasons::BEING_SENT);
    }
    Problem::of(&reasons::PERHAPS_SENT)
}

/// How long another process is assumed to be still working on it.
const IN_HAND: Duration = Duration::from_secs(120);
/// How long a sent letter is remembered. Pages do not retry for that long.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

/// The message with its envelope.
pub(super) fn mail(
    room: &Room,
    caller: &Caller,
    reader: &Reader,
    (from, recipients): (Address, Vec<Address>),
    message: Message,
) -> Mail {
    let at = room.needs.clock.now();
    let smtputf8 = from.needs_smtputf8() || recipients.iter().any(Address::needs_smtputf8);
    let envelope = Envelope {
        body: BodyKind::of(message.original()),
        smtputf8,
        ..Envelope::plain(ReversePath::Address(from), recipients.into_iter().map(Recipient::plain).collect())
    };
    let origin = Origin {
        session: reader.session,
        peer: caller.client,
        local: None,
        // Where a user sits with a browser is nobody's business.
        hello: String::new(),
        with: if caller.is_encrypted { With::Https } else { With::Http },
        tls: None,
        login: Some(reader.login.clone()),
        at,
    };
    Mail { id: MailId::generate(at), origin, envelope, message }
}

/// Requests all delivery notifications of a message (RFC 3461 §4.1), with its header only: the sender has the rest.
fn tell_of_delivery(envelope: &mut Envelope) {
    envelope.dsn.ret = Some(DsnReturn::Headers);
    for recipient in &mut envelope.recipients {
        recipient.notify = Notify { success: true, failure: true, delay: true, explicit: true };
    }
}

/// What follows once the message is on its way. Nothing of it can make it unsent, so what fails is a note.
async fn after(
    room: &Arc<Room>,
    reader: &Reader,
    sending: &Sending,
    message: Message,
    people: &[(String, Address)],
) -> Vec<Value> {
    let mut notes = Vec::new();
    let draft = sending.draft.zip(special(reader, SpecialUse::Drafts).ok());
    let going = match &draft {
        Some((uid, folder)) => size(reader, folder, *uid).await,
        None => None,
    };
    if let Err(problem) = keep_copy(reader, message, going).await {
        notes.push(problem.note(&reasons::NO_COPY_KEPT));
    }
    if let Some(answers) = &sending.letter.answers {
        let flag = match answers.kind {
            AnswerKind::Reply => Flags::ANSWERED,
            AnswerKind::Forward => Flags::FORWARDED,
        };
        // The answered message may have gone elsewhere since.
        if let (Ok(view), Some(uid)) = (reader.open(&answers.folder, Access::ReadWrite).await, Uid::new(answers.uid)) {
            let _ = change(&view, &[uid], FlagOperation::Add, flag).await;
        }
    }
    if let Some((uid, folder)) = draft {
        discard(reader, &folder, uid).await;
    }
    room.uploads.drop_all(&reader.account.address.key(), sending.letter.uploads());
    let (most, now, limits) = (room.needs.settings.get().people, room.needs.clock.now(), room.needs.dav.get().limits());
    if let Err(error) = room.needs.contacts.wrote_to(&reader.account.address, people, most, &limits, now).await {
        log::warn!(user:% = reader.login.address, error:% = error; "People written to could not be remembered");
    }
    notes
}

/// Keeps a copy of sent mail. The draft it was, of this many octets, makes room for it.
async fn keep_copy(reader: &Reader, message: Message, in_place_of: Option<u64>) -> Answer<()> {
    let folder = special(reader, SpecialUse::Sent)?;
    let options = AppendOptions {
        flags: Flags::SEEN,
        keywords: Vec::new(),
        internal_date: None,
        quota: reader.quota(),
        missing: Missing::Create,
        in_place_of,
    };
    reader.user.append(&folder, &message, options).await?;
    Ok(())
}

/// The id of a recently sent message that was made for the same request, if any.
async fn was_sent(reader: &Reader, message_id: &str) -> Answer<Option<String>> {
    let Ok(folder) = special(reader, SpecialUse::Sent) else { return Ok(None) };
    let Ok(view) = reader.user.open(&folder, Access::ReadOnly).await else { return Ok(None) };
    let last = view.len() as usize;
    let numbers = (last.saturating_sub(LOOKED_AT)..last).filter_map(SequenceNumber::from_index);
    let uids: Vec<Uid> = numbers.filter_map(|number| view.row(number)).map(|row| row.uid).collect();
    let wish = bare(message_id).split('.').next().unwrap_or_default();
    let mut summaries = view.summaries(uids);
    while let Some((_, stored)) = summaries.next().await {
        let Ok(stored) = stored else { continue };
        let found = Summary::read(&stored).map(|summary| summary.fields.message_id.to_string());
        if let Some(found) = found.filter(|found| found.split(['.', '@']).next() == Some(wish)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A Message-ID as summaries have it.
fn bare(message_id: &str) -> &str {
    message_id.trim_start_matches('<').trim_end_matches('>')
}

/// Messages in the folder for sent ones that are looked at.
const LOOKED_AT: usize = 20;

/// The time and names of sending. The Message-ID is made from the request's name and the letter; neither can be derived from it.
pub(super) fn moment(room: &Room, name: &str, letter: &str) -> Moment {
    let hex = digest(name);
    let letter = &digest(&format!("{name} {letter}"))[..16];
    let message_id = format!("<{}.{letter}@{}>", &hex[..32], room.needs.hostname.get());
    Moment { at: room.needs.clock.now(), message_id, boundary: hex[32..].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::failure::Kind;

    #[test]
    fn why_a_message_is_not_taken_is_known_by_its_status() {
        let unknown = Refusal::new(Kind::NotFound, "No such user here.").smtp(550, "5.1.1");
        assert_eq!(cause(&unknown), said!("mail-no-user", "{text}", text = "No such user here").into_value());
        let other = Refusal::new(Kind::Invalid, "The message says: no");
        assert_eq!(cause(&other), said::Value::Text("The message says: no".to_owned()));
    }
}
