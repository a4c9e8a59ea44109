"""curl as a mail client: sends over SMTP, lists and reads over IMAP and POP3."""

import pathlib
import subprocess
import tempfile

from server import letter, main


def curl(server, *arguments):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "30", "--cacert", server.facts["ca"], *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr}"
    return done.stdout


def sends_lists_and_reads(server):
    user, password = server.users[1]
    message = letter(server.users[0][0], user, "By curl")
    file = pathlib.Path(tempfile.mkdtemp(prefix="curl-")) / "letter.eml"
    file.write_bytes(message.as_bytes().replace(b"\n", b"\r\n"))
    sender = ":".join(server.users[0])
    curl(
        server, "--user", sender, "--mail-from", server.users[0][0], "--mail-rcpt", user, "--upload-file", str(file),
        f"smtps://localhost:{server.at('submissions')[1]}/client.example",
    )
    curl(
        server, "--user", sender, "--ssl-reqd", "--mail-from", server.users[0][0], "--mail-rcpt", user,
        "--upload-file", str(file), f"smtp://localhost:{server.at('submission')[1]}/client.example",
    )
    server.wait_for(1, message["Message-ID"])
    imaps = f"imaps://localhost:{server.at('imaps')[1]}"
    login = ["--user", f"{user}:{password}"]
    assert "INBOX" in curl(server, *login, f"{imaps}/")
    found = curl(server, *login, f"{imaps}/INBOX?SUBJECT%20curl").split()[2:]
    assert len(found) >= 2, found
    assert "Subject: By curl" in curl(server, *login, f"{imaps}/INBOX;MAILINDEX={found[0]}")
    assert "EXISTS" in curl(server, *login, "--request", "EXAMINE INBOX", f"{imaps}/")
    pop3s = f"pop3s://localhost:{server.at('pop3s')[1]}/"
    count = len(curl(server, *login, pop3s).split("\n")) - 1
    assert "Subject: By curl" in curl(server, *login, f"{pop3s}{count}")


main(sends_lists_and_reads)
