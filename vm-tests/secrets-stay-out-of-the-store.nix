# Promise: the contents of secret files occur nowhere in the system's closure, nor in the journal.
{ self }:
{ ... }:
{
  name = "secrets-stay-out-of-the-store";
  globalTimeout = 600;

  nodes.server =
    { lib, ... }:
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      # Written at boot, as a secret manager would.
      systemd.services.plant-secrets = {
        wantedBy = [ "multi-user.target" ];
        before = [ "postrider-access.service" ];
        requiredBy = [ "postrider-access.service" ];
        serviceConfig.Type = "oneshot";
        # Two pieces, so that the whole is nowhere in this configuration.
        script = ''
          mkdir -p -m 700 /run/planted
          printf '{BLF-CRYPT}%s%s' '$2b$04$plantedplantedplanteduGSTprU1B4' 2rJMKp2LQf7qvmNkDoO14u > /run/planted/ann
        '';
      };
      services.postrider.domains."example.test".users = lib.mkForce {
        ann.hashedPasswordFile = "/run/planted/ann";
      };
    };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}
    start_all()
    server.wait_for_unit("postrider-access.service")
    server.wait_for_unit("postrider-mta.service")
    with subtest("the server has read it"):
        send(server, "ann@example.test", "planted", "ann@example.test", "to myself")
        wait_for_mail(server, "ann@example.test", "planted", "to myself")
    with subtest("the store and the journal have not"):
        # This script, too, is in the store of whoever runs it, and that may be the guest's.
        planted = "plantedplanteduGSTprU1B4" + "2rJMKp"
        server.fail(f"grep -rlF {planted} /nix/store /etc")
        server.fail(f"journalctl --no-pager | grep -F {planted}")
    with subtest("other users cannot read the credentials"):
        server.fail("setpriv --reuid=nobody --clear-groups cat /run/credentials/postrider-access.service/*")
  '';
}
