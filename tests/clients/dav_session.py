"""Calendars and contacts: the caldav library and vdirsyncer, and by hand what those two do not ask for."""

import base64
import datetime
import http.client
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
import uuid
import xml.etree.ElementTree as xml

import caldav
from server import main

SPACES = {"D": "DAV:", "C": "urn:ietf:params:xml:ns:caldav", "A": "urn:ietf:params:xml:ns:carddav", "S": "http://calendarserver.org/ns/", "I": "http://apple.com/ns/ical/"}
NAMES = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        self.root = xml.fromstring(self.body) if self.body.startswith(b"<?xml") else None

    def find(self, path):
        return self.root.find(path, SPACES)

    def hrefs(self, status=None):
        found = {}
        for one in self.root.findall("D:response", SPACES):
            line = one.find("D:status", SPACES)
            found[one.find("D:href", SPACES).text] = int(line.text.split()[1]) if line is not None else 200
        return {href for href, code in found.items() if code == status} if status else found


class Program:
    """A program of one user that speaks WebDAV by hand."""

    def __init__(self, server, user=0):
        self.place = server.facts["listeners"]["webmail"]
        self.address, self.password = server.users[user]
        self.calendars = f"/dav/calendars/{self.address}/"
        self.contacts = f"/dav/contacts/{self.address}/"

    def ask(self, method, path, body=None, wanted=None, anonymous=False, **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if not anonymous:
            fields["Authorization"] = "Basic " + base64.b64encode(f"{self.address}:{self.password}".encode()).decode()
        connection = http.client.HTTPConnection(self.place, timeout=60)
        connection.request(method, path, body.encode() if isinstance(body, str) else body, fields)
        answer = Answer(connection.getresponse())
        connection.close()
        wanted = [wanted] if isinstance(wanted, int) else wanted
        assert wanted is None or answer.status in wanted, (method, path, answer.status, answer.body[:600])
        return answer

    def find(self, path, *properties, depth="0"):
        inside = "".join(f"<{name}/>" for name in properties)
        return self.ask("PROPFIND", path, f"<D:propfind {NAMES}><D:prop>{inside}</D:prop></D:propfind>", 207, Depth=depth)

    def report(self, path, name, inside, wanted=207):
        return self.ask("REPORT", path, f"<{name} {NAMES}>{inside}</{name}>", wanted, Depth="1")


def event(uid, start="20260301T100000Z", more="", summary="Event"):
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:{start}\r\nDURATION:PT1H\r\nSUMMARY:{summary}\r\n{more}END:VEVENT\r\nEND:VCALENDAR\r\n"


def card(uid, name, address, more=""):
    return f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nEMAIL:{address}\r\n{more}END:VCARD\r\n"


def nobody_comes_in_without_a_password(server):
    ann = Program(server)
    for path in ("/.well-known/caldav", "/.well-known/carddav"):
        answer = ann.ask("PROPFIND", path, anonymous=True)
        assert answer.status == 301 and answer.headers["location"] == "/dav/"
    options = ann.ask("OPTIONS", "/dav/", anonymous=True, wanted=200)
    assert {"1", "3", "calendar-access", "addressbook"} <= {one.strip() for one in options.headers["dav"].split(",")}
    refused = ann.ask("PROPFIND", "/dav/", anonymous=True, wanted=401)
    assert refused.headers["www-authenticate"].startswith("Basic ")
    wrong = Program(server)
    wrong.password = "wrong"
    wrong.ask("PROPFIND", "/dav/", wanted=401)
    # A client elsewhere that reaches the proxy without TLS is not even asked.
    ann.ask("PROPFIND", "/dav/", wanted=403, X_Forwarded_For="192.0.2.9")
    ann.ask("PROPFIND", "/dav/", wanted=207, Depth="0", X_Forwarded_For="192.0.2.9", X_Forwarded_Proto="https")
    bob = Program(server, 1)
    ann.ask("PROPFIND", bob.calendars, wanted=404, Depth="0")
    ann.ask("PUT", bob.contacts + "Contacts/x.vcf", card("x", "X", "x@x.test"), 404)
    # The webmail is still where it was.
    assert b"app.js" in ann.ask("GET", "/", anonymous=True, wanted=200).body


def the_way_to_the_collections_is_found(server):
    ann = Program(server)
    root = ann.find("/dav/", "D:current-user-principal")
    principal = root.find(".//D:current-user-principal/D:href").text
    homes = ann.find(principal, "C:calendar-home-set", "A:addressbook-home-set", "C:calendar-user-address-set")
    assert homes.find(".//C:calendar-home-set/D:href").text == ann.calendars
    assert homes.find(".//A:addressbook-home-set/D:href").text == ann.contacts
    principals = ann.find("/dav/", "D:principal-collection-set").find(".//D:principal-collection-set/D:href").text
    assert set(ann.find(principals, "D:resourcetype", depth="1").hrefs()) == {principals, principal}
    listed = ann.find(ann.calendars, "D:resourcetype", "D:displayname", "D:nothing", depth="1")
    assert set(listed.hrefs()) == {ann.calendars, ann.calendars + "Personal/"}
    assert listed.find(".//D:resourcetype/C:calendar") is not None and "404" in listed.body.decode()
    book = ann.find(ann.contacts, "D:resourcetype", depth="1")
    assert book.find(".//D:resourcetype/A:addressbook") is not None
    ann.ask("PROPFIND", ann.calendars, wanted=403, Depth="infinity")
    assert "sync-token" in ann.ask("PROPFIND", ann.calendars + "Personal/", wanted=207, Depth="0").body.decode()


def objects_are_kept_octet_for_octet(server):
    ann = Program(server)
    home = ann.calendars + "Personal/"
    text = event("one", more="DESCRIPTION:ä & <b>\\, long " + "x" * 100 + "\r\nX-ODD;Y=\"a;b\":c\r\n")
    stored = ann.ask("PUT", home + "one.ics", text, 201, Content_Type="text/calendar; charset=utf-8")
    etag = stored.headers["etag"]
    got = ann.ask("GET", home + "one.ics", wanted=200)
    assert got.body == text.encode() and got.headers["etag"] == etag and "component=VEVENT" in got.headers["content-type"]
    assert ann.ask("HEAD", home + "one.ics", wanted=200).body == b""
    ann.ask("GET", home + "one.ics", wanted=304, If_None_Match=etag)
    ann.ask("GET", home + "one.ics", wanted=304, If_None_Match=f"W/{etag}")
    ann.ask("GET", home + "one.ics", wanted=412, If_None_Match=etag, If_Match='"other"')
    ann.ask("GET", home + "one.ics", wanted=304, If_None_Match=etag, If_Match=etag)
    stored = ann.ask("GET", home + "one.ics", wanted=200).headers["Last-Modified"]
    ann.ask("GET", home + "one.ics", wanted=304, If_Modified_Since=stored)
    for earlier in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "nonsense"):
        ann.ask("GET", home + "one.ics", wanted=200, If_Modified_Since=earlier)
        ann.ask("GET", home + "one.ics", wanted=412 if earlier != "nonsense" else 200, If_Unmodified_Since=earlier)
    ann.ask("GET", home + "one.ics", wanted=200, If_Modified_Since=stored, If_None_Match='"other"')
    ann.ask("PUT", home + "one.ics", text, 412, If_None_Match="*")
    ann.ask("PUT", home + "one.ics", text, 412, If_Match='"other"')
    ann.ask("PUT", home + "two.ics", event("two"), 412, If_Match="*")
    again = ann.ask("PUT", home + "one.ics", event("one", summary="New"), 204, If_Match=etag)
    assert again.headers["etag"] != etag
    ann.ask("DELETE", home + "one.ics", wanted=412, If_Match=etag)
    stored = ann.ask("GET", home + "one.ics", wanted=200).headers["last-modified"]
    long_ago = "Thu, 01 Jan 1970 00:00:00 GMT"
    for method, body in [("PUT", event("one", summary="New")), ("DELETE", None), ("GET", None)]:
        ann.ask(method, home + "one.ics", body, 412, If_Unmodified_Since=long_ago)
    ann.ask("PUT", home + "one.ics", event("one", summary="New"), 204, If_Unmodified_Since=stored)
    # A tag says more than a time, and what is no time says nothing.
    ann.ask("PUT", home + "one.ics", event("one", summary="New"), 204, If_Unmodified_Since=long_ago, If_Match=again.headers["etag"])
    ann.ask("PUT", home + "one.ics", event("one", summary="New"), 204, If_Unmodified_Since="yesterday")
    # RFC 4918 §10.4, as far as there is something without locks.
    now = again.headers["etag"]
    for condition, wanted in [
        (f"([{etag}])", 412), (f"([{now}])", 204), (f"(<urn:uuid:lock> [{now}])", 412), (f"(<urn:uuid:lock>) ([{now}])", 204), (f"(Not <DAV:no-lock> [{now}])", 204),
        ("(<DAV:no-lock>)", 412), (f"<{home}one.ics> ([{now}])", 204), (f"<http://{ann.place}{home}one.ics> ([{now}])", 204), (f"<{home}two.ics> ([{now}])", 412), ("nonsense", 400), (f"([{now}]", 400),
    ]:
        ann.ask("PUT", home + "one.ics", event("one", summary="New"), wanted, If=condition)
    ann.ask("PUT", home + "one.ics", event("one", summary="New"), 412, If=f"([{now}])", If_Match=etag)
    ann.ask("PUT", home + "two.ics", event("two"), 201, If=f"(Not [{now}])")
    ann.ask("DELETE", home + "two.ics", wanted=412, If=f"([{now}])")
    ann.ask("DELETE", home + "two.ics", wanted=204, If="(Not <urn:uuid:lock>)")
    # What is not known is another matter than what is not for this place.
    ann.ask("PURGE", home + "one.ics", wanted=501)
    for method, path, has, lacks in [("LOCK", home + "one.ics", "PUT", "LOCK"), ("PUT", home, "PROPFIND", "PUT"), ("MKCOL", home, "DELETE", "MKCOL"), ("MKCALENDAR", ann.calendars, "REPORT", "DELETE"), ("PUT", home[:-1] + "-none/", "MKCALENDAR", "PUT"), ("POST", home, "PROPFIND", "POST")]:
        allow = ann.ask(method, path, wanted=405).headers["allow"].split(", ")
        assert has in allow and lacks not in allow, (method, path, allow)
    conflict = ann.ask("PUT", home + "other.ics", event("one"), 409)
    assert conflict.find("C:no-uid-conflict/D:href").text == home + "one.ics"
    conflict = ann.ask("PUT", home + "one.ics", event("other"), 409)
    assert conflict.find("C:no-uid-conflict/D:href").text == home + "one.ics"
    for wrong, rule in [("hello", "C:valid-calendar-data"), (event("").replace("UID:\r\n", ""), "C:valid-calendar-object-resource"), (event("m").replace("VERSION", "METHOD:REQUEST\r\nVERSION"), "C:valid-calendar-object-resource")]:
        assert ann.ask("PUT", home + "wrong.ics", wrong, 403).find(rule) is not None, rule
    assert ann.ask("PUT", home + "wrong.ics", "x", 403, Content_Type="text/plain").find("C:supported-calendar-data") is not None
    large = ann.ask("PUT", home + "large.ics", event("large", summary="x" * 70000), 413)
    assert large.find("C:max-resource-size") is not None
    book = ann.contacts + "Contacts/"
    assert ann.ask("PUT", book + "x.vcf", "BEGIN:VCARD\r\nEND:VCARD\r\n", 403).find("A:valid-address-data") is not None
    old = "BEGIN:VCARD\r\nVERSION:2.1\r\nUID:old\r\nFN:x\r\nEND:VCARD\r\n"
    assert ann.ask("PUT", book + "x.vcf", old, 403).find("A:supported-address-data") is not None
    for wrong in [("SUMMARY", "BEGIN:VALARM\r\nSUMMARY"), ("SUMMARY", "RRULE:FREQ=DAILY;INTERVAL=0\r\nSUMMARY")]:
        assert ann.ask("PUT", home + "wrong.ics", event("odd").replace(*wrong), 403).find("C:valid-calendar-data") is not None, wrong
    ann.ask("PUT", ann.calendars + "missing/x.ics", event("x"), 409)
    for method in ("GET", "HEAD"):
        ann.ask(method, ann.calendars + "missing/", wanted=404)
        ann.ask(method, home, wanted=200)
    ann.ask("PUT", home + "a%2Fb.ics", event("x"), 403)
    ann.ask("DELETE", home + "one.ics", wanted=204, If_Match=again.headers["etag"])
    ann.ask("DELETE", home + "one.ics", wanted=404)


def collections_are_made_and_named(server):
    ann = Program(server)
    body = f'<C:mkcalendar {NAMES}><D:set><D:prop><D:displayname>Tasks &amp; more</D:displayname><I:calendar-color>#FF0000FF</I:calendar-color><C:supported-calendar-component-set><C:comp name="VTODO"/></C:supported-calendar-component-set></D:prop></D:set></C:mkcalendar>'
    ann.ask("MKCALENDAR", ann.calendars + "tasks/", body, 201)
    ann.ask("MKCALENDAR", ann.calendars + "tasks/", body, 405)
    shown = ann.find(ann.calendars + "tasks/", "D:displayname", "I:calendar-color", "C:supported-calendar-component-set")
    assert shown.find(".//D:displayname").text == "Tasks & more" and shown.find(".//I:calendar-color").text == "#FF0000FF"
    assert [one.get("name") for one in shown.root.iter("{urn:ietf:params:xml:ns:caldav}comp")] == ["VTODO"]
    assert ann.ask("PUT", ann.calendars + "tasks/e.ics", event("e"), 403).find("C:supported-calendar-component") is not None
    patch = lambda inside: ann.ask("PROPPATCH", ann.calendars + "tasks/", f"<D:propertyupdate {NAMES}>{inside}</D:propertyupdate>", 207)
    patched = patch('<D:set><D:prop><D:displayname>Other</D:displayname><x xmlns="urn:x" k="v">a<y/>b</x></D:prop></D:set><D:remove><D:prop><I:calendar-color/></D:prop></D:remove>')
    assert "200 OK" in patched.body.decode()
    dead = ann.ask("PROPFIND", ann.calendars + "tasks/", f'<D:propfind {NAMES}><D:prop><x xmlns="urn:x"/><I:calendar-color/><D:displayname/></D:prop></D:propfind>', 207, Depth="0")
    kept = dead.root.find(".//{urn:x}x")
    assert kept.text == "a" and kept[0].tail == "b" and dead.find(".//D:displayname").text == "Other" and "404" in dead.body.decode()
    refused = patch("<D:set><D:prop><D:displayname>No</D:displayname><D:getetag>x</D:getetag></D:prop></D:set>").body.decode()
    assert "403" in refused and "424" in refused
    assert ann.find(ann.calendars + "tasks/", "D:displayname").find(".//D:displayname").text == "Other"
    ann.ask("MKCOL", ann.contacts + "plain/", wanted=403)
    # RFC 4918 §9.3.1, as litmus asks for it: something is there, something above is not, a body of an unknown kind.
    ann.ask("MKCOL", ann.contacts + "Contacts/", wanted=405)
    ann.ask("MKCOL", ann.contacts, wanted=405)
    ann.ask("MKCOL", ann.contacts + "nowhere/within/", wanted=409)
    ann.ask("MKCALENDAR", ann.calendars + "nowhere/within/", wanted=409)
    misplaced = ann.ask("MKCOL", ann.contacts + "Contacts/within/", wanted=403)
    assert misplaced.find("A:addressbook-collection-location-ok") is not None, misplaced.body
    ann.ask("PUT", ann.contacts + "Contacts/there.vcf", card("there", "There", "there@example.test"), 201)
    ann.ask("MKCOL", ann.contacts + "Contacts/there.vcf", wanted=405)
    ann.ask("DELETE", ann.contacts + "Contacts/there.vcf", wanted=204)
    ann.ask("MKCOL", ann.contacts + "strange/", "afafafaf", 415, Content_Type="xzy-foo/bar-512")
    ann.ask("PROPFIND", ann.calendars, wanted=400, Depth="2")
    ann.ask("PROPFIND", ann.calendars, wanted=403, Depth="Infinity")
    ann.ask("MKCOL", ann.contacts + "work/", f"<D:mkcol {NAMES}><D:set><D:prop><D:resourcetype><D:collection/><A:addressbook/></D:resourcetype><D:displayname>Work</D:displayname></D:prop></D:set></D:mkcol>", 201)
    # What is dangerous in XML, or too much of it, is not read.
    for wrong, status in [("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", 400), ("<a>" * 50 + "</a>" * 50, 413), ("<D:propfind xmlns:D='DAV:'><D:prop>" + "<x/>" * 3000 + "</D:prop></D:propfind>", 413), ("<", 400)]:
        ann.ask("PROPFIND", ann.calendars, wrong, status, Depth="0")
    for name in ("tasks",):
        ann.ask("DELETE", ann.calendars + f"{name}/", wanted=204)
    ann.ask("DELETE", ann.calendars, wanted=403)


def objects_are_copied_and_moved(server):
    ann = Program(server)
    home, other = ann.calendars + "Personal/", ann.calendars + "second/"
    ann.ask("MKCALENDAR", other, wanted=201)
    ann.ask("PUT", home + "move.ics", event("move"), 201)
    at = f"http://{ann.place}"
    ann.ask("COPY", home + "move.ics", wanted=201, Destination=at + other + "copy.ics")
    ann.ask("COPY", home + "move.ics", wanted=412, Destination=other + "copy.ics", Overwrite="F")
    ann.ask("COPY", home + "move.ics", wanted=204, Destination=other + "copy.ics")
    ann.ask("COPY", home + "move.ics", wanted=409, Destination=home + "twin.ics")
    ann.ask("MOVE", home + "move.ics", wanted=201, Destination=at + home + "moved.ics")
    ann.ask("MOVE", home + "moved.ics", wanted=502, Destination="http://elsewhere.test/x")
    ann.ask("MOVE", home + "moved.ics", wanted=404, Destination="/dav/calendars/bob@example.test/Personal/x.ics")
    ann.ask("MOVE", home + "moved.ics", wanted=409, Destination=other + "moved.ics")
    ann.ask("DELETE", other + "copy.ics", wanted=204)
    ann.ask("MOVE", home + "moved.ics", wanted=201, Destination=other + "moved.ics")
    ann.ask("GET", home + "moved.ics", wanted=404)
    assert ann.ask("GET", other + "moved.ics", wanted=200).body == event("move").encode()
    ann.ask("DELETE", other, wanted=204)
    ann.ask("GET", other + "moved.ics", wanted=404)


def changes_that_do_not_fit_one_answer_come_in_several(server):
    ann = Program(server)
    home = ann.calendars + "large/"
    ann.ask("MKCALENDAR", home, wanted=201)
    texts = {}
    for n in range(9):
        texts[home + f"{n}.ics"] = event(f"large{n}", summary=f"{n}" * 50_000)
        ann.ask("PUT", home + f"{n}.ics", texts[home + f"{n}.ics"], 201)
    seen, token, answers = {}, "", 0
    while True:
        part = ann.report(home, "D:sync-collection", f"<D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level><D:prop><C:calendar-data/></D:prop>", 207)
        token, answers = part.find("D:sync-token").text, answers + 1
        for one in part.root.findall("D:response", SPACES):
            text = one.find(".//C:calendar-data", SPACES)
            if text is not None:
                seen[one.find("D:href", SPACES).text] = text.text
        if not part.hrefs(507):
            break
    flat = lambda texts: {href: text.replace("\r", "") for href, text in texts.items()}
    assert flat(seen) == flat(texts) and 2 <= answers < 9, (sorted(seen), answers)
    ann.ask("DELETE", home, wanted=204)


def an_answer_about_many_calendars_is_bounded(server):
    ann = Program(server)
    names = "".join(f"<n:name{n}/>" for n in range(1500))
    body = f'<D:propfind xmlns:D="DAV:" xmlns:n="urn:{"n" * 250}"><D:prop>{names}</D:prop></D:propfind>'
    ann.ask("PROPFIND", ann.calendars, body, 207, Depth="0")
    ann.ask("PROPFIND", ann.calendars, body, 507, Depth="1")


def changes_are_told(server):
    ann = Program(server)
    home = ann.calendars + "sync/"
    ann.ask("MKCALENDAR", home, wanted=201)
    for n in range(5):
        ann.ask("PUT", home + f"{n}.ics", event(f"sync{n}"), 201)
    ask = lambda token, more="", wanted=207: ann.report(home, "D:sync-collection", f"<D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{more}<D:prop><D:getetag/></D:prop>", wanted)
    first = ask("")
    assert first.hrefs() == {home + f"{n}.ics": 200 for n in range(5)}
    token = first.find("D:sync-token").text
    assert token == ann.find(home, "D:sync-token").find(".//D:sync-token").text
    assert ask(token).hrefs() == {}
    ann.ask("DELETE", home + "1.ics", wanted=204)
    ann.ask("PUT", home + "2.ics", event("sync2", summary="New"), 204)
    ann.ask("PUT", home + "9.ics", event("sync9"), 201)
    second = ask(token)
    assert second.hrefs() == {home + "1.ics": 404, home + "2.ics": 200, home + "9.ics": 200}
    # In pieces it is the same.
    seen, piece = {}, token
    for _ in range(10):
        part = ask(piece, "<D:limit><D:nresults>1</D:nresults></D:limit>")
        more = part.hrefs(507)
        assert more in (set(), {home})
        seen |= {href: status for href, status in part.hrefs().items() if status != 507}
        piece = part.find("D:sync-token").text
        if not more:
            break
    assert seen == second.hrefs() and piece == second.find("D:sync-token").text
    for wrong in ("urn:x", "urn:postrider:sync:1:999999999", token.rsplit(":", 1)[0] + ":999999"):
        assert ask(wrong, wanted=403).find("D:valid-sync-token") is not None
    # Names of removed objects are remembered up to `removed`; who knows less begins anew.
    for n in range(6):
        ann.ask("PUT", home + f"gone{n}.ics", event(f"gone{n}"), 201)
        ann.ask("DELETE", home + f"gone{n}.ics", wanted=204)
    assert ask(token, wanted=403).find("D:valid-sync-token") is not None
    assert ask(second.find("D:sync-token").text, wanted=403) is not None
    assert set(ask("").hrefs()) == {home + f"{n}.ics" for n in (0, 2, 3, 4, 9)}
    # Who begins anew in pieces comes to the end of them.
    listed, piece = set(), ""
    for _ in range(10):
        part = ask(piece, "<D:limit><D:nresults>1</D:nresults></D:limit>")
        listed |= {href for href, status in part.hrefs().items() if status == 200}
        piece = part.find("D:sync-token").text
        if not part.hrefs(507):
            break
    assert listed == set(ask("").hrefs()), listed
    assert piece == ask("").find("D:sync-token").text
    assert ann.find(home, "S:getctag").find(".//S:getctag").text != token
    ann.ask("DELETE", home, wanted=204)


def queries_are_answered(server):
    ann = Program(server)
    home = ann.calendars + "query/"
    ann.ask("MKCALENDAR", home, wanted=201)
    zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"
    # Tuesdays at nine in Berlin; one was called off, one was put off by a day.
    weekly = event("weekly", "X", "RRULE:FREQ=WEEKLY\r\nEXDATE;TZID=Europe/Berlin:20260317T090000\r\n", "Weekly").replace("DTSTART:X", "DTSTART;TZID=Europe/Berlin:20260303T090000").replace("BEGIN:VEVENT", zone + "BEGIN:VEVENT", 1)
    moved = "BEGIN:VEVENT\r\nUID:weekly\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260324T090000\r\nDTSTART;TZID=Europe/Berlin:20260325T140000\r\nDURATION:PT1H\r\nSUMMARY:Put off\r\nEND:VEVENT\r\n"
    ann.ask("PUT", home + "weekly.ics", weekly.replace("END:VCALENDAR", moved + "END:VCALENDAR"), 201)
    ann.ask("PUT", home + "once.ics", event("once", "20260310T120000Z", "LOCATION:Here\r\n", "Once"), 201)
    ann.ask("PUT", home + "free.ics", event("free", "20260310T130000Z", "TRANSP:TRANSPARENT\r\n"), 201)
    ann.ask("PUT", home + "todo.ics", event("todo").replace("VEVENT", "VTODO"), 201)

    def ask(start, end, inside="", data="<D:getetag/>", component="VEVENT"):
        span = f'<C:time-range start="{start}" end="{end}"/>' if start else ""
        answer = ann.report(home, "C:calendar-query", f'<D:prop>{data}</D:prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="{component}">{span}{inside}</C:comp-filter></C:comp-filter></C:filter>')
        return {href.rsplit("/", 1)[1] for href in answer.hrefs()}, answer

    for start, end, wanted in [
        ("20260303T080000Z", "20260303T090000Z", {"weekly.ics"}),
        ("20260303T090000Z", "20260303T100000Z", set()),
        ("20260310T000000Z", "20260311T000000Z", {"weekly.ics", "once.ics", "free.ics"}),
        ("20260317T000000Z", "20260318T000000Z", set()),
        ("20260324T000000Z", "20260325T000000Z", set()),
        ("20260325T130000Z", "20260325T133000Z", {"weekly.ics"}),
        # In summer it is an hour earlier.
        ("20260331T070000Z", "20260331T080000Z", {"weekly.ics"}),
        ("20310304T080000Z", "20310304T090000Z", {"weekly.ics"}),
        ("20200101T000000Z", "20260101T000000Z", set()),
    ]:
        assert ask(start, end)[0] == wanted, (start, end, ask(start, end)[0])
    assert ask("", "", component="VTODO")[0] == {"todo.ics"}
    found, _ = ask("", "", '<C:prop-filter name="SUMMARY"><C:text-match>onc</C:text-match></C:prop-filter>')
    assert found == {"once.ics"}
    found, _ = ask("", "", '<C:prop-filter name="LOCATION"><C:is-not-defined/></C:prop-filter>')
    assert found == {"weekly.ics", "free.ics"}
    _, answer = ask("20260320T000000Z", "20260402T000000Z", data='<C:calendar-data><C:expand start="20260320T000000Z" end="20260402T000000Z"/></C:calendar-data>')
    data = answer.find(".//C:calendar-data").text
    assert data.count("BEGIN:VEVENT") == 2 and "DTSTART:20260325T130000Z" in data and "DTSTART:20260331T070000Z" in data and "RRULE" not in data, data
    # A time that names no zone is in the calendar's own, and stays as it is written.
    own = f"<D:propertyupdate {NAMES}><D:set><D:prop><C:calendar-timezone>BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{zone}END:VCALENDAR\r\n</C:calendar-timezone></D:prop></D:set></D:propertyupdate>"
    wrong = ann.ask("PROPPATCH", home, own.replace("BEGIN:VTIMEZONE", "BEGIN:VEVENT"), 207)
    assert "403 Forbidden" in wrong.find(".//D:status").text, wrong.body
    assert "200 OK" in ann.ask("PROPPATCH", home, own, 207).find(".//D:status").text
    moved = event("moved", "20260309T090000Z", "RRULE:FREQ=DAILY;COUNT=9\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:moved\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID:20260315T090000Z\r\nDTSTART:20260315T110000Z\r\n")
    ann.ask("PUT", home + "moved.ics", moved, 201)
    for day, wanted in [("20260310", 1), ("20260315", 2)]:
        limit = f'<C:limit-recurrence-set start="{day}T080000Z" end="{day}T180000Z"/>'
        _, answer = ask(f"{day}T080000Z", f"{day}T180000Z", '<C:prop-filter name="UID"><C:text-match>moved</C:text-match></C:prop-filter>', data=f"<C:calendar-data>{limit}</C:calendar-data>")
        assert answer.find(".//C:calendar-data").text.count("BEGIN:VEVENT") == wanted, answer.body
    ann.ask("DELETE", home + "moved.ics", wanted=204)
    ann.ask("PUT", home + "late.ics", event("late", "20260310T233000"), 201)
    found, answer = ask("20260309T230000Z", "20260310T230000Z", data='<C:calendar-data><C:expand start="20260309T230000Z" end="20260310T230000Z"/></C:calendar-data>')
    assert "late.ics" in found and "DTSTART:20260310T233000" in answer.body.decode() and "233000Z" not in answer.body.decode(), answer.body
    ann.ask("DELETE", home + "late.ics", wanted=204)
    busy = ann.report(home, "C:free-busy-query", '<C:time-range start="20260309T000000Z" end="20260312T000000Z"/>', 200).body.decode()
    assert re.findall("FREEBUSY;[^\r]*", busy) == ["FREEBUSY;FBTYPE=BUSY:20260310T080000Z/20260310T090000Z", "FREEBUSY;FBTYPE=BUSY:20260310T120000Z/20260310T130000Z"], busy
    many = ann.report(home, "C:calendar-multiget", f"<D:prop><D:getetag/><C:calendar-data/></D:prop><D:href>{home}once.ics</D:href><D:href>{home}nothing.ics</D:href><D:href>/dav/calendars/bob@example.test/Personal/x.ics</D:href>")
    assert many.hrefs() == {home + "once.ics": 200, home + "nothing.ics": 404, "/dav/calendars/bob@example.test/Personal/x.ics": 404}
    assert many.find(".//C:calendar-data").text == event("once", "20260310T120000Z", "LOCATION:Here\r\n", "Once")
    ann.report(home, "C:calendar-query", '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="yesterday"/></C:comp-filter></C:comp-filter></C:filter>', 403)
    ann.ask("DELETE", home, wanted=204)

    book = ann.contacts + "work/"
    ann.ask("PUT", book + "a.vcf", card("a", "Äda Lovelace", "ada@example.test", "TEL;TYPE=CELL:+49 1\r\n"), 201)
    ann.ask("PUT", book + "b.vcf", card("b", "Bob Builder", "bob@example.test"), 201)

    def look(inside, more=""):
        answer = ann.report(book, "A:addressbook-query", f"<D:prop><D:getetag/><A:address-data/></D:prop><A:filter>{inside}</A:filter>{more}")
        return {href.rsplit("/", 1)[1] for href in answer.hrefs(200)}

    assert look('<A:prop-filter name="FN"><A:text-match collation="i;unicode-casemap">äDA</A:text-match></A:prop-filter>') == {"a.vcf"}
    assert look('<A:prop-filter name="EMAIL"><A:text-match match-type="ends-with">example.test</A:text-match></A:prop-filter>') == {"a.vcf", "b.vcf"}
    assert look('<A:prop-filter name="TEL"><A:param-filter name="TYPE"><A:text-match>cell</A:text-match></A:param-filter></A:prop-filter>') == {"a.vcf"}
    assert look('<A:prop-filter name="TEL"><A:is-not-defined/></A:prop-filter>') == {"b.vcf"}
    assert len(look("", "<A:limit><A:nresults>1</A:nresults></A:limit>")) == 1
    assert ann.ask("PUT", book + "c.vcf", card("a", "Twin", "x@example.test"), 409).find("A:no-uid-conflict") is not None
    ann.ask("DELETE", book, wanted=204)


def the_webmail_has_the_same_contacts(server):
    ann = Program(server)
    book = ann.contacts + "Contacts/"
    at = f"http://{ann.place}/api/"
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def webmail(path, wish=None):
        data = None if wish is None else json.dumps(wish).encode()
        request = urllib.request.Request(at + path, data, {"content-type": "application/json", "x-postrider": "1"})
        try:
            answer = opener.open(request, timeout=60)
        except urllib.error.HTTPError as refused:
            answer = refused
        return answer.status, json.loads(answer.read() or b"null")

    people = lambda: {person["address"]: person["name"] for person in webmail("people")[1]["people"]}
    webmail("session", {"address": ann.address, "password": ann.password})
    # A telephone's contact is offered by the webmail.
    ann.ask("PUT", book + "carl.vcf", card("carl", "Carl Friedrich", "Carl@Example.test"), 201)
    assert people() == {"carl@example.test": "Carl Friedrich"}
    # Who was written to in the webmail is on the telephone.
    letter = {"from": {"name": "", "address": ann.address}, "to": [{"name": "Bob, the Builder", "address": "bob@example.test"}], "cc": [], "bcc": [], "subject": "x", "text": "x", "attachments": []}
    status, sent = webmail("send", {"key": uuid.uuid4().hex, "letter": letter})
    assert status == 200, sent
    listed = ann.find(book, "D:getetag", depth="1").hrefs()
    collected = [href for href in listed if "collected-" in href]
    assert len(collected) == 1, listed
    text = ann.ask("GET", collected[0], wanted=200).body.decode()
    assert "FN:Bob\\, the Builder" in text and "bob@example.test" in text, text
    webmail("send", {"key": uuid.uuid4().hex, "letter": letter})
    assert len(ann.find(book, "D:getetag", depth="1").hrefs()) == 3, "nobody is collected twice"
    # Forgotten in the webmail, he is gone from the telephone; a contact of the user's own is not lost so easily.
    assert webmail("people/forget", {"address": "bob@example.test"})[0] == 204
    ann.ask("GET", collected[0], wanted=404)
    assert webmail("people/forget", {"address": "carl@example.test"})[0] == 409
    # Removed on the telephone, they are gone from the webmail.
    webmail("send", {"key": uuid.uuid4().hex, "letter": letter})
    assert set(people()) == {"bob@example.test", "carl@example.test"}
    ann.ask("DELETE", collected[0], wanted=204)
    ann.ask("DELETE", book + "carl.vcf", wanted=204)
    assert people() == {}
    # So they are when the whole book goes, unless another names them; what is made in its place does not know them either.
    webmail("send", {"key": uuid.uuid4().hex, "letter": letter})
    ann.ask("PUT", book + "carl.vcf", card("carl", "Carl Friedrich", "Carl@Example.test"), 201)
    ann.ask("MKCOL", ann.contacts + "Others/", "<D:mkcol xmlns:D='DAV:' xmlns:A='urn:ietf:params:xml:ns:carddav'><D:set><D:prop><D:resourcetype><D:collection/><A:addressbook/></D:resourcetype></D:prop></D:set></D:mkcol>", 201)
    ann.ask("PUT", ann.contacts + "Others/carl.vcf", card("carl", "Carl Friedrich", "Carl@Example.test"), 201)
    ann.ask("DELETE", book, wanted=204)
    assert set(people()) == {"carl@example.test"}
    ann.ask("DELETE", ann.contacts + "Others/", wanted=204)
    assert people() == {}
    assert set(ann.find(ann.contacts, "D:getetag", depth="1").hrefs()) >= {book}
    assert not [href for href in ann.find(book, "D:getetag", depth="1").hrefs() if href.endswith(".vcf")]


def the_caldav_library_works(server):
    address, password = server.users[1]
    client = caldav.DAVClient(f"http://{server.facts['listeners']['webmail']}/dav/", username=address, password=password)
    principal = client.principal()
    assert [calendar.name for calendar in principal.calendars()] == ["Personal"]
    calendar = principal.make_calendar(name="Library", cal_id="library")
    assert {one.name for one in principal.calendars()} == {"Personal", "Library"}
    calendar.save_event(event("lib1", "20260510T080000Z", "RRULE:FREQ=DAILY;COUNT=10\r\n", "Daily"))
    calendar.save_event(dtstart=datetime.datetime(2026, 5, 12, 15), dtend=datetime.datetime(2026, 5, 12, 16), summary="Made")
    todo = calendar.save_todo(summary="Do it")
    span = {"start": datetime.datetime(2026, 5, 12), "end": datetime.datetime(2026, 5, 13)}
    found = calendar.date_search(**span, expand=True)
    assert sorted(one.vobject_instance.vevent.summary.value for one in found) == ["Daily", "Made"], [one.data for one in found]
    assert len(calendar.search(**span, event=True)) == 2
    assert len(calendar.events()) == 2 and len(calendar.todos()) == 1
    todo.complete()
    assert calendar.todos() == [] and len(calendar.todos(include_completed=True)) == 1
    by_uid = calendar.event_by_uid("lib1")
    by_uid.vobject_instance.vevent.summary.value = "Renamed"
    by_uid.save()
    assert "Renamed" in calendar.event_by_uid("lib1").data
    objects = calendar.objects(load_objects=False)
    before = len(list(objects))
    by_uid.delete()
    updated, deleted = objects.sync()
    assert (len(list(updated)), len(list(deleted)), len(list(objects))) == (0, 1, before - 1)
    busy = calendar.freebusy_request(datetime.datetime(2026, 5, 12), datetime.datetime(2026, 5, 13))
    assert "VFREEBUSY" in busy.data
    calendar.set_properties([caldav.elements.dav.DisplayName("Renamed")])
    assert calendar.get_properties([caldav.elements.dav.DisplayName()])["{DAV:}displayname"] == "Renamed"
    calendar.delete()
    assert [calendar.name for calendar in principal.calendars()] == ["Personal"]


def the_caldav_library_invites(server):
    people = []
    for user in (0, 1):
        address, password = server.users[user]
        client = caldav.DAVClient(f"http://{Program(server).place}/dav/", username=address, password=password)
        assert client.check_scheduling_support()
        people.append(client.principal())
    ann, bob = people
    calendar, start = ann.calendars()[0], datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=9)
    text = event("invited", start.strftime("%Y%m%dT%H%M%SZ"))
    assert list(bob.schedule_inbox().get_items()) == []
    calendar.save_with_invites(text, [ann, bob])
    [message] = bob.schedule_inbox().get_items()
    message.load()
    assert "METHOD:REQUEST" in message.data, message.data
    [copy] = [one for one in bob.calendars()[0].events() if "UID:invited" in one.data]
    assert f"mailto:{server.users[1][0]}" in copy.data.replace("\r\n ", "").replace("\n ", ""), copy.data
    copy.change_attendee_status(attendee=bob, partstat="ACCEPTED")
    copy.save()
    [answer] = ann.schedule_inbox().get_items()
    answer.load()
    assert "METHOD:REPLY" in answer.data, answer.data
    [own] = [one for one in calendar.events() if "UID:invited" in one.data]
    assert own.data.replace("\r\n ", "").replace("\n ", "").count("PARTSTAT=ACCEPTED") == 1, own.data
    for one in (message, copy, answer, own):
        one.delete()


def vdirsyncer_keeps_two_sides_alike(server):
    address, password = server.users[1]
    base = f"http://{server.facts['listeners']['webmail']}"
    with tempfile.TemporaryDirectory() as home:
        config = f"""
[general]
status_path = "{home}/status"
"""
        for kind, suffix, collection in (("caldav", ".ics", "Personal"), ("carddav", ".vcf", "Contacts")):
            config += f"""
[pair {kind}]
a = "{kind}_here"
b = "{kind}_there"
collections = ["{collection}"]
conflict_resolution = "a wins"
metadata = ["displayname"]
[storage {kind}_here]
type = "filesystem"
path = "{home}/{kind}/"
fileext = "{suffix}"
[storage {kind}_there]
type = "{kind}"
url = "{base}/"
username = "{address}"
password = "{password}"
"""
        with open(f"{home}/config", "w") as file:
            file.write(config)
        bob = Program(server, 1)

        def run(*arguments):
            done = subprocess.run(["vdirsyncer", "-v", "INFO", "-c", f"{home}/config", *arguments], input="y\n" * 9, text=True, capture_output=True, timeout=120, env={**os.environ, "HOME": home, "LC_ALL": "C.UTF-8"})
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        def sync():
            return [line for line in run("sync").splitlines() if "Copying" in line or "Deleting" in line]

        # It asks /.well-known first and finds the rest by itself.
        run("discover")
        here, there = f"{home}/caldav/Personal", bob.calendars + "Personal/"
        cards, book = f"{home}/carddav/Contacts", bob.contacts + "Contacts/"
        for directory in (here, cards):
            os.makedirs(directory, exist_ok=True)
        for n in range(20):
            with open(f"{here}/here{n}.ics", "w", newline="") as file:
                file.write(event(f"here{n}"))
            bob.ask("PUT", there + f"there{n}.ics", event(f"there{n}"), 201)
            with open(f"{cards}/here{n}.vcf", "w", newline="") as file:
                file.write(card(f"here{n}", f"Person {n}", f"p{n}@example.test"))
        bob.ask("PUT", book + "there.vcf", card("there", "There", "there@example.test"), 201)
        assert len(sync()) == 61
        assert sync() == [], "what is alike is not copied again"
        assert len(os.listdir(here)) == 40 and len(os.listdir(cards)) == 21
        assert len(bob.find(there, "D:getetag", depth="1").hrefs()) == 41
        # Changes of both sides, a removal on each, and one event changed on both.
        with open(f"{here}/here1.ics", "w", newline="") as file:
            file.write(event("here1", summary="Changed here"))
        bob.ask("PUT", there + "there1.ics", event("there1", summary="Changed there"), 204)
        os.remove(f"{here}/here2.ics")
        bob.ask("DELETE", there + "there2.ics", wanted=204)
        with open(f"{here}/here3.ics", "w", newline="") as file:
            file.write(event("here3", summary="Wins"))
        at = next(href for href in bob.find(there, "D:getetag", depth="1").hrefs() if "here3" in href)
        bob.ask("PUT", at, event("here3", summary="Loses"), 204)
        sync()
        assert sync() == []
        bodies = [bob.ask("GET", href, wanted=200).body.decode() for href in bob.find(there, "D:getetag", depth="1").hrefs() if href.endswith(".ics")]
        assert len(bodies) == 38 and sum("Changed here" in body for body in bodies) == 1
        assert sum("Wins" in body for body in bodies) == 1 and not any("Loses" in body for body in bodies)
        files = [open(f"{here}/{name}").read() for name in os.listdir(here)]
        assert len(files) == 38 and sum("Changed there" in text for text in files) == 1
        run("metasync")


if __name__ == "__main__":
    main(
        nobody_comes_in_without_a_password,
        the_way_to_the_collections_is_found,
        objects_are_kept_octet_for_octet,
        collections_are_made_and_named,
        objects_are_copied_and_moved,
        an_answer_about_many_calendars_is_bounded,
        changes_are_told,
        changes_that_do_not_fit_one_answer_come_in_several,
        queries_are_answered,
        the_webmail_has_the_same_contacts,
        the_caldav_library_works,
        the_caldav_library_invites,
        vdirsyncer_keeps_two_sides_alike,
    )
