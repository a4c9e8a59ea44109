# Promise: a certificate that something else renews is shown by every role and by the reverse proxy soon after its files
# have changed, without a restart, and is nobody else's to read.
{ self }:
{ lib, pkgs, ... }:
let
  # As programs that renew certificates do it: first the key, a while later the certificate.
  renew = pkgs.writeShellScript "renew" ''
    set -eu
    mkdir -p -m 700 /var/lib/certs
    cd /var/lib/certs
    ${pkgs.openssl}/bin/openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=mail.example.test \
      -addext subjectAltName=DNS:mail.example.test,DNS:autoconfig.example.test -keyout key.new -out cert.new
    mv key.new key.pem
    sleep "''${1-0}"
    mv cert.new cert.pem
  '';
in
{
  name = "replaced-certificate-is-taken-over";
  globalTimeout = 600;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    environment.etc.renew.source = renew;
    systemd.services.first-certificate = {
      before = [ "postrider-certificates.service" ];
      requiredBy = [ "postrider-certificates.service" ];
      serviceConfig = {
        ExecStart = "${renew}";
        RemainAfterExit = true;
        Type = "oneshot";
      };
    };
    services.postrider = {
      certificates = {
        selfSigned = lib.mkForce false;
        files = [
          {
            certFile = "/var/lib/certs/cert.pem";
            keyFile = "/var/lib/certs/key.pem";
          }
        ];
      };
      reverseProxy.enable = true;
      settings.tls.look_every = "1s";
    };
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}

    PORTS = {"access": 993, "mta": 465, "nginx": 443}


    def shows(port: int) -> str:
        """A command that prints the serial number of the certificate on a port."""
        return (
            f"openssl s_client -connect localhost:{port} -servername mail.example.test </dev/null 2>/dev/null"
            " | openssl x509 -noout -serial"
        )


    def processes() -> str:
        return server.succeed("systemctl show --property MainPID postrider-access postrider-mta nginx")


    start_all()
    for unit in ("postrider-access", "postrider-mta", "nginx"):
        server.wait_for_unit(f"{unit}.service")
    for port in PORTS.values():
        server.wait_for_open_port(port)

    with subtest("every role shows the first one"):
        first = server.succeed("openssl x509 -in /var/lib/certs/cert.pem -noout -serial").strip()
        for port in PORTS.values():
            server.wait_until_succeeds(f"{shows(port)} | grep -Fx {first}", timeout=60)

    with subtest("the next one is shown, and nothing was restarted for it"):
        before = processes()
        server.succeed("/etc/renew 3 >&2")
        second = server.succeed("openssl x509 -in /var/lib/certs/cert.pem -noout -serial").strip()
        assert first != second
        for port in PORTS.values():
            server.wait_until_succeeds(f"{shows(port)} | grep -Fx {second}", timeout=60)
        assert processes() == before

    with subtest("so is the last of many, though a unit may not be started that often"):
        for _ in range(8):
            server.succeed("/etc/renew >&2; sleep 0.5")
        last = server.succeed("openssl x509 -in /var/lib/certs/cert.pem -noout -serial").strip()
        for port in PORTS.values():
            server.wait_until_succeeds(f"{shows(port)} | grep -Fx {last}", timeout=60)
        assert processes() == before

    with subtest("its key is for the roles that speak TLS"):
        key = "/run/postrider-certificates/file0-key.pem"
        server.succeed(f"test $(stat -c %U:%G:%a {key}) = root:postrider-tls:640")
        for other in ("nobody", "postrider-dashboard"):
            server.fail(f"runuser -u {other} -- cat {key}")

    with subtest("mail goes on"):
        send(server, "ann@example.test", "ann", "bob@example.test", "renewed")
        wait_for_mail(server, "bob@example.test", "bob", "renewed")

    with subtest("journals without errors"):
        # Replaced this often, a key may be seen before its certificate arrives, which is reported.
        no_errors(server, meant="^-- |does not belong to the certificate")
  '';
}
