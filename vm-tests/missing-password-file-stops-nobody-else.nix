# Promise: a user whose password file is missing has no password from it, and is named; everybody else has mail, and all of it is
# in the backups.
{ self }:
{ ... }:
{
  name = "missing-password-file-stops-nobody-else";
  globalTimeout = 600;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    services.postrider = {
      backup.enable = true;
      domains."example.test".users.carol.hashedPasswordFile = "/var/lib/secrets/carol";
    };
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}


    def check_others(subject: str) -> None:
        send(server, "ann@example.test", "ann", "bob@example.test", subject)
        wait_for_mail(server, "bob@example.test", "bob", subject)


    start_all()
    with subtest("the roles start, and others write and read"):
        server.wait_for_unit("postrider-access.service")
        server.wait_for_unit("postrider-mta.service")
        check_others("without carol's file")

    with subtest("who has no password is named, and cannot log in"):
        server.succeed("journalctl -u postrider-access --no-pager | grep -F carol@example.test")
        server.fail("curl -sk --user carol@example.test: imaps://localhost/")

    with subtest("mail for them is kept"):
        send(server, "ann@example.test", "ann", "carol@example.test", "for later")

    with subtest("backups are taken"):
        server.succeed("systemctl start postrider-backup.service || { journalctl -u postrider-backup --no-pager >&2; false; }")

    with subtest("with the file they read it, and keep their password when it is gone again"):
        server.succeed("install -D -m 0400 /etc/secrets/bob /var/lib/secrets/carol")
        server.succeed("systemctl restart postrider-access.service")
        wait_for_mail(server, "carol@example.test", "bob", "for later")
        server.succeed("rm /var/lib/secrets/carol")
        server.succeed("systemctl restart postrider-access.service")
        wait_for_mail(server, "carol@example.test", "bob", "for later")
        check_others("without carol's file again")
  '';
}
