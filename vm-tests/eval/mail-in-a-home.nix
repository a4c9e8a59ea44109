# Mailboxes and backups in homes are seen by the units that need them, and nothing else there.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    mailRoot = "/home/vmail";
    backup = {
      enable = true;
      destination = "/root/backup";
    };
  };
  holds =
    { lib, config, ... }:
    let
      settings = role: config.systemd.services."postrider-${role}".serviceConfig;
      sees = role: paths: (settings role).ProtectHome == "tmpfs" && (settings role).BindPaths == paths;
      waits = role: config.systemd.services."postrider-${role}".unitConfig.RequiresMountsFor;
    in
    [
      (sees "access" [ "/home/vmail" ])
      ((settings "mta").ProtectHome == true)
      (lib.all
        (
          role:
          sees role [
            "/home/vmail"
            "/root/backup"
          ]
        )
        [
          "backup"
          "drill"
        ]
      )
      (waits "access" == [ "/home/vmail" ])
      (lib.elem "/root/backup" (waits "backup"))
    ];
}
