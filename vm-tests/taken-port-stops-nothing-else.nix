# Promise: where another program has a port, everything else is served, and log, status, self-test, metrics and the health gate
# name what is not, even if that program answers as our own would. Given the port, the server has it after one command.
{ self }:
{ ... }:
{
  name = "taken-port-stops-nothing-else";
  globalTimeout = 600;

  nodes.server =
    { pkgs, ... }:
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      services.postrider.appliance.patience = 3;
      # It greets as IMAP does, and is there first.
      systemd.services.neighbour = {
        description = "Another program with the port of IMAP";
        wantedBy = [ "multi-user.target" ];
        before = [
          "postrider-imap.socket"
          "sockets.target"
        ];
        unitConfig.DefaultDependencies = false;
        serviceConfig = {
          ExecStart = "${pkgs.python3}/bin/python3 -u ${pkgs.writeText "neighbour.py" ''
            import os, socket, socketserver

            class Greet(socketserver.BaseRequestHandler):
                def handle(self):
                    self.request.sendall(b"* OK [CAPABILITY IMAP4rev1] neighbour\r\n")

            class Server(socketserver.ThreadingTCPServer):
                address_family = socket.AF_INET6
                allow_reuse_address = True

            server = Server(("::", 143), Greet)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
            server.serve_forever()
          ''}";
          Type = "notify";
        };
      };
    };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}


    def greeting() -> str:
        return str(server.succeed("timeout 20 bash -c 'exec 3<>/dev/tcp/localhost/143 && read -r line <&3 && echo $line'"))


    def figure() -> str:
        figures = server.succeed("curl -s --fail http://[::1]:9325/metrics")
        return next(line for line in figures.splitlines() if "listener_unopened{" in line and '"imap"' in line)


    start_all()
    for role in ("access", "mta", "dashboard"):
        server.wait_for_unit(f"postrider-{role}.service")
    assert "neighbour" in greeting()

    with subtest("everything else is served"):
        send(server, "ann@example.test", "ann", "bob@example.test", "in spite of it")
        wait_for_mail(server, "bob@example.test", "bob", "in spite of it")
        restarts = server.succeed("systemctl show -P NRestarts postrider-access postrider-mta")
        assert restarts.split() == ["0", "0"], restarts

    with subtest("log, state, status and self-test name the port, and what to do"):
        server.succeed("journalctl -u postrider-access -p err --no-pager | grep -F '[::]:143'")
        server.succeed("systemctl show -P StatusText postrider-access | grep -F 'NOT imap on [::]:143'")
        server.succeed("postrider status | grep -F 'imap on [::]:143'")
        _, findings = server.execute("postrider doctor --no-ports")
        assert "imap at [::]:143: systemd passed no socket" in findings, findings
        assert "systemctl restart postrider-imap.socket" in findings, findings

    with subtest("figures and health gate name it"):
        assert figure().endswith(" 1.0"), figure()
        server.fail("systemctl restart postrider-health-gate.service")
        server.succeed("journalctl -u postrider-health-gate --no-pager | grep -F 'postrider-imap.socket is not open'")

    with subtest("when the port is given up, one command is enough"):
        server.succeed("systemctl stop neighbour.service")
        server.succeed("systemctl restart postrider-imap.socket")
        server.wait_until_succeeds("systemctl is-active postrider-access.service", timeout=60)
        assert "neighbour" not in greeting()
        assert figure().endswith(" 0.0"), figure()
        server.fail("postrider status | grep -F 'imap on'")
        server.succeed("systemctl restart postrider-health-gate.service")

    with subtest("the sandbox of each unit is judged at most 2.0"):
        all_sandboxed(server)
  '';
}
