"""A person at a console: runs a program on a terminal of its own, and types an answer whenever it has asked.

console.py PROGRAM STEPS    STEPS is a JSON list of [question, answer] or [question, answer, "unseen"]; prints what
                            the terminal has shown

An unseen answer is typed when the terminal has stopped showing what is typed, and not before.
"""

import json
import os
import pty
import select
import sys
import termios
import time

program, steps = sys.argv[1], json.loads(sys.argv[2])
end = time.monotonic() + 300
shown = b""
child, terminal = pty.fork()
if child == 0:
    os.execvp(program, [program])


def give_up(why: str) -> None:
    sys.exit(f"{why}; the terminal shows:\n{shown.decode(errors='replace')}")


def read_on() -> bytes:
    """What is shown next; nothing when the program has ended."""
    ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
    if not ready:
        give_up("nothing more is said")
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


seen = 0
for question, answer, *unseen in steps:
    while (found := shown.find(question.encode(), seen)) < 0:
        part = read_on()
        if not part:
            give_up(f"it ended before it asked `{question}`")
        shown += part
    seen = found + len(question)
    while unseen and termios.tcgetattr(terminal)[3] & termios.ECHO:
        if time.monotonic() > end:
            give_up(f"`{question}` shows what is typed")
        time.sleep(0.05)
    os.write(terminal, answer.encode() + b"\n")

while part := read_on():
    shown += part
print(shown.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
