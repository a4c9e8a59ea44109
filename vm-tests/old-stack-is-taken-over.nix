# Promise: a running Postfix and Dovecot are replaced in place. Users log in with the passwords they have, mail programs
# find every folder, UID, flag, keyword and subscription as they were and download nothing again, and new mail
# follows the old.
{ self }:
{ lib, ... }:
{
  name = "old-stack-is-taken-over";
  globalTimeout = 900;

  nodes.server = {
    imports = [
      (import ./lib/old-stack.nix { })
      (import ./lib/server.nix { inherit self; })
    ];
    environment.etc."mailboxes.py".source = ./lib/mailboxes.py;
    services.postrider = {
      dashboard.enable = lib.mkForce false;
      domains."example.test".aliases.office = [ "bob@example.test" ];
    };
    # Declared already, started when the old stack has gone.
    systemd.services = lib.genAttrs [ "postrider-access" "postrider-health-gate" "postrider-mta" ] (_: {
      wantedBy = lib.mkForce [ ];
    });
    systemd.sockets =
      lib.genAttrs
        (map (name: "postrider-${name}") [
          "imap"
          "imaps"
          "lmtp"
          "smtp"
          "submission"
          "submissions"
        ])
        (_: {
          wantedBy = lib.mkForce [ ];
        });
  };

  testScript = ''
    import json

    ${builtins.readFile ./lib/mail.py}

    # What bob has done to his mail, by a program that is neither of the two servers.
    SORT = """
    import imaplib
    imap = imaplib.IMAP4("localhost")
    imap.login("bob@example.test", "bob")
    for folder in ("Archive", "Archive/2026", "Empty"):
        imap.create(folder)
    imap.subscribe("Archive/2026")
    imap.select("INBOX")
    imap.store("1", "+FLAGS", r"(\\Seen \\Answered $Work)")
    imap.store("2", "+FLAGS", r"(\\Flagged)")
    imap.copy("1:3", "Archive/2026")
    imap.store("3", "+FLAGS", r"(\\Deleted)")
    imap.expunge()
    imap.logout()
    """


    def deliver(subject: str, to: str = "bob@example.test") -> None:
        words = ["swaks", "--server", "localhost", "--from", "ann@example.test", "--to", to, "--header", f"Subject: {subject}"]
        server.succeed(shlex.join(words))


    def mailboxes(port: int) -> typing.Any:
        return json.loads(server.succeed(f"python3 /etc/mailboxes.py localhost {port} bob@example.test bob"))


    start_all()
    server.wait_for_unit("old-dovecot.service")
    server.wait_for_unit("old-postfix.service")
    server.wait_for_open_port(25)
    server.wait_for_open_port(143)

    with subtest("the old stack gets mail, and bob sorts it"):
        for n in range(4):
            deliver(f"old {n}")
        deliver("by the old alias", "office@example.test")
        server.wait_until_succeeds("python3 /etc/mailboxes.py localhost 143 bob@example.test bob | grep -F 'by the old alias'", timeout=60)
        server.succeed(shlex.join(["python3", "-c", SORT]))
        before = mailboxes(143)
        assert len(before["INBOX"]["messages"]) == 4 and len(before["Archive/2026"]["messages"]) == 3, before

    with subtest("the servers change"):
        server.succeed("systemctl stop old-postfix.service old-dovecot.service")
        server.wait_for_closed_port(143)
        server.succeed("systemctl start postrider-access.service postrider-mta.service")

    with subtest("a mail program finds everything as it was"):
        after = mailboxes(993)
        for folder, was in before.items():
            assert after.get(folder) == was, f"{folder}: was {was}, is {after.get(folder)}"

    with subtest("new mail goes on behind the old, also by the alias"):
        deliver("new")
        deliver("by the new alias", "office@example.test")
        wait_for_mail(server, "bob@example.test", "bob", "by the new alias")
        inbox = mailboxes(993)["INBOX"]["messages"]
        fresh = sorted(int(uid) for uid in inbox if uid not in before["INBOX"]["messages"])
        assert fresh == [before["INBOX"]["uidnext"], before["INBOX"]["uidnext"] + 1], inbox

    with subtest("a wrong password is still wrong"):
        server.fail(mail_client("subjects", "localhost", "bob@example.test", "ann"))

    with subtest("the health gate is content"):
        server.succeed("systemctl start postrider-health-gate.service")

    with subtest("journals without errors"):
        no_errors(server)
  '';
}
