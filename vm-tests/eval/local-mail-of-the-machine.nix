# What programs write is handed over by a socket that everybody may open, under every name of `sendmail`.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    localMail.to = "ann@example.test";
  };
  holds =
    {
      lib,
      config,
      also,
    }:
    let
      settingsOf = config: config.services.postrider.settings;
      listenersOf = config: lib.filter (l: l.protocol == "sendmail") (settingsOf config).listener;
      none = also { services.postrider.localMail.to = lib.mkForce null; };
      accounts = also { services.postrider.localMail.accounts.gitea = "ann@example.test"; };
    in
    [
      (map (l: l.mode) (listenersOf config) == [ "0666" ])
      ((settingsOf config).routing.machine_users == "ann@example.test")
      (config.systemd.sockets.postrider-sendmail.socketConfig.SocketMode == "0666")
      (!config.systemd.services.postrider-mta.serviceConfig.PrivateUsers)
      (lib.hasSuffix "/bin/sendmail" config.services.mail.sendmailSetuidWrapper.source)
      (
        (settingsOf accounts).submission.programs == [
          {
            account = "ann@example.test";
            user = "gitea";
          }
        ]
      )
      (listenersOf none == [ ])
      none.systemd.services.postrider-mta.serviceConfig.PrivateUsers
    ];
}
