"""Thunderbird without a screen, driven over Marionette: its own account, folders, messages, letters, contacts and events.

What it has done is compared with what Python's libraries see on the server. Steps wait for what is to be seen, not for
Thunderbird's listeners: it folds requests for the same folder into one and then calls one listener only.
"""

import base64
import glob
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from server import Server, check, letter

PREFERENCES = {
    "app.update.auto": False,
    "calendar.timezone.local": "UTC",
    "datareporting.policy.dataSubmissionEnabled": False,
    "mail.biff.show_alert": False,
    "mail.chat.enabled": False,
    "mail.inappnotifications.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    # Its own filter would learn from these few letters and move others away.
    "mail.server.default.spamLevel": 0,
    "mail.server.default.use_condstore": True,
    "mail.shell.checkDefaultClient": False,
    "mailnews.emptyTrash.dontAskAgain": True,
    "mailnews.start_page.enabled": False,
    "marionette.port": 0,
}

# What each script begins with.
PRELUDE = r"""
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const wait = ms => new Promise(done => setTimeout(done, ms));
const until = async (what, test) => {
  for (const end = Date.now() + 20000; Date.now() < end; await wait(50)) {
    const found = await test();
    if (found) return found;
  }
  throw new Error("never: " + what);
};
const listener = { QueryInterface: ChromeUtils.generateQI(["nsIUrlListener", "nsIMsgCopyServiceListener"]),
  OnStartRunningUrl() {}, OnStopRunningUrl() {}, onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return null; }, onStopCopy() {} };
const server = () => MailServices.accounts.accounts.find(one => one.incomingServer.type == "imap").incomingServer;
const root = () => server().rootFolder;
const folder = name => root().descendants.find(one => one.name == name);
const inbox = () => root().getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const trash = () => root().getFolderWithFlags(Ci.nsMsgFolderFlags.Trash);
const look = one => one.QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, listener);
const all = one => [...one.messages];
const titled = (one, subject) => all(one).find(message => message.mime2DecodedSubject == subject);
const shows = (one, subject) => until(subject + " in " + one.name, () => { const found = titled(one, subject); if (!found) look(one); return found; });
const gone = (one, subject) => until(subject + " gone from " + one.name, () => !titled(one, subject));
const copy = (from, messages, to, move) => MailServices.copy.copyMessages(from, messages, to, move, listener, null, false);
const junk = () => folder("Junk");
const book = () => MailServices.ab.directories.find(one => one.URI.startsWith("jscarddav:"));
"""


class Thunderbird:
    def __init__(self, server, home):
        profile = os.path.join(home, "profile")
        os.mkdir(profile)
        store = "sql:" + profile
        subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
        subprocess.run(["certutil", "-A", "-n", "ca", "-t", "C,,", "-i", server.facts["ca"], "-d", store], check=True)
        with open(os.path.join(profile, "user.js"), "w") as file:
            file.writelines(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
        self.log = os.path.join(home, "imap")
        surroundings = dict(os.environ, HOME=home, MOZ_CRASHREPORTER_DISABLE="1", MOZ_LOG="sync,timestamp,IMAP:4", MOZ_LOG_FILE=self.log)
        command = ["thunderbird", "--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile]
        with open(os.path.join(home, "output"), "w") as output:
            self.process = subprocess.Popen(command, env=surroundings, stdout=output, stderr=output)
        port, deadline = os.path.join(profile, "MarionetteActivePort"), time.time() + 90
        while not (os.path.exists(port) and os.path.getsize(port)):
            assert self.process.poll() is None and time.time() < deadline, "Thunderbird did not start"
            time.sleep(0.1)
        with open(port) as file:
            self.socket = socket.create_connection(("127.0.0.1", int(file.read())), timeout=120)
        self.file, self.number = self.socket.makefile("rb"), 0
        self.read()
        self.ask("WebDriver:NewSession", capabilities={})
        self.ask("Marionette:SetContext", value="chrome")
        self.ask("WebDriver:SetTimeouts", script=60000)

    def read(self):
        """One message: its length, a colon, JSON."""
        digits = b""
        while not digits.endswith(b":"):
            octet = self.file.read(1)
            assert octet, "Thunderbird has ended"
            digits += octet
        return json.loads(self.file.read(int(digits[:-1])))

    def ask(self, command, **parameters):
        self.number += 1
        message = json.dumps([0, self.number, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, number, problem, result = self.read()
        assert number == self.number and problem is None, (command, problem)
        return result

    def do(self, script, *arguments):
        """What the script returns, which may wait."""
        whole = PRELUDE + (
            "const given = [...arguments], done = given.pop(); (async () => {" + script + "})()"
            ".then(value => done([null, value ?? null]), error => done([String(error) + error.stack]));"
        )
        value = self.ask("WebDriver:ExecuteAsyncScript", script=whole, args=arguments, newSandbox=True, sandbox="system")["value"]
        # A script is given up for a dialog that opens meanwhile.
        assert value is not None, (script, self.ask("WebDriver:GetAlertText"))
        assert value[0] is None, (script, value[0])
        return value[1]

    def spoken(self):
        """The lines of its protocol of IMAP."""
        names = glob.glob(self.log + "*")
        return [line for name in names for line in open(name, errors="replace")]

    def wire(self):
        """What it said and heard."""
        return sorted(line for line in self.spoken() if "SendData" in line or "CreateNewLineFromSocket" in line)

    def idles(self):
        """Whether the last word in the inbox is that it waits for what the server tells."""
        wire = [line for line in self.wire() if ":S-INBOX:" in line]
        return bool(wire) and "+ Idling" in wire[-1]

    def end(self):
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def eventually(what, wanted, patience=20):
    deadline = time.time() + patience
    while True:
        seen = what()
        if seen == wanted:
            return
        assert time.time() < deadline, (seen, wanted)
        time.sleep(0.1)


def flags(imap, subject):
    """Those of the message with this subject, without \\Recent."""
    check(imap.noop())
    number = check(imap.search(None, "SUBJECT", f'"{subject}"'))[0].split()
    if len(number) != 1:
        return number
    line = check(imap.fetch(number[0].decode(), "(FLAGS)"))[0]
    return set(re.search(rb"FLAGS \(([^)]*)\)", line)[1].decode().split()) - {"\\Recent"}


def subjects(server, mailbox, user=0):
    imap = server.imap(user)
    count = int(check(imap.select(mailbox))[0])
    data = check(imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")) if count else []
    imap.logout()
    return sorted(one[1].decode().strip().removeprefix("Subject: ") for one in data if isinstance(one, tuple))


def folders(server):
    imap = server.imap()
    lines = check(imap.list())
    imap.logout()
    return {re.search(rb'"/" "?([^"]*)', line)[1].decode() for line in lines}


def an_account_finds_its_folders(server, program):
    sender = server.smtp("submissions", 1)
    for number in range(4):
        sender.send_message(letter(server.users[1][0], server.users[0][0], f"Letter {number}", f"Grüße, needle{number}\r\n"))
    sender.quit()
    found = program.do(
        r"""
        const [user, password, port, submission] = given;
        const incoming = MailServices.accounts.createIncomingServer(user, "localhost", "imap");
        Object.assign(incoming, { port, socketType: Ci.nsMsgSocketType.SSL, authMethod: Ci.nsMsgAuthMethod.passwordCleartext, password });
        const outgoing = MailServices.outgoingServer.createServer("smtp");
        Object.assign(outgoing.QueryInterface(Ci.nsISmtpServer), { hostname: "localhost", port: submission });
        Object.assign(outgoing, { username: user, password, authMethod: Ci.nsMsgAuthMethod.passwordCleartext, socketType: Ci.nsMsgSocketType.SSL });
        const identity = MailServices.accounts.createIdentity();
        Object.assign(identity, { email: user, fullName: "Ann", smtpServerKey: outgoing.key });
        MailServices.outgoingServer.defaultServer = outgoing;
        const account = MailServices.accounts.createAccount();
        account.incomingServer = incoming;
        account.addIdentity(identity);
        MailServices.accounts.defaultAccount = account;
        incoming.performExpand(null);
        await until("folders", () => inbox() && ["Drafts", "Sent", "Junk", "Trash"].every(folder));
        for (let n = 0; n < 4; n++) await shows(inbox(), "Letter " + n);
        return ["Drafts", "SentMail", "Junk", "Trash"].map(use => root().getFolderWithFlags(Ci.nsMsgFolderFlags[use])?.name);
        """,
        *server.users[0], server.at("imaps")[1], server.at("submissions")[1],
    )
    assert found == ["Drafts", "Sent", "Junk", "Trash"], found


def messages_are_read_and_marked(server, program):
    program.do(
        r"""
        const one = titled(inbox(), "Letter 0"), two = titled(inbox(), "Letter 1");
        const { MsgHdrToMimeMessage } = ChromeUtils.importESModule("resource:///modules/gloda/MimeMessage.sys.mjs");
        const read = await new Promise(done => MsgHdrToMimeMessage(one, null, (_, message) => done(message), true));
        if (!read.coerceBodyToPlaintext(inbox()).includes("needle0")) throw new Error("not the letter");
        inbox().markMessagesRead([one, two], true);
        inbox().markMessagesFlagged([two], true);
        inbox().addKeywordsToMessages([two], "$label1 projekt");
        """
    )
    imap = server.imap()
    check(imap.select("INBOX"))
    eventually(lambda: flags(imap, "Letter 0"), {"\\Seen"})
    eventually(lambda: flags(imap, "Letter 1"), {"\\Seen", "\\Flagged", "$label1", "projekt"})
    # The other way, while it idles: of what comes together with the word that it may, it reads nothing.
    eventually(program.idles, True)
    number = check(imap.search(None, 'SUBJECT "Letter 2"'))[0].decode()
    check(imap.store(number, "+FLAGS", "(\\Answered $label3)"))
    program.do(r"""
        await until("flags of others", () => { const one = titled(inbox(), "Letter 2"); return one.flags & Ci.nsMsgMessageFlags.Replied && one.getStringProperty("keywords").includes("$label3"); });
    """)
    imap.logout()


def junk_goes_and_comes_back(server, program):
    imap = server.imap()
    for source, other, target, mark, before in (("inbox", "INBOX", "junk", "Junk", "NonJunk"), ("junk", "Junk", "inbox", "NonJunk", "Junk")):
        program.do(f"""{source}().QueryInterface(Ci.nsIMsgImapMailFolder).storeCustomKeywords(null, "{mark}", "{before}", [titled({source}(), "Letter 3").messageKey]);""")
        check(imap.select(other))
        # It has several connections, and would else move before it marks.
        eventually(lambda: flags(imap, "Letter 3"), {mark})
        program.do(f"""copy({source}(), [titled({source}(), "Letter 3")], {target}(), true); await gone({source}(), "Letter 3"); await shows({target}(), "Letter 3");""")
    check(imap.select("INBOX"))
    eventually(lambda: flags(imap, "Letter 3"), {"NonJunk"})
    imap.logout()


def folders_come_and_go(server, program):
    program.do(
        r"""
        root().createSubfolder("Bücher & Größe", null);
        const made = await until("made", () => folder("Bücher & Größe"));
        copy(inbox(), ["Letter 0", "Letter 1"].map(subject => titled(inbox(), subject)), made, false);
        await shows(made, "Letter 1");
        made.createSubfolder("Ünter", null);
        await until("made within", () => folder("Ünter"));
        made.rename("Büroärger", null);
        await shows(await until("renamed", () => folder("Büroärger")), "Letter 0");
        """
    )
    eventually(lambda: {name for name in folders(server) if "&" in name}, {"B&APw-ro&AOQ-rger", "B&APw-ro&AOQ-rger/&ANw-nter"})
    program.do(
        r"""
        const one = folder("Büroärger");
        one.deleteMessages([titled(one, "Letter 0")], null, false, false, listener, true);
        await gone(one, "Letter 0");
        await shows(trash(), "Letter 0");
        one.compact(listener, null);
        """
    )
    eventually(lambda: subjects(server, '"B&APw-ro&AOQ-rger"'), ["Letter 1"])
    program.do(
        r"""
        MailServices.copy.copyFolder(folder("Büroärger"), trash(), true, listener, null);
        await until("thrown away", () => trash().descendants.length == 2);
        trash().emptyTrash(listener);
        await until("emptied", () => trash().descendants.length == 0);
        """
    )
    eventually(lambda: {name for name in folders(server) if "&" in name}, set())
    eventually(lambda: subjects(server, "Trash"), [])


def the_server_searches(server, program):
    hits = program.do(
        r"""
        const found = [];
        for (const [what, text] of [["Body", "needle2"], ["Body", "Grüße"], ["Subject", "letter 1"]]) {
          const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
          session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, inbox());
          const term = session.createTerm(), value = term.value;
          term.attrib = value.attrib = Ci.nsMsgSearchAttrib[what];
          term.op = Ci.nsMsgSearchOp.Contains;
          value.str = text;
          term.value = value;
          term.booleanAnd = true;
          session.appendTerm(term);
          const hits = [];
          await new Promise(done => { session.registerListener({ onNewSearch() {}, onSearchHit: one => hits.push(one.mime2DecodedSubject), onSearchDone: done }); session.search(null); });
          found.push(hits.sort());
        }
        return found;
        """
    )
    assert hits == [["Letter 2"], [f"Letter {number}" for number in range(4)], ["Letter 1"]], hits


def letters_are_kept_and_sent(server, program):
    for mode, subject in (("SaveAsDraft", "A draft"), ("Now", "A letter of Thunderbird")):
        program.do(
            r"""
            const [mode, subject, from, to] = given;
            const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
            Object.assign(fields, { from, to, subject, body: "Hällo\r\n", forcePlainText: true });
            const account = MailServices.accounts.defaultAccount;
            const send = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
            await new Promise((done, fail) => {
              const told = { ...listener, QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener", "nsIMsgCopyServiceListener"]),
                onStartSending() {}, onSendProgress() {}, onStatus() {}, onGetDraftFolderURI() {}, onSendNotPerformed() {}, onTransportSecurityError() {},
                onStopSending(_, status, why) { if (status) fail(new Error("sending: " + status.toString(16) + " " + why)); },
                onStopCopy(status) { status ? fail(new Error("copy: " + status.toString(16))) : done(); } };
              send.createAndSendMessage(null, account.defaultIdentity, account.key, fields, false, false, Ci.nsIMsgCompDeliverMode[mode], null,
                "text/plain", fields.body, null, null, told, "", "", Ci.nsIMsgCompType.New);
            });
            """,
            mode, subject, server.users[0][0], server.users[1][0],
        )
    eventually(lambda: "A letter of Thunderbird" in subjects(server, "INBOX", 1), True)
    eventually(lambda: subjects(server, "Drafts"), ["A draft"])
    eventually(lambda: subjects(server, "Sent"), ["A letter of Thunderbird"])


def new_mail_comes_by_itself_and_is_kept(server, program):
    # What it is told just before it idles it looks at only with the next change.
    eventually(lambda: "idle mode async waiting" in [line for line in program.spoken() if ":S-INBOX:" in line][-1], True)
    sender = server.smtp("submissions", 1)
    sender.send_message(letter(server.users[1][0], server.users[0][0], "While it idles"))
    sender.quit()
    program.do(
        r"""
        await until("new mail", () => titled(inbox(), "While it idles"));
        inbox().setFlag(Ci.nsMsgFolderFlags.Offline);
        await until("a free folder", () => !inbox().locked);
        inbox().downloadAllForOffline(listener, null);
        await until("offline", () => all(inbox()).every(one => one.flags & Ci.nsMsgMessageFlags.Offline));
        """
    )


def people_and_events_are_shared(server, program):
    (user, password), base = server.users[0], "https://localhost:%d" % server.at("https")[1]

    def objects(path, ending):
        fields = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(), "Depth": "1"}

        def get(method, path):
            request = urllib.request.Request(base + path, method=method, headers=fields)
            return urllib.request.urlopen(request, context=server.tls(), timeout=30).read().decode()

        return [get("GET", href) for href in re.findall(rf"<D:href>([^<]*\.{ending})<", get("PROPFIND", path))]

    program.do(
        r"""
        const [base, user, password] = given;
        const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
        login.init(base, null, "Postrider", user, password, "", "");
        await Services.logins.addLoginAsync(login);
        const { CardDAVUtils } = ChromeUtils.importESModule("resource:///modules/CardDAVUtils.sys.mjs");
        const [found] = await CardDAVUtils.detectAddressBooks(user, password, base, false);
        await found.create();
        await until("a book", book);
        const card = Cc["@mozilla.org/addressbook/cardproperty;1"].createInstance(Ci.nsIAbCard);
        Object.assign(card, { displayName: "Jürgen Müller", primaryEmail: "juergen@example.test" });
        book().addCard(card);
        const kept = await until("kept", () => book().childCards.find(one => one.getProperty("_etag", "")));
        kept.displayName = "Jürgen M. Müller";
        await book().modifyCard(kept);
        """,
        base, user, password,
    )
    eventually(lambda: ["FN:Jürgen M. Müller\r\n" in card for card in objects(f"/dav/contacts/{user}/Contacts/", "vcf")], [True])
    program.do(
        r"""
        const { cal } = ChromeUtils.importESModule("resource:///modules/calendar/calUtils.sys.mjs");
        const { CalEvent } = ChromeUtils.importESModule("resource:///modules/CalEvent.sys.mjs");
        const made = cal.manager.createCalendar("caldav", Services.io.newURI(given[0]));
        made.name = "Personal";
        made.setProperty("username", given[1]);
        made.setProperty("cache.enabled", true);
        cal.manager.registerCalendar(made);
        const calendar = cal.manager.getCalendarById(made.id);
        // Two requests that need the password at once make it ask for it on the screen.
        await new Promise(done => calendar.addObserver({ QueryInterface: ChromeUtils.generateQI(["calIObserver"]), onLoad: done, onError() {},
          onStartBatch() {}, onEndBatch() {}, onAddItem() {}, onModifyItem() {}, onDeleteItem() {}, onPropertyChanged() {}, onPropertyDeleting() {} }));
        await until("ready", () => !calendar.readOnly && calendar.getProperty("currentStatus") === 0);
        const event = new CalEvent("BEGIN:VEVENT\r\nUID:tb-1\r\nDTSTAMP:20261128T000000Z\r\nDTSTART:20261201T100000Z\r\nDTEND:20261201T110000Z\r\nSUMMARY:Frühstück\r\nEND:VEVENT\r\n");
        const kept = await calendar.addItem(event), other = kept.clone();
        other.title = "Spätes Frühstück";
        await calendar.modifyItem(other, kept);
        """,
        f"{base}/dav/calendars/{user}/Personal/", user,
    )
    eventually(lambda: ["SUMMARY:Spätes Frühstück\r\n" in one for one in objects(f"/dav/calendars/{user}/Personal/", "ics")], [True])


def nothing_was_refused(_, program):
    lines = program.spoken()
    said = [line for line in lines if "CreateNewLineFromSocket: " in line]
    assert any("CONDSTORE" in line for line in lines if "SendData" in line) and len(said) > 100, len(said)
    refused = [line for line in said if re.search(r"CreateNewLineFromSocket: (\*|\d+) (NO|BAD) ", line)]
    # A connection may still ask for the folder that another one has just renamed or thrown away.
    refused = [line for line in refused if " NO [NONEXISTENT] " not in line]
    assert not refused, refused


STEPS = [
    an_account_finds_its_folders,
    messages_are_read_and_marked,
    junk_goes_and_comes_back,
    folders_come_and_go,
    the_server_searches,
    letters_are_kept_and_sent,
    new_mail_comes_by_itself_and_is_kept,
    people_and_events_are_shared,
    nothing_was_refused,
]

if __name__ == "__main__":
    described = Server(sys.argv[1])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        thunderbird = Thunderbird(described, directory)
        try:
            for step in STEPS:
                begun = time.time()
                step(described, thunderbird)
                print(f"{step.__name__.replace('_', ' ')}: {1000 * (time.time() - begun):.0f} ms", flush=True)
        except BaseException:
            print("What it said and heard last:", *thunderbird.wire()[-150:], sep="\n", file=sys.stderr)
            raise
        finally:
            thunderbird.end()
