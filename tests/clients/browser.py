"""A real Chromium without a screen, and what every test of a page does with it."""

import contextlib
import tempfile
import time

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from server import main

PATIENCE = 60
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    "--lang=en",
    "--ignore-certificate-errors",
)


class Browser:
    # Where the page says what is wrong: told when a wait was in vain.
    TELLS = ("body",)

    def __init__(self, at, size, logs=("browser",), preferences=None):
        options = webdriver.ChromeOptions()
        for argument in (*ARGUMENTS, f"--user-data-dir={tempfile.mkdtemp(prefix='chromium-')}"):
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"credentials_enable_service": False, **(preferences or {})})
        options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(PATIENCE)
        self.driver.set_window_size(*size)
        self.at = at

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def there(self, selector):
        return self.script("return document.querySelectorAll(arguments[0]).length", selector)

    def until(self, what, condition):
        deadline = time.time() + PATIENCE
        while time.time() < deadline:
            # The page may draw an element anew between finding it and looking at it.
            with contextlib.suppress(StaleElementReferenceException):
                if value := condition():
                    return value
            time.sleep(0.05)
        told = " ".join(self.text(selector)[-600:] for selector in self.TELLS)
        shown = self.script("return document.body.innerText.replace(/\\s+/g, ' ').slice(0, 1000)")
        held = self.script("return document.hasFocus() + ' ' + document.activeElement?.outerHTML.slice(0, 100)")
        raise AssertionError(f"{what}: not within {PATIENCE} s; the page says {told}; it shows {shown}; the focus is {held}")

    def texts(self, selector):
        """What each of several elements says, in one step: between two, the page may have drawn others in their place."""
        return self.script("return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)", selector)

    def touch(self, selector):
        """Clicks as a person does, where nothing may lie over the element."""
        self.until(f"{selector} to click", lambda: (self.one(selector).click(), True))

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def end(self):
        self.driver.quit()


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
