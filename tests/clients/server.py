"""What the client scripts share: the server under test, as `postrider demo --json` describes it.

Each script is run as `python3 SCRIPT DESCRIPTION`, where DESCRIPTION is a file with that one JSON object, and fails
by an assertion. The clients are Python's own libraries; only the model of IMAP clients speaks a protocol by itself.
"""

import email.message
import email.utils
import imaplib
import json
import poplib
import smtplib
import ssl
import sys
import time
import uuid


class Server:
    def __init__(self, path):
        with open(path) as file:
            self.facts = json.load(file)
        self.users = [(u["address"], u["password"]) for u in self.facts["users"]]

    def at(self, listener):
        host, _, port = self.facts["listeners"][listener].rpartition(":")
        return host.strip("[]"), int(port)

    def tls(self):
        context = ssl.create_default_context(cafile=self.facts["ca"])
        # The demo's certificate is for its host name and for localhost.
        context.check_hostname = False
        return context

    def imap(self, user=0, listener="imaps"):
        if listener == "imaps":
            client = imaplib.IMAP4_SSL(*self.at(listener), ssl_context=self.tls(), timeout=30)
        else:
            client = imaplib.IMAP4(*self.at(listener), timeout=30)
            client.starttls(self.tls())
        client.login(*self.users[user])
        return client

    def pop3(self, user=0, listener="pop3s"):
        if listener == "pop3s":
            client = poplib.POP3_SSL(*self.at(listener), context=self.tls(), timeout=30)
        else:
            client = poplib.POP3(*self.at(listener), timeout=30)
            client.stls(self.tls())
        client.user(self.users[user][0])
        client.pass_(self.users[user][1])
        return client

    def smtp(self, listener="submissions", user=None):
        if listener == "submissions":
            client = smtplib.SMTP_SSL(*self.at(listener), context=self.tls(), timeout=30)
        elif listener == "lmtp":
            client = smtplib.LMTP(*self.at(listener), timeout=30)
        else:
            client = smtplib.SMTP(*self.at(listener), timeout=30)
            if listener == "submission":
                client.starttls(context=self.tls())
        if user is not None:
            client.login(*self.users[user])
        return client

    def wait_for(self, user, message_id, mailbox="INBOX", patience=20):
        """The sequence number of the message, once it is there."""
        client = self.imap(user)
        try:
            deadline = time.time() + patience
            while time.time() < deadline:
                check(client.select(mailbox))
                found = check(client.search(None, "HEADER", "Message-ID", f'"{message_id}"'))[0].split()
                if found:
                    return found[-1]
                time.sleep(0.05)
        finally:
            client.logout()
        raise AssertionError(f"{message_id} did not arrive in {mailbox} of {self.users[user][0]}")


def check(answer, wanted="OK"):
    """The data of an imaplib answer that must have this status."""
    status, data = answer
    assert status == wanted, f"{status}: {data}"
    return data


def letter(sender, recipient, subject="A letter", body="One line.\r\n"):
    message = email.message.EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = email.utils.formatdate()
    message["Message-ID"] = f"<{uuid.uuid4()}@client.example>"
    message.set_content(body)
    return message


def main(*steps):
    server = Server(sys.argv[1])
    for step in steps:
        begun = time.time()
        step(server)
        print(f"{step.__name__.replace('_', ' ')}: {1000 * (time.time() - begun):.0f} ms", flush=True)
