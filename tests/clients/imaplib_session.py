"""A day in the life of a mailbox, by Python's imaplib."""

import imaplib
import re
import threading

from server import check, letter, main

MESSAGE = b"From: Ann <ann@example.test>\r\nTo: bob@example.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <%d@client.example>\r\n\r\nBody %d.\r\n"


def with_folder(name):
    def decorate(step):
        def run(server):
            client = server.imap()
            if name in [n for n in folders(client)]:
                check(client.delete(name))
            check(client.create(name))
            check(client.select(name))
            step(server, client)
            check(client.close())
            check(client.delete(name))
            client.logout()

        run.__name__ = step.__name__
        return run

    return decorate


def folders(client):
    return [re.search(rb'(?:"([^"]*)"|(\S+))$', line).group(1, 2) for line in check(client.list())]


def fill(client, folder, count):
    for n in range(1, count + 1):
        check(client.append(folder, None, None, MESSAGE % (n, n)))
    check(client.noop())


def logs_in_by_every_door(server):
    for listener in ("imap", "imaps"):
        client = server.imap(listener=listener)
        assert "IMAP4REV1" in client.capabilities
        client.logout()
    plain = imaplib.IMAP4(*server.at("imap"), timeout=30)
    try:
        plain.login(*server.users[0])
    except imaplib.IMAP4.error:
        pass
    else:
        raise AssertionError("a password was taken without TLS")
    plain.shutdown()
    client = imaplib.IMAP4_SSL(*server.at("imaps"), ssl_context=server.tls(), timeout=30)
    try:
        client.login(server.users[0][0], "wrong")
    except imaplib.IMAP4.error:
        pass
    else:
        raise AssertionError("a wrong password was taken")
    user, password = server.users[0]
    check(client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))
    client.logout()


def has_the_default_folders(server):
    client = server.imap()
    lines = b"\n".join(check(client.list()))
    for use in (b"\\Drafts", b"\\Sent", b"\\Junk", b"\\Trash", b"\\Archive"):
        assert use in lines, (use, lines)
    client.logout()


@with_folder("Fetching")
def appends_and_fetches(server, client):
    fill(client, "Fetching", 3)
    check(client.select("Fetching"))
    data = check(client.fetch("1:*", "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)"))
    assert len(data) == 3, data
    assert b'"=?utf-8?q?Gr=C3=BC=C3=9Fe?="' in data[0], data[0]
    body = check(client.fetch("2", "(BODY.PEEK[])"))[0][1]
    assert body == MESSAGE % (2, 2), body
    header = check(client.fetch("2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[0][1]
    assert header == b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n", header
    text = check(client.fetch("3", "(BODY.PEEK[TEXT]<2.3>)"))[0][1]
    assert text == b"dy ", text
    assert b"\\Seen" not in check(client.fetch("1", "(FLAGS)"))[0]
    check(client.fetch("1", "(BODY[])"))
    assert b"\\Seen" in check(client.fetch("1", "(FLAGS)"))[0]


@with_folder("Flags")
def changes_flags_and_expunges(server, client):
    fill(client, "Flags", 5)
    check(client.store("1:5", "+FLAGS", "(\\Flagged $Label1 custom)"))
    check(client.store("2", "-FLAGS", "(\\Flagged)"))
    check(client.store("3", "FLAGS.SILENT", "(\\Deleted)"))
    flags = check(client.fetch("1:5", "(FLAGS)"))
    assert b"custom" in flags[0] and b"\\Flagged" not in flags[1] and b"(\\Deleted" in flags[2], flags
    assert check(client.search(None, "KEYWORD", "custom")) == [b"1 2 4 5"]
    assert check(client.search(None, "DELETED")) == [b"3"]
    assert check(client.expunge()) == [b"3"]
    assert check(client.search(None, "ALL")) == [b"1 2 3 4"]
    uids = [int(re.search(rb"UID (\d+)", line).group(1)) for line in check(client.fetch("1:*", "(UID)"))]
    check(client.append("Flags", None, None, MESSAGE % (6, 6)))
    check(client.noop())
    last = check(client.fetch("*", "(UID)"))[0]
    assert int(re.search(rb"UID (\d+)", last).group(1)) > max(uids)


@with_folder("Copies")
def copies_and_moves(server, client):
    fill(client, "Copies", 4)
    check(client.create("Copies/Target"))
    check(client.copy("1:2", "Copies/Target"))
    check(client._simple_command("MOVE", "3", "Copies/Target"))
    check(client.noop())
    status = check(client.status("Copies/Target", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"))[0]
    assert b"MESSAGES 3" in status, status
    status = check(client.status("Copies", "(MESSAGES)"))[0]
    assert b"MESSAGES 3" in status, status
    check(client.delete("Copies/Target"))


@with_folder("Search")
def searches(server, client):
    fill(client, "Search", 4)
    for wanted, criteria in [
        (b"1 2 3 4", ("CHARSET", "UTF-8", "SUBJECT", '"Gr\u00fc\u00dfe"'.encode())),
        (b"2", ("BODY", '"Body 2"')),
        (b"1 2 3 4", ("FROM", '"ANN@example"')),
        (b"3 4", ("3:4",)),
        (b"1 3 4", ("NOT", "2")),
        (b"1 2", ("OR", "1", "2")),
        (b"", ("SEEN",)),
        (b"1 2 3 4", ("SENTON", "14-Nov-2023")),
        (b"1 2 3 4", ("SMALLER", "1000")),
        (b"2", ("HEADER", "Message-ID", '"2@client"')),
    ]:
        if criteria[0] == "CHARSET":
            client.literal = criteria[3].strip(b'"')
            found = check(client._simple_command("SEARCH", "CHARSET", "UTF-8", "SUBJECT"))
            found = client._untagged_response("OK", [None], "SEARCH")[1]
        else:
            found = check(client.search(None, *criteria))
        assert (found[0] or b"") == wanted, (criteria, found)


def manages_folders(server):
    client = server.imap()
    for name in ('"Lists/Rust &- Nix"', "Lists/Deep/Deeper", '"&AOQ-pfel"'):
        check(client.create(name))
        check(client.subscribe(name))
    names = b"\n".join(check(client.list()))
    for wanted in (b"Lists/Rust &- Nix", b"Lists/Deep/Deeper", b"&AOQ-pfel"):
        assert wanted in names, (wanted, names)
    subscribed = b"\n".join(check(client.lsub()))
    assert b"Lists/Deep/Deeper" in subscribed, subscribed
    check(client.rename("Lists/Deep", "Lists/Flat"))
    names = b"\n".join(check(client.list()))
    assert b"Lists/Flat/Deeper" in names and b"Lists/Deep" not in names, names
    check(client.create("INBOX"), "NO")
    check(client.delete("INBOX"), "NO")
    check(client.select("Nowhere"), "NO")
    for name in ("../../etc", "a/../b", '"a\\\\b/.."'):
        check(client.create(name), "NO")
    for name in ("Lists/Flat/Deeper", "Lists/Flat", '"Lists/Rust &- Nix"', '"&AOQ-pfel"'):
        check(client.unsubscribe(name))
        status, _ = client.delete(name)
    client.logout()


def tells_idle_sessions_of_new_mail(server):
    watcher = server.imap(1)
    check(watcher.select("INBOX"))
    before = int(check(watcher.status("INBOX", "(MESSAGES)"))[0].split()[-1].strip(b")"))
    watcher.send(b"W1 IDLE\r\n")
    assert watcher.readline().startswith(b"+")
    sender = server.smtp("submissions", 0)
    threading.Thread(target=lambda: sender.send_message(letter(server.users[0][0], server.users[1][0]))).start()
    line = watcher.readline()
    while b"EXISTS" not in line:
        line = watcher.readline()
    assert line == b"* %d EXISTS\r\n" % (before + 1), line
    watcher.send(b"DONE\r\n")
    while not watcher.readline().startswith(b"W1 OK"):
        pass
    watcher.logout()


def survives_nonsense(server):
    client = server.imap()
    for line in (b"X1 FETCH\r\n", b"X1 SELECT\r\n", b"X1\r\n", b"X1 NOSUCH\r\n", b"X1 UID\r\n", b"X1 SEARCH (((\r\n", b"X1 STORE 1 FLAGS\r\n"):
        client.send(line)
        answer = client.readline()
        while answer.startswith(b"* "):
            answer = client.readline()
        assert answer.startswith((b"X1 BAD", b"* BAD", b"X1 NO")), (line, answer)
    check(client.noop())
    client.logout()


main(
    logs_in_by_every_door,
    has_the_default_folders,
    appends_and_fetches,
    changes_flags_and_expunges,
    copies_and_moves,
    searches,
    manages_folders,
    tells_idle_sessions_of_new_mail,
    survives_nonsense,
)
