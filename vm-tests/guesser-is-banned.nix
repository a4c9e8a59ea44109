# Promise: clients that guess passwords are banned, others are not disturbed; an administrator sees the ban and can lift it, and can
# ban by hand. (A client that has logged in before is an acquaintance: an outdated password does not lock it out.)
{ self }:
{ ... }:
{
  name = "guesser-is-banned";
  globalTimeout = 600;

  nodes = {
    guesser = import ./lib/guesser.nix;
    server = {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      services.postrider.settings.guard = {
        ban = "1h";
        failures = 3;
      };
    };
  };

  testScript =
    { nodes, ... }:
    let
      host = nodes.server.networking.primaryIPAddress;
      guesser = nodes.guesser.networking.primaryIPAddress;
    in
    ''
      ${builtins.readFile ./lib/mail.py}
      start_all()
      server.wait_for_unit("postrider-access.service")
      server.wait_for_unit("postrider-mta.service")

      with subtest("guessing leads to a ban, after which the right password does not help"):
          for guess in ("one", "two", "three"):
              guesser.fail(mail_client("subjects", "${host}", "ann@example.test", guess))
          server.wait_until_succeeds("postrider ban list | grep -F ${guesser}", timeout=20)
          guesser.fail(mail_client("subjects", "${host}", "ann@example.test", "ann"))

      with subtest("others are not disturbed"):
          send(server, "ann@example.test", "ann", "bob@example.test", "undisturbed")
          wait_for_mail(server, "bob@example.test", "bob", "undisturbed")

      with subtest("an administrator lifts the ban"):
          server.succeed("postrider ban remove ${guesser}")
          subjects(guesser, "ann@example.test", "ann", host="${host}")

      with subtest("and bans by hand, in every role"):
          server.succeed("postrider ban add --for 1h --reason 'a test' ${guesser}")
          guesser.fail(mail_client("subjects", "${host}", "ann@example.test", "ann"))
          guesser.fail("nc -w 5 ${host} 25 </dev/null | grep ^220")

      with subtest("journals without errors"):
          no_errors(server)
    '';
}
