//! The methods.

use std::mem::take;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};

use super::answer::{Answer, Problem};
use super::conditions::Seen;
use super::door::{Trust, Visitor, enter};
use super::place::{Place, ROOT};
use super::{Room, conditions, find, make, object, outbox, report, transfer};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::Peer;
use crate::protocols::web::bodies::Untaken;
use crate::protocols::web::caller::{Caller, Scheme};
use crate::protocols::web::form::drain;
use crate::services::dav::Calendars;
use crate::storage::dav::{Collection, CollectionKind, TransferKind};

/// One connection, for whatever is asked over it.
#[derive(Debug, Clone)]
struct Visit {
    peer: Peer,
    scheme: Scheme,
    trust: Trust,
}

/// One request of somebody who is logged in.
pub(super) struct Asked<'a> {
    pub(super) room: &'a Arc<Room>,
    pub(super) visitor: &'a Visitor,
    pub(super) caller: &'a Caller,
    pub(super) place: Place,
    pub(super) headers: &'a HeaderMap,
    /// The object when the conditions of `If` were evaluated.
    pub(super) seen: Option<Seen>,
}

/// The service on one connection; none if it is switched off.
pub fn pages(room: &Arc<Room>, peer: Peer, scheme: Scheme, trust: Trust) -> Router {
    if !room.needs.settings.get().enabled {
        return Router::new();
    }
    Router::new()
        // RFC 6764 §5.
        .route("/.well-known/caldav", any(elsewhere))
        .route("/.well-known/carddav", any(elsewhere))
        .route("/dav", any(serve))
        .route("/dav/", any(serve))
        .route("/dav/{*rest}", any(serve))
        .layer(Extension(Visit { peer, scheme, trust }))
        .with_state(Arc::clone(room))
}

/// With the status that RFC 6764 §5 names: programs older than RFC 7538 do not follow 308. None makes another method of PROPFIND for it.
async fn elsewhere(request: Request) -> Response {
    drain(request.into_body()).await;
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, ROOT)]).into_response()
}

async fn serve(State(room): State<Arc<Room>>, Extension(visit): Extension<Visit>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let mut response = match answer(&room, &visit, &parts, &mut body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    drain(body).await;
    let headers = response.headers_mut();
    headers.insert("dav", HeaderValue::from_static(classes(&room)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    response
}

/// RFC 4918 §18, RFC 5689 §3.1, RFC 4791 §5.1, RFC 6352 §6.1, RFC 6638 §2.
fn classes(room: &Room) -> &'static str {
    match room.needs.settings.get().scheduling.enabled {
        true => "1, 3, extended-mkcol, calendar-access, calendar-auto-schedule, addressbook",
        false => "1, 3, extended-mkcol, calendar-access, addressbook",
    }
}

const METHODS: &str =
    "OPTIONS, GET, HEAD, POST, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, MKCALENDAR, COPY, MOVE, REPORT";

/// The methods at a place (RFC 9110 §10.2.1).
async fn allowed(room: &Room, visitor: &Visitor, place: &Place) -> Answer<&'static str> {
    Ok(match place {
        Place::Root | Place::Principals | Place::Principal | Place::Home(_) => {
            "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT"
        }
        Place::Outbox => "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH",
        Place::Object(CollectionKind::ScheduleInbox, ..) => "OPTIONS, GET, HEAD, DELETE, PROPFIND, REPORT",
        Place::Collection(CollectionKind::ScheduleInbox, _) => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT",
        Place::Object(..) => "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, COPY, MOVE, REPORT",
        Place::Collection(kind, name) => {
            let there = room.needs.collections.find(&visitor.account.address, *kind, name).await?;
            match (there, kind) {
                (Some(_), _) => "OPTIONS, GET, HEAD, DELETE, PROPFIND, PROPPATCH, REPORT",
                (None, CollectionKind::Calendar) => "OPTIONS, MKCOL, MKCALENDAR",
                (None, CollectionKind::AddressBook) => "OPTIONS, MKCOL",
                (None, CollectionKind::ScheduleInbox) => "OPTIONS",
            }
        }
    })
}

/// Handlers that need the body take it.
async fn answer(room: &Arc<Room>, visit: &Visit, parts: &Parts, body: &mut Body) -> Answer<Response> {
    if parts.method == Method::OPTIONS {
        return Ok((StatusCode::OK, [(header::ALLOW, METHODS)]).into_response());
    }
    let caller = Caller::of(visit.peer, &parts.headers, &visit.trust.proxies, visit.scheme);
    let visitor = enter(room, &caller, &parts.headers, &visit.trust).await?;
    let place = Place::parse(parts.uri.path(), &visitor.account.address)?;
    // RFC 9110 §9.1: one that nobody here knows is another matter than one that is not for this place. LOCK and UNLOCK are
    // known, and for no place.
    if !METHODS.split(", ").chain(["LOCK", "UNLOCK"]).any(|known| known == parts.method.as_str()) {
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "This method is not supported here."));
    }
    ensure_defaults(room, &visitor, &place).await?;
    let mut asked = Asked { room, visitor: &visitor, caller: &caller, place, headers: &parts.headers, seen: None };
    let result = match conditions::check(&asked).await {
        Ok(seen) => {
            asked.seen = seen;
            perform(&asked, parts.method.as_str(), body).await
        }
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &result {
        asked.refused(parts.method.as_str(), problem);
    }
    if let Err(problem) = result {
        let is_misplaced = problem.status == StatusCode::METHOD_NOT_ALLOWED;
        let mut response = problem.into_response();
        if is_misplaced {
            // RFC 9110 §15.5.6: the answer lists the allowed methods.
            let methods = allowed(room, &visitor, &asked.place).await?;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        return Ok(response);
    }
    let answered = room.needs.bodies.answer(&visitor.account.address.key(), result?).await;
    answered.map_err(|Untaken| {
        let why = "Too much is waiting for this account to receive it at the moment. Try again soon.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)
    })
}

async fn perform(asked: &Asked<'_>, method: &str, body: &mut Body) -> Answer<Response> {
    match method {
        "GET" | "HEAD" => object::get(asked).await,
        "PUT" => object::put(asked, take(body)).await,
        "DELETE" => object::delete(asked).await,
        "POST" => outbox::post(asked, take(body)).await,
        "PROPFIND" => find::find(asked, take(body)).await,
        "PROPPATCH" => make::patch(asked, take(body)).await,
        "MKCOL" => make::collection(asked, take(body)).await,
        "MKCALENDAR" => make::calendar(asked, take(body)).await,
        "COPY" => transfer::transfer(asked, TransferKind::Copy).await,
        "MOVE" => transfer::transfer(asked, TransferKind::Move).await,
        "REPORT" => report::report(asked, take(body)).await,
        _ => Err(Problem::not_allowed()),
    }
}

/// Everybody has a calendar and an address book, made when a program first asks. With the inbox invitations come into the calendar: so
/// only those have one whose programs have found the way to it.
async fn ensure_defaults(room: &Room, visitor: &Visitor, place: &Place) -> Answer<()> {
    let kinds: &[CollectionKind] = match place {
        Place::Root | Place::Principals => &[],
        Place::Principal | Place::Outbox => &[CollectionKind::ScheduleInbox],
        Place::Home(CollectionKind::Calendar) => &[CollectionKind::Calendar, CollectionKind::ScheduleInbox],
        Place::Home(kind) | Place::Collection(kind, _) | Place::Object(kind, ..) => std::slice::from_ref(kind),
    };
    let account = &visitor.account.address;
    let (limits, now) = (room.limits(), room.needs.clock.now());
    let calendars = Calendars::new(room.needs.collections.clone());
    for kind in kinds {
        match kind {
            CollectionKind::Calendar => drop(calendars.all(account, &limits, now).await?),
            CollectionKind::AddressBook => drop(room.needs.contacts.books(account, &limits, now).await?),
            CollectionKind::ScheduleInbox if room.needs.settings.get().scheduling.enabled => {
                calendars.inbox(account, &limits, now).await?;
            }
            CollectionKind::ScheduleInbox => {}
        }
    }
    Ok(())
}

impl Asked<'_> {
    /// The collection of a kind and name.
    pub(super) async fn collection(&self, kind: CollectionKind, name: &str) -> Answer<Collection> {
        let account = &self.visitor.account.address;
        let found = self.room.needs.collections.find(account, kind, name).await?;
        found.ok_or_else(Problem::missing)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What somebody's program has changed.
    pub(super) fn changed(&self, what: &'static str, place: &Place) {
        let event = self.event(EventKind::CollectionChanged).with("what", what);
        self.room.needs.journal.record(event.with("path", place.href(&self.visitor.account.address)));
    }

    /// Records a refusal. A missing resource is not one.
    fn refused(&self, method: &str, problem: &Problem) {
        if matches!(method, "GET" | "HEAD" | "PROPFIND" | "REPORT")
            && problem.status != StatusCode::INSUFFICIENT_STORAGE
        {
            return;
        }
        let event =
            self.event(EventKind::CollectionRefused).with("method", method.chars().take(20).collect::<String>());
        let event = event.with("path", self.place.href(&self.visitor.account.address));
        let event = event.with("status", problem.status.as_u16()).with("reason", problem.public.as_str());
        self.room.needs.journal.record(event);
    }

    fn event(&self, kind: EventKind) -> Event {
        let event = Event::new(self.room.needs.clock.now(), kind).session(self.visitor.session);
        event.subject(self.visitor.account.address.to_string())
    }
}
