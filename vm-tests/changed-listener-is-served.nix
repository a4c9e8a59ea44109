# Promise: a listener that is declared at another port is served there after the switch, and no longer where it was; who comes to
# the other ports meanwhile waits for a moment instead of being refused.
{ self }:
{ lib, pkgs, ... }:
{
  name = "changed-listener-is-served";
  globalTimeout = 600;

  nodes.server =
    { config, ... }:
    let
      inherit (config.services.postrider) settings;
      # Without NixOS to switch: the configuration that the roles read afterwards.
      moved = (pkgs.formats.toml { }).generate "postrider.toml" (
        settings
        // {
          listener = map (
            listener: listener // lib.optionalAttrs (listener.protocol == "imap") { bind = [ "[::]:1143" ]; }
          ) settings.listener;
        }
      );
    in
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      specialisation.moved.configuration.services.postrider.listeners.imap.port = lib.mkForce 1143;
      environment.etc."moved.toml".source = moved;
    };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}

    # Connects again and again, and writes down who was refused.
    KNOCK = """
    import socket, time
    log = open("/run/knocks", "a", buffering=1)
    while True:
        for port in (25, 587, 993):
            try:
                socket.create_connection(("localhost", port), 60).close()
                print("connected", file=log)
            except OSError as error:
                print(f"refused {port} {error!r}", file=log)
        time.sleep(0.05)
    """


    def greeted(port: int) -> str:
        """A command that succeeds when IMAP is spoken on a port."""
        return f"timeout 20 bash -c 'exec 3<>/dev/tcp/localhost/{port} && read -r line <&3 && [[ $line == \"* OK\"* ]]'"


    def switch() -> None:
        if is_nixos(server):
            server.succeed("/run/booted-system/specialisation/moved/bin/switch-to-configuration test >&2")
            return
        # What a switch does to units that have changed: a socket that has is left alone.
        sockets = server.succeed("systemctl show -P FragmentPath postrider-sockets.service").strip()
        program, declared = server.succeed(f"sed -n 's/^ExecStart=//p' {sockets}").split()
        server.succeed(f"sed 's/^postrider-imap.socket .*/postrider-imap.socket moved/' {declared} > /run/declared")
        for unit, lines in (
            ("postrider-sockets.service", f"[Service]\\nExecStart=\\nExecStart={program} /run/declared\\n"),
            ("postrider-imap.socket", "[Socket]\\nListenStream=\\nListenStream=[::]:1143\\n"),
        ):
            server.succeed(f"mkdir -p /run/systemd/system/{unit}.d")
            server.succeed(f"printf '{lines}' > /run/systemd/system/{unit}.d/moved.conf")
        server.succeed("systemctl stop postrider-sockets.service")
        server.succeed("mount --bind /etc/moved.toml /etc/postrider/postrider.toml", "systemctl daemon-reload")
        server.succeed("systemctl reload postrider-access.service postrider-mta.service")
        server.succeed("systemctl start postrider-sockets.service")


    start_all()
    for unit in ("postrider-access", "postrider-mta", "postrider-sockets"):
        server.wait_for_unit(f"{unit}.service")
    server.succeed(greeted(143))
    server.succeed(f"systemd-run --unit=knock python3 -c {shlex.quote(KNOCK)}")
    server.wait_until_succeeds("grep -q connected /run/knocks", timeout=60)

    with subtest("the listener has moved"):
        switch()
        server.succeed(greeted(1143))
        server.fail(greeted(143))

    with subtest("nobody was refused at the other ports"):
        server.succeed("systemctl stop knock.service")
        knocks = set(server.succeed("cat /run/knocks").splitlines())
        assert knocks == {"connected"}, knocks

    with subtest("mail is sent and read as before"):
        send(server, "ann@example.test", "ann", "bob@example.test", "moved")
        wait_for_mail(server, "bob@example.test", "bob", "moved")

    with subtest("what has not changed is left alone"):
        before = server.succeed("systemctl show -P MainPID postrider-access postrider-mta")
        server.succeed("systemctl restart postrider-sockets.service")
        assert server.succeed("systemctl show -P MainPID postrider-access postrider-mta") == before

    ends_well(server)
  '';
}
