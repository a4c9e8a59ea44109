"""The monitoring page in a real Chromium: every tile, table, chart, shortcut, the refresh, a narrow screen, the login.

With DASHBOARD_PICTURES set to a directory, pictures of every page are kept there.
"""

import os
import pathlib
import time

from browser import Browser, run
from selenium.webdriver.common.keys import Keys
from server import letter

PAGES = ["overview", "queue", "mailboxes", "events", "trace", "reports"]
TABLES = ["listeners", "certificates", "backups", "destinations", "refusals", "senders", "recipients", "fullest", "disks", "bans", "recent"]
CHARTS = ["chart-mail", "chart-spam", "chart-refused", "chart-queue"]


class Page(Browser):
    TELLS = ("#health", "#stamp")

    def __init__(self, server):
        super().__init__(f"http://{server.facts['listeners']['dashboard']}", (1280, 1000))

    def shows(self, page):
        self.until(page, lambda: self.script("return [...document.querySelectorAll('.page')].filter(p => !p.hidden).map(p => p.id).join()") == page)

    def fresh(self):
        self.until("fresh data", lambda: self.script("return document.body.dataset.state === 'fresh' && !document.body.hasAttribute('aria-busy')"))

    def picture(self, name):
        if directory := os.environ.get("DASHBOARD_PICTURES"):
            height = self.script("return document.documentElement.scrollHeight")
            size = self.driver.get_window_size()
            self.driver.set_window_size(size["width"], max(size["height"], min(height + 100, 4000)))
            time.sleep(0.3)
            self.driver.save_screenshot(str(pathlib.Path(directory) / f"{name}.png"))
            self.driver.set_window_size(size["width"], size["height"])


def mail_is_there(server):
    (ann, _), (bob, _) = server.users[:2]
    client = server.smtp(user=0)
    server.message = letter(ann, bob, "Seen on the page")
    client.send_message(server.message, ann, [bob, "somebody@silent.test"])
    client.quit()
    try:
        server.smtp("smtp").sendmail("x@example.net", ["nobody@example.test"], "Subject: x\r\n\r\nx\r\n")
    except Exception:
        pass
    server.wait_for(1, server.message["Message-ID"])


def logs_in(server):
    page = server.page = Page(server)
    page.driver.get(page.at)
    assert page.driver.current_url.endswith("/login"), page.driver.current_url
    page.picture("login")
    assert page.script("return document.activeElement.id") == "password"
    page.press("not the word", Keys.ENTER)
    page.until("a wrong password is told", lambda: "not the administrator" in page.text("[role=alert]"))
    page.until("the field is ready", lambda: page.script("return document.activeElement.id") == "password")
    page.press(server.users[0][1], Keys.ENTER)
    page.until("the first page", lambda: page.script("return !!document.querySelector('#tiles')"))
    page.shows("overview")
    page.fresh()


def every_tile_and_table_is_filled(server):
    page = server.page
    page.until("the delivery is counted", lambda: "1 in 24 h" in page.text("#tiles"))
    tiles = page.script("return Object.fromEntries([...document.querySelectorAll('#tiles > div')].map((tile) => ['dt', '.value'].map((one) => tile.querySelector(one).innerText)))")
    assert set(tiles) == {"Listeners", "Certificate", "Queue", "Received", "Sent on", "Spam", "Refused", "Disk", "Mail stored", "Users", "Backup", "Drill", "Forged mail", "TLS elsewhere", "Bans"}, tiles
    assert all(tiles.values()), tiles
    listeners = len(server.facts["listeners"]) - 1
    assert tiles["Listeners"] == f"{listeners} answer" and tiles["Users"] == "2" and tiles["Queue"] == "1", tiles
    assert tiles["Certificate"].endswith("days"), tiles
    for table in TABLES:
        rows = page.texts(f"#{table} tbody tr")
        assert rows and all(row.strip() for row in rows), f"#{table} is empty"
    assert len(page.all("#listeners tbody tr")) == listeners
    assert "mail.example.test" in page.text("#listeners") and "not trusted" in page.text("#listeners")
    assert "mx:silent.test" in page.text("#destinations")
    # The harness has noted a backup and a drill that found a difference.
    assert "1,234 messages" in page.text("#tiles") and tiles["Drill"] == "2.5 s", page.text("#tiles")
    assert "mail.example.test" in page.text("#certificates") and "served" in page.text("#certificates")
    assert "ann@example.test: folder `INBOX` differs" in page.text("#backups")
    page.script("document.querySelector('#backups summary').focus()")
    page.press(Keys.ENTER)
    page.until("all that differs", lambda: page.all("#backups details[open] li"))
    assert server.users[1][0] in page.text("#recipients")
    problems = page.text("#problems")
    # This machine's own disks may be full.
    wrong = 1 + problems.count(" is nearly full: ")
    health = "1 thing needs attention" if wrong == 1 else f"{wrong} things need attention"
    assert page.text("#health") == health, problems
    assert "The last drill failed" in problems, problems


def charts_are_drawn_and_read_by_keys(server):
    page = server.page
    for chart in CHARTS:
        page.until(f"a line in {chart}", lambda: page.all(f"#{chart} path.line"))
        assert page.script("return document.querySelector(arguments[0]).getAttribute('aria-label')", f"#{chart} svg"), chart
    before = page.text("#chart-mail output")
    page.script("document.querySelector('#chart-mail svg').focus()")
    page.press(Keys.END)
    page.until("the last step is said", lambda: page.text("#chart-mail output") != before and "received" in page.text("#chart-mail output"))
    page.press(Keys.ARROW_LEFT, Keys.ESCAPE)
    page.until("the summary is back", lambda: "in all" in page.text("#chart-mail output"))
    page.script("document.querySelector('#chart-mail summary').focus()")
    page.press(Keys.ENTER)
    page.until("the table", lambda: len(page.all("#chart-mail tbody tr")) > 90)
    page.press(Keys.ENTER)


def shortcuts_work(server):
    page = server.page
    page.script("document.activeElement.blur()")
    page.press("?")
    page.until("the help", lambda: page.script("return document.querySelector('#help').open"))
    assert len(page.all("#help tbody tr")) >= 14
    page.picture("help")
    page.press(Keys.ESCAPE)
    page.until("the help is gone", lambda: not page.script("return document.querySelector('#help').open"))
    for key, name in zip("23456", PAGES[1:]):
        page.press(key)
        page.shows(name)
        assert page.script("return document.querySelector('nav [aria-current=page]').hash") == f"#{name}"
    page.press("1")
    page.shows("overview")
    for key, wanted in (("[", "6h"), ("]", "24h"), ("]", "7d"), ("]", "30d"), ("]", "30d"), ("[", "7d"), ("[", "24h")):
        page.press(key)
        page.until(f"range {wanted}", lambda: page.script("return document.querySelector('#range input:checked').value") == wanted)
        page.fresh()
    page.press("/")
    page.shows("trace")
    page.until("the search field", lambda: page.script("return document.activeElement.name") == "about")
    page.press("1?t")
    assert page.script("return document.querySelector('#trace-search input').value") == "1?t", "shortcuts rest while one types"
    page.press(Keys.ESCAPE)
    page.press("1")
    page.shows("overview")
    page.press("p")
    page.until("paused", lambda: page.one("#pause").get_attribute("aria-pressed") == "true")
    page.press("p")
    page.until("going on", lambda: page.one("#pause").get_attribute("aria-pressed") == "false")
    page.fresh()
    stamp = page.text("#stamp")
    time.sleep(1.1)
    page.press("r")
    page.until("refreshed on demand", lambda: page.text("#stamp") != stamp)


def light_and_dark(server):
    page = server.page
    paper = lambda: page.script("return getComputedStyle(document.body).backgroundColor")
    seen = {}
    for theme in ("light", "dark", "system"):
        page.press("t")
        page.until(theme, lambda: page.text("#theme") == f"Theme: {theme}")
        seen[theme] = paper()
        page.picture(f"overview-{theme}")
    assert seen["light"] != seen["dark"], seen


def refreshes_without_a_reload(server):
    page = server.page
    page.script("window.stayed = true; document.querySelector('#listeners').closest('.scroll').focus()")
    before = page.text("#recent")
    client = server.smtp(user=0)
    (ann, _), (bob, _) = server.users[:2]
    client.send_message(letter(ann, bob, "While you look"), ann, [bob])
    client.quit()
    page.until("it shows by itself", lambda: "2 in 24 h" in page.text("#tiles") and page.text("#recent") != before)
    assert page.script("return window.stayed"), "the page was not loaded anew"
    assert page.script("return document.activeElement.matches('.scroll')"), "the focus stays where it was"
    page.until("the kinds", lambda: len(page.all("#tail option")) > 20)
    page.script("const s = document.querySelector('#tail select'); s.value = 'delivered'; s.dispatchEvent(new Event('change', { bubbles: true }))")
    kinds = lambda: page.script("return [...document.querySelectorAll('#recent tbody tr')].map(row => row.children[1]?.textContent)")
    page.until("only deliveries", lambda: set(kinds()) == {"delivered"})
    page.script("document.querySelector('#recent a').click()")
    page.shows("trace")
    page.until("the journey of one", lambda: "delivered" in page.text("#journeys"))
    page.press("1")
    page.shows("overview")
    page.script("const s = document.querySelector('#tail select'); s.value = ''; s.dispatchEvent(new Event('change', { bubbles: true }))")


def tells_of_a_server_that_does_not_answer(server):
    page = server.page
    # It takes what it is asked and says nothing, as one does that hangs; what is long is made short.
    page.script('''
        const wait = AbortSignal.timeout.bind(AbortSignal);
        AbortSignal.timeout = () => wait(200);
        window.asked = window.fetch;
        window.fetch = (_, { signal }) => new Promise((_, refuse) => signal?.addEventListener("abort", () => refuse(signal.reason)));
    ''')
    page.press("r")
    page.until("it is told", lambda: page.text("#health") == "No answer" and "Not refreshed" in page.text("#stamp"))
    page.script("window.fetch = window.asked")
    page.press("r")
    page.fresh()


def finds_events_and_journeys(server):
    page = server.page
    page.press("4")
    page.shows("events")
    page.until("the kinds are listed", lambda: len(page.all("#event-search select[name=kind] option")) > 20)
    page.press("/")
    page.press("silent.test", Keys.ENTER)
    page.until("events found", lambda: page.script(
        "const rows = [...document.querySelectorAll('#event-list tbody tr')];"
        "return rows.length > 1 && rows.every(row => row.textContent.includes('silent.test'))"))
    page.script("document.querySelector('#event-list summary').focus()")
    page.press(Keys.ENTER)
    page.until("its details", lambda: page.all("#event-list details[open] pre"))
    page.picture("events")
    page.script("document.querySelector('#event-list details[open] a').focus()")
    page.press(Keys.ENTER)
    page.shows("trace")
    page.until("its journey", lambda: "waiting for somebody@silent.test" in page.text("#journeys"))
    page.press("/")
    page.script("document.querySelector('#trace-search input').select()")
    page.press(server.message["Message-ID"], Keys.ENTER)
    page.until("it is asked for", lambda: page.script("return decodeURIComponent(location.hash)").endswith(server.message["Message-ID"]))
    page.until("the other way to it", lambda: "delivered for bob@example.test" in page.text("#journeys"))
    page.picture("trace")
    page.press("/")
    page.script("document.querySelector('#trace-search input').select()")
    page.press("nonsense", Keys.ENTER)
    page.until("what is wrong", lambda: "is no Message-ID" in page.text("#trace-answer"))
    page.press(Keys.ESCAPE, "2")
    page.shows("queue")
    page.until("the queue", lambda: "somebody@silent.test" in page.text("#entries"))
    page.picture("queue")
    page.press("3")
    page.shows("mailboxes")
    page.until("the mailboxes", lambda: server.users[1][0] in page.text("#usage"))
    page.picture("mailboxes")


def later_messages_stay(server):
    """A refresh that was under way when they were asked for, and whose answer comes after theirs, does not replace them."""
    page = server.page
    page.press("2")
    page.shows("queue")
    page.until("the queue", lambda: "somebody@silent.test" in page.text("#entries"))
    shown = page.driver.execute_async_script("""
        const done = arguments[0];
        const entry = (sender) => ({ id: "x", received: 0, sender, size: 1, recipients: [], hold_reason: null });
        import("/search.js").then(async ({ showQueue }) => {
            let answer = () => {};
            const first = showQueue(() => new Promise((go) => { answer = () => go({ entries: [entry("early@example.test")], next: "x" }); }));
            await showQueue(async () => ({ entries: [entry("late@example.test")], next: null }), "x");
            answer();
            await first;
            done(document.querySelector("#entries").textContent);
        });
    """)
    assert "late@example.test" in shown and "early@example.test" not in shown, shown
    page.press("1")
    page.shows("overview")
    page.press("2")
    page.until("the queue again", lambda: "somebody@silent.test" in page.text("#entries"))
    page.press("1")
    page.shows("overview")


def tells_what_other_servers_report(server):
    page = server.page
    page.press("6")
    page.shows("reports")
    page.until("the rows of DMARC reports", lambda: "192.0.2.66" in page.text("#report-rows") and "p=quarantine" in page.text("#report-rows"))
    rows = page.script("return [...document.querySelectorAll('#report-rows tbody tr')].map((row) => [...row.querySelectorAll('td')].map((cell) => cell.innerText.trim()))")
    assert rows[0][3] == "fail" and rows[-1][3] == "pass", rows
    assert page.text("#report-answer") == "1 report: 40 passed, 2 failed", page.text("#report-answer")
    page.picture("reports")
    page.script("const kind = document.querySelector('#report-search select'); kind.value = 'tls'; kind.dispatchEvent(new Event('change', {bubbles: true}))")
    page.until("reports about TLS", lambda: page.text("#report-answer") == "0 reports: 0 passed, 0 failed")
    page.press("1")
    page.shows("overview")


def fits_a_telephone(server):
    page = server.page
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True})
    for key, name in zip("123456", PAGES):
        page.press(key)
        page.shows(name)
        page.fresh()
        wide = page.script("return document.documentElement.scrollWidth")
        assert wide <= 360, f"{name} is {wide} wide: " + str(page.script(
            "return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 361 && !e.closest('.scroll')).slice(0, 5).map(e => e.outerHTML.slice(0, 200))"))
        hidden = page.script("return [...document.querySelectorAll('nav a')].filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.textContent)")
        assert not hidden, f"{name}: {hidden} cannot be seen"
        page.picture(f"narrow-{name}")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.press("1")
    page.shows("overview")


def everything_has_a_name_for_screen_readers(server):
    page = server.page
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    for key, name in zip("123456", PAGES):
        page.press(key)
        page.shows(name)
        page.fresh()
        nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        needy = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "img", "image", "meter", "region", "navigation", "search", "dialog"}
        nameless = [node for node in nodes if not node["ignored"] and node["role"].get("value") in needy and not node.get("name", {}).get("value")]
        assert not nameless, f"{name}: {nameless[0]}"
        levels = page.script("return [...document.querySelectorAll('h1, h2, h3')].filter(h => h.offsetParent).map(h => +h.tagName[1])")
        assert levels[0] == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:])), (name, levels)
    page.press("1")
    page.shows("overview")


def nothing_comes_from_elsewhere(server):
    page = server.page
    loaded = page.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(name.startswith(page.at) for name in loaded), loaded
    complaints = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    # A wrong password and a question that makes no sense are answered with 401 and 400, which the browser notes.
    complaints = [entry for entry in complaints if " 401 " not in entry["message"] and " 400 " not in entry["message"]]
    assert not complaints, complaints
    page.driver.refresh()
    page.fresh()
    paint = page.script("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    print(f"first contentful paint {paint} ms, loaded {page.script('return performance.getEntriesByType(`navigation`)[0].loadEventEnd')} ms")


def logs_out(server):
    page = server.page
    page.script("document.querySelector('form[action=logout] button').focus()")
    page.press(Keys.ENTER)
    page.until("the login page", lambda: page.driver.current_url.endswith("/login"))
    page.driver.get(page.at)
    assert page.driver.current_url.endswith("/login")


def ends(server):
    server.page.end()


run(
    mail_is_there,
    logs_in,
    every_tile_and_table_is_filled,
    charts_are_drawn_and_read_by_keys,
    shortcuts_work,
    light_and_dark,
    refreshes_without_a_reload,
    tells_of_a_server_that_does_not_answer,
    finds_events_and_journeys,
    later_messages_stay,
    tells_what_other_servers_report,
    fits_a_telephone,
    everything_has_a_name_for_screen_readers,
    nothing_comes_from_elsewhere,
    logs_out,
    ends,
)
