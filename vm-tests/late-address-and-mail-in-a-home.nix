# Promise: an address that the machine gets late is served then, and all others before; mailboxes in /home and backups in /root
# are where they were configured, and a copy goes to a directory on another disk.
{ self }:
{ lib, ... }:
{
  name = "late-address-and-mail-in-a-home";
  globalTimeout = 600;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    services.postrider = {
      # It would miss the address.
      appliance.enable = lib.mkForce false;
      listeners.imap.addresses = [
        "127.0.0.1"
        "192.0.2.10"
      ];
      mailRoot = "/home/vmail";
      backup = {
        enable = true;
        destination = "/root/backup";
        remote = "/srv/vault";
      };
    };
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}


    def greeted(address: str) -> str:
        """A command that succeeds when IMAP is spoken at an address."""
        return f"timeout 20 bash -c 'exec 3<>/dev/tcp/{address}/143 && read -r line <&3 && [[ $line == \"* OK\"* ]]'"


    start_all()
    for role in ("access", "mta", "dashboard"):
        server.wait_for_unit(f"postrider-{role}.service")

    with subtest("an address that comes late is served"):
        server.succeed(greeted("127.0.0.1"))
        server.succeed("ip address add 192.0.2.10/32 dev lo")
        server.succeed(greeted("192.0.2.10"))

    with subtest("mail lies in a home, of which the roles see nothing else"):
        send(server, "ann@example.test", "ann", "bob@example.test", "at home")
        wait_for_mail(server, "bob@example.test", "bob", "at home")
        server.succeed("grep -rqF 'Subject: at home' /home/vmail/example.test/bob")
        server.succeed("mkdir -p /home/somebody")
        role = server.succeed("systemctl show -P MainPID postrider-access").strip()
        assert server.succeed(f"ls /proc/{role}/root/home").split() == ["vmail"]

    with subtest("backups lie in root's home, are proven, and copied to a directory"):
        for unit in ("backup", "drill", "offsite"):
            server.succeed(f"systemctl start postrider-{unit}.service")
        server.succeed("postrider backup list --json | grep -q id")
        server.succeed("ls /root/backup/snapshots/* /srv/vault/snapshots/*")

    ends_well(server)
  '';
}
