"""For the model of IMAP clients: responses as values. Atoms and strings are str, lists are list, NIL is None.

imaplib is not enough here: it does not say during which command a response has come, and that is what matters.
"""

import re


class Gone(Exception):
    """The connection has ended."""


class Wire:
    """One connection. `note` is given everything that passes, and by whom."""

    def __init__(self, socket, note):
        self.socket, self.note = socket, note
        self.buffer = b""

    def send(self, octets):
        self.note("C", octets)
        try:
            self.socket.settimeout(60)
            self.socket.sendall(octets)
        except OSError as error:
            raise Gone(str(error)) from error

    def response(self, patience=60):
        """The next response with its literals; TimeoutError when none comes."""
        at = 0
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                self.receive(patience)
                continue
            literal = re.search(rb"\{(\d+)\}$", self.buffer[at:end])
            if not literal:
                octets, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
                self.note("S", octets)
                return octets
            at = end + 2 + int(literal.group(1))
            while len(self.buffer) < at:
                self.receive(patience)

    def receive(self, patience):
        self.socket.settimeout(patience)
        try:
            octets = self.socket.recv(65536)
        except TimeoutError:
            raise
        except OSError as error:
            raise Gone(str(error)) from error
        if not octets:
            raise Gone("the server has closed the connection")
        self.buffer += octets


def parse(octets):
    """The tokens of a response; of a condition the first two and its code, as a list, instead of its text."""
    condition = re.match(rb"(\S+) (OK|NO|BAD|BYE|PREAUTH)( |$)", octets, re.I)
    if condition:
        rest = octets[condition.end() :]
        code = items(rest, 1, b"]")[0] if rest.startswith(b"[") else None
        return [condition.group(1).decode(), condition.group(2).decode().upper(), code]
    return items(octets + b"\r\n", 0, b"\r\n")[0]


def items(octets, at, end):
    """Values up to an end, and where it goes on."""
    values = []
    while not octets.startswith(end, at):
        if octets[at : at + 1] == b" ":
            at += 1
            continue
        value, at = item(octets, at, end)
        values.append(value)
    return values, at + len(end)


def item(octets, at, end):
    if octets[at : at + 1] == b"(":
        return items(octets, at + 1, b")")
    if octets[at : at + 1] == b'"':
        quoted = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S).match(octets, at)
        return re.sub(rb"\\(.)", rb"\1", quoted.group(1)).decode(), quoted.end()
    if octets[at : at + 1] == b"{":
        literal = re.compile(rb"\{(\d+)\}\r\n").match(octets, at)
        stop = literal.end() + int(literal.group(1))
        return octets[literal.end() : stop].decode(), stop
    # Section names have brackets with anything inside.
    atom = re.compile(rb"(?:\[[^]]*\]|[^\s()\]])+" if end == b"]" else rb"(?:\[[^]]*\]|[^\s()])+").match(octets, at)
    assert atom, f"cannot be read: {octets[at:]!r}"
    word = atom.group().decode()
    return (None if word == "NIL" else word), atom.end()


def numbers(text):
    """The numbers of a set, in its order."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        low, high = sorted((int(first), int(last or first)))
        found.extend(range(low, high + 1))
    return found


def as_set(values):
    """Numbers as a set."""
    runs = []
    for value in sorted(set(values)):
        if runs and runs[-1][1] + 1 == value:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ",".join(f"{low}:{high}" if high > low else f"{low}" for low, high in runs)
