"""The webmail in a real Chromium: messages within messages, on paper, and written anew, searches, and sending taken back.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import base64
import email.message
import email.policy
import email.utils
import pathlib
import time

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from browser import run
from server import check
from webmail_page import PIXEL, Page

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
    assert "Nothing proves who" in page.text(".banner.within") and "spam" not in page.text("#reader .banner").lower()
    page.picture("attached-message")
    names = page.script("return [...document.querySelectorAll('.files .name')].map(one => one.textContent)")
    assert names == ["inner.csv", "The innermost.eml"], names
    csv = page.script("return document.querySelector('.files li a:not(.letter, .keep)').href")
    kept = page.script("return fetch(arguments[0]).then(answer => answer.text())", csv)
    assert kept.strip() == "one,two", (csv, kept)


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
    assert b"one,two" in [(part.get_payload(decode=True) or b"").strip() for part in at.iter_attachments()]


def arrived(server, user, wanted):
    client = server.imap(user)
    deadline = time.time() + 30
    while not (found := (check(client.select()), check(client.search(None, "SUBJECT", f'"{wanted}"'))[0].split())[1]):
        assert time.time() < deadline, f"“{wanted}” did not arrive"
        time.sleep(0.05)
    octets = check(client.fetch(found[-1], "(BODY.PEEK[])"))[0][1]
    client.logout()
    return email.message_from_bytes(octets, policy=email.policy.default)


def chord(page, *keys):
    *held, last = keys
    actions = ActionChains(page.driver)
    for key in held:
        actions = actions.key_down(key)
    actions = actions.send_keys(last)
    for key in held:
        actions = actions.key_up(key)
    actions.perform()


SEEN = "const seen = (one) => one.getClientRects().length > 0 && getComputedStyle(one).visibility === 'visible'; "


def a_text_is_printed(server):
    page = server.page
    put(server, written(f"Bob Builder <{server.users[1][0]}>", f"Ann <{server.users[0][0]}>, carl@elsewhere.test", "On paper", "Printed words.\n"))
    page.script("document.documentElement.dataset.theme = 'dark'")
    page.open("On paper")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    left = page.script(SEEN + "return [...document.querySelectorAll('button, input, select, nav a, .row, h1, .avatar')].filter(seen).map(one => one.outerHTML.slice(0, 80))")
    assert left == [], left
    shown = page.script("return document.querySelector('#reader').innerText")
    for words in ("On paper", "Bob Builder <", "carl@elsewhere.test", "Printed words."):
        assert words in shown, shown
    assert page.script("return getComputedStyle(document.querySelector('#reader article')).color") == "rgb(0, 0, 0)"
    page.picture("printed")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert page.script(SEEN + "return seen(document.querySelector('.printed'))") is False
    page.script("window.printed = 0; addEventListener('beforeprint', () => { window.printed += 1; })")
    chord(page, Keys.CONTROL, "p")
    page.until("it is printed", lambda: page.script("return window.printed") == 1)
    page.script("document.documentElement.dataset.theme = 'system'")


def a_page_is_printed_alone(server):
    page = server.page
    page.open("What I was sent")
    page.click(".files a.letter")
    subject(page, "The inner one")
    page.until("its words are there", lambda: inside(page, "d.querySelector('h2')?.textContent") == "Inner words")
    page.script("window.printed = 0; document.querySelector('iframe.page').contentWindow.addEventListener('beforeprint', () => { window.printed += 10; })")
    page.click(".actions button[aria-label='More']")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Print').click()")
    page.until("the frame is printed, and it alone", lambda: page.script("return window.printed") == 10)
    told = [entry["message"] for entry in page.driver.get_log("browser")]
    assert not [entry for entry in told if "print" in entry], told
    head = inside(page, "d.querySelector('body > .printed')?.textContent")
    for words in ("The inner one", "Dora <dora@elsewhere.test>", server.users[0][0], "inner.csv"):
        assert words in head, head
    assert inside(page, "d.defaultView.getComputedStyle(d.querySelector('.printed')).display") == "none", "only on paper"
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert inside(page, "d.defaultView.getComputedStyle(d.querySelector('.printed')).display") == "block"
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.press("u")
    subject(page, "What I was sent")


def it_is_said_of_what_is_shown_whether_it_is_cut(server):
    """The page of a message may be shown whole where its text is not."""
    page = server.page
    message = written("bob@example.test", server.users[0][0], "A very long page")
    message.set_content(("<p>" + "Some words of many, again and again.\n" * 1_000 + "</p>\n") * 30, subtype="html")
    put(server, message)
    page.folder("Inbox")
    page.open("A very long page")
    page.until("its words are there", lambda: inside(page, "d.querySelectorAll('p').length") == 30)
    assert "only its beginning" not in page.text("#reader article"), page.text("#reader .banner")
    page.script("[...document.querySelectorAll('#reader .actions button')].at(-1).click()")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Show as text').click()")
    page.until("it is said of the text", lambda: "only its beginning" in page.text("#reader .banner"))


def what_is_cut_is_passed_on_whole_as_a_file(server):
    page, (bob, _) = server.page, server.users[1]
    put(server, written(f"Bob <{bob}>", server.users[0][0], "A very long one", "Some words of many, again and again.\n" * 40_000 + "The end.\n"))
    page.folder("Inbox")
    page.open("A very long one")
    page.press("f")
    page.until("the letter", lambda: page.there("#compose textarea"))
    page.toast("only its beginning is in the letter")
    page.script("[...document.querySelectorAll('#toasts button')].at(-1).click()")
    page.until("it is a file", lambda: page.text("#compose .attached .name") == "A very long one.eml")
    page.press(f"{bob},")
    page.click("#compose footer .main")
    page.until("sent", lambda: not page.there("#compose"))
    [file] = arrived(server, 1, "Fwd: A very long one").iter_attachments()
    assert file.get_content().get_content().rstrip().endswith("The end."), file.get_content_type()


def who_is_left_out_of_an_answer_is_told_of(server):
    page = server.page
    message = written("bob@example.test", server.users[0][0], "To very many")
    message["Cc"] = ", ".join(f"p{n}@far.test" for n in range(1_100))
    put(server, message)
    page.folder("Inbox")
    page.open("To very many")
    page.press("a")
    page.until("the letter", lambda: page.there("#compose textarea"))
    page.toast("only to those listed in the letter")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))


def writes_one_anew(server):
    """Of a letter that was sent: people, text and files come along, and nothing makes it an answer."""
    page, (bob, _) = server.page, server.users[1]
    sent = written(server.users[0][0], f"Bob <{bob}>", "The monthly figures", "Here they are.\n")
    sent["Cc"], sent["Bcc"], sent["References"], sent["In-Reply-To"] = "carl@elsewhere.test", "dora@elsewhere.test", "<old@x.test>", "<old@x.test>"
    sent.add_attachment(b"1,2\n", maintype="application", subtype="octet-stream", filename="figures.bin")
    put(server, sent, folder="Sent")
    page.folder("Sent")
    page.open("The monthly figures")
    page.click(".actions .asNew")
    value = lambda name: page.script("return document.querySelector(`#compose [aria-label=${arguments[0]}]`)?.value", name)
    page.until("the letter", lambda: "Here they are." in (page.script("return document.querySelector('#compose textarea')?.value") or ""))
    assert (value("To"), value("Cc"), value("Bcc"), value("Subject")) == (f"Bob <{bob}>", "carl@elsewhere.test", "dora@elsewhere.test", "The monthly figures")
    assert page.text(".attached .name") == "figures.bin"
    # Only Bob is there to get it.
    page.script("for (const name of ['Cc', 'Bcc']) { const field = document.querySelector(`#compose [aria-label=${name}]`); field.value = ''; field.dispatchEvent(new Event('input')); }")
    page.click("#compose footer .main")
    page.until("sent", lambda: not page.there("#compose"))
    message = arrived(server, 1, "The monthly figures")
    assert message["in-reply-to"] is None and message["references"] is None and message["message-id"] != sent["message-id"]
    assert message.get_body().get_content() == "Here they are.\r\n" or message.get_body().get_content().strip() == "Here they are."
    assert [part.get_payload(decode=True) for part in message.iter_attachments()] == [b"1,2\n"]
    page.until("the old one stays beside the new one", lambda: len([row for row in page.rows() if "The monthly figures" in row]) == 2)
    # Formatted, by the key.
    page.folder("Inbox")
    page.open("What I was sent")
    page.click(".files a.letter")
    subject(page, "The inner one")
    page.press("E")
    page.until("its formatting comes along", lambda: page.script("return document.querySelector('#compose .written h2')?.textContent") == "Inner words")
    page.until("and its picture", lambda: page.script("return document.querySelector('#compose .written img[data-cid]')?.naturalWidth") == 1)
    page.click("#compose [aria-label=Discard]")
    page.until("gone", lambda: not page.there("#compose") or page.there("dialog footer .danger"))
    if page.there("dialog footer .danger"):
        page.click("dialog footer .danger")
    page.until("gone", lambda: not page.there("#compose"))
    page.press("u")


def a_costly_text_does_not_hold_the_page(server):
    """What searches for links, names and quotes takes time for each character, not for each pair of them."""
    page, (ann, _) = server.page, server.users[0]
    lines = ["Begun. See https://example.test/page, write to -carl@example.test.", "a-" * 150_000, "x" + " " * 200_000 + "x", ">" * 50_000 + " deep", "The end."]
    message = written("bob@example.test", ann, "A costly one")
    message.set_content("\n".join(lines), cte="base64")
    blanks = ("\r\n" + " " * 900) * 3
    fields = "Reply-To: " + ",\r\n ".join(f"\"A{blanks}B\" <long{n}@example.test>" for n in range(200)) + "\r\n"
    put(server, fields.encode() + message.as_bytes(policy=email.policy.SMTP))
    page.folder("Inbox")
    page.open("A costly one")
    page.until("all of it", lambda: page.script("return document.querySelector('#reader .text')?.lastChild.textContent.trim()") == "The end.")
    links = page.script("return [...document.querySelectorAll('#reader .text a')].map(one => one.getAttribute('href'))")
    assert links == ["https://example.test/page", "mailto:carl@example.test"], links
    page.press("r")
    page.until("the answer", lambda: page.script("return document.querySelector('#compose [aria-label=To]')?.value.endsWith(' B <long199@example.test>')"))
    page.click("#compose .exchange")
    page.until("with formatting", lambda: "deep" in page.text("#compose .written blockquote blockquote"))
    page.click("#compose [aria-label=Discard]")
    page.click("dialog footer .danger")
    page.until("discarded", lambda: not page.there("#compose"))


def subjects_of(server, folder):
    client = server.imap(0)
    check(client.select(folder, True))
    told = check(client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    client.logout()
    return [email.message_from_bytes(one[1], policy=email.policy.default)["Subject"] for one in told if isinstance(one, tuple)]


def finds_by_file_folder_and_either(server):
    page = server.page
    client = server.imap(0)
    check(client.create('"My folder"'))
    client.logout()
    filed = written("erin@elsewhere.test", server.users[0][0], "Filed away")
    filed.add_attachment(b"x", maintype="application", subtype="pdf", filename="Übersicht 2026.pdf")
    put(server, filed, folder='"My folder"')
    put(server, written("frank@elsewhere.test", server.users[0][0], "Filed with nothing"), folder='"My folder"')
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    page.folder("Inbox")

    def finds(query, *subjects):
        page.script("const s = document.querySelector('[type=search]'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", query)
        found = lambda: sorted(next((one for one in subjects if one in row), row) for row in page.rows())
        page.until(f"{query}: {subjects}, not {found()}", lambda: not page.there(".rows[aria-busy]") and found() == sorted(subjects))

    def refuses(query, words):
        page.script("const s = document.querySelector('[type=search]'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", query)
        page.until(f"{query} is refused", lambda: words in page.text("#list .note") and not page.rows())

    finds("filename:ÜBERSICHT")
    finds('filename:übersicht in:"my folder"', "Filed away")
    finds('in:"My folder"', "Filed away", "Filed with nothing")
    finds('in:"My folder" -filename:*.pdf', "Filed with nothing")
    finds("from:frank OR filename:.pdf in:\"My folder\"", "Filed away", "Filed with nothing")
    finds("subject:\"On paper\" OR subject:encoded", "On paper", "Encoded within")
    finds("in:sent monthly filename:figures", "The monthly figures", "The monthly figures")
    finds('-in:sent -in:inbox -in:drafts filed', "Filed away", "Filed with nothing")
    page.picture("found")
    # By the name that the page shows, in its language.
    finds("in:Inbox paper", "On paper")
    finds('"in:sent"')
    refuses("in:nowhere", "“nowhere” does not exist")
    refuses("before:soon", "“soon” is not a date: write before:2026-01-31")
    refuses("larger:much", "“much” is not a size")
    refuses("is:wonderful", "There is no “is:wonderful”")
    refuses("paper OR", "OR must be between two")
    refuses("filename:", "Write something after “filename:”")
    finds("", *subjects_of(server, "INBOX"))
    page.script("document.querySelector('.rows').focus()")
    page.press("?")
    page.until("the help names it", lambda: "filename:report" in page.text("dialog .finds") and "OR" in page.text("dialog .finds"))
    page.picture("help")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))


def begins(page, to, subject):
    page.press("c")
    page.until("the letter", lambda: page.script("return document.activeElement.getAttribute('aria-label')") == "To")
    page.press(f"{to}, ")
    page.script("document.querySelector('#compose [aria-label=Subject]').focus()")
    page.press(subject)
    page.script("document.querySelector('#compose textarea').focus()")


def counts(server, user, subject, folder="INBOX"):
    client = server.imap(user)
    check(client.select(folder))
    found = check(client.search(None, "SUBJECT", f'"{subject}"'))[0].split()
    client.logout()
    return len(found)


def holds(page, seconds):
    page.script("[...document.querySelectorAll('#top .me')][0].click()")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Settings').click()")
    page.until("the settings", lambda: page.there("dialog select.hold"))
    assert page.script("return [...document.querySelector('dialog select.hold').options].map(one => one.value)") == ["0", "5", "10", "20", "30"]
    page.script("const s = document.querySelector('dialog select.hold'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))", str(seconds))
    page.toast("Saved")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))


def takes_back_what_it_sends(server):
    page, (bob, _) = server.page, server.users[1]
    page.folder("Inbox")
    holds(page, 30)
    begins(page, bob, "Too early")
    page.press("Half a thought")
    path = pathlib.Path(page.downloads, "thought.txt")
    path.write_text("noted")
    page.one("#compose input[type=file]:not(.pictured)").send_keys(str(path))
    page.until("it is uploaded", lambda: page.text(".attached .name") == "thought.txt")
    page.click("#compose footer .main")
    page.toast("sent in a moment")
    assert not page.there("#compose")
    page.picture("undo")
    assert counts(server, 1, "Too early") == 0 and counts(server, 0, "Too early", "Drafts") == 1, "it is a draft while it waits"
    # Also by the key, while the focus is in the list.
    page.script("document.querySelector('.rows').focus()")
    page.press("z")
    page.until("the letter is back", lambda: "Half a thought" in (page.script("return document.querySelector('#compose textarea')?.value") or ""))
    assert page.text(".attached .name") == "thought.txt"
    page.toast("was not sent")
    page.script("const s = document.querySelector('#compose [aria-label=Subject]'); s.value = 'Just in time'; s.dispatchEvent(new Event('input'))")
    page.click("#compose footer .main")
    page.until("again", lambda: page.there("#toasts .toast button"))
    page.click("#toasts .toast button")
    page.until("the letter is back once more", lambda: page.there("#compose textarea"))
    page.click("#compose [aria-label=Discard]")
    page.click("dialog footer .danger")
    page.until("gone", lambda: not page.there("#compose"))
    page.until("with its draft", lambda: counts(server, 0, "Just in time", "Drafts") == 0 and counts(server, 0, "Too early", "Drafts") == 0)
    holds(page, 5)
    begins(page, bob, "In its time")
    page.click("#compose footer .main")
    page.toast("sent in a moment")
    page.until("then it goes", lambda: "on its way" in page.text("#toasts"))
    arrived(server, 1, "In its time")
    assert (counts(server, 1, "In its time"), counts(server, 0, "In its time", "Drafts"), counts(server, 0, "In its time", "Sent")) == (1, 0, 1)


def keeps_once_what_it_hears_no_answer_about(server):
    page, (bob, _) = server.page, server.users[1]
    holds(page, 0)
    page.script("""
        const honest = window.fetch;
        let lost = 1;
        window.fetch = async (...wish) => {
          const answer = await honest(...wish);
          if (String(wish[0]).includes("api/drafts") && wish[1].body.includes('"upload"') && lost-- > 0) throw new TypeError("lost");
          return answer;
        };""")
    begins(page, bob, "On a slow line")
    page.press("With a file")
    path = pathlib.Path(page.downloads, "slow.txt")
    path.write_text("kept once")
    page.one("#compose input[type=file]:not(.pictured)").send_keys(str(path))
    page.until("nobody says that it is kept", lambda: page.there("#compose .state.problem"))
    page.script("document.querySelector('#compose textarea').focus()")
    page.press(" and more")
    page.click("#compose footer .main")
    message = arrived(server, 1, "On a slow line")
    assert [part.get_filename() for part in message.iter_attachments()] == ["slow.txt"]
    assert "With a file and more" in message.get_body(("plain",)).get_content()
    page.until("its draft is gone", lambda: counts(server, 0, "On a slow line", "Drafts") == 0)
    assert counts(server, 0, "On a slow line", "Sent") == 1
    holds(page, 5)


def what_waits_is_sent_although_the_browser_is_closed(server):
    page, (bob, _) = server.page, server.users[1]
    page.until("earlier words are gone", lambda: not page.there("#toasts .toast"))
    begins(page, bob, "Nobody watches")
    page.click("#compose footer .main")
    page.toast("sent in a moment")
    page.driver.get("about:blank")
    assert counts(server, 1, "Nobody watches") == 0
    arrived(server, 1, "Nobody watches")
    page.until("it is no draft any more", lambda: counts(server, 0, "Nobody watches", "Drafts") == 0)
    assert (counts(server, 1, "Nobody watches"), counts(server, 0, "Nobody watches", "Sent")) == (1, 1), "once"
    # It cannot be taken back any more, and cannot wait with what only a memory holds.
    page.driver.get(page.at)
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    ask = lambda path, wish: page.script("return fetch(`api/${arguments[0]}`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-postrider': '1' }, body: JSON.stringify(arguments[1]) }).then(async answer => [answer.status, await answer.json().catch(() => null)])", path, wish)
    letter = {"from": {"address": server.users[0][0]}, "to": [{"name": "", "address": bob}], "subject": "By hand", "text": "x"}
    key = "a key of one's own"
    assert ask("send/undo", {"key": key})[1]["type"] == "sent-already"
    status, answer = ask("send", {"key": key, "letter": letter, "hold": 60})
    assert status == 200 and answer["sent"] is False and answer["due"] > time.time() * 1000 + 30_000, answer
    assert ask("send", {"key": key, "letter": letter})[1]["sent"] is True, "asked for again without waiting"
    assert ask("send/undo", {"key": key})[0] == 409
    assert ask("send", {"key": f"{key}2", "letter": letter, "hold": 61})[0] == 400
    assert ask("send", {"key": f"{key}3", "letter": {**letter, "attachments": [{"upload": "x"}]}, "hold": 5})[0] == 400
    status, answer = ask("send", {"key": f"{key}4", "letter": {**letter, "to": [{"name": "", "address": "nobody"}]}, "hold": 5})
    assert status == 400 and answer["type"] == "no-address", "what cannot be sent is told at once"
    arrived(server, 1, "By hand")
    assert counts(server, 1, "By hand") == 1
    keys = [f"one of many keys {n}" for n in range(21)]
    statuses = [ask("send", {"key": one, "letter": letter, "hold": 60})[0] for one in keys]
    assert statuses == [200] * 20 + [503], "no more than twenty wait"
    assert [ask("send/undo", {"key": one})[0] for one in keys[:20]] == [204] * 20


def signs_out(server):
    server.page.end()


if __name__ == "__main__":
    run(
        nested,
        signs_in,
        opens_what_is_attached,
        and_what_is_attached_to_that,
        what_is_attached_is_passed_on,
        a_text_is_printed,
        a_page_is_printed_alone,
        it_is_said_of_what_is_shown_whether_it_is_cut,
        what_is_cut_is_passed_on_whole_as_a_file,
        who_is_left_out_of_an_answer_is_told_of,
        writes_one_anew,
        finds_by_file_folder_and_either,
        a_costly_text_does_not_hold_the_page,
        takes_back_what_it_sends,
        keeps_once_what_it_hears_no_answer_about,
        what_waits_is_sent_although_the_browser_is_closed,
        signs_out,
    )
