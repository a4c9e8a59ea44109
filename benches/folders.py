#!/usr/bin/env python3
"""The cost of operations in a folder of 1,000 messages and in one of 100,000, and of a second login.

    folders.py TARGET          a target script of the side-by-side benchmark, here benches/postrider.sh

Run it after the benchmark's `imap` suite, which fills the inboxes of user0801 (1,000 messages) and user0803 (100,000).
After a restart of the server, the first SELECT has a cold index. Turns alternate, so that noise affects both folders
alike. CPU time is that of the server's main processes (`BENCH_PIDS`), without their children.
"""

import re
import socket
import statistics
import subprocess
import sys
import time

BODY = b"From: a@sender.example\r\nSubject: x\r\n\r\n" + b"a line of text\r\n" * 150
FOLDERS = {1_000: "user0801@bench.test", 100_000: "user0803@bench.test"}
TURNS, BLOCK = 6, 10

environment = subprocess.run([sys.argv[1], "env"], capture_output=True, text=True, check=True).stdout
target = dict(re.findall(r"(BENCH_\w+)=(\S*)", environment))


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection((target["BENCH_HOST"], int(target[port])))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")

    def imap(self, command, literal=b""):
        announced = b" {%d+}\r\n%s" % (len(literal), literal) if literal else b""
        self.socket.sendall(b"a " + command.encode() + announced + b"\r\n")
        for line in self.lines:
            if line.startswith(b"a "):
                assert line.startswith(b"a OK"), line
                return

    def smtp(self, command=b"", code=b"250"):
        self.socket.sendall(command)
        while (line := self.lines.readline())[3:4] == b"-":
            pass
        assert line.startswith(code), line


def log_in(user):
    client = Client("BENCH_IMAP")
    client.lines.readline()
    return client, timed(lambda: client.imap(f"LOGIN {user} benchpass"))


def timed(work):
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3


def cpu():
    """CPU time used by the server, in milliseconds."""
    fields = [open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split() for pid in target["BENCH_PIDS"].split(",")]
    return sum(int(f[11]) + int(f[12]) for f in fields) * 10


def tell(what, times, used=None):
    line = f"{what:<34} median {statistics.median(times):9.3f}  best {min(times):9.3f}  worst {max(times):9.3f} ms"
    print(line + (f"  CPU {used:.2f} ms" if used is not None else ""), flush=True)


sessions = {}
for size, user in FOLDERS.items():
    sessions[size] = log_in(user)[0]
    tell(f"first SELECT, {size}", [timed(lambda: sessions[size].imap("SELECT INBOX"))])
    tell(f"SELECT again, {size}", [timed(lambda: sessions[size].imap("SELECT INBOX")) for _ in range(20)])

smtp = Client("BENCH_SMTP")
smtp.smtp(code=b"220")
smtp.smtp(b"EHLO load.bench.example\r\n")


def store(size, turn):
    sign = "+-"[turn % 2]
    return timed(lambda: sessions[size].imap(f"STORE {7 + turn // 2 * 13} {sign}FLAGS.SILENT (\\Draft)"))


def append(size, _):
    return timed(lambda: sessions[size].imap("APPEND INBOX (\\Seen)", BODY))


def deliver(size, _):
    smtp.smtp(b"MAIL FROM:<a@sender.example>\r\n")
    smtp.smtp(f"RCPT TO:<{FOLDERS[size]}>\r\n".encode())
    smtp.smtp(b"DATA\r\n", b"354")
    return timed(lambda: smtp.smtp(BODY + b".\r\n"))


def expunge(size, _):
    sessions[size].imap("STORE 5 +FLAGS.SILENT (\\Deleted)")
    return timed(lambda: sessions[size].imap("EXPUNGE"))


for what, work in ("flag change", store), ("APPEND", append), ("delivery", deliver), ("EXPUNGE of one", expunge):
    times, used = {size: [] for size in FOLDERS}, dict.fromkeys(FOLDERS, 0)
    for turn in range(TURNS):
        for size, session in sessions.items():
            session.imap("NOOP")
            before = cpu()
            times[size] += [work(size, turn * BLOCK + n) for n in range(BLOCK)]
            used[size] += cpu() - before
    for size in FOLDERS:
        tell(f"{what}, {size}", times[size], used[size] / TURNS / BLOCK)

first = log_in("user0990@bench.test")[1]
tell("login, bcrypt cost 12, first", [first])
before = cpu()
tell("login, bcrypt cost 12, again", [log_in("user0990@bench.test")[1] for _ in range(100)], (cpu() - before) / 100)
