"""Synchronisation by offlineimap3: down, changes of both sides, and a run that finds nothing to do."""

import mailbox
import pathlib
import subprocess
import tempfile

from server import check, letter, main

CONFIG = """
[general]
accounts = a
metadata = {root}/metadata
ui = basic
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {root}/mail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepass = {password}
ssl = yes
sslcacertfile = {ca}
folderfilter = lambda name: name in ("INBOX", "Offline")
"""


def sync(root):
    done = subprocess.run(
        ["offlineimap", "-o", "-c", str(root / "config")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "ERROR" not in done.stdout + done.stderr, done.stdout + done.stderr


def synchronises_both_ways(server):
    root = pathlib.Path(tempfile.mkdtemp(prefix="offlineimap-"))
    user, password = server.users[0]
    (root / "config").write_text(
        CONFIG.format(root=root, port=server.at("imaps")[1], user=user, password=password, ca=server.facts["ca"])
    )
    client = server.imap()
    check(client.create("Offline"))
    for n in range(10):
        check(client.append("Offline", None, None, letter(user, user, f"Letter {n}").as_bytes()))
    sync(root)
    box = mailbox.Maildir(str(root / "mail" / "Offline"), create=False)
    assert len(box) == 10, len(box)
    check(client.select("Offline"))
    check(client.store("1:3", "+FLAGS", "(\\Deleted)"))
    check(client.expunge())
    box.add(mailbox.MaildirMessage(letter(user, user, "From here")))
    sync(root)
    check(client.noop())
    assert check(client.search(None, "ALL"))[0].split() == [b"%d" % n for n in range(1, 9)]
    assert len(mailbox.Maildir(str(root / "mail" / "Offline"), create=False)) == 8
    sync(root)
    assert len(mailbox.Maildir(str(root / "mail" / "Offline"), create=False)) == 8
    check(client.close())
    check(client.delete("Offline"))
    client.logout()


main(synchronises_both_ways)
