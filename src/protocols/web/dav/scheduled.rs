//! Storing and removing events that may have guests (RFC 6638 §3): what a change sends is decided with what was stored before, and
//! sent once it is stored, or before the event is removed.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Room;
use super::answer::{Answer, Problem};
use super::object::{conflict, draft, quoted};
use super::place::Place;
use super::serve::Asked;
use super::xml::CALDAV;
use crate::foundations::mail::With;
use crate::services::dav::scheduling::{Actor, Prepared, Wish};
use crate::services::dav::{schedule_tag, with_schedule_tag_of};
use crate::storage::dav::{Collection, CollectionKind, Condition, Draft, Error, Object, Stored};

/// How often a change is begun anew that another one has crossed.
const TRIES: u32 = 5;

/// Whether a change of an object may send something.
pub(super) fn applies(asked: &Asked<'_>, kind: CollectionKind, component: &str) -> bool {
    kind == CollectionKind::Calendar && component == "VEVENT" && asked.room.needs.settings.get().scheduling.enabled
}

/// A change that goes on when the connection ends.
struct Work {
    room: Arc<Room>,
    actor: Actor,
    collection: Collection,
    condition: Condition,
    /// The schedule tag that the client knows (RFC 6638 §8.3).
    tag: Option<String>,
}

/// A stored event.
pub(super) struct Done {
    stored: Stored,
    etag: String,
    /// Whether it is what the client has sent.
    is_given: bool,
}

pub(super) async fn put(
    asked: &Asked<'_>,
    collection: &Collection,
    given: Draft,
    condition: Condition,
) -> Answer<Response> {
    let work = Work::of(asked, collection.clone(), condition);
    let done = asked.room.needs.tasks.spawn(work.store(given)).await?;
    let done = done.map_err(|error| match error {
        Undone::Stored(error) => conflict(asked, collection, error),
        Undone::Refused(problem) => problem,
    })?;
    asked.changed("stored", &asked.place);
    let mut response = match done.stored {
        Stored::New => StatusCode::CREATED,
        Stored::Replaced => StatusCode::NO_CONTENT,
    }
    .into_response();
    // RFC 4791 §5.3.4: no validator of what the client does not have.
    if done.is_given
        && let Ok(etag) = HeaderValue::from_str(&quoted(&done.etag))
    {
        response.headers_mut().insert(header::ETAG, etag);
    }
    if let Some(tag) = tag_header(&done.etag) {
        response.headers_mut().insert("schedule-tag", tag);
    }
    Ok(response)
}

pub(super) async fn delete(asked: &Asked<'_>, collection: Collection, name: &str, condition: Condition) -> Answer<()> {
    let work = Work::of(asked, collection, condition);
    // RFC 6638 §8.1.
    let answers = asked.header("schedule-reply").is_none_or(|reply| !reply.trim().eq_ignore_ascii_case("F"));
    let work = asked.room.needs.tasks.spawn(work.remove(name.to_owned(), answers));
    work.await?.map_err(Problem::from)
}

/// The value of the header `Schedule-Tag` (RFC 6638 §8.2), where the object has one.
pub(super) fn tag_header(etag: &str) -> Option<HeaderValue> {
    schedule_tag(etag).and_then(|tag| HeaderValue::from_str(&quoted(tag)).ok())
}

/// Checks `If-Schedule-Tag-Match` (RFC 6638 §8.3) where nothing is scheduled.
pub(super) fn check_tag(asked: &Asked<'_>, there: Option<&str>) -> Answer<()> {
    match known_tag(asked) {
        Some(tag) if there.and_then(schedule_tag) != Some(tag.as_str()) => Err(Error::Condition.into()),
        _ => Ok(()),
    }
}

fn known_tag(asked: &Asked<'_>) -> Option<String> {
    asked.header("if-schedule-tag-match").map(|tag| tag.trim().trim_matches('"').to_owned())
}

/// Who has sent a request.
pub(super) fn actor(asked: &Asked<'_>) -> Actor {
    Actor {
        account: Arc::clone(&asked.visitor.account),
        session: asked.visitor.session,
        peer: asked.caller.client,
        with: if asked.caller.is_encrypted { With::Https } else { With::Http },
    }
}

/// Why nothing was changed.
enum Undone {
    Stored(Error),
    Refused(Problem),
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self::Stored(error)
    }
}

impl From<Problem> for Undone {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<Undone> for Problem {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Stored(error) => error.into(),
            Undone::Refused(problem) => problem,
        }
    }
}

impl Work {
    fn of(asked: &Asked<'_>, collection: Collection, condition: Condition) -> Self {
        let room = Arc::clone(asked.room);
        Self { room, actor: actor(asked), collection, condition, tag: known_tag(asked) }
    }

    async fn store(self, given: Draft) -> Result<Done, Undone> {
        let _place = self.room.needs.scheduler.change(&self.actor.account.address).await;
        let mut tries = 0;
        loop {
            let before = self.before(&given.name).await?;
            let after = text(&given.content);
            let wish = Wish { by_tag: self.tag.is_some(), answers: true };
            let prepared = self.prepare(before.as_ref(), Some(after), wish).await?;
            if before.is_none() && schedule_tag(&given.etag).is_some() {
                self.check_unique(&given.uid).await?;
            }
            let stored_as = match &prepared.content {
                Some(content) => self.draft(&given.name, content.clone()).await?,
                None => given.clone(),
            };
            match self.put(&stored_as, exact(before.as_ref())).await {
                Err(Error::Condition) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
                Ok(stored) => {
                    let is_given = prepared.content.is_none();
                    let etag = self.send(&prepared, &stored_as).await.unwrap_or_else(|| stored_as.etag.clone());
                    return Ok(Done { stored, is_given: is_given && etag == stored_as.etag, etag });
                }
            }
        }
    }

    /// Sends what the end of an event sends, and then removes it: a client that hears of a failure finds it there, and repeats.
    async fn remove(self, name: String, answers: bool) -> Result<(), Undone> {
        let (needs, account) = (&self.room.needs, &self.actor.account.address);
        let limits = self.room.limits();
        let _place = needs.scheduler.change(account).await;
        let (mut tries, mut told) = (0, None::<String>);
        loop {
            let before = needs.collections.object(&self.collection, &name).await?.ok_or(Error::NoObject)?;
            // An answer that has come while messages were sent changes nothing of what they say, and is no reason to keep the event
            // now that everybody has been told.
            let tag = schedule_tag(&before.info.etag).unwrap_or(&before.info.etag);
            if told.as_deref() != Some(tag) {
                self.check(Some(&before))?;
                let prepared = self.prepare(Some(&before), None, Wish { by_tag: false, answers }).await?;
                let delivered = needs.scheduler.deliver(&self.actor, &prepared, &self.room.bounds()).await;
                if delivered.is_to_be_repeated {
                    let why =
                        "Not everybody could be told that the event does not take place, so it stays. Try again soon.";
                    return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into());
                }
                told = Some(tag.to_owned());
            }
            let still = Condition::unchanged(&before.info.etag);
            let removed = needs.collections.remove_object(account, &self.collection, &name, &still, &limits).await;
            match removed {
                Err(Error::Condition) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// The object as it is now, in which the client's conditions hold.
    async fn before(&self, name: &str) -> Result<Option<Object>, Error> {
        let before = self.room.needs.collections.object(&self.collection, name).await?;
        self.check(before.as_ref())?;
        Ok(before)
    }

    fn check(&self, before: Option<&Object>) -> Result<(), Error> {
        let etag = before.map(|object| object.info.etag.as_str());
        let is_known = self.tag.as_deref().is_none_or(|tag| etag.and_then(schedule_tag) == Some(tag));
        if is_known && self.condition.holds(etag) { Ok(()) } else { Err(Error::Condition) }
    }

    async fn prepare(&self, before: Option<&Object>, after: Option<String>, wish: Wish) -> Answer<Prepared> {
        let (account, before) = (&self.actor.account.address, before.map(|object| text(&object.content)));
        Ok(self.room.needs.scheduler.prepare(account, before, after, wish, self.room.bounds()).await?)
    }

    /// RFC 6638 §3.2.4.1: an event with guests is in one calendar of an account only.
    async fn check_unique(&self, uid: &str) -> Answer<()> {
        let (collections, account) = (&self.room.needs.collections, &self.actor.account.address);
        for other in collections.all(account, CollectionKind::Calendar).await? {
            if other.id == self.collection.id {
                continue;
            }
            if let Some(object) = collections.about(&other, uid).await? {
                let place = Place::Object(other.kind, other.name, object.info.name);
                let why = "This event is in another of your calendars already.";
                return Err(Problem::new(StatusCode::FORBIDDEN, why).rule_about(
                    CALDAV,
                    "unique-scheduling-object-resource",
                    &place.href(account),
                ));
            }
        }
        Ok(())
    }

    async fn draft(&self, name: &str, content: String) -> Answer<Draft> {
        let most = self.room.needs.settings.get().recurrences as usize;
        draft(CollectionKind::Calendar, name.to_owned(), content.into_bytes(), most).await
    }

    async fn put(&self, draft: &Draft, condition: Condition) -> Result<Stored, Error> {
        let (needs, account) = (&self.room.needs, &self.actor.account.address);
        let (drafts, limits) = (std::slice::from_ref(draft), self.room.limits());
        needs.collections.put(account, &self.collection, drafts, &condition, &limits, needs.clock.now()).await
    }

    /// Sends what is to be sent, and notes in the event what has become of it; its validator then. What fails here cannot make the
    /// change undone: an event that says that a message is pending has it sent with its next change.
    async fn send(&self, prepared: &Prepared, stored: &Draft) -> Option<String> {
        if prepared.is_silent() {
            return None;
        }
        let statuses = self.room.needs.scheduler.deliver(&self.actor, prepared, &self.room.bounds()).await.statuses;
        let _place = self.room.needs.scheduler.enter_into(&self.actor.account.address).await;
        for _ in 0..TRIES {
            let there = self.room.needs.collections.object(&self.collection, &stored.name).await.ok()??;
            let settled = prepared.settled(&text(&there.content), &statuses);
            let mut noted = self.draft(&stored.name, settled).await.ok()?;
            noted.etag = with_schedule_tag_of(&noted.etag, &there.info.etag);
            match self.put(&noted, Condition::unchanged(&there.info.etag)).await {
                Ok(_) => return Some(noted.etag),
                Err(Error::Condition) => {}
                Err(error) => {
                    log::warn!(error:% = error; "The result of sending an invitation could not be stored in the event");
                    return None;
                }
            }
        }
        None
    }
}

fn exact(before: Option<&Object>) -> Condition {
    before.map_or_else(Condition::absent, |object| Condition::unchanged(&object.info.etag))
}

fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}
