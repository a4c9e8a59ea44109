//! PROPFIND (RFC 4918 §9.1).

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use quick_xml::escape::escape;

use super::answer::{Answer, Problem};
use super::body;
use super::multistatus::Multistatus;
use super::place::Place;
use super::properties::{Resource, Writer};
use super::request::Wanted;
use super::serve::Asked;
use super::xml::{CALDAV, DAV};
use crate::foundations::address::Address;
use crate::services::dav::Calendars;
use crate::services::dav::scheduling::DEFAULT_CALENDAR_PROPERTY;
use crate::storage::dav::{Collection, CollectionKind, Property, PropertyName};

pub(super) async fn find(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    let root = body::xml(asked, body).await?;
    let wanted = Wanted::of_find(root.as_ref())?;
    let depth = Depth::of(asked)?;
    let settings = asked.room.needs.settings.get();
    let account = &asked.visitor.account;
    let addresses = addresses(asked, &wanted).await?;
    let minimal = is_minimal(asked);
    let writer = Writer { account, settings: &settings, wanted: &wanted, minimal, addresses: &addresses };
    let mut out = Multistatus::new(settings.answer.len());
    match &asked.place {
        Place::Root => root_collection(&writer, depth, &mut out),
        Place::Principals => {
            writer.write(&Resource::Principals, &mut out);
            if depth == Depth::One {
                writer.write(&Resource::Principal, &mut out);
            }
        }
        Place::Outbox if settings.scheduling.enabled => writer.write(&Resource::Outbox, &mut out),
        Place::Outbox => return Err(Problem::missing()),
        Place::Principal => writer.write(&Resource::Principal, &mut out),
        Place::Home(kind) => home(asked, *kind, depth, &writer, &mut out).await?,
        Place::Collection(kind, name) => {
            let found = asked.collection(*kind, name).await?;
            collection(asked, &found, depth, &writer, &mut out).await?;
        }
        Place::Object(kind, name, object) => {
            let collection = asked.collection(*kind, name).await?;
            let collections = &asked.room.needs.collections;
            let found = collections.object(&collection, object).await?.ok_or_else(Problem::missing)?;
            writer.write(&Resource::Object(&collection, &found.info, None), &mut out);
        }
    }
    Ok(out.finish())
}

/// How far below the place the answer reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
}

impl Depth {
    fn of(asked: &Asked<'_>) -> Answer<Self> {
        match asked.header("depth").map(str::trim) {
            Some("0") => Ok(Self::Zero),
            Some("1") => Ok(Self::One),
            Some(other) if !other.eq_ignore_ascii_case("infinity") => {
                Err(Problem::bad("The header `Depth` is 0, 1 or infinity."))
            }
            // RFC 4918 §9.1.1 allows to refuse what would be everything.
            _ => {
                let why = "Request a depth of 0 or 1.";
                Err(Problem::new(StatusCode::FORBIDDEN, why).rule(DAV, "propfind-finite-depth"))
            }
        }
    }
}

fn root_collection(writer: &Writer<'_>, depth: Depth, out: &mut Multistatus) {
    writer.write(&Resource::Root, out);
    if depth == Depth::One {
        writer.write(&Resource::Principal, out);
        writer.write(&Resource::Home(CollectionKind::Calendar), out);
        writer.write(&Resource::Home(CollectionKind::AddressBook), out);
    }
}

async fn home(
    asked: &Asked<'_>,
    kind: CollectionKind,
    depth: Depth,
    writer: &Writer<'_>,
    out: &mut Multistatus,
) -> Answer<()> {
    writer.write(&Resource::Home(kind), out);
    if depth == Depth::One {
        let collections = &asked.room.needs.collections;
        let all = collections.all(&asked.visitor.account.address, kind).await?;
        let properties = collections.properties(&all).await?;
        for collection in &all {
            // Each answers for every name that is asked for, also for those that nobody has.
            demand_room(out)?;
            let own = of(collection, &properties);
            writer.write(&Resource::Collection(collection, &own), out);
        }
    }
    Ok(())
}

async fn collection(
    asked: &Asked<'_>,
    found: &Collection,
    depth: Depth,
    writer: &Writer<'_>,
    out: &mut Multistatus,
) -> Answer<()> {
    let collections = &asked.room.needs.collections;
    let properties = collections.properties(std::slice::from_ref(found)).await?;
    let mut own = of(found, &properties);
    own.extend(default_calendar(asked, found, writer.wanted, &own).await?);
    writer.write(&Resource::Collection(found, &own), out);
    if depth == Depth::One {
        for info in collections.objects(found).await? {
            demand_room(out)?;
            writer.write(&Resource::Object(found, &info, None), out);
        }
    }
    Ok(())
}

/// The addresses by which the user is invited, where they are asked for.
async fn addresses(asked: &Asked<'_>, wanted: &Wanted) -> Answer<Vec<Address>> {
    if !wanted.names("calendar-user-address-set") {
        return Ok(Vec::new());
    }
    let found = asked.room.needs.scheduler.addresses(&asked.visitor.account.address).await;
    found.map_err(|error| Problem::ours(&error))
}

/// Where new events go, unless that was chosen (RFC 6638 §9.2).
async fn default_calendar(
    asked: &Asked<'_>,
    found: &Collection,
    wanted: &Wanted,
    own: &[Property],
) -> Answer<Option<Property>> {
    let is_due = found.kind == CollectionKind::ScheduleInbox && wanted.names(DEFAULT_CALENDAR_PROPERTY);
    if !is_due || own.iter().any(|property| property.name.local == DEFAULT_CALENDAR_PROPERTY) {
        return Ok(None);
    }
    let account = &asked.visitor.account.address;
    let calendars = asked.room.needs.collections.all(account, CollectionKind::Calendar).await?;
    let calendar = Calendars::for_events(&calendars);
    Ok(calendar.map(|calendar| chosen_calendar(&Place::Collection(calendar.kind, calendar.name.clone()), account)))
}

/// The property of the inbox that names a calendar.
pub(super) fn chosen_calendar(place: &Place, account: &Address) -> Property {
    let name = PropertyName { namespace: CALDAV.to_owned(), local: DEFAULT_CALENDAR_PROPERTY.to_owned() };
    Property { name, value: format!("<href xmlns=\"{DAV}\">{}</href>", escape(place.href(account))) }
}

/// Refuses what does not fit into one answer.
fn demand_room(out: &Multistatus) -> Answer<()> {
    if out.has_room(1 << 10) {
        return Ok(());
    }
    let why = "There is more here than fits into one answer; request fewer properties, or use `sync-collection`.";
    Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, why))
}

/// Whether the client does not want missing properties reported.
pub(super) fn is_minimal(asked: &Asked<'_>) -> bool {
    asked.header("prefer").is_some_and(|prefer| prefer.split(',').any(|one| one.trim() == "return=minimal"))
}

fn of(collection: &Collection, all: &[(i64, Property)]) -> Vec<Property> {
    all.iter().filter(|(id, _)| *id == collection.id).map(|(_, property)| property.clone()).collect()
}
