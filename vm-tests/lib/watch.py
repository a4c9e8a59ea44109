# A program that logs in by IMAP, stays connected and writes down how often it was answered.
import imaplib, ssl, time

imap = imaplib.IMAP4_SSL("localhost", 993, ssl_context=ssl._create_unverified_context(), timeout=60)
imap.login("ann@example.test", "ann")
log = open("/run/watch", "a", buffering=1)
while True:
    imap.noop()
    print("answered", file=log)
    time.sleep(0.2)
