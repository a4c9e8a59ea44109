# Promise: two machines over one database and one storage are one server: mail taken by one is read at the other, a machine
# that dies is replaced by the other within the lease, and nothing that was acknowledged is lost.
{ self }:
{ lib, ... }:
let
  secret = "for the test only, and long enough to be one";
  # The example's machines, at the addresses they have here.
  here =
    { nodes, ... }:
    {
      _module.args.addresses = lib.mkForce {
        storage = nodes.storage.networking.primaryIPAddress;
        nodes = {
          mail1 = nodes.mail1.networking.primaryIPAddress;
          mail2 = nodes.mail2.networking.primaryIPAddress;
        };
      };
    };
  node =
    { addresses, config, ... }:
    {
      imports = [
        (import ./lib/server.nix { inherit self; })
        ../hosts/cluster/addresses.nix
        here
      ];
      environment.etc = {
        "secrets/cluster".text = secret;
        "secrets/database".text = "postgres://postrider:test@${addresses.storage}/mailserver";
      };
      services.postrider = {
        cluster = {
          enable = true;
          address = addresses.nodes.${config.networking.hostName};
          secretFile = "/etc/secrets/cluster";
          peers = lib.attrValues addresses.nodes;
        };
        database = {
          type = "postgresql";
          createLocally = false;
          urlFile = "/etc/secrets/database";
        };
        hostname = "mail.example.test";
        # Long enough for a slow machine to keep it.
        settings.cluster = {
          lease = "45s";
          patience = "30s";
        };
      };
      virtualisation.fileSystems = import ../hosts/cluster/mounts.nix addresses.storage;
    };
in
{
  name = "nodes-share-the-mailboxes";
  globalTimeout = 1200;

  nodes = {
    storage.imports = [
      ../hosts/cluster/storage.nix
      here
    ];
    mail1 = node;
    mail2 = node;
  };

  testScript =
    { nodes, ... }:
    let
      # By its address: the firewall lets nodes in by IPv4, and the name has one of IPv6, too.
      between = "/dev/tcp/${nodes.mail1.networking.primaryIPAddress}/2425";
    in
    ''
      import json

      ${builtins.readFile ./lib/mail.py}


      def nodes(machine: typing.Any) -> typing.Any:
          return {one["name"]: one for one in json.loads(machine.succeed("postrider --json cluster status"))}


      storage.start()
      # A guest that shares the kernel of a machine without NFS has nothing to share.
      if storage.execute("modprobe nfsd 2>/dev/null || grep -qw nfsd /proc/filesystems")[0] != 0:
          print("skipped: this kernel has no NFS")
      else:
          storage.wait_for_unit("nfs-server.service")
          storage.wait_for_unit("postgresql.service")
          storage.wait_until_succeeds("runuser -u postgres -- psql -c \"ALTER ROLE postrider PASSWORD 'test'\"")
          storage.succeed("runuser -u postgres -- psql -c 'ALTER DATABASE mailserver OWNER TO postrider'")
          for machine in (mail1, mail2):
              machine.start()
          for machine in (mail1, mail2):
              machine.wait_for_unit("postrider-access.service")
              machine.wait_for_unit("postrider-mta.service")
          for machine in (mail1, mail2):
              machine.wait_until_succeeds("test $(postrider cluster status | grep -c serving) = 2")

          with subtest("mail taken by one node is read at either"):
              send(mail1, "ann@example.test", "ann", "bob@example.test", "by way of the first")
              send(mail2, "ann@example.test", "ann", "bob@example.test", "by way of the second")
              for machine in (mail1, mail2):
                  wait_for_mail(machine, "bob@example.test", "bob", "by way of the first")
                  wait_for_mail(machine, "bob@example.test", "bob", "by way of the second")
              owner = mail1.succeed("postrider cluster owner bob@example.test")
              assert "with mail" in owner, owner

          with subtest("the port between nodes is for nodes"):
              # Elsewhere there is no NixOS firewall.
              if is_nixos(mail1):
                  storage.fail("timeout 5 bash -c '<${between}'")
              mail2.succeed("timeout 5 bash -c '<${between}'")

          with subtest("a user is moved, and nobody notices"):
              mail1.succeed("postrider cluster move bob@example.test mail1")
              mail1.wait_until_succeeds("postrider cluster owner bob@example.test | grep -q 'with mail1'", timeout=180)
              wait_for_mail(mail2, "bob@example.test", "bob", "by way of the first")

          with subtest("a node that dies is replaced within the lease, and nothing acknowledged is lost"):
              send(mail1, "ann@example.test", "ann", "bob@example.test", "just before")
              wait_for_mail(mail1, "bob@example.test", "bob", "just before")
              mail1.crash()
              mail2.wait_until_succeeds("postrider cluster status | grep mail1 | grep -q ended", timeout=180)
              wait_for_mail(mail2, "bob@example.test", "bob", "just before")
              found = subjects(mail2, "bob@example.test", "bob")
              assert sorted(found) == sorted(["by way of the first", "by way of the second", "just before"]), found
              send(mail2, "ann@example.test", "ann", "bob@example.test", "afterwards")
              wait_for_mail(mail2, "bob@example.test", "bob", "afterwards")

          with subtest("it comes back and serves again"):
              mail1.start()
              mail1.wait_for_unit("postrider-access.service")
              mail1.wait_until_succeeds("test $(postrider cluster status | grep -c serving) = 2")
              wait_for_mail(mail1, "bob@example.test", "bob", "afterwards")
              assert set(nodes(mail1)) == {"mail1", "mail2"}

          with subtest("a node is emptied before it is stopped"):
              mail2.succeed("postrider cluster drain mail2")
              mail2.wait_until_succeeds("test $(postrider --json cluster status | jq '.[] | select(.name == \"mail2\").users') = 0")
              wait_for_mail(mail2, "bob@example.test", "bob", "afterwards")
              mail2.succeed("postrider cluster resume mail2")

          with subtest("the sandbox of each unit is judged at most 2.0"):
              all_sandboxed(mail1)
    '';
}
