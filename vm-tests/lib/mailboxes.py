"""What a mail program knows of somebody's mailboxes, as JSON: mailboxes.py HOST PORT USER PASSWORD.

TLS from the start on port 993, none elsewhere. Folders by name, each with its UIDVALIDITY, UIDNEXT, whether it is
subscribed, and of every message the UID, flags and subject.
"""

import imaplib
import json
import re
import ssl
import sys

host, port, user, password = sys.argv[1:]
# The tests' certificates are made on the spot.
context = ssl._create_unverified_context()
imap: imaplib.IMAP4
if port == "993":
    imap = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=20)
else:
    imap = imaplib.IMAP4(host, int(port), timeout=20)
imap.login(user, password)


def folders(command: str) -> set[str]:
    _, lines = getattr(imap, command)()
    found = (re.search(rb'"?([^" ]+)"?$', line) for line in lines if line)
    return {match[1].decode() for match in found if match}


def number(text: bytes, name: str) -> int:
    match = re.search(name.encode() + rb" (\d+)", text)
    assert match, text
    return int(match[1])


known = {}
subscribed = folders("lsub")
for folder in sorted(folders("list")):
    _, status = imap.status(folder, "(UIDVALIDITY UIDNEXT)")
    imap.select(folder, readonly=True)
    messages = {}
    for item in imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
        if isinstance(item, tuple):
            flags = sorted(flag.decode() for flag in imaplib.ParseFlags(item[0]) if flag != b"\\Recent")
            messages[number(item[0], "UID")] = [flags, item[1].decode().strip()]
    known[folder] = {
        "uidvalidity": number(status[0], "UIDVALIDITY"),
        "uidnext": number(status[0], "UIDNEXT"),
        "subscribed": folder in subscribed,
        "messages": messages,
    }
imap.logout()
json.dump(known, sys.stdout)
