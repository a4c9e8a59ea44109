#!/usr/bin/env python3
"""Backups of 100,000 messages (1 GiB) compared with `tar | zstd -T0` of the same files.

    backup.py [--program target/release/postrider] [--messages 100000] [--rounds 3] [--dir DIRECTORY]

First run, second run with 1 % new mail, and restore. Turns alternate, and the best of the rounds counts. Everything is
read once beforehand, so that both find the files in memory. Postrider syncs everything to the disk before it ends;
`tar` and `zstd` do not, and are measured with and without `sync -f` of what they wrote.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

USERS = 20
WORDS = [f"{a}{b}{c}" for a in ("re", "un", "con", "mail") for b in "aeiou" for c in ("ter", "sion", "ble", "ny", "l", "st")]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def content(chance, size):
    """Half text, half an incompressible attachment in base64."""
    text = []
    length = 0
    while length < size // 2:
        line = " ".join(chance.choices(WORDS, k=9)) + "\r\n"
        text.append(line)
        length += len(line)
    noise = "".join(chance.choices(ALPHABET, k=max(size - length, 0)))
    lines = [noise[at : at + 76] + "\r\n" for at in range(0, len(noise), 76)]
    return "".join(text + lines).encode()


def deliver(root, first, count, chance, average):
    for n in range(first, first + count):
        home = root / "example.test" / f"user{n % USERS}"
        folder = home / (".Archive" if n % 3 == 0 else "")
        for directory in ("cur", "new", "tmp"):
            (folder / directory).mkdir(parents=True, exist_ok=True)
            (home / directory).mkdir(parents=True, exist_ok=True)
        size = min(int(chance.lognormvariate(0, 1.2) * average / 2.05) + 600, 4 << 20)
        head = f"From: a{n}@b.test\r\nTo: user{n % USERS}@example.test\r\nMessage-ID: <{n}@b.test>\r\nSubject: {n}\r\n\r\n"
        message = head.encode() + content(chance, size)
        name = f"{1_700_000_000 + n}.M{n}P1Q{n}.host,U={n // USERS + 1},S={len(message)},W={len(message)}:2,S"
        (folder / "cur" / name).write_bytes(message)


def timed(command):
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, shell=isinstance(command, str))
    return time.perf_counter() - begun


def size_of(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--program", default="target/release/postrider")
    arguments.add_argument("--messages", type=int, default=100_000)
    arguments.add_argument("--average", type=int, default=10_700)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--dir")
    asked = arguments.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="backup-bench-", dir=asked.dir))
    try:
        measure(asked, place)
    finally:
        shutil.rmtree(place)


def measure(asked, place):
    mail, backups = place / "mail", place / "backups"
    config = place / "postrider.toml"
    config.write_text(
        f'hostname = "mail.example.test"\n[server]\ncontrol_directory = "{place}/run"\n'
        f'[storage]\nmail_root = "{mail}"\ndatabase = "sqlite:{place}/postrider.sqlite"\n'
        f'[spool]\ndirectory = "{place}/spool"\n[backup]\ndestination = "{backups}"\n'
        f'[[listener]]\nprotocol = "imap"\nbind = ["127.0.0.1:0"]\n'
    )
    chance = random.Random(7)
    deliver(mail, 0, asked.messages, chance, asked.average)
    program = [asked.program, "--config", str(config), "backup"]
    octets = size_of(mail)
    print(json.dumps({"messages": asked.messages, "octets": octets, "cores": os.cpu_count(), "load": os.getloadavg()[0]}))
    subprocess.run(f"cat {mail}/example.test/*/cur/* > /dev/null 2>&1 || true", shell=True, check=False)
    tarball = place / "mail.tar.zst"
    pack = f"tar -C {mail} -cf - . | zstd -T0 -q -f -o {tarball}"
    best = {}

    def note(what, seconds):
        best[what] = min(seconds, best.get(what, seconds))

    for _ in range(asked.rounds):
        note("tar | zstd -T0", timed(pack))
        note("tar | zstd -T0, then sync", timed(f"{pack} && sync -f {tarball}"))
        shutil.rmtree(backups, ignore_errors=True)
        note("first backup", timed([*program, "create"]))
    packed, stored = tarball.stat().st_size, size_of(backups)
    new = asked.messages // 100
    for turn in range(asked.rounds):
        deliver(mail, asked.messages + turn * new, new, chance, asked.average)
        note("second backup, 1 % new", timed([*program, "create"]))
    for _ in range(asked.rounds):
        for target in ("tar", "ours"):
            shutil.rmtree(place / target, ignore_errors=True)
        (place / "tar").mkdir()
        unpack = f"zstd -dcq {tarball} | tar -C {place}/tar -xf -"
        note("zstd | tar -x", timed(unpack))
        shutil.rmtree(place / "tar")
        (place / "tar").mkdir()
        note("zstd | tar -x, then sync", timed(f"{unpack} && sync -f {place}/tar"))
        note("restore", timed([*program, "restore", "--to", str(place / "ours")]))
    same = f"diff -rq {mail} {place}/ours/mail | head -1"
    differs = subprocess.run(same, shell=True, check=True, capture_output=True, text=True).stdout
    note("verify, every octet", timed([*program, "verify"]))
    for what, seconds in best.items():
        print(json.dumps({"what": what, "seconds": round(seconds, 3)}))
    ratio = {
        "first backup to tar | zstd": best["tar | zstd -T0"] / best["first backup"],
        "first backup to tar | zstd, both on disk": best["tar | zstd -T0, then sync"] / best["first backup"],
        "second backup to tar | zstd": best["tar | zstd -T0"] / best["second backup, 1 % new"],
        "restore to tar -x": best["zstd | tar -x"] / best["restore"],
        "restore to tar -x, both on disk": best["zstd | tar -x, then sync"] / best["restore"],
        "size to that of tar | zstd": stored / packed,
    }
    print(json.dumps({"times faster": {what: round(times, 2) for what, times in ratio.items()}, "differs": differs}))


main()
