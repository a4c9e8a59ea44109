//! COPY and MOVE of objects (RFC 4918 §9.8, §9.9).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Answer, Problem};
use super::object::{check_component, condition, conflict, draft, location};
use super::place::Place;
use super::scheduled;
use super::serve::Asked;
use super::xml::CALDAV;
use crate::services::dav::schedule_tag;
use crate::storage::dav::{CollectionKind, Overwrite, Stored, Transfer, TransferKind};

/// Copies or moves an object.
pub(super) async fn transfer(asked: &Asked<'_>, of: TransferKind) -> Answer<Response> {
    let user = &asked.visitor.account.address;
    let Place::Object(kind, name, object) = &asked.place else {
        let why = "Only events, tasks and contacts can be copied and moved, not whole calendars.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    };
    if *kind == CollectionKind::ScheduleInbox {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Here, messages about events can only be read and removed."));
    }
    let target = asked.header("destination").ok_or_else(|| Problem::bad("A `Destination` is needed."))?;
    // RFC 4918 §9.8.5: the destination is on a server that is not ours.
    if !is_here(asked, target) {
        return Err(Problem::new(StatusCode::BAD_GATEWAY, "The destination is on another server."));
    }
    let target = Place::parse(target, user)?;
    let Place::Object(to_kind, to_name, to_object) = &target else {
        return Err(Problem::new(StatusCode::FORBIDDEN, "The destination cannot hold an object."));
    };
    if target == asked.place {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Source and destination are the same."));
    }
    if to_kind != kind {
        return Err(Problem::new(StatusCode::FORBIDDEN, "A contact cannot become an event, nor an event a contact."));
    }
    let overwrite = match asked.header("overwrite").map(str::trim) {
        None | Some("T" | "t") => Overwrite::Yes,
        Some("F" | "f") => Overwrite::No,
        Some(_) => return Err(Problem::bad("`Overwrite` is T or F.")),
    };
    let needs = &asked.room.needs;
    let from = asked.collection(*kind, name).await?;
    let to = needs.collections.find(user, *kind, to_name).await?;
    let to = to.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "There is no such calendar or address book."))?;
    let found = needs.collections.object(&from, object).await?.ok_or_else(Problem::missing)?;
    if !condition(asked)?.holds(Some(&found.info.etag)) {
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "It has changed meanwhile."));
    }
    scheduled::check_tag(asked, Some(&found.info.etag))?;
    let has_guests = schedule_tag(&found.info.etag).is_some();
    if of == TransferKind::Copy && has_guests && scheduled::applies(asked, *kind, &found.info.component) {
        // RFC 6638 §3.2.4.1.
        let why = "An event with guests can be in one calendar only. Move it instead of copying it.";
        let rule = "unique-scheduling-object-resource";
        return Err(Problem::new(StatusCode::FORBIDDEN, why).rule_about(CALDAV, rule, &asked.place.href(user)));
    }
    let most = needs.settings.get().recurrences as usize;
    let mut copy = draft(*kind, to_object.clone(), found.content, most).await?;
    // The schedule tag in a validator can be older than the content (RFC 6638 §3.2.10), so it does not follow from it.
    copy.etag.clone_from(&found.info.etag);
    check_component(&to, &copy)?;
    let transfer = Transfer { kind: of, from: (&from, object.as_str()), to: (&to, &copy), overwrite };
    let stored = needs.collections.transfer(user, transfer, &asked.room.limits(), needs.clock.now()).await;
    let stored = stored.map_err(|error| conflict(asked, &to, error))?;
    let what = match of {
        TransferKind::Copy => "copied",
        TransferKind::Move => "moved away",
    };
    asked.changed(what, &asked.place);
    asked.changed("stored", &target);
    let status = match stored {
        Stored::New => StatusCode::CREATED,
        Stored::Replaced => StatusCode::NO_CONTENT,
    };
    let mut response = status.into_response();
    if let Some(place) = location(&target.href(user)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Whether a destination is on this server: a path, or a URL with the host that was asked. Ports do not count: a proxy in front may
/// have left out the one that clients see.
fn is_here(asked: &Asked<'_>, target: &str) -> bool {
    match target.split_once("://") {
        None => target.starts_with('/'),
        Some((_, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            asked.header("host").is_some_and(|own| without_port(own).eq_ignore_ascii_case(without_port(host)))
        }
    }
}

fn without_port(authority: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (host.ends_with(']') || !host.contains(':')) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_left_out() {
        for (authority, host) in [
            ("mail.example.test", "mail.example.test"),
            ("mail.example.test:8443", "mail.example.test"),
            ("mail.example.test:", "mail.example.test:"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(without_port(authority), host, "{authority}");
        }
    }
}
