# An upgrade of NixOS moves no data: where mail, accounts and queue are does not depend on the release, and another default
# would hold only from a later `system.stateVersion` on.
{
  module.services.postrider.domains."example.test".users.ann = { };
  holds =
    {
      lib,
      config,
      also,
    }:
    let
      placesOf = config: {
        inherit (config.services.postrider) mailRoot;
        database = config.services.postrider.settings.storage.database;
        spool = lib.filter (lib.hasPrefix "/var/spool/") config.systemd.services.postrider-mta.serviceConfig.ReadWritePaths;
        name = config.services.postrider.database.name;
        owner = config.users.users.vmail.uid;
      };
      places = {
        mailRoot = "/var/mail/vhosts";
        database = "sqlite:/var/lib/postrider/postrider.sqlite";
        spool = [ "/var/spool/postrider" ];
        name = "mailserver";
        owner = 5000;
      };
    in
    [ (placesOf config == places) ]
    ++
      map
        (
          release:
          placesOf (also {
            system.stateVersion = lib.mkForce release;
          }) == places
        )
        [
          "25.11"
          "26.05"
        ];
}
