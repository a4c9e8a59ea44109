# Promise: an attacker who took over the monitoring page could read, but change nothing: its user can open no socket that
# stores mail or controls a role, and finds no key and no database password.
{ self }:
{ ... }:
{
  name = "monitoring-page-changes-nothing";
  globalTimeout = 600;

  nodes.server =
    { pkgs, ... }:
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      environment.etc."ask.py".source = pkgs.writeText "ask.py" ''
        import socket, sys

        asking = socket.socket(socket.AF_UNIX)
        asking.connect(sys.argv[1])
        asking.sendall(sys.argv[2].encode() + b"\n")
        print(asking.makefile().readline())
      '';
    };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}
    STATUS = '{"request":"status"}'
    BAN = '{"request":"ban-add","network":"203.0.113.0/24","seconds":null,"reason":"mine"}'


    def page(*words: str) -> str:
        """A command as the user of the monitoring page runs it."""
        return shlex.join(["runuser", "-u", "postrider-dashboard", "--", *words])


    def ask(socket: str, request: str) -> str:
        return page("python3", "/etc/ask.py", f"/run/postrider/{socket}.sock", request)


    start_all()
    for role in ("access", "mta", "dashboard"):
        server.wait_for_unit(f"postrider-{role}.service")

    with subtest("it may ask how the roles are doing"):
        for role in ("access", "mta"):
            out = server.succeed(ask(f"{role}-status", STATUS))
            assert '"done"' in out and role in out, out
            out = server.succeed(ask(f"{role}-status", BAN))
            assert "nothing can be changed" in out, out

    with subtest("it may not tell them what to do"):
        for role in ("access", "mta"):
            server.fail(ask(role, STATUS))
        server.fail(ask("lmtp", "LHLO page"))
        server.fail(page("rm", "-f", "/run/postrider/mta.sock"))
        assert "203.0.113" not in server.succeed("postrider ban list")

    with subtest("an administrator may"):
        server.succeed("postrider ban add 203.0.113.0/24")
        assert "203.0.113.0/24" in server.succeed("postrider ban list")

    with subtest("mail and keys are out of its reach"):
        for path in ("/var/mail/vhosts", "/var/spool/postrider", "/run/postrider-certificates"):
            server.succeed(f"ls {path}")
            server.fail(page("ls", path))
  '';
}
