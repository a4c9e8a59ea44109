"""The webmail's JSON interface: preferences, signatures, devices and filters."""

import email
import email.policy
import json
import plistlib
import uuid

from webmail_api_client import Browser, write
from server import letter


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
    assert [(one["rule"], one["type"]) for one in judged["wrongs"]] == [(0, "rule-no-action")] and judged["source"] == ""
    wish = {"name": "rules", "tag": None, "activate": True}
    refused = ann.json("script", {**wish, "content": wrong}, wanted=400)
    assert (refused["type"], refused["values"]["why"]["type"]) == ("rule-wrong", "rule-no-action"), refused
    stored = ann.json("script", {**wish, "content": {"rules": {"rules": [FILING]}}})
    assert stored["kept"] is None and stored["script"]["active"] and "fileinto" in stored["script"]["source"]
    shown = ann.json("script")
    assert shown == stored["script"] and shown["rules"]["rules"][0]["actions"][0] == {"kind": "file", "folder": "Lists", "copy": False, "create": True}
    # Who does not know the present text replaces nothing.
    ann.json("script", {**wish, "content": {"source": "keep;"}}, wanted=409)
    assert ann.json("script")["tag"] == shown["tag"]
    # Text: every mistake with its place, and nothing is stored.
    judged = ann.json("scripts/check", {"content": {"source": "require \"fileinto\";\nfileinto;\n"}})
    assert judged["mistakes"][0]["line"] == 2 and judged["rules"] is None, judged
    missing = judged["mistakes"][0]
    assert (missing["type"], missing["values"]["least"], missing["values"]["subject"]["values"]) == ("sieve-few-arguments", "1", {"name": "fileinto"}), missing
    assert "the fileinto command requires 1 positional argument" in missing["text"], missing
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
