"""The webmail in a real Chromium: signing in, reading, writing, files both ways, moving, searching, keys, telephones.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import base64
import email.message
import email.utils
import os
import pathlib
import re
import tempfile
import time

from browser import PATIENCE, Browser
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from server import check, letter, main

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


class Page(Browser):
    TELLS = ("#toasts", ".note", ".state")

    def __init__(self, server):
        self.downloads = tempfile.mkdtemp(prefix="downloads-")
        at = os.environ.get("WEBMAIL_AT") or f"https://{server.facts['listeners']['https']}"
        super().__init__(at, (1360, 900), ("browser", "performance"), {"download.default_directory": self.downloads})

    def click(self, selector):
        self.until(f"{selector} to click", lambda: self.there(selector))
        self.script("arguments[0].click()", self.one(selector))

    def rows(self):
        return self.script("return [...document.querySelectorAll('.row:not(.empty)')].map(row => row.getAttribute('aria-label'))")

    def shows(self, subject):
        return self.until(f"the row “{subject}”", lambda: [row for row in self.rows() if subject in row])[0]

    def lacks(self, subject):
        self.until(f"no row “{subject}”", lambda: self.there("#list") and not [row for row in self.rows() if subject in row])

    def open(self, subject):
        self.shows(subject)
        self.script("[...document.querySelectorAll('.row')].find(row => row.getAttribute('aria-label')?.includes(arguments[0])).click()", subject)
        self.until(f"“{subject}” is open", lambda: self.text("#reader h1") == subject)

    def folder(self, name):
        self.script("[...document.querySelectorAll('#folders a')].find(a => a.querySelector('.name').textContent === arguments[0]).click()", name)
        self.until(f"the folder {name}", lambda: self.text("#folders li.current .name") == name and not self.there(".rows[aria-busy]"))

    def toast(self, words):
        self.until(f"“{words}”", lambda: words in self.text("#toasts"))

    def sign_in(self, user):
        self.driver.get(self.at)
        self.until("the form", lambda: self.there("#password"))
        assert self.script("return document.activeElement.id") == "address"
        self.press(user[0], Keys.TAB, user[1], Keys.ENTER)
        self.until("the folders", lambda: self.there("#folders a"))

    def picture(self, name):
        if directory := os.environ.get("WEBMAIL_PICTURES"):
            time.sleep(0.3)
            self.driver.save_screenshot(str(pathlib.Path(directory) / f"{name}.png"))

    def waits(self, milliseconds):
        """How long each answer of the server takes from now on, beside what it takes anyway."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, "latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1})

    def end(self):
        self.driver.quit()


NEWSLETTER = """<html><head><style>p{color:red}</style><script>document.title="owned"</script></head><body onload="document.title='owned'">
<table width="100%" bgcolor="#1f5fae" cellpadding="18"><tr><td style="color:#ffffff;font-size:22px;font-family:Georgia">The Weekly Letter</td></tr></table>
<h2 style="color:#1f5fae">What is new</h2><p style="font-size:16px">Formatted <b>text</b>, a picture of our own <img src="cid:logo" width="20" height="20" alt="logo">
and one from elsewhere <img src="https://remote.test/pixel.png" width="40" height="40" alt="remote">.</p>
<p><a href="https://evil.test/login">https://bank.test/login</a> and <a href="https://bank.test/">our bank</a> and <a href="javascript:document.title='owned'">a trap</a>.</p>
<form action="https://evil.test"><input name="password"></form></body></html>"""


def mail_is_there(server):
    (ann, _), (bob, _) = server.users[:2]
    client = server.smtp(user=1)
    client.send_message(letter(bob, ann, "A plain letter", "Hello Ann,\r\n\r\nsee https://example.test/page and write to carl@example.test.\r\n\r\n> quoted once\r\n>> quoted twice\r\n\r\nBob\r\n"), bob, [ann])
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = email.utils.formataddr(("Bob Builder", bob)), ann, "A newsletter"
    message["Date"], message["Message-ID"] = email.utils.formatdate(), "<newsletter@client.example>"
    message.set_content("The plain side")
    message.add_alternative(NEWSLETTER, subtype="html")
    message.get_payload()[1].add_related(PIXEL, "image", "png", cid="<logo>")
    message.add_attachment(b"one,two\n1,2\n", maintype="text", subtype="csv", filename="table <b>.csv")
    client.send_message(message, bob, [ann])
    for n in range(120):
        if n < 3:
            client.send_message(letter(bob, ann, f"Letter {n}"), bob, [ann])
    client.quit()
    server.wait_for(0, "<newsletter@client.example>")
    client = server.imap(0)
    for n in range(3, 130):
        check(client.append("INBOX", "\\Seen", None, letter(bob, ann, f"Older letter {n}").as_bytes().replace(b"\n", b"\r\n")))
    client.logout()


def signs_in(server):
    page = server.page = Page(server)
    page.driver.get(page.at)
    page.until("the form", lambda: page.there("#password"))
    page.picture("sign-in")
    page.press(server.users[0][0], Keys.TAB, "wrong", Keys.ENTER)
    page.until("a wrong password is told", lambda: "wrong" in page.text("[role=alert]"))
    page.sign_in(server.users[0])
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    page.until("the unread ones are counted", lambda: page.text("#folders .count") == "5")
    assert page.driver.title.startswith("(5) Inbox"), page.driver.title
    page.picture("list")


def long_lists_are_drawn_in_part(server):
    page = server.page
    assert page.script("return document.querySelector('.row').getAttribute('aria-setsize')") == "132"
    assert page.there(".row") < 40
    page.script("document.querySelector('.rows').scrollTop = 1e6")
    page.shows("A plain letter")
    page.script("document.querySelector('.rows').scrollTop = 0")
    page.shows("Older letter 129")


def selects_what_it_has_not_seen(server):
    page = server.page
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    total = int(page.script("return document.querySelector('.row').getAttribute('aria-setsize')"))
    assert total > 110
    page.script("document.querySelector('.row .mark').click()")
    page.script("const box = document.querySelector('.rows'); box.scrollTop = box.scrollHeight")
    last = f".row:not(.empty)[aria-posinset='{total}'] .mark"
    page.until("the last row", lambda: page.there(last))
    page.script("document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('click', { shiftKey: true, bubbles: true }))", last)
    page.until("all are selected", lambda: str(total) in page.text("#list .bar .count"))
    page.script("document.querySelector('.rows').focus()")
    page.press(Keys.ESCAPE)
    page.until("none is", lambda: not page.there(".row[aria-selected=true]"))
    page.script("document.querySelector('.rows').scrollTop = 0")


def reads_plain_text(server):
    page = server.page
    page.press("/")
    page.press("plain letter")
    page.until("found", lambda: len(page.rows()) == 1)
    page.open("A plain letter")
    assert page.there(".text a[href='https://example.test/page'][rel='noopener noreferrer'][target=_blank]") == 1
    assert page.there(".text .quote1") == 1 and page.there(".text .quote2") == 1
    page.until("it is marked as read", lambda: page.there(".row:not(.unread)"))
    page.until("and counted", lambda: page.text("#folders .count") == "4")
    page.picture("plain")


def reads_html_without_harm(server):
    page = server.page
    page.script("const s = document.querySelector('[type=search]'); s.value = 'newsletter'; s.dispatchEvent(new Event('input'))")
    page.until("found", lambda: len(page.rows()) == 1)
    page.open("A newsletter")
    inside = lambda text: page.script(f"const d = document.querySelector('iframe.page')?.contentDocument; return d?.body ? ({text}) : null")
    page.until("the frame is there", lambda: inside("d.querySelector('h2')?.textContent") == "What is new")
    assert page.one("iframe.page").get_attribute("sandbox") == "allow-same-origin allow-modals allow-popups allow-popups-to-escape-sandbox"
    assert inside("d.querySelectorAll('script, form, input, style:not(head style), [onload]').length") == 0
    assert page.driver.title != "owned"
    page.until("our own picture is shown", lambda: inside("[...d.images].find(i => i.alt === 'logo')?.naturalWidth") == 1)
    assert inside("[...d.images].find(i => i.alt === 'remote').src").startswith("data:")
    assert "blocked" in page.text(".banner.images")
    page.until("a link that lies says so", lambda: "leads to evil.test" in (inside("d.body.textContent") or ""))
    assert inside("[...d.links].map(a => a.getAttribute('href')).some(h => h?.startsWith('javascript'))") is False
    assert page.until("the frame is high enough", lambda: page.one("iframe.page").size["height"] > 200)
    page.picture("html")
    page.click(".banner.images button")
    page.until("images are allowed", lambda: inside("[...d.images].find(i => i.alt === 'remote')?.src") == "https://remote.test/pixel.png")
    asked = [entry for entry in page.driver.get_log("performance") if "https://remote.test/" in entry["message"]]
    assert asked, "now it is asked for"
    assert "table" in page.text(".files .name") and not page.there(".files b")
    page.click(".files a")
    page.until("the file is saved", lambda: [file for file in os.listdir(page.downloads) if file.endswith(".csv")])
    assert pathlib.Path(page.downloads, [f for f in os.listdir(page.downloads) if f.endswith(".csv")][0]).read_bytes() == b"one,two\n1,2\n"


def answers_with_a_file(server):
    page = server.page
    page.press("r")
    page.until("the letter", lambda: page.there("#compose textarea"))
    page.until("the focus is in it", lambda: page.script("return document.activeElement.tagName") == "TEXTAREA")
    assert page.script("return document.querySelector('#compose textarea').value").count("> The plain side") == 1
    assert "Bob Builder" in page.script("return document.querySelector('#compose [aria-label=To]').value")
    page.press("Thank you, Bob.")
    path = pathlib.Path(page.downloads, "Notes ü.txt")
    path.write_text("noted")
    page.one("#compose input[type=file]").send_keys(str(path))
    page.until("it is uploaded", lambda: page.text(".attached .name") == "Notes ü.txt")
    page.until("the draft is saved by itself", lambda: "Draft saved" in page.text(".state"))
    page.picture("compose")
    page.until("and seen among the drafts", lambda: "1" in page.script("return [...document.querySelectorAll('#folders a')].find(a => a.textContent.startsWith('Drafts')).textContent"))
    page.script("document.querySelector('#compose textarea').focus()")
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER, Keys.ENTER).key_up(Keys.CONTROL).perform()
    page.toast("on its way")
    page.until("the letter is gone", lambda: not page.there("#compose"))
    client = server.imap(1)
    deadline = time.time() + PATIENCE
    while not (found := (check(client.select()), check(client.search(None, "SUBJECT", '"Re: A newsletter"'))[0].split())[1]):
        assert time.time() < deadline, "the answer did not arrive"
        time.sleep(0.05)
    assert len(found) == 1, "sent once"
    source = check(client.fetch(found[0], "(BODY.PEEK[])"))[0][1]
    client.logout()
    import email.policy
    message = email.message_from_bytes(source, policy=email.policy.default)
    assert message["in-reply-to"] == "<newsletter@client.example>"
    assert [part.get_content() for part in message.iter_attachments()] == ["noted"]
    assert message.get_body().get_content().startswith("Thank you, Bob.")
    page.until("the message is marked as answered", lambda: "answered" in page.rows()[0])
    page.script("const s = document.querySelector('[type=search]'); s.value = ''; s.dispatchEvent(new Event('input'))")
    page.folder("Drafts")
    page.until("no draft is left", lambda: page.text(".note") == "No messages")
    page.folder("Sent")
    page.shows("Re: A newsletter")


BREAKS = """window.sends = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function () { setTimeout(() => this.dispatchEvent(new ProgressEvent("error")), 1500); };"""


def waits_for_its_files(server):
    """What fails on its way to the server while Send is clicked is missed."""
    page = server.page
    path = pathlib.Path(page.downloads, "dot.png")
    path.write_bytes(PIXEL)
    page.until("earlier words are gone", lambda: "on its way" not in page.text("#toasts"))
    for what in ("input[type=file]:not(.pictured)", "input.pictured"):
        page.folder("Inbox")
        page.press("c")
        page.until("the letter", lambda: page.there("#compose"))
        page.press("bob@example.test, ")
        page.script("document.querySelector('#compose [aria-label=Subject]').focus()")
        page.press("With a picture")
        if "pictured" in what:
            page.click("#compose .exchange")
        page.script(BREAKS)
        page.one(f"#compose {what}").send_keys(str(path))
        page.click("#compose footer .main")
        page.until("it is not sent", lambda: "could not be added" in page.text("#compose .state"))
        page.script("XMLHttpRequest.prototype.send = window.sends")
        assert "on its way" not in page.text("#toasts"), page.text("#toasts")
        page.click("#compose [aria-label=Discard]")
        page.click("dialog footer .danger")
        page.until("thrown away", lambda: not page.there("#compose") and not page.there("dialog"))


def answers_from_its_own_address(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    tagged = ann.replace("@", "+shop@")
    message = letter(bob, tagged, "To a tag")
    message.add_header("Cc", "carl@friends.test")
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.folder("Inbox")
    page.open("To a tag")
    page.click("#reader [aria-label='Reply all']")
    page.until("the letter", lambda: page.there("#compose"))
    people = page.script("return ['To', 'Cc'].map(name => document.querySelector(`#compose [aria-label=${name}]`).value).join()")
    assert bob in people and "carl@friends.test" in people and ann not in people and tagged not in people, people
    page.click("#compose header [aria-label=Close]")
    page.until("closed", lambda: not page.there("#compose"))


def names_stay_with_their_addresses(server):
    """A name in quotes that reads like another address is no second recipient."""
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    message = letter(bob, ann, "A divided name").as_bytes()
    assert (author := b"From: " + bob.encode()) in message, message
    message = message.replace(author, rb'From: "A\" <evil@evil.test>, \"B" <real@corp.test>').replace(b"\n", b"\r\n")
    client = server.imap(0)
    check(client.append("INBOX", None, None, message))
    client.logout()
    page.folder("Inbox")
    page.open("A divided name")
    page.press("r")
    page.until("the letter", lambda: page.there("#compose"))
    to = page.script("return import('./people.js').then(({ parse }) => parse(document.querySelector('#compose [aria-label=To]').value))")
    assert to == [{"name": 'A" <evil@evil.test>, "B', "address": "real@corp.test"}], to
    page.click("#compose header [aria-label=Close]")
    page.until("closed", lambda: not page.there("#compose"))
    names = ["Plain", '"', '""', "\\", "\\\\", '\\"', 'a", "b', 'a\\", "b', "a; b", "<a>", 'a" <b@c.test>; "', ">,<", 'x"\\"y\\\\"z']
    people = [{"name": name, "address": f"p{n}@friends.test"} for n, name in enumerate(names)]
    again = page.script("return import('./people.js').then(({ parse, write }) => parse(write(arguments[0])))", people)
    assert again == people, again


def drafts_are_gone_on_with(server):
    page = server.page
    page.folder("Inbox")
    page.press("c")
    page.until("the letter", lambda: page.there("#compose"))
    page.press("bo")
    page.until("Bob is offered", lambda: "bob@example.test" in page.text(".suggestions"))
    page.press(Keys.ENTER)
    page.until("and taken", lambda: "bob@example.test" in page.script("return document.querySelector('#compose [aria-label=To]').value"))
    page.script("document.querySelector('#compose [aria-label=Subject]').focus()")
    page.press("Half written", Keys.TAB, "Not yet")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.folder("Drafts")
    page.open("Half written")
    page.click(".actions .main")
    page.until("it is there again", lambda: page.script("return document.querySelector('#compose textarea')?.value.trim()") == "Not yet")
    page.click("#compose [aria-label=Discard]")
    page.click("dialog footer .danger")
    page.until("thrown away", lambda: page.text(".note") == "No messages")


def letters_outlive_a_login(server):
    page = server.page
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.folder("Inbox")
    page.press("c")
    page.until("a letter", lambda: page.there("#compose"))
    page.script("document.querySelector('#compose textarea').focus()")
    page.press("Before the end")
    page.until("a draft", lambda: "Draft saved" in page.text("#compose .state"))
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **network})
    page.press(", and no network")
    page.click("#folders .compose")
    page.toast("could not be saved as a draft")
    assert page.there("#compose") == 1
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **network})
    page.until("it is kept by itself", lambda: "Draft saved" in page.text("#compose .state"))
    page.driver.delete_all_cookies()
    page.script("document.querySelector('#compose textarea').focus()")
    page.press(", and after it")
    page.until("the form", lambda: page.there("#password"))
    assert "Sign in again" in page.text(".problems") and not page.there("#compose")
    page.press(server.users[0][0], Keys.TAB, server.users[0][1], Keys.ENTER)
    page.until("the letter is back", lambda: page.there("#folders a") and page.there("#compose"))
    assert page.script("return document.querySelector('#compose textarea').value") == "Before the end, and no network, and after it"
    page.until("it is kept", lambda: "Draft saved" in page.text("#compose .state"))
    page.script("[...document.querySelectorAll('#compose footer button')].at(-1).click()")
    page.click("dialog footer .danger")
    page.until("it is discarded", lambda: not page.there("#compose"))


def moves_and_junk(server):
    page = server.page
    page.folder("Inbox")
    page.open("Older letter 129")
    page.press("e")
    page.toast("moved to Archive")
    page.lacks("Older letter 129")
    page.until("the next one is open", lambda: page.text("#reader h1") == "Older letter 128")
    page.press("!")
    page.toast("moved to Junk")
    page.lacks("Older letter 128")
    page.folder("Junk")
    page.open("Older letter 128")
    page.press("!")
    page.lacks("Older letter 128")
    page.folder("Inbox")
    page.shows("Older letter 128")
    page.open("Older letter 127")
    page.press("m")
    page.until("folders to choose from", lambda: page.there("dialog .choose button"))
    page.picture("move")
    page.press("archi", Keys.ENTER)
    page.until("chosen", lambda: not page.there("dialog"))
    page.lacks("Older letter 127")
    page.press("#")
    page.toast("1 deleted")
    page.script("[...document.querySelectorAll('.toast')].at(-1).querySelector('button').click()")
    page.shows("Older letter 126")


def goes_on_quickly(server):
    """On a slow line keys are about the message that comes, and whoever leaves it does not get it."""
    page = server.page
    subjects = lambda: page.script("return [...document.querySelectorAll('.row:not(.empty) .subject')].map(one => one.textContent)")
    page.folder("Inbox")
    page.open("Older letter 126")
    before = subjects()
    first, second, third = before[(at := before.index("Older letter 126")):at + 3]
    page.waits(1000)
    page.press("j", "e")
    page.toast("moved to Archive")
    page.lacks(second)
    page.until("the one after it", lambda: page.text("#reader h1") == third and not page.there("#reader[aria-busy]"))
    assert first in subjects(), subjects()
    page.press("k", "r")
    page.until("a letter", lambda: page.there("#compose"))
    assert page.script("return document.querySelector('#compose [aria-label=Subject]').value") == f"Re: {first}"
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.press("j", Keys.ESCAPE)
    time.sleep(2.5)
    assert not page.text("#reader h1") and "uid=" not in page.driver.current_url, page.driver.current_url
    page.waits(0)


def keys_are_about_the_line_stood_at(server):
    """Whoever goes on with arrows means that line, not the message that is still open beside the list."""
    page = server.page
    subjects = lambda: page.script("return [...document.querySelectorAll('.row:not(.empty) .subject')].map(one => one.textContent)")
    stands_at = lambda subject: page.until(f"at “{subject}”", lambda: page.text(".row.at .subject") == subject)
    page.folder("Inbox")
    page.open("Older letter 126")
    before = subjects()
    first, second, third = before[(at := before.index("Older letter 126")):at + 3]
    page.press(Keys.ARROW_DOWN)
    stands_at(second)
    page.press("#")
    page.lacks(second)
    assert page.text("#reader h1") == first and first in subjects(), subjects()
    # It stands at no line now, and nothing else goes.
    page.press("#")
    page.script("[...document.querySelectorAll('.toast')].at(-1).querySelector('button').click()")
    page.shows(second)
    assert {first, second, third} <= set(subjects()), subjects()
    # The message that came back is another one to the list, which goes on from between its neighbours.
    for _ in range(3):
        page.press(Keys.ARROW_DOWN)
        time.sleep(0.3)
        if page.text(".row.at .subject") == third:
            break
    stands_at(third)
    page.press("r")
    page.until("a letter", lambda: page.there("#compose"))
    assert page.script("return document.querySelector('#compose [aria-label=Subject]').value") == f"Re: {third}"
    assert page.text("#reader h1") == third
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))


def several_at_once(server):
    page = server.page
    page.folder("Trash")
    page.folder("Inbox")
    page.script("document.querySelector('.rows').focus()")
    page.press(Keys.HOME, " ")
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN).key_up(Keys.SHIFT).perform()
    page.until("three are selected", lambda: page.text(".head .count") == "3 selected")
    page.picture("selected")
    page.press("s")
    page.until("flagged", lambda: sum("flagged" in row for row in page.rows()) == 3)
    page.press("#")
    page.toast("3 deleted")
    page.until("none is selected", lambda: not page.there(".head .count"))
    page.folder("Trash")
    page.until("three lie there", lambda: len(page.rows()) == 3)
    page.script("document.querySelector('#folders li.current button').click()")
    page.until("its menu", lambda: page.there(".menu"))
    page.click(".menu .danger")
    page.click("dialog footer .danger")
    page.until("it is empty", lambda: page.text(".note") == "No messages")


def searches_all_folders(server):
    page = server.page
    lies = lambda folder, row: folder in row.split(", ")
    client = server.imap(0)
    for folder, subject in (("INBOX", "A comet in May"), ("Archive", "A comet in June"), ("Sent", "A comet in July")):
        check(client.append(folder, None, None, letter("bob@example.test", "ann@example.test", subject).as_bytes().replace(b"\n", b"\r\n")))
    page.folder("Inbox")
    page.press("/", "comet", Keys.ENTER)
    page.until("those of the folder", lambda: len(page.rows()) == 1)
    page.click(".everywhere")
    page.until("those of all folders", lambda: len(page.rows()) == 3)
    assert {next(name for name in ("Inbox", "Archive", "Sent") if lies(name, row)) for row in page.rows()} == {"Inbox", "Archive", "Sent"}, page.rows()
    page.picture("everywhere")
    page.open("A comet in June")
    page.until("it is read where it lies", lambda: not page.there(".row.unread.at"))
    check(client.select("Archive"))
    # The page shows it before the server has heard of it.
    page.until("the server knows it", lambda: (check(client.noop()), check(client.search(None, "SEEN", "SUBJECT", '"A comet in June"')))[1][0].split())
    page.script("document.querySelector('#list .head input').click()")
    page.until("all are selected", lambda: page.text(".head .count") == "3 selected")
    page.press("#")
    page.toast("3 deleted")
    page.until("they lie in the trash", lambda: len(page.rows()) == 3 and all(lies("Trash", row) for row in page.rows()))
    page.script("[...document.querySelectorAll('.toast')].at(-1).querySelector('button').click()")
    page.until("they are back", lambda: sum(lies("Archive", row) for row in page.rows()) == 1 and not [row for row in page.rows() if lies("Trash", row)])
    client.logout()
    page.click(".everywhere")
    page.until("only those of the folder", lambda: len(page.rows()) == 1)
    page.script("const s = document.querySelector('[type=search]'); s.value = 'said nowhere'; s.dispatchEvent(new Event('input'))")
    page.until("it is told where was looked", lambda: "In whole messages" in page.text("#list .note"))
    page.script("const s = document.querySelector('[type=search]'); s.value = ''; s.dispatchEvent(new Event('input'))")
    page.until("the whole folder", lambda: len(page.rows()) > 3)


def folders_are_made_and_go(server):
    page = server.page
    page.script("[...document.querySelectorAll('#folders > button')].at(-1).click()")
    page.until("a name is asked for", lambda: page.there("dialog input"))
    page.press("Projects <b>x", Keys.ENTER)
    page.until("it is there", lambda: page.text("#folders li.current .name") == "Projects <b>x")
    assert not page.there("#folders b")
    # It takes the server long to say that the folder is gone, and that it is was told before.
    page.script("""
        const honest = window.fetch;
        window.fetch = async (...wish) => {
          const answer = await honest(...wish);
          if (answer.ok && String(wish[0]).includes("folders/delete")) {
            window.fetch = honest;
            await new Promise((go) => { window.goOn = go; });
          }
          return answer;
        };""")
    page.script("document.querySelector('#folders li.current button').click()")
    page.script("[...document.querySelectorAll('.menu button')].find(b => b.textContent === 'Delete folder').click()")
    page.until("it is asked about", lambda: "with 0 messages" in page.text("dialog p"))
    client = server.imap(0)
    check(client.append('"Projects <b>x"', None, None, b"Subject: Just come\r\n\r\nx\r\n"))
    client.logout()
    page.click("dialog footer .danger")
    page.until("it is asked about again", lambda: "with 1 messages" in page.text("dialog p"))
    page.click("dialog footer .danger")
    page.until("it is gone", lambda: page.script("return Boolean(window.goOn)"))
    page.script("document.querySelector('#list [aria-label=\"Check for new mail\"]').click(); setTimeout(window.goOn, 500)")
    page.until("the inbox is there", lambda: page.text("#folders li.current .name") == "Inbox")
    page.script("document.querySelector('#folders li[data-line=Trash] .small').click()")
    page.script("[...document.querySelectorAll('.menu button')].find(b => b.textContent === 'Empty').click()")
    count = int(page.until("it is asked about", lambda: re.findall(r"Delete all (\d+) messages", page.text("dialog p")))[0])
    client = server.imap(0)
    check(client.append("Trash", None, None, b"Subject: Just thrown away\r\n\r\nx\r\n"))
    client.logout()
    page.click("dialog footer .danger")
    page.until("it is asked about again", lambda: f"Delete all {count + 1} messages" in page.text("dialog p"))
    page.click("dialog footer .danger")
    page.until("it is empty", lambda: page.script("return import('./api.js').then((api) => api.get('messages', { folder: 'Trash' })).then((list) => list.total)") == 0)


def others_are_seen_at_once(server):
    """Two browsers: what one does the other shows without a reload."""
    page, other = server.page, Page(server)
    server.other = other
    other.sign_in(server.users[0])
    page.script("window.stayed = true")
    (ann, _), (bob, _) = server.users[:2]
    client = server.smtp(user=1)
    client.send_message(letter(bob, ann, "Just arrived"), bob, [ann])
    client.quit()
    page.shows("Just arrived")
    other.open("Just arrived")
    page.until("read there, read here", lambda: [row for row in page.rows() if "Just arrived" in row and "unread" not in row])
    other.press("#")
    page.lacks("Just arrived")
    assert page.script("return window.stayed")
    other.end()
    server.other = None


def keys_and_help(server):
    page = server.page
    page.script("document.activeElement.blur()")
    page.press("?")
    page.until("the help", lambda: page.there("dialog .keys tr") >= 15)
    page.picture("help")
    # A click on its words takes the focus away from its button.
    page.one("dialog .keys td").click()
    page.press("c", "g", "s")
    assert not page.there("#compose") and page.text("#folders li.current .name") == "Inbox", "keys are not for the page below a window"
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.press("g", "s")
    page.until("the sent ones", lambda: page.text("#folders li.current .name") == "Sent")
    page.press("g", "i")
    page.until("the inbox", lambda: page.text("#folders li.current .name") == "Inbox" and page.rows())
    page.press("j")
    first = page.until("the first is open", lambda: page.text("#reader h1"))
    page.press("j")
    page.until("the second is", lambda: page.text("#reader h1") not in ("", first))
    page.press("k")
    page.until("the first again", lambda: page.text("#reader h1") == first)
    page.press(Keys.ESCAPE)
    page.until("none is", lambda: not page.there("#reader h1"))


def steps_through_unread_mail(server):
    page = server.page
    client = server.imap(0)
    check(client.create("Steps"))
    check(client.subscribe("Steps"))
    for n in range(3):
        check(client.append("Steps", None, None, letter("bob@example.test", "ann@example.test", f"Step {n}").as_bytes().replace(b"\n", b"\r\n")))
    page.script("window.dispatchEvent(new Event('online'))")
    page.until("the folder is seen by itself", lambda: page.there("#folders li[data-line=Steps]"))
    page.folder("Steps")
    page.until("three", lambda: len(page.rows()) == 3)
    page.script("const s = document.querySelectorAll('#list .head select')[0]; s.value = 'unread'; s.dispatchEvent(new Event('change'))")
    page.until("still three", lambda: len(page.rows()) == 3)
    page.script("document.querySelector('.rows').focus()")
    for n in (2, 1, 0):
        page.press("j")
        page.until(f"step {n}", lambda: page.text("#reader h1") == f"Step {n}")
        page.until("it is no longer listed", lambda: len(page.rows()) == n)
        assert not page.there(".row.at")
    # At a folder, keys do nothing to messages.
    page.script("document.querySelector('#folders li.current a').focus()")
    page.press(Keys.DELETE, "e")
    time.sleep(0.5)
    assert page.text("#reader h1") == "Step 0"
    check(client.select("Steps"))
    assert len(check(client.search(None, "ALL"))[0].split()) == 3
    client.logout()
    page.script("const s = document.querySelectorAll('#list .head select')[0]; s.value = ''; s.dispatchEvent(new Event('change'))")
    page.folder("Inbox")


def who_goes_on_after_marking_stays_there(server):
    page = server.page
    page.script("document.querySelector('.rows').focus()")
    page.press(Keys.HOME, "j")
    first = page.until("a message", lambda: page.text("#reader h1"))
    page.script("""
        const honest = window.fetch;
        window.fetch = async (...wish) => {
          const answer = await honest(...wish);
          if (String(wish[0]).includes("messages/mark") && !window.marked) {
            window.fetch = honest;
            await new Promise((go) => { window.marked = go; });
          }
          return answer;
        };""")
    page.press("U")
    page.until("it is marked", lambda: page.script("return Boolean(window.marked)"))
    page.press("j")
    second = page.until("the next one", lambda: page.text("#reader h1") not in ("", first) and page.text("#reader h1"))
    page.script("window.marked()")
    page.until("the list has heard of it", lambda: not page.there("#reader[aria-busy]") and not page.there(".rows[aria-busy]"))
    assert page.script("return new Promise((go) => setTimeout(() => go(document.querySelector('#reader h1')?.textContent), 500))") == second
    page.press(Keys.ESCAPE)
    page.until("none is", lambda: not page.there("#reader h1"))


def settings_are_kept(server):
    page = server.page
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    page.until("the settings", lambda: page.there("dialog .settings"))
    devices = page.script("return document.querySelector('.devices').innerText")
    assert "SSL/TLS" in devices and "ann@example.test" in devices, devices
    assert page.there("a[href^='api/devices/apple.mobileconfig?']")
    page.picture("settings")
    page.press("Ann Lee", Keys.TAB, "Yours", Keys.ENTER, "Ann")
    page.click("dialog fieldset ~ button.main")
    page.toast("Saved")
    paper = lambda: page.script("return getComputedStyle(document.querySelector('#list')).backgroundColor")
    seen = {}
    for theme in ("light", "dark"):
        page.script("const s = [...document.querySelectorAll('dialog select')].find(s => [...s.options].some(o => o.value === 'dark')); s.value = arguments[0]; s.dispatchEvent(new Event('change'))", theme)
        page.until(theme, lambda: page.script("return document.documentElement.dataset.theme") == theme)
        seen[theme] = paper()
    assert seen["light"] != seen["dark"], seen
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.open("A newsletter") if any("A newsletter" in row for row in page.rows()) else None
    page.picture("dark")
    page.press("c")
    page.until("the signature is there", lambda: "-- \nYours\nAnn" in page.script("return document.querySelector('#compose textarea')?.value ?? ''"))
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.driver.refresh()
    page.until("kept", lambda: page.script("return document.documentElement.dataset.theme") == "dark" and page.there(".row:not(.empty)"))


def what_could_not_be_done_is_not_shown_as_done(server):
    """A login that goes on is still listed; settings that cannot be had say so."""
    page, other = server.page, Page(server)
    server.other = other
    other.sign_in(server.users[0])
    page.script("""
        const honest = window.fetch;
        window.honest = honest;
        window.fetch = (...wish) => (wish[1]?.method === "DELETE" || window.lost ? Promise.reject(new TypeError("lost")) : honest(...wish));""")
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    end = "[...document.querySelectorAll('dialog li:not(.current) button')].find((one) => one.textContent === 'End')"
    page.until("the other login", lambda: page.script(f"return Boolean({end})"))
    page.script(f"{end}.click()")
    page.until("it is told", lambda: page.there("#toasts .problem"))
    assert page.script(f"return Boolean({end})"), "it has not ended"
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.script("document.querySelector('#toasts').replaceChildren(); window.lost = true")
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    page.until("it is told", lambda: page.there("#toasts .problem"))
    page.script("window.fetch = window.honest")
    other.end()
    server.other = None


def contacts_are_kept(server):
    page = server.page
    choose = lambda name: page.script("[...document.querySelectorAll('.menu button')].find(b => b.textContent === arguments[0]).click()", name)
    page.click(".me")
    choose("Contacts")
    page.until("the contacts", lambda: page.there("dialog .contacts"))
    page.click("dialog .newContact")
    page.until("the form", lambda: page.there("dialog form.asked [name=addresses]"))
    page.press("Dora Night", Keys.TAB, "dora@far.test")
    page.click("dialog form.asked button.main")
    page.toast("The contact has been saved.")
    listed = lambda: page.script("return [...document.querySelectorAll('.contacts li')].map(one => one.innerText).join(' | ')")
    page.until("it is listed", lambda: "Dora Night" in listed())
    path = pathlib.Path(page.downloads, "people.csv")
    path.write_text("Name,E-mail\nErin Day,erin@far.test\n")
    page.one("dialog .contactFile").send_keys(str(path))
    page.toast("1 added to your contacts")
    page.until("it is listed, too", lambda: "Erin Day" in listed())
    assert page.there("dialog a[download][href^='api/contacts/export?form=vcf&']") and page.there("dialog a[download][href^='api/contacts/export?form=csv&']")
    page.picture("contacts")
    # Its window is closed while it is being saved.
    page.click("dialog .newContact")
    page.until("the form", lambda: page.there("dialog form.asked [name=addresses]"))
    page.press("Fay Noon", Keys.TAB, "fay@far.test")
    page.script("""
        const honest = window.fetch, wait = new Promise((go) => { window.go = go; });
        window.fetch = (...wish) => { window.fetch = honest; return wait.then(() => { throw new TypeError("lost"); }); };
        const form = document.querySelector("dialog form.asked");
        form.querySelector("button.main").click();
        form.closest("dialog").close("");""")
    page.until("its window is closed", lambda: not page.there("dialog form.asked"))
    page.script("window.go()")
    page.toast("cannot be reached")
    assert "Fay Noon" not in listed()
    page.click("dialog .contacts li button[aria-label='Write to Dora Night']")
    page.until("a letter to her", lambda: page.script("return document.querySelector('#compose input')?.value ?? ''").startswith("Dora Night <dora@far.test>"))
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))


INVITATION = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//client//EN
METHOD:REQUEST
BEGIN:VEVENT
UID:party@client.example
DTSTAMP:20260101T000000Z
DTSTART:20300104T180000Z
DTEND:20300104T200000Z
SUMMARY:Birthday <b>party</b>
LOCATION:The old mill
DESCRIPTION:Bring cake.
ORGANIZER;CN=Bob Builder:mailto:{bob}
ATTENDEE;PARTSTAT=NEEDS-ACTION;CN=Ann:mailto:{ann}
ATTENDEE;PARTSTAT=DECLINED;CN=Carl:mailto:carl@far.test
END:VEVENT
END:VCALENDAR
"""


def answers_an_invitation(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    message = letter(bob, ann, "Invitation to a party")
    text = INVITATION.format(ann=ann, bob=bob).replace("\n", "\r\n")
    message.add_alternative(text.encode(), maintype="text", subtype="calendar", params={"method": "REQUEST", "charset": "utf-8"})
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.folder("Inbox")
    page.open("Invitation to a party")
    page.until("the event", lambda: page.text(".event h2") == "Birthday <b>party</b>")
    said = page.text(".event dl")
    assert "2030" in said and "The old mill" in said and "Bob Builder" in said and "Carl declined" in said, said
    assert page.script("return [...document.querySelectorAll('.event button')].map(b => b.textContent + b.ariaPressed)") == ["Acceptfalse", "Maybefalse", "Declinefalse"]
    page.picture("invitation")
    page.click(".event button")
    page.toast("The answer is on its way.")
    page.until("it is told", lambda: "You have accepted" in page.text(".event .stands"))
    page.until("and pressed", lambda: page.text(".event button[aria-pressed=true]") == "Accept")
    assert page.script("return document.activeElement.textContent") == "Accept"
    client = server.imap(1)

    def has_come():
        check(client.select())
        return check(client.search(None, "SUBJECT", '"Accepted: Birthday"'))[0].split()

    assert page.until("the answer has come", has_come)
    client.logout()
    moved = letter(bob, ann, "The party is later")
    later = text.replace("DTSTART:2030", "DTSTART:2031").replace("DTEND:2030", "DTEND:2031").replace("END:VEVENT", "SEQUENCE:7\r\nEND:VEVENT")
    assert later.count("2031") >= 1
    moved.add_alternative(later.encode(), maintype="text", subtype="calendar", params={"method": "REQUEST", "charset": "utf-8"})
    client = server.imap(0)
    check(client.append("INBOX", None, None, moved.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("The party is later")
    page.until("it is told that it has changed", lambda: "has been changed since" in page.text(".event .stands"))
    assert not page.there(".event button[aria-pressed=true]")
    page.open("Invitation to a party")
    page.until("the earlier one", lambda: "You have accepted" in page.text(".event .stands"))
    page.click(".event button:last-child")
    page.until("the other answer", lambda: page.text(".event .stands") == "You have declined.")


def leaves_a_list(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    message = letter("news@shop.test", ann, "A letter to many")
    message["List-Unsubscribe"] = f"<mailto:{bob}?Subject=Please%20stop+it>"
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("A letter to many")
    page.click(".unsubscribe")
    page.until("it asks", lambda: bob in page.text("dialog"))
    # While the question is open, nothing is on the page any more.
    page.script("location.hash = '#folder=INBOX'")
    page.until("no message", lambda: page.there("#reader .pick"))
    page.click("dialog footer .main")
    page.toast("Your request to unsubscribe is on its way.")
    client = server.imap(1)

    def has_come():
        check(client.select())
        return check(client.search(None, "SUBJECT", '"Please stop+it"'))[0].split()

    page.until("the wish has come", has_come)
    client.logout()


def confirms_and_keeps_a_sender(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    message = letter("Gina Fay <gina@far.test>", ann, "Tell me that you read it")
    message["Disposition-Notification-To"] = bob
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("Tell me that you read it")
    page.until("it asks", lambda: bob in page.text(".banner.receipt"))
    page.picture("receipt")
    page.click(".banner.receipt button")
    page.toast("The receipt is on its way.")
    page.until("it asks no more", lambda: not page.there(".banner.receipt"))
    client = server.imap(1)

    def has_come():
        check(client.select())
        return check(client.search(None, "SUBJECT", '"Read: Tell me that you read it"'))[0].split()

    page.until("the receipt has come", has_come)
    client.logout()
    page.script("[...document.querySelectorAll('#reader .actions button')].find((one) => one.getAttribute('aria-label') === 'More').click()")
    page.script("[...document.querySelectorAll('.menu button')].find((one) => one.textContent === 'Add to contacts').click()")
    page.until("the form", lambda: page.there("dialog form.asked [name=addresses]"))
    assert page.script("return document.querySelector('dialog [name=addresses]').value") == "gina@far.test"
    page.click("dialog form.asked button.main")
    page.toast("The contact has been saved.")


def folds_folders(server):
    page = server.page
    client = server.imap(0)
    for name in ("Trips", "Trips/Sea", "Trips/Sea/Old", "Trips-Two", "Archive/Years"):
        check(client.create(name))
        check(client.subscribe(name))
    another_boat = lambda: check(client.append("Trips/Sea", None, None, letter("bob@example.test", "ann@example.test", "Boats").as_bytes().replace(b"\n", b"\r\n")))
    another_boat()
    names = lambda: page.script("return [...document.querySelectorAll('#folders .name')].map(one => one.textContent)")
    count = lambda: page.text("#folders li[data-line='Trips'] .count")
    page.click("#list .head button[aria-label='Check for new mail']")
    page.until("the folders", lambda: {"Trips", "Sea", "Old", "Years"} <= set(names()))
    for above, below in (("Archive", "Years"), ("Trips", "Sea"), ("Sea", "Old")):
        assert names()[names().index(above) + 1] == below, names()
    assert count() == ""
    page.script("document.querySelector('#folders li[data-line=Trips] .twist').focus()")
    page.press(Keys.ENTER)
    page.until("folded", lambda: "Trips" in names() and not {"Sea", "Old"} & set(names()))
    assert page.script("return document.activeElement.matches('.twist[aria-expanded=false]')")
    page.until("the unread ones within are counted", lambda: count() == "1")
    another_boat()
    client.logout()
    page.script("document.querySelector('#list .head button[aria-label=\"Check for new mail\"]').click()")
    page.until("it is counted too", lambda: count() == "2")
    assert page.script("return document.activeElement.matches('.twist[aria-expanded=false]')")
    page.driver.refresh()
    page.until("still folded", lambda: "Trips" in names() and "Sea" not in names())
    page.script("document.querySelector('#folders li[data-line=Trips] a').focus()")
    page.press(Keys.ARROW_RIGHT)
    page.until("unfolded", lambda: {"Sea", "Old"} <= set(names()))
    # Filters follow a folder.
    page.script("""return import('./api.js').then(async (api) => {
      const { name, tag } = await api.get('script');
      const rules = [{ name: 'To sea', conditions: [], actions: [{ kind: 'file', folder: 'Trips/Sea' }] }];
      await api.post('script', { name, tag, content: { rules: { rules } }, activate: true });
    })""")
    page.script("document.querySelector('#folders li[data-line=Trips] button:last-child').click()")
    page.script("[...document.querySelectorAll('.menu button')].find(b => b.textContent === 'Rename').click()")
    page.until("a name is asked for", lambda: page.there("dialog input"))
    page.script("document.querySelector('dialog input').value = 'Journeys'; document.querySelector('dialog input').focus()")
    page.press(Keys.ENTER)
    page.toast("by its new name: To sea.")
    assert '"Journeys/Sea"' in page.script("return import('./api.js').then((api) => api.get('script')).then((script) => script.source)")


def speaks_other_languages(server):
    page = server.page
    message = letter("bob@example.test", server.users[0][0], "A page of many parts")
    message.set_content("<p>One</p>\n" * 31_000, subtype="html")
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("A page of many parts")
    rest = {"de": "Der Rest ist weggelassen.", "fr": "Le reste est omis.", "es": "El resto se ha omitido.", "en": "The rest is left out."}
    for language, inbox, settings in (("de", "Posteingang", "Einstellungen"), ("fr", "Boîte de réception", "Paramètres"), ("es", "Bandeja de entrada", "Ajustes"), ("en", "Inbox", "Settings")):
        page.click(".me")
        page.script("document.querySelectorAll('.menu button')[0].click()")
        page.until("the settings", lambda: page.there("dialog .language"))
        page.script("const s = document.querySelector('.language'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))", language)
        page.until(language, lambda: page.script("return document.documentElement.lang") == language and inbox in page.script("return document.querySelector('#folders')?.innerText ?? ''"))
        page.click(".me")
        page.until("the menu", lambda: settings in page.script("return document.querySelector('.menu')?.innerText ?? ''"))
        page.press(Keys.ESCAPE)
        page.picture(f"language-{language}")
        # What the server refuses is said in the same language.
        refused = page.script("return import('./api.js').then((api) => api.post('folders/delete', { name: 'Nowhere' })).catch((error) => error.message)")
        assert refused == {"de": "Den Ordner „Nowhere“ gibt es nicht.", "fr": "Le dossier « Nowhere » n’existe pas.", "es": "La carpeta «Nowhere» no existe.", "en": "The folder “Nowhere” does not exist."}[language], refused
        page.open("A page of many parts")
        page.until("what is left out", lambda: rest[language] in page.script("return document.querySelector('iframe.page')?.contentDocument?.body?.lastElementChild?.textContent ?? ''"))


def fits_a_telephone(server):
    page = server.page
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True})
    wide = lambda: page.script("return document.documentElement.scrollWidth")
    page.driver.get(f"{page.at}/#folder=INBOX")
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    assert wide() <= 360, wide()
    page.picture("narrow-list")
    page.script("document.querySelector('[type=search]').focus()")
    page.until("where to look", lambda: page.one("#top .scope").is_displayed())
    assert wide() <= 360, wide()
    page.picture("narrow-search")
    page.click("#top button")
    page.until("the folders come", lambda: page.script("return document.querySelector('#folders').getBoundingClientRect().left") == 0)
    page.picture("narrow-folders")
    page.click(".shade")
    page.script("document.querySelector('.row:not(.empty)').click()")
    page.until("a message", lambda: page.text("#reader h1") and page.one("#reader").is_displayed())
    assert wide() <= 360, wide()
    page.picture("narrow-message")
    page.click("#reader .actions button")
    page.until("back at the list", lambda: not page.one("#reader").is_displayed())
    page.click(".floating")
    page.until("a letter", lambda: page.there("#compose input:focus"))
    assert wide() <= 360, wide()
    page.picture("narrow-compose")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def everything_has_a_name_for_screen_readers(server):
    page = server.page
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    page.driver.get(f"{page.at}/#folder=INBOX")
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    for state in ("list", "rows that come", "message", "compose"):
        if state == "rows that come":
            page.waits(2000)
            page.script("document.querySelector('.rows').scrollTop = 1e6")
            page.until("empty rows", lambda: page.there(".row.empty"))
        elif state == "message":
            page.waits(0)
            page.until("the rows", lambda: not page.there(".row.empty"))
            page.script("document.querySelector('.rows').scrollTop = 0")
            page.press("j")
            page.until("a message", lambda: page.text("#reader h1"))
        elif state == "compose":
            page.press("c")
            page.until("a letter", lambda: page.there("#compose"))
        nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        needy = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "listbox", "option", "img", "image", "meter", "region", "navigation", "search", "dialog", "toolbar", "menu", "menuitem"}
        nameless = [node for node in nodes if not node["ignored"] and node["role"].get("value") in needy and not node.get("name", {}).get("value")]
        assert not nameless, (state, nameless[0])
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))


def nothing_comes_from_elsewhere(server):
    page = server.page
    loaded = page.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(name.startswith(page.at) for name in loaded), loaded
    complaints = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    # A wrong password is answered with 401, as is the first look without a login; the image of elsewhere is nowhere; once there was no network.
    complaints = [entry for entry in complaints if " 401 " not in entry["message"] and "folders/delete" not in entry["message"] and "folders/empty" not in entry["message"] and "remote.test" not in entry["message"] and "ERR_INTERNET_DISCONNECTED" not in entry["message"]]
    assert not complaints, complaints
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    paint = page.script("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    print(f"first contentful paint {paint} ms")


def leaves(page):
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].at(-1).click()")
    page.until("the form", lambda: page.there("#password"))


def offered(page, typed):
    """Who is offered for what is typed, once the page knows whom it may offer."""
    page.press("c")
    page.until("the letter", lambda: page.there("#compose"))
    page.press(typed)
    page.until("the people", lambda: page.script("return performance.getEntriesByType('resource').some(entry => entry.responseEnd && entry.name.includes('api/people'))"))
    page.until("what is typed", lambda: page.script("return document.querySelector('#compose [aria-label=To]').value") == typed)
    time.sleep(0.5)
    names = page.text(".suggestions")
    page.click("#compose [aria-label=Discard]")
    page.click("dialog footer .danger")
    page.until("thrown away", lambda: not page.there("#compose"))
    return names


def the_next_one_gets_a_page_of_their_own(server):
    """Nothing is left of whoever was signed in before: no people, no search, nothing that could be taken back."""
    page, (bob, password) = server.page, server.users[1]
    assert "dora@far.test" in offered(page, "dora")
    page.script("document.querySelector('.row .mark').click()")
    page.press("e")
    page.until("it can be taken back", lambda: page.there("#toasts button"))
    page.click("#folders li[data-line=Archive] .twist")
    kept = lambda: page.script("return JSON.stringify(localStorage)")
    assert "Archive" in kept(), kept()
    old = page.one("body")
    leaves(page)
    assert not page.text("#toasts"), "what is undone now would be undone in another mailbox"
    page.press(bob, Keys.TAB, password, Keys.ENTER)
    page.until("Bob's page", lambda: page.text(".me .address") == bob and page.there("#folders a"))
    assert page.one("body") != old, "the page is another one"
    assert not page.script("return location.hash.includes('q=')")
    assert "Archive" not in kept(), kept()
    assert not offered(page, "dora")
    leaves(page)
    page.press(server.users[0][0], Keys.TAB, server.users[0][1], Keys.ENTER)
    page.until("Ann's page", lambda: page.text(".me .address") == server.users[0][0] and page.there("#folders a"))


def what_is_typed_to_sign_in_stays(server):
    """Answers that come late say once more that the login has ended."""
    page = server.page
    page.script("return import('./api.js').then((api) => api.remove('session'))")
    page.script("import('./api.js').then((api) => api.get('folders').catch(() => {}))")
    page.until("the form", lambda: page.there("#password"))
    page.script("document.querySelector('#address').value = 'typed'")
    page.script("return import('./api.js').then((api) => api.get('folders').catch(() => {}))")
    assert page.script("return document.querySelector('#address').value") == "typed"
    page.sign_in(server.users[0])


def signs_out(server):
    page = server.page
    page.script("""
        const honest = window.fetch;
        let lost = 1;
        window.fetch = (...wish) => (String(wish[0]).includes("api/session") && lost-- > 0 ? Promise.reject(new TypeError("lost")) : honest(...wish));""")
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].at(-1).click()")
    page.toast("cannot be reached")
    assert page.there("#folders a") and not page.there("#password"), "nobody is told that they are signed out who are not"
    leaves(page)
    page.driver.refresh()
    page.until("still the form", lambda: page.there("#password"))
    page.end()


def run(*steps):
    """Ends the browsers also after a failure."""

    def guarded(step):
        def inner(server):
            try:
                step(server)
            except BaseException:
                if other := getattr(server, "other", None):
                    other.end()
                if page := getattr(server, "page", None):
                    page.picture("failure")
                    print([entry for entry in page.driver.get_log("browser")][-5:])
                    page.end()
                raise

        inner.__name__ = step.__name__
        return inner

    main(*map(guarded, steps))


if __name__ == "__main__":
    run(
        mail_is_there,
        signs_in,
        long_lists_are_drawn_in_part,
        selects_what_it_has_not_seen,
        reads_plain_text,
        reads_html_without_harm,
        answers_with_a_file,
        waits_for_its_files,
        answers_from_its_own_address,
        names_stay_with_their_addresses,
        drafts_are_gone_on_with,
        letters_outlive_a_login,
        moves_and_junk,
        goes_on_quickly,
        keys_are_about_the_line_stood_at,
        several_at_once,
        searches_all_folders,
        folders_are_made_and_go,
        others_are_seen_at_once,
        keys_and_help,
        steps_through_unread_mail,
        who_goes_on_after_marking_stays_there,
        settings_are_kept,
        what_could_not_be_done_is_not_shown_as_done,
        contacts_are_kept,
        answers_an_invitation,
        leaves_a_list,
        confirms_and_keeps_a_sender,
        folds_folders,
        speaks_other_languages,
        fits_a_telephone,
        everything_has_a_name_for_screen_readers,
        nothing_comes_from_elsewhere,
        the_next_one_gets_a_page_of_their_own,
        what_is_typed_to_sign_in_stays,
        signs_out,
    )
