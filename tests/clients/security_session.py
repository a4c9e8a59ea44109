"""Two-factor login and app passwords, as Python's own mail libraries and pyotp, an authenticator nobody here wrote, see them.

Each Browser is one browser at the webmail's JSON interface.
"""

import http.cookiejar
import imaplib
import json
import poplib
import smtplib
import time
import urllib.error
import urllib.request

import pyotp
from server import check, letter, main


class Browser:
    def __init__(self, server):
        self.at = f"http://{server.facts['listeners']['webmail']}"
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def json(self, path, wish=None, wanted=200, method=None):
        data = json.dumps(wish).encode() if wish is not None else None
        asked = urllib.request.Request(f"{self.at}/api/{path}", data, {"content-type": "application/json", "x-postrider": "1"}, method=method)
        try:
            answer = self.opener.open(asked, timeout=60)
        except urllib.error.HTTPError as refused:
            answer = refused
        body = answer.read()
        assert answer.status == wanted, (path, answer.status, body)
        return json.loads(body) if body else None

    def sign_in(self, user, code=None, wanted=200, remember=False):
        wish = {"address": user[0], "password": user[1]} | ({"code": code} if code else {}) | ({"remember": True} if remember else {})
        return self.json("session", wish, wanted)

    def known(self):
        """The cookies by which it is spared codes."""
        return [cookie for cookie in self.jar if "known" in cookie.name]


def fresh(totp, used=set()):
    """A code that was not used yet: at the most half a minute later."""
    while (code := totp.now()) in used:
        time.sleep(0.2)
    used.add(code)
    return code


def app_passwords(server):
    ann = server.ann = Browser(server)
    ann.sign_in(server.users[0])
    password = server.users[0][1]
    facts = ann.json("security")
    assert not facts["two_factor"]["on"] and not facts["two_factor"]["required"] and facts["app_passwords"] == [], facts
    ann.json("app-passwords", {"name": "Telephone", "scopes": ["mail"], "password": "wrong"}, wanted=403)
    ann.json("app-passwords", {"name": "Telephone", "scopes": [], "password": password}, wanted=400)
    ann.json("app-passwords", {"name": "Telephone", "scopes": ["everything"], "password": password}, wanted=400)
    nameless = ann.json("app-passwords", {"name": " ", "scopes": ["mail"], "password": password}, wanted=400)
    assert (nameless["type"], nameless["values"]) == ("app-password-name", {"most": "60"}), nameless
    ann.json("app-passwords", {"name": "Telephone", "scopes": ["mail"], "days": 0, "password": password}, wanted=400)
    server.made = {}
    for name, scopes in (("Telephone", ["mail", "sending"]), ("Reader", ["mail"]), ("Printer", ["sending"])):
        made = ann.json("app-passwords", {"name": name, "scopes": scopes, "days": 30, "password": password}, wanted=201)
        server.made[name] = made["password"]
    ann.json("app-passwords", {"name": "Reader", "scopes": ["mail"], "password": password}, wanted=409)
    listed = ann.json("security")["app_passwords"]
    assert {one["name"] for one in listed} == set(server.made) and all(one["used"] is None for one in listed)
    assert not any(secret in json.dumps(listed) for secret in server.made.values()), "shown once"


def imap(server, password):
    client = imaplib.IMAP4_SSL(*server.at("imaps"), ssl_context=server.tls(), timeout=30)
    client.login(server.users[0][0], password)
    return client


def pop3(server, password):
    client = poplib.POP3_SSL(*server.at("pop3s"), context=server.tls(), timeout=30)
    client.user(server.users[0][0])
    client.pass_(password)
    return client


def smtp(server, password):
    client = smtplib.SMTP_SSL(*server.at("submissions"), context=server.tls(), timeout=30)
    client.login(server.users[0][0], password)
    return client


def refused(kind, opening, *words):
    try:
        opening()
    except kind as error:
        for word in words:
            assert word in str(error), (word, error)
        return
    raise AssertionError("it was let in")


def mail_programs_use_them(server):
    ann, bob = server.users[0][0], server.users[1][0]
    for form in (server.made["Telephone"], server.made["Telephone"].replace("-", " "), server.made["Telephone"].replace("-", "").upper()):
        imap(server, form).logout()
    client = smtp(server, server.made["Telephone"])
    client.send_message(letter(ann, bob, "By an app password"), ann, [bob])
    client.quit()
    pop3(server, server.made["Reader"]).quit()
    smtp(server, server.made["Printer"]).quit()
    refused(smtplib.SMTPAuthenticationError, lambda: smtp(server, server.made["Reader"]), "535", "not valid for this")
    refused(imaplib.IMAP4.error, lambda: imap(server, server.made["Printer"]), "AUTHENTICATIONFAILED")
    Browser(server).sign_in((ann, server.made["Telephone"]), wanted=401)
    telephone = next(one for one in server.ann.json("security")["app_passwords"] if one["name"] == "Telephone")
    assert telephone["used"] and telephone["used_from"] == "127.0.0.1", telephone


def revoking_ends_sessions(server):
    made = server.ann.json("app-passwords", {"name": "Lost", "scopes": ["mail", "sending"], "password": server.users[0][1]}, wanted=201)["password"]
    staying = imap(server, server.made["Telephone"])
    reader, idle, sender, old = imap(server, made), imap(server, made), smtp(server, made), None
    pop3(server, made).quit()
    old = pop3(server, made)
    check(idle.select("INBOX"))
    idle.send(b"A9 IDLE\r\n")
    assert idle.readline().startswith(b"+")
    server.ann.json("app-passwords/revoke", {"name": "Lost"}, wanted=204)
    begun = time.time()
    line = idle.readline()
    assert line.startswith(b"* BYE"), line
    line = sender.file.readline()
    assert line.startswith(b"421"), line
    line = reader.readline()
    assert line.startswith(b"* BYE This login is no longer valid"), line
    line = old.file.readline()
    assert line.startswith(b"-ERR [AUTH]"), line
    assert time.time() - begun < 10
    check(staying.noop())
    staying.logout()
    refused(imaplib.IMAP4.error, lambda: imap(server, made))
    server.ann.json("app-passwords/revoke", {"name": "Lost"}, wanted=404)


def two_factor_is_turned_on(server):
    ann, password = server.ann, server.users[0][1]
    other = Browser(server)
    other.sign_in(server.users[0])
    by_password = imap(server, password)
    ann.json("two-factor/confirm", {"code": "123456"}, wanted=404)
    ann.json("two-factor", {"password": "wrong"}, wanted=403)
    made = ann.json("two-factor", {"password": password})
    read = pyotp.parse_uri(made["address"])
    assert read.secret == made["secret"] and read.name == server.users[0][0] and read.digits == 6 and read.interval == 30
    assert made["picture"]["size"] > 29 and made["picture"]["path"].startswith("M4 4h1v1h-1z")
    ann.json("two-factor/confirm", {"code": "12345"}, wanted=400)
    server.totp = pyotp.TOTP(made["secret"])
    server.codes = ann.json("two-factor/confirm", {"code": fresh(server.totp)})["recovery_codes"]
    assert len(set(server.codes)) == 10
    facts = ann.json("security")["two_factor"]
    assert facts["on"] and facts["recovery_codes"] == 10, facts
    assert made["secret"] not in json.dumps(facts)
    ann.json("two-factor", {"password": password}, wanted=409)
    other.json("folders", wanted=401)
    line = by_password.readline()
    assert line.startswith(b"* BYE"), line


def the_code_is_the_second_step(server):
    browser, user = Browser(server), server.users[0]
    answer = browser.sign_in(user, wanted=401)
    assert answer["code_wanted"], answer
    browser.json("folders", wanted=401)
    browser.sign_in(user, "000000", wanted=401)
    code = fresh(server.totp)
    assert browser.sign_in(user, code)["must_enrol"] is False
    browser.json("folders")
    Browser(server).sign_in(user, code, wanted=401)
    Browser(server).sign_in(user, server.codes[0])
    Browser(server).sign_in(user, server.codes[0], wanted=401)
    assert server.ann.json("security")["two_factor"]["recovery_codes"] == 9


def a_browser_is_remembered(server):
    user, browsers = server.users[0], [Browser(server), Browser(server)]
    assert browsers[0].sign_in(user, wanted=401)["remember_days"] == 30
    browsers[0].sign_in(user, wanted=401, remember=True)
    assert not browsers[0].known(), "a code comes first"
    for n, browser in enumerate(browsers):
        browser.sign_in(user, server.codes[5 + n], remember=True)
        [cookie] = browser.known()
        assert cookie.path == "/" and cookie.has_nonstandard_attr("HttpOnly") and 0 < cookie.expires - time.time() <= 30 * 86400, cookie
        assert user[0].split("@")[0] not in cookie.name
        browser.json("session", wanted=204, method="DELETE")
        browser.sign_in(user)
        browser.sign_in((user[0], "wrong"), wanted=401)
        browser.json("app-passwords", {"name": "Tablet", "scopes": ["mail"], "password": user[1]}, wanted=403)
    Browser(server).sign_in(user, wanted=401)
    facts = browsers[0].json("security")
    known = facts["two_factor"]["browsers"]
    assert [one["current"] for one in known].count(True) == 1 and len(known) == 2, known
    assert not any(cookie.value in json.dumps(facts) for browser in browsers for cookie in browser.known())
    other = next(one for one in known if not one["current"])
    browsers[0].json("two-factor/forget", {"id": other["id"]}, wanted=204)
    browsers[0].json("two-factor/forget", {"id": other["id"]}, wanted=404)
    browsers[1].sign_in(user, wanted=401)
    browsers[0].sign_in(user)
    browsers[0].json("two-factor/forget", {}, wanted=204)
    browsers[0].sign_in(user, wanted=401)
    assert server.ann.json("security")["two_factor"]["browsers"] == []


def the_password_opens_no_mail_program(server):
    password = server.users[0][1]
    refused(imaplib.IMAP4.error, lambda: imap(server, password), "use an app password")
    refused(poplib.error_proto, lambda: pop3(server, password), "use an app password")
    refused(smtplib.SMTPAuthenticationError, lambda: smtp(server, password), "534", "5.7.9", "use an app password")
    imap(server, server.made["Telephone"]).logout()
    smtp(server, server.made["Telephone"]).quit()


def an_app_password_needs_a_code(server):
    ann, password = server.ann, server.users[0][1]
    wish = {"name": "Tablet", "scopes": ["mail"], "password": password}
    kinds = [ann.json("app-passwords", wish | more, wanted=403)["type"] for more in ({}, {"code": "000000"})]
    assert kinds == ["code-needed", "not-proven"], kinds
    ann.json("app-passwords", wish | {"code": server.codes[0]}, wanted=403)
    made = ann.json("app-passwords", wish | {"code": server.codes[4]}, wanted=201)["password"]
    imap(server, made).logout()
    ann.json("app-passwords/revoke", {"name": "Tablet"}, wanted=204)


def it_is_turned_off(server):
    ann, password = server.ann, server.users[0][1]
    ann.json("two-factor/off", {"password": password}, wanted=403)
    ann.json("two-factor/off", {"password": "wrong", "code": server.codes[1]}, wanted=403)
    fresh_codes = ann.json("two-factor/recovery-codes", {"password": password, "code": server.codes[2]})["recovery_codes"]
    ann.json("two-factor/off", {"password": password, "code": server.codes[3]}, wanted=403)
    ann.json("two-factor/off", {"password": password, "code": fresh_codes[0]}, wanted=204)
    Browser(server).sign_in(server.users[0])
    imap(server, password).logout()


main(
    app_passwords,
    mail_programs_use_them,
    revoking_ends_sessions,
    two_factor_is_turned_on,
    the_code_is_the_second_step,
    a_browser_is_remembered,
    the_password_opens_no_mail_program,
    an_app_password_needs_a_code,
    it_is_turned_off,
)
