# Promise: users may be added, changed and removed in the declaration. A password the user has chosen survives, a removed
# user is disabled with all mail kept, and one who comes back finds it again. `plan` says so before, and changes nothing.
{ self }:
{ lib, pkgs, ... }:
{
  name = "removed-user-is-archived";
  globalTimeout = 900;

  nodes.server =
    { config, ... }:
    let
      variant =
        users:
        (pkgs.formats.toml { }).generate "postrider.toml" (
          lib.recursiveUpdate config.services.postrider.settings {
            accounts.declared = (pkgs.formats.json { }).generate "accounts.json" {
              domains."example.test" = { inherit users; };
            };
          }
        );
      # As the module writes them: only the units know where these files are.
      credential = user: { hashed_password_file = "credential:password-${user}_at_example.test"; };
      ann = credential "ann";
    in
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      services.postrider.plan.allowDestructive = [ "bob@example.test" ];
      environment.etc = {
        "variants/without-anybody.toml".source = variant { };
        "variants/without-bob.toml".source = variant { inherit ann; };
        "variants/with-carol.toml".source = variant {
          inherit ann;
          bob = credential "bob";
          carol.hashed_password_file = "/etc/secrets/bob";
        };
      };
    };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}


    def switch_to(variant: str) -> None:
        server.succeed(f"mount --bind /etc/variants/{variant}.toml /etc/postrider/postrider.toml")
        server.succeed("systemctl reload postrider-access.service postrider-mta.service")


    start_all()
    server.wait_for_unit("postrider-access.service")
    server.wait_for_unit("postrider-mta.service")

    with subtest("bob gets mail and chooses a password of his own"):
        send(server, "ann@example.test", "ann", "bob@example.test", "before")
        wait_for_mail(server, "bob@example.test", "bob", "before")
        server.succeed("echo mine | postrider user passwd bob@example.test")
        wait_for_mail(server, "bob@example.test", "mine", "before")

    with subtest("the plan says what a removal does, and does nothing"):
        out = server.succeed("postrider --config /etc/variants/without-bob.toml plan")
        assert "bob@example.test" in out, out
        wait_for_mail(server, "bob@example.test", "mine", "before")

    with subtest("a removal that was not allowed by name changes nothing"):
        server.succeed("mount --bind /etc/variants/without-anybody.toml /etc/postrider/postrider.toml")
        server.fail("systemctl reload postrider-access.service")
        server.succeed("journalctl -u postrider-access --no-pager | grep -F 'archive-user ann@example.test'")
        server.fail("journalctl -u postrider-access --no-pager | grep -F 'archive-user bob@example.test'")
        server.succeed("umount /etc/postrider/postrider.toml")
        wait_for_mail(server, "bob@example.test", "mine", "before")

    with subtest("a removed user cannot log in, and the mail stays"):
        switch_to("without-bob")
        server.wait_until_fails("curl -sk --user bob@example.test:mine imaps://localhost/", timeout=30)
        server.succeed("grep -rq 'Subject: before' /var/mail/vhosts/example.test/bob/")

    with subtest("who comes back finds mail and password again; a new user can log in"):
        switch_to("with-carol")
        wait_for_mail(server, "bob@example.test", "mine", "before")
        server.wait_until_succeeds("curl -sk --user carol@example.test:bob imaps://localhost/", timeout=30)

    with subtest("journals without errors"):
        no_errors(server, meant="^-- |Reload failed")
  '';
}
