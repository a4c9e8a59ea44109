# Promise: an upgrade and the way back lose nothing and refuse nobody. What waits in the queue still waits, new clients wait
# for a moment instead of being refused, a connected client comes back and finds its mailbox unchanged.
{ self }:
{ lib, pkgs, ... }:
let
  # The same program under another path, as a new version would be.
  next = pkgs.runCommand "postrider-next" { meta.mainProgram = "postrider"; } ''
    mkdir -p $out/bin
    cp ${lib.getExe pkgs.postrider} $out/bin/postrider
  '';
in
{
  name = "upgrade-refuses-nobody";
  globalTimeout = 900;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    # Nobody answers there: mail for it stays in the queue.
    services.postrider.settings.dns = {
      attempts = 1;
      servers = [ "127.0.0.1:9" ];
      timeout = "1s";
    };
    specialisation.next.configuration.services.postrider.package = lib.mkForce next;
    environment.etc."next".source = next;
    environment.etc."mailboxes.py".source = ./lib/mailboxes.py;
    system.extraDependencies = [ next ];
  };

  testScript = ''
    import json

    ${builtins.readFile ./lib/mail.py}

    # Connects again and again, and writes down who was neither greeted nor asked in so many words to come back.
    KNOCK = """
    import socket, time
    greetings = {25: (b"220", b"421"), 143: (b"* OK", b"* BYE"), 587: (b"220", b"421")}
    log = open("/run/knocks", "a", buffering=1)
    while True:
        for port, greeting in greetings.items():
            try:
                with socket.create_connection(("localhost", port), 60) as knock:
                    knock.settimeout(60)
                    said = knock.recv(100)
                print("greeted" if said.startswith(greeting) else f"refused {port} {said!r}", file=log)
            except OSError as error:
                print(f"refused {port} {error!r}", file=log)
        time.sleep(0.05)
    """
    # Watches its mailbox, and reconnects after a BYE.
    WATCH = """
    import imaplib, ssl, time
    log = open("/run/watch", "a", buffering=1)
    while True:
        try:
            with imaplib.IMAP4_SSL("localhost", 993, ssl_context=ssl._create_unverified_context(), timeout=60) as imap:
                imap.login("bob@example.test", "bob")
                imap.select("INBOX")
                print("watching", file=log)
                while True:
                    imap.noop()
                    time.sleep(0.2)
        except (imaplib.IMAP4.abort, OSError) as error:
            print(f"goodbye {error!r}", file=log)
    """


    def programs() -> typing.List[str]:
        paths = []
        for role in ("access", "mta"):
            server.wait_for_unit(f"postrider-{role}.service")
            paths.append(server.succeed(f"readlink /proc/$(systemctl show -p MainPID --value postrider-{role}.service)/exe").strip())
        return paths


    def switch_to(name: str) -> None:
        if is_nixos(server):
            inner = "" if name == "base" else f"/specialisation/{name}"
            server.succeed(f"/run/booted-system{inner}/bin/switch-to-configuration test")
            return
        # What a switch does to units whose program has changed.
        for role in ("access", "mta", "dashboard"):
            folder = f"/run/systemd/system/postrider-{role}.service.d"
            start = f"$(readlink -f /etc/next)/bin/postrider --config /etc/postrider/postrider.toml serve --role {role}"
            server.succeed(f"mkdir -p {folder}; rm -f {folder}/*")
            if name == "next":
                server.succeed(f'printf "[Service]\\nExecStart=\\nExecStart={start}\\n" > {folder}/next.conf')
        server.succeed("systemctl daemon-reload", "systemctl restart postrider-access postrider-mta postrider-dashboard")


    def bobs_mail() -> typing.Any:
        return json.loads(server.succeed("python3 /etc/mailboxes.py localhost 993 bob@example.test bob"))["INBOX"]


    start_all()
    for role in ("access", "mta"):
        server.wait_for_unit(f"postrider-{role}.service")
    send(server, "ann@example.test", "ann", "bob@example.test", "before")
    wait_for_mail(server, "bob@example.test", "bob", "before")
    send(server, "ann@example.test", "ann", "far@elsewhere.example", "patience")
    server.wait_until_succeeds("postrider queue list | grep -F far@elsewhere.example", timeout=30)
    first, inbox, waiting = programs(), bobs_mail(), server.succeed("postrider --json queue list | jq -r '.. | .id? // empty'")
    assert waiting.strip()
    server.succeed(f"systemd-run --unit=knock python3 -c {shlex.quote(KNOCK)}")
    server.succeed(f"systemd-run --unit=watch python3 -c {shlex.quote(WATCH)}")
    server.wait_until_succeeds("grep -q greeted /run/knocks && grep -q watching /run/watch", timeout=60)

    for name, step in (("next", "the upgrade"), ("base", "the way back")):
        with subtest(f"{step} exchanges the programs"):
            server.succeed("truncate -s 0 /run/watch")
            switch_to(name)
            now = programs()
            assert (now == first) == (name == "base"), now
            server.wait_until_succeeds("grep -q watching /run/watch", timeout=60)

        with subtest(f"after {step} mailbox and queue are as they were"):
            assert bobs_mail() == inbox
            assert server.succeed("postrider --json queue list | jq -r '.. | .id? // empty'") == waiting

    with subtest("nobody was refused meanwhile"):
        server.succeed("systemctl stop knock.service watch.service")
        knocks = server.succeed("cat /run/knocks").splitlines()
        assert len(knocks) > 20 and set(knocks) == {"greeted"}, [knock for knock in knocks if knock != "greeted"]

    with subtest("mail is sent and read as before"):
        send(server, "ann@example.test", "ann", "bob@example.test", "after")
        wait_for_mail(server, "bob@example.test", "bob", "after")

    with subtest("journals without errors"):
        no_errors(server)
  '';
}
