# The queue is where the settings say. Its role may write there and nowhere else, and does not start before the disk is there:
# what it took in would be hidden by a mount that comes later.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup.enable = true;
    settings.spool.directory = "/srv/queue";
  };
  holds =
    { lib, config, ... }:
    let
      unit = role: config.systemd.services."postrider-${role}";
      waits = role: (unit role).unitConfig.RequiresMountsFor;
      writes = (unit "mta").serviceConfig.ReadWritePaths;
    in
    [
      (waits "mta" == [ "/srv/queue" ])
      (waits "access" == [ "/var/mail/vhosts" ])
      (lib.elem "/srv/queue" (waits "backup"))
      (lib.elem "/srv/queue" writes && !lib.elem "/var/spool/postrider" writes)
      (config.systemd.tmpfiles.settings."10-postrider"."/srv/queue".d.user == "postrider-mta")
    ];
}
