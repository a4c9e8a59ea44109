"""The webmail in a real Chromium: writing, files and drafts."""

import email
import email.policy
import pathlib
import time

from browser import PATIENCE
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from server import check, letter
from webmail_page import PIXEL


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
    assert page.script("return document.querySelector('#folders li[data-line=Drafts] .count').title") == "", "drafts are not unread"
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


HOLDS = """window.sends = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function () {
  window.going = this;
  this.abort = () => this.dispatchEvent(new ProgressEvent("abort"));
};"""


def a_file_on_its_way_is_taken_away(server):
    """Its line was drawn anew with every piece that arrived: a click was lost, and the focus, so that keys were for the page below."""
    page = server.page
    path = pathlib.Path(page.downloads, "large.txt")
    path.write_text("large")
    page.folder("Inbox")
    page.press("c")
    page.until("the letter", lambda: page.there("#compose"))
    page.script(HOLDS)
    page.one("#compose input[type=file]:not(.pictured)").send_keys(str(path))
    page.until("it is on its way", lambda: page.there(".attached li"))
    takes_away = page.one(".attached button")
    page.script("window.going.upload.dispatchEvent(new ProgressEvent('progress', { loaded: 1, total: 2 }))")
    page.until("half of it has arrived", lambda: "50" in page.text(".attached .name"))
    takes_away.click()
    page.until("it is gone", lambda: not page.there(".attached li"))
    assert page.script("return document.activeElement.matches('#compose footer button')"), "keys are for the letter"
    page.script("XMLHttpRequest.prototype.send = window.sends")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))


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
    to = page.script("return import('./addresses.js').then(({ parse }) => parse(document.querySelector('#compose [aria-label=To]').value))")
    assert to == [{"name": 'A" <evil@evil.test>, "B', "address": "real@corp.test"}], to
    page.click("#compose header [aria-label=Close]")
    page.until("closed", lambda: not page.there("#compose"))
    names = ["Plain", '"', '""', "\\", "\\\\", '\\"', 'a", "b', 'a\\", "b', "a; b", "<a>", 'a" <b@c.test>; "', ">,<", 'x"\\"y\\\\"z']
    people = [{"name": name, "address": f"p{n}@friends.test"} for n, name in enumerate(names)]
    again = page.script("return import('./addresses.js').then(({ parse, write }) => parse(write(arguments[0])))", people)
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


def windows_keep_what_is_written(server):
    page = server.page
    answer = lambda: page.script("return document.querySelector('form.vacation textarea')?.value")
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Automatic answer').click()")
    page.until("the form", lambda: answer() == "")
    # With nothing in it, Escape is enough.
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Automatic answer').click()")
    page.until("the form", lambda: answer() == "")
    page.script("document.querySelector('form.vacation textarea').focus()")
    page.press("Away until Monday")
    # Selecting all of a line with the mouse may end beside the window.
    ActionChains(page.driver).move_to_element(page.one("form.vacation textarea")).click_and_hold().move_by_offset(-600, 0).release().perform()
    assert answer() == "Away until Monday" and page.there("dialog") == 1
    for leave in (lambda: page.press(Keys.ESCAPE), lambda: page.click("dialog header button")):
        leave()
        page.until("it is asked", lambda: "without saving" in page.text("dialog:last-of-type p"))
        page.press(Keys.ESCAPE)
        page.until("it is still there", lambda: page.there("dialog") == 1 and answer() == "Away until Monday")
    page.driver.delete_all_cookies()
    page.click("form.vacation button.main")
    page.until("the form", lambda: page.there("#password"))
    assert "save what you have written" in page.text(".problems") and not page.there("dialog")
    page.press(server.users[0][0], Keys.TAB, server.users[0][1], Keys.ENTER)
    page.until("the window is back", lambda: page.there("#folders a") and answer() == "Away until Monday")
    page.press(Keys.ESCAPE)
    page.until("it is asked", lambda: page.there("dialog") == 2)
    page.click("dialog:last-of-type footer .danger")
    page.until("closed", lambda: not page.there("dialog"))


def files_outlive_a_login(server):
    page = server.page
    path = pathlib.Path(page.downloads) / "late.txt"
    path.write_bytes(b"late" * 100)
    page.press("c")
    page.until("a letter", lambda: page.there("#compose"))
    page.driver.delete_all_cookies()
    page.one("#compose input[type=file]").send_keys(str(path))
    page.until("the form", lambda: page.there("#password"))
    page.press(server.users[0][0], Keys.TAB, server.users[0][1], Keys.ENTER)
    page.until("the letter is back, with its file", lambda: page.text("#compose .attached .name") == "late.txt")
    page.until("it is kept", lambda: "Draft saved" in page.text("#compose .state"))
    page.click("#compose [aria-label=Discard]")
    page.click("dialog footer .danger")
    page.until("it is discarded", lambda: not page.there("#compose"))
