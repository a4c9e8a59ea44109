# Promise: a user who is declared without a password chooses one in a browser, by a link that works once; nobody else
# learns it, and no later start of the server takes it away.
{ self }:
{ ... }:
{
  name = "users-choose-their-passwords";
  globalTimeout = 600;

  nodes = {
    browser =
      { pkgs, ... }:
      {
        environment.systemPackages = [ pkgs.curl ];
      };
    server =
      { pkgs, ... }:
      {
        imports = [ (import ./lib/server.nix { inherit self; }) ];
        environment.systemPackages = [ pkgs.jq ];
        services.postrider = {
          domains."example.test".users.carol = { };
          setUpLinks.enable = true;
        };
      };
  };

  testScript =
    { nodes, ... }:
    let
      host = nodes.server.networking.primaryIPAddress;
    in
    ''
      ${builtins.readFile ./lib/mail.py}


      def fetch(link: str, *options: str) -> str:
          """The page behind a link and then its status, as a browser elsewhere gets it."""
          words = ["curl", "-sk", "--max-time", "60", "--resolve", "mail.example.test:443:${host}"]
          return browser.succeed(shlex.join([*words, "-w", "\nstatus %{http_code}", *options, link]))


      def choose(link: str, password: str) -> str:
          return fetch(link, "--data-urlencode", f"password={password}", "--data-urlencode", f"again={password}")


      start_all()
      for role in ("access", "mta"):
          server.wait_for_unit(f"postrider-{role}.service")
      server.wait_for_open_port(443)

      with subtest("one link is made for everybody without a password"):
          links = server.succeed("postrider --json user invite --all | jq -r '.[] | [.address, .link] | @tsv'").split()
          assert len(links) == 2 and links[0] == "carol@example.test", links
          link = links[1]
          assert link.startswith("https://mail.example.test/set-up/"), link

      with subtest("the page says whose password it is"):
          page = fetch(link)
          assert "status 200" in page and "carol@example.test" in page, page

      with subtest("a password that is too short is sent back"):
          page = choose(link, "short")
          assert "status 400" in page and "too short" in page, page

      with subtest("a password is chosen, and mail can be read with it"):
          assert "Your password is set" in choose(link, "a word of my own")
          send(server, "ann@example.test", "ann", "carol@example.test", "welcome")
          wait_for_mail(server, "carol@example.test", "a word of my own", "welcome")

      with subtest("the link works once"):
          page = choose(link, "a word of a thief")
          assert "status 404" in page and "no longer valid" in page, page
          wait_for_mail(server, "carol@example.test", "a word of my own", "welcome")

      with subtest("a start of the server takes nothing away"):
          server.succeed("systemctl restart postrider-access.service postrider-mta.service")
          wait_for_mail(server, "carol@example.test", "a word of my own", "welcome")

      with subtest("neither the password nor the link is written down anywhere"):
          token = link.split("/")[-1]
          for secret in ("a word of my own", token):
              server.fail(f"journalctl --no-pager -u 'postrider-*' | grep -F {shlex.quote(secret)}")
              server.fail(f"grep -rF {shlex.quote(secret)} /var/lib/postrider")

      with subtest("journals without errors"):
          no_errors(server)
    '';
}
