use super::super::CalendarObject;
use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);

const ZONE: &str = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n\
    DTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\n\
    TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n\
    END:STANDARD\r\nEND:VTIMEZONE\r\n";
const PEOPLE: &str = "ORGANIZER;CN=\"Groß; Jürgen\":mailto:J@friends.test\r\n\
    ATTENDEE;CUTYPE=INDIVIDUAL;PARTSTAT=NEEDS-ACTION;RSVP=\r\n TRUE;CN=Ann:MAILTO:Ann@example.test\r\n\
    ATTENDEE;PARTSTAT=ACCEPTED;CN=Zoë:mailto:zoe@friends.test\r\n";

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\r\nUID:u@x\r\nDTSTAMP:20261120T101500Z\r\n{PEOPLE}{lines}END:VEVENT\r\n")
}

fn calendar(method: &str, inner: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nPRODID:-//x//y//EN\r\nVERSION:2.0\r\n{method}{ZONE}{inner}END:VCALENDAR\r\n")
}

const TIMES: &str = "DTSTART;TZID=Europe/Berlin:20261204T190000\r\nDTEND;TZID=Europe/Berlin:20261204T220000\r\n\
    SUMMARY:Dinner\\, late\r\nDESCRIPTION:one\\ntwo\r\nLOCATION:Löwen\r\nSEQUENCE:1\r\n";

fn invitation() -> Invitation {
    Invitation::read(&calendar("METHOD:REQUEST\r\n", &event(TIMES))).unwrap()
}

fn ann() -> Participant {
    Participant { name: "Ann \"A\" Lee".to_owned(), address: "ann@example.test".to_owned(), status: String::new() }
}

#[test]
fn invitations_are_read() {
    let read = invitation();
    let shown = read.shown();
    assert_eq!((shown.method, read.uid()), (Method::Request, "u@x"));
    assert_eq!((shown.summary.as_str(), shown.location.as_str()), ("Dinner, late", "Löwen"));
    assert_eq!(shown.description, "one\ntwo");
    // 19:00 in Berlin, in winter.
    assert_eq!(shown.start, Some(When::At(1_796_407_200_000)));
    assert_eq!(shown.end, Some(When::At(1_796_418_000_000)));
    let organiser = shown.organiser.as_ref().unwrap();
    assert_eq!((organiser.name.as_str(), organiser.address.as_str()), ("Groß; Jürgen", "J@friends.test"));
    let statuses: Vec<&str> = shown.attendees.iter().map(|one| one.status.as_str()).collect();
    assert_eq!(statuses, ["needs-action", "accepted"]);
    assert_eq!(read.invited(&["ANN@example.test".to_owned()]).map(|one| one.name.as_str()), Some("Ann"));
    assert!(!shown.exception && shown.repeats.is_none());
}

/// Only the times of a proposal were shown, and of a reply whether somebody comes.
#[test]
fn what_is_said_with_a_proposal_is_read() {
    let proposal = format!("{TIMES}COMMENT:Could we\\, please\\, meet later?\r\n");
    let read = Invitation::read(&calendar("METHOD:COUNTER\r\n", &event(&proposal))).unwrap();
    assert_eq!((read.shown().method, read.shown().comment.as_str()), (Method::Other, "Could we, please, meet later?"));
    assert_eq!(invitation().shown().comment, "");
}

#[test]
fn days_and_local_times_are_told_apart() {
    let times = |lines: &str| {
        let read = Invitation::read(&calendar("", &event(lines))).unwrap();
        (read.shown().start.clone(), read.shown().end.clone())
    };
    let date = |text: &str| Some(When::Date(text.to_owned()));
    let local = |text: &str| Some(When::Local(text.to_owned()));
    let days = "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227\r\n";
    assert_eq!(times(days), (date("2026-12-24"), date("2026-12-26")));
    assert_eq!(times("DTSTART;VALUE=DATE:20261224\r\n"), (date("2026-12-24"), date("2026-12-24")));
    let floating = "DTSTART:20261204T190000\r\nDURATION:PT1H\r\n";
    assert_eq!(times(floating), (local("2026-12-04T19:00:00"), local("2026-12-04T20:00:00")));
    let weekly = Invitation::read(&calendar("", &event("DTSTART:20261204T190000Z\r\nRRULE:FREQ=WEEKLY;COUNT=9\r\n")));
    assert_eq!(weekly.unwrap().shown().repeats, Some("weekly"));
}

#[test]
fn what_is_no_invitation_is_refused() {
    let other = event(TIMES).replace("u@x", "v@x");
    for wrong in [
        String::new(),
        "hello".to_owned(),
        calendar("", ""),
        calendar("", &event(TIMES).replace("UID:u@x\r\n", "")),
        calendar("", &(event(TIMES) + &other)),
        calendar("", &event("SUMMARY:\u{1}\r\n")),
        calendar("", "BEGIN:VEVENT\r\nUID:a\r\n"),
    ] {
        assert!(Invitation::read(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_answer_has_what_the_organiser_needs() {
    let reply = invitation().reply(&ann(), Participation::Tentative, NOW);
    assert!(reply.contains("METHOD:REPLY\r\n") && reply.contains("DTSTAMP:20261118T"), "{reply}");
    let whole = Whole::of(&reply);
    let event = whole.events().next().unwrap();
    assert_eq!((event.value("UID"), event.sequence()), (Some("u@x"), 1));
    // RFC 5546 §3.2.3: whoever answers, and nobody else.
    let people = event.people("ATTENDEE");
    assert_eq!(people.iter().map(|one| one.status.as_str()).collect::<Vec<_>>(), ["tentative"]);
    assert!(!reply.contains("RSVP") && reply.contains("ORGANIZER"), "{reply}");
    assert!(reply.split("\r\n").all(|line| line.len() <= 75), "{reply}");
    assert_eq!(Invitation::read(&reply).unwrap().shown().method, Method::Reply);
    // Somebody whom a list has invited.
    let bob = Participant { address: "bob@example.test".to_owned(), ..ann() };
    let reply = invitation().reply(&bob, Participation::Accepted, NOW);
    assert!(reply.contains("ATTENDEE;PARTSTAT=ACCEPTED;CN=\"Ann A Lee\":mailto:bob@example.test\r\n"), "{reply}");
}

#[test]
fn what_is_entered_is_an_object_with_the_answer() {
    let read = invitation();
    let entered = read.entered(None, Some((&ann(), Participation::Accepted)));
    assert!(!entered.contains("METHOD"), "{entered}");
    CalendarObject::read(entered.as_bytes()).unwrap();
    let addresses = ["ann@example.test".to_owned()];
    let standing = Standing { kept: true, status: Some("accepted".to_owned()), ..Standing::default() };
    assert_eq!(read.standing(&entered, &addresses), standing);
    let later = entered.replace("SEQUENCE:1", "SEQUENCE:2");
    assert!(read.standing(&later, &addresses).newer);
    let other = entered.replace("J@friends.test", "evil@friends.test");
    assert!(read.standing(&other, &addresses).foreign);
    assert_eq!(read.taken_out(&entered), None);
}

#[test]
fn what_has_changed_since_the_answer_is_told() {
    let addresses = ["ann@example.test".to_owned()];
    let entered = invitation().entered(None, Some((&ann(), Participation::Accepted)));
    let weekly = TIMES.replace("SEQUENCE:1", "RRULE:FREQ=WEEKLY\r\nSEQUENCE:1");
    let weekly = Invitation::read(&calendar("", &event(&weekly))).unwrap();
    let weekly = weekly.entered(None, Some((&ann(), Participation::Accepted)));
    let once = |start: &str| {
        TIMES.replace("DTSTART;TZID=Europe/Berlin:20261204T190000", &format!("DTSTART;TZID=Europe/Berlin:{start}"))
            + "RECURRENCE-ID;TZID=Europe/Berlin:20261211T190000\r\n"
    };
    let later = TIMES.replace("T190000", "T200000");
    let (request, counter) = ("METHOD:REQUEST\r\n", "METHOD:COUNTER\r\n");
    for (what, stored, method, lines, outdated) in [
        ("the same", &entered, request, TIMES.to_owned(), false),
        ("moved", &entered, request, later.replace("SEQUENCE:1", "SEQUENCE:2"), true),
        ("its cancellation", &entered, "METHOD:CANCEL\r\n", TIMES.replace("SEQUENCE:1", "SEQUENCE:2"), false),
        ("another time proposed", &entered, counter, later, true),
        ("the same time proposed", &entered, counter, TIMES.to_owned(), false),
        ("one time moved", &weekly, request, once("20261211T210000"), true),
        ("one time as it is", &weekly, request, once("20261211T190000"), false),
    ] {
        let standing = Invitation::read(&calendar(method, &event(&lines))).unwrap().standing(stored, &addresses);
        let status = if outdated { None } else { Some("accepted") };
        assert_eq!((standing.outdated, standing.status.as_deref()), (outdated, status), "{what}");
    }
    let moved = Invitation::read(&calendar(request, &event(&once("20261211T210000")))).unwrap();
    let accepted = moved.entered(Some(&weekly), Some((&ann(), Participation::Accepted)));
    let declined = moved.taken_out(&weekly).unwrap();
    for (stored, status) in [(accepted, "accepted"), (declined, "declined")] {
        let standing = moved.standing(&stored, &addresses);
        assert_eq!((standing.outdated, standing.status.as_deref()), (false, Some(status)), "{stored}");
    }
}

#[test]
fn single_times_leave_the_others_as_they_are() {
    let weekly =
        "DTSTART;TZID=Europe/Berlin:20261204T190000\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:Weekly\r\n";
    let stored = Invitation::read(&calendar("", &event(weekly))).unwrap().entered(None, None);
    let moved = "RECURRENCE-ID;TZID=Europe/Berlin:20261211T190000\r\nDTSTART;TZID=Europe/Berlin:20261211T200000\r\n\
                 DURATION:PT1H\r\nSUMMARY:Later\r\nSEQUENCE:1\r\n";
    let change = Invitation::read(&calendar("METHOD:REQUEST\r\n", &event(moved))).unwrap();
    assert!(change.shown().exception);
    let once = change.entered(Some(&stored), Some((&ann(), Participation::Accepted)));
    let twice = change.entered(Some(&once), Some((&ann(), Participation::Declined)));
    for (text, word) in [(&once, "ACCEPTED"), (&twice, "DECLINED")] {
        CalendarObject::read(text.as_bytes()).unwrap();
        assert_eq!((text.matches("BEGIN:VEVENT").count(), text.matches("BEGIN:VTIMEZONE").count()), (2, 1), "{text}");
        assert!(text.contains("SUMMARY:Weekly") && text.contains("SUMMARY:Later") && text.contains(word), "{text}");
    }
    let left = change.taken_out(&twice).unwrap();
    CalendarObject::read(left.as_bytes()).unwrap();
    assert!(left.contains("EXDATE;TZID=Europe/Berlin:20261211T190000\r\n") && !left.contains("Later"), "{left}");
    // The same time in UTC, as other programs name it.
    let in_utc = moved.replace("RECURRENCE-ID;TZID=Europe/Berlin:20261211T190000", "RECURRENCE-ID:20261211T180000Z");
    let in_utc = Invitation::read(&calendar("METHOD:REQUEST\r\n", &event(&in_utc))).unwrap();
    let again = in_utc.entered(Some(&twice), Some((&ann(), Participation::Accepted)));
    assert_eq!(again.matches("BEGIN:VEVENT").count(), 2, "{again}");
    assert_eq!(in_utc.standing(&left, &["ann@example.test".to_owned()]).status.as_deref(), Some("declined"));
    assert!(!in_utc.taken_out(&twice).unwrap().contains("Later"));
}

#[test]
fn alarms_stay_what_the_user_has_made_them() {
    let alarm = |minutes: u32| {
        format!(
            "BEGIN:VALARM\r\nACTION:EMAIL\r\nDESCRIPTION:x\r\nSUMMARY:x\r\nATTENDEE:mailto:ann@example.test\r\n\
             TRIGGER:-PT{minutes}M\r\nEND:VALARM\r\n"
        )
    };
    let series = |more: &str| event(&(TIMES.replace("SEQUENCE:1", "RRULE:FREQ=WEEKLY\r\nSEQUENCE:1") + more));
    let sent = Invitation::read(&calendar("METHOD:REQUEST\r\n", &series(&alarm(5)))).unwrap();
    let accepted = sent.entered(None, Some((&ann(), Participation::Accepted)));
    assert!(accepted.contains(&alarm(5)), "{accepted}");
    let stored = accepted.replace("TRIGGER:-PT5M", "TRIGGER:-PT90M");
    let later = series(&alarm(5)).replace("T190000", "T200000").replace("SEQUENCE:1", "SEQUENCE:2");
    let later = Invitation::read(&calendar("METHOD:REQUEST\r\n", &later)).unwrap();
    let changed = later.entered(Some(&stored), Some((&ann(), Participation::Accepted)));
    assert!(changed.contains("T200000") && changed.contains(&alarm(90)) && !changed.contains(&alarm(5)), "{changed}");
    CalendarObject::read(changed.as_bytes()).unwrap();
    let once = TIMES.to_owned() + "RECURRENCE-ID;TZID=Europe/Berlin:20261211T190000\r\n";
    let once = Invitation::read(&calendar("METHOD:REQUEST\r\n", &event(&once))).unwrap();
    let changed = once.entered(Some(&stored), Some((&ann(), Participation::Accepted)));
    assert_eq!(changed.matches(&alarm(90)).count(), 2, "{changed}");
    // Who has none wants none.
    let without = stored.replace(&alarm(90), "");
    assert!(!later.entered(Some(&without), None).contains("VALARM"));
}

#[test]
fn a_change_of_an_event_leaves_what_is_its_owners() {
    const OWN: &str = "TRANSP:TRANSPARENT\r\nCOLOR:teal\r\nCATEGORIES:Family,Fun\r\nX-MOZ-LASTACK:20261204T170000Z\r\n\
        X-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT30M\r\n";
    let series = |more: &str| event(&(TIMES.replace("SEQUENCE:1", "RRULE:FREQ=WEEKLY\r\nSEQUENCE:1") + more));
    let sent = calendar("METHOD:REQUEST\r\n", &series("TRANSP:OPAQUE\r\nCATEGORIES:Work\r\nX-ALT-DESC:old\r\n"));
    let later = sent.replace("SUMMARY:Dinner", "SUMMARY:Supper").replace("X-ALT-DESC:old", "X-ALT-DESC:new");
    let later = Invitation::read(&later).unwrap();
    let stored = calendar("", &series(&(OWN.to_owned() + "X-ALT-DESC:old\r\n")));
    let changed = later.entered(Some(&stored), None);
    assert!(changed.contains("SUMMARY:Supper") && changed.contains("X-ALT-DESC:new"), "{changed}");
    for line in OWN.split_terminator("\r\n") {
        assert_eq!(changed.matches(line).count(), 1, "{line}: {changed}");
    }
    assert!(!["OPAQUE", "Work", "X-ALT-DESC:old"].iter().any(|other| changed.contains(other)), "{changed}");
    CalendarObject::read(changed.as_bytes()).unwrap();
    // A time that gets a place of its own is theirs as well.
    let once = TIMES.to_owned() + "RECURRENCE-ID;TZID=Europe/Berlin:20261211T190000\r\n";
    let once = Invitation::read(&calendar("METHOD:REQUEST\r\n", &event(&once))).unwrap();
    assert_eq!(once.entered(Some(&stored), None).matches("COLOR:teal").count(), 2);
    // What its owner says nothing of is as the organiser has it.
    let plain = later.entered(Some(&calendar("", &series(""))), None);
    assert!(plain.contains("TRANSP:OPAQUE") && plain.contains("CATEGORIES:Work"), "{plain}");
    assert!(later.entered(None, None).contains("TRANSP:OPAQUE"));
}

#[test]
fn rules_that_never_fit_are_not_tried_by_the_thousand() {
    let times = |n: usize| format!("RECURRENCE-ID:20261204T{n:06}Z\r\nDTSTART:20261204T190000Z\r\n");
    let never = "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\r\n";
    for (rule, most, wanted) in [("", 200, true), (never, 16, true), (never, 17, false)] {
        let events: String = (0..most).map(|n| event(&(times(n % 60) + rule))).collect();
        let read = Invitation::read(&calendar("METHOD:REQUEST\r\n", &events));
        assert_eq!(read.is_ok(), wanted, "{most} {rule}: {read:?}");
    }
}
