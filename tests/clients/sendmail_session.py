"""Programs of the machine that hand mail to `sendmail`: cron's and others' way of calling it, s-nail and `git send-email`."""

import os
import pathlib
import pwd
import subprocess
import tempfile

from server import check, main

HOME = pathlib.Path(tempfile.mkdtemp(prefix="sendmail-"))
ANN, BOB = 0, 1


def command(server, name="sendmail"):
    """The program under the name that others call it by."""
    path = HOME / name
    if not path.exists():
        path.symlink_to(server.facts["program"])
    return str(path)


def environment(server):
    return dict(os.environ, POSTRIDER_CONFIG=server.facts["config"], HOME=str(HOME))


def call(server, *arguments, text, code=0, name="sendmail"):
    done = subprocess.run(
        [command(server, name), *arguments],
        input=text.encode(),
        env=environment(server),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stderr.decode()


def stored(server, user, subject):
    """The header fields and the text of the message with this subject."""
    client = server.imap(user)
    try:
        check(client.select("INBOX"))
        found = check(client.search(None, "HEADER", "Subject", f'"{subject}"'))[0].split()
        assert len(found) == 1, f"{subject}: {found}"
        octets = check(client.fetch(found[0], "(BODY.PEEK[])"))[0][1]
    finally:
        client.logout()
    header, _, body = octets.decode().partition("\r\n\r\n")
    fields = {}
    for line in header.replace("\r\n\t", " ").replace("\r\n ", " ").split("\r\n"):
        field, _, value = line.partition(": ")
        fields.setdefault(field.lower(), value)
    return fields, body


def who():
    return f"{pwd.getpwuid(os.getuid()).pw_name}@mail.example.test"


def cron_writes_to_root(server):
    """Debian's cron: the letter says From and To without a domain, and the line before the dot is no end."""
    text = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> job\n\nfirst\n.\nl\u00e4st\n10%\r100%\n"
    call(server, "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root", text=text)
    fields, body = stored(server, ANN, "job")
    assert fields["from"] == "root@mail.example.test (Cron Daemon)", fields
    assert fields["to"] == "root@mail.example.test", fields
    assert fields["return-path"] == f"<{who()}>", fields
    assert "date" in fields and "message-id" in fields, fields
    assert body == "first\r\n.\r\nl\u00e4st\r\n10%\r\n100%\r\n", repr(body)


def cronie_reads_recipients_from_the_header(server):
    text = "To: bob@example.test\nCc: Ann <ann@example.test>\nBcc: root\nSubject: by header\n\nbefore\n.\nafter\n"
    call(server, "-FCronDaemon", "-odi", "-oem", "-t", "-f", "root", text=text)
    for user in (ANN, BOB):
        fields, body = stored(server, user, "by header")
        assert "bcc" not in fields and body == "before\r\n", (fields, body)
        assert fields["from"].replace('"', "") == f"CronDaemon <{who()}>", fields


def another_name_in_from_is_seen_through(server):
    text = "From: Bob <bob@example.test>\nSubject: whose\n\nx\n"
    call(server, "-f", "bob@example.test", "ann@example.test", text=text)
    fields, _ = stored(server, ANN, "whose")
    assert fields["sender"] == f"<{who()}>" and fields["return-path"] == f"<{who()}>", fields


def what_is_not_taken_is_told(server):
    text = "Subject: never\n\nx\n"
    for recipients, code, said in [
        (["nobody@example.test"], 67, "No such user"),
        (["somebody@elsewhere.test"], 77, "somebody@elsewhere.test: 550 5.7.1"),
        (["ann smith"], 65, "is not an address"),
        ([], 64, "name a recipient"),
        (["-N", "sometimes", "ann@example.test"], 64, "-N takes"),
    ]:
        told = call(server, *recipients, text=text, code=code)
        assert said in told, told
    # Who can get it gets it.
    call(server, "nobody@example.test", "ann@example.test", text="Subject: half\n\nx\n", code=67)
    stored(server, ANN, "half")


def other_names_do_what_they_are_for(server):
    call(server, text="", name="newaliases")
    call(server, text="", name="mailq")
    told = call(server, "-bp", text="")
    assert "the queue is empty" in told, told
    talk = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.test>\r\nDATA\r\nSubject: spoken\r\n\r\nx\r\n.\r\nQUIT\r\n"
    call(server, "-bs", text=talk)
    stored(server, ANN, "spoken")


def s_nail_sends(server):
    mta = f"mta={command(server)}"
    done = subprocess.run(
        ["s-nail", "-:/", "-S", mta, "-s", "by s-nail", "root"],
        input=b"Hello.\n",
        env=environment(server),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    fields, body = stored(server, ANN, "by s-nail")
    assert "mail.example.test" in fields["to"] and body == "Hello.\r\n", (fields, body)


def git_sends(server):
    place = HOME / "repository"
    known = dict(environment(server), GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")

    def git(*arguments):
        author = ["-c", "user.name=Ann", "-c", "user.email=ann@example.test"]
        done = subprocess.run(
            ["git", *author, *arguments], cwd=place, env=known, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()

    place.mkdir()
    git("init", "-q")
    (place / "file").write_text("a line\n.\n")
    git("add", "file")
    git("commit", "-q", "-m", "A change by git")
    git(
        "send-email",
        f"--sendmail-cmd={command(server)} -i",
        "--from=Ann <ann@example.test>",
        "--to=bob@example.test",
        "--confirm=never",
        "--suppress-cc=all",
        "-1",
    )
    fields, body = stored(server, BOB, "A change by git")
    assert fields["from"] == "Ann <ann@example.test>" and "\r\n+.\r\n" in body, (fields, body)


main(
    cron_writes_to_root,
    cronie_reads_recipients_from_the_header,
    another_name_in_from_is_seen_through,
    what_is_not_taken_is_told,
    other_names_do_what_they_are_for,
    s_nail_sends,
    git_sends,
)
