"""Sieve scripts over the wire, by sieve-connect and by Python's sievelib, and what they do with mail."""

import pathlib
import subprocess
import tempfile

from server import letter, main
from sievelib import managesieve

FILING = 'require ["fileinto"];\nif header :contains "subject" "list" { fileinto "Lists"; }\n'
BROKEN = 'require ["fileinto"];\nif header :contains "subject" { fileinto; }\n'


def sieve_connect(server, *arguments, user=0, succeeds=True, password=None):
    host, port = server.at("managesieve")
    address, own = server.users[user]
    done = subprocess.run(
        ["sieve-connect", "--nosrv", "--server", host, "--port", str(port), "--user", address, "--passwordfd", "0",
         "--tlscafile", server.facts["ca"], "--tlshostname", "mail.example.test", *arguments],
        input=f"{password or own}\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode == 0) == succeeds, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def by_sieve_connect(server):
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        script, broken, back = directory / "filing.sieve", directory / "broken.sieve", directory / "back.sieve"
        script.write_text(FILING)
        broken.write_text(BROKEN)
        sieve_connect(server, "--upload", "--localsieve", str(script), "--remotesieve", "filing")
        sieve_connect(server, "--activate", "--remotesieve", "filing")
        listed = sieve_connect(server, "--list")
        assert '"filing" ACTIVE' in listed, listed
        sieve_connect(server, "--download", "--remotesieve", "filing", "--localsieve", str(back))
        assert back.read_text() == FILING
        refused = sieve_connect(
            server, "--upload", "--localsieve", str(broken), "--remotesieve", "broken", succeeds=False
        )
        assert "line 2" in refused, refused
        sieve_connect(server, "--list", password="wrong", succeeds=False)


def mail_is_filed(server):
    listed = letter("stranger@elsewhere.example", server.users[0][0], "the list speaks", "Words\n")
    plain = letter("stranger@elsewhere.example", server.users[0][0], "for you", "Words\n")
    client = server.smtp("smtp")
    client.send_message(listed, "stranger@elsewhere.example", [server.users[0][0]])
    client.send_message(plain, "stranger@elsewhere.example", [server.users[0][0]])
    client.quit()
    imap = server.imap(0)
    for folder, message in (("Lists", listed), ("INBOX", plain)):
        assert imap.select(folder, readonly=True)[0] == "OK", folder
        found = imap.search(None, "HEADER", "Message-ID", message["Message-ID"])[1][0].split()
        assert len(found) == 1, (folder, found)
    imap.logout()


def deactivated_by_sieve_connect(server):
    sieve_connect(server, "--deactivate")
    assert "ACTIVE" not in sieve_connect(server, "--list")
    sieve_connect(server, "--delete", "--remotesieve", "filing")
    assert "filing" not in sieve_connect(server, "--list")


def by_sievelib(server):
    host, port = server.at("managesieve")
    client = managesieve.Client(host, port)
    address, password = server.users[1]
    assert client.connect(address, password, starttls=True, authmech="PLAIN")
    assert "fileinto" in client.get_sieve_capabilities()
    assert client.havespace("filing", 1000)
    assert client.putscript("filing", FILING)
    assert not client.putscript("broken", BROKEN)
    assert client.getscript("filing").strip() == FILING.strip()
    assert client.renamescript("filing", "Ablage ü")
    assert client.setactive("Ablage ü")
    assert client.listscripts() == ("Ablage ü", []), client.listscripts()
    assert not client.deletescript("Ablage ü")
    assert client.setactive("")
    assert client.listscripts()[1] == ["Ablage ü"], client.listscripts()
    assert client.deletescript("Ablage ü")
    assert not client.havespace("large", 1 << 30)
    client.logout()


main(by_sieve_connect, mail_is_filed, deactivated_by_sieve_connect, by_sievelib)
