#!/usr/bin/python3
"""How soon the monitoring page shows its first and its last content on a server with many users, and how long a search
among many events takes.

    page.py PROGRAM [--users 10000] [--events 763000] [--rounds 9]

PROGRAM is the built `postrider`. Needs Chromium with its driver and Python's selenium (Debian: chromium-driver
python3-selenium). Nothing is cached: the page is `no-store`, and each round loads it again.
"""

import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

USAGE = "INSERT INTO mailbox_usage_exact (user_id, bytes, messages, updated_at) VALUES (?, ?, ?, 0)"
KINDS = ["connection-refused", "login-accepted", "message-received", "verdict", "delivered", "queued", "relayed", "deferred"]


def fill(path, users, events):
    chance = random.Random(1)
    database = sqlite3.connect(path, timeout=60)
    (domain,) = database.execute("SELECT id FROM virtual_domains").fetchone()
    rows = [(domain, f"user{n}@example.test", "{BLF-CRYPT}none", 1024) for n in range(users)]
    database.executemany("INSERT INTO virtual_users (domain_id, email, password, quota_mb) VALUES (?, ?, ?, ?)", rows)
    ids = database.execute("SELECT id FROM virtual_users WHERE email LIKE 'user%'").fetchall()
    usage = [(user, chance.randrange(1 << 30), chance.randrange(20_000)) for (user,) in ids]
    database.executemany(USAGE, usage)

    def event(n):
        mark = f"{chance.getrandbits(64):016X}"
        details = {"reply": f"250 2.0.0 Ok: queued as {mark}", "host": f"mx{n % 7}.example{n % 3000}.net", "size": n,
                   "message_id": f"<{mark}@example{n % 3000}.org>", "signals": [{"name": "SPF_PASS", "weight": -0.1}] * (n % 8 == 3)}
        at = int(time.time() * 1e6) - (events - n) * 3_000_000
        subject = f"user{chance.randrange(users)}@example.test"
        return at, KINDS[n % 8], mark, subject, subject, json.dumps(details)

    sql = "INSERT INTO events (at, kind, mail, subject, subject_key, details) VALUES (?, ?, ?, ?, ?, ?)"
    database.executemany(sql, (event(n) for n in range(events)))
    database.commit()
    database.close()


def browser():
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tempfile.mkdtemp(prefix='chromium-')}")
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def paints(driver, at, rounds):
    first, whole = [], []
    for _ in range(rounds + 1):
        driver.get("about:blank")
        driver.get(at)
        while not driver.execute_script("return document.body?.dataset.state === 'fresh' && !document.body.hasAttribute('aria-busy')"):
            time.sleep(0.005)
        script = """return [performance.getEntriesByName('first-contentful-paint')[0].startTime,
                            Math.max(...performance.getEntriesByType('resource').map(one => one.responseEnd))]"""
        paint, last = driver.execute_script(script)
        first.append(paint)
        whole.append(last)
    # The first load starts the browser's own machinery.
    return first[1:], whole[1:]


def searches(at):
    """Searches for words in every event, in few, in only the oldest, and in none, timed until the answer is complete."""
    for name, word in (("frequent", "queued"), ("a user", "user77@"), ("nowhere", "zzz-nothing")):
        begun, first, rounds, found, following = time.time(), None, 0, 0, ""
        while True:
            with urllib.request.urlopen(f"{at}/api/v1/events?limit=100&text={word}{following}") as answer:
                page = json.load(answer)
            rounds += 1
            found += len(page["events"])
            first = first or time.time() - begun
            if found or page["next"] is None:
                break
            following = f"&from={page['next']}"
        print(f"search for {name}: answered after {first:.2f} s, {found} found after {time.time() - begun:.2f} s in {rounds} answers")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="page-") as directory:
        command = [wanted.program, "demo", "--dir", directory, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                facts = json.loads(server.stdout.readline())
                fill(facts["database"].removeprefix("sqlite:"), wanted.users, wanted.events)
                at = f"http://{facts['listeners']['dashboard']}"
                driver = browser()
                try:
                    first, whole = paints(driver, at, wanted.rounds)
                finally:
                    driver.quit()
                for name, values in (("first contentful paint", first), ("all data there", whole)):
                    print(f"{name}: median {statistics.median(values):.0f} ms, worst {max(values):.0f} ms of {len(values)}")
                if wanted.events:
                    searches(at)
            finally:
                server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
