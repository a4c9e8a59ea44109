# Promise: the packet filter no longer lets banned clients through to the mail ports, other ports stay open, and when the
# ban is lifted the client is let through again. Only one role may change the filter, and only its own sets.
{ self }:
{ ... }:
{
  name = "bans-reach-the-packet-filter";
  globalTimeout = 600;

  nodes = {
    guesser = import ./lib/guesser.nix;
    server =
      { pkgs, ... }:
      {
        imports = [ (import ./lib/server.nix { inherit self; }) ];
        networking.nftables.enable = true;
        networking.firewall.allowedTCPPorts = [ 8000 ];
        services.postrider = {
          bans.nftables = true;
          settings.guard = {
            ban = "1h";
            failures = 3;
          };
        };
        systemd.services.neighbour = {
          description = "Something else on the machine";
          wantedBy = [ "multi-user.target" ];
          script = "cd /var/empty && exec ${pkgs.python3}/bin/python3 -m http.server 8000";
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


      def knock(port: int) -> int:
          """0 when connected, 124 when nothing comes back at all."""
          return int(guesser.execute(f"timeout 4 bash -c 'exec 3<>/dev/tcp/${host}/{port}'")[0])


      start_all()
      for role in ("access", "mta"):
          server.wait_for_unit(f"postrider-{role}.service")
      server.wait_for_open_port(8000)
      assert knock(993) == 0 and knock(8000) == 0

      with subtest("a guesser's packets to the mail ports are dropped, those to other ports are not"):
          for guess in ("one", "two", "three"):
              guesser.fail(mail_client("subjects", "${host}", "ann@example.test", guess))
          server.wait_until_succeeds("nft list set inet postrider postrider4 | grep -F ${guesser}", timeout=60)
          for port in (25, 465, 993):
              assert knock(port) == 124, port
          assert knock(8000) == 0

      if is_nixos(server):
          with subtest("a firewall that is loaded anew learns of the bans again"):
              server.succeed("systemctl reload nftables.service")
              server.wait_until_succeeds("nft list set inet postrider postrider4 | grep -F ${guesser}", timeout=60)

      with subtest("others are not disturbed"):
          send(server, "ann@example.test", "ann", "bob@example.test", "undisturbed")
          wait_for_mail(server, "bob@example.test", "bob", "undisturbed")

      with subtest("the ban can be lifted"):
          server.succeed("postrider ban remove ${guesser}")
          server.wait_until_fails("nft list set inet postrider postrider4 | grep -F ${guesser}", timeout=60)
          subjects(guesser, "ann@example.test", "ann", host="${host}")

      ends_well(server)
    '';
}
