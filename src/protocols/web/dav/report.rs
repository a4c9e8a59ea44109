//! REPORT: queries, many objects at once, and changes.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::answer::{Answer, Problem};
use super::body;
use super::find::is_minimal;
use super::multistatus::Multistatus;
use super::place::Place;
use super::properties::{Resource, Writer, read_sync_token, sync_token};
use super::request::{Recurring, Report, Wanted};
use super::serve::Asked;
use super::xml::{CALDAV, CARDDAV};
use crate::protocols::web::turns::Turn;
use crate::services::dav::{
    CalendarObject, Card, CardFilter, ComponentFilter, TimeRange, busy_times, expanded, limited, zone_of,
    zone_text as text_of_zone,
};
use crate::storage::dav::{Change, Collection, CollectionKind, Object, Window};

/// Objects read from the database together.
const TOGETHER: u32 = 100;
/// What an object adds to an answer beside its content, in octets.
const AROUND: usize = 2 << 10;

pub(super) async fn report(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    let root = body::xml(asked, body).await?.ok_or_else(|| Problem::bad("A report needs a body."))?;
    let report = Report::parse(&root)?;
    let account = &asked.visitor.account.address;
    let turn = &asked.room.turns.take(account).await.map_err(|error| Problem::ours(&error))?;
    let Place::Collection(kind, name) = &asked.place else {
        return match (report, &asked.place) {
            // A multiget names its objects itself (RFC 4791 §7.9).
            (Report::Multiget(wanted, paths), Place::Home(_) | Place::Object(..)) => {
                multiget(asked, turn, &wanted, &paths).await
            }
            _ => Err(Problem::new(StatusCode::FORBIDDEN, "This report works only on a calendar or an address book.")),
        };
    };
    let collection = asked.collection(*kind, name).await?;
    match (report, kind) {
        (Report::Multiget(wanted, paths), _) => multiget(asked, turn, &wanted, &paths).await,
        (Report::Sync(wanted, token, limit), _) => changes(asked, &collection, &wanted, token.as_deref(), limit).await,
        (Report::Calendar(wanted, filter, zone), CollectionKind::Calendar | CollectionKind::ScheduleInbox) => {
            let zone = zone_text(asked, &collection, zone).await?;
            query(asked, turn, &collection, &wanted, Question::Calendar(filter, zone), None).await
        }
        (Report::Cards(wanted, filter, limit), CollectionKind::AddressBook) => {
            query(asked, turn, &collection, &wanted, Question::Cards(filter), limit).await
        }
        (Report::FreeBusy(range), CollectionKind::Calendar) => free_busy(asked, turn, &collection, &range).await,
        _ => Err(Problem::new(StatusCode::FORBIDDEN, "This report works only on another kind of collection.")),
    }
}

/// The condition on objects.
#[derive(Clone)]
enum Question {
    Calendar(ComponentFilter, Option<String>),
    Cards(CardFilter),
}

impl Question {
    /// Whether an object matches. An unreadable one matches nothing.
    fn matches(&self, content: &[u8], most: usize) -> bool {
        match self {
            Self::Calendar(filter, zone) => CalendarObject::read_message(content)
                .is_ok_and(|object| filter.matches(&object, zone_of(zone.as_deref()), most)),
            Self::Cards(filter) => Card::read(content).is_ok_and(|card| filter.matches(&card)),
        }
    }

    /// The component and the time by which the database can choose.
    fn scope(&self) -> (Option<String>, Option<TimeRange>) {
        let Self::Calendar(filter, _) = self else { return (None, None) };
        let (component, range) = filter.narrowed();
        (component.map(str::to_ascii_uppercase), range)
    }

    fn zone(&self) -> Option<&str> {
        let Self::Calendar(_, zone) = self else { return None };
        zone.as_deref()
    }
}

/// The zone for times that name none: the query's own, else the calendar's (RFC 4791 §7.3), which may only be named (RFC 7809 §5.2).
async fn zone_text(asked: &Asked<'_>, collection: &Collection, given: Option<String>) -> Answer<Option<String>> {
    if given.is_some() {
        return Ok(given);
    }
    let properties = asked.room.needs.collections.properties(std::slice::from_ref(collection)).await?;
    let own = |local: &str| {
        let mut all = properties.iter().map(|(_, property)| property);
        all.find(|property| property.name.namespace == CALDAV && property.name.local == local)
    };
    let zone = own("calendar-timezone").or_else(|| own("calendar-timezone-id"));
    Ok(zone.map(|property| text_of_zone(&property.value)))
}

async fn query(
    asked: &Asked<'_>,
    turn: &Turn,
    collection: &Collection,
    wanted: &Wanted,
    question: Question,
    limit: Option<u32>,
) -> Answer<Response> {
    let settings = asked.room.needs.settings.get();
    let most = settings.recurrences as usize;
    let account = &asked.visitor.account;
    let writer = Writer { account, settings: &settings, wanted, minimal: is_minimal(asked), addresses: &[] };
    let mut out = Multistatus::new(settings.answer.len());
    let until = Instant::now() + settings.query.duration();
    let (component, range) = question.scope();
    let window = range.map(|range| Window { from: range.start, to: range.end });
    let (mut after, mut found) = (String::new(), 0);
    loop {
        let page =
            asked.room.needs.collections.page(collection, &after, component.as_deref(), window, TOGETHER).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.info.name);
        let (question, recurring) = (question.clone(), recurring(wanted));
        let judged = turn.block(move || {
            let judge = |object: Object| {
                question.matches(&object.content, most).then(|| shown(object, recurring, question.zone(), most))
            };
            page.into_iter().take_while(|_| Instant::now() < until).filter_map(judge).collect::<Vec<_>>()
        });
        for (object, text) in judged.await? {
            if limit.is_some_and(|limit| found >= limit) || !out.has_room(text.len() + AROUND) {
                // RFC 6352 §8.6.2, RFC 4791 §7.8.
                let namespace = super::answer::namespace(collection.kind);
                let rule = match limit.is_some_and(|limit| found >= limit) {
                    true => "<D:number-of-matches-within-limits/>".to_owned(),
                    false => format!("<number-of-matches-within-limits xmlns=\"{namespace}\"/>"),
                };
                out.status(&asked.place.href(&account.address), StatusCode::INSUFFICIENT_STORAGE, &rule);
                return Ok(out.finish());
            }
            found += 1;
            writer.write(&Resource::Object(collection, &object.info, Some(&text)), &mut out);
        }
        if Instant::now() >= until {
            let why = "This query takes too long. Request a shorter period.";
            let namespace = super::answer::namespace(collection.kind);
            return Err(
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, why).rule(namespace, "number-of-matches-within-limits")
            );
        }
    }
    Ok(out.finish())
}

/// How recurrences are wanted.
const fn recurring(wanted: &Wanted) -> Recurring {
    match wanted {
        Wanted::These(_, recurring) => *recurring,
        Wanted::All | Wanted::Names => Recurring::Stored,
    }
}

/// An object with the text that a report shows of it. What has too many recurrences to be looked at or written out is shown with
/// its rule, from which a client can tell the recurrences too. Times that name no zone are in `zone`.
fn shown(object: Object, recurring: Recurring, zone: Option<&str>, most: usize) -> (Object, String) {
    let whole = String::from_utf8_lossy(&object.content);
    let read = || CalendarObject::read(&object.content).ok();
    let text = match recurring {
        Recurring::Stored => None,
        Recurring::Expanded(range) => {
            read().and_then(|read| expanded(&read, object.content.len(), &range, zone_of(zone), most))
        }
        Recurring::Limited(range) => read().map(|read| limited(&read, &whole, &range, zone_of(zone), most)),
    };
    let text = text.unwrap_or_else(|| whole.into_owned());
    (object, text)
}

async fn multiget(asked: &Asked<'_>, turn: &Turn, wanted: &Wanted, paths: &[String]) -> Answer<Response> {
    let settings = asked.room.needs.settings.get();
    let (account, most) = (&asked.visitor.account, settings.recurrences as usize);
    let writer = Writer { account, settings: &settings, wanted, minimal: is_minimal(asked), addresses: &[] };
    let mut out = Multistatus::new(settings.answer.len());
    let (mut known, mut zone): (Option<Collection>, Option<String>) = (None, None);
    let until = Instant::now() + settings.query.duration();
    for path in paths {
        if Instant::now() >= until {
            // RFC 4918 §11.5: a client asks again for those, as where the answer is full.
            out.status(path, StatusCode::INSUFFICIENT_STORAGE, "");
            continue;
        }
        let place = Place::parse(path, &account.address);
        let Ok(Place::Object(kind, name, object)) = place else {
            out.status(path, StatusCode::NOT_FOUND, "");
            continue;
        };
        if known.as_ref().is_none_or(|known| known.kind != kind || known.name != name) {
            known = asked.room.needs.collections.find(&account.address, kind, &name).await?;
            zone = match &known {
                Some(collection) if recurring(wanted) != Recurring::Stored => {
                    zone_text(asked, collection, None).await?
                }
                _ => None,
            };
        }
        let found = match &known {
            Some(collection) if out.has_room(AROUND) => {
                asked.room.needs.collections.object(collection, &object).await?.map(|object| (collection, object))
            }
            _ => None,
        };
        match found {
            Some((collection, object)) if out.has_room(object.content.len() + AROUND) => {
                let recurring = recurring(wanted);
                let zone = zone.clone();
                let (object, text) = match recurring {
                    Recurring::Stored => shown(object, recurring, None, most),
                    _ => turn.block(move || shown(object, recurring, zone.as_deref(), most)).await?,
                };
                writer.write(&Resource::Object(collection, &object.info, Some(&text)), &mut out);
            }
            None if known.is_none() || out.has_room(AROUND) => out.status(path, StatusCode::NOT_FOUND, ""),
            _ => out.status(path, StatusCode::INSUFFICIENT_STORAGE, ""),
        }
    }
    Ok(out.finish())
}

/// RFC 6578 §3.
async fn changes(
    asked: &Asked<'_>,
    collection: &Collection,
    wanted: &Wanted,
    token: Option<&str>,
    limit: Option<u32>,
) -> Answer<Response> {
    let settings = asked.room.needs.settings.get();
    let account = &asked.visitor.account;
    let writer = Writer { account, settings: &settings, wanted, minimal: is_minimal(asked), addresses: &[] };
    let since = match token {
        None => None,
        Some(text) => Some(read_sync_token(collection.id, text).ok_or(crate::storage::dav::Error::UnknownToken)?),
    };
    let most = limit.unwrap_or(settings.changes).min(settings.changes).max(1);
    let found = asked.room.needs.collections.changes(collection, since, most).await?;
    let with_content = match wanted {
        Wanted::These(names, _) => names.iter().any(|name| {
            (name.namespace == CALDAV && name.local == "calendar-data")
                || (name.namespace == CARDDAV && name.local == "address-data")
        }),
        _ => false,
    };
    let mut out = Multistatus::new(settings.answer.len());
    let (mut told, mut more) = (None, found.more);
    for (number, change) in &found.changes {
        // Changes that do not fit are in the next answer. Each has at least one change, without its content if necessary.
        if told.is_some() && !out.has_room(room_for(change, with_content)) {
            more = true;
            break;
        }
        told = Some(*number);
        match change {
            Change::Removed(name) => {
                let place = Place::Object(collection.kind, collection.name.clone(), name.clone());
                out.status(&place.href(&account.address), StatusCode::NOT_FOUND, "");
            }
            Change::Stored(info) => {
                let object = match with_content && out.has_room(room_for(change, true)) {
                    true => asked.room.needs.collections.object(collection, &info.name).await?,
                    false => None,
                };
                let text = object.map(|object| String::from_utf8_lossy(&object.content).into_owned());
                writer.write(&Resource::Object(collection, info, text.as_deref()), &mut out);
            }
        }
    }
    if more {
        // RFC 6578 §3.6.
        let rule = "<D:number-of-matches-within-limits/>";
        out.status(&asked.place.href(&account.address), StatusCode::INSUFFICIENT_STORAGE, rule);
    }
    let known = match told {
        Some(number) if more => found.before.told(number),
        _ => found.known,
    };
    out.token(&sync_token(collection.id, known));
    Ok(out.finish())
}

/// What a change may take in an answer, in octets.
fn room_for(change: &Change, with_content: bool) -> usize {
    match change {
        Change::Stored(info) if with_content => usize::try_from(info.size).unwrap_or(usize::MAX).saturating_add(AROUND),
        Change::Stored(_) | Change::Removed(_) => AROUND,
    }
}

/// RFC 4791 §7.10.
async fn free_busy(asked: &Asked<'_>, turn: &Turn, collection: &Collection, range: &TimeRange) -> Answer<Response> {
    let needs = &asked.room.needs;
    let settings = needs.settings.get();
    let (most, range) = (settings.recurrences as usize, *range);
    let zone = zone_text(asked, collection, None).await?;
    let until = Instant::now() + settings.query.duration();
    let window = Some(Window { from: range.start, to: range.end });
    let (mut after, mut busy) = (String::new(), Vec::new());
    loop {
        let page = needs.collections.page(collection, &after, Some("VEVENT"), window, TOGETHER).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.info.name);
        let zone = zone.clone();
        let found = turn.block(move || {
            let in_time = page.iter().take_while(|_| Instant::now() < until);
            let read = in_time.filter_map(|object| CalendarObject::read(&object.content).ok());
            read.flat_map(|object| busy_times(&object, &range, zone_of(zone.as_deref()), most)).collect::<Vec<_>>()
        });
        busy.extend(found.await?);
        if Instant::now() >= until || busy.len() > settings.objects as usize {
            return Err(Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "This query takes too long. Request a shorter period.",
            ));
        }
    }
    let answer = range.free_busy(busy, needs.clock.now().unix_seconds());
    Ok(([(header::CONTENT_TYPE, "text/calendar; charset=utf-8")], answer).into_response())
}
