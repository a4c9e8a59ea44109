"""Filters, the automatic answer and conversations in a real Chromium, and what Python's sievelib and sieve-connect make of it.

With WEBMAIL_PICTURES set to a directory, pictures are kept there.
"""

import email
import email.utils
import subprocess
import time

from browser import PATIENCE, run
from server import check, letter
from sievelib import managesieve
from sievelib.parser import Parser
from webmail_page import Page

BY_HAND = 'require ["fileinto", "variables"];\r\n# My own words.\r\nset "folder" "Lists";\r\nif header :contains "subject" "by hand" { fileinto "${folder}"; }\r\n'


def sieve(server, user=0):
    client = managesieve.Client(*server.at("managesieve"))
    assert client.connect(*server.users[user], starttls=True, authmech="PLAIN")
    return client


def scripts(server):
    """The active script's name and text, and the names of the others, as another program sees them."""
    client = sieve(server)
    active, others = client.listscripts()
    source = client.getscript(active) if active else None
    client.logout()
    return active, source, others


def understood(source):
    """Whether the parser of another program takes the script."""
    parser = Parser()
    # Its pattern for texts of several lines knows LF only.
    assert parser.parse(source.replace("\r\n", "\n")), f"{parser.error}\n{source}"


def send(server, subject, user=1, **fields):
    (ann, _), (sender, _) = server.users[0], server.users[user]
    message = letter(sender, ann, subject)
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    client = server.smtp(user=user)
    client.send_message(message, sender, [ann])
    client.quit()
    return message["Message-ID"]


def menu(page, name):
    page.click(".me")
    page.script("[...document.querySelectorAll('.menu button')].find(one => one.textContent === arguments[0]).click()", name)
    page.until(f"the window {name}", lambda: page.there(f"dialog[aria-label='{name}']"))


def press_button(page, words, within="dialog:last-of-type"):
    page.until(f"“{words}” to press", lambda: page.script("""
        const button = [...document.querySelectorAll(`${arguments[1]} button`)].find(one => [one.textContent, one.getAttribute('aria-label')].includes(arguments[0]) && !one.disabled);
        button?.click(); return Boolean(button)""", words, within))


def set_value(page, selector, value):
    page.script("const field = document.querySelector(arguments[0]); field.value = arguments[1]; for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, { bubbles: true }))", selector, value)


def close(page):
    while page.there("dialog[open]"):
        before = page.there("dialog[open]")
        page.script("[...document.querySelectorAll('dialog[open]')].at(-1).close('')")
        page.until("closed", lambda: page.there("dialog[open]") < before)


def named(page):
    """Everything that can be used has a name for those who cannot see it."""
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    needy = {"button", "link", "textbox", "combobox", "checkbox", "listbox", "option", "dialog", "group", "spinbutton"}
    nameless = [node for node in nodes if not node["ignored"] and node["role"].get("value") in needy - {"group"} and not node.get("name", {}).get("value")]
    assert not nameless, nameless[0]


def a_rule_is_made(server):
    page = server.page = Page(server)
    page.sign_in(server.users[0])
    menu(page, "Filters")
    page.picture("filters-empty")
    press_button(page, "New rule")
    page.until("the form", lambda: page.there("form.rule"))
    set_value(page, "form.rule input[type=text]", "Plans & <b>lists</b>")
    set_value(page, "form.rule .parts select", "subject")
    set_value(page, "form.rule .parts textarea", "plan\nlist of \"things\"")
    set_value(page, "form.rule input[list]", "Projects/Plans ü")
    press_button(page, "Another action")
    page.script("const last = [...document.querySelectorAll('form.rule .parts')][1].querySelectorAll('select'); const one = last[last.length - 1]; one.value = 'mark:flagged'; one.dispatchEvent(new Event('change'))")
    page.picture("rule")
    named(page)
    press_button(page, "Save")
    page.until("the rule is stored", lambda: "Plans & <b>lists</b>" in page.text(".rules"))
    page.picture("filters")
    named(page)
    active, source, _ = scripts(server)
    assert active == "rules" and source.startswith("require"), (active, source)
    understood(source)
    for words in ('# rule:[Plans & <b>lists</b>]', 'fileinto :create "Projects/Plans ü"', 'addflag "\\\\Flagged"', "stop;"):
        assert words in source, source


def a_wrong_rule_is_told(server):
    page = server.page
    press_button(page, "New rule")
    page.until("the form", lambda: page.there("form.rule"))
    press_button(page, "Save")
    page.until("what is wrong", lambda: "look for" in page.text("form.rule .problems") and "folder" in page.text("form.rule .problems"))
    page.script("document.querySelector('form.rule').closest('dialog').close('')")
    page.until("no form", lambda: not page.there("form.rule"))
    assert page.there(".rules > li") == 1


def mail_is_filed(server):
    page = server.page
    found = send(server, "The plan for today")
    other = send(server, "Something else")
    server.wait_for(0, found, '"Projects/Plans &APw-"')
    server.wait_for(0, other)
    client = server.imap(0)
    check(client.select('"Projects/Plans &APw-"', readonly=True))
    assert b"\\Flagged" in check(client.fetch("1", "(FLAGS)"))[0]
    client.logout()
    # Switched off, it does nothing.
    page.click(".rules input[type=checkbox]")
    page.until("it is off", lambda: page.there(".rules li.off"))
    active, source, _ = scripts(server)
    assert active == "rules" and "allof (false" in source, source
    understood(source)
    server.wait_for(0, send(server, "Another plan"))
    page.click(".rules input[type=checkbox]")
    page.until("it is on", lambda: not page.there(".rules li.off"))


def rules_change_places(server):
    page = server.page
    press_button(page, "New rule")
    page.until("the form", lambda: page.there("form.rule"))
    page.script("const one = document.querySelector('form.rule select'); one.value = 'every'; one.dispatchEvent(new Event('change'))")
    page.script("const one = [...document.querySelectorAll('form.rule .parts')][1].querySelector('select'); one.value = 'mark:seen'; one.dispatchEvent(new Event('change'))")
    press_button(page, "Save")
    page.until("two rules", lambda: page.there(".rules > li") == 2)
    press_button(page, "Move every message up")
    page.until("it comes first", lambda: "every message" in page.text(".rules > li"))
    _, source, _ = scripts(server)
    assert source.index("\\\\Seen") < source.index("fileinto :create"), source
    press_button(page, "Remove every message")
    press_button(page, "Remove")
    page.until("one rule", lambda: page.there(".rules > li") == 1)


def another_program_changes_the_script(server):
    """What somebody else has stored meanwhile is not overwritten."""
    page = server.page
    active, source, _ = scripts(server)
    client = sieve(server)
    assert client.putscript(active, source.replace('"plan"', '"plan", "scheme"'))
    client.logout()
    page.click(".rules input[type=checkbox]")
    page.toast("changed elsewhere")
    page.until("the change of the other program", lambda: "scheme" in page.text(".rules"))
    _, source, _ = scripts(server)
    assert "scheme" in source and "allof (false" not in source, source
    close(page)


def one_answer_leaves(server):
    page = server.page
    menu(page, "Automatic answer")
    page.picture("vacation")
    page.click("form.vacation input[type=checkbox]")
    set_value(page, "form.vacation textarea", "I am away.\n.\nAnn")
    set_value(page, "form.vacation label:nth-of-type(2) input", "Away ü")
    today = time.time()
    day = lambda offset: time.strftime("%Y-%m-%d", time.localtime(today + offset * 86_400))
    dates = "form.vacation .pair label:nth-of-type({}) input"
    set_value(page, dates.format(1), day(1))
    set_value(page, dates.format(2), day(-1))
    named(page)
    press_button(page, "Save")
    page.until("days in the wrong order", lambda: "before the first" in page.text("form.vacation .problems"))
    set_value(page, dates.format(1), day(-1))
    set_value(page, dates.format(2), day(1))
    press_button(page, "Save")
    page.until("stored", lambda: not page.there("form.vacation"))
    active, source, _ = scripts(server)
    assert active == "rules" and 'vacation :subject "Away ü"' in source and "currentdate" in source, source
    understood(source)
    for subject in ("Are you there?", "Are you really there?"):
        server.wait_for(0, send(server, subject))
    client = server.imap(1)
    deadline, answers = time.time() + PATIENCE, []
    while not answers:
        assert time.time() < deadline, "no answer came"
        check(client.select("INBOX", readonly=True))
        answers = check(client.search(None, "SUBJECT", "Away"))[0].split()
        time.sleep(0.05)
    # What would leave a second time would have left before what the next one is about.
    server.wait_for(0, send(server, "And a third time"))
    check(client.noop())
    assert len(check(client.search(None, "SUBJECT", "Away"))[0].split()) == 1
    answer = email.message_from_bytes(check(client.fetch(answers[0], "(BODY.PEEK[])"))[0][1])
    assert answer["Auto-Submitted"].startswith("auto-replied") and "I am away.\r\n.\r\nAnn" in answer.get_payload(decode=True).decode().replace("\r\n", "\n").replace("\n", "\r\n")
    client.logout()
    menu(page, "Filters")
    page.until("it is among the rules", lambda: "answers messages" in page.text(".rules"))
    page.picture("filters-with-answer")
    press_button(page, "Change Automatic answer")
    page.until("the form", lambda: page.there("form.vacation"))
    assert page.script("return document.querySelector('form.vacation textarea').value") == "I am away.\n.\nAnn"
    page.click("form.vacation input[type=checkbox]")
    press_button(page, "Save")
    page.until("it is off", lambda: "switched off" in page.text(".rules"))
    close(page)


def a_script_by_hand_is_kept(server):
    page = server.page
    client = sieve(server)
    assert client.putscript("mine", BY_HAND) and client.setactive("mine")
    client.logout()
    menu(page, "Automatic answer")
    page.until("it says why not", lambda: "written by hand" in page.text("dialog p"))
    close(page)
    menu(page, "Filters")
    page.until("the text", lambda: "My own words" in page.script("return document.querySelector('textarea.script')?.value ?? ''"))
    page.until("why it is text", lambda: "line 1" in page.text("dialog .banner"))
    page.picture("script")
    named(page)
    set_value(page, "textarea.script", BY_HAND.replace("\r\n", "\n") + "fileinto;\n")
    page.until("a mistake with its line", lambda: "Line 5" in page.text(".mistakes"))
    assert page.script("return [...document.querySelectorAll('dialog button.main')].find(one => one.textContent === 'Save').disabled")
    page.picture("script-mistake")
    press_button(page, page.text(".mistakes button"))
    assert page.script("const area = document.querySelector('textarea.script'); return area.value.slice(0, area.selectionStart).split('\\n').length") == 5
    set_value(page, "textarea.script", BY_HAND.replace("\r\n", "\n").replace("by hand", "hand made"))
    page.until("no mistake", lambda: not page.text(".mistakes"))
    press_button(page, "Save")
    # The word may still stand there from before.
    page.until("it is saved", lambda: "hand made" in scripts(server)[1])
    page.toast("Saved")
    active, source, others = scripts(server)
    assert active == "mine" and "hand made" in source and "My own words" in source and "rules" in others, (active, source, others)
    server.wait_for(0, send(server, "all hand made"), "Lists")
    press_button(page, "Start with rules")
    press_button(page, "Start with rules", "dialog:last-of-type footer")
    page.until("no rules", lambda: "No rules yet" in page.text("dialog"))
    active, source, others = scripts(server)
    assert active == "mine" and sorted(others) == ["mine (old)", "rules"], (active, others)
    client = sieve(server)
    assert "hand made" in client.getscript("mine (old)")
    client.logout()


def scripts_are_listed(server):
    page = server.page
    if not page.there("details[open] > .plain"):
        page.script("[...document.querySelectorAll('details')].at(-1).open = true")
    press_button(page, "Activate rules")
    page.until("the old rules", lambda: "scheme" in page.text(".rules"))
    assert scripts(server)[0] == "rules"
    press_button(page, "Rename mine (old)")
    set_value(page, "dialog:last-of-type form input", "keepsake")
    press_button(page, "OK")
    page.until("renamed", lambda: "keepsake" in page.text("dialog .plain"))
    press_button(page, "Delete keepsake")
    press_button(page, "Delete", "dialog:last-of-type footer")
    page.until("deleted", lambda: "keepsake" not in page.text("dialog .plain"))
    press_button(page, "Deactivate rules")
    page.until("it is said that nothing is done", lambda: "not active" in page.text("dialog"))
    active, _, others = scripts(server)
    assert not active and sorted(others) == ["mine", "rules"], (active, others)
    page.picture("filters-inactive")
    press_button(page, "Activate rules")
    page.until("active again", lambda: "not active" not in page.text("dialog"))
    host, port = server.at("managesieve")
    done = subprocess.run(["sieve-connect", "--nosrv", "--server", host, "--port", str(port), "--user", server.users[0][0], "--passwordfd", "0", "--tlscafile", server.facts["ca"], "--tlshostname", "mail.example.test", "--list"],
                          input=server.users[0][1] + "\n", capture_output=True, text=True, timeout=60)
    assert '"rules" ACTIVE' in done.stdout, done
    close(page)


def conversations_are_grouped(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    first = send(server, "Lunch")
    second = send(server, "Re: Lunch", In_Reply_To=first, References=first)
    send(server, "Lunch")
    server.wait_for(0, second)
    client = server.imap(0)
    own = letter(ann, bob, "Re: Lunch", "From me.\r\n")
    own["In-Reply-To"], own["References"] = second, f"{first} {second}"
    check(client.append("Sent", "\\Seen", None, own.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    third = send(server, "Re: Lunch", In_Reply_To=own["Message-ID"], References=f"{first} {own['Message-ID']}")
    server.wait_for(0, third)
    page.until("all four rows", lambda: len([row for row in page.rows() if "Lunch" in row]) == 4)
    page.click("#list button[aria-label=Conversations]")
    page.until("two rows", lambda: len([row for row in page.rows() if "Lunch" in row]) == 2)
    page.shows("3 messages")
    page.picture("conversations")
    page.script("[...document.querySelectorAll('.row')].find(row => row.getAttribute('aria-label')?.includes('3 messages')).click()")
    page.until("the earlier ones", lambda: page.there(".strips .strip") == 3)
    labels = page.script("return [...document.querySelectorAll('.strip')].map(one => one.getAttribute('aria-label'))")
    assert "Sent" in labels[2] and "From me." in labels[2], labels
    page.picture("conversation")
    named(page)
    page.script("document.querySelectorAll('.strip')[2].click()")
    page.until("the own answer", lambda: "From me." in page.text("#reader article"))
    assert page.there(".strips .strip") == 3
    page.driver.refresh()
    page.until("conversations are remembered", lambda: [row for row in page.rows() if "3 messages" in row])
    assert page.script("return document.querySelector('#list button[aria-label=Conversations]').getAttribute('aria-pressed')") == "true"
    # What is done with a line is done with all of its messages.
    page.script("[...document.querySelectorAll('.row')].find(row => row.getAttribute('aria-label')?.includes('3 messages')).querySelector('.mark').click()")
    press_button(page, "Archive", "#list .bar")
    page.until("one row is left", lambda: len([row for row in page.rows() if "Lunch" in row]) == 1)
    client = server.imap(0)
    check(client.select("Archive", readonly=True))
    assert len(check(client.search(None, "SUBJECT", "Lunch"))[0].split()) == 3
    client.logout()


def all_mail_has_whole_conversations(server):
    page = server.page
    page.folder("All mail")
    row = "[...document.querySelectorAll('.row')].find(row => row.getAttribute('aria-label')?.includes('4 messages'))"
    page.shows("4 messages")
    page.picture("all-mail")
    page.script(f"{row}.click()")
    page.until("the earlier ones", lambda: page.there(".strips .strip") == 3)
    client = server.imap(0)

    def count(folder):
        check(client.select(folder, readonly=True))
        return len(check(client.search(None, "SUBJECT", "Lunch"))[0].split())
    assert (count("Archive"), count("Sent")) == (3, 1)
    # What is moved is what came; one's own letter stays.
    page.script(f"{row}.querySelector('.mark').click()")
    press_button(page, "Move to…", "#list .bar")
    page.until("the folders", lambda: page.there("dialog .choose"))
    press_button(page, "Inbox")
    page.until("moved", lambda: (count("INBOX"), count("Archive"), count("Sent")) == (4, 0, 1))
    page.press("z")
    page.until("moved back", lambda: (count("INBOX"), count("Archive")) == (1, 3))
    # The line looks the same before the list knows where its messages lie now.
    page.driver.refresh()
    page.shows("4 messages")
    # What is thrown away is all of it.
    page.script(f"{row}.querySelector('.mark').click()")
    press_button(page, "Delete", "#list .bar")
    page.until("all four are gone", lambda: (count("Archive"), count("Sent"), count("Trash")) == (0, 0, 4))
    page.lacks("4 messages")
    page.press("z")
    page.until("all four are back", lambda: (count("Archive"), count("Sent"), count("Trash")) == (3, 1, 0))
    page.shows("4 messages")
    client.logout()


def own_conversations_are_moved_too(server):
    """Where there is nothing but one's own letters and drafts, these are meant."""
    page, ((ann, _), (bob, _)) = server.page, server.users[:2]
    client = server.imap(0)
    sent = letter(ann, bob, "Soliloquy", "To be.\r\n")
    draft = letter(ann, bob, "Re: Soliloquy", "Or not.\r\n")
    draft["In-Reply-To"] = sent["Message-ID"]
    for folder, one in (("Sent", sent), ("Drafts", draft)):
        check(client.append(folder, "\\Seen", None, one.as_bytes().replace(b"\n", b"\r\n")))
    page.folder("Inbox")
    page.folder("All mail")
    page.shows("Soliloquy")
    page.script("[...document.querySelectorAll('.row')].find(row => row.getAttribute('aria-label')?.includes('Soliloquy')).querySelector('.mark').click()")
    press_button(page, "Archive", "#list .bar")

    def count(folder):
        check(client.select(folder, readonly=True))
        return len(check(client.search(None, "SUBJECT", "Soliloquy"))[0].split())
    page.until("moved", lambda: (count("Sent"), count("Drafts"), count("Archive")) == (0, 0, 2))
    check(client.select("Archive"))
    for number in check(client.search(None, "SUBJECT", "Soliloquy"))[0].split():
        check(client.store(number, "+FLAGS", "\\Deleted"))
    check(client.expunge())
    page.lacks("Soliloquy")
    client.logout()


def on_a_telephone_in_the_dark(server):
    page = server.page
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 780, "deviceScaleFactor": 2, "mobile": True})
    page.folder("Archive")
    page.picture("telephone-conversations")
    menu(page, "Filters")
    page.until("the rules", lambda: page.there(".rules > li"))
    page.picture("telephone-filters")
    press_button(page, "Change Plans & <b>lists</b>")
    page.until("the form", lambda: page.there("form.rule"))
    page.picture("telephone-rule")
    assert page.script("return document.documentElement.scrollWidth") <= 390
    wide = page.script("return [...document.querySelectorAll('dialog[open]')].filter(one => one.scrollWidth > one.clientWidth + 1).length")
    assert wide == 0, "a window is wider than the telephone"
    close(page)
    complaints = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    # The first look without a login, and the script that another program had changed.
    complaints = [entry for entry in complaints if " 401 " not in entry["message"] and " 409 " not in entry["message"]]
    assert not complaints, complaints
    page.end()


if __name__ == "__main__":
    run(
        a_rule_is_made,
        a_wrong_rule_is_told,
        mail_is_filed,
        rules_change_places,
        another_program_changes_the_script,
        one_answer_leaves,
        a_script_by_hand_is_kept,
        scripts_are_listed,
        conversations_are_grouped,
        all_mail_has_whole_conversations,
        own_conversations_are_moved_too,
        on_a_telephone_in_the_dark,
    )
