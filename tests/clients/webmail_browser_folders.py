"""The webmail in a real Chromium: folders."""

import re

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from server import check, letter


def folders_are_made_and_go(server):
    page = server.page
    page.script("[...document.querySelectorAll('#folders > button')].at(-1).click()")
    page.until("a name is asked for", lambda: page.there("dialog input"))
    page.press("Projects <b>x", Keys.ENTER)
    page.until("it is there", lambda: page.text("#folders li.current .name") == "Projects <b>x")
    assert not page.there("#folders b")
    # It takes the server long to say that the folder is gone, and that it is was told before; a list that was asked for while it was there comes later.
    page.script("""
        const honest = window.fetch;
        let gone;
        const isGone = new Promise((go) => { gone = go; });
        window.fetch = async (...wish) => {
          const lists = String(wish[0]).includes("api/messages?");
          if (lists) {
            window.waiting = true;
            await isGone;
          }
          const answer = await honest(...wish);
          if (lists) setTimeout(() => { window.late = answer.status; });
          if (answer.ok && String(wish[0]).includes("folders/delete")) {
            window.fetch = honest;
            gone();
            await new Promise((go) => { window.goOn = go; });
          }
          return answer;
        };""")
    page.script("document.querySelector('#list [aria-label=\"Check for new mail\"]').click()")
    page.until("a list is asked for", lambda: page.script("return Boolean(window.waiting)"))
    page.script("document.querySelector('#folders li.current button').click()")
    page.script("[...document.querySelectorAll('.menu button')].find(b => b.textContent === 'Delete folder').click()")
    page.until("it is asked about", lambda: "with 0 messages" in page.text("dialog p"))
    client = server.imap(0)
    check(client.append('"Projects <b>x"', None, None, b"Subject: Just come\r\n\r\nx\r\n"))
    client.logout()
    page.click("dialog footer .danger")
    page.until("it is asked about again", lambda: "with 1 message?" in page.text("dialog p"))
    page.click("dialog footer .danger")
    page.until("it is gone", lambda: page.script("return Boolean(window.goOn)"))
    page.until("there is no list of it", lambda: page.script("return window.late") == 404)
    assert "does not exist" not in page.text("#list .note"), page.text("#list .note")
    page.script("document.querySelector('#list [aria-label=\"Check for new mail\"]').click(); setTimeout(window.goOn, 500)")
    page.until("the inbox is there", lambda: page.text("#folders li.current .name") == "Inbox")
    page.script("document.querySelector('#folders li[data-line=Trash] .small').click()")
    page.script("[...document.querySelectorAll('.menu button')].find(b => b.textContent === 'Empty').click()")
    count = int(page.until("it is asked about", lambda: re.findall(r"(\d+) messages? in", page.text("dialog p")))[0])
    client = server.imap(0)
    check(client.append("Trash", None, None, b"Subject: Just thrown away\r\n\r\nx\r\n"))
    client.logout()
    page.click("dialog footer .danger")
    page.until("it is asked about again", lambda: re.search(rf"\b{count + 1} messages? in", page.text("dialog p")))
    page.click("dialog footer .danger")
    page.until("it is empty", lambda: page.script("return import('./api.js').then((api) => api.get('messages', { folder: 'Trash' })).then((list) => list.total)") == 0)


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
    page.folder("Sea")
    # Filters follow a folder, and so does who is in one that lies in it.
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
    page.until("still in the sea", lambda: page.there("#folders li.current[data-line='Journeys/Sea']"))
    page.shows("Boats")
    page.open("Boats")
    page.press("m")
    page.until("folders to choose from", lambda: page.there("dialog .choose button"))
    page.press("journeys/sea/o")
    page.until("one has this name", lambda: page.texts("dialog .choose button") == ["Journeys/Sea/Old"])
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    assert '"Journeys/Sea"' in page.script("return import('./api.js').then((api) => api.get('script')).then((script) => script.source)")


def what_does_not_change_is_not_drawn_anew(server):
    """What is replaced between pressing and releasing a button is not clicked."""
    page = server.page
    page.folder("Inbox")
    count = lambda: page.text("#folders li[data-line=INBOX] .count")
    before, (ann, _), (bob, _) = count(), *server.users[:2]
    arrives = lambda subject: check(client.append("INBOX", None, None, letter(bob, ann, subject).as_bytes().replace(b"\n", b"\r\n")))
    client = server.imap(0)
    ActionChains(page.driver).click_and_hold(page.one("#folders li[data-line=Archive] a")).perform()
    arrives("While it is pressed")
    page.shows("While it is pressed")
    page.until("it is counted", lambda: count() != before)
    ActionChains(page.driver).release().perform()
    page.until("the folder that was clicked", lambda: page.text("#folders li.current .name") == "Archive")
    page.folder("Inbox")
    page.shows("While it is pressed")
    row = "[...document.querySelectorAll('.row')].find((one) => one.getAttribute('aria-label')?.includes('While it is pressed'))"
    page.script(f"window.before = {row}")
    arrives("On top of it")
    page.until("it is the second row", lambda: page.script("return window.before.getAttribute('aria-posinset')") == "2")
    page.script("document.querySelector('.rows').scrollTop = 1; window.before.querySelector('.mark').click()")
    page.until("it is selected", lambda: page.script("return window.before.isConnected && window.before.ariaSelected") == "true")
    page.script("window.before.querySelector('.star').dispatchEvent(new MouseEvent('click', { bubbles: true }))")
    page.until("it is flagged", lambda: page.script("return window.before.isConnected && window.before.getAttribute('aria-label')").endswith("unread, flagged"))
    page.script("window.before.querySelector('.mark').click()")
    page.until("it is not selected", lambda: not page.there(".row[aria-selected=true]"))
    # What is read further down stays where it is.
    page.script("document.querySelector('.rows').scrollTop = 500")
    page.until("the tenth row", lambda: page.script("window.before = document.querySelector('.row:not(.empty)[aria-posinset=\"10\"]'); return Boolean(window.before)"))
    at = page.script("return window.before.getBoundingClientRect().top")
    arrives("Far above it")
    page.until("it is the eleventh", lambda: page.script("return window.before.getAttribute('aria-posinset')") == "11")
    assert page.script("return window.before.isConnected && window.before.getBoundingClientRect().top") == at
    page.script("document.querySelector('.rows').scrollTop = 0")
    page.shows("Far above it")
    client.logout()


def windows_give_the_keys_back(server):
    """Also where what had them was drawn anew, or is gone."""
    page = server.page
    active = lambda what: page.script(f"return document.activeElement.{what}")
    page.script("window.before = document.querySelector('#folders li[data-line=\"Archive/Years\"] .small'); window.before.focus()")
    page.press(Keys.ENTER)
    page.until("its menu", lambda: page.there(".menu"))
    page.script("[...document.querySelectorAll('.menu button')].find(b => b.textContent === 'New folder').click()")
    page.until("a name is asked for", lambda: page.there("dialog input"))
    client = server.imap(0)
    check(client.create("Archive/Years/Early"))
    check(client.subscribe("Archive/Years/Early"))
    client.logout()
    page.script("document.querySelector('#list [aria-label=\"Check for new mail\"]').click()")
    page.until("its line is drawn anew", lambda: not page.script("return window.before.isConnected"))
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.until("the keys are where they were", lambda: active("ariaLabel") == "Actions for Years")
    # What moves messages is gone with them.
    page.folder("Inbox")
    page.script("document.querySelector('.row .mark').click()")
    page.script("document.querySelector('#list .bar [aria-label=Archive]').focus()")
    page.press(Keys.ENTER)
    page.until("nothing is selected", lambda: not page.there("#list .bar button"))
    page.until("the keys are in the list", lambda: active("className") == "rows")
    page.press(Keys.HOME, Keys.ENTER)
    first = page.until("a message", lambda: page.text("#reader h1"))
    page.script("document.querySelector('#reader [aria-label=Archive]').focus()")
    page.press(Keys.ENTER)
    page.until("the next one", lambda: page.text("#reader h1") not in ("", first))
    page.until("the keys are in it", lambda: active("id") == "reader")
    page.press(Keys.ESCAPE)
    page.until("none is open", lambda: not page.there("#reader h1"))
