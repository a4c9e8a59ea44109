# Promise: when a machine is lost, a second one with the same declaration gets everything back from the backup: mail with
# UIDs and flags, passwords that users have chosen, what waited in the queue. The drill has said so before, and the timers
# are set.
{ self }:
{ ... }:
let
  server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    environment.etc."mailboxes.py".source = ./lib/mailboxes.py;
    services.postrider = {
      backup.enable = true;
      # Nobody answers there: mail for it stays in the queue.
      settings.dns = {
        attempts = 1;
        servers = [ "127.0.0.1:9" ];
        timeout = "1s";
      };
    };
  };
in
{
  name = "backup-survives-the-machine";
  globalTimeout = 900;

  nodes = {
    lost = server;
    second = server;
  };

  testScript = ''
    import json

    ${builtins.readFile ./lib/mail.py}

    def mailboxes(machine: typing.Any) -> typing.Any:
        return json.loads(machine.succeed("python3 /etc/mailboxes.py localhost 993 bob@example.test mine"))


    start_all()
    for machine in (lost, second):
        for role in ("access", "mta"):
            machine.wait_for_unit(f"postrider-{role}.service")

    with subtest("the timers are set"):
        for name in ("backup", "drill"):
            lost.succeed(f"systemctl list-timers --all postrider-{name}.timer | grep -F postrider-{name}.service")

    with subtest("bob's mail, the password he has chosen and the queue are in the backup"):
        for n in range(3):
            send(lost, "ann@example.test", "ann", "bob@example.test", f"number {n}")
        lost.succeed("echo mine | postrider user passwd bob@example.test")
        wait_for_mail(lost, "bob@example.test", "mine", "number 2")
        send(lost, "ann@example.test", "ann", "far@elsewhere.example", "patience")
        lost.wait_until_succeeds("postrider queue list | grep -F far@elsewhere.example", timeout=30)
        before = mailboxes(lost)
        lost.succeed("systemctl start postrider-backup.service")
        lost.succeed("systemctl start postrider-backup.service")

    with subtest("the drill proves it"):
        lost.succeed("systemctl start postrider-drill.service || { journalctl -u postrider-drill --no-pager >&2; false; }")

    with subtest("nobody else can read it, and the sandbox of each unit is judged at most 2.0"):
        lost.fail("setpriv --reuid=vmail --clear-groups ls /var/backup/postrider")
        all_sandboxed(lost)

    with subtest("the second machine gets everything back"):
        packed = lost.succeed("tar -C /var/backup -cz postrider | base64 -w 0")
        lost.shutdown()
        second.succeed("systemctl stop 'postrider-*.socket' 'postrider-*.service'")
        for start in range(0, len(packed), 50000):
            second.succeed(f"printf %s {packed[start:start + 50000]} >> /var/tmp/packed")
        second.succeed("base64 -d /var/tmp/packed | tar -C /var/backup -xz")
        # It has run, with the declared accounts: the way out of docs/backup.md.
        second.succeed("rm -f /var/lib/postrider/postrider.sqlite*", "systemd-tmpfiles --create")
        second.succeed("postrider backup restore --live >&2")
        second.succeed("systemctl start postrider-access postrider-mta")
        after = mailboxes(second)
        for name, folder in before.items():
            # UIDs that the lost machine may have given out after the backup are left alone.
            assert after[name].pop("uidnext") > folder.pop("uidnext")
        assert after == before, f"was {before}, is {after}"
        second.succeed("postrider queue list | grep -F far@elsewhere.example")

    with subtest("and goes on"):
        send(second, "ann@example.test", "ann", "bob@example.test", "after")
        wait_for_mail(second, "bob@example.test", "mine", "after")

    with subtest("journals without errors"):
        no_errors(second)
  '';
}
