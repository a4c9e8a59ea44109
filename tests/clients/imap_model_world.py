"""For the model of IMAP clients: several sessions of one user, who else changes the mail, and what must be so at rest."""

import os
import re
import time

from imap_model_commands import Commands
from imap_model_session import Checkpoint, Session, Wrong
from imap_model_wire import Gone

# What the clients enable; the last two use NOTIFY.
KINDS = [
    ("plain", ()),
    ("rev2", ("IMAP4rev2",)),
    ("condstore", ("CONDSTORE",)),
    ("rev2condstore", ("IMAP4rev2", "CONDSTORE")),
    ("qresync", ("QRESYNC",)),
    ("rev2qresync", ("IMAP4rev2", "QRESYNC")),
    ("notifyqresync", ("QRESYNC",)),
    ("notify", ()),
]

# Longer than anything takes: who waits for it has found a fault.
PATIENCE = 60


class World(Commands):
    """`memory` is what an earlier world has left, as JSON."""

    def __init__(self, server, rng, memory=None):
        self.server, self.rng, self.user = server, rng, server.users[0]
        self.lines = []
        memory = memory or {}
        self.folders = set(memory.get("folders", ["INBOX", "A", "B"]))
        # Which message every UID has ever stood for.
        self.identities = {tuple(key): subject for key, subject in memory.get("identities", [])}
        # Messages whose storing was acknowledged, and those that somebody may have removed.
        self.acknowledged = set(memory.get("acknowledged", []))
        self.at_risk = set(memory.get("at_risk", []))
        self.subjects = memory.get("subjects", 0)
        # UIDNEXT and HIGHESTMODSEQ, which never go back.
        self.highest = {tuple(key): value for key, value in memory.get("highest", [])}
        self.checkpoints = [recalled(one) for one in memory.get("checkpoints", [])]
        self.names = set()
        self.sessions = [Session(self, name, kind) for name, kind in KINDS]

    def memory(self):
        checkpoints = [vars(one) | {"flags": [[uid, sorted(f)] for uid, f in one.flags.items()],
                                    "subjects": list(one.subjects.items())} for one in self.checkpoints]
        return {"folders": sorted(self.folders), "identities": list(self.identities.items()),
                "acknowledged": sorted(self.acknowledged), "at_risk": sorted(self.at_risk), "subjects": self.subjects,
                "highest": list(self.highest.items()), "checkpoints": checkpoints}

    def note(self, name, who, octets):
        self.lines.append(f"{name} {who}: {octets.decode('utf-8', 'replace').rstrip()}")

    def begin(self):
        session = Session(self, "first").connect()
        for folder in sorted(self.folders - {"INBOX"}):
            session.command(f'CREATE "{folder}"')
        session.drop()
        for session in self.sessions:
            session.connect()

    def identify(self, folder, validity, uid, subject):
        before = self.identities.setdefault((folder, validity, uid), subject)
        if before != subject:
            raise Wrong(f"UID {uid} of {folder} {validity} was {before} and is {subject}")

    def remember(self, checkpoint):
        if checkpoint.who == "back" or checkpoint in self.checkpoints[-20:]:
            return
        self.checkpoints.append(checkpoint)
        if len(self.checkpoints) > 60:
            self.checkpoints.pop(self.rng.randrange(40))

    def message(self):
        self.subjects += 1
        subject, filling = f"s{self.subjects}", "x" * self.rng.randrange(200)
        head = f"Subject: {subject}\r\nFrom: a@example.test\r\nMessage-ID: <{subject}@model.test>\r\n"
        return subject, f"{head}Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n{filling}\r\n"

    # Who else changes the mail.

    def deliver(self):
        subject, message = self.message()
        with self.server.smtp("lmtp") as client:
            client.sendmail("x@example.test", [self.user[0]], message)
        self.lines.append(f"LMTP: {subject}")
        self.acknowledged.add(subject)

    def path(self, folder):
        local, domain = self.user[0].split("@")
        home = os.path.join(self.server.facts["mail_root"], domain, local)
        return home if folder == "INBOX" else os.path.join(home, "." + folder.replace("/", "."))

    def elsewhere(self):
        """Another program changes the Maildir."""
        path, letters = self.path(self.rng.choice(sorted(self.folders))), "".join(sorted(self.rng.sample("FRS", 2)))
        cur = os.path.join(path, "cur")
        what = self.rng.choice(["new", "cur", "flags", "remove"])
        self.lines.append(f"elsewhere: {what} in {path}")
        if what in ("new", "cur"):
            subject, message = self.message()
            temporary = os.path.join(path, "tmp", f"1700000000.{subject}.elsewhere")
            with open(temporary, "w", newline="", encoding="ascii") as file:
                file.write(message)
            name = os.path.basename(temporary) + (f":2,{letters}" if what == "cur" else "")
            os.rename(temporary, os.path.join(path, what, name))
            self.acknowledged.add(subject)
            return
        for name in self.rng.sample(sorted(os.listdir(cur)), min(1, len(os.listdir(cur)))):
            try:
                if what == "flags":
                    base, _, known = name.partition(":2,")
                    keywords = "".join(letter for letter in known if letter.islower())
                    os.rename(os.path.join(cur, name), os.path.join(cur, f"{base}:2,{letters}{keywords}"))
                    continue
                with open(os.path.join(cur, name), encoding="ascii") as file:
                    self.at_risk.add(re.search("Subject: (.*)", file.read()).group(1).strip())
                os.unlink(os.path.join(cur, name))
            except FileNotFoundError:
                # The server has given it another name in this moment.
                pass

    def change_folders(self):
        """Makes, removes or renames a mailbox while no other command is under way."""
        session = self.rng.choice([one for one in self.sessions if not one.dead and not one.idle] or [None])
        spare = {"D0", "D1", "D1/E", "D2"}
        here, away = sorted(spare & self.folders), sorted(spare - self.folders)
        what = self.rng.choice(["CREATE", "CREATE", "DELETE", "RENAME", "RENAME"])
        if session is None or not (away if what == "CREATE" else here):
            return
        old, new = self.rng.choice(here or [None]), self.rng.choice(away or [None])
        if what == "RENAME" and (new is None or new.startswith(old) or old.startswith(new)):
            return
        text = {"CREATE": f'CREATE "{new}"', "DELETE": f'DELETE "{old}"', "RENAME": f'RENAME "{old}" "{new}"'}[what]
        if what == "DELETE":
            self.at_risk.update(subject for _, subject in self.truth(old)["messages"].values())
        gone = set()
        if session.command(text)[0] != "OK":
            return
        if what == "CREATE":
            if session.names is not None:
                session.names.add(new)
        elif what == "DELETE":
            gone = {old}
            session.know_renamed(old, None) if not any(f.startswith(old + "/") for f in self.folders) else \
                session.names is not None and session.names.discard(old)
        else:
            gone = {folder for folder in self.folders if folder == old or folder.startswith(old + "/")}
            session.know_renamed(old, new)
        # A parent without messages of its own cannot be selected.
        candidates = self.folders - gone | {new} | {(new or "") + folder[len(old or ""):] for folder in gone}
        self.folders = {folder for folder in candidates if folder and os.path.isdir(self.path(folder))}
        for one in self.sessions:
            one.doomed |= not one.dead and one.selected is not None and one.selected.folder in gone

    # A round: commands at once, then rest.

    def round(self):
        for _ in range(self.rng.randint(10, 40)):
            for happens, odds in ((self.deliver, 0.06), (self.elsewhere, 0.06)):
                if self.rng.random() < odds:
                    happens()
            acting = self.rng.sample(self.sessions, self.rng.randint(1, 4))
            begun = [session for session in acting if self.survives(session, lambda: self.step(session))]
            if self.rng.random() < 0.05:
                self.deliver()
            for session in self.rng.sample(begun, len(begun)):
                self.survives(session, session.finish)
        if self.rng.random() < 0.6:
            self.change_folders()
        self.rest()

    def survives(self, session, act):
        """Acts with a session, which may end by that only when its mailbox is gone."""
        try:
            return act()
        except Gone:
            if not session.doomed:
                raise
            session.dead = True
            return None

    def rest(self):
        session = Session(self, "names").connect()
        session.names = self.names = set()
        session.ok('LIST "" "*"')
        session.drop()
        # What another program has changed is found when a mailbox is opened.
        for folder in sorted(self.folders):
            self.truth(folder)
        truths = {folder: self.truth(folder) for folder in sorted(self.folders)}
        for session in self.sessions:
            if not session.dead:
                self.survives(session, lambda: self.compare(session, truths))
            session.doomed = False
        present = {subject for truth in truths.values() for _, subject in truth["messages"].values()}
        if lost := self.acknowledged - self.at_risk - present:
            raise Wrong(f"lost: {lost}")
        self.come_back(truths)

    def truth(self, folder):
        """What a client sees that knows nothing."""
        session = Session(self, "fresh", ("CONDSTORE",)).connect()
        session.select(folder, read_only=True)
        session.learn()
        selected = session.selected
        messages = {entry.uid: (entry.flags, entry.subject) for entry in selected.entries}
        session.ok(f'STATUS "{folder}" (MESSAGES UNSEEN UIDVALIDITY)')
        status = session.status[folder]
        unseen = sum("\\seen" not in flags for flags, _ in messages.values())
        if status != {"MESSAGES": len(messages), "UNSEEN": unseen, "UIDVALIDITY": selected.validity}:
            session.wrong(f"STATUS {folder} is {status}, there are {messages}")
        now = [selected.uid_next, selected.announced]
        key = (folder, selected.validity)
        top = max((entry.mod_seq for entry in selected.entries), default=0)
        if any(a < b for a, b in zip(now, self.highest.get(key, now))) or selected.announced < top:
            session.wrong(f"UIDNEXT, HIGHESTMODSEQ {now} were {self.highest.get(key)}, {top} is in {folder}")
        self.highest[key] = now
        session.drop()
        return {"validity": selected.validity, "messages": messages, "status": status}

    def compare(self, session, truths):
        """What a session believes with what there is."""
        if session.idle or session.notify in ("full", "deaf"):
            self.await_nothing(session, lambda: self.difference(session, truths, unknown=True))
            if session.idle and self.rng.random() < 0.5:
                session.end_idle()
                session.finish()
        if not session.idle:
            session.command("NOOP")
            if session.selected:
                session.learn()
            if problem := self.difference(session, truths, unknown=False):
                session.wrong(f"at rest: {problem}")
        self.await_nothing(session, lambda: self.untold(session, truths))

    def await_nothing(self, session, problem):
        until = time.monotonic() + PATIENCE
        while text := problem():
            if time.monotonic() > until:
                session.wrong(f"not told within {PATIENCE} seconds: {text}")
            session.drain(0.01)

    def difference(self, session, truths, unknown):
        """What is otherwise than the client believes; `unknown`: it need not have asked yet what is new."""
        selected = session.selected
        if selected is None or session.notify == "none":
            return None
        truth = truths.get(selected.folder)
        if truth is None or truth["validity"] != selected.validity:
            return f"{selected.folder} {selected.validity} is gone"
        uids = sorted(truth["messages"])
        if len(uids) != len(selected.entries):
            return f"there are {uids}, known are {selected.uids()}"
        for entry, uid in zip(selected.entries, uids):
            flags, subject = truth["messages"][uid]
            if entry.uid is None and unknown:
                continue
            wrong = entry.flags is not None and entry.flags != flags and not selected.deaf
            if entry.uid != uid or entry.subject not in (None, subject) or wrong:
                return f"{entry} is {uid} {sorted(flags)} {subject}"
        return None

    def untold(self, session, truths):
        """What NOTIFY has not told of other mailboxes."""
        if session.names is None:
            return None
        if session.names != self.names:
            return f"there are {self.names}, known are {session.names}"
        for folder, known in session.status.items():
            there = truths[folder]["status"] if folder in truths else known
            if any(known.get(item, there[item]) != there[item] for item in ("MESSAGES", "UNSEEN") if item in there):
                return f"{folder} has {there}, known is {known}"
        return None

    def come_back(self, truths):
        """A client comes back with what it knew, and then knows everything."""
        session = Session(self, "back", ("QRESYNC",)).connect()
        for checkpoint in self.checkpoints[:]:
            if checkpoint.folder not in truths:
                continue
            session.select(checkpoint.folder, True, checkpoint, self.rng.randrange(3))
            session.learn()
            known = {entry.uid: entry.flags for entry in session.selected.entries}
            there = {uid: flags for uid, (flags, _) in truths[checkpoint.folder]["messages"].items()}
            if known != there:
                other = {uid: (known.get(uid), there.get(uid)) for uid in known.keys() | there.keys()}
                other = {uid: pair for uid, pair in other.items() if pair[0] != pair[1]}
                session.wrong(f"after {checkpoint} it knows and there is: {other}")
        session.drop()


def recalled(memory):
    flags = {uid: frozenset(flags) for uid, flags in memory["flags"]}
    return Checkpoint(**memory | {"flags": flags, "subjects": dict(memory["subjects"])})
