"""The webmail in a real Chromium: messages within messages.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import base64
import email.message
import email.policy
import email.utils

from selenium.webdriver.common.keys import Keys
from server import check
from webmail_browser import PIXEL, Page, run

HOSTILE = """<html><body onload="document.title='owned'"><script>document.title='owned'</script><h2>Inner words</h2>
<img src="cid:inner" alt="ours"><img src="https://remote.test/inner.png" alt="remote"></body></html>"""


def put(server, message, user=0, folder="INBOX"):
    client = server.imap(user)
    octets = message if isinstance(message, bytes) else message.as_bytes(policy=email.policy.SMTP)
    check(client.append(folder, None, None, octets))
    client.logout()


def written(sender, to, subject, text="Some words.\n"):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"], message["Message-ID"] = email.utils.formatdate(), email.utils.make_msgid()
    message.set_content(text)
    return message


def nested(server):
    (ann, _), (bob, _) = server.users[:2]
    innermost = written("carl@elsewhere.test", ann, "The innermost", "Deep down.\n")
    inner = written("Dora <dora@elsewhere.test>", ann, "The inner one", "The plain side\n")
    # What others write about themselves proves nothing, though it names this server.
    inner["Authentication-Results"] = f"{server.facts.get('hostname', 'mail.example.test')}; dmarc=pass header.from=elsewhere.test"
    inner["X-Spam-Flag"], inner["Disposition-Notification-To"] = "YES", "dora@elsewhere.test"
    inner["List-Unsubscribe"] = "<mailto:leave@elsewhere.test>"
    inner.add_alternative(HOSTILE, subtype="html")
    inner.get_payload()[1].add_related(PIXEL, "image", "png", cid="<inner>")
    inner.add_attachment(b"one,two\n", maintype="text", subtype="csv", filename="inner.csv")
    inner.add_attachment(innermost)
    outer = written(f"Bob <{bob}>", ann, "What I was sent", "See below.\n")
    outer.add_attachment(inner)
    put(server, outer)
    # Some programs encode what is attached, though nobody should (RFC 2046 §5.2.1).
    octets = base64.encodebytes(written("erin@elsewhere.test", ann, "An encoded one", "Once encoded.\n").as_bytes(policy=email.policy.SMTP)).replace(b"\n", b"\r\n")
    put(server, b"From: %s\r\nTo: %s\r\nSubject: Encoded within\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n%s" % (bob.encode(), ann.encode(), octets))


def signs_in(server):
    page = server.page = Page(server)
    page.sign_in(server.users[0])


def inside(page, what):
    return page.script(f"const d = document.querySelector('iframe.page')?.contentDocument; return d?.body ? ({what}) : null")


def subject(page, wanted):
    page.until(f"“{wanted}” is open", lambda: page.text("#reader h1") == wanted and not page.there("#reader[aria-busy]"))


def opens_what_is_attached(server):
    page = server.page
    page.open("What I was sent")
    assert page.text(".files a.letter .name").endswith(".eml"), page.text(".files")
    # By the keyboard alone.
    page.script("document.querySelector('.files a.letter').focus()")
    page.press(Keys.ENTER)
    subject(page, "The inner one")
    page.until("its words are there", lambda: inside(page, "d.querySelector('h2')?.textContent") == "Inner words")
    assert page.script("return document.activeElement.id") == "reader"
    assert "dora@elsewhere.test" in page.text("#reader .people")
    assert page.driver.title != "owned" and inside(page, "d.querySelectorAll('script, [onload]').length") == 0
    page.until("its own picture is shown", lambda: inside(page, "[...d.images].find(i => i.alt === 'ours')?.naturalWidth") == 1)
    assert inside(page, "[...d.images].find(i => i.alt === 'remote').src").startswith("data:")
    # What it claims about itself is not believed, and nothing is sent for it.
    assert not page.there("#reader .seal") and not page.there(".unsubscribe") and not page.there(".banner.receipt"), page.text("#reader")
    assert "Nothing shows who" in page.text(".banner.within") and "spam" not in page.text("#reader .banner").lower()
    page.picture("attached-message")
    names = page.script("return [...document.querySelectorAll('.files .name')].map(one => one.textContent)")
    assert names == ["inner.csv", "The innermost.eml"], names
    csv = page.script("return document.querySelector('.files a:not(.letter, .keep)').href")
    assert page.script("return fetch(arguments[0]).then(answer => answer.text())", csv) == "one,two\n"


def and_what_is_attached_to_that(server):
    page = server.page
    page.script("document.querySelector('.files a.letter').focus()")
    page.press(Keys.ENTER)
    subject(page, "The innermost")
    assert "Deep down." in page.text("#reader .text")
    within = page.script("return new URLSearchParams(location.hash.slice(1)).get('within')")
    assert within.count(".") == 1, within
    source = page.script("return fetch(`api/message/source?folder=INBOX&uid=${new URLSearchParams(location.hash.slice(1)).get('uid')}&within=${arguments[0]}`).then(answer => answer.text())", within)
    assert source.startswith("From: carl@elsewhere.test\r\n"), source
    status = page.script("return fetch('api/message?folder=INBOX&uid=1&within=1').then(answer => answer.status)")
    assert status == 404, "a part that is no message is not opened as one"
    # A page that is loaded anew shows the same.
    page.driver.refresh()
    subject(page, "The innermost")
    page.press(Keys.ESCAPE)
    subject(page, "The inner one")
    page.until("the focus is where it was", lambda: page.script("return document.activeElement.dataset.within") == within)
    page.driver.back()
    subject(page, "The innermost")
    page.press("u")
    subject(page, "The inner one")
    page.click(".actions .outer")
    subject(page, "What I was sent")
    page.open("Encoded within")
    page.click(".files a.letter")
    subject(page, "An encoded one")
    assert "Once encoded." in page.text("#reader .text")
    page.press("u")


def what_is_attached_is_passed_on(server):
    page = server.page
    page.open("What I was sent")
    page.click(".files a.letter")
    subject(page, "The inner one")
    page.press("f")
    page.until("the letter", lambda: page.there("#compose textarea") and "The plain side" in page.script("return document.querySelector('#compose textarea').value"))
    page.press(f"{server.users[1][0]},")
    page.until("its files go along", lambda: page.there("#compose .attached li") == 3)
    page.click("#compose footer .main")
    page.until("sent", lambda: not page.there("#compose"))
    at = arrived(server, 1, "Fwd: The inner one")
    names = sorted(part.get_filename() or "" for part in at.iter_attachments())
    assert names == ["The innermost.eml", "inner.csv"] or "inner.csv" in names and len(names) == 3, names
    assert b"one,two\n" in [part.get_payload(decode=True) for part in at.iter_attachments()]


def arrived(server, user, wanted):
    import time

    client = server.imap(user)
    deadline = time.time() + 30
    while not (found := (check(client.select()), check(client.search(None, "SUBJECT", f'"{wanted}"'))[0].split())[1]):
        assert time.time() < deadline, f"“{wanted}” did not arrive"
        time.sleep(0.05)
    octets = check(client.fetch(found[-1], "(BODY.PEEK[])"))[0][1]
    client.logout()
    return email.message_from_bytes(octets, policy=email.policy.default)


def signs_out(server):
    server.page.end()


run(nested, signs_in, opens_what_is_attached, and_what_is_attached_to_that, what_is_attached_is_passed_on, signs_out)
