//! Messages about events that arrive by mail, and are entered without a click.

use postrider::config::Protocol;
use postrider::foundations::event::{Event, EventKind};
use postrider::storage::journal::Query;

use super::scheduling::{ANN, BOB, MEETING, event, get, listed, put, set_up};
use crate::harness::{Host, Peer, Smtp, until};

const EVE: &str = "eve@elsewhere.test";

/// Only messages from this address are mail of `elsewhere.test`.
const ZONE: &str = "elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25\n\
    elsewhere.test TXT v=spf1 ip4:198.51.100.7 -all\n_dmarc.elsewhere.test TXT v=DMARC1; p=none";

async fn host(more: &str) -> (Host, Peer) {
    // Clients connect from an Internet address, through a load balancer.
    let settings = format!(
        "[spam.rules]\nbuiltin = false\n[spam.classifier]\nenabled = false\n{more}\n\
         [[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1/32\"]\n\
         [[listener]]\nprotocol = \"webmail\"\nbind = [\"127.0.0.1:0\"]\n\
         [[listener]]\nprotocol = \"imaps\"\nbind = [\"127.0.0.1:0\"]\n"
    );
    let host = Host::start().settings(&settings).user(ANN).dns(ZONE).await;
    let peer = Peer::start().await;
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    set_up(&host, ANN).await;
    (host, peer)
}

/// A message about an event.
fn letter(author: &str, calendar: &str) -> String {
    let method = calendar.split("METHOD:").nth(1).and_then(|rest| rest.split('\r').next()).unwrap();
    format!(
        "From: {author}\r\nTo: {ANN}\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{}@x>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n\
         --b\r\nContent-Type: text/calendar; method={method}; charset=utf-8\r\n\r\n{calendar}--b--\r\n",
        calendar.len()
    )
}

/// Sends it from an address of the Internet.
async fn send(host: &Host, address: &str, author: &str, calendar: &str) {
    let message = letter(author, calendar);
    let mut talk = host.plain(Protocol::Smtp).await;
    talk.send(format!("PROXY TCP4 {address} 192.0.2.1 40000 25\r\n")).await;
    let reply = Smtp::hello(talk, "EHLO peer.example").await.deliver(author, &[ANN], &message).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
}

fn reply(status: &str, at: &str, guest: &str) -> String {
    event("m", ANN, &[])
        .replace("BEGIN:VEVENT", "METHOD:REPLY\r\nBEGIN:VEVENT")
        .replace("DTSTAMP:20260101T000000Z", &format!("DTSTAMP:{at}"))
        .replace(
            "ATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@example.test",
            &format!("ATTENDEE;PARTSTAT={status}:mailto:{guest}"),
        )
}

/// The stored event, unfolded.
async fn stored(host: &Host) -> String {
    get(host, ANN, MEETING).await.body.replace("\r\n ", "")
}

/// The stored event, once it says something: a message may be entered after the answer to whoever has sent it.
async fn stored_with(host: &Host, said: &str) -> String {
    until(said, async || stored(host).await.contains(said)).await;
    stored(host).await
}

async fn told(host: &Host) -> Vec<Event> {
    host.parts().journal.flush().await;
    let events = host.events(&Query { kinds: vec![EventKind::CalendarMessage], ..Query::default() }).await;
    events.into_iter().filter(|event| event.subject.as_deref() == Some(ANN)).collect()
}

const HONEST: &str = "198.51.100.7";
const OTHER: &str = "198.51.100.8";

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_by_mail_is_entered_if_the_guest_has_written_it() {
    let (host, _peer) = host("").await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[EVE])).await.status, 201);
    let before = stored(&host).await;
    let accepted = reply("ACCEPTED", "20261123T100000Z", EVE);
    // From where Eve's mail never comes; by somebody else; and by another guest.
    send(&host, OTHER, EVE, &accepted).await;
    send(&host, HONEST, "zoe@elsewhere.test", &accepted).await;
    send(&host, HONEST, "zoe@elsewhere.test", &reply("ACCEPTED", "20261123T100000Z", "zoe@elsewhere.test")).await;
    // A proposal is no answer.
    send(&host, HONEST, EVE, &accepted.replace("METHOD:REPLY", "METHOD:COUNTER")).await;
    assert_eq!(stored(&host).await, before);

    send(&host, HONEST, EVE, &accepted).await;
    let after = stored_with(&host, "ATTENDEE;PARTSTAT=ACCEPTED;").await;
    assert!(after.contains("SUMMARY:Talk"), "{after}");
    const INBOX: &str = "/dav/scheduling/ann@example.test/inbox/";
    until("the message is in the inbox", async || listed(&host, ANN, INBOX).await.len() == 1).await;
    // One that was overtaken on its way.
    send(&host, HONEST, EVE, &reply("DECLINED", "20261122T100000Z", EVE)).await;
    let reasons = |told: &[Event]| told.iter().filter(|event| event.details.contains_key("reason")).count();
    until("the others are left to a click", async || reasons(&told(&host).await) >= 3).await;
    assert_eq!(stored(&host).await, after);
    let told = told(&host).await;
    let entered = told.iter().filter(|event| event.details.get("status").is_some_and(|status| status == "1.2"));
    assert_eq!(entered.count(), 1, "{told:?}");
    // All of it is in the mailbox as well.
    assert!(host.imap(ANN).await.ok("SELECT INBOX").await.number("EXISTS").is_some_and(|count| count >= 5));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_told_of() {
    let (host, _peer) = host("[dav]\nobject = \"2k\"").await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[EVE])).await.status, 201);
    let long = format!("SUMMARY:Talk\r\nDESCRIPTION:{}", format!("{}\r\n ", "x".repeat(60)).repeat(40));
    send(&host, HONEST, EVE, &reply("ACCEPTED", "20261123T100000Z", EVE).replace("SUMMARY:Talk", &long)).await;
    until("it is told of", async || {
        let reason = |event: &Event| event.details.get("reason").map(ToString::to_string).unwrap_or_default();
        told(&host).await.iter().any(|event| reason(event).contains("dav.object"))
    })
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_throws_away_is_not_entered() {
    let (host, _peer) = host("").await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[EVE])).await.status, 201);
    for (action, is_entered) in [
        ("require \"fileinto\"; fileinto \"Trash\";", false),
        ("require \"fileinto\"; fileinto \"Junk\";", false),
        ("discard;", false),
        ("keep;", true),
    ] {
        crate::sieve::activate(&host, ANN, action);
        send(&host, HONEST, EVE, &reply("TENTATIVE", "20261123T100000Z", EVE)).await;
        if is_entered {
            stored_with(&host, "PARTSTAT=TENTATIVE").await;
        }
        assert_eq!(stored(&host).await.contains("PARTSTAT=TENTATIVE"), is_entered, "{action}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_address_with_a_tag_is_entered() {
    let (host, _peer) = host("").await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", "ann+team@example.test", &[EVE])).await.status, 201);
    let answer = reply("TENTATIVE", "20261123T100000Z", EVE).replace("mailto:ann@", "mailto:ann+team@");
    send(&host, HONEST, EVE, &answer).await;
    stored_with(&host, "ATTENDEE;PARTSTAT=TENTATIVE;").await;
    host.stop().await;
}

/// Guests filled what an account may keep, so that its owner could store nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn messages_leave_room_for_events() {
    let (host, _peer) = host("[dav]\nspace = \"1M\"\n").await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[EVE])).await.status, 201);
    let answer = async |day: u32, words: usize| {
        let (at, words) = (format!("202611{day}T100000Z"), "X-A:some words\r\n".repeat(words));
        let answer = reply("TENTATIVE", &at, EVE).replace("DTSTAMP", &format!("{words}DTSTAMP"));
        send(&host, HONEST, EVE, &answer).await;
        stored_with(&host, &at).await;
    };
    for day in 10..14 {
        answer(day, 6_000).await;
    }
    let entered = async || {
        let told = told(&host).await;
        told.iter().filter(|event| event.details.get("status").is_some_and(|status| status == "1.2")).count()
    };
    until("all are entered", async || entered().await == 4).await;
    let inbox = async || listed(&host, ANN, "/dav/scheduling/ann@example.test/inbox/").await;
    let kept = inbox().await;
    assert_eq!(kept.len(), 1);
    // One that is larger than that is entered, but neither kept nor in the place of others.
    answer(14, 12_000).await;
    until("all are entered", async || entered().await == 5).await;
    assert_eq!(inbox().await, kept);
    host.stop().await;
}

/// Such as for a mailbox that could not be written at first. It was left to a click.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_has_sent_is_entered_also_after_it_has_waited_in_the_queue() {
    let host = Host::start().user(ANN).user(BOB).await;
    set_up(&host, ANN).await;
    assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[BOB])).await.status, 201);
    let mut bob = host.submission(BOB).await;
    bob.ok(&format!("MAIL FROM:<{BOB}>")).await;
    // What its sender wants to hear of goes through the queue.
    bob.ok(&format!("RCPT TO:<{ANN}> NOTIFY=SUCCESS")).await;
    bob.ok("DATA").await;
    bob.content(&letter(BOB, &reply("TENTATIVE", "20261123T100000Z", BOB))).await;
    assert_eq!(bob.reply().await.code, 250);
    stored_with(&host, "ATTENDEE;PARTSTAT=TENTATIVE;").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_the_organiser_come_into_the_event_of_a_guest() {
    let (host, _peer) = host("").await;
    let invitation = event("m", EVE, &[ANN]);
    assert_eq!(put(&host, ANN, MEETING, "Schedule-Reply: F\r\n", &invitation).await.status, 201);
    let before = stored(&host).await;
    let request = |sequence: u32| {
        let later = format!("METHOD:REQUEST\r\nBEGIN:VEVENT\r\nSEQUENCE:{sequence}");
        invitation.replace("BEGIN:VEVENT", &later).replace("SUMMARY:Talk", "SUMMARY:Speech")
    };
    send(&host, OTHER, EVE, &request(1)).await;
    send(&host, HONEST, "zoe@elsewhere.test", &request(1)).await;
    send(&host, HONEST, EVE, &request(0)).await;
    // A new invitation is no change.
    send(&host, HONEST, EVE, &request(1).replace("UID:m", "UID:new")).await;
    assert_eq!(stored(&host).await, before);
    send(&host, HONEST, EVE, &request(1)).await;
    let after = stored_with(&host, "SUMMARY:Speech").await;
    assert!(!after.contains("METHOD"), "{after}");
    send(&host, HONEST, EVE, &request(2).replace("METHOD:REQUEST", "METHOD:CANCEL")).await;
    stored_with(&host, "STATUS:CANCELLED").await;
    assert_eq!(listed(&host, ANN, "/dav/calendars/ann@example.test/Personal/").await.len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_comes_by_mail_is_entered_where_that_is_switched_off() {
    for (more, is_answer, is_change) in [
        ("[dav.scheduling]\nby_mail = \"nothing\"", false, false),
        ("[dav.scheduling]\nby_mail = \"answers\"", true, false),
        ("[dav.scheduling]\nenabled = false", false, false),
    ] {
        let (host, _peer) = host(more).await;
        assert_eq!(put(&host, ANN, MEETING, "", &event("m", ANN, &[EVE])).await.status, 201);
        send(&host, HONEST, EVE, &reply("TENTATIVE", "20261123T100000Z", EVE)).await;
        if is_answer {
            stored_with(&host, "PARTSTAT=TENTATIVE").await;
        }
        assert_eq!(stored(&host).await.contains("PARTSTAT=TENTATIVE"), is_answer, "{more}");
        let invitation = event("other", EVE, &[ANN]);
        let path = MEETING.replace("meeting", "other");
        assert_eq!(put(&host, ANN, &path, "", &invitation).await.status, 201);
        send(&host, HONEST, EVE, &invitation.replace("BEGIN:VEVENT", "METHOD:CANCEL\r\nBEGIN:VEVENT\r\nSEQUENCE:1"))
            .await;
        assert_eq!(get(&host, ANN, &path).await.body.contains("CANCELLED"), is_change, "{more}");
        host.stop().await;
    }
}
