"""The webmail's JSON interface: letters, drafts and receipts."""

import email
import email.policy
import http.client
import io
import json
import re
import threading
import time
import urllib.parse
import uuid
import zipfile

from webmail_api_client import arrives, put, source, write
from server import check, letter


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
