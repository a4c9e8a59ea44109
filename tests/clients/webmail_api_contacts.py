"""The webmail's JSON interface: contacts."""

import json

from webmail_api_client import Browser, put
from server import letter


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
