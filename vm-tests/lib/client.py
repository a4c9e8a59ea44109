"""The mail program of the tests, on the machine as /etc/mail-client: Python's own libraries, nothing of ours.

send HOST USER PASSWORD TO SUBJECT    submits one message over TLS
subjects HOST USER PASSWORD           prints the subject lines of the inbox
"""

import imaplib
import smtplib
import ssl
import sys

verb, host, user, password, *rest = sys.argv[1:]
# The tests' certificates are made on the spot.
context = ssl._create_unverified_context()
if verb == "send":
    to, subject = rest
    with smtplib.SMTP_SSL(host, 465, context=context, timeout=20) as smtp:
        smtp.login(user, password)
        smtp.sendmail(user, [to], f"From: {user}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nBody.\r\n")
elif verb == "subjects":
    with imaplib.IMAP4_SSL(host, 993, ssl_context=context, timeout=20) as imap:
        imap.login(user, password)
        imap.select("INBOX", readonly=True)
        for item in imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            if isinstance(item, tuple):
                print(item[1].decode().strip())
else:
    sys.exit(f"unknown verb {verb}")
