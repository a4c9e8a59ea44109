# Promise: acknowledged mail is there after a power loss in the middle of deliveries, once and whole, and the server
# comes back by itself; what waits in the queue still waits, and an orderly restart loses nothing either.
{ self }:
{ ... }:
{
  name = "reboot-and-power-loss-keep-mail";
  globalTimeout = 900;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    # Nobody answers there: mail for it stays in the queue. That is known soon, because a stop waits for attempts in
    # flight no longer than `server.stop_within`, and one that is cut off then leaves an error in the journal.
    services.postrider.settings.dns = {
      attempts = 1;
      servers = [ "127.0.0.1:9" ];
      timeout = "1s";
    };
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}


    def wait_for_server() -> None:
        for role in ("access", "mta"):
            server.wait_for_unit(f"postrider-{role}.service")


    # Sends until it is stopped, and records the acknowledged messages.
    SENDER = """
    import smtplib, ssl
    smtp = smtplib.SMTP_SSL("localhost", 465, context=ssl._create_unverified_context(), timeout=20)
    smtp.login("ann@example.test", "ann")
    log = open("/var/lib/acknowledged", "a", buffering=1)
    for n in range(100000):
        smtp.sendmail("ann@example.test", ["bob@example.test"], f"Subject: number-{n}-end\\r\\n\\r\\nBody.\\r\\n")
        print(n, file=log)
    """

    start_all()
    wait_for_server()
    send(server, "ann@example.test", "ann", "far@elsewhere.example", "patience")
    server.wait_until_succeeds("postrider queue list | grep -F far@elsewhere.example", timeout=30)

    meant = "^-- "
    with subtest("the power fails in the middle of deliveries"):
        server.succeed(f"systemd-run --unit=sender python3 -c {shlex.quote(SENDER)}")
        server.wait_until_succeeds("test $(wc -l < /var/lib/acknowledged) -gt 30", timeout=60)
        server.succeed("sync /var/lib/acknowledged")
        if server.execute("systemd-detect-virt --quiet --container")[0] == 0:
            # A container has no power of its own to lose: its programs are killed. Its systemd may find their control groups
            # gone at the first attempt to start them again, and then tries once more.
            meant += "|Failed to spawn executor: No such file|Failed to start postrider-(access|mta).service"
            server.succeed("systemctl kill --signal=KILL postrider-access.service postrider-mta.service")
            server.wait_until_fails("systemctl is-active sender.service", timeout=30)
        else:
            server.crash()
            server.start()
        wait_for_server()

    with subtest("everything acknowledged is there, once"):
        acknowledged = server.succeed("cat /var/lib/acknowledged").split()
        assert len(acknowledged) > 30, acknowledged
        inbox = subjects(server, "bob@example.test", "bob")
        for n in acknowledged:
            assert inbox.count(f"number-{n}-end") == 1, n

    with subtest("an orderly restart keeps all of it"):
        server.shutdown()
        server.start()
        wait_for_server()
        assert subjects(server, "bob@example.test", "bob") == inbox

    with subtest("the queue still holds what waited"):
        server.succeed("postrider queue list | grep -F far@elsewhere.example")

    with subtest("journals without errors"):
        no_errors(server, meant)
  '';
}
