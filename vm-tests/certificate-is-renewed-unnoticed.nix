# Promise: with nothing but a name and consent to the terms, the server gets a certificate from an authority (Pebble) and
# renews it in time, and a client that stays connected meanwhile does not notice.
{ self }:
{ lib, pkgs, ... }:
let
  # The certificate of the authority's own site.
  site = pkgs.runCommand "authority" { nativeBuildInputs = [ pkgs.openssl ]; } ''
    mkdir $out
    new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500"
    openssl req -x509 $new -subj "/CN=Root of the test" -keyout root.key -out $out/root.pem
    openssl req -x509 $new -subj /CN=ca.test -CA $out/root.pem -CAkey root.key \
      -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:ca.test \
      -keyout $out/key.pem -out $out/cert.pem
  '';
  # How long what it gives is valid, in seconds: as long as the server lets pass between two looks, and a bit.
  lifetime = 60;
in
{
  name = "certificate-is-renewed-unnoticed";
  globalTimeout = 900;

  nodes = {
    # Named so that it gets the first address.
    authority =
      { nodes, pkgs, ... }:
      let
        configuration = pkgs.writeText "pebble.json" (
          builtins.toJSON {
            pebble = {
              listenAddress = "0.0.0.0:14000";
              managementListenAddress = "0.0.0.0:15000";
              certificate = "${site}/cert.pem";
              privateKey = "${site}/key.pem";
              httpPort = 80;
              tlsPort = 443;
              ocspResponderURL = "";
              # The older and the newer way to say it.
              certificateValidityPeriod = lifetime;
              profiles.default = {
                description = "short";
                validityPeriod = lifetime;
              };
            };
          }
        );
      in
      {
        networking.firewall.enable = false;
        systemd.services = {
          names = {
            description = "DNS for the test";
            wantedBy = [ "multi-user.target" ];
            path = [ pkgs.dnsmasq ];
            script = lib.concatStringsSep " " [
              "exec dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --local=/test/"
              "--address=/ca.test/192.168.1.1"
              "--address=/mail.example.test/${nodes.server.networking.primaryIPAddress}"
            ];
          };
          pebble = {
            description = "Authority for the test";
            wantedBy = [ "multi-user.target" ];
            after = [ "names.service" ];
            environment.PEBBLE_VA_NOSLEEP = "1";
            script = "exec ${pkgs.pebble}/bin/pebble -config ${configuration} -dnsserver 127.0.0.1:53";
          };
        };
      };
    server = {
      # The authority itself is looked up by the system's resolver.
      networking.extraHosts = "192.168.1.1 ca.test\n";
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      services.postrider = {
        certificates = {
          selfSigned = lib.mkForce false;
          builtinAcme = {
            enable = true;
            acceptTerms = true;
            authority = "https://ca.test:14000/dir";
            authorityRoot = "${site}/root.pem";
          };
        };
        settings = {
          dns.servers = [ "192.168.1.1:53" ];
          tls.look_every = "2s";
        };
      };
    };
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}

    # Stays connected and says how often it was answered.
    WATCH = """
    import imaplib, ssl, time
    imap = imaplib.IMAP4_SSL("localhost", 993, ssl_context=ssl._create_unverified_context(), timeout=60)
    imap.login("ann@example.test", "ann")
    log = open("/run/watch", "a", buffering=1)
    while True:
        imap.noop()
        print("answered", file=log)
        time.sleep(0.5)
    """


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
        server.succeed(f"systemd-run --unit=watch python3 -c {shlex.quote(WATCH)}")
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
