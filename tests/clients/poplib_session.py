"""Collecting mail, by Python's poplib."""

import poplib

from server import letter, main


def send(server, count):
    client = server.smtp("submissions", 0)
    ids = []
    for n in range(count):
        message = letter(server.users[0][0], server.users[1][0], f"Letter {n}", f".dot {n}\nLine 2\nLine 3\n")
        client.send_message(message)
        ids.append(message["Message-ID"])
    client.quit()
    for name in ids:
        server.wait_for(1, name)
    return ids


def logs_in_by_every_door(server):
    for listener in ("pop3", "pop3s"):
        client = server.pop3(1, listener)
        assert "UIDL" in client.capa()
        client.quit()
    plain = poplib.POP3(*server.at("pop3"), timeout=30)
    try:
        plain.user(server.users[0][0])
        plain.pass_(server.users[0][1])
    except poplib.error_proto:
        pass
    else:
        raise AssertionError("a password was taken without TLS")
    plain.close()


def collects_and_deletes(server):
    send(server, 3)
    client = server.pop3(1)
    count, size = client.stat()
    assert count >= 3 and size > 0
    listed = client.list()[1]
    uidl = [line.split()[1] for line in client.uidl()[1]]
    assert len(listed) == len(uidl) == count and len(set(uidl)) == count
    lines = client.retr(count)[1]
    assert b".dot 2" in lines and b"Line 3" in lines, lines
    top = client.top(count, 1)[1]
    assert b".dot 2" in top and b"Line 2" not in top, top
    assert sum(len(line) + 2 for line in lines) == int(listed[-1].split()[1])
    client.dele(count)
    client.rset()
    assert client.stat()[0] == count
    client.dele(count)
    client.quit()
    client = server.pop3(1)
    assert client.stat()[0] == count - 1
    again = [line.split()[1] for line in client.uidl()[1]]
    assert again == uidl[:-1], (again, uidl)
    client.quit()


def refuses_what_is_not_there(server):
    client = server.pop3(1)
    for step in (client.retr, client.dele, client.list, client.uidl):
        try:
            step(99999)
        except poplib.error_proto as error:
            assert b"-ERR" in error.args[0]
        else:
            raise AssertionError("a message that is not there was found")
    client.quit()


main(logs_in_by_every_door, collects_and_deletes, refuses_what_is_not_there)
