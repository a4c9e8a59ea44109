# A certificate authority for the tests (Pebble) and the names it and the servers are found by. Its machine must get the first
# address, which it has when it is named `authority`.
{
  lib,
  pkgs,
  # How long what it gives is valid, in seconds.
  lifetime,
  # Addresses of the machines that ask it, by domain, with every name below.
  names,
}:
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
  address = "192.168.1.1";
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
  directory = "https://ca.test:14000/dir";
  resolver = "${address}:53";
  root = "${site}/root.pem";
  # How the system's resolver finds it.
  hosts = "${address} ca.test\n";

  machine = {
    networking.firewall.enable = false;
    systemd.services = {
      names = {
        description = "DNS for the test";
        wantedBy = [ "multi-user.target" ];
        path = [ pkgs.dnsmasq ];
        script = lib.concatStringsSep " " (
          [
            "exec dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --local=/test/"
            "--address=/ca.test/${address}"
          ]
          ++ lib.mapAttrsToList (domain: server: "--address=/${domain}/${server}") names
        );
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
}
