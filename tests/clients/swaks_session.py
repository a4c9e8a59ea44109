"""Every way in that swaks knows: plain, STARTTLS, TLS, and each login mechanism."""

import subprocess

from server import main


def swaks(server, listener, *arguments, succeeds=True):
    host, port = server.at(listener)
    done = subprocess.run(
        ["swaks", "--server", host, "--port", str(port), "--helo", "client.example", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode == 0) == succeeds, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def mail_from_outside(server):
    to = ["--from", "stranger@elsewhere.example", "--to", server.users[0][0]]
    swaks(server, "smtp", *to)
    swaks(server, "smtp", "--tls", *to)
    swaks(server, "smtp", "--pipeline", *to)
    out = swaks(server, "smtp", "--from", "stranger@elsewhere.example", "--to", "x@elsewhere.example", succeeds=False)
    assert "550 5.7.1" in out, out
    out = swaks(server, "smtp", "--from", "stranger@elsewhere.example", "--to", "nobody@example.test", succeeds=False)
    assert "550 5.1.1" in out, out


def submission_with_each_mechanism(server):
    user, password = server.users[0]
    to = ["--from", user, "--to", server.users[1][0], "--auth-user", user, "--auth-password", password]
    for listener, tls in (("submission", "--tls"), ("submissions", "--tls-on-connect")):
        for mechanism in ("PLAIN", "LOGIN"):
            swaks(server, listener, tls, "--auth", mechanism, *to)
    swaks(server, "submission", "--tls-optional", "--auth", "PLAIN", *to)


def submission_refuses(server):
    user, password = server.users[0]
    to = ["--from", user, "--to", server.users[1][0]]
    out = swaks(server, "submission", "--auth", "PLAIN", "--auth-user", user, "--auth-password", password, *to, succeeds=False)
    assert "<-  235" not in out and "<~  235" not in out, out
    out = swaks(server, "submissions", "--tls-on-connect", *to, succeeds=False)
    assert "530 5.7.0" in out, out
    wrong = ["--auth", "PLAIN", "--auth-user", user, "--auth-password", "wrong"]
    out = swaks(server, "submissions", "--tls-on-connect", *wrong, *to, succeeds=False)
    assert "535 5.7.8" in out, out


def lmtp(server):
    swaks(server, "lmtp", "--protocol", "LMTP", "--from", "a@elsewhere.example", "--to", ",".join(u[0] for u in server.users))


main(mail_from_outside, submission_with_each_mechanism, submission_refuses, lmtp)
