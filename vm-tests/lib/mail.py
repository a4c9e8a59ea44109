# Read by the test scripts: the steps that most of them take. The mail program itself is client.py.
import shlex
import typing


def mail_client(*words: str) -> str:
    """The command line that makes the mail program on a machine do something."""
    return shlex.join(["python3", "/etc/mail-client", *words])


def send(machine: typing.Any, user: str, password: str, to: str, subject: str, host: str = "localhost") -> None:
    machine.succeed(mail_client("send", host, user, password, to, subject))


def subjects(machine: typing.Any, user: str, password: str, host: str = "localhost") -> typing.List[str]:
    """The subjects in the inbox, one for each message."""
    out = machine.succeed(mail_client("subjects", host, user, password))
    return [line.removeprefix("Subject: ") for line in out.splitlines() if line]


def wait_for_mail(machine: typing.Any, user: str, password: str, subject: str) -> None:
    command = mail_client("subjects", "localhost", user, password)
    machine.wait_until_succeeds(f"{command} | grep -Fx {shlex.quote('Subject: ' + subject)}", timeout=60)


def no_errors(machine: typing.Any, meant: str = "^-- ") -> None:
    """Nothing in the journals of the mail server that an administrator would have to look at, but what was `meant`."""
    _, errors = machine.execute(f"journalctl -u 'postrider-*' -p err --no-pager -q | grep -vE {shlex.quote(meant)}")
    assert not errors.strip(), errors


def all_sandboxed(machine: typing.Any, unless: typing.Tuple[str, ...] = ()) -> None:
    """Each unit of the mail server has a sandbox that systemd judges at most 2.0, but those that say why they have none."""
    listed = machine.succeed("systemctl list-unit-files --plain --no-legend 'postrider-*.service'").splitlines()
    units = {line.split()[0] for line in listed}
    assert units > set(unless), units
    for unit in sorted(units - set(unless)):
        machine.succeed(f"systemd-analyze security --threshold=20 {unit}")


def ends_well(machine: typing.Any) -> None:
    """What holds at the end of every test in which nothing was meant to go wrong."""
    with subtest("the sandbox of each unit is judged at most 2.0"):
        all_sandboxed(machine)

    with subtest("journals without errors"):
        no_errors(machine)


def is_nixos(machine: typing.Any) -> bool:
    """Whether the machine is a NixOS: elsewhere it has the units of its configuration and nothing to switch with."""
    return bool(machine.execute("test -e /run/current-system/activate")[0] == 0)
