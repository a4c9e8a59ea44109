# Promise: with the reverse proxy an administrator reads the monitoring page from elsewhere over HTTPS and nobody else
# does; a mail program finds its settings, and the settings it finds work; a telephone finds its calendars.
{ self }:
{ ... }:
{
  name = "reverse-proxy-serves-what-programs-look-for";
  globalTimeout = 600;

  nodes = {
    outside =
      { pkgs, ... }:
      {
        environment.etc.mail-client.source = ./lib/client.py;
        environment.systemPackages = [
          pkgs.curl
          pkgs.python3
        ];
      };
    server = {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      # `admin`, with the password `page`.
      environment.etc."secrets/htpasswd" = {
        text = "admin:$apr1$postride$bkXZcZvLTTagl.GoGIPzq0\n";
        mode = "0400";
      };
      services.postrider = {
        domains."example.test".users.carol = { };
        reverseProxy = {
          enable = true;
          dashboard = {
            enable = true;
            basicAuthFile = "/etc/secrets/htpasswd";
          };
        };
        dashboard.passwordFile = "/etc/secrets/ann";
        settings.guard.failures = 3;
        setUpLinks.enable = true;
        dav.enable = true;
      };
    };
  };

  testScript =
    { nodes, ... }:
    let
      host = nodes.server.networking.primaryIPAddress;
    in
    ''
      ${builtins.readFile ./lib/mail.py}


      def fetch(url: str, options: str = "") -> str:
          name = url.split("/")[2]
          return f"curl -sk --max-time 20 --resolve {name}:443:${host} --resolve {name}:80:${host} {options} {url}"


      start_all()
      server.wait_for_unit("postrider-dashboard.service")
      server.wait_for_unit("nginx.service")

      with subtest("the page is for whoever has the passwords"):
          login = "--user admin:page --location --cookie-jar /tmp/jar --cookie /tmp/jar --data password=ann"
          page = outside.succeed(fetch("https://mail.example.test/login", f"{login} -H 'Origin: https://mail.example.test'"))
          assert "Listeners" in page, page
          for wrong in ("", "--user admin:wrong"):
              out = outside.succeed(fetch("https://mail.example.test/", f"-o /dev/null -w '%{{http_code}}' {wrong}"))
              assert out == "401", out

      with subtest("and only over TLS"):
          out = outside.succeed(fetch("http://mail.example.test/", "-o /dev/null -w '%{http_code}'"))
          assert out == "301", out

      with subtest("the settings a mail program finds lead to a server that answers"):
          import xml.etree.ElementTree

          text = outside.succeed(fetch("https://autoconfig.example.test/mail/config-v1.1.xml"))
          provider = xml.etree.ElementTree.fromstring(text).find("emailProvider")
          assert provider is not None and provider.get("id") == "example.test", text
          for kind, port in (("incomingServer[@type='imap']", "993"), ("outgoingServer", "465")):
              first = provider.find(kind)
              assert first is not None, text
              assert first.findtext("hostname") == "mail.example.test", text
              assert (first.findtext("port"), first.findtext("socketType")) == (port, "SSL"), text
          outside.succeed(mail_client("send", "${host}", "ann@example.test", "ann", "bob@example.test", "found"))
          wait_for_mail(server, "bob@example.test", "bob", "found")

      with subtest("Outlook is told the same servers, with the address that it asks about"):
          question = "<Autodiscover><Request><EMailAddress>ann@example.test</EMailAddress></Request></Autodiscover>"
          ask = f"-H 'Content-Type: text/xml' --data '{question}'"
          for path in ("autodiscover/autodiscover.xml", "Autodiscover/Autodiscover.xml"):
              text = outside.succeed(fetch(f"https://autodiscover.example.test/{path}", ask))
              assert "<LoginName>ann@example.test</LoginName>" in text, text
              assert "<Server>mail.example.test</Server>\n<Port>993</Port>" in text, text

      with subtest("the link by which somebody chooses a password leads through it"):
          server.wait_for_unit("postrider-mta.service")
          link = server.succeed("postrider user invite carol@example.test | grep -o 'https://[^ ]*'").strip()
          page = outside.succeed(fetch(link))
          assert link.startswith("https://mail.example.test/set-up/") and "carol@example.test" in page, (link, page)

      with subtest("a telephone finds its calendars"):
          way = outside.succeed(fetch("https://mail.example.test/.well-known/caldav", "-o /dev/null -w '%{http_code} %{redirect_url}'"))
          assert way == "301 https://mail.example.test/dav/", way
          homes = "https://mail.example.test/dav/calendars/ann@example.test/"
          find = "-X PROPFIND -H 'Depth: 1' -w '%{http_code}' -o /tmp/found"
          out = outside.succeed(fetch(homes, find))
          assert out == "401", out
          out = outside.succeed(fetch(homes, find + " --user ann@example.test:ann"))
          assert out == "207", out
          assert "/dav/calendars/ann@example.test/Personal/" in outside.succeed("cat /tmp/found")

      with subtest("nobody is held off from the page in place of a guesser who uses their address"):
          # This machine is trusted, and would be banned under the other address.
          words = ["curl", "-sk", "--resolve", "mail.example.test:443:127.0.0.1", "--user", "admin:page", "-o", "/dev/null"]
          words += ["-w", "%{http_code}", "-H", "X-Forwarded-For: 203.0.113.9", "https://mail.example.test/login", "-d"]
          for password, answer in (("guess", "401"), ("guess", "401"), ("guess", "401"), ("ann", "303")):
              out = server.succeed(shlex.join([*words, f"password={password}"]))
              assert out == answer, out

      with subtest("the records to publish lead there"):
          records = "${
            toString (map (r: "${r.name}=${r.value}") nodes.server.services.postrider.dns.records)
          }"
          for name in ("autoconfig", "autodiscover"):
              assert f"{name}.example.test.=mail.example.test." in records, records
          assert "_caldavs._tcp.example.test.=0 1 443 mail.example.test." in records, records

      with subtest("journals without errors"):
          no_errors(server)
    '';
}
