# Promise: reports are made by a timer, as JSON in a folder and as a letter to the postmaster, by a unit that may do no
# more than that; and mail of local programs to root reaches the postmaster too.
{ self }:
{ ... }:
{
  name = "reports-reach-the-postmaster";
  globalTimeout = 600;

  nodes.server =
    { pkgs, ... }:
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      environment.systemPackages = [ pkgs.jq ];
      services.postrider = {
        # Which the unit does not get.
        forwarding.srsSecretFile = "/etc/secrets/ann";
        localMail.to = "bob@example.test";
        reports = {
          enable = true;
          to = "bob@example.test";
        };
      };
    };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}
    start_all()
    for role in ("access", "mta"):
        server.wait_for_unit(f"postrider-{role}.service")

    with subtest("the timer is set"):
        server.succeed("systemctl is-active postrider-reports.timer")

    with subtest("reports are written, and the postmaster gets a letter"):
        send(server, "ann@example.test", "ann", "bob@example.test", "counted")
        wait_for_mail(server, "bob@example.test", "bob", "counted")
        server.succeed("systemctl start postrider-reports.service")
        server.succeed("ls /var/lib/postrider-reports/*.json >&2 && jq empty /var/lib/postrider-reports/*.json")
        letters = subjects(server, "bob@example.test", "bob")
        assert len(letters) == 2, letters

    with subtest("so does what a program writes to root, and nobody is written to elsewhere"):
        for user in ("root", "nobody", "vmail"):
            letter = f"From: {user} (Cron Daemon)\\nTo: root\\nSubject: from {user}\\n\\ndone\\n"
            server.succeed(f"printf '{letter}' | runuser -u {user} -- sendmail -i -t")
            wait_for_mail(server, "bob@example.test", "bob", f"from {user}")
            # Whatever the letter says, the sender is the user named by the kernel.
            server.wait_until_succeeds(f"postrider trace bob@example.test | grep -F 'from {user}@' >&2")
        server.fail("echo spam | sendmail -i somebody@elsewhere.test")

    with subtest("nobody else reads them, and the sandbox of each unit is judged at most 2.0"):
        server.fail("runuser -u nobody -- ls /var/lib/postrider-reports")
        all_sandboxed(server)

    with subtest("journals without errors"):
        no_errors(server)
  '';
}
