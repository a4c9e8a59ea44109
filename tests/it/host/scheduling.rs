//! Invitations that calendar programs leave to the server (RFC 6638).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use postrider::config::Protocol;
use postrider::foundations::event::EventKind;
use postrider::storage::journal::Query;

use crate::harness::{Host, PASSWORD, Peer};

pub(super) const ANN: &str = "ann@example.test";
pub(super) const BOB: &str = "bob@example.test";
const NOWHERE: &str = "elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25";

pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A request of a calendar program of one user.
pub(super) async fn ask(host: &Host, user: &str, what: &str, headers: &str, body: &str) -> Answer {
    let mut talk = host.plain(Protocol::Webmail).await;
    let login = STANDARD.encode(format!("{user}:{PASSWORD}"));
    let length = body.len();
    talk.send(format!(
        "{what} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    ))
    .await;
    let answer = talk.rest().await;
    let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, head: head.to_owned(), body: body.replace('\n', "\r\n") }
}

/// Finds the way to the calendars, as programs do when they are set up.
pub(super) async fn set_up(host: &Host, user: &str) -> String {
    let body = "<propfind xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><prop><C:calendar-user-address-set/>\
        <C:schedule-inbox-URL/><C:schedule-outbox-URL/><C:calendar-user-type/></prop></propfind>";
    let principal = ask(host, user, &format!("PROPFIND /dav/principals/{user}/"), "Depth: 0\r\n", body).await;
    assert_eq!(principal.status, 207, "{}", principal.body);
    let home = ask(host, user, &format!("PROPFIND /dav/calendars/{user}/"), "Depth: 1\r\n", "").await;
    assert_eq!(home.status, 207, "{}", home.body);
    principal.body
}

pub(super) async fn get(host: &Host, user: &str, path: &str) -> Answer {
    ask(host, user, &format!("GET {path}"), "", "").await
}

pub(super) async fn put(host: &Host, user: &str, path: &str, headers: &str, content: &str) -> Answer {
    ask(host, user, &format!("PUT {path}"), &format!("Content-Type: text/calendar\r\n{headers}"), content).await
}

/// The paths of what is in a collection.
pub(super) async fn listed(host: &Host, user: &str, collection: &str) -> Vec<String> {
    let body = "<propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>";
    let answer = ask(host, user, &format!("PROPFIND {collection}"), "Depth: 1\r\n", body).await;
    assert_eq!(answer.status, 207, "{}", answer.body);
    let hrefs = answer.body.split("<D:href>").skip(1).filter_map(|rest| rest.split('<').next());
    hrefs.filter(|href| !href.ends_with('/')).map(str::to_owned).collect()
}

pub(super) fn event(uid: &str, organiser: &str, guests: &[&str]) -> String {
    let guests: String =
        guests.iter().map(|guest| format!("ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{guest}\r\n")).collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART:20400105T090000Z\r\nDURATION:PT1H\r\nSUMMARY:Talk\r\nORGANIZER:mailto:{organiser}\r\n\
         ATTENDEE;PARTSTAT=ACCEPTED:mailto:{organiser}\r\n{guests}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

async fn with_peer() -> (Host, Peer) {
    let host = Host::start().user(ANN).user(BOB).alias("lee@example.test", ANN).dns(NOWHERE).await;
    let peer = Peer::start().await;
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    (host, peer)
}

pub(super) const MEETING: &str = "/dav/calendars/ann@example.test/Personal/meeting.ics";

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_from_its_invitation_to_its_end() {
    let (host, peer) = with_peer().await;
    let principal = set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    for part in [
        "<D:href>mailto:ann@example.test</D:href><D:href>mailto:lee@example.test</D:href>",
        "<C:schedule-inbox-URL><D:href>/dav/scheduling/ann@example.test/inbox/</D:href>",
        "<C:schedule-outbox-URL><D:href>/dav/scheduling/ann@example.test/outbox/</D:href>",
        "<C:calendar-user-type>INDIVIDUAL",
    ] {
        assert!(principal.contains(part), "{part} in {principal}");
    }

    // Bob is here, Eve elsewhere, and Nobody nowhere.
    let given = event("m", ANN, &[BOB, "eve@elsewhere.test", "nobody@example.test"]);
    let stored = put(&host, ANN, MEETING, "", &given).await;
    assert_eq!((stored.status, stored.header("etag")), (201, None), "{}", stored.body);
    let tag = stored.header("schedule-tag").unwrap().to_owned();
    let own = get(&host, ANN, MEETING).await;
    assert_eq!(own.header("schedule-tag"), Some(tag.as_str()));
    let unfolded = own.body.replace("\r\n ", "");
    for (guest, status) in [(BOB, "1.2"), ("eve@elsewhere.test", "1.1"), ("nobody@example.test", "3.7")] {
        assert!(unfolded.contains(&format!("SCHEDULE-STATUS={status}:mailto:{guest}")), "{guest} in {unfolded}");
    }
    let letter = &peer.wait_for(1).await[0];
    assert_eq!((letter.from.as_str(), letter.to.as_slice()), (ANN, &["eve@elsewhere.test".to_owned()][..]));
    assert!(letter.content.contains("METHOD:REQUEST") && !letter.content.contains("SCHEDULE-"), "{}", letter.content);

    // It is in Bob's calendar, and he accepts.
    let copies = listed(&host, BOB, "/dav/calendars/bob@example.test/Personal/").await;
    let [copy] = copies.as_slice() else { panic!("{copies:?}") };
    assert_eq!(listed(&host, BOB, "/dav/scheduling/bob@example.test/inbox/").await.len(), 1);
    let his = get(&host, BOB, copy).await;
    let accepted = his
        .body
        .replace("\r\n ", "")
        .replace("ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob");
    let headers = format!("If-Schedule-Tag-Match: {}\r\n", his.header("schedule-tag").unwrap());
    assert_eq!(put(&host, BOB, copy, &headers, &accepted).await.status, 204);
    assert!(get(&host, BOB, copy).await.body.contains("ORGANIZER;SCHEDULE-STATUS=1.2:"));
    let told = get(&host, ANN, MEETING).await;
    let unfolded = told.body.replace("\r\n ", "");
    assert!(unfolded.contains("PARTSTAT=ACCEPTED;SCHEDULE-STATUS=2.0:mailto:bob@example.test"), "{unfolded}");
    assert_eq!(told.header("schedule-tag"), Some(tag.as_str()));
    assert_ne!(told.header("etag"), own.header("etag"));
    assert_eq!(listed(&host, ANN, "/dav/scheduling/ann@example.test/inbox/").await.len(), 1);

    // Ann's program has not seen the answer, and changes something else. An alarm is nobody's affair.
    let renamed = given.replace("SUMMARY:Talk", "SUMMARY:Speech");
    let headers = format!("If-Schedule-Tag-Match: {tag}\r\n");
    let changed = put(&host, ANN, MEETING, &headers, &renamed).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    assert_eq!(put(&host, ANN, MEETING, &headers, &renamed).await.status, 412);
    let alarm = "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT";
    let headers = format!("If-Schedule-Tag-Match: {}\r\n", changed.header("schedule-tag").unwrap());
    let again = put(&host, ANN, MEETING, &headers, &renamed.replace("END:VEVENT", alarm)).await;
    assert_eq!(again.status, 204, "{}", again.body);
    let own = get(&host, ANN, MEETING).await.body.replace("\r\n ", "");
    assert!(own.contains("PARTSTAT=ACCEPTED;RSVP=TRUE") || own.contains("PARTSTAT=ACCEPTED:mailto:bob"), "{own}");
    assert!(own.contains("VALARM"), "{own}");
    let his = get(&host, BOB, copy).await.body;
    assert!(his.contains("SUMMARY:Speech") && !his.contains("VALARM"), "{his}");

    let removed = ask(&host, ANN, &format!("DELETE {MEETING}"), "", "").await;
    assert_eq!(removed.status, 204, "{}", removed.body);
    assert!(get(&host, BOB, copy).await.body.contains("STATUS:CANCELLED"));
    let letters = peer.wait_for(3).await;
    let methods = ["REQUEST", "REQUEST", "CANCEL"].map(|method| format!("METHOD:{method}"));
    for (letter, method) in letters.iter().zip(&methods) {
        assert!(letter.content.contains(method.as_str()), "{}", letter.content);
    }
    assert_eq!(letters.len(), 3);
    // What is cancelled is not declined any more.
    let gone = ask(&host, BOB, &format!("DELETE {copy}"), "", "").await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    host.parts().journal.flush().await;
    let events = host.events(&Query::default()).await;
    let sent = events.iter().filter(|event| event.kind == EventKind::CalendarMessage).count();
    // Three guests, Bob's answer, a change for Bob and Eve (Nobody is still unknown), and the end for three.
    assert_eq!(sent, 3 + 1 + 3 + 3);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_moves_to_another_calendar_and_nobody_is_told() {
    let (host, _peer) = with_peer().await;
    set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await.status, 201);
    let before = get(&host, ANN, MEETING).await;
    assert_eq!(ask(&host, ANN, "MKCALENDAR /dav/calendars/ann@example.test/work/", "", "").await.status, 201);
    let there = "/dav/calendars/ann@example.test/work/meeting.ics";
    let moved = ask(&host, ANN, &format!("MOVE {MEETING}"), &format!("Destination: {there}\r\n"), "").await;
    assert_eq!(moved.status, 201, "{}", moved.body);
    let after = get(&host, ANN, there).await;
    assert_eq!((after.header("schedule-tag"), &after.body), (before.header("schedule-tag"), &before.body));
    assert_eq!(listed(&host, BOB, "/dav/scheduling/bob@example.test/inbox/").await.len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_decline_by_removing_an_event_unless_they_say_otherwise() {
    let (host, _peer) = with_peer().await;
    set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    for (uid, headers, wanted) in [("quiet", "Schedule-Reply: F\r\n", "NEEDS-ACTION"), ("told", "", "DECLINED")] {
        let path = format!("/dav/calendars/ann@example.test/Personal/{uid}.ics");
        assert_eq!(put(&host, ANN, &path, "", &event(uid, ANN, &[BOB])).await.status, 201);
        let copies = listed(&host, BOB, "/dav/calendars/bob@example.test/Personal/").await;
        let [copy] = copies.as_slice() else { panic!("{copies:?}") };
        let moved = get(&host, BOB, copy).await.body.replace("T090000Z", "T100000Z");
        let refused = put(&host, BOB, copy, "", &moved).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.body.contains("allowed-attendee-scheduling-object-change"), "{}", refused.body);
        assert_eq!(ask(&host, BOB, &format!("DELETE {copy}"), headers, "").await.status, 204);
        let own = get(&host, ANN, &path).await.body.replace("\r\n ", "");
        assert!(own.contains(&format!("ATTENDEE;PARTSTAT={wanted}")), "{uid}: {own}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_invites_in_anothers_name_or_to_what_is_over() {
    let (host, peer) = with_peer().await;
    set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    let home = "/dav/calendars/ann@example.test/Personal";
    let eve = "eve@elsewhere.test";
    for (uid, content) in [
        ("foreign", event("foreign", BOB, &[eve])),
        ("over", event("over", ANN, &[eve]).replace("20400105", "20200105")),
        ("client", event("client", ANN, &[eve]).replace("RSVP=TRUE", "SCHEDULE-AGENT=CLIENT")),
    ] {
        let stored = put(&host, ANN, &format!("{home}/{uid}.ics"), "", &content).await;
        assert_eq!(stored.status, 201, "{uid}: {}", stored.body);
        // Nothing was added, so the program has what is stored.
        assert!(stored.header("etag").is_some(), "{uid}");
    }
    // Bob's event stays his, whoever has learned its UID.
    let private = event("secret", BOB, &[]).replace("ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.test\r\n", "");
    assert_eq!(put(&host, BOB, "/dav/calendars/bob@example.test/Personal/s.ics", "", &private).await.status, 201);
    assert_eq!(put(&host, ANN, &format!("{home}/s.ics"), "", &event("secret", ANN, &[BOB])).await.status, 201);
    assert!(get(&host, ANN, &format!("{home}/s.ics")).await.body.contains("SCHEDULE-STATUS=3.8"));
    let kept = get(&host, BOB, "/dav/calendars/bob@example.test/Personal/s.ics").await;
    assert_eq!(kept.body, private);
    // From an alias she may; it is the only letter. The case of an address elsewhere is its server's affair.
    let invited = event("a", "lee@example.test", &["Eve@elsewhere.test"]);
    assert_eq!(put(&host, ANN, &format!("{home}/alias.ics"), "", &invited).await.status, 201);
    let letters = peer.wait_for(1).await;
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let wanted = &["Eve@elsewhere.test".to_owned()][..];
    assert_eq!((letter.from.as_str(), letter.to.as_slice()), ("lee@example.test", wanted));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_at_once_invite_once_and_answers_at_once_all_arrive() {
    let guests: Vec<String> = (0..12).map(|n| format!("guest{n}@example.test")).collect();
    let mut host = Host::start().user(ANN);
    for guest in &guests {
        host = host.user(guest);
    }
    let host = host.await;
    join_all(guests.iter().map(String::as_str).chain([ANN]).map(|user| set_up(&host, user))).await;
    let names: Vec<&str> = guests.iter().map(String::as_str).collect();
    let given = event("m", ANN, &names);
    let (one, other) = tokio::join!(put(&host, ANN, MEETING, "", &given), put(&host, ANN, MEETING, "", &given));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 204], "{} {}", one.body, other.body);
    for guest in &guests {
        assert_eq!(listed(&host, guest, &format!("/dav/scheduling/{guest}/inbox/")).await.len(), 1, "{guest}");
    }
    let at = &host;
    let answers = guests.iter().map(|guest| async move {
        let copies = listed(at, guest, &format!("/dav/calendars/{guest}/Personal/")).await;
        let copy = get(at, guest, &copies[0]).await.body.replace("\r\n ", "");
        let accepted = copy.replace(
            &format!("ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{guest}"),
            &format!("ATTENDEE;PARTSTAT=ACCEPTED:mailto:{guest}"),
        );
        put(at, guest, &copies[0], "", &accepted).await.status
    });
    assert!(join_all(answers).await.iter().all(|status| *status == 204));
    let own = get(&host, ANN, MEETING).await.body.replace("\r\n ", "");
    assert!(!own.contains("NEEDS-ACTION"), "{own}");
    host.stop().await;
}

/// The messages of a change are all in memory, and a program can begin as many changes at once as it likes.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_changes_one_event_at_a_time() {
    let host = Host::start().user(ANN).await;
    set_up(&host, ANN).await;
    let guests = |of: &str| -> Vec<String> { (0..10).map(|n| format!("{of}{n}@example.test")).collect() };
    let (some, others) = (guests("a"), guests("b"));
    let given = |uid: &str, guests: &[String]| event(uid, ANN, &guests.iter().map(String::as_str).collect::<Vec<_>>());
    let (one, other) = (given("one", &some), given("other", &others));
    let there = MEETING.replace("meeting", "other");
    let stored = tokio::join!(put(&host, ANN, MEETING, "", &one), put(&host, ANN, &there, "", &other));
    assert_eq!((stored.0.status, stored.1.status), (201, 201), "{} {}", stored.0.body, stored.1.body);
    host.parts().journal.flush().await;
    let events = host.events(&Query::default()).await;
    let told = events.iter().filter(|event| event.kind == EventKind::CalendarMessage);
    let whose: Vec<char> = told.filter_map(|event| event.subject.as_deref()?.chars().next()).collect();
    assert_eq!(whose.len(), 20);
    assert_eq!(whose.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1, "{whose:?}");
    host.stop().await;
}

/// A guest who is not invited any more may have the calendar of somebody who still is, or of the organiser.
#[tokio::test(flavor = "multi_thread")]
async fn one_address_less_cancels_nothing_for_who_has_another() {
    let host = Host::start().user(ANN).user(BOB).alias("@example.test", ANN).alias("bobby@example.test", BOB).await;
    set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    let given = event("m", ANN, &[BOB, "bobby@example.test", "sales@example.test"]);
    assert_eq!(put(&host, ANN, MEETING, "", &given).await.status, 201);
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await.status, 204);
    let own = get(&host, ANN, MEETING).await.body;
    assert!(!own.contains("CANCELLED"), "{own}");
    let copies = listed(&host, BOB, "/dav/calendars/bob@example.test/Personal/").await;
    let his = get(&host, BOB, &copies[0]).await.body;
    assert!(!his.contains("CANCELLED") && !his.contains("bobby"), "{his}");
    host.stop().await;
}

/// An address that reads as Ann's with a tag may be somebody else's whole name.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_makes_nobody_the_organiser_of_anothers_events() {
    let host = Host::start().user(ANN).user(BOB).user("ann+lee@example.test").alias("ann+box@example.test", BOB).await;
    set_up(&host, BOB).await;
    for (organiser, name, count) in
        [("ann+lee@example.test", "lee", 0), ("ann+box@example.test", "box", 0), ("ann+tag@example.test", "tag", 1)]
    {
        let path = MEETING.replace("meeting", name);
        let stored = put(&host, ANN, &path, "", &event(name, organiser, &[BOB])).await;
        assert_eq!(stored.status, 201, "{}", stored.body);
        let copies = listed(&host, BOB, "/dav/calendars/bob@example.test/Personal/").await;
        assert_eq!(copies.len(), count, "{organiser}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_calendar_program_gets_mail() {
    let (host, _peer) = with_peer().await;
    set_up(&host, ANN).await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await.status, 201);
    assert!(get(&host, ANN, MEETING).await.body.replace("\r\n ", "").contains("SCHEDULE-STATUS=1.1:mailto:bob"));
    assert_eq!(host.imap(BOB).await.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    host.stop().await;
}

/// It lay in the scheduling inbox, which few programs show.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_says_with_an_answer_reaches_the_organiser() {
    let (host, _peer) = with_peer().await;
    set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await.status, 201);
    let copies = listed(&host, BOB, "/dav/calendars/bob@example.test/Personal/").await;
    let his = get(&host, BOB, &copies[0]).await.body.replace("\r\n ", "");
    let mine = "ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob";
    let answered = his.replace(mine, "COMMENT:Only after ten\r\nATTENDEE;PARTSTAT=TENTATIVE:mailto:bob");
    assert_eq!(put(&host, BOB, &copies[0], "", &answered).await.status, 204);
    assert!(get(&host, ANN, MEETING).await.body.contains("PARTSTAT=TENTATIVE"));
    let mut imap = host.imap(ANN).await;
    assert_eq!(imap.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    let letter = imap.ok("FETCH 1 BODY.PEEK[]").await.untagged.concat();
    assert!(letter.contains("Comment: Only after ten") && !letter.contains("VCALENDAR"), "{letter}");
    // An answer without words is in the event, and nowhere else.
    let accepted = answered.replace("PARTSTAT=TENTATIVE", "PARTSTAT=ACCEPTED");
    assert_eq!(put(&host, BOB, &copies[0], "", &accepted).await.status, 204);
    assert_eq!(host.imap(ANN).await.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_room_in_the_calendar_gets_mail() {
    let host = Host::start().settings("[dav]\nobjects = 1\n").user(ANN).user(BOB).await;
    set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    let private = event("b", BOB, &[]).replace("ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.test\r\n", "");
    assert_eq!(put(&host, BOB, "/dav/calendars/bob@example.test/Personal/b.ics", "", &private).await.status, 201);
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await.status, 201);
    let own = get(&host, ANN, MEETING).await.body.replace("\r\n ", "");
    assert!(own.contains("SCHEDULE-STATUS=1.1:mailto:bob"), "{own}");
    assert_eq!(host.imap(BOB).await.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_count_towards_the_limits_of_submission() {
    let host = Host::start().settings("[submission]\nmessages_per_hour = 1\n[dav.scheduling]\nattendees = 2\n");
    let host = host.user(ANN).user(BOB).user("carl@example.test").await;
    for user in [ANN, BOB, "carl@example.test"] {
        set_up(&host, user).await;
    }
    let elsewhere = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n";
    let first = put(&host, ANN, MEETING, elsewhere, &event("m", ANN, &[BOB])).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let other = MEETING.replace("meeting", "other");
    assert_eq!(put(&host, ANN, &other, elsewhere, &event("o", ANN, &["carl@example.test"])).await.status, 201);
    let own = get(&host, ANN, &other).await.body.replace("\r\n ", "");
    assert!(own.contains("SCHEDULE-STATUS=5.1:mailto:carl@example.test"), "{own}");
    // What could not be sent is sent with the next change, whatever it is.
    assert_eq!(put(&host, ANN, &other, "", &own).await.status, 204);
    let own = get(&host, ANN, &other).await.body.replace("\r\n ", "");
    assert!(own.contains("SCHEDULE-STATUS=1.2:mailto:carl@example.test"), "{own}");
    let many = put(&host, ANN, &MEETING.replace("meeting", "n"), "", &event("n", ANN, &[BOB, "x@x.test"])).await;
    assert!(many.status == 403 && many.body.contains("max-attendees-per-instance"), "{}", many.body);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_asked_whether_they_have_time() {
    let host = Host::start().user(ANN).user(BOB).user("carl@other.test").await;
    for user in [ANN, BOB] {
        set_up(&host, user).await;
    }
    let busy = event("b", BOB, &[]).replace("ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.test\r\n", "");
    assert_eq!(put(&host, BOB, "/dav/calendars/bob@example.test/Personal/b.ics", "", &busy).await.status, 201);
    let question = |organiser: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:f\r\n\
             DTSTAMP:20260101T000000Z\r\nDTSTART:20400105T000000Z\r\nDTEND:20400106T000000Z\r\nORGANIZER:mailto:{organiser}\r\n\
             ATTENDEE:mailto:bob@example.test\r\nATTENDEE:mailto:carl@other.test\r\nATTENDEE:mailto:eve@elsewhere.test\r\n\
             END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
        )
    };
    let outbox = "POST /dav/scheduling/ann@example.test/outbox/";
    let answer = ask(&host, ANN, outbox, "Content-Type: text/calendar\r\n", &question(ANN)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut parts = answer.body.split("<C:response>").skip(1);
    let bob = parts.next().unwrap();
    assert!(bob.contains("mailto:bob@example.test") && bob.contains("2.0;Success"), "{bob}");
    assert!(bob.contains("FREEBUSY;FBTYPE=BUSY:20400105T090000Z/20400105T100000Z"), "{bob}");
    assert!(!bob.contains("Talk"), "{bob}");
    for other in parts {
        assert!(other.contains("3.7;Invalid calendar user") && !other.contains("calendar-data"), "{other}");
    }
    let refused = ask(&host, ANN, outbox, "Content-Type: text/calendar\r\n", &question(BOB)).await;
    assert!(refused.status == 403 && refused.body.contains("organizer-allowed"), "{}", refused.body);
    let transparent = "<propertyupdate xmlns=\"DAV:\"><set><prop><schedule-calendar-transp xmlns=\"urn:ietf:params:xml:ns:caldav\">\
        <transparent/></schedule-calendar-transp></prop></set></propertyupdate>";
    let patched = ask(&host, BOB, "PROPPATCH /dav/calendars/bob@example.test/Personal/", "", transparent).await;
    assert!(patched.body.contains("200 OK"), "{}", patched.body);
    let answer = ask(&host, ANN, outbox, "Content-Type: text/calendar\r\n", &question(ANN)).await;
    assert!(!answer.body.contains("FBTYPE"), "{}", answer.body);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_offered_where_it_is_switched_on() {
    for (settings, is_on) in [("", true), ("[dav.scheduling]\nenabled = false\n", false)] {
        let host = Host::start().settings(settings).user(ANN).user(BOB).await;
        let principal = set_up(&host, ANN).await;
        set_up(&host, BOB).await;
        assert_eq!(principal.contains("<D:href>/dav/scheduling/"), is_on, "{principal}");
        let options = ask(&host, ANN, "OPTIONS /dav/", "", "").await;
        assert_eq!(options.header("dav").unwrap().contains("calendar-auto-schedule"), is_on);
        let stored = put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await;
        assert_eq!((stored.status, stored.header("etag").is_none()), (201, is_on));
        let copies = listed(&host, BOB, "/dav/calendars/bob@example.test/Personal/").await;
        assert_eq!(copies.len(), usize::from(is_on));
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_go_into_the_calendar_that_was_chosen() {
    let (host, _peer) = with_peer().await;
    set_up(&host, ANN).await;
    set_up(&host, BOB).await;
    let inbox = "PROPPATCH /dav/scheduling/bob@example.test/inbox/";
    let choice = |path: &str| {
        format!(
            "<propertyupdate xmlns=\"DAV:\"><set><prop><schedule-default-calendar-URL xmlns=\"urn:ietf:params:xml:ns:caldav\">\
             <href xmlns=\"DAV:\">{path}</href></schedule-default-calendar-URL></prop></set></propertyupdate>"
        )
    };
    let wrong = ask(&host, BOB, inbox, "", &choice("/dav/calendars/bob@example.test/None/")).await;
    assert!(wrong.body.contains("403 Forbidden"), "{}", wrong.body);
    assert_eq!(ask(&host, BOB, "MKCALENDAR /dav/calendars/bob@example.test/At%20work/", "", "").await.status, 201);
    let right = ask(&host, BOB, inbox, "", &choice("/dav/calendars/bob@example.test/At%20work/")).await;
    assert!(right.body.contains("200 OK"), "{}", right.body);
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await.status, 201);
    assert_eq!(listed(&host, BOB, "/dav/calendars/bob@example.test/At%20work/").await.len(), 1);
    assert!(listed(&host, BOB, "/dav/calendars/bob@example.test/Personal/").await.is_empty());
    host.stop().await;
}

/// It was removed, and nobody heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_stays_while_nobody_can_be_told_of_its_end() {
    let (host, peer) = with_peer().await;
    set_up(&host, ANN).await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &["eve@elsewhere.test"])).await.status, 201);
    peer.wait_for(1).await;
    let database = host.parts().database.clone();
    database.execute("ALTER TABLE queue_recipients RENAME TO away", &[]).await.unwrap();
    let refused = ask(&host, ANN, &format!("DELETE {MEETING}"), "", "").await;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{}", refused.body);
    assert_eq!(get(&host, ANN, MEETING).await.status, 200);
    database.execute("ALTER TABLE away RENAME TO queue_recipients", &[]).await.unwrap();
    assert_eq!(ask(&host, ANN, &format!("DELETE {MEETING}"), "", "").await.status, 204);
    assert_eq!(get(&host, ANN, MEETING).await.status, 404);
    assert!(peer.wait_for(2).await[1].content.contains("METHOD:CANCEL"));
    host.stop().await;
}
