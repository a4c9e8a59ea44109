//! An event as it is stored once the server has done its part (RFC 6638 §3.2): statuses, answers, and the version.

use std::collections::HashMap;

use super::super::components::{Alarms, Component, Whole};
use super::super::particulars::Line;
use super::arrived::answered_at;
use super::meeting::{Agent, Meeting, answer, is_moved};
use super::message::ANSWERED;
use super::property::Property;

/// Whose answers count where the client's event and the stored one differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// The client's.
    Given,
    /// The stored ones: the client only knows that nothing else has changed since (RFC 6638 §3.2.10).
    Stored,
}

/// The organiser's event: nobody's answer to an earlier time counts for another one, and a new time is a new version
/// (RFC 5546 §2.1.4).
pub(super) fn organised(
    meeting: &Meeting<'_>,
    before: Option<&Meeting<'_>>,
    answers: Answers,
    is_own: &dyn Fn(&str) -> bool,
) -> String {
    let moved = |event: &Component<'_>| {
        before.is_some_and(|before| match before.same(event) {
            Some(former) => is_moved(event, former),
            None => event.is_exception() && event.time("DTSTART") != event.exception(),
        })
    };
    let version = |event: &Component<'_>| {
        let former = before.and_then(|before| before.same(event).or_else(|| before.master()))?;
        let is_new = moved(event) || event.value("STATUS") != former.value("STATUS");
        (is_new && event.sequence() <= former.sequence()).then(|| former.sequence().saturating_add(1))
    };
    let guest = |event: &Component<'_>, line: &Line<'_>| {
        let property = Property::of(&line.whole).without(&["SCHEDULE-FORCE-SEND", "SCHEDULE-STATUS"]);
        let address = property.address();
        if is_own(&address) || meeting.guest(&address).is_none_or(|guest| guest.agent == Agent::Other) {
            return property.line();
        }
        let known = before.and_then(|before| before.guest(&address));
        let property = match known.and_then(|known| known.status.as_deref()) {
            Some(status) => property.with("SCHEDULE-STATUS", status),
            None => property,
        };
        // Some programs leave out what they do not know, and an answer that comes late must not count then.
        let answered = before.and_then(|before| before.same(event)).and_then(|former| answered_at(former, &address));
        let property = match answered.filter(|_| !moved(event)) {
            Some(time) if property.parameter(ANSWERED).is_none() => property.with(ANSWERED, &time),
            _ => property,
        };
        let stored = || before.and_then(|before| before.same(event)).and_then(|former| answer(former, &address));
        let given = property.parameter("PARTSTAT").unwrap_or("NEEDS-ACTION").to_owned();
        let counts = match answers {
            _ if known.is_some() && moved(event) => "NEEDS-ACTION".to_owned(),
            Answers::Stored => stored().unwrap_or_else(|| given.clone()),
            Answers::Given => given.clone(),
        };
        if counts.eq_ignore_ascii_case(&given) { property.line() } else { property.with("PARTSTAT", &counts).line() }
    };
    let change = |event: &Component<'_>, line: &Line<'_>| match line.property().as_str() {
        "ATTENDEE" => Some(guest(event, line)),
        "ORGANIZER" => Some(Property::of(&line.whole).without(&["SCHEDULE-FORCE-SEND", "SCHEDULE-STATUS"]).line()),
        "SEQUENCE" if version(event).is_some() => None,
        _ => Some(line.whole.clone()),
    };
    let more =
        |event: &Component<'_>| version(event).map(|version| format!("SEQUENCE:{version}")).into_iter().collect();
    rewritten(&meeting.whole, &change, &more)
}

/// A guest's event.
pub(super) fn attended(meeting: &Meeting<'_>, before: Option<&Meeting<'_>>) -> String {
    let status = before.and_then(|before| before.organiser.status.as_deref());
    let change = |_: &Component<'_>, line: &Line<'_>| match line.property().as_str() {
        "ORGANIZER" => {
            let property = Property::of(&line.whole).without(&["SCHEDULE-FORCE-SEND", "SCHEDULE-STATUS"]);
            Some(match status {
                Some(status) => property.with("SCHEDULE-STATUS", status).line(),
                None => property.line(),
            })
        }
        _ => Some(line.whole.clone()),
    };
    rewritten(&meeting.whole, &change, &|_| Vec::new())
}

/// An event with what has become of the messages to these people (RFC 6638 §7.3).
pub(super) fn with_statuses(content: &str, name: &str, statuses: &[(String, &str)]) -> String {
    let change = |_: &Component<'_>, line: &Line<'_>| {
        if line.property() != name {
            return Some(line.whole.clone());
        }
        let property = Property::of(&line.whole);
        let address = property.address();
        let status = statuses.iter().find(|(known, _)| *known == address).map(|(_, status)| *status);
        Some(status.map_or_else(|| line.whole.clone(), |status| property.with("SCHEDULE-STATUS", status).line()))
    };
    rewritten(&Whole::of(content), &change, &|_| Vec::new())
}

/// A guest's event after a change, with the guest's own answers to what is not asked again: the same version at the same times (RFC 5546
/// §2.1.4). The organiser may not have read them yet, and Exchange never says what guests have answered.
pub(super) fn with_own_answers(content: &str, before: &Meeting<'_>, is_own: &dyn Fn(&str) -> bool) -> String {
    let whole = Whole::of(content);
    let mut out = whole.head();
    for component in &whole.components {
        if component.kind != "VEVENT" {
            component.write(&mut out);
            continue;
        }
        // Once for all lines: there may be tens of thousands of guests, before and now.
        let given = given(component, before, is_own);
        let change = |line: &Line<'_>| {
            if given.is_empty() || line.property() != "ATTENDEE" {
                return Some(line.whole.clone());
            }
            let property = Property::of(&line.whole);
            let is_open = property.parameter("PARTSTAT").is_none_or(|now| now.eq_ignore_ascii_case("NEEDS-ACTION"));
            let given = given.get(&property.address()).filter(|_| is_open);
            Some(given.map_or_else(|| line.whole.clone(), |given| property.with("PARTSTAT", given).line()))
        };
        component.write_changed(Alarms::Kept, &change, &[], &mut out);
    }
    out + "END:VCALENDAR\r\n"
}

/// The guest's own answers to an event, by address, that were given to the same version of it at the same times.
fn given(event: &Component<'_>, before: &Meeting<'_>, is_own: &dyn Fn(&str) -> bool) -> HashMap<String, String> {
    let former = before.same(event).filter(|former| former.sequence() == event.sequence() && !is_moved(event, former));
    let mut given = HashMap::new();
    for line in former.into_iter().flat_map(Component::own).filter(|line| line.property() == "ATTENDEE") {
        let property = Property::of(&line.whole);
        let address = property.address();
        if is_own(&address) {
            // The first line counts.
            let answer = property.parameter("PARTSTAT").unwrap_or("NEEDS-ACTION").to_ascii_uppercase();
            given.entry(address).or_insert(answer);
        }
    }
    given.retain(|_, answer| answer != "NEEDS-ACTION");
    given
}

/// An event that says of some of its times (`None` for the series) when somebody has given the answers to them.
pub(super) fn with_answered(content: &str, guest: &str, times: &HashMap<Option<String>, String>) -> String {
    let change = |component: &Component<'_>, line: &Line<'_>| {
        if line.property() != "ATTENDEE" {
            return Some(line.whole.clone());
        }
        let property = Property::of(&line.whole);
        let time = times.get(&component.exception()).filter(|_| property.address() == guest);
        Some(time.map_or_else(|| line.whole.clone(), |time| property.with(ANSWERED, time).line()))
    };
    rewritten(&Whole::of(content), &change, &|_| Vec::new())
}

/// An event that does not take place any more, or to which its owner is not invited any more; with the version of who has said so, and
/// when that was: an earlier invitation that comes later must not bring it back.
pub(super) fn as_cancelled(content: &str, sequence: Option<&str>, written: Option<&str>) -> String {
    let change = |_: &Component<'_>, line: &Line<'_>| match line.property().as_str() {
        "STATUS" => None,
        "SEQUENCE" if sequence.is_some() => None,
        "DTSTAMP" if written.is_some() => None,
        _ => Some(line.whole.clone()),
    };
    let more = |_: &Component<'_>| {
        let sequence = sequence.map(|sequence| format!("SEQUENCE:{sequence}"));
        let written = written.map(|written| format!("DTSTAMP:{written}"));
        std::iter::once("STATUS:CANCELLED".to_owned()).chain(sequence).chain(written).collect()
    };
    rewritten(&Whole::of(content), &change, &more)
}

/// Whether two texts of an event differ in more than how their lines are folded.
pub(super) fn is_same(content: &str, other: &str) -> bool {
    let plain =
        |content: &str| rewritten(&Whole::of(content), &|_, line: &Line<'_>| Some(line.whole.clone()), &|_| Vec::new());
    plain(content) == plain(other)
}

/// An event with each line of its components as it is changed (`None` leaves it out), and with more lines at their ends.
pub(super) fn rewritten(
    whole: &Whole<'_>,
    change: &dyn Fn(&Component<'_>, &Line<'_>) -> Option<String>,
    more: &dyn Fn(&Component<'_>) -> Vec<String>,
) -> String {
    let mut out = whole.head();
    for component in &whole.components {
        match component.kind.as_str() {
            "VEVENT" => {
                component.write_changed(Alarms::Kept, &|line| change(component, line), &more(component), &mut out);
            }
            _ => component.write(&mut out),
        }
    }
    out + "END:VCALENDAR\r\n"
}
