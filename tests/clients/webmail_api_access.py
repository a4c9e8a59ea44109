"""The webmail's JSON interface: who is let in, what is refused, and when a login ends."""

import email.message
import json
import urllib.parse

from webmail_api_client import Browser, description, put, write
from server import letter


def it_describes_itself(server):
    browser = Browser(server)
    status, headers, body = browser.request("/api/openapi.json")
    assert status == 200 and headers["content-type"] == "application/json"
    description.update(json.loads(body))
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
