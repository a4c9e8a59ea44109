# What a running role cannot exchange, and other certificates, restart the roles; anything else reloads them.
{
  module.services.postrider.domains."example.test".users.ann = { };
  holds =
    { config, also, ... }:
    let
      triggers = config: config.systemd.services.postrider-mta.restartTriggers;
      restarts =
        settings:
        triggers (also {
          services.postrider = settings;
        }) != triggers config;
    in
    [
      (restarts { hostname = "other.example.test"; })
      (restarts { settings.spool.directory = "/var/spool/other"; })
      (restarts { mailRoot = "/srv/mail"; })
      (restarts {
        certificates = {
          selfSigned = false;
          files = [
            {
              certFile = "/var/lib/certs/cert.pem";
              keyFile = "/var/lib/certs/key.pem";
            }
          ];
        };
      })
      (!restarts { settings.server.log_level = "debug"; })
      (!restarts { settings.smtp.message_size = "10M"; })
      (!restarts { domains."example.test".users.bob = { }; })
    ];
}
