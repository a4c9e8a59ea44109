"""The webmail in a real Chromium for those who have a telephone, large letters, no mouse, no sight of it, or a bad line.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import email.header
import email.message
import email.policy
import email.utils
import json

from selenium.webdriver.common.keys import Keys
from browser import run
from server import check
from webmail_page import Page

WIDTH = 375


def put(server, sender, subject, text="Some words.\n", html=None, name=None):
    message = email.message.EmailMessage()
    message["To"], message["Subject"], message["Date"], message["Message-ID"] = server.users[0][0], subject, email.utils.formatdate(), email.utils.make_msgid()
    if html:
        message.set_content(html, subtype="html")
    else:
        message.set_content(text)
    shown = f"{email.header.Header(name, 'utf-8').encode()} <{sender}>" if name else sender
    client = server.imap(0)
    check(client.append("INBOX", None, None, f"From: {shown}\r\n".encode() + message.as_bytes(policy=email.policy.SMTP)))
    client.logout()


def signs_in(server):
    for n in range(6):
        put(server, f"carl{n}@elsewhere.test", f"Letter {n}")
    page = server.page = Page(server)
    page.sign_in(server.users[0])
    page.shows("Letter 5")


def cut_off(page, selector):
    """Buttons of a row that are not to be seen within it."""
    return page.script("""const box = document.querySelector(arguments[0]).getBoundingClientRect();
        return [...document.querySelectorAll(`${arguments[0]} button`)].filter((one) => { const at = one.getBoundingClientRect(); return at.left < box.left - 1 || at.right > Math.min(box.right, innerWidth) + 1; }).map((one) => one.ariaLabel)""", selector)


def all_that_is_done_with_a_selection_is_seen(server):
    page = server.page
    page.click(".row .mark")
    page.until("the buttons", lambda: page.there("#list .bar button"))
    assert page.there("#list .bar button") == 7 and cut_off(page, "#list .bar") == [], cut_off(page, "#list .bar")
    page.press(Keys.ESCAPE)
    page.until("nothing is selected", lambda: not page.there("#list .bar button"))


def who_enters_a_message_is_in_it(server):
    page = server.page
    page.script("document.querySelector('.skip').focus()")
    page.press(Keys.ENTER)
    assert page.script("return document.activeElement.className") == "rows", "the link leads past the folders"
    page.press(Keys.HOME, Keys.ENTER)
    page.until("it is open", lambda: page.text("#reader h1") == "Letter 5")
    page.until("the focus is in it", lambda: page.script("return document.activeElement.id") == "reader")
    named = "return document.getElementById(document.activeElement.getAttribute('aria-labelledby'))?.textContent"
    assert page.script(named) == "Letter 5"
    page.script("window.entered = 0; document.querySelector('#reader').addEventListener('focus', () => { window.entered += 1; })")
    page.press("j")
    page.until("the next one", lambda: page.text("#reader h1") == "Letter 4")
    page.until("it is said what it is", lambda: page.script("return window.entered") == 1)
    # A button that has the focus keeps it when it has done its work.
    page.script("document.querySelector('.actions [aria-label=Flag]').focus()")
    page.press(Keys.ENTER)
    page.until("it is flagged", lambda: page.there(".actions button.on"))
    assert page.script("return document.activeElement.className").split() == ["bare", "on"]
    page.press(Keys.ENTER)
    page.until("it is not", lambda: not page.there(".actions button.on"))
    page.script("document.querySelector('#reader').focus()")
    page.press("u")
    page.until("back in the list", lambda: page.script("return document.activeElement.className") == "rows")
    page.press(Keys.HOME)
    page.script("document.querySelector('.row').click()")
    page.until("it is open", lambda: page.text("#reader h1") == "Letter 5")
    assert page.script("return document.activeElement.className") == "rows", "who clicks goes on in the list"
    assert page.text("#list h1") == "Inbox"
    assert page.script("return document.querySelector('.me').ariaLabel").endswith(server.users[0][0])


def a_move_is_taken_back_by_a_key(server):
    page = server.page
    page.open("Letter 3")
    page.press("e")
    page.toast("1 moved to Archive")
    page.lacks("Letter 3")
    page.press("z")
    page.shows("Letter 3")
    page.until("it is told no more", lambda: "moved to Archive" not in page.text("#toasts"))
    # A second time there is nothing left of it.
    page.press("z")
    # What is gone is not said to have been moved.
    page.open("Letter 2")
    page.script("""const asks = window.fetch;
        window.fetch = (path, ...rest) => path.includes('messages/move') ? new Promise((done) => { window.goOn = () => done(asks(path, ...rest)); }) : asks(path, ...rest);""")
    page.press("e")
    page.until("it is asked for", lambda: page.script("return Boolean(window.goOn)"))
    client = server.imap(0)
    check(client.select())
    check(client.store(check(client.search(None, "SUBJECT", '"Letter 2"'))[0].decode(), "+FLAGS", "\\Deleted"))
    check(client.expunge())
    client.logout()
    page.script("window.goOn()")
    page.toast("no longer in this folder")
    page.lacks("Letter 2")


def names_say_who_it_is(server):
    page = server.page
    put(server, "evil@evil.test", "The one", name="service@bank.test")
    put(server, "evil@evil.test", "The other", name="\u200b\u3164\u200d")
    put(server, "bob@example.test", "A third", name="bob@example.test")
    assert page.shows("The one").startswith("service@bank.test <evil@evil.test>, ")
    assert page.shows("The other").startswith("evil@evil.test, ")
    assert page.shows("A third").startswith("bob@example.test, ")


def a_search_outlives_the_page(server):
    """Telephones throw pages away and load them anew."""
    page = server.page
    page.script("document.querySelector('input[type=search]').focus()")
    page.press("subject:Letter")
    page.lacks("The one")
    page.open("Letter 4")
    page.driver.refresh()
    page.until("it is open", lambda: page.text("#reader h1") == "Letter 4")
    page.shows("Letter 5")
    page.lacks("The one")
    assert page.script("return document.querySelector('input[type=search]').value") == "subject:Letter"
    # Who goes to the folder wants to see all of it.
    page.folder("Inbox")
    page.shows("The one")
    assert page.script("return document.querySelector('input[type=search]').value") == ""


def letters_are_as_large_as_the_browser_has_them(server):
    page = server.page
    heights = lambda: page.script("const row = document.querySelector('.row'); return [row.offsetHeight, document.querySelector('.space').offsetHeight / Number(row.getAttribute('aria-setsize')), parseFloat(getComputedStyle(row).fontSize)]")
    assert heights() == [74, 74, 15], heights()
    page.script("document.documentElement.style.fontSize = '24px'; document.querySelector('.rows').dispatchEvent(new Event('scroll'))")
    assert heights() == [111, 111, 22.5], heights()
    assert page.script("const row = document.querySelector('.row'); return row.nextElementSibling.offsetTop - row.offsetTop") == 111
    page.script("document.documentElement.style.fontSize = ''; document.querySelector('.rows').dispatchEvent(new Event('scroll'))")


def a_frame_is_as_high_as_its_text(server):
    page = server.page
    put(server, "carl@elsewhere.test", "As high as the window", html='<body style="margin:0"><div style="min-height: 100vh">Few words</div></body>')
    page.open("As high as the window")
    height = lambda: page.script("return document.querySelector('iframe.page')?.contentDocument?.body?.textContent.includes('Few words') ? document.querySelector('iframe.page').offsetHeight : 0")
    page.until("its text", height)
    # As many frames as it would take to see it grow.
    page.driver.execute_async_script("const done = arguments[0]; let n = 0; const next = () => (n += 1) > 60 ? done() : requestAnimationFrame(next); next();")
    assert height() < 200, height()


def what_could_not_be_had_is_asked_for_again(server):
    page = server.page
    line = lambda offline: page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
    page.driver.execute_cdp_cmd("Network.enable", {})
    line(True)
    page.script("[...document.querySelectorAll('.row')].find(row => row.getAttribute('aria-label').includes('Letter 1')).click()")
    page.until("it is told", lambda: "cannot be reached" in page.text("#reader [role=alert]"))
    page.click("#reader [role=alert] button")
    page.until("it is told again", lambda: "cannot be reached" in page.text("#reader [role=alert]"))
    line(False)
    page.until("it is here", lambda: page.text("#reader h1") == "Letter 1")


def a_connection_of_which_nothing_is_heard_is_lost(server):
    """As after a telephone has slept: nobody tells the page."""
    page = server.page
    page.folder("Inbox")
    page.driver.get_log("performance")
    page.script("document.dispatchEvent(new Event('visibilitychange'))")
    asked = lambda: [path for path in map(asked_for, page.driver.get_log("performance")) if path]
    seen = []
    page.until("the folders are looked at", lambda: seen.extend(asked()) or "folders" in seen)
    assert "changes" not in seen, "it is heard"
    page.script("const now = Date.now; Date.now = () => now() + 61_000; document.dispatchEvent(new Event('visibilitychange'))")
    page.until("it asks to be told again, and what has happened", lambda: seen.extend(asked()) or {"changes", "messages"} <= set(seen))


def asked_for(entry):
    told = json.loads(entry["message"])["message"]
    at = told["params"]["request"]["url"] if told["method"] == "Network.requestWillBeSent" else ""
    return at.partition("/api/")[2].partition("?")[0]


def on_a_telephone(server):
    page = server.page
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": WIDTH, "height": 667, "deviceScaleFactor": 2, "mobile": True})
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.driver.get(f"{page.at}/#folder=INBOX")
    page.driver.refresh()
    page.shows("The one")
    page.click(".row .mark")
    page.until("the buttons", lambda: page.there("#list .bar button"))
    assert page.there("#list .bar button") == 7 and cut_off(page, "#list .bar") == [], cut_off(page, "#list .bar")
    page.picture("telephone-selection")
    page.press(Keys.ESCAPE)
    page.open("The one")
    seen = page.script("const one = document.querySelector('.people .address'); return one.checkVisibility() && one.textContent")
    assert seen == "<evil@evil.test>", "a name proves nothing"
    assert page.script("return document.documentElement.scrollWidth") <= WIDTH


def answer(page):
    page.click(".actions button[aria-label=Reply]")
    page.until("the letter", lambda: page.there("#compose textarea") and not page.text("#compose .state"))


def step(page):
    return page.script("return [location.hash, Boolean(history.state?.writing)]")


def a_small_letter_leaves_the_page_free(server):
    page = server.page
    answer(page)
    page.click("#compose button[aria-label=Minimise]")
    top = page.script("return document.querySelector('#compose').getBoundingClientRect().top")
    assert top > 500, top
    page.picture("telephone-small-letter")
    # By a real touch: nothing lies over it.
    page.touch(".actions button[aria-label=Back]")
    page.until("the list", lambda: not page.there("#root.reading"))
    assert page.there("#compose")
    page.click("#compose button[aria-label=Close]")
    page.until("it is closed", lambda: not page.there("#compose"))


def going_back_leaves_a_letter(server):
    page = server.page
    page.open("Letter 1")
    before = step(page)
    answer(page)
    assert step(page) == [before[0], True]
    page.script("document.querySelector('#compose textarea').focus()")
    page.press("Kept by going back. ")
    page.driver.back()
    page.until("it is closed", lambda: not page.there("#compose"))
    assert page.text("#reader h1") == "Letter 1" and step(page) == before
    client = server.imap(0)
    check(client.select("Drafts"))
    draft = check(client.search(None, "BODY", '"Kept by going back"'))[0].split()
    client.logout()
    assert len(draft) == 1, "what was written is a draft"
    # Who closes it otherwise has no step more to go.
    answer(page)
    page.click("#compose button[aria-label=Close]")
    page.until("the step is gone", lambda: step(page) == before)
    assert page.text("#reader h1") == "Letter 1"
    page.driver.back()
    page.until("the list", lambda: not page.there("#root.reading"))
    told = [entry["message"] for entry in page.driver.get_log("browser") if "Uncaught" in entry["message"]]
    assert told == [], told


def longer_words_fit_too(server):
    page = server.page
    page.driver.execute_async_script("""const done = arguments[0], headers = { 'content-type': 'application/json', 'x-postrider': '1' };
        fetch('api/account').then((answer) => answer.json()).then(({ preferences }) => fetch('api/preferences', { method: 'POST', headers, body: JSON.stringify({ ...preferences, language: 'fr' }) })).then(() => done())""")
    page.driver.refresh()
    page.until("it is in French", lambda: page.script("return document.documentElement.lang") == "fr" and page.rows())
    assert not page.script("return document.querySelector('#top .shortcuts').checkVisibility()"), "nobody has keys here"
    for n in (0, 1, 4):
        page.click(".me")
        page.script("document.querySelectorAll('.menu button')[arguments[0]].click()", n)
        page.until("the window", lambda: page.there("dialog h2"))
        wide = page.script("const one = document.querySelector('dialog'); return one.scrollWidth - one.clientWidth")
        assert wide <= 0, (page.text("dialog h2"), wide)
        assert not page.script("return [...document.querySelectorAll('dialog kbd')].some((one) => one.getClientRects().length > 1)"), "the name of a key is one word"
        page.picture(f"telephone-french-{n}")
        page.press(Keys.ESCAPE)
        page.until("it is closed", lambda: not page.there("dialog"))


if __name__ == "__main__":
    run(
        signs_in,
        all_that_is_done_with_a_selection_is_seen,
        who_enters_a_message_is_in_it,
        a_move_is_taken_back_by_a_key,
        names_say_who_it_is,
        a_search_outlives_the_page,
        letters_are_as_large_as_the_browser_has_them,
        a_frame_is_as_high_as_its_text,
        what_could_not_be_had_is_asked_for_again,
        a_connection_of_which_nothing_is_heard_is_lost,
        on_a_telephone,
        a_small_letter_leaves_the_page_free,
        going_back_leaves_a_letter,
        longer_words_fit_too,
    )
