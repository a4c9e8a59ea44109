"""The webmail's JSON interface: invitations and what is answered to them."""

import base64
import email
import email.policy
import hashlib
import uuid

from webmail_api_client import Browser, arrives, put
from server import check, letter


def invitation(method="REQUEST", sequence=0, organiser="bob@example.test", uid="dinner@client.example", more="", start="20300104T190000"):
    lines = [
        "BEGIN:VCALENDAR", "PRODID:-//client//EN", "VERSION:2.0", f"METHOD:{method}", "BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z",
        f"DTSTART;TZID=Europe/Berlin:{start}", "DURATION:PT2H", "SUMMARY:Dinner\\, late", "LOCATION:Löwen", f"SEQUENCE:{sequence}", f"ORGANIZER;CN=Bob:mailto:{organiser}",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Ann:mailto:ann@example.test", "ATTENDEE;PARTSTAT=ACCEPTED;CN=Carl:mailto:carl@far.test", *more.split(), "END:VEVENT", "END:VCALENDAR", "",
    ]
    message = letter("bob@example.test", "ann@example.test", "Invitation: Dinner", "Come and eat.\r\n")
    message.add_alternative("\r\n".join(lines).encode(), maintype="text", subtype="calendar", params={"method": method, "charset": "utf-8"})
    return message


def invitations_are_answered(server):
    ann, bob = server.ann, server.bob
    part = lambda uid: next(file["part"] for file in ann.get("message", folder="INBOX", uid=uid)["attachments"] if file["type"] == "text/calendar")
    place = lambda uid: {"folder": "INBOX", "uid": uid, "part": part(uid)}
    shown = lambda uid: ann.get("invitation", **place(uid))

    def act(uid, act, wanted=200, **more):
        if act in ("accept", "tentative", "decline"):
            more = {"answer": {"key": uuid.uuid4().hex, "from": {"name": "Ann Lee", "address": "ann@example.test"}, "subject": f"Answer {act}", "text": "Grün\n", **more}}
        return ann.json("invitation", {**place(uid), "act": act, **more}, wanted=wanted)

    def calendar(uid="dinner@client.example"):
        """What a program for calendars gets."""
        address, password = server.users[0]
        basic = "Basic " + base64.b64encode(f"{address}:{password}".encode()).decode()
        status, _, body = Browser(server).request(f"/dav/calendars/{address}/Personal/{hashlib.sha256(uid.encode()).hexdigest()[:32]}.ics", authorization=basic, content_type="", x_postrider="")
        assert status in (200, 404), (status, body)
        return body.decode() if status == 200 else None

    first = put(server, invitation())
    read = shown(first)
    assert (read["method"], read["summary"], read["location"], read["me"]) == ("request", "Dinner, late", "Löwen", "ann@example.test"), read
    assert read["start"] == {"at": 1_893_780_000_000} and read["end"] == {"at": 1_893_787_200_000}, read
    assert read["organiser"]["name"] == "Bob" and [one["status"] for one in read["attendees"]] == ["needs-action", "accepted"]
    assert read["calendar"] == {"kept": False, "status": None, "newer": False, "outdated": False, "foreign": False, "reply": None}
    assert calendar() is None
    assert act(first, "accept") == {"notes": []}
    stored = calendar()
    assert "METHOD" not in stored and "ATTENDEE;PARTSTAT=ACCEPTED;CN=Ann:mailto:ann@example.test\r\n" in stored and "LOCATION:Löwen" in stored, stored
    assert shown(first)["calendar"] == {"kept": True, "status": "accepted", "newer": False, "outdated": False, "foreign": False, "reply": None}
    assert "answered" in ann.get("message", folder="INBOX", uid=first)["flags"]
    # The organiser's program reads the answer (RFC 6047 §2.4).
    got = arrives(bob, "Answer accept")
    client = server.imap(1)
    check(client.select())
    answer = email.message_from_bytes(check(client.uid("FETCH", str(got["uid"]), "(BODY.PEEK[])"))[0][1], policy=email.policy.default)
    client.logout()
    assert answer.get_content_type() == "multipart/alternative" and answer["in-reply-to"]
    words, reply = answer.iter_parts()
    assert words.get_content().strip() == "Grün" and reply.get_content_type() == "text/calendar" and reply.get_param("method") == "REPLY"
    lines = reply.get_content().replace("\r\n ", "").splitlines()
    assert "METHOD:REPLY" in lines and "UID:dinner@client.example" in lines and "ORGANIZER;CN=Bob:mailto:bob@example.test" in lines, lines
    assert [line for line in lines if line.startswith("ATTENDEE")] == ["ATTENDEE;PARTSTAT=ACCEPTED;CN=Ann:mailto:ann@example.test"], lines
    assert arrives(ann, "Answer accept", "Sent")
    # A change of the organiser's, which somebody else cannot make, and after which the old message counts no more.
    moved = put(server, invitation(sequence=1, start="20300105T190000"))
    act(moved, "tentative")
    assert "20300105T190000" in calendar() and shown(moved)["calendar"]["status"] == "tentative"
    assert shown(first)["calendar"]["newer"]
    act(first, "accept", wanted=409)
    other = put(server, invitation("CANCEL", sequence=9, organiser="eve@evil.test"))
    assert shown(other)["calendar"]["foreign"]
    act(other, "remove", wanted=409)
    # What is answered in the name of somebody else is neither sent nor kept.
    before = calendar()
    ann.json("invitation", {**place(moved), "act": "accept", "answer": {"key": uuid.uuid4().hex, "from": {"address": "bob@example.test"}}}, wanted=403)
    act(moved, "accept", wanted=400, key="short")
    ann.json("invitation", {**place(moved), "act": "accept"}, wanted=400)
    assert calendar() == before
    cancelled = put(server, invitation("CANCEL", sequence=2))
    assert shown(cancelled)["method"] == "cancel"
    act(cancelled, "remove")
    assert calendar() is None
    act(cancelled, "remove")
    act(moved, "keep")
    assert "NEEDS-ACTION" in calendar()
    act(moved, "decline")
    assert calendar() is None and arrives(bob, "Answer decline")
    # A single time of what recurs.
    every = put(server, invitation(uid="weekly@client.example", more="RRULE:FREQ=WEEKLY;COUNT=5"))
    assert shown(every)["repeats"] == "weekly"
    act(every, "accept")
    once = put(server, invitation("CANCEL", sequence=1, uid="weekly@client.example", more="RECURRENCE-ID;TZID=Europe/Berlin:20300111T190000", start="20300111T190000"))
    assert shown(once)["exception"]
    act(once, "remove")
    weekly = calendar("weekly@client.example")
    assert "EXDATE;TZID=Europe/Berlin:20300111T190000" in weekly and "RRULE" in weekly, weekly
    ann.json(f"invitation?folder=INBOX&uid={every}&part=0", wanted=404)
    ann.json(f"invitation?folder=INBOX&uid={every}&part=1", wanted=400)
    ann.json("invitation?folder=INBOX&uid=9999&part=2", wanted=404)


def answers_are_noted_in_ones_own_event(server):
    """The organiser's event has what the guests have answered (RFC 5546 §3.2.3)."""
    ann, bob = server.ann, server.bob
    address, password = server.users[1]
    basic = "Basic " + base64.b64encode(f"{address}:{password}".encode()).decode()
    at = f"/dav/calendars/{address}/Personal/own.ics"
    dav = lambda method, octets=None: Browser(server).request(at, method=method, octets=octets, authorization=basic, content_type="text/calendar", x_postrider="")
    invited = invitation(uid="own@client.example")
    event = next(part for part in invited.walk() if part.get_content_type() == "text/calendar").get_payload(decode=True).decode()
    # Bob's program sends its invitations itself.
    own = event.replace("METHOD:REQUEST\r\n", "").replace("ATTENDEE;", "ATTENDEE;SCHEDULE-AGENT=CLIENT;")
    assert dav("PUT", own.encode())[0] == 201
    uid = put(server, invited)
    part = next(file["part"] for file in ann.get("message", folder="INBOX", uid=uid)["attachments"] if file["type"] == "text/calendar")
    answer = {"key": uuid.uuid4().hex, "from": {"name": "Ann Lee", "address": "ann@example.test"}, "subject": "Own answer", "text": "Yes\n"}
    ann.json("invitation", {"folder": "INBOX", "uid": uid, "part": part, "act": "accept", "answer": answer})
    got = arrives(bob, "Own answer")["uid"]

    def place(uid):
        message = bob.get("message", folder="INBOX", uid=uid)
        return {"folder": "INBOX", "uid": uid, "part": next(file["part"] for file in message["attachments"] if file["type"] == "text/calendar")}

    assert bob.get("invitation", **place(got))["calendar"]["reply"] == "no"
    assert bob.json("invitation", {**place(got), "act": "note"}) == {"notes": []}
    stored = dav("GET")[2].decode().replace("\r\n ", "")
    assert "ATTENDEE;PARTSTAT=ACCEPTED;SCHEDULE-AGENT=CLIENT;CN=Ann:mailto:ann@example.test\r\n" in stored and "PARTSTAT=ACCEPTED;CN=Carl" in stored and "METHOD" not in stored, stored
    unanswered = "SCHEDULE-AGENT=CLIENT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Ann"
    assert stored.replace("PARTSTAT=ACCEPTED;SCHEDULE-AGENT=CLIENT;CN=Ann", unanswered) == own
    assert bob.get("invitation", **place(got))["calendar"]["reply"] == "yes"
    # Nobody answers for others, and an answer to an older version does not count.
    whole = bob.request(f"/api/message/source?folder=INBOX&uid={got}")[2]
    forged = put(server, whole.replace(b"ann@example.test", b"carl@far.test").replace(b"From: \"Ann Lee\" <carl@far.test>", b"From: eve@evil.test"), user=1)
    assert bob.get("invitation", **place(forged))["calendar"]["reply"] == "never"
    bob.json("invitation", {**place(forged), "act": "note"}, wanted=409)
    assert dav("PUT", own.replace("SEQUENCE:0", "SEQUENCE:1").encode())[0] == 204
    bob.json("invitation", {**place(got), "act": "note"}, wanted=409)
    assert "PARTSTAT=NEEDS-ACTION" in dav("GET")[2].decode()
    assert dav("DELETE")[0] == 204
