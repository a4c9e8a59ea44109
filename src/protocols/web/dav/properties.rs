//! The properties of each resource.

use axum::http::StatusCode;
use quick_xml::escape::escape;

use super::DavSettings;
use super::multistatus::{Multistatus, element};
use super::place::Place;
use super::request::Wanted;
use super::xml::{CALDAV, CALENDAR_SERVER, CARDDAV, DAV};
use crate::foundations::address::Address;
use crate::services::dav::scheduling::{DEFAULT_CALENDAR_PROPERTY, TRANSPARENCY_PROPERTY};
use crate::services::dav::{SCHEDULE_INBOX, schedule_tag};
use crate::storage::dav::{Collection, CollectionKind, Known, ObjectInfo, Property, PropertyName};
use crate::storage::directory::Account;

/// Something with properties.
pub(super) enum Resource<'a> {
    Root,
    Principals,
    Principal,
    Outbox,
    Home(CollectionKind),
    Collection(&'a Collection, &'a [Property]),
    /// With its content where a report brings it along.
    Object(&'a Collection, &'a ObjectInfo, Option<&'a str>),
}

/// What answers are made with.
pub(super) struct Writer<'a> {
    pub(super) account: &'a Account,
    pub(super) settings: &'a DavSettings,
    pub(super) wanted: &'a Wanted,
    /// Whether missing properties are left out (`Prefer: return=minimal`, RFC 8144 §2.1).
    pub(super) minimal: bool,
    /// The addresses by which the user is invited; empty where nobody asks for them.
    pub(super) addresses: &'a [Address],
}

/// The sync token of a collection as a URI (RFC 6578 §6.2).
pub(super) fn sync_token(collection: i64, known: Known) -> String {
    let Known { told, begun } = known;
    let begun = begun.map(|begun| format!(":{begun}")).unwrap_or_default();
    format!("urn:postrider:sync:{collection}:{told}{begun}")
}

/// What a sync token says, if it is one of this collection.
pub(super) fn read_sync_token(collection: i64, text: &str) -> Option<Known> {
    let rest = text.strip_prefix("urn:postrider:sync:")?;
    let (of, numbers) = rest.split_once(':')?;
    let (told, begun) = match numbers.split_once(':') {
        Some((told, begun)) => (told, Some(begun.parse().ok()?)),
        None => (numbers, None),
    };
    (of.parse() == Ok(collection)).then_some(Known { told: told.parse().ok()?, begun })
}

impl Resource<'_> {
    fn place(&self) -> Place {
        match self {
            Self::Root => Place::Root,
            Self::Principals => Place::Principals,
            Self::Outbox => Place::Outbox,
            Self::Principal => Place::Principal,
            Self::Home(kind) => Place::Home(*kind),
            Self::Collection(collection, _) => Place::Collection(collection.kind, collection.name.clone()),
            Self::Object(collection, info, _) => {
                Place::Object(collection.kind, collection.name.clone(), info.name.clone())
            }
        }
    }

    /// The names of the properties that it has by itself and a client gets who asks for all.
    fn usual(&self) -> &'static [(&'static str, &'static str)] {
        const COMMON: &[(&str, &str)] = &[
            (DAV, "resourcetype"),
            (DAV, "displayname"),
            (DAV, "current-user-principal"),
            (DAV, "current-user-privilege-set"),
            (DAV, "owner"),
        ];
        const OF_COLLECTION: &[(&str, &str)] = &[
            (DAV, "resourcetype"),
            (DAV, "displayname"),
            (DAV, "current-user-principal"),
            (DAV, "current-user-privilege-set"),
            (DAV, "owner"),
            (DAV, "sync-token"),
            (CALENDAR_SERVER, "getctag"),
        ];
        const OF_OBJECT: &[(&str, &str)] = &[
            (DAV, "resourcetype"),
            (DAV, "getetag"),
            (DAV, "getcontenttype"),
            (DAV, "getcontentlength"),
            (DAV, "getlastmodified"),
        ];
        match self {
            Self::Collection(..) => OF_COLLECTION,
            Self::Object(..) => OF_OBJECT,
            _ => COMMON,
        }
    }

    /// Properties that clients have set.
    fn dead(&self) -> &[Property] {
        match self {
            Self::Collection(_, properties) => properties,
            _ => &[],
        }
    }
}

impl Writer<'_> {
    fn user(&self) -> &Address {
        &self.account.address
    }

    fn href(&self, place: &Place) -> String {
        format!("<D:href>{}</D:href>", escape(place.href(self.user())))
    }

    /// Adds a resource to an answer.
    pub(super) fn write(&self, resource: &Resource<'_>, out: &mut Multistatus) {
        let href = resource.place().href(self.user());
        let named = |(namespace, local): &(&str, &str)| PropertyName {
            namespace: (*namespace).to_owned(),
            local: (*local).to_owned(),
        };
        let names = || {
            let usual = resource.usual().iter().map(named);
            let dead = resource.dead().iter().map(|property| property.name.clone());
            let mut all: Vec<PropertyName> = usual.chain(dead).collect();
            all.sort();
            all.dedup();
            all
        };
        let (mut found, mut missing) = (String::new(), String::new());
        match self.wanted {
            Wanted::Names => names().iter().for_each(|name| found.push_str(&element(name, ""))),
            Wanted::All => {
                for name in names() {
                    if let Some(value) = self.value(resource, &name) {
                        found.push_str(&element(&name, &value));
                    }
                }
            }
            Wanted::These(names, _) => {
                for name in names {
                    match self.value(resource, name) {
                        Some(value) => found.push_str(&element(name, &value)),
                        None if self.minimal => {}
                        None => missing.push_str(&element(name, "")),
                    }
                }
            }
        }
        out.properties(&href, &[(StatusCode::OK, found), (StatusCode::NOT_FOUND, missing)]);
    }

    /// The contents of a property's element; `None` if the resource has no such property.
    fn value(&self, resource: &Resource<'_>, name: &PropertyName) -> Option<String> {
        if let Some(dead) = resource.dead().iter().find(|property| property.name == *name) {
            return Some(dead.value.clone());
        }
        let own = match (name.namespace.as_str(), name.local.as_str()) {
            (DAV, "resourcetype") => Some(resource_type(resource)),
            (DAV, "current-user-principal") => Some(self.href(&Place::Principal)),
            (DAV, "principal-collection-set") => Some(self.href(&Place::Principals)),
            (DAV, "owner") if !matches!(resource, Resource::Root | Resource::Principals) => {
                Some(self.href(&Place::Principal))
            }
            (DAV, "current-user-privilege-set") => {
                // RFC 3744 §5.4: one's own is all one's own.
                let all = ["read", "write", "write-properties", "write-content", "bind", "unbind", "read-acl"];
                let privilege = |name: &&str| format!("<D:privilege><D:{name}/></D:privilege>");
                let more = match resource {
                    Resource::Outbox => "schedule-send",
                    Resource::Collection(collection, _) if collection.kind == CollectionKind::ScheduleInbox => {
                        "schedule-deliver"
                    }
                    _ => "read-free-busy",
                };
                Some(all.iter().map(privilege).chain([format!("<D:privilege><C:{more}/></D:privilege>")]).collect())
            }
            (CALDAV, "calendar-home-set") if matches!(resource, Resource::Principal | Resource::Root) => {
                Some(self.href(&Place::Home(CollectionKind::Calendar)))
            }
            (CARDDAV, "addressbook-home-set") if matches!(resource, Resource::Principal | Resource::Root) => {
                Some(self.href(&Place::Home(CollectionKind::AddressBook)))
            }
            _ => None,
        };
        own.or_else(|| match resource {
            Resource::Principal => self.of_principal(name),
            Resource::Collection(collection, _) => self.of_collection(collection, name),
            Resource::Object(collection, info, content) => of_object(collection, info, *content, name),
            Resource::Root | Resource::Principals | Resource::Outbox | Resource::Home(_) => {
                match (name.namespace.as_str(), name.local.as_str()) {
                    (DAV, "displayname") => Some(escape(self.user().to_string()).into_owned()),
                    _ => None,
                }
            }
        })
    }

    fn of_principal(&self, name: &PropertyName) -> Option<String> {
        let address = self.user().to_string();
        match (name.namespace.as_str(), name.local.as_str()) {
            (DAV, "displayname") => {
                let name = self.account.display_name.as_deref().filter(|name| !name.is_empty());
                Some(escape(name.unwrap_or(&address)).into_owned())
            }
            (DAV, "principal-URL") => Some(self.href(&Place::Principal)),
            (CALDAV, "calendar-user-address-set") => {
                let own = [self.user().clone()];
                let all = if self.addresses.is_empty() { &own } else { self.addresses };
                let href = |one: &Address| format!("<D:href>mailto:{}</D:href>", escape(one.to_string()));
                Some(all.iter().map(href).collect())
            }
            (CALDAV, "calendar-user-type") => Some("INDIVIDUAL".to_owned()),
            (CALDAV, "schedule-inbox-URL") if self.settings.scheduling.enabled => Some(self.href(&inbox())),
            (CALDAV, "schedule-outbox-URL") if self.settings.scheduling.enabled => Some(self.href(&Place::Outbox)),
            (CALENDAR_SERVER, "email-address-set") => {
                Some(format!("<S:email-address>{}</S:email-address>", escape(address.as_str())))
            }
            _ => None,
        }
    }

    fn of_collection(&self, collection: &Collection, name: &PropertyName) -> Option<String> {
        let is = |kind| collection.kind == kind;
        let holds_events = matches!(collection.kind, CollectionKind::Calendar | CollectionKind::ScheduleInbox);
        match (name.namespace.as_str(), name.local.as_str()) {
            (DAV, "displayname") => Some(escape(collection.name.as_str()).into_owned()),
            (DAV, "sync-token") | (CALENDAR_SERVER, "getctag") => {
                Some(sync_token(collection.id, Known::up_to(collection.token)))
            }
            (DAV, "supported-report-set") => Some(reports(collection.kind)),
            (CALDAV, "max-resource-size") if is(CollectionKind::Calendar) => {
                Some(self.settings.object.get().to_string())
            }
            (CALDAV, "max-attendees-per-instance")
                if is(CollectionKind::Calendar) && self.settings.scheduling.enabled =>
            {
                Some(self.settings.scheduling.attendees.to_string())
            }
            (CALDAV, TRANSPARENCY_PROPERTY) if is(CollectionKind::Calendar) => Some("<C:opaque/>".to_owned()),
            (CARDDAV, "max-resource-size") if is(CollectionKind::AddressBook) => {
                Some(self.settings.object.get().to_string())
            }
            (CALDAV, "supported-calendar-component-set") if holds_events => {
                let component = |name: &str| format!("<C:comp name=\"{}\"/>", escape(name));
                Some(collection.components.split(',').map(component).collect())
            }
            (CALDAV, "supported-calendar-data") if holds_events => {
                Some("<C:calendar-data content-type=\"text/calendar\" version=\"2.0\"/>".to_owned())
            }
            (CARDDAV, "supported-address-data") if is(CollectionKind::AddressBook) => {
                let version =
                    |version| format!("<A:address-data-type content-type=\"text/vcard\" version=\"{version}\"/>");
                Some(version("3.0") + &version("4.0"))
            }
            (CALDAV, "supported-collation-set") if is(CollectionKind::Calendar) => Some(collations("C")),
            (CARDDAV, "supported-collation-set") if is(CollectionKind::AddressBook) => Some(collations("A")),
            _ => None,
        }
    }
}

fn collations(prefix: &str) -> String {
    let known = ["i;ascii-casemap", "i;octet", "i;unicode-casemap"];
    known.iter().map(|name| format!("<{prefix}:supported-collation>{name}</{prefix}:supported-collation>")).collect()
}

fn reports(kind: CollectionKind) -> String {
    let known: &[&str] = match kind {
        CollectionKind::Calendar => {
            &["C:calendar-query", "C:calendar-multiget", "C:free-busy-query", "D:sync-collection"]
        }
        CollectionKind::ScheduleInbox => &["C:calendar-query", "C:calendar-multiget", "D:sync-collection"],
        CollectionKind::AddressBook => &["A:addressbook-query", "A:addressbook-multiget", "D:sync-collection"],
    };
    let report = |name: &&str| format!("<D:supported-report><D:report><{name}/></D:report></D:supported-report>");
    known.iter().map(report).collect()
}

fn resource_type(resource: &Resource<'_>) -> String {
    match resource {
        Resource::Object(..) => "",
        Resource::Principal => "<D:collection/><D:principal/>",
        Resource::Root | Resource::Principals | Resource::Home(_) => "<D:collection/>",
        Resource::Outbox => "<D:collection/><C:schedule-outbox/>",
        Resource::Collection(collection, _) => match collection.kind {
            CollectionKind::Calendar => "<D:collection/><C:calendar/>",
            CollectionKind::AddressBook => "<D:collection/><A:addressbook/>",
            CollectionKind::ScheduleInbox => "<D:collection/><C:schedule-inbox/>",
        },
    }
    .to_owned()
}

/// The media type of an object.
pub(super) fn content_type(kind: CollectionKind, component: &str) -> String {
    match kind {
        CollectionKind::Calendar | CollectionKind::ScheduleInbox => {
            format!("text/calendar; charset=utf-8; component={component}")
        }
        CollectionKind::AddressBook => "text/vcard; charset=utf-8".to_owned(),
    }
}

/// The inbox of messages about events.
pub(super) fn inbox() -> Place {
    Place::Collection(CollectionKind::ScheduleInbox, SCHEDULE_INBOX.to_owned())
}

/// A time as HTTP has it (RFC 9110 §5.6.7).
pub(super) fn http_date(at: crate::foundations::clock::Timestamp) -> String {
    at.utc().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn of_object(collection: &Collection, info: &ObjectInfo, content: Option<&str>, name: &PropertyName) -> Option<String> {
    match (name.namespace.as_str(), name.local.as_str(), collection.kind) {
        (DAV, "getetag", _) => Some(format!("&quot;{}&quot;", info.etag)),
        (DAV, "getcontenttype", kind) => Some(escape(content_type(kind, &info.component)).into_owned()),
        (DAV, "getcontentlength", _) => Some(info.size.to_string()),
        (DAV, "getlastmodified", _) => Some(http_date(info.modified_at)),
        (CALDAV, "schedule-tag", CollectionKind::Calendar) => {
            schedule_tag(&info.etag).map(|tag| format!("&quot;{tag}&quot;"))
        }
        (CALDAV, "calendar-data", CollectionKind::Calendar | CollectionKind::ScheduleInbox)
        | (CARDDAV, "address-data", CollectionKind::AddressBook) => {
            // A carriage return would be lost to a reader of XML that is not written as a reference (XML 1.0 §2.11).
            content.map(|content| escape(content).replace('\r', "&#13;"))
        }
        _ => None,
    }
}

/// Whether a client may not set a property, since the server alone knows it.
pub(super) fn is_protected(kind: CollectionKind, name: &PropertyName) -> bool {
    const SETTABLE: &[(&str, &str)] = &[
        (DAV, "displayname"),
        (CALDAV, "calendar-description"),
        (CALDAV, "calendar-timezone"),
        // RFC 7809 §5.2; DAVx5 names the zone of a new calendar in both ways.
        (CALDAV, "calendar-timezone-id"),
        // draft-daboo-valarm-extensions: programs keep there which alarms new events and tasks get.
        (CALDAV, "default-alarm-vevent-datetime"),
        (CALDAV, "default-alarm-vevent-date"),
        (CALDAV, "default-alarm-vtodo-datetime"),
        (CALDAV, "default-alarm-vtodo-date"),
        (CALDAV, TRANSPARENCY_PROPERTY),
        (CALDAV, DEFAULT_CALENDAR_PROPERTY),
        (CARDDAV, "addressbook-description"),
    ];
    let ours = [DAV, CALDAV, CARDDAV].contains(&name.namespace.as_str())
        || (name.namespace == CALENDAR_SERVER && name.local == "getctag");
    let is_elsewhere = name.local == DEFAULT_CALENDAR_PROPERTY && kind != CollectionKind::ScheduleInbox;
    let is_settable = SETTABLE.iter().any(|(namespace, local)| *namespace == name.namespace && *local == name.local);
    ours && (is_elsewhere || !is_settable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_of_one_collection() {
        for known in [Known::up_to(42), Known { told: 3, begun: Some(42) }] {
            assert_eq!(read_sync_token(7, &sync_token(7, known)), Some(known));
        }
        let wrong = ["", "x", "urn:postrider:sync:8:42", "urn:postrider:sync:7:x", "urn:postrider:sync:7"];
        for wrong in wrong.into_iter().chain(["urn:postrider:sync:7:1:x", "urn:postrider:sync:7:1:2:3"]) {
            assert_eq!(read_sync_token(7, wrong), None, "{wrong}");
        }
    }
}
