"""Two-way synchronisation by mbsync (isync): everything down, then changes of both sides, then nothing left to do."""

import mailbox
import pathlib
import re
import subprocess
import tempfile

from server import check, letter, main

CONFIG = """
IMAPAccount server
Host {host}
Port {port}
User {user}
Pass {password}
{tls} IMAPS
CertificateFile {ca}

IMAPStore far
Account server

MaildirStore near
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel all
{far} :far:
{near} :near:
Patterns INBOX Archive Work*
Create Both
Remove Both
Expunge Both
SyncState *
"""


def version():
    text = subprocess.run(["mbsync", "--version"], capture_output=True, text=True).stdout
    return tuple(int(n) for n in re.search(r"(\d+)\.(\d+)", text).groups())


class Local:
    def __init__(self, server):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="mbsync-"))
        host, port = server.at("imaps")
        user, password = server.users[0]
        words = ("Far", "Near") if version() >= (1, 4) else ("Master", "Slave")
        (self.root / "mbsyncrc").write_text(
            CONFIG.format(
                # The name the certificate is for.
                host="localhost" if host == "127.0.0.1" else host,
                port=port,
                user=user,
                password=password,
                ca=server.facts["ca"],
                local=self.root,
                far=words[0],
                near=words[1],
                tls="TLSType" if version() >= (1, 5) else "SSLType",
            )
        )

    def sync(self):
        done = subprocess.run(
            ["mbsync", "-V", "-c", str(self.root / "mbsyncrc"), "all"], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def box(self, name="INBOX"):
        return mailbox.Maildir(str(self.root / name), create=False)


def subjects(box):
    return sorted(message["Subject"] for message in box)


def synchronises_both_ways(server):
    user = server.users[0][0]
    client = server.imap()
    client.delete("Work/Plans")
    check(client.create("Work/Plans"))
    for n in range(20):
        check(client.append("Work/Plans", "(\\Seen)" if n % 2 else None, None, letter(user, user, f"Plan {n:02}").as_bytes()))
    local = Local(server)
    local.sync()
    box = local.box("Work/Plans")
    assert subjects(box) == [f"Plan {n:02}" for n in range(20)], subjects(box)
    assert sum("S" in message.get_flags() for message in box) == 10

    # Theirs: a message goes, one is flagged, one comes.
    check(client.select("Work/Plans"))
    check(client.store("1", "+FLAGS", "(\\Deleted)"))
    check(client.expunge())
    check(client.store("1", "+FLAGS", "(\\Flagged)"))
    check(client.append("Work/Plans", None, None, letter(user, user, "Plan 20").as_bytes()))
    # Ours: a message comes, one is deleted, one is answered.
    box = local.box("Work/Plans")
    by_subject = {message["Subject"]: key for key, message in box.items()}
    box.add(mailbox.MaildirMessage(letter(user, user, "Plan 21")))
    box.remove(by_subject["Plan 05"])
    answered = box[by_subject["Plan 06"]]
    answered.add_flag("R")
    box[by_subject["Plan 06"]] = answered
    local.sync()
    wanted = sorted(f"Plan {n:02}" for n in range(22) if n not in (0, 5))
    assert subjects(local.box("Work/Plans")) == wanted
    check(client.select("Work/Plans"))
    headers = check(client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    there = {re.search(rb"Plan \d+", item[1]).group().decode(): item[0] for item in headers if isinstance(item, tuple)}
    assert sorted(there) == wanted, there
    assert b"\\Answered" in there["Plan 06"] and b"\\Flagged" in there["Plan 01"], there

    # Nothing is left to do: a third run moves nothing.
    before = {path: path.stat().st_mtime_ns for path in local.root.rglob("cur/*")}
    local.sync()
    assert before == {path: path.stat().st_mtime_ns for path in local.root.rglob("cur/*")}
    check(client.close())
    check(client.delete("Work/Plans"))
    client.logout()


main(synchronises_both_ways)
