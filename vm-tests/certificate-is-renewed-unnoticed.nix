# Promise: with nothing but a name and consent to the terms, the server gets a certificate from an authority (Pebble) and
# renews it in time, and a client that stays connected meanwhile does not notice.
{ self }:
{ lib, pkgs, ... }:
let
  authorityFor =
    nodes:
    import ./lib/authority.nix {
      inherit lib pkgs;
      # Slightly longer than the server's check interval.
      lifetime = 60;
      names."mail.example.test" = nodes.server.networking.primaryIPAddress;
    };
in
{
  name = "certificate-is-renewed-unnoticed";
  globalTimeout = 900;

  nodes = {
    authority = { nodes, ... }: (authorityFor nodes).machine;
    server =
      { nodes, ... }:
      let
        authority = authorityFor nodes;
      in
      {
        environment.etc."watch.py".source = ./lib/watch.py;
        # The authority itself is looked up by the system's resolver.
        networking.extraHosts = authority.hosts;
        imports = [ (import ./lib/server.nix { inherit self; }) ];
        services.postrider = {
          certificates = {
            selfSigned = lib.mkForce false;
            builtinAcme = {
              enable = true;
              acceptTerms = true;
              authority = authority.directory;
              authorityRoot = authority.root;
            };
          };
          settings = {
            dns.servers = [ authority.resolver ];
            tls.look_every = "2s";
          };
        };
      };
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}


    def certificate(*fields: str) -> str:
        """What the certificate on port 993 says of itself."""
        return server.succeed(
            "openssl s_client -connect localhost:993 -servername mail.example.test </dev/null 2>/dev/null"
            f" | openssl x509 -noout {' '.join('-' + field for field in fields)}"
        )


    # After an attempt that fails the next one comes late: the authority is there first, and so is the way to it.
    authority.start()
    authority.wait_for_unit("pebble.service")
    authority.wait_for_open_port(14000)
    start_all()
    server.wait_until_succeeds("nc -z 192.168.1.1 14000", timeout=60)
    server.succeed("systemctl restart postrider-mta.service")
    for role in ("access", "mta"):
        server.wait_for_unit(f"postrider-{role}.service")

    with subtest("a certificate is got, and every role shows it"):
        server.wait_until_succeeds(
            "openssl s_client -connect localhost:993 -servername mail.example.test </dev/null 2>/dev/null"
            " | openssl x509 -noout -issuer | grep -i pebble",
            timeout=90,
        )
        server.wait_until_succeeds(
            "openssl s_client -connect localhost:465 -servername mail.example.test </dev/null 2>/dev/null"
            " | openssl x509 -noout -issuer | grep -i pebble",
            timeout=60,
        )
        assert "DNS:mail.example.test" in certificate("ext subjectAltName")

    with subtest("its key is for the mail server only"):
        server.succeed("find /var/lib/postrider/acme -type f | grep .")
        server.fail("find /var/lib/postrider/acme -type f -perm /o=rwx | grep .")
        server.fail("setpriv --reuid=nobody --clear-groups ls /var/lib/postrider/acme")

    with subtest("it is renewed, and who is connected does not notice"):
        server.succeed("systemd-run --unit=watch python3 /etc/watch.py")
        server.wait_until_succeeds("grep -q answered /run/watch", timeout=60)
        first = certificate("serial").strip()
        server.wait_until_succeeds(
            "openssl s_client -connect localhost:993 -servername mail.example.test </dev/null 2>/dev/null"
            f" | openssl x509 -noout -serial | grep -vFx {first}",
            timeout=300,
        )
        before = int(server.succeed("wc -l < /run/watch"))
        server.wait_until_succeeds(f"test $(wc -l < /run/watch) -gt {before}", timeout=60)
        server.succeed("systemctl is-active watch.service")

    with subtest("mail is sent and read meanwhile"):
        send(server, "ann@example.test", "ann", "bob@example.test", "renewed")
        wait_for_mail(server, "bob@example.test", "bob", "renewed")
  '';
}
