//! What messages make of the events in calendars of this server.

use std::collections::HashSet;

use super::super::components::{Alarms, Component, Whole};
use super::super::invitation::Invitation;
use super::arrived::is_moment;
use super::meeting::Meeting;
use super::message;
use super::settled::{as_cancelled, with_statuses};
use crate::foundations::clock::Timestamp;

/// Why a message is not entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The event in the calendar is another one, or its organiser is.
    Foreign,
    /// There is nothing that the message is about, or it cannot be read.
    Unfit,
}

/// A guest's event after a request.
pub(super) fn requested(stored: Option<&str>, message: &str) -> Result<String, Refused> {
    check_organiser(stored, message)?;
    let invitation = Invitation::read(message).map_err(|_| Refused::Unfit)?;
    Ok(invitation.entered(stored, None))
}

/// A guest's event after a cancellation; `None` if nothing of it is left. A whole event stays, marked as cancelled.
pub(super) fn cancelled(stored: &str, message: &str) -> Result<Option<String>, Refused> {
    check_organiser(Some(stored), message)?;
    let (own, there) = (Whole::of(message), Whole::of(stored));
    if let Some(event) = own.events().find(|event| !event.is_exception()) {
        let written = event.value("DTSTAMP").filter(|time| is_moment(time));
        return Ok(Some(as_cancelled(stored, event.value("SEQUENCE"), written)));
    }
    let gone: HashSet<String> = own.events().filter_map(Component::exception).collect();
    let times: Vec<String> = own.events().filter_map(message::left_out).collect();
    let (mut out, mut is_any) = (there.head(), false);
    for component in &there.components {
        if component.kind != "VEVENT" {
            component.write(&mut out);
            continue;
        }
        if component.exception().is_some_and(|id| gone.contains(&id)) {
            continue;
        }
        is_any = true;
        // RFC 5545 §3.8.5.1.
        let more: &[String] = if component.is_exception() { &[] } else { &times };
        component.write_changed(Alarms::Kept, &|line| Some(line.whole.clone()), more, &mut out);
    }
    Ok(is_any.then(|| out + "END:VCALENDAR\r\n"))
}

/// The organiser's event after a reply.
pub(super) fn replied(stored: &str, message: &str, now: Timestamp) -> Result<String, Refused> {
    check_organiser(Some(stored), message)?;
    let invitation = Invitation::read(message).map_err(|_| Refused::Unfit)?;
    let noted = invitation.noted_in(stored, now).map_err(|_| Refused::Unfit)?;
    let guest = Meeting::of(message).and_then(|reply| Some(reply.guests.first()?.address.clone()));
    Ok(match guest {
        Some(guest) => with_statuses(&noted, "ATTENDEE", &[(guest, "2.0")]),
        None => noted,
    })
}

/// Nobody but its organiser says anything about an event, whoever knows its UID.
fn check_organiser(stored: Option<&str>, message: &str) -> Result<(), Refused> {
    let message = Meeting::of(message).ok_or(Refused::Unfit)?;
    let Some(stored) = stored else { return Ok(()) };
    match Meeting::of(stored) {
        Some(there) if there.organiser.address == message.organiser.address => Ok(()),
        _ => Err(Refused::Foreign),
    }
}
