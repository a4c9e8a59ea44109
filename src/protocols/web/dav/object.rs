//! GET, PUT and DELETE.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Answer, Problem, namespace};
use super::body;
use super::conditions::{Seen, is_known_by_date};
use super::place::Place;
use super::properties::{content_type, http_date};
use super::scheduled;
use super::serve::Asked;
use super::xml::CALDAV;
use crate::foundations::processor::in_turn;
use crate::services::dav::{CalendarObject, Card};
use crate::storage::dav::{Collection, CollectionKind, Condition, Draft, Error, Stored};

pub(super) async fn get(asked: &Asked<'_>) -> Answer<Response> {
    let Place::Object(kind, name, object) = &asked.place else {
        if let Place::Collection(kind, name) = &asked.place {
            asked.collection(*kind, name).await?;
        }
        let text = "Calendars and contacts are here, for programs that speak CalDAV and CardDAV.\n";
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    };
    let collection = asked.collection(*kind, name).await?;
    let found = asked.room.needs.collections.object(&collection, object).await?.ok_or_else(Problem::missing)?;
    // RFC 9110 §13.2.2: in this order.
    let Condition { is, is_not } = believed(asked)?;
    let etag = Some(found.info.etag.as_str());
    if !(Condition { is, is_not: None }).holds(etag) {
        return Err(Error::Condition.into());
    }
    let is_known = match is_not {
        Some(_) => !(Condition { is: None, is_not }).holds(etag),
        None => is_known_by_date(asked, &found.info),
    };
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, quoted(&found.info.etag))]).into_response());
    }
    let tag = scheduled::tag_header(&found.info.etag);
    let headers = [
        (header::CONTENT_TYPE, content_type(*kind, &found.info.component)),
        (header::ETAG, quoted(&found.info.etag)),
        (header::LAST_MODIFIED, http_date(found.info.modified_at)),
        // Its content comes from others: a browser must not show it as a page of ours.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    let mut response = (headers, found.content).into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert("schedule-tag", tag);
    }
    Ok(response)
}

pub(super) async fn put(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    let Place::Object(kind, name, object) = &asked.place else { return Err(Problem::not_allowed()) };
    if *kind == CollectionKind::ScheduleInbox {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Only the server puts messages here."));
    }
    // RFC 9110 §14.5: a part must not be taken for the whole.
    if asked.headers.contains_key(header::CONTENT_RANGE) {
        return Err(Problem::bad("An object must be stored as a whole."));
    }
    // RFC 4918 §9.7.1: the parent collection must exist.
    let collection = asked.collection(*kind, name).await;
    let collection = collection.map_err(|problem| match problem.status {
        StatusCode::NOT_FOUND => Problem::new(StatusCode::CONFLICT, "There is no such calendar or address book."),
        _ => problem,
    })?;
    check_media_type(asked, *kind)?;
    let condition = condition(asked)?;
    let settings = asked.room.needs.settings.get();
    let content = body::octets(asked, body, settings.object.len()).await.map_err(|problem| match problem.status {
        StatusCode::PAYLOAD_TOO_LARGE => problem.rule(namespace(*kind), "max-resource-size"),
        _ => problem,
    })?;
    let draft = draft(*kind, object.clone(), content.octets.to_vec(), settings.recurrences as usize).await?;
    check_component(&collection, &draft)?;
    if scheduled::applies(asked, *kind, &draft.component) {
        return scheduled::put(asked, &collection, draft, condition).await;
    }
    let (needs, account) = (&asked.room.needs, &asked.visitor.account.address);
    let etag = draft.etag.clone();
    let drafts = std::slice::from_ref(&draft);
    let stored =
        needs.collections.put(account, &collection, drafts, &condition, &asked.room.limits(), needs.clock.now()).await;
    let stored = stored.map_err(|error| conflict(asked, &collection, error))?;
    asked.changed("stored", &asked.place);
    let status = match stored {
        Stored::New => StatusCode::CREATED,
        Stored::Replaced => StatusCode::NO_CONTENT,
    };
    Ok((status, [(header::ETAG, quoted(&etag))]).into_response())
}

pub(super) async fn delete(asked: &Asked<'_>) -> Answer<Response> {
    let (needs, account) = (&asked.room.needs, &asked.visitor.account.address);
    match &asked.place {
        Place::Object(kind, name, object) => {
            let collection = asked.collection(*kind, name).await?;
            let condition = condition(asked)?;
            let there = needs.collections.object(&collection, object).await?.ok_or_else(Problem::missing)?;
            if scheduled::applies(asked, *kind, &there.info.component) {
                scheduled::delete(asked, collection, object, condition).await?;
                asked.changed("removed", &asked.place);
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            scheduled::check_tag(asked, Some(&there.info.etag))?;
            let limits = asked.room.limits();
            let removed = needs.collections.remove_object(account, &collection, object, &condition, &limits).await?;
            needs.contacts.removed(account, &removed).await?;
            asked.changed("removed", &asked.place);
        }
        Place::Collection(kind, name) if *kind != CollectionKind::ScheduleInbox => {
            let collection = asked.collection(*kind, name).await?;
            if believed(asked)? != Condition::default() {
                let why = "A calendar has no state of its own that `If-Match` could name.";
                return Err(Problem::new(StatusCode::PRECONDITION_FAILED, why));
            }
            let removed = needs.collections.remove(&collection).await?;
            needs.contacts.removed(account, &removed).await?;
            asked.changed("collection removed", &asked.place);
        }
        _ => return Err(Problem::new(StatusCode::FORBIDDEN, "This cannot be removed.")),
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Parses the object to be stored, on a thread that may block, when it has its turn.
pub(super) async fn draft(kind: CollectionKind, name: String, content: Vec<u8>, most: usize) -> Answer<Draft> {
    let read = in_turn(move || match kind {
        CollectionKind::Calendar | CollectionKind::ScheduleInbox => {
            CalendarObject::read(&content).map(|object| object.draft(&name, &content, most))
        }
        CollectionKind::AddressBook => Card::read(&content).map(|card| card.draft(&name, &content)),
    });
    read.await?.map_err(|unfit| Problem::unfit(kind, &unfit))
}

/// RFC 4791 §5.3.2.1, RFC 6352 §6.3.2.1. A request without a type is accepted.
fn check_media_type(asked: &Asked<'_>, kind: CollectionKind) -> Answer<()> {
    let Some(given) = asked.header("content-type") else { return Ok(()) };
    let given = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (known, rule): (&[&str], _) = match kind {
        CollectionKind::Calendar | CollectionKind::ScheduleInbox => (&["text/calendar"], "supported-calendar-data"),
        CollectionKind::AddressBook => (&["text/vcard", "text/x-vcard", "text/directory"], "supported-address-data"),
    };
    if given.is_empty() || known.contains(&given.as_str()) || given == "application/octet-stream" {
        return Ok(());
    }
    let why = format!("Here only {} is stored.", known[0]);
    Err(Problem::new(StatusCode::FORBIDDEN, why).rule(namespace(kind), rule))
}

/// Whether a calendar holds such components.
pub(super) fn check_component(collection: &Collection, draft: &Draft) -> Answer<()> {
    let fits = collection.kind == CollectionKind::AddressBook
        || collection.components.split(',').any(|component| component == draft.component);
    if fits {
        return Ok(());
    }
    let why = format!("This calendar holds {} only.", collection.components);
    Err(Problem::new(StatusCode::FORBIDDEN, why).rule(CALDAV, "supported-calendar-component"))
}

/// The answer to a failure of storing.
pub(super) fn conflict(asked: &Asked<'_>, collection: &Collection, error: Error) -> Problem {
    match error {
        Error::UidTaken(name) => {
            let place = Place::Object(collection.kind, collection.name.clone(), name);
            Problem::uid_conflict(collection.kind, &place.href(&asked.visitor.account.address))
        }
        error => error.into(),
    }
}

/// What the client believes the object to be, by whichever header. Where the conditions of `If` held, the object must be what it
/// was then, until the change is made.
pub(super) fn condition(asked: &Asked<'_>) -> Answer<Condition> {
    let believed = believed(asked)?;
    let (etag, still) = match &asked.seen {
        None => return Ok(believed),
        Some(Seen::Object(etag)) => (Some(etag.as_str()), Condition::unchanged(etag)),
        Some(Seen::Nothing) => (None, Condition::absent()),
    };
    if believed.holds(etag) { Ok(still) } else { Err(Error::Condition.into()) }
}

/// The same by `If-Match` and `If-None-Match` (RFC 9110 §13.1).
fn believed(asked: &Asked<'_>) -> Answer<Condition> {
    let list = |name: header::HeaderName, comparison: Comparison| {
        let values = asked.headers.get_all(name);
        let mut tags: Option<Vec<String>> = None;
        for value in values {
            let text = value.to_str().map_err(|_| Problem::bad("A condition cannot be read."))?;
            tags.get_or_insert_default().extend(text.split(',').map(|tag| comparison.of(tag.trim()).to_owned()));
        }
        Ok::<_, Problem>(tags)
    };
    Ok(Condition {
        is: list(header::IF_MATCH, Comparison::Strong)?,
        is_not: list(header::IF_NONE_MATCH, Comparison::Weak)?,
    })
}

/// How tags are compared with ours, which are strong (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy)]
enum Comparison {
    /// By `If-Match` (RFC 9110 §13.1.1): a weak tag is never the same.
    Strong,
    /// By `If-None-Match` (RFC 9110 §13.1.2): it is. Proxies that compress make tags weak.
    Weak,
}

impl Comparison {
    /// The quoted part of a tag, for comparison.
    fn of(self, tag: &str) -> &str {
        let opaque = match self {
            Self::Strong => tag,
            Self::Weak => tag.strip_prefix("W/").unwrap_or(tag),
        };
        let inside = opaque.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        // In quotes, `*` is a tag as any other.
        inside.filter(|inside| *inside != "*").unwrap_or(tag)
    }
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The Location of something new.
pub(super) fn location(href: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(href).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_tags_are_the_same_only_where_none_is_to_be() {
        for (tag, strong, weak) in [
            ("\"a\"", "a", "a"),
            ("W/\"a\"", "W/\"a\"", "a"),
            ("*", "*", "*"),
            ("\"*\"", "\"*\"", "\"*\""),
            ("W/\"*\"", "W/\"*\"", "W/\"*\""),
            ("a", "a", "a"),
        ] {
            assert_eq!((Comparison::Strong.of(tag), Comparison::Weak.of(tag)), (strong, weak), "{tag}");
        }
    }
}
