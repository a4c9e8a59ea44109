#!/usr/bin/env python3
"""Writes down what a release leaves behind: its database and its files, and what its users saw in them.

    tests/releases/freeze.py target/release/postrider 0.1.0

README.md in this folder says when. Needs nothing but Python and the program.
"""

import base64
import hashlib
import http.client
import http.cookiejar
import imaplib
import json
import pathlib
import re
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
MIGRATIONS = HERE.parent.parent / "migrations"
PASSWORD = "correct-horse"
ANN, BOB = "ann@example.test", "bob@example.test"
SIEVE = 'require ["fileinto", "mailbox"];\nif header :contains "subject" "list" { fileinto :create "Lists"; }\n'
EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example//Example//EN
BEGIN:VEVENT
UID:breakfast
DTSTAMP:20260101T000000Z
DTSTART:20300105T090000Z
DTEND:20300105T100000Z
SUMMARY:Breakfast
END:VEVENT
END:VCALENDAR
"""
CARD = "BEGIN:VCARD\nVERSION:3.0\nUID:eve\nFN:Eve Elsewhere\nN:Elsewhere;Eve;;;\nEMAIL:eve@elsewhere.test\nEND:VCARD\n"
# Rows about a process that has ended. Nothing is lost with them, and they differ each time.
PASSING = {"browser_logins", "clock_seen", "duties", "queue_nodes", "queue_samples", "shared_rates"}
# What a release keeps below its directories, except what the next start makes anew.
KEPT = ("backup", "mail", "spool")


def message(sender, to, subject, text):
    return (
        f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Thu, 1 Jan 2026 12:00:00 +0000\r\n"
        f"Message-ID: <{subject.replace(' ', '-')}@example.test>\r\n\r\n{text}\r\n"
    ).encode()


class Release:
    def __init__(self, program, directory):
        self.program, self.at = program, directory
        self.ports = [socket.socket() for _ in range(5)]
        for one in self.ports:
            one.bind(("127.0.0.1", 0))
        protocols = ("smtp", "submission", "imap", "managesieve", "webmail")
        self.port = {name: one.getsockname()[1] for name, one in zip(protocols, self.ports)}
        listeners = "".join(
            f'[[listener]]\nprotocol = "{name}"\nbind = ["127.0.0.1:{port}"]\n' for name, port in self.port.items()
        )
        self.config = directory / "postrider.toml"
        self.config.write_text(f"""hostname = "mail.example.test"
{listeners}
[server]
control_directory = "{directory}/run"
[storage]
mail_root = "{directory}/mail"
database = "sqlite:{directory}/postrider.sqlite"
[spool]
directory = "{directory}/spool"
[tls]
self_signed = "{directory}/tls"
[login]
cost = 4
[backup]
destination = "{directory}/backup"
without_secrets = true
[dns]
servers = ["127.0.0.1:9"]
attempts = 1
timeout = "1s"
""")
        # Nobody looks anything up here: mail for others waits in the queue.
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        for one in self.ports:
            one.close()

    def run(self, *arguments, typed=""):
        command = [self.program, "--json", "--config", self.config, *arguments]
        done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def start(self):
        self.process = subprocess.Popen([self.program, "--config", self.config, "serve"])
        wait_for("the start", lambda: all(is_open(port) for port in self.port.values()))

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0

    def imap(self, user):
        client = imaplib.IMAP4("127.0.0.1", self.port["imap"])
        client.starttls(self.tls)
        client.login(user, PASSWORD)
        return client

    def send(self, sender, to, subject, text="Some words."):
        with smtplib.SMTP("127.0.0.1", self.port["submission"], timeout=60) as client:
            client.starttls(context=self.tls)
            client.login(sender, PASSWORD)
            client.sendmail(sender, [to], message(sender, to, subject, text))

    def put_script(self, user, name, script):
        with socket.create_connection(("127.0.0.1", self.port["managesieve"]), 60) as plain:
            lines = plain.makefile("rb")
            until_ok(lines)
            plain.sendall(b"STARTTLS\r\n")
            until_ok(lines)
            with self.tls.wrap_socket(plain) as wrapped:
                lines = wrapped.makefile("rb")
                until_ok(lines)
                plain_login = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
                octets = script.encode()
                for command in (
                    f'AUTHENTICATE "PLAIN" "{plain_login}"\r\n'.encode(),
                    f'PUTSCRIPT "{name}" {{{len(octets)}+}}\r\n'.encode() + octets + b"\r\n",
                    f'SETACTIVE "{name}"\r\n'.encode(),
                ):
                    wrapped.sendall(command)
                    until_ok(lines)

    def dav(self, user, path, kind, content):
        login = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port["webmail"], timeout=60)
        fields = {"Authorization": f"Basic {login}", "Content-Type": kind}
        # The first collections are made when somebody asks for all.
        connection.request("PROPFIND", path.rsplit("/", 2)[0] + "/", headers={**fields, "Depth": "1"})
        assert connection.getresponse().read()
        connection.request("PUT", path, content.replace("\n", "\r\n").encode(), fields)
        answer = connection.getresponse()
        assert answer.status == 201, (path, answer.status, answer.read())

    def prefer(self, user, preferences):
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        opener = urllib.request.build_opener(cookies)

        def ask(path, wish):
            fields = {"content-type": "application/json", "x-postrider": "1"}
            at = f"http://127.0.0.1:{self.port['webmail']}/api/{path}"
            opener.open(urllib.request.Request(at, json.dumps(wish).encode(), fields), timeout=60)

        ask("session", {"address": user, "password": PASSWORD})
        ask("preferences", preferences)


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what, is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.1)


def until_ok(lines):
    while True:
        line = lines.readline()
        assert line and not line.startswith((b"NO", b"BYE")), line
        if line.startswith(b"OK"):
            return


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def use(release):
    """One of everything that a user may have."""
    secrets = {}
    release.run("domain", "add", "example.test")
    for user, name in ((ANN, "Ann Lee"), (BOB, "Bob Ray")):
        release.run("user", "add", user, "--name", name, "--quota", "500M", typed=PASSWORD + "\n")
    release.run("alias", "add", "sales@example.test", ANN)
    made = release.run("user", "app-password", "add", ANN, "phone", "--scopes", "mail")
    secrets["app_password"] = made["password"]
    release.start()
    release.put_script(BOB, "filing", SIEVE)
    release.dav(ANN, f"/dav/calendars/{ANN}/Personal/breakfast.ics", "text/calendar", EVENT)
    release.dav(ANN, f"/dav/contacts/{ANN}/Contacts/eve.vcf", "text/vcard", CARD)
    release.prefer(ANN, {
        "identities": {ANN: {"name": "Ann L.", "signature": "Ann, at your service"}},
        "theme": "dark",
        "language": "de",
        "responses": [{"name": "Thanks", "text": "Thank you."}],
    })
    release.run("ban", "add", "198.51.100.7", "--reason", "hammered")
    ann = release.imap(ANN)
    ok(ann.create("Work"))
    ok(ann.create('"Work/&ANw-bersicht"'))
    ok(ann.subscribe("Work"))
    ok(ann.xatom("SETMETADATA", "Work", '(/private/comment "for the office")'))
    for number in range(1, 6):
        ok(ann.append("INBOX", None, None, message(BOB, ANN, f"letter {number}", "Words.")))
    ok(ann.append("Drafts", "(\\Draft)", None, message(ANN, BOB, "a draft", "Words to come.")))
    ok(ann.select("INBOX"))
    ok(ann.store("1", "+FLAGS", "(\\Seen \\Answered)"))
    ok(ann.store("2", "+FLAGS", "(\\Flagged $Label1 Holiday)"))
    ok(ann.copy("2,3", "Work"))
    # The highest UID and one in the middle were there once, and may not be used again.
    ok(ann.store("3,5", "+FLAGS", "(\\Deleted)"))
    ok(ann.expunge())
    ann.logout()
    release.send(ANN, BOB, "to the list")
    release.send(ANN, BOB, "to bob")
    release.send(ANN, "far@elsewhere.test", "far away")
    bob = release.imap(BOB)
    wait_for("mail for bob", lambda: bob.select("Lists")[0] == "OK" and ok(bob.select("Lists")) != [b"0"])
    wait_for("mail for bob", lambda: ok(bob.select("INBOX")) != [b"0"])
    bob.logout()
    unwanted = release.at / "unwanted.eml"
    unwanted.write_bytes(message("eve@elsewhere.test", BOB, "winner", "You have won a prize, click here."))
    release.run("spam", "learn", "--spam", str(unwanted))
    wait_for("an attempt", lambda: "far@elsewhere.test" in json.dumps(release.run("queue", "list")))
    return secrets


def folders_of(release, user):
    """What an IMAP client remembers of each folder."""
    client, folders = release.imap(user), {}
    for line in ok(client.list()):
        name = re.fullmatch(r'\(.*?\) "/" "?(.*?)"?', line.decode())[1]
        status = ok(client.status(f'"{name}"', "(UIDVALIDITY UIDNEXT MAILBOXID MESSAGES)"))[0]
        ok(client.select(f'"{name}"', readonly=True))
        fetched = {
            items: [values(line) for line in ok(client.uid("FETCH", "1:*", f"({items})")) if line is not None]
            for items in ("FLAGS RFC822.SIZE EMAILID", "MODSEQ")
        }
        folders[name] = {"status": values(status), "fetched": fetched}
    client.logout()
    return folders


def values(line):
    """The list in a response. \\Recent is left out: it is of sessions, not of messages."""
    return re.sub(r" ?\\Recent", "", line[line.index(b" (") + 1 :].decode())


def tables(database):
    """Every row, as JSON knows values; octets in base 64."""
    found = {}
    names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    for (table,) in database.execute(names).fetchall():
        if table in PASSING | {"postrider_migrations"} or table.startswith("sqlite_"):
            continue
        rows = database.execute(f"SELECT * FROM {table}")
        value = lambda one: {"octets": base64.b64encode(one).decode()} if isinstance(one, bytes) else one
        all_rows = [[value(one) for one in row] for row in rows]
        if all_rows:
            found[table] = {"columns": [column[0] for column in rows.description], "rows": all_rows}
    return found


def ledgers(database):
    """What the table of migrations holds on each engine."""
    steps = "SELECT version, description, checksum FROM postrider_migrations ORDER BY version"
    known, found = database.execute(steps).fetchall(), {}
    for dialect in ("sqlite", "mysql", "postgres"):
        found[dialect] = []
        for version, description, checksum in known:
            digest = hashlib.sha384((MIGRATIONS / dialect / f"{description}.sql").read_bytes()).digest()
            assert dialect != "sqlite" or digest == checksum, f"{description} is not that of the program"
            found[dialect].append([version, description, digest.hex()])
    return found


def files(directory):
    """Every file and directory, with the time of its last change: indexes count only with those of directories."""
    found = {}
    for top in KEPT:
        for path in sorted((directory / top).rglob("*")):
            entry = {"modified": path.stat().st_mtime_ns}
            if path.is_symlink():
                entry = {"leads_to": str(path.readlink())}
            elif path.is_file():
                octets = path.read_bytes()
                try:
                    entry["text"] = octets.decode()
                except UnicodeDecodeError:
                    entry["octets"] = base64.b64encode(octets).decode()
            found[str(path.relative_to(directory))] = entry
    return found


def main():
    program, version = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    with tempfile.TemporaryDirectory() as directory:
        release = Release(program, pathlib.Path(directory))
        try:
            secrets = use(release)
            seen = {"folders": {user: folders_of(release, user) for user in (ANN, BOB)}, **secrets}
        finally:
            release.stop()
        with sqlite3.connect(release.at / "postrider.sqlite") as database:
            kept = {"ledgers": ledgers(database), "tables": tables(database)}
        release.run("backup", "create")
        folder = HERE / version
        folder.mkdir()
        for name, content in (("database", kept), ("files", files(release.at)), ("seen", seen)):
            (folder / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


main()
