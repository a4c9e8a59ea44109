# An address that comes late, a port that is taken or a database that is down ends nothing else.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    database.type = "postgresql";
    listeners.imap.addresses = [ "192.0.2.1" ];
  };
  holds =
    { lib, config, ... }:
    let
      inherit (config.systemd) services sockets;
      role = services.postrider-access;
      needs = unit: unit.requires ++ unit.bindsTo;
    in
    [
      sockets.postrider-imap.socketConfig.FreeBind
      (sockets.postrider-imap.socketConfig.TriggerLimitIntervalSec == 0)
      (sockets.postrider-lmtp.socketConfig.TriggerLimitIntervalSec == 0)
      (needs role == [ ])
      (lib.elem "postrider-imap.socket" role.partOf)
      (lib.elem "postgresql.service" role.wants)
      (
        needs services.postrider-database-users == [ ]
        && services.postrider-database-users.requiredBy == [ ]
      )
    ];
}
