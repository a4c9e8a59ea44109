# Promise: with `certificates.acme` NixOS's own client gets the certificate, through nginx, from an authority (Pebble).
# When it is renewed every role shows the new one without a restart: who is connected stays so, and nobody who comes
# meanwhile is turned away.
{ self }:
{ lib, pkgs, ... }:
let
  authorityFor =
    nodes:
    import ./lib/authority.nix {
      inherit lib pkgs;
      # Less than the required remaining time, so that every check is a renewal.
      lifetime = 20 * 24 * 60 * 60;
      names."example.test" = nodes.server.networking.primaryIPAddress;
    };
in
{
  name = "certificate-of-security-acme-is-renewed";
  globalTimeout = 900;

  nodes = {
    authority = { nodes, ... }: (authorityFor nodes).machine;
    server =
      { nodes, ... }:
      let
        authority = authorityFor nodes;
      in
      {
        imports = [ (import ./lib/server.nix { inherit self; }) ];
        environment.etc."watch.py".source = ./lib/watch.py;
        networking.extraHosts = authority.hosts;
        services.postrider = {
          certificates = {
            selfSigned = lib.mkForce false;
            acme = {
              enable = true;
              extraDomainNames = [ "imap.example.test" ];
            };
          };
          reverseProxy.enable = true;
          settings.tls.look_every = "1s";
        };
        security = {
          acme = {
            acceptTerms = true;
            defaults = {
              email = "postmaster@example.test";
              server = authority.directory;
              # Since 26.05 the default is a third of the lifetime.
              validMinDays = 30;
            };
          };
          pki.certificateFiles = [ authority.root ];
        };
      };
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}

    PORTS = {"access": 993, "mta": 465, "nginx": 443}

    # Comes again and again, to send and to read.
    LOAD = """
    import imaplib, smtplib, ssl
    context = ssl._create_unverified_context()
    log = open("/run/load", "a", buffering=1)
    for n in range(100000):
        with smtplib.SMTP_SSL("localhost", 465, context=context, timeout=60) as smtp:
            smtp.login("ann@example.test", "ann")
            smtp.sendmail("ann@example.test", ["bob@example.test"], f"Subject: load-{n}-end\\r\\n\\r\\nBody.\\r\\n")
        with imaplib.IMAP4_SSL("localhost", 993, ssl_context=context, timeout=60) as imap:
            imap.login("bob@example.test", "bob")
            imap.select("INBOX", readonly=True)
        print(n, file=log)
    """


    def shows(port: int, field: str) -> str:
        """A command that prints what the certificate on a port says of itself."""
        return (
            f"openssl s_client -connect localhost:{port} -servername mail.example.test </dev/null 2>/dev/null"
            f" | openssl x509 -noout -{field}"
        )


    def processes() -> str:
        return server.succeed("systemctl show --property MainPID postrider-access postrider-mta nginx")


    def lines(file: str) -> int:
        return int(server.succeed(f"wc -l < {file}"))


    def check_renewal() -> None:
        # Its unit that asks the authority had another name until 25.11.
        orders = "acme-order-renew-mail.example.test.service"
        if server.execute(f"systemctl cat {orders}")[0] != 0:
            orders = "acme-mail.example.test.service"

        with subtest("a certificate is got, and every role and nginx show it"):
            # The way there may not have been open yet when it was asked for first.
            server.wait_until_succeeds(f"systemctl start {orders}", timeout=180)
            for unit in ("postrider-access", "postrider-mta", "nginx"):
                server.wait_for_unit(f"{unit}.service")
            for port in PORTS.values():
                server.wait_until_succeeds(f"{shows(port, 'issuer')} | grep -i pebble", timeout=90)
                assert "DNS:imap.example.test" in server.succeed(shows(port, "ext subjectAltName"))

        with subtest("its key is for the roles that speak TLS, and not lost on the way"):
            key = "/run/postrider-certificates/acme-key.pem"
            server.succeed(f"test $(stat -c %U:%G:%a {key}) = root:postrider-tls:640")
            server.succeed(f"cmp {key} /var/lib/acme/mail.example.test/key.pem")
            for file in (key, "/var/lib/acme/mail.example.test/key.pem"):
                for other in ("nobody", "postrider-dashboard"):
                    server.fail(f"setpriv --reuid={other} --clear-groups cat {file}")

        with subtest("it is renewed twice under load, and nobody notices"):
            before = processes()
            server.succeed("systemd-run --unit=watch python3 /etc/watch.py")
            server.succeed(f"systemd-run --unit=load python3 -c {shlex.quote(LOAD)}")
            for name in ("watch", "load"):
                server.wait_until_succeeds(f"grep -q . /run/{name}", timeout=60)
            for _ in range(2):
                old = server.succeed(shows(993, "serial")).strip()
                server.succeed(f"systemctl start {orders}")
                for port in PORTS.values():
                    server.wait_until_succeeds(f"{shows(port, 'serial')} | grep -vFx {old}", timeout=90)
                served = {server.succeed(shows(port, "serial")) for port in PORTS.values()}
                assert len(served) == 1, served
            for name in ("watch", "load"):
                seen = lines(f"/run/{name}")
                server.wait_until_succeeds(f"test $(wc -l < /run/{name}) -gt {seen}", timeout=60)
                server.succeed(f"systemctl is-active {name}.service")
            assert processes() == before

        with subtest("what was sent meanwhile is there, once"):
            server.succeed("systemctl stop load.service")
            sent = lines("/run/load")
            inbox = subjects(server, "bob@example.test", "bob")
            for n in range(sent):
                assert inbox.count(f"load-{n}-end") == 1, n

        with subtest("journals without errors"):
            no_errors(server)


    authority.start()
    authority.wait_for_unit("pebble.service")
    authority.wait_for_open_port(14000)
    start_all()
    server.wait_until_succeeds("nc -z ca.test 14000", timeout=60)
    # The client itself, where it does not come with the configuration.
    if not is_nixos(server) and server.execute("command -v lego")[0] != 0:
        print("skipped: this guest has no lego")
    else:
        check_renewal()
  '';
}
