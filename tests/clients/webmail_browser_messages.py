"""The webmail in a real Chromium: reading, and what a message asks for."""

import os
import pathlib

from selenium.webdriver.common.keys import Keys
from server import check, letter


def reads_plain_text(server):
    page = server.page
    page.press("/")
    page.press("plain letter")
    page.until("found", lambda: len(page.rows()) == 1)
    page.open("A plain letter")
    assert page.there(".text a[href='https://example.test/page'][rel='noopener noreferrer'][target=_blank]") == 1
    assert page.there(".text .quote1") == 1 and page.there(".text .quote2") == 1
    page.until("it is marked as read", lambda: page.there(".row:not(.unread)"))
    page.until("and counted", lambda: page.text("#folders .count") == "4")
    page.picture("plain")


def reads_html_without_harm(server):
    page = server.page
    page.script("const s = document.querySelector('[type=search]'); s.value = 'newsletter'; s.dispatchEvent(new Event('input'))")
    page.until("found", lambda: len(page.rows()) == 1)
    page.open("A newsletter")
    inside = lambda text: page.script(f"const d = document.querySelector('iframe.page')?.contentDocument; return d?.body ? ({text}) : null")
    page.until("the frame is there", lambda: inside("d.querySelector('h2')?.textContent") == "What is new")
    assert page.script("return document.querySelector('iframe.page').getAttribute('sandbox')") == "allow-same-origin allow-modals allow-popups allow-popups-to-escape-sandbox"
    assert inside("d.querySelectorAll('script, form, input, style:not(head style), [onload]').length") == 0
    assert page.driver.title != "owned"
    page.until("our own picture is shown", lambda: inside("[...d.images].find(i => i.alt === 'logo')?.naturalWidth") == 1)
    assert inside("[...d.images].find(i => i.alt === 'remote').src").startswith("data:")
    assert "blocked" in page.text(".banner.images")
    # A flag does not load the page of the message again.
    page.script("window.frame = document.querySelector('iframe.page')")
    for wanted in (1, 0):
        page.press("s")
        page.until("the flag", lambda: page.there(".actions button.on") == wanted)
    assert page.script("return window.frame.isConnected")
    page.until("a link that lies says so", lambda: "leads to evil.test" in (inside("d.body.textContent") or ""))
    assert inside("[...d.links].map(a => a.getAttribute('href')).some(h => h?.startsWith('javascript'))") is False
    assert page.until("the frame is high enough", lambda: page.one("iframe.page").size["height"] > 200)
    page.picture("html")
    page.click(".banner.images button")
    page.until("images are allowed", lambda: inside("[...d.images].find(i => i.alt === 'remote')?.src") == "https://remote.test/pixel.png")
    asked = [entry for entry in page.driver.get_log("performance") if "https://remote.test/" in entry["message"]]
    assert asked, "now it is asked for"
    assert "table" in page.text(".files .name") and not page.there(".files b")
    page.click(".files a")
    page.until("the file is saved", lambda: [file for file in os.listdir(page.downloads) if file.endswith(".csv")])
    assert pathlib.Path(page.downloads, [f for f in os.listdir(page.downloads) if f.endswith(".csv")][0]).read_bytes() == b"one,two\n1,2\n"


INVITATION = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//client//EN
METHOD:REQUEST
BEGIN:VEVENT
UID:party@client.example
DTSTAMP:20260101T000000Z
DTSTART:20300104T180000Z
DTEND:20300104T200000Z
SUMMARY:Birthday <b>party</b>
LOCATION:The old mill
DESCRIPTION:Bring cake.
ORGANIZER;CN=Bob Builder:mailto:{bob}
ATTENDEE;PARTSTAT=NEEDS-ACTION;CN=Ann:mailto:{ann}
ATTENDEE;PARTSTAT=DECLINED;CN=Carl:mailto:carl@far.test
END:VEVENT
END:VCALENDAR
"""


def answers_an_invitation(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    message = letter(bob, ann, "Invitation to a party")
    text = INVITATION.format(ann=ann, bob=bob).replace("\n", "\r\n")
    message.add_alternative(text.encode(), maintype="text", subtype="calendar", params={"method": "REQUEST", "charset": "utf-8"})
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.folder("Inbox")
    page.open("Invitation to a party")
    page.until("the event", lambda: page.text(".event h2") == "Birthday <b>party</b>")
    said = page.text(".event dl")
    assert "2030" in said and "The old mill" in said and "Bob Builder" in said and "Carl declined" in said, said
    assert page.script("return [...document.querySelectorAll('.event button')].map(b => b.textContent + b.ariaPressed)") == ["Acceptfalse", "Maybefalse", "Declinefalse"]
    page.picture("invitation")
    page.click(".event button")
    page.toast("The answer is on its way.")
    page.until("it is told", lambda: "You have accepted" in page.text(".event .stands"))
    page.until("and pressed", lambda: page.text(".event button[aria-pressed=true]") == "Accept")
    assert page.script("return document.activeElement.textContent") == "Accept"
    client = server.imap(1)

    def has_come():
        check(client.select())
        return check(client.search(None, "SUBJECT", '"Accepted: Birthday"'))[0].split()

    assert page.until("the answer has come", has_come)
    client.logout()
    moved = letter(bob, ann, "The party is later")
    later = text.replace("DTSTART:2030", "DTSTART:2031").replace("DTEND:2030", "DTEND:2031").replace("END:VEVENT", "SEQUENCE:7\r\nEND:VEVENT")
    assert later.count("2031") >= 1
    moved.add_alternative(later.encode(), maintype="text", subtype="calendar", params={"method": "REQUEST", "charset": "utf-8"})
    client = server.imap(0)
    check(client.append("INBOX", None, None, moved.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("The party is later")
    page.until("it is told that it has changed", lambda: "has been changed since" in page.text(".event .stands"))
    assert not page.there(".event button[aria-pressed=true]")
    page.open("Invitation to a party")
    page.until("the earlier one", lambda: "You have accepted" in page.text(".event .stands"))
    page.click(".event button:last-child")
    page.until("the other answer", lambda: page.text(".event .stands") == "You have declined.")


def leaves_a_list(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    message = letter("news@shop.test", ann, "A letter to many")
    message["List-Unsubscribe"] = f"<mailto:{bob}?Subject=Please%20stop+it>"
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("A letter to many")
    page.click(".unsubscribe")
    page.until("it asks", lambda: bob in page.text("dialog"))
    # While the question is open, nothing is on the page any more.
    page.script("location.hash = '#folder=INBOX'")
    page.until("no message", lambda: page.there("#reader .pick"))
    page.click("dialog footer .main")
    page.toast("Your request to unsubscribe is on its way.")
    client = server.imap(1)

    def has_come():
        check(client.select())
        return check(client.search(None, "SUBJECT", '"Please stop+it"'))[0].split()

    page.until("the wish has come", has_come)
    client.logout()


def confirms_and_keeps_a_sender(server):
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    message = letter("Gina Fay <gina@far.test>", ann, "Tell me that you read it")
    message["Disposition-Notification-To"] = bob
    client = server.imap(0)
    check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    page.open("Tell me that you read it")
    page.until("it asks", lambda: bob in page.text(".banner.receipt"))
    page.picture("receipt")
    page.click(".banner.receipt button")
    page.toast("The receipt is on its way.")
    page.until("it asks no more", lambda: not page.there(".banner.receipt"))
    client = server.imap(1)

    def has_come():
        check(client.select())
        return check(client.search(None, "SUBJECT", '"Read: Tell me that you read it"'))[0].split()

    page.until("the receipt has come", has_come)
    client.logout()
    page.script("[...document.querySelectorAll('#reader .actions button')].find((one) => one.getAttribute('aria-label') === 'More').click()")
    page.script("[...document.querySelectorAll('.menu button')].find((one) => one.textContent === 'Add to contacts').click()")
    page.until("the form", lambda: page.there("dialog form.asked [name=addresses]"))
    assert page.script("return document.querySelector('dialog [name=addresses]').value") == "gina@far.test"
    page.click("dialog form.asked button.main")
    page.toast("The contact has been saved.")


def long_conversations_are_folded(server):
    """A message of a long conversation is not below all that was said before."""
    page = server.page
    (ann, _), (bob, _) = server.users[:2]
    client = server.imap(0)
    for n in range(9):
        message = letter(bob, ann, "A long talk", f"Part {n}{' of many words' * 40}\r\n")
        message.replace_header("Message-ID", f"<talk-{n}@client.example>")
        if n > 0:
            message["References"] = "<talk-0@client.example>"
        check(client.append("INBOX", None, None, message.as_bytes().replace(b"\n", b"\r\n")))
    client.logout()
    lines = lambda: [row for row in page.rows() if "A long talk" in row]
    page.folder("Inbox")
    page.until("all have come", lambda: len(lines()) == 9)
    page.click("#list [aria-label=Conversations]")
    page.until("one line", lambda: len(lines()) == 1 and "9 messages" in lines()[0])
    assert page.script("return [...document.querySelectorAll('.row .many')].every((one) => one.parentElement.getBoundingClientRect().right >= one.getBoundingClientRect().right)")
    page.open("A long talk")
    page.until("the first and those beside it", lambda: page.there("#reader .strip") == 3 and page.text("#reader .moreStrips") == "5 more messages")
    assert page.script("const { scrollWidth, clientWidth } = document.querySelector('#reader'); return scrollWidth <= clientWidth")
    page.picture("conversation")
    page.click("#reader .moreStrips")
    page.until("all", lambda: page.there("#reader .strip") == 8)
    assert page.script("return document.activeElement.matches('#reader .strip')")
    page.click("#list [aria-label=Conversations]")
    page.until("each by itself again", lambda: len(lines()) == 9 and not page.there("#reader .strip"))
    page.press(Keys.ESCAPE)
    page.until("none is open", lambda: not page.there("#reader h1"))
