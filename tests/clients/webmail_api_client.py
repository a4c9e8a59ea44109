"""What the checks of the webmail's JSON interface share: one browser, and the description its answers must fit."""

import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request

import jsonschema
from server import check


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


# Filled with what the server says of itself.
description = {}


def described(path, method, status, answer):
    """Whether an answer is what the description says."""
    way = "/" + path if not path.startswith("sessions/") else "/sessions/{id}"
    responses = description["paths"][way][method.lower()]["responses"]
    response = responses.get(str(status), responses["default"])
    schema = next(iter(response["content"].values()))["schema"]
    jsonschema.validate(answer, {**schema, "components": description["components"]})


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


def source(browser, uid, folder="INBOX"):
    return browser.request(f"/api/message/source?folder={folder}&uid={uid}")[2].decode()


def put(server, message, user=0, at=None, folder="INBOX"):
    """The UID of a message that was appended, as if it had arrived then."""
    client = server.imap(user)
    octets = message if isinstance(message, bytes) else message.as_bytes().replace(b"\n", b"\r\n")
    answer = check(client.append(folder, None, at, octets))
    client.logout()
    return int(re.search(rb"APPENDUID \d+ (\d+)", answer[0])[1])
