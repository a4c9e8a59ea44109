"""The monitoring page's JSON interface: who is let in, and that every answer is what its OpenAPI description says."""

import http.cookiejar
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import jsonschema
from server import letter, main


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


jar = http.cookiejar.CookieJar()
opener = urllib.request.build_opener(Stay, urllib.request.HTTPCookieProcessor(jar))


def request(server, path, form=None, **headers):
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    asked = urllib.request.Request(f"http://{server.facts['listeners']['dashboard']}{path}", data, headers)
    try:
        answer = opener.open(asked, timeout=60)
    except urllib.error.HTTPError as refused:
        answer = refused
    return answer.status, answer.headers, answer.read().decode()


def get(server, path):
    status, headers, text = request(server, f"/api/v1/{path}")
    assert headers["content-type"] == "application/json", headers
    return status, json.loads(text)


def only_with_the_password(server):
    assert get(server, "overview")[0] == 401
    status, headers, _ = request(server, "/")
    assert (status, headers["location"]) == (303, "/login")
    status, headers, page = request(server, "/login")
    assert status == 200 and "Password" in page
    assert "default-src 'none'" in headers["content-security-policy"], headers
    status, headers, page = request(server, "/login", {"password": "wrong"})
    assert status == 401 and "role=\"alert\"" in page and "set-cookie" not in headers
    password = {"password": server.users[0][1]}
    assert request(server, "/login", password, Origin="http://elsewhere.example")[0] == 403
    # A client that a proxy on this machine speaks for, without TLS between the two.
    assert request(server, "/login", password, **{"X-Forwarded-For": "192.0.2.7"})[0] == 403
    status, headers, _ = request(server, "/login", password)
    assert status == 303, status
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie, cookie
    assert get(server, "overview")[0] == 200


def guessers_are_banned(server):
    """Ten wrong passwords from one address, and it may not even try the right one; others may."""
    far = {"X-Forwarded-For": "198.51.100.9", "X-Forwarded-Proto": "https"}
    for _ in range(10):
        assert request(server, "/login", {"password": "guess"}, **far)[0] == 401
    assert request(server, "/login", {"password": server.users[0][1]}, **far)[0] == 429
    near = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"}
    status, headers, _ = request(server, "/login", {"password": server.users[0][1]}, **near)
    # Under a name that only this very host can have set.
    assert status == 303 and headers["set-cookie"].startswith("__Host-postrider_dashboard=") and "; Path=/;" in headers["set-cookie"] and "Secure" in headers["set-cookie"], headers
    token = headers["set-cookie"].split(";")[0].split("=")[1]
    for name, wanted in (("__Host-postrider_dashboard", 200), ("postrider_dashboard", 401)):
        assert request(server, "/api/v1/overview", None, Cookie=f"{name}={token}", **near)[0] == wanted, name
    # The cookie jar of this script keeps no secure cookie for plain HTTP: log in again.
    assert request(server, "/login", {"password": server.users[0][1]})[0] == 303


def mail_leaves_traces(server):
    (ann, _), (bob, _) = server.users[:2]
    client = server.smtp(user=0)
    message = letter(ann, bob, "For the figures")
    client.send_message(message, ann, [bob, "somebody@silent.test"])
    client.quit()
    try:
        server.smtp("smtp").sendmail("x@example.net", ["nobody@example.test"], "Subject: x\r\n\r\nx\r\n")
    except Exception:
        pass
    server.wait_for(1, message["Message-ID"])
    wanted = lambda facts: facts["queue"]["destinations"] and facts["day"]["delivered"] and facts["refusals"] and facts["senders"]
    deadline = time.time() + 60
    while not wanted(facts := get(server, "overview")[1]):
        assert time.time() < deadline, facts
        time.sleep(0.2)
    server.message_id = message["Message-ID"]


def answers_are_as_described(server):
    described = get(server, "openapi.json")[1]
    ann = urllib.parse.quote(server.users[0][0])
    (entry,) = get(server, "queue")[1]["entries"]
    questions = {
        "/overview": ["overview"],
        "/timeline": ["timeline"] + [f"timeline?range={range}" for range in ("6h", "24h", "7d", "30d", "1y")],
        "/queue": ["queue", "queue?limit=1", f"queue?after={entry['id']}", "queue?after=x"],
        "/mailboxes": ["mailboxes", "mailboxes?by=size&limit=1", "mailboxes?by=name"],
        "/events": ["events", "events?text=figures%20nothing", f"events?text={ann}&kind=queued,delivered&limit=2",
                    f"events?since={int(time.time() * 1e6) - 10**9}&until={int(time.time() * 1e6)}", "events?kind=x",
                    f"events?from={get(server, 'events?limit=1')[1]['next']}"],
        "/trace": [f"trace?about={ann}", f"trace?about={urllib.parse.quote(server.message_id)}", f"trace?about={entry['id']}",
                   "trace?about=no", "trace"],
        "/reports": ["reports", "reports?kind=dmarc&domain=example.test&days=7", "reports?kind=tls", "reports?kind=x"],
    }
    assert set(questions) | {"/openapi.json"} == set(described["paths"]), described["paths"].keys()
    met = set()
    for path, asked in questions.items():
        for question in asked:
            status, answer = get(server, question)
            answers = described["paths"][path]["get"]["responses"]
            if status == 400 and "400" not in answers or str(status) not in answers:
                raise AssertionError(f"{question}: {status} is not described: {answer}")
            content = answers[str(status)]["content"]["application/json"]["schema"]
            schema = {**content, "components": described["components"]}
            jsonschema.Draft202012Validator(schema).validate(answer)
            met.add(status)
    assert met == {200, 400}, met


def the_figures_are_right(server):
    facts = get(server, "overview")[1]
    assert facts["problems"] == [], facts["problems"]
    silent = [one for one in facts["listeners"] if one["problem"] is not None]
    assert not silent, silent
    protocols = {one["protocol"] for one in facts["listeners"]}
    assert protocols == set(server.facts["listeners"]) - {"dashboard"}, protocols
    for one in facts["listeners"]:
        if one["protocol"] in ("lmtp", "sendmail", "metrics", "http", "webmail"):
            continue
        assert "mail.example.test" in one["certificate"]["names"], one
        assert one["certificate"]["distrust"], "nobody vouches for a self-signed certificate"
    assert facts["users"] == 2 and facts["queue"]["destinations"][0]["destination"] == "mx:silent.test", facts["queue"]
    assert {"address": server.users[0][0], "number": 1} in facts["senders"], facts["senders"]
    assert sum(step["delivered"] for step in get(server, "timeline?range=6h")[1]["flow"]) >= 1
    drill = next(run for run in facts["backups"] if run["what"] == "drill")
    assert (drill["recovery_milliseconds"], drill["users"], len(drill["differences"])) == (2500, 3, 2), drill
    (certificates,) = facts["certificates"]
    assert [one["standing"] for one in certificates["certificates"]] == ["in-force"], certificates
    (first, *_, last) = get(server, "reports")[1]["rows"]
    assert (first["source"], first["passed"], first["count"]) == ("192.0.2.66", False, 2), first
    assert (last["source"], last["passed"], last["policy"]) == ("192.0.2.7", True, "p=quarantine"), last
    events = get(server, "events?text=SILENT.test%20somebody")[1]["events"]
    assert any(event["kind"] == "deferred" for event in events), events
    assert all("silent.test" in json.dumps(event) for event in events)
    (journey,) = get(server, f"trace?about={urllib.parse.quote(server.message_id)}")[1]["journeys"]
    assert "delivered for" in journey["ending"] and "waiting for somebody@silent.test" in journey["ending"], journey["ending"]


def logging_out_ends_it(server):
    token = next(cookie.value for cookie in jar)
    assert request(server, "/logout", {}, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert get(server, "overview")[0] == 200
    assert request(server, "/logout", {})[0] == 303
    jar.clear()
    assert request(server, "/api/v1/overview", None, Cookie=f"postrider_dashboard={token}")[0] == 401


main(
    only_with_the_password,
    guessers_are_banned,
    mail_leaves_traces,
    answers_are_as_described,
    the_figures_are_right,
    logging_out_ends_it,
)
