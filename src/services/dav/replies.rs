//! Replies to one's own invitations (iTIP REPLY, RFC 5546 §3.2.3), recorded in the event.

use chrono::{NaiveDate, NaiveDateTime};
use serde::Serialize;

use super::Unfit;
use super::components::{Component, Places, Whole, attending, is_attendee, named, pieces};
use super::invitation::{Participant, Participation};
use super::particulars::{folded, lines};
use crate::foundations::clock::Timestamp;
use crate::foundations::said::said;

const DAY: i64 = 86_400;
/// Most octets of single times that one reply makes exceptions. Each is a copy of the series, and a reply may name thousands.
const MOST_COPIED: usize = 8 << 20;

/// Whether an event already contains a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Recorded {
    /// It says the same as the reply.
    Yes,
    /// It says something else about the sender of the reply.
    No,
    /// The sender is not invited, or the reply is not about coming or not.
    Never,
}

/// How the organiser's event relates to a reply.
pub(super) fn recorded(answer: &Whole<'_>, stored: &Whole<'_>) -> Recorded {
    let (mut all, places) = (Recorded::Yes, stored.places());
    for event in answer.events() {
        let there = stored.same(&places, event).or_else(|| stored.master(&places));
        let Some(((who, participation), there)) = answering(event).zip(there) else { return Recorded::Never };
        let known = there.people("ATTENDEE").into_iter().find(|one| one.address.eq_ignore_ascii_case(&who.address));
        match known {
            None => return Recorded::Never,
            Some(known) if Participation::of(&known.status) != Some(participation) => all = Recorded::No,
            Some(_) => {}
        }
    }
    all
}

/// The event with the reply in it. A reply about one time of a recurring event makes that time an exception.
pub(super) fn noted(answer: &Whole<'_>, stored: &Whole<'_>, now: Timestamp) -> Result<String, Unfit> {
    let gone = || Unfit::Rule(said!("reply-no-event", "the event it is about does not exist"));
    let texts = |component: &Component<'_>| component.lines.iter().map(|line| line.whole.clone()).collect::<Vec<_>>();
    let mut written: Vec<Vec<String>> = stored.components.iter().map(texts).collect();
    let (Places(mut places), mut copied) = (stored.places(), 0_usize);
    let master = places.get(&None::<String>).and_then(|at| stored.components.get(*at));
    for event in answer.events() {
        let (who, participation) =
            answering(event).ok_or_else(|| Unfit::Rule(said!("reply-nobody", "it does not say who replies")))?;
        let of = event.exception();
        if of.is_some() && !places.contains_key(&of) {
            let lines = single(event, master.ok_or_else(gone)?, now)?;
            copied += lines.iter().map(String::len).sum::<usize>();
            if copied > MOST_COPIED {
                return Err(Unfit::Rule(said!("invitation-large", "it is too large")));
            }
            places.insert(of.clone(), written.len());
            written.push(lines);
        }
        let lines = places.get(&of).and_then(|at| written.get_mut(*at)).ok_or_else(gone)?;
        let at = attendee_at(lines, &who.address)
            .ok_or_else(|| Unfit::Rule(said!("reply-not-invited", "the sender of the reply is not invited")))?;
        lines[at] = attending(Some(&lines[at]), &who, participation);
    }
    let mut out = stored.head();
    written.iter().flatten().for_each(|line| out.push_str(&folded(line)));
    Ok(out + "END:VCALENDAR\r\n")
}

/// The line of a component that invites somebody; lines of alarms in it invite nobody.
fn attendee_at(component: &[String], address: &str) -> Option<usize> {
    let mut depth = 0_usize;
    component.iter().position(|line| {
        let Some(line) = lines(line).into_iter().next() else { return false };
        match line.property().as_str() {
            "BEGIN" => depth += 1,
            "END" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 1 && is_attendee(&line, address)
    })
}

/// Who replies, and how.
fn answering(event: &Component<'_>) -> Option<(Participant, Participation)> {
    let who = event.people("ATTENDEE").into_iter().next()?;
    let participation = Participation::of(&who.status)?;
    Some((who, participation))
}

/// One time of a recurring event, as it would be without an exception (RFC 5545 §3.8.4.4).
fn single(event: &Component<'_>, master: &Component<'_>, now: Timestamp) -> Result<Vec<String>, Unfit> {
    let unclear = || Unfit::Rule(said!("reply-unclear", "it is unclear which time it is about"));
    let id = event.line("RECURRENCE-ID").ok_or_else(unclear)?.whole.clone();
    let (start, value) = pieces(&id);
    let kept = start.iter().skip(1).filter(|piece| !named(piece, "RANGE"));
    let at: String = kept.map(|piece| format!(";{piece}")).collect::<String>() + ":" + value;
    // RFC 5545 §3.8.5.3: the exact duration. A flight ends in another zone than it begins.
    let length = match (master.time("DTSTART"), master.time("DTEND")) {
        (Some(start), Some(end)) => Some(length(&start, &end).ok_or_else(unclear)?),
        _ => None,
    };
    const OWN: [&str; 9] =
        ["RRULE", "RDATE", "EXDATE", "EXRULE", "DTSTART", "DTEND", "RECURRENCE-ID", "DTSTAMP", "LAST-MODIFIED"];
    let (mut written, mut depth) = (Vec::new(), 0_usize);
    for line in &master.lines {
        let property = line.property();
        depth = if property == "BEGIN" { depth + 1 } else { depth.saturating_sub(usize::from(property == "END")) };
        if depth == 1 && OWN.contains(&property.as_str()) {
            continue;
        }
        written.push(line.whole.clone());
        if written.len() == 1 {
            written.push(format!("RECURRENCE-ID{at}"));
            written.push(format!("DTSTART{at}"));
            // RFC 5545 §3.8.2.5: what begins on a day lasts for days.
            let days = length.filter(|_| !value.contains(['T', 't'])).map(|seconds| seconds / DAY);
            written.extend(days.map(|days| format!("DURATION:P{days}D")));
            written.extend(length.filter(|_| days.is_none()).map(|seconds| format!("DURATION:PT{seconds}S")));
            written.push(format!("DTSTAMP:{}", now.utc().format("%Y%m%dT%H%M%SZ")));
        }
    }
    Ok(written)
}

/// The seconds between two times that are written in the same way: in UTC, as local times, or as days.
fn length(start: &str, end: &str) -> Option<i64> {
    let read = |text: &str| -> Option<NaiveDateTime> {
        let text = text.trim_end_matches(['Z', 'z']);
        match text.len() {
            8 => NaiveDate::parse_from_str(text, "%Y%m%d").ok()?.and_hms_opt(0, 0, 0),
            _ => NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok(),
        }
    };
    let seconds = (read(end)? - read(start)?).num_seconds();
    (seconds >= 0 && start.len() == end.len()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::super::invitation::Invitation;
    use super::super::{CalendarObject, Standing};
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);

    fn event(lines: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nPRODID:-//x//y//EN\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:u@x\r\nDTSTAMP:20261120T101500Z\r\n\
             DTSTART:20261204T190000Z\r\nDTEND:20261204T210000Z\r\nSEQUENCE:1\r\nORGANIZER:mailto:ann@example.test\r\n\
             ATTENDEE;CN=Bob;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob@example.test\r\n\
             ATTENDEE;PARTSTAT=ACCEPTED:mailto:zoe@friends.test\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    }

    fn reply(lines: &str) -> Invitation {
        let reply = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:u@x\r\nDTSTAMP:20261121T101500Z\r\nSEQUENCE:1\r\n\
             DTSTART:20261204T190000Z\r\nORGANIZER:mailto:ann@example.test\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        Invitation::read(&reply).unwrap()
    }

    fn standing(reply: &Invitation, stored: &str) -> Standing {
        reply.standing(stored, &["ann@example.test".to_owned()])
    }

    #[test]
    fn an_answer_changes_the_line_of_whoever_gives_it() {
        let stored = event("");
        let reply = reply("ATTENDEE;PARTSTAT=ACCEPTED:MAILTO:Bob@example.test\r\n");
        assert_eq!(standing(&reply, &stored).reply, Some(Recorded::No));
        let noted = reply.noted_in(&stored, NOW).unwrap();
        assert!(noted.contains("ATTENDEE;PARTSTAT=ACCEPTED;CN=Bob:mailto:bob@example.test\r\n"), "{noted}");
        assert_eq!(noted.lines().count(), stored.lines().count());
        assert_eq!(standing(&reply, &noted).reply, Some(Recorded::Yes));
        assert!(CalendarObject::read(noted.as_bytes()).is_ok());
    }

    /// The webmail took what Exchange sends for replies to somebody else's event.
    #[test]
    fn an_answer_that_names_no_organiser_is_to_ones_own_event() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REPLY\r\nPRODID:Microsoft Exchange Server 2010\r\nBEGIN:VEVENT\r\n\
             UID:u@x\r\nDTSTAMP:20261121T101500Z\r\nSEQUENCE:1\r\nDTSTART:20261204T190000Z\r\n\
             ATTENDEE;PARTSTAT=ACCEPTED:MAILTO:bob@example.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let (reply, stored) = (Invitation::read(text).unwrap(), event(""));
        let standing_now = standing(&reply, &stored);
        assert_eq!((standing_now.foreign, standing_now.reply), (false, Some(Recorded::No)));
        let noted = reply.noted_in(&stored, NOW).unwrap();
        assert_eq!(standing(&reply, &noted).reply, Some(Recorded::Yes));
        let foreign = stored.replace("ORGANIZER:mailto:ann", "ORGANIZER:mailto:carl");
        assert_eq!(standing(&reply, &foreign).reply, None);
        let request = Invitation::read(&text.replace("METHOD:REPLY", "METHOD:REQUEST")).unwrap();
        assert!(standing(&request, &stored).foreign);
    }

    #[test]
    fn an_answer_is_noted_at_the_event_and_nowhere_else() {
        const ZONE: &str = "BEGIN:VTIMEZONE\r\nTZID:Odd\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\n\
            DTSTART:19701025T030000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
        const ALARM: &str = "BEGIN:VALARM\r\nACTION:EMAIL\r\nATTENDEE:mailto:bob@example.test\r\nDESCRIPTION:x\r\nSUMMARY:x\r\n\
            TRIGGER:-PT5M\r\nEND:VALARM\r\n";
        let stored = event("").replacen("BEGIN:VEVENT\r\n", &format!("{ZONE}BEGIN:VEVENT\r\n{ALARM}"), 1);
        let noted = reply("ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.test\r\n").noted_in(&stored, NOW).unwrap();
        assert!(noted.contains(ZONE) && noted.contains(ALARM), "{noted}");
        assert!(noted.contains("ATTENDEE;PARTSTAT=ACCEPTED;CN=Bob:mailto:bob@example.test\r\n"), "{noted}");
    }

    /// It lasted for seconds, which programs that go by the standard do not read.
    #[test]
    fn an_exception_of_whole_days_lasts_for_days() {
        let stored = event("RRULE:FREQ=WEEKLY;COUNT=5\r\n")
            .replace("DTSTART:20261204T190000Z", "DTSTART;VALUE=DATE:20261204")
            .replace("DTEND:20261204T210000Z", "DTEND;VALUE=DATE:20261206");
        let id = "RECURRENCE-ID;VALUE=DATE:20261211\r\n";
        let answer = reply(&format!("{id}ATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.test\r\n"));
        let noted = answer.noted_in(&stored, NOW).unwrap();
        assert!(noted.contains("DTSTART;VALUE=DATE:20261211\r\nDURATION:P2D\r\n"), "{noted}");
        assert!(CalendarObject::read(noted.as_bytes()).is_ok(), "{noted}");
    }

    /// It ended as if all of it were in one zone.
    #[test]
    fn an_exception_lasts_as_long_as_the_others_in_whatever_zone_they_end() {
        let stored = event("RRULE:FREQ=WEEKLY;COUNT=5\r\n")
            .replace("DTSTART:20261204T190000Z", "DTSTART;TZID=Europe/Berlin:20261204T100000")
            .replace("DTEND:20261204T210000Z", "DTEND;TZID=America/New_York:20261204T130000");
        let id = "RECURRENCE-ID;TZID=Europe/Berlin:20261211T100000\r\n";
        let answer = reply(&format!("{id}ATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.test\r\n"));
        let noted = answer.noted_in(&stored, NOW).unwrap();
        assert!(noted.contains("DURATION:PT32400S\r\n"), "{noted}");
    }

    /// Each time was another copy of the event: gigabytes for a reply of a megabyte.
    #[test]
    fn a_reply_about_thousands_of_times_is_not_entered() {
        let stored = event(&format!("RRULE:FREQ=MINUTELY\r\nDESCRIPTION:{}\r\n", "x".repeat(20_000)));
        let times = |count: u32| {
            let one = |n: u32| {
                let id = format!("RECURRENCE-ID:202612{:02}T{:02}{:02}00Z", 10 + n / 1440, n / 60 % 24, n % 60);
                format!("{id}\r\nATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.test\r\n")
            };
            let between = "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:u@x\r\nDTSTAMP:20261121T101500Z\r\n";
            (0..count).map(one).collect::<Vec<_>>().join(between)
        };
        assert!(reply(&times(3)).noted_in(&stored, NOW).is_ok());
        assert!(reply(&times(1_000)).noted_in(&stored, NOW).is_err());
    }

    /// Each of the times was searched for among all that the event has, whenever somebody opened the message.
    #[test]
    fn a_reply_about_thousands_of_times_is_compared_within_seconds() {
        let times =
            |count: u32| (0..count).map(|n| format!("202612{:02}T{:02}{:02}00Z", 10 + n / 1440, n / 60 % 24, n % 60));
        let between = "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:u@x\r\nDTSTAMP:20261121T101500Z\r\n";
        let about = |count: u32| {
            let one = |time| format!("RECURRENCE-ID:{time}\r\nATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.test\r\n");
            times(count).map(one).collect::<Vec<_>>().join(between)
        };
        let stored = event("RRULE:FREQ=MINUTELY\r\n");
        let stored = reply(&about(2_000)).noted_in(&stored, NOW).unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(standing(&reply(&about(8_000)), &stored).reply, Some(Recorded::No));
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    }

    #[test]
    fn an_exception_is_of_one_time_only() {
        let stored = event("RRULE:FREQ=WEEKLY;COUNT=5\r\n");
        let id = "RECURRENCE-ID;RANGE=THISANDFUTURE:20261211T190000Z\r\n";
        let answer = reply(&format!("{id}ATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.test\r\n"));
        let noted = answer.noted_in(&stored, NOW).unwrap();
        assert!(noted.contains("DTSTART:20261211T190000Z\r\n") && !noted.contains("RANGE"), "{noted}");
    }

    #[test]
    fn an_answer_finds_its_exception_however_its_time_is_written() {
        let stored = event(
            "RRULE:FREQ=WEEKLY;COUNT=5\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:u@x\r\nRECURRENCE-ID;TZID=Europe/Berlin:20261211T200000\r\n\
             DTSTART:20261212T190000Z\r\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.test\r\n",
        );
        for id in ["RECURRENCE-ID:20261211T190000Z", "RECURRENCE-ID;TZID=\"W. Europe Standard Time\":20261211T200000"] {
            let answer = reply(&format!("{id}\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.test\r\n"));
            let noted = answer.noted_in(&stored, NOW).unwrap();
            assert_eq!(noted.matches("BEGIN:VEVENT").count(), 2, "{noted}");
            let (master, exception) = noted.split_once("RECURRENCE-ID").unwrap();
            assert!(master.contains("PARTSTAT=NEEDS-ACTION") && exception.contains("PARTSTAT=ACCEPTED"), "{noted}");
        }
    }

    #[test]
    fn who_is_not_invited_changes_nothing() {
        let stored = event("");
        for lines in [
            "ATTENDEE;PARTSTAT=ACCEPTED:mailto:eve@evil.test\r\n",
            "ATTENDEE;PARTSTAT=DELEGATED:mailto:bob@example.test\r\n",
            "",
        ] {
            assert_eq!(standing(&reply(lines), &stored).reply, Some(Recorded::Never), "{lines}");
            assert!(reply(lines).noted_in(&stored, NOW).is_err(), "{lines}");
        }
        let foreign = stored.replace("ORGANIZER:mailto:ann", "ORGANIZER:mailto:carl");
        assert_eq!(standing(&reply("ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.test\r\n"), &foreign).reply, None);
    }

    #[test]
    fn an_answer_about_one_time_is_an_exception() {
        let stored = event(
            "RRULE:FREQ=WEEKLY;COUNT=5\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n",
        );
        let once = reply("RECURRENCE-ID:20261211T190000Z\r\nATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.test\r\n");
        let noted = once.noted_in(&stored, NOW).unwrap();
        let (before, after) = noted.split_once("RECURRENCE-ID:20261211T190000Z\r\n").unwrap();
        assert!(before.contains("RRULE") && before.contains("PARTSTAT=NEEDS-ACTION"), "{noted}");
        assert!(after.contains("DTSTART:20261211T190000Z\r\nDURATION:PT7200S\r\n"), "{noted}");
        assert!(
            after.contains("PARTSTAT=DECLINED;CN=Bob") && !after.contains("RRULE") && after.contains("BEGIN:VALARM"),
            "{noted}"
        );
        assert!(CalendarObject::read(noted.as_bytes()).is_ok(), "{noted}");
        // The next one finds the exception.
        let again = reply("RECURRENCE-ID:20261211T190000Z\r\nATTENDEE;PARTSTAT=TENTATIVE:mailto:bob@example.test\r\n");
        let noted = again.noted_in(&noted, NOW).unwrap();
        assert_eq!(noted.matches("BEGIN:VEVENT").count(), 2);
        assert!(noted.contains("PARTSTAT=TENTATIVE;CN=Bob"), "{noted}");
    }
}
