#!/usr/bin/env python3
"""Accuracy and speed of the spam filter, side by side with spamd and rspamd on the same messages.

    spam.py CORPUS [--work DIR] [--postrider BIN] [--only postrider,spamd,rspamd] [--tune]

CORPUS contains the directories `ham` and `spam`, one message per file. Every third message of each is held out; all
filters are trained with the others, without a network, and then classify those held out. With `--tune` the held-out part
is not touched: the training part is divided again in the same way, for changing rules and weights.

For each filter: false positives and detections at its own threshold, detections at the threshold where it would have no
more false positives than spamd, and messages per second of CPU time of all its processes (including the start of
`postrider spam check`, which is a command; the others are warm daemons)."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def split(corpus, tune):
    train, judge = {}, {}
    for kind in ("ham", "spam"):
        files = sorted(p for p in (corpus / kind).iterdir() if p.is_file())
        train[kind] = [p for n, p in enumerate(files) if n % 3 != 2]
        judge[kind] = [p for n, p in enumerate(files) if n % 3 == 2]
        if tune:
            files = train[kind]
            train[kind] = [p for n, p in enumerate(files) if n % 3 != 1]
            judge[kind] = [p for n, p in enumerate(files) if n % 3 == 1]
    return train, judge


def cpu_of(root):
    """CPU time of a process and all its descendants, including exited ones, in seconds."""
    parents, times = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            times[int(entry.name)] = sum(map(int, fields[11:15])) / TICK
    total, wanted = 0.0, {root}
    while wanted:
        total += sum(times.get(p, 0.0) for p in wanted)
        wanted = {p for p, parent in parents.items() if parent in wanted}
    return total


def wait_for(number, process, seconds=300):
    for _ in range(seconds * 10):
        try:
            socket.create_connection(("127.0.0.1", number), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit("the filter did not start")
            time.sleep(0.1)
    process.kill()
    sys.exit("the filter does not answer")


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def postrider(work, train, judge, binary):
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("mail", "spool"):
        (work / folder).mkdir(parents=True)
    config = work / "postrider.toml"
    config.write_text(
        f'hostname = "mail.bench.test"\n[storage]\nmail_root = "{work}/mail"\ndatabase = "sqlite:{work}/db.sqlite"\n'
        f'[spool]\ndirectory = "{work}/spool"\n[server]\ncontrol_directory = "{work}"\nlog_level = "warn"\n'
        f'[[listener]]\nprotocol = "smtp"\nbind = ["127.0.0.1:{port()}"]\n'
    )
    base = [binary, "--config", str(config)]
    for kind, files in train.items():
        subprocess.run(base + ["spam", "learn", f"--{kind}"] + list(map(str, files)), check=True, stdout=subprocess.DEVNULL)
    files = [str(p) for kind in judge for p in judge[kind]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(base + ["--json", "spam", "check", "--no-network"] + files, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results = [json.loads(line) for line in out.stdout.splitlines()]
    (work / "results.jsonl").write_text(out.stdout)
    return {r["file"]: r["score"] for r in results}, 5.0, cpu


def ask_all(judge, ask):
    files = [p for kind in judge for p in judge[kind]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(map(str, files), pool.map(ask, files)))


def spamd(work, train, judge, _):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    work.chmod(0o777)
    options = [f"--cf=bayes_path {work}/bayes", "--cf=bayes_file_mode 0777", "--cf=bayes_auto_learn 0", "--cf=lock_method flock"]
    for kind, files in train.items():
        (work / "list").write_text("".join(f"{p}\n" for p in files))
        subprocess.run(
            ["sa-learn", f"--{kind}", "--no-sync", "-L", *options, "-f", str(work / "list")], check=True, stdout=subprocess.DEVNULL
        )
    subprocess.run(["sa-learn", "--sync", *options], check=True, stdout=subprocess.DEVNULL)
    for file in work.glob("bayes*"):
        file.chmod(0o666)
    number = port()
    process = subprocess.Popen(
        ["spamd", "-L", "-x", "-u", "nobody", "-p", str(number), "-i", "127.0.0.1", "-m", "2", "--min-children=2"]
        + ["--max-conn-per-child=100000", "-s", "stderr", *options],
        stderr=subprocess.DEVNULL,
    )
    wait_for(number, process)
    time.sleep(2)

    def ask(path):
        data = path.read_bytes()
        with socket.create_connection(("127.0.0.1", number), 300) as s:
            s.sendall(b"CHECK SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(data) + data)
            s.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: s.recv(65536), b""))
        return float(re.search(rb"Spam: \w+ ; (-?[\d.]+) /", answer)[1])

    before = cpu_of(process.pid)
    results = ask_all(judge, ask)
    cpu = cpu_of(process.pid) - before
    stop(process)
    return results, 5.0, cpu


def rspamd(work, train, judge, _):
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("local.d", "override.d", "db", "run", "log"):
        (work / folder).mkdir(parents=True)
    redis_port, number, controller = port(), port(), port()
    local = work / "local.d"
    (local / "redis.conf").write_text(f'servers = "127.0.0.1:{redis_port}";\n')
    (local / "classifier-bayes.conf").write_text('backend = "redis";\nautolearn = false;\nmin_learns = 50;\n')
    (local / "worker-normal.inc").write_text(f'bind_socket = "127.0.0.1:{number}";\ncount = 2;\n')
    (local / "worker-controller.inc").write_text(f'bind_socket = "127.0.0.1:{controller}";\nsecure_ip = "127.0.0.1";\n')
    (local / "worker-proxy.inc").write_text("enabled = false;\n")
    (local / "worker-fuzzy.inc").write_text("enabled = false;\n")
    (local / "logging.inc").write_text(f'type = "file";\nfilename = "{work}/log/rspamd.log";\nlevel = "error";\n')
    (local / "options.inc").write_text('dns { nameserver = ["127.0.0.1:1"]; timeout = 0.01s; retransmits = 1; }\n')
    for module in "rbl surbl asn dkim arc spf dmarc fuzzy_check greylist ratelimit replies neural mx_check phishing_feed".split():
        (local / f"{module}.conf").write_text("enabled = false;\n")
    redis = subprocess.Popen(
        ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(work)], stdout=subprocess.DEVNULL
    )
    wait_for(redis_port, redis)
    process = subprocess.Popen(
        ["rspamd", "-f", "-i", f"--var=LOCAL_CONFDIR={work}", f"--var=DBDIR={work}/db", f"--var=RUNDIR={work}/run"]
        + [f"--var=LOGDIR={work}/log"]
    )
    wait_for(number, process)
    wait_for(controller, process)
    time.sleep(3)

    def post(number, path, data):
        with socket.create_connection(("127.0.0.1", number), 300) as s:
            head = f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
            s.sendall(head.encode() + data)
            return b"".join(iter(lambda: s.recv(65536), b"")).split(b"\r\n\r\n", 1)[1]

    for kind, files in train.items():
        for path in files:
            post(controller, f"/learn{kind}", path.read_bytes())
    thresholds = []

    def ask(path):
        answer = json.loads(post(number, "/checkv2", path.read_bytes()))
        thresholds.append(answer.get("thresholds", {}).get("add header", 6.0))
        return float(answer["score"])

    before = cpu_of(process.pid)
    results = ask_all(judge, ask)
    cpu = cpu_of(process.pid) - before
    stop(process)
    stop(redis)
    return results, thresholds[0], cpu


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("corpus", type=pathlib.Path)
    arguments.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/postrider-spam-bench"))
    arguments.add_argument("--postrider", default=str(pathlib.Path(__file__).parents[1] / "target/release/postrider"))
    arguments.add_argument("--only", default="spamd,rspamd,postrider")
    arguments.add_argument("--tune", action="store_true")
    arguments = arguments.parse_args()
    train, judge = split(arguments.corpus, arguments.tune)
    print("trained with", {k: len(v) for k, v in train.items()}, "judged", {k: len(v) for k, v in judge.items()}, flush=True)
    filters = {"spamd": spamd, "rspamd": rspamd, "postrider": postrider}
    allowed = None
    for name in arguments.only.split(","):
        scores, threshold, cpu = filters[name]((arguments.work / name).resolve(), train, judge, arguments.postrider)
        ham = sorted((scores[str(p)] for p in judge["ham"]), reverse=True)
        spam = [scores[str(p)] for p in judge["spam"]]
        wrong, found = sum(s >= threshold for s in ham), sum(s >= threshold for s in spam)
        allowed = wrong if name == "spamd" else allowed
        line = f"{name}: at {threshold:g}: {wrong}/{len(ham)} false ({wrong / len(ham):.2%}), {found}/{len(spam)} found ({found / len(spam):.2%})"
        for most in sorted({0, 1, allowed if allowed is not None else 0}):
            limit = ham[most] if most < len(ham) else float("-inf")
            line += f"; {sum(s > limit for s in spam)} with {most} false (above {limit:g})"
        count = len(ham) + len(spam)
        print(f"{line}; {count} messages in {cpu:.2f} s CPU, {count / cpu:.1f} a second", flush=True)
        missed = [f"{scores[str(p)]:6.1f} ham  {p}" for p in judge["ham"] if scores[str(p)] >= threshold]
        missed += [f"{scores[str(p)]:6.1f} spam {p}" for p in judge["spam"] if scores[str(p)] < threshold]
        (arguments.work / f"{name}.wrong").write_text("\n".join(missed) + "\n")


main()
