"""The webmail in a real Chromium: signing in and out, settings, contacts, languages."""

import pathlib
import time

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from server import check, letter
from webmail_page import Page


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


def settings_are_kept(server):
    page = server.page
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    page.until("the settings", lambda: page.there("dialog .settings .devices"))
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


def what_is_typed_while_settings_are_stored_is_not_lost(server):
    page = server.page
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    page.until("the settings", lambda: page.there("dialog .settings"))
    page.press("!")
    page.script("""const asks = window.fetch, waiting = window.waiting = [];
        window.fetch = (path, ...rest) => /api[/]preferences[?]/.test(path) ? new Promise((done) => waiting.push(() => done(asks(path, ...rest)))) : asks(path, ...rest);""")
    page.press(Keys.ENTER)
    page.until("it is on its way", lambda: page.script("return window.waiting.length") == 1)
    page.press("?")
    page.script("for (const go of window.waiting.splice(0)) go()")
    page.toast("Saved")
    page.press(Keys.ESCAPE)
    page.until("it is asked", lambda: page.there("dialog footer .danger"))
    page.press(Keys.ESCAPE)
    page.until("it is not meant", lambda: not page.there("dialog footer .danger"))
    page.press(Keys.BACKSPACE, Keys.BACKSPACE, Keys.ENTER)
    page.until("it is on its way", lambda: page.script("return window.waiting.length") == 1)
    page.script("document.querySelector('#toasts').replaceChildren(); for (const go of window.waiting.splice(0)) go()")
    page.toast("Saved")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))


def what_could_not_be_done_is_not_shown_as_done(server):
    """A login that goes on is still listed; parts of the settings that cannot be had say so, and the others are there."""
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
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
    assert page.script(f"return {end}.offsetHeight") < 50, "its label stays on one line on a telephone"
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.script(f"{end}.click()")
    page.until("it is told", lambda: page.there("#toasts .problem"))
    assert page.script(f"return Boolean({end})"), "it has not ended"
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.script("document.querySelector('#toasts').replaceChildren(); window.lost = true")
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    page.until("it is told", lambda: page.there("dialog section > .problems:only-child") == 4)
    assert page.script("return document.activeElement.matches('dialog fieldset input')"), "one can write there"
    page.script("window.fetch = window.honest")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
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


def nothing_is_done_twice(server):
    """On a slow line people press again."""
    page = server.page
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Contacts').click()")
    page.click(".newContact")
    page.until("the form", lambda: page.there("form.asked"))
    page.press("Only Once")
    page.script("""const asks = window.fetch, waiting = window.waiting = [];
        window.fetch = (path, ...rest) => /api[/](contact|script)[?]/.test(path) && rest[0]?.method === 'POST' ? new Promise((done) => waiting.push(() => done(asks(path, ...rest)))) : asks(path, ...rest);""")
    page.press(Keys.ENTER, Keys.ENTER)
    page.until("it is on its way", lambda: page.script("return window.waiting.length") >= 1)
    page.script("for (const go of window.waiting.splice(0)) go()")
    page.until("closed", lambda: not page.there("form.asked"))
    named = "return import('./api.js').then((api) => api.get('contacts')).then(({ contacts }) => contacts.filter((one) => one.name === 'Only Once').length)"
    assert page.script(named) == 1 and not page.script("return window.waiting.length")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))
    page.script("""return import('./api.js').then(async (api) => {
      const { name, tag } = await api.get('script');
      const rules = ['one', 'two', 'three'].map((name) => ({ name, conditions: [], actions: [{ kind: 'mark', flag: 'seen' }] }));
      const stored = api.post('script', { name, tag, content: { rules: { rules } }, activate: true });
      while (window.waiting.length === 0) await new Promise((go) => { setTimeout(go, 10); });
      window.waiting.pop()();
      await stored;
    })""")
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Filters').click()")
    names = lambda: page.script("return [...document.querySelectorAll('.rules li strong')].map((one) => one.textContent)")
    page.until("the rules", lambda: names() == ["one", "two", "three"])
    # By the pointer, as a person presses.
    up = page.one(".rules li:last-child .arrows button")
    ActionChains(page.driver).click(up).click(up).perform()
    page.until("it is on its way", lambda: page.script("return window.waiting.length") >= 1)
    page.script("for (const go of window.waiting.splice(0)) go()")
    page.until("it has moved once", lambda: names() == ["one", "three", "two"])
    assert not page.script("return window.waiting.length") and "changed elsewhere" not in page.text("#toasts")
    page.script("[...document.querySelectorAll('.filters summary')].at(-1).click(); document.querySelector(\".filters [aria-label^='Edit ']\").click()")
    page.until("the text", lambda: page.there("textarea.script"))
    save = page.one(".filters button.main")
    ActionChains(page.driver).click(save).click(save).perform()
    page.until("it is on its way", lambda: page.script("return window.waiting.length") >= 1)
    assert page.script("return document.querySelector('textarea.script').readOnly"), "what is typed now would be lost"
    page.script("for (const go of window.waiting.splice(0)) go()")
    page.toast("Saved")
    page.until("the text anew", lambda: page.script("return document.querySelector('textarea.script').readOnly") is False)
    assert not page.script("return window.waiting.length") and "changed elsewhere" not in page.text("#toasts")
    page.script("""return import('./api.js').then(async (api) => {
      const { name, tag } = await api.get('script');
      const stored = api.post('script', { name, tag, content: { rules: { rules: [] } }, activate: true });
      while (window.waiting.length === 0) await new Promise((go) => { setTimeout(go, 10); });
      window.waiting.pop()();
      await stored;
    })""")
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))


def late_answers_end_no_login(server):
    page = server.page
    page.driver.delete_all_cookies()
    page.script("""const honest = window.fetch;
        window.fetch = (path, ...rest) => String(path).includes('api/people') ? honest(path, ...rest).then((answer) => new Promise((done) => { window.letItCome = () => done(answer); })) : honest(path, ...rest);
        import('./api.js').then((api) => { api.get('people').catch((error) => { window.late = error.status; }); });""")
    page.until("it is answered", lambda: page.script("return Boolean(window.letItCome)"))
    page.script("import('./api.js').then((api) => api.get('folders').catch(() => {}))")
    page.until("the form", lambda: page.there("#password"))
    page.press(server.users[0][0], Keys.TAB, server.users[0][1], Keys.ENTER)
    page.until("the folders", lambda: page.there("#folders a"))
    page.script("window.letItCome()")
    page.until("the answer has come", lambda: page.script("return window.late") == 401)
    assert page.there("#folders a") and not page.there("#password")
    page.driver.refresh()
    page.until("the list", lambda: page.there(".row:not(.empty)"))


def speaks_other_languages(server):
    page = server.page
    message = letter("bob@example.test", server.users[0][0], "A page of many parts")
    message.set_content("<p>One</p>\n" * 31_000, subtype="html")
    junk = letter("bob@example.test", server.users[0][0], "A prize for you")
    junk["X-Spam-Flag"], junk["X-Spam-Score"] = "YES", "6.2"
    junk["X-Spam-Reason"] = "+4.2 BAYES_80: Learned, mostly unwanted: 0.9123; +2.0 LINK_MISMATCH: A link leads elsewhere than it shows: `a.test` -> `b.test`; +1.5 HOUSE: A rule of this house"
    client = server.imap(0)
    for one in (message, junk):
        check(client.append("INBOX", None, None, one.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("A page of many parts")
    # What a rule of this house says is in no language but its own.
    reasons = {
        "de": "+4,2 Gelernt: meist unerwünscht: 0.9123; +2,0 Ein Link führt woandershin, als er zeigt: `a.test` -> `b.test`; +1,5 A rule of this house",
        "fr": "+4,2 Appris : le plus souvent indésirable : 0.9123; +2,0 Un lien mène ailleurs qu’il ne le montre : `a.test` -> `b.test`; +1,5 A rule of this house",
        "es": "+4,2 Aprendido: casi siempre no deseado: 0.9123; +2,0 Un enlace lleva a otro sitio del que muestra: `a.test` -> `b.test`; +1,5 A rule of this house",
        "en": "+4.2 Learned, mostly unwanted: 0.9123; +2.0 A link leads elsewhere than it shows: `a.test` -> `b.test`; +1.5 A rule of this house",
    }
    mistakes = {
        "de": "unbekannt: 'fileinot'; meinten Sie 'fileinto'?", "fr": "inconnu : 'fileinot'; vouliez-vous dire 'fileinto' ?",
        "es": "desconocido: 'fileinot'; ¿quería decir 'fileinto'?", "en": "unknown command 'fileinot'; did you mean 'fileinto'?",
    }
    storing = {
        "de": "Regel 1: Geben Sie an, was mit den Nachrichten geschehen soll.", "fr": "Règle 1 : Indiquez ce qu’il faut faire des messages.",
        "es": "Regla 1: Indique qué hacer con los mensajes.", "en": "Rule 1: Say what to do with the messages.",
    }
    names = {
        "de": "Das ist kein Name für einen Ordner: kein Teil eines Ordnernamens darf . oder .. sein.", "fr": "Ceci n’est pas un nom de dossier : aucune partie d’un nom de dossier ne peut être . ou ...",
        "es": "Esto no es un nombre de carpeta: ninguna parte de un nombre de carpeta puede ser . ni ...", "en": "This is not a valid name for a folder: no part of a folder name can be . or ...",
    }
    rest = {"de": "Der Rest ist weggelassen.", "fr": "Le reste est omis.", "es": "El resto se ha omitido.", "en": "The rest is left out."}
    wrongs = {
        "de": "Geben Sie an, was mit den Nachrichten geschehen soll.", "fr": "Indiquez ce qu’il faut faire des messages.",
        "es": "Indique qué hacer con los mensajes.", "en": "Say what to do with the messages.",
    }
    numbers = {
        "de": "g dann i, Strg+Eingabe | 1,5 GB | 12.345 ausgewählt", "fr": "g puis i, Ctrl+Entrée | 1,5 Go | 12\u202f345 sélectionnés",
        "es": "g luego i, Ctrl+Intro | 1,5 GB | 12.345 seleccionados", "en": "g then i, Ctrl+Enter | 1.5 GB | 12,345 selected",
    }
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
        said = page.script("return import('./texts.js').then(({ keyNames, size, t }) => [keyNames('g then i, Ctrl+Enter'), size(1_610_612_736), t('selected', { count: 12_345 })].join(' | '))")
        assert said == numbers[language], said
        # So is what is wrong with a rule.
        rules = {"rules": [{"name": "", "enabled": True, "matching": "all", "conditions": [], "actions": []}]}
        wrong = page.script("return Promise.all([import('./api.js'), import('./texts.js')]).then(([{ post }, { said }]) => post('scripts/check', { content: { rules: arguments[0] } }).then(({ wrongs }) => said(wrongs[0])))", rules)
        assert wrong == wrongs[language], wrong
        wrong = page.script("return import('./api.js').then(({ post }) => post('script', { name: 'other', content: { rules: arguments[0] }, tag: null })).catch((error) => error.message)", rules)
        assert wrong == storing[language], wrong
        # And with a script, and a name.
        wrong = page.script("return Promise.all([import('./api.js'), import('./texts.js')]).then(([{ post }, { said }]) => post('scripts/check', { content: { source: 'fileinot \"x\";' } }).then(({ mistakes }) => said(mistakes[0])))")
        assert wrong == mistakes[language], wrong
        wrong = page.script("return import('./api.js').then(({ post }) => post('folders', { name: 'a/../b' })).catch((error) => error.message)")
        assert wrong == names[language], wrong
        # What the server refuses is said in the same language.
        refused = page.script("return import('./api.js').then((api) => api.post('folders/delete', { name: 'Nowhere' })).catch((error) => error.message)")
        assert refused == {"de": "Den Ordner „Nowhere“ gibt es nicht.", "fr": "Le dossier « Nowhere » n’existe pas.", "es": "La carpeta «Nowhere» no existe.", "en": "The folder “Nowhere” does not exist."}[language], refused
        page.open("A prize for you")
        assert reasons[language] in page.text("#reader .banner"), page.text("#reader .banner")
        page.open("A page of many parts")
        page.until("what is left out", lambda: rest[language] in page.script("return document.querySelector('iframe.page')?.contentDocument?.body?.lastElementChild?.textContent ?? ''"))


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
    assert not page.text("#toasts"), f"what is undone now would be undone in another mailbox: {page.text('#toasts')}"
    page.press(bob, Keys.TAB, password, Keys.ENTER)
    page.until("Bob's page", lambda: page.text(".me .address") == bob and page.there("#folders a"))
    assert page.one("body") != old, "the page is another one"
    assert not page.script("return location.hash.includes('q=')")
    assert "Archive" not in kept(), kept()
    assert not offered(page, "dora")
    leaves(page)
    page.press(server.users[0][0], Keys.TAB, server.users[0][1], Keys.ENTER)
    page.until("Ann's page", lambda: page.text(".me .address") == server.users[0][0] and page.there("#folders a"))


def nobody_is_asked_about_windows_of_another(server):
    """Whoever signs in next cannot keep the page, with what somebody else has begun, by staying on it."""
    page, (bob, password) = server.page, server.users[1]
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === 'Contacts').click()")
    page.until("the contacts", lambda: page.there("dialog .newContact"))
    page.click("dialog .newContact")
    page.until("the form", lambda: page.there("dialog form.asked [name=addresses]"))
    page.press("Half Written")
    page.script("addEventListener('beforeunload', (event) => { sessionStorage.asked = event.defaultPrevented; })")
    page.script("return import('./api.js').then((api) => api.remove('session'))")
    page.script("import('./api.js').then((api) => api.get('folders').catch(() => {}))")
    page.until("the form", lambda: page.there("#password"))
    page.press(bob, Keys.TAB, password, Keys.ENTER)
    page.until("Bob's page", lambda: page.text(".me .address") == bob and page.there("#folders a"))
    assert page.script("return sessionStorage.asked") == "false"
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
