use std::collections::HashSet;

use super::apply::{Refused, cancelled, replied, requested};
use super::language::Language;
use super::letter::{Entering, Letter};
use super::meeting::Meeting;
use super::message::Purpose;
use super::rules::{Message, check_attended, to_guests, to_organiser};
use super::settled::{Answers, attended, is_same, organised, with_statuses};
use crate::foundations::clock::Timestamp;
use crate::services::dav::CalendarObject;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);
const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";

fn own(address: &str) -> bool {
    address == ANN
}

fn calendar(events: &[String]) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n{}END:VCALENDAR\r\n", events.concat())
}

/// An event that Ann organises, with these guests besides her.
fn event(lines: &str, guests: &[&str]) -> String {
    let guest = |guest: &&str| match guest.contains(':') {
        true => format!("ATTENDEE;{guest}\r\n"),
        false => format!("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{guest}\r\n"),
    };
    let guests: String = guests.iter().map(guest).collect();
    format!(
        "BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\nORGANIZER;CN=Ann:mailto:Ann@example.test\r\n\
         ATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@example.test\r\n{guests}{lines}END:VEVENT\r\n"
    )
}

const START: &str = "DTSTART:20270105T090000Z\r\nDURATION:PT1H\r\nSUMMARY:Talk\r\n";
const SERIES: &str = "DTSTART:20270105T090000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=5\r\nSUMMARY:Talk\r\n";
const SECOND: &str = "RECURRENCE-ID:20270106T090000Z\r\nDTSTART:20270106T090000Z\r\nDURATION:PT1H\r\nSUMMARY:Talk\r\n";

fn sent(before: Option<&str>, after: Option<&str>) -> Vec<Message> {
    let (before, after) = (before.and_then(Meeting::of), after.and_then(Meeting::of));
    to_guests(before.as_ref(), after.as_ref(), &HashSet::new(), &own, NOW)
}

/// Each as its purpose, its guest, and whether it is worth a letter.
fn told(messages: &[Message]) -> Vec<String> {
    let told = |one: &Message| {
        format!("{} {}{}", one.purpose.word(), one.to, if one.is_weighty { "" } else { " (calendars)" })
    };
    messages.iter().map(told).collect()
}

#[test]
fn guests_are_told_what_concerns_them() {
    let one = |lines: &str, guests: &[&str]| calendar(&[event(lines, guests)]);
    let plain = one(START, &[BOB]);
    let client = "SCHEDULE-AGENT=CLIENT:mailto:bob@example.test";
    let moved = START.replace("T090000", "T100000");
    type Case<'a> = (&'a str, Option<String>, Option<String>, &'a [&'a str]);
    let cases: Vec<Case> = vec![
        ("invited", None, Some(plain.clone()), &["REQUEST bob@example.test"]),
        ("removed", Some(plain.clone()), None, &["CANCEL bob@example.test"]),
        ("nothing", Some(plain.clone()), Some(plain.clone()), &[]),
        ("an alarm", Some(plain.clone()), Some(one(&format!("{START}BEGIN:VALARM\r\nEND:VALARM\r\n"), &[BOB])), &[]),
        ("a version", Some(plain.clone()), Some(one(&format!("{START}SEQUENCE:4\r\nX-A:b\r\n"), &[BOB])), &[]),
        ("moved", Some(plain.clone()), Some(one(&moved, &[BOB])), &["REQUEST bob@example.test"]),
        (
            "one more",
            Some(plain.clone()),
            Some(one(START, &[BOB, "eve@x.test"])),
            &["REQUEST bob@example.test (calendars)", "REQUEST eve@x.test"],
        ),
        (
            "one less",
            Some(one(START, &[BOB, "eve@x.test"])),
            Some(plain.clone()),
            &["CANCEL eve@x.test", "REQUEST bob@example.test (calendars)"],
        ),
        ("the client does it", None, Some(one(START, &[client])), &[]),
        ("the client did it", Some(one(START, &[client])), None, &[]),
        (
            "never arrived",
            Some(one(START, &["SCHEDULE-STATUS=\"5.1\":mailto:bob@example.test"])),
            Some(plain.clone()),
            &["REQUEST bob@example.test"],
        ),
        (
            "called off",
            Some(plain.clone()),
            Some(one(&format!("{START}STATUS:CANCELLED\r\n"), &[BOB])),
            &["CANCEL bob@example.test"],
        ),
        (
            "once only",
            None,
            Some(calendar(&[event(SERIES, &[]), event(SECOND, &[BOB])])),
            &["REQUEST bob@example.test"],
        ),
        (
            "no more at that time",
            Some(calendar(&[event(SERIES, &[]), event(SECOND, &[BOB])])),
            Some(calendar(&[event(SERIES, &[])])),
            &["CANCEL bob@example.test"],
        ),
        (
            "only once more",
            Some(calendar(&[event(SERIES, &[BOB])])),
            Some(calendar(&[event(SERIES, &[]), event(SECOND, &[BOB])])),
            &["CANCEL bob@example.test", "REQUEST bob@example.test"],
        ),
        ("nobody left", Some(plain), Some(one(START, &[])), &["CANCEL bob@example.test"]),
    ];
    for (what, before, after, wanted) in cases {
        assert_eq!(told(&sent(before.as_deref(), after.as_deref())), wanted, "{what}");
    }
}

#[test]
fn a_request_has_what_the_guest_may_see() {
    let lines = format!("{SERIES}BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n");
    let guest = "PARTSTAT=NEEDS-ACTION;SCHEDULE-STATUS=1.2;SCHEDULE-FORCE-SEND=REQUEST:mailto:bob@example.test";
    let whole = calendar(&[event(&lines, &[guest]), event(SECOND, &["eve@x.test"])]);
    let messages = sent(None, Some(&whole));
    let bob = &messages.iter().find(|message| message.to == BOB).unwrap().text;
    assert!(bob.contains("METHOD:REQUEST\r\n") && bob.contains("EXDATE:20270106T090000Z\r\n"), "{bob}");
    assert!(!bob.contains("VALARM") && !bob.contains("SCHEDULE-") && !bob.contains("RECURRENCE-ID"), "{bob}");
    let eve = &messages.iter().find(|message| message.to == "eve@x.test").unwrap().text;
    assert!(eve.contains("RECURRENCE-ID:20270106T090000Z\r\n") && !eve.contains("RRULE"), "{eve}");
}

#[test]
fn a_new_time_is_a_new_version_that_nobody_has_answered() {
    let answered = "PARTSTAT=ACCEPTED;SCHEDULE-STATUS=2.0:mailto:bob@example.test";
    let before = calendar(&[event(&format!("{START}SEQUENCE:3\r\n"), &[answered])]);
    let settle = |after: &str, answers| {
        let (before, after) = (Meeting::of(&before).unwrap(), Meeting::of(after).unwrap());
        organised(&after, Some(&before), answers, &own)
    };
    let moved = before.replace("DTSTART:20270105T09", "DTSTART:20270105T10");
    let settled = settle(&moved, Answers::Given);
    assert!(settled.contains("SEQUENCE:4\r\n") && settled.contains("PARTSTAT=NEEDS-ACTION"), "{settled}");
    // The organiser's own answer is the organiser's affair.
    assert!(settled.contains("PARTSTAT=ACCEPTED:mailto:ann@example.test"), "{settled}");
    // A program that has not seen the answer.
    let renamed = before.replace("Talk", "Speech").replace("ACCEPTED;SCHEDULE-STATUS=2.0", "NEEDS-ACTION");
    let settled = settle(&renamed, Answers::Stored);
    assert!(settled.contains("PARTSTAT=ACCEPTED") && settled.contains("SEQUENCE:3"), "{settled}");
    assert!(settled.contains("SCHEDULE-STATUS=2.0"), "{settled}");
    assert!(settle(&renamed, Answers::Given).contains("PARTSTAT=NEEDS-ACTION"));
    assert!(is_same(&settle(&before, Answers::Given), &before));
}

/// A search for each of thousands of exceptions, or each time a guest is named, took minutes of a processor.
#[test]
fn thousands_of_exceptions_and_of_lines_about_one_guest_take_little_time() {
    let begun = std::time::Instant::now();
    let exception = |n: u64| {
        let day = chrono::NaiveDate::from_ymd_opt(2027, 1, 6).unwrap() + chrono::Days::new(n);
        event(&SECOND.replace("20270106", &day.format("%Y%m%d").to_string()), &[BOB])
    };
    let events: Vec<String> = std::iter::once(event(SERIES, &[BOB])).chain((0..2_000).map(exception)).collect();
    let before = calendar(&events);
    let after = before.replace("SUMMARY:Talk", "SUMMARY:Speech");
    let (former, now) = (Meeting::of(&before).unwrap(), Meeting::of(&after).unwrap());
    assert!(organised(&now, Some(&former), Answers::Stored, &own).contains("SUMMARY:Speech"));
    let message = sent(Some(&before), Some(&after)).remove(0);
    assert_eq!(message.purpose, Purpose::Request);
    assert!(requested(Some(&before), &message.text).unwrap().contains("SUMMARY:Speech"));
    let once: Vec<String> = (0..20_000).map(|n| format!("guest{n}@x.test")).collect();
    let named = once.iter().map(String::as_str).chain(std::iter::repeat_n("guest19999@x.test", 100_000));
    let crowd = calendar(&[event(START, &named.collect::<Vec<_>>())]);
    assert_eq!(Meeting::of(&crowd).unwrap().guests.len(), 1 + 20_000);
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
}

/// Bob's copy with an answer.
fn copy(lines: &str, answer: &str) -> String {
    calendar(&[event(lines, &[&format!("PARTSTAT={answer}:mailto:bob@example.test")])])
}

fn answered(before: Option<&str>, after: Option<&str>) -> Option<String> {
    let (before, after) = (before.and_then(Meeting::of), after.and_then(Meeting::of));
    to_organiser(before.as_ref(), after.as_ref(), (BOB, false), NOW).map(|message| message.text)
}

#[test]
fn guests_answer_when_their_answer_changes() {
    let open = copy(START, "NEEDS-ACTION");
    let accepted = copy(START, "ACCEPTED");
    let series = copy(SERIES, "ACCEPTED");
    let without = |extra: &str| copy(&format!("{SERIES}{extra}"), "ACCEPTED");
    let once = calendar(&[
        event(SERIES, &["PARTSTAT=ACCEPTED:mailto:bob@example.test"]),
        event(SECOND, &["PARTSTAT=DECLINED:mailto:bob@example.test"]),
    ]);
    let own_agent = accepted.replace("ORGANIZER;", "ORGANIZER;SCHEDULE-AGENT=NONE;");
    let alarm = copy(&format!("{START}BEGIN:VALARM\r\nEND:VALARM\r\n"), "NEEDS-ACTION");
    type Case<'a> = (&'a str, Option<&'a str>, Option<String>, Option<&'a [&'a str]>);
    let cases: Vec<Case> = vec![
        ("accepted", Some(&open), Some(accepted.clone()), Some(&["PARTSTAT=ACCEPTED:mailto:bob"])),
        ("nothing", Some(&open), Some(open.clone()), None),
        ("an alarm", Some(&open), Some(alarm), None),
        ("removed", Some(&accepted), None, Some(&["PARTSTAT=DECLINED:mailto:bob"])),
        ("entered by a program", None, Some(accepted.clone()), Some(&["PARTSTAT=ACCEPTED:mailto:bob"])),
        (
            "one time",
            Some(&series),
            Some(once),
            Some(&["PARTSTAT=DECLINED:mailto:bob", "RECURRENCE-ID:20270106T090000Z"]),
        ),
        (
            "left out",
            Some(&series),
            Some(without("EXDATE:20270107T090000Z\r\n")),
            Some(&["PARTSTAT=DECLINED:mailto:bob", "RECURRENCE-ID:20270107T090000Z", "DTSTART:20270107T090000Z"]),
        ),
        ("nobody is to know", Some(&open), Some(own_agent), None),
    ];
    for (what, before, after, wanted) in cases {
        let text = answered(before, after.as_deref());
        match wanted {
            None => assert_eq!(text, None, "{what}"),
            Some(wanted) => {
                let text = text.unwrap_or_else(|| panic!("{what}"));
                assert!(text.contains("METHOD:REPLY") && !text.contains("mailto:ann@example.test\r\nATT"), "{text}");
                wanted.iter().for_each(|part| assert!(text.contains(part), "{what}: {part} in {text}"));
                assert_eq!(text.matches("BEGIN:VEVENT").count(), 1, "{what}: {text}");
            }
        }
    }
}

#[test]
fn a_reply_about_thousands_of_times_is_cut() {
    let long = SERIES.replace("Talk", &"x".repeat(50_000));
    let times: String =
        (10..90).map(|minute| format!("EXDATE:202701{}T09{:02}00Z\r\n", 10 + minute % 9, minute / 9)).collect();
    let text = answered(Some(&copy(&long, "ACCEPTED")), Some(&copy(&format!("{long}{times}"), "ACCEPTED"))).unwrap();
    let count = text.matches("BEGIN:VEVENT").count();
    assert!((2..10).contains(&count), "{count} of {} octets", text.len());
    assert!(text.ends_with("END:VEVENT\r\nEND:VCALENDAR\r\n"));
}

#[test]
fn guests_change_neither_time_nor_organiser() {
    let before = copy(START, "ACCEPTED");
    for (after, allowed) in [
        (before.replace("Talk", "My talk"), true),
        (before.replace("T090000Z", "T100000Z"), false),
        (before.replace("mailto:Ann@", "mailto:Eve@"), false),
    ] {
        let (before, after) = (Meeting::of(&before).unwrap(), Meeting::of(&after).unwrap());
        assert_eq!(check_attended(&before, &after).is_ok(), allowed);
    }
    let noted = with_statuses(&before, "ORGANIZER", &[(ANN.to_owned(), "1.2")]);
    assert!(noted.contains("ORGANIZER;CN=Ann;SCHEDULE-STATUS=1.2:mailto:Ann@"), "{noted}");
    let again = attended(&Meeting::of(&before).unwrap(), Meeting::of(&noted).as_ref());
    assert!(again.contains("SCHEDULE-STATUS=1.2"), "{again}");
}

#[test]
fn messages_change_the_events_that_they_are_about() {
    let whole = calendar(&[event(SERIES, &[BOB])]);
    let request = sent(None, Some(&whole)).remove(0).text;
    let stored = requested(None, &request).unwrap();
    assert!(!stored.contains("METHOD") && CalendarObject::read(stored.as_bytes()).is_ok(), "{stored}");
    // Bob's alarm is his.
    let alarm = "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n";
    let his = stored.replace("END:VEVENT", &format!("{alarm}END:VEVENT"));
    assert!(requested(Some(&his), &request.replace("Talk", "Speech")).unwrap().contains(alarm));
    // Whoever knows the UID organises nothing.
    let foreign = request.replace("mailto:Ann@example.test", "mailto:eve@x.test");
    assert_eq!(requested(Some(&his), &foreign), Err(Refused::Foreign));
    let private = calendar(&[format!("BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\n{START}END:VEVENT\r\n")]);
    assert_eq!(requested(Some(&private), &request), Err(Refused::Foreign));

    let mut cancel = sent(Some(&whole), None);
    let gone = cancelled(&his, &cancel.remove(0).text).unwrap().unwrap();
    assert!(gone.contains("STATUS:CANCELLED\r\n") && gone.contains("SEQUENCE:1\r\n"), "{gone}");

    let declined = calendar(&[
        event(SERIES, &["PARTSTAT=ACCEPTED:mailto:bob@example.test"]),
        event(SECOND, &["PARTSTAT=DECLINED:mailto:bob@example.test"]),
    ]);
    let reply = answered(Some(&his), Some(&declined)).unwrap();
    let noted = replied(&whole, &reply, NOW).unwrap();
    assert!(noted.contains("PARTSTAT=ACCEPTED;SCHEDULE-STATUS=2.0:mailto:bob@example.test"), "{noted}");
    assert!(noted.contains("PARTSTAT=DECLINED;SCHEDULE-STATUS=2.0:mailto:bob@example.test"), "{noted}");
    assert_eq!(replied(&calendar(&[event(SERIES, &["eve@x.test"])]), &reply, NOW), Err(Refused::Unfit));
}

#[test]
fn one_of_several_times_is_cancelled_and_the_others_stay() {
    let third = SECOND.replace("20270106", "20270107");
    let both = calendar(&[event(SERIES, &[]), event(SECOND, &[BOB]), event(&third, &[BOB])]);
    let one = calendar(&[event(SERIES, &[]), event(&third, &[BOB])]);
    let stored = requested(None, &sent(None, Some(&both)).remove(0).text).unwrap();
    assert_eq!(stored.matches("BEGIN:VEVENT").count(), 2, "{stored}");
    let cancel = sent(Some(&both), Some(&one)).remove(0);
    assert_eq!(cancel.purpose, Purpose::Cancel);
    let left = cancelled(&stored, &cancel.text).unwrap().unwrap();
    assert!(left.contains("RECURRENCE-ID:20270107") && !left.contains("RECURRENCE-ID:20270106"), "{left}");
    let none = calendar(&[event(SERIES, &[])]);
    let last = sent(Some(&one), Some(&none)).remove(0);
    assert_eq!(cancelled(&left, &last.text), Ok(None));
}

#[test]
fn letters_about_whole_days_name_the_last_day() {
    let (ann, eve) = (ANN.parse().unwrap(), "eve@x.test".parse().unwrap());
    for (end, wanted) in [
        ("20270106", "From: Tuesday, 5 January 2027\r\n\r\n--b0"),
        ("20270105", "From: Tuesday, 5 January 2027\r\n\r\n--b0"),
        ("20270108", "From: Tuesday, 5 January 2027\r\nUntil: Thursday, 7 January 2027\r\n"),
    ] {
        let lines = format!("DTSTART;VALUE=DATE:20270105\r\nDTEND;VALUE=DATE:{end}\r\nSUMMARY:Trip\r\n");
        let whole = calendar(&[event(&lines, &["eve@x.test"])]);
        let letter = Letter {
            from: ("Ann Lee", &ann),
            to: ("", &eve),
            purpose: Purpose::Request,
            language: Language::English,
            calendar: &whole,
            entering: Entering::Needed,
            at: NOW,
            message_id: "<1@x>",
            boundary: "b0",
        };
        let text = String::from_utf8(letter.build()).unwrap();
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[test]
fn letters_have_the_message_in_two_forms() {
    let whole = calendar(&[event(&START.replace("Talk", "Grüße"), &["eve@x.test"])]);
    let message = sent(None, Some(&whole)).remove(0);
    let (ann, eve) = (ANN.parse().unwrap(), "eve@x.test".parse().unwrap());
    let letter = Letter {
        from: ("Ann Lee", &ann),
        to: ("", &eve),
        purpose: message.purpose,
        language: Language::English,
        calendar: &message.text,
        entering: Entering::Needed,
        at: NOW,
        message_id: "<1@x>",
        boundary: "b0",
    };
    let text = String::from_utf8(letter.build()).unwrap();
    assert!(text.contains("From: \"Ann Lee\" <ann@example.test>\r\nTo: eve@x.test\r\n"), "{text}");
    for part in [
        "Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n",
        "Ann Lee <ann@example.test> invites you:",
        "From: Tuesday, 5 January 2027, 09:00 (UTC)",
        "\r\n--b0--\r\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let letter = Letter { language: Language::German, ..letter };
    let text = letter_text(&letter);
    for part in [
        "Subject: Einladung: Gr",
        "Ann Lee <ann@example.test> lädt Sie ein:",
        "Beginn: Dienstag, 5. Januar 2027, 09:00 (UTC)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// The organiser's own words came back to them with every answer.
#[test]
fn a_guest_says_something_with_an_answer_once() {
    let start = format!("{START}COMMENT:Bring coffee\r\n");
    let said = format!("{start}COMMENT:Only after ten\\, sorry\r\n");
    let reply = answered(Some(&copy(&start, "NEEDS-ACTION")), Some(&copy(&said, "TENTATIVE"))).unwrap();
    assert!(reply.contains("COMMENT:Only after ten") && !reply.contains("coffee"), "{reply}");
    let again = answered(Some(&copy(&said, "TENTATIVE")), Some(&copy(&said, "DECLINED"))).unwrap();
    assert!(!again.contains("COMMENT"), "{again}");
    let (ann, bob) = (ANN.parse().unwrap(), BOB.parse().unwrap());
    let letter = Letter {
        from: ("Bob", &bob),
        to: ("", &ann),
        purpose: Purpose::Reply,
        language: Language::English,
        calendar: &reply,
        entering: Entering::Done,
        at: NOW,
        message_id: "<1@x>",
        boundary: "b0",
    };
    let text = String::from_utf8(letter.build()).unwrap();
    assert!(text.contains("Bob <bob@example.test> may attend:"), "{text}");
    assert!(text.contains("\r\n\r\nComment: Only after ten, sorry") && !text.contains("BEGIN:"), "{text}");
}

/// A letter as people read it.
fn letter_text(letter: &Letter<'_>) -> String {
    use crate::foundations::mail::{HeaderSection, Structure, transfer};
    let octets = letter.build();
    let structure = Structure::of(&octets);
    let subject = HeaderSection::of(&octets).first("Subject").unwrap().text();
    let part = &structure.parts()[1];
    let text = transfer::decode(part.fields.encoding, structure.body(part), 100_000).into_owned();
    format!("Subject: {subject}\n{}", String::from_utf8(text).unwrap())
}

/// A program that stored the event without that let an answer count that was overtaken on its way.
#[test]
fn programs_need_not_know_when_an_answer_was_given() {
    const ANSWERED: &str = "X-POSTRIDER-ANSWERED=20261110T000000Z";
    let of = |lines: &str, more: &str| {
        calendar(&[event(lines, &[format!("PARTSTAT=ACCEPTED{more}:mailto:bob@example.test").as_str()])])
    };
    let before = of(START, &format!(";{ANSWERED}"));
    for (lines, is_kept) in [(START.replace("Talk", "Speech"), true), (START.replace("T090000", "T100000"), false)] {
        let given = of(&lines, "");
        let (before, given) = (Meeting::of(&before).unwrap(), Meeting::of(&given).unwrap());
        let stored = organised(&given, Some(&before), Answers::Given, &own).replace("\r\n ", "");
        assert_eq!(stored.contains(ANSWERED), is_kept, "{stored}");
    }
}
