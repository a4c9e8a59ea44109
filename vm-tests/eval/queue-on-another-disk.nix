# The queue is where the settings say. Its role may write there and nowhere else, and does not start before the disk is there:
# what it took in would be hidden by a mount that comes later. So it is with drills of backups.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup.enable = true;
    settings = {
      backup.drill_directory = "/srv/drills";
      spool.directory = "/srv/queue";
    };
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
      (lib.elem "/srv/drills" (waits "drill"))
      (lib.elem "/srv/drills" (unit "drill").serviceConfig.ReadWritePaths)
      (config.systemd.tmpfiles.settings."10-postrider"."/srv/queue".d.user == "postrider-mta")
    ];
}
