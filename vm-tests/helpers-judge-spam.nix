# Promise: the administrator's own rules, ClamAV and rspamd each act on incoming mail that they recognise, and other mail
# arrives.
{ self }:
{ pkgs, ... }:
let
  virus = import ./lib/virus.nix { inherit pkgs; };
in
{
  name = "helpers-judge-spam";
  globalTimeout = 900;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    services.postrider = {
      # Nobody answers: DNS results count as unknown.
      settings.dns = {
        attempts = 1;
        servers = [ "127.0.0.1:9" ];
        timeout = "1s";
      };
      spam = {
        clamav.enable = true;
        rspamd.enable = true;
        rules = ''
          header LOCAL_LOTTERY Subject =~ /lottery/i
          score  LOCAL_LOTTERY 50
          header LOCAL_OFFER   Subject =~ /special offer/i
          score  LOCAL_OFFER   7
        '';
      };
    };
    services.clamav.updater.enable = false;
    systemd.tmpfiles.settings.test-signature."/var/lib/clamav/test.ndb"."L+".argument =
      "${virus.signature}";
    services.rspamd = {
      locals."options.inc".text = ''
        dns {
          nameserver = ["127.0.0.1"];
          timeout = 0.2s;
          retransmits = 1;
        }
      '';
      localLuaRules = pkgs.writeText "planted.lua" ''
        rspamd_config:register_symbol {
          name = "PLANTED",
          type = "prefilter",
          callback = function(task)
            if (task:get_subject() or ""):find("planted") then
              task:set_pre_result("reject", "rspamd has seen it")
            end
          end
        }
      '';
    };
    environment.etc.eicar.text = virus.text;
    virtualisation.memorySize = 2048;
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}


    def deliver(subject: str, body: str = "hello") -> str:
        """What port 25 says to a stranger's message, whatever it is."""
        words = ["swaks", "--server", "localhost", "--from", "stranger@elsewhere.example", "--to", "bob@example.test"]
        words += ["--header", f"Subject: {subject}", "--body", body, "--timeout", "60"]
        return server.execute(shlex.join(words) + " 2>&1")[1]


    start_all()
    # Both may be slow to start, and nothing waits for them.
    server.succeed("systemctl start clamav-daemon.service rspamd.service")
    server.wait_for_open_unix_socket("/run/clamav/clamd.ctl")
    server.wait_for_open_unix_socket("/run/rspamd/postrider-milter.sock")
    for role in ("access", "mta"):
        server.wait_for_unit(f"postrider-{role}.service")

    with subtest("mail that nobody minds arrives, seen by rspamd and ClamAV"):
        out = deliver("dinner on Friday")
        assert "\n<~  250" in out or "<-  250" in out, out
        wait_for_mail(server, "bob@example.test", "bob", "dinner on Friday")
        trace = server.succeed("postrider trace bob@example.test")
        for failure in ("later", "not available"):
            assert failure not in trace, trace

    with subtest("the site's own rules refuse, and file into Junk"):
        out = deliver("you have won the LOTTERY")
        assert "<** 5" in out, out
        out = deliver("a special offer")
        server.wait_until_succeeds("grep -rq 'Subject: a special offer' /var/mail/vhosts/example.test/bob/.Junk", timeout=60)

    with subtest("a virus is refused by the name ClamAV gives it"):
        out = deliver("look at this", server.succeed("cat /etc/eicar"))
        assert "<** 5" in out and "Test-File" in out, out

    with subtest("rspamd refuses what it knows"):
        out = deliver("planted")
        assert "<** 5" in out and "rspamd has seen it" in out, out

    with subtest("when ClamAV is away mail waits at its sender, when rspamd is away it is accepted"):
        server.succeed("systemctl stop clamav-daemon.socket clamav-daemon.service || systemctl stop clamav-daemon.service")
        out = deliver("without ClamAV")
        assert "<** 4" in out, out
        server.succeed("systemctl start clamav-daemon.service")
        server.wait_for_open_unix_socket("/run/clamav/clamd.ctl")
        server.succeed("systemctl stop rspamd.service")
        deliver("without rspamd")
        wait_for_mail(server, "bob@example.test", "bob", "without rspamd")

    with subtest("journals without errors"):
        no_errors(server)
  '';
}
