# Promise: the example of a complete server (`hosts/server`) starts with everything that it switches on, and serves: mail from
# and to others, the pages that nginx passes on, calendars, a backup and its drill, reports, mail to root.
{ self }:
{ lib, pkgs, ... }:
let
  virus = import ./lib/virus.nix { inherit pkgs; };
  names = [
    "autoconfig.example.com"
    "autodiscover.example.com"
    "localhost"
    "mail.example.com"
    "mta-sts.example.com"
  ];
  # In place of the one from Let's Encrypt.
  certificate = pkgs.runCommand "certificate" { nativeBuildInputs = [ pkgs.openssl ]; } ''
    mkdir $out
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=example \
      -addext subjectAltName=${lib.concatMapStringsSep "," (name: "DNS:${name}") names} \
      -keyout $out/key.pem -out $out/cert.pem
  '';
in
{
  name = "example-server-serves";
  globalTimeout = 900;

  nodes = {
    outside.environment.systemPackages = [
      pkgs.curl
      pkgs.swaks
    ];
    # Scripts call a machine by its host name.
    mail = {
      imports = [
        self.nixosModules.default
        ../hosts/server
      ];
      environment.etc = {
        mail-client.source = ./lib/client.py;
        "secrets/dkim".text = ''
          -----BEGIN PRIVATE KEY-----
          MC4CAQAwBQYDK2VwBCIEIGyV+wxU563f/OD9lM6gfxGKxpWxycjMtzYtkqfq41qe
          -----END PRIVATE KEY-----
        '';
        # bcrypt of `john`.
        "secrets/john".text = "{BLF-CRYPT}$2b$04$/prj0A0/qd9YxLJl6OBL9OjcHh08AIvCegV0bA.rnm0OJ6RtuPyri";
        "secrets/key.pem".source = "${certificate}/key.pem";
      };
      environment.systemPackages = [ pkgs.python3 ];
      # Where the example has its secrets, and what ClamAV knows.
      systemd.tmpfiles.settings.test = {
        "/run/secrets/dkim-s1"."L+".argument = "/etc/secrets/dkim";
        "/run/secrets/mail-john"."L+".argument = "/etc/secrets/john";
        "/var/lib/clamav/test.ndb"."L+".argument = "${virus.signature}";
      };
      services.clamav.updater.enable = false;
      services.postrider = {
        certificates = {
          acme.enable = lib.mkForce false;
          files = [
            {
              certFile = "${certificate}/cert.pem";
              keyFile = "/etc/secrets/key.pem";
            }
          ];
        };
        # The resolver has nobody to ask.
        settings.dns = {
          attempts = 1;
          timeout = "1s";
        };
      };
      virtualisation.memorySize = 2048;
    };
  };

  testScript =
    { nodes, ... }:
    let
      host = nodes.mail.networking.primaryIPAddress;
    in
    ''
      ${builtins.readFile ./lib/mail.py}


      def fetch(url: str, options: str = "-o /dev/null -w '%{http_code}'") -> str:
          """What nginx answers to somebody elsewhere: the status, if nothing else is asked for."""
          name = url.split("/")[2]
          return outside.succeed(f"curl -sk --max-time 60 --resolve {name}:443:${host} {options} {shlex.quote(url)}")


      def stranger(*more: str) -> str:
          """What port 25 says to a message from elsewhere."""
          words = ["swaks", "--server", "${host}", "--from", "stranger@elsewhere.example", "--to", "info@example.com", "--timeout", "60"]
          return outside.execute(shlex.join([*words, *more]) + " 2>&1")[1]


      start_all()
      # It may be slow to start, and nothing waits for it.
      mail.succeed("systemctl start clamav-daemon.service")
      mail.wait_for_open_unix_socket("/run/clamav/clamd.ctl")
      for unit in ("postrider-access", "postrider-mta", "postrider-dashboard", "nginx"):
          mail.wait_for_unit(f"{unit}.service")

      with subtest("every listener answers"):
          mail.wait_for_unit("postrider-health-gate.service")

      with subtest("Jane chooses her password by a link, through nginx"):
          link = mail.succeed("postrider user invite jane@example.com | grep -o 'https://[^ ]*'").strip()
          assert link.startswith("https://mail.example.com/set-up/"), link
          page = fetch(link, "--data-urlencode 'password=a word of my own' --data-urlencode 'again=a word of my own'")
          assert "Your password is set" in page, page

      with subtest("mail from users is signed, and reaches all whom an alias means"):
          send(mail, "john@example.com", "john", "sales@example.com", "to both")
          wait_for_mail(mail, "john@example.com", "john", "to both")
          wait_for_mail(mail, "jane@example.com", "a word of my own", "to both")
          mail.succeed("grep -rq 's=s1;' /var/mail/vhosts/example.com/jane/")

      with subtest("mail from elsewhere arrives, and a virus is refused"):
          out = stranger("--tls", "--header", "Subject: from elsewhere")
          assert "250" in out, out
          wait_for_mail(mail, "john@example.com", "john", "from elsewhere")
          out = stranger("--body", ${builtins.toJSON virus.text})
          assert "<** 5" in out and "Test-File" in out, out

      with subtest("mail programs, browsers and other servers find what they look for"):
          for url, status in (
              ("https://mail.example.com/", "302"),
              ("https://mail.example.com/webmail/", "200"),
              ("https://mail.example.com/.well-known/caldav", "301"),
              ("https://autoconfig.example.com/mail/config-v1.1.xml", "200"),
              ("https://mta-sts.example.com/.well-known/mta-sts.txt", "200"),
          ):
              out = fetch(url)
              assert out == status, (url, out)
          found = "-X PROPFIND -H 'Depth: 1' -o /dev/null -w '%{http_code}' --user john@example.com:john"
          out = fetch("https://mail.example.com/dav/calendars/john@example.com/", found)
          assert out == "207", out

      with subtest("a backup is taken and proven, and John gets the report and mail to root"):
          for unit in ("backup", "drill", "reports"):
              mail.succeed(f"systemctl start postrider-{unit}.service")
          before = len(subjects(mail, "john@example.com", "john"))
          mail.succeed("printf 'To: root\\nSubject: from cron\\n\\ndone\\n' | sendmail -i -t")
          wait_for_mail(mail, "john@example.com", "john", "from cron")
          assert len(subjects(mail, "john@example.com", "john")) > before > 2

      with subtest("the sandbox of each unit is judged at most 2.0, but that of the one that replaces the system"):
          all_sandboxed(mail, unless=("postrider-rollback.service",))

      with subtest("journals without errors"):
          no_errors(mail)
    '';
}
