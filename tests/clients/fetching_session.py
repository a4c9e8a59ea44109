"""Programs that fetch and send mail for people without a mail program: msmtp, fetchmail, mpop and s-nail."""

import os
import pathlib
import subprocess
import tempfile
from urllib.parse import quote

from server import check, letter, main

HOME = pathlib.Path(tempfile.mkdtemp(prefix="fetching-"))

MSMTP = """
account {listener}
host {host}
port {port}
auth on
tls on
tls_starttls {starttls}
tls_trust_file {ca}
user {user}
password {password}
from {user}
"""

FETCHMAIL = """
set no bouncemail
poll {host} protocol {protocol} service {port}
  user "{user}" password "{password}"
  ssl sslcertck sslcertfile "{ca}"
  fetchall mda "cat >> {box}; echo >> {box}"
"""

MPOP = """
account server
host {host}
port {port}
tls on
tls_starttls off
tls_trust_file {ca}
auth user
user {user}
password {password}
keep off
uidls_file {home}/uidls
delivery mbox {box}
"""


def facts(server, listener):
    host, port = server.at(listener)
    user, password = server.users[0]
    # The name the certificate is for.
    host = "localhost" if host == "127.0.0.1" else host
    return dict(host=host, port=port, user=user, password=password, ca=server.facts["ca"], home=HOME)


def written(name, text):
    """A file with a password, which these programs want nobody else to read."""
    path = HOME / name
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def run(*command, text="", succeeds=True):
    environment = dict(os.environ, HOME=str(HOME), FETCHMAILHOME=str(HOME))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode == 0) == succeeds, f"{command[0]}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def fill(server, *subjects):
    """Puts these messages, and no others, into the inbox."""
    user = server.users[0][0]
    client = server.imap()
    check(client.select("INBOX"))
    client.store("1:*", "+FLAGS", "(\\Deleted)")
    check(client.expunge())
    for subject in subjects:
        # A line of one dot is the end of a message in POP3, unless it is stuffed.
        text = letter(user, user, subject, "One line.\n.\n..two\n")
        check(client.append("INBOX", None, None, text.as_bytes()))
    client.logout()


def inbox(server):
    client = server.imap()
    count = int(check(client.select("INBOX", readonly=True))[0])
    subjects = check(client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")) if count else []
    client.logout()
    return sorted(item[1].decode().split(":", 1)[1].strip() for item in subjects if isinstance(item, tuple))


def msmtp_sends(server):
    fill(server)
    user = server.users[0][0]
    for listener, starttls in (("submission", "on"), ("submissions", "off")):
        known = dict(facts(server, listener), listener=listener, starttls=starttls)
        config = written(f"msmtp-{listener}", MSMTP.format(**known))
        run("msmtp", "-C", config, "-a", listener, user, text=letter(user, user, f"By {listener}").as_string())
        wrong = written(f"msmtp-wrong-{listener}", MSMTP.format(**dict(known, password="wrong")))
        run("msmtp", "-C", wrong, "-a", listener, user, text=letter(user, user, "Never").as_string(), succeeds=False)
    assert inbox(server) == ["By submission", "By submissions"], inbox(server)


def arrived(box, subjects):
    text = box.read_text()
    for subject in subjects:
        assert f"Subject: {subject}\n" in text, text
    assert text.count("\n.\n..two\n") == len(subjects), text


def fetchmail_fetches(server):
    for protocol, listener in (("imap", "imaps"), ("pop3", "pop3s")):
        subjects = [f"{protocol} {n}" for n in range(5)]
        fill(server, *subjects)
        box = HOME / f"fetchmail-{protocol}"
        config = FETCHMAIL.format(**facts(server, listener), protocol=protocol, box=box)
        run("fetchmail", "--nodetach", "--fetchmailrc", written(f"fetchmailrc-{protocol}", config))
        arrived(box, subjects)
        assert inbox(server) == [], "what was fetched is deleted"


def mpop_fetches(server):
    subjects = [f"mpop {n}" for n in range(5)]
    fill(server, *subjects)
    box = HOME / "mpop"
    box.touch()
    run("mpop", "-C", written("mpoprc", MPOP.format(**facts(server, "pop3s"), box=box)), "server")
    arrived(box, subjects)
    assert inbox(server) == [], "what was fetched is deleted"


def s_nail_sends_and_reads(server):
    fill(server)
    user, password = server.users[0]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"

    def nail(*arguments, text=""):
        known = ["-S", "v15-compat", "-S", f"tls-ca-file={server.facts['ca']}", "-S", "tls-verify=strict"]
        return run("s-nail", "-:/", *known, *arguments, text=text)

    def url(scheme, listener):
        known = facts(server, listener)
        return f"{scheme}://{login}@{known['host']}:{known['port']}"

    for scheme, listener in (("smtps", "submissions"), ("submission", "submission")):
        ways = ["-S", f"mta={url(scheme, listener)}", "-S", "smtp-config=plain", "-S", "smtp-use-starttls"]
        nail(*ways, "-S", f"from={user}", "-S", "sendwait", "-s", f"Nail by {listener}", user, text="Grüße\n")
    assert inbox(server) == ["Nail by submission", "Nail by submissions"], inbox(server)
    for scheme, listener in (("imaps", "imaps"), ("pop3s", "pop3s")):
        out = nail("-H", "-f", url(scheme, listener))
        assert "Nail by submissions" in out, out


main(msmtp_sends, fetchmail_fetches, mpop_fetches, s_nail_sends_and_reads)
