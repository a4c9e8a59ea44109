"""Sending by every door, by Python's smtplib."""

import email.policy
import smtplib

from server import check, letter, main


def refused(code, step, *arguments):
    try:
        step(*arguments)
    except smtplib.SMTPRecipientsRefused as error:
        codes = {answer[0] for answer in error.recipients.values()}
        assert codes == {code}, error
    except smtplib.SMTPResponseException as error:
        assert error.smtp_code == code, error
    else:
        raise AssertionError(f"not refused with {code}")


def submits_by_starttls_and_by_tls(server):
    for listener in ("submission", "submissions"):
        client = server.smtp(listener, 0)
        message = letter(server.users[0][0], server.users[1][0])
        assert client.send_message(message) == {}
        client.quit()
        server.wait_for(1, message["Message-ID"])


def takes_mail_from_outside_without_a_login(server):
    client = server.smtp("smtp")
    message = letter("stranger@elsewhere.example", server.users[0][0])
    assert client.send_message(message) == {}
    client.quit()
    server.wait_for(0, message["Message-ID"])


def passes_nothing_on_for_strangers(server):
    client = server.smtp("smtp")
    refused(550, client.send_message, letter("stranger@elsewhere.example", "other@elsewhere.example"))
    client.rset()
    refused(550, client.send_message, letter("stranger@elsewhere.example", "nobody@example.test"))
    client.quit()


def submission_needs_a_login_and_ones_own_address(server):
    client = server.smtp("submission")
    refused(530, client.send_message, letter(server.users[0][0], server.users[1][0]))
    client.close()
    client = server.smtp("submissions", 0)
    code, _ = client.mail(server.users[1][0])
    if code == 250:
        code, _ = client.rcpt(server.users[1][0])
    assert code in (550, 553), code
    client.quit()


def a_password_needs_tls(server):
    client = smtplib.SMTP(*server.at("submission"), timeout=30)
    client.ehlo()
    assert not client.has_extn("auth")
    code, _ = client.docmd("AUTH", "PLAIN AGEAYg==")
    assert code in (530, 538), code
    client.quit()
    client = server.smtp("submissions")
    refused(535, client.login, server.users[0][0], "wrong")
    client.close()


def dots_long_lines_and_8_bit_arrive_unchanged(server):
    body = b".\r\n..\r\n.leading\r\n" + b"x" * 900 + b"\r\n" + "Gr\u00fc\u00dfe\r\n".encode()
    client = server.smtp("submissions", 0)
    ids = "<dots@client.example>"
    whole = (
        f"From: {server.users[0][0]}\r\nTo: {server.users[1][0]}\r\nMessage-ID: {ids}\r\nSubject: dots\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode() + body
    client.sendmail(server.users[0][0], [server.users[1][0]], whole, mail_options=["BODY=8BITMIME"])
    client.quit()
    number = server.wait_for(1, ids)
    mailbox = server.imap(1)
    check(mailbox.select("INBOX"))
    assert check(mailbox.fetch(number, "(BODY.PEEK[TEXT])"))[0][1] == body
    mailbox.logout()


def lmtp_answers_for_each_recipient(server):
    client = server.smtp("lmtp")
    message = letter("stranger@elsewhere.example", server.users[0][0])
    # smtplib mends the line ends of text, but not of octets.
    letter_bytes = message.as_bytes(policy=email.policy.SMTP)
    answers = client.sendmail("stranger@elsewhere.example", [server.users[0][0], "nobody@example.test"], letter_bytes)
    assert set(answers) == {"nobody@example.test"}, answers
    client.quit()
    server.wait_for(0, message["Message-ID"])


def one_message_to_both(server):
    client = server.smtp("submissions", 0)
    message = letter(server.users[0][0], ", ".join(u[0] for u in server.users[:2]))
    message["Bcc"] = server.users[1][0]
    assert client.send_message(message, to_addrs=[u[0] for u in server.users[:2]]) == {}
    client.quit()
    for user in (0, 1):
        number = server.wait_for(user, message["Message-ID"])
        mailbox = server.imap(user)
        check(mailbox.select("INBOX"))
        header = check(mailbox.fetch(number, "(BODY.PEEK[HEADER])"))[0][1]
        assert b"\r\nBcc:" not in header, header
        assert header.lower().count(b"\r\nreceived:") >= 1 or header.lower().startswith((b"received:", b"return-path:"))
        mailbox.logout()


main(
    submits_by_starttls_and_by_tls,
    takes_mail_from_outside_without_a_login,
    passes_nothing_on_for_strangers,
    submission_needs_a_login_and_ones_own_address,
    a_password_needs_tls,
    dots_long_lines_and_8_bit_arrive_unchanged,
    lmtp_answers_for_each_recipient,
    one_message_to_both,
)
