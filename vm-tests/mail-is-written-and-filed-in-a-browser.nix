# Promise: mail written in a browser leaves through the role with the queue and arrives; the scripts of
# the site and of the recipient file it; nobody reads it without a login.
{ self }:
{ ... }:
{
  name = "mail-is-written-and-filed-in-a-browser";
  globalTimeout = 600;

  nodes.server =
    { pkgs, ... }:
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      services.postrider = {
        webmail.enable = true;
        listeners.https.enable = true;
        listeners.managesieve.enable = true;
        sieve.before = [
          (pkgs.writeText "site.sieve" ''
            require ["fileinto", "mailbox"];
            if header :contains "subject" "invoice" { fileinto :create "Invoices"; stop; }
          '')
        ];
      };
    };

  testScript =
    { nodes, ... }:
    let
      port = toString nodes.server.services.postrider.listeners.webmail.port;
    in
    ''
      import json

      ${builtins.readFile ./lib/mail.py}


      def ask(path: str, cookie: str, body: typing.Optional[typing.Dict[str, typing.Any]] = None) -> str:
          """What the webmail answers to its page: head and body."""
          words = ["curl", "-si", "--max-time", "60", "-H", "X-Postrider: 1", "-H", f"Cookie: {cookie}"]
          if body is not None:
              words += ["-H", "Content-Type: application/json", "--data", json.dumps(body)]
          return server.succeed(shlex.join([*words, f"http://localhost:${port}/api/{path}"]))


      def log_in(user: str, password: str) -> str:
          head = ask("session", "", {"address": user, "password": password})
          cookies = [line.split(":", 1)[1] for line in head.splitlines() if line.lower().startswith("set-cookie:")]
          assert cookies, head
          return cookies[0].split(";")[0].strip()


      def write(cookie: str, subject: str) -> None:
          letter = {
              "from": {"address": "ann@example.test"},
              "to": [{"name": "", "address": "bob@example.test"}],
              "subject": subject,
              "text": "Written in a browser",
          }
          answer = ask("send", cookie, {"key": f"key of {subject}".ljust(20, "."), "letter": letter})
          assert '"sent":true' in answer, answer


      start_all()
      for role in ("access", "mta"):
          server.wait_for_unit(f"postrider-{role}.service")
      server.wait_for_open_port(${port})

      with subtest("the page is served, and only to who has a login are letters"):
          page = server.succeed("curl -s http://localhost:${port}/")
          assert "<title>" in page, page
          assert server.succeed("curl -sk https://localhost/") == page
          assert " 401 " in ask("folders", "").splitlines()[0]
          assert " 401 " in ask("session", "", {"address": "ann@example.test", "password": "bob"}).splitlines()[0]

      with subtest("ann writes, and it arrives"):
          ann = log_in("ann@example.test", "ann")
          write(ann, "from a browser")
          wait_for_mail(server, "bob@example.test", "bob", "from a browser")

      with subtest("the script of the site files"):
          write(ann, "your invoice")
          server.wait_until_succeeds("grep -rq 'your invoice' /var/mail/vhosts/example.test/bob/.Invoices/", timeout=60)

      with subtest("so does bob's own"):
          script = 'require "fileinto"; if header :is "subject" "for the archive" { fileinto "Archive"; }'
          server.succeed(f"echo '{script}' | postrider sieve put bob@example.test main - --activate")
          write(ann, "for the archive")
          server.wait_until_succeeds("grep -rq 'for the archive' /var/mail/vhosts/example.test/bob/.Archive/", timeout=60)

      with subtest("bob reads it in his browser, and nobody else does"):
          bob = log_in("bob@example.test", "bob")
          listed = ask("messages?folder=Archive&start=0&count=10", bob)
          assert "for the archive" in listed, listed
          assert "for the archive" not in ask("messages?folder=Archive&start=0&count=10", ann)

      with subtest("a login outlasts neither its end nor a cookie of someone's own making"):
          server.succeed(f"curl -s -X DELETE -H 'X-Postrider: 1' -H 'Cookie: {bob}' http://localhost:${port}/api/session")
          assert " 401 " in ask("folders", bob).splitlines()[0]

      with subtest("journals without errors"):
          no_errors(server)
    '';
}
