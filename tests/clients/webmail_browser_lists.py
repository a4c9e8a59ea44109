"""The webmail in a real Chromium: lists, moving, searching, keys."""

import time

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from server import check, letter
from webmail_page import Page


def long_lists_are_drawn_in_part(server):
    page = server.page
    page.until("all are counted", lambda: page.script("return document.querySelector('.row')?.getAttribute('aria-setsize')") == "132")
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


def all_are_not_selected_late(server):
    """Who had opened a message while all were being fetched had all selected a moment later: the next key was about thousands."""
    page = server.page
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))
    page.script("""
        const honest = window.honest = window.fetch, waiting = window.waiting = [];
        window.fetch = (path, ...rest) => (/api[/]messages[?].*start=100/.test(path) ? new Promise((go) => waiting.push(() => go(honest(path, ...rest)))) : honest(path, ...rest));""")
    page.click("#list .head input[type=checkbox]")
    page.until("they are on their way", lambda: page.script("return window.waiting.length"))
    page.click(".row .mark")
    page.until("one is selected", lambda: page.there(".row[aria-selected=true]") == 1)
    page.script("window.fetch = window.honest; for (const go of window.waiting.splice(0)) go()")
    page.until("they are there", lambda: not page.there(".rows[aria-busy]"))
    assert page.text("#list .bar .count").startswith("1 "), page.text("#list .bar .count")
    page.script("document.querySelector('.rows').focus()")
    page.press(Keys.ESCAPE)
    page.until("none is", lambda: not page.there(".row[aria-selected=true]"))


def ten_thousand_are_selected_at_once(server):
    took = server.page.script("""
        const lines = Array.from({ length: 10_000 }, (_, n) => ({ folder: "INBOX", uid: n + 1, id: `${n + 1} INBOX` }));
        return import("./list.js").then(({ List }) => {
          const begun = performance.now();
          const found = List.prototype.messages.call({ lines }, lines.map(({ id }) => id));
          return [found.get("INBOX").length, performance.now() - begun];
        });""")
    assert took[0] == 10_000 and took[1] < 500, took


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
    # Asked again if the page had not heard yet how many lie there.
    page.until("it is empty", lambda: page.text(".note") == "No messages" or page.script("document.querySelector('dialog footer .danger')?.click()"))


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
    page.touch("dialog .keys td")
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


def a_flag_that_is_refused_is_not_shown(server):
    """It stayed on the line and at the open message, as if it were stored."""
    page = server.page
    page.script("document.querySelector('.rows').focus()")
    page.press(Keys.HOME, "j")
    page.until("a message", lambda: page.text("#reader h1") and not page.there("#reader[aria-busy]"))
    page.script("""
        const honest = window.honest = window.fetch;
        window.fetch = (...wish) => (String(wish[0]).includes("messages/mark") ? Promise.resolve(new Response('{"error": "Try again later."}', { status: 503 })) : honest(...wish));""")
    before = page.script("return document.querySelector('#reader .actions [aria-pressed]').getAttribute('aria-pressed')")
    starred = page.there(".row .star.on")
    page.press("s")
    page.toast("Try again later.")
    page.until("it is not at the message", lambda: page.script("return document.querySelector('#reader .actions [aria-pressed]').getAttribute('aria-pressed')") == before)
    page.until("nor on its line", lambda: page.there(".row .star.on") == starred)
    page.script("window.fetch = window.honest; document.querySelector('#toasts').replaceChildren()")
    page.press(Keys.ESCAPE)
    page.until("none is open", lambda: not page.there("#reader h1"))


def keys_are_about_the_list_that_comes(server):
    """On a slow line: neither about the one before, nor lost."""
    page = server.page
    client = server.imap(0)
    check(client.create("Comes"))
    check(client.subscribe("Comes"))
    for n in range(4):
        check(client.append("Comes", None, None, letter("bob@example.test", "ann@example.test", f"Coming {n}").as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.script("window.dispatchEvent(new Event('online'))")
    page.until("the folder is seen by itself", lambda: page.there("#folders li[data-line=Comes]"))
    page.folder("Inbox")
    page.script("document.querySelector('.rows').focus()")
    page.press(Keys.HOME)
    page.waits(1000)
    page.script("document.querySelector('#folders li[data-line=Comes] a').click(); document.querySelector('.rows').focus()")
    page.press("j", "j")
    page.until("the second one is open", lambda: page.text("#reader h1") == "Coming 2" and not page.there("#reader[aria-busy]"))
    page.script("const s = document.querySelector('[type=search]'); s.value = 'subject:\"Coming 0\"'; s.dispatchEvent(new Event('input')); s.form.requestSubmit(); document.querySelector('.rows').focus()")
    page.press("j")
    page.until("what was found is open", lambda: page.text("#reader h1") == "Coming 0" and len(page.rows()) == 1)
    page.script("const s = document.querySelector('[type=search]'); s.value = ''; s.dispatchEvent(new Event('input')); s.form.requestSubmit(); document.querySelector('.rows').focus()")
    page.press(Keys.HOME)
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN).key_up(Keys.SHIFT).perform()
    page.until("three are selected", lambda: page.text(".head .count") == "3 selected")
    page.waits(0)
    page.press(Keys.ESCAPE, Keys.ESCAPE)
    page.until("none is open", lambda: not page.there("#reader h1") and not page.there(".row[aria-selected=true]"))
    page.folder("Inbox")
