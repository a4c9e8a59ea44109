# Promise: on a freshly declared server, third-party mail programs can send and read, over every protocol and
# every way to TLS, with the passwords from the declaration; each role runs as its own user, started by its sockets.
{ self }:
{ lib, ... }:
{
  name = "clients-send-and-read";
  globalTimeout = 900;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    # A key for this test. Only the role that signs is given it.
    environment.etc."secrets/dkim".text = ''
      -----BEGIN PRIVATE KEY-----
      MC4CAQAwBQYDK2VwBCIEIGyV+wxU563f/OD9lM6gfxGKxpWxycjMtzYtkqfq41qe
      -----END PRIVATE KEY-----
    '';
    environment.etc.mbsyncrc.text = ''
      IMAPAccount server
      Host localhost
      User bob@example.test
      Pass bob
      TLSType IMAPS
      CertificateFile /run/postrider-certificates/self-signed-cert.pem

      IMAPStore far
      Account server

      MaildirStore near
      Path /root/copy/
      Inbox /root/copy/INBOX
      SubFolders Verbatim

      Channel all
      Far :far:
      Near :near:
      Patterns *
      Create Both
      Expunge Both
      SyncState *
    '';
    services.postrider.domains."example.test".dkim.selectors.s1.keyFile = "/etc/secrets/dkim";
    services.postrider.appliance.patience = 6;
    services.postrider.listeners = {
      pop3.enable = true;
      pop3s.enable = true;
      managesieve.enable = true;
    };
  };

  testScript =
    { nodes, ... }:
    ''
      import json

      ${builtins.readFile ./lib/mail.py}

      start_all()
      server.wait_for_unit("multi-user.target")

      with subtest("every role is up, and as its own user"):
          for role, user in (("mta", "postrider-mta"), ("access", "vmail"), ("dashboard", "postrider-dashboard")):
              server.wait_for_unit(f"postrider-{role}.service")
              server.succeed(f"test $(stat -c %U /proc/$(systemctl show -p MainPID --value postrider-{role}.service)) = {user}")

      with subtest("every port answers"):
          for port in (${
            lib.concatMapStringsSep ", " toString (
              map (l: l.port) (
                lib.filter (l: l.enable) (lib.attrValues nodes.server.services.postrider.listeners)
              )
            )
          }):
              server.wait_for_open_port(port)

      with subtest("ann sends to bob, and bob reads"):
          send(server, "ann@example.test", "ann", "bob@example.test", "from Python")
          wait_for_mail(server, "bob@example.test", "bob", "from Python")

      with subtest("what ann has sent is signed"):
          server.succeed("grep -rq 's=s1;' /var/mail/vhosts/example.test/bob/")

      with subtest("swaks submits with STARTTLS and is refused as a relay"):
          server.succeed(
              "swaks --server localhost --port 587 --tls --auth PLAIN --auth-user ann@example.test --auth-password ann "
              "--from ann@example.test --to bob@example.test --header 'Subject: from swaks'"
          )
          server.fail("swaks --server localhost --port 25 --from a@elsewhere.example --to b@elsewhere.example")
          wait_for_mail(server, "bob@example.test", "bob", "from swaks")

      with subtest("curl collects over POP3"):
          out = server.succeed("curl -sk --user bob@example.test:bob pop3s://localhost/1")
          assert "Subject: from " in out, out

      with subtest("mbsync brings bob's mail down, and up what he has written offline"):
          copy = "mkdir -p /root/copy && mbsync -c /etc/mbsyncrc all"
          server.succeed(copy)
          for subject in ("from Python", "from swaks"):
              server.succeed(f"grep -rqF 'Subject: {subject}' /root/copy/INBOX")
          letter = "From: bob@example.test\\nSubject: written offline\\n\\nBody.\\n"
          server.succeed(f"printf '{letter}' > /root/copy/INBOX/new/1.offline", copy)
          wait_for_mail(server, "bob@example.test", "bob", "written offline")

      with subtest("a script of bob's files his mail"):
          script = 'require "fileinto"; if header :contains "subject" "filed" { fileinto "Filed"; }'
          server.succeed(f"echo '{script}' | postrider sieve put bob@example.test main - --activate")
          server.succeed("test $(stat -c %U /var/mail/vhosts/example.test/bob/sieve/main.sieve) = vmail")
          send(server, "ann@example.test", "ann", "bob@example.test", "to be filed")
          server.wait_until_succeeds("grep -rq 'to be filed' /var/mail/vhosts/example.test/bob/.Filed/", timeout=60)

      with subtest("what bob's script sends comes to ann: a redirect, and an answer"):
          server.succeed("test $(stat -c %U:%G:%a /run/postrider/mta-post.sock) = postrider-mta:vmail:660")
          script = (
              'require "vacation"; if header :contains "subject" "passed on" { redirect "ann@example.test"; } '
              'elsif header :contains "subject" "question" { vacation :subject "bob is away" "Later."; }'
          )
          server.succeed(f"echo '{script}' | postrider sieve put bob@example.test main - --activate")
          send(server, "ann@example.test", "ann", "bob@example.test", "passed on")
          wait_for_mail(server, "ann@example.test", "ann", "passed on")
          send(server, "ann@example.test", "ann", "bob@example.test", "a question")
          wait_for_mail(server, "ann@example.test", "ann", "bob is away")

      with subtest("the mail lies where it is said to lie, readable by its owner only"):
          server.succeed("test $(stat -c %U:%a /var/mail/vhosts/example.test/bob) = vmail:700")
          server.succeed("grep -rq 'from swaks' /var/mail/vhosts/example.test/bob/")

      with subtest("the monitoring page says that all is well"):
          overview = json.loads(server.succeed("curl -s http://[::1]:8080/api/v1/overview"))
          silent = [listener for listener in overview["listeners"] if listener["milliseconds"] is None]
          assert overview["listeners"] and not silent, overview
          figures = server.succeed("curl -s http://[::1]:9325/metrics")
          assert "postrider_build_info" in figures, figures
          for role in ("mta", "access", "dashboard"):
              assert f'postrider_events_dropped_total{{role="{role}"}} 0' in figures, figures

      with subtest("the sandbox of each unit is judged at most 2.0"):
          all_sandboxed(server)

      with subtest("the health gate passes, and fails when a listener is silent"):
          server.wait_for_unit("postrider-health-gate.service")
          server.succeed("systemctl stop postrider-imap.socket postrider-access.service postrider-pop3.socket")
          server.succeed("systemctl mask --runtime postrider-imap.socket postrider-access.service")
          server.fail("timeout 90 systemctl restart postrider-health-gate.service")
          server.succeed("systemctl unmask --runtime postrider-imap.socket postrider-access.service")
          server.succeed("systemctl start postrider-imap.socket postrider-pop3.socket postrider-access.service")
          server.succeed("systemctl restart postrider-health-gate.service")

      with subtest("a certificate made on the spot is kept for its name, and made anew for another"):
          mine, restart = "/var/lib/postrider-self-signed", "systemctl restart postrider-self-signed.service"
          of_key = f"sha256sum {mine}/key.pem"
          before = server.succeed(of_key)
          assert server.succeed(restart, of_key) == before
          server.succeed(
              "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=old.example.test"
              f" -addext subjectAltName=DNS:old.example.test -keyout {mine}/key.pem -out {mine}/cert.pem"
          )
          server.succeed(restart)
          server.succeed(f"openssl x509 -in {mine}/cert.pem -noout -checkhost mail.example.test | grep 'does match'")

      with subtest("journals without errors"):
          no_errors(server, meant="^-- |health-gate|Health gate|do all listeners answer|masked")
    '';
}
