"""Formatted messages in a real Chromium: writing, pictures, drafts, answers with quotes, and what arrives.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import base64
import email
import email.message
import email.policy
import email.utils
import pathlib
import time

from browser import PATIENCE, run
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from server import check
from webmail_page import NEWSLETTER, PIXEL, Page

FIELD = "#compose .written"


class Writer(Page):
    def markup(self):
        return self.script("return document.querySelector(arguments[0])?.innerHTML ?? ''", FIELD)

    def chord(self, *keys):
        *held, last = keys
        actions = ActionChains(self.driver)
        for key in held:
            actions = actions.key_down(key)
        actions = actions.send_keys(last)
        for key in reversed(held):
            actions = actions.key_up(key)
        actions.perform()

    def compose(self):
        self.press("c")
        self.until("the letter", lambda: self.there(FIELD) and self.one(FIELD).is_displayed())

    def fill(self, to, subject):
        self.until("the focus is at To", lambda: self.script("return document.activeElement.getAttribute('aria-label')") == "To")
        self.press(f"{to},")
        self.script("document.querySelector('#compose [aria-label=Subject]').focus()")
        self.press(subject)
        self.script("document.querySelector(arguments[0]).focus()", FIELD)

    def saved(self):
        self.until("the draft is saved", lambda: "Draft saved" in self.text("#compose .state"))

    def sent(self):
        self.chord(Keys.CONTROL, Keys.ENTER)
        self.until("it is sent", lambda: not self.there("#compose"))

    def next_frame_shows(self, other):
        """Something else than what it is to fetch."""
        self.script("""
            const [other] = arguments, { append } = document.body;
            document.body.append = function (...all) {
              for (const one of all) if (one.localName === "iframe") { one.src = other; delete document.body.append; }
              append.apply(this, all);
            };""", other)


def arrived(server, user, subject):
    client = server.imap(user)
    deadline = time.time() + PATIENCE
    while not (found := (check(client.select()), check(client.search(None, "SUBJECT", f'"{subject}"'))[0].split())[1]):
        assert time.time() < deadline, f"“{subject}” did not arrive"
        time.sleep(0.05)
    source = check(client.fetch(found[0], "(BODY.PEEK[])"))[0][1]
    client.logout()
    return email.message_from_bytes(source, policy=email.policy.default)


def a_newsletter_is_there(server):
    (ann, _), (bob, _) = server.users[:2]
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = email.utils.formataddr(("Bob Builder", bob)), ann, "A newsletter"
    message["Date"], message["Message-ID"] = email.utils.formatdate(), "<newsletter@client.example>"
    message.set_content("The plain side")
    message.add_alternative(NEWSLETTER, subtype="html")
    message.get_payload()[1].add_related(PIXEL, "image", "png", cid="<logo>")
    client = server.smtp(user=1)
    client.send_message(message, bob, [ann])
    client.quit()
    server.wait_for(0, "<newsletter@client.example>")


def it_is_chosen_in_the_settings(server):
    page = server.page = Writer(server)
    page.sign_in(server.users[0])
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    page.until("the settings", lambda: page.there("dialog .settings"))
    page.script("[...document.querySelectorAll('dialog label')].find(one => one.textContent === 'Write messages with formatting').querySelector('input').click()")
    page.toast("Saved")
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("dialog"))


def words_are_formatted(server):
    page = server.page
    page.compose()
    page.fill(server.users[1][0], "Formatted words")
    page.press("Some ")
    page.chord(Keys.CONTROL, "b")
    page.until("the button shows it", lambda: page.script("return document.querySelector('.format.bold').getAttribute('aria-pressed')") == "true")
    page.press("bold")
    page.chord(Keys.CONTROL, "b")
    page.press(" and ")
    page.chord(Keys.CONTROL, "i")
    page.press("slanted")
    page.chord(Keys.CONTROL, "i")
    page.press(" words.", Keys.ENTER)
    page.click(".format.bullets")
    page.press("one", Keys.ENTER, "two")
    page.until("a list", lambda: page.there(f"{FIELD} ul li") == 2)
    page.press(Keys.ENTER, Keys.ENTER)
    page.until("after the list", lambda: page.there(f"{FIELD} ul li") == 2)
    page.chord(Keys.CONTROL, Keys.ALT, "1")
    page.press("A heading")
    page.until("a heading", lambda: page.text(f"{FIELD} h2") == "A heading")
    page.press(Keys.ENTER)
    if page.script("return Boolean(getSelection().anchorNode.parentElement.closest('h2') ?? getSelection().anchorNode.closest?.('h2'))"):
        page.click(".format.heading")
    page.chord(Keys.CONTROL, "k")
    page.until("it asks where to", lambda: page.there("dialog input"))
    page.press("https://example.test/page", Keys.ENTER)
    page.until("a link", lambda: page.there(f"{FIELD} a"))
    page.until("no window", lambda: not page.there("dialog"))
    path = pathlib.Path(page.downloads, "A cat.png")
    path.write_bytes(PIXEL)
    page.one("#compose input.pictured").send_keys(str(path))
    page.until("a picture that is seen", lambda: page.script("const i = document.querySelector(arguments[0]); return i?.complete && i.naturalWidth", f"{FIELD} img") == 1)
    page.saved()
    page.picture("formatted-compose")
    # The picture is now one of the draft, and sent from there.
    page.sent()
    message = arrived(server, 1, "Formatted words")
    plain, html = message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()
    for wanted in ("Some bold and slanted words.", "- one\n- two", "A heading", "https://example.test/page", "[A cat]"):
        assert wanted in plain.replace("\r\n", "\n"), plain
    for wanted in ("<b>bold</b>", "<i>slanted</i>", "<li>one</li>", "A heading</h2>", 'href="https://example.test/page"', 'alt="A cat"'):
        assert wanted in html, html
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == 1 and pictures[0].get_content() == PIXEL
    assert f"src=\"cid:{pictures[0]['content-id'].strip('<>')}\"" in html, html
    assert message.get_content_type() == "multipart/alternative", message.get_content_type()
    assert not list(message.iter_attachments())[1:]


def what_is_pasted_is_made_tame(server):
    page = server.page
    page.compose()
    page.fill(server.users[1][0], "Pasted words")
    evil = '<div style="position:fixed" onclick="x()" class="y">Pasted <b id="z">words</b><img src="https://remote.test/track.png" alt="gone"><script>document.title="owned"</script><a href="javascript:x()">trap</a></div>'
    page.script("""
        const [markup] = arguments;
        const listen = (event) => { event.clipboardData.setData("text/html", markup); event.clipboardData.setData("text/plain", "x"); event.preventDefault(); };
        document.addEventListener("copy", listen, { once: true });
        document.execCommand("copy");""", evil)
    page.script("document.querySelector(arguments[0]).focus()", FIELD)
    page.chord(Keys.CONTROL, "v")
    page.until("it is there", lambda: "words" in page.text(FIELD))
    markup = page.markup()
    for harm in ("style=", "onclick", "class=", "remote.test", "script", "javascript", "id="):
        assert harm not in markup, markup
    # That the page's policy has blocked the style of it is written into the browser's log.
    page.driver.get_log("browser")
    page.sent()
    html = arrived(server, 1, "Pasted words").get_body(("html",)).get_content()
    assert "<b>words</b>" in html and "trap" in html and "javascript" not in html and "remote.test" not in html, html


def a_picture_is_pasted(server):
    page = server.page
    page.compose()
    page.fill(server.users[1][0], "A pasted picture")
    page.script("""
        const octets = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([octets], "image.png", { type: "image/png" }));
        data.setData("text/html", '<img src="https://remote.test/a.png">');
        document.querySelector(arguments[1]).dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));""", base64.b64encode(PIXEL).decode(), FIELD)
    page.until("a picture that is seen", lambda: page.script("const i = document.querySelector(arguments[0]); return i?.complete && i.naturalWidth", f"{FIELD} img") == 1)
    assert "remote.test" not in page.markup()
    page.sent()
    message = arrived(server, 1, "A pasted picture")
    assert [part.get_content() for part in message.walk() if part.get_content_type() == "image/png"] == [PIXEL]


def drafts_stay_formatted(server):
    page = server.page
    page.compose()
    page.fill(server.users[1][0], "A formatted draft")
    page.press("half ")
    page.chord(Keys.CONTROL, "b")
    page.press("written")
    path = pathlib.Path(page.downloads, "Draft.png")
    path.write_bytes(PIXEL)
    page.one("#compose input.pictured").send_keys(str(path))
    page.until("a picture", lambda: page.there(f"{FIELD} img"))
    page.saved()
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.folder("Drafts")
    page.open("A formatted draft")
    page.click(".actions .main")
    page.until("it is there again", lambda: page.text(f"{FIELD} b") == "written")
    page.until("with its picture", lambda: page.script("const i = document.querySelector(arguments[0]); return i?.complete && i.naturalWidth", f"{FIELD} img") == 1)
    assert page.there("#compose .attached li") == 0, "a picture in the text is no file"
    page.click("#compose .exchange")
    page.until("it asks", lambda: "lost" in page.text("dialog p"))
    page.click("dialog footer .main")
    page.until("plain", lambda: "half written" in page.script("return document.querySelector('#compose textarea').value"))
    assert not page.one(FIELD).is_displayed()
    page.script("document.querySelector('#compose textarea').focus()")
    page.press("More. ")
    page.sent()
    message = arrived(server, 1, "A formatted draft")
    assert message.get_content_type() == "text/plain" and "half written" in message.get_content(), message.as_string()
    page.folder("Inbox")


def a_draft_that_is_still_coming_is_not_emptied(server):
    page = server.page
    page.compose()
    page.fill(server.users[1][0], "Slow to come")
    page.press("all of it")
    page.saved()
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.folder("Drafts")
    page.open("Slow to come")
    # The page of the draft, which the reader has fetched, is fetched again.
    page.driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    page.waits(2_000)
    page.click(".actions .main")
    page.until("the letter", lambda: page.there("#compose .exchange"))
    page.script("document.querySelector('#compose .exchange').click()")
    page.until("plain", lambda: page.one("#compose textarea").is_displayed())
    page.waits(0)
    page.driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})
    assert page.script("return document.querySelector('#compose textarea').value").strip() == "all of it"
    page.click("#compose [aria-label=Discard]")
    page.click("dialog footer .danger")
    page.until("thrown away", lambda: not page.there("#compose"))
    page.folder("Inbox")


def a_draft_that_does_not_come_stays_as_it_is(server):
    """Neither what cannot be fetched nor what something on the way says in its place is written on."""
    page = server.page
    page.compose()
    page.fill(server.users[1][0], "Not to be had")
    page.press("plain ")
    page.chord(Keys.CONTROL, "b")
    page.press("bold")
    page.saved()
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.folder("Drafts")
    page.open("Not to be had")
    for other in ("api/message/page?folder=INBOX&uid=999999", "about:blank"):
        page.next_frame_shows(other)
        page.click(".actions .main")
        page.toast("could not be loaded")
        assert not page.there("#compose"), page.text("#compose")
        page.click("#toasts .toast button")
        page.until("it is there now", lambda: page.text(f"{FIELD} b") == "bold")
        page.press(Keys.ESCAPE)
        page.until("closed", lambda: not page.there("#compose"))
    # That an answer was no page is written into the browser's log.
    page.driver.get_log("browser")
    page.folder("Inbox")


def answers_quote_what_is_formatted(server):
    page = server.page
    page.open("A newsletter")
    page.press("r")
    page.until("the quote", lambda: "What is new" in page.text(f"{FIELD} blockquote"))
    markup = page.markup()
    assert "<b>text</b>" in markup and "remote.test" not in markup and "javascript" not in markup and "password" not in markup, markup
    page.until("its picture", lambda: page.script("const i = document.querySelector(arguments[0]); return i?.complete && i.naturalWidth", f"{FIELD} blockquote img") == 1)
    page.until("the focus is in it", lambda: page.script("return document.activeElement.matches(arguments[0])", FIELD))
    page.press("Thank you!")
    page.picture("formatted-answer")
    page.sent()
    message = arrived(server, 1, "Re: A newsletter")
    html, plain = message.get_body(("html",)).get_content(), message.get_body(("plain",)).get_content()
    assert html.index("Thank you!") < html.index("<blockquote"), html
    assert "> Formatted text, a picture of our own [logo] and one from elsewhere remote." in plain.replace("\r\n", "\n"), plain
    assert any(line.startswith("> ") and "What is new" in line for line in plain.splitlines()), plain
    assert [part.get_content() for part in message.walk() if part.get_content_type() == "image/png"] == [PIXEL]
    assert message["in-reply-to"] == "<newsletter@client.example>"


def what_is_very_deep_is_kept(server):
    page = server.page
    deep = page.driver.execute_async_script("""
        const done = arguments[arguments.length - 1];
        import("/markup.js").then(({ copy, lines, plain, write }) => {
          const nested = (name, levels, ...inside) => {
            let outer = document.createElement(name);
            outer.append(...inside);
            while ((levels -= 1) > 0) {
              const one = document.createElement(name);
              one.append(outer, "after");
              outer = one;
            }
            const whole = document.createElement("div");
            whole.append(outer);
            return whole;
          };
          const depth = (element) => {
            let most = 0;
            for (let node of element.querySelectorAll("*")) {
              let own = 0;
              for (; node !== element; node = node.parentNode) own += 1;
              most = Math.max(most, own);
            }
            return most;
          };
          const bold = document.createElement("b");
          bold.textContent = "innermost";
          const field = document.createElement("div");
          field.append(copy(nested("div", 300, "begin", bold), () => null));
          const quoted = document.createElement("div");
          quoted.append(lines(`${">".repeat(20000)} quoted`));
          const markup = write(nested("blockquote", 5000, "innermost"));
          done({
            copied: field.textContent.startsWith("begininnermostafter"), afters: field.textContent.split("after").length - 1, deep: depth(field),
            parted: field.querySelectorAll("br").length > 200, quoted: quoted.textContent.endsWith("> quoted"), quotes: depth(quoted),
            written: markup.includes("innermost"), opened: markup.split("<blockquote>").length, closed: markup.split("</blockquote>").length,
            plain: plain(nested("div", 5000, "innermost")).startsWith("innermost\\nafter\\n"),
          });
        }).catch((error) => done(String(error)));""")
    assert deep == {
        "copied": True, "afters": 299, "deep": 61, "parted": True, "quoted": True, "quotes": 61, "written": True, "opened": 61, "closed": 61, "plain": True,
    }, deep
    (ann, _), (bob, _) = server.users[:2]
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"], message["Message-ID"] = bob, ann, "Deep words", "<deep@client.example>"
    message.set_content("The plain side")
    message.add_alternative(f"{'<div>' * 90}Deepest words{'</div>' * 90}", subtype="html")
    client = server.smtp(user=1)
    client.send_message(message, bob, [ann])
    client.quit()
    server.wait_for(0, "<deep@client.example>")
    page.open("Deep words")
    page.press("r")
    page.until("the quote", lambda: "Deepest words" in page.text(f"{FIELD} blockquote"))
    page.until("the focus is in it", lambda: page.script("return document.activeElement.matches(arguments[0])", FIELD))
    page.press("Read.")
    page.sent()
    message = arrived(server, 1, "Re: Deep words")
    assert "> Deepest words" in message.get_body(("plain",)).get_content(), message.as_string()


def texts_have_as_many_lines_as_they_like(server):
    shown = server.page.driver.execute_async_script("""
        const done = arguments[arguments.length - 1];
        Promise.all([import("/elements.js"), import("/reader.js")]).then(([{ h }, { lines }]) => {
          done(h("div", {}, lines("a\\n".repeat(300000))).childNodes.length);
        }).catch((error) => done(String(error)));""")
    assert shown == 300000, shown


def it_is_there_for_everybody(server):
    page = server.page
    page.compose()
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nameless = [node for node in nodes if not node["ignored"] and node["role"].get("value") in ("button", "textbox", "toolbar", "combobox") and not node.get("name", {}).get("value")]
    assert not nameless, nameless[0]
    page.script("document.querySelector('.format.bold').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page.script("return document.activeElement.classList.contains('italic')"), "arrows move along the buttons"
    page.script("document.documentElement.dataset.theme = 'dark'")
    page.picture("formatted-dark")
    page.script("document.documentElement.dataset.theme = 'light'")
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True})
    page.until("it fits", lambda: page.script("return document.documentElement.scrollWidth") <= 360)
    page.picture("formatted-narrow")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    severe = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE" and "api/session" not in entry["message"]]
    assert not severe, severe[0]
    page.end()


if __name__ == "__main__":
    run(
        a_newsletter_is_there,
        it_is_chosen_in_the_settings,
        words_are_formatted,
        what_is_pasted_is_made_tame,
        a_picture_is_pasted,
        drafts_stay_formatted,
        a_draft_that_is_still_coming_is_not_emptied,
        a_draft_that_does_not_come_stays_as_it_is,
        answers_quote_what_is_formatted,
        what_is_very_deep_is_kept,
        texts_have_as_many_lines_as_they_like,
        it_is_there_for_everybody,
    )
