"""Looks at the bar of `postrider backup` on a pseudo-terminal, and that there is none anywhere else.

progress.py DESCRIPTION, where the description has `command`, `target` (a directory) and `messages`.
"""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

ERASE = "\r\x1b[K"
BAR = re.compile(r"(backup|verify|restore|export) (?:\[(#*) *\] +(\d+) %  )?(\d+) messages?, \S+")


def run(arguments, columns, terminal_for):
    """Runs the command with these streams on a terminal and the others in pipes; what came out of each."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    stream = lambda name: slave if name in terminal_for else subprocess.PIPE
    process = subprocess.Popen(arguments, stdin=slave, stdout=stream("stdout"), stderr=stream("stderr"))
    os.close(slave)
    shown = bytearray()

    def watch():
        while True:
            try:
                octets = os.read(master, 65536)
            except OSError:  # the other end is closed
                return
            if not octets:
                return
            shown.extend(octets)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate(timeout=300)
    watcher.join(60)
    os.close(master)
    text = lambda octets: None if octets is None else octets.decode()
    return process.returncode, shown.decode(), text(out), text(err)


def drawn(shown, columns):
    """The bars in what a terminal was sent, each within one line, and what is left when they are erased."""
    parts = shown.split(ERASE)
    assert len(parts) > 2, f"no bar: {shown!r}"
    before, bars, after = parts[0], parts[1:-1], parts[-1]
    assert before == "", f"something stands before the first bar: {shown!r}"
    for bar in bars:
        assert len(bar) < columns and "\n" not in bar and "\x1b" not in bar, f"{bar!r} does not fit into {columns}"
    assert "\x1b" not in after, repr(after)
    return bars, after.replace("\r\n", "\n")


def main():
    with open(sys.argv[1]) as file:
        description = json.load(file)
    command, messages = description["command"], description["messages"]
    backup = lambda *arguments: command + ["backup", *arguments]
    target = lambda name: os.path.join(description["target"], name)
    both = ("stdout", "stderr")

    # The first run does not know how much there is.
    code, shown, _, _ = run(backup("create"), 80, both)
    bars, after = drawn(shown, 80)
    assert code == 0 and after.count("\n") == 1 and f"has {messages} messages" in after, shown
    last = BAR.fullmatch(bars[-1])
    assert last and last[3] is None and int(last[4]) == messages, bars[-1]

    # The next ones do, and the bar grows to its end.
    for arguments in (["create", "--full"], ["restore", "--to", target("all")],
                      ["export", "--format", "mbox", "--user", "ann@example.test", "--to", target("mbox")]):
        code, shown, _, _ = run(backup(*arguments), 120, both)
        bars, after = drawn(shown, 120)
        found = [BAR.fullmatch(bar) for bar in bars]
        assert code == 0 and all(found) and after.strip() and "%" not in after, (arguments, shown)
        percents = [int(bar[3]) for bar in found]
        assert percents == sorted(percents) and percents[-1] == 100 and len(found[-1][2]) == 30, (arguments, shown)

    # On a narrow terminal a bar stays within its line.
    code, shown, _, _ = run(backup("create", "--full"), 24, both)
    bars, _ = drawn(shown, 24)
    assert code == 0 and bars[-1].startswith("backup [####"), shown

    # The result goes where standard output goes, the bar to the terminal.
    code, shown, out, _ = run(backup("verify"), 80, ("stderr",))
    bars, after = drawn(shown, 80)
    assert code == 0 and after == "" and BAR.fullmatch(bars[-1]), shown
    assert "everything is there" in out and "\r" not in out and "\x1b" not in out, out

    # Without a terminal for standard error there is none, whatever standard output is.
    for streams in ((), ("stdout",)):
        code, shown, out, err = run(backup("create", "--full"), 80, streams)
        assert code == 0 and err == "", err
        said = out if out is not None else shown
        assert "\x1b" not in said and "%" not in said and said.count("\n") == 1, said
    code, shown, _, _ = run(command + ["--json", "backup", "create", "--full"], 80, both)
    assert code == 0 and "\x1b" not in shown and json.loads(shown)["messages"] == messages, shown


main()
