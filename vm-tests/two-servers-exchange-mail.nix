# Promise: two servers find each other by MX records, use TLS, and pass mail both ways; mail for a server that is down
# waits in the queue and arrives when it is back.
{ self }:
{ lib, ... }:
let
  server = domain: {
    imports = [ (import ./lib/server.nix { inherit self domain; }) ];
    networking.hostName = lib.mkForce (lib.head (lib.splitString "." domain));
    services.postrider.settings = {
      dns.servers = [ "192.168.1.1:53" ];
      queue.first_retry = "5s";
    };
  };
in
{
  name = "two-servers-exchange-mail";
  globalTimeout = 900;

  nodes = {
    # Named so that it gets the first address.
    authority =
      { pkgs, nodes, ... }:
      let
        addressOf = name: nodes.${name}.networking.primaryIPAddress;
      in
      {
        systemd.services.names = {
          description = "DNS for the test";
          wantedBy = [ "multi-user.target" ];
          path = [ pkgs.dnsmasq ];
          script = lib.concatStringsSep " " [
            "exec dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null"
            "--mx-host=one.test,mail.one.test,10 --mx-host=two.test,mail.two.test,10"
            "--address=/mail.one.test/${addressOf "one"} --address=/mail.two.test/${addressOf "two"}"
            "--local=/test/"
          ];
        };
        networking.firewall.allowedUDPPorts = [ 53 ];
      };
    one = server "one.test";
    two = server "two.test";
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}
    start_all()
    authority.wait_for_unit("names.service")
    for machine in (one, two):
        machine.wait_for_unit("postrider-access.service")
        machine.wait_for_unit("postrider-mta.service")

    with subtest("mail goes both ways"):
        send(one, "ann@one.test", "ann", "bob@two.test", "from one")
        wait_for_mail(two, "bob@two.test", "bob", "from one")
        send(two, "bob@two.test", "bob", "ann@one.test", "from two")
        wait_for_mail(one, "ann@one.test", "ann", "from two")

    with subtest("over TLS, and the journey can be read on both sides"):
        two.succeed("grep -rh '^Received:' -A3 /var/mail/vhosts/two.test/bob/new | grep -q ESMTPS")
        one.wait_until_succeeds("postrider trace bob@two.test | grep -F mail.two.test")

    with subtest("what cannot be passed on waits"):
        two.succeed("systemctl stop postrider-smtp.socket postrider-mta.service")
        send(one, "ann@one.test", "ann", "bob@two.test", "patience")
        # Until it has been tried in vain it is not there to be tried again.
        one.wait_until_succeeds("postrider trace bob@two.test | grep -F 'Not passed on'", timeout=60)
        two.succeed("systemctl start postrider-smtp.socket postrider-mta.service")
        one.wait_until_succeeds("postrider queue retry all", timeout=30)
        wait_for_mail(two, "bob@two.test", "bob", "patience")

    with subtest("journals without errors"):
        no_errors(one)
        no_errors(two)
  '';
}
