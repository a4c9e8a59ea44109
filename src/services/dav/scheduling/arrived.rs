//! What a message that has arrived by mail may change without anybody's click.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use calcard::common::timezone::Tz;
use chrono::{DateTime, NaiveDateTime};

use super::super::components::{Component, Whole, named, pieces};
use super::super::invitation::Invitation;
use super::super::occurrences::occurrences;
use super::super::particulars::Line;
use super::apply::{cancelled, requested};
use super::meeting::{Agent, Meeting, invites, is_moved};
use super::message::ANSWERED;
use super::property::Property;
use super::settled::{rewritten, with_answered, with_own_answers, with_statuses};
use crate::foundations::clock::Timestamp;
use crate::services::dav::CalendarObject;

/// Most times of an event that one message is about.
const MOST_TIMES: usize = 50;

/// Why a message waits for a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Left {
    #[error("it cannot be read as a message about this event")]
    Unfit,
    #[error("its author is not the guest or organiser whom it names")]
    Foreign,
    #[error("the user's own program takes care of the messages about this event")]
    NotOurs,
    #[error("it is not later than the version or the answer that the event has")]
    Older,
    #[error("it is about times that the event does not have, or about too many")]
    Times,
    #[error("it says nothing of times that the event leaves out or changes")]
    Forgotten,
    #[error("it, or the event with it, is larger than `dav.object` allows")]
    TooLarge,
}

/// The organiser's event with the answer of a guest who has written the message, and with when that was, even if the answer is the
/// same again. Nothing but that guest's answer changes (RFC 5546 §3.2.3). Single times of a series are added up to `room` octets.
pub(super) fn answered(
    stored: &str,
    message: &str,
    author: &str,
    is_own: &dyn Fn(&str) -> bool,
    (most, room, now): (usize, usize, Timestamp),
) -> Result<String, Left> {
    let there = Meeting::of(stored).ok_or(Left::Unfit)?;
    let message = plain(message, &there)?;
    let reply = Meeting::of(&message).ok_or(Left::Unfit)?;
    check_times(&reply)?;
    if !is_of_same(&there, &reply) || !is_own(&there.organiser.address) {
        return Err(Left::Foreign);
    }
    let [guest] = reply.guests.as_slice() else { return Err(Left::Foreign) };
    if guest.address != author || is_own(author) {
        return Err(Left::Foreign);
    }
    match there.guest(author) {
        None => return Err(Left::Foreign),
        Some(known) if known.agent == Agent::Other => return Err(Left::NotOurs),
        Some(_) => {}
    }
    let mut given = HashMap::new();
    let mut unknown: HashSet<String> = HashSet::new();
    for event in reply.whole.events() {
        let time = event.value("DTSTAMP").filter(|time| is_moment(time)).map(str::to_owned).ok_or(Left::Unfit)?;
        let same = there.same(event);
        let known = same.or_else(|| there.master()).filter(|known| invites(known, author)).ok_or(Left::Times)?;
        if event.sequence() < known.sequence() {
            return Err(Left::Older);
        }
        let before = same.and_then(|same| answered_at(same, author));
        // Both are in UTC (RFC 5545 §3.8.7.2), so that they compare as texts.
        if before.is_some_and(|before| time <= before) {
            return Err(Left::Older);
        }
        if same.is_none() {
            if !is_named_alike(event, known) {
                return Err(Left::Times);
            }
            unknown.extend(event.exception());
        }
        given.insert(event.exception(), time);
    }
    let is_longer = !unknown.is_empty();
    if is_longer && !has_times(stored, unknown, most) {
        return Err(Left::Times);
    }
    let reply = Invitation::read(&message).map_err(|_| Left::Unfit)?;
    let noted = reply.noted_in(stored, now).map_err(|_| Left::Unfit)?;
    let noted = with_statuses(&noted, "ATTENDEE", &[(author.to_owned(), "2.0")]);
    let noted = with_answered(&noted, author, &given);
    // Each time that gets an answer of its own is another copy of the event, and the organiser needs room for changes.
    if is_longer && noted.len() > room {
        return Err(Left::Times);
    }
    Ok(noted)
}

/// A guest's event with the change or the cancellation by the organiser who has written the message; `None` if it is so already.
/// Of a series at most `most` times are looked at.
pub(super) fn changed(
    stored: &str,
    message: &str,
    author: &str,
    is_own: &dyn Fn(&str) -> bool,
    (change, most): (Change, usize),
) -> Result<Option<String>, Left> {
    let (there, told) = (Meeting::of(stored).ok_or(Left::Unfit)?, Meeting::of(message).ok_or(Left::Unfit)?);
    check_times(&told)?;
    if !is_of_same(&there, &told) || there.organiser.address != author || is_own(author) {
        return Err(Left::Foreign);
    }
    let is_invited = |meeting: &Meeting<'_>| meeting.guests.iter().any(|guest| is_own(&guest.address));
    if !is_invited(&there) || !is_invited(&told) {
        return Err(Left::Foreign);
    }
    if there.organiser.agent == Agent::Other {
        return Err(Left::NotOurs);
    }
    if change == Change::Request && forgets_times(&told, &there, most) {
        return Err(Left::Forgotten);
    }
    let series = told.master().zip(there.master());
    let is_series_later = series.is_some_and(|(now, before)| now.sequence() > before.sequence());
    for event in told.whole.events() {
        let same = there.same(event);
        let known = same.or_else(|| there.master()).ok_or(Left::Times)?;
        // A time that the user has left out does not come back by itself.
        if event.exception().is_some_and(|id| known.leaves_out(&id)) {
            return Err(Left::Times);
        }
        // A cancellation, and a time that becomes an exception, may have the version of the series, and a former exception its own
        // if the series has a later one.
        let is_later = match (change, same) {
            _ if is_series_later => event.sequence() >= known.sequence(),
            (Change::Request, Some(same)) => order(event, same).is_gt(),
            _ => order(event, known).is_ge(),
        };
        if !is_later {
            return Err(Left::Older);
        }
    }
    let content = match change {
        Change::Request => {
            let content = requested(Some(stored), message).map_err(|_| Left::Unfit)?;
            Some(with_own_answers(&content, &there, is_own))
        }
        Change::Cancel => cancelled(stored, message).map_err(|_| Left::Unfit)?,
    };
    // What would remove all of an event is for its owner to decide.
    let content = content.ok_or(Left::Times)?;
    Ok((content != stored).then_some(content))
}

/// What an organiser has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Request,
    Cancel,
}

/// A reply as programs write it that go by the standard and by the event. Exchange leaves the organiser out, against RFC 5546 §3.2.3:
/// whoever has written the reply is known, and answers only for themselves. And it has names of its own for the zones of times.
fn plain(reply: &str, there: &Meeting<'_>) -> Result<String, Left> {
    let whole = Whole::of(reply);
    // RFC 5545 §3.6.1. Each of tens of thousands of lines would have the event searched for the first.
    let names_several =
        |event: &Component<'_>| event.own().filter(|line| line.property() == "RECURRENCE-ID").nth(1).is_some();
    if whole.events().any(names_several) {
        return Err(Left::Unfit);
    }
    let is_named = whole.events().any(|event| event.line("ORGANIZER").is_some());
    let organiser = (!is_named).then(|| format!("ORGANIZER:mailto:{}", there.organiser.mailbox));
    let change = |event: &Component<'_>, line: &Line<'_>| {
        let is_strange =
            line.property() == "RECURRENCE-ID" && !there.master().is_some_and(|all| is_named_alike(event, all));
        let in_utc = if is_strange { in_utc(&line.whole) } else { None };
        Some(in_utc.unwrap_or_else(|| line.whole.clone()))
    };
    Ok(rewritten(&whole, &change, &|_| organiser.iter().cloned().collect()))
}

/// The time of a series in UTC, if it is in a known zone and nothing else is said of it.
fn in_utc(line: &str) -> Option<String> {
    let id = Property::of(line);
    let time = id.comparable();
    let bare = id.without(&["TZID"]).valued(&time).line();
    (is_moment(&time) && bare.eq_ignore_ascii_case(&format!("RECURRENCE-ID:{time}"))).then_some(bare)
}

/// Whether all of two calendars is about events of the same organiser.
fn is_of_same(one: &Meeting<'_>, other: &Meeting<'_>) -> bool {
    one.is_of_one && other.is_of_one && one.organiser.address == other.organiser.address
}

/// Whether a change of a series says nothing of some of its times that the event changes or leaves out. To some programs they then
/// take place as the others again, to others they stay as they are; and those may be the user's own wishes. A series that only ends
/// at another time, or lasts longer each time, still has most of them.
fn forgets_times(told: &Meeting<'_>, there: &Meeting<'_>, most: usize) -> bool {
    let Some((now, before)) = told.master().zip(there.master()) else { return false };
    let all = |meeting: &Meeting<'_>, series: &Component<'_>| -> HashSet<String> {
        meeting.whole.events().filter_map(Component::exception).chain(series.times("EXDATE")).collect()
    };
    let known = all(told, now);
    let mut forgotten = all(there, before);
    forgotten.retain(|time| !known.contains(time));
    let count = forgotten.len();
    if count == 0 || !is_moved(now, before) {
        return count > 0;
    }
    // Without its METHOD, as it would be stored.
    let content = rewritten(&told.whole, &|_, line: &Line<'_>| Some(line.whole.clone()), &|_| Vec::new());
    remove_times(&content, &mut forgotten, most);
    forgotten.len() < count
}

/// Which of two versions of an event is the later one (RFC 5546 §2.1.5): by their numbers, and of those with the same number by when
/// they were written. An organiser who changes what needs no new answers leaves the number as it is (§2.1.4), and a cancellation
/// that was overtaken by a new invitation may have its number.
fn order(event: &Component<'_>, other: &Component<'_>) -> Ordering {
    let written = |event: &Component<'_>| event.value("DTSTAMP").filter(|time| is_moment(time)).map(str::to_owned);
    // Both are in UTC (RFC 5545 §3.8.7.2), so that they compare as texts.
    let by_time = || written(event).zip(written(other)).map_or(Ordering::Equal, |(one, other)| one.cmp(&other));
    event.sequence().cmp(&other.sequence()).then_with(by_time)
}

/// Refuses what is about more times than is usual, and what also means all later ones: that is understood in several ways.
fn check_times(meeting: &Meeting<'_>) -> Result<(), Left> {
    let is_onward = |event: &Component<'_>| {
        event.line("RECURRENCE-ID").is_some_and(|line| pieces(&line.whole).0.iter().any(|piece| named(piece, "RANGE")))
    };
    let is_fit = meeting.whole.events().count() <= MOST_TIMES && !meeting.whole.events().any(is_onward);
    if is_fit { Ok(()) } else { Err(Left::Times) }
}

/// When somebody has given the last answer that came by mail.
pub(super) fn answered_at(event: &Component<'_>, address: &str) -> Option<String> {
    let mut guests = event.own().filter(|line| line.property() == "ATTENDEE").map(|line| Property::of(&line.whole));
    let mine = guests.find(|guest| guest.address() == address)?;
    mine.parameter(ANSWERED).map(str::to_owned)
}

/// Whether a text is a time in UTC.
pub(super) fn is_moment(time: &str) -> bool {
    NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").is_ok()
}

/// Whether a message names a time as its series does, or in UTC: what becomes an exception of the organiser's event has this very
/// line, and no guest says in which zone that is.
fn is_named_alike(event: &Component<'_>, series: &Component<'_>) -> bool {
    let (Some(id), Some(start)) = (event.line("RECURRENCE-ID"), series.line("DTSTART")) else { return false };
    let (id, start) = (Property::of(&id.whole), Property::of(&start.whole));
    let (zone, of_series) = (id.parameter("TZID"), start.parameter("TZID"));
    let kind = id.parameter("VALUE").unwrap_or("DATE-TIME");
    let is_day = kind.eq_ignore_ascii_case("DATE");
    let is_alike = match is_moment(id.value()) {
        true => zone.is_none(),
        false => zone == of_series,
    };
    let bare = id.clone().without(&["TZID", "VALUE"]).line();
    is_alike
        && (is_day || kind.eq_ignore_ascii_case("DATE-TIME"))
        && is_day == (id.value().len() == 8)
        && bare.eq_ignore_ascii_case(&format!("RECURRENCE-ID:{}", id.value()))
}

/// Whether a series takes place at all these times, as [`Component::exception`] writes them.
fn has_times(stored: &str, mut wanted: HashSet<String>, most: usize) -> bool {
    remove_times(stored, &mut wanted, most);
    wanted.is_empty()
}

/// Removes the times of a series from others, which are as [`Component::exception`] writes them.
fn remove_times(content: &str, others: &mut HashSet<String>, most: usize) {
    let Ok(object) = CalendarObject::read(content.as_bytes()) else { return };
    let is_day = Whole::of(content).events().any(|event| event.time("DTSTART").is_some_and(|start| start.len() == 8));
    for time in occurrences(&object.calendar, Tz::UTC, most).times {
        let written = |seconds: i64, form: &str| {
            DateTime::from_timestamp(seconds, 0).map(|at| at.format(form).to_string()).unwrap_or_default()
        };
        match is_day {
            true => others.remove(&written(time.local, "%Y%m%d")),
            false => {
                others.remove(&written(time.start, "%Y%m%dT%H%M%SZ"))
                    || others.remove(&written(time.local, "%Y%m%dT%H%M%S"))
            }
        };
        if others.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);
    const BOB: &str = "bob@elsewhere.test";
    const ROOM: usize = 10_000;

    fn calendar(method: &str, lines: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n{method}BEGIN:VEVENT\r\nUID:u\r\n{lines}\
             ORGANIZER:mailto:ann@example.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    }

    fn stored(lines: &str) -> String {
        calendar(
            "",
            &format!(
                "DTSTAMP:20261101T000000Z\r\nDTSTART:20270105T090000Z\r\nDURATION:PT1H\r\nSUMMARY:Talk\r\nSEQUENCE:2\r\n\
                 RRULE:FREQ=DAILY;COUNT=5\r\n{lines}ATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@example.test\r\n\
                 ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:Bob@elsewhere.test\r\n"
            ),
        )
    }

    fn reply(status: &str, at: &str, lines: &str) -> String {
        calendar(
            "METHOD:REPLY\r\n",
            &format!(
                "DTSTAMP:{at}\r\nSUMMARY:Other\r\nDTSTART:20270105T090000Z\r\n{lines}\
                 ATTENDEE;PARTSTAT={status}:mailto:bob@elsewhere.test\r\n"
            ),
        )
    }

    fn enter(stored: &str, message: &str, author: &str) -> Result<String, Left> {
        answered(stored, message, author, &|address| address == "ann@example.test", (100, ROOM, NOW))
    }

    const TENTH: &str = "20261110T000000Z";

    #[test]
    fn an_answer_changes_nothing_but_itself() {
        let before = stored("");
        let after = enter(&before, &reply("ACCEPTED", TENTH, "SEQUENCE:2\r\n"), BOB).unwrap();
        let is_bob = |line: &&str| line.contains("ob@elsewhere.test") || line.starts_with(' ');
        let others = |text: &str| text.lines().filter(|line| !is_bob(line)).map(str::to_owned).collect::<Vec<_>>();
        assert!(after.replace("\r\n ", "").contains("ATTENDEE;PARTSTAT=ACCEPTED;"), "{after}");
        assert_eq!(others(&after.replace("\r\n ", "")), others(&before));
        assert!(after.contains("SUMMARY:Talk") && !after.contains("METHOD"), "{after}");
        // An answer that was overtaken does not count, also by one that is the same as before.
        assert_eq!(enter(&after, &reply("DECLINED", "20261109T000000Z", "SEQUENCE:2\r\n"), BOB), Err(Left::Older));
        let after = enter(&after, &reply("ACCEPTED", "20261110T120000Z", "SEQUENCE:2\r\n"), BOB).unwrap();
        assert_eq!(enter(&after, &reply("DECLINED", "20261110T060000Z", "SEQUENCE:2\r\n"), BOB), Err(Left::Older));
        let changed = enter(&after, &reply("DECLINED", "20261111T000000Z", "SEQUENCE:2\r\n"), BOB).unwrap();
        assert!(changed.replace("\r\n ", "").contains("ATTENDEE;PARTSTAT=DECLINED;"), "{changed}");
        // Other guests are not told when Bob has answered.
        let meeting = Meeting::of(&changed).unwrap();
        let view = meeting.view(BOB).unwrap();
        assert!(!super::super::message::request(&meeting.whole, &view, NOW).replace("\r\n ", "").contains(ANSWERED));
    }

    /// Replies of Exchange were never entered.
    #[test]
    fn an_answer_need_not_name_the_organiser() {
        let (event, good) = (stored(""), reply("ACCEPTED", TENTH, "SEQUENCE:2\r\n"));
        let bare = good.replace("ORGANIZER:mailto:ann@example.test\r\n", "");
        assert!(!bare.contains("ORGANIZER"));
        assert_eq!(enter(&event, &bare, BOB), enter(&event, &good, BOB));
        assert!(enter(&event, &bare, BOB).is_ok());
        assert_eq!(enter(&event, &bare, "eve@elsewhere.test"), Err(Left::Foreign));
        let foreign = event.replace("ORGANIZER:mailto:ann@", "ORGANIZER:mailto:carl@");
        assert_eq!(enter(&foreign, &bare, BOB), Err(Left::Foreign));
    }

    #[test]
    fn who_is_no_guest_or_answers_for_others_changes_nothing() {
        let (event, good) = (stored(""), reply("ACCEPTED", TENTH, "SEQUENCE:2\r\n"));
        assert_eq!(enter(&event, &good, "eve@elsewhere.test"), Err(Left::Foreign));
        assert_eq!(
            enter(&event, &good.replace("mailto:bob@", "mailto:eve@"), "eve@elsewhere.test"),
            Err(Left::Foreign)
        );
        let both = good.replace("ORGANIZER", "ATTENDEE;PARTSTAT=DECLINED:mailto:zoe@x.test\r\nORGANIZER");
        assert_eq!(enter(&event, &both, BOB), Err(Left::Foreign));
        let foreign = |text: &str| text.replace("ORGANIZER:mailto:ann@", "ORGANIZER:mailto:carl@");
        assert_eq!(enter(&foreign(&event), &foreign(&good), BOB), Err(Left::Foreign));
        assert_eq!(enter(&event, &foreign(&good), BOB), Err(Left::Foreign));
        assert_eq!(enter(&event, &reply("ACCEPTED", TENTH, "SEQUENCE:1\r\n"), BOB), Err(Left::Older));
        assert_eq!(enter(&event, &reply("DELEGATED", TENTH, "SEQUENCE:2\r\n"), BOB), Err(Left::Unfit));
        assert_eq!(enter(&event, &reply("ACCEPTED", "2026\";X=\"", "SEQUENCE:2\r\n"), BOB), Err(Left::Unfit));
        let own = event.replace("NEEDS-ACTION:", "NEEDS-ACTION;SCHEDULE-AGENT=CLIENT:");
        assert_eq!(enter(&own, &good, BOB), Err(Left::NotOurs));
    }

    #[test]
    fn an_answer_is_about_times_that_there_are() {
        let event = stored("EXDATE:20270107T090000Z\r\n");
        let about = |id: &str| reply("DECLINED", TENTH, &format!("SEQUENCE:2\r\nRECURRENCE-ID{id}\r\n"));
        let after = enter(&event, &about(":20270106T090000Z"), BOB).unwrap();
        assert_eq!(after.matches("BEGIN:VEVENT").count(), 2, "{after}");
        assert!(after.contains("RECURRENCE-ID:20270106T090000Z"), "{after}");
        // Guests do not fill an event with copies of itself, but those that it has can be answered.
        let filling = "COMMENT:some words that fill a line\r\n".repeat(ROOM / 30);
        let large = |event: &str| event.replace("SUMMARY:Talk", &format!("{filling}SUMMARY:Talk"));
        assert_eq!(enter(&large(&event), &about(":20270106T090000Z"), BOB), Err(Left::Times));
        let again = about(":20270106T090000Z").replace(TENTH, "20261111T000000Z");
        assert!(enter(&large(&after), &again, BOB).is_ok());
        for id in
            [":20270106T093000Z", ":20270107T090000Z", ":20270110T090000Z", ";RANGE=THISANDFUTURE:20270106T090000Z"]
        {
            assert_eq!(enter(&event, &about(id), BOB), Err(Left::Times), "{id}");
        }
        let zoned = event.replace("DTSTART:20270105T090000Z", "DTSTART;TZID=Europe/Berlin:20270105T090000");
        assert!(enter(&zoned, &about(";TZID=Europe/Berlin:20270106T090000"), BOB).is_ok());
        assert!(enter(&zoned, &about(":20270106T080000Z"), BOB).is_ok());
        // As Exchange names the zone.
        let after = enter(&zoned, &about(";TZID=W. Europe Standard Time:20270106T090000"), BOB).unwrap();
        assert!(after.contains("RECURRENCE-ID:20270106T080000Z\r\n"), "{after}");
        assert_eq!(enter(&zoned, &about(";TZID=GMT Standard Time:20270106T090000"), BOB), Err(Left::Times));
        for id in [
            ";TZID=Mine:20270106T090000",
            ":20270106T090000",
            ";X-A=b:20270106T080000Z",
            ";VALUE=TEXT:20270106T080000Z",
        ] {
            assert_eq!(enter(&zoned, &about(id), BOB), Err(Left::Times), "{id}");
        }
        // It took minutes of a processor.
        let many = "X-A:b\r\n".repeat(30_000) + &"RECURRENCE-ID:20270106T090000Z\r\n".repeat(10_000);
        assert_eq!(enter(&event, &reply("DECLINED", TENTH, &format!("SEQUENCE:2\r\n{many}")), BOB), Err(Left::Unfit));
        let days = event.replace("DTSTART:20270105T090000Z", "DTSTART;VALUE=DATE:20270105").replace("PT1H", "P1D");
        assert!(enter(&days, &about(";VALUE=DATE:20270106"), BOB).is_ok());
        assert_eq!(enter(&days, &about(";VALUE=DATE:20270111"), BOB), Err(Left::Times));
    }

    fn invited(method: &str, sequence: u32, lines: &str) -> String {
        calendar(
            method,
            &format!(
                "DTSTAMP:20261101T000000Z\r\nDTSTART:20270105T090000Z\r\nDURATION:PT1H\r\nSEQUENCE:{sequence}\r\n{lines}\
                 ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@elsewhere.test\r\n"
            ),
        )
    }

    fn change(stored: &str, message: &str, author: &str, change: Change) -> Result<Option<String>, Left> {
        changed(stored, message, author, &|address| address == BOB, (change, 100))
    }

    #[test]
    fn an_organiser_changes_and_cancels_what_a_guest_already_has() {
        const ANN: &str = "ann@example.test";
        let event = invited("", 1, "SUMMARY:Talk\r\n");
        let request = |sequence| invited("METHOD:REQUEST\r\n", sequence, "SUMMARY:Speech\r\n");
        let after = change(&event, &request(2), ANN, Change::Request).unwrap().unwrap();
        assert!(after.contains("SUMMARY:Speech") && !after.contains("METHOD"), "{after}");
        for sequence in [0, 1] {
            assert_eq!(change(&event, &request(sequence), ANN, Change::Request), Err(Left::Older));
        }
        assert_eq!(change(&event, &request(2), "eve@x.test", Change::Request), Err(Left::Foreign));
        let other = |text: &str| text.replace("mailto:ann@", "mailto:eve@");
        assert_eq!(change(&event, &other(&request(2)), "eve@example.test", Change::Request), Err(Left::Foreign));
        let uninvited = request(2).replace("mailto:bob@", "mailto:zoe@");
        assert_eq!(change(&event, &uninvited, ANN, Change::Request), Err(Left::Foreign));
        let private = event.replace("ORGANIZER:", "ORGANIZER;SCHEDULE-AGENT=NONE:");
        assert_eq!(change(&private, &request(2), ANN, Change::Request), Err(Left::NotOurs));

        // What needs no new answers keeps its number, and the answer.
        let at = |text: String, time: &str| text.replace("DTSTAMP:20261101T000000Z", &format!("DTSTAMP:{time}"));
        let open = |text: String| text.replace("PARTSTAT=ACCEPTED", "PARTSTAT=NEEDS-ACTION;RSVP=TRUE");
        let answered = |text: &str| text.replace("\r\n ", "").contains("PARTSTAT=ACCEPTED");
        let after = change(&event, &open(at(request(1), TENTH)), ANN, Change::Request).unwrap().unwrap();
        assert!(after.contains("SUMMARY:Speech") && answered(&after), "{after}");
        let overtaken = at(request(1), "20261031T235959Z");
        assert_eq!(change(&event, &overtaken, ANN, Change::Request), Err(Left::Older));
        let moved = open(at(request(1), TENTH)).replace("T090000Z", "T100000Z");
        assert!(!answered(&change(&event, &moved, ANN, Change::Request).unwrap().unwrap()));
        assert!(!answered(&change(&event, &open(request(2)), ANN, Change::Request).unwrap().unwrap()));

        // Somebody is named tens of thousands of times, among as many others. That took minutes of a processor.
        let many = |guest: &str| format!("ATTENDEE:{guest}\r\n").repeat(25_000) + "SUMMARY:Speech\r\n";
        let crowded = invited("", 1, &many("x"));
        let again = open(at(invited("METHOD:REQUEST\r\n", 1, &many(BOB)), TENTH));
        let begun = std::time::Instant::now();
        let after = change(&crowded, &again, ANN, Change::Request).unwrap().unwrap();
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
        assert_eq!(after.matches("ATTENDEE;PARTSTAT=ACCEPTED").count(), 25_000);

        // Exceptions of a series keep their versions, while the series has a new one.
        let exception = "BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20261101T000000Z\r\nRECURRENCE-ID:20270106T090000Z\r\nSEQUENCE:1\r\n\
            DTSTART:20270106T100000Z\r\nORGANIZER:mailto:ann@example.test\r\nATTENDEE:mailto:bob@elsewhere.test\r\n\
            END:VEVENT\r\nEND:VCALENDAR";
        let with = |text: String| {
            text.replace("DURATION", "RRULE:FREQ=DAILY;COUNT=5\r\nDURATION").replace("END:VCALENDAR", exception)
        };
        let series = with(event.clone());
        assert!(change(&series, &with(request(2)), ANN, Change::Request).unwrap().is_some());
        assert_eq!(change(&series, &with(request(1)), ANN, Change::Request), Err(Left::Older));
        // What the user or the organiser has changed at single times, or left out, is not lost.
        let daily = |text: String| text.replace("DURATION", "RRULE:FREQ=DAILY;COUNT=5\r\nDURATION");
        assert_eq!(change(&series, &daily(request(2)), ANN, Change::Request), Err(Left::Forgotten));
        let less = daily(event.replace("SUMMARY", "EXDATE:20270107T090000Z\r\nSUMMARY"));
        assert_eq!(change(&less, &daily(request(2)), ANN, Change::Request), Err(Left::Forgotten));
        // The series only ends later, or lasts longer each time: what it leaves out is still one of its times.
        for (from, to) in [("COUNT=5", "COUNT=9"), ("DURATION:PT1H", "DURATION:PT2H")] {
            let other = daily(request(2)).replace(from, to);
            assert_eq!(change(&less, &other, ANN, Change::Request), Err(Left::Forgotten), "{to}");
            assert_eq!(change(&series, &other, ANN, Change::Request), Err(Left::Forgotten), "{to}");
        }
        let ended = daily(request(2)).replace("COUNT=5", "COUNT=2");
        assert!(change(&less, &ended, ANN, Change::Request).unwrap().is_some());
        let later = daily(request(2)).replace("T090000Z", "T100000Z");
        assert!(change(&series, &later, ANN, Change::Request).unwrap().is_some());

        let cancel = |sequence, lines| invited("METHOD:CANCEL\r\n", sequence, lines);
        let after = change(&event, &cancel(2, ""), ANN, Change::Cancel).unwrap().unwrap();
        assert!(after.contains("STATUS:CANCELLED") && after.contains("SUMMARY:Talk"), "{after}");
        assert_eq!(change(&event, &cancel(0, ""), ANN, Change::Cancel), Err(Left::Older));
        // Somebody sends again what the organiser has taken back with a new invitation.
        let again = at(cancel(1, ""), "20261031T235959Z");
        assert_eq!(change(&event, &again, ANN, Change::Cancel), Err(Left::Older));
        let gone = change(&event, &at(cancel(1, ""), TENTH), ANN, Change::Cancel).unwrap().unwrap();
        // What was written before that, and has taken longer, does not bring the event back.
        let before = at(request(1), "20261109T000000Z");
        assert_eq!(change(&gone, &before, ANN, Change::Request), Err(Left::Older));
        let anew = change(&gone, &at(request(1), "20261111T000000Z"), ANN, Change::Request).unwrap().unwrap();
        assert!(!anew.contains("CANCELLED"), "{anew}");
        let series = event.replace("SUMMARY", "RRULE:FREQ=DAILY;COUNT=5\r\nSUMMARY");
        let once = cancel(2, "RECURRENCE-ID:20270106T090000Z\r\n");
        let after = change(&series, &once, ANN, Change::Cancel).unwrap().unwrap();
        assert!(after.contains("EXDATE:20270106T090000Z") && !after.contains("STATUS:CANCELLED"), "{after}");
        assert_eq!(change(&after, &once, ANN, Change::Cancel), Err(Left::Times));
        // Alarms come last (RFC 5545 §3.6.1).
        let alarm = "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT";
        let after = change(&series.replace("END:VEVENT", alarm), &once, ANN, Change::Cancel).unwrap().unwrap();
        assert!(after.split("BEGIN:VALARM").next().is_some_and(|own| own.contains("EXDATE")), "{after}");
    }
}
