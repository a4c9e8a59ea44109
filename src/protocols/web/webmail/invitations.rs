//! Invitations: shown, answered by mail (RFC 6047), and entered into the calendars that other programs see by CalDAV.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem, Wish};
use super::build::{AnswerKind, Answers, Correspondent, Replying};
use super::contacts::record;
use super::door::Reader;
use super::people::identities;
use super::read::people;
use super::reasons;
use super::send::{self, Occasion, Sending};
use super::source;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::addresses::MAX_ENTRIES;
use crate::foundations::mail::{HeaderSection, Kind, Structure};
use crate::foundations::processor::in_turn;
use crate::foundations::said::said;
use crate::protocols::web::caller::Caller;
use crate::services::dav::{
    CalendarObject, Calendars, Invitation, Participant, Participation, Recorded, Shown, Standing, Unfit, etag,
};
use crate::storage::dav::{Collection, Condition, Error, Object};
use crate::storage::mailbox::Access;

/// Which part of a message.
#[derive(Deserialize)]
pub(super) struct Question {
    folder: String,
    uid: u32,
    part: usize,
}

/// The requested action.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acting {
    folder: String,
    uid: u32,
    part: usize,
    act: Act,
    /// The letter to the organiser, where the act is an answer.
    answer: Option<Letter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Act {
    Accept,
    Tentative,
    Decline,
    /// Into the calendar, without an answer.
    Keep,
    /// Out of the calendar.
    Remove,
    /// Somebody's answer into one's own event.
    Note,
}

/// What people read of an answer; the page writes it in their language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    /// As in sending.
    key: String,
    from: Correspondent,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
}

impl Act {
    const fn participation(self) -> Option<Participation> {
        match self {
            Self::Accept => Some(Participation::Accepted),
            Self::Tentative => Some(Participation::Tentative),
            Self::Decline => Some(Participation::Declined),
            Self::Keep | Self::Remove | Self::Note => None,
        }
    }

    const fn takes_out(self) -> bool {
        matches!(self, Self::Decline | Self::Remove)
    }
}

/// An invitation for the page.
#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    shown: &'a Shown,
    /// The address that is invited, where it is one of the account's.
    me: Option<&'a str>,
    calendar: Standing,
}

/// A message about an event, and the event in the calendars, with its place.
struct Found {
    invitation: Invitation,
    /// Who has written the message.
    authors: Vec<String>,
    message_id: Option<String>,
    calendars: Vec<Collection>,
    kept: Option<(Collection, Object)>,
    addresses: Vec<String>,
}

impl Found {
    fn stored(&self) -> Option<String> {
        self.kept.as_ref().map(|(_, object)| String::from_utf8_lossy(&object.content).into_owned())
    }

    fn standing(&self) -> Standing {
        let stored = self.stored();
        let standing = stored.map(|stored| self.invitation.standing(&stored, &self.addresses)).unwrap_or_default();
        // RFC 6047 §3: nobody answers for others.
        let answers = &self.invitation.shown().attendees;
        let is_author = |who: &Participant| self.authors.iter().any(|known| known.eq_ignore_ascii_case(&who.address));
        let reply = standing.reply.map(|reply| if answers.iter().all(is_author) { reply } else { Recorded::Never });
        Standing { reply, ..standing }
    }

    /// The event as the calendar is to have it after an act; `None` if it is to have none.
    fn after(
        &self,
        act: Act,
        answer: Option<&(Participant, Participation)>,
        now: Timestamp,
    ) -> Result<Option<String>, Unfit> {
        Ok(match self.stored() {
            Some(stored) if act == Act::Note => Some(self.invitation.noted_in(&stored, now)?),
            Some(stored) if act.takes_out() => self.invitation.taken_out(&stored),
            stored => {
                let answer = answer.map(|(who, participation)| (who, *participation));
                Some(self.invitation.entered(stored.as_deref(), answer))
            }
        })
    }
}

pub(super) async fn show(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Question>,
) -> Answer<Response> {
    let (found, standing) = find(&room, &reader, &asked).await?;
    let me = found.invitation.invited(&found.addresses).map(|one| one.address.as_str());
    Ok(Json(Page { shown: found.invitation.shown(), me, calendar: standing }).into_response())
}

/// Answers, and enters into a calendar or takes out of it. What follows once the answer is on its way cannot make it unsent, so
/// what fails then is a note.
pub(super) async fn act(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    reader: Reader,
    Wish(wish): Wish<Acting>,
) -> Answer<Response> {
    let at = Question { folder: wish.folder, uid: wish.uid, part: wish.part };
    let (found, standing) = find(&room, &reader, &at).await?;
    if standing.foreign {
        return Err(Problem::of(&reasons::EVENT_FOREIGN));
    }
    if standing.newer {
        return Err(Problem::of(&reasons::EVENT_NEWER));
    }
    if wish.act == Act::Note && !matches!(standing.reply, Some(Recorded::Yes | Recorded::No)) {
        return Err(Problem::of(&reasons::NO_ANSWER_TO_NOTE));
    }
    let Some(participation) = wish.act.participation() else {
        keep(&room, &reader, &found, wish.act, None).await?;
        return Ok(Json(serde_json::json!({ "notes": [] })).into_response());
    };
    let letter = wish.answer.ok_or_else(|| Problem::bad("An answer needs `answer`: who gives it and what it says."))?;
    let me = Participant {
        name: letter.from.name.clone(),
        address: letter.from.address.trim().to_owned(),
        status: String::new(),
    };
    let sending = reply(&room, &found, &at, (&me, participation), letter)?;
    let act = wish.act;
    let tasks = room.needs.tasks.clone();
    // A browser that goes away in the middle must not leave an answer that the calendar knows nothing of.
    let work = tasks.spawn(async move {
        let sent = Box::pin(send::fulfil(Arc::clone(&room), caller, reader.clone(), sending, Occasion::Asked)).await?;
        let mut notes = sent["notes"].as_array().cloned().unwrap_or_default();
        if let Err(problem) = keep(&room, &reader, &found, act, Some((me, participation))).await {
            notes.push(problem.note(&reasons::CALENDAR_AS_IT_WAS));
        }
        Ok::<_, Problem>(notes)
    });
    let notes = work.await??;
    Ok(Json(serde_json::json!({ "notes": notes })).into_response())
}

/// The letter to the organiser.
fn reply(
    room: &Room,
    found: &Found,
    at: &Question,
    (me, participation): (&Participant, Participation),
    letter: Letter,
) -> Answer<Sending> {
    let organiser = found.invitation.shown().organiser.as_ref();
    let organiser = organiser.ok_or_else(|| Problem::of(&reasons::NO_ORGANISER))?;
    let key = letter.key;
    let calendar = found.invitation.reply(me, participation, room.needs.clock.now());
    let letter = Replying {
        from: letter.from,
        to: organiser.address.clone(),
        subject: letter.subject,
        text: letter.text,
        calendar,
        in_reply_to: found.message_id.clone(),
        answers: Answers { kind: AnswerKind::Reply, folder: at.folder.clone(), uid: at.uid },
    };
    Ok(Sending { key, letter: letter.into(), draft: None, hold: None })
}

async fn find(room: &Arc<Room>, reader: &Reader, at: &Question) -> Answer<(Arc<Found>, Standing)> {
    let view = reader.open(&at.folder, Access::ReadOnly).await?;
    let opened = source::open(room, &view, at.uid).await?;
    let (part, most) = (at.part, room.needs.dav.get().object.len());
    let read = opened.block(move |bytes| {
        let structure = Structure::of(bytes);
        let part = structure.parts().get(part).filter(|part| part.kind == Kind::Leaf)?;
        let (text, is_cut) = source::text(&structure, part, most);
        let header = HeaderSection::of(bytes);
        let id = header.first("Message-ID").map(|field| field.text());
        let (authors, _) = people(&header, "From", MAX_ENTRIES);
        let authors = authors.into_iter().map(|person| person.address).collect::<Vec<_>>();
        let read = if is_cut {
            Err(Unfit::Rule(said!("invitation-large", "it is too large")))
        } else {
            Invitation::read(&text)
        };
        Some((read, id, authors))
    });
    let (read, message_id, authors) = read.await?.ok_or_else(|| Problem::of(&reasons::NO_PART))?;
    drop(opened);
    let invitation = read.map_err(unfit)?;
    let (account, limits) = (&reader.account.address, room.needs.dav.get().limits());
    let calendars = room.needs.calendars.all(account, &limits, room.needs.clock.now()).await?;
    let kept = room.needs.calendars.about(&calendars, invitation.uid()).await?;
    let addresses = identities(room, reader).await?;
    let found = Arc::new(Found { invitation, authors, message_id, calendars, kept, addresses });
    let compared = Arc::clone(&found);
    let standing = in_turn(move || compared.standing()).await?;
    Ok((found, standing))
}

/// Enters the event into a calendar, or takes it out.
async fn keep(
    room: &Room,
    reader: &Reader,
    found: &Arc<Found>,
    act: Act,
    answer: Option<(Participant, Participation)>,
) -> Answer<()> {
    if found.kept.is_none() && act.takes_out() {
        return Ok(());
    }
    let (needs, account) = (&room.needs, &reader.account.address);
    let now = needs.clock.now();
    let before = Arc::clone(found);
    let content = in_turn(move || before.after(act, answer.as_ref(), now)).await?.map_err(unfit)?;
    let (calendar, name, condition) = match &found.kept {
        Some((calendar, object)) => (calendar, object.info.name.clone(), Condition::unchanged(&object.info.etag)),
        None => {
            let calendar = Calendars::for_events(&found.calendars);
            let calendar = calendar.ok_or_else(|| Problem::of(&reasons::NO_CALENDAR))?;
            (calendar, format!("{}.ics", etag(found.invitation.uid().as_bytes())), Condition::absent())
        }
    };
    let settings = needs.dav.get();
    let limits = settings.limits();
    let Some(content) = content else {
        needs.calendars.remove(account, calendar, &name, &condition, &limits).await.map_err(refused)?;
        record(room, reader, "removed", calendar, &name);
        return Ok(());
    };
    if content.len() > settings.object.len() {
        return Err(Problem::of(&reasons::EVENT_TOO_LARGE));
    }
    let (most, called) = (settings.recurrences as usize, name.clone());
    let drafted = tokio::task::spawn_blocking(move || {
        CalendarObject::read(content.as_bytes()).map(|object| object.draft(&called, content.as_bytes(), most))
    });
    let draft = drafted.await?.map_err(unfit)?;
    needs.calendars.store(account, calendar, &draft, &condition, &limits, now).await.map_err(refused)?;
    record(room, reader, "stored", calendar, &name);
    Ok(())
}

fn unfit(unfit: Unfit) -> Problem {
    Problem::of(&reasons::EVENT_UNFIT).with("why", unfit.said())
}

fn refused(error: Error) -> Problem {
    match error {
        Error::Condition | Error::NoObject | Error::NoCollection => Problem::of(&reasons::CALENDAR_CHANGED),
        Error::TooManyObjects(_) | Error::Full(_) => Problem::of(&reasons::CALENDAR_FULL),
        error => error.into(),
    }
}
