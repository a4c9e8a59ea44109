"""The webmail's JSON interface: who is let in, what is refused, and that answers are what the OpenAPI description says."""

import base64
import concurrent.futures
import email
import email.policy
import hashlib
import http.client
import http.cookiejar
import imaplib
import io
import json
import plistlib
import re
import struct
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zipfile

import jsonschema
from server import check, letter, main


class Browser:
    """One browser: its cookies, and requests as the page makes them."""

    def __init__(self, server):
        self.at = f"http://{server.facts['listeners']['webmail']}"
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def request(self, path, wish=None, method=None, octets=None, **headers):
        data = octets if octets is not None else json.dumps(wish).encode() if wish is not None else None
        fields = {"content-type": "application/json", "x-postrider": "1", **{k.replace("_", "-"): v for k, v in headers.items()}}
        asked = urllib.request.Request(f"{self.at}{path}", data, {k: v for k, v in fields.items() if v}, method=method)
        try:
            answer = self.opener.open(asked, timeout=60)
        except urllib.error.HTTPError as refused:
            answer = refused
        return answer.status, answer.headers, answer.read()

    def json(self, path, wish=None, method=None, wanted=200, **headers):
        status, _, body = self.request(f"/api/{path}", wish, method, **headers)
        assert status == wanted, (path, status, body[:500])
        if not body:
            return None
        answer = json.loads(body)
        described(path.split("?")[0], method or ("POST" if wish is not None else "GET"), status, answer)
        return answer

    def get(self, path, wanted=200, **parameters):
        return self.json(f"{path}?{urllib.parse.urlencode(parameters)}", wanted=wanted)

    def sign_in(self, user, wanted=200):
        address, password = user
        return self.json("session", {"address": address, "password": password}, wanted=wanted)


description = None


def described(path, method, status, answer):
    """Whether an answer is what the description says."""
    way = "/" + path if not path.startswith("sessions/") else "/sessions/{id}"
    responses = description["paths"][way][method.lower()]["responses"]
    response = responses.get(str(status), responses["default"])
    schema = next(iter(response["content"].values()))["schema"]
    jsonschema.validate(answer, {**schema, "components": description["components"]})


def it_describes_itself(server):
    global description
    browser = Browser(server)
    status, headers, body = browser.request("/api/openapi.json")
    assert status == 200 and headers["content-type"] == "application/json"
    description = json.loads(body)
    status, headers, page = browser.request("/")
    assert status == 200 and b"app.js" in page
    policy = headers["content-security-policy"]
    for wanted in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
        assert wanted in policy, policy
    status, again, _ = browser.request("/app.js", if_none_match=browser.request("/app.js")[1]["etag"])
    assert status == 304 and again["etag"], "what the browser has is not sent twice"
    assert browser.request("/nothing.js")[0] == 404


def only_who_has_signed_in(server):
    browser = server.ann = Browser(server)
    for path in description["paths"]:
        if path not in ("/openapi.json", "/sessions/{id}", "/uploads/{id}"):
            for method in description["paths"][path]:
                if (path, method) in (("/session", "post"), ("/session", "delete")):
                    continue
                wish = None if method == "get" else {}
                status, headers, body = browser.request(f"/api{path}?folder=INBOX&uid=1&part=1&name=x", wish, method.upper())
                assert status == 401, (path, method, status, body)
                assert headers["content-security-policy"].startswith("default-src 'none'")
    address, password = server.users[0]
    browser.sign_in((address, "wrong"), wanted=401)
    assert not list(browser.jar)
    wish = {"address": address, "password": password}
    browser.json("session", wish, wanted=403, x_postrider="")
    browser.json("session", wish, wanted=403, origin="http://elsewhere.example")
    browser.json("session", wish, wanted=403, sec_fetch_site="cross-site")
    # A client that a proxy on this machine speaks for, without TLS between the two.
    browser.json("session", wish, wanted=403, x_forwarded_for="192.0.2.7")
    assert browser.sign_in(server.users[0])["address"] == address
    cookie = next(iter(browser.jar))
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "Strict" and not cookie.secure
    status, headers, _ = Browser(server).request("/api/session", wish, x_forwarded_for="192.0.2.7", x_forwarded_proto="https")
    assert headers["set-cookie"].startswith("__Host-postrider_webmail=") and "Path=/;" in headers["set-cookie"], headers["set-cookie"]
    token = headers["set-cookie"].split(";")[0].split("=")[1]
    for name, proto, wanted in [("__Host-postrider_webmail", "https", 200), ("postrider_webmail", "https", 401), ("__Host-postrider_webmail", "http", 401)]:
        given = Browser(server).request("/api/session", cookie=f"{name}={token}", x_forwarded_for="127.0.0.1", x_forwarded_proto=proto)[0]
        assert given == wanted, (name, proto, given)
    assert status == 200 and "Secure" in headers["set-cookie"] and "max-age" in headers["strict-transport-security"], headers
    server.bob = Browser(server)
    server.bob.sign_in(server.users[1])
    assert browser.json("session")["address"] == address


def guessers_are_banned_together_with_imap(server):
    """Wrong passwords from one address count together; then not even the right one helps."""
    browser, away = Browser(server), {"x_forwarded_for": "198.51.100.9", "x_forwarded_proto": "https"}
    answers = [browser.request("/api/session", {"address": server.users[0][0], "password": f"wrong{n}"}, **away)[0] for n in range(12)]
    assert answers[:9] == [401] * 9 and answers[-1] == 429, answers
    wish = {"address": server.users[0][0], "password": server.users[0][1]}
    assert browser.request("/api/session", wish, **away)[0] == 429
    server.imap().logout()


def folders(server):
    ann = server.ann
    names = {folder["role"]: folder["name"] for folder in ann.json("folders")["folders"]}
    assert {"inbox", "drafts", "sent", "junk", "trash", "archive"} <= set(names), names
    ann.json("folders", {"name": "Lists/<b>x</b>"}, wanted=201)
    ann.json("folders", {"name": "Lists/<b>x</b>"}, wanted=409)
    ann.json("folders", {"name": "a//b"}, wanted=400)
    for name in ("  ", "Lists/ ", "\u3164/x", "\u200b"):
        assert ann.json("folders", {"name": name}, wanted=400)["type"] == "blank-folder-name", name
        assert ann.json("folders/rename", {"name": "Lists", "to": name}, wanted=400)["type"] == "blank-folder-name", name
    ann.json("folders/rename", {"name": "Lists", "to": "Listen"}, wanted=204)
    assert any(f["name"] == "Listen/<b>x</b>" and f["subscribed"] for f in ann.json("folders")["folders"])
    ann.json("folders/rename", {"name": names["junk"], "to": "x"}, wanted=403)
    ann.json("folders/delete", {"name": "INBOX"}, wanted=403)
    ann.json("folders/empty", {"name": "INBOX"}, wanted=403)
    ann.json("folders/subscribe", {"name": "Listen/<b>x</b>", "subscribed": False}, wanted=204)
    ann.json("folders/delete", {"name": "Listen/<b>x</b>"}, wanted=204)
    # What is refused has a word for it, which the page knows in every language.
    refused = ann.json("folders/delete", {"name": "Nowhere"}, wanted=404)
    assert (refused["type"], refused["values"]) == ("no-folder", {"name": "Nowhere"}) and "Nowhere" in refused["error"], refused


def write(to, subject="Hello", text="Some text\n", **more):
    return {"from": {"name": "Ann Lee", "address": "ann@example.test"}, "to": [{"name": "", "address": one} for one in to], "subject": subject, "text": text, **more}


def arrives(browser, subject, folder="INBOX"):
    deadline = time.time() + 30
    while time.time() < deadline:
        found = browser.get("messages", folder=folder, query=f'subject:"{subject}"')["lines"]
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{subject} did not arrive")


def a_letter_is_sent_once(server):
    ann, bob = server.ann, server.bob
    status, _, body = ann.request("/api/uploads?name=" + urllib.parse.quote("Übersicht.pdf"), method="POST", octets=b"%PDF\0\xff" * 1000, content_type="application/pdf")
    assert status == 201, body
    upload = json.loads(body)["upload"]
    wish = {"key": uuid.uuid4().hex, "letter": write(["bob@example.test"], "Grüße, once", "Grün\n" + "x" * 2000, bcc=[{"name": "", "address": "ann@example.test"}], attachments=[{"upload": upload}])}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ann.json("send", wish))) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert answers == [{"sent": True, "notes": []}] * 5, answers
    assert ann.json("send", wish)["sent"]
    got = arrives(bob, "Grüße, once")
    assert got["from"] == [{"name": "Ann Lee", "address": "ann@example.test"}] and got["attachments"] and got["preview"].startswith("Grün")
    assert bob.get("messages", folder="INBOX", query="once")["total"] == 1
    assert ann.get("messages", folder="Sent")["total"] == 1
    assert arrives(ann, "Grüße, once")["uid"]
    whole = bob.get("message", folder="INBOX", uid=got["uid"])
    assert whole["text"].startswith("Grün\n") and not whole["bcc"] and whole["attachments"][0]["name"] == "Übersicht.pdf", whole
    status, headers, octets = bob.request(f"/api/message/part?folder=INBOX&uid={got['uid']}&part={whole['attachments'][0]['part']}")
    assert octets == b"%PDF\0\xff" * 1000 and headers["content-disposition"].startswith("attachment;") and "sandbox" in headers["content-security-policy"], headers
    status, headers, octets = bob.request(f"/api/message/attachments?folder=INBOX&uid={got['uid']}")
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        assert archive.testzip() is None and {name: archive.read(name) for name in archive.namelist()} == {"Übersicht.pdf": b"%PDF\0\xff" * 1000}
    # A mail program sees the same.
    client = server.imap(1)
    check(client.select())
    source = check(client.uid("FETCH", str(got["uid"]), "(BODY.PEEK[])"))[0][1]
    client.logout()
    message = email.message_from_bytes(source, policy=email.policy.default)
    assert message["subject"] == "Grüße, once" and message["bcc"] is None and message["received"]
    assert [part.get_filename() for part in message.iter_attachments()] == ["Übersicht.pdf"]
    assert message.get_body().get_content().replace("\r\n", "\n") == wish["letter"]["text"] + "\n"
    assert [person["address"] for person in ann.json("people")["people"]] == ["ann@example.test", "bob@example.test"]


def what_must_not_be_sent_is_not(server):
    ann = server.ann
    send = lambda letter, wanted, key=None: ann.json("send", {"key": key or uuid.uuid4().hex, "letter": letter}, wanted=wanted)["error"]
    foreign = write(["bob@example.test"])
    foreign["from"] = {"name": "Bob", "address": "bob@example.test"}
    assert "not one of your addresses" in send(foreign, 403)
    assert "at least one recipient" in send(write([]), 400)
    assert "not a valid address" in send(write(["bob"]), 400)
    key = uuid.uuid4().hex
    assert "nobody@example.test" in send(write(["bob@example.test", "nobody@example.test"], "Refused"), 404, key)
    assert server.bob.get("messages", folder="INBOX", query="Refused")["total"] == 0, "nobody gets what is refused for one"
    assert ann.json("send", {"key": key, "letter": write(["bob@example.test"], "Mended")})["sent"], "a refusal is no answer for ever"
    assert "Another letter" in send(write(["bob@example.test"], "Another"), 409, key)
    ann.json("send", {"key": "short", "letter": write(["bob@example.test"])}, wanted=400)


def drafts_grow(server):
    ann = server.ann
    unfinished = write(["bo"], "Draft", "one", answers={"kind": "reply", "folder": "INBOX", "uid": 1})
    first = ann.json("drafts", {"letter": unfinished})
    _, _, body = ann.request("/api/uploads?name=a.txt", method="POST", octets=b"kept", content_type="text/plain")
    second = ann.json("drafts", {"letter": {**unfinished, "text": "two", "attachments": [{"upload": json.loads(body)["upload"]}]}, "replaces": first["uid"]})
    part = {"folder": second["folder"], "uid": second["uid"], "part": second["attachments"][0]["part"]}
    wish = {"letter": {**unfinished, "text": "three", "attachments": [part]}, "replaces": second["uid"], "key": uuid.uuid4().hex}
    third = ann.json("drafts", wish)
    # The answer was lost: what the wish names is gone, and it comes again.
    assert ann.json("drafts", wish) == third
    assert ann.get("messages", folder=third["folder"])["total"] == 1
    draft = ann.get("message", folder=third["folder"], uid=third["uid"])
    assert draft["text"].strip() == "three" and draft["to"][0]["address"] == "bo" and draft["answers"]["kind"] == "reply"
    assert draft["attachments"][0]["name"] == "a.txt" and set(draft["flags"]) == {"seen", "draft"}
    letter = write(["bob@example.test"], "From a draft", attachments=[{"folder": third["folder"], "uid": third["uid"], "part": draft["attachments"][0]["part"]}], answers={"kind": "reply", "folder": "INBOX", "uid": arrives(ann, "Grüße, once")["uid"]})
    ann.json("send", {"key": uuid.uuid4().hex, "letter": letter, "draft": third["uid"]})
    assert ann.get("messages", folder=third["folder"])["total"] == 0, "a draft that was sent is gone"
    assert "answered" in arrives(ann, "Grüße, once")["flags"]
    assert "X-Postrider-Answers" not in source(server.bob, arrives(server.bob, "From a draft")["uid"])


def source(browser, uid, folder="INBOX"):
    return browser.request(f"/api/message/source?folder={folder}&uid={uid}")[2].decode()


def marks_moves_and_search(server):
    bob = server.bob
    uids = [line["uid"] for line in bob.get("messages", folder="INBOX")["lines"]]
    bob.json("messages/mark", {"folder": "INBOX", "uids": uids, "add": ["seen", "flagged"]}, wanted=204)
    bob.json("messages/mark", {"folder": "INBOX", "uids": uids[:1], "remove": ["seen"]}, wanted=204)
    bob.json("messages/mark", {"folder": "INBOX", "uids": uids, "add": ["\\Deleted"]}, wanted=400)
    assert bob.get("messages", folder="INBOX", filter="unread")["total"] == 1
    for query, whole, found in [("is:flagged", "", len(uids)), ("-is:flagged", "", 0), ("from:ann mended", "", 1), ("SOME text", "", 0), ("SOME text", "true", 2), ("grü", "", 1), ("larger:5K", "", 1), ("subject:\"once upon\"", "", 0)]:
        parameters = {"folder": "INBOX", "query": query, **({"whole": whole} if whole else {})}
        assert bob.get("messages", **parameters)["total"] == found, query
    oldest = bob.get("messages", folder="INBOX", order="oldest")["lines"]
    assert [line["uid"] for line in oldest] == sorted(uids)
    largest = bob.get("messages", folder="INBOX", order="largest")["lines"]
    assert [line["size"] for line in largest] == sorted((line["size"] for line in largest), reverse=True)
    bob.json("messages?folder=INBOX&filter=nonsense", wanted=400)
    bob.json("messages/move", {"folder": "INBOX", "uids": uids[:1], "role": "archive", "copy": True})
    everything = bob.get("search")
    folders = [folder for folder in bob.get("folders")["folders"] if folder["messages"]]
    assert everything["total"] == sum(folder["messages"] for folder in folders) > len(uids)
    assert {line["folder"] for line in everything["lines"]} == {folder["name"] for folder in folders}
    arrived = [line["arrived"] for line in everything["lines"]]
    assert arrived == sorted(arrived, reverse=True)
    second = bob.get("search", start=1, count=1)
    assert second["lines"] == everything["lines"][1:2] and second["total"] == everything["total"], second
    assert [line["folder"] for line in bob.get("search", query="is:flagged", order="smallest", filter="read")["lines"]] == ["INBOX"] * (len(uids) - 1)
    assert sorted(line["folder"] for line in bob.get("search", query="is:flagged")["lines"]) == ["Archive"] + ["INBOX"] * len(uids)
    bob.json("messages/remove", {"folder": "Archive", "uids": [line["uid"] for line in bob.get("messages", folder="Archive")["lines"]]})
    bob.json("search?filter=nonsense", wanted=400)
    bob.json("messages?folder=Nowhere", wanted=404)
    put = bob.json("messages/move", {"folder": "INBOX", "uids": uids[:1], "role": "trash"})
    assert put["to"] == "Trash" and len(put["uids"]) == 1
    bob.json("messages/move", {"folder": "INBOX", "uids": uids[:1], "to": "Nowhere"}, wanted=404)
    bob.json("messages/move", {"folder": "INBOX", "uids": uids[:1]}, wanted=400)
    for count in ({}, {"messages": 0}):
        refused = bob.json("folders/empty", {"name": "Trash", **count}, wanted=409)
        assert (refused["type"], refused["values"]) == ("folder-full", {"count": "1"}), refused
    assert bob.json("folders/empty", {"name": "Trash", "messages": 1}) == {"removed": 1}
    assert bob.get("messages", folder="INBOX")["total"] == len(uids) - 1


def moves_teach_the_filter(server):
    bob = server.bob
    uid = bob.get("messages", folder="INBOX")["lines"][0]["uid"]
    moved = bob.json("messages/move", {"folder": "INBOX", "uids": [uid], "role": "junk"})
    assert moved["to"] == "Junk"
    server.learned = moved
    bob.json("messages/move", {"folder": "Junk", "uids": moved["uids"], "role": "inbox"})


HOSTILE = b"""From: "<img src=x onerror=alert(1)>\\" =?utf-8?q?=E2=80=AEmoc=2Eknab?=" <evil@example.net>\r
To: bob@example.test\r
Subject: =?utf-8?q?=3Cscript=3Ealert=281=29=3C=2Fscript=3E=0D=0ASet-Cookie=3A_a=3Db?=\r
Message-ID: <hostile@example.net>\r
X-Spam-Flag: NO\r
Authentication-Results: mail.example.test; dmarc=pass\r
MIME-Version: 1.0\r
Content-Type: multipart/related; boundary=b\r
\r
--b\r
Content-Type: text/html; charset=utf-8\r
\r
<html><head><meta http-equiv="refresh" content="0;url=https://evil.test/"><base href="https://evil.test/"></head>\r
<body onload="alert(1)"><p>Text<img src="cid:logo"><img src="https://evil.test/pixel.gif"><img src="cid:page">\r
<a href="javascript:alert(1)">click</a><form action="https://evil.test/"><input name=password></form><script>alert(1)</script>\r
<svg onload="alert(1)"></svg><p style="background:url(https://evil.test/)">styled</p></body></html>\r
--b\r
Content-Type: image/png\r
Content-ID: <logo>\r
Content-Disposition: inline; filename="../../\"><script>.png"\r
Content-Transfer-Encoding: base64\r
\r
iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==\r
--b\r
Content-Type: text/html\r
Content-ID: <page>\r
Content-Disposition: attachment; filename="page.html\x0d\x0aX-Evil: 1"\r
\r
<script>alert(1)</script>\r
--b\r
Content-Type: image/svg+xml\r
Content-Disposition: attachment\r
\r
<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>\r
--b--\r
"""


def hostile_mail_is_tame(server):
    client = server.imap(1)
    check(client.append("INBOX", None, None, HOSTILE))
    client.logout()
    line = next(line for line in server.bob.get("messages", folder="INBOX")["lines"] if line["from"][0]["address"] == "evil@example.net")
    assert line["subject"] == "<script>alert(1)</script>  Set-Cookie: a=b", line
    assert "\u202e" not in line["from"][0]["name"]
    place = {"folder": "INBOX", "uid": line["uid"]}
    message = server.bob.get("message", **place)
    assert message["html"] and message["remote_images"] == 1 and message["text"].startswith("Text"), message
    for images, policy in ((0, "img-src 'self' data:;"), (1, "https: http:")):
        status, headers, page = server.bob.request("/api/message/page?" + urllib.parse.urlencode({**place, "images": images}))
        assert status == 200 and policy in headers["content-security-policy"] and "sandbox allow-same-origin" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"] and "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "SAMEORIGIN" and headers["x-content-type-options"] == "nosniff"
        text = page.decode()
        body = text.split("<body>")[1]
        for never in ("<script", "onload", "javascript:", "<form", "<input", "refresh", "<base", "<svg", "url("):
            assert never not in body, (never, body)
        assert ("evil.test" in body) == bool(images), body
        assert "part?folder=INBOX" in body, "the picture of the message itself is shown"
    for file in message["attachments"]:
        status, headers, octets = server.bob.request("/api/message/part?" + urllib.parse.urlencode({**place, "part": file["part"], "inline": 1}))
        picture = file["type"] == "image/png"
        assert status == 200 and headers["content-disposition"].startswith("inline" if picture else "attachment"), headers
        assert headers["content-type"] == ("image/png" if picture else "application/octet-stream"), headers
        assert headers["x-evil"] is None and "<" not in file["name"] and "/" not in file["name"], (file, headers)
        assert headers["x-content-type-options"] == "nosniff" and headers["content-security-policy"] == "default-src 'none'; sandbox"
    status, headers, octets = server.bob.request("/api/message/source?" + urllib.parse.urlencode(place))
    assert octets == HOSTILE and headers["content-type"].startswith("text/plain")
    server.bob.json("message/part?" + urllib.parse.urlencode({**place, "part": 99}), wanted=404)
    server.bob.json("message?folder=INBOX&uid=99999", wanted=404)


def answers_are_kept_for_one_account(server):
    """In every mailbox there is a first message of the inbox, and a browser has one login for all its windows."""
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "bob@example.test", "ann@example.test", "A picture"
    message.set_content("Plain")
    message.add_alternative("<p>Formatted <img src='cid:a@x'></p>", subtype="html")
    message.get_payload()[1].add_related(b"GIF89a", "image", "gif", cid="<a@x>")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    server.ann.json("folders", {"name": "Kept"}, wanted=201)
    uid = put(server, message, folder="Kept")
    ann, bob = (user[0] for user in server.users[:2])
    got = server.ann.get("message", folder="Kept", uid=uid)
    parts, validity = {file["type"]: file["part"] for file in got["attachments"]}, got["uid_validity"]
    files = [f"part?part={parts['image/gif']}&inline=1", f"part?part={parts['application/pdf']}"]
    for path in ("page?images=0", *files, "attachments?", "source?", "source?file=1"):
        at = f"/api/message/{path}&folder=Kept&uid={uid}&uid_validity={validity}"
        _, kept, octets = server.ann.request(f"{at}&of={ann}")
        assert (kept["cache-control"], kept["vary"]) == ("private, max-age=300", "cookie"), (path, octets, kept)
        _, headers, _ = server.ann.request(at)
        assert headers["cache-control"] == "no-store", (path, headers)
        # A folder that is made anew under the name has another message of this number.
        _, headers, _ = server.ann.request(f"/api/message/{path}&folder=Kept&uid={uid}&of={ann}")
        assert headers["cache-control"] == "no-store", (path, headers)
        status, headers, _ = server.ann.request(f"{at[:-len(str(validity))]}{validity + 1}&of={ann}")
        assert status == 404 and headers["cache-control"] == "no-store", (path, status, headers)
        for browser, of in ((server.bob, ann), (server.ann, bob), (server.ann, "")):
            status, headers, octets = browser.request(f"{at}&of={of}")
            assert status == 401 and headers["cache-control"] == "no-store", (path, of, status, octets)
    _, _, octets = server.ann.request(f"/api/message/page?folder=Kept&uid={uid}")
    assert f"&amp;of={urllib.parse.quote(ann)}&amp;part=" in octets.decode() and f"&amp;uid_validity={validity}&amp;" in octets.decode(), octets
    assert server.ann.get("session", of=ann)["address"] == ann
    # The page of who was here before changes nothing for who is here now.
    server.bob.json(f"folders?of={ann}", {"name": "Of Ann"}, wanted=401)
    status, headers, _ = server.bob.request(f"/api/session?of={ann}", method="DELETE")
    assert status == 204 and not headers["set-cookie"] and server.bob.get("session")["address"] == bob, "nor is he signed out in her place"
    server.bob.json(f"drafts?of={ann}", {"letter": write([bob], "Of Ann")}, wanted=401)
    assert "Of Ann" not in [folder["name"] for folder in server.bob.json("folders")["folders"]]


def nobody_reads_the_mail_of_others(server):
    upload = json.loads(server.ann.request("/api/uploads?name=x", method="POST", octets=b"secret", content_type="text/plain")[2])["upload"]
    letter = write(["bob@example.test"], attachments=[{"upload": upload}])
    letter["from"] = {"name": "", "address": "bob@example.test"}
    server.bob.json("drafts", {"letter": letter}, wanted=404)
    for folder in ("../ann", "INBOX/../../ann", "\0", "/", "*"):
        status = server.bob.request("/api/messages?" + urllib.parse.urlencode({"folder": folder}))[0]
        assert status in (400, 404), folder


def changes_are_told(server):
    told = []
    asked = urllib.request.Request(f"{server.bob.at}/api/changes?folder=Sent")
    stream = server.bob.opener.open(asked, timeout=60)

    def listen():
        for line in stream:
            told.append(line.decode().strip())
            if "INBOX" in told[-1]:
                return

    thread = threading.Thread(target=listen)
    thread.start()
    client = server.smtp(user=0)
    client.send_message(letter(server.users[0][0], server.users[1][0], "Told"), server.users[0][0], [server.users[1][0]])
    client.quit()
    thread.join(30)
    assert not thread.is_alive() and told[0] == "event: begun" and told[-1] == 'data: {"folders":["INBOX"]}', told
    stream.close()


def messages_are_taken_over(server):
    ann = server.ann
    give = lambda octets, folder="INBOX": (answer := ann.request(f"/api/messages/import?{urllib.parse.urlencode({'folder': folder})}", octets=octets, method="POST"), json.loads(answer[2]))
    (status, _, _), first = give(letter("x@elsewhere.test", server.users[0][0], "Taken over").as_bytes())
    described("messages/import", "POST", status, first)
    assert status == 201 and ann.get("message", folder="INBOX", uid=first["uid"])["subject"] == "Taken over"
    # Whoever got no answer asks again, several times at once: it is stored once.
    again = letter("x@elsewhere.test", server.users[0][0], "Taken over once").as_bytes()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: give(again), range(4)))
    assert sorted(answer[0][0] for answer in answers) == [200, 200, 200, 201] and len({answer[1]["uid"] for answer in answers}) == 1, answers
    assert sorted(answer[1]["known"] for answer in answers) == [False, True, True, True]
    (status, _, _), other = give(again + b"One more line\n")
    assert status == 201 and other["uid"] != answers[0][1]["uid"], "what differs is another message"
    (status, _, _), there = give(again, "Archive")
    assert status == 201, "and so is one in another folder"
    ann.json("messages/remove", {"folder": "Archive", "uids": [there["uid"]]})
    ann.json("messages/remove", {"folder": "INBOX", "uids": [answers[0][1]["uid"], other["uid"]]})
    for octets, folder, wanted in [(b"\x89PNG", "INBOX", (400, "no-message-in-it")), (b"", "INBOX", (400, "no-message-in-it")), (b"Subject: x\n\n", "Nowhere", (404, "no-folder"))]:
        (status, _, _), told = give(octets, folder)
        assert (status, told["type"]) == wanted, (status, told)
    ann.json("messages/remove", {"folder": "INBOX", "uids": [first["uid"]]})


def signatures_have_pictures(server, wish):
    """Kept with the signature; shown by it, and sent within the text. Each account's own, and bounded."""
    ann, address = server.ann, "ann@example.test"
    def upload(octets, kind="image/png"):
        return json.loads(ann.request("/api/uploads?name=logo.png", method="POST", octets=octets, content_type=kind)[2])["upload"]
    def sign(html, pictures, wanted=204):
        return ann.json("preferences", {**wish, "identities": {address: {"name": "Ann", "signature": "", "html": html, "pictures": pictures}}}, wanted=wanted)
    logo = b"\x89PNG\r\n" + bytes(range(256)) * 40
    html = '<b>Ann</b> <img src="cid:logo@webmail" alt="Logo">'
    sign(html, [{"cid": "logo@webmail", "upload": upload(logo)}, {"cid": "unused@webmail", "upload": "nothing"}])
    kept = ann.json("account")["preferences"]["identities"][address]
    assert kept["pictures"] == [{"cid": "logo@webmail"}] and "cid:logo@webmail" in kept["html"], kept
    # It stays, although the file is uploaded no more.
    sign(kept["html"], kept["pictures"])
    status, _, page = ann.request("/api/signature?address=ann%40example.test")
    assert b"signature/picture?address=ann%40example.test&amp;cid=logo%40webmail" in page, page
    at = "/api/signature/picture?address=ann%40example.test&cid=logo%40webmail"
    status, headers, octets = ann.request(at)
    assert (status, headers["content-type"], octets) == (200, "image/png", logo) and headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert server.bob.request(at)[0] == 404
    letter = write(["bob@example.test"], subject="Signed with a picture", html='Hello<img src="cid:own@webmail">', inline=[{"cid": "own@webmail", "file": {"signature": address, "cid": "logo@webmail"}}])
    ann.json("send", {"key": uuid.uuid4().hex, "letter": letter})
    uid = next(line["uid"] for line in ann.get("messages", folder="Sent")["lines"] if line["subject"] == "Signed with a picture")
    parsed = email.message_from_bytes(ann.request(f"/api/message/source?folder=Sent&uid={uid}")[2], policy=email.policy.default)
    [picture] = [part for part in parsed.walk() if part.get_content_maintype() == "image"]
    assert picture["content-id"] == "<own@webmail>" and picture.get_payload(decode=True) == logo and picture.get_content_disposition() == "inline"
    for pictures, wanted, why in (
        ([{"cid": "logo2@webmail", "upload": "nothing"}], 404, "upload-gone"), ([{"cid": "logo2@webmail", "upload": upload(b"<html>", "text/html")}], 400, "picture-kind"),
        ([{"cid": "logo2@webmail", "upload": upload(bytes(300_000))}], 413, "signature-pictures-too-large"),
    ):
        refused = sign(html.replace("logo@", "logo2@"), pictures, wanted)
        assert refused["type"] == why, refused
    sign("<b>Ann</b>", kept["pictures"])
    assert "pictures" not in ann.json("account")["preferences"]["identities"][address] and ann.request(at)[0] == 404


def preferences_are_kept(server):
    ann = server.ann
    account = ann.json("account")
    assert account["identities"] == ["ann@example.test"] and account["preferences"]["trusted_images"] == []
    wish = {**account["preferences"], "identities": {"ann@example.test": {"name": "Ann Lee", "signature": "Yours\nAnn"}}, "theme": "dark", "responses": [{"name": "Thanks", "text": "Thank you.\n\nWe will answer soon."}]}
    ann.json("preferences", wish, wanted=204)
    assert ann.json("account")["preferences"] == wish
    evil = '<div onclick="x()">Ann <b>Lee</b><img src="https://remote.test/a.png"><script>x()</script> <a href="javascript:x()">trap</a></div>'
    signed = {**wish, "identities": {"ann@example.test": {"name": "Ann Lee", "signature": "", "html": evil}}}
    ann.json("preferences", signed, wanted=204)
    kept = ann.json("account")["preferences"]["identities"]["ann@example.test"]
    assert kept["signature"].startswith("Ann Lee") and "<b>Lee</b>" in kept["html"], kept
    status, headers, page = ann.request("/api/signature?address=ann%40example.test")
    for markup in (kept["html"], page.decode()):
        assert "<b>Lee</b>" in markup and not any(harm in markup for harm in ("onclick", "remote.test", "script", "javascript")), markup
    assert status == 200 and headers["content-security-policy"].startswith("default-src 'none'") and headers["x-frame-options"] == "SAMEORIGIN"
    assert b"Lee" not in server.bob.request("/api/signature?address=ann%40example.test")[2], "nobody reads another's"
    signatures_have_pictures(server, wish)
    answered = {**wish, "responses": [{"name": "Thanks", "text": "", "html": '<p onclick="x()">Thank <b>you</b></p><img src="cid:x@webmail">'}]}
    ann.json("preferences", answered, wanted=204)
    [kept] = ann.json("account")["preferences"]["responses"]
    page = ann.request("/api/response?name=Thanks")[2].decode()
    assert kept["text"] == "Thank you" and all("<b>you</b>" in markup and "onclick" not in markup and "cid:" not in markup for markup in (kept["html"], page)), (kept, page)
    ann.json("preferences", wish, wanted=204)
    ann.json("preferences", {**wish, "default_identity": "bob@example.test"}, wanted=403)
    ann.json("preferences", {**wish, "unknown": 1}, wanted=422)
    ann.json("preferences", {**wish, "theme": "x" * 270_000}, wanted=413)
    # Before any of its addresses is looked up.
    ann.json("preferences", {**wish, "theme": "x" * 270_000, "default_identity": "bob@example.test"}, wanted=413)
    refused = ann.json("preferences", {**wish, "responses": [{"name": " ", "text": "x"}]}, wanted=400)
    assert refused["type"] == "response-nameless", refused
    assert ann.json("account")["preferences"] == wish
    ann.json("people/forget", {"address": "ann@example.test"}, wanted=204)
    assert [person["address"] for person in ann.json("people")["people"]] == ["bob@example.test"]


def devices_are_set_up(server):
    facts = server.ann.json("devices")
    ports = {(one["kind"], one["protection"]): one["port"] for one in facts["servers"]}
    # Those of the node that answers.
    assert facts["login"] == "ann@example.test" and facts["servers"][0]["kind"] == "imap", facts
    assert len({ports["imap", "tls"], ports["imap", "starttls"], ports["smtp", "tls"]}) == 3, ports
    status, headers, octets = server.ann.request("/api/devices/apple.mobileconfig")
    profile = plistlib.loads(octets)
    mail = profile["PayloadContent"][0]
    assert status == 200 and headers["content-type"] == "application/x-apple-aspen-config", headers
    assert mail["EmailAddress"] == "ann@example.test" and mail["IncomingMailServerPortNumber"] == ports["imap", "tls"] and "IncomingPassword" not in mail, mail
    assert Browser(server).request("/api/devices/apple.mobileconfig")[0] == 401


def container():
    """A winmail.dat: a name in cp1251, a text in Unicode, and one file with its long name."""
    def attribute(level, number, data):
        return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) % 65536)

    def text(number, words):
        octets = words.encode("utf-16le") + b"\0\0"
        return struct.pack("<HHII", 0x1F, number, 1, len(octets)) + octets + b"\0" * (-len(octets) % 4)

    return struct.pack("<IH", 0x223E9F78, 1) + b"".join([
        attribute(1, 0x00069007, struct.pack("<I", 1251)),
        attribute(1, 0x00018004, "Отчёт\0".encode("cp1251")),
        attribute(1, 0x00069003, struct.pack("<I", 1) + text(0x1000, "Grüße aus Outlook")),
        attribute(2, 0x00069002, bytes(14)),
        attribute(2, 0x00018010, b"FIGURE~1.CSV\0"),
        attribute(2, 0x0006800F, b"one,two\n1,2\n"),
        attribute(2, 0x00069005, struct.pack("<I", 1) + text(0x3707, "Figures für 2026.csv")),
    ])


def what_outlook_packs_is_unpacked(server):
    ann = server.ann
    message = letter("bob@example.test", "ann@example.test", "From Outlook", "")
    message.add_attachment(container(), maintype="application", subtype="octet-stream", filename="WinMail.dat")
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes(policy=email.policy.SMTP)))
    client.logout()
    uid = ann.get("messages", folder="INBOX", query='subject:"From Outlook"')["lines"][0]["uid"]
    outer = ann.get("message", folder="INBOX", uid=uid)
    assert [(one["name"], one["type"]) for one in outer["attachments"]] == [("WinMail.dat", "application/ms-tnef")], outer["attachments"]
    part = outer["attachments"][0]["part"]
    inner = ann.get("message", folder="INBOX", uid=uid, within=str(part))
    assert inner["subject"] == "From Outlook" and inner["from"][0]["address"] == "bob@example.test" and inner["text"].strip() == "Grüße aus Outlook", inner
    assert [one["name"] for one in inner["attachments"]] == ["Figures für 2026.csv"], inner["attachments"]
    status, _, octets = ann.request(f"/api/message/part?folder=INBOX&uid={uid}&within={part}&part={inner['attachments'][0]['part']}")
    assert status == 200 and octets == b"one,two\n1,2\n", octets
    _, _, octets = ann.request(f"/api/message/attachments?folder=INBOX&uid={uid}&within={part}")
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        assert archive.testzip() is None and [archive.read(name) for name in archive.namelist()] == [b"one,two\n1,2\n"], archive.namelist()


def contacts_are_edited(server):
    ann = server.ann
    new = {"name": "Carl Fox", "addresses": ["carl@far.test", "fox@far.test"], "telephones": ["+49 30 1"], "organisation": "Fox & Sons", "note": "two\nlines"}
    made = ann.json("contact", {"contact": new})
    known = ann.get("contact", book=made["book"], object=made["object"])
    assert known["contact"] == new and known["etag"] == made["etag"], known
    line = [one for one in ann.json("contacts")["contacts"] if one["object"] == made["object"]]
    assert line == [{"book": made["book"], "object": made["object"], "name": "Carl Fox", "address": "carl@far.test", "organisation": "Fox & Sons"}], line
    assert {"name": "Carl Fox", "address": "fox@far.test"} in ann.json("people")["people"]
    changed = ann.json("contact", {"contact": {**new, "name": "Carl Fuchs", "addresses": ["fox@far.test"]}, "changes": made})
    # Who knows an older one changes nothing.
    ann.json("contact", {"contact": new, "changes": made}, wanted=409)
    ann.json("contacts/remove", made, wanted=409)
    assert ann.get("contact", book=made["book"], object=made["object"])["contact"]["name"] == "Carl Fuchs"
    for wrong in ({}, {"name": " "}, {"name": "x", "addresses": ["none"]}, {"name": "x\ny"}):
        ann.json("contact", {"contact": wrong}, wanted=400)
    ann.json("contact", {"contact": {"name": "x", "nickname": "y"}}, wanted=422)
    server.bob.json("contact", {"contact": new, "changes": changed}, wanted=404)
    ann.json("contacts/remove", changed, wanted=204)
    ann.get("contact", wanted=404, book=made["book"], object=made["object"])
    assert "fox@far.test" not in [person["address"] for person in ann.json("people")["people"]]


def put(server, message, user=0, at=None, folder="INBOX"):
    """The UID of a message that was appended, as if it had arrived then."""
    client = server.imap(user)
    octets = message if isinstance(message, bytes) else message.as_bytes().replace(b"\n", b"\r\n")
    answer = check(client.append(folder, None, at, octets))
    client.logout()
    return int(re.search(rb"APPENDUID \d+ (\d+)", answer[0])[1])


def lists_are_by_date(server):
    ann = server.ann
    ann.json("folders", {"name": "Dates"}, wanted=201)
    days = ["03", "01", "05", "02"]
    uids = {}
    for day in days:
        message = letter("bob@example.test", "ann@example.test", f"Day {day}")
        if day in ("01", "05"):
            message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename=f"{day}.pdf")
        uids[day] = put(server, message, at=f'"{day}-Feb-2026 10:00:00 +0000"', folder="Dates")
    subjects = lambda **more: [line["subject"] for line in ann.get("messages", folder="Dates", **more)["lines"]]
    newest = [f"Day {day}" for day in sorted(days, reverse=True)]
    assert subjects() == newest and subjects(conversations="true") == newest, subjects()
    assert subjects(order="oldest") == newest[::-1] == subjects(order="oldest", conversations="true")
    assert subjects(start=1, count=2) == newest[1:3]
    assert subjects(query="day") == newest
    # What comes back is where it was.
    gone = ann.json("messages/move", {"folder": "Dates", "uids": [uids["02"]], "role": "trash"})
    ann.json("messages/move", {"folder": gone["to"], "uids": gone["uids"], "to": "Dates"})
    assert subjects() == newest and subjects(conversations="true") == newest, subjects()
    for query, found in [("has:attachment", ["05", "01"]), ("-has:attachment", ["03", "02"]), ("has:attachment before:2026-02-03", ["01"])]:
        assert subjects(query=query) == [f"Day {day}" for day in found], query
    assert subjects(filter="attachments") == ["Day 05", "Day 01"] == subjects(filter="attachments", conversations="true")
    assert subjects(filter="attachments", query="-has:attachment") == ["Day 03", "Day 02"]
    refused = ann.json("folders/delete", {"name": "Dates", "messages": len(uids) - 1}, wanted=409)
    assert (refused["type"], refused["values"]) == ("folder-full", {"count": str(len(uids))}), refused
    ann.json("folders/delete", {"name": "Dates", "messages": len(uids)}, wanted=204)


def lists_can_be_left(server):
    message = letter("news@shop.test", "ann@example.test", "News")
    message["List-Unsubscribe"] = "<https://shop.test/u/1>, <mailto:off@shop.test?subject=off>"
    at = put(server, message)
    assert server.ann.get("message", folder="INBOX", uid=at)["unsubscribe"] == {"mail": "mailto:off@shop.test?subject=off", "page": "https://shop.test/u/1", "one_click": False}
    # Whether a page may be asked by the server, it finds out itself.
    assert server.ann.json("message/unsubscribe", {"folder": "INBOX", "uid": at}, wanted=409)["type"] == "not-one-click"
    assert server.ann.get("message", folder="INBOX", uid=put(server, letter("bob@example.test", "ann@example.test")))["unsubscribe"] is None


def groups_of_contacts_are_written_to(server):
    """Groups as other programs make them, in both versions."""
    ann = server.ann
    cards = [
        "VERSION:3.0\r\nUID:one\r\nFN:Gina Fay\r\nN:Fay;Gina;;;\r\nEMAIL:gina@group.test",
        "VERSION:3.0\r\nUID:two\r\nFN:Nobody Reachable\r\nN:Reachable;Nobody;;;",
        "VERSION:4.0\r\nKIND:group\r\nUID:urn:uuid:three\r\nFN:Friends\r\nMEMBER:urn:uuid:one\r\nMEMBER:urn:uuid:two\r\nMEMBER:mailto:far@group.test\r\nMEMBER:urn:uuid:gone",
        "VERSION:3.0\r\nUID:four\r\nFN:Team\r\nN:Team;;;;\r\nX-ADDRESSBOOKSERVER-KIND:group\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:one",
    ]
    octets = "".join(f"BEGIN:VCARD\r\n{card}\r\nEND:VCARD\r\n" for card in cards).encode()
    upload = json.loads(ann.request("/api/uploads?name=groups.vcf", method="POST", octets=octets, content_type="text/vcard")[2])["upload"]
    assert ann.json("contacts/import", {"upload": upload})["added"] == 4
    lines = {line["name"]: line for line in ann.json("contacts")["contacts"]}
    gina = {"name": "Gina Fay", "address": "gina@group.test"}
    assert lines["Friends"]["members"] == [gina, {"name": "", "address": "far@group.test"}], lines["Friends"]
    assert lines["Team"]["members"] == [gina] and lines["Team"]["address"] is None
    assert "members" not in lines["Gina Fay"] and "members" not in lines["Nobody Reachable"]


def contacts_come_by_mail(server):
    ann = server.ann
    message = letter("bob@example.test", "ann@example.test", "Two people")
    cards = "".join(f"BEGIN:VCARD\r\nVERSION:{version}\r\nFN:{name}\r\nEMAIL:{name.lower()}@far.test\r\nBDAY:19700101\r\nEND:VCARD\r\n" for version, name in [("3.0", "Hélène"), ("2.1", "Ivo")])
    cards = cards.replace("hélène@", "helene@")
    message.add_attachment(cards.encode(), maintype="text", subtype="vcard", filename="people.vcf", params={"charset": "utf-8"})
    wish = {"folder": "INBOX", "uid": put(server, message), "part": 2}
    assert ann.json("contacts/import", wish) == {"added": 2, "known": 0, "unfit": 0, "left": 0}
    assert ann.json("contacts/import", wish) == {"added": 0, "known": 2, "unfit": 0, "left": 0}
    lines = {one["name"]: one for one in ann.json("contacts")["contacts"]}
    assert lines["Hélène"]["address"] == "helene@far.test" and lines["Ivo"]["address"] == "ivo@far.test", lines
    assert {"name": "Ivo", "address": "ivo@far.test"} in ann.json("people")["people"]
    ann.json("contacts/import", {**wish, "part": 1}, wanted=400)
    ann.json("contacts/import", {**wish, "part": 0}, wanted=404)


def contacts_go_into_files_and_come_back(server):
    ann, bob = server.ann, server.bob
    names = lambda browser: sorted(one["name"] for one in browser.json("contacts")["contacts"])

    def file(browser, octets, wanted=200):
        upload = json.loads(browser.request("/api/uploads?name=x", method="POST", octets=octets, content_type="text/vcard")[2])["upload"]
        return browser.json("contacts/import", {"upload": upload}, wanted=wanted)

    card = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:1\r\nFN:Jürgen, Groß\r\nEMAIL:j@far.test\r\nX-OWN:kept\r\nEND:VCARD\r\n"
    assert file(bob, card.encode()) == {"added": 1, "known": 0, "unfit": 0, "left": 0}
    assert file(bob, (card + "BEGIN:VCARD\r\nVERSION:9\r\nEND:VCARD\r\n").encode()) == {"added": 0, "known": 1, "unfit": 1, "left": 0}
    status, headers, vcf = bob.request("/api/contacts/export?form=vcf")
    assert headers["content-length"] is None, "it is written as it is taken"
    assert status == 200 and headers["content-type"].startswith("text/vcard") and "attachment" in headers["content-disposition"], headers
    assert card in vcf.decode(), "as it is stored"
    status, headers, table = bob.request("/api/contacts/export?form=csv")
    assert status == 200 and '"Jürgen, Groß",j@far.test,' in table.decode(), table
    before = names(ann)
    first, second = file(ann, table), file(ann, table)
    assert first["added"] == len(names(bob)) and second["added"] == 0, (first, second, table)
    assert names(ann) == sorted(before + names(bob))
    outlook = "First Name;Last Name;E-mail Address\nZoë;Öst;zoe@far.test\nBad;One;none\n".encode("windows-1252")
    assert file(ann, outlook) == {"added": 1, "known": 0, "unfit": 1, "left": 0} and "Zoë Öst" in names(ann)
    assert file(ann, b"holiday", wanted=400)["type"] == "no-contacts-in-it"
    ann.json("contacts/import", {"upload": "nothing"}, wanted=404)
    ann.json("contacts/export?form=xls", wanted=400)
    assert Browser(server).request("/api/contacts/export?form=vcf")[0] == 401


def receipts_are_sent_once(server):
    ann, bob = server.ann, server.bob
    ann.json("send", {"key": uuid.uuid4().hex, "letter": write(["bob@example.test"], "Please confirm", receipt=True)})
    at = {"folder": "INBOX", "uid": arrives(bob, "Please confirm")["uid"]}
    assert bob.get("message", **at)["receipt"] == "ann@example.test"
    receipt = {"from": {"name": "Bob", "address": "bob@example.test"}, "subject": "Gelesen: Grüße", "text": "Grün\n"}
    bob.json("message/receipt", {**at, "receipt": {**receipt, "from": {"address": "ann@example.test"}}}, wanted=403)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(bob.request("/api/message/receipt", {**at, "receipt": receipt})[0])) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(answers) == [200] + [409] * 4, answers
    assert bob.get("message", **at)["receipt"] is None
    bob.json("message/receipt", {**at, "receipt": receipt}, wanted=409)
    client = server.imap(1)
    check(client.select())
    flags = check(client.uid("FETCH", str(at["uid"]), "(FLAGS)"))[0]
    assert b"$MDNSent" in flags, flags
    client.logout()
    got = arrives(ann, "Gelesen: Grüße")
    assert ann.get("messages", folder="INBOX", query="Gelesen")["total"] == 1
    client = server.imap(0)
    check(client.select())
    message = email.message_from_bytes(check(client.uid("FETCH", str(got["uid"]), "(BODY.PEEK[])"))[0][1], policy=email.policy.default)
    client.logout()
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "disposition-notification", message
    assert message["return-path"] == "<>" or "<>" in str(message["return-path"]), message["return-path"]
    words, report = message.iter_parts()
    assert words.get_content().strip() == "Grün" and report.get_content_type() == "message/disposition-notification"
    fields = re.sub(r"\r?\n[ \t]+", " ", report.as_bytes().decode())
    sent = ann.get("messages", folder="Sent", query="confirm")["lines"][0]
    message_id = ann.get("message", folder="Sent", uid=sent["uid"])["message_id"]
    for line in ("Final-Recipient: rfc822;bob@example.test", f"Original-Message-ID: {message_id}", "Disposition: manual-action/MDN-sent-manually; displayed"):
        assert line in fields, fields
    # One's own copy asks nobody; a draft goes on asking; who says no is not asked again.
    assert ann.get("message", folder="Sent", uid=sent["uid"])["receipt"] is None
    draft = ann.json("drafts", {"letter": write(["bob@example.test"], "Later", receipt=True)})
    shown = ann.get("message", folder=draft["folder"], uid=draft["uid"])
    assert shown["asks_receipt"] and shown["receipt"] is None
    ann.json("messages/remove", {"folder": draft["folder"], "uids": [draft["uid"]]})
    message = letter("ann@example.test", "bob@example.test", "No thanks")
    message["Disposition-Notification-To"] = "ann@example.test"
    at = {"folder": "INBOX", "uid": put(server, message, user=1)}
    bob.json("message/receipt", at, wanted=204)
    assert bob.get("message", **at)["receipt"] is None
    message = letter("ann@example.test", "bob@example.test", "To many")
    message["Disposition-Notification-To"] = "ann@example.test, eve@evil.test"
    assert bob.get("message", folder="INBOX", uid=put(server, message, user=1))["receipt"] is None


def receipts_go_although_the_browser_leaves(server):
    """What stands as decided has been sent, in whatever moment the browser was closed."""
    ann, bob = server.ann, server.bob
    fields = {"content-type": "application/json", "x-postrider": "1", "cookie": "; ".join(f"{one.name}={one.value}" for one in bob.jar)}
    for n in range(10):
        message = letter("ann@example.test", "bob@example.test", f"Please confirm {n}")
        message["Disposition-Notification-To"] = "ann@example.test"
        at = {"folder": "INBOX", "uid": put(server, message, user=1)}
        receipt = {"from": {"name": "Bob", "address": "bob@example.test"}, "subject": f"Displayed {n}", "text": "Yes\n"}
        leaving = http.client.HTTPConnection(*server.at("webmail"), timeout=60)
        leaving.request("POST", "/api/message/receipt", json.dumps({**at, "receipt": receipt}), fields)
        deadline = time.time() + 30
        while bob.get("message", **at)["receipt"] is not None:
            assert time.time() < deadline, n
        leaving.close()
        arrives(ann, f"Displayed {n}")


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
    own = event.replace("METHOD:REQUEST\r\n", "")
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
    stored = dav("GET")[2].decode()
    assert "ATTENDEE;PARTSTAT=ACCEPTED;CN=Ann:mailto:ann@example.test\r\n" in stored and "PARTSTAT=ACCEPTED;CN=Carl" in stored and "METHOD" not in stored, stored
    assert stored.replace("PARTSTAT=ACCEPTED;CN=Ann", "PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Ann") == own
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


FILING = {"name": "lists", "enabled": True, "matching": "any", "conditions": [{"kind": "text", "of": "list", "comparison": "contains", "values": ["example.org"]}, {"kind": "size", "bound": "over", "octets": 1 << 20}], "actions": [{"kind": "file", "folder": "Lists"}, {"kind": "stop"}]}
CLEVER = 'require "variables";\r\nset "a" "b";\r\n'


def rules_are_a_script(server):
    ann = server.ann
    assert ann.json("scripts") == {"scripts": [], "by_hand": False}
    none = ann.json("script")
    assert (none["name"], none["tag"], none["active"], none["rules"]) == ("rules", None, False, {"rules": [], "vacation": None})
    ann.get("script", wanted=404, name="nothing")
    ann.get("script", wanted=400, name="../secret")
    wrong = {"rules": {"rules": [{**FILING, "actions": []}]}}
    judged = ann.json("scripts/check", {"content": wrong})
    assert [one["rule"] for one in judged["wrongs"]] == [0] and judged["source"] == ""
    wish = {"name": "rules", "tag": None, "activate": True}
    ann.json("script", {**wish, "content": wrong}, wanted=400)
    stored = ann.json("script", {**wish, "content": {"rules": {"rules": [FILING]}}})
    assert stored["kept"] is None and stored["script"]["active"] and "fileinto" in stored["script"]["source"]
    shown = ann.json("script")
    assert shown == stored["script"] and shown["rules"]["rules"][0]["actions"][0] == {"kind": "file", "folder": "Lists", "copy": False, "create": True}
    # Who does not know the present text replaces nothing.
    ann.json("script", {**wish, "content": {"source": "keep;"}}, wanted=409)
    assert ann.json("script")["tag"] == shown["tag"]
    # Text: every mistake with its place, and nothing is stored.
    judged = ann.json("scripts/check", {"content": {"source": "keep;\nfileinto;\n"}})
    assert judged["mistakes"][0]["line"] == 2 and judged["rules"] is None, judged
    ann.json("script", {"name": "x", "tag": None, "content": {"source": "fileinto;"}}, wanted=400)
    clever = ann.json("script", {"name": "clever", "tag": None, "content": {"source": CLEVER}})["script"]
    assert clever["rules"] is None and clever["foreign"]["line"] == 1 and not clever["active"]
    # Rules take the place of what says more only when it is kept.
    instead = {"name": "clever", "tag": clever["tag"], "content": {"rules": {"rules": []}}}
    ann.json("script", instead, wanted=409)
    assert ann.json("script", {**instead, "keep": True})["kept"] == "clever (old)"
    assert ann.get("script", name="clever (old)")["source"] == CLEVER
    assert ann.request("/api/scripts/activate", {"name": "clever (old)"})[0] == 204
    assert ann.json("script")["name"] == "clever (old)"
    assert ann.request("/api/scripts/delete", {"name": "clever (old)"})[0] == 403
    assert ann.request("/api/scripts/rename", {"from": "clever (old)", "to": "rules"})[0] == 409
    assert ann.request("/api/scripts/rename", {"from": "clever (old)", "to": "new"})[0] == 204
    assert ann.request("/api/scripts/activate", {"name": None})[0] == 204
    assert [one for one in ann.json("scripts")["scripts"] if one["active"]] == []
    for name in ("new", "clever", "rules"):
        assert ann.request("/api/scripts/delete", {"name": name})[0] == 204
    ann.json("script", {"name": "large", "tag": None, "content": {"source": "#" * 1_100_000}}, wanted=400)
    assert server.bob.json("scripts")["scripts"] == []


def messages_are_grouped(server):
    ann, bob = server.ann, server.users[1][0]
    client = server.imap(0)
    check(client.create("Talks"))
    minutes = []

    def put(folder, subject, answers=None):
        message = letter(bob, server.users[0][0], subject)
        if answers:
            message["References"] = answers
        # Each a minute after the one before.
        minutes.append(len(minutes))
        arrived = imaplib.Time2Internaldate(time.time() - 86_400 + 60 * len(minutes))
        check(client.append(folder, None, arrived, message.as_bytes().replace(b"\n", b"\r\n")))
        return message["Message-ID"]
    first = put("Talks", "One")
    put("Talks", "Two")
    own = put("Sent", "Re: One", first)
    put("Talks", "Re: One", f"{first} {own}")
    put("Talks", "Re: two")
    put("Talks", "One")
    listed = ann.get("messages", folder="Talks", conversations="true")
    assert listed["total"] == 3 and listed["messages"] == 5
    lines = [(line["subject"], line["conversation"]["messages"], line["conversation"]["unseen"], line["conversation"]["uids"]) for line in listed["lines"]]
    assert lines == [("One", 1, 1, [5]), ("Re: two", 2, 2, [2, 4]), ("Re: One", 2, 2, [1, 3])], lines
    circle = ann.get("conversation", folder="Talks", uid=1)
    assert [(one["folder"], one["subject"]) for one in circle["messages"]] == [("Talks", "One"), ("Sent", "Re: One"), ("Talks", "Re: One")], circle
    assert circle["whole"] is True
    # In whatever folder the rest lies; not what is junk or was thrown away, unless it is opened there, and no copy twice.
    for folder in ("Talks 2026", "Talks 2026/Early", "Trash/Old"):
        check(client.create(f'"{folder}"'))
    early = put('"Talks 2026/Early"', "Re: One", first)
    put('"Talks 2026"', "By way of one elsewhere", early)
    put("Junk", "Re: One", first)
    put("Trash", "Re: One", first)
    put('"Trash/Old"', "Re: One", first)
    check(client.select("Talks"))
    check(client.copy("1", '"Talks 2026"'))
    shown = lambda folder, uid: [(one["folder"], one["subject"]) for one in ann.get("conversation", folder=folder, uid=uid)["messages"]]
    whole = [("Talks", "One"), ("Sent", "Re: One"), ("Talks", "Re: One"), ("Talks 2026/Early", "Re: One"), ("Talks 2026", "By way of one elsewhere")]
    assert shown("Talks", 1) == whole, shown("Talks", 1)
    # A list knows only its own folder: there these two are two.
    assert ann.get("messages", folder="Talks 2026", conversations="true")["total"] == 2
    assert sorted(shown("Talks 2026", 1)) == sorted(whole), shown("Talks 2026", 1)
    junk = ann.get("messages", folder="Junk")["lines"][0]["uid"]
    # Of two copies that of the smaller folder is found first.
    assert sorted(shown("Junk", junk)) == sorted(whole[1:] + [("Talks 2026", "One"), ("Junk", "Re: One")]), shown("Junk", junk)
    client.close()
    found = ann.get("messages", folder="Talks", conversations="true", query="subject:two")
    assert found["total"] == 1
    window = ann.get("messages", folder="Talks", conversations="true", order="oldest", start=1, count=1)
    assert [line["subject"] for line in window["lines"]] == ["Re: two"] and window["total"] == 3
    # A new message and one that goes change the list.
    put("Talks", "Re: Two", "<nothing@example.test>")
    check(client.select("Talks"))
    check(client.store("5", "+FLAGS.SILENT", "\\Deleted"))
    check(client.expunge())
    listed = ann.get("messages", folder="Talks", conversations="true", order="largest")
    assert listed["total"] == 3 and sorted(line["conversation"]["messages"] for line in listed["lines"]) == [1, 2, 2], listed
    client.logout()
    ann.get("conversation", wanted=404, folder="Talks", uid=5)


def too_much_is_refused(server):
    most = server.ann.json("account")["limits"]["attachment"]
    status, _, body = server.ann.request("/api/uploads?name=x", method="POST", octets=bytes(most + 1), content_type="text/plain")
    assert status == 413 and "error" in json.loads(body), (status, body)
    status, _, body = server.ann.request("/api/drafts", {"letter": write([], text="x" * 5_000_000)})
    assert status == 413 and "error" in json.loads(body), (status, body[:200])
    for octets in (b"{", b"[]", b"\xff", b"null", b"[" * 100_000):
        status, _, body = server.ann.request("/api/send", method="POST", octets=octets)
        assert status in (400, 422) and "error" in json.loads(body), (octets[:9], status)


def logins_end(server):
    ann, other = server.ann, Browser(server)
    other.sign_in(server.users[0])
    logins = ann.json("sessions")["sessions"]
    mine = [login for login in logins if login["current"]]
    assert len(mine) == 1 and len(logins) >= 2
    assert {login["id"] for login in other.json("sessions")["sessions"]} == {login["id"] for login in logins}
    assert server.bob.request(f"/api/sessions/{mine[0]['id']}", method="DELETE")[0] == 404, "not those of others"
    third = Browser(server)
    third.sign_in(server.users[0])
    newest = next(login for login in third.json("sessions")["sessions"] if login["current"])
    assert ann.request(f"/api/sessions/{newest['id']}", method="DELETE")[0] == 204
    third.json("folders", wanted=401)
    fourth = Browser(server)
    fourth.sign_in(server.users[0])
    assert ann.request("/api/sessions", method="DELETE")[0] == 204
    fourth.json("folders", wanted=401)
    other.json("folders", wanted=401)
    left = ann.json("sessions")["sessions"]
    assert len(left) == 1 and left[0]["current"], left
    server.bob.json("folders")
    other.sign_in(server.users[0])
    address, password = server.users[0]
    ann.json("password", {"old": "wrong", "new": "a quite long word"}, wanted=403)
    ann.json("password", {"old": password, "new": "short"}, wanted=400)
    ann.json("password", {"old": password, "new": "a quite long word"}, wanted=204)
    ann.json("folders")
    other.json("folders", wanted=401)
    Browser(server).sign_in((address, password), wanted=401)
    again = Browser(server)
    again.sign_in((address, "a quite long word"))
    assert again.request("/api/session", method="DELETE")[0] == 204
    again.json("folders", wanted=401)


main(
    it_describes_itself,
    only_who_has_signed_in,
    guessers_are_banned_together_with_imap,
    folders,
    a_letter_is_sent_once,
    what_must_not_be_sent_is_not,
    drafts_grow,
    marks_moves_and_search,
    moves_teach_the_filter,
    hostile_mail_is_tame,
    nobody_reads_the_mail_of_others,
    changes_are_told,
    messages_are_taken_over,
    preferences_are_kept,
    devices_are_set_up,
    what_outlook_packs_is_unpacked,
    contacts_are_edited,
    groups_of_contacts_are_written_to,
    lists_are_by_date,
    lists_can_be_left,
    contacts_come_by_mail,
    contacts_go_into_files_and_come_back,
    receipts_are_sent_once,
    receipts_go_although_the_browser_leaves,
    invitations_are_answered,
    answers_are_noted_in_ones_own_event,
    rules_are_a_script,
    messages_are_grouped,
    too_much_is_refused,
    logins_end,
)
