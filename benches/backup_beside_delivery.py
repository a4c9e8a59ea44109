#!/usr/bin/env python3
"""LMTP delivery rate while backups are taken, compared with the rate without.

    backup_beside_delivery.py [--program target/release/postrider] [--messages 20000] [--seconds 10] [--clients 4] [--rounds 3]

A server with a mailbox of the given number of messages accepts mail from several clients at once; in every other turn
`backup create --full` runs repeatedly at the same time. The median of the rounds counts.
"""

import argparse
import json
import os
import pathlib
import shutil
import smtplib
import socket
import statistics
import subprocess
import tempfile
import threading
import time

TEXT = ("A line of a message that says something.\r\n" * 100)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", default="target/release/postrider")
    arguments.add_argument("--messages", type=int, default=20_000)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--clients", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--dir")
    asked = arguments.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="backup-beside-", dir=asked.dir))
    try:
        measure(asked, place)
    finally:
        shutil.rmtree(place)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(asked, place):
    port = free_port()
    config = place / "postrider.toml"
    config.write_text(
        f'hostname = "mail.example.test"\n[server]\ncontrol_directory = "{place}/run"\n'
        f'[storage]\nmail_root = "{place}/mail"\ndatabase = "sqlite:{place}/postrider.sqlite"\n'
        f'[spool]\ndirectory = "{place}/spool"\n[backup]\ndestination = "{place}/backups"\n'
        f'[[listener]]\nprotocol = "lmtp"\nbind = ["127.0.0.1:{port}"]\n'
    )
    (place / "mail").mkdir()
    program = [asked.program, "--config", str(config)]
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    subprocess.run([*program, "domain", "add", "example.test"], **quiet)
    users = [f"user{n}@example.test" for n in range(asked.clients)]
    for user in [*users, "old@example.test"]:
        subprocess.run([*program, "user", "add", user], input=b"a-long-password\n", **quiet)
    old = place / "mail/example.test/old"
    for directory in ("cur", "new", "tmp"):
        (old / directory).mkdir(parents=True)
    for n in range(asked.messages):
        (old / "cur" / f"{1_700_000_000 + n}.M{n}P1.host:2,S").write_text(f"Subject: {n}\r\n\r\n{os.urandom(3000).hex()}\r\n")
    server = subprocess.Popen([*program, "serve"], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        rates = {"alone": [], "beside a backup": []}
        backups = 0
        for _ in range(asked.rounds):
            rates["alone"].append(deliver(users, port, asked.seconds))
            stop = threading.Event()
            counted = []
            beside = threading.Thread(target=back_up, args=([*program, "backup", "create", "--full"], stop, counted))
            beside.start()
            rates["beside a backup"].append(deliver(users, port, asked.seconds))
            stop.set()
            beside.join()
            backups += len(counted)
    finally:
        server.terminate()
        server.wait()
    median = {what: round(statistics.median(values), 1) for what, values in rates.items()}
    share = round(100 * median["beside a backup"] / median["alone"])
    print(json.dumps({"delivered a second": median, "percent": share, "backups": backups, "load": os.getloadavg()[0]}))


def wait_for(port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not listen")


def back_up(command, stop, counted):
    while not stop.is_set():
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        counted.append(1)


def deliver(users, port, seconds):
    """Messages per second of all clients together."""
    end = time.monotonic() + seconds
    counts = [0] * len(users)

    def client(n):
        with smtplib.LMTP("127.0.0.1", port) as lmtp:
            while time.monotonic() < end:
                text = f"From: a@b.test\r\nTo: {users[n]}\r\nMessage-ID: <{n}.{time.monotonic_ns()}@b.test>\r\n\r\n{TEXT}"
                lmtp.sendmail("a@b.test", [users[n]], text)
                counts[n] += 1

    clients = [threading.Thread(target=client, args=(n,)) for n in range(len(users))]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return sum(counts) / seconds


main()
