# Promise: from the image's console alone a user gets a password and can then read mail; a mistyped password and an
# unconfirmed change of the network or installation change nothing. The server gets another name, a domain and a
# user while it runs.
{ self }:
{ lib, pkgs, ... }:
{
  name = "console-menu-sets-up";
  globalTimeout = 600;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    services.postrider.domains."example.test".users.carol = { };
    environment.etc = {
      "console.py".source = ./lib/console.py;
      installer.source = lib.getExe (
        import ../hosts/iso/install.nix {
          inherit pkgs;
          downloads = [ ];
        }
      );
      menu.source = lib.getExe (import ../hosts/iso/menu.nix { inherit pkgs; });
    };
  };

  testScript = ''
    import json

    ${builtins.readFile ./lib/mail.py}

    # Longer than the common name of a certificate may be.
    HOST = f"post.{'with-many-letters-' * 3}s.example.net"


    def menu(*answers: str) -> str:
        """What the menu says to these answers, given one after the other and then the end of the input."""
        return server.succeed(shlex.join(["printf", "%s\\n", *answers]) + " | /etc/menu 2>&1")


    def install(disk: str, *answers: str) -> str:
        who = ["yes"] if server.execute("test -e /run/postrider-menu/who")[0] == 0 else ["mail.example.com", "example.com", "john"]
        words = ["printf", "%s\\n", disk, *who, *answers]
        return server.execute(shlex.join(words) + " | /etc/installer 2>&1")[1]


    start_all()
    server.wait_for_unit("postrider-access.service")
    server.wait_for_unit("postrider-mta.service")

    with subtest("a mistyped password is not taken"):
        out = menu("2", "carol@example.test", "correct horse", "correct house")
        assert "nothing was changed" in out, out
        server.fail(mail_client("subjects", "localhost", "carol@example.test", "correct horse"))

    with subtest("a password is given, and mail can be read with it"):
        menu("2", "carol@example.test", "correct horse", "correct horse")
        send(server, "ann@example.test", "ann", "carol@example.test", "welcome")
        wait_for_mail(server, "carol@example.test", "correct horse", "welcome")

    with subtest("on a terminal, and no password is shown there"):
        steps = [
            ["Which: ", "2"],
            ["Whose password (such as ann@example.test): ", "carol@example.test"],
            ["New password: ", "battery staple", "unseen"],
            ["Once more: ", "battery staple", "unseen"],
            ["Which: ", "6"],
        ]
        out = server.succeed(shlex.join(["python3", "/etc/console.py", "/etc/menu", json.dumps(steps)]))
        assert "carol@example.test" in out and "battery" not in out, out
        wait_for_mail(server, "carol@example.test", "battery staple", "welcome")

    with subtest("the menu says how the server is doing and does not stumble over a wrong answer"):
        out = menu("nine", "4", "1")
        assert "a number from 1 to 7" in out and "access" in out and "port 993" in out, out

    with subtest("a network is set only when it is confirmed"):
        menu("3", "lo", "192.0.2.77/32", "", "", "no")
        server.fail("ip address show dev lo | grep -F 192.0.2.77")
        # The configuration of an installed server could not have it.
        out = menu("3", "lo", "192.0.2.77", "", "", "yes")
        assert "has its prefix" in out, out
        server.fail("ip address show dev lo | grep -F 192.0.2.77")
        menu("3", "lo", "192.0.2.77/32", "", "192.0.2.53", "yes")
        server.succeed("ip address show dev lo | grep -F 192.0.2.77")
        server.succeed("grep -xF 'nameserver 192.0.2.53' /etc/resolv.conf")

    with subtest("names that NixOS would refuse are refused before anything is done"):
        for name, domain, user, why in (
            ("mail..example.com", "example.com", "john", "is not a host name"),
            ("mail.example.com", "-a.example", "john", "is not a domain"),
            ("mail.example.com", "example.com", ".john", "is not a user name"),
            ("mail.example.com", "example.com", "a..b", "is not a user name"),
        ):
            out = menu("7", name, domain, user)
            assert why in out, out

    with subtest("the server has another name, a domain and a user, and all others as before"):
        out = menu("7", HOST, "example.net", "dora", "staple", "staple")
        assert f"This server is now {HOST}" in out, out
        send(server, "dora@example.net", "staple", "ann@example.test", "from the new one")
        wait_for_mail(server, "ann@example.test", "ann", "from the new one")
        send(server, "ann@example.test", "ann", "dora@example.net", "to the new one")
        wait_for_mail(server, "dora@example.net", "staple", "to the new one")
        server.succeed(f"timeout 20 bash -c 'exec 3<>/dev/tcp/localhost/25 && read -r line <&3 && [[ $line == \"220 {HOST}\"* ]]'")
        server.succeed(f"echo | openssl s_client -connect localhost:993 | openssl x509 -noout -checkhost {HOST} | grep 'does match'")

    with subtest("an installation shows its plan first, and touches nothing that is not confirmed"):
        server.succeed("truncate -s 10G /var/tmp/disk; truncate -s 1G /var/tmp/small")
        out = install("/var/tmp/disk", "horse", "horse", "yes")
        assert "EVERYTHING ON IT IS ERASED" in out and "(10 GiB)" in out and "/boot, FAT" in out, out
        assert HOST in out and "dora@example.net" in out and "192.0.2.77/32" in out, out
        assert "Nothing was changed." in out, out
        server.succeed("cmp -n 2097152 /var/tmp/disk /dev/zero")
        for disk, why in (("/var/tmp/small", "too small"), ("/var/tmp/none", "is no disk")):
            out = install(disk, "horse", "horse", disk)
            assert why in out, out
        out = install("/var/tmp/disk", "horse", "house", "/var/tmp/disk")
        assert "not the same" in out, out
        server.succeed("cmp -n 2097152 /var/tmp/disk /dev/zero")

    with subtest("what is confirmed is done: three partitions for BIOS and UEFI"):
        out = install("/var/tmp/disk", "horse", "horse", "/var/tmp/disk")
        table = server.succeed("sfdisk --dump /var/tmp/disk")
        for name in ("bios", "efi", "nixos"):
            assert f'name="{name}"' in table, table

    with subtest("journals without errors"):
        no_errors(server)
  '';
}
