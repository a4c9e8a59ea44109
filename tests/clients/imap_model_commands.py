"""For the model of IMAP clients: the commands, and what must be true of each by itself.

A method sends one command and returns whether it has; the answer is read later, so that several sessions have commands
under way at the same time. What is checked here must hold whatever the others do meanwhile.
"""

from imap_model_session import Running, flag_set
from imap_model_wire import as_set, numbers

FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "work", "$Forwarded", "later"]

EVENTS = {
    "full": "(SELECTED (MessageNew (UID FLAGS) MessageExpunge FlagChange))",
    "delayed": "(SELECTED-DELAYED (MessageNew (UID FLAGS) MessageExpunge FlagChange))",
    "deaf": "(SELECTED (MessageNew MessageExpunge))",
}

CONDITIONS = {
    "ALL": lambda number, entry, last: True,
    "SEEN": lambda number, entry, last: "\\seen" in entry.flags,
    "UNSEEN": lambda number, entry, last: "\\seen" not in entry.flags,
    "NOT DELETED": lambda number, entry, last: "\\deleted" not in entry.flags,
    "KEYWORD work": lambda number, entry, last: "work" in entry.flags,
    "OR FLAGGED DRAFT": lambda number, entry, last: {"\\flagged", "\\draft"} & entry.flags,
    "1:3 UNFLAGGED": lambda number, entry, last: number <= 3 and "\\flagged" not in entry.flags,
    "*": lambda number, entry, last: number == last,
}


class Commands:
    """Random commands. The world has `rng`, `folders`, `checkpoints`, and what it knows of messages."""

    def step(self, session):
        """Lets a session do something: whether an answer is to be read."""
        if session.dead:
            session.connect()
            return False
        if session.idle:
            if self.rng.random() < 0.6:
                return False
            session.end_idle()
            return True
        if session.selected is None:
            table = {self.select: 6, self.append: 2, self.notify: 1}
        else:
            question = session.question()
            if question and self.rng.random() < 0.9:
                return session.start(question[0], expunges=question[1])
            session.note_checkpoint()
            table = {
                self.append: 5, self.store: 8, self.expunge: 3, self.noop: 4, self.copy: 3, self.move: 3, self.search: 4,
                self.fetch: 3, self.changed_since: 3, self.select: 2, self.close: 3, self.idle: 1, self.notify: 1,
                self.fetch_saved: 1, self.replace: 1, self.cut: 1, self.pipeline: 1,
            }
        return self.rng.choices(list(table), list(table.values()))[0](session)

    def noop(self, session):
        return session.start(self.rng.choice(["NOOP", "CHECK"]))

    def cut(self, session):
        session.drop()

    def idle(self, session):
        session.begin_idle()

    def folder(self):
        # Where sessions meet they can disturb each other.
        return "INBOX" if self.rng.random() < 0.6 else self.rng.choice(sorted(self.folders))

    def some_flags(self, deleted):
        return [flag for flag in FLAGS if self.rng.random() < 0.25] + ["\\Deleted"] * (self.rng.random() < deleted)

    def some(self, session, most=4):
        entries = [entry for entry in session.selected.entries if entry.is_known()]
        entries = entries[-8:] if self.rng.random() < 0.7 else entries
        return self.rng.sample(entries, min(len(entries), self.rng.randint(1, most)))

    def named(self, session, entries):
        """The messages by UID or by number, and what stands before the command. With NOTIFY, numbers may change at any time."""
        if session.notify or self.rng.random() < 0.5:
            return "UID ", as_set(entry.uid for entry in entries)
        return "", as_set(session.selected.entries.index(entry) + 1 for entry in entries)

    def select(self, session):
        folder, checkpoint = self.folder(), None
        options = [one for one in self.checkpoints if one.folder == folder]
        if session.qresync and options and self.rng.random() < 0.6:
            checkpoint = self.rng.choice(options)
        session.select(folder, self.rng.random() < 0.15, checkpoint, self.rng.randrange(3))

    def append(self, session):
        folder = self.folder()
        messages = [self.message() for _ in range(self.rng.choice([1, 1, 1, 2, 3]))]
        text = f'APPEND "{folder}"'
        for subject, message in messages:
            flags = self.some_flags(0.15)
            if "\\Deleted" in flags:
                self.at_risk.add(subject)
            text += f" ({' '.join(flags)}) {{{len(message)}+}}\r\n{message}"

        def after(status, code):
            if status != "OK":
                session.wrong(f"APPEND: {status} {code}")
            self.acknowledged.update(subject for subject, _ in messages)
            uids = numbers(code[2]) if code and code[0] == "APPENDUID" else []
            if len(uids) != len(messages):
                session.wrong(f"APPEND of {len(messages)} messages: {code}")
            for uid, (subject, _) in zip(uids, messages):
                self.identify(folder, int(code[1]), uid, subject)

        return session.start(text, after=after)

    def store(self, session):
        entries, selected = self.some(session), session.selected
        if not entries:
            return False
        by, names = self.named(session, entries)
        flags, action = self.some_flags(0.3), self.rng.choice(["+FLAGS", "-FLAGS", "FLAGS"])
        # With NOTIFY the client does not know whether what it is told came before its command.
        silent = not session.notify and self.rng.random() < 0.4
        since = None
        if session.condstore and self.rng.random() < 0.3:
            since = self.rng.choice([0, max(entry.mod_seq or 0 for entry in entries), selected.announced or 1])
        if "\\Deleted" in flags and action != "-FLAGS" and not selected.read_only:
            self.at_risk.update(entry.subject for entry in entries)
        before = {entry: entry.flags for entry in entries}

        def after(status, code):
            if (status == "OK") == selected.read_only:
                session.wrong(f"STORE: {status} {code}, EXAMINE: {selected.read_only}")
            failed = numbers(code[1]) if code and code[0] == "MODIFIED" else []
            if failed and since is None:
                session.wrong("MODIFIED without UNCHANGEDSINCE")
            for entry in entries:
                if entry not in selected.entries or entry in running.flagged:
                    continue
                if selected.read_only or (entry.uid if by else selected.entries.index(entry) + 1) in failed:
                    entry.flags = before[entry]
                elif code and code[0] in ("MODIFIED", "EXPUNGEISSUED"):
                    # It may be one of those that are gone, whose flags stay as they were.
                    entry.flags = None if silent else entry.flags
                elif not silent:
                    session.wrong(f"STORE does not tell the flags of {entry}")

        condition = "" if since is None else f" (UNCHANGEDSINCE {since})"
        action_silent = action + ".SILENT" * silent
        running = session.start(f"{by}STORE {names}{condition} {action_silent} ({' '.join(flags)})",
                                expunges=bool(by), silent=silent, after=after)
        if silent:
            meant = flag_set(flags)
            for entry in entries:
                new = {"+FLAGS": entry.flags | meant, "-FLAGS": entry.flags - meant, "FLAGS": meant}
                entry.flags = new[action]
        return running

    def expunge(self, session):
        entries, read_only = self.some(session, 6), session.selected.read_only

        def after(status, code):
            if (status == "OK") == read_only:
                session.wrong(f"EXPUNGE: {status} {code}, EXAMINE: {read_only}")

        some = entries and self.rng.random() < 0.4
        return session.start("UID EXPUNGE " + as_set(e.uid for e in entries) if some else "EXPUNGE", after=after)

    def transfer(self, session, verb):
        entries, selected, folder = self.some(session), session.selected, self.folder()
        if not entries:
            return False
        by, names = self.named(session, entries)
        subjects = {entry.uid: entry.subject for entry in entries}

        def on_code(code):
            if code[0] == "COPYUID":
                old, new = numbers(code[2]), numbers(code[3])
                if len(old) != len(new) or not set(old) <= subjects.keys():
                    session.wrong(f"{code} for {sorted(subjects)}")
                for uid, copy in zip(old, new):
                    self.identify(folder, int(code[1]), copy, subjects[uid])

        def after(status, code):
            if status != "OK" and not (selected.read_only and verb == "MOVE"):
                session.wrong(f"{verb}: {status} {code}")

        return session.start(f'{by}{verb} {names} "{folder}"', on_code=on_code, after=after)

    def copy(self, session):
        return self.transfer(session, "COPY")

    def move(self, session):
        return self.transfer(session, "MOVE")

    def replace(self, session):
        entries = self.some(session, 1)
        if not entries or session.selected.read_only:
            return False
        by, names = self.named(session, entries)
        subject, message = self.message()
        uid = entries[0].uid

        def after(status, code):
            if status == "OK":
                self.acknowledged.add(subject)
            elif uid in session.selected.uids() and (not code or code[0] not in ("EXPUNGEISSUED", "NONEXISTENT")):
                session.wrong(f"REPLACE: {status} {code}")

        self.at_risk.add(entries[0].subject)
        return session.start(f'{by}REPLACE {names} "{self.folder()}" {{{len(message)}+}}\r\n{message}', after=after)

    def search(self, session):
        selected = session.selected
        options = list(CONDITIONS) + ["$"] + ["MODSEQ"] * (session.condstore and not session.notify)
        key = self.rng.choice(options)
        has_numbers = key[0] in "1*"
        if not selected.is_known() or has_numbers and (len(selected.entries) < 3 or session.notify):
            return False
        if selected.deaf and key not in ("ALL", "$"):
            return False
        test, saved = CONDITIONS.get(key), set(selected.saved)
        if key == "$":
            test = lambda number, entry, last: entry.uid in saved
        if key == "MODSEQ":
            if any(entry.mod_seq is None for entry in selected.entries):
                return False
            since = self.rng.choice([entry.mod_seq for entry in selected.entries] or [1])
            key, test = f"MODSEQ {since}", lambda number, entry, last: entry.mod_seq >= since
        by_uid = session.notify or self.rng.random() < 0.5
        command, save = self.rng.choice([
            ("SEARCH {}", False), ("SEARCH RETURN (ALL COUNT) {}", False), ("SEARCH RETURN (SAVE ALL) {}", True),
            ("SORT (REVERSE DATE SUBJECT) UTF-8 {}", False), ("THREAD REFERENCES UTF-8 {}", False),
        ])

        def on_found(found):
            # In the numbers and with the flags that the client knows at this moment; NOTIFY may have told of new messages.
            if not selected.is_known():
                return
            last = len(selected.entries)
            met = [(number, entry.uid) for number, entry in enumerate(selected.entries, 1) if test(number, entry, last)]
            if found != [uid if by_uid else number for number, uid in met]:
                session.wrong(f"{running.text!r} finds {found}, the client (number, UID) {met}")
            if save:
                selected.saved = {uid for _, uid in met}

        running = session.start(("UID " if by_uid else "") + command.format(key),
                                expunges=bool(by_uid) and not has_numbers, on_found=on_found)
        return running

    def fetch_saved(self, session):
        """RFC 5182 §2.1: what was saved is there as long as the messages are."""
        want = session.selected.saved & set(session.selected.uids())

        def after(status, code):
            missing = want - running.fetched - running.vanished
            if missing and not (code and code[0] == "EXPUNGEISSUED"):
                session.wrong(f"{missing} were saved and are not in `$`")

        by = "UID " if session.notify else ""
        running = session.start(f"{by}FETCH $ (UID FLAGS)", expunges=bool(by), after=after)
        return running

    def fetch(self, session):
        entries = self.some(session)
        if not entries:
            return False
        by, names = self.named(session, entries)
        items = self.rng.choice(["FLAGS", "ENVELOPE", "(FLAGS UID)", "RFC822.SIZE", "BODY[TEXT]", "BODY.PEEK[HEADER]"])

        def after(status, code):
            if status != "OK":
                session.wrong(f"FETCH: {status} {code}")

        return session.start(f"{by}FETCH {names} {items}", expunges=bool(by), after=after)

    def pipeline(self, session):
        """Two commands at once. The numbers of the second mean what the client knew when it sent both."""
        entries, selected = self.some(session, 2), session.selected
        if not entries or session.notify:
            return False
        want = {entry.uid for entry in entries}
        text = f"FETCH {as_set(selected.entries.index(entry) + 1 for entry in entries)} (UID FLAGS)"
        first = self.rng.choice(["NOOP", "UID FETCH 1:* FLAGS", "UID SEARCH ALL"])
        session.start(first, behind=f"behind {text}\r\n", expunges=False)
        session.finish()
        running = session.running = Running(text, "behind", expunges=False)
        status, code = session.finish()
        if not want <= running.fetched and not (code and code[0] == "EXPUNGEISSUED"):
            session.wrong(f"{text} behind {first} tells of {running.fetched}, {want} were meant")
        return False

    def changed_since(self, session):
        """RFC 7162 §3.1.4, §3.2.6."""
        selected = session.selected
        if not session.condstore or not selected.is_known() or not selected.entries:
            return False
        options = [one for one in self.checkpoints if one.validity == selected.validity and one.folder == selected.folder]
        checkpoint = self.rng.choice(options) if options and session.qresync else None
        since = checkpoint.mod_seq if checkpoint else self.rng.choice([1, selected.announced])
        by_uid = session.qresync or session.notify or self.rng.random() < 0.5
        here = set(selected.uids())
        changed = {entry.uid for entry in selected.entries if entry.mod_seq and entry.mod_seq > since}

        def after(status, code):
            missing = set() if selected.deaf else changed - running.fetched - running.vanished
            if status != "OK" or missing:
                session.wrong(f"CHANGEDSINCE {since}: {status} {code}, not told of {missing}")
            # What has come since then it has not been told of yet.
            gone = {uid for uid in checkpoint.flags if uid < max(here)} - here if checkpoint else set()
            if gone - running.early:
                session.wrong(f"CHANGEDSINCE {since} VANISHED does not name {gone - running.early}, after {checkpoint}")

        vanished = " VANISHED" if session.qresync else ""
        text = f"{'UID ' if by_uid else ''}FETCH 1:* (UID FLAGS) (CHANGEDSINCE {since}{vanished})"
        running = session.start(text, expunges=bool(by_uid), asks_vanished=bool(vanished), after=after)
        return running

    def close(self, session):
        selected, verb = session.selected, self.rng.choice(["CLOSE", "UNSELECT"])
        session.note_checkpoint()

        def after(status, code):
            if status != "OK":
                session.wrong(f"{verb}: {status} {code}")
            if code and code[0] == "HIGHESTMODSEQ" and session.qresync and selected.is_known():
                # RFC 7162 §3.2.8: the client removes what it has seen marked; others may have taken a mark away since.
                kept = [e for e in selected.entries if selected.read_only or "\\deleted" not in e.flags]
                session.remember(int(code[1]), kept, guessed=len(kept) < len(selected.entries))
            session.status.pop(selected.folder, None)
            session.selected = None

        # Until it is answered nothing is written down: what was told was told before.
        selected.opening = True
        session.start(verb, expunges=False, after=after)
        session.finish()
        return False

    def notify(self, session):
        if not session.name.startswith("notify"):
            return False
        choice = self.rng.choice(["full", "full", "delayed", "deaf", None])
        session.status, session.names = {}, None
        if session.selected and choice in ("deaf", None):
            session.selected.deaf = True
        if choice is None:
            session.ok("NOTIFY NONE")
            session.notify = "none"
            return False
        others = "(PERSONAL (MessageNew MessageExpunge FlagChange MailboxName))"
        session.ok(f"NOTIFY SET STATUS {EVENTS[choice]} {others}")
        session.notify, session.names = choice, set()
        session.ok('LIST "" "*"')
        return False
