"""The webmail in a real Chromium, for all scripts about it: the page, and what every run of steps does.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import base64
import os
import pathlib
import tempfile
import time

from browser import Browser
from selenium.webdriver.common.keys import Keys

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
NEWSLETTER = """<html><head><style>p{color:red}</style><script>document.title="owned"</script></head><body onload="document.title='owned'">
<table width="100%" bgcolor="#1f5fae" cellpadding="18"><tr><td style="color:#ffffff;font-size:22px;font-family:Georgia">The Weekly Letter</td></tr></table>
<h2 style="color:#1f5fae">What is new</h2><p style="font-size:16px">Formatted <b>text</b>, a picture of our own <img src="cid:logo" width="20" height="20" alt="logo">
and one from elsewhere <img src="https://remote.test/pixel.png" width="40" height="40" alt="remote">.</p>
<p><a href="https://evil.test/login">https://bank.test/login</a> and <a href="https://bank.test/">our bank</a> and <a href="javascript:document.title='owned'">a trap</a>.</p>
<form action="https://evil.test"><input name="password"></form></body></html>"""


class Page(Browser):
    TELLS = ("#toasts", ".note", ".state")

    def __init__(self, server):
        self.downloads = tempfile.mkdtemp(prefix="downloads-")
        at = os.environ.get("WEBMAIL_AT") or f"https://{server.facts['listeners']['https']}"
        super().__init__(at, (1360, 900), ("browser", "performance"), {"download.default_directory": self.downloads})

    def click(self, selector):
        """Found and clicked in one step: between two, the page may have drawn another in its place."""
        self.until(f"{selector} to click", lambda: self.script("const found = document.querySelector(arguments[0]); found?.click(); return Boolean(found)", selector))

    def rows(self):
        return self.script("return [...document.querySelectorAll('.row:not(.empty)')].map(row => row.getAttribute('aria-label'))")

    def shows(self, subject):
        return self.until(f"the row “{subject}”", lambda: [row for row in self.rows() if subject in row])[0]

    def lacks(self, subject):
        self.until(f"no row “{subject}”", lambda: self.there("#list") and not [row for row in self.rows() if subject in row])

    def open(self, subject):
        self.shows(subject)
        self.until(f"“{subject}” to click", lambda: self.script("const found = [...document.querySelectorAll('.row')].find(row => row.getAttribute('aria-label')?.includes(arguments[0])); found?.click(); return Boolean(found)", subject))
        self.until(f"“{subject}” is open", lambda: self.text("#reader h1") == subject)

    def folder(self, name):
        self.until(f"{name} to click", lambda: self.script("const found = [...document.querySelectorAll('#folders a')].find(a => a.querySelector('.name').textContent === arguments[0]); found?.click(); return Boolean(found)", name))
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
