"""What a letter is written with, in a real Chromium.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import pathlib
import re

from formatted_browser import FIELD, Writer, arrived
from letters_browser import put, written
from selenium.webdriver.common.keys import Keys
from browser import run
from server import check
from webmail_page import PIXEL

TEXT = "#compose textarea"
WORDS = "Thank you for your message.\n\nWe answer within two days."


def signs_in(server):
    page = server.page = Writer(server)
    page.sign_in(server.users[0])


def value(page):
    return page.script("return document.querySelector(arguments[0]).value", TEXT)


def begin(page, to, subject):
    page.press("c")
    page.until("the letter", lambda: page.there("#compose"))
    page.fill(to, subject)
    page.script("document.querySelector(arguments[0]).focus()", TEXT)


def choose(page, name, button=".responses"):
    """Opens a menu of the letter by the keyboard, and takes one of its entries."""
    page.script("document.querySelector(arguments[0]).focus()", f"#compose {button}")
    page.press(Keys.ENTER)
    page.until("the menu", lambda: page.script("return document.activeElement.getAttribute('role')?.startsWith('menuitem')"))
    names = page.script("return [...document.querySelectorAll('.menu button')].map((one) => one.textContent)")
    assert name in names, names
    page.press(*[Keys.ARROW_DOWN] * names.index(name), Keys.ENTER)
    page.until("no menu", lambda: not page.there(".menu"))
    return names


def closes_window(page):
    page.press(Keys.ESCAPE)
    page.until("no window", lambda: not page.there("dialog"))


def responses_are_written_in_the_settings(server):
    page = server.page
    begin(page, server.users[1][0], "With a response")
    assert choose(page, "Write a response") == ["Write a response"]
    page.until("the focus is there", lambda: page.script("return document.activeElement.matches('dialog #responses .addResponse')"))
    page.press(Keys.ENTER)
    page.until("a new one", lambda: page.script("return document.activeElement.matches('#responses input.name')"))
    page.press(Keys.TAB, "No name yet")
    page.click("#responses button[type=submit]")
    page.until("it needs a name", lambda: "needs a name" in page.text("#responses [role=alert]"))
    assert page.script("return document.activeElement.matches('#responses input.name')")
    page.press("Thanks", Keys.TAB)
    page.script("document.activeElement.value = arguments[0]", WORDS)
    page.click("#responses button[type=submit]")
    page.toast("Saved")
    page.picture("responses-settings")
    closes_window(page)
    assert page.there("#compose"), "the letter is as it was"


def a_response_is_put_where_the_caret_is(server):
    page = server.page
    page.script("document.querySelector(arguments[0]).focus()", TEXT)
    page.press("Dear Bob, ", Keys.ENTER, Keys.ENTER, "Yours", Keys.ARROW_UP)
    page.picture("responses-before")
    assert choose(page, "Thanks") == ["Thanks", "Save my text as a response", "Edit responses"]
    page.until("it is there", lambda: value(page) == f"Dear Bob, \n{WORDS}\nYours")
    assert page.script("return document.activeElement.matches(arguments[0])", TEXT)
    page.press(" Bye.")
    page.sent()
    wanted = f"Dear Bob,\n{WORDS} Bye.\nYours".split()
    assert arrived(server, 1, "With a response").get_content().split() == wanted


def own_words_are_kept_as_one(server):
    page = server.page
    elsewhere(page, "wish.responses.push({ name: 'Elsewhere', text: 'Of another browser' }); wish.confirm_delete = true")
    begin(page, server.users[1][0], "With own words")
    page.press("We are closed.", Keys.ENTER, "Ann")
    choose(page, "Save my text as a response")
    page.until("its name", lambda: page.script("return document.activeElement.matches('dialog input')"))
    page.press("Closed", Keys.ENTER)
    page.toast("Saved")
    page.until("no window", lambda: not page.there("dialog"))
    page.driver.refresh()
    page.until("the page", lambda: page.there("#folders a"))
    page.until("no letter", lambda: not page.there("#compose"))
    names, also = page.script("return fetch('api/account').then((answer) => answer.json()).then(({ preferences: own }) => [own.responses.map(({ name }) => name), own.confirm_delete])")
    assert names == ["Thanks", "Elsewhere", "Closed"] and also, (names, also)
    elsewhere(page, "wish.responses.splice(1, 1); wish.confirm_delete = false")


def elsewhere(page, change):
    """Changes the preferences as another browser does, of which the page learns nothing."""
    page.script(f"""return fetch("api/account").then((answer) => answer.json()).then(({{ preferences: wish }}) => {{
        {change};
        return fetch("api/preferences", {{ method: "POST", headers: {{ "content-type": "application/json", "x-postrider": "1" }}, body: JSON.stringify(wish) }});
    }}).then(() => null)""")


def one_is_put_into_formatted_text(server):
    page = server.page
    begin(page, server.users[1][0], "Formatted with a response")
    page.click("#compose .exchange")
    page.until("the field", lambda: page.one(FIELD).is_displayed())
    page.script("document.querySelector(arguments[0]).focus()", FIELD)
    page.press("Hello ")
    page.chord(Keys.CONTROL, "b")
    page.press("Bob")
    page.chord(Keys.CONTROL, "b")
    page.press(". ")
    choose(page, "Closed")
    page.until("it is there", lambda: "Ann" in page.text(FIELD))
    page.press("!")
    page.picture("responses-formatted")
    page.sent()
    message = arrived(server, 1, "Formatted with a response")
    html, plain = message.get_body(("html",)).get_content(), message.get_body(("plain",)).get_content()
    assert "<b>Bob</b>" in html and "We are closed." in html, html
    assert [line.strip() for line in plain.replace("\r\n", "\n").strip().split("\n")] == ["Hello Bob. We are closed.", "Ann!"], plain


def one_is_formatted(server):
    page = server.page
    settings(page)
    page.script("document.querySelector('#responses .exchange').click()")
    field = "#responses .written"
    page.until("the focus is in it", lambda: page.script("return document.activeElement.matches(arguments[0])", field))
    page.chord(Keys.CONTROL, "a")
    page.press("Many ")
    page.chord(Keys.CONTROL, "b")
    page.press("thanks")
    page.click("#responses button[type=submit]")
    page.toast("Saved")
    closes_window(page)
    begin(page, server.users[1][0], "With a formatted response")
    choose(page, "Thanks")
    page.until("its text", lambda: value(page).startswith("Many thanks"))
    page.click("#compose .exchange")
    page.until("the field", lambda: page.one(FIELD).is_displayed())
    page.script("document.querySelector(arguments[0]).focus(); getSelection().selectAllChildren(document.activeElement)", FIELD)
    choose(page, "Thanks")
    page.until("with its formatting", lambda: page.text(f"{FIELD} b") == "thanks")
    page.press("!")
    page.sent()
    html = arrived(server, 1, "With a formatted response").get_body(("html",)).get_content()
    assert "Many <b>thanks</b>!" in html or "Many <b>thanks!</b>" in html, html


def is_gone_on_with(page, subject):
    """Closes the letter and opens its draft."""
    page.saved()
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    page.folder("Drafts")
    page.open(subject)
    page.click(".actions .main")


def it_is_urgent_and_its_delivery_is_told_of(server):
    """What is chosen outlives the draft; who reads it sees that it is urgent, and who wrote it is told that it came."""
    page = server.page
    begin(page, server.users[1][0], "An urgent letter")
    choose(page, "High priority", ".options")
    choose(page, "Tell me when it is delivered", ".options")
    name = page.script("return document.querySelector('#compose .options').getAttribute('aria-label')")
    assert name == "Sending options: High priority, Tell me when it is delivered", name
    page.script("document.querySelector('#compose .options').focus()")
    page.press(Keys.ENTER)
    page.until("the menu", lambda: page.there(".menu [aria-checked=true]") == 2)
    page.picture("sending-options")
    page.press(Keys.ESCAPE)
    page.until("no menu", lambda: not page.there(".menu"))
    is_gone_on_with(page, "An urgent letter")
    page.until("it is chosen still", lambda: page.there("#compose .options.on") and page.script("return document.querySelector('#compose .options').getAttribute('aria-label')") == name)
    page.script("document.querySelector(arguments[0]).focus()", TEXT)
    page.press("Come at once.")
    page.sent()
    message = arrived(server, 1, "An urgent letter")
    assert (message["x-priority"], message["importance"]) == ("1 (Highest)", "high") and message["x-postrider-notify"] is None, message.as_string()
    page.folder("Sent")
    page.open("An urgent letter")
    assert "marked this as urgent" in page.text("#reader .banner.priority"), page.text("#reader")
    page.picture("urgent")
    page.folder("Inbox")
    [notice] = [row for row in [page.shows("delivered")] if row]
    notice = next(part for part in arrived(server, 0, "delivered").walk() if part.get_content_type() == "message/delivery-status")
    fields = {name.lower(): text for part in notice.get_payload() for name, text in part.items()}
    assert fields["action"] == "delivered" and server.users[1][0] in fields["final-recipient"], fields


def settings(page):
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')][0].click()")
    page.until("the settings", lambda: page.there("dialog .settings"))


SIGNATURE = "dialog .settings .written"


def a_signature_is_formatted(server):
    page = server.page
    settings(page)
    page.until("the focus is at the name", lambda: page.script("return document.activeElement.matches('dialog fieldset input')"))
    page.press("Ann Lee")
    page.click("dialog fieldset .exchange")
    page.until("the focus is in it", lambda: page.script("return document.activeElement.matches(arguments[0])", SIGNATURE))
    page.press("Ann ")
    page.chord(Keys.CONTROL, "b")
    page.press("Lee")
    page.chord(Keys.CONTROL, "b")
    page.press(Keys.ENTER, "Director", Keys.ENTER)
    logo = pathlib.Path(page.downloads, "logo.png")
    logo.write_bytes(PIXEL)
    page.one("dialog fieldset input.pictured").send_keys(str(logo))
    page.until("the picture is in it", lambda: page.script("return document.querySelector(arguments[0])?.naturalWidth", f"{SIGNATURE} img"))
    page.click("dialog .settings form button[type=submit]")
    page.toast("Saved")
    page.picture("signature-settings")
    closes_window(page)
    settings(page)
    page.until("it is there again", lambda: page.text(f"{SIGNATURE} b") == "Lee")
    page.until("and its picture", lambda: page.script("const image = document.querySelector(arguments[0]); return image?.naturalWidth && image.src.includes('signature/picture')", f"{SIGNATURE} img"))
    # Kept once more as it is, and once more where it could not be fetched.
    page.click("dialog .settings form button[type=submit]")
    page.toast("Saved")
    closes_window(page)
    page.until("earlier words are gone", lambda: not page.there("#toasts .toast"))
    page.next_frame_shows("about:blank")
    settings(page)
    page.toast("could not be loaded")
    assert page.there("dialog fieldset .editor[inert]"), "it is not written on"
    page.click("dialog .settings form button[type=submit]")
    page.toast("Saved")
    closes_window(page)
    settings(page)
    page.until("it is as it was", lambda: page.text(f"{SIGNATURE} b") == "Lee" and page.there(f"{SIGNATURE} img"))
    closes_window(page)


def it_stands_where_it_belongs(server):
    """Above what is quoted, in formatted messages and, as a text, in others; exchanged with the address, also in a draft."""
    page = server.page
    page.driver.refresh()
    page.until("the page", lambda: page.there("#folders a"))
    begin(page, server.users[1][0], "With a plain signature")
    assert value(page) == "\n\n-- \nAnn Lee\nDirector", value(page)
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))
    put(server, written("Bob <bob@example.test>", server.users[0][0], "To be answered"))
    settings(page)
    page.script("[...document.querySelectorAll('dialog label')].find(one => one.textContent === 'Write messages with formatting').querySelector('input').click()")
    page.toast("Saved")
    closes_window(page)
    page.open("To be answered")
    page.press("r")
    page.until("signed", lambda: page.text(f"{FIELD} [data-signature] b") == "Lee" and page.there(f"{FIELD} blockquote"))
    page.until("the focus is in it", lambda: page.script("return document.activeElement.matches(arguments[0])", FIELD))
    page.until("with the picture", lambda: page.script("return document.querySelector(arguments[0])?.naturalWidth", f"{FIELD} [data-signature] img"))
    page.press("Yes.")
    page.picture("signature-formatted")
    is_gone_on_with(page, "Re: To be answered")
    page.until("it is there again", lambda: "Director" in page.text(FIELD))
    page.script("document.querySelector('#compose select').dispatchEvent(new Event('change'))")
    page.until("it is known again", lambda: page.there(f"{FIELD} [data-signature] b") == 1 and page.text(FIELD).count("Director") == 1)
    page.sent()
    message = arrived(server, 1, "Re: To be answered")
    html, plain = message.get_body(("html",)).get_content(), message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    [picture] = [part for part in message.walk() if part.get_content_maintype() == "image"]
    assert f"cid:{picture['content-id'].strip('<>')}" in html and picture.get_payload(decode=True) == PIXEL and picture.get_content_disposition() == "inline", html
    assert html.index("Yes.") < html.index("Ann <b>Lee</b>") < html.index("<blockquote"), html
    assert plain.index("Yes.") < plain.index("-- \nAnn Lee\nDirector") < plain.index("> Some words."), plain
    page.folder("Inbox")


def what_is_sent_at_once_is_signed_anew(server):
    """The sender is changed, and the letter sent while the signature is on its way."""
    page = server.page
    page.compose()
    page.fill(server.users[1][0], "Signed late")
    page.until("signed", lambda: page.there(f"{FIELD} [data-signature] b"))
    page.press("Words")
    page.script("""
        document.querySelector("#compose [data-signature]").remove();
        const { append } = document.body;
        document.body.append = function (...all) {
          delete document.body.append;
          setTimeout(() => append.apply(this, all), 1_000);
        };
        document.querySelector("#compose select").dispatchEvent(new Event("change"));""")
    page.sent()
    assert "Director" in arrived(server, 1, "Signed late").get_body(("plain",)).get_content()


def count(server, folder, user=0):
    client = server.imap(user)
    found = int(check(client.select(folder, readonly=True))[0])
    client.logout()
    return found


def files_of_messages_are_taken_over(server):
    """By choosing and by dropping; an mbox as its messages, with what it says about them; what is no message is told."""
    page = server.page
    ann = server.users[0][0]
    client = server.imap(0)
    check(client.create("Old"))
    check(client.subscribe("Old"))
    client.logout()
    page.driver.refresh()
    page.until("the folder", lambda: "Old" in page.text("#folders"))
    box = b""
    # More than what the page looks at at a time.
    for n, words in enumerate([b"x" * 70 + b"\n"] * 3):
        lines = words * (7_400 if n else 14_700)
        box += b"From bob@example.test Mon Nov 23 04:0%d:00 2020\nFrom: bob@example.test\nTo: %s\nSubject: Kept %d\nStatus: RO\n\n>From here on\n\nFrom nowhere\n\n%s\n" % (n, ann.encode(), n, lines)
    paths = []
    for name, octets in [("old.mbox", box), ("one.eml", written("carl@elsewhere.test", ann, "A single file").as_bytes()), ("cat.png", PIXEL)]:
        paths.append(pathlib.Path(page.downloads, name))
        paths[-1].write_bytes(octets)
    page.script("[...document.querySelectorAll('#folders li')].find((one) => one.textContent.includes('Old')).querySelector('button.small').click()")
    page.until("the menu", lambda: page.there(".menu"))
    # The browser's own window would wait for somebody.
    page.script("HTMLInputElement.prototype.click = () => {}; [...document.querySelectorAll('.menu button')].find((one) => one.textContent === 'Import messages').click()")
    page.one("input.importing").send_keys("\n".join(map(str, paths)))
    page.toast("4 imported into “Old”")
    page.toast("cat.png: This is not a message.")
    page.picture("imported")
    assert count(server, "Old") == 4
    page.folder("Old")
    for n in range(3):
        page.shows(f"Kept {n}")
    client = server.imap(0)
    check(client.select("Old", readonly=True))
    answer = check(client.fetch("1", "(FLAGS INTERNALDATE BODY.PEEK[])"))
    source = answer[0][1]
    assert b"23-Nov-2020 04:00:00" in answer[0][0] + answer[1] and b"Seen" in answer[0][0] + answer[1], (answer[0][0], answer[1])
    assert source.startswith(b"From: bob@example.test\r\n") and b"\r\n\r\nFrom here on\r\n\r\nFrom nowhere\r\n" in source and b"Status" not in source, source[:200]
    client.logout()
    page.script("""
        const [text] = arguments, data = new DataTransfer();
        data.items.add(new File([text], "dropped.eml", { type: "message/rfc822" }));
        const line = [...document.querySelectorAll('#folders li')].find((one) => one.textContent.includes('Old'));
        for (const type of ["dragover", "drop"]) line.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));""", written("carl@elsewhere.test", ann, "A dropped file").as_string())
    page.toast("1 imported into “Old”")
    page.shows("A dropped file")
    # The answer to the first message gets lost, and the rest is never sent; then the whole file is taken once more.
    page.script("""
        const [text] = arguments, data = new DataTransfer(), honest = window.fetch;
        let lost = 1;
        window.fetch = async (...wish) => {
          const answer = await honest(...wish);
          if (String(wish[0]).includes("messages/import") && lost-- > 0) throw new TypeError("lost");
          return answer;
        };
        data.items.add(new File([text], "again.mbox"));
        const line = [...document.querySelectorAll('#folders li')].find((one) => one.textContent.includes('Old'));
        for (const type of ["dragover", "drop"]) line.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));""",
        "".join(f"From bob@example.test Mon Nov 23 05:0{n}:00 2020\nFrom: bob@example.test\nSubject: Again {n}\n\nx\n\n" for n in range(2)))
    page.toast("2 imported into “Old” (1 of them were there already)")
    assert count(server, "Old") == 7
    page.folder("Inbox")


def what_is_being_sent_leaves_the_next_one_alone(server):
    page = server.page
    begin(page, server.users[1][0], "On its way")
    page.script("document.querySelector(arguments[0]).focus()", TEXT)
    page.press("Words")
    page.waits(1_500)
    page.chord(Keys.CONTROL, Keys.ENTER)
    page.until("it is being sent", lambda: page.there("#compose footer .main:disabled"))
    page.press(Keys.ESCAPE)
    page.click("#folders .compose")
    page.until("the next one", lambda: page.script("return document.querySelector('#compose [aria-label=Subject]')?.value") == "")
    page.waits(0)
    page.script("document.querySelector('#compose [aria-label=Subject]').focus()")
    page.press("The next one")
    assert arrived(server, 1, "On its way").get_body(("plain",)).get_content().startswith("Words")
    page.click("#folders .compose")
    page.until("it is a draft, and another is begun", lambda: page.script("return [...document.querySelectorAll('#compose [aria-label=Subject]')].map(one => one.value)") == [""])
    page.press(Keys.ESCAPE)
    page.until("closed", lambda: not page.there("#compose"))


def own_words(page):
    """What was typed into the letter, plain or formatted, above the signature."""
    text = page.script("const [plain, formatted] = arguments, field = document.querySelector(plain); return field.hidden ? document.querySelector(formatted).innerText : field.value", TEXT, FIELD)
    return unsigned(text)


def unsigned(text):
    """A text without the signature; as it is shown, the mark before that has no blank at its end."""
    return re.split(r"^-- ?$", text.replace("\r\n", "\n"), flags=re.MULTILINE)[0].strip()


def what_is_typed_while_it_is_sent_is_not_lost(server):
    page = server.page
    begin(page, server.users[1][0], "Typed while it goes")
    page.press("Words")
    page.script("""
        const honest = window.fetch;
        let lost = 1;
        window.fetch = (...wish) => (String(wish[0]).includes("api/send") && lost-- > 0 ? Promise.reject(new TypeError("lost")) : honest(...wish));""")
    page.chord(Keys.CONTROL, Keys.ENTER)
    page.until("it is not sent", lambda: page.there("#compose .state.problem"))
    page.press(" again")
    page.until("it can be written again, where one was", lambda: own_words(page) == "Words again")
    page.waits(1_500)
    page.chord(Keys.CONTROL, Keys.ENTER)
    page.until("it is being sent", lambda: page.there("#compose footer .main:disabled"))
    page.press(" and more")
    shown, at = own_words(page), page.script("return document.activeElement.id")
    page.waits(0)
    page.until("it is sent", lambda: not page.there("#compose"))
    assert unsigned(arrived(server, 1, "Typed while it goes").get_body(("plain",)).get_content()) == shown, shown
    assert at == "compose", "keys are not for the list"


def a_window_over_a_letter_that_is_away_changes_nothing(server):
    page = server.page
    begin(page, server.users[1][0], "Away under a window")
    if not page.one(FIELD).is_displayed():
        page.click("#compose .exchange")
        page.until("the field", lambda: page.one(FIELD).is_displayed())
    page.script("document.querySelector(arguments[0]).focus()", FIELD)
    page.press("Words ")
    page.chord(Keys.CONTROL, "k")
    page.until("the window", lambda: page.there("dialog input"))
    page.waits(3_000)
    page.script("document.querySelector('#compose footer .main').click()")
    page.until("it is away", lambda: page.script("return document.querySelector('#compose .editor').inert"))
    shown = own_words(page)
    page.press("late.example", Keys.ENTER)
    page.toast("already being sent")
    assert own_words(page) == shown, own_words(page)
    page.waits(0)
    page.until("it is sent", lambda: not page.there("#compose"))
    message = arrived(server, 1, "Away under a window")
    assert "late.example" not in message.as_string(), message.as_string()


def signs_out(server):
    page = server.page
    severe = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE" and "api/session" not in entry["message"] and "api/messages/import" not in entry["message"]]
    assert not severe, severe[0]
    page.end()


if __name__ == "__main__":
    run(
        signs_in,
        responses_are_written_in_the_settings,
        a_response_is_put_where_the_caret_is,
        own_words_are_kept_as_one,
        one_is_put_into_formatted_text,
        one_is_formatted,
        it_is_urgent_and_its_delivery_is_told_of,
        a_signature_is_formatted,
        it_stands_where_it_belongs,
        what_is_sent_at_once_is_signed_anew,
        files_of_messages_are_taken_over,
        what_is_being_sent_leaves_the_next_one_alone,
        what_is_typed_while_it_is_sent_is_not_lost,
        a_window_over_a_letter_that_is_away_changes_nothing,
        signs_out,
    )
