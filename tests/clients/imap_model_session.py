"""For the model of IMAP clients: one session, and what its client believes by RFC 3501, 9051, 7162 and 5465."""

import re
import socket
from dataclasses import dataclass, field

from imap_model_wire import Gone, Wire, as_set, numbers, parse

SUBJECT = "BODY[HEADER.FIELDS (SUBJECT)]"


class Wrong(AssertionError):
    """The server has said what it must not say."""


def flag_set(words):
    return frozenset(word.lower() for word in words) - {"\\recent"}


@dataclass(eq=False)
class Entry:
    """A message as a client knows it; None is what it has not been told."""

    uid: int | None = None
    flags: frozenset | None = None
    mod_seq: int | None = None
    subject: str | None = None

    def is_known(self):
        return None not in (self.uid, self.flags, self.subject)


@dataclass
class Checkpoint:
    """What a client has written down of a mailbox, with which it comes back."""

    who: str
    folder: str
    validity: int
    mod_seq: int
    flags: dict
    subjects: dict
    # Some of it the client has concluded and not been told.
    guessed: bool = False

    def __str__(self):
        return f"what {self.who} knew of {self.folder} {self.validity} at {self.mod_seq}: {sorted(self.flags)}"


@dataclass(eq=False)
class Selected:
    """The mailbox that a session is in."""

    folder: str
    read_only: bool
    opening: bool = True
    entries: list = field(default_factory=list)
    validity: int | None = None
    uid_next: int | None = None
    announced: int | None = None
    keywords: set = field(default_factory=set)
    saved: set = field(default_factory=set)
    # What was told as vanished earlier while it was opened.
    early: list = field(default_factory=list)
    # Changes of flags are not told, as the client has asked by NOTIFY.
    deaf: bool = False

    def uids(self):
        return [entry.uid for entry in self.entries]

    def place(self, uid):
        """Where a message stands; if the client does not know it yet, one of the unknown between its neighbours."""
        unknown = None
        for at, entry in enumerate(self.entries):
            if entry.uid == uid:
                return at
            if entry.uid is None:
                unknown = at
            elif entry.uid < uid:
                unknown = None
            else:
                break
        return unknown

    def is_known(self):
        return all(entry.is_known() for entry in self.entries)


@dataclass(eq=False)
class Running:
    """A command that was sent and is not answered yet."""

    text: str
    tag: str
    expunges: bool = True
    silent: bool = False
    asks_vanished: bool = False
    after: object = None
    on_found: object = None
    on_code: object = None
    # What has come with it.
    fetched: set = field(default_factory=set)
    flagged: list = field(default_factory=list)
    vanished: set = field(default_factory=set)
    early: set = field(default_factory=set)


class Session:
    """A connection that is logged in. `kind` says what the client has enabled."""

    def __init__(self, world, name, kind=()):
        self.world, self.name, self.kind = world, name, kind
        self.dead = True

    def connect(self):
        self.tags = 0
        self.running = self.idle = self.selected = self.opening = self.notify = self.bye = None
        # What NOTIFY tells of mailboxes that are not selected.
        self.status, self.names = {}, None
        # The mailbox was deleted or renamed by another session, which ends this one.
        self.doomed = False
        self.condstore = "CONDSTORE" in self.kind or "QRESYNC" in self.kind
        self.qresync, self.rev2 = "QRESYNC" in self.kind, "IMAP4rev2" in self.kind
        tls = self.world.server.tls()
        stream = tls.wrap_socket(socket.create_connection(self.world.server.at("imaps"), 60), server_hostname="localhost")
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire = Wire(stream, lambda who, octets: self.world.note(self.name, who, octets))
        self.dead = False
        self.wire.response()
        self.ok("LOGIN {} {}".format(*self.world.user))
        if self.kind:
            self.ok("ENABLE " + " ".join(self.kind))
        return self

    def drop(self):
        """As when the line is cut."""
        self.note_checkpoint()
        self.dead = True
        self.selected = self.running = self.idle = None
        self.wire.socket.close()

    def wrong(self, text):
        raise Wrong(f"{self.name}: {text}")

    # Commands.

    def start(self, text, behind="", **about):
        """Sends a command, and at once what comes behind it."""
        self.tags += 1
        self.running = Running(text, f"{self.name}{self.tags}", **about)
        self.wire.send(f"{self.running.tag} {text}\r\n{behind}".encode())
        return self.running

    def finish(self):
        """Reads until the command is answered: its condition and code."""
        running = self.running
        while True:
            octets = self.receive()
            tokens = parse(octets)
            if tokens[0] != running.tag:
                self.untagged(tokens, octets)
                continue
            if self.bye:
                self.drop()
                raise Gone("BYE")
            self.running = None
            if tokens[1] == "BAD":
                self.wrong(f"BAD for {running.text!r}: {octets!r}")
            self.on_code(tokens[2], running, tagged=True)
            if self.doomed and tokens[1] == "NO":
                self.drop()
                raise Gone("the mailbox")
            if running.after:
                running.after(tokens[1], tokens[2])
            return tokens[1], tokens[2]

    def receive(self, patience=60):
        try:
            return self.wire.response(patience)
        except Gone:
            self.note_checkpoint()
            self.dead = True
            raise

    def command(self, text, **about):
        self.start(text, **about)
        return self.finish()

    def ok(self, text, **about):
        status, code = self.command(text, **about)
        if status != "OK":
            self.wrong(f"{status} {code} for {text!r}")
        return code

    def begin_idle(self):
        self.start("IDLE")
        while not (octets := self.receive()).startswith(b"+"):
            self.untagged(parse(octets), octets)
        self.idle, self.running = self.running, None

    def end_idle(self):
        self.running, self.idle = self.idle, None
        self.wire.send(b"DONE\r\n")

    def drain(self, patience):
        """Reads what comes unasked."""
        while True:
            try:
                octets = self.receive(patience)
            except TimeoutError:
                return
            self.untagged(parse(octets), octets)

    # Responses.

    def untagged(self, tokens, octets):
        if tokens[0] != "*" and self.bye:
            self.drop()
            raise Gone("BYE")
        if tokens[0] != "*":
            self.wrong(f"strange: {octets!r}")
        word = tokens[1].upper()
        if word == "BYE":
            self.bye = octets
        elif word in ("OK", "NO", "BAD"):
            self.on_code(tokens[2], self.running, tagged=False)
        elif word.isdigit():
            self.on_number(int(word), tokens[2].upper(), tokens[3:], octets)
        elif handler := getattr(self, "on_" + word.lower(), None):
            handler(tokens[2:], octets)

    def on_code(self, code, running, tagged):
        if not code:
            return
        if running and running.on_code:
            running.on_code(code)
        word, selected = code[0].upper(), self.selected
        if word == "CLOSED":
            self.selected, self.opening = self.opening, None
        elif selected is None:
            return
        elif word == "UIDVALIDITY":
            selected.validity = int(code[1])
        elif word == "UIDNEXT":
            selected.uid_next = int(code[1])
        elif word == "HIGHESTMODSEQ":
            value = int(code[1])
            if selected.announced and value < selected.announced:
                self.wrong(f"HIGHESTMODSEQ goes from {selected.announced} to {value}")
            selected.announced = value
            if tagged:
                self.note_checkpoint()

    def on_flags(self, rest, octets):
        if self.selected:
            self.selected.keywords = flag_set(rest[0])

    def on_number(self, number, word, rest, octets):
        selected = self.selected
        if selected is None:
            self.wrong(f"nothing is selected: {octets!r}")
        entries = selected.entries
        if word == "EXISTS":
            if number < len(entries):
                self.wrong(f"{octets!r}, but there were {len(entries)}")
            entries.extend(Entry() for _ in range(number - len(entries)))
        elif word == "RECENT":
            if self.rev2 or number > len(entries):
                self.wrong(f"{octets!r}, in IMAP4rev2: {self.rev2}, there are {len(entries)}")
        elif word == "EXPUNGE":
            self.may_expunge(octets)
            if self.qresync or not 1 <= number <= len(entries):
                self.wrong(f"{octets!r}, with QRESYNC: {self.qresync}, there are {len(entries)}")
            self.lose(number - 1)
        elif word == "FETCH":
            if not 1 <= number <= len(entries):
                self.wrong(f"{octets!r}, but there are {len(entries)}")
            pairs = iter(rest[0])
            self.on_fetch(number, {name.upper(): value for name, value in zip(pairs, pairs)}, octets)
        else:
            self.wrong(f"strange: {octets!r}")

    def lose(self, at):
        uid = self.selected.entries.pop(at).uid
        if self.running:
            self.running.vanished.add(uid)

    def may_expunge(self, octets):
        # RFC 5465 §5.3: a client that wants to be told at once uses UIDs only.
        if self.notify in ("full", "deaf") or self.idle:
            return
        if self.running is None or not self.running.expunges:
            self.wrong(f"{octets!r} during {self.running and self.running.text!r}")

    def on_vanished(self, rest, octets):
        selected = self.selected
        if not self.qresync or selected is None:
            self.wrong(f"not asked for: {octets!r}")
        if not isinstance(rest[0], list):
            self.may_expunge(octets)
            for uid in reversed(numbers(rest[0])):
                at = selected.place(uid)
                if at is None:
                    self.wrong(f"{octets!r}, but there are {selected.uids()}")
                self.lose(at)
            return
        gone = set(numbers(rest[1]))
        if self.running is None or not self.running.asks_vanished:
            self.wrong(f"not asked for: {octets!r}")
        if selected.opening:
            selected.early.extend(gone)
        elif gone & set(selected.uids()):
            self.wrong(f"{octets!r}, but there are {selected.uids()}")
        self.running.early |= gone

    def on_fetch(self, number, items, octets):
        selected, running = self.selected, self.running
        entry = selected.entries[number - 1]
        if "UID" in items:
            self.identify(number, entry, int(items["UID"]), octets)
        flags = flag_set(items["FLAGS"]) if "FLAGS" in items else None
        if flags is not None:
            if not flags <= selected.keywords:
                self.wrong(f"{octets!r}: FLAGS has not named {flags - selected.keywords}")
            # RFC 7162 §3.1 speaks of STORE and of what others do; what FETCH asks for is its own matter.
            asked = running and "FETCH" in running.text
            if self.condstore and "MODSEQ" not in items and not asked:
                self.wrong(f"{octets!r}: no MODSEQ although CONDSTORE is on")
        if "MODSEQ" in items:
            mod_seq = int(items["MODSEQ"][0])
            if not self.condstore or entry.mod_seq and mod_seq < entry.mod_seq:
                self.wrong(f"{octets!r}, with CONDSTORE: {self.condstore}, MODSEQ was {entry.mod_seq}")
            same = entry.mod_seq == mod_seq and None not in (flags, entry.flags) and not (running and running.silent)
            if same and entry.flags != flags:
                self.wrong(f"{octets!r}: the same MODSEQ, but the flags were {sorted(entry.flags)}")
            entry.mod_seq = mod_seq
        if flags is not None:
            entry.flags = flags
            if running:
                running.flagged.append(entry)
        if SUBJECT in items:
            subject = re.sub("(?i)^subject: *", "", items[SUBJECT]).strip()
            if entry.subject not in (None, subject):
                self.wrong(f"{octets!r}: the subject was {entry.subject}")
            entry.subject = subject
            if entry.uid:
                self.world.identify(selected.folder, selected.validity, entry.uid, subject)
        if running and entry.uid:
            running.fetched.add(entry.uid)

    def identify(self, number, entry, uid, octets):
        if entry.uid not in (None, uid):
            self.wrong(f"{octets!r}, but number {number} was {entry.uid}")
        entry.uid = uid
        known = [uid for uid in self.selected.uids() if uid]
        if known != sorted(set(known)):
            self.wrong(f"{octets!r}: UIDs do not ascend: {known}")

    def on_search(self, rest, octets):
        self.found([int(token) for token in rest if not isinstance(token, list)])

    on_sort = on_search

    def on_esearch(self, rest, octets):
        rest = [token for token in rest if not isinstance(token, list) and token.upper() != "UID"]
        values = {rest[at].upper(): rest[at + 1] for at in range(0, len(rest), 2)}
        self.found(numbers(values["ALL"]) if "ALL" in values else [])

    def on_thread(self, rest, octets):
        def flat(value):
            return [number for one in value for number in flat(one)] if isinstance(value, list) else [int(value)]

        self.found(flat(rest))

    def found(self, what):
        if self.running.on_found:
            self.running.on_found(sorted(what))

    def on_status(self, rest, octets):
        # RFC 5465 §5: of the selected mailbox STATUS tells nothing.
        if self.names is None or not (self.selected and self.selected.folder == rest[0]):
            pairs = iter(rest[1])
            self.status.setdefault(rest[0], {}).update((name.upper(), int(value)) for name, value in zip(pairs, pairs))

    def on_list(self, rest, octets):
        if self.names is None:
            return
        name = rest[2]
        if {"\\nonexistent", "\\noselect"} & {attribute.lower() for attribute in rest[0]}:
            self.names.discard(name)
            self.status.pop(name, None)
        else:
            self.names.add(name)
        if len(rest) > 3 and rest[3][0].upper() == "OLDNAME":
            self.know_renamed(rest[3][1][0], name)

    def know_renamed(self, old, new):
        """A mailbox has another name, and those below it; or none any more."""
        if self.names is None:
            return
        for name in [name for name in self.names if name == old or name.startswith(old + "/")]:
            self.names.discard(name)
            status = self.status.pop(name, None)
            if new is not None:
                self.names.add(new + name[len(old) :])
                if status:
                    self.status[new + name[len(old) :]] = status

    # What the client does.

    def note_checkpoint(self):
        """What the client would know when it came back, if it went away now."""
        selected = self.selected
        if selected and self.qresync and selected.announced and not selected.opening and selected.is_known():
            self.remember(selected.announced, selected.entries)

    def remember(self, mod_seq, entries, guessed=False):
        selected = self.selected
        flags = {entry.uid: entry.flags for entry in entries}
        subjects = {entry.uid: entry.subject for entry in entries}
        self.world.remember(Checkpoint(self.name, selected.folder, selected.validity, mod_seq, flags, subjects, guessed))

    def question(self):
        """What the client asks for what it does not know, and whether numbers may change meanwhile; None when it knows all."""
        items = f"(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)]{' MODSEQ' if self.condstore else ''})"
        entries = self.selected.entries
        unknown = [at for at, entry in enumerate(entries) if not entry.is_known()]
        if not unknown:
            return None
        if self.notify or self.world.rng.random() < 0.3:
            known = max((entry.uid or 0 for entry in entries[: unknown[0]]), default=0)
            return f"UID FETCH {known + 1}:* {items}", True
        return f"FETCH {as_set(at + 1 for at in unknown)} {items}", False

    def learn(self):
        asked = 0
        while question := self.question():
            asked += 1
            if asked > 100:
                self.wrong(f"{question[0]!r} leaves {[entry for entry in self.selected.entries if not entry.is_known()]}")
            status, code = self.command(question[0], expunges=question[1])
            if code and code[0] == "EXPUNGEISSUED":
                if self.notify == "none":
                    # RFC 5465 §3.1: it is not told which are gone.
                    return
                self.command("NOOP")
        self.note_checkpoint()

    def select(self, folder, read_only=False, checkpoint=None, form=0):
        """SELECT. With a checkpoint by QRESYNC, and then the view is what the client makes of the answer."""
        verb, parameters = "EXAMINE" if read_only else "SELECT", ""
        if checkpoint:
            uids = sorted(checkpoint.flags)
            parameters = f"{checkpoint.validity} {checkpoint.mod_seq}"
            # With UIDs of its own the client would not be told of messages that it takes for gone.
            form = 0 if checkpoint.guessed else form
            if form > 0 and uids:
                parameters += " " + as_set(uids)
            if form > 1 and uids:
                picked = sorted(self.world.rng.sample(range(len(uids)), min(len(uids), 4)))
                parameters += f" ({as_set(at + 1 for at in picked)} {as_set(uids[at] for at in picked)})"
            parameters = f" (QRESYNC ({parameters}))"
        self.note_checkpoint()
        chosen = Selected(folder, read_only, deaf=self.notify in ("deaf", "none"))
        self.status.pop(folder, None)
        if self.selected:
            self.status.pop(self.selected.folder, None)
            self.opening = chosen
        else:
            self.selected = chosen
        status, code = self.command(f'{verb} "{folder}"{parameters}', expunges=False, asks_vanished=bool(checkpoint))
        if status != "OK":
            self.wrong(f"{status} {code} for {verb} {folder}")
        chosen.opening = False
        # Of the selected mailbox nothing is told by STATUS; the server may not have known of it before.
        self.status.pop(folder, None)
        if checkpoint and checkpoint.validity == chosen.validity:
            self.resynchronise(checkpoint, whole=form == 0)
        elif chosen.early:
            self.wrong(f"{chosen.early} vanished, but {checkpoint} is of another mailbox")

    def resynchronise(self, checkpoint, whole):
        """RFC 7162 §3.2.5: what the client knew, without what has vanished, with what is told."""
        selected = self.selected
        told = {entry.uid: entry.flags for entry in selected.entries if entry.uid is not None}
        if set(selected.early) & told.keys():
            self.wrong(f"{set(selected.early) & told.keys()} vanished and are there, after {checkpoint}")
        flags = {uid: flags for uid, flags in checkpoint.flags.items() if uid not in selected.early} | told
        uids, count = sorted(flags), len(selected.entries)
        # With known UIDs nothing is told of new messages.
        if len(uids) > count or whole and len(uids) != count:
            self.wrong(f"{count} messages exist, the client has {uids}; {selected.early} vanished, after {checkpoint}")
        for entry, uid in zip(selected.entries, uids):
            if entry.uid not in (None, uid):
                self.wrong(f"{entry} is where the client counts {uid}, after {checkpoint}")
            entry.uid, entry.flags = uid, flags[uid]
            entry.subject = checkpoint.subjects.get(uid, entry.subject)
