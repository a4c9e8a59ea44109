"""A day in the life of a mailbox, by Python's imaplib."""

import base64
import imaplib
import os
import re
import threading
import zlib

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


@with_folder("Sorted")
def sorts_and_threads(server, client):
    for subject, sender, day, more in [
        ("b", "zoe", 3, ""),
        ("Re: a", "ann", 2, "In-Reply-To: <1@sort.example>"),
        ("[list] A", "bob", 1, "Message-ID: <1@sort.example>"),
    ]:
        head = f"From: {sender} <{sender}@example.test>\r\nDate: {day} Nov 2023 12:00:00 +0000\r\nSubject: {subject}\r\n"
        check(client.append("Sorted", None, None, f"{head}{more}\r\n\r\nbody\r\n".replace("\r\n\r\n\r\n", "\r\n\r\n").encode()))
    check(client.noop())
    assert check(client.sort("(DATE)", "UTF-8", "ALL")) == [b"3 2 1"]
    assert check(client.sort("(SUBJECT REVERSE DATE)", "UTF-8", "ALL")) == [b"2 3 1"]
    assert check(client.uid("SORT", "(REVERSE DISPLAYFROM)", "UTF-8", "1:2")) == [b"1 2"]
    assert check(client.thread("REFERENCES", "UTF-8", "ALL")) == [b"(3 2)(1)"]
    assert check(client.thread("ORDEREDSUBJECT", "UTF-8", "SUBJECT", "a")) == [b"(3 2)"]


class Compressed:
    """The two directions of a client's connection, compressed by Python's zlib."""

    def __init__(self, client):
        self.socket, self.buffer = client.sock, b""
        self.out, self.into = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.decompressobj(-15)
        self.received = self.read_octets = 0
        client.send, client.read, client.readline = self.send, self.read, self.readline

    def send(self, data):
        self.socket.sendall(self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))

    def more(self):
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        self.received += len(data)
        self.buffer += self.into.decompress(data)

    def take(self, count):
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        self.read_octets += count
        return taken

    def read(self, count):
        while len(self.buffer) < count:
            self.more()
        return self.take(count)

    def readline(self):
        while b"\n" not in self.buffer:
            self.more()
        return self.take(self.buffer.index(b"\n") + 1)


def compresses(server):
    client = server.imap()
    assert b"COMPRESS=DEFLATE" in check(client.capability())[0]
    imaplib.Commands.setdefault("COMPRESS", ("AUTH", "SELECTED"))
    check(client._simple_command("COMPRESS", "DEFLATE"))
    pipe = Compressed(client)
    answer, data = client._simple_command("COMPRESS", "DEFLATE")
    assert answer == "NO" and b"COMPRESSIONACTIVE" in data[0], (answer, data)
    assert b"COMPRESS" not in check(client.capability())[0]
    check(client.create("Compressed"))
    check(client.select("Compressed"))
    large = letter("ann@example.test", "bob@example.test").as_bytes() + b"0123456789 abcdefghij\r\n" * 20000
    large = large.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    noise = b"Subject: noise\r\n\r\n" + base64.encodebytes(os.urandom(300000)).replace(b"\n", b"\r\n")
    for message in (large, noise):
        check(client.append("Compressed", None, None, message))
    check(client.noop())
    fetched = check(client.fetch("1:2", "(BODY.PEEK[])"))
    assert [part[1] for part in fetched if isinstance(part, tuple)] == [large, noise]
    assert pipe.received < pipe.read_octets * 0.8, (pipe.received, pipe.read_octets)
    for n in range(3):
        client.send(b"I%d IDLE\r\n" % n)
        assert pipe.readline().startswith(b"+")
        other = server.imap()
        check(other.append("Compressed", None, None, MESSAGE % (n, n)))
        other.logout()
        line = pipe.readline()
        while b"EXISTS" not in line:
            line = pipe.readline()
        client.send(b"DONE\r\n")
        while not pipe.readline().startswith(b"I%d OK" % n):
            pass
    check(client.close())
    check(client.delete("Compressed"))
    client.logout()


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
    sorts_and_threads,
    compresses,
    survives_nonsense,
)
