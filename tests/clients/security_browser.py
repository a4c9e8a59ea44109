"""Two-factor login and app passwords in a real Chromium: turning it on, signing in with codes, and where it is required.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import os
import pathlib
import time

import pyotp
from browser import Browser
from server import main


class Page(Browser):
    def __init__(self, server):
        super().__init__(f"https://{server.facts['listeners']['https']}", (1200, 900))
        self.used = set()

    def text(self, selector):
        return self.script("return [...document.querySelectorAll(arguments[0])].at(-1)?.textContent ?? ''", selector)

    def type(self, selector, text):
        self.until(selector, lambda: self.there(selector))
        element = self.all(selector)[-1]
        element.clear()
        element.send_keys(text)

    def click(self, selector):
        self.until(f"{selector} to click", lambda: self.there(selector))
        self.script("[...document.querySelectorAll(arguments[0])].at(-1).click()", selector)

    def sign_in(self, user):
        self.driver.get(self.at)
        self.type("#address", user[0])
        self.type("#password", user[1])
        self.click("button[type=submit]")

    def settings(self):
        self.click(".me")
        self.until("the menu", lambda: self.there(".menu button"))
        self.script("document.querySelector('.menu button').click()")
        self.until("the settings", lambda: self.there("dialog .settings .twoFactor"))
        self.script("document.querySelector('.twoFactor').scrollIntoView({ block: 'center' })")

    def sign_out(self):
        self.script("document.querySelectorAll('dialog').forEach((dialog) => dialog.close())")
        self.click(".me")
        self.until("the menu", lambda: self.there(".menu button"))
        self.script("[...document.querySelectorAll('.menu button')].at(-1).click()")
        self.until("the form", lambda: self.there("#password"))

    def code(self, totp):
        """A code that was not used yet: at the most half a minute later."""
        while (code := totp.now()) in self.used:
            time.sleep(0.2)
        self.used.add(code)
        return code

    def enrols(self, password, picture):
        """Turns it on in the windows that are open: the generator and the recovery codes."""
        self.type("dialog .asked input[name=proof]", "wrong")
        self.click("dialog .asked button[type=submit]")
        self.until("a wrong password is told", lambda: "wrong" in self.text("dialog .asked [role=alert]"))
        self.type("dialog .asked input[name=proof]", password)
        self.click("dialog .asked button[type=submit]")
        self.until("the picture", lambda: self.there("dialog svg.picture path"))
        box = self.script("const box = document.querySelector('svg.picture').getBoundingClientRect(); return [box.width, box.height]")
        assert box[0] == box[1] >= 200, box
        self.picture(picture)
        totp = pyotp.TOTP(self.text("dialog .secret").replace(" ", ""))
        self.type("dialog .asked input[name=code]", "000000")
        self.click("dialog .asked button[type=submit]")
        self.until("a wrong code is told", lambda: "not the code" in self.text("dialog .asked [role=alert]"))
        self.type("dialog .asked input[name=code]", self.code(totp))
        self.click("dialog .asked button[type=submit]")
        self.until("the recovery codes", lambda: self.there("dialog .codes li") == 10)
        self.picture(f"{picture}-codes")
        codes = self.script("return [...document.querySelectorAll('dialog .codes li')].map((line) => line.textContent)")
        self.click("dialog footer .main")
        return totp, codes

    def picture(self, name):
        if directory := os.environ.get("WEBMAIL_PICTURES"):
            time.sleep(0.3)
            self.driver.save_screenshot(str(pathlib.Path(directory) / f"{name}.png"))


def turning_it_on(server):
    page, ann = Page(server), server.users[0]
    server.page = page
    page.sign_in(ann)
    page.until("the folders", lambda: page.there("#folders a"))
    page.settings()
    page.picture("security-off")
    page.click("button.turnOn")
    server.totp, server.codes = page.enrols(ann[1], "security-enrolment")
    page.until("it is on", lambda: "On since" in page.text(".twoFactor") and "left: 10" in page.text(".twoFactor"))
    page.picture("security-on")


def app_passwords(server):
    page, ann = server.page, server.users[0]
    page.click("button.newAppPassword")
    page.type("dialog input[name=device]", "My <b>telephone</b>")
    page.picture("security-new-app-password")
    page.click("dialog input[name=scripts]")
    page.type("dialog .asked input[name=proof]", ann[1])
    page.type("dialog .asked input[name=code]", server.codes[1])
    # It is shown once only, and so also to whoever closes the window before it is there.
    page.script("const form = document.querySelector('dialog form.asked'); form.querySelector('[type=submit]').click(); form.closest('dialog').close('')")
    page.until("the app password", lambda: page.there("dialog .appPassword"))
    page.picture("security-app-password")
    password = page.text("dialog .appPassword")
    page.click("dialog footer .main")
    page.until("it is listed", lambda: page.there("ul.appPasswords li") == 1)
    assert "My <b>telephone</b>" in page.text("ul.appPasswords li") and "never used" in page.text("ul.appPasswords li")
    assert password not in page.text("body")
    server.users[0] = (ann[0], password)
    server.imap(0).logout()
    server.users[0] = ann
    page.sign_out()


def signing_in_with_a_code(server):
    page, ann = server.page, server.users[0]
    page.sign_in(ann)
    page.until("the code is asked for", lambda: page.script("return document.activeElement.id") == "code")
    assert not page.script("return document.querySelector('#password').checkVisibility()")
    page.picture("sign-in-code")
    page.type("#code", "123456")
    page.click("button[type=submit]")
    page.until("a wrong code is told", lambda: "wrong" in page.text("form [role=alert]"))
    page.type("#code", page.code(server.totp))
    page.click("button[type=submit]")
    page.until("the folders", lambda: page.there("#folders a"))
    page.settings()
    page.until("the app password was used", lambda: "last used" in page.text("ul.appPasswords li"))
    page.sign_out()
    page.sign_in(ann)
    page.until("the code is asked for", lambda: page.script("return document.activeElement.id") == "code")
    page.type("#code", server.codes[0])
    assert "30 days" in page.text("label.check")
    page.click("input[name=remember]")
    page.picture("sign-in-remember")
    page.click("button[type=submit]")
    page.until("the folders", lambda: page.there("#folders a"))
    page.settings()
    page.until("one is used up", lambda: "left: 8" in page.text(".twoFactor"))
    page.picture("security-remembered")
    page.until("the browser is listed", lambda: page.there("ul.remembered li.current") == 1)
    page.sign_out()
    page.sign_in(ann)
    page.until("no code is asked for", lambda: page.there("#folders a"))
    page.settings()
    page.click("ul.remembered li button")
    page.until("the browser is forgotten", lambda: page.there(".twoFactor") and not page.there("ul.remembered"))
    page.click("ul.appPasswords li button")
    page.until("it asks", lambda: "no longer give access" in page.text("dialog p"))
    page.click("dialog footer .danger")
    page.until("it is gone", lambda: "None yet" in page.text("p.appPasswords"))
    page.sign_out()


def where_it_is_required(server):
    page, bob = server.page, server.users[1]
    page.sign_in(bob)
    page.until("the page for turning it on", lambda: page.there(".mustEnrol button"))
    page.picture("must-enrol")
    answers = page.script("""
        const ask = async (path) => (await fetch(`api/${path}`)).status;
        return Promise.all(["folders", "messages?folder=INBOX", "account", "people", "sessions"].map(ask));""")
    assert answers == [403] * 5, answers
    page.driver.get(page.at)
    page.until("nothing else, however often it is loaded", lambda: page.there(".mustEnrol button"))
    page.click(".mustEnrol button.main")
    page.used.clear()
    page.enrols(bob[1], "must-enrol-enrolment")
    page.until("the folders", lambda: page.there("#folders a"))


def nothing_was_complained_about(server):
    complaints = [entry["message"] for entry in server.page.driver.get_log("browser") if entry["level"] == "SEVERE" and " 40" not in entry["message"]]
    assert not complaints, complaints
    server.page.driver.quit()


main(turning_it_on, app_passwords, signing_in_with_a_code, where_it_is_required, nothing_was_complained_about)
