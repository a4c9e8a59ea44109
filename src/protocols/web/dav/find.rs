//! PROPFIND (RFC 4918 §9.1).

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{Answer, Problem};
use super::body;
use super::multistatus::Multistatus;
use super::place::Place;
use super::properties::{Resource, Writer};
use super::request::Wanted;
use super::serve::Asked;
use super::xml::DAV;
use crate::storage::dav::{Collection, CollectionKind, Property};

pub(super) async fn find(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    let root = body::xml(asked, body).await?;
    let wanted = Wanted::of_find(root.as_ref())?;
    let deep = match asked.header("depth").map(str::trim) {
        Some("0") => false,
        Some("1") => true,
        Some(other) if !other.eq_ignore_ascii_case("infinity") => {
            return Err(Problem::bad("The header `Depth` is 0, 1 or infinity."));
        }
        // RFC 4918 §9.1.1 allows to refuse what would be everything.
        _ => {
            let why = "Ask for a depth of 0 or 1.";
            return Err(Problem::new(StatusCode::FORBIDDEN, why).rule(DAV, "propfind-finite-depth"));
        }
    };
    let settings = asked.room.needs.settings.get();
    let account = &asked.visitor.account;
    let writer = Writer { account, settings: &settings, wanted: &wanted, minimal: is_minimal(asked) };
    let mut out = Multistatus::new(settings.answer.len());
    let collections = &asked.room.needs.collections;
    match &asked.place {
        Place::Root => {
            writer.write(&Resource::Root, &mut out);
            if deep {
                writer.write(&Resource::Principal, &mut out);
                writer.write(&Resource::Home(CollectionKind::Calendar), &mut out);
                writer.write(&Resource::Home(CollectionKind::AddressBook), &mut out);
            }
        }
        Place::Principal => writer.write(&Resource::Principal, &mut out),
        Place::Home(kind) => {
            writer.write(&Resource::Home(*kind), &mut out);
            if deep {
                let all = collections.all(&account.address, *kind).await?;
                let properties = collections.properties(&all).await?;
                for collection in &all {
                    let own = of(collection, &properties);
                    writer.write(&Resource::Collection(collection, &own), &mut out);
                }
            }
        }
        Place::Collection(kind, name) => {
            let collection = asked.collection(*kind, name).await?;
            let properties = collections.properties(std::slice::from_ref(&collection)).await?;
            writer.write(&Resource::Collection(&collection, &of(&collection, &properties)), &mut out);
            if deep {
                for info in collections.objects(&collection).await? {
                    if !out.has_room(1 << 10) {
                        let why = "There is more here than fits into one answer; use `sync-collection`.";
                        return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, why));
                    }
                    writer.write(&Resource::Object(&collection, &info, None), &mut out);
                }
            }
        }
        Place::Object(kind, name, object) => {
            let collection = asked.collection(*kind, name).await?;
            let found = collections.object(&collection, object).await?.ok_or_else(Problem::missing)?;
            writer.write(&Resource::Object(&collection, &found.info, None), &mut out);
        }
    }
    Ok(out.finish())
}

/// Whether the client does not want to be told what is not there.
pub(super) fn is_minimal(asked: &Asked<'_>) -> bool {
    asked.header("prefer").is_some_and(|prefer| prefer.split(',').any(|one| one.trim() == "return=minimal"))
}

fn of(collection: &Collection, all: &[(i64, Property)]) -> Vec<Property> {
    all.iter().filter(|(id, _)| *id == collection.id).map(|(_, property)| property.clone()).collect()
}
