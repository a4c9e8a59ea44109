"""The webmail's JSON interface: folders, lists and what messages say."""

import concurrent.futures
import email.policy
import imaplib
import io
import json
import struct
import threading
import time
import urllib.parse
import urllib.request
import zipfile

from webmail_api_client import described, put
from server import check, letter


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
    refused = ann.json("folders", {"name": "a/../b"}, wanted=400)
    why = {"type": "folder-name-relative", "values": {}, "text": "no part of a folder name can be . or .."}
    assert (refused["type"], refused["values"]) == ("folder-name", {"why": why}), refused


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
    for folder in ("Talks 2026", "Talks 2026/Early", "Talks/Answers", "Trash/Old"):
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
    # Some programs name only what they answer: then what is one conversation here is two in another folder.
    begun = put('"Talks 2026/Early"', "Far")
    meant = put('"Talks 2026/Early"', "Re: Far", begun)
    put('"Talks 2026"', "Near the first", begun)
    near = put('"Talks 2026"', "Near the second", meant)
    put("Talks/Answers", "The last", near)
    uid = [line["uid"] for line in ann.get("messages", folder="Talks 2026/Early")["lines"] if line["subject"] == "Far"][0]
    subjects = {subject for _, subject in shown("Talks 2026/Early", uid)}
    assert subjects == {"Far", "Re: Far", "Near the first", "Near the second", "The last"}, subjects
    # The list of all folders knows more, and counts a message once, however many copies there are.
    everywhere = lambda **more: ann.get("search", kept="true", conversations="true", **more)
    last = [line for line in everywhere()["lines"] if line["subject"] == "By way of one elsewhere"]
    assert len(last) == 1 and last[0]["folder"] == "Talks 2026", last
    conversation = last[0]["conversation"]
    assert (conversation["messages"], conversation["unseen"], sorted(conversation["uids"])) == (5, 5, [1, 2]), conversation
    beside = {one["folder"]: one["uids"] for one in conversation["elsewhere"]}
    assert list(beside) == ["Sent", "Talks", "Talks 2026/Early"] and (beside["Talks"], beside["Talks 2026/Early"]) == ([1, 3], [1]), beside
    # It is found by any of its messages, and not by what was thrown away.
    found = everywhere(query="subject:elsewhere")
    assert found["total"] == 1 and found["lines"][0]["conversation"] == conversation, found
    assert everywhere(query="subject:elsewhere in:trash")["total"] == 0
    total = everywhere()["total"]
    ends = lambda key, **more: (key(everywhere(count=1, **more)["lines"][0]), key(everywhere(count=1, start=total - 1, **more)["lines"][0]))
    named = lambda line: (line["folder"], line["uid"])
    assert ends(named) == ends(named, order="oldest")[::-1]
    sizes = [line["size"] for line in everywhere(order="largest")["lines"]]
    assert sizes == sorted(sizes, reverse=True)
    sized = lambda line: line["size"]
    assert ends(sized, order="largest") == ends(sized, order="smallest")[::-1]
    alone = ann.get("search", kept="true")
    assert alone["total"] > total and not {"Junk", "Trash", "Trash/Old"} & {line["folder"] for line in alone["lines"]}
    # What changes is listed anew.
    check(client.select("Talks"))
    check(client.store("1", "+FLAGS", "\\Seen"))
    assert everywhere(query="subject:elsewhere")["lines"][0]["conversation"]["unseen"] == 4
    check(client.store("1", "-FLAGS", "\\Seen"))
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
