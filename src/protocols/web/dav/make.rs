//! MKCOL (RFC 5689), MKCALENDAR (RFC 4791 §5.3.1) and PROPPATCH (RFC 4918 §9.2).

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::answer::{Answer, Problem};
use super::body;
use super::find::chosen_calendar;
use super::multistatus::{Multistatus, element};
use super::place::Place;
use super::properties::is_protected;
use super::request::changes;
use super::serve::Asked;
use super::xml::{CALDAV, CARDDAV, DAV, Element};
use crate::services::dav::scheduling::{DEFAULT_CALENDAR_PROPERTY, TRANSPARENCY_PROPERTY};
use crate::services::dav::{CALENDAR_COMPONENTS as COMPONENTS, is_zone, is_zone_name, zone_text};
use crate::storage::dav::{CollectionKind, Property, PropertyChange, PropertyName};

pub(super) async fn collection(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    let kind = &free(asked).await?;
    let stranger = asked.header("content-type").is_some_and(|kind| !kind.to_ascii_lowercase().contains("xml"));
    let root = body::xml(asked, body).await.map_err(|problem| match problem.status {
        // RFC 4918 §9.3.1: a body of a kind that is not known.
        StatusCode::BAD_REQUEST if stranger => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not an `mkcol`.")
        }
        _ => problem,
    })?;
    let Some(root) = root else {
        // Without a type it would be a plain collection, which nothing here can hold.
        let why = "Name the kind of collection in the body, or use MKCALENDAR.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why).rule(DAV, "valid-resourcetype"));
    };
    if !root.is(DAV, "mkcol") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not an `mkcol`."));
    }
    let wanted = match kind {
        CollectionKind::ScheduleInbox => return Err(misplaced(*kind)),
        CollectionKind::Calendar => (CALDAV, "calendar"),
        CollectionKind::AddressBook => (CARDDAV, "addressbook"),
    };
    let types = root.child(DAV, "set").and_then(|set| set.child(DAV, "prop"));
    let types = types.and_then(|prop| prop.child(DAV, "resourcetype"));
    if types.is_none_or(|types| types.child(wanted.0, wanted.1).is_none()) {
        let why = format!("A collection here must be of the type `{}`.", wanted.1);
        return Err(Problem::new(StatusCode::FORBIDDEN, why).rule(DAV, "valid-resourcetype"));
    }
    create(asked, Some(&root)).await
}

pub(super) async fn calendar(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    if free(asked).await? != CollectionKind::Calendar {
        return Err(misplaced(CollectionKind::Calendar));
    }
    let root = body::xml(asked, body).await?;
    if root.as_ref().is_some_and(|root| !root.is(CALDAV, "mkcalendar")) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not an `mkcalendar`."));
    }
    create(asked, root.as_ref()).await
}

/// The kind of collection that may be made at a place, where there is nothing yet (RFC 4918 §9.3.1).
async fn free(asked: &Asked<'_>) -> Answer<CollectionKind> {
    let collections = &asked.room.needs.collections;
    let account = &asked.visitor.account.address;
    match &asked.place {
        Place::Collection(CollectionKind::ScheduleInbox, _) => Err(Problem::not_allowed()),
        Place::Collection(kind, name) => {
            let taken = collections.find(account, *kind, name).await?.is_some();
            if taken { Err(Problem::not_allowed()) } else { Ok(*kind) }
        }
        Place::Object(kind, name, object) => {
            let Some(above) = collections.find(account, *kind, name).await? else {
                return Err(Problem::new(StatusCode::CONFLICT, "The parent collection does not exist."));
            };
            let taken = collections.object(&above, object).await?.is_some();
            Err(if taken { Problem::not_allowed() } else { misplaced(*kind) })
        }
        _ => Err(Problem::not_allowed()),
    }
}

/// Collections hold no collections.
fn misplaced(kind: CollectionKind) -> Problem {
    let refused = |why| Problem::new(StatusCode::FORBIDDEN, why);
    match kind {
        CollectionKind::Calendar | CollectionKind::ScheduleInbox => {
            refused("A calendar must be created directly below `/dav/calendars/USER/`.")
                .rule(CALDAV, "calendar-collection-location-ok")
        }
        CollectionKind::AddressBook => refused("An address book must be created directly below `/dav/contacts/USER/`.")
            .rule(CARDDAV, "addressbook-collection-location-ok"),
    }
}

async fn create(asked: &Asked<'_>, root: Option<&Element>) -> Answer<Response> {
    let Place::Collection(kind, name) = &asked.place else { return Err(Problem::not_allowed()) };
    let (mut properties, mut components) = (Vec::new(), COMPONENTS.to_owned());
    for change in root.map(changes).transpose()?.unwrap_or_default() {
        let PropertyChange::Set(property) = change else { continue };
        if property.name.namespace == CALDAV && property.name.local == "supported-calendar-component-set" {
            components = component_set(root)?;
        } else if !is_protected(*kind, &property.name) {
            check_size(asked, &property)?;
            if !is_valid(&property) {
                // RFC 4791 §5.3.1.1.
                let why = format!("The value of the property `{}` is invalid.", property.name.local);
                return Err(Problem::new(StatusCode::FORBIDDEN, why).rule(CALDAV, "valid-calendar-data"));
            }
            properties.push(property);
        } else if property.name.namespace == CALDAV && property.name.local == "calendar-free-busy-set" {
            if let Some(transparent) = as_transparent(&property) {
                // The property of today, if it is there too, counts.
                properties.insert(0, transparent);
            }
        } else if property.name.local != "resourcetype" {
            let why = format!("The property `{}` cannot be set.", property.name.local);
            return Err(Problem::new(StatusCode::FORBIDDEN, why).rule(DAV, "cannot-modify-protected-property"));
        }
    }
    let components = if *kind == CollectionKind::Calendar { components } else { String::new() };
    let needs = &asked.room.needs;
    let account = &asked.visitor.account.address;
    let wanted = (*kind, name.as_str(), components.as_str());
    needs.collections.create(account, wanted, &properties, &asked.room.limits(), needs.clock.now()).await?;
    asked.changed("collection made", &asked.place);
    Ok(StatusCode::CREATED.into_response())
}

/// What a property of drafts of RFC 6638 is called today, if a calendar is to make nobody busy. macOS sends YES or NO with every calendar
/// that it makes.
fn as_transparent(free_busy_set: &Property) -> Option<Property> {
    let name = PropertyName { namespace: CALDAV.to_owned(), local: TRANSPARENCY_PROPERTY.to_owned() };
    let value = format!("<transparent xmlns=\"{CALDAV}\"></transparent>");
    free_busy_set.value.trim().starts_with("<NO ").then_some(Property { name, value })
}

/// The components that a new calendar is to hold.
fn component_set(root: Option<&Element>) -> Answer<String> {
    let sets = root.into_iter().flat_map(Element::elements).filter(|element| element.is(DAV, "set"));
    let props = sets.filter_map(|set| set.child(DAV, "prop"));
    let wanted = props.filter_map(|prop| prop.child(CALDAV, "supported-calendar-component-set"));
    let names: Vec<String> = wanted
        .flat_map(Element::elements)
        .filter_map(|comp| comp.attribute("name").map(str::to_ascii_uppercase))
        .collect();
    let known: Vec<&str> = COMPONENTS.split(',').filter(|known| names.iter().any(|name| name == known)).collect();
    if known.is_empty() {
        let why = format!("A calendar here can hold {COMPONENTS}.");
        return Err(Problem::new(StatusCode::FORBIDDEN, why).rule(CALDAV, "supported-calendar-component"));
    }
    Ok(known.join(","))
}

/// Whether the value of a property that others evaluate can be understood.
fn is_valid(property: &Property) -> bool {
    match (property.name.namespace.as_str(), property.name.local.as_str()) {
        // RFC 4791 §5.2.2.
        (CALDAV, "calendar-timezone") => is_zone(&zone_text(&property.value)),
        // RFC 7809 §5.2.
        (CALDAV, "calendar-timezone-id") => is_zone_name(&property.value),
        // RFC 6638 §9.1.
        (CALDAV, TRANSPARENCY_PROPERTY) => {
            let value = property.value.trim();
            ["<opaque ", "<transparent "].iter().any(|known| value.starts_with(known))
        }
        _ => true,
    }
}

/// The place that a path of one's own calendar names, written as the inbox keeps it (RFC 6638 §9.2).
async fn chosen(asked: &Asked<'_>, root: &Element) -> Option<Property> {
    let account = &asked.visitor.account.address;
    let props = root.elements().filter_map(|element| element.child(DAV, "prop"));
    let href = props.filter_map(|prop| prop.child(CALDAV, DEFAULT_CALENDAR_PROPERTY)?.child(DAV, "href")).last()?;
    let place = Place::parse(href.text().trim(), account).ok()?;
    let Place::Collection(CollectionKind::Calendar, name) = &place else { return None };
    let found = asked.room.needs.collections.find(account, CollectionKind::Calendar, name).await.ok()??;
    let holds_events = found.components.split(',').any(|component| component == "VEVENT");
    holds_events.then(|| chosen_calendar(&place, account))
}

fn check_size(asked: &Asked<'_>, property: &Property) -> Answer<()> {
    let most = asked.room.needs.settings.get().property.len();
    if property.value.len() > most || property.name.namespace.chars().count() > 255 {
        let why = format!("The property `{}` has more than {most} octets.", property.name.local);
        return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, why));
    }
    Ok(())
}

/// PROPPATCH: all or nothing.
pub(super) async fn patch(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    let root = body::wanted(asked, body, "propertyupdate").await?;
    let mut changes = changes(&root)?;
    let chosen = chosen(asked, &root).await;
    let href = asked.place.href(&asked.visitor.account.address);
    let name_of = |change: &PropertyChange| match change {
        PropertyChange::Set(property) => property.name.clone(),
        PropertyChange::Remove(name) => name.clone(),
    };
    let (collection, kind) = match &asked.place {
        Place::Collection(kind, name) => (Some(asked.collection(*kind, name).await?), Some(*kind)),
        Place::Object(kind, name, object) => {
            let collection = asked.collection(*kind, name).await?;
            let found = asked.room.needs.collections.object(&collection, object).await?;
            found.ok_or_else(Problem::missing)?;
            (None, None)
        }
        // Only collections keep what clients set.
        _ => (None, None),
    };
    let mut invalid = Vec::new();
    for change in &mut changes {
        let PropertyChange::Set(property) = change else { continue };
        let is_choice = property.name.namespace == CALDAV && property.name.local == DEFAULT_CALENDAR_PROPERTY;
        match &chosen {
            Some(chosen) if is_choice => property.clone_from(chosen),
            None if is_choice => invalid.push(property.name.clone()),
            _ if !is_valid(property) => invalid.push(property.name.clone()),
            _ => {}
        }
    }
    let fixed = |name: &PropertyName| kind.is_none_or(|kind| is_protected(kind, name)) || invalid.contains(name);
    let mut out = Multistatus::new(usize::MAX);
    let names: Vec<PropertyName> = changes.iter().map(name_of).collect();
    let (wrong, right): (Vec<&PropertyName>, Vec<&PropertyName>) = names.iter().partition(|name| fixed(name));
    let all = |names: &[&PropertyName]| names.iter().map(|name| element(name, "")).collect::<String>();
    match collection {
        Some(collection) if wrong.is_empty() => {
            for change in &changes {
                if let PropertyChange::Set(property) = change {
                    check_size(asked, property)?;
                }
            }
            let needs = &asked.room.needs;
            needs.collections.change_properties(&collection, &changes, &asked.room.limits()).await?;
            asked.changed("properties", &asked.place);
            out.properties(&href, &[(StatusCode::OK, all(&right))]);
        }
        _ => {
            out.properties(
                &href,
                &[(StatusCode::FORBIDDEN, all(&wrong)), (StatusCode::FAILED_DEPENDENCY, all(&right))],
            );
        }
    }
    Ok(out.finish())
}
